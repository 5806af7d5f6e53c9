//! A plan in the simulated world: real nodes under turmoil, in virtual time, the same for the same seed.
//!
//! | file | is |
//! | --- | --- |
//! | `play.rs` | a run, phase by phase |
//! | `hosts.rs` | where servers live: under turmoil here |
//! | `seat.rs` | a server: node, transport, state machine |
//! | `server.rs` | the same on a simulated host |
//! | `workload.rs`, `seen.rs` | the clients, on one host of their own, and what they see |
//! | `waiting.rs` | what they wait for, and where |
//! | `form.rs` | in which form they ask and are answered |
//! | `sessions.rs` | what makes a command that is sent again apply once |
//! | `schedule.rs`, `moments.rs`, `chaos.rs` | when the plan's events and its chaos fire |
//! | `faults.rs`, `evidence.rs` | what they do, and what they are known to have done |
//! | `disk.rs`, `copies.rs` | what survives a server's crash, how it is damaged, and what it was before |
//! | `clock.rs` | a machine's clock, and how far it is off |
//! | `door.rs` | where clients come in |
//! | `membership.rs` | who takes part, and what servers are asked to change about it |
//! | `machines.rs` | lives of servers, and how they end |
//! | `network.rs`, `links.rs` | the links between the servers, and what the plan does to messages on them |
//! | `progress.rs` | what the cluster owes, and whether it pays |
//! | `agreement.rs` | whether the state machines do the same |
//! | `tally.rs`, `window.rs` | what is counted |
//! | `options.rs`, `pulse.rs`, `ran.rs` | how a run is done, how it stands, and what came of it |
//! | `world.rs`, `servers.rs` | what all of these know of each other |
//! | `planted.rs` | bugs that tests plant |
//! | `trace.rs`, `messages.rs` | everything that happens, hashed and written down |
//!
//! Judging what happened is not here.

mod agreement;
mod chaos;
mod clock;
mod copies;
mod disk;
mod door;
mod environment;
mod evidence;
mod faults;
mod form;
mod hosts;
mod links;
mod machines;
mod membership;
pub(crate) mod messages;
mod moments;
mod network;
mod options;
mod planted;
mod play;
mod progress;
mod pulse;
mod quorums;
mod ran;
mod schedule;
mod script;
mod seat;
mod seen;
mod server;
mod servers;
mod sessions;
mod tally;
pub(crate) mod trace;
mod violation;
mod waiting;
mod window;
mod workload;
mod world;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use raft_core::{Incarnation, Member, NodeId, Rng, Time};
use raft_net::TurmoilNet;

use crate::data::{self, DataType};
use crate::mix::mix;
use crate::plan::{Action, Link, Plan, Reads, Retries};
pub use chaos::Skipped;
pub(crate) use clock::{Clock, ClockFaultId, ClockFaults, Off};
pub(crate) use disk::Disk;
pub(crate) use door::Stream;
use environment::SimEnvironment;
pub(crate) use environment::SimLinks;
use faults::Faults;
pub(crate) use form::Form;
pub(crate) use hosts::Hosts;
use hosts::Simulated;
use machines::Machines;
pub(crate) use membership::Ask;
pub use options::Options;
#[cfg(feature = "planted-bugs")]
pub use planted::IDLE;
pub use planted::Planted;
use play::Run;
pub use pulse::{Pulse, Watcher};
pub(crate) use ran::{AFTER, when};
pub use ran::{Firing, Operations, Ran, Recovery, Violation};
pub use script::Fired;
pub(crate) use seat::{Seat, configure};
use server::{CLIENTS, Server, host_name};
pub(crate) use trace::Trace;
pub use trace::{Listener, Telling};
use workload::Clients;
pub(crate) use workload::Way;
pub(crate) use world::World;

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
    let ground = Ground {
        latency: plan.sim.link.clone(),
        folder: |scratch, id| scratch.join(id.get().to_string()),
        in_order: true,
        bound: true,
    };
    run_on(plan, seed, options, data, ground, |cast| Ok(simulated(plan, cast)))
}

/// What is different where servers live.
pub(crate) struct Ground {
    /// What every link takes before any fault.
    pub(crate) latency: Link,
    /// Where a server has its disk, below the folder of all.
    pub(crate) folder: fn(&Path, NodeId) -> PathBuf,
    /// Whether all is heard of in the order in which it happens, so that it can be judged at once.
    pub(crate) in_order: bool,
    /// Whether the group begins with servers in the lives of their disks that are drawn here, or with whoever has their ids.
    pub(crate) bound: bool,
}

/// What a run is made of, wherever its servers live.
pub(crate) struct Cast {
    pub(crate) world: World,
    pub(crate) seats: BTreeMap<NodeId, Seat>,
    pub(crate) disks: BTreeMap<NodeId, Disk>,
    pub(crate) clocks: BTreeMap<NodeId, Clock>,
    /// What each server draws from.
    pub(crate) seeds: BTreeMap<NodeId, u64>,
    pub(crate) clients: Clients,
    /// What the clients draw from, and what the hosts do.
    pub(crate) clients_seed: u64,
    hosts_seed: u64,
}

