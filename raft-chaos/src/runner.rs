//! Plans over their seeds: a process for each seed, several at a time, and what became of them.
//!
//! A process each, because a seed must not see what an earlier one left behind, and because one that
//! hangs or panics must not take the others with it.

mod came;
#[cfg(test)]
pub(crate) mod fake;
mod many;

use std::fs::{self, Permissions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::SystemTime;

use crate::child::wait;
use crate::outcome::Outcome;
use crate::plan::{Mode, Plan};
use crate::progress::{Display, Progress};
use crate::record::named;
use crate::report;
use crate::sim::Telling;
use crate::soak::{Line, Summary};
use crate::told::Told;
use crate::verdict::Verdict;
pub use many::{Ends, Seeds};
pub(crate) use many::{each, is_rechecked};

/// Whether somebody wants this process to end.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Somebody wants this process to end: no seed begins any more, and what is known is told.
pub fn interrupt() {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// Whether [`interrupt`] was called.
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

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
            let first = Seeds { first: seeds.first.iter().take(1).copied().collect(), then: None };
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
        let Seeds { first, then: None } = seeds else { return job.many(seeds, ends, total) };
        let [seed] = first[..] else { return job.many(seeds, ends, total) };
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
        fs::create_dir_all(&parent)?;
        let mut name = second.to_string();
        for again in 2.. {
            match fs::create_dir(parent.join(&name)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    name = format!("{second}-{again}")
                }
                made => return made.map(|()| parent.join(name)),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }
}

/// How the process of a seed is started.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct How<'a> {
    /// Whether the history and the events are written.
    pub(crate) record: bool,
    /// Whether the story is told on standard output.
    pub(crate) story: bool,
    /// What else is told, and how long the run goes.
    pub(crate) telling: Telling,
    /// The `schedule.jsonl` of another run, of which everything fires once more, and nothing else does.
    pub(crate) schedule: Option<&'a Path>,
    /// Where it is shown how the run stands.
    pub(crate) display: Option<&'a Display>,
}

impl How<'_> {
    /// Recorded, and told to nobody.
    pub(crate) fn recorded() -> Self {
        Self { record: true, ..Self::default() }
    }
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
        let display = Display::of_seed(self.runner.progress, run.warmup + run.duration + run.settle);
        let how = How { story, telling, display: Some(&display), ..How::recorded() };
        let mut outcome = self.child(seed, self.folder, how)?;
        if run.mode == Mode::Sim && self.plan.sim.recheck.of(1) > 0 {
            let compared = self.compare(&mut outcome);
            outcome.stands_after(compared)?;
        }
        // What is known of a run that was stopped says nothing about what it would have shown.
        if outcome.verdict == Verdict::Pass {
            outcome.unshown(self.plan).into_iter().for_each(|what| outcome.lacks(what));
        }
        let written = outcome.write();
        outcome.stands_after(written)?;
        if self.runner.report || outcome.verdict != Verdict::Pass {
            outcome.draw();
        }
        Ok(outcome)
    }

    /// A seed that passes leaves its line in `results.jsonl`; one that does not is run again, recorded. In the real world,
    /// where nothing goes the same way twice, each is recorded at once.
    pub(crate) fn one_of_many(&self, seed: u64, recheck: bool) -> io::Result<Outcome> {
        if self.plan.run.mode == Mode::Process {
            let folder = self.new_folder_of(seed)?;
            let mut outcome = self.child(seed, &folder, How::recorded())?;
            if outcome.verdict != Verdict::Pass {
                outcome.draw();
            }
            return Ok(outcome);
        }
        let scratch = tempfile::tempdir()?;
        let mut outcome = self.child(seed, scratch.path(), How::default())?;
        outcome.folder = None;
        if outcome.verdict == Verdict::Interrupted {
            return Ok(outcome);
        }
        if outcome.verdict != Verdict::Pass {
            return match self.recorded(&outcome) {
                Ok(recorded) => Ok(recorded),
                Err(error) => outcome.stands_after(Err(error)).map(|()| outcome),
            };
        }
        if recheck {
            self.compare(&mut outcome)?;
        }
        Ok(outcome)
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

    /// Runs one seed in a process of its own, for at most the plan's `max_wall`.
    pub(crate) fn child(&self, seed: u64, folder: &Path, how: How<'_>) -> io::Result<Outcome> {
        let How { record, story, telling, schedule, display } = how;
        let display = display.filter(|display| display.is_bar());
        let lock = folder.join("plan.lock.toml");
        fs::write(&lock, self.plan.lock(seed))?;
        let mut command = Command::new(&self.runner.program);
        command.arg("seed").arg("--lock").arg(&lock).arg("--seed").arg(seed.to_string());
        command.arg("--folder").arg(folder);
        if record {
            command.arg("--record");
        }
        if story {
            command.arg("--story");
        }
        match display {
            Some(_) => command.arg("--pulse").stdout(Stdio::piped()),
            None if story => &mut command,
            None => command.stdout(Stdio::null()),
        };
        if telling.everything {
            command.arg("--trace");
        }
        if let Some(until) = telling.until {
            command.arg("--until").arg(until.to_string());
        }
        if let Some(schedule) = schedule {
            command.arg("--schedule").arg(schedule);
        }
        if let Some(planted) = &self.runner.planted {
            command.arg("--plant").arg(planted);
        }
        let repeat = format!("{} --seed {seed}", self.command);
        if record {
            self.write_repro(folder)?;
        }
        let mut child = command.stdin(Stdio::null()).spawn()?;
        let told = child.stdout.take().zip(display);
        // A process of the simulation has nothing to end in order.
        let is_to_hear = self.plan.run.mode == Mode::Process;
        let ended = thread::scope(|scope| {
            if let Some((told, display)) = told {
                scope.spawn(move || listen(told, display));
            }
            wait(child, self.plan.run.max_wall, self.runner.memory_max_mb, is_to_hear)
        })?;
        let outcome = self.came_of(seed, &ended, repeat, folder)?;
        outcome.write()?;
        Ok(outcome)
    }

    /// A script that runs the locked plan beside it once more.
    fn write_repro(&self, folder: &Path) -> io::Result<()> {
        let plant = self.runner.planted.as_ref().map_or(String::new(), |bug| format!(" --plant {bug}"));
        let program = self.runner.program.display();
        let script =
            format!("#!/bin/sh\ncd \"$(dirname \"$0\")\" && exec '{program}' run plan.lock.toml{plant}\n");
        let path = folder.join("repro.sh");
        fs::write(&path, script)?;
        fs::set_permissions(&path, Permissions::from_mode(0o755))
    }
}

/// Shows what the process of a seed tells, until it ends.
fn listen(told: ChildStdout, display: &Display) {
    // What cannot be read is not shown; what came of the seed is in its folder.
    for line in BufReader::new(told).lines().map_while(Result::ok) {
        match Told::read(&line) {
            Some(Told::Story(seconds, line)) => display.beside(|| report::story(seconds, &line)),
            Some(Told::Pulse(pulse)) => display.pulse(&pulse),
            None => display.beside(|| report::say(&line)),
        }
    }
}
