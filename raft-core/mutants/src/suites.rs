//! The tests that have to notice a mutant, cheapest first.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use crate::Mistake;
use crate::compiler;
use crate::sources::Sources;

/// The environment variable that says which mutant a process is.
const SWITCH: &str = "RAFT_MUTANT";

/// The one that names the file for the places that a process comes by.
const REACHED: &str = "RAFT_MUTANT_REACHED";

/// A process gets so much memory, in KiB; one that wants more fails, as it should.
const MEMORY_KIB: u32 = 3_000_000;

/// A suite that takes so many times as long as without a mutant goes on for ever.
const PATIENCE: u32 = 8;

/// The least that a suite may take: the machine has other things to do.
const PATIENCE_MIN: Duration = Duration::from_secs(4);

/// The target of the tests that stand beside the rules.
const UNIT_TESTS: &str = "raft_core";

/// The example that runs seeded worlds.
const WORLDS: &str = "simulate";

/// A target of raft-core, and what it is told.
type Command = (&'static str, &'static [&'static str]);

/// What takes less than a second.
pub(crate) const QUICK: &[Command] = &[
    ("paper", &[]),
    (UNIT_TESTS, &[]),
    ("conformance", &[]),
    ("misuse", &[]),
    ("figure3", &[]),
    ("exposition", &[]),
    ("fingerprint", &[]),
    ("messages", &[]),
    ("quorums", &[]),
];

/// What takes some seconds, for what is left then.
pub(crate) const SLOW: &[Command] = &[
    (WORLDS, &["0..20"]),
    (WORLDS, &["0..20", "--members", "yes"]),
    (WORLDS, &["0..20", "--rot", "yes"]),
    ("script", &["scripts_play_as_written"]),
    ("back_up", &[]),
    ("node", &[]),
    ("fuzz", &[]),
];

/// What takes minutes, for what is left in the end.
pub(crate) const LONG: &[Command] = &[
    (WORLDS, &["20..400"]),
    (WORLDS, &["20..400", "--members", "yes"]),
    (WORLDS, &["20..400", "--rot", "yes"]),
    ("script", &["every_transfer", "no_mixture"]),
    ("model", &["a_server_may_join"]),
    ("model", &["with_pre_vote"]),
    ("model", &["of_the_specification"]),
];

/// A program with tests in it.
#[derive(Debug)]
pub(crate) struct Suite {
    pub(crate) name: String,
    program: PathBuf,
    words: Vec<String>,
    folder: PathBuf,
    patience: Duration,
    /// The mutants whose place is passed at all: no other can be noticed.
    reached: BTreeSet<u32>,
}

/// How a suite ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    Failed,
    /// It was stopped.
    EndedNever,
}

impl Suite {
    pub(crate) fn reaches(&self, mutant: u32) -> bool {
        self.reached.contains(&mutant)
    }

    /// Runs the suite as one mutant.
    pub(crate) fn run(&self, mutant: u32) -> Result<Outcome, Mistake> {
        self.run_with((SWITCH, mutant.to_string().as_ref()))
    }

    /// Runs the suite without any mutant: it has to pass, and says how long it takes and what it reaches.
    fn measure(&mut self, reached: &Path) -> Result<(), Mistake> {
        // A process that comes by no place leaves no file.
        fs::write(reached, "")?;
        let began = Instant::now();
        if self.run_with((REACHED, reached.as_os_str()))? != Outcome::Passed {
            return Err(format!("{} fails without any mutant", self.name).into());
        }
        let took = began.elapsed();
        for line in fs::read_to_string(reached)?.lines() {
            let (first, last) = line.split_once(' ').ok_or("two numbers a line")?;
            self.reached.extend(first.parse::<u32>()?..=last.parse()?);
        }
        println!("{:6} ms, {:4} reached by {}", took.as_millis(), self.reached.len(), self.name);
        self.patience = (took * PATIENCE).max(PATIENCE_MIN);
        Ok(())
    }

    fn run_with(&self, (key, value): (&str, &OsStr)) -> Result<Outcome, Mistake> {
        let limited = format!("ulimit -v {MEMORY_KIB}; exec \"$0\" \"$@\"");
        let mut child = std::process::Command::new("sh")
            .args(["-c", &limited])
            .arg(&self.program)
            .args(&self.words)
            .current_dir(&self.folder)
            .env(key, value)
            .env("RUST_BACKTRACE", "0")
            .env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "1")
            .env("PROPTEST_RNG_SEED", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        ended(&mut child, self.patience)
    }
}

/// Waits for a process to end, and ends it if it does not.
fn ended(child: &mut Child, patience: Duration) -> Result<Outcome, Mistake> {
    let began = Instant::now();
    let mut pause = Duration::from_millis(1);
    while began.elapsed() < patience {
        if let Some(status) = child.try_wait()? {
            return Ok(if status.success() { Outcome::Passed } else { Outcome::Failed });
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
    child.kill()?;
    child.wait()?;
    Ok(Outcome::EndedNever)
}

/// The programs that the suites are in, by the names of their targets.
pub(crate) struct Programs {
    built: BTreeMap<String, PathBuf>,
    folder: PathBuf,
    reached: PathBuf,
}

impl Programs {
    /// Builds them.
    pub(crate) fn built(sources: &Sources, target: &Path) -> Result<Self, Mistake> {
        let names: BTreeSet<&str> = [QUICK, SLOW, LONG].concat().into_iter().map(|(name, _)| name).collect();
        let own = names.into_iter().filter(|&name| name != UNIT_TESTS && name != WORLDS);
        let tests =
            [vec!["test", "--no-run", "--lib"], own.flat_map(|name| ["--test", name]).collect()].concat();
        let mut said = compiler::cargo(sources.tree(), target, &tests)?;
        said.extend(compiler::cargo(sources.tree(), target, &["build", "--example", WORLDS])?);
        if let Some(error) = said.iter().find_map(compiler::error) {
            return Err(format!("the tests do not compile: {}", compiler::rendered(error)).into());
        }
        let mut built = BTreeMap::new();
        for message in said {
            if let (Some(name), Some(program)) =
                (message["target"]["name"].as_str(), message["executable"].as_str())
            {
                built.insert(name.to_owned(), PathBuf::from(program));
            }
        }
        Ok(Self { built, folder: sources.tree().join("raft-core"), reached: target.join("mutants/reached") })
    }

    /// The suites of a list, measured.
    pub(crate) fn suites(&self, commands: &[Command]) -> Result<Vec<Suite>, Mistake> {
        let measured = |&(name, words): &Command| {
            let program =
                self.built.get(name).ok_or_else(|| format!("raft-core has no tests called {name:?}"))?;
            let mut suite = Suite {
                name: [&[name], words].concat().join(" "),
                program: program.clone(),
                words: words.iter().map(|&word| word.to_owned()).collect(),
                folder: self.folder.clone(),
                patience: Duration::from_secs(1_200),
                reached: BTreeSet::new(),
            };
            suite.measure(&self.reached)?;
            Ok(suite)
        };
        commands.iter().map(measured).collect()
    }
}
