//! The order in which the log took effect, held against the model and against real time.

use std::collections::BTreeMap;

use raft_core::LogIndex;
use serde::{Deserialize, Serialize};

use super::model::Model;
use super::operation::{Operation, operations};
use super::spec::Spec;
use super::wgl::Interval;
use super::{CounterExample, Verdict};
use crate::history::History;

/// An operation that took effect, and where. They are ordered as they took effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TookEffect {
    /// Where in the log; of a read beside the log, the last command that it saw.
    pub index: LogIndex,
    /// Whether it is a read beside the log.
    pub beside: bool,
    /// The index of its `invoke` in the history.
    pub operation: u64,
}

/// Checks the order that the log gives, reads beside it among what is in it. Those that saw the same are in the
/// order in which they began.
///
/// `took_effect` has every operation that did, in any order. All that is answered `ok` must be in it, once; what is answered `fail` must not; an `info` may.
/// If the verdict is [`Verdict::Linearizable`], the history is; if not, this order does not explain it.
pub fn witness<S: Spec>(spec: &S, history: &History, took_effect: &[TookEffect]) -> Verdict {
    let operations = match operations(history) {
        Ok(operations) => operations,
        Err(why) => return Verdict::Unknown { why },
    };
    let intervals: Result<Vec<_>, _> = operations.iter().map(|operation| operation.interval(spec)).collect();
    let intervals = match intervals {
        Ok(intervals) => intervals,
        Err(why) => return Verdict::Unknown { why },
    };
    let asked: Asked<'_, S> = operations.iter().zip(&intervals).collect();
    let order = order(spec, &asked, took_effect);
    match order.and_then(|order| real_time::<S>(&order).and_then(|()| model(spec, &order))) {
        Ok(()) => Verdict::Linearizable,
        Err(counter_example) => Verdict::NotLinearizable(*counter_example),
    }
}

/// Operations, each with what the model needs of it.
type Asked<'a, S> = Vec<(&'a Operation, &'a IntervalOf<S>)>;
type IntervalOf<S> = Interval<<S as Model>::Input, <S as Model>::Output>;
/// The same in the order of the log, with their places.
type Order<'a, S> = Vec<(LogIndex, &'a Operation, &'a IntervalOf<S>)>;

fn refuse<T>(operations: &[&Operation], explanation: String) -> Result<T, Box<CounterExample>> {
    let key = operations.first().map_or(String::new(), |operation| operation.key.clone());
    let operations = operations.iter().map(|operation| (*operation).clone()).collect();
    Err(Box::new(CounterExample { key, operations, explanation }))
}

/// The operations in the order of the log: each at most once, every `ok`, no `fail`.
fn order<'a, S: Spec>(
    spec: &S,
    asked: &Asked<'a, S>,
    took_effect: &[TookEffect],
) -> Result<Order<'a, S>, Box<CounterExample>> {
    let mut took_effect = took_effect.to_vec();
    took_effect.sort_unstable();
    // Operations are in the order in which they began.
    let find = |invoked: u64| {
        let place = asked.binary_search_by_key(&invoked, |(operation, _)| operation.invoked);
        place.ok().map(|place| (place, asked[place]))
    };
    let mut missing = vec![true; asked.len()];
    let mut order = Vec::with_capacity(took_effect.len());
    for TookEffect { index: log_index, beside, operation: invoked } in took_effect {
        let Some((place, (operation, interval))) = find(invoked) else {
            return refuse(&[], format!("what took effect at {log_index} of the log was asked by nobody"));
        };
        let said = if !std::mem::take(&mut missing[place]) {
            format!("it took effect again, at {log_index} of the log")
        } else if operation.failed {
            format!("it failed, and yet took effect at {log_index} of the log")
        } else if beside && !spec.is_read(&interval.input) {
            format!("it is no read, and yet was answered beside the log, at {log_index}")
        } else {
            order.push((log_index, operation, interval));
            continue;
        };
        return refuse(&[operation], said);
    }
    let answered = |operation: &Operation| operation.ended.is_some() && !operation.failed;
    match asked.iter().zip(missing).find(|((operation, _), missing)| *missing && answered(operation)) {
        Some(((operation, _), _)) => {
            refuse(&[operation], "it was answered, and yet nowhere took effect".to_owned())
        }
        None => Ok(order),
    }
}

/// No operation stands behind one that began after it had ended.
fn real_time<S: Spec>(order: &Order<'_, S>) -> Result<(), Box<CounterExample>> {
    let mut latest: Option<(LogIndex, &Operation)> = None;
    for (log_index, operation, _) in order {
        if let Some((before, later)) = latest
            && operation.ended.is_some_and(|ended| ended < later.invoked)
        {
            return refuse(
                &[operation, later],
                format!(
                    "real time: it took effect at {log_index} of the log, after what began when it had ended, at {before}"
                ),
            );
        }
        if latest.is_none_or(|(_, later)| later.invoked < operation.invoked) {
            latest = Some((*log_index, operation));
        }
    }
    Ok(())
}

