//! Operations, put together from the two events of each.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::spec::Spec;
use super::wgl::Interval;
use crate::history::{Event, F, History, Reply, Type, Value};

/// An operation from its beginning to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Operation {
    /// The index of its `invoke` in the history.
    pub invoked: u64,
    /// The index of its `ok` or `fail`; none if nobody saw it end.
    pub ended: Option<u64>,
    /// It was certainly not done.
    pub failed: bool,
    /// Who asked.
    pub process: u64,
    /// On which key.
    pub key: String,
    /// What was asked.
    pub f: F,
    /// And with what.
    pub asked: Value,
    /// What was answered, if it was done and seen.
    pub reply: Option<Reply>,
}

impl Operation {
    /// What the model of `spec` needs of it.
    ///
    /// # Errors
    ///
    /// A sentence, where the model has no such operation, or a value does not fit it.
    pub fn interval<S: Spec>(&self, spec: &S) -> Result<Interval<S::Input, S::Output>, String> {
        let unfit = |index| format!("history: event {index} has a value that does not fit a {}", self.f);
        let input = spec.input(&self.f, &self.asked).ok_or_else(|| unfit(self.invoked))?;
        let answered = |reply| spec.output(&input, reply).ok_or_else(|| unfit(self.ended.unwrap_or(0)));
        let output = self.reply.as_ref().map(answered).transpose()?;
        Ok(Interval { input, output, start: self.invoked, end: self.ended })
    }
}

/// Prints `process 3 cas [1 2], events 17 to 20: ok, done`.
impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { process, f: name, invoked, .. } = self;
        let answered = self.reply.as_ref().filter(|_| self.asked == Value::Null);
        let value = answered.map_or(&self.asked, |reply| &reply.value);
        write!(f, "process {process} {name} {value}, events {invoked} to ")?;
        let swapped = self.reply.as_ref().and_then(|reply| reply.swapped);
        match (self.ended, swapped) {
            (None, _) => write!(f, "?: info"),
            (Some(ended), _) if self.failed => write!(f, "{ended}: fail"),
            (Some(ended), Some(true)) => write!(f, "{ended}: ok, done"),
            (Some(ended), Some(false)) => write!(f, "{ended}: ok, not done"),
            (Some(ended), None) => write!(f, "{ended}: ok"),
        }
    }
}

/// All operations of a history, in the order in which they began.
///
/// # Errors
///
/// A sentence, where an event has no beginning.
pub fn operations(history: &History) -> Result<Vec<Operation>, String> {
    let mut operations: Vec<Operation> = Vec::new();
    let mut open = BTreeMap::new();
    for event in &history.events {
        if event.kind == Type::Invoke {
            open.insert(event.process, operations.len());
            operations.push(begun(event));
            continue;
        }
        let Some(operation) = open.remove(&event.process).and_then(|position| operations.get_mut(position))
        else {
            return Err(format!("history: event {} ends what never began; write its invoke", event.index));
        };
        match event.kind {
            _ if event.is_not_done() => (operation.ended, operation.failed) = (Some(event.index), true),
            Type::Invoke | Type::Fail | Type::Info => {}
            Type::Ok => {
                operation.ended = Some(event.index);
                operation.reply = Some(Reply { value: event.value.clone(), swapped: event.swapped });
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

fn begun(event: &Event) -> Operation {
    Operation {
        invoked: event.index,
        ended: None,
        failed: false,
        process: event.process,
        key: event.key.clone(),
        f: event.f.clone(),
        asked: event.value.clone(),
        reply: None,
    }
}
