//! The servers as the world sees them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use raft_core::{EntryId, Event, Incarnation, LogIndex, NodeId, Restored, RoleName, Term, Time};
use tokio::sync::Notify;

use super::membership::Membership;
use crate::plan::{Quantity, View};

/// One server as the world sees it.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(super) running: bool,
    pub(crate) paused: u32,
    /// How often it had something to do and was paused.
    pub(super) held: u64,
    pub(super) term: Term,
    /// The highest that it was ever in, whatever its disk has lost since.
    pub(super) highest_term: Term,
    pub(super) role: RoleName,
    pub(super) leads_since: Time,
    /// Which of its lives this is, from 1.
    pub(crate) life: u64,
    /// The life of its data directory that it was last seen in.
    pub(super) incarnation: Option<Incarnation>,
    /// The lives in which it said which versions of the conversation it speaks, and those.
    pub(super) spoke: Vec<(u64, String)>,
    /// The lives that ended with a shutdown in order.
    pub(super) shut_down: Vec<u64>,
    /// The last entry that its snapshot stands for.
    pub(super) snapshot: LogIndex,
    /// What its log has.
    pub(super) log: Log,
    /// The last entry that it knew to be committed, in any of its lives.
    pub(super) commit: LogIndex,
    /// How many faults its disk has now.
    pub(super) disk_faults: u32,
    /// Its clock is off by more than is allowed where progress is owed.
    pub(super) clock_is_off: bool,
    /// How often the plan keeps clients from reaching it, and how often one wanted to.
    pub(super) shut: u32,
    pub(super) turned_away: u64,
    /// The plan has damaged its disk.
    pub(crate) damaged: bool,
    /// A bit of its log was flipped while it was down, and it has not started since.
    pub(crate) flipped: bool,
    /// It ended over what the plan did to its disk, and has not started since.
    pub(super) gave_out: bool,
    /// What it has to get over since it lost something.
    pub(super) lacks: Lack,
    /// Asks this life to shut down.
    pub(crate) stop: Arc<Notify>,
    /// Asks this life to take a snapshot.
    pub(crate) take_snapshot: Arc<Notify>,
    /// Tells this life that it is asked for something.
    pub(crate) asked: Arc<Notify>,
}

/// What is known of a server's log, in the life that it is in.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Log {
    pub(super) last: EntryId,
    /// What is at or before it is in a snapshot only.
    base: LogIndex,
    durable: LogIndex,
    committed: LogIndex,
    applied: LogIndex,
}

impl Log {
    /// A server has found this on its disk.
    pub(super) fn found(restored: &Restored) -> Self {
        let (last, base) = (restored.log.last(), restored.log.base().index);
        Self { last, base, durable: last.index, committed: base, applied: base }
    }

    pub(super) fn observe(&mut self, event: &Event) {
        if let Event::Appended { id, .. } = event {
            self.last = *id;
        }
        if let Event::Truncated { last, .. } = event {
            self.last = *last;
            self.durable = self.durable.min(last.index);
        }
        if let Event::Durable { index, .. } = event {
            self.durable = *index;
        }
        if let Event::Committed { to, .. } = event {
            self.committed = to.index;
        }
        if let Event::Applying { to } = event {
            self.applied = *to;
        }
        if let Event::Restoring { snapshot } = event {
            self.applied = snapshot.last_included.index;
        }
        if let Event::Compacted { base } = event {
            self.base = base.index;
        }
        if let Event::Installed { snapshot, .. } = event {
            self.last = snapshot.last_included;
            (self.base, self.committed) = (self.last.index, self.last.index);
        }
    }
}

impl Server {
    /// It has this term and this role now.
    pub(super) fn is_in(&mut self, term: Term, role: RoleName) {
        (self.term, self.role) = (term, role);
        self.highest_term = self.highest_term.max(term);
    }

    /// How much there is of this about its log, where the leader's ends there.
    pub(super) const fn count(&self, quantity: Quantity, leaders_last: LogIndex) -> u64 {
        let Log { last, base, durable, committed, applied } = self.log;
        let last = last.index.get();
        match quantity {
            Quantity::Uncommitted => last.saturating_sub(committed.get()),
            Quantity::Unapplied => committed.get().saturating_sub(applied.get()),
            Quantity::Unsynced => last.saturating_sub(durable.get()),
            Quantity::Lag => leaders_last.get().saturating_sub(last),
            Quantity::Log => last.saturating_sub(base.get()),
            Quantity::Snapshot => self.snapshot.get(),
        }
    }
}

