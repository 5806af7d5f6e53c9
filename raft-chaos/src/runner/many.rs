//! Many seeds of a plan, several at a time: which of them, until when, and what they add up to.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use super::{Job, Voice, interrupted};
use crate::outcome::Outcome;
use crate::progress::Display;
use crate::record::named;
use crate::report;
use crate::soak::{Ledger, Line, Shard, Summary};
use crate::verdict::Verdict;

/// The seeds of a plan that are to run.
#[derive(Clone, Debug)]
pub struct Seeds {
    /// These first.
    pub first: Vec<u64>,
    /// And then, for ever, those of this shard after this one.
    pub then: Option<(u64, Shard)>,
    /// Whether it is one seed that was asked for. It is told as it goes, and leaves what it comes to in the folder of the run: one
    /// that is left of several does not.
    pub is_one: bool,
}

impl Seeds {
    fn iter(&self) -> impl Iterator<Item = u64> + Send + '_ {
        let then = self.then.map(|(last, shard)| {
            let after = (last..=u64::MAX).skip(1).enumerate();
            after.filter(move |(place, _)| shard.has(*place as u64)).map(|(_, seed)| seed)
        });
        self.first.iter().copied().chain(then.into_iter().flatten())
    }

    /// How many there are, if there is an end to them.
    fn count(&self) -> Option<u64> {
        self.then.is_none().then_some(self.first.len() as u64)
    }
}

/// When no seed begins any more, though some are left.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ends {
    /// At this moment.
    pub at: Option<Instant>,
    /// Once a seed has not passed.
    pub at_failure: bool,
}

impl Ends {
    /// Whether that is so now, where a seed has failed or none has.
    pub fn are_here(&self, has_failed: bool) -> bool {
        self.at.is_some_and(|at| Instant::now() >= at) || self.at_failure && has_failed
    }
}

/// What is known of those that have ended.
struct Sweep {
    summary: Summary,
    display: Display,
    ledger: Ledger,
}

impl Job<'_> {
    /// Runs them, and tells of each that does not pass. What is known after an error is told all the same.
    pub(super) fn many(&self, seeds: &Seeds, ends: &Ends, total: &mut Summary) -> io::Result<()> {
        let began = Instant::now();
        let recheck = self.plan.sim.recheck;
        let rechecked = spread(&seeds.first, recheck.of(seeds.first.len() as u64));
        let is_rechecked = |seed| match seeds.then {
            Some(_) => is_rechecked(seed, recheck.ppm()),
            None => rechecked.contains(&seed),
        };
        let (ledger, _) = Ledger::open(self.folder)?;
        let sweep = Mutex::new(Sweep {
            ledger,
            summary: Summary::default(),
            display: Display::of_seeds(self.runner.progress, &self.plan.name, seeds.count()),
        });
        let mut left = seeds.iter();
        let next = || {
            let over = ends.are_here(sweep.lock().ok()?.summary.failed() > 0);
            if over { None } else { left.next() }
        };
        let ended =
            |outcome: Outcome| sweep.lock().map_or(Ok(()), |mut sweep| self.note(&mut sweep, &outcome));
        let ran = each(self.runner.jobs, next, |seed| self.one_of_many(seed, is_rechecked(seed)), ended);
        let sweep = sweep.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        let Sweep { mut summary, display, ledger: _ } = sweep;
        drop(display);
        // Seeds that could not run have had no chance to show it.
        if ran.is_ok() {
            summary.look_for_lacks();
        }
        report::lacks(&summary);
        let written = summary.write(self.folder);
        if self.runner.voice != Voice::Json {
            report::sum(&summary, seeds.count(), self.folder, began.elapsed());
        }
        total.join(summary);
        ran.and(written)
    }

    /// A seed has ended: one line each, in the order in which they do.
    fn note(&self, sweep: &mut Sweep, outcome: &Outcome) -> io::Result<()> {
        let line = Line::of(self.plan, outcome);
        sweep.summary.add(&line);
        let kept = sweep.ledger.write(&line);
        sweep.summary.keep(line, outcome);
        let is_told = match self.runner.voice {
            Voice::Json | Voice::Loud => true,
            Voice::Quiet | Voice::Usual => outcome.verdict != Verdict::Pass,
        };
        if is_told {
            sweep.display.beside(|| self.runner.show(outcome, report::verdict));
        }
        sweep.display.seeds(&sweep.summary);
        let path = self.folder.join("results.jsonl");
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let written = file.and_then(|mut file| writeln!(file, "{}", outcome.result));
        written.map_err(|error| named(&path, &error)).and(kept)
    }
}

