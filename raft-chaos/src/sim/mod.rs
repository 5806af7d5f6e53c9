//! A plan in the simulated world: real nodes under turmoil, in virtual time, the same for the same seed.
//!
//! | file | is |
//! | --- | --- |
//! | `server.rs` | a host: node, transport, store, state machine |
//! | `workload.rs` | the clients, on one host of their own |
//! | `faults.rs` | the plan's events |
//! | `progress.rs` | what the cluster owes, and whether it pays |
//! | `world.rs` | what all of these know of each other |
//! | `trace.rs` | everything that happens, hashed and written down |
//!
//! Judging what happened is not here.

mod environment;
mod faults;
mod progress;
mod server;
mod trace;
mod workload;
mod world;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use raft_core::{LogIndex, NodeId, PlantedBug, Rng, Term, Time};
use serde::Serialize;

use crate::history::{F, History};
use crate::plan::Plan;
use faults::Faults;
use progress::Progress;
use server::{Disk, Server, host_name};
pub use trace::Listener;
use trace::{Happening, Trace};
use workload::Clients;
use world::World;

/// How many segments, and connections that wait, a simulated socket holds.
const TCP_CAPACITY: usize = 1024;

/// Whether nodes are running, so that a panic is theirs and not this tool's.
pub static NODES_RUN: AtomicBool = AtomicBool::new(false);

/// How a run is done.
#[derive(Default)]
pub struct Options {
    /// Where RocksDB keeps its files; emptied by nobody but its owner.
    pub scratch: PathBuf,
    /// Where `events.jsonl` goes.
    pub events: Option<Box<dyn Write + Send>>,
    /// Where `history.jsonl` goes.
    pub history: Option<Box<dyn Write + Send>>,
    /// Who hears the story as it unfolds.
    pub listener: Option<Listener>,
    /// The bug that every server has on purpose.
    pub planted: Option<Planted>,
}

/// A bug that tests plant. A build without the feature `planted-bugs` can hold none.
#[derive(Clone, Copy, Debug)]
pub enum Planted {
    /// One of the protocol's.
    Raft(PlantedBug),
    /// The state machine panics at its hundredth entry.
    #[cfg(feature = "planted-bugs")]
    Panic,
}

/// What happened in a run.
#[derive(Debug, Default)]
pub struct Ran {
    /// What clients saw.
    pub history: History,
    /// The operations that took effect, in the order of the log.
    pub witness: Vec<(LogIndex, u64)>,
    /// Invariants that were broken: when, which, and how.
    pub violations: Vec<Violation>,
    /// Servers that ended by themselves, and why.
    pub ends: Vec<(NodeId, String)>,
    /// Each firing of an event: its name, its time, its evidence as JSON, and whether it had effect.
    pub firings: Vec<Firing>,
    /// Events that had to fire and did not.
    pub unfired: Vec<String>,
    /// What was missed while progress was owed.
    pub missed: Vec<String>,
    /// What the warm-up did not bring.
    pub cold: Option<String>,
    /// How soon the cluster led and committed again after each heal.
    pub recoveries: Vec<Recovery>,
    /// Latencies, successes and gaps.
    pub operations: Operations,
    /// Terms in which a leader was elected, counted from the end of the warm-up.
    pub elections: u64,
    /// By how much the highest term rose since then.
    pub terms: u64,
    /// The last committed entry.
    pub committed: LogIndex,
    /// How often a server started again.
    pub restarts: u64,
    /// Names everything that happened, in order.
    pub event_hash: u64,
    /// How long the run was in virtual time.
    pub virtual_time: Duration,
}

/// An invariant that was broken.
#[derive(Clone, Debug)]
pub struct Violation {
    /// When, in nanoseconds of virtual time.
    pub time_ns: u64,
    /// Its name in a plan.
    pub property: &'static str,
    /// The sentence, with the servers.
    pub sentence: String,
}

/// One firing of an event.
#[derive(Clone, Debug, Serialize)]
pub struct Firing {
    /// The event.
    pub event: String,
    /// When, in nanoseconds of virtual time.
    pub time_ns: u64,
    /// What the fault is known to have done.
    pub evidence: serde_json::Value,
    /// Whether that is anything.
    #[serde(skip)]
    pub had_effect: bool,
}

/// What followed a heal; milliseconds of virtual time, none where it did not come before the next one.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Recovery {
    /// When the heal was, since the start of the run.
    pub at: u64,
    /// How long until there was a leader.
    pub leader: Option<u64>,
    /// How long until an entry was committed.
    pub commit: Option<u64>,
}

