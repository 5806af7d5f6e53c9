//! `raft-chaos run`.

use clap::Args;

use super::{Format, Prepared, Selection, cannot, ended, prepare, seeds};
use crate::runner::Runner;
use crate::verdict::Verdict;

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    selection: Selection,
    /// Write report.html for a run that passes too.
    #[arg(long)]
    report: bool,
    /// What standard output is for.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

/// The exit code of the worst run.
pub(super) fn run(args: &RunArgs) -> Result<u8, u8> {
    let Prepared { plans, runner } = prepare(&args.selection, matches!(args.format, Format::Json))?;
    let runner = Runner { report: args.report, ..runner };
    let mut worst = Verdict::Pass;
    for (plan, command) in &plans {
        match runner.run(plan, &seeds(&plan.run.seeds), command) {
            Ok(verdict) => worst = worst.min(verdict),
            // What was found before counts for more.
            Err(error) if worst == Verdict::Pass => return Err(cannot(&error)),
            Err(error) => drop(cannot(&error)),
        }
    }
    Ok(ended(worst))
}
