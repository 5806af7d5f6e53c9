//! Histories in EDN, as Jepsen writes and reads them.
//!
//! One map an event, one after the other or all in a vector. What is not of a client (`:process :nemesis`) is left out and events are
//! numbered anew. Where a test had many keys (`jepsen.independent`), values are `[key value]`: that is seen by its reads, which begin
//! with `[key nil]`.

mod form;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;

use crate::history::{self, Event, F, History, Processes, Type, Value};
use form::{Form, Reader};

/// Reads a history.
///
/// # Errors
///
/// `InvalidData`, naming the line, where it is no EDN, or no history.
pub fn read(text: &str) -> io::Result<History> {
    let mut reader = Reader::new(text);
    let mut events = Vec::new();
    let wrong = |line: usize, what: String| history::wrong(line, &what);
    loop {
        reader.skip_discarded().map_err(|what| wrong(reader.line, what))?;
        let line = reader.line;
        match reader.next().map_err(|what| wrong(reader.line, what))? {
            None => break,
            Some(Form::List(items)) => {
                for item in items {
                    events.extend(event(&item).map_err(|what| wrong(line, what))?.map(|event| (line, event)));
                }
            }
            Some(form) => {
                events.extend(event(&form).map_err(|what| wrong(line, what))?.map(|event| (line, event)));
            }
        }
    }
    let is_keyed = |(_, event): &(usize, Event)| event.kind != Type::Invoke || keyed(event).is_some();
    let independent = events.iter().all(is_keyed)
        && events.iter().any(|(_, event)| keyed(event).is_some_and(|(_, value)| value == Value::Null));
    let mut history = History::default();
    let mut processes = Processes::default();
    let mut last = None;
    for (line, mut event) in events {
        if independent && let Some((key, value)) = keyed(&event) {
            (event.key, event.value) = (key, value);
        }
        event.index = history.events.len() as u64;
        event.time_ns = last.map_or(event.time_ns, |last: u64| event.time_ns.max(last.saturating_add(1)));
        last = Some(event.time_ns);
        processes.take(&event).map_err(|what| history::wrong(line, what))?;
        history.events.push(event);
    }
    Ok(history)
}

/// `[key value]`, where no key is written.
fn keyed(event: &Event) -> Option<(String, Value)> {
    match &event.value {
        Value::List(items) if event.key.is_empty() && event.f.name() != "txn" => match items.as_slice() {
            [key @ (Value::Whole(_) | Value::Text(_)), value] => Some((key.to_string(), value.clone())),
            _ => None,
        },
        Value::Null | Value::Whole(_) | Value::Text(_) | Value::List(_) | Value::Map(_) => None,
    }
}

/// An event; none of what is not a client's.
fn event(form: &Form) -> Result<Option<Event>, String> {
    let Form::Map(entries) = form else { return Err("not a map; write one map an event".to_owned()) };
    let get = |name: &str| {
        let entry = entries.iter().find(|(key, _)| matches!(key, Form::Text(key) if key == name));
        entry.map(|(_, value)| value)
    };
    let text = |name: &str| match get(name) {
        Some(Form::Text(text)) => Ok(text.clone()),
        Some(_) | None => Err(format!(":{name} is missing or no keyword; write it")),
    };
    let whole = |name: &str| match get(name) {
        Some(Form::Whole(number)) => u64::try_from(*number).ok(),
        Some(_) | None => None,
    };
    let Some(process) = whole("process") else {
        return match get("process") {
            Some(Form::Text(_)) => Ok(None),
            Some(_) | None => Err(":process is missing or no number; write it".to_owned()),
        };
    };
    let kind = match text("type")?.as_str() {
        "invoke" => Type::Invoke,
        "ok" => Type::Ok,
        "fail" => Type::Fail,
        "info" => Type::Info,
        other => return Err(format!(":type :{other} is unknown; write :invoke, :ok, :fail or :info")),
    };
    let swapped = if let Some(Form::Bool(swapped)) = get("swapped") { Some(*swapped) } else { None };
    Ok(Some(Event {
        index: 0,
        process,
        kind,
        f: F::new(text("f")?),
        key: get("key").map(value).transpose()?.map_or(String::new(), |key| key.to_string()),
        value: get("value").map(value).transpose()?.unwrap_or(Value::Null),
        swapped,
        time_ns: whole("time").unwrap_or(0),
        node: whole("node").map(raft_core::NodeId::new),
        log_index: whole("log-index").map(raft_core::LogIndex::new),
        done: None,
    }))
}