/// Each answer is what the model answers there.
fn model<S: Spec>(spec: &S, order: &Order<'_, S>) -> Result<(), Box<CounterExample>> {
    let mut states = BTreeMap::new();
    for (log_index, operation, Interval { input, output, .. }) in order {
        let (state, writer) = states.entry(operation.key.as_str()).or_insert_with(|| (spec.init(), None));
        let Some(next) = spec.step(state, input, output.as_ref()) else {
            let answer = spec.answer(state, input);
            let explanation = format!(
                "model: at {log_index} of the log the answer is {answer}, and it was answered otherwise"
            );
            let involved: Vec<&Operation> = [Some(*operation), *writer].into_iter().flatten().collect();
            return refuse(&involved, explanation);
        };
        if !spec.is_read(input) && next != *state {
            *writer = Some(*operation);
        }
        *state = next;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::KeyValue;
    use super::super::tests::history;
    use super::*;

    fn in_the_log(index: u64, operation: u64) -> TookEffect {
        TookEffect { index: LogIndex::new(index), beside: false, operation }
    }

    fn beside(index: u64, operation: u64) -> TookEffect {
        TookEffect { beside: true, ..in_the_log(index, operation) }
    }

    /// Each row: what clients saw; where the log had what the first event began, as 1, and the second write, if any, as
    /// 2; which reads were answered beside it, from which place; and what the witness says against it.
    #[test]
    fn a_witness_puts_reads_beside_the_log_behind_what_they_saw() {
        for (script, log, reads, expected) in [
            ("0 write 1, 0 ok, 1 read, 1 ok 1", &[0][..], &[(1, 2)][..], None),
            ("0 write 1, 0 ok, 1 read, 1 ok null", &[0], &[(0, 2)], Some("real time: it took effect at 1")),
            (
                "0 write 1, 0 ok, 1 read, 1 ok null",
                &[0],
                &[(1, 2)],
                Some("model: at 1 of the log the answer is 1"),
            ),
            ("0 write 1, 1 read, 1 ok null, 0 ok", &[0], &[(0, 1)], None),
            // The read began before the write that it saw.
            ("1 read, 0 write 1, 1 ok 1, 0 ok", &[1], &[(1, 0)], None),
            // Two that saw the same, and one that saw less than one that was over before it.
            ("0 write 1, 1 read, 2 read, 2 ok 1, 1 ok 1, 0 ok", &[0], &[(1, 2), (1, 1)], None),
            (
                "0 write 1, 0 info, 1 read, 1 ok 1, 2 read, 2 ok null",
                &[0],
                &[(1, 2), (0, 4)],
                Some("real time: it took effect at 1"),
            ),
            (
                "0 write 1, 0 ok, 1 read, 1 ok 1",
                &[0],
                &[],
                Some("it was answered, and yet nowhere took effect"),
            ),
            ("0 write 1, 0 ok, 1 read, 1 fail", &[0], &[(1, 2)], Some("it failed, and yet took effect at 1")),
            ("0 write 1, 0 ok, 1 read, 1 ok 1", &[0], &[(1, 2), (1, 2)], Some("it took effect again, at 1")),
            ("0 write 1, 0 ok", &[], &[(0, 0)], Some("it is no read, and yet was answered beside the log")),
        ] {
            let log = (1..).zip(log).map(|(index, &operation)| in_the_log(index, operation));
            let reads = reads.iter().map(|&(index, operation)| beside(index, operation));
            let took_effect: Vec<_> = reads.chain(log).collect();
            let found = match witness(&KeyValue, &history(script), &took_effect) {
                Verdict::Linearizable => None,
                Verdict::NotLinearizable(counter_example) => Some(counter_example.explanation),
                Verdict::Unknown { why } => panic!("{why}"),
            };
            let as_expected = match (&found, expected) {
                (None, None) => true,
                (Some(found), Some(expected)) => found.starts_with(expected),
                (Some(_), None) | (None, Some(_)) => false,
            };
            assert!(as_expected, "{script}: {found:?}, not {expected:?}");
        }
    }

    /// Each row: what clients saw, in which order the log took effect (by the index of the invoke), and what the
    /// witness says against it.
    #[test]
    fn a_witness_is_held_against_model_and_real_time() {
        for (script, order, expected) in [
            ("0 write 1, 0 ok, 1 read, 1 ok 1", &[0, 2][..], None),
            ("0 write 1, 1 read, 1 ok null, 0 ok", &[1, 0], None),
            ("0 write 1, 1 read, 1 ok null, 0 ok", &[0, 1], Some("model: at 2 of the log the answer is 1")),
            ("0 write 1, 0 ok, 0 write 2, 0 ok", &[2, 0], Some("real time: it took effect at 2 of the log")),
            ("0 write 1, 0 ok", &[], Some("it was answered, and yet nowhere took effect")),
            ("0 write 1, 0 ok", &[0, 0], Some("it took effect again, at 2")),
            ("0 write 1, 0 fail", &[0], Some("it failed, and yet took effect at 1")),
            ("0 write 1, 0 fail", &[], None),
            ("0 write 1, 0 ok", &[0, 7], Some("what took effect at 2 of the log was asked by nobody")),
            // A write without an answer takes effect late, or never.
            ("0 write 1, 0 info, 1 read, 1 ok null, 1 read, 1 ok 1", &[2, 0, 4], None),
            ("0 write 1, 0 info, 1 read, 1 ok null", &[2], None),
            ("0 write 1, 0 info, 1 read, 1 ok 1", &[2], Some("model: at 1 of the log the answer is null")),
            ("0 cas null 1, 1 cas null 2, 0 ok true, 1 ok false", &[0, 1], None),
            ("0 cas null 1, 1 cas null 2, 0 ok true, 1 ok true", &[0, 1], Some("model: at 2")),
        ] {
            let applied: Vec<_> =
                (1..).zip(order).map(|(index, &operation)| in_the_log(index, operation)).collect();
            let found = match witness(&KeyValue, &history(script), &applied) {
                Verdict::Linearizable => None,
                Verdict::NotLinearizable(counter_example) => Some(counter_example.explanation),
                Verdict::Unknown { why } => panic!("{why}"),
            };
            match expected {
                None => assert_eq!(found, None, "{script}"),
                Some(expected) => {
                    assert!(found.as_ref().is_some_and(|found| found.starts_with(expected)), "{found:?}")
                }
            }
        }
    }
}
