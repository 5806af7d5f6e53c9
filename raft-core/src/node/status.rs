//! What a node is, as it shows itself.

use serde::{Deserialize, Serialize};

use crate::event::RoleName;
use crate::state::Raft;
use crate::types::{EntryId, Incarnation, LogIndex, NodeId, Term};

/// What a node is at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The server.
    pub id: NodeId,
    /// This life of its data directory.
    pub incarnation: Incarnation,
    /// Its term.
    pub current_term: Term,
    /// Its role in it.
    pub role: RoleName,
    /// The leader of the term, where known.
    pub leader: Option<NodeId>,
    /// The last committed entry that it knows of.
    pub commit_index: LogIndex,
    /// The last entry of its log.
    pub last_log: EntryId,
    /// The last entry that its last whole snapshot stands for (§7); 0 if it has none.
    pub snapshot_index: LogIndex,
    /// Entries that its disk has lost, and that no other server has sent yet.
    pub damaged: usize,
    /// Whether the end of its log may have been lost, and it has not caught up since.
    pub suspect: bool,
}

impl Status {
    pub(super) fn of(raft: &Raft) -> Self {
        Self {
            id: raft.id(),
            incarnation: raft.config().incarnation,
            current_term: raft.current_term(),
            role: raft.role(),
            leader: raft.leader(),
            commit_index: raft.commit_index(),
            last_log: raft.last_log(),
            snapshot_index: raft.snapshot_index(),
            damaged: raft.damaged(),
            suspect: raft.is_suspect(),
        }
    }

    /// Whether more has changed than how long the log is, and how much of it is committed.
    pub(super) fn has_turned_since(&self, before: &Self) -> bool {
        let Self { commit_index, last_log, .. } = *before;
        Self { commit_index, last_log, ..*self } != *before
    }
}
