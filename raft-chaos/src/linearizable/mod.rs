//! Whether there is an order of the operations that explains what clients saw.
//!
//! Two judges, each key by itself as far as values go (linearizability is local):
//!
//! * [`witness`] is given the order in which the log, and reads beside it, took effect and checks that one, in O(n log n). If it
//!   passes, the history is linearizable: a witness is a proof.
//! * [`search`] looks for any order (Wing and Gong, Lowe), within limits, and can answer "unknown".
//!
//! An operation without a known end (`info`) may take effect at any time after its beginning, or never; a
//! `fail` never does. What a correct object does is said by a [`Model`], and how that stands in a history by its [`Spec`]. There
//! is no clock in here, and no file.

mod explain;
mod key_value;
mod model;
mod operation;
mod spec;
#[cfg(test)]
mod tests;
mod wgl;
mod witness;

use std::fmt;

pub use key_value::{Input, KeyValue, Output};
pub use model::Model;
pub use operation::{Operation, operations};
pub use spec::{Spec, Traces};
pub use wgl::{Interval, Limits, Outcome, wgl};
pub use witness::{TookEffect, witness};

use serde::Serialize;

use crate::history::History;
use explain::explain;

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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CounterExample {
    /// The key of the operation that does not fit.
    pub key: String,
    /// The operations involved; the one that does not fit comes first.
    pub operations: Vec<Operation>,
    /// Why they do not fit, in words.
    pub explanation: String,
}

/// How many operations of a counter-example are printed.
const SHOWN: usize = 8;

/// Prints the explanation, then each operation on a line.
impl fmt::Display for CounterExample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {}: {}", self.key, self.explanation)?;
        for operation in self.operations.iter().take(SHOWN) {
            write!(f, "\n    {operation}")?;
        }
        match self.operations.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "\n    and {more} more"),
        }
    }
}

/// Both judges, of whatever data type.
pub trait Judge {
    /// See [`witness`].
    fn witness(&self, history: &History, took_effect: &[TookEffect]) -> Verdict;

    /// See [`search`].
    fn search(&self, history: &History, limits: &mut Limits<'_>) -> Verdict;
}

impl<S: Spec> Judge for S
where
    S::Input: Clone,
    S::Output: Clone,
{
    fn witness(&self, history: &History, took_effect: &[TookEffect]) -> Verdict {
        witness(self, history, took_effect)
    }

    fn search(&self, history: &History, limits: &mut Limits<'_>) -> Verdict {
        search(self, history, limits)
    }
}

/// Looks for an order of each key's operations. A key without one decides; else one that is unknown does.
pub fn search<S: Spec>(spec: &S, history: &History, limits: &mut Limits<'_>) -> Verdict
where
    S::Input: Clone,
    S::Output: Clone,
{
    let by_key = match operation::by_key(history) {
        Ok(by_key) => by_key,
        Err(why) => return Verdict::Unknown { why },
    };
    let mut verdict = Verdict::Linearizable;
    for (key, mut operations) in by_key {
        // What certainly was not done says nothing.
        operations.retain(|operation| !operation.failed);
        let intervals: Result<Vec<_>, _> =
            operations.iter().map(|operation| operation.interval(spec)).collect();
        let intervals = match intervals {
            Ok(intervals) => intervals,
            Err(why) => return Verdict::Unknown { why },
        };
        match wgl(spec, &explain::said(spec, &intervals), limits) {
            Outcome::Linearizable { .. } => {}
            Outcome::Stuck { .. } => {
                return Verdict::NotLinearizable(explain(spec, key, &operations, &intervals, limits));
            }
            Outcome::Unknown { why } if verdict == Verdict::Linearizable => {
                verdict = Verdict::Unknown { why: format!("key {key}: {why}") };
            }
            Outcome::Unknown { .. } => {}
        }
    }
    verdict
}
