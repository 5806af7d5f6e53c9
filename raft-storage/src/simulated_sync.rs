//! A sync of which a test says how long it takes and what becomes of it, and which writes it covers.
//!
//! One sync is in flight at a time. It covers the writes handed in before it started; those handed in
//! meanwhile wait for the next one, as they do for the log writer's thread. No operating system is
//! asked to sync anything.

use std::future::{Future, pending};
use std::mem;
use std::pin::Pin;
use std::time::Duration;

use raft_core::node::Environment;

use crate::error::StorageError;
use crate::simulated_faults::DiskFaults;

/// Draws how long the next simulated sync takes. Give it a seeded generator.
pub type SyncDelay = Box<dyn FnMut() -> Duration + Send>;

type Sync = Pin<Box<dyn Future<Output = Result<bool, StorageError>> + Send>>;

/// What a sync that has ended says.
pub(crate) struct Synced {
    /// How many writes it covers, the oldest first.
    pub(crate) covers: usize,
    /// Whether they are durable.
    pub(crate) durable: bool,
}

pub(crate) struct SimulatedSync {
    start: Box<dyn FnMut() -> Sync + Send>,
    in_flight: Option<InFlight>,
    /// Writes that no sync covers yet.
    waiting: usize,
}

struct InFlight {
    sync: Sync,
    covers: usize,
}

impl SimulatedSync {
    pub(crate) fn new<E: Environment>(environment: E, mut delay: SyncDelay, faults: DiskFaults) -> Self {
        let start = move || -> Sync {
            let (environment, sync) = (environment.clone(), faults.sync());
            let long = delay().saturating_add(sync.longer);
            let deadline = environment.now().after(long);
            Box::pin(async move {
                // A timer takes its time, also one of none.
                if !long.is_zero() {
                    environment.sleep_until(deadline).await;
                }
                sync.end().await
            })
        };
        Self { start: Box::new(start), in_flight: None, waiting: 0 }
    }

    /// So many more writes have to become durable.
    pub(crate) fn handed_in(&mut self, writes: usize) {
        self.waiting += writes;
        if self.in_flight.is_none() && self.waiting > 0 {
            self.start_next();
        }
    }

    /// Whether every write handed in has been told of.
    pub(crate) const fn is_idle(&self) -> bool {
        self.in_flight.is_none()
    }

    /// Waits for the sync in flight and says what it covers; with none in flight, waits for ever. Cancel safe: the sync goes on, and the next call tells of it. After one that failed there is none.
    pub(crate) async fn synced(&mut self) -> Result<Synced, StorageError> {
        let Some(InFlight { sync, covers }) = &mut self.in_flight else {
            return pending().await;
        };
        let ended = sync.await;
        let covers = *covers;
        self.in_flight = None;
        let durable = ended?;
        if self.waiting > 0 {
            self.start_next();
        }
        Ok(Synced { covers, durable })
    }

    fn start_next(&mut self) {
        self.in_flight = Some(InFlight { sync: (self.start)(), covers: mem::take(&mut self.waiting) });
    }
}
