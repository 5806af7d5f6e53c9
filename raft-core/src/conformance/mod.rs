//! The specification: the actions of Diego Ongaro's `raft.tla` (2014, CC BY 4.0) and of our extensions, which
//! allow or refuse every step that [`Event`]s tell of.
//!
//! | action | a server may | if |
//! | --- | --- | --- |
//! | Restart | start again | with term, vote and log that it had, all that was durable among it |
//! | Timeout | be a candidate of the next term | it does not lead; after a pre-vote: if that was won, or a leader said TimeoutNow |
//! | UpdateTerm | follow into a higher term | another server has said that term |
//! | HandleRequestVoteRequest | vote | it was asked, has not voted otherwise, and has no better log |
//! | HandleRequestVoteResponse | count a vote | the voter has said it, and it was not counted |
//! | BecomeLeader | lead | it is a candidate with the votes of a quorum |
//! | ClientRequest | append an entry of its own | it leads, hands leadership to nobody, and was not removed |
//! | HandleAppendEntriesRequest | follow; append, remove, accept, reject, commit | the leader of its term has such a log |
//! | HandleAppendEntriesResponse | count an acknowledgement | the follower has said it |
//! | AdvanceCommitIndex | commit | it leads, and a quorum agrees on an entry of its term |
//! | *PreVote, HandlePreVoteRequest, HandlePreVoteResponse* | ask, grant and count pre-votes (thesis 9.6) | as with votes, but nothing is kept |
//! | *StepDown* | lead no longer (thesis 6.2) | it leads |
//! | *ReadIndex* | let reads see what is committed up to there (thesis 6.4) | it leads, and has committed it, of its own term |
//! | *TransferLeadership, TimeoutNow* | hand over leadership (thesis 3.10) | it leads; whom it tells has its whole log |
//! | *ChangeMembership* | append a configuration (§6), which is in force with that | it leads, has committed the last one and something of its term, and takes one step: announce; joint consensus, when those who are to vote have caught up; the new one |
//! | *Repair* | know that its disk has lost entries, have them again, or drop one that others lack | until then it gives no vote and acknowledges nothing from there on; it drops nothing that is committed |
//! | *Persist* | know what is durable | it is what it has in memory |
//! | *Apply* | apply | it is committed, and comes next |
//! | *TakeSnapshot, SendSnapshot* | let a snapshot stand for its log (§7) | for what is committed |
//! | *HandleInstallSnapshotRequest* | become what a snapshot says | the leader of its term has sent it, and it is needed |
//!
//! Those of the extensions are in italics. Messages may be lost and repeated at any time (DropMessage,
//! DuplicateMessage). What a leader sends to whom, and in what order, makes no difference: all of its log and its
//! commit index count as said, and so nextIndex is not here. Two things are stricter than in `raft.tla`: what is
//! said of term, vote and log has to be durable, and so has the leader's own part in a quorum.
//!
//! No step of a server is judged by what another one has in memory, but by what that one is known to have
//! said. No rule here is shared with the core, only the names of things. A step costs a few look-ups, and one
//! more for each term between the end of a log and the place in it that is looked at.

mod elections;
mod extensions;
mod history;
mod membership;
mod persistence;
mod refused;
mod repair;
mod replication;
mod said;

use std::collections::{BTreeMap, BTreeSet};

pub use refused::{Action, Refused};

use crate::configuration::Configuration;
use crate::event::{Event, RoleName};
use crate::snapshot::SnapshotId;
use crate::state::Restored;
use crate::types::{EntryId, Incarnation, LogIndex, NodeId, Term};
use history::History;
use said::{Said, Who};

/// A group of servers as the specification has it. Feed it each server's events in the order in which they
/// happened, and between servers so that a message's cause comes before its effect.
///
/// What is refused is not done, so that later steps may be refused for no other reason: the first one counts.
#[derive(Clone, Debug)]
pub struct Specification {
    /// What the group begins with.
    first: Configuration,
    /// The incarnations of the servers whose disks were wiped, after each time.
    lives: BTreeMap<NodeId, Vec<Incarnation>>,
    servers: BTreeMap<NodeId, Server>,
    history: History,
    said: Said,
}

/// The variables of one server.
#[derive(Clone, Debug)]
struct Server {
    current_term: Term,
    /// A pre-candidate is one of the specification's followers.
    state: RoleName,
    voted_for: Option<NodeId>,
    /// The last entry; what is before it, the history tells.
    log: EntryId,
    commit_index: LogIndex,
    /// Of a pre-candidate: the pre-votes.
    votes_granted: BTreeSet<Who>,
    match_index: BTreeMap<Who, LogIndex>,

