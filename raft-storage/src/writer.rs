//! When a write is synced: the two executors of the log writer. What is written is the
//! [log](crate::rocks_log)'s.
//!
//! In production a thread takes all the batches that wait, writes them as one and syncs once. In a
//! simulation the caller's thread writes each batch, the operating system is never asked to sync, and
//! a batch counts as durable after a while of virtual time.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use raft_core::Batch;
use raft_core::node::Environment;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::error::StorageError;
use crate::rocks_log::{Group, RocksLog};
use crate::simulated_sync::{SimulatedSync, SyncDelay};
use crate::wal;

/// A group of batches is closed once it has this many bytes, so that a backlog does not delay its
/// first batch for ever.
const GROUP_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The handle on the writer's thread. When it is dropped, what was given is written first.
pub(crate) struct ThreadedWriter {
    /// None only while this is being dropped.
    batches: Option<mpsc::Sender<Batch>>,
    durable: UnboundedReceiver<Result<usize, StorageError>>,
    thread: Option<JoinHandle<()>>,
    poison: Option<StorageError>,
}

impl ThreadedWriter {
    pub(crate) fn start(log: RocksLog) -> Result<Self, StorageError> {
        let (batches, waiting) = mpsc::channel();
        let (reports, durable) = unbounded_channel();
        let thread = thread::Builder::new()
            .name("raft-log-writer".into())
            .spawn(move || write_all(log, &waiting, &reports))
            .map_err(StorageError::io("starting the log writer"))?;
        Ok(Self { batches: Some(batches), durable, thread: Some(thread), poison: None })
    }

    /// A thread that has ended takes nothing more: [`persisted`](Self::persisted) says why.
    pub(crate) fn write(&self, batch: Batch) {
        if let Some(batches) = &self.batches {
            let _refused = batches.send(batch);
        }
    }

    pub(crate) async fn persisted(&mut self) -> Result<usize, StorageError> {
        if let Some(error) = &self.poison {
            return Err(error.clone());
        }
        let report = self.durable.recv().await.unwrap_or_else(|| {
            Err(StorageError::Io { what: "the log writer", message: "its thread has ended".into() })
        });
        let mut count = report.inspect_err(|error| self.poison = Some(error.clone()))?;
        while let Ok(report) = self.durable.try_recv() {
            match report {
                Ok(more) => count += more,
                Err(error) => self.poison = Some(error),
            }
        }
        Ok(count)
    }
}

impl Drop for ThreadedWriter {
    fn drop(&mut self) {
        self.batches = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so itself, and there is nobody left to tell.
            let _panicked = thread.join();
        }
    }
}

/// The thread: until nobody can give more, or until the first error.
fn write_all(
    mut log: RocksLog,
    waiting: &mpsc::Receiver<Batch>,
    reports: &UnboundedSender<Result<usize, StorageError>>,
) {
    while let Ok(first) = waiting.recv() {
        let mut group = Group::default();
        let staged = stage_waiting(&mut log, first, waiting, &mut group);
        let batches = group.batches;
        let committed = if batches > 0 { log.commit(group) } else { Ok(()) };
        if committed.is_ok() && batches > 0 {
            // Nobody listens to a writer that is being dropped, and it goes on writing.
            let _unheard = reports.send(Ok(batches));
        }
        if let Err(error) = committed.and(staged) {
            let _unheard = reports.send(Err(error));
            return;
        }
    }
}

fn stage_waiting(
    log: &mut RocksLog,
    first: Batch,
    waiting: &mpsc::Receiver<Batch>,
    group: &mut Group,
) -> Result<(), StorageError> {
    log.stage(&first, group)?;
    while group.bytes() < GROUP_BYTES_MAX {
        let Ok(batch) = waiting.try_recv() else { break };
        log.stage(&batch, group)?;
    }
    Ok(())
}

/// What a simulated power cut does to a server's write-ahead log. A handle: it goes on telling of its store.
#[derive(Clone, Debug)]
pub struct SyncedWal {
    file: PathBuf,
    synced: Arc<AtomicU64>,
}

impl SyncedWal {
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
    sync: SimulatedSync,
    synced: SyncedWal,
    /// The length of the file after each batch that is not durable.
    lengths: VecDeque<u64>,
    poison: Option<StorageError>,
}

impl SimulatedWriter {
    /// What `log` holds now counts as synced.
    pub(crate) fn new<E: Environment>(
        log: RocksLog,
        path: &Path,
        environment: E,
        delay: SyncDelay,
    ) -> Result<Self, StorageError> {
        let what = "finding the write-ahead log";
        let file = wal::newest(path).map_err(StorageError::io(what))?;
        let none = || StorageError::Io { what, message: format!("none in {}", path.display()) };
        let file = file.ok_or_else(none)?;
        let synced = SyncedWal { synced: Arc::new(AtomicU64::new(length(&file)?)), file };
        let sync = SimulatedSync::new(environment, delay);
        Ok(Self { log, sync, synced, lengths: VecDeque::new(), poison: None })
    }

    pub(crate) const fn synced_wal(&self) -> &SyncedWal {
        &self.synced
    }

    pub(crate) fn write(&mut self, batch: &Batch) {
        if self.poison.is_some() {
            return;
        }
        match self.write_now(batch) {
            Ok(length) => {
                self.lengths.push_back(length);
                self.sync.handed_in();
            }
            Err(error) => self.poison = Some(error),
        }
    }

    pub(crate) async fn persisted(&mut self) -> Result<usize, StorageError> {
        if let Some(error) = self.poison.clone().filter(|_| self.sync.is_idle()) {
            return Err(error);
        }
        let count = self.sync.synced().await;
        if let Some(length) = self.lengths.drain(..count).next_back() {
            self.synced.synced.store(length, Ordering::Relaxed);
        }
        Ok(count)
    }

    fn write_now(&mut self, batch: &Batch) -> Result<u64, StorageError> {
        let mut group = Group::default();
        self.log.stage(batch, &mut group)?;
        self.log.commit(group)?;
        length(&self.synced.file)
    }
}

fn length(file: &Path) -> Result<u64, StorageError> {
    Ok(std::fs::metadata(file).map_err(StorageError::io("measuring the write-ahead log"))?.len())
}
