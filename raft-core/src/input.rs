//! What the world tells a server, and why it may refuse a command.

use bytes::Bytes;

#[cfg(doc)]
use crate::effects::Effects;
use crate::effects::WriteToken;
use crate::message::Envelope;
use crate::snapshot::{Loaded, SnapshotId};
use crate::types::NodeId;

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

/// Only the leader takes commands, and this server does not lead. The command was not appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotLeader {
    /// The leader of this server's term, where known.
    pub leader: Option<NodeId>,
}

impl std::fmt::Display for NotLeader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.leader {
            Some(leader) => write!(f, "this server does not lead; ask {leader}"),
            None => write!(f, "this server does not lead and knows no leader; ask another, or later"),
        }
    }
}

impl std::error::Error for NotLeader {}
