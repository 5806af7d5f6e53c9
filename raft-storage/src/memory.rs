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
use raft_core::node::{Done, Environment, LogStore};
use raft_core::{Batch, Incarnation, Load, Loaded, LogIndex, LogOutline, Restored, Stored};

use crate::batch;
use crate::error::StorageError;
use crate::opened::Opened;
use crate::simulated_faults::DiskFaults;
use crate::simulated_sync::{SimulatedSync, SyncDelay, Synced};

/// What survives the server: a handle on one disk. Clones are handles on the same disk.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk {
    halves: Arc<Mutex<Halves>>,
}

#[derive(Debug, Default)]
struct Halves {
    /// None until a store was opened here.
    incarnation: Option<Incarnation>,
    durable: Stored,
    live: Stored,
    /// Written, but not synced: what the live half has beyond the durable one.
    unsynced: VecDeque<Batch>,
    /// What `live` restores: what the next batch has to join on to.
    written: Restored,
    /// Counts openings and crashes, so that a store of an earlier life changes nothing any more.
    life: u64,
}

/// What a crash takes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The process is killed. The operating system keeps all that was written.
    None,
    /// The power goes. What was synced is left, and of the batches behind it the first `keep` (or as
    /// many as there are): a disk may have got further than it was told to. Where a batch is lost, the next opening
    /// finds a [suspect](Restored::suspect_tail) end: whether it was acknowledged nobody can tell by the disk.
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
    /// Returns how many bytes of commands and of snapshots were lost.
    pub fn crash(&self, loss: Loss) -> u64 {
        let mut halves = self.lock();
        halves.life += 1;
        match loss {
            Loss::None => 0,
            Loss::Unsynced { keep } => {
                let lost = halves.unsynced.iter().skip(keep).map(bytes).sum();
                let torn = halves.unsynced.len() > keep;
                halves.unsynced.truncate(keep);
                halves.sync(keep);
                if torn {
                    halves.durable.suspect_tail();
                }
                halves.live = halves.durable.clone();
                halves.written = halves.live.restored();
                lost
            }
        }
    }

    /// Takes all that is on it, and ends the life of the store that is open: the next one opens a new disk.
    pub fn wipe(&self) {
        let mut halves = self.lock();
        let life = halves.life + 1;
        *halves = Halves { life, ..Halves::default() };
    }

    /// What the log on it is, written or synced.
    pub fn log(&self) -> LogOutline {
        self.lock().written.log.clone()
    }

    /// The entry at `index` can no longer be read, and nobody knows before it is. False if there is none. Nobody has
    /// the disk open; what was written to it is there for good.
    pub fn rot(&self, index: LogIndex) -> bool {
        let halves = &mut *self.lock();
        halves.sync(usize::MAX);
        halves.durable.damage(index) && halves.live.damage(index)
    }

    /// The entries from `from` on are gone, whatever was acknowledged of them. Nobody has the disk open.
    /// Returns how many bytes of commands that is.
    pub fn cut(&self, from: LogIndex) -> u64 {
        let halves = &mut *self.lock();
        halves.sync(usize::MAX);
        let gone = halves.live.entries().iter().filter(|entry| entry.id.index >= from);
        let bytes = gone.map(|entry| entry.payload.bytes().len() as u64).sum();
        halves.durable.apply(Batch { truncate: Some(from), ..Batch::default() });
        halves.durable.suspect_tail();
        halves.live = halves.durable.clone();
        halves.written = halves.live.restored();
        bytes
    }

    /// A panic elsewhere leaves no half-made change here: each is one assignment or one queue move
    /// after the next, and a store whose process panicked has crashed anyway.
    fn lock(&self) -> MutexGuard<'_, Halves> {
        self.halves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a batch has of payload, in bytes.
fn bytes(batch: &Batch) -> u64 {
    let commands = batch.entries.iter().map(|entry| entry.payload.bytes().len());
    let pieces = batch.parts.iter().map(|part| part.chunk.data.len());
    commands.chain(pieces).map(|bytes| bytes as u64).sum()
}

impl Halves {
    /// Moves the oldest `count` unsynced batches to the durable half, or as many as there are.
    fn sync(&mut self, count: usize) {
        let count = count.min(self.unsynced.len());
        for batch in self.unsynced.drain(..count) {
            self.durable.apply(batch);
        }
    }

    fn write(&mut self, life: u64, batch: Batch) -> Result<(), StorageError> {
        self.check_life(life)?;
        self.written = batch::after(self.written.clone(), &batch)?;
        self.live.apply(batch.clone());
        self.unsynced.push_back(batch);
        Ok(())
    }

    fn load(&self, life: u64, load: &Load) -> Result<Loaded, StorageError> {
        self.check_life(life)?;
        Ok(self.live.load(load))
    }

    fn check_life(&self, life: u64) -> Result<(), StorageError> {
        if life == self.life { Ok(()) } else { Err(StorageError::Superseded) }
    }
}

/// A [`LogStore`] on a [`MemoryDisk`]: each sync takes a seeded while of virtual time, and reading takes
/// none.
pub struct MemoryStore {
    disk: MemoryDisk,
    life: u64,
    sync: SimulatedSync,
    faults: DiskFaults,
    /// Read, and not told yet.
    loaded: VecDeque<Loaded>,
    poison: Option<StorageError>,
}

impl MemoryStore {
    /// Opens the disk and gives back what its live half holds; all of that is durable from here on. A
    /// store that is open on the same disk is [`Superseded`](StorageError::Superseded).
    ///
    /// `new_incarnation` is the disk's if it is new. `delay` draws how long each sync takes, and
    /// `environment` lets that time pass. Calls meet `faults`.
    pub fn open<E: Environment>(
        disk: &MemoryDisk,
        new_incarnation: Incarnation,
        environment: E,
        delay: SyncDelay,
        faults: DiskFaults,
    ) -> Opened<Self> {
        let mut halves = disk.lock();
        halves.life += 1;
        halves.sync(usize::MAX);
        let incarnation = *halves.incarnation.get_or_insert(new_incarnation);
        let sync = SimulatedSync::new(environment, delay, faults.clone());
        let (disk, loaded) = (disk.clone(), VecDeque::new());
        let store = Self { disk, life: halves.life, sync, faults, loaded, poison: None };
        Opened { store, restored: halves.written.clone(), incarnation, torn_bytes: 0 }
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
        match written.and_then(|()| self.faults.write()) {
            Ok(()) => self.sync.handed_in(1),
            Err(error) => self.poison = Some(error),
        }
    }

    fn load(&mut self, load: Load) {
        if self.poison.is_some() {
            return;
        }
        let loaded = self.disk.lock().load(self.life, &load);
        match loaded.and_then(|sound| self.faults.read(sound)) {
            Ok(loaded) => self.loaded.push_back(loaded),
            Err(error) => self.poison = Some(error),
        }
    }

    async fn done(&mut self) -> Result<Done, StorageError> {
        if let Some(loaded) = self.loaded.pop_front() {
            return Ok(Done::Loaded(loaded));
        }
        if let Some(error) = self.poison.clone().filter(|_| self.sync.is_idle()) {
            return Err(error);
        }
        let Synced { covers, durable } =
            self.sync.synced().await.inspect_err(|error| self.poison = Some(error.clone()))?;
        let mut halves = self.disk.lock();
        halves.check_life(self.life)?;
        if durable {
            halves.sync(covers);
        }
        Ok(Done::Persisted(covers))
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
