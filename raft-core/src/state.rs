//! Figure 2, box "State": what a server knows.

use serde::{Deserialize, Serialize};

use crate::check_quorum::Heard;
use crate::config::{Config, ConfigError};
use crate::configuration::Configured;
use crate::configurations::Configurations;
use crate::counts::Counts;
use crate::disk::Disk;
use crate::effects::Violation;
use crate::event::{Event, RoleName};
use crate::lease::Lease;
use crate::log::Log;
use crate::message::Envelope;
use crate::outline::LogOutline;
use crate::planted::{planted, without_base_term};
use crate::progress::Progress;
use crate::propose::Uncommitted;
use crate::reads::Reads;
use crate::repair::Repairs;
use crate::request_vote::Vote;
use crate::rng::Rng;
use crate::rules::COUNTED_MAX;
use crate::snapshot::{Loads, Snapshot};
use crate::snapshotting::Snapshots;
use crate::transfer::Transfer;
use crate::types::{ClusterId, EntryId, Incarnation, LogIndex, NodeId, Session, Term, Time};

/// What a server keeps on stable storage beside its log (Figure 2, persistent state).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HardState {
    /// The latest term this server has seen.
    pub current_term: Term,
    /// The candidate that got this server's vote in that term.
    pub voted_for: Option<NodeId>,
}

/// What a server finds on its disk when it starts. Of a new server: the default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// The cluster that the rest is of; none where nobody said so. In another one the server does not start.
    pub cluster: Option<ClusterId>,
    /// Term and vote.
    pub hard_state: HardState,
    /// The last whole snapshot, if there is one.
    pub snapshot: Option<Snapshot>,
    /// The beginning of another one, if there is one.
    pub partial: Option<Partial>,
    /// The ids of the entries of the log. Their payloads are read when they are needed.
    pub log: LogOutline,
    /// The configurations of the entries of the log that have one ([`Payload::Configuration`]), in order: not all
    /// of those that the snapshot stands for, perhaps.
    ///
    /// [`Payload::Configuration`]: crate::Payload::Configuration
    pub configurations: Vec<Configured>,
    /// Entries of the log that are known to be damaged, in order. Others may turn out to be when they are read
    /// ([`Loaded::Damaged`](crate::Loaded::Damaged)).
    pub damaged: Vec<LogIndex>,
    /// Whether the log may have had more entries at its end, which this server acknowledged: the last write before an
    /// unclean stop is torn or does not check, and nobody can tell the one from the other. Term and vote are
    /// certain all the same.
    pub suspect_tail: bool,
}

impl Restored {
    /// Whether a server of `cluster` can have written all of it.
    fn check(&self, cluster: ClusterId) -> Result<(), ConfigError> {
        if let Some(stored) = self.cluster.filter(|stored| *stored != cluster) {
            return Err(ConfigError::OtherCluster { stored, configured: cluster });
        }
        let (term, base, last) = (self.hard_state.current_term, self.log.base(), self.log.last());
        let last_included = self.snapshot.as_ref().map_or(EntryId::ZERO, |whole| whole.id.last_included);
        if base.index > last_included.index {
            return Err(ConfigError::NoSnapshot { index: base.index });
        }
        if !self.log.contains(last_included) {
            return Err(ConfigError::SnapshotNotInLog { last_included, last });
        }
        if term < last.term {
            return Err(ConfigError::TermBehind { term, last });
        }
        if term.get() > COUNTED_MAX || last.index.get() > COUNTED_MAX {
            return Err(ConfigError::BeyondCounting { term, last });
        }
        let sound = |configured: &&Configured| {
            self.log.contains(configured.at) && configured.configuration.check().is_ok()
        };
        let follows = |pair: &[Configured]| pair[0].at.index < pair[1].at.index;
        let disorder = self.configurations.windows(2).find(|pair| !follows(pair)).map(|pair| &pair[1]);
        match self.configurations.iter().find(|configured| !sound(configured)).or(disorder) {
            Some(configured) => Err(ConfigError::Configuration { at: configured.at }),
            None => Ok(()),
        }
    }
}

