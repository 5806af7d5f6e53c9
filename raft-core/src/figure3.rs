//! The properties of Figure 3, and what they rest on, checked from [`Event`]s.
//!
//! | property | says | checked when |
//! | --- | --- | --- |
//! | Election Safety (§5.2) | at most one leader a term, elected once | a server leads |
//! | Leader Append-Only (§5.3) | a leader never truncates its log | a log is truncated |
//! | Log Matching (§5.3) | an entry with the same id has the same past everywhere | an entry is appended |
//! | Leader Completeness (§5.4) | what is committed is in the log of every later leader | a server leads; an entry is committed |
//! | State Machine Safety (§5.4.3) | what is committed at an index is the same everywhere | an entry is committed |
//! | Durable before acknowledged | what is committed is on the disks of a majority | an entry is committed |
//! | One Vote (§5.2) | one durable vote a term on each server | a vote is durable |
//! | Monotonic | durable terms never go down; commit index and applied index never do within a life | one of them changes |
//!
//! Each check costs O(log n) an event: a log is summed up by a hash of its past at every entry. What was
//! compacted is known from what was committed; a snapshot must stand for exactly that.

mod server;

use std::collections::BTreeMap;

pub use crate::property::{Broken, Property};

use crate::configuration::{Configuration, Configured, Member};
use crate::event::{Event, RoleName};
use crate::state::Restored;
use crate::types::{EntryId, Incarnation, LogIndex, NodeId, Term};
use server::{Seen, Server};

/// What is known of a group from its events so far. Feed it each server's events in the order in which
/// they happened, and between servers so that a message's cause comes before its effect.
#[derive(Clone, Debug)]
pub struct Figure3 {
    /// What the group begins with.
    first: Configuration,
    /// The incarnations of the servers whose disks were wiped, after each time, and what they had before.
    wiped: BTreeMap<NodeId, Vec<(Incarnation, Server)>>,
    servers: BTreeMap<NodeId, Server>,
    /// What servers had acknowledged before their disks lost the end of it.
    lost: Vec<(NodeId, Seen)>,
    leaders: BTreeMap<Term, NodeId>,
    /// Of each entry ever seen: what its past hashes to, and who had it first.
    pasts: BTreeMap<EntryId, (u64, NodeId)>,
    /// Each with the term in which it was first known to be committed.
    committed: Vec<(Seen, Term)>,
    votes: BTreeMap<(NodeId, Term), NodeId>,
}

fn position(index: LogIndex) -> Option<usize> {
    usize::try_from(index.get()).ok()?.checked_sub(1)
}

impl Figure3 {
    /// A group that begins with this configuration, of which nothing has been seen.
    pub fn new(first: impl Into<Configuration>) -> Self {
        Self {
            first: first.into(),
            wiped: BTreeMap::new(),
            servers: BTreeMap::new(),
            lost: Vec::new(),
            leaders: BTreeMap::new(),
            pasts: BTreeMap::new(),
            committed: Vec::new(),
            votes: BTreeMap::new(),
        }
    }

    /// The disk of a server was wiped, and it is to start again in this life of its data directory: nothing that it
    /// had or promised binds it.
    pub fn wiped(&mut self, node: NodeId, incarnation: Incarnation) {
        let before = self.servers.remove(&node).unwrap_or_default();
        self.votes.retain(|&(voter, _), _| voter != node);
        self.wiped.entry(node).or_default().push((incarnation, before));
    }

    /// The disk of a server that is down has lost the end of its log. What it had acknowledged of that it did
    /// acknowledge, and what others made of it stands.
    pub fn tail_lost(&mut self, node: NodeId) {
        let server = self.servers.entry(node).or_default();
        let durable = server.log.get(..server.upto(server.durable)).unwrap_or_default();
        self.lost.extend(durable.iter().map(|&seen| (node, seen)));
        server.durable = LogIndex::ZERO;
    }

    /// The disk of a server that is down is what it was earlier: it may have lost term and vote, too. What it then does is judged
    /// as ever, by what it said before; a second vote in a term is one too many.
    pub fn rolled_back(&mut self, node: NodeId) {
        self.tail_lost(node);
        self.server(node).durable_term = Term::new(0);
    }

