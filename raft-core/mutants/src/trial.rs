//! Each mutant meets the suites, until one notices it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::Mistake;
use crate::mutant::Mutant;
use crate::suites::{Outcome, Suite};

/// So many at a time.
const WORKERS: usize = 2;

/// What has come of the trials so far.
#[derive(Default)]
struct Record<'a> {
    left: VecDeque<&'a Mutant>,
    survivors: Vec<&'a Mutant>,
    /// How many each suite has noticed, and how many of them as it did not end.
    killed: BTreeMap<usize, (usize, usize)>,
    mistake: Option<Mistake>,
}

/// Tries all; returns those that no suite notices, in order.
pub(crate) fn of_all<'a>(mutants: &[&'a Mutant], suites: &[Suite]) -> Result<Vec<&'a Mutant>, Mistake> {
    let record = Mutex::new(Record { left: mutants.iter().copied().collect(), ..Record::default() });
    let change = |with: &mut dyn FnMut(&mut Record<'a>)| {
        with(&mut record.lock().unwrap_or_else(PoisonError::into_inner))
    };
    let work = || {
        loop {
            let mut next = None;
            change(&mut |record| next = record.left.pop_front());
            let Some(mutant) = next else { return };
            match noticed(mutant, suites) {
                Ok(Some((suite, outcome))) => change(&mut |record| {
                    let (killed, endless) = record.killed.entry(suite).or_default();
                    *killed += 1;
                    *endless += usize::from(outcome == Outcome::EndedNever);
                }),
                Ok(None) => {
                    println!("not noticed, line {}: {}", mutant.line, mutant.name());
                    change(&mut |record| record.survivors.push(mutant));
                }
                Err(mistake) => {
                    let mut mistake = Some(mistake);
                    change(&mut |record| {
                        record.mistake = mistake.take();
                        record.left.clear();
                    });
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(work);
        }
    });
    let Record { mut survivors, killed, mistake, .. } =
        record.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(mistake) = mistake {
        return Err(mistake);
    }
    for (suite, (killed, endless)) in killed {
        let endless =
            if endless == 0 { String::new() } else { format!(", {endless} of them as it did not end") };
        println!("{killed:5} noticed by {}{endless}", suites[suite].name);
    }
    println!("{:5} by nothing", survivors.len());
    survivors.sort_by_key(|mutant| mutant.id);
    Ok(survivors)
}

/// The first suite that notices a mutant.
fn noticed(mutant: &Mutant, suites: &[Suite]) -> Result<Option<(usize, Outcome)>, Mistake> {
    for (place, suite) in suites.iter().enumerate().filter(|(_, suite)| suite.reaches(mutant.id)) {
        let outcome = suite.run(mutant.id)?;
        if outcome != Outcome::Passed {
            return Ok(Some((place, outcome)));
        }
    }
    Ok(None)
}
