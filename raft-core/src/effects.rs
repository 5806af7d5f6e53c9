//! What a server asks the world to do, as a value.

use crate::entries::Entries;
use crate::entry::Entry;
use crate::event::Event;
use crate::message::Envelope;
use crate::snapshot::{Load, Part, Snapshot};
use crate::state::HardState;
use crate::types::{ClusterId, EntryId, GroupId, LogIndex, NodeId, ReadId, Term};

/// What has to be done now, and must not be forgotten:
///
/// ```compile_fail
/// #![deny(unused_must_use)]
/// # let id = raft_core::NodeId::new(1);
/// # let (config, now) = (raft_core::Config::new(id, vec![id]), raft_core::Time::ZERO);
/// # let mut raft = raft_core::Raft::new(config, Default::default(), now).unwrap();
/// raft.take_effects(); // error: unused `Effects` that must be used
/// ```
///
/// Nothing in it waits for anything else in it: what must wait for the disk
/// is held back inside the core until [`Input::Persisted`](crate::Input::Persisted) has come, so
/// `write` and `send` may be carried out at the same time and in any order.
#[derive(Debug, Default)]
#[must_use = "what a server asks for has to be carried out"]
pub struct Effects {
    /// To be made durable, all of it or nothing. Writes are carried out in the order they are given.
    pub write: Option<Write>,
    /// To be sent. May be lost, repeated and reordered on the way.
    pub send: Vec<Envelope>,
    /// To be applied to the state machine, in this order; then
    /// [`Input::Applied`](crate::Input::Applied) asks for more. Whoever applies an entry makes sure right before that
    /// it is what its leader made ([`Entry::is_intact`](crate::Entry::is_intact)), and stops if it is not: it may have
    /// been damaged in memory, and the last moment to notice is then.
    pub apply: Entries,
    /// The state machine is to become what this snapshot says (§7), then
    /// [`Input::Applied`](crate::Input::Applied). It is whole and durable in the log store. Never
    /// together with `apply`.
    pub restore: Option<Snapshot>,
    /// The state machine as it is now is to become this snapshot (§7): its bytes come back bit by bit as
    /// [`Input::SnapshotTaken`](crate::Input::SnapshotTaken) or not at all, as
    /// [`Input::SnapshotFailed`](crate::Input::SnapshotFailed). As soon as the state machine may go on
    /// changing without changing the snapshot, [`Input::Applied`](crate::Input::Applied). Never together
    /// with `apply` or `restore`.
    pub take_snapshot: Option<Snapshot>,
    /// To be read from the log store, after the writes that were given before, and given back by
    /// [`Input::Loaded`](crate::Input::Loaded).
    pub load: Vec<Load>,
    /// What became of reads ([`Input::Read`](crate::Input::Read)), each told once.
    pub reads: Vec<Read>,
    /// What happened, for observers. Empty unless [`Config::observe`](crate::Config::observe) is set.
    pub events: Vec<Event>,
    /// A contradiction that only a broken server or disk can cause. The node must stop.
    pub violation: Option<Violation>,
}

/// What became of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "whoever asked waits for it"]
pub struct Read {
    /// Which.
    pub id: ReadId,
    /// What.
    pub outcome: ReadOutcome,
}

/// The two ends of a read: there is no third, as a read that was not answered has changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReadOutcome {
    /// To be answered by the state machine, when what it was given by these effects ([`Effects::apply`],
    /// [`Effects::restore`]) and earlier ones is done. Later does no harm. The answer has all that was committed
    /// when the read came in, and so all that any client had been told of.
    Ready {
        /// The state is at least as new as this.
        read_index: LogIndex,
    },
    /// Not to be answered: nobody has confirmed that the leader led. It may be asked again.
    NotLeader {
        /// Who leads, where known.
        leader: Option<NodeId>,
    },
}

/// One atomic write, and the token that says so when it is durable.
#[derive(Debug)]
#[must_use = "what is not written is lost"]
pub struct Write {
    /// What to write.
    pub batch: Batch,
    /// To be given back by [`Input::Persisted`](crate::Input::Persisted), once `batch` and all
    /// before it are durable.
    pub token: WriteToken,
}

