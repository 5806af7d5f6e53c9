//! What clients saw: `history.jsonl`, one line an event, in Jepsen's form.
//!
//! Real time is the order of the events: what ended before another began stands before it. An operation is an
//! `invoke` and, if its end was seen, one of `ok`, `fail` (certainly not done) and `info` (nobody knows). A
//! process with an `info` is dead, and its client goes on under a fresh id. Judging a history is not here.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufRead, Write};

use raft_core::{LogIndex, NodeId};
use serde::{Deserialize, Serialize};

/// What an event says of its operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Type {
    /// It begins.
    Invoke,
    /// It was done.
    Ok,
    /// It was certainly not done.
    Fail,
    /// It may or may not have been done, or may yet be.
    Info,
}

/// An operation of a key-value store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum F {
    /// What is the value?
    Read,
    /// This is the value.
    Write,
    /// If the value is the first, then make it the second.
    Cas,
    /// There is no value.
    Delete,
    /// Put this behind the value.
    Append,
}

impl fmt::Display for F {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Cas => "cas",
            Self::Delete => "delete",
            Self::Append => "append",
        })
    }
}

/// What an operation carries.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// Nothing: a read that has not ended, or found nothing; a delete.
    Null,
    /// What was read, is written or is appended.
    Text(String),
    /// What a compare-and-set expects, null for no value, and what it makes of it.
    Swap(Option<String>, String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Text(text) => f.write_str(text),
            Self::Swap(from, to) => write!(f, "{} to {to}", from.as_deref().unwrap_or("null")),
        }
    }
}

/// One line of a history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its place in the history, from 0 without gaps.
    pub index: u64,
    /// Who asks; one operation at a time.
    pub process: u64,
    /// What it says of the operation.
    #[serde(rename = "type")]
    pub kind: Type,
    /// The operation.
    pub f: F,
    /// On which key.
    pub key: String,
    /// A read's value is null until it is ok.
    pub value: Value,
    /// A compare-and-set that is ok: whether the value was the expected one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swapped: Option<bool>,
    /// Nanoseconds of the run's clock, strictly increasing.
    pub time_ns: u64,
    /// Who was asked, or answered, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeId>,
    /// Where in the log the operation is, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_index: Option<LogIndex>,
}

impl Event {
    /// Writes it as a line.
    ///
    /// # Errors
    ///
    /// What `out` refuses.
    pub fn write_to(&self, out: &mut (impl Write + ?Sized)) -> io::Result<()> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        out.write_all(&line)
    }
}

/// How the operations of a history ended. One without an end is an `info`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Done.
    pub ok: u64,
    /// Certainly not done.
    pub fail: u64,
    /// Nobody knows.
    pub info: u64,
}

/// The numbers of a history, as `result.json` has them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// All operations.
    #[serde(flatten)]
    pub all: Tally,
    /// The same for each kind of operation that occurs.
    pub by_f: BTreeMap<F, Tally>,
}

/// Everything that clients saw, in real-time order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// One after the other; `index` is the position.
    pub events: Vec<Event>,
}

impl History {
    /// Writes one JSON object a line.
    ///
    /// # Errors
    ///
    /// What `out` refuses.
    pub fn write_to(&self, mut out: impl Write) -> io::Result<()> {
        self.events.iter().try_for_each(|event| event.write_to(&mut out))
    }

    /// Reads what [`Self::write_to`] wrote. Empty lines are skipped.
    ///
    /// # Errors
    ///
    /// `InvalidData`, naming the line, where one is not an event, where `index` is not the position, or
    /// where an end has no beginning; and what `lines` refuses.
    pub fn read_from(lines: impl BufRead) -> io::Result<Self> {
        let mut history = Self::default();
        let mut open = BTreeMap::new();
        for (position, line) in lines.lines().enumerate() {
            let line = line?;
            if line.trim().is_empty() {
                continue;
            }
            let wrong = |what: &str| {
                io::Error::new(io::ErrorKind::InvalidData, format!("history: line {}: {what}", position + 1))
            };
            let event: Event = serde_json::from_str(&line)
                .map_err(|error| wrong(&format!("{error}; write one event a line")))?;
            if u64::try_from(history.events.len()) != Ok(event.index) {
                return Err(wrong("index is not the position; number the events from 0"));
            }
            if event.kind == Type::Invoke {
                if open.insert(event.process, Some((event.f, event.key.clone()))).is_some() {
                    return Err(wrong("the process has not ended its last operation; give it a fresh id"));
                }
            } else if open.remove(&event.process) != Some(Some((event.f, event.key.clone()))) {
                return Err(wrong("the process has not begun this operation; write its invoke first"));
            } else if event.kind == Type::Info {
                // The process is dead: it neither begins nor ends anything any more.
                open.insert(event.process, None);
            }
            history.events.push(event);
        }
        Ok(history)
    }

