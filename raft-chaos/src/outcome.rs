//! What became of one seed, and whether two runs of it were one.

use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::Deserialize as _;
use serde_json::{Value, json};

use crate::picture::{self, Drawn};
use crate::plan::{Count, Plan};
use crate::report;
use crate::result::Stopped;
use crate::verdict::Verdict;

/// What became of one seed.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// The worst that was found.
    pub verdict: Verdict,
    /// Why.
    pub reasons: Vec<String>,
    /// `result.json`.
    pub result: Value,
    /// The command that repeats it.
    pub command: String,
    /// Where its files are; none of a seed that passed among many.
    pub folder: Option<PathBuf>,
    /// What was drawn of it.
    pub drawn: Option<Drawn>,
}

impl Outcome {
    pub(crate) fn read(seed: u64, result: Value, command: String, folder: &Path) -> Self {
        let reasons = result["reasons"].as_array().into_iter().flatten();
        let reasons = reasons.filter_map(Value::as_str).map(str::to_owned).collect();
        let verdict = result["verdict"].as_str().and_then(Verdict::named).unwrap_or(Verdict::Bug);
        Self { seed, verdict, reasons, result, command, folder: Some(folder.to_owned()), drawn: None }
    }

    /// Two runs of one seed must be one. The worse verdict stays, with its reasons first: a judge may have given up on the other run.
    /// That they differ is a finding of its own, unless one of them was stopped from outside. Where that was this one, it is known
    /// by the other.
    pub(crate) fn must_equal(&mut self, other: &Self) {
        if other.was_stopped() {
            return;
        }
        let is_one = self.hash() == other.hash()
            && (self.verdict == Verdict::Crash) == (other.verdict == Verdict::Crash);
        let is_known = !self.was_stopped();
        self.stays_as_bad_as(other);
        if is_known && !is_one {
            let (one, two) = (self.hash(), other.hash());
            self.went_two_ways(&format!("its event hash was {one} and {two}"));
        }
    }

    /// The worse verdict stays, with its reasons first.
    fn stays_as_bad_as(&mut self, other: &Self) {
        if other.verdict < self.verdict {
            self.verdict = other.verdict;
            self.reasons.splice(0..0, other.reasons.iter().cloned());
            self.told();
        }
    }

    /// Its process ended before it had judged all, over this. What it had found by then stands.
    pub(crate) fn is_cut_off(&mut self, verdict: Verdict, reason: String) {
        let place = if verdict < self.verdict { 0 } else { self.reasons.len() };
        self.reasons.insert(place, reason);
        self.verdict = self.verdict.min(verdict);
        self.told();
    }

    /// What was found of a seed stands though this tool could not go on with it; where nothing was, the error does.
    pub(crate) fn stands_after(&mut self, went_on: io::Result<()>) -> io::Result<()> {
        let Err(error) = went_on else { return Ok(()) };
        if self.verdict == Verdict::Pass {
            return Err(error);
        }
        self.reasons.push(format!("raft-chaos could not go on with it: {error}"));
        self.told();
        Ok(())
    }

    /// What stopped it from outside, before its time.
    pub(crate) fn stopped(&self) -> Option<Stopped> {
        Option::deserialize(&self.result["stopped"]).unwrap_or(None)
    }

    /// Whether it was stopped from outside, and might have come to more.
    pub(crate) fn was_stopped(&self) -> bool {
        self.stopped().is_some()
    }

    /// Another run of the seed was another run.
    pub(crate) fn went_two_ways(&mut self, how: &str) {
        self.reasons.push(format!("seed {} went two ways: {how}", self.seed));
        self.verdict = self.verdict.min(Verdict::Divergence);
        self.told();
    }

    /// Something that was to be shown was not.
    pub(crate) fn lacks(&mut self, reason: String) {
        self.reasons.push(reason);
        self.verdict = self.verdict.min(Verdict::Inconclusive);
        self.told();
    }

    /// What the plan asks of one seed among all under `swarm` and this one has not shown, a sentence each.
    pub(crate) fn unshown(&self, plan: &Plan) -> Vec<String> {
        let evidence = &plan.check.evidence;
        let asked =
            [("elections", evidence.elections), ("snapshots_installed", evidence.snapshots_installed)];
        let shows =
            |key: &str, count: Count| self.result[key].as_u64().is_some_and(|number| count.holds(number));
        let asked = asked.into_iter().filter_map(|(key, count)| Some((key, count?)));
        let unshown = asked.filter(|(key, count)| plan.run.swarm && !shows(key, *count));
        unshown.map(|(key, count)| format!("evidence.{key}: in no seed {count}")).collect()
    }

