//! The command line: what was typed, what is meant, and the exit code.

mod bench;
mod bounds;
mod bugs;
mod client;
mod compare;
mod coverage;
mod determinism;
mod doctor;
mod node;
mod offline;

mod picture;
mod plans;
mod replay;
mod run;
mod seed;
mod selftest;
mod soak;

use std::panic;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::backup;
use crate::check;
use crate::export;
use crate::inspect;
use crate::plan::{Mode, Plan, Seeds};
use crate::process;
use crate::progress::Progress;
use crate::recover;
use crate::report;
use crate::runner::{self, Runner, Voice};
#[cfg(feature = "planted-bugs")]
use crate::sim::Planted;
use crate::verdict::Verdict;
use crate::verify;
use plans::PlanCommand;
use raft_core::Rng;

/// A wrong plan or a wrong command line.
const USAGE: u8 = 64;
/// The machine cannot do what was asked.
const UNAVAILABLE: u8 = 69;

/// Scripts faults against real Raft nodes, judges what happened and shows it.
#[derive(Debug, Parser)]
#[command(name = "raft-chaos", version, about, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 all passed; 1 safety broken; 2 inconclusive; 3 progress or a threshold missed; \
4 not deterministic; 6 a node crashed; 64 bad plan or arguments; 69 not possible here; 70 bug in raft-chaos; 130 interrupted.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run plans over their seeds.
    Run(run::RunArgs),
    /// Judge a recorded history again, offline.
    #[command(after_help = check::EXIT_CODES)]
    Check(check::CheckArgs),
    /// Ask judges that others have written about a recorded history.
    #[command(after_help = verify::EXIT_CODES)]
    Verify(verify::VerifyArgs),
    /// Write a run down as other tools read it.
    Export(export::ExportArgs),
    /// Draw a recorded run as one page, report.html in its folder, that needs nothing but a browser.
    Report(picture::ReportArgs),
    /// Run a seed again, told in detail, and hold it against an earlier run of it.
    Replay(replay::ReplayArgs),
    /// Run seeds of many plans until told to stop; a ledger on disk goes on from any interruption.
    Soak(soak::SoakArgs),
    /// Join the ledgers of several soaks, or of runs that have shared seeds out with --shard, into one.
    Merge(soak::MergeArgs),
    /// Say how much of the protocol runs have reached, all together, and name what they have not.
    #[command(after_help = "Exit codes: 0 it is said; 64 there is no such run, or it says nothing of it.")]
    Coverage(coverage::CoverageArgs),
    /// Hold two runs against each other, or many of each: a simulated one and a real one, or one of before and one of after.
    #[command(after_help = crate::compare::EXIT_CODES)]
    Compare(compare::CompareArgs),
    /// Run every seed more than once and name the first event that differs. Ends with 4 if one does.
    Determinism(determinism::DeterminismArgs),
    /// Plant bugs in the nodes, and see how soon each is found.
    #[command(after_help = selftest::EXIT_CODES)]
    Selftest(selftest::SelftestArgs),
    /// Say what this machine allows, and what to do where it does not.
    #[command(after_help = "Exit codes: 0 all will work, if some of it poorly; 69 something will not.")]
    Doctor(doctor::DoctorArgs),
    /// Look at plans, and begin one.
    #[command(subcommand)]
    Plan(PlanCommand),
    /// Run one real node: a replicated key-value server, until SIGTERM or SIGINT.
    Node(Box<node::NodeArgs>),
    /// Ask running nodes: for values, for how they are, and to change who takes part.
    Client(client::ClientArgs),
    /// Measure how much a cluster does in a second and how long that takes: one that it starts for it, or running nodes.
    #[command(after_help = crate::bench::EXIT_CODES)]
    Bench(bench::BenchArgs),
    /// Say what is in a node's data directory. Changes nothing of it; a node may be running on it.
    #[command(after_help = inspect::EXIT_CODES)]
    Inspect(offline::InspectArgs),
    /// Make a cluster of one surviving node, where the majority is lost for good. Without --yes it says what would be
    /// done and what may be lost, and changes nothing.
    #[command(after_help = recover::EXIT_CODES)]
    Recover(offline::RecoverArgs),
    /// Put the data directory of a stopped node into one file. Changes nothing in it.
    #[command(after_help = backup::EXIT_CODES)]
    Backup(offline::BackupArgs),
    /// Make a data directory of a backup, for one node that begins a new cluster.
    #[command(after_help = backup::EXIT_CODES)]
    Restore(offline::RestoreArgs),
    /// Run one seed of a locked plan in this process (what `run` starts for each seed).
    #[command(hide = true)]
    Seed(seed::SeedArgs),
}

