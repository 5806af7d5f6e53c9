//! `raft-chaos determinism`.

use clap::Args;

use super::{Prepared, Selection, cannot, ended, only_simulated, prepare, seeds};
use crate::determinism::{self, Runs};
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
    let mut runs = Runs::default();
    for (plan, command) in plans.iter().take_while(|_| !interrupted()) {
        let seeds = seeds(&plan.run.seeds);
        let ran = determinism::determinism(&runner, plan, &seeds, args.times, command, &mut runs);
        let ran = ran.map_err(|error| cannot(&error));
        // What was found counts for more than what this machine could not do.
        if runs.worst() == Verdict::Pass {
            ran?;
        }
    }
    Ok(ended(runs.worst()))
}
