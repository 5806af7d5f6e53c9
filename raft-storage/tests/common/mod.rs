//! What the tests share: a world whose clock moves on by itself.

use std::time::Duration;

use raft_core::Time;
use raft_core::node::{Environment, Point};
use raft_storage::{DiskFaults, SyncDelay};
use tokio::time::{Instant, sleep_until};

/// Tokio's paused clock.
#[derive(Clone)]
pub(crate) struct PausedClock {
    origin: Instant,
}

impl PausedClock {
    pub(crate) fn new() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Environment for PausedClock {
    fn now(&self) -> Time {
        Time::ZERO.after(self.origin.elapsed())
    }

    async fn sleep_until(&self, deadline: Time) {
        sleep_until(self.origin + deadline.since(Time::ZERO)).await;
    }

    async fn point(&self, _: Point) {}
}

/// 1, 2, ... 7 ms, and again.
pub(crate) fn delays() -> SyncDelay {
    let mut nth = 0;
    Box::new(move || {
        nth = nth % 7 + 1;
        Duration::from_millis(nth)
    })
}

/// A disk on which all goes well.
pub(crate) fn sound() -> DiskFaults {
    DiskFaults::new(0)
}
