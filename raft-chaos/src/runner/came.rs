//! What came of the process of a seed: what it has judged itself, or why it has not.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::Job;
use crate::child::Ended;
use crate::interrupt::interrupted;
use crate::outcome::Outcome;
use crate::result::{RunResult, Stopped};
use crate::seed::KNOWN;
use crate::sim::Ran;
use crate::verdict::{Checker, Footprint, Judgement, Verdict};

/// The status of a seed's process that could not have what it needs.
const UNAVAILABLE: i32 = 69;

impl Job<'_> {
    /// What the process of a seed has written down. Where it ended before it had judged all, that is told, and what it knew by then
    /// stands.
    pub(super) fn came_of(
        &self,
        seed: u64,
        ended: &Ended,
        wall: Duration,
        repeat: String,
        folder: &Path,
    ) -> io::Result<Outcome> {
        let (known, result) = (read(&folder.join(KNOWN)), read(&folder.join("result.json")));
        if known.is_some() {
            fs::remove_file(folder.join(KNOWN))?;
        }
        if let (Ended::Code(_) | Ended::Interrupted, Some(result)) = (ended, result) {
            return Ok(Outcome::read(seed, result, repeat, folder));
        }
        let (verdict, stopped, reason) = self.why(ended, folder)?;
        let Some(known) = known else {
            let checker = Checker { engine: "off", seconds: 0.0, verdict: "off" };
            let judgement = Judgement::of(verdict, vec![reason], checker);
            let (nothing, wall_s) = (Footprint { rss_mb: 0, disk_mb: 0 }, wall.as_secs_f64());
            let result = RunResult::new(self.plan, seed, &Ran::default(), judgement, nothing, wall_s);
            let result = serde_json::to_value(RunResult { stopped, ..result })?;
            return Ok(Outcome::read(seed, result, repeat, folder));
        };
        let mut outcome = Outcome::read(seed, known, repeat, folder);
        outcome.is_cut_off(verdict, reason);
        Ok(outcome)
    }

    /// What it makes of a seed that its process has not judged all, what has stopped it, and why.
    fn why(&self, ended: &Ended, folder: &Path) -> io::Result<(Verdict, Option<Stopped>, String)> {
        match ended {
            Ended::TooLong => {
                let limit = self.plan.run.max_wall;
                let reason = format!("max_wall: the seed ran for more than {limit:?} and was stopped");
                Ok((Verdict::Inconclusive, Some(Stopped::MaxWall), reason))
            }
            Ended::TooLarge { mb } => {
                let reason = format!("memory: the seed's process held {mb} MB and was stopped");
                Ok((Verdict::Inconclusive, Some(Stopped::Memory), reason))
            }
            Ended::Interrupted => {
                let reason = "the process of the seed was interrupted before it could tell what it knew";
                Ok((Verdict::Interrupted, Some(Stopped::Interrupt), reason.to_owned()))
            }
            Ended::Code(UNAVAILABLE) => {
                Err(io::Error::other("this machine cannot do what the plan needs, see above"))
            }
            Ended::Code(code) => {
                let said = fs::read_to_string(folder.join("panic.txt"));
                let silent = |_| format!("the process of the seed ended with status {code} and no result");
                let (verdict, stopped) = match code {
                    6 => (Verdict::Crash, None),
                    _ if interrupted() => (Verdict::Interrupted, Some(Stopped::Interrupt)),
                    _ => (Verdict::Bug, None),
                };
                Ok((verdict, stopped, said.unwrap_or_else(silent)))
            }
        }
    }
}

/// What is written there; nothing where that was cut off in the middle, too.
fn read(path: &Path) -> Option<Value> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;
    use crate::runner::fake;
    use crate::runner::{How, Runner};

    /// It was found that safety is broken, and the search that was to say how took too much memory, or went wrong itself.
    #[test]
    fn what_a_process_knew_before_it_was_ended_stands() {
        let known = r#"{"verdict":"safety","reasons":["it is broken"],"event_hash":"00000000000000aa"}"#;
        for (then, verdict, reasons) in [
            (
                "held=$(head -c 60000000 /dev/zero | tr '\\0' a); while :; do sleep 0.01; done",
                Verdict::Safety,
                ["it is broken", "memory: the seed's process held"],
            ),
            ("exit 70", Verdict::Bug, ["the process of the seed ended with status 70", "it is broken"]),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let script = format!("echo '{known}' > \"$folder/known.json\"\n{then}");
            let runner = Runner { memory_max_mb: Some(40), ..fake::runner_of(folder.path(), &script) };
            let plan = Plan::parse("schema = 1\nname = \"one\"\n", "plan.toml", &[]).unwrap();
            let job = Job { runner: &runner, plan: &plan, folder: folder.path(), command: "" };
            let outcome = job.child(7, folder.path(), How::default()).unwrap();
            assert_eq!(outcome.verdict, verdict, "{:?}", outcome.reasons);
            assert!(
                outcome.reasons.iter().zip(reasons).all(|(reason, expected)| reason.starts_with(expected)),
                "{:?}",
                outcome.reasons
            );
            assert_eq!(outcome.reasons.len(), reasons.len());
            assert!(!outcome.was_stopped() && !folder.path().join(KNOWN).exists());
        }
    }
}