    /// How many operations ended how.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for event in &self.events {
            for tally in [&mut counts.all, counts.by_f.entry(event.f).or_default()] {
                match event.kind {
                    Type::Invoke => tally.info += 1,
                    Type::Ok => (tally.info, tally.ok) = (tally.info - 1, tally.ok + 1),
                    Type::Fail => (tally.info, tally.fail) = (tally.info - 1, tally.fail + 1),
                    Type::Info => {}
                }
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::{Outcome, Recorder};

    fn recorded() -> History {
        let mut recorder = Recorder::new(2);
        let text = |text: &str| Value::Text(text.to_owned());
        let write = recorder.invoke(5, 0, F::Write, "x", text("1")).expect("client 0");
        let read = recorder.invoke(5, 1, F::Read, "x", Value::Null).expect("client 1");
        recorder.complete(7, write, Outcome::Info, None, None);
        let done = Outcome::Ok { read: Some("1".to_owned()), swapped: None };
        recorder.complete(8, read, done, Some(NodeId::new(2)), Some(LogIndex::new(4)));
        let swap = Value::Swap(None, "2".to_owned());
        let cas = recorder.invoke(9, 0, F::Cas, "x", swap).expect("client 0");
        recorder.complete(9, cas, Outcome::Ok { read: None, swapped: Some(false) }, None, None);
        let lost = recorder.invoke(11, 0, F::Delete, "y", Value::Null).expect("client 0");
        assert_eq!(lost.process(), 2);
        recorder.into_history()
    }

    #[test]
    fn a_history_is_written_as_jepsen_does_and_reads_back() {
        let history = recorded();
        let mut bytes = Vec::new();
        history.write_to(&mut bytes).expect("a Vec takes all");
        let lines: Vec<_> = std::str::from_utf8(&bytes).expect("JSON is UTF-8").lines().collect();
        assert_eq!(
            lines[3],
            r#"{"index":3,"process":1,"type":"ok","f":"read","key":"x","value":"1","time_ns":8,"node":2,"log_index":4}"#
        );
        assert_eq!(
            lines[5],
            r#"{"index":5,"process":2,"type":"ok","f":"cas","key":"x","value":[null,"2"],"swapped":false,"time_ns":10}"#
        );
        assert_eq!(History::read_from(bytes.as_slice()).expect("reads back"), history);
    }

    #[test]
    fn a_client_goes_on_as_a_fresh_process_after_an_info() {
        let history = recorded();
        let processes: Vec<_> = history.events.iter().map(|event| event.process).collect();
        assert_eq!(processes, [0, 1, 0, 1, 2, 2, 2]);
        assert!(history.events.is_sorted_by(|a, b| a.time_ns < b.time_ns));
    }

    #[test]
    fn an_operation_without_an_end_counts_as_info() {
        let counts = recorded().counts();
        assert_eq!(counts.all, Tally { ok: 2, fail: 0, info: 2 });
        assert_eq!(counts.by_f[&F::Delete], Tally { ok: 0, fail: 0, info: 1 });
        let json = serde_json::to_string(&counts).expect("numbers");
        assert!(json.starts_with(r#"{"ok":2,"fail":0,"info":2,"by_f":{"read":{"ok":1"#), "{json}");
    }

    /// Each row: lines that are no history, and what is said of them.
    #[test]
    fn a_broken_history_is_refused_by_its_line() {
        let event = |index, kind| {
            format!(
                r#"{{"index":{index},"process":0,"type":"{kind}","f":"read","key":"x","value":null,"time_ns":1}}"#
            )
        };
        for (lines, expected) in [
            (vec![event(0, "invoke"), "{".to_owned()], "line 2: EOF"),
            (vec![event(1, "invoke")], "line 1: index is not"),
            (vec![event(0, "ok")], "line 1: the process has not begun"),
            (vec![event(0, "invoke"), event(1, "invoke")], "line 2: the process has not ended"),
            (vec![event(0, "invoke"), event(1, "info"), event(2, "ok")], "line 3: the process has not begun"),
            (
                vec![event(0, "invoke"), event(1, "info"), event(2, "invoke")],
                "line 3: the process has not ended",
            ),
        ] {
            let error = History::read_from(lines.join("\n").as_bytes()).expect_err("no history");
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
