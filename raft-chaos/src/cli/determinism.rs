//! `raft-chaos determinism`.

use clap::Args;

use super::{Prepared, Selection, cannot, ended, only_simulated, prepare, seeds};
use crate::determinism;
use crate::runner::interrupted;
use crate::verdict::Verdict;

#[derive(Debug, Args)]
pub(super) struct DeterminismArgs {
    #[command(flatten)]
    selection: Selection,
    /// How often each seed runs.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u64).range(2..=1000))]
    times: u64,
}

/// 4 where a seed went two ways, 2 where that is not known of one.
pub(super) fn determinism(args: &DeterminismArgs) -> Result<u8, u8> {
    let Prepared { plans, runner } = prepare(&args.selection)?;
    only_simulated(plans.iter().map(|(plan, _)| plan))?;
    let mut worst = Verdict::Pass;
    for (plan, command) in plans.iter().take_while(|_| !interrupted()) {
        let runs = determinism::determinism(&runner, plan, &seeds(&plan.run.seeds), args.times, command);
        match runs {
            Ok(runs) => worst = worst.min(runs.worst()),
            // What was found before counts for more.
            Err(error) if worst == Verdict::Pass => return Err(cannot(&error)),
            Err(error) => drop(cannot(&error)),
        }
    }
    Ok(ended(worst))
}