    /// `result.json` says what is known now.
    fn told(&mut self) {
        self.result["verdict"] = json!(self.verdict);
        self.result["exit_code"] = json!(self.verdict.exit_code());
        self.result["reasons"] = json!(self.reasons);
    }

    fn hash(&self) -> &str {
        self.result["event_hash"].as_str().unwrap_or(NO_HASH)
    }

    /// Draws the run, where it has left anything to draw. A run without a picture is still a run.
    pub(crate) fn draw(&mut self) {
        let Some(folder) = &self.folder else { return };
        match picture::draw(folder, None) {
            Ok(drawn) => self.drawn = Some(drawn),
            Err(error) => report::note(format_args!("raft-chaos: no report: {error}")),
        }
    }

    /// Writes `result.json`, where the outcome has a folder.
    pub(crate) fn write(&self) -> io::Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        fs::write(folder.join("result.json"), serde_json::to_vec_pretty(&self.result)?)
    }
}

/// The hash of a run of which nothing is known.
const NO_HASH: &str = "0000000000000000";

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(verdict: Verdict, hash: &str, stopped: Option<Stopped>) -> Outcome {
        let result = json!({ "verdict": verdict, "reasons": [verdict.name()], "event_hash": hash, "stopped": stopped });
        Outcome::read(7, result, String::new(), Path::new("nowhere"))
    }

    /// Each row: the run that was recorded, the run before it, what is said of the seed, and how many reasons that has.
    #[test]
    fn a_seed_is_as_bad_as_its_runs() {
        use Verdict::{Crash, Divergence, Inconclusive, Interrupted, Liveness, Pass, Safety};
        let (one, two) = ("00000000000000aa", "00000000000000bb");
        let (whole, cut) = (None, Some(Stopped::Interrupt));
        for (recorded, before, said, reasons) in [
            ((Safety, one, whole), (Safety, one, whole), Safety, 1),
            // Both, and that they differ.
            ((Liveness, one, whole), (Liveness, two, whole), Divergence, 2),
            ((Liveness, one, whole), (Safety, two, whole), Safety, 3),
            // The search had no time left while it was recorded, or when it ran again.
            ((Inconclusive, one, whole), (Safety, one, whole), Safety, 2),
            ((Safety, one, whole), (Inconclusive, one, whole), Safety, 1),
            ((Pass, one, whole), (Liveness, one, whole), Liveness, 2),
            ((Crash, NO_HASH, whole), (Pass, NO_HASH, whole), Crash, 2),
            // Stopped while it was recorded: it is known what the seed comes to.
            ((Interrupted, NO_HASH, cut), (Safety, one, whole), Safety, 2),
            ((Interrupted, two, cut), (Safety, one, whole), Safety, 2),
            ((Inconclusive, NO_HASH, Some(Stopped::MaxWall)), (Safety, one, whole), Safety, 2),
            ((Interrupted, two, cut), (Liveness, one, whole), Interrupted, 1),
            // Stopped after it had shown what is wrong.
            ((Safety, two, cut), (Safety, one, whole), Safety, 1),
            // Stopped when it ran again.
            ((Pass, one, whole), (Interrupted, two, cut), Pass, 1),
            ((Pass, one, whole), (Inconclusive, NO_HASH, Some(Stopped::Memory)), Pass, 1),
        ] {
            let of = |(verdict, hash, stopped)| outcome(verdict, hash, stopped);
            let mut seed = of(recorded);
            seed.must_equal(&of(before));
            assert_eq!(
                (seed.verdict, &seed.result["verdict"], seed.reasons.len()),
                (said, &json!(said), reasons),
                "{recorded:?} {before:?}"
            );
        }
    }

    #[test]
    fn what_was_found_stands_after_an_error() {
        let failed = || Err(io::Error::other("the disk is full"));
        let mut found = outcome(Verdict::Safety, NO_HASH, None);
        found.stands_after(failed()).unwrap();
        assert_eq!(found.verdict, Verdict::Safety);
        assert!(found.result["reasons"][1].to_string().contains("the disk is full"));
        assert!(outcome(Verdict::Pass, NO_HASH, None).stands_after(failed()).is_err());
    }
}
