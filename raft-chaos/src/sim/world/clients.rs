//! Which servers clients can reach.

use raft_core::NodeId;

use super::World;

impl World {
    /// Keeps clients from reaching a server once more, or once less.
    pub(in super::super) fn shut(&self, id: NodeId, on: bool) {
        let inner = &mut *self.lock();
        inner.version += 1;
        if let Some(server) = inner.nodes.get_mut(&id) {
            server.shut = if on { server.shut + 1 } else { server.shut.saturating_sub(1) };
        }
    }

    /// Whether clients cannot reach a server.
    pub(crate) fn is_shut(&self, id: NodeId) -> bool {
        self.lock().nodes.get(&id).is_some_and(|server| server.shut > 0)
    }

    /// What a client sent to a server has not reached it.
    pub(crate) fn turned_away(&self, id: NodeId) {
        if let Some(server) = self.lock().nodes.get_mut(&id) {
            server.turned_away += 1;
        }
    }
}