/// Which plans, and how they are run.
#[derive(Debug, Args)]
struct Selection {
    /// The plans, each a TOML file.
    #[arg(required = true, value_name = "PLAN")]
    plans: Vec<PathBuf>,
    /// Run this one seed.
    #[arg(long, conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Run these seeds: A..B without B, A..=B with it, or random:N.
    #[arg(long, value_name = "A..B")]
    seeds: Option<String>,
    /// The world that plans run in, whatever they say of it.
    #[arg(long, value_name = "MODE", value_parser = ["sim", "process", "both"])]
    mode: Option<String>,
    /// Override a key of the plan, as in --set cluster.voters=5 or --set event.depose.for=2s.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// The folder under which results go.
    #[arg(long, value_name = "DIR", default_value = "raft-chaos-out")]
    out: PathBuf,
    /// How many seeds run at a time [default: one for each core].
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Give every node this bug.
    #[cfg(feature = "planted-bugs")]
    #[arg(long, value_name = "BUG", hide = true)]
    plant: Option<String>,
}

/// What standard output is for.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Format {
    /// For people.
    Human,
    /// One object a line.
    Json,
}

/// Does what the command line of this process says.
pub fn main() -> ExitCode {
    // A panic of this tool is a bug of this tool, and has its own status.
    panic::catch_unwind(parsed).unwrap_or(ExitCode::from(Verdict::Bug.exit_code()))
}

fn parsed() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(said) => {
            // Help and version are answers, all else is a mistake. Nobody may be there to read either.
            drop(said.print());
            return ExitCode::from(if said.use_stderr() { USAGE } else { 0 });
        }
    };
    match cli.command {
        Command::Run(args) => either(run::run(&args)).into(),
        Command::Report(args) => either(picture::drawn(&args)).into(),
        Command::Replay(args) => either(replay::replayed(&args)).into(),
        Command::Soak(args) => either(soak::soak(&args)).into(),
        Command::Merge(args) => either(soak::merged(&args)).into(),
        Command::Coverage(args) => either(coverage::covered(&args)).into(),
        Command::Compare(args) => either(compare::compared(&args)).into(),
        Command::Determinism(args) => either(determinism::determinism(&args)).into(),
        Command::Selftest(args) => either(selftest::selftest(&args)).into(),
        Command::Doctor(args) => either(doctor::doctor(&args)).into(),
        Command::Plan(command) => plans::plans(&command).into(),
        Command::Check(args) => check::main(&args).into(),
        Command::Verify(args) => verify::main(&args).into(),
        Command::Export(args) => export::main(&args).into(),
        Command::Node(args) => node::node(*args).into(),
        Command::Client(args) => client::client(args).into(),
        Command::Bench(args) => either(bench::bench(args)).into(),
        Command::Inspect(args) => offline::inspect(&args).into(),
        Command::Recover(args) => offline::recover(&args).into(),
        Command::Backup(args) => offline::backup(&args).into(),
        Command::Restore(args) => offline::restore(&args).into(),
        Command::Seed(args) => seed::seed(args).into(),
    }
}

/// What is to be run, and how.
struct Prepared {
    /// Each plan, and how a person would write its run, without the seed.
    plans: Vec<(Plan, String)>,
    runner: Runner,
}

/// All plans are read before the first one runs.
///
/// # Errors
///
/// The exit code, where something is wrong; it has been said.
fn prepare(selection: &Selection) -> Result<Prepared, u8> {
    let mode = selection.mode.as_ref().map(|mode| format!("run.mode={mode}"));
    let own: Vec<_> = selection.overrides.iter().cloned().chain(mode).collect();
    let mut overrides = own.clone();
    overrides.extend(selection.seed.map(|seed| format!("run.seeds=\"{seed}\"")));
    overrides.extend(selection.seeds.as_ref().map(|seeds| format!("run.seeds=\"{seeds}\"")));
    let runner = runner(
        &selection.out,
        selection.jobs,
        #[cfg(feature = "planted-bugs")]
        selection.plant.as_ref(),
    )?;
    let plans = read(&selection.plans, &overrides)?;
    #[cfg(feature = "planted-bugs")]
    if selection.plant.as_deref().and_then(bugs::planted).is_some_and(|bug| !matches!(bug, Planted::Raft(_)))
    {
        only_simulated(&plans)?;
    }
    let commands = selection.plans.iter().map(|path| command(path, &own));
    Ok(Prepared { plans: plans.into_iter().zip(commands).collect(), runner })
}