/// Does the work for every task, so many at a time, and hands over what came of each in the order in which they end.
/// After an interrupt, or an error, no task begins any more.
pub(crate) fn each<J, T>(
    jobs: usize,
    next: impl FnMut() -> Option<J> + Send,
    work: impl Fn(J) -> io::Result<T> + Sync,
    ended: impl FnMut(T) -> io::Result<()> + Send,
) -> io::Result<()> {
    let (next, ended, failed) = (Mutex::new(next), Mutex::new(ended), AtomicBool::new(false));
    let begin = || {
        if interrupted() || failed.load(Ordering::Relaxed) {
            return None;
        }
        (*next.lock().expect("no worker panics while it takes a task"))()
    };
    let end = |came| (*ended.lock().expect("no worker panics while it hands something over"))(came);
    let worker = || -> io::Result<()> {
        while let Some(task) = begin() {
            work(task).and_then(&end).inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("a worker does not panic"))
    })
}

/// So many of the seeds, evenly spread.
fn spread(seeds: &[u64], count: u64) -> BTreeSet<u64> {
    let count = usize::try_from(count).unwrap_or(usize::MAX).min(seeds.len());
    (0..count).map(|place| seeds[place * seeds.len() / count]).collect()
}

/// That share of all seeds there are, evenly spread.
pub(crate) fn is_rechecked(seed: u64, ppm: u32) -> bool {
    let before = |seed: u64| u128::from(seed) * u128::from(ppm) / 1_000_000;
    before(seed) != before(seed.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::super::fake;
    use super::*;
    use crate::plan::Plan;

    /// An error in the middle of them hides nothing of what was found before.
    #[test]
    fn what_was_found_before_an_error_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let plan = Plan::parse("schema = 1\nname = \"one\"\n", "plan.toml", &[]).unwrap();
        let seeds = Seeds { first: vec![0, 1, 2], then: None, is_one: false };
        let mut total = Summary::default();
        let ran = fake::runner(folder.path()).run(&plan, &seeds, &Ends::default(), "", &mut total);
        assert!(ran.unwrap_err().to_string().contains("cannot do what the plan needs"));
        assert_eq!((total.worst(), total.all().seeds()), (Verdict::Safety, 1));
    }

    /// Each row: seeds that nobody waits for once more, whether there is one or many; and what is to be said of them.
    #[test]
    fn who_was_stopped_does_not_run_again() {
        for (seeds, verdict) in
            [(&[2][..], Verdict::Inconclusive), (&[2, 3], Verdict::Interrupted), (&[3], Verdict::Interrupted)]
        {
            let folder = tempfile::tempdir().unwrap();
            let text = "schema = 1\nname = \"one\"\nrun.max_wall = \"300ms\"\nsim.recheck = 1\n";
            let plan = Plan::parse(text, "plan.toml", &[]).unwrap();
            let runner = fake::runner(folder.path());
            let (all, mut total) =
                (Seeds { first: seeds.to_vec(), then: None, is_one: seeds.len() == 1 }, Summary::default());
            runner.run(&plan, &all, &Ends::default(), "", &mut total).unwrap();
            assert_eq!((fake::begun(&runner), total.worst()), (seeds.to_vec(), verdict));
            let took = if seeds[0] == 2 { 0.3 } else { 0.0 };
            assert!(total.all().counts.wall_s > took, "{:?}", total.all());
        }
    }

    #[test]
    fn a_share_of_the_seeds_is_rechecked() {
        for (ppm, of_a_thousand) in [(0, 0), (50_000, 50), (1_000_000, 1_000)] {
            assert_eq!((7..1_007).filter(|seed| is_rechecked(*seed, ppm)).count(), of_a_thousand);
        }
    }

    #[test]
    fn seeds_without_end_are_shared_out_among_shards() {
        let of = |nth| {
            let seeds = Seeds { first: vec![3, 9], then: Some((9, Shard { nth, of: 2 })), is_one: false };
            assert_eq!(seeds.count(), None);
            seeds.iter().take(5).collect::<Vec<_>>()
        };
        assert_eq!(of(1), [3, 9, 10, 12, 14]);
        assert_eq!(of(2), [3, 9, 11, 13, 15]);
        let last = Seeds { first: vec![], then: Some((u64::MAX - 1, Shard::default())), is_one: false };
        assert_eq!(last.iter().collect::<Vec<_>>(), [u64::MAX]);
    }
}