/// The content of one atomic write. Carried out in field order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The cluster that all of this is of; kept from then on, if set. A server says it once, with the first that it
    /// writes.
    pub cluster: Option<ClusterId>,
    /// Replaces what was stored, if set.
    pub hard_state: Option<HardState>,
    /// The entry at this index and all that follow it go (§5.3).
    pub truncate: Option<LogIndex>,
    /// Each takes the place of the entry of the same name, whose bytes on disk were found damaged
    /// ([`Loaded::Damaged`](crate::Loaded::Damaged)). The log is as long as it was.
    pub repair: Vec<Entry>,
    /// Pieces of a snapshot that is being taken or received, each joining on to the one before it (§7). A
    /// piece at offset 0 begins a new one, and what there was of an unfinished one goes. The last piece
    /// makes it whole: then it is the snapshot, and the one before it goes.
    pub parts: Vec<Part>,
    /// The log begins after this entry from now on: what is at or before it goes (§7). Where the log ends
    /// earlier, it is empty now. The place must be kept with its term. A whole snapshot, in this batch or
    /// an earlier one, stands for everything up to there.
    pub compact: Option<EntryId>,
    /// Appended. The first one's index is one past the last that is left, or past `compact`.
    pub entries: Entries,
    /// The end of the log counts again ([`Restored::suspect_tail`](crate::Restored::suspect_tail)): whoever starts on this
    /// disk later is not told otherwise any more.
    pub trust_tail: bool,
    /// How far the log was known to be committed when this was written. A log that is found shorter
    /// than this is damaged.
    pub commit_index: LogIndex,
}

/// The right to say that a write is durable. There is one for each write, it cannot be made or copied
/// outside the core, and it is used up by saying so. One of another server, or of another group, is refused
/// ([`Violation::WriteOutOfOrder`]).
///
/// ```
/// # use raft_core::{Input, Raft, Time, Write};
/// # fn write_and_sync(_: &raft_core::Batch) {}
/// fn persist(raft: &mut Raft, now: Time, write: Write) {
///     write_and_sync(&write.batch);
///     raft.step(now, Input::Persisted(write.token));
/// }
/// ```
///
/// It is not made:
///
/// ```compile_fail,E0451
/// # let (owner, sequence) = Default::default();
/// let token = raft_core::WriteToken { owner, sequence };
/// ```
///
/// Nor copied:
///
/// ```compile_fail,E0599
/// # use raft_core::WriteToken;
/// fn copy(token: WriteToken) -> [WriteToken; 2] {
///     [token.clone(), token]
/// }
/// ```
///
/// Nor used twice:
///
/// ```compile_fail,E0382
/// # use raft_core::{Input, Raft, Time, WriteToken};
/// fn confirm(raft: &mut Raft, now: Time, token: WriteToken) {
///     raft.step(now, Input::Persisted(token));
///     raft.step(now, Input::Persisted(token));
/// }
/// ```
#[derive(Debug)]
#[must_use = "a write that is never confirmed keeps its votes and acknowledgements for ever"]
pub struct WriteToken {
    pub(crate) owner: Owner,
    pub(crate) sequence: u64,
}

/// Whose tokens they are: one server of one group, in one life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) group: (ClusterId, GroupId),
    pub(crate) id: Option<NodeId>,
    pub(crate) seed: u64,
}

/// A contradiction of what is committed or elected, which no message and no crash can cause in a
/// correct cluster. A server that meets one says so and never sends anything again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A leader's entries, or its snapshot, contradict a committed entry (Leader Completeness, §5.4).
    CommittedEntryContradicted {
        /// The leader that sent them, or it.
        leader: NodeId,
        /// The committed entry.
        index: LogIndex,
    },
    /// Two servers lead the same term (Election Safety, §5.2).
    TwoLeaders {
        /// The term.
        term: Term,
        /// The one that this server knew.
        known: NodeId,
        /// The one that turned up.
        other: NodeId,
    },
    /// A follower acknowledged entries that this leader does not have.
    MatchBeyondLog {
        /// The follower.
        follower: NodeId,
        /// What it acknowledged.
        match_index: LogIndex,
    },
    /// A write was confirmed before an earlier one, or by another server's token.
    WriteOutOfOrder,
    /// The state machine says that it has applied an entry that the log does not have.
    AppliedBeyondLog {
        /// The entry.
        index: LogIndex,
    },
    /// The disk no longer has an entry of the log, and there is no other server that could.
    EntryLost {
        /// The entry.
        id: EntryId,
    },
    /// An entry about to be applied is not what its leader made. It is the one who applies that notices.
    EntryDamaged {
        /// The entry.
        index: LogIndex,
    },
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::CommittedEntryContradicted { leader, index } => {
                write!(f, "leader {leader} contradicts the committed entry {index}")
            }
            Self::TwoLeaders { term, known, other } => write!(f, "{known} and {other} both lead {term}"),
            Self::MatchBeyondLog { follower, match_index } => {
                write!(f, "{follower} acknowledges {match_index}, which this leader does not have")
            }
            Self::WriteOutOfOrder => write!(f, "a write was confirmed out of order"),
            Self::AppliedBeyondLog { index } => {
                write!(f, "the state machine has applied entry {index}, which the log does not have")
            }
            Self::EntryLost { id } => write!(
                f,
                "the entry {id} is damaged on disk, and no other server has it; bring the directory back from a backup"
            ),
            Self::EntryDamaged { index } => write!(f, "the entry {index} does not match its checksum"),
        }
    }
}