/// What a server has not got over since its disk was damaged, or may have been.
#[derive(Clone, Debug, Default)]
pub(super) struct Lack {
    /// The last entry that was committed when its disk was damaged, until it has applied that.
    pub(super) until: Option<LogIndex>,
    /// The entries of its log that it knows to be lost.
    pub(super) entries: BTreeSet<LogIndex>,
    /// It knows that its log may have been longer, and has not caught up since.
    pub(super) suspect: bool,
}

impl Lack {
    /// Something happened on the server.
    pub(super) fn observe(&mut self, event: &Event) {
        let mut reached = LogIndex::ZERO;
        if let Event::Applying { to } = event {
            reached = *to;
        }
        if let Event::Restoring { snapshot } = event {
            reached = snapshot.last_included.index;
        }
        self.until = self.until.filter(|until| *until > reached);
        if let Event::Damaged { id } = event {
            self.entries.insert(id.index);
        }
        if let Event::Repaired { id } = event {
            self.entries.remove(&id.index);
        }
        if let Event::Truncated { last, .. } | Event::Dropped { last, .. } = event {
            self.entries.retain(|index| *index <= last.index);
        }
        if let Event::Compacted { base } = event {
            self.entries.retain(|index| *index > base.index);
        }
        if let Event::Installed { .. } = event {
            self.entries.clear();
        }
        if let Event::TailTrusted = event {
            self.suspect = false;
        }
    }

    /// Whether it lacks nothing, but for what the end of its log may have had.
    pub(super) fn is_end_at_most(&self) -> bool {
        self.until.is_none() && self.entries.is_empty()
    }

    /// Whether it lacks nothing.
    pub(super) fn is_none(&self) -> bool {
        self.is_end_at_most() && !self.suspect
    }
}

impl Server {
    /// One that has not started yet.
    pub(super) fn new() -> Self {
        Self {
            running: false,
            paused: 0,
            held: 0,
            term: Term::default(),
            highest_term: Term::default(),
            role: RoleName::Follower,
            leads_since: Time::ZERO,
            life: 0,
            incarnation: None,
            spoke: Vec::new(),
            shut_down: Vec::new(),
            snapshot: LogIndex::ZERO,
            log: Log::default(),
            commit: LogIndex::ZERO,
            disk_faults: 0,
            clock_is_off: false,
            shut: 0,
            turned_away: 0,
            damaged: false,
            flipped: false,
            gave_out: false,
            lacks: Lack::default(),
            stop: Arc::new(Notify::new()),
            take_snapshot: Arc::new(Notify::new()),
            asked: Arc::new(Notify::new()),
        }
    }
}

/// The cluster as targets see it. Roles are those of members of the configuration that the leader goes by; without a
/// leader, of the one that was committed last.
pub(super) fn view(nodes: &BTreeMap<NodeId, Server>, membership: &Membership) -> View {
    let running = || nodes.iter().filter(|(_, server)| server.running);
    let of = |role| running().filter(move |(_, server)| server.role == role);
    let ids = |role| of(role).map(|(&id, _)| id).collect::<Vec<_>>();
    let leader = of(RoleName::Leader).max_by_key(|(_, server)| server.term);
    let configured = leader.and_then(|(&id, _)| membership.in_force(id)).cloned();
    let configuration = configured.unwrap_or_else(|| membership.last_committed()).configuration;
    let (voters, members) = (configuration.voting(), configuration.members());
    let votes = |id: &NodeId| voters.contains(id);
    let longest = |id: &&NodeId| (nodes.get(id).map(|server| server.log.last), std::cmp::Reverse(**id));
    let running_ids: Vec<_> = running().map(|(&id, _)| id).collect();
    let stale = |id: &NodeId| Some(*id) != leader.map(|(&id, _)| id);
    View {
        nodes: nodes.keys().copied().collect(),
        longest_log: running_ids.iter().filter(|id| votes(id)).max_by_key(longest).copied(),
        running: running_ids.iter().copied().filter(votes).collect(),
        learners: running_ids.iter().copied().filter(|id| members.contains(id) && !votes(id)).collect(),
        spares: running_ids.iter().copied().filter(|id| !members.contains(id)).collect(),
        leader: leader.map(|(&id, _)| id),
        stale_leaders: ids(RoleName::Leader).into_iter().filter(stale).collect(),
        followers: ids(RoleName::Follower).into_iter().filter(votes).collect(),
        candidates: [ids(RoleName::PreCandidate), ids(RoleName::Candidate)].concat(),
        trigger: None,
        voters,
        acted_on: BTreeMap::new(),
    }
}
