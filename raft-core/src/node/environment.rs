//! The real world: tokio's clock, and nobody who halts anything.

use std::future::{Future, ready};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::{Environment, Point};
use crate::types::Time;

/// The environment of production: time since it was made, on tokio's monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct TokioEnvironment {
    origin: Instant,
}

impl TokioEnvironment {
    /// An environment whose time starts now.
    pub fn new() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Default for TokioEnvironment {
    fn default() -> Self {
        Self::new()
    }
}

impl Environment for TokioEnvironment {
    fn now(&self) -> Time {
        Time::ZERO.after(self.origin.elapsed())
    }

    fn sleep_until(&self, deadline: Time) -> impl Future<Output = ()> + Send {
        sleep_until(self.origin + Duration::from_nanos(deadline.as_nanos()))
    }

    fn point(&self, _: Point) -> impl Future<Output = ()> + Send {
        ready(())
    }
}
