//! What opening a store gives.

use raft_core::node::LogStore;
use raft_core::server::Log;
use raft_core::{Incarnation, Restored};

/// A store, and what it found when it was opened.
#[derive(Debug)]
pub struct Opened<S> {
    /// Ready to be written to.
    pub store: S,
    /// What the server had stored: exactly what was acknowledged, and perhaps whole batches that
    /// were written after it. All of it is durable.
    pub restored: Restored,
    /// This life of the directory: drawn when it was made, and the same ever since.
    pub incarnation: Incarnation,
    /// How many bytes of a torn end were cut off the write-ahead log: a write that a power cut
    /// interrupted, and that nobody was told of.
    pub torn_bytes: u64,
}

impl<S: LogStore> Log for Opened<S> {
    type Store = S;

    fn into_parts(self) -> (S, Restored, Incarnation) {
        (self.store, self.restored, self.incarnation)
    }
}