/// The beginning of a snapshot: pieces without gaps from its first one on, but not all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partial {
    /// Of which snapshot.
    pub snapshot: Snapshot,
    /// Where the next piece begins.
    pub bytes: u64,
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
    /// What the log says of who votes, as far as it may be needed again.
    pub(crate) configurations: Configurations,

    // Volatile state on all servers.
    pub(crate) commit_index: LogIndex,
    /// The last entry handed out to be applied.
    pub(crate) last_applied: LogIndex,
    pub(crate) role: Role,
    /// The life of the data directory of whom this server has voted for, unless it has started again since: the same
    /// server in another one is another candidate.
    pub(crate) voted_incarnation: Option<Incarnation>,
    /// The entry with which this server was removed, as another one says.
    pub(crate) told_removed: Option<EntryId>,

    // What the figure leaves to the reader: time, disk, and what is to be said.
    pub(crate) now: Time,
    /// When the election timeout elapses or the next heartbeat is due.
    pub(crate) timer: Time,
    /// When this server last followed a leader, or started.
    pub(crate) followed: Time,
    pub(crate) rng: Rng,
    pub(crate) disk: Disk,
    /// The cluster, until the disk is given it.
    pub(crate) ungiven_cluster: Option<ClusterId>,
    /// Whether the state machine is busy, so that no more work is handed out.
    pub(crate) applying: bool,
    pub(crate) snapshots: Snapshots,
    pub(crate) loads: Loads,
    pub(crate) reads: Reads,
    /// What the disk no longer has.
    pub(crate) repairs: Repairs,
    pub(crate) outbox: Vec<Envelope>,
    pub(crate) events: Vec<Event>,
    pub(crate) counts: Counts,
    /// Whether its last election was a leader's wish; for the counts alone.
    pub(crate) handed_over: bool,
    pub(crate) health: Health,
}

/// Who has sent a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sender {
    pub(crate) id: NodeId,
    pub(crate) incarnation: Incarnation,
}

/// What a server is doing, with the state that only then exists (Figure 4).
#[derive(Clone, Debug)]
pub(crate) enum Role {
    /// Answers leaders and candidates.
    Follower { leader: Option<Heard> },
    /// Asks whether an election would be won; `votes` is sorted.
    PreCandidate { session: Session, votes: Vec<Vote> },
    /// Collects votes in its own election; `votes` is sorted.
    Candidate { session: Session, votes: Vec<Vote> },
    /// Replicates; volatile state on leaders, by follower, sorted.
    Leader {
        progress: Vec<Progress>,
        transfer: Option<Transfer>,
        uncommitted: Uncommitted,
        lease: Lease,
        /// So long at least a majority has been heard lately enough, whoever is heard meanwhile. Time 0 asks for a
        /// closer look, as is due where somebody else votes now.
        sits_until: Time,
    },
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
    /// The configuration makes no sense, or something is missing between snapshot and log.
    pub fn new(config: Config, restored: Restored, now: Time) -> Result<Self, ConfigError> {
        config.check()?;
        restored.check(config.cluster)?;
        let Restored { cluster, hard_state, snapshot, partial, log, configurations, damaged, suspect_tail } =
            restored;
        // The last one that is committed for certain.
        let first = match &snapshot {
            Some(snapshot) => snapshot.configured.clone(),
            None => config.bootstrap.clone().unwrap_or_default().into(),
        };
        let configurations = Configurations::restored(first, configurations);
        let snapshot_index = snapshot.as_ref().map_or(LogIndex::ZERO, Snapshot::index);
        let log = Log::restored(log);
        let mut raft = Self {
            rng: Rng::new(config.seed),
            current_term: hard_state.current_term,
            voted_for: hard_state.voted_for,
            disk: Disk::new(config.owner(), hard_state, log.last()),
            ungiven_cluster: cluster.is_none().then_some(config.cluster),
            config,
            log,
            configurations,
            // What a snapshot stands for is committed.
            commit_index: snapshot_index,
            last_applied: LogIndex::ZERO,
            role: Role::Follower { leader: None },
            voted_incarnation: None,
            told_removed: None,
            now,
            timer: now,
            followed: now,
            applying: false,
            snapshots: Snapshots::restored(snapshot, partial),
            loads: Loads::default(),
            reads: Reads::default(),
            repairs: Repairs::default(),
            outbox: Vec::new(),
            events: Vec::new(),
            counts: Counts::default(),
            handed_over: false,
            health: Health::Sound,
        };
        if planted!(raft, LastIncludedTermForgotten) {
            raft.log = Log::restored(without_base_term(raft.log.outline()));
        }
        if planted!(raft, RestartForgetsConfiguration) {
            raft.configurations.truncate(LogIndex::ZERO);
        }
        let suspect = suspect_tail.then(|| Session(raft.rng.next_u64()));
        raft.repairs = Repairs::restored(raft.current_term, suspect);
        raft.found_damaged(damaged);
        raft.reset_election_timer();
        if planted!(raft, RestartWaitsLong) && raft.current_term > Term::default() {
            raft.timer = now.after(raft.config.election_timeout.1 * 100);
        }
        Ok(raft)
    }

