//! `raft-chaos replay`: a seed once more, told in as much detail as one wants, and held against an earlier run of it.

use std::io;
use std::path::Path;

use crate::determinism::parting;
use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::runner::{How, Job, Runner};
use crate::sim::Telling;

/// Runs the seed, recorded and told. If `earlier` is the folder of a run of the same seed, the two must be one, as far as
/// this one goes.
///
/// # Errors
///
/// A file or a process could not be made, or the earlier run has no record.
pub fn replay(
    runner: &Runner,
    plan: &Plan,
    seed: u64,
    telling: Telling,
    command: &str,
    earlier: Option<&Path>,
) -> io::Result<Outcome> {
    let folder = runner.new_folder(&plan.name)?;
    let job = Job { runner, plan, folder: &folder, command };
    let mut outcome = job.child(seed, &folder, How { story: true, telling, ..How::recorded() })?;
    if let Some(earlier) = earlier
        && let Err(parting) = parting(earlier, &folder, telling.until)?
    {
        outcome.went_two_ways(&format!("it is not the run in {}: {parting}", earlier.display()));
        outcome.write()?;
    }
    Ok(outcome)
}