/// The clients' numbers.
#[derive(Clone, Debug, Default)]
pub struct Operations {
    /// Latencies of operations that were ok, in microseconds, sorted, by kind.
    pub latencies_us: BTreeMap<F, Vec<u64>>,
    /// The longest time without an ok, from the end of the warm-up on.
    pub ok_gap_ms: u64,
    /// Of the operations begun after the first `commit_within` of `settle`: how many were ok, and how
    /// many ended.
    pub settled: (u64, u64),
    /// Whether progress was owed then.
    pub owed: bool,
}

impl Operations {
    /// The latencies of all operations that were ok, in microseconds, sorted.
    pub fn all_us(&self) -> Vec<u64> {
        let mut all: Vec<_> = self.latencies_us.values().flatten().copied().collect();
        all.sort_unstable();
        all
    }
}

/// Runs a plan with one seed.
///
/// # Errors
///
/// `events` or `history` could not be written.
pub fn run(plan: &Plan, seed: u64, options: Options) -> io::Result<Ran> {
    let Options { scratch, events, history, listener, planted } = options;
    let mut rng = Rng::new(seed);
    let nodes = plan.cluster.nodes();
    let warm = Time::ZERO.after(plan.run.warmup);
    let trace = Trace::new(events, listener, warm);
    let world = World::new(&nodes, plan.sim.link.clone(), rng.next_u64(), trace);
    let mut sim = build(plan, rng.next_u64());
    for &id in &nodes {
        world.booted(id);
        let server = Server {
            id,
            cluster: plan.cluster.clone(),
            world: world.clone(),
            disk: Disk::new(plan.cluster.storage, scratch.join(host_name(id))),
            seed: rng.next_u64(),
            planted,
        };
        sim.host(host_name(id), move || server.clone().live());
    }
    let clients = Clients::new(&plan.workload, nodes.clone(), world.clone());
    sim.client("clients", clients.clone().run(rng.next_u64()));
    let faults = Faults::new(&plan.events, world.clone(), rng.next_u64(), warm, plan.run.duration);
    let progress = Progress::new(&nodes, &plan.check.liveness);
    let recoveries = Vec::new();
    Run { plan, sim, world, clients, faults, progress, recoveries, file: history, written: 0 }.play()
}

fn build(plan: &Plan, seed: u64) -> turmoil::Sim<'static> {
    let mut builder = turmoil::Builder::new();
    builder
        .rng_seed(seed)
        .epoch(SystemTime::UNIX_EPOCH)
        .tick_duration(plan.sim.tick)
        .simulation_duration(Duration::MAX)
        // What a message takes is decided for each by itself, in `World::fate`.
        .min_message_latency(Duration::ZERO)
        .max_message_latency(Duration::ZERO)
        .tcp_capacity(TCP_CAPACITY);
    if plan.sim.shuffle_hosts {
        builder.enable_random_order();
    }
    builder.build()
}

struct Run<'a> {
    plan: &'a Plan,
    sim: turmoil::Sim<'static>,
    world: World,
    clients: Clients,
    faults: Faults,
    progress: Progress,
    recoveries: Vec<Recovery>,
    /// Where the history goes as it happens, and how much of it is there.
    file: Option<Box<dyn Write + Send>>,
    written: usize,
}

