//! What a simulated host lives in: virtual time, pauses, and links that a plan cuts.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use raft_core::node::{Environment, Point};
use raft_core::{Envelope, Event, NodeId, Raft, Time};
use raft_net::{Fate, Links};
use tokio::time::{Instant, sleep_until};

use super::clock::Clock;
use super::world::World;

/// A host whose deadline has passed so often at one moment, one time after the other, does nothing about it, and virtual time
/// stands still for it for ever.
const SPINS_MAX: u32 = 100_000;

/// How often a host did not have to wait at the moment at which it was last.
#[derive(Debug, Default)]
struct Spins(Mutex<(Duration, u32)>);

impl Spins {
    /// It does not have to wait at this moment; how often that was so.
    fn again(&self, at: Duration) -> u32 {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *last = if last.0 == at { (at, last.1 + 1) } else { (at, 1) };
        last.1
    }
}

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
    spins: Arc<Spins>,
}

impl SimEnvironment {
    /// Must be called on a simulated host.
    pub(super) fn new(world: &World, node: Option<NodeId>, clock: Clock) -> Self {
        let started = turmoil::sim_elapsed().unwrap_or_default();
        Self { world: world.clone(), node, origin: Instant::now(), started, clock, spins: Arc::default() }
    }

    /// A deadline has passed before anybody waits for it.
    ///
    /// # Panics
    ///
    /// The host has done nothing else for a long time.
    fn does_not_wait(&self) {
        let spins = self.spins.again(self.origin.elapsed());
        assert!(
            spins < SPINS_MAX,
            "{} spins: a deadline of it has passed, {spins} times at one moment, and it does nothing about it",
            self.node.map_or_else(|| "a client".to_owned(), |node| node.to_string())
        );
    }
}

impl Environment for SimEnvironment {
    fn now(&self) -> Time {
        self.clock.shows(self.started + self.origin.elapsed())
    }

    async fn sleep_until(&self, deadline: Time) {
        if self.now() >= deadline {
            self.does_not_wait();
        }
        let wait = |elapsed: Duration| sleep_until(self.origin + elapsed.saturating_sub(self.started));
        self.clock.reaches(deadline, || self.started + self.origin.elapsed(), wait).await;
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

    fn receives(&self, raft: &Raft, envelope: &Envelope) {
        self.world.met(raft, envelope);
    }
}

/// The links between the servers, as the plan leaves them.
#[derive(Clone)]
pub(crate) struct SimLinks(pub(crate) World);

impl Links for SimLinks {
    fn fate(&self, from: NodeId, to: NodeId, kind: &'static str, bytes: usize) -> Fate {
        self.0.fate(from, to, kind, bytes)
    }

    fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        self.0.is_cut(from, to)
    }

    fn holds(&self, from: NodeId, to: NodeId, kind: &'static str) -> bool {
        self.0.network(|network| network.faults.holds((from, to), kind))
    }

    fn sends(&self, envelope: &Envelope) {
        self.0.sends(envelope);
    }

    fn receives(&self, envelope: &Envelope, lost: bool) {
        self.0.receives(envelope, lost);
    }
}
