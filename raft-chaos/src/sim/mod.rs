//! A plan in the simulated world: real nodes under turmoil, in virtual time, the same for the same seed.
//!
//! | file | is |
//! | --- | --- |
//! | `server.rs` | a host: node, transport, store, state machine |
//! | `workload.rs`, `seen.rs` | the clients, on one host of their own, and what they see |
//! | `sessions.rs` | what makes a command that is sent again apply once |
//! | `schedule.rs`, `moments.rs`, `chaos.rs` | when the plan's events and its chaos fire |
//! | `faults.rs`, `evidence.rs` | what they do, and what they are known to have done |
//! | `disk.rs` | what survives a server's crash, and how it is damaged |
//! | `clock.rs` | a machine's clock, and how far it is off |
//! | `door.rs` | where clients come in |
//! | `membership.rs` | who takes part, and what servers are asked to change about it |
//! | `machines.rs` | lives of servers, and how they end |
//! | `network.rs`, `links.rs` | the links between the servers, and what the plan does to messages on them |
//! | `progress.rs` | what the cluster owes, and whether it pays |
//! | `agreement.rs` | whether the state machines do the same |
//! | `tally.rs` | what is counted |
//! | `options.rs`, `pulse.rs`, `ran.rs` | how a run is done, how it stands, and what came of it |
//! | `world.rs`, `servers.rs` | what all of these know of each other |
//! | `planted.rs` | bugs that tests plant |
//! | `trace.rs`, `messages.rs` | everything that happens, hashed and written down |
//!
//! Judging what happened is not here.

mod agreement;
mod chaos;
mod clock;
mod disk;
mod door;
mod environment;
mod evidence;
mod faults;
mod links;
mod machines;
mod membership;
pub(crate) mod messages;
mod moments;
mod network;
mod options;
mod planted;
mod progress;
mod pulse;
mod ran;
mod schedule;
mod script;
mod seen;
mod server;
mod servers;
mod sessions;
mod tally;
pub(crate) mod trace;
mod violation;
mod workload;
mod world;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use raft_core::{Incarnation, Member, NodeId, Rng, Term, Time};

use crate::data::{self, DataType};
use crate::mix::mix;
use crate::plan::{Action, Plan, Reads, Retries};
pub use chaos::Skipped;
use clock::Clock;
use disk::Disk;
use faults::Faults;
use machines::Machines;
pub use options::Options;
#[cfg(feature = "planted-bugs")]
pub use planted::IDLE;
pub use planted::Planted;
use progress::Progress;
use pulse::Beat;
pub use pulse::{Pulse, Watcher};
pub use ran::{Firing, Operations, Ran, Recovery, Violation};
pub use script::Fired;
use server::{CLIENTS, Server, host_name};
use tally::Tally;
use trace::{Happening, Trace};
pub use trace::{Listener, Telling};
use workload::Clients;
use world::World;

/// How many segments, and connections that wait, a simulated socket holds.
const TCP_CAPACITY: usize = 1024;

/// Whether nodes are running, so that a panic is theirs and not this tool's.
pub static NODES_RUN: AtomicBool = AtomicBool::new(false);

/// Runs a plan with one seed.
///
/// # Errors
///
/// `events`, `history` or `schedule` could not be written.
pub fn run(plan: &Plan, seed: u64, options: Options) -> io::Result<Ran> {
    run_as(plan, seed, options, data::of(&plan.workload).into())
}

