//! What one key of the store does, one operation after the other.

use std::collections::BTreeMap;
use std::mem::size_of;
use std::sync::Arc;

use super::super::failure::{Failure, Tested};
use super::clerk::{Put, Seen};
use crate::linearizable::{Interval, Limits, Model, Outcome, wgl};

/// How many steps the search for an order may take for a key: some minutes. A history for which that is too few is a
/// failure; the lab lets it pass after a second.
const STEPS_MAX: u64 = 1_000_000_000;
/// How much memory it may take.
const CACHE_BYTES_MAX: usize = 2 << 30;

/// One key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Versioned;

/// What a key is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Input {
    Get,
    /// A value, and the version that there has to be so far.
    Put(Arc<str>, u64),
}

/// What a client saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Output {
    /// The value and its version. The lab's own model does not look at the version.
    Value(Option<(Arc<str>, u64)>),
    Put(Put),
}

impl Model for Versioned {
    /// The value and its version; without one, version 0.
    type State = (Option<Arc<str>>, u64);
    type Input = Input;
    type Output = Output;

    fn init(&self) -> Self::State {
        (None, 0)
    }

    fn step(&self, state: &Self::State, input: &Input, output: Option<&Output>) -> Option<Self::State> {
        let (value, version) = state;
        let (next, saw) = match input {
            Input::Get => (state.clone(), Output::Value(value.clone().map(|value| (value, *version)))),
            Input::Put(new, expected) if expected == version => {
                ((Some(Arc::clone(new)), version + 1), Output::Put(Put::Ok))
            }
            Input::Put(..) if value.is_none() => (state.clone(), Output::Put(Put::NoKey)),
            Input::Put(..) => (state.clone(), Output::Put(Put::OtherVersion)),
        };
        // One that may have been put has taken effect, or has found another version: where it stands in the order says.
        let may_be = |output: &Output| {
            *output == Output::Put(Put::Maybe) && matches!(saw, Output::Put(Put::Ok | Put::OtherVersion))
        };
        output.is_none_or(|output| *output == saw || may_be(output)).then_some(next)
    }

    fn bytes(&self, state: &Self::State) -> usize {
        size_of::<Self::State>() + state.0.as_ref().map_or(0, |value| value.len())
    }
}

/// Fails unless there is an order of each key's operations that explains what clients saw.
pub(super) fn check(seen: &Seen) -> Tested {
    let mut by_key: BTreeMap<String, Vec<Interval<Input, Output>>> = BTreeMap::new();
    for (key, operation) in seen.operations() {
        // A get that nobody saw says nothing.
        if operation.end.is_some() || operation.input != Input::Get {
            by_key.entry(key).or_default().push(operation);
        }
    }
    for (key, operations) in by_key {
        let mut never = || false;
        let mut limits = Limits { steps: STEPS_MAX, cache_bytes: CACHE_BYTES_MAX, expired: &mut never };
        match wgl(&Versioned, &operations, &mut limits) {
            Outcome::Linearizable { .. } => {}
            Outcome::Stuck { order, blocked } => {
                return Err(Failure::Wrong(format!(
                    "not linearizable: of {} operations on key {key} {} can be ordered, and then this one cannot: {:?}",
                    operations.len(),
                    order.len(),
                    operations[blocked],
                )));
            }
            Outcome::Unknown { why } => {
                return Err(Failure::Unknown(format!(
                    "whether key {key} is linearizable is not known: {why}"
                )));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(value: &str, version: u64) -> Output {
        Output::Value(Some((value.into(), version)))
    }

    /// Each row: what two clients saw of one key, as input, output, beginning and end, and whether there is an order.
    #[test]
    fn what_versions_forbid_is_found() {
        let put = |version| Input::Put("x".into(), version);
        let (ok, other, maybe) =
            (Output::Put(Put::Ok), Output::Put(Put::OtherVersion), Output::Put(Put::Maybe));
        for (operations, expected) in [
            (vec![(put(0), ok.clone(), 1, 2), (Input::Get, value("x", 1), 3, 4)], true),
            (vec![(put(0), ok.clone(), 1, 2), (Input::Get, value("x", 2), 3, 4)], false),
            (vec![(put(0), ok.clone(), 1, 2), (Input::Get, value("y", 1), 3, 4)], false),
            (vec![(put(0), ok.clone(), 1, 2), (Input::Get, Output::Value(None), 3, 4)], false),
            (vec![(put(0), ok.clone(), 1, 3), (Input::Get, Output::Value(None), 2, 4)], true),
            (vec![(put(0), ok.clone(), 1, 2), (put(0), ok.clone(), 3, 4)], false),
            (vec![(put(0), ok.clone(), 1, 2), (put(0), other.clone(), 3, 4)], true),
            (vec![(put(0), ok.clone(), 1, 2), (put(1), other, 3, 4)], false),
            (vec![(put(1), Output::Put(Put::NoKey), 1, 2)], true),
            (vec![(put(0), Output::Put(Put::NoKey), 1, 2)], false),
            (vec![(put(0), maybe.clone(), 1, 2), (Input::Get, value("x", 1), 3, 4)], true),
            (
                vec![
                    (put(0), ok.clone(), 1, 2),
                    (put(0), maybe.clone(), 3, 4),
                    (Input::Get, value("x", 1), 5, 6),
                ],
                true,
            ),
            (
                vec![
                    (put(0), ok.clone(), 1, 2),
                    (put(1), maybe.clone(), 3, 4),
                    (Input::Get, value("x", 3), 5, 6),
                ],
                false,
            ),
            (vec![(put(0), maybe, 1, 2), (Input::Get, Output::Value(None), 3, 4)], false),
        ] {
            let intervals: Vec<_> = operations
                .iter()
                .map(|(input, output, start, end)| Interval {
                    input: input.clone(),
                    output: Some(output.clone()),
                    start: *start,
                    end: Some(*end),
                })
                .collect();
            let mut limits = Limits { steps: 1000, cache_bytes: 1 << 20, expired: &mut || false };
            let found = wgl(&Versioned, &intervals, &mut limits);
            assert_eq!(matches!(found, Outcome::Linearizable { .. }), expected, "{operations:?}");
        }
    }
}
