//! `raft-chaos determinism`: every seed runs more than once, and the first event that differs is named.

use std::fmt;
use std::fs;
use std::io::{self, BufRead as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::Value;

use crate::plan::Plan;
use crate::record::{self, named};
use crate::report;
use crate::runner::{How, Job, Runner, each, interrupted};
use crate::verdict::Verdict;

/// What runs of the same seeds came to.
#[derive(Clone, Debug, Default)]
pub struct Runs {
    /// Those that did not go the same way each time.
    pub divergences: Vec<Divergence>,
    /// How many seeds had a run that was stopped from outside, so that nothing is known of them.
    pub stopped: usize,
}

impl Runs {
    /// What is to be said of them together.
    pub fn worst(&self) -> Verdict {
        match (self.divergences.is_empty(), self.stopped) {
            (false, _) => Verdict::Divergence,
            (true, 0) => Verdict::Pass,
            (true, _) => Verdict::Inconclusive,
        }
    }
}

/// Runs of one seed that went two ways.
#[derive(Clone, Debug)]
pub struct Divergence {
    /// The seed.
    pub seed: u64,
    /// Where the runs part.
    pub parting: Parting,
    /// The folders of the two.
    pub folders: [PathBuf; 2],
}

/// Where two runs part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parting {
    /// At this event, counted from 0, which is none where a run had already ended.
    Event {
        /// Which.
        event: u64,
        /// What happened in the one run and in the other.
        happened: [Option<Value>; 2],
    },
    /// Before this event, which is the same: in a message between servers, or in how long one took.
    Message {
        /// Which.
        event: u64,
        /// What happened in both.
        happened: Value,
    },
}

impl fmt::Display for Parting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event { event, happened: [one, two] } => {
                let say =
                    |happened: &Option<Value>| happened.as_ref().map_or("nothing more".to_owned(), said);
                write!(f, "event {event} is {} in one run and {} in the other", say(one), say(two))
            }
            Self::Message { event, happened } => {
                write!(
                    f,
                    "a message, or its delay, before event {event}, which is {} in both",
                    said(happened)
                )
            }
        }
    }
}

/// `"durable" of n2 at 0.897000000 s {"index":59,...}`
fn said(happened: &Value) -> String {
    let seconds = happened["time_ns"].as_u64().unwrap_or(0) as f64 / 1e9;
    let node = happened["node"].as_u64().map_or(String::new(), |node| format!(" of n{node}"));
    let name = happened["event"].as_str().map_or(String::new(), |name| format!("{name:?}{node} "));
    let mut rest = happened.clone();
    if let Some(fields) = rest.as_object_mut() {
        fields.retain(|key, _| !matches!(key.as_str(), "time_ns" | "event"));
    }
    format!("{name}at {seconds:.9} s {rest}")
}

/// Runs every seed of a plan `times` times, and adds what they come to to `runs`: after an error, too, what was known before.
/// Those that did not go the same way each time, or were stopped, leave what was recorded; the others leave nothing.
///
/// # Errors
///
/// A file or a process could not be made.
pub fn determinism(
    runner: &Runner,
    plan: &Plan,
    seeds: &[u64],
    times: u64,
    command: &str,
    runs: &mut Runs,
) -> io::Result<()> {
    let began = Instant::now();
    let folder = runner.new_folder(&plan.name)?;
    let job = Job { runner, plan, folder: &folder, command };
    let (mut alike, mut events, mut parted) = (0, 0, 0);
    let mut left = seeds.iter().copied();
    let ran = each(
        runner.jobs,
        || left.next(),
        |seed| job.compared(seed, times),
        |compared| {
            match compared {
                Compared::Same { events: more } => {
                    alike += 1;
                    events += more;
                }
                Compared::Parted(divergence) => {
                    report::parted(&plan.name, &divergence);
                    parted += 1;
                    runs.divergences.push(divergence);
                }
                Compared::Stopped { seed, why } => {
                    report::stopped(&plan.name, seed, &why);
                    runs.stopped += 1;
                }
            }
            Ok(())
        },
    );
    report::determinism(&plan.name, alike + parted, times, events, parted, began.elapsed());
    ran
}

enum Compared {
    Same {
        events: u64,
    },
    Parted(Divergence),
    /// A run was stopped from outside.
    Stopped {
        seed: u64,
        why: String,
    },
}

impl Job<'_> {
    /// Each further run against the first. After an interrupt no run begins any more.
    fn compared(&self, seed: u64, times: u64) -> io::Result<Compared> {
        let run = |nth: u64| {
            if interrupted() {
                return Ok(Err("somebody wanted it to end".to_owned()));
            }
            let folder = self.folder.join(format!("seed-{seed}-run-{nth}"));
            fs::create_dir(&folder).map_err(|error| named(&folder, &error))?;
            let outcome = self.child(seed, &folder, How::recorded())?;
            io::Result::Ok(if outcome.was_stopped() { Err(outcome.reasons.join("; ")) } else { Ok(folder) })
        };
        let first = match run(1)? {
            Ok(first) => first,
            Err(why) => return Ok(Compared::Stopped { seed, why }),
        };
        let mut events = 0;
        for nth in 2..=times {
            let again = match run(nth)? {
                Ok(again) => again,
                Err(why) => return Ok(Compared::Stopped { seed, why }),
            };
            match parting(&first, &again, None)? {
                Ok(same) => events = same,
                Err(parting) => {
                    return Ok(Compared::Parted(Divergence { seed, parting, folders: [first, again] }));
                }
            }
            fs::remove_dir_all(again)?;
        }
        fs::remove_dir_all(first)?;
        Ok(Compared::Same { events })
    }
}

/// Where two recorded runs part, or how many events they have in common if they do not; no further than `until`.
pub(crate) fn parting(one: &Path, two: &Path, until: Option<u64>) -> io::Result<Result<u64, Parting>> {
    let lines = |folder: &Path| {
        let path = folder.join("events.jsonl");
        record::open(&path)?.map(|record| record.lines()).ok_or_else(|| record::missing(&path))
    };
    let (mut one, mut two) = (lines(one)?, lines(two)?);
    let mut event = 0;
    loop {
        let (one, two) = (one.next().transpose()?, two.next().transpose()?);
        if one != two {
            return Ok(Err(match [happened(one)?, happened(two)?] {
                [Some(one), Some(two)] if one == two => Parting::Message { event, happened: one },
                happened => Parting::Event { event, happened },
            }));
        }
        if one.is_none() || until == Some(event) {
            return Ok(Ok(event));
        }
        event += 1;
    }
}

/// What a line says happened, without the hash of all that went before.
fn happened(line: Option<String>) -> io::Result<Option<Value>> {
    let Some(line) = line else { return Ok(None) };
    let mut happened: Value = serde_json::from_str(&line)?;
    if let Some(fields) = happened.as_object_mut() {
        fields.remove("hash");
    }
    Ok(Some(happened))
}