/// Runs a plan with one seed, on a data type of one's own: it takes the place of the plan's `workload.kind` and `workload.mix`, and
/// all else is as the plan says.
///
/// # Errors
///
/// `events`, `history` or `schedule` could not be written.
pub fn run_as(plan: &Plan, seed: u64, options: Options, data: Arc<dyn DataType>) -> io::Result<Ran> {
    let Options { scratch, events, messages, history, schedule, script, listener, watcher, telling, planted } =
        options;
    let mut rng = Rng::new(seed);
    let nodes = plan.cluster.nodes();
    let warm = Time::ZERO.after(plan.run.warmup);
    let trace = Trace::new(events, listener, telling, warm).with_messages(messages);
    let world = World::new(&nodes, plan.sim.link.clone(), rng.next_u64() ^ planted::leaked(planted), trace);
    let mut sim = build(plan, rng.next_u64());
    let drawn: BTreeMap<_, _> =
        nodes.iter().map(|&id| (id, (rng.next_u64(), clock(plan, &mut rng)))).collect();
    let disk = |(&id, (seed, _)): (&NodeId, &(u64, Clock))| {
        (id, Disk::new(plan.cluster.storage, scratch.join(id.get().to_string()), mix(*seed, "disk")))
    };
    let disks: BTreeMap<_, _> = drawn.iter().map(disk).collect();
    let lives: BTreeMap<_, _> = drawn.iter().map(|(&id, (seed, _))| (id, Incarnation(*seed))).collect();
    let first = plan.cluster.first(|id| Member::bound(id, lives.get(&id).copied().unwrap_or_default()));
    world.begin(first.clone(), lives);
    for (&id, &(seed, ref clock)) in &drawn {
        world.booted(id);
        let server = Server {
            id,
            cluster: plan.cluster.clone(),
            world: world.clone(),
            disk: disks[&id].clone(),
            seed,
            clock: clock.clone(),
            first: first.clone(),
            sessions: plan.workload.retries != Retries::None,
            data: Arc::clone(&data),
            planted,
        };
        sim.host(host_name(id), move || server.clone().live());
    }
    let clients = Clients::new(plan, data, world.clone());
    sim.client(CLIENTS, clients.clone().run(rng.next_u64()));
    let clocks = drawn.into_iter().map(|(id, (_, clock))| (id, clock)).collect();
    let machines = Machines::new(disks, clocks, world.clone());
    let faults = Faults::new(plan, machines, world.clone(), seed).with_bug(planted).with_script(script);
    let progress = Progress::new(&plan.check.liveness);
    let recoveries = Vec::new();
    let files = Files { history, events_written: 0, schedule, firings_written: 0 };
    let beat = watcher.map(Beat::new);
    Run { plan, sim, world, clients, faults, progress, recoveries, files, beat }.play()
}

/// A server's clock. Where leases rest on clocks, every second one is as slow or as fast as they may be, unless the plan
/// says itself how they drift.
fn clock(plan: &Plan, rng: &mut Rng) -> Clock {
    let drifts = |action: &Action| matches!(action, Action::Clock { fault, .. } if fault.drift_ppm != 0);
    let events = plan.events.iter().map(|event| &event.action);
    let mut actions = events.chain(plan.chaos.iter().map(|chaos| &chaos.action));
    let fastest = match plan.cluster.read {
        Reads::Lease { drift } if !actions.any(drifts) => drift.ppm(),
        Reads::Lease { .. } | Reads::Log | Reads::ReadIndex => 0,
    };
    let between = rng.below(u64::from(fastest) + 1);
    let faster = rng.pick(&[0, u64::from(fastest), between, between]).copied();
    Clock::new(faster.and_then(|ppm| u32::try_from(ppm).ok()).unwrap_or(0))
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
    files: Files,
    beat: Option<Beat>,
}

/// Where the history and the schedule go as they happen, and how much of them is there.
struct Files {
    history: Option<Box<dyn Write + Send>>,
    events_written: usize,
    schedule: Option<Box<dyn Write + Send>>,
    firings_written: usize,
}

/// What there was at the end of the warm-up.
struct Warm {
    leaders: usize,
    term: Term,
    tally: Tally,
    /// What it had to bring and did not.
    cold: Option<String>,
}

