//! What clients saw: `history.jsonl`, one line an event, in Jepsen's form.
//!
//! Real time is the order of the events: what ended before another began stands before it. An operation is an
//! `invoke` and, if its end was seen, one of `ok`, `fail` (certainly not done) and `info` (nobody knows, or its time ran
//! out). A process with an `info` is dead, and its client goes on under a fresh id. Judging a history is not here.

mod value;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufRead, Write};

use raft_core::{LogIndex, NodeId};
use serde::{Deserialize, Serialize};

pub use value::Value;

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
    /// It may or may not have been done, or may yet be, unless [`Event::done`] says that it was not.
    Info,
}

/// The name of an operation: `read`, `write`, `append`, ...
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct F(Cow<'static, str>);

impl F {
    /// What is there?
    pub const READ: Self = Self(Cow::Borrowed("read"));

    /// The operation of this name.
    pub fn new(name: impl Into<Cow<'static, str>>) -> Self {
        Self(name.into())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for F {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is answered when an operation is done.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reply {
    /// What was read or taken out; null where nothing is asked for.
    pub value: Value,
    /// Whether something that is done on a condition (a compare-and-set, a transfer) was done; none for all others.
    pub swapped: Option<bool>,
}

impl Reply {
    /// It is done.
    pub const DONE: Self = Self { value: Value::Null, swapped: None };

    /// This is what was asked for.
    pub const fn value(value: Value) -> Self {
        Self { value, swapped: None }
    }

    /// Whether the condition held.
    pub const fn swapped(swapped: bool) -> Self {
        Self { value: Value::Null, swapped: Some(swapped) }
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
    /// What it asks with; of an `ok` that was asked with nothing: what was answered.
    pub value: Value,
    /// Something done on a condition that is ok: whether it was done.
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
    /// An `info` of an operation whose time ran out: `false` where whoever asked knows that it was not done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<bool>,
}

impl Event {
    /// Whether it says that its operation was certainly not done.
    pub fn is_not_done(&self) -> bool {
        self.kind == Type::Fail || (self.kind == Type::Info && self.done == Some(false))
    }

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
        let mut processes = Processes::default();
        for (position, line) in lines.lines().enumerate() {
            let line = line?;
            if line.trim().is_empty() {
                continue;
            }
            let wrong = |what: &str| wrong(position + 1, what);
            let event: Event = serde_json::from_str(&line)
                .map_err(|error| wrong(&format!("{error}; write one event a line")))?;
            if u64::try_from(history.events.len()) != Ok(event.index) {
                return Err(wrong("index is not the position; number the events from 0"));
            }
            processes.take(&event).map_err(wrong)?;
            history.events.push(event);
        }
        Ok(history)
    }

    /// How many operations ended how.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for event in &self.events {
            for tally in [&mut counts.all, counts.by_f.entry(event.f.clone()).or_default()] {
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

/// What is wrong with this line of a history.
pub(crate) fn wrong(line: usize, what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("history: line {line}: {what}"))
}

/// What each process is in the middle of: it has one operation at a time, and none after an `info`.
#[derive(Default)]
pub(crate) struct Processes(BTreeMap<u64, Option<(F, String)>>);

impl Processes {
    /// Takes the next event, or says what is wrong with it.
    pub(crate) fn take(&mut self, event: &Event) -> Result<(), &'static str> {
        let operation = Some((event.f.clone(), event.key.clone()));
        if event.kind == Type::Invoke {
            return match self.0.insert(event.process, operation) {
                Some(_) => Err("the process has not ended its last operation; give it a fresh id"),
                None => Ok(()),
            };
        }
        if self.0.remove(&event.process) != Some(operation) {
            return Err("the process has not begun this operation; write its invoke first");
        }
        if event.kind == Type::Info {
            // The process is dead: it neither begins nor ends anything any more.
            self.0.insert(event.process, None);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::{Outcome, Recorder};

    fn recorded() -> History {
        let mut recorder = Recorder::new(2);
        let write = recorder.invoke(5, 0, F::new("write"), "x", Value::text("1")).expect("client 0");
        let read = recorder.invoke(5, 1, F::READ, "x", Value::Null).expect("client 1");
        recorder.complete(7, write, Outcome::Info, None, None);
        let done = Outcome::Ok(Reply::value(Value::text("1")));
        recorder.complete(8, read, done, Some(NodeId::new(2)), Some(LogIndex::new(4)));
        let swap = Value::swap(Value::Null, Value::text("2"));
        let cas = recorder.invoke(9, 0, F::new("cas"), "x", swap).expect("client 0");
        recorder.complete(9, cas, Outcome::Ok(Reply::swapped(false)), None, None);
        let lost = recorder.invoke(11, 0, F::new("delete"), "y", Value::Null).expect("client 0");
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

    /// What is known of it beside that is said, and its client is a fresh process too.
    #[test]
    fn an_operation_whose_time_ran_out_is_an_info() {
        let mut recorder = Recorder::new(1);
        let write = recorder.invoke(5, 0, F::new("write"), "x", Value::text("1")).expect("client 0");
        recorder.complete(7, write, Outcome::TimedOut, None, None);
        assert_eq!(recorder.invoke(8, 0, F::READ, "x", Value::Null).expect("client 0").process(), 1);
        let (history, mut bytes) = (recorder.into_history(), Vec::new());
        history.write_to(&mut bytes).expect("a Vec takes all");
        let end = std::str::from_utf8(&bytes).expect("JSON is UTF-8").lines().nth(1);
        assert_eq!(
            end,
            Some(
                r#"{"index":1,"process":0,"type":"info","f":"write","key":"x","value":"1","time_ns":7,"done":false}"#
            )
        );
        assert_eq!(History::read_from(bytes.as_slice()).expect("reads back"), history);
        assert_eq!(history.counts().all, Tally { ok: 0, fail: 0, info: 2 });
    }

    #[test]
    fn an_operation_without_an_end_counts_as_info() {
        let counts = recorded().counts();
        assert_eq!(counts.all, Tally { ok: 2, fail: 0, info: 2 });
        assert_eq!(counts.by_f[&F::new("delete")], Tally { ok: 0, fail: 0, info: 1 });
        let json = serde_json::to_string(&counts).expect("numbers");
        assert!(json.starts_with(r#"{"ok":2,"fail":0,"info":2,"by_f":{"cas":{"ok":1"#), "{json}");
    }

    /// Each row: a value as it stands in a line, and as people read it.
    #[test]
    fn a_value_reads_back_as_what_it_is() {
        for (json, shown) in [
            ("null", "null"),
            ("-7", "-7"),
            (r#""7""#, "7"),
            (r#"[null,"2"]"#, "[null 2]"),
            ("[1,[2]]", "[1 [2]]"),
            (r#"{"0":10,"1":-10}"#, "{0: 10, 1: -10}"),
        ] {
            let value: Value = serde_json::from_str(json).expect("a value");
            assert_eq!(
                (serde_json::to_string(&value).expect("JSON"), value.to_string()),
                (json.into(), shown.into())
            );
            assert_eq!(
                crate::data::decode::<Value>(&crate::data::encode(&value)).expect("in the log"),
                value
            );
        }
        assert!(serde_json::from_str::<Value>("1.5").is_err());
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
