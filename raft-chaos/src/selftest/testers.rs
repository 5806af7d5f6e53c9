//! Testers that are broken, and must be found out: a fault that does nothing, and a judge that always agrees.

use std::io;

use serde::Serialize;

use super::hunt::one;
use crate::data;
use crate::history::History;
use crate::linearizable::{Judge, Limits, TookEffect, Verdict as Opinion};
use crate::outside::trials;
use crate::plan::{Kind, Plan};
use crate::runner::Runner;
use crate::verdict::Verdict;

/// How far the search goes in a history of a few operations.
const STEPS: u64 = 1_000_000;
/// And how much memory it may take.
const MEMORY: usize = 1 << 28;

/// A tester with something broken in it, and whether that was found out.
#[derive(Clone, Debug, Serialize)]
pub struct BrokenTester {
    /// What is broken.
    pub what: &'static str,
    /// What gave it away; none if nothing did.
    pub found: Option<String>,
}

/// Breaks the tester in each way: no fault of `plan` does anything, and no judge disagrees.
///
/// # Errors
///
/// A process could not be made; or the judges as they are err about a known history, which the error names.
pub fn broken_testers(runner: &Runner, plan: &Plan) -> io::Result<Vec<BrokenTester>> {
    if let Some(wrong) = first_error(&|kind| data::judge(kind)) {
        return Err(io::Error::other(format!("our own judge is wrong: {wrong}")));
    }
    let idle = Runner { planted: Some("idle-partition".to_owned()), ..runner.clone() };
    let outcome = one(&idle, plan, 1)?;
    let named = outcome.reasons.into_iter().find(|_| outcome.verdict == Verdict::Inconclusive);
    Ok(vec![
        BrokenTester { what: "a fault that does nothing", found: named },
        BrokenTester {
            what: "a judge that always agrees",
            found: first_error(&|_| Box::new(Agreeing) as Box<dyn Judge>),
        },
    ])
}

/// The first known history about which a judge errs.
fn first_error(judge: &dyn Fn(Kind) -> Box<dyn Judge>) -> Option<String> {
    let errs = |trial: &&crate::outside::Trial| {
        let mut limits = Limits { steps: STEPS, cache_bytes: MEMORY, expired: &mut || false };
        (judge(trial.kind).search(&trial.history, &mut limits) == Opinion::Linearizable) != trial.good
    };
    trials().iter().find(errs).map(|trial| {
        let is = if trial.good { "good" } else { "bad" };
        format!("{} is {is}, and it says the opposite", trial.about)
    })
}

/// Finds nothing wrong with anything.
struct Agreeing;

impl Judge for Agreeing {
    fn witness(&self, _: &History, _: &[TookEffect]) -> Opinion {
        Opinion::Linearizable
    }

    fn search(&self, _: &History, _: &mut Limits<'_>) -> Opinion {
        Opinion::Linearizable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_judge_that_always_agrees_is_found_out_and_ours_is_right_about_everything_known() {
        assert_eq!(first_error(&|kind| data::judge(kind)), None);
        let found = first_error(&|_| Box::new(Agreeing) as Box<dyn Judge>);
        assert_eq!(found.as_deref(), Some("a stale read is bad, and it says the opposite"));
    }
}
