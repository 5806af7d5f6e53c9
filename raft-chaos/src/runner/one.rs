//! One seed in a process of its own: how that is started.

use std::fs::{self, Permissions};
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};
use std::thread;
use std::time::Instant;

use super::Job;
use crate::child::wait;
use crate::outcome::Outcome;
use crate::plan::Mode;
use crate::progress::Display;
use crate::report;
use crate::sim::Telling;
use crate::told::Told;

/// How the process of a seed is started.
#[derive(Debug, Default)]
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
    pub(crate) display: Option<&'a mut Display>,
}

impl How<'_> {
    /// Recorded, and told to nobody.
    pub(crate) fn recorded() -> Self {
        Self { record: true, ..Self::default() }
    }
}

impl Job<'_> {
    /// Runs one seed in a process of its own, for at most the plan's `max_wall`.
    pub(crate) fn child(&self, seed: u64, folder: &Path, how: How<'_>) -> io::Result<Outcome> {
        let How { record, story, telling, schedule, display } = how;
        let display = display.filter(|display| display.shows());
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
        match &display {
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
        let began = Instant::now();
        let mut child = command.stdin(Stdio::null()).spawn()?;
        let told = child.stdout.take().zip(display);
        let ended = thread::scope(|scope| {
            if let Some((told, display)) = told {
                scope.spawn(move || listen(told, display));
            }
            // Of the simulation nothing is left that would have to be ended.
            let has_servers = self.plan.run.mode == Mode::Process;
            wait(child, self.plan.run.max_wall, self.runner.memory_max_mb, has_servers)
        })?;
        let outcome = self.came_of(seed, &ended, began.elapsed(), repeat, folder)?;
        outcome.write()?;
        Ok(outcome)
    }

    /// A script that runs the locked plan beside it once more.
    pub(super) fn write_repro(&self, folder: &Path) -> io::Result<()> {
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
fn listen(told: ChildStdout, display: &mut Display) {
    // What cannot be read is not shown; what came of the seed is in its folder.
    for line in BufReader::new(told).lines().map_while(Result::ok) {
        match Told::read(&line) {
            Some(Told::Story(seconds, line)) => display.beside(|| report::story(seconds, &line)),
            Some(Told::Pulse(pulse)) => display.pulse(&pulse),
            None => display.beside(|| report::say(&line)),
        }
    }
}
