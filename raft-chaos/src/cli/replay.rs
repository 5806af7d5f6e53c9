//! `raft-chaos replay`.

use std::path::PathBuf;

use clap::Args;

use super::{Prepared, Selection, USAGE, cannot, ended, only_simulated, prepare, seeds};
use crate::replay::{self, Again};
use crate::report;
use crate::sim::Telling;

#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// The folder of a run, whose seed runs again and must go the same way; or a plan.
    #[arg(value_name = "RUN|PLAN")]
    what: PathBuf,
    /// The seed of the plan.
    #[arg(long)]
    seed: Option<u64>,
    /// Override a key of the plan.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// End after this event, by its number; say what every node is then.
    #[arg(long, value_name = "EVENT")]
    until: Option<u64>,
    /// Fire what has fired in the run, when and at whom it did, whatever nodes do now: for code that has changed since. What
    /// had an effect then must have one again.
    #[arg(long, conflicts_with = "until")]
    schedule: bool,
    /// Tell every event with its number, not only the story.
    #[arg(long)]
    trace: bool,
    /// The folder under which results go.
    #[arg(long, value_name = "DIR", default_value = "raft-chaos-out")]
    out: PathBuf,
    /// Give every node this bug.
    #[cfg(feature = "planted-bugs")]
    #[arg(long, value_name = "BUG", hide = true)]
    plant: Option<String>,
}

pub(super) fn replayed(args: &ReplayArgs) -> Result<u8, u8> {
    let earlier = args.what.is_dir().then_some(args.what.as_path());
    if earlier.is_some() && (args.seed.is_some() || !args.overrides.is_empty()) {
        report::note(format_args!(
            "{}: a run has its seed and its plan; --seed and --set are for plans",
            args.what.display()
        ));
        return Err(USAGE);
    }
    let plan = earlier.map_or_else(|| args.what.clone(), |run| run.join("plan.lock.toml"));
    if args.schedule && earlier.is_none() {
        report::note(format_args!(
            "{}: --schedule needs the folder of a run, with its schedule.jsonl",
            args.what.display()
        ));
        return Err(USAGE);
    }
    if let Some(lacking) = earlier.and_then(|run| replay::lacking(run, args.schedule)) {
        let run = args.what.display();
        report::note(format_args!("{run}: there is no {lacking} in it; name the folder of a recorded run"));
        return Err(USAGE);
    }
    let Prepared { plans, runner } = prepare(&selection(args, plan))?;
    let (plan, command) = &plans[0];
    only_simulated([plan])?;
    let seeds = seeds(&plan.run.seeds);
    let [seed] = seeds[..] else {
        report::note(format_args!(
            "{}: it has {} seeds; say which one with --seed N",
            args.what.display(),
            seeds.len()
        ));
        return Err(USAGE);
    };
    let telling = Telling { everything: args.trace, until: args.until };
    report::heading(plan, &[seed], false);
    let job = Again { runner: &runner, plan, seed, telling, command };
    let outcome = match earlier {
        Some(run) if args.schedule => job.on_schedule(run),
        Some(_) | None => job.replay(earlier),
    };
    let outcome = outcome.map_err(|error| cannot(&error))?;
    report::one(plan, &outcome);
    Ok(ended(outcome.verdict))
}

fn selection(args: &ReplayArgs, plan: PathBuf) -> Selection {
    Selection {
        plans: vec![plan],
        seed: args.seed,
        seeds: None,
        mode: None,
        overrides: args.overrides.clone(),
        out: args.out.clone(),
        jobs: Some(1),
        #[cfg(feature = "planted-bugs")]
        plant: args.plant.clone(),
    }
}
