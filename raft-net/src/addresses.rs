//! Where servers listen, which may change while others run.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use raft_core::NodeId;

/// Where the servers of a cluster listen, as one of them knows it. Clones share it; what is said here counts from the next
/// time that somebody is dialled, and an open connection is kept as long as it lives.
#[derive(Clone, Debug, Default)]
pub struct Addresses(Arc<Mutex<BTreeMap<NodeId, String>>>);

impl Addresses {
    pub(crate) fn new(addresses: BTreeMap<NodeId, String>) -> Self {
        Self(Arc::new(Mutex::new(addresses)))
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<NodeId, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This server listens at `address`, as `"host:port"`: it has moved, or it is new. A server that is to become a member
    /// is made known to all others first.
    pub fn set(&self, server: NodeId, address: impl Into<String>) {
        self.all().insert(server, address.into());
    }

    /// This server is not dialled any more. What is for it is dropped.
    pub fn remove(&self, server: NodeId) {
        self.all().remove(&server);
    }

    /// Where this server listens.
    pub fn get(&self, server: NodeId) -> Option<String> {
        self.all().get(&server).cloned()
    }

    /// Whether it is known where this server listens.
    pub(crate) fn know(&self, server: NodeId) -> bool {
        self.all().contains_key(&server)
    }

    pub(crate) fn to_map(&self) -> BTreeMap<NodeId, String> {
        self.all().clone()
    }
}
