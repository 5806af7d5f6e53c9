//! A plan in the real world: servers in processes of their own, over TCP, with their logs on disk, in real time.
//!
//! | file | is |
//! | --- | --- |
//! | `hosts.rs`, `life.rs` | the processes, and what is done to them |
//! | `machine.rs` | what is wrong with their disks and clocks |
//! | `command.rs` | how they are started |
//! | `asking.rs` | what the plan asks of a server |
//! | `reader.rs` | how it is read what a server writes down of itself |
//! | `chronicle.rs` | all of that in order, for those who judge it |
//! | `proxy.rs` | what stands between two servers, and does to their messages what links do |
//! | `door.rs` | how clients reach servers |
//! | `leftovers.rs` | what is to be ended of a run whose tool was killed |
//!
//! A server is a [`node`](crate::node), as users run it: `raft-chaos node`, which is told besides in which life its disk is, and how
//! the plan's cluster is, and may have its log in memory, or a bug on purpose; and while it runs, what is wrong with its disk and
//! its clock, which its store and its timers make true. Or it is whatever `process.node` starts, as a
//! server of cluster 1 that takes what `node` takes; of that it is known what it tells, if it does. Everything else is that of the simulation: when
//! events fire and what they do, clients, evidence, liveness, judges. What happened inside servers is heard of when it is read
//! from their files of events, for triggers and targets; and once more when the run is over, in the order of the machine's
//! clock, for those who judge it.

mod asking;
mod chronicle;
mod command;
mod door;
mod hosts;
mod leftovers;
mod life;
mod machine;
mod proxy;
mod reader;

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::data;
use crate::plan::{Action, Link, Mode, Plan};
use crate::sim::{self, Ground, Options, Ran};
pub(crate) use command::forget_settings;
use command::{Builds, NodeCommand};
use hosts::Processes;
pub(crate) use hosts::host;
pub(crate) use leftovers::{NODES, Register, clean, clean_run, end_with};

/// The name of a server's disk in its folder.
const DATA: &str = "data";

/// Links as they are: this machine's.
const STILL: Link = Link { delay: Duration::ZERO, jitter: Duration::ZERO, tail: None };

/// Runs a plan with one seed. `lock` is the file of the plan; what is written goes below `folder`.
///
/// # Errors
///
/// A process, a port or a file could not be had.
pub fn run(plan: &Plan, seed: u64, options: Options, lock: &Path, folder: &Path) -> io::Result<Ran> {
    let ground = Ground {
        latency: STILL,
        folder: |scratch, id| scratch.join(id.get().to_string()).join(DATA),
        in_order: false,
        bound: plan.process.node.is_none(),
    };
    let builds = Builds::of(&plan.process)?;
    let command = match &plan.process.node {
        None => NodeCommand::usual(builds.tool(), plan.workload.kind),
        Some(words) => NodeCommand::of_words(words, &builds),
    };
    if let Some((_, error)) = missing_command(plan) {
        return Err(error);
    }
    let data = data::of(&plan.workload).into();
    sim::run_on(plan, seed, options, data, ground, |cast| {
        Processes::start((lock, folder), (command, builds), cast)
    })
}

/// A command of the plan that is not there, by its key in the plan, where servers are to be processes.
pub fn missing_command(plan: &Plan) -> Option<(String, io::Error)> {
    if plan.run.mode == Mode::Sim {
        return None;
    }
    let builds = match Builds::of(&plan.process) {
        Ok(builds) => builds,
        Err(error) => return Some(("process.node".to_owned(), error)),
    };
    let events = plan.events.iter().map(|event| (format!("event.{}.node", event.name), &event.action));
    let chaos = (1..).zip(&plan.chaos).map(|(place, chaos)| (format!("chaos.{place}.node"), &chaos.action));
    let upgrades = events.chain(chaos).filter_map(|(key, action)| {
        if let Action::Upgrade { node, .. } = action { Some((key, node)) } else { None }
    });
    let first = plan.process.node.iter().map(|words| ("process.node".to_owned(), words));
    first
        .chain(upgrades)
        .find_map(|(key, words)| Some((key, NodeCommand::of_words(words, &builds).find().err()?)))
}
