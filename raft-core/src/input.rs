//! What the world tells a server, and why it may refuse what it is asked.

use std::fmt;

use bytes::Bytes;

use crate::configuration::ConfigurationError;
#[cfg(doc)]
use crate::effects::Effects;
use crate::effects::WriteToken;
use crate::message::Envelope;
use crate::snapshot::{Loaded, SnapshotId};
use crate::types::{EntryId, NodeId, ReadId};

/// What the world tells a server.
#[derive(Debug)]
pub enum Input {
    /// Nothing but the time.
    Tick,
    /// A message came in.
    Receive(Envelope),
    /// A write is durable. Tokens come back in the order in which they were given.
    Persisted(WriteToken),
    /// A write failed. What the disk holds is unknown, so nothing leaves this server any more.
    WriteFailed,
    /// What was handed out in [`Effects::apply`], [`Effects::restore`] or [`Effects::take_snapshot`] is
    /// done, and the state machine may be given more.
    Applied,
    /// A client wants to read (thesis 6.4), from the leader or from a follower. What becomes of it is in
    /// [`Effects::reads`].
    Read(ReadId),
    /// What was asked for in [`Effects::load`].
    Loaded(Loaded),
    /// The next bytes of the snapshot that was asked for in [`Effects::take_snapshot`].
    SnapshotTaken {
        /// Of which snapshot.
        snapshot: SnapshotId,
        /// The bytes: as many as are to be sent in one message. Only the last may be none.
        data: Bytes,
        /// Whether these are the last.
        done: bool,
    },
    /// The snapshot that was asked for in [`Effects::take_snapshot`] cannot be taken. Another one is due
    /// when as many entries have been applied again.
    SnapshotFailed {
        /// Which.
        snapshot: SnapshotId,
        /// Why, in words.
        reason: String,
    },
}

/// Why a command was not appended. It certainly never will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProposeError {
    /// Only the leader takes commands, and this server does not lead.
    NotLeader {
        /// The leader of this server's term, where known.
        leader: Option<NodeId>,
    },
    /// This server hands over leadership (thesis 3.10), and takes no commands until that has ended.
    Transferring {
        /// Who is to lead.
        to: NodeId,
    },
    /// Too much is waiting to be committed. Try later.
    Overloaded,
}

impl fmt::Display for ProposeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLeader { leader } => not_leader(f, *leader),
            Self::Transferring { to } => {
                write!(f, "this server is handing over leadership to {to}; ask that one, or later")
            }
            Self::Overloaded => write!(f, "too much is waiting to be committed; try later"),
        }
    }
}

impl std::error::Error for ProposeError {}

/// Why no transfer of leadership was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferError {
    /// This server does not lead.
    NotLeader {
        /// The leader of this server's term, where known.
        leader: Option<NodeId>,
    },
    /// The target does not vote, and so cannot lead.
    NotVoter,
    /// This server leads already.
    ToItself,
    /// One to another server is under way.
    UnderWay {
        /// To which.
        to: NodeId,
    },
}

impl fmt::Display for TransferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLeader { leader } => not_leader(f, *leader),
            Self::NotVoter => write!(f, "the target is not a voter and cannot lead"),
            Self::ToItself => write!(f, "this server leads already"),
            Self::UnderWay { to } => write!(f, "this server is handing over leadership to {to}; try later"),
        }
    }
}

impl std::error::Error for TransferError {}

/// Why no change of membership was begun, or given up. Nothing is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeError {
    /// This server does not lead.
    NotLeader {
        /// The leader of this server's term, where known.
        leader: Option<NodeId>,
    },
    /// This server hands over leadership, and takes nothing until that has ended.
    Transferring {
        /// Who is to lead.
        to: NodeId,
    },
    /// This leader has not committed anything in its term yet: it may not know of the last change. Try soon.
    NothingCommittedInTerm,
    /// A change is under way, and has to end first.
    UnderWay {
        /// The entry of the configuration in force.
        configured: EntryId,
    },
    /// The configuration is another one than the change was decided on. Look at it, and decide again.
    NotFrom {
        /// The entry of the configuration in force.
        configured: EntryId,
    },
    /// It is so already; or there is no change to give up.
    NothingToChange,
    /// No group can have this configuration.
    Invalid(ConfigurationError),
}

impl fmt::Display for ChangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLeader { leader } => not_leader(f, *leader),
            Self::Transferring { to } => {
                write!(f, "this server is handing over leadership to {to}; ask that one, or later")
            }
            Self::NothingCommittedInTerm => {
                write!(f, "this leader has committed nothing in its term yet; try again in a moment")
            }
            Self::UnderWay { configured } => {
                write!(f, "the change of membership of entry {configured} is under way; wait for its end")
            }
            Self::NotFrom { configured } => {
                write!(
                    f,
                    "the configuration in force is that of entry {configured}; look at it and decide again"
                )
            }
            Self::NothingToChange => write!(f, "nothing is to be changed"),
            Self::Invalid(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ChangeError {}

fn not_leader(f: &mut fmt::Formatter<'_>, leader: Option<NodeId>) -> fmt::Result {
    match leader {
        Some(leader) => write!(f, "this server does not lead; ask {leader}"),
        None => write!(f, "this server does not lead and knows no leader; ask another, or later"),
    }
}
