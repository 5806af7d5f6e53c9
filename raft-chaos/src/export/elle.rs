//! Transactions as elle-cli reads them: each operation is a transaction of one step, a compare-and-set one of two.

use serde_json::{Value as Json, json};

use crate::history::{Event, History, Type, Value};

/// A JSON object a line, for `--model list-append` where lists are appended to, and `--model rw-register` where values are written.
///
/// # Errors
///
/// A sentence, where an operation is no transaction that Elle knows.
pub fn elle_json(history: &History) -> Result<String, String> {
    let mut text = String::new();
    for event in &history.events {
        // A compare-and-set that found another value is a read of which nobody can say what it read.
        let kind = match event.kind {
            Type::Invoke => "invoke",
            Type::Ok if event.swapped == Some(false) => "fail",
            Type::Ok => "ok",
            Type::Fail => "fail",
            Type::Info => "info",
        };
        let line = json!({
            "index": event.index, "time": event.time_ns, "process": event.process, "type": kind, "f": "txn",
            "value": steps(event)?,
        });
        text += &format!("{line}\n");
    }
    Ok(text)
}

fn steps(event: &Event) -> Result<Json, String> {
    let key = &event.key;
    let seen = event.kind == Type::Ok;
    Ok(match (event.f.name(), &event.value) {
        ("txn", steps) => json!(steps),
        // What a read has before it ends is nothing.
        ("read", value) => json!([["r", key, if seen { value } else { &Value::Null }]]),
        ("append", item @ Value::Whole(_)) => json!([["append", key, item]]),
        ("write", value) => json!([["w", key, value]]),
        ("cas", Value::List(items)) if items.len() == 2 => {
            let read = if seen { &items[0] } else { &Value::Null };
            json!([["r", key, read], ["w", key, &items[1]]])
        }
        (f, _) => {
            let index = event.index;
            return Err(format!("event {index}: {f} is no transaction that Elle knows; export to edn"));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each row: operations in EDN, and the transactions.
    #[test]
    fn operations_are_transactions_of_few_steps() {
        for (edn, expected) in [
            (
                "{:process 0, :type :invoke, :f :append, :key x, :value 3}",
                Ok(
                    r#"{"f":"txn","index":0,"process":0,"time":0,"type":"invoke","value":[["append","x",3]]}"#,
                ),
            ),
            (
                "{:process 0, :type :invoke, :f :cas, :key x, :value [1 2]}",
                Ok(
                    r#"{"f":"txn","index":0,"process":0,"time":0,"type":"invoke","value":[["r","x",null],["w","x",2]]}"#,
                ),
            ),
            ("{:process 0, :type :invoke, :f :add, :key x, :value 3}", Err("event 0: add is no transaction")),
        ] {
            let history = crate::edn::read(edn).expect("a history");
            match (elle_json(&history), expected) {
                (Ok(text), Ok(expected)) => assert_eq!(text.trim_end(), expected),
                (Err(why), Err(expected)) => assert!(why.starts_with(expected), "{why}"),
                (found, expected) => panic!("{found:?}, not {expected:?}"),
            }
        }
    }
}