impl Run<'_> {
    fn play(mut self) -> io::Result<Ran> {
        let run = &self.plan.run;
        self.phase("warm-up");
        self.advance_to(run.warmup)?;
        let warm = Warm {
            leaders: self.world.leaders().len(),
            term: self.world.highest_term(),
            tally: self.world.tally(),
            cold: self.cold(),
        };
        self.phase("faults");
        self.advance_to(run.warmup + run.duration)?;
        self.phase("all is healed");
        let healed = self.sim.elapsed();
        self.advance_to(run.warmup + run.duration + run.settle)?;
        let cut_short = self.is_over();
        if cut_short {
            self.tell_servers();
        } else {
            // With nothing left to settle, what is due at this very moment is undone all the same.
            self.faults.advance(Time::ZERO.after(self.sim.elapsed()), &mut self.sim);
            self.faults.finish();
            self.drain()?;
        }
        let owed = self
            .progress
            .owed_since()
            .is_some_and(|since| since.as_nanos() <= nanos(healed + run.settle / 2));
        let event_hash = self.world.trace(|trace| trace.hash());
        Ok(Ran { cut_short, ..self.result(warm, healed, owed, event_hash) })
    }

    /// Whether the last event has come that anybody wants.
    fn is_over(&self) -> bool {
        self.world.trace(|trace| trace.is_over())
    }

    /// What every server is at the end of a run that was cut short.
    fn tell_servers(&self) {
        let now = Time::ZERO.after(self.sim.elapsed());
        for (id, server) in self.world.servers() {
            let how = match (server.running, server.paused) {
                (false, _) => "is down",
                (true, 0) => "runs",
                (true, _) => "is paused",
            };
            let (role, term, snapshot) = (server.role, server.term, server.snapshot);
            let text = format!("{id} {how}: {role} in {term}, its snapshot goes up to {snapshot}");
            self.world.trace(|trace| trace.tell(now, &text));
        }
    }

    fn phase(&self, phase: &'static str) {
        self.world.set_now(Time::ZERO.after(self.sim.elapsed()));
        self.world.happened(&Happening::Phase { phase: phase.into() });
    }

    fn advance_to(&mut self, end: Duration) -> io::Result<()> {
        while self.sim.elapsed() < end && !self.is_over() {
            let now = Time::ZERO.after(self.sim.elapsed());
            self.world.set_now(now);
            self.faults.advance(now, &mut self.sim);
            self.step();
            self.progress.advance(now, &self.world, self.clients.waiting_since());
            self.recover(now);
            self.write_down()?;
            self.tell_watcher();
        }
        Ok(())
    }

    /// Whoever watches hears from time to time how it stands.
    fn tell_watcher(&mut self) {
        let Some(beat) = &mut self.beat else { return };
        beat.tell(|| Pulse {
            virtual_s: self.sim.elapsed().as_secs_f64(),
            ok: self.clients.ok() as u64,
            elections: self.world.leaders().len() as u64,
            faults: self.faults.in_force(),
        });
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
        self.write_down()
    }

    /// Writes down what the last tick brought.
    fn write_down(&mut self) -> io::Result<()> {
        let files = &mut self.files;
        if let Some(file) = &mut files.history {
            files.events_written = self.clients.write_history(files.events_written, file)?;
            file.flush()?;
        }
        if let Some(file) = &mut files.schedule {
            for fired in &self.faults.fired()[files.firings_written..] {
                writeln!(file, "{}", serde_json::to_string(fired)?)?;
            }
            files.firings_written = self.faults.fired().len();
            file.flush()?;
        }
        self.world.trace(Trace::flush)
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

    fn result(self, warm: Warm, healed: Duration, owed: bool, event_hash: u64) -> Ran {
        let (history, ended) = self.clients.take();
        let began = Time::ZERO.after(self.plan.run.warmup);
        let end = Time::ZERO.after(self.sim.elapsed());
        let from = Time::ZERO.after(healed + self.plan.check.liveness.commit_within);
        let operations = Operations::of(&ended, began, end, from, owed);
        let firing = |firing: &evidence::Firing| Firing {
            event: firing.event.clone(),
            time_ns: firing.time_ns,
            evidence: serde_json::to_value(&firing.evidence).unwrap_or_default(),
            had_effect: firing.evidence.had_effect(),
        };
        let violation = |violation: &violation::Violation| Violation {
            time_ns: violation.at.as_nanos(),
            property: violation.property,
            nodes: violation.nodes.clone(),
            sentence: violation.to_string(),
        };
        let servers = self.world.servers();
        let tally = self.world.tally().since(warm.tally);
        Ran {
            history,
            witness: self.world.witness(),
            violations: self.world.violations().iter().map(violation).collect(),
            ends: self.world.ends(),
            firings: self.faults.firings().iter().map(firing).collect(),
            skipped: self.faults.skipped(),
            unfired: self.faults.unfired(),
            missed: [self.progress.no_leader, self.progress.no_commit]
                .into_iter()
                .flatten()
                .chain(self.faults.unmet().iter().cloned())
                .collect(),
            cold: warm.cold,
            cut_short: false,
            recoveries: self.recoveries,
            operations,
            elections: (self.world.leaders().len() - warm.leaders) as u64,
            terms: self.world.highest_term().get() - warm.term.get(),
            snapshots_taken: tally.snapshots_taken,
            snapshots_installed: tally.snapshots_installed,
            append_rejections: tally.append_rejections,
            commands_repeated: tally.commands_repeated,
            sessions_expired: tally.sessions_expired,
            entries_repaired: tally.entries_repaired,
            coverage: self.world.coverage(),
            committed: self.world.committed().0,
            restarts: servers.values().map(|server| server.life.saturating_sub(1)).sum(),
            event_hash,
            virtual_time: self.sim.elapsed(),
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    Time::ZERO.after(duration).as_nanos()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
