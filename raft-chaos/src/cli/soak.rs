//! `raft-chaos soak` and `raft-chaos merge`.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::bounds::Bounds;
use super::{USAGE, cannot, command, ended, only_simulated, read, runner};
use crate::plan::{Mode, Plan, Storage};
use crate::progress::Display;
use crate::report;
use crate::runner::Runner;
use crate::soak::{Entry, Limits, Soak, Summary, merge};
use crate::verdict::Verdict;

/// The stores that a plan may name.
const STORES: [&str; 2] = [Storage::Memory.name(), Storage::Rocksdb.name()];

#[derive(Debug, Args)]
pub(super) struct SoakArgs {
    /// Plans, or folders of plans.
    #[arg(required = true, value_name = "PLAN")]
    plans: Vec<PathBuf>,
    /// Only plans with one of these tags.
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// How many seeds of a plan run for one seed of each other; 0 leaves it out. Once for each plan.
    #[arg(long = "weight", value_name = "PLAN=N", value_parser = weight)]
    weights: Vec<(String, u64)>,
    /// Run each plan on each of these stores [default: the store of the plan].
    #[arg(long, value_delimiter = ',', value_name = "STORE", value_parser = STORES)]
    stores: Vec<String>,
    /// Override a key of every plan, as in --set cluster.voters=5.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// End after so many seeds in all, those included that the ledger has [default: no end].
    #[arg(long, value_name = "N")]
    seeds: Option<u64>,
    /// The first seed of each plan.
    #[arg(long, value_name = "N", default_value_t = 0)]
    first_seed: u64,
    #[command(flatten)]
    bounds: Bounds,
    /// End at the first seed that does not pass.
    #[arg(long)]
    until_failure: bool,
    /// Whether chaos leans towards what few seeds have reached, where a plan switches it at random (run.swarm). What the
    /// shards of a soak reach is known to none of them, so with --shard it does not, if not asked to [default: yes].
    #[arg(long, value_enum)]
    lean: Option<Lean>,
    /// How many seeds run at a time [default: one for each core].
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// End a seed whose process holds more than this many MB.
    #[arg(long, value_name = "MB", default_value_t = 2_048)]
    max_memory: u64,
    /// The folder of the ledger. A soak goes on from the ledger that it finds there.
    #[arg(long, value_name = "DIR", default_value = "raft-chaos-soak")]
    out: PathBuf,
    #[command(flatten)]
    carry: Carry,
    /// Give every node this bug.
    #[cfg(feature = "planted-bugs")]
    #[arg(long, value_name = "BUG", hide = true)]
    plant: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct MergeArgs {
    /// The folders of the ledgers: of soaks, or of runs of many seeds.
    #[arg(required = true, value_name = "DIR")]
    folders: Vec<PathBuf>,
    /// The folder of the new one.
    #[arg(long, value_name = "DIR", default_value = "raft-chaos-merged")]
    out: PathBuf,
    #[command(flatten)]
    carry: Carry,
}

/// Where nights are added up.
#[derive(Debug, Args)]
struct Carry {
    /// Add the sums of the ledger to this file, which has a line for each commit, plan and store.
    #[arg(long, value_name = "FILE", requires = "commit")]
    nights: Option<PathBuf>,
    /// The commit that they are of.
    #[arg(long, value_name = "ID", requires = "nights")]
    commit: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Lean {
    /// It does.
    Yes,
    /// Each seed is as the plan has it.
    No,
}

fn weight(text: &str) -> Result<(String, u64), String> {
    let parsed =
        text.split_once('=').and_then(|(plan, weight)| Some((plan.to_owned(), weight.parse().ok()?)));
    parsed.ok_or_else(|| "write a plan's name, = and a whole number, as in quickstart=3".to_owned())
}

/// The exit code of everything that is in the ledger.
pub(super) fn soak(args: &SoakArgs) -> Result<u8, u8> {
    let runner = runner(
        &args.out,
        args.jobs,
        #[cfg(feature = "planted-bugs")]
        args.plant.as_ref(),
    )?;
    let entries = entries(args)?;
    let soak = Soak {
        runner: Runner { memory_max_mb: Some(args.max_memory), ..runner },
        limits: Limits { seeds: args.seeds, ends: args.bounds.ends(args.until_failure) },
        first_seed: args.first_seed,
        shard: args.bounds.shard,
        lean: args.lean.map_or(args.bounds.shard.of == 1, |lean| lean == Lean::Yes),
        entries,
    };
    let mut display = Display::of_seeds(args.bounds.progress, "soak", args.seeds);
    let mut summary = Summary::default();
    let ran = soak.run(&mut |summary| display.seeds(summary), &mut summary).map_err(|error| cannot(&error));
    drop(display);
    // What was found counts for more than what this machine could not do.
    if summary.worst() == Verdict::Pass {
        ran?;
    }
    said(&summary, &args.out, &args.carry)
}

/// The exit code of everything that is in the new ledger.
pub(super) fn merged(args: &MergeArgs) -> Result<u8, u8> {
    let summary = merge(&args.folders, &args.out).map_err(|error| {
        let wrong_folder = [ErrorKind::NotFound, ErrorKind::InvalidData, ErrorKind::AlreadyExists];
        let code = cannot(&error);
        if wrong_folder.contains(&error.kind()) { USAGE } else { code }
    })?;
    said(&summary, &args.out, &args.carry)
}

fn said(summary: &Summary, folder: &Path, carry: &Carry) -> Result<u8, u8> {
    report::soaked(summary, folder);
    if let (Some(file), Some(commit)) = (&carry.nights, &carry.commit) {
        let nights = summary.carry_on(file, commit).map_err(|error| cannot(&error))?;
        report::say(&format!("nights    {nights}: {}", file.display()));
    }
    Ok(ended(summary.worst()))
}

fn entries(args: &SoakArgs) -> Result<Vec<Entry>, u8> {
    let mut paths = Vec::new();
    for path in &args.plans {
        let plans = plans_in(path).map_err(|error| {
            report::note(format_args!("{}: {error}", path.display()));
            USAGE
        })?;
        paths.extend(plans.into_iter().filter(|plan| is_wanted(plan, plan != path, args)));
    }
    let stores: Vec<Vec<String>> = match args.stores.as_slice() {
        [] => vec![Vec::new()],
        stores => stores.iter().map(|store| vec![format!("cluster.storage=\"{store}\"")]).collect(),
    };
    // A test of the lab brings its own store.
    let is_lab =
        |path: &PathBuf| Plan::read(path, &args.overrides).is_ok_and(|plan| plan.workload.test.is_some());
    let (lab, paths): (Vec<_>, Vec<_>) = paths.into_iter().partition(is_lab);
    let on_stores = stores.into_iter().map(|store| (&paths, store));
    let mut entries: Vec<Entry> = Vec::new();
    for (paths, store) in on_stores.chain([(&lab, Vec::new())]) {
        let overrides = [store, args.overrides.clone()].concat();
        for (path, plan) in paths.iter().zip(read(paths, &overrides)?) {
            // A soak is of seeds, and those of both worlds are the simulation's.
            let plan = if plan.run.mode == Mode::Both { plan.in_mode(Mode::Sim) } else { plan };
            only_simulated([&plan])?;
            entries.push(Entry { weight: weight_of(args, &plan), command: command(path, &overrides), plan });
        }
    }
    let unknown = |(name, _): &&(String, u64)| !entries.iter().any(|entry| entry.plan.name == *name);
    if let Some((name, _)) = args.weights.iter().find(unknown) {
        report::note(format_args!("--weight: there is no plan {name} here"));
        return Err(USAGE);
    }
    if let Some(twice) =
        (1..entries.len()).find(|&at| entries[..at].iter().any(|one| one.name() == entries[at].name()))
    {
        report::note(format_args!(
            "{}: there are two plans of this name; a ledger could not tell them apart",
            entries[twice].plan.name
        ));
        return Err(USAGE);
    }
    if entries.iter().all(|entry| entry.weight == 0) {
        report::note("no plan is left to run; take away a --tag or a --weight of 0");
        return Err(USAGE);
    }
    Ok(entries)
}

/// Whether a plan has one of the tags, and is not one of processes that was only found in a folder. What is no plan is told of by
/// whoever reads it.
fn is_wanted(path: &Path, is_found: bool, args: &SoakArgs) -> bool {
    let Ok(plan) = Plan::read(path, &args.overrides) else { return true };
    let is_tagged = args.tags.is_empty() || plan.tags.iter().any(|tag| args.tags.contains(tag));
    let is_left_out = is_found && plan.run.mode == Mode::Process;
    if is_tagged && is_left_out {
        report::note(format_args!(
            "{}: left out: its nodes are processes, and a soak is simulated",
            path.display()
        ));
    }
    is_tagged && !is_left_out
}

/// A file is itself; a folder is the plans in it, by name.
fn plans_in(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut plans = Vec::new();
    for file in fs::read_dir(path)? {
        let file = file?.path();
        if file.extension().is_some_and(|extension| extension == "toml") {
            plans.push(file);
        }
    }
    plans.sort();
    Ok(plans)
}

fn weight_of(args: &SoakArgs, plan: &Plan) -> u64 {
    args.weights.iter().find(|(name, _)| *name == plan.name).map_or(1, |(_, weight)| *weight)
}