/// How a person would write a run of this plan, without the seed.
fn command(plan: &Path, overrides: &[String]) -> String {
    let mut command = format!("raft-chaos run {}", quoted(&plan.display().to_string()));
    overrides.iter().for_each(|assignment| command.push_str(&format!(" --set {}", quoted(assignment))));
    command
}

/// What runs seeds, from now on in such a way that an interrupt ends it in order.
fn runner(
    out: &Path,
    jobs: Option<usize>,
    #[cfg(feature = "planted-bugs")] plant: Option<&String>,
) -> Result<Runner, u8> {
    if jobs == Some(0) {
        report::note("--jobs: 0 seeds at a time would never end; write 1 or more");
        return Err(USAGE);
    }
    #[cfg(feature = "planted-bugs")]
    if plant.is_some_and(|name| bugs::planted(name).is_none()) {
        report::note("--plant: there is no such bug");
        return Err(USAGE);
    }
    catch_interrupts();
    Ok(Runner {
        program: std::env::current_exe().map_err(|error| cannot(&error))?,
        out: out.to_owned(),
        jobs: jobs.unwrap_or_else(runner::cores),
        voice: Voice::default(),
        progress: Progress::default(),
        report: false,
        keep_all: false,
        memory_max_mb: None,
        #[cfg(feature = "planted-bugs")]
        planted: plant.cloned(),
        #[cfg(not(feature = "planted-bugs"))]
        planted: None,
    })
}

/// An interrupt ends this process in order. The processes of the seeds hear of it by themselves.
fn catch_interrupts() {
    if let Err(error) = ctrlc::set_handler(runner::interrupt) {
        report::note(format_args!("raft-chaos: an interrupt will lose what is known: {error}"));
    }
}

/// Refuses plans whose runs do not go the same way twice.
fn only_simulated<'a>(plans: impl IntoIterator<Item = &'a Plan>) -> Result<(), u8> {
    match plans.into_iter().find(|plan| plan.run.mode != Mode::Sim) {
        Some(Plan { name, run, .. }) => {
            let mode = run.mode.name();
            report::note(format_args!(
                "{name}: run.mode: in {mode:?} no run is the same twice; write --set run.mode=sim"
            ));
            Err(UNAVAILABLE)
        }
        None => Ok(()),
    }
}

/// The exit code, where this is the worst of what came of it, unless it was interrupted.
fn ended(worst: Verdict) -> u8 {
    if runner::interrupted() { worst.min(Verdict::Interrupted).exit_code() } else { worst.exit_code() }
}

/// Reads all these plans.
///
/// # Errors
///
/// The exit code, where one is wrong; all that is wrong has been said.
fn read(paths: &[PathBuf], overrides: &[String]) -> Result<Vec<Plan>, u8> {
    let (mut plans, mut codes) = (Vec::new(), Vec::new());
    for path in paths {
        match Plan::read(path, overrides) {
            Ok(plan) => match process::missing_command(&plan) {
                None => plans.push(plan),
                Some((key, error)) => {
                    report::note(format_args!("{}: {key}: {error}", path.display()));
                    codes.push(UNAVAILABLE);
                }
            },
            Err(errors) => {
                report::note(&errors);
                codes.push(errors.exit_code());
            }
        }
    }
    // A plan that is wrong comes before one that cannot be done here.
    codes.into_iter().min().map_or(Ok(plans), Err)
}

/// The seeds of a plan; random ones are drawn here, and printed by whoever runs them.
fn seeds(seeds: &Seeds) -> Vec<u64> {
    match seeds {
        Seeds::One(seed) => vec![*seed],
        Seeds::These(range) => range.clone().collect(),
        Seeds::Random(count) => {
            let nanos = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
            let entropy = u64::try_from(nanos % u128::from(u64::MAX)).unwrap_or(0);
            let mut rng = Rng::new(entropy ^ u64::from(std::process::id()).rotate_left(32));
            (0..*count).map(|_| rng.below(1 << 32)).collect()
        }
    }
}

fn cannot(error: &std::io::Error) -> u8 {
    report::note(format_args!("raft-chaos: {error}"));
    UNAVAILABLE
}

/// The exit code, whether something was wrong or not.
fn either(code: Result<u8, u8>) -> u8 {
    code.unwrap_or_else(|code| code)
}

/// As a shell reads it back.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}
