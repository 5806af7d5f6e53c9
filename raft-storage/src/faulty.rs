//! Any store, on a disk of which a test says what is wrong with it: for servers that are processes, and write and sync as they do
//! in production.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use raft_core::node::{Done, Environment, LogStore};
use raft_core::{Batch, Load};

use crate::error::StorageError;
use crate::opened::Opened;
use crate::simulated_faults::DiskFaults;
use crate::simulated_sync::{SimulatedSync, Synced};

/// A [`LogStore`] that does what the one in it does, and tells of it as a faulty disk would: later, never, or that it failed.
///
/// What is said to have failed was done all the same: a disk that refuses may have got as far. A call here is one to the
/// store, also where that answers it from memory.
pub struct FaultyStore {
    store: Box<dyn LogStore<Error = StorageError>>,
    faults: DiskFaults,
    /// Follows that of the store, and covers what that has covered.
    sync: SimulatedSync,
    /// Batches that were given and not refused, and that the store has not synced.
    written: usize,
    poison: Option<StorageError>,
}

/// What came first.
enum Next {
    Synced(Result<Synced, StorageError>),
    Done(Result<Done, StorageError>),
}

impl FaultyStore {
    /// The same store on a disk with `faults`. What takes longer does in the time of `environment`.
    pub fn over<S: LogStore<Error = StorageError>, E: Environment>(
        opened: Opened<S>,
        environment: E,
        faults: DiskFaults,
    ) -> Opened<Self> {
        let Opened { store, restored, incarnation, torn_bytes } = opened;
        let sync = SimulatedSync::new(environment, Box::new(|| Duration::ZERO), faults.clone());
        let store = Self { store: Box::new(store), faults, sync, written: 0, poison: None };
        Opened { store, restored, incarnation, torn_bytes }
    }

    /// Waits for a sync, or for the store as long as that has something to say. Cancel safe.
    async fn next(&mut self) -> Next {
        let is_asked = self.written > 0 || self.poison.is_none();
        let (mut synced, mut done) = (pin!(self.sync.synced()), self.store.done());
        poll_fn(|context| match synced.as_mut().poll(context) {
            Poll::Ready(synced) => Poll::Ready(Next::Synced(synced)),
            Poll::Pending if is_asked => done.as_mut().poll(context).map(Next::Done),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// Nothing more is done, and what is not told of yet never is.
    fn fail(&mut self, error: StorageError) {
        self.written = 0;
        self.poison.get_or_insert(error);
    }
}

#[async_trait]
impl LogStore for FaultyStore {
    type Error = StorageError;

    fn write(&mut self, batch: Batch) {
        if self.poison.is_some() {
            return;
        }
        self.store.write(batch);
        match self.faults.write() {
            Ok(()) => self.written += 1,
            Err(error) => self.poison = Some(error),
        }
    }

    fn load(&mut self, load: Load) {
        if self.poison.is_none() {
            self.store.load(load);
        }
    }

    async fn done(&mut self) -> Result<Done, StorageError> {
        loop {
            // What was given before it failed is told of first.
            if let Some(error) = self.poison.clone().filter(|_| self.written == 0 && self.sync.is_idle()) {
                return Err(error);
            }
            match self.next().await {
                Next::Synced(Ok(Synced { covers, .. })) => return Ok(Done::Persisted(covers)),
                Next::Done(Ok(Done::Persisted(batches))) => {
                    let told = batches.min(self.written);
                    self.written -= told;
                    self.sync.handed_in(told);
                }
                Next::Done(Ok(Done::Loaded(sound))) if self.poison.is_none() => {
                    match self.faults.read(sound) {
                        Ok(loaded) => return Ok(Done::Loaded(loaded)),
                        Err(error) => self.poison = Some(error),
                    }
                }
                Next::Done(Ok(Done::Loaded(_))) => {}
                Next::Synced(Err(error)) | Next::Done(Err(error)) => self.fail(error),
            }
        }
    }
}

impl fmt::Debug for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyStore").field("poison", &self.poison).finish_non_exhaustive()
    }
}
