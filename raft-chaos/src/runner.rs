//! Plans over their seeds: a process for each seed, several at a time, and what became of them.
//!
//! A process each, because a seed must not see what an earlier one left behind, and because one that
//! hangs or panics must not take the others with it.

mod came;
#[cfg(test)]
pub(crate) mod fake;
mod many;
mod one;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::SystemTime;

pub use crate::interrupt::{interrupt, interrupted};
use crate::outcome::Outcome;
use crate::plan::{Mode, Plan};
use crate::progress::{Display, Progress};
use crate::record::named;
use crate::report;
use crate::result::Stopped;
use crate::sim::Telling;
use crate::soak::{Line, Summary};
use crate::verdict::Verdict;
pub use many::{Ends, Seeds};
pub(crate) use many::{each, is_rechecked};
pub(crate) use one::How;

/// How plans are run.
#[derive(Clone, Debug)]
pub struct Runner {
    /// This tool.
    pub program: PathBuf,
    /// The folder under which results go.
    pub out: PathBuf,
    /// How many seeds run at a time.
    pub jobs: usize,
    /// What is said on standard output.
    pub voice: Voice,
    /// How progress is shown on standard error.
    pub progress: Progress,
    /// Whether a recorded run that passes has a report too.
    pub report: bool,
    /// Whether each of many seeds is recorded, and not only those that do not pass.
    pub keep_all: bool,
    /// How much memory a seed's process may hold, in MB, before it is ended.
    pub memory_max_mb: Option<u64>,
    /// The name of the bug that every node has on purpose.
    pub planted: Option<String>,
}

/// What is said of runs on standard output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Voice {
    /// The result of each seed as JSON, and nothing else.
    Json,
    /// Verdicts, of many seeds those that are not good, and their sum.
    Quiet,
    /// The story of a single seed as well, with its numbers.
    #[default]
    Usual,
    /// Every event of a single seed as well, with its number; of many seeds the verdict of each.
    Loud,
}

impl Runner {
    /// Runs a plan with these seeds until they are done or this ends them, and adds what they come to to `total`: after an error,
    /// too, what was known before. `command` is how a person would write that, without the seed.
    ///
    /// # Errors
    ///
    /// A file or a process could not be made.
    pub fn run(
        &self,
        plan: &Plan,
        seeds: &Seeds,
        ends: &Ends,
        command: &str,
        total: &mut Summary,
    ) -> io::Result<()> {
        if plan.run.mode == Mode::Both {
            let mut run = |mode: Mode, seeds: &Seeds| {
                let command = format!("{command} --set run.mode={}", mode.name());
                self.run(&plan.in_mode(mode), seeds, ends, &command, total)
            };
            run(Mode::Sim, seeds)?;
            let first =
                Seeds { first: seeds.first.iter().take(1).copied().collect(), then: None, is_one: true };
            if !first.first.is_empty() && !interrupted() {
                run(Mode::Process, &first)?;
            }
            return Ok(());
        }
        let folder = self.new_folder(&plan.name)?;
        match self.voice {
            Voice::Json | Voice::Quiet => {}
            Voice::Usual | Voice::Loud => report::heading(plan, &seeds.first, seeds.then.is_some()),
        }
        let job = Job { runner: self, plan, folder: &folder, command };
        let [seed] = seeds.first[..] else { return job.many(seeds, ends, total) };
        if !seeds.is_one {
            return job.many(seeds, ends, total);
        }
        let outcome = job.alone(seed)?;
        self.show(&outcome, |outcome| match self.voice {
            Voice::Json | Voice::Quiet => report::verdict(outcome),
            Voice::Usual | Voice::Loud => report::one(plan, outcome),
        });
        let line = Line::of(plan, &outcome);
        total.add(&line);
        total.keep(line, &outcome);
        Ok(())
    }

    /// In the form that is asked for.
    fn show(&self, outcome: &Outcome, print: impl FnOnce(&Outcome)) {
        if self.voice == Voice::Json {
            // A reader who has gone away is no reason to stop.
            drop(writeln!(io::stdout(), "{}", outcome.result));
        } else {
            print(outcome);
        }
    }

    /// A folder of its own, named by the second in which the run began.
    pub(crate) fn new_folder(&self, plan: &str) -> io::Result<PathBuf> {
        let second = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
        let parent = self.out.join(plan);
        make_folder(&parent)?;
        let mut name = second.to_string();
        for again in 2.. {
            match fs::create_dir(parent.join(&name)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    name = format!("{second}-{again}")
                }
                made => {
                    let folder = parent.join(name);
                    return made.map_err(|error| unmade(&folder, &error)).map(|()| folder);
                }
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }
}

/// How much this machine does at a time.
pub(crate) fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Makes a folder for results, where there is none.
///
/// # Errors
///
/// It cannot be made; it is named, and the cure.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder).map_err(|error| unmade(folder, &error))
}

fn unmade(folder: &Path, error: &io::Error) -> io::Error {
    let why = format!("{}: {error}; name a folder that can be written to with --out", folder.display());
    io::Error::new(error.kind(), why)
}