    /// What it was told when it was made.
    pub const fn config(&self) -> &Config {
        &self.config
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
            Role::PreCandidate { .. } => RoleName::PreCandidate,
            Role::Candidate { .. } => RoleName::Candidate,
            Role::Leader { .. } => RoleName::Leader,
        }
    }

    /// The leader of the current term, where known.
    pub const fn leader(&self) -> Option<NodeId> {
        match self.role {
            Role::Follower { leader: Some(heard) } => Some(heard.leader),
            Role::Follower { leader: None } => None,
            Role::PreCandidate { .. } | Role::Candidate { .. } => None,
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

    /// The ids of all entries of the log in memory.
    pub const fn log_outline(&self) -> &LogOutline {
        self.log.outline()
    }

    /// The last entry that is durable on this server.
    pub const fn durable_log(&self) -> EntryId {
        self.disk.durable().last
    }

    /// When this server wants to be told the time next, with [`Input::Tick`](crate::Input::Tick).
    /// Nothing needs to be asked before that, and any input may move it.
    pub fn deadline(&self) -> Time {
        let steps_down_at = self.steps_down_at().map(|(at, _)| at);
        let transfer_ends_at = self.transfer().map(|transfer| transfer.until);
        let asks_at = self.reads.deadline(&self.config);
        [steps_down_at, transfer_ends_at, asks_at, self.repairs.deadline()]
            .into_iter()
            .flatten()
            .fold(self.timer, Time::min)
    }

    /// The last entry that a whole snapshot of this server stands for (§7); 0 if there is none.
    pub fn snapshot_index(&self) -> LogIndex {
        self.snapshots.last_included().index
    }

    pub(crate) const fn hard_state(&self) -> HardState {
        HardState { current_term: self.current_term, voted_for: self.voted_for }
    }

    /// A follower has answered: what this leader knows of it; none if the two are not in this conversation.
    ///
    /// One that answers from another life of its data directory has nothing of what it had.
    pub(crate) fn hear(&mut self, from: Sender, session: Session) -> Option<&mut Progress> {
        let (now, next_index) = (self.now, self.log.last().index);
        let longest = self.config.election_timeout.1;
        let Role::Leader { progress, sits_until, .. } = &mut self.role else { return None };
        let place = progress.binary_search_by_key(&from.id, |peer| peer.follower).ok()?;
        let peer = progress.get_mut(place)?;
        if peer.session != session && !planted!(self, ReplyOfOldTerm) {
            return None;
        }
        if now.since(peer.heard) > longest {
            // It was away. What it was sent meanwhile is lost, and not on its way.
            peer.ask_again();
        }
        peer.heard = now;
        if peer.incarnation != Some(from.incarnation) && !planted!(self, AnyLifeCounts) {
            let configuration = &self.configurations.latest().configuration;
            *sits_until = Time::ZERO;
            if peer.incarnation.is_some() {
                let session = Session(self.rng.next_u64());
                *peer = Progress::new(from.id, session, next_index, now);
            }
            peer.incarnation = Some(from.incarnation);
            peer.votes = configuration.votes(from.id, peer.incarnation);
            if peer.session != session && !planted!(self, ReplyOfOldTerm) {
                return None;
            }
        }
        Some(peer)
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