fn value(form: &Form) -> Result<Value, String> {
    Ok(match form {
        Form::Nil => Value::Null,
        Form::Bool(bool) => Value::Text(bool.to_string()),
        Form::Whole(number) => Value::Whole(*number),
        Form::Text(text) => Value::Text(text.clone()),
        Form::Other(number) => return Err(format!("{number} does not fit a whole number of 64 bits")),
        Form::List(items) => Value::List(items.iter().map(value).collect::<Result<_, _>>()?),
        Form::Map(entries) => {
            let entry = |(key, held): &(Form, Form)| Ok((value(key)?.to_string(), value(held)?));
            Value::Map(entries.iter().map(entry).collect::<Result<BTreeMap<_, _>, String>>()?)
        }
    })
}

/// A history as Jepsen's judges read it. A compare-and-set, or a transfer, that was answered and not done is a `:fail` there.
/// With one key only its events are written, and no `:key`.
pub fn write(history: &History, key: Option<&str>) -> String {
    let mut text = String::new();
    let events = history.events.iter().filter(|event| key.is_none_or(|key| event.key == key));
    for (index, event) in events.enumerate() {
        let kind = match event.kind {
            Type::Invoke => "invoke",
            Type::Ok if event.swapped == Some(false) => "fail",
            Type::Ok => "ok",
            Type::Fail => "fail",
            Type::Info => "info",
        };
        let _infallible = write!(
            text,
            "{{:index {index}, :time {}, :process {}, :type :{kind}, :f :{}",
            event.time_ns, event.process, event.f
        );
        if key.is_none() && !event.key.is_empty() {
            let _infallible = write!(text, ", :key {}", quoted(&event.key));
        }
        let _infallible = writeln!(text, ", :value {}}}", printed(&event.value));
    }
    text
}