/// A plan in the middle of its seeds.
pub(crate) struct Job<'a> {
    pub(crate) runner: &'a Runner,
    pub(crate) plan: &'a Plan,
    /// Where its results go.
    pub(crate) folder: &'a Path,
    /// How a person would write what is done, without the seed.
    pub(crate) command: &'a str,
}

impl Job<'_> {
    /// One seed, recorded and told as it goes; and again, unrecorded, if the plan has a share rechecked.
    fn alone(&self, seed: u64) -> io::Result<Outcome> {
        let story = matches!(self.runner.voice, Voice::Usual | Voice::Loud);
        let telling = Telling { everything: self.runner.voice == Voice::Loud, until: None };
        let run = &self.plan.run;
        let length = run.warmup + run.duration + run.settle;
        let mut display = Display::of_seed(self.runner.progress, &self.plan.name, length);
        let how = How { story, telling, display: Some(&mut display), ..How::recorded() };
        let mut outcome = self.at_once(seed, self.folder, how, self.plan.sim.recheck.of(1) > 0)?;
        // What is known of a run that was stopped says nothing about what it would have shown.
        if outcome.verdict == Verdict::Pass {
            outcome.unshown(self.plan).into_iter().for_each(|what| outcome.lacks(what));
        }
        self.in_full(outcome)
    }

    /// A seed that is recorded when it runs first, whatever comes of it; and runs again, unrecorded, if it is to be rechecked.
    fn at_once(&self, seed: u64, folder: &Path, how: How<'_>, recheck: bool) -> io::Result<Outcome> {
        let mut outcome = self.child(seed, folder, how)?;
        // In the real world nothing goes the same way twice.
        let is_rechecked = recheck && self.plan.run.mode == Mode::Sim;
        if is_rechecked && !outcome.was_stopped() && !interrupted() {
            let compared = self.compare(&mut outcome);
            outcome.stands_after(compared)?;
        }
        Ok(outcome)
    }

    /// What came of a recorded seed is written to its folder, and drawn unless nobody wants to see that.
    fn in_full(&self, mut outcome: Outcome) -> io::Result<Outcome> {
        let written = outcome.write();
        outcome.stands_after(written)?;
        if self.runner.report || outcome.verdict != Verdict::Pass {
            outcome.draw();
        }
        Ok(outcome)
    }

    /// A seed that passes leaves its line in `results.jsonl`; one that does not is run again, recorded, unless it was interrupted
    /// or took all the time that a seed may take. In the real world, and where all is to be kept, each is recorded at once.
    pub(crate) fn one_of_many(&self, seed: u64, recheck: bool) -> io::Result<Outcome> {
        if self.plan.run.mode == Mode::Process || self.runner.keep_all {
            let folder = self.new_folder_of(seed)?;
            return self.in_full(self.at_once(seed, &folder, How::recorded(), recheck)?);
        }
        let scratch = tempfile::tempdir()?;
        let mut outcome = self.child(seed, scratch.path(), How::default())?;
        outcome.folder = None;
        if outcome.verdict == Verdict::Pass {
            if recheck && !interrupted() {
                self.compare(&mut outcome)?;
            }
            return Ok(outcome);
        }
        if outcome.verdict == Verdict::Interrupted {
            return Ok(outcome);
        }
        let is_over =
            interrupted() || matches!(outcome.stopped(), Some(Stopped::Interrupt | Stopped::MaxWall));
        let written = if is_over { self.noted(&outcome) } else { self.recorded(&outcome) };
        match written {
            Ok(written) => Ok(written),
            Err(error) => outcome.stands_after(Err(error)).map(|()| outcome),
        }
    }

    /// What is known of a seed that nobody waits for once more is written down: its result, and what repeats it.
    fn noted(&self, outcome: &Outcome) -> io::Result<Outcome> {
        let folder = self.new_folder_of(outcome.seed)?;
        fs::write(folder.join("plan.lock.toml"), self.plan.lock(outcome.seed))?;
        self.write_repro(&folder)?;
        let noted = Outcome { folder: Some(folder), ..outcome.clone() };
        noted.write()?;
        Ok(noted)
    }

    /// The same once more, with all that is to be known of it.
    fn recorded(&self, outcome: &Outcome) -> io::Result<Outcome> {
        let folder = self.new_folder_of(outcome.seed)?;
        let mut recorded = self.child(outcome.seed, &folder, How::recorded())?;
        recorded.must_equal(outcome);
        let written = recorded.write();
        recorded.stands_after(written)?;
        recorded.draw();
        Ok(recorded)
    }

    /// Where a seed leaves its record.
    pub(crate) fn folder_of(&self, seed: u64) -> PathBuf {
        self.folder.join(format!("seed-{seed}"))
    }

    fn new_folder_of(&self, seed: u64) -> io::Result<PathBuf> {
        let folder = self.folder_of(seed);
        fs::create_dir(&folder).map_err(|error| named(&folder, &error))?;
        Ok(folder)
    }

    /// Runs the same seed again: it must go the same way.
    fn compare(&self, outcome: &mut Outcome) -> io::Result<()> {
        let scratch = tempfile::tempdir()?;
        let again = self.child(outcome.seed, scratch.path(), How::default())?;
        outcome.must_equal(&again);
        Ok(())
    }
}
