//! Operations as Porcupine's `[]Operation` has them, a JSON object a line: closed intervals, of which an operation without a known end
//! goes on for ever.

use serde_json::json;

use crate::history::{History, Value};
use crate::linearizable;

/// What is no end.
const NEVER: i64 = i64::MAX;

/// All operations but those that certainly were not done. `Call` and `Return` are places in the history.
///
/// # Errors
///
/// A sentence, where an event has no beginning.
pub fn operations(history: &History) -> Result<String, String> {
    let mut text = String::new();
    for operation in linearizable::operations(history)?.iter().filter(|operation| !operation.failed) {
        let output = operation.reply.as_ref().map(|reply| {
            let value = if operation.asked == Value::Null { &reply.value } else { &Value::Null };
            json!({ "Value": value, "Swapped": reply.swapped })
        });
        let line = json!({
            "ClientId": operation.process,
            "Input": { "Op": operation.f, "Key": operation.key, "Value": operation.asked },
            "Call": operation.invoked,
            "Output": output,
            "Return": operation.ended.map_or(NEVER, |ended| i64::try_from(ended).unwrap_or(NEVER)),
        });
        text += &format!("{line}\n");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_left_out_and_what_has_no_end_goes_on_for_ever() {
        let edn = "{:process 0, :type :invoke, :f :write, :key x, :value 3}
                   {:process 1, :type :invoke, :f :write, :key x, :value 4}
                   {:process 2, :type :invoke, :f :read, :key x}
                   {:process 0, :type :fail, :f :write, :key x, :value 3}
                   {:process 2, :type :ok, :f :read, :key x, :value 4}
                   {:process 1, :type :info, :f :write, :key x, :value 4}";
        let text = operations(&crate::edn::read(edn).expect("a history")).expect("operations");
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines,
            [
                r#"{"Call":1,"ClientId":1,"Input":{"Key":"x","Op":"write","Value":4},"Output":null,"Return":9223372036854775807}"#,
                r#"{"Call":2,"ClientId":2,"Input":{"Key":"x","Op":"read","Value":null},"Output":{"Swapped":null,"Value":4},"Return":4}"#,
            ]
        );
    }
}
