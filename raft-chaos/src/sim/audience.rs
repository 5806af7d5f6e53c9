//! Who hears what state machines do.

use raft_core::sessions::Answer as SessionAnswer;
use raft_core::{LogIndex, NodeId};

use super::world::World;
use crate::data::Answer;

/// Who hears what state machines do: the world of a simulation, or the file that tells one of it.
pub(crate) trait Audience: Clone + Send + 'static {
    /// A server applied an operation, with this answer; `state` names its state now.
    fn applied(&self, id: NodeId, operation: u64, answer: &Answer, state: u64);

    /// A server whose clients have sessions applied the entry at `index`: this became of it, and `table` names all sessions
    /// now.
    fn in_sessions(&self, id: NodeId, index: LogIndex, table: u64, answer: Option<&SessionAnswer>);

    /// A server became what a snapshot says: the last operation in it is the one at `index`.
    fn restored(&self, id: NodeId, index: LogIndex, state: u64);

    /// A server answered a read from the state after the command at `index`.
    fn answered(&self, id: NodeId, operation: u64, index: LogIndex);
}

impl Audience for World {
    fn applied(&self, id: NodeId, operation: u64, answer: &Answer, state: u64) {
        Self::applied(self, id, operation, answer, state);
    }

    fn in_sessions(&self, id: NodeId, index: LogIndex, table: u64, answer: Option<&SessionAnswer>) {
        Self::in_sessions(self, id, index, table, answer);
    }

    fn restored(&self, id: NodeId, index: LogIndex, state: u64) {
        Self::restored(self, id, index, state);
    }

    fn answered(&self, _: NodeId, operation: u64, index: LogIndex) {
        Self::answered(self, operation, index);
    }
}
