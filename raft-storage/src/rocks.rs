//! The store on RocksDB. What it writes is drawn in [`format`](crate::format).

use std::fmt;
use std::path::Path;

use async_trait::async_trait;
use raft_core::node::{Done, Environment, LogStore};
use raft_core::{Batch, GroupId, Incarnation, Load};

use crate::error::StorageError;
use crate::groups::RocksGroups;
use crate::metrics::StorageMeter;
use crate::opened::Opened;
use crate::simulated_faults::DiskFaults;
use crate::simulated_sync::SyncDelay;
use crate::simulated_writer::{SimulatedWriter, SyncedWal};
use crate::threaded_writer::Seat;

/// A [`LogStore`] in a directory, of its own or shared with [other groups](RocksGroups).
///
/// Each batch is one atomic write. After a failed write or sync, or when a piece of a snapshot is read that is not
/// what was written, the store is poisoned: it takes nothing more, and [`done`](LogStore::done) returns that first
/// error from then on. An entry that is not what was written is told of as
/// [`Damaged`](raft_core::Loaded::Damaged), and can be [repaired](raft_core::Batch::repair).
///
/// What compactions and newer snapshots free is given back to the file system by whole files, when the batch
/// that frees it is durable. A file goes when all that is in it is free, so that some of it stays for a
/// while; opened for a simulation, the store gives nothing back.
///
/// The newest entries are read from memory ([`RocksOptions::tail_bytes`](crate::RocksOptions::tail_bytes)), as they
/// were given and without being checked; in a simulation everything is read from disk.
///
/// Dropping it writes what was given, and then closes the directory, if no other store has it open.
pub struct RocksStore {
    executor: Executor,
}

enum Executor {
    Threaded(Seat),
    Simulated(Box<SimulatedWriter>),
}

impl RocksStore {
    /// Opens the directory `path` for `group`, and makes it if there is none; a new one gets
    /// `new_incarnation`, which is to be drawn at random. Reads neither entries nor pieces of snapshots: they
    /// are checked when they are loaded. A thread of its own writes, syncs and reads.
    ///
    /// What a process that was killed had written, but not synced, is made durable here.
    ///
    /// # Errors
    ///
    /// Another store has the directory open, a later version wrote it, something in it is not what was
    /// written, or the disk refused.
    pub fn open(
        path: impl AsRef<Path>,
        group: GroupId,
        new_incarnation: Incarnation,
    ) -> Result<Opened<Self>, StorageError> {
        RocksGroups::open(path)?.store(group, new_incarnation)
    }

    pub(crate) const fn threaded(seat: Seat) -> Self {
        Self { executor: Executor::Threaded(seat) }
    }

    /// The same for a simulated server: no thread, and *no sync*, so that a real power cut loses what was
    /// acknowledged. Each batch is written, and all that is asked for is read, at once on the caller's thread.
    /// A batch counts as durable once a time drawn from `delay` has passed in `environment`; batches written
    /// meanwhile share the next sync. Calls meet `faults`, but for those of opening. One life writes less than 1 GiB.
    ///
    /// There is no other way to have a store that does not sync.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_simulated<E: Environment>(
        path: impl AsRef<Path>,
        group: GroupId,
        new_incarnation: Incarnation,
        environment: E,
        delay: SyncDelay,
        faults: DiskFaults,
    ) -> Result<Opened<Self>, StorageError> {
        let writer =
            SimulatedWriter::open(path.as_ref(), group, new_incarnation, environment, delay, faults)?;
        let (restored, incarnation) = (writer.restored(), writer.incarnation());
        let torn_bytes = writer.torn_bytes();
        let store = Self { executor: Executor::Simulated(Box::new(writer)) };
        Ok(Opened { store, restored, incarnation, torn_bytes })
    }

    /// A handle to ask what the directory measures of itself, all its groups together.
    pub fn meter(&self) -> StorageMeter {
        match &self.executor {
            Executor::Threaded(writer) => writer.meter().clone(),
            Executor::Simulated(writer) => writer.meter(),
        }
    }

    /// What a simulated power cut leaves: drop the store, then cut the file. None in production, where
    /// the disk itself is synced.
    pub fn synced_wal(&self) -> Option<SyncedWal> {
        match &self.executor {
            Executor::Threaded(_) => None,
            Executor::Simulated(writer) => Some(writer.synced_wal().clone()),
        }
    }
}

#[async_trait]
impl LogStore for RocksStore {
    type Error = StorageError;

    fn write(&mut self, batch: Batch) {
        match &mut self.executor {
            Executor::Threaded(writer) => writer.write(batch),
            Executor::Simulated(writer) => writer.write(&batch),
        }
    }

    fn load(&mut self, load: Load) {
        match &mut self.executor {
            Executor::Threaded(writer) => writer.load(load),
            Executor::Simulated(writer) => writer.load(load),
        }
    }

    async fn done(&mut self) -> Result<Done, StorageError> {
        match &mut self.executor {
            Executor::Threaded(writer) => writer.done().await,
            Executor::Simulated(writer) => writer.done().await,
        }
    }
}

impl fmt::Debug for RocksStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let executor = match self.executor {
            Executor::Threaded(_) => "threaded",
            Executor::Simulated(_) => "simulated",
        };
        f.debug_struct("RocksStore").field("executor", &executor).finish_non_exhaustive()
    }
}
