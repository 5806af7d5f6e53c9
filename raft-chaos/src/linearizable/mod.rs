//! Whether there is an order of the operations that explains what clients saw.
//!
//! Two judges, each key by itself as far as values go (linearizability is local):
//!
//! * [`witness`] is given the order in which the log, and reads beside it, took effect and checks that one, in O(n log n). If it
//!   passes, the history is linearizable: a witness is a proof.
//! * [`search`] looks for any order (Wing and Gong, Lowe), within limits, and can answer "unknown".
//!
//! An operation without a known end (`info`) may take effect at any time after its beginning, or never; a
//! `fail` never does. There is no clock in here, and no file.

mod model;
mod operation;
#[cfg(test)]
mod tests;
mod wgl;
mod witness;

use std::fmt;

pub use model::{Input, KeyValue, Model, Output};
pub use operation::{Operation, operations};
pub use wgl::{Interval, Limits, Outcome, wgl};
pub use witness::{TookEffect, witness};

use crate::history::History;

/// What a judge says of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is an order.
    Linearizable,
    /// There is none; for a witness: it is not this one.
    NotLinearizable(CounterExample),
    /// Nobody knows.
    Unknown {
        /// Why not, in words.
        why: String,
    },
}

/// Why there is no order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CounterExample {
    /// The key of the operation that does not fit.
    pub key: String,
    /// The operations involved; the one that does not fit comes first.
    pub operations: Vec<Operation>,
    /// Why they do not fit, in words.
    pub explanation: String,
}

/// Prints the explanation, then each operation on a line.
impl fmt::Display for CounterExample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {}: {}", self.key, self.explanation)?;
        for operation in &self.operations {
            write!(f, "\n    {operation}")?;
        }
        Ok(())
    }
}

/// Looks for an order of each key's operations. A key without one decides; else one that is unknown does.
pub fn search(history: &History, limits: &mut Limits<'_>) -> Verdict {
    let by_key = match operation::by_key(history) {
        Ok(by_key) => by_key,
        Err(why) => return Verdict::Unknown { why },
    };
    let mut verdict = Verdict::Linearizable;
    for (key, mut operations) in by_key {
        // What certainly was not done, and reads that nobody saw, say nothing.
        operations.retain(|operation| {
            !operation.failed && (operation.ended.is_some() || operation.input != Input::Read)
        });
        let intervals: Vec<_> = operations.iter().map(Operation::interval).collect();
        match wgl(&KeyValue, &intervals, limits) {
            Outcome::Linearizable { .. } => {}
            Outcome::Stuck { order, blocked } => {
                return Verdict::NotLinearizable(stuck(key, &operations, &order, blocked));
            }
            Outcome::Unknown { why } if verdict == Verdict::Linearizable => {
                verdict = Verdict::Unknown { why: format!("key {key}: {why}") };
            }
            Outcome::Unknown { .. } => {}
        }
    }
    verdict
}

/// The explanation of a search that failed: as far as it got, and the operation at which all orders end.
fn stuck(key: String, operations: &[Operation], order: &[usize], blocked: usize) -> CounterExample {
    let mut value = KeyValue.init();
    for position in order {
        let operation = &operations[*position];
        value = KeyValue.step(&value, &operation.input, operation.output.as_ref()).unwrap_or(value);
    }
    let ended = operations[blocked].ended;
    let beside = |position: &usize| {
        let other = &operations[*position];
        *position != blocked && !order.contains(position) && ended.is_none_or(|end| other.invoked < end)
    };
    let mut involved = vec![blocked];
    involved.extend(order.iter().rev().take(3).rev());
    involved.extend((0..operations.len()).filter(beside));
    CounterExample {
        key,
        explanation: format!(
            "no order explains it: the longest puts {} operations one after the other, the value is then {}, and \
             the first operation below fits neither there nor before",
            order.len(),
            value.as_deref().unwrap_or("null"),
        ),
        operations: involved.into_iter().map(|position| operations[position].clone()).collect(),
    }
}
