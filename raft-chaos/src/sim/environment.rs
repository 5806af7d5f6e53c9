//! What a simulated host lives in: virtual time, pauses, and links that a plan cuts.

use std::future::Future;
use std::time::Duration;

use raft_core::node::{Environment, Point};
use raft_core::{Event, NodeId, Time};
use raft_net::{Fate, Links};
use tokio::time::{Instant, sleep_until};

use super::world::World;

/// The environment of one life of a host, made when it starts. Its time is the simulation's, so that it
/// goes on from one life to the next.
#[derive(Clone)]
pub(super) struct SimEnvironment {
    world: World,
    /// The server that lives here; clients are never paused.
    node: Option<NodeId>,
    origin: Instant,
    started: Duration,
    clock: Clock,
}

impl SimEnvironment {
    /// Must be called on a simulated host.
    pub(super) fn new(world: &World, node: Option<NodeId>, clock: Clock) -> Self {
        let started = turmoil::sim_elapsed().unwrap_or_default();
        Self { world: world.clone(), node, origin: Instant::now(), started, clock }
    }
}

/// A clock, by how much it runs faster than the simulation's, in millionths.
#[derive(Clone, Copy, Default)]
pub(super) struct Clock {
    pub(super) faster_ppm: u32,
}

impl Clock {
    const MILLION: u128 = 1_000_000;

    /// What it shows when the simulation has lasted so long.
    fn shows(self, elapsed: Duration) -> Time {
        let shown = elapsed.as_nanos() * (Self::MILLION + u128::from(self.faster_ppm)) / Self::MILLION;
        Time::from_nanos(u64::try_from(shown).unwrap_or(u64::MAX))
    }

    /// How long the simulation has lasted when it first shows that.
    fn elapsed(self, shown: Time) -> Duration {
        let rate = Self::MILLION + u128::from(self.faster_ppm);
        let elapsed = (u128::from(shown.as_nanos()) * Self::MILLION).div_ceil(rate);
        Duration::from_nanos(u64::try_from(elapsed).unwrap_or(u64::MAX))
    }
}

impl Environment for SimEnvironment {
    fn now(&self) -> Time {
        self.clock.shows(self.started + self.origin.elapsed())
    }

    fn sleep_until(&self, deadline: Time) -> impl Future<Output = ()> + Send {
        sleep_until(self.origin + self.clock.elapsed(deadline).saturating_sub(self.started))
    }

    async fn point(&self, _: Point) {
        if let Some(node) = self.node {
            self.world.while_paused(node).await;
        }
    }

    fn observe(&self, event: &Event) {
        if let Some(node) = self.node {
            self.world.observe(node, event);
        }
    }
}

/// The links between the servers, as the plan leaves them.
#[derive(Clone)]
pub(super) struct SimLinks(pub(super) World);

impl Links for SimLinks {
    fn fate(&self, from: NodeId, to: NodeId, kind: &'static str, bytes: usize) -> Fate {
        self.0.fate(from, to, kind, bytes)
    }

    fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        self.0.is_cut(from, to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each row: by how much a clock is faster, how long the simulation has lasted, and what the clock shows.
    #[test]
    fn a_fast_clock_shows_more_and_its_deadlines_come_sooner() {
        for (faster_ppm, elapsed_ms, shows_ms) in
            [(0, 1_000, 1_000), (500_000, 1_000, 1_500), (1_000_000, 1_000, 2_000), (10_000, 0, 0)]
        {
            let (clock, elapsed) = (Clock { faster_ppm }, Duration::from_millis(elapsed_ms));
            assert_eq!(clock.shows(elapsed), Time::ZERO.after(Duration::from_millis(shows_ms)));
            assert_eq!(clock.elapsed(clock.shows(elapsed)), elapsed);
        }
        let clock = Clock { faster_ppm: 1 };
        for nanos in 1_000_000_u64..1_000_100 {
            let deadline = Time::from_nanos(nanos);
            let elapsed = clock.elapsed(deadline);
            assert!(clock.shows(elapsed) >= deadline, "it has come");
            assert!(clock.shows(elapsed - Duration::from_nanos(1)) < deadline, "and not before");
        }
    }
}