    // Extensions.
    /// The leader of the term that it follows.
    leader: Option<NodeId>,
    /// How far its log is known to agree with that leader's.
    accepted: LogIndex,
    durable_term: Term,
    durable_index: LogIndex,
    /// What it decided in terms that it has left, and may not have said yet.
    left: Vec<Left>,
    applied: LogIndex,
    /// The last entry that was applied in any life: a state machine may keep what it has applied.
    applied_ever: EntryId,
    /// The entries that its disk has lost.
    damaged: BTreeSet<EntryId>,
    /// Whether its log may have been longer: then its votes count where all vote.
    suspect: bool,
    /// The last term whose vote it may not know any more.
    forgotten: Term,
    /// To whom it hands over leadership.
    transfer: Option<NodeId>,
    /// Those that it has taken or received in any life.
    snapshots: BTreeSet<SnapshotId>,
}

/// What a server has decided in a term that it has left. Once a later term is on its disk no crash brings it
/// back to before that, and it may say so.
#[derive(Clone, Copy, Debug)]
struct Left {
    term: Term,
    voted_for: Option<NodeId>,
    accepted: LogIndex,
}

impl Server {
    /// Init, of one server.
    const fn init() -> Self {
        Self {
            current_term: Term::new(0),
            state: RoleName::Follower,
            voted_for: None,
            log: EntryId::ZERO,
            commit_index: LogIndex::ZERO,
            votes_granted: BTreeSet::new(),
            match_index: BTreeMap::new(),
            leader: None,
            accepted: LogIndex::ZERO,
            durable_term: Term::new(0),
            durable_index: LogIndex::ZERO,
            left: Vec::new(),
            applied: LogIndex::ZERO,
            applied_ever: EntryId::ZERO,
            damaged: BTreeSet::new(),
            suspect: false,
            forgotten: Term::new(0),
            transfer: None,
            snapshots: BTreeSet::new(),
        }
    }
}

/// One step of one server, and all that it may be judged by.
struct Step<'a> {
    node: NodeId,
    /// What the step claims to be.
    action: Action,
    server: &'a mut Server,
    first: &'a Configuration,
    lives: &'a BTreeMap<NodeId, Vec<Incarnation>>,
    history: &'a mut History,
    said: &'a mut Said,
}

/// Whether a step is allowed; if it is, it has been taken.
type Judged = Result<(), Refused>;

impl Specification {
    /// Init: a group that begins with this configuration, none of whose servers has done anything.
    pub fn new(first: impl Into<Configuration>) -> Self {
        let first = first.into();
        let servers = first.members().into_iter().map(|member| (member, Server::init())).collect();
        let (lives, history, said) = (BTreeMap::new(), History::default(), Said::default());
        Self { first, lives, servers, history, said }
    }

    /// The disk of a server was wiped, and it is to start again in this life of its data directory, with nothing.
    pub fn wiped(&mut self, node: NodeId, incarnation: Incarnation) {
        self.lives.entry(node).or_default().push(incarnation);
        self.servers.insert(node, Server::init());
    }

    /// The disk of a server that is down has lost the end of its log, of which it may have acknowledged some.
    pub fn tail_lost(&mut self, node: NodeId) {
        if let Some(server) = self.servers.get_mut(&node) {
            server.durable_index = LogIndex::ZERO;
        }
    }

    /// The disk of a server that is down is what it was earlier, as no crash makes it. It may not know of votes that it gave
    /// until now, and no other may take their places.
    pub fn rolled_back(&mut self, node: NodeId) {
        self.tail_lost(node);
        if let Some(server) = self.servers.get_mut(&node) {
            server.forgotten = server.current_term.max(server.forgotten);
            server.durable_term = Term::new(0);
        }
    }

    /// A server starts, or starts again, with this on its disk.
    ///
    /// # Errors
    ///
    /// No crash leaves a disk like that.
    pub fn started(&mut self, node: NodeId, restored: &Restored) -> Result<(), Refused> {
        self.servers.entry(node).or_insert(Server::init());
        self.step(node)?.restart(restored)
    }

