//! The order in which the log took effect, held against the model and against real time.

use std::collections::BTreeMap;

use raft_core::LogIndex;

use super::model::{Input, KeyValue, Model};
use super::operation::{Operation, operations};
use super::{CounterExample, Verdict};
use crate::history::History;

/// Checks the order that the log gives.
///
/// `applied` has every operation that took effect: where in the log, and the index of its `invoke` in the
/// history. All that is answered `ok` must be in it, once; what is answered `fail` must not; an `info` may.
/// If the verdict is [`Verdict::Linearizable`], the history is; if not, this order does not explain it.
pub fn witness(history: &History, applied: &[(LogIndex, u64)]) -> Verdict {
    let operations = match operations(history) {
        Ok(operations) => operations,
        Err(why) => return Verdict::Unknown { why },
    };
    match order(&operations, applied).and_then(|order| real_time(&order).and_then(|()| model(&order))) {
        Ok(()) => Verdict::Linearizable,
        Err(counter_example) => Verdict::NotLinearizable(*counter_example),
    }
}

fn refuse<T>(operations: &[&Operation], explanation: String) -> Result<T, Box<CounterExample>> {
    let key = operations.first().map_or(String::new(), |operation| operation.key.clone());
    let operations = operations.iter().map(|operation| (*operation).clone()).collect();
    Err(Box::new(CounterExample { key, operations, explanation }))
}

/// The operations in the order of the log: each at most once, every `ok`, no `fail`.
fn order<'a>(
    operations: &'a [Operation],
    applied: &[(LogIndex, u64)],
) -> Result<Vec<(LogIndex, &'a Operation)>, Box<CounterExample>> {
    let mut applied = applied.to_vec();
    applied.sort_unstable();
    let mut missing: BTreeMap<u64, &Operation> =
        operations.iter().map(|operation| (operation.invoked, operation)).collect();
    let mut order = Vec::with_capacity(applied.len());
    for (log_index, invoked) in applied {
        let Some(operation) = missing.remove(&invoked) else {
            return match operations.iter().find(|operation| operation.invoked == invoked) {
                Some(operation) => {
                    refuse(&[operation], format!("it took effect again, at {log_index} of the log"))
                }
                None => {
                    refuse(&[], format!("what took effect at {log_index} of the log was asked by nobody"))
                }
            };
        };
        if operation.failed {
            return refuse(&[operation], format!("it failed, and yet took effect at {log_index} of the log"));
        }
        order.push((log_index, operation));
    }
    match missing.values().find(|operation| operation.ended.is_some() && !operation.failed) {
        Some(operation) => refuse(&[operation], "it was answered, and yet is nowhere in the log".to_owned()),
        None => Ok(order),
    }
}

/// No operation stands behind one that began after it had ended.
fn real_time(order: &[(LogIndex, &Operation)]) -> Result<(), Box<CounterExample>> {
    let mut latest: Option<(LogIndex, &Operation)> = None;
    for (log_index, operation) in order {
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
fn model(order: &[(LogIndex, &Operation)]) -> Result<(), Box<CounterExample>> {
    let mut states = BTreeMap::new();
    for (log_index, operation) in order {
        let (state, writer) = states.entry(operation.key.as_str()).or_insert_with(|| (KeyValue.init(), None));
        let Some(next) = KeyValue.step(state, &operation.input, operation.output.as_ref()) else {
            let value = state.as_deref().unwrap_or("null");
            let explanation = format!(
                "model: at {log_index} of the log the value is {value}, and it was answered otherwise"
            );
            let involved: Vec<&Operation> = [Some(*operation), *writer].into_iter().flatten().collect();
            return refuse(&involved, explanation);
        };
        if operation.input != Input::Read && next != *state {
            *writer = Some(*operation);
        }
        *state = next;
    }
    Ok(())
}
