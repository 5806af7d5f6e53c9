//! The clock that a node goes by: this machine's, or one that a test sets off.

use std::time::Duration;

use raft_core::Time;
use raft_core::node::{Environment, Point, SystemEnvironment};

use crate::sim::Clock;

/// The environment of a node.
#[derive(Clone)]
pub(super) struct NodeEnvironment {
    system: SystemEnvironment,
    /// How it is off, in a test.
    clock: Option<Clock>,
}

impl NodeEnvironment {
    pub(super) const fn new(system: SystemEnvironment, clock: Option<Clock>) -> Self {
        Self { system, clock }
    }
}

impl Environment for NodeEnvironment {
    fn now(&self) -> Time {
        let now = self.system.now();
        self.clock.as_ref().map_or(now, |clock| clock.shows(now.since(Time::ZERO)))
    }

    async fn sleep_until(&self, deadline: Time) {
        let Some(clock) = &self.clock else { return self.system.sleep_until(deadline).await };
        let wait = |elapsed: Duration| self.system.sleep_until(Time::ZERO.after(elapsed));
        clock.reaches(deadline, || self.system.now().since(Time::ZERO), wait).await;
    }

    async fn point(&self, point: Point) {
        self.system.point(point).await;
    }

    async fn gather(&self) {
        self.system.gather().await;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tokio::time::timeout;

    use super::*;
    use crate::plan::ClockFault;
    use crate::sim::ClockFaultId;

    /// Whoever waits for an hour on a clock that becomes very fast meanwhile has waited long enough.
    #[tokio::test]
    async fn a_wait_is_over_when_the_clock_says_so() {
        let (system, clock) = (SystemEnvironment::new(), Clock::new(0));
        let environment = NodeEnvironment::new(system, Some(clock.clone()));
        let hour = environment.now().after(Duration::from_secs(3600));
        let waits = tokio::spawn({
            let environment = environment.clone();
            async move { environment.sleep_until(hour).await }
        });
        tokio::task::yield_now().await;
        let fault = ClockFault { drift_ppm: 1_000_000_000_000, jump_ns: 0 };
        clock.follow(system.now().since(Time::ZERO), &BTreeMap::from([(ClockFaultId(1), fault)]));
        timeout(Duration::from_secs(60), waits).await.unwrap().unwrap();
        assert!(environment.now() >= hour && system.now() < hour);
    }
}
