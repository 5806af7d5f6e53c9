//! The store on RocksDB. What it writes is drawn in [`format`](crate::format).

use std::fmt;
use std::path::Path;

use async_trait::async_trait;
use raft_core::node::{Environment, LogStore};
use raft_core::{Batch, GroupId, Incarnation};

use crate::error::StorageError;
use crate::opened::Opened;
use crate::rocks_log::{Mode, RocksLog};
use crate::simulated_sync::SyncDelay;
use crate::writer::{SimulatedWriter, SyncedWal, ThreadedWriter};

/// A [`LogStore`] in a directory of its own.
///
/// Each batch is one atomic write. After a failed write or sync the store is poisoned: it takes
/// nothing more, and [`persisted`](LogStore::persisted) returns that first error from then on.
///
/// Dropping it writes what was given, and then closes the directory.
pub struct RocksStore {
    executor: Executor,
}

enum Executor {
    Threaded(ThreadedWriter),
    Simulated(Box<SimulatedWriter>),
}

impl RocksStore {
    /// Opens the directory `path` for `group`, and makes it if there is none; a new one gets
    /// `new_incarnation`, which is to be drawn at random. Reads and checks the whole log, on the
    /// caller's thread; from then on a thread of its own writes and syncs.
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
        let (log, restored, torn_bytes) =
            RocksLog::open(path.as_ref(), group, new_incarnation, Mode::Production)?;
        let incarnation = log.incarnation();
        let store = Self { executor: Executor::Threaded(ThreadedWriter::start(log)?) };
        Ok(Opened { store, restored, incarnation, torn_bytes })
    }

    /// The same for a simulated server: no thread, and no sync. Each batch is written on the caller's
    /// thread and counts as durable once a time drawn from `delay` has passed in `environment`; batches
    /// written meanwhile share the next sync. One life writes less than 1 GiB.
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
    ) -> Result<Opened<Self>, StorageError> {
        let path = path.as_ref();
        let (log, restored, torn_bytes) = RocksLog::open(path, group, new_incarnation, Mode::Simulated)?;
        let incarnation = log.incarnation();
        let writer = SimulatedWriter::new(log, path, environment, delay)?;
        let store = Self { executor: Executor::Simulated(Box::new(writer)) };
        Ok(Opened { store, restored, incarnation, torn_bytes })
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

    async fn persisted(&mut self) -> Result<usize, StorageError> {
        match &mut self.executor {
            Executor::Threaded(writer) => writer.persisted().await,
            Executor::Simulated(writer) => writer.persisted().await,
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