fn printed(value: &Value) -> String {
    match value {
        Value::Null => "nil".to_owned(),
        Value::Whole(number) => number.to_string(),
        Value::Text(text) => quoted(text),
        Value::List(items) => format!("[{}]", items.iter().map(printed).collect::<Vec<_>>().join(" ")),
        Value::Map(entries) => {
            // Accounts have numbers, all else has names.
            let name = |name: &String| {
                if name.parse::<i64>().is_ok() { name.clone() } else { format!(":{name}") }
            };
            let entries = entries.iter().map(|(key, value)| format!("{} {}", name(key), printed(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Jepsen writes: tags, sets, nemeses, comments, commas, and times that stand still.
    const JEPSEN: &str = r#"
; a comment
{:process 0, :type :invoke, :f :read, :value [3 nil], :time 5, :index 0}
{:process :nemesis, :type :info, :f :start, :value "cut off #{\"n1\"}"}
#jepsen.history.Op{:process 1, :type :invoke, :f :cas, :value [3 [1 2]], :time 5}
{:process 0 :type :ok :f :read :value [3 #{2 1}] #_ :ignored :time 7 :error [:timeout 1.5]}
{:process 1, :type :info, :f :cas, :value [3 [1 2]], :time 9, :error "\u0041 \\ \""}
"#;

    #[test]
    fn what_jepsen_writes_is_read() {
        let history = read(JEPSEN).expect("a history");
        let lines: Vec<_> = history
            .events
            .iter()
            .map(|event| {
                format!("{} {} {} {} {}", event.index, event.process, event.key, event.value, event.time_ns)
            })
            .collect();
        assert_eq!(lines, ["0 0 3 null 5", "1 1 3 [1 2] 6", "2 0 3 [2 1] 7", "3 1 3 [1 2] 9"]);
        let in_a_vector = format!("[{JEPSEN}]");
        assert_eq!(read(&in_a_vector).expect("a history"), history);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let lines = [
            r#"{"index":0,"process":0,"type":"invoke","f":"write","key":"k \"0","value":"a\\\n","time_ns":5}"#,
            r#"{"index":1,"process":1,"type":"invoke","f":"transfer","key":"b","value":{"from":0,"to":1,"amount":2},"time_ns":6}"#,
            r#"{"index":2,"process":0,"type":"ok","f":"write","key":"k \"0","value":"a\\\n","time_ns":7}"#,
            r#"{"index":3,"process":1,"type":"info","f":"transfer","key":"b","value":{"from":0,"to":1,"amount":2},"time_ns":8}"#,
            r#"{"index":4,"process":2,"type":"invoke","f":"read","key":"b","value":null,"time_ns":9}"#,
            r#"{"index":5,"process":2,"type":"ok","f":"read","key":"b","value":{"0":10,"1":10},"time_ns":10}"#,
        ];
        let history = History::read_from(lines.join("\n").as_bytes()).expect("a history");
        assert_eq!(read(&write(&history, None)).expect("a history"), history);
        assert_eq!(
            write(&history, Some("b")).lines().last(),
            Some("{:index 3, :time 10, :process 2, :type :ok, :f :read, :value {0 10, 1 10}}")
        );
    }

    #[test]
    fn a_compare_and_set_that_found_another_value_fails_there() {
        let line = |index, kind, more| {
            format!(
                r#"{{"index":{index},"process":0,"type":"{kind}","f":"cas","key":"x","value":["1","2"],"time_ns":{index}{more}}}"#
            )
        };
        let lines = [line(0, "invoke", ""), line(1, "ok", r#","swapped":false"#)];
        let history = History::read_from(lines.join("\n").as_bytes()).expect("a history");
        assert!(write(&history, None).contains(":type :fail"));
    }

    /// Each row: what is no history, and what is said of it.
    #[test]
    fn what_is_no_history_is_refused_by_its_line() {
        for (text, expected) in [
            ("{:process 0}", "line 1: :type is missing"),
            ("{:type :ok}", "line 1: :process is missing"),
            ("\n7", "line 2: not a map"),
            ("{:process 0, :type :okay, :f :read}", "line 1: :type :okay is unknown"),
            ("\n{:process 0, :type :ok, :f :read}", "line 2: the process has not begun"),
            ("{:process 0, :type :invoke, :f :write, :value 1.5}", "line 1: 1.5 does not fit"),
            ("{:process 0,\n:type", "line 2: } is missing at the end"),
            ("{:process 0,\n:type}", "line 2: a map has a key without a value"),
            ("]", "line 1: ] closes nothing"),
            ("\"a", "line 1: \" is missing at the end"),
            ("\"\\uzzzz\"", "line 1: \\uzzzz is no character"),
        ] {
            let error = read(text).expect_err("no history").to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        for deep in ["[", "#a ", "#{", "#_"] {
            let error = read(&deep.repeat(1_000_000)).expect_err("no history").to_string();
            assert!(error.contains("more than 64 forms"), "{deep}: {error}");
        }
    }

    #[test]
    fn what_is_discarded_may_be_as_much_as_anybody_wants() {
        let discarded = "#_{:process 0}\n".repeat(1_000);
        let invoke = "{:process 0, :type :invoke, :f :read, :value #_ #_ 1 2 nil}\n";
        let history = read(&format!("{discarded}{invoke}{discarded}")).expect("a history");
        assert_eq!(history.events.len(), 1);
    }
}