    /// A server starts, or starts again, with this on its disk.
    ///
    /// # Errors
    ///
    /// Its durable term or log went back, or the log is not one that this group can have.
    pub fn started(&mut self, node: NodeId, restored: &Restored) -> Result<(), Broken> {
        let before = self.servers.remove(&node).unwrap_or_default();
        let term = restored.hard_state.current_term;
        self.servers.insert(node, Server { term, durable_term: term, ..Server::default() });
        if term < before.durable_term {
            let what = format!("starts in {term} after {} was durable", before.durable_term);
            return Err(broken(Property::Monotonic, [node], what));
        }
        if let Some(candidate) = restored.hard_state.voted_for {
            self.vote(node, term, candidate)?;
        }
        let snapshot = restored.snapshot.as_ref().map_or(EntryId::ZERO, |whole| whole.id.last_included);
        self.is_committed(node, snapshot)?;
        self.is_committed(node, restored.log.base())?;
        let log: Option<Vec<Seen>> = restored.log.ids().map(|id| self.seen(id)).collect();
        let Some(log) = log else {
            return Err(broken(
                Property::LogMatching,
                [node],
                "starts with an entry that nobody made".into(),
            ));
        };
        let server = self.server(node);
        (server.base, server.log) = (restored.log.base().index, log);
        let before_log = restored.snapshot.iter().map(|snapshot| snapshot.configured.clone());
        server.configurations = before_log.chain(restored.configurations.iter().cloned()).collect();
        server.configurations.sort_by_key(|configured| configured.at.index);
        (server.durable, server.commit) = (restored.log.last().index, snapshot.index);
        let (server, durable) = (&self.servers[&node], before.durable);
        if let Some(lost) = self.at(&before, durable).filter(|&last| self.at(server, durable) != Some(last)) {
            let what = format!("starts without {}, which was durable", lost.id);
            return Err(broken(Property::DurableBeforeAck, [node], what));
        }
        Ok(())
    }

    /// The entry at `index` of a server's log, or of what lies before it.
    fn at(&self, server: &Server, index: LogIndex) -> Option<Seen> {
        if index <= server.base {
            self.committed.get(position(index)?).map(|(seen, _)| *seen)
        } else {
            server.log.get(server.upto(index.prev())).copied()
        }
    }

    /// An entry that some server has had.
    fn seen(&self, id: EntryId) -> Option<Seen> {
        self.pasts.get(&id).map(|(past, _)| Seen { id, past: *past })
    }

