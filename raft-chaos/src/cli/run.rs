//! `raft-chaos run`.

use std::fs::File;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::bounds::Bounds;
use super::{Prepared, Selection, USAGE, cannot, ended, prepare, seeds};
use crate::plan::Plan;
use crate::process;
use crate::progress::Progress;
use crate::report;
use crate::runner::{Runner, Seeds, Voice, interrupted};
use crate::soak::{Shard, Summary};
use crate::verdict::Verdict;

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    bounds: Bounds,
    /// Begin no seed once one has not passed.
    #[arg(long, overrides_with = "keep_going")]
    fail_fast: bool,
    /// Run all seeds whatever becomes of them, as is done unless something else is said.
    #[arg(long, overrides_with = "fail_fast")]
    keep_going: bool,
    /// After the seeds of the plan go on with those that follow, until one does not pass.
    #[arg(long, conflicts_with = "keep_going")]
    until_failure: bool,
    /// Write report.html for a recorded run that passes too.
    #[arg(long)]
    report: bool,
    /// Which of many seeds are recorded: those that fail, or all. In the real world, and of one seed, everything is kept.
    #[arg(long, value_enum, default_value_t)]
    keep: Keep,
    /// Write what all plans add up to in the form of JUnit.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write what all plans add up to: as a page where the name ends in .html, else as Markdown.
    #[arg(long, value_name = "FILE")]
    summary: Option<PathBuf>,
    /// What standard output is for.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Say verdicts and nothing else, and show no progress.
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,
    /// Tell every event of a single seed with its number, or the verdict of each of many.
    #[arg(short, long)]
    verbose: bool,
}

/// Which of many seeds are recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Keep {
    /// Those that do not pass.
    #[default]
    Failed,
    /// All of them.
    All,
}

/// What standard output is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    #[default]
    Human,
    /// One object a line.
    Json,
    /// For people, with annotations of what failed for GitHub.
    Github,
}

/// A plan, how a person would write its run without the seed, and its seeds.
struct Work<'a> {
    path: &'a Path,
    plan: Plan,
    command: String,
    seeds: Seeds,
}

/// The exit code of the worst seed.
pub(super) fn run(args: &RunArgs) -> Result<u8, u8> {
    let Prepared { plans, runner } = prepare(&args.selection)?;
    let works = shared_out(args, plans)?;
    for file in [&args.junit, &args.summary].into_iter().flatten() {
        // What cannot be written is known before anything runs.
        File::create(file).map_err(|error| {
            report::note(format_args!("{}: {error}", file.display()));
            USAGE
        })?;
    }
    let (voice, progress) = args.manner();
    let runner = Runner { voice, progress, report: args.report, keep_all: args.keep == Keep::All, ..runner };
    let mut total = Summary::default();
    let ran = run_all(args, &runner, &works, &mut total);
    let junit = args.junit.as_ref().map_or(Ok(()), |file| total.write_junit(file));
    let summary = args.summary.as_ref().map_or(Ok(()), |file| total.write_to(file));
    let written = junit.and(summary).map_err(|error| cannot(&error));
    // What was found counts for more than what this machine could not do.
    if total.worst() == Verdict::Pass {
        ran.and(written)?;
    }
    Ok(ended(total.worst()))
}

/// Runs plan by plan, and adds what comes of them up.
fn run_all(args: &RunArgs, runner: &Runner, works: &[Work<'_>], total: &mut Summary) -> Result<(), u8> {
    for left in process::clean(&runner.out).map_err(|error| cannot(&error))? {
        report::note(format_args!(
            "{}: its tool was killed; what it had left was ended and removed",
            left.display()
        ));
    }
    let ends = args.bounds.ends(args.until_failure || args.fail_fast && !args.keep_going);
    for Work { path, plan, command, seeds } in works {
        if interrupted() || ends.are_here(total.worst() != Verdict::Pass) {
            report::note(format_args!("{}: no seed of it ran", plan.name));
            total.lacks(&plan.name, "no seed of it ran".to_owned());
            continue;
        }
        let mut summary = Summary::default();
        let ran = runner.run(plan, seeds, &ends, command, &mut summary).map_err(|error| cannot(&error));
        if args.format == Format::Github {
            report::annotate(path, &plan.name, &summary);
        }
        total.join(summary);
        if total.worst() == Verdict::Pass {
            ran?;
        }
    }
    Ok(())
}

impl RunArgs {
    fn manner(&self) -> (Voice, Progress) {
        let voice = match self.format {
            Format::Json => Voice::Json,
            Format::Human | Format::Github if self.quiet => Voice::Quiet,
            Format::Human | Format::Github if self.verbose => Voice::Loud,
            Format::Human | Format::Github => Voice::Usual,
        };
        (voice, if self.quiet { Progress::None } else { self.bounds.progress })
    }
}

/// The seeds of this shard: of all plans together, so that plans of one seed each are shared out too. A plan of which this shard
/// has none is left out.
fn shared_out(args: &RunArgs, plans: Vec<(Plan, String)>) -> Result<Vec<Work<'_>>, u8> {
    if args.until_failure && plans.len() > 1 {
        report::note(format_args!(
            "--until-failure: the first of {} plans would never end; give one, or have them take turns: raft-chaos soak",
            plans.len()
        ));
        return Err(USAGE);
    }
    let (shard, mut place) = (args.bounds.shard, 0);
    let mut works = Vec::new();
    for ((plan, command), path) in plans.into_iter().zip(&args.selection.plans) {
        let all = seeds(&plan.run.seeds);
        let of_shard = (place..).zip(&all).filter(|(place, _)| shard.has(*place)).map(|(_, seed)| *seed);
        let first: Vec<_> = of_shard.collect();
        place += all.len() as u64;
        let then = all.last().filter(|_| args.until_failure).map(|&last| (last, shifted(shard, place)));
        if !first.is_empty() || then.is_some() {
            let is_one = plan.run.seeds.is_one() && then.is_none();
            works.push(Work { path, plan, command, seeds: Seeds { first, then, is_one } });
        }
    }
    if works.is_empty() {
        report::note(format_args!(
            "--shard: of {place} seeds none is of shard {}/{}; use fewer shards",
            shard.nth, shard.of
        ));
        return Err(USAGE);
    }
    Ok(works)
}

/// The shard as it is for those who begin to count at this place.
const fn shifted(shard: Shard, place: u64) -> Shard {
    let Shard { nth, of } = shard;
    Shard { nth: (nth - 1 + of - place % of) % of + 1, of }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_counts_from_elsewhere_has_the_same_seeds() {
        for of in 1..5 {
            for (nth, place) in (1..=of).flat_map(|nth| (0..7).map(move |place| (nth, place))) {
                let shard = Shard { nth, of };
                let counted = (0..20).map(|at| shifted(shard, place).has(at));
                assert!(counted.eq((place..place + 20).map(|at| shard.has(at))), "{nth}/{of} from {place}");
            }
        }
    }
}
