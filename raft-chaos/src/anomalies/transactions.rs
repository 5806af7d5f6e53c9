//! Appends and reads of lists, as the transactions that a history has them in.
//!
//! An operation `append` or `read` of a key is a transaction of one step; `txn` is Jepsen's form of several:
//! `[["append", key, item], ["r", key, list]]`.

use std::collections::BTreeMap;

use crate::history::{Event, History, Type, Value};

/// A transaction from its beginning to its end.
pub(super) struct Transaction {
    /// The index of its `invoke`.
    pub(super) invoked: u64,
    /// The index of its `ok`; none if it was not done, or nobody saw it.
    pub(super) ended: Option<u64>,
    /// It was certainly not done.
    pub(super) failed: bool,
    pub(super) process: u64,
    pub(super) steps: Vec<Step>,
}

/// A step of a transaction.
#[derive(Clone)]
pub(super) enum Step {
    Append {
        key: String,
        item: Value,
    },
    /// What was read; none if nobody saw it.
    Read {
        key: String,
        list: Option<Vec<Value>>,
    },
}

impl Transaction {
    pub(super) fn is_ok(&self) -> bool {
        self.ended.is_some()
    }

    /// What it appended, on which key.
    pub(super) fn appends(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.steps.iter().filter_map(|step| match step {
            Step::Append { key, item } => Some((key.as_str(), item)),
            Step::Read { .. } => None,
        })
    }

    /// What it read, of which key, if that was seen.
    pub(super) fn reads(&self) -> impl Iterator<Item = (&str, &[Value])> {
        self.steps.iter().filter_map(|step| match step {
            Step::Read { key, list: Some(list) } => Some((key.as_str(), list.as_slice())),
            Step::Read { list: None, .. } | Step::Append { .. } => None,
        })
    }

    /// For people: `process 3's append 7 to x (events 4 to 5)`.
    pub(super) fn shown(&self) -> String {
        let steps: Vec<_> = self.steps.iter().map(Step::shown).collect();
        let ended = self.ended.map_or("?".to_owned(), |ended| ended.to_string());
        format!("process {}'s {} (events {} to {ended})", self.process, steps.join(", "), self.invoked)
    }
}

impl Step {
    fn shown(&self) -> String {
        match self {
            Self::Append { key, item } => format!("append {item} to {key}"),
            Self::Read { key, list } => {
                let list = list.clone().map_or(Value::Null, Value::List);
                format!("read {list} of {key}")
            }
        }
    }
}

/// All transactions of a history, in the order in which they began.
///
/// # Errors
///
/// A sentence, where an event is none of lists.
pub(super) fn transactions(history: &History) -> Result<Vec<Transaction>, String> {
    let mut all: Vec<Transaction> = Vec::new();
    let mut open = BTreeMap::new();
    for event in &history.events {
        let steps = steps(event).ok_or_else(|| {
            format!("history: event {} is no append and no read of a list; choose another model", event.index)
        })?;
        if event.kind == Type::Invoke {
            open.insert(event.process, all.len());
            let Event { index: invoked, process, .. } = *event;
            all.push(Transaction { invoked, ended: None, failed: false, process, steps });
            continue;
        }
        let Some(transaction) = open.remove(&event.process).and_then(|place| all.get_mut(place)) else {
            return Err(format!("history: event {} ends what never began; write its invoke", event.index));
        };
        match event.kind {
            _ if event.is_not_done() => transaction.failed = true,
            Type::Ok => (transaction.ended, transaction.steps) = (Some(event.index), steps),
            Type::Invoke | Type::Fail | Type::Info => {}
        }
    }
    Ok(all)
}

fn steps(event: &Event) -> Option<Vec<Step>> {
    let seen = event.kind == Type::Ok;
    let read = |key: String, value: &Value| {
        let list = if seen { Some(value.items()?.to_vec()) } else { None };
        Some(Step::Read { key, list })
    };
    let append = |key: String, value: &Value| {
        let item = Some(value.clone()).filter(|item| *item != Value::Null)?;
        Some(Step::Append { key, item })
    };
    match event.f.name() {
        "append" => Some(vec![append(event.key.clone(), &event.value)?]),
        "read" => Some(vec![read(event.key.clone(), &event.value)?]),
        "txn" => {
            let step = |step: &Value| {
                let [Value::Text(name), key, value] = step.items()? else { return None };
                match name.as_str() {
                    "append" => append(key.to_string(), value),
                    "r" => read(key.to_string(), value),
                    _ => None,
                }
            };
            event.value.items()?.iter().map(step).collect()
        }
        _ => None,
    }
}
