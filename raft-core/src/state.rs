//! Figure 2, box "State": what a server knows.

use crate::config::{Config, ConfigError};
use crate::disk::Disk;
use crate::effects::Violation;
use crate::entry::Entry;
use crate::event::{Event, RoleName};
use crate::log::Log;
use crate::message::Envelope;
use crate::progress::Progress;
use crate::rng::Rng;
use crate::types::{EntryId, LogIndex, NodeId, Session, Term, Time};

/// What a server keeps on stable storage beside its log (Figure 2, persistent state).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct HardState {
    /// The latest term this server has seen.
    pub current_term: Term,
    /// The candidate that got this server's vote in that term.
    pub voted_for: Option<NodeId>,
}

/// What a server finds on its disk when it starts. Of a new server: the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Term and vote.
    pub hard_state: HardState,
    /// The log, from its first entry on, without gaps.
    pub entries: Vec<Entry>,
}

/// One server of a Raft group, as a value: no clock, no disk, no network, no randomness from outside.
///
/// Inputs change memory ([`Raft::step`], [`Raft::propose`]); [`Raft::take_effects`] then says what the
/// world has to do. It cannot fail: what a peer's bytes can cause is ignored, and what only a broken
/// peer or disk can cause is a [`Violation`], after which the server is silent for ever.
#[derive(Clone, Debug)]
pub struct Raft {
    pub(crate) config: Config,

    // Persistent state on all servers; `disk` knows how much of it is durable.
    pub(crate) current_term: Term,
    pub(crate) voted_for: Option<NodeId>,
    pub(crate) log: Log,

    // Volatile state on all servers.
    pub(crate) commit_index: LogIndex,
    /// The last entry handed out to be applied.
    pub(crate) last_applied: LogIndex,
    pub(crate) role: Role,

    // What the figure leaves to the reader: time, disk, and what is to be said.
    pub(crate) now: Time,
    pub(crate) deadline: Time,
    pub(crate) rng: Rng,
    pub(crate) disk: Disk,
    /// Whether entries are being applied, so that no more are handed out.
    pub(crate) applying: bool,
    pub(crate) outbox: Vec<Envelope>,
    pub(crate) events: Vec<Event>,
    pub(crate) health: Health,
}

/// What a server is doing, with the state that only then exists (Figure 4).
#[derive(Clone, Debug)]
pub(crate) enum Role {
    /// Answers leaders and candidates.
    Follower { leader: Option<NodeId> },
    /// Collects votes in its own election; `votes` is sorted.
    Candidate { session: Session, votes: Vec<NodeId> },
    /// Replicates; volatile state on leaders, by follower, sorted.
    Leader { progress: Vec<Progress> },
}

/// Whether a server may still speak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    Sound,
    /// It contradicts the cluster, and the world has not been told yet.
    Violated(Violation),
    /// Nothing leaves it any more.
    Stopped,
}

impl Raft {
    /// A server that starts, or starts again, with what its disk holds. It begins as a follower that
    /// waits a whole election timeout from `now` on (§5.2).
    ///
    /// # Errors
    ///
    /// The configuration makes no sense, or the log on disk has a gap.
    pub fn new(config: Config, restored: Restored, now: Time) -> Result<Self, ConfigError> {
        config.check()?;
        let Restored { hard_state, entries } = restored;
        let log = Log::restored(entries).map_err(|index| ConfigError::DamagedLog { index })?;
        let mut raft = Self {
            rng: Rng::new(config.seed),
            config,
            current_term: hard_state.current_term,
            voted_for: hard_state.voted_for,
            disk: Disk::new(hard_state, log.last()),
            log,
            commit_index: LogIndex::ZERO,
            last_applied: LogIndex::ZERO,
            role: Role::Follower { leader: None },
            now,
            deadline: now,
            applying: false,
            outbox: Vec::new(),
            events: Vec::new(),
            health: Health::Sound,
        };
        raft.reset_election_timer();
        Ok(raft)
    }

    /// This server.
    pub const fn id(&self) -> NodeId {
        self.config.id
    }

    /// The latest term this server has seen; not durable yet, perhaps.
    pub const fn current_term(&self) -> Term {
        self.current_term
    }

    /// What this server is.
    pub const fn role(&self) -> RoleName {
        match self.role {
            Role::Follower { .. } => RoleName::Follower,
            Role::Candidate { .. } => RoleName::Candidate,
            Role::Leader { .. } => RoleName::Leader,
        }
    }

    /// The leader of the current term, where known.
    pub const fn leader(&self) -> Option<NodeId> {
        match self.role {
            Role::Follower { leader } => leader,
            Role::Candidate { .. } => None,
            Role::Leader { .. } => Some(self.config.id),
        }
    }

    /// The last entry that is known to be committed (§5.3).
    pub const fn commit_index(&self) -> LogIndex {
        self.commit_index
    }

    /// The last entry of the log in memory.
    pub fn last_log(&self) -> EntryId {
        self.log.last()
    }

    /// The last entry that is durable on this server.
    pub const fn durable_log(&self) -> EntryId {
        self.disk.durable().last
    }

    /// When this server wants to be told the time next, with [`Input::Tick`](crate::Input::Tick).
    /// Nothing needs to be asked before that, and any input may move it.
    pub const fn deadline(&self) -> Time {
        self.deadline
    }

    pub(crate) const fn hard_state(&self) -> HardState {
        HardState { current_term: self.current_term, voted_for: self.voted_for }
    }

    pub(crate) fn others(&self) -> Vec<NodeId> {
        self.config.voters.iter().copied().filter(|&voter| voter != self.config.id).collect()
    }

    pub(crate) fn observe(&mut self, event: impl FnOnce() -> Event) {
        if self.config.observe {
            self.events.push(event());
        }
    }

    pub(crate) fn violate(&mut self, violation: Violation) {
        if self.health == Health::Sound {
            self.observe(|| Event::Stopped { reason: violation.to_string() });
            self.health = Health::Violated(violation);
        }
    }
}
