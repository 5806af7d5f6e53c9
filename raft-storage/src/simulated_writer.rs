//! The log writer in a simulation: no thread and no sync. The caller's thread writes each batch and reads at
//! once, the operating system is never asked to sync, and a batch counts as durable after a while of virtual
//! time.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use raft_core::node::{Done, Environment};
use raft_core::{Batch, GroupId, Incarnation, Load, Loaded, Restored};

use crate::clean_stop;
use crate::database::{Database, Mode, RocksOptions};
use crate::error::StorageError;
use crate::metrics::StorageMeter;
use crate::rocks_log::{RocksLog, Staged};
use crate::simulated_faults::DiskFaults;
use crate::simulated_sync::{SimulatedSync, SyncDelay, Synced};
use crate::wal;

/// What a simulated power cut does to a server's write-ahead log. A handle: it goes on telling of its store.
#[derive(Clone, Debug)]
pub struct SyncedWal {
    file: PathBuf,
    synced: Arc<AtomicU64>,
}

impl SyncedWal {
    /// The write-ahead log that the store adds to.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The server has stopped in order, and dropped the store, as one that crashes does: leaves what a store in production
    /// leaves then, so that anything that is missing when it is opened next is damage.
    ///
    /// # Errors
    ///
    /// The directory could not be read, or written to.
    pub fn clean_stop(&self) -> io::Result<()> {
        self.file.parent().map_or(Ok(()), |directory| clean_stop::mark(directory, Mode::Simulated))
    }

    /// The power goes: of the bytes written since the last simulated sync, `survive` says how many are
    /// left (more than there are means all), and the others are lost. Drop the store first. Returns how
    /// many bytes were lost.
    ///
    /// # Errors
    ///
    /// The file could not be cut.
    pub fn power_cut(&self, survive: impl FnOnce(u64) -> u64) -> io::Result<u64> {
        let file = File::options().write(true).open(&self.file)?;
        let unsynced = file.metadata()?.len().saturating_sub(self.synced.load(Ordering::Relaxed));
        let survived = survive(unsynced).min(unsynced);
        let lost = unsynced - survived;
        file.set_len(self.synced.load(Ordering::Relaxed) + survived)?;
        Ok(lost)
    }
}

pub(crate) struct SimulatedWriter {
    log: RocksLog,
    database: Arc<Database>,
    sync: SimulatedSync,
    faults: DiskFaults,
    synced: SyncedWal,
    /// The length of the file after each batch that is not durable.
    lengths: VecDeque<u64>,
    /// Read, and not told yet.
    loaded: VecDeque<Loaded>,
    poison: Option<StorageError>,
}

impl SimulatedWriter {
    /// Opens the directory. What it holds now counts as synced.
    pub(crate) fn open<E: Environment>(
        path: &Path,
        group: GroupId,
        new_incarnation: Incarnation,
        environment: E,
        delay: SyncDelay,
        faults: DiskFaults,
    ) -> Result<Self, StorageError> {
        let database = Database::open(path, Mode::Simulated, RocksOptions::default())?;
        let database = Arc::new(database);
        let log = RocksLog::open(&database, group, new_incarnation)?;
        let finding = StorageError::io_at("finding the write-ahead log", path);
        let file = wal::files(path).map_err(&finding)?.pop();
        let file = file.ok_or_else(|| finding(io::ErrorKind::NotFound.into()))?;
        let synced = SyncedWal { synced: Arc::new(AtomicU64::new(length(&file)?)), file };
        let sync = SimulatedSync::new(environment, delay, faults.clone());
        let (lengths, loaded) = (VecDeque::new(), VecDeque::new());
        Ok(Self { log, database, sync, faults, synced, lengths, loaded, poison: None })
    }

    pub(crate) const fn incarnation(&self) -> Incarnation {
        self.log.incarnation()
    }

    pub(crate) fn restored(&self) -> Restored {
        self.log.restored()
    }

    pub(crate) fn torn_bytes(&self) -> u64 {
        self.database.torn_bytes()
    }

    pub(crate) const fn synced_wal(&self) -> &SyncedWal {
        &self.synced
    }

    pub(crate) fn meter(&self) -> StorageMeter {
        StorageMeter::of(&self.database)
    }

    pub(crate) fn write(&mut self, batch: &Batch) {
        if self.poison.is_some() {
            return;
        }
        match self.write_now(batch).and_then(|length| self.faults.write().map(|()| length)) {
            Ok(length) => {
                self.lengths.push_back(length);
                self.sync.handed_in(1);
            }
            Err(error) => self.poison = Some(error),
        }
    }

    pub(crate) fn load(&mut self, load: Load) {
        if self.poison.is_some() {
            return;
        }
        match self.log.ask(load).read(&self.database).and_then(|sound| self.faults.read(sound)) {
            Ok(loaded) => self.loaded.push_back(loaded),
            Err(error) => self.poison = Some(error),
        }
    }

    pub(crate) async fn done(&mut self) -> Result<Done, StorageError> {
        if let Some(loaded) = self.loaded.pop_front() {
            return Ok(Done::Loaded(loaded));
        }
        if let Some(error) = self.poison.clone().filter(|_| self.sync.is_idle()) {
            return Err(error);
        }
        let Synced { covers, durable } =
            self.sync.synced().await.inspect_err(|error| self.poison = Some(error.clone()))?;
        if let Some(length) = self.lengths.drain(..covers).next_back().filter(|_| durable) {
            self.synced.synced.store(length, Ordering::Relaxed);
        }
        Ok(Done::Persisted(covers))
    }

    fn write_now(&mut self, batch: &Batch) -> Result<u64, StorageError> {
        let mut staged = Staged::default();
        self.log.stage(&self.database, batch, &mut staged)?;
        self.log.seal(&self.database, &mut staged)?;
        staged.write(&self.database)?;
        length(&self.synced.file)
    }
}

fn length(file: &Path) -> Result<u64, StorageError> {
    Ok(file.metadata().map_err(StorageError::io_at("measuring the write-ahead log", file))?.len())
}
