//! `raft-chaos soak`: seeds without end over a set of plans, and a ledger that outlasts every interruption.
//!
//! | file | is |
//! | --- | --- |
//! | `queue.rs` | which plan and which seed come next |
//! | `lean.rs` | which chaos it is to have |
//! | `ledger.rs` | a line for each seed that ran, on disk |
//! | `findings.rs` | what failed, each kind of failure once |
//! | `merge.rs` | several ledgers as one |
//! | `summary.rs` | the sums, as text, as a page and as JUnit |

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

use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::record::named;
use crate::runner::{Ends, Job, Runner, each, is_rechecked, make_folder};
use crate::verdict::Verdict;
pub(crate) use findings::Finding;
pub use lean::Pace;
use lean::{Learned, Paces, leaned};
pub use ledger::Line;
pub(crate) use ledger::{Ledger, or_dash};
pub use merge::merge;
use queue::{Queue, Task};
pub use summary::{Nights, Summary, Sums};

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
    pub(crate) fn of(plan: &Plan) -> Self {
        Self { plan: plan.name.clone(), store: plan.cluster.storage.name().to_owned() }
    }

    fn of_line(line: &Line) -> Self {
        Self { plan: line.plan.clone(), store: line.store.clone() }
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
    /// No seed begins any more.
    pub ends: Ends,
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

impl Shard {
    /// Whether the seed at this place, from 0, is one of its.
    pub const fn has(self, place: u64) -> bool {
        place % self.of == self.nth - 1
    }
}

/// Who hears how it goes: what is known so far.
pub type Watcher<'a> = dyn FnMut(&Summary) + Send + 'a;

impl Soak {
    /// Runs until a limit is reached or somebody interrupts it, and adds everything in the ledger to `total`: after an error,
    /// too, what was known before.
    ///
    /// # Errors
    ///
    /// The ledger, a file or a process could not be made.
    pub fn run(&self, watcher: &mut Watcher<'_>, total: &mut Summary) -> io::Result<()> {
        let folder = &self.runner.out;
        make_folder(folder)?;
        let (ledger, lines) = Ledger::open(folder)?;
        let mut state = State {
            queue: Queue::new(&self.entries, self.limits.seeds, self.first_seed, self.shard),
            summary: Summary::default(),
            learned: Learned::default(),
            ledger,
            watcher,
        };
        for line in &lines {
            state.queue.ran(line);
            state.summary.add(line);
            state.learned.learn(line);
        }
        let failed_before = state.summary.failed();
        let state = Mutex::new(state);
        let next = || {
            let state = &mut *state.lock().ok()?;
            if self.limits.ends.are_here(state.summary.failed() > failed_before) {
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
        let ran = each(self.runner.jobs, next, work, ended);
        let mut summary = state.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).summary;
        summary.keep_fastest(|line| kept_folder(folder, line));
        // Seeds that could not run have had no chance to show it.
        if ran.is_ok() {
            summary.look_for_lacks();
        }
        let written = summary.write(folder);
        total.join(summary);
        ran.and(written)
    }

    fn seed(&self, task: Task, paces: &[Pace]) -> io::Result<Outcome> {
        let entry = &self.entries[task.entry];
        let folder = found_folder(&self.runner.out, &entry.name());
        fs::create_dir_all(&folder)?;
        let (plan, more) = leaned(&entry.plan, paces);
        let plan = searched_within(plan, self.runner.memory_max_mb);
        let command = entry.command.clone() + &more;
        let job = Job { runner: &self.runner, plan: &plan, folder: &folder, command: &command };
        // The ledger does not have this seed: what there is of it was cut short when the tool was.
        remove(&job.folder_of(task.seed))?;
        job.one_of_many(task.seed, is_rechecked(task.seed, entry.plan.sim.recheck.ppm()))
    }
}

/// The plan of a process that may hold so many MB: a search takes at most half of them, for the run that is judged is held, too.
fn searched_within(mut plan: Plan, memory_max_mb: Option<u64>) -> Plan {
    if let (Some(how), Some(mb)) = (&mut plan.check.linearizable, memory_max_mb) {
        how.memory = how.memory.min(mb.saturating_mul(1 << 19));
    }
    plan
}

/// Where the failures of a plan are kept.
fn found_folder(folder: &Path, name: &EntryName) -> PathBuf {
    folder.join("found").join(format!("{}-{}", name.plan, name.store))
}

/// Where one of them is kept.
fn kept_folder(folder: &Path, line: &Line) -> PathBuf {
    found_folder(folder, &EntryName::of_line(line)).join(format!("seed-{}", line.seed))
}

/// Removes a folder, where there is one: a run that went two ways leaves none.
fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(named(folder, &error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// What the workers share.
struct State<'a, 'b> {
    queue: Queue,
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
        let line = Line { paces, ..Line::of(&entry.plan, &outcome) };
        // What was found is known, whether it can be written down or not.
        let slower = self.summary.add(&line);
        self.ledger.write(&line)?;
        // Of each kind of failure the fastest run is kept.
        if let Some(slower) = slower {
            remove(&kept_folder(folder, &slower))?;
        }
        self.learned.learn(&line);
        (self.watcher)(&self.summary);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::fake;

    /// Each row: what a process may hold, in MB, and what the search of a plan may take then that says 2 GiB.
    #[test]
    fn a_search_leaves_room_for_the_run_that_it_judges() {
        let plan = Plan::parse("schema = 1\nname = \"one\"\n", "plan.toml", &[]).unwrap();
        for (max_mb, bytes) in [(None, 2 << 30), (Some(2_048), 1 << 30), (Some(100_000), 2 << 30)] {
            let plan = searched_within(plan.clone(), max_mb);
            assert_eq!(plan.check.linearizable.unwrap().memory, bytes, "{max_mb:?}");
        }
    }

    /// What was found before an error is told; the soak goes on from there.
    #[test]
    fn an_error_hides_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let plan = Plan::parse("schema = 1\nname = \"one\"\n", "plan.toml", &[]).unwrap();
        let soak = Soak {
            runner: fake::runner(folder.path()),
            entries: vec![Entry { plan, weight: 1, command: String::new() }],
            limits: Limits { seeds: Some(3), ends: Ends::default() },
            first_seed: 0,
            shard: Shard::default(),
            lean: false,
        };
        for _ in 0..2 {
            let mut total = Summary::default();
            let ran = soak.run(&mut |_| {}, &mut total);
            assert!(ran.unwrap_err().to_string().contains("cannot do what the plan needs"));
            assert_eq!((total.worst(), total.all().seeds()), (Verdict::Safety, 1));
        }
    }
}
