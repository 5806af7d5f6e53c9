//! `raft-chaos replay`: a seed once more, told in as much detail as one wants, and held against an earlier run of it.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::determinism::parting;
use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::record;
use crate::runner::{How, Job, Runner};
use crate::sim::Telling;

/// A seed that is to be run again, recorded and told.
#[derive(Clone, Copy)]
pub(crate) struct Again<'a> {
    pub(crate) runner: &'a Runner,
    pub(crate) plan: &'a Plan,
    pub(crate) seed: u64,
    pub(crate) telling: Telling,
    /// How a person would write a run of the plan, without the seed.
    pub(crate) command: &'a str,
}

impl Again<'_> {
    /// Runs it. If `earlier` is the folder of a run of the same seed, the two must be one, as far as this one goes. Where one of
    /// them was stopped from outside, nothing is known of that.
    ///
    /// # Errors
    ///
    /// A file or a process could not be made, or the earlier run has no record.
    pub(crate) fn replay(self, earlier: Option<&Path>) -> io::Result<Outcome> {
        let folder = self.runner.new_folder(&self.plan.name)?;
        let mut outcome = self.run(&folder, None)?;
        let Some(earlier) = earlier.filter(|_| !outcome.was_stopped()) else { return Ok(outcome) };
        let name = earlier.display();
        if was_stopped(earlier) {
            outcome
                .lacks(format!("replay: the run in {name} was stopped before it ended, and shows no more"));
        } else if let Err(parting) = parting(earlier, &folder, self.telling.until)? {
            outcome.went_two_ways(&format!("it is not the run in {name}: {parting}"));
        }
        outcome.write()?;
        Ok(outcome)
    }

    /// Runs it with what has fired in the run of that folder, and nothing else. What had an effect there must have one again,
    /// or nothing is proved.
    ///
    /// # Errors
    ///
    /// A file or a process could not be made, or the earlier run has no schedule or no result.
    pub(crate) fn on_schedule(self, earlier: &Path) -> io::Result<Outcome> {
        let named = |name: &str| {
            let path = earlier.join(name);
            fs::canonicalize(&path).map_err(|error| record::named(&path, &error))
        };
        let schedule = named("schedule.jsonl")?;
        let then: Value = serde_json::from_slice(&fs::read(named("result.json")?)?)?;
        let folder = self.runner.new_folder(&self.plan.name)?;
        let mut outcome = self.run(&folder, Some(&schedule))?;
        if !outcome.was_stopped() {
            for lost in lost(&then["faults"], &outcome.result["faults"]) {
                outcome.lacks(lost);
            }
        }
        outcome.write()?;
        Ok(outcome)
    }

    fn run(self, folder: &Path, schedule: Option<&Path>) -> io::Result<Outcome> {
        let Self { runner, plan, seed, telling, command } = self;
        let job = Job { runner, plan, folder, command };
        job.child(seed, folder, How { story: true, telling, schedule, ..How::recorded() })
    }
}

/// The file that a run would have to have so that it can be held against another, or its schedule fired once more, and that is not
/// there. Of one that was stopped from outside nothing more is looked at.
pub(crate) fn lacking(run: &Path, schedule: bool) -> Option<&'static str> {
    let has = |name: &str| run.join(name).is_file();
    if schedule {
        ["schedule.jsonl", "result.json"].into_iter().find(|name| !has(name))
    } else {
        let is_told = has("events.jsonl") || has("events.jsonl.zst");
        (!is_told && !was_stopped(run)).then_some("events.jsonl")
    }
}

/// Whether the run in that folder was stopped from outside. One that says nothing of its end is taken for one that was not.
fn was_stopped(run: &Path) -> bool {
    let result = fs::read(run.join("result.json")).ok();
    let result = result.and_then(|json| serde_json::from_slice::<Value>(&json).ok());
    result.is_some_and(|result| !result["stopped"].is_null())
}

/// Which firings had an effect then and have none now, a sentence each.
fn lost(then: &Value, now: &Value) -> Vec<String> {
    let of = |faults: &Value| {
        let had_effect = |fault: &&Value| fault["had_effect"] == true;
        let faults = faults.as_array().into_iter().flatten().filter(had_effect);
        faults.map(|fault| (fault["event"].clone(), fault["time_ns"].as_u64())).collect::<Vec<_>>()
    };
    let now = of(now);
    let lost = of(then).into_iter().filter(|fired| !now.contains(fired));
    let sentence = |(event, time_ns): (Value, Option<u64>)| {
        let (event, at) = (event.as_str().unwrap_or_default(), Duration::from_nanos(time_ns.unwrap_or(0)));
        format!("schedule: {event} had an effect at {at:?} in the earlier run, and none in this one")
    };
    lost.map(sentence).collect()
}
