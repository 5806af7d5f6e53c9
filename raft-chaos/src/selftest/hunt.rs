//! One bug, hunted through the seeds of plans.

use std::io;

use serde::Serialize;

use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::runner::{How, Job, Runner, interrupted};
use crate::verdict::Verdict;

/// What was planted, and what came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Hunt {
    /// The bug.
    pub bug: String,
    /// How it was found; none if it was not.
    pub found: Option<Find>,
    /// How many seeds ran, the one that found it included.
    pub seeds: u64,
    /// How much time went by in the simulation until then, in seconds.
    pub virtual_s: f64,
    /// Seeds that did not pass without the bug either, and so show nothing.
    pub false_alarms: Vec<Find>,
}

/// How a bug was found.
#[derive(Clone, Debug, Serialize)]
pub struct Find {
    /// The plan.
    pub plan: String,
    /// The seed.
    pub seed: u64,
    /// Who found it: a property, a threshold, or a node that ended.
    pub judge: String,
    /// What was said.
    pub reason: String,
}

/// Runs seeds of the plans in turns with the bug in every node, until one does not pass that passes without it.
pub(super) fn hunt(runner: &Runner, plans: &[Plan], bug: &str, seeds: u64) -> io::Result<Hunt> {
    let planted = Runner { planted: Some(bug.to_owned()), ..runner.clone() };
    let sound = Runner { planted: None, ..runner.clone() };
    let mut hunt =
        Hunt { bug: bug.to_owned(), found: None, seeds: 0, virtual_s: 0.0, false_alarms: Vec::new() };
    let turns = (0..seeds).flat_map(|seed| plans.iter().map(move |plan| (seed, plan)));
    for (seed, plan) in turns.take(usize::try_from(seeds).unwrap_or(usize::MAX)) {
        if interrupted() {
            break;
        }
        let outcome = one(&planted, plan, seed)?;
        hunt.seeds += 1;
        hunt.virtual_s += outcome.result["virtual_s"].as_f64().unwrap_or(0.0);
        if !is_found(outcome.verdict) {
            continue;
        }
        let without = one(&sound, plan, seed)?;
        if is_found(without.verdict) {
            hunt.false_alarms.push(Find::of(plan, without));
            continue;
        }
        hunt.found = Some(Find::of(plan, outcome));
        break;
    }
    Ok(hunt)
}

pub(super) fn one(runner: &Runner, plan: &Plan, seed: u64) -> io::Result<Outcome> {
    let scratch = tempfile::tempdir()?;
    Job { runner, plan, folder: scratch.path(), command: "" }.child(seed, scratch.path(), How::default())
}

/// Whether a verdict says that something is wrong with the nodes.
const fn is_found(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Safety | Verdict::Crash | Verdict::Liveness)
}

impl Find {
    fn of(plan: &Plan, outcome: Outcome) -> Self {
        let reason = outcome.reasons.into_iter().next().unwrap_or_default();
        let judge = judge_of(outcome.verdict, &reason);
        Self { plan: plan.name.clone(), seed: outcome.seed, judge, reason }
    }
}

/// `conformance` of `conformance broken on n2: ...`, `limits.elections` of `limits.elections: 9 is not ...`.
fn judge_of(verdict: Verdict, reason: &str) -> String {
    if verdict == Verdict::Crash {
        return "a node that ended".to_owned();
    }
    if verdict == Verdict::Liveness && !reason.starts_with("limits.") {
        return "progress".to_owned();
    }
    let end = reason.find(" broken").or_else(|| reason.find(':')).unwrap_or(reason.len());
    reason[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_finds_a_bug_is_named() {
        for (verdict, reason, judge) in [
            (Verdict::Safety, "conformance broken on n2: Restart refused", "conformance"),
            (Verdict::Safety, "witness-order: the order of the log does not explain", "witness-order"),
            (Verdict::Liveness, "limits.elections: 9 is not <= 2", "limits.elections"),
            (Verdict::Liveness, "progress was owed for 3s without a leader", "progress"),
            (Verdict::Crash, "n1 ended by itself: it does not join on", "a node that ended"),
        ] {
            assert_eq!(judge_of(verdict, reason), judge);
        }
    }
}
