//! `raft-chaos soak`: seeds without end over a set of plans, and a ledger that outlasts every interruption.
//!
//! | file | is |
//! | --- | --- |
//! | `queue.rs` | which plan and which seed come next |
//! | `lean.rs` | which chaos it is to have |
//! | `ledger.rs` | a line for each seed that ran, on disk |
//! | `findings.rs` | what failed, each kind of failure once |
//! | `merge.rs` | several ledgers as one |
//! | `summary.rs` | the sums, as text and as JUnit |

mod findings;
mod lean;
mod ledger;
mod merge;
mod queue;
mod summary;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::runner::{Job, Runner, each};
use crate::verdict::Verdict;
use findings::Findings;
pub use lean::Pace;
use lean::{Learned, Paces, leaned};
use ledger::Ledger;
pub use ledger::Line;
pub use merge::merge;
use queue::{Queue, Task};
pub use summary::Summary;

/// What a soak is to do.
#[derive(Clone, Debug)]
pub struct Soak {
    /// How seeds are run; its folder is that of the ledger.
    pub runner: Runner,
    /// The plans.
    pub entries: Vec<Entry>,
    /// When it ends.
    pub limits: Limits,
    /// The first seed of each plan.
    pub first_seed: u64,
    /// Which of the seeds are this soak's.
    pub shard: Shard,
    /// Whether chaos leans towards what few seeds have reached.
    pub lean: bool,
}

/// A plan on a store.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The plan.
    pub plan: Plan,
    /// How many of its seeds run for one seed of a plan of weight 1.
    pub weight: u64,
    /// How a person would write its run, without the seed.
    pub command: String,
}

impl Entry {
    /// What the ledger calls it.
    pub fn name(&self) -> EntryName {
        EntryName::of(&self.plan)
    }
}

impl EntryName {
    fn of(plan: &Plan) -> Self {
        Self { plan: plan.name.clone(), store: plan.cluster.storage.name().to_owned() }
    }
}

/// A plan and a store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryName {
    /// The plan's name.
    pub plan: String,
    /// The store's.
    pub store: String,
}

/// When a soak ends by itself: at whichever comes first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// So many seeds of all plans together, those included that the ledger has already.
    pub seeds: Option<u64>,
    /// No seed begins later than this after the start.
    pub time: Option<Duration>,
    /// A seed has not passed.
    pub until_failure: bool,
}

/// Every `of`-th seed, from the `nth`: several soaks with the same `of` share the seeds out among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// From 1 to `of`.
    pub nth: u64,
    /// At least 1.
    pub of: u64,
}

impl Default for Shard {
    fn default() -> Self {
        Self { nth: 1, of: 1 }
    }
}

/// Who hears how it goes: what is known so far.
pub type Watcher<'a> = dyn FnMut(&Summary) + Send + 'a;

impl Soak {
    /// Runs until a limit is reached or somebody interrupts it, and returns the sums over everything in the ledger.
    ///
    /// # Errors
    ///
    /// The ledger, a file or a process could not be made.
    pub fn run(&self, watcher: &mut Watcher<'_>) -> io::Result<Summary> {
        let began = Instant::now();
        let folder = &self.runner.out;
        fs::create_dir_all(folder)?;
        let (ledger, lines) = Ledger::open(folder)?;
        let mut state = State {
            queue: Queue::new(&self.entries, self.limits.seeds, self.first_seed, self.shard),
            findings: Findings::default(),
            summary: Summary::default(),
            learned: Learned::default(),
            ledger,
            watcher,
        };
        for line in &lines {
            state.queue.ran(line);
            state.findings.add(line);
            state.summary.add(line);
            state.learned.learn(line);
        }
        let failed_before = state.summary.failed();
        let state = Mutex::new(state);
        let next = || {
            let state = &mut *state.lock().ok()?;
            let over = self.limits.time.is_some_and(|limit| began.elapsed() >= limit)
                || (self.limits.until_failure && state.summary.failed() > failed_before);
            if over {
                return None;
            }
            let task = state.queue.next()?;
            let plan = &self.entries[task.entry].plan;
            let paces = if self.lean { state.learned.next(plan, task.seed) } else { Vec::new() };
            Some((task, paces))
        };
        let work = |(task, paces): (Task, Paces)| {
            let outcome = self.seed(task, &paces)?;
            Ok((task, paces, outcome))
        };
        let ended = |(task, paces, outcome): (Task, Paces, Outcome)| {
            let entry = &self.entries[task.entry];
            state.lock().map_or(Ok(()), |mut state| state.note(entry, paces, outcome, folder))
        };
        each(self.runner.jobs, next, work, ended)?;
        let state = state.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        state.summary.write(folder, &state.findings)?;
        Ok(state.summary)
    }

    fn seed(&self, task: Task, paces: &[Pace]) -> io::Result<Outcome> {
        let entry = &self.entries[task.entry];
        let folder = found_folder(&self.runner.out, &entry.name());
        fs::create_dir_all(&folder)?;
        let (plan, more) = leaned(&entry.plan, paces);
        let command = entry.command.clone() + &more;
        let job = Job { runner: &self.runner, plan: &plan, folder: &folder, command: &command };
        job.one_of_many(task.seed, is_rechecked(task.seed, entry.plan.sim.recheck.ppm()))
    }
}

/// Writes `summary.md` and `junit.xml` for seeds of one plan that have ended.
pub(crate) fn sum_up(plan: &Plan, outcomes: &[Outcome], folder: &Path) -> io::Result<()> {
    let (mut summary, mut findings) = (Summary::default(), Findings::default());
    for outcome in outcomes {
        let line = Line::of(&EntryName::of(plan), outcome);
        summary.add(&line);
        findings.add(&line);
    }
    summary.write(folder, &findings)
}

/// Where the failures of a plan are kept.
fn found_folder(folder: &Path, name: &EntryName) -> PathBuf {
    folder.join("found").join(format!("{}-{}", name.plan, name.store))
}

/// That share of all seeds, evenly spread.
fn is_rechecked(seed: u64, ppm: u32) -> bool {
    let before = |seed: u64| u128::from(seed) * u128::from(ppm) / 1_000_000;
    before(seed) != before(seed.saturating_add(1))
}

/// What the workers share.
struct State<'a, 'b> {
    queue: Queue,
    findings: Findings,
    summary: Summary,
    learned: Learned,
    ledger: Ledger,
    watcher: &'a mut Watcher<'b>,
}

impl State<'_, '_> {
    /// A seed has ended. One that was interrupted says nothing and will run again.
    fn note(&mut self, entry: &Entry, paces: Paces, outcome: Outcome, folder: &Path) -> io::Result<()> {
        if outcome.verdict == Verdict::Interrupted {
            return Ok(());
        }
        let line = Line { paces, ..Line::of(&entry.name(), &outcome) };
        self.ledger.write(&line)?;
        // Of each kind of failure the fastest run is kept.
        if let Some(slower) = self.findings.add(&line) {
            let name = EntryName { plan: slower.plan, store: slower.store };
            let kept = found_folder(folder, &name).join(format!("seed-{}", slower.seed));
            // A run that went two ways leaves none.
            if kept.exists() {
                fs::remove_dir_all(kept)?;
            }
        }
        self.summary.add(&line);
        self.learned.learn(&line);
        (self.watcher)(&self.summary);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_seeds_is_rechecked() {
        for (ppm, of_a_thousand) in [(0, 0), (50_000, 50), (1_000_000, 1_000)] {
            assert_eq!((7..1_007).filter(|seed| is_rechecked(*seed, ppm)).count(), of_a_thousand);
        }
    }
}
