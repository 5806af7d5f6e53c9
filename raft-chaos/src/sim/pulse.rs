//! How a run stands, for those who watch it. When it is told depends on the clock on the wall; nothing in the simulation hears
//! of it.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// How often it is told.
const EVERY: Duration = Duration::from_millis(100);

/// How a run stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pulse {
    /// How much virtual time has gone by, in seconds.
    pub virtual_s: f64,
    /// Operations that were ok.
    pub ok: u64,
    /// Terms that had a leader; none where nothing is heard of that.
    pub elections: Option<u64>,
    /// The faults in force, by the names of what fired them.
    pub faults: Vec<String>,
}

/// Who hears how a run stands.
pub type Watcher = Box<dyn FnMut(&Pulse) + Send>;

/// Tells a watcher, and not too often.
pub(super) struct Beat {
    watcher: Watcher,
    last: Instant,
}

impl Beat {
    pub(super) fn new(watcher: Watcher) -> Self {
        Self { watcher, last: Instant::now() }
    }

    /// Tells how the run stands, if it is time to.
    pub(super) fn tell(&mut self, stands: impl FnOnce() -> Pulse) {
        if self.last.elapsed() >= EVERY {
            (self.watcher)(&stands());
            self.last = Instant::now();
        }
    }
}