impl Run<'_> {
    fn play(mut self) -> io::Result<Ran> {
        let run = &self.plan.run;
        self.phase("warm-up");
        self.advance_to(run.warmup)?;
        let (leaders, term) = (self.world.leaders().len(), self.world.highest_term());
        let cold = self.cold();
        self.phase("faults");
        self.advance_to(run.warmup + run.duration)?;
        self.phase("all is healed");
        let healed = self.sim.elapsed();
        self.advance_to(run.warmup + run.duration + run.settle)?;
        // With nothing left to settle, what is due at this very moment is undone all the same.
        self.faults.advance(Time::ZERO.after(self.sim.elapsed()), &mut self.sim);
        self.faults.finish();
        self.drain()?;
        let owed = self
            .progress
            .owed_since()
            .is_some_and(|since| since.as_nanos() <= nanos(healed + run.settle / 2));
        let event_hash = self.world.trace(|trace| trace.finish().map(|()| trace.hash()))?;
        Ok(self.result(cold, leaders, term, healed, owed, event_hash))
    }

    fn phase(&self, phase: &'static str) {
        self.world.happened(&Happening::Phase { phase });
    }

    fn advance_to(&mut self, end: Duration) -> io::Result<()> {
        while self.sim.elapsed() < end {
            let now = Time::ZERO.after(self.sim.elapsed());
            self.world.set_now(now);
            self.faults.advance(now, &mut self.sim);
            self.step();
            self.progress.advance(now, &self.world, self.clients.waiting_since());
            self.recover(now);
            self.write_history()?;
        }
        Ok(())
    }

    /// Everything runs for one tick. What panics meanwhile is a node, or a client of one.
    fn step(&mut self) {
        NODES_RUN.store(true, Ordering::Relaxed);
        // A host never fails, and clients never end: what goes wrong is in the world.
        drop(self.sim.step());
        NODES_RUN.store(false, Ordering::Relaxed);
    }

    /// No operation begins any more; those under way come to their ends, which takes no longer than
    /// they may.
    fn drain(&mut self) -> io::Result<()> {
        self.clients.stop();
        while self.clients.is_waiting() {
            self.world.set_now(Time::ZERO.after(self.sim.elapsed()));
            self.step();
        }
        self.write_history()
    }

    fn write_history(&mut self) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            self.written = self.clients.write_history(self.written, file)?;
        }
        Ok(())
    }

    /// What a warm-up has to bring and this one did not.
    fn cold(&self) -> Option<String> {
        if self.plan.run.warmup.is_zero() {
            None
        } else if self.world.leaders().is_empty() {
            Some(format!("the warm-up of {:?} ended without a leader", self.plan.run.warmup))
        } else if self.clients.ok() == 0 {
            Some(format!("the warm-up of {:?} ended without one operation that was ok", self.plan.run.warmup))
        } else {
            None
        }
    }

    fn recover(&mut self, now: Time) {
        if let Some(&heal) = self.faults.heals().get(self.recoveries.len()) {
            self.recoveries.push(Recovery { at: millis(heal.since(Time::ZERO)), leader: None, commit: None });
        }
        let Some(last) = self.recoveries.last_mut().filter(|last| last.commit.is_none()) else { return };
        let heal = Time::from_nanos(last.at * 1_000_000);
        if last.leader.is_none() && self.progress.is_led() {
            last.leader = Some(millis(now.since(heal)));
        }
        let (_, committed) = self.world.committed();
        if last.leader.is_some() && committed >= heal {
            last.commit = Some(millis(committed.since(heal)));
        }
    }

    fn result(
        self,
        cold: Option<String>,
        leaders: usize,
        term: Term,
        healed: Duration,
        owed: bool,
        event_hash: u64,
    ) -> Ran {
        let (history, ended) = self.clients.take();
        let warm = Time::ZERO.after(self.plan.run.warmup);
        let end = Time::ZERO.after(self.sim.elapsed());
        let from = Time::ZERO.after(healed + self.plan.check.liveness.commit_within);
        let operations = operations(&ended, warm, end, from, owed);
        let firing = |firing: &faults::Firing| Firing {
            event: firing.event.clone(),
            time_ns: firing.time_ns,
            evidence: serde_json::to_value(&firing.evidence).unwrap_or_default(),
            had_effect: firing.evidence.had_effect(),
        };
        let violation = |violation: &world::Violation| Violation {
            time_ns: violation.at.as_nanos(),
            property: violation.property,
            sentence: violation.to_string(),
        };
        let servers = self.world.servers();
        Ran {
            history,
            witness: self.world.witness(),
            violations: self.world.violations().iter().map(violation).collect(),
            ends: self.world.ends(),
            firings: self.faults.firings().iter().map(firing).collect(),
            unfired: self.faults.unfired(),
            missed: [self.progress.no_leader, self.progress.no_commit].into_iter().flatten().collect(),
            cold,
            recoveries: self.recoveries,
            operations,
            elections: (self.world.leaders().len() - leaders) as u64,
            terms: self.world.highest_term().get() - term.get(),
            committed: self.world.committed().0,
            restarts: servers.values().map(|server| server.life.saturating_sub(1)).sum(),
            event_hash,
            virtual_time: self.sim.elapsed(),
        }
    }
}

fn operations(ended: &[workload::Ended], warm: Time, end: Time, from: Time, owed: bool) -> Operations {
    let mut operations = Operations { owed, ..Operations::default() };
    let (mut last_ok, mut gap) = (warm, Duration::ZERO);
    for operation in ended.iter().filter(|operation| operation.ok) {
        let latency = operation.ended.since(operation.began).as_micros();
        let latencies = operations.latencies_us.entry(operation.f).or_default();
        latencies.push(u64::try_from(latency).unwrap_or(u64::MAX));
        gap = gap.max(operation.ended.since(last_ok));
        last_ok = last_ok.max(operation.ended);
    }
    operations.latencies_us.values_mut().for_each(|latencies| latencies.sort_unstable());
    operations.ok_gap_ms = millis(gap.max(end.since(last_ok)));
    let settled = || ended.iter().filter(|operation| operation.began >= from);
    let ok = settled().filter(|operation| operation.ok).count() as u64;
    operations.settled = (ok, settled().count() as u64);
    operations
}

fn nanos(duration: Duration) -> u64 {
    Time::ZERO.after(duration).as_nanos()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
