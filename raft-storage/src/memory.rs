//! A disk in memory, and the store on it. It keeps the same promises as RocksDB's: what was
//! acknowledged survives a power cut, and a batch is there whole or not at all.
//!
//! The disk has two halves. *Live* is all that was written: what the next process finds when this one
//! is killed. *Durable* is what was synced: what is left when the power goes. They differ by a queue
//! of batches.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use raft_core::node::{Environment, LogStore};
use raft_core::{Batch, Incarnation, LogIndex, Restored};

use crate::batch;
use crate::error::StorageError;
use crate::opened::Opened;
use crate::simulated_sync::{SimulatedSync, SyncDelay};

/// What survives the server: a handle on one disk. Clones are handles on the same disk.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk {
    halves: Arc<Mutex<Halves>>,
}

#[derive(Debug, Default)]
struct Halves {
    /// None until a store was opened here.
    incarnation: Option<Incarnation>,
    durable: Restored,
    /// Written, but not synced. The live half is `durable` and these.
    unsynced: VecDeque<Batch>,
    /// The last index of the live half.
    last_index: LogIndex,
    /// Counts openings and crashes, so that a store of an earlier life changes nothing any more.
    life: u64,
}

/// What a crash takes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The process is killed. The operating system keeps all that was written.
    None,
    /// The power goes. What was synced is left, and of the batches behind it the first `keep` (or as
    /// many as there are): a disk may have got further than it was told to.
    Unsynced {
        /// Whole batches, oldest first.
        keep: usize,
    },
}

impl MemoryDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many batches were written and are not synced: the choices of [`Loss::Unsynced`].
    pub fn unsynced(&self) -> usize {
        self.lock().unsynced.len()
    }

    /// Ends the life of the store that is open, now. Whatever it does afterwards changes nothing.
    ///
    /// Returns how many bytes of commands were lost.
    pub fn crash(&self, loss: Loss) -> u64 {
        let mut halves = self.lock();
        halves.life += 1;
        match loss {
            Loss::None => 0,
            Loss::Unsynced { keep } => {
                let lost = halves.unsynced.iter().skip(keep).flat_map(|batch| &batch.entries);
                let lost = lost.map(|entry| entry.payload.bytes().len() as u64).sum();
                halves.unsynced.truncate(keep);
                halves.sync(keep);
                halves.last_index = halves.durable_last_index();
                lost
            }
        }
    }

    /// A panic elsewhere leaves no half-made change here: each is one assignment or one queue move
    /// after the next, and a store whose process panicked has crashed anyway.
    fn lock(&self) -> MutexGuard<'_, Halves> {
        self.halves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Halves {
    /// Moves the oldest `count` unsynced batches to the durable half, or as many as there are.
    fn sync(&mut self, count: usize) {
        let count = count.min(self.unsynced.len());
        for batch in self.unsynced.drain(..count) {
            batch::apply(&mut self.durable, batch);
        }
    }

    fn durable_last_index(&self) -> LogIndex {
        self.durable.entries.last().map_or(LogIndex::ZERO, |entry| entry.id.index)
    }

    fn write(&mut self, life: u64, batch: Batch) -> Result<(), StorageError> {
        if life != self.life {
            return Err(StorageError::Superseded);
        }
        batch::check_fit(self.last_index, &batch)?;
        if let Some(from) = batch.truncate {
            self.last_index = self.last_index.min(from.prev());
        }
        if let Some(last) = batch.entries.last() {
            self.last_index = last.id.index;
        }
        self.unsynced.push_back(batch);
        Ok(())
    }
}

/// A [`LogStore`] on a [`MemoryDisk`]: each sync takes a seeded while of virtual time.
pub struct MemoryStore {
    disk: MemoryDisk,
    life: u64,
    sync: SimulatedSync,
    poison: Option<StorageError>,
}

impl MemoryStore {
    /// Opens the disk and gives back what its live half holds; all of that is durable from here on. A
    /// store that is open on the same disk is [`Superseded`](StorageError::Superseded).
    ///
    /// `new_incarnation` is the disk's if it is new. `delay` draws how long each sync takes, and
    /// `environment` lets that time pass.
    pub fn open<E: Environment>(
        disk: &MemoryDisk,
        new_incarnation: Incarnation,
        environment: E,
        delay: SyncDelay,
    ) -> Opened<Self> {
        let mut halves = disk.lock();
        halves.life += 1;
        let written = halves.unsynced.len();
        halves.sync(written);
        let incarnation = *halves.incarnation.get_or_insert(new_incarnation);
        let sync = SimulatedSync::new(environment, delay);
        let store = Self { disk: disk.clone(), life: halves.life, sync, poison: None };
        Opened { store, restored: halves.durable.clone(), incarnation, torn_bytes: 0 }
    }
}

#[async_trait]
impl LogStore for MemoryStore {
    type Error = StorageError;

    fn write(&mut self, batch: Batch) {
        if self.poison.is_some() {
            return;
        }
        let written = self.disk.lock().write(self.life, batch);
        match written {
            Ok(()) => self.sync.handed_in(),
            Err(error) => self.poison = Some(error),
        }
    }

    async fn persisted(&mut self) -> Result<usize, StorageError> {
        if let Some(error) = self.poison.clone().filter(|_| self.sync.is_idle()) {
            return Err(error);
        }
        let count = self.sync.synced().await;
        let mut halves = self.disk.lock();
        if self.life != halves.life {
            return Err(StorageError::Superseded);
        }
        halves.sync(count);
        Ok(count)
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("life", &self.life)
            .field("poison", &self.poison)
            .finish_non_exhaustive()
    }
}
