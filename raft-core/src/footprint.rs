//! What a server holds in memory beside what it is: to be watched, and bounded.

use crate::state::Raft;

/// How much a server keeps until something happens. All but the first is nothing for one that has nothing to wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Bytes of entries: at most [`Config::cache_bytes_max`](crate::Config::cache_bytes_max) after effects have been
    /// taken.
    pub cached_bytes: usize,
    /// Messages that wait for the disk: at most one of each kind to each server for each write on its way.
    pub held_messages: usize,
    /// Writes that have not been confirmed.
    pub writes: usize,
    /// Reads that have not been answered; of other servers one each.
    pub reads: usize,
    /// Bytes of pieces of snapshots that have not been given to the disk: none after effects have been taken.
    pub piece_bytes: usize,
    /// Requests to read what is on disk.
    pub loads: usize,
}

impl Raft {
    /// What this server holds now.
    pub fn footprint(&self) -> Footprint {
        Footprint {
            cached_bytes: self.log.cached_bytes(),
            held_messages: self.outbox.len() + self.disk.held(),
            writes: self.disk.in_flight(),
            reads: self.reads.len(),
            piece_bytes: self.snapshots.ungiven_bytes(),
            loads: self.loads.len(),
        }
    }
}
