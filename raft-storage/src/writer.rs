//! When a write is synced, and when what was asked for is read: the two executors of the log writer. What
//! is written is the [log](crate::rocks_log)'s.
//!
//! In production a thread takes all the batches that wait, writes them as one and syncs once, then reads
//! what was asked for among them. In a simulation the caller's thread writes each batch and reads at once,
//! the operating system is never asked to sync, and a batch counts as durable after a while of virtual
//! time.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use raft_core::node::{Done, Environment};
use raft_core::{Batch, Load, Loaded};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::error::StorageError;
use crate::rocks_log::{Group, RocksLog};
use crate::simulated_sync::{SimulatedSync, SyncDelay};
use crate::wal;

/// A group of batches is closed once it has this many bytes, so that a backlog does not delay its
/// first batch for ever.
const GROUP_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What a store is asked to do, in order.
pub(crate) enum Job {
    Write(Batch),
    Load(Load),
}

/// The handle on the writer's thread. When it is dropped, what was given is written first.
pub(crate) struct ThreadedWriter {
    /// None only while this is being dropped.
    jobs: Option<mpsc::Sender<Job>>,
    reports: UnboundedReceiver<Result<Done, StorageError>>,
    thread: Option<JoinHandle<()>>,
    poison: Option<StorageError>,
}

impl ThreadedWriter {
    pub(crate) fn start(log: RocksLog) -> Result<Self, StorageError> {
        let (jobs, waiting) = mpsc::channel();
        let (sender, reports) = unbounded_channel();
        let thread = thread::Builder::new()
            .name("raft-log-writer".into())
            .spawn(move || carry_out_all(log, &waiting, &sender))
            .map_err(StorageError::io("starting the log writer"))?;
        Ok(Self { jobs: Some(jobs), reports, thread: Some(thread), poison: None })
    }

    /// A thread that has ended takes nothing more: [`done`](Self::done) says why.
    pub(crate) fn give(&self, job: Job) {
        if let Some(jobs) = &self.jobs {
            let _refused = jobs.send(job);
        }
    }

    pub(crate) async fn done(&mut self) -> Result<Done, StorageError> {
        if let Some(error) = &self.poison {
            return Err(error.clone());
        }
        let report = self.reports.recv().await.unwrap_or_else(|| {
            Err(StorageError::Io { what: "the log writer", message: "its thread has ended".into() })
        });
        report.inspect_err(|error| self.poison = Some(error.clone()))
    }
}

impl Drop for ThreadedWriter {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so itself, and there is nobody left to tell.
            let _panicked = thread.join();
        }
    }
}

/// The thread: until nobody can give more, or until the first error.
fn carry_out_all(
    mut log: RocksLog,
    waiting: &mpsc::Receiver<Job>,
    reports: &UnboundedSender<Result<Done, StorageError>>,
) {
    while let Ok(first) = waiting.recv() {
        let mut group = Group::default();
        let staged = stage_waiting(&mut log, first, waiting, &mut group);
        if let Err(error) = carry_out(&mut log, group, reports).and(staged) {
            let _unheard = reports.send(Err(error));
            return;
        }
    }
}

fn stage_waiting(
    log: &mut RocksLog,
    first: Job,
    waiting: &mpsc::Receiver<Job>,
    group: &mut Group,
) -> Result<(), StorageError> {
    let mut next = Some(first);
    while let Some(job) = next {
        match job {
            Job::Write(batch) => log.stage(&batch, group)?,
            Job::Load(load) => group.readings.push(log.ask(load)),
        }
        next = if group.bytes() < GROUP_BYTES_MAX { waiting.try_recv().ok() } else { None };
    }
    Ok(())
}

/// One sync for all batches of a group, then one report for them, and one for each thing that was read.
fn carry_out(
    log: &mut RocksLog,
    group: Group,
    reports: &UnboundedSender<Result<Done, StorageError>>,
) -> Result<(), StorageError> {
    // Nobody listens to a writer that is being dropped, and it goes on writing.
    let report = |done| drop(reports.send(Ok(done)));
    let batches = group.batches;
    let readings = log.commit(group)?;
    if batches > 0 {
        report(Done::Persisted(batches));
    }
    for reading in readings {
        report(Done::Loaded(log.read(&reading)?));
    }
    log.give_back()
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
    /// Read, and not told yet.
    loaded: VecDeque<Loaded>,
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
        let (lengths, loaded) = (VecDeque::new(), VecDeque::new());
        Ok(Self { log, sync, synced, lengths, loaded, poison: None })
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

    pub(crate) fn load(&mut self, load: Load) {
        if self.poison.is_some() {
            return;
        }
        match self.log.read(&self.log.ask(load)) {
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
        let count = self.sync.synced().await;
        if let Some(length) = self.lengths.drain(..count).next_back() {
            self.synced.synced.store(length, Ordering::Relaxed);
        }
        Ok(Done::Persisted(count))
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
