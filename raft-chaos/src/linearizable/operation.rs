//! Operations, put together from the two events of each.

use std::collections::BTreeMap;
use std::fmt;

use super::model::{Input, Output};
use super::wgl::Interval;
use crate::history::{Event, F, History, Type, Value};

/// An operation from its beginning to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The index of its `invoke` in the history.
    pub invoked: u64,
    /// The index of its `ok` or `fail`; none if nobody saw it end.
    pub ended: Option<u64>,
    /// It was certainly not done.
    pub failed: bool,
    /// Who asked.
    pub process: u64,
    /// The operation, for people.
    pub f: F,
    /// What it carried, for people: what was read, where it was.
    pub value: Value,
    /// On which key.
    pub key: String,
    /// What was asked.
    pub input: Input,
    /// What was answered, if it was done and seen.
    pub output: Option<Output>,
}

impl Operation {
    /// What the search needs of it.
    pub fn interval(&self) -> Interval<Input, Output> {
        Interval {
            input: self.input.clone(),
            output: self.output.clone(),
            start: self.invoked,
            end: self.ended,
        }
    }
}

/// Prints `process 3 cas 1 to 2, events 17 to 20: ok, swapped`.
impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} {} {}, events {} to ", self.process, self.f, self.value, self.invoked)?;
        match (self.ended, &self.output) {
            (None, _) => write!(f, "?: info"),
            (Some(ended), _) if self.failed => write!(f, "{ended}: fail"),
            (Some(ended), Some(Output::Swapped(true))) => write!(f, "{ended}: ok, swapped"),
            (Some(ended), Some(Output::Swapped(false))) => write!(f, "{ended}: ok, not swapped"),
            (Some(ended), Some(Output::Value(_) | Output::Done) | None) => write!(f, "{ended}: ok"),
        }
    }
}

/// All operations of a history, in the order in which they began.
///
/// # Errors
///
/// A sentence, where an event has no beginning or a value that does not fit its operation.
pub fn operations(history: &History) -> Result<Vec<Operation>, String> {
    let mut operations: Vec<Operation> = Vec::new();
    let mut open = BTreeMap::new();
    for event in &history.events {
        if event.kind == Type::Invoke {
            open.insert(event.process, operations.len());
            operations.push(begun(event)?);
            continue;
        }
        let Some(operation) = open.remove(&event.process).and_then(|position| operations.get_mut(position))
        else {
            return Err(format!("history: event {} ends what never began; write its invoke", event.index));
        };
        match event.kind {
            Type::Invoke | Type::Info => {}
            Type::Fail => (operation.ended, operation.failed) = (Some(event.index), true),
            Type::Ok => {
                operation.ended = Some(event.index);
                operation.value = event.value.clone();
                operation.output = Some(answer(event)?);
            }
        }
    }
    Ok(operations)
}

/// The operations of each key, in the order in which they began.
pub(super) fn by_key(history: &History) -> Result<BTreeMap<String, Vec<Operation>>, String> {
    let mut by_key: BTreeMap<String, Vec<Operation>> = BTreeMap::new();
    for operation in operations(history)? {
        by_key.entry(operation.key.clone()).or_default().push(operation);
    }
    Ok(by_key)
}

fn begun(event: &Event) -> Result<Operation, String> {
    let input = match (event.f, &event.value) {
        (F::Read, _) => Input::Read,
        (F::Delete, _) => Input::Write(None),
        (F::Write, Value::Text(value)) => Input::Write(Some(value.as_str().into())),
        (F::Append, Value::Text(value)) => Input::Append(value.as_str().into()),
        (F::Cas, Value::Swap(from, to)) => Input::Cas(from.as_deref().map(Into::into), to.as_str().into()),
        (F::Write | F::Append, Value::Null | Value::Swap(..)) | (F::Cas, Value::Null | Value::Text(_)) => {
            return Err(format!(
                "history: event {} has a value that does not fit a {}",
                event.index, event.f
            ));
        }
    };
    Ok(Operation {
        invoked: event.index,
        ended: None,
        failed: false,
        process: event.process,
        f: event.f,
        value: event.value.clone(),
        key: event.key.clone(),
        input,
        output: None,
    })
}

fn answer(event: &Event) -> Result<Output, String> {
    match (event.f, &event.value) {
        (F::Read, Value::Null) => Ok(Output::Value(None)),
        (F::Read, Value::Text(value)) => Ok(Output::Value(Some(value.as_str().into()))),
        (F::Read, Value::Swap(..)) => {
            Err(format!("history: event {} has a value that does not fit a read", event.index))
        }
        // Jepsen's `ok` of a compare-and-set says that it swapped.
        (F::Cas, _) => Ok(Output::Swapped(event.swapped.unwrap_or(true))),
        (F::Write | F::Delete | F::Append, _) => Ok(Output::Done),
    }
}
