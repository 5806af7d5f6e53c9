//! What a result says in numbers, as lines.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

/// How many firings are told one by one, and how many recoveries.
const FIRINGS: usize = 10;
const RECOVERIES: usize = 5;

/// What each fault is known to have done; of very many, how often each event fired.
pub(super) fn faults(result: &Value) -> Vec<String> {
    let faults: Vec<_> = result["faults"].as_array().into_iter().flatten().collect();
    if faults.len() <= FIRINGS {
        let line =
            |fault: &&Value| format!("fault     {}: {}", text(&fault["event"]), evidence(&fault["evidence"]));
        return faults.iter().map(line).collect();
    }
    let mut events: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for fault in faults {
        let (times, effects) = events.entry(text(&fault["event"])).or_default();
        *times += 1;
        *effects += u64::from(fault["had_effect"] == true);
    }
    let line = |(event, (times, effects))| format!("fault     {event}: {times} times, {effects} with effect");
    events.into_iter().map(line).collect()
}

/// What followed each heal; of very many, how long that took at most.
pub(super) fn recoveries(result: &Value, warmup: Duration) -> Vec<String> {
    let recoveries: Vec<_> = result["recovery_ms"].as_array().into_iter().flatten().collect();
    let at = |recovery: &Value| recovery["at"].as_f64().unwrap_or(0.0) / 1e3 - warmup.as_secs_f64();
    if recoveries.len() <= RECOVERIES {
        let line = |recovery: &&Value| {
            let (at, leader, commit) =
                (at(recovery), millis(&recovery["leader"]), millis(&recovery["commit"]));
            format!("recovery  from the heal at {at:.3} s: to a leader {leader}, to a commit {commit}")
        };
        return recoveries.iter().map(line).collect();
    }
    let commits = recoveries.iter().filter_map(|recovery| Some((recovery["commit"].as_u64()?, *recovery)));
    let mut commits: Vec<_> = commits.collect();
    commits.sort_by_key(|(commit, _)| *commit);
    let mut line = format!("recovery  from {} heals to a commit: ", recoveries.len());
    line += &match (commits.get(commits.len() / 2), commits.last()) {
        (Some((middle, _)), Some((slowest, recovery))) => {
            format!(
                "half within {middle} ms, the slowest {slowest} ms, from the heal at {:.3} s",
                at(recovery)
            )
        }
        _ => "never".to_owned(),
    };
    if let overtaken @ 1.. = recoveries.len() - commits.len() {
        line += &format!("; none before the next heal: {overtaken} times");
    }
    vec![line]
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("-")
}

pub(super) fn millis(value: &Value) -> String {
    value.as_u64().map_or("never".to_owned(), |millis| format!("{millis} ms"))
}

pub(super) fn micros(value: &Value) -> String {
    format!("{:.1} ms", value.as_f64().unwrap_or(0.0) / 1e3)
}

/// `{"power_lost":{"bytes":3}}` as `power lost bytes:3`.
fn evidence(value: &Value) -> String {
    let (key, value) = value.as_object().and_then(|object| object.iter().next()).unzip();
    let value = value.map_or(String::new(), Value::to_string);
    let value = value.replace(['"', '{', '}'], "").replace(',', " ");
    format!("{} {value}", key.map_or("-".to_owned(), |key| key.replace('_', " ")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_few_faults_are_told_one_by_one_and_many_by_their_events() {
        let fault = |event: &str, had_effect: bool| json!({ "event": event, "evidence": { "held_back": 7 }, "had_effect": had_effect });
        let few = json!({ "faults": [fault("slow", true), fault("flap", true)] });
        assert_eq!(faults(&few), ["fault     slow: held back 7", "fault     flap: held back 7"]);
        let many: Vec<_> =
            (0..11).map(|nth| fault(if nth % 2 == 0 { "slow" } else { "flap" }, nth > 0)).collect();
        assert_eq!(
            faults(&json!({ "faults": many })),
            ["fault     flap: 5 times, 5 with effect", "fault     slow: 6 times, 5 with effect"]
        );
    }

    #[test]
    fn a_few_recoveries_are_told_one_by_one_and_many_by_the_slowest() {
        let heal = |at: u64, commit: Option<u64>| json!({ "at": at, "leader": 0, "commit": commit });
        let warmup = Duration::from_secs(3);
        let few = json!({ "recovery_ms": [heal(4_000, Some(17)), heal(9_500, None)] });
        assert_eq!(
            recoveries(&few, warmup),
            [
                "recovery  from the heal at 1.000 s: to a leader 0 ms, to a commit 17 ms",
                "recovery  from the heal at 6.500 s: to a leader 0 ms, to a commit never"
            ]
        );
        let many = [Some(5), Some(90), None, Some(7), Some(1), Some(8)];
        let many: Vec<_> = (4..).zip(many).map(|(at, commit)| heal(at * 1_000, commit)).collect();
        assert_eq!(
            recoveries(&json!({ "recovery_ms": many }), warmup),
            [
                "recovery  from 6 heals to a commit: half within 7 ms, the slowest 90 ms, from the heal at 2.000 s; none before the next heal: 1 times"
            ]
        );
        let never: Vec<_> = (4..10).map(|at| heal(at * 1_000, None)).collect();
        let never = recoveries(&json!({ "recovery_ms": never }), warmup);
        assert_eq!(never, ["recovery  from 6 heals to a commit: never; none before the next heal: 6 times"]);
    }
}