/// Runs a plan with one seed on the hosts that `raise` gives.
///
/// # Errors
///
/// Those of `raise`; and `events`, `history` or `schedule` could not be written.
pub(crate) fn run_on<H: Hosts>(
    plan: &Plan,
    seed: u64,
    options: Options,
    data: Arc<dyn DataType>,
    ground: Ground,
    raise: impl FnOnce(Cast) -> io::Result<H>,
) -> io::Result<Ran> {
    let Options { scratch, events, messages, history, schedule, script, listener, watcher, telling, planted } =
        options;
    let mut rng = Rng::new(seed);
    let nodes = plan.cluster.nodes();
    let warm = Time::ZERO.after(plan.run.warmup);
    let trace = Trace::new(events, listener, telling, warm).with_messages(messages, ground.in_order);
    let world = World::new(&nodes, ground.latency, rng.next_u64() ^ planted::leaked(planted), trace);
    let hosts_seed = rng.next_u64();
    let drawn: BTreeMap<_, _> =
        nodes.iter().map(|&id| (id, (rng.next_u64(), clock(plan, &mut rng)))).collect();
    let puts_back = plan.actions().any(Action::puts_back);
    let disk = |(&id, (seed, _)): (&NodeId, &(u64, Clock))| {
        let disk = Disk::new(plan.cluster.storage, (ground.folder)(&scratch, id), mix(*seed, "disk"));
        (id, if puts_back { disk.with_copies() } else { disk })
    };
    let disks: BTreeMap<_, _> = drawn.iter().map(disk).collect();
    let lives: BTreeMap<_, _> = drawn.iter().map(|(&id, (seed, _))| (id, Incarnation(*seed))).collect();
    let first = plan.cluster.first(|id| match lives.get(&id) {
        Some(life) if ground.bound => Member::bound(id, *life),
        Some(_) | None => id.into(),
    });
    world.begin(first.clone(), lives, ground.in_order);
    let seat = |&id: &NodeId| {
        world.booted(id);
        let seat = Seat {
            id,
            cluster: plan.cluster.clone(),
            first: first.clone(),
            sessions: plan.workload.retries != Retries::None,
            data: Arc::clone(&data),
            planted,
        };
        (id, seat)
    };
    let seats = nodes.iter().map(seat).collect();
    let clients = Clients::new(plan, data, world.clone());
    let seeds = drawn.iter().map(|(&id, (seed, _))| (id, *seed)).collect();
    let clocks: BTreeMap<_, _> = drawn.into_iter().map(|(id, (_, clock))| (id, clock)).collect();
    let machines = Machines::new(disks.clone(), clocks.clone(), world.clone());
    let faults = Faults::new(plan, machines, world.clone(), seed).with_bug(planted).with_script(script);
    let clients_seed = rng.next_u64();
    let hosts = raise(Cast {
        world: world.clone(),
        seats,
        disks,
        clocks,
        seeds,
        clients: clients.clone(),
        clients_seed,
        hosts_seed,
    })?;
    Run::new(plan, hosts, world, clients, faults).writing(history, schedule).watched(watcher).play()
}

/// Hosts under turmoil, with the servers and the clients on them.
fn simulated(plan: &Plan, cast: Cast) -> Simulated {
    let Cast { world, seats, disks, clocks, seeds, clients, clients_seed, hosts_seed } = cast;
    let mut sim = build(plan, hosts_seed);
    let nodes: Vec<_> = seats.keys().copied().collect();
    for (id, seat) in seats {
        let server = Server {
            seat,
            world: world.clone(),
            disk: disks[&id].clone(),
            seed: seeds[&id],
            clock: clocks[&id].clone(),
        };
        sim.host(host_name(id), move || server.clone().live());
    }
    let addresses = nodes.iter().map(|&id| (id, server::address(id))).collect();
    sim.client(CLIENTS, async move {
        let environment = SimEnvironment::new(&world, None, Clock::default());
        clients.run(Way { net: TurmoilNet, environment, addresses, form: Form::Bare }, clients_seed).await;
        Ok(())
    });
    Simulated { sim, nodes }
}

/// A server's clock. Where leases rest on clocks, every second one is as slow or as fast as they may be, unless the plan
/// says itself how they drift.
fn clock(plan: &Plan, rng: &mut Rng) -> Clock {
    let drifts = |action: &Action| matches!(action, Action::Clock { fault, .. } if fault.drift_ppm != 0);
    let mut actions = plan.actions();
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

fn nanos(duration: Duration) -> u64 {
    Time::ZERO.after(duration).as_nanos()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
