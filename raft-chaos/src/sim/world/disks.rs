//! What the plan does to disks, and which servers have not got over it.

use std::mem;

use raft_core::{Event, NodeId, Restored};
use raft_storage::StorageError;

use super::super::servers::{Lack, Server};
use super::{Inner, World};

impl World {
    /// A server's disk is faulty once more, or once less. Faults add up.
    pub(in super::super) fn disk_is_faulty(&self, id: NodeId, on: bool) {
        let inner = &mut *self.lock();
        inner.version += 1;
        if let Some(server) = inner.nodes.get_mut(&id) {
            let faults = server.disk_faults;
            server.disk_faults = if on { faults + 1 } else { faults.saturating_sub(1) };
        }
    }

    /// The disk of a server that does not run has been damaged.
    pub(in super::super) fn damaged(&self, id: NodeId) {
        let inner = &mut *self.lock();
        inner.version += 1;
        let until = inner.committed;
        if let Some(server) = inner.nodes.get_mut(&id) {
            server.damaged = true;
            server.lacks.until = Some(until);
        }
    }

    /// A bit of the log of a server that does not run was flipped.
    pub(crate) fn flipped(&self, id: NodeId) {
        if let Some(server) = self.lock().nodes.get_mut(&id) {
            server.flipped = true;
        }
    }

    /// The disk of a server that does not run is what it was earlier. That no store can see, and no other server: the
    /// judges know of it, and judge what comes of it.
    pub(in super::super) fn rolled_back(&self, id: NodeId) {
        let inner = &mut *self.lock();
        inner.figure3.rolled_back(id);
        if let Some(specification) = &mut inner.specification {
            specification.rolled_back(id);
        }
    }

    /// Whether it is over damage that the plan did that this server's store says that.
    pub(in super::super) fn is_over_damage(&self, id: NodeId, error: &StorageError) -> bool {
        let of_damage = match error {
            StorageError::Io { .. }
            | StorageError::Damaged { .. }
            | StorageError::DamagedMachine { .. }
            | StorageError::Corrupt { .. }
            | StorageError::NotAStore { .. } => true,
            StorageError::TooNew { .. }
            | StorageError::Changing { .. }
            | StorageError::Locked { .. }
            | StorageError::Taken { .. }
            | StorageError::Misfit { .. }
            | StorageError::MisfitPiece { .. }
            | StorageError::Uncovered { .. }
            | StorageError::Superseded => false,
        };
        of_damage && self.server(id).is_some_and(|server| server.damaged)
    }

    /// A server ended over what the plan did to its disk. It is down, and nothing is wrong with it.
    pub(crate) fn gave_out(&self, id: NodeId) {
        self.gone(id, "ends over its disk");
        if let Some(server) = self.lock().nodes.get_mut(&id) {
            server.gave_out = true;
        }
    }
}

impl Inner {
    /// What was written last before a server was killed, and was not what it had been when it was read again, may have been
    /// interrupted, for all that its store can know. It says so, and what it acknowledged of that is lost.
    pub(super) fn bear_with_flipped_end(&mut self, id: NodeId, restored: &Restored) {
        let flipped = self.nodes.get_mut(&id).is_some_and(|server| mem::take(&mut server.flipped));
        if !flipped || !restored.suspect_tail {
            return;
        }
        self.figure3.tail_lost(id);
        if let Some(specification) = &mut self.specification {
            specification.tail_lost(id);
        }
    }

    /// A server has found this on its disk.
    pub(super) fn find_lack(&mut self, id: NodeId, restored: &Restored) {
        let committed = self.committed;
        let Some(Server { lacks, .. }) = self.nodes.get_mut(&id) else { return };
        (lacks.entries, lacks.suspect) = (restored.damaged.iter().copied().collect(), restored.suspect_tail);
        if !lacks.entries.is_empty() {
            lacks.until.get_or_insert(committed);
        }
    }

    /// What a server says of its disk, and how it gets over what that has lost.
    pub(super) fn observe_disk(&mut self, id: NodeId, event: &Event) {
        let Some(server) = self.nodes.get_mut(&id) else { return };
        if let Event::Committed { to, .. } = event {
            server.commit = server.commit.max(to.index);
        }
        let of = |lacks: &Lack| (lacks.is_none(), lacks.is_end_at_most());
        let before = of(&server.lacks);
        server.lacks.observe(event);
        self.version += u64::from(of(&server.lacks) != before);
    }
}