    /// One event of a server.
    ///
    /// # Errors
    ///
    /// The specification does not allow the step that it tells of.
    pub fn observe(&mut self, node: NodeId, event: &Event) -> Result<(), Refused> {
        let mut step = self.step(node)?;
        match event {
            Event::Role { term, to, leader, .. } => step.role(*term, *to, *leader),
            Event::Voted { term, candidate } => step.vote(*term, *candidate),
            Event::VoteCounted { term, voter } => step.count_vote(*term, *voter),
            Event::PreVoteGranted { term, candidate } => step.grant_pre_vote(*term, *candidate),
            Event::PreVoteCounted { term, voter } => step.count_pre_vote(*term, *voter),
            Event::Appended { id, checksum } => step.append(*id, *checksum),
            Event::Truncated { from, last } => step.remove_conflict(*from, *last),
            Event::AppendAccepted { leader, match_index } => step.accept(*leader, *match_index),
            Event::AppendRejected { leader, term, refused } => step.reject(*leader, *term, *refused),
            Event::MatchCounted { follower, match_index } => step.count_match(*follower, *match_index),
            Event::Committed { from, to } => step.commit(*from, *to),
            Event::Durable { term, voted_for, index } => step.persist(*term, *voted_for, *index),
            Event::Applying { to } => step.apply(*to),
            Event::Restoring { snapshot } => step.apply(snapshot.last_included.index),
            Event::SnapshotTaken { snapshot, .. } => step.take_snapshot(*snapshot),
            Event::Compacted { base } => step.compact(*base),
            Event::ChunkSent { follower, snapshot, offset } => {
                step.send_snapshot(*follower, *snapshot, *offset)
            }
            Event::ChunkReceived { leader, snapshot, offset } => {
                step.receive_snapshot(*leader, *snapshot, *offset)
            }
            Event::SnapshotNotNeeded { leader, snapshot } => step.keep_log(*leader, *snapshot),
            Event::SnapshotFills { leader, snapshot } => step.fill(*leader, *snapshot),
            Event::Installed { snapshot, from } => step.install(*snapshot, *from),
            Event::SteppedDown { term, .. } => step.step_down(*term),
            Event::TransferStarted { to } => step.start_transfer(*to),
            Event::TimeoutNowSent { to } => step.tell_to_time_out(*to),
            Event::TransferEnded { to, leads } => step.end_transfer(*to, *leads),
            Event::ReadsConfirmed { read_index, .. } => step.confirm_reads(*read_index),
            Event::Configured { at, configuration } => step.configure(*at, configuration),
            Event::Damaged { id } => step.lose(*id),
            Event::Repaired { id } => step.repair(*id),
            Event::Dropped { from, last } => step.drop_lost(*from, *last),
            Event::TailTrusted => step.trust_tail(),
            Event::Stopped { reason } => step.stop(reason),
            // DropMessage, and what changes nothing.
            Event::VoteIgnored { .. }
            | Event::StrangerDropped { .. }
            | Event::Removed { .. }
            | Event::SnapshotStarted { .. }
            | Event::SnapshotFailed { .. } => Ok(()),
        }
    }

    fn step(&mut self, node: NodeId) -> Result<Step<'_>, Refused> {
        let Self { first, lives, servers, history, said } = self;
        let action = Action::Restart;
        match servers.get_mut(&node) {
            Some(server) => Ok(Step { node, action, server, first, lives, history, said }),
            None => Err(Refused { node, action, what: "is no server of this group".into() }),
        }
    }
}

impl Step<'_> {
    /// Refuses the step unless this holds.
    fn needs(&self, holds: bool, else_it: impl FnOnce() -> String) -> Judged {
        let Self { node, action, .. } = *self;
        if holds { Ok(()) } else { Err(Refused { node, action, what: else_it() }) }
    }

    fn is_a(&self, state: RoleName) -> bool {
        self.server.state == state
    }

    /// The server in the life of its data directory that it is in now.
    fn who(&self) -> Who {
        Who { node: self.node, life: self.lives.get(&self.node).map_or(0, Vec::len) }
    }

    fn needs_leader(&self) -> Judged {
        self.needs(self.is_a(RoleName::Leader), || format!("does so as a {}", self.server.state))
    }

    /// A server that follows this leader in its term.
    fn needs_follower_of(&self, leader: NodeId) -> Judged {
        let follows = self.is_a(RoleName::Follower) && self.server.leader == Some(leader);
        let what =
            || format!("listens to {leader}, which it does not follow in {}", self.server.current_term);
        self.needs(follows, what)
    }

    /// A server that has this entry.
    fn needs_entry(&self, id: EntryId) -> Judged {
        let has = self.history.contains(self.server.log, id);
        self.needs(has, || format!("speaks of {id}, which is not in its log up to {}", self.server.log))
    }
}
