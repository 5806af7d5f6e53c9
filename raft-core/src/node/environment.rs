//! The real world: its clock, tokio's timers, and nobody who halts anything.

use std::future::{Future, ready};
use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::{Instant, sleep, sleep_until};

use super::{Environment, Point};
use crate::types::Time;

/// The environment of production: time since it was made, on a clock that goes on while the machine is suspended
/// where there is one, as leases (thesis 6.4.1) are over then.
///
/// That is CLOCK_BOOTTIME on Linux and Android; elsewhere the clock of [`std::time::Instant`], which stands still
/// in suspension on some systems. No clock goes on in a virtual machine that is halted or moved. After a
/// suspension waits are longer than asked for by at most what was left of them.
#[derive(Clone, Copy, Debug)]
pub struct SystemEnvironment {
    origin: clock::Moment,
}

impl SystemEnvironment {
    /// An environment whose time starts now.
    pub fn new() -> Self {
        Self { origin: clock::now() }
    }
}

impl Default for SystemEnvironment {
    fn default() -> Self {
        Self::new()
    }
}

impl Environment for SystemEnvironment {
    fn now(&self) -> Time {
        Time::ZERO.after(clock::since(self.origin))
    }

    fn sleep_until(&self, deadline: Time) -> impl Future<Output = ()> + Send {
        sleep(deadline.since(self.now()))
    }

    fn point(&self, _: Point) -> impl Future<Output = ()> + Send {
        ready(())
    }

    fn gather(&self) -> impl Future<Output = ()> + Send {
        yield_now()
    }
}

/// The clock that goes on in suspension.
#[cfg(any(target_os = "linux", target_os = "android"))]
mod clock {
    use std::time::Duration;

    use rustix::time::{ClockId, clock_gettime};

    /// Since the machine was booted.
    pub(super) type Moment = Duration;

    pub(super) fn now() -> Moment {
        let now = clock_gettime(ClockId::Boottime);
        // Neither is negative: the clock begins at zero, and its nanoseconds are less than a second.
        Duration::new(now.tv_sec.try_into().unwrap_or(0), now.tv_nsec.try_into().unwrap_or(0))
    }

    pub(super) fn since(origin: Moment) -> Duration {
        now().saturating_sub(origin)
    }
}

/// The best that the standard library has.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod clock {
    use std::time::{Duration, Instant};

    pub(super) type Moment = Instant;

    pub(super) fn now() -> Moment {
        Instant::now()
    }

    pub(super) fn since(origin: Moment) -> Duration {
        origin.elapsed()
    }
}

/// Time since it was made on tokio's clock, which tests can halt and wind on. It stands still while the machine is
/// suspended: no leases on it.
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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// The kernel says by another way how long ago the machine was booted, suspension included, to a hundredth
    /// of a second (proc(5), `/proc/uptime`).
    #[test]
    fn the_clock_counts_from_boot_with_suspension() {
        let uptime = || -> f64 {
            let text = std::fs::read_to_string("/proc/uptime").expect("Linux has it");
            text.split(' ').next().and_then(|first| first.parse().ok()).expect("seconds come first")
        };
        let (before, now, after) = (uptime(), clock::now().as_secs_f64(), uptime());
        assert!((before - 0.02..after + 0.02).contains(&now), "{before} {now} {after}");
    }

    #[tokio::test]
    async fn a_deadline_has_come_when_the_wait_is_over() {
        let environment = SystemEnvironment::new();
        let deadline = environment.now().after(Duration::from_millis(20));
        environment.sleep_until(deadline).await;
        assert!(environment.now() >= deadline);
        environment.sleep_until(deadline).await;
    }
}