    /// Whether what a server has compacted, or has from a snapshot, is what was committed.
    fn is_committed(&self, node: NodeId, id: EntryId) -> Result<(), Broken> {
        let committed = position(id.index).map(|place| self.committed.get(place).map(|(seen, _)| seen.id));
        match committed {
            Some(known) if known != Some(id) => {
                let what = format!("has a snapshot up to {id}, which is not what was committed there");
                Err(broken(Property::StateMachine, [node], what))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// One event of a server.
    ///
    /// # Errors
    ///
    /// The property that it breaks.
    pub fn observe(&mut self, node: NodeId, event: &Event) -> Result<(), Broken> {
        match event {
            Event::Role { term, to, .. } => self.role(node, *term, *to),
            Event::Appended { id, checksum } => self.append(node, *id, *checksum),
            Event::Truncated { from, last } => self.truncate(node, *from, *last),
            Event::Dropped { from, last } => self.truncate(node, from.index, *last),
            Event::Durable { term, voted_for, index } => self.durable(node, *term, *voted_for, *index),
            Event::Committed { from, to } => self.commit(node, *from, *to),
            Event::Applying { to } => self.apply(node, *to),
            Event::Restoring { snapshot } => self.apply(node, snapshot.last_included.index),
            Event::Compacted { base } => self.compact(node, *base),
            Event::Installed { snapshot, from } => self.install(node, snapshot.last_included, *from),
            Event::Configured { at, configuration } => {
                self.server(node).configure(Configured { at: *at, configuration: configuration.clone() });
                Ok(())
            }
            Event::Stopped { reason } => Err(broken(Property::SelfCheck, [node], reason.clone())),
            Event::Voted { .. }
            | Event::SteppedDown { .. }
            | Event::VoteIgnored { .. }
            | Event::TransferStarted { .. }
            | Event::TransferEnded { .. }
            | Event::TimeoutNowSent { .. }
            | Event::PreVoteGranted { .. }
            | Event::PreVoteCounted { .. }
            | Event::VoteCounted { .. }
            | Event::AppendAccepted { .. }
            | Event::AppendRejected { .. }
            | Event::MatchCounted { .. }
            | Event::SnapshotNotNeeded { .. }
            | Event::SnapshotFills { .. }
            | Event::SnapshotTaken { .. }
            | Event::SnapshotFailed { .. }
            | Event::SnapshotStarted { .. }
            | Event::ChunkSent { .. }
            | Event::ChunkReceived { .. }
            | Event::StrangerDropped { .. }
            | Event::Removed { .. }
            | Event::Damaged { .. }
            | Event::Repaired { .. }
            | Event::TailTrusted
            | Event::ReadsConfirmed { .. } => Ok(()),
        }
    }

    /// How many entries are committed.
    pub const fn committed(&self) -> usize {
        self.committed.len()
    }

    /// The leader of each term that had one.
    pub const fn leaders(&self) -> &BTreeMap<Term, NodeId> {
        &self.leaders
    }

    fn server(&mut self, node: NodeId) -> &mut Server {
        self.servers.entry(node).or_default()
    }

    fn role(&mut self, node: NodeId, term: Term, to: RoleName) -> Result<(), Broken> {
        let server = self.server(node);
        if term < server.term {
            let what = format!("goes back from {} to {term}", server.term);
            return Err(broken(Property::Monotonic, [node], what));
        }
        server.term = term;
        server.leads = to == RoleName::Leader;
        if !server.leads {
            return Ok(());
        }
        match self.leaders.insert(term, node) {
            // One that gave way does not lead the same term again.
            Some(first) if first == node => {
                let what = format!("is elected twice in {term}");
                Err(broken(Property::ElectionSafety, [node], what))
            }
            Some(first) => {
                let what = format!("both lead {term}");
                Err(broken(Property::ElectionSafety, [first, node], what))
            }
            None => self.has_all_committed(node),
        }
    }

    /// Leader Completeness, for one leader: it has all that was committed in earlier terms. A leader that
    /// wins with late votes, when a later term has committed already, need not have that.
    fn has_all_committed(&self, leader: NodeId) -> Result<(), Broken> {
        let Some(server) = self.servers.get(&leader) else { return Ok(()) };
        let earlier = self.committed.iter().rposition(|(_, term)| *term < server.term);
        let committed = &self.committed[..earlier.map_or(0, |last| last + 1)];
        let Some((last, _)) = committed.last() else { return Ok(()) };
        let has = |seen: &Seen| self.at(server, seen.id.index) == Some(*seen);
        if has(last) {
            return Ok(());
        }
        let (lost, _) = committed.iter().find(|(seen, _)| !has(seen)).unwrap_or(&committed[0]);
        let what = format!("leads {} without the committed entry {}", server.term, lost.id);
        Err(broken(Property::LeaderCompleteness, [leader], what))
    }

    fn append(&mut self, node: NodeId, id: EntryId, checksum: u32) -> Result<(), Broken> {
        let known = self.servers.get(&node);
        let last = known
            .map_or(LogIndex::ZERO, |server| server.log.last().map_or(server.base, |last| last.id.index));
        let before = known.and_then(|server| self.at(server, last)).map_or(0, |last| last.past);
        let server = self.server(node);
        let past = mix(mix(mix(before, id.term.get()), id.index.get()), u64::from(checksum));
        server.log.push(Seen { id, past });
        let (first, owner) = *self.pasts.entry(id).or_insert((past, node));
        if first == past {
            return Ok(());
        }
        Err(broken(Property::LogMatching, [owner, node], format!("have different logs up to {id}")))
    }

    fn truncate(&mut self, node: NodeId, from: LogIndex, last: EntryId) -> Result<(), Broken> {
        let server = self.server(node);
        if server.leads {
            let what = format!("truncates its log from {from} while it leads {}", server.term);
            return Err(broken(Property::LeaderAppendOnly, [node], what));
        }
        server.log.truncate(server.upto(from.prev()));
        server.durable = server.durable.min(last.index);
        server.configurations.retain(|configured| configured.at.index < from);
        Ok(())
    }

    fn durable(
        &mut self,
        node: NodeId,
        term: Term,
        voted_for: Option<NodeId>,
        index: LogIndex,
    ) -> Result<(), Broken> {
        let server = self.server(node);
        server.durable = index;
        if term < server.durable_term {
            let what = format!("makes {term} durable after {}", server.durable_term);
            return Err(broken(Property::Monotonic, [node], what));
        }
        server.durable_term = term;
        voted_for.map_or(Ok(()), |candidate| self.vote(node, term, candidate))
    }

    fn vote(&mut self, node: NodeId, term: Term, candidate: NodeId) -> Result<(), Broken> {
        let first = *self.votes.entry((node, term)).or_insert(candidate);
        if first != candidate {
            let what = format!("votes for {first} and for {candidate} in {term}");
            return Err(broken(Property::OneVote, [node], what));
        }
        Ok(())
    }

    fn commit(&mut self, node: NodeId, from: LogIndex, to: EntryId) -> Result<(), Broken> {
        let server = self.server(node);
        if from != server.commit || to.index <= from {
            let what = format!("moves its commit index from {} to {}", server.commit, to.index);
            return Err(broken(Property::Monotonic, [node], what));
        }
        server.commit = to.index;
        let term = server.term;
        let new = server.log[server.upto(from)..server.upto(to.index)].to_vec();
        for seen in new {
            match position(seen.id.index).and_then(|place| self.committed.get(place)) {
                Some((known, _)) if *known == seen => {}
                Some((known, _)) => return Err(self.committed_twice(node, known.id, seen.id)),
                None => {
                    self.committed.push((seen, term));
                    self.is_durable_on_majority(node, seen)?;
                }
            }
        }
        self.leads_now().try_for_each(|leader| self.has_all_committed(leader))
    }

    fn apply(&mut self, node: NodeId, to: LogIndex) -> Result<(), Broken> {
        let server = self.server(node);
        if to <= server.applied || to > server.commit {
            let (applied, commit) = (server.applied, server.commit);
            let what = format!("applies up to {to} after {applied}, with {commit} committed");
            return Err(broken(Property::Monotonic, [node], what));
        }
        server.applied = to;
        Ok(())
    }

    fn compact(&mut self, node: NodeId, base: EntryId) -> Result<(), Broken> {
        self.is_committed(node, base)?;
        let server = self.server(node);
        server.log.drain(..server.upto(base.index));
        server.base = base.index;
        Ok(())
    }

    /// A snapshot of what was committed stands for the whole log.
    fn install(&mut self, node: NodeId, last_included: EntryId, from: LogIndex) -> Result<(), Broken> {
        self.is_committed(node, last_included)?;
        let server = self.server(node);
        if from != server.commit || last_included.index <= from {
            let what = format!("moves its commit index from {} to {}", server.commit, last_included.index);
            return Err(broken(Property::Monotonic, [node], what));
        }
        server.log.clear();
        server.durable = server.durable.min(server.base);
        (server.base, server.commit) = (last_included.index, last_included.index);
        Ok(())
    }

    /// The server that leads the highest term that has had a leader, if it still leads it.
    fn leads_now(&self) -> impl Iterator<Item = NodeId> {
        let latest = self.leaders.last_key_value();
        latest.into_iter().filter_map(|(term, node)| {
            let server = self.servers.get(node)?;
            (server.leads && server.term == *term).then_some(*node)
        })
    }

    fn committed_twice(&self, node: NodeId, known: EntryId, other: EntryId) -> Broken {
        let has = |server: &Server| {
            server.commit >= known.index && self.at(server, known.index).is_some_and(|s| s.id == known)
        };
        let first = self.servers.iter().find(|(_, server)| has(server)).map(|(&id, _)| id);
        let what = format!("committed {known} and {other} at the same index");
        broken(Property::StateMachine, first.into_iter().chain([node]), what)
    }

    fn is_durable_on_majority(&self, node: NodeId, seen: Seen) -> Result<(), Broken> {
        let has = |voter: &Member| {
            let had = self.lost.contains(&(voter.id, seen));
            had || self
                .in_life(voter)
                .any(|server| server.durable >= seen.id.index && self.at(server, seen.id.index) == Some(seen))
        };
        let configuration = self.in_force(node);
        if configuration.is_quorum(has) {
            return Ok(());
        }
        let holders = configuration.voting().into_iter().map(Member::from).filter(has).count();
        let what = format!("commits {}, which is durable on {holders} of {configuration}", seen.id);
        Err(broken(Property::DurableBeforeAck, [node], what))
    }

    /// The configuration that a server goes by.
    fn in_force(&self, node: NodeId) -> &Configuration {
        let last = self.servers.get(&node).and_then(|server| server.configurations.last());
        last.map_or(&self.first, |last| &last.configuration)
    }

    /// The server that a configuration names, in the life of its data directory that it means: as it is, or as it was
    /// when its disk was wiped. What it has promised before, it has kept till then.
    fn in_life<'a>(&'a self, member: &'a Member) -> impl Iterator<Item = &'a Server> {
        let wiped = self.wiped.get(&member.id).map_or(&[][..], Vec::as_slice);
        let servers = wiped.iter().map(|(_, before)| before).chain(self.servers.get(&member.id));
        let is_later = |bound| wiped.iter().any(|(life, _)| *life == bound);
        servers.enumerate().filter_map(move |(life, server)| {
            let life = life.checked_sub(1).and_then(|wipes| wiped.get(wipes));
            let means = |bound| life.map_or(!is_later(bound), |(life, _)| *life == bound);
            member.incarnation.is_none_or(means).then_some(server)
        })
    }
}

fn broken(property: Property, nodes: impl IntoIterator<Item = NodeId>, what: String) -> Broken {
    Broken { property, nodes: nodes.into_iter().collect(), what }
}

/// One round of a 64-bit mixer: what went in before matters to every bit.
const fn mix(before: u64, next: u64) -> u64 {
    crate::rng::Rng::new(before ^ next.wrapping_mul(0xff51_afd7_ed55_8ccd)).next_u64()
}
