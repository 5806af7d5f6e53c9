//! Events that wait for a moment inside a server, and for its snapshots.

use std::fs;

use serde_json::Value;

use crate::tool::Tool;

/// Three servers that take many snapshots, one of which is down for so long that it needs one.
const SNAPSHOTS: &str = r#"
schema = 1
name = "snapshots"
[run]
seeds = 5
warmup = "1s"
duration = "6s"
settle = "4s"
[cluster]
storage = "memory"
snapshot_every = 50
snapshot_trailing = 5
snapshot_chunk = "1KiB"
[workload]
kind = "kv"
rate = 300
value = "512B"
[[event]]
name = "away"
when = { at = "100ms" }
do = "stop"
target = "follower"
restart_after = "1500ms"
[[event]]
name = "election"
when = { at = "4s" }
do = "crash"
target = "leader"
restart_after = "500ms"
"#;

fn with(event: &str) -> String {
    format!("{SNAPSHOTS}[[event]]\nname = \"it\"\n{event}\n")
}

/// Each row: a moment. A server that is paused there had something to do.
#[test]
fn an_event_fires_at_its_moment_on_the_server_where_it_is() {
    let tool = Tool::new();
    for moment in [
        r#"vote = "granted", at = "4s""#,
        r#"append = "accepted", on = "follower", nth = 20"#,
        r#"append = "rejected""#,
        r#"snapshot = "started", on = "leader""#,
        r#"snapshot = "chunk-sent", chunk = 2, event = "away""#,
        r#"snapshot = "chunk-received", chunk = 3, on = "event:away.target", event = "away""#,
        r#"snapshot = "installed""#,
        r#"fsync = "before", on = "leader", nth = 3"#,
        r#"fsync = "after", on = "follower""#,
        r#"append = "accepted", with = "unsynced >= 1 and lag == 0", on = "follower""#,
        r#"append = "accepted", term = ">= 1", commit = ">= 100""#,
    ] {
        let plan =
            with(&format!("when = {{ {moment} }}\ndo = \"pause\"\ntarget = \"event.node\"\nfor = \"50ms\""));
        let (code, results) = tool.run(&tool.plan(&plan), &[]);
        assert_eq!(code, 0, "{moment}: {}", results[0]["reasons"]);
        let faults = results[0]["faults"].as_array().unwrap();
        let done: Vec<_> = faults.iter().filter(|fault| fault["event"] == "it").collect();
        assert_eq!(done.len(), 1, "{moment}: fires once");
        assert!(done[0]["evidence"]["held_back"].as_u64() > Some(0), "{moment}");
        assert!(results[0]["snapshots_installed"].as_u64() >= Some(1), "{moment}");
    }
}

/// Each row: states, and the first instant of the run, in milliseconds after the warm-up, at which they can hold.
#[test]
fn an_event_fires_once_its_states_hold() {
    let tool = Tool::new();
    for (states, earliest) in [
        (r#"commit = ">= 1000""#, 1_000),
        (r#"term = 2, at = "1s""#, 4_000),
        (r#"with = "snapshot >= 700 and log < 60""#, 500),
        (r#"with = "uncommitted == 0", leader = "elected""#, 0),
        (r#"leader = "elected", nth = 2"#, 4_000),
        (r#"every = "300ms", nth = 4"#, 1_200),
        (r#"every = "1s", leader = "elected", nth = 2, times = 5"#, 2_000),
    ] {
        let plan =
            with(&format!("when = {{ {states} }}\ndo = \"pause\"\ntarget = \"leader\"\nfor = \"50ms\""));
        let (code, results) =
            tool.run(&tool.plan(&plan), &["--set", "check.evidence.every_fault_had_effect=false"]);
        assert_eq!(code, 0, "{states}: {}", results[0]["reasons"]);
        let faults = results[0]["faults"].as_array().unwrap();
        let at: Vec<_> = faults.iter().filter(|fault| fault["event"] == "it").collect();
        assert_eq!(at.len(), 1, "{states}: fires once");
        let millis = at[0]["time_ns"].as_u64().unwrap() / 1_000_000 - 1_000;
        assert!(millis >= earliest, "{states}: fired at {millis} ms");
    }
}

/// A leader that is cut off and still believes that it leads is deposed when the others elect another: there is the
/// moment, before the new leader has sent anything.
#[test]
fn a_leader_is_deposed_where_it_led() {
    let tool = Tool::new();
    let cut = "[[event]]\nname = \"cut\"\nwhen = { at = \"2s\" }\ndo = \"partition\"\nsplit = { isolate = \"leader\" }\nfor = \"1s\"\n";
    let it = "when = { leader = \"deposed\", event = \"cut\" }\ndo = \"pause\"\ntarget = \"event.node\"\nfor = \"500ms\"\n";
    let said = tool.call(&["run", &tool.plan(&with(&format!("{it}{cut}")))]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let after =
        |words: &str| said.out.lines().find_map(|line| Some(line.split_once(words)?.1)).map(str::to_owned);
    let isolated = after("cut: cuts off ").expect("it is cut off");
    assert_eq!(after("it: pauses ").as_deref(), isolated.split(' ').next(), "{}", said.out);
    let place = |words: &str| said.out.lines().position(|line| line.contains(words)).expect("it happens");
    assert_eq!(place("it: pauses ") - place("cut: cuts off "), 2, "right after the election: {}", said.out);
}

/// A sync that has only begun leaves nothing that a power cut does not take; one that has ended leaves all.
#[test]
fn a_sync_is_met_before_it_makes_anything_durable_and_after() {
    let tool = Tool::new();
    for (word, lost) in [("before", true), ("after", false)] {
        let plan = with(&format!(
            "when = {{ at = \"2s\", fsync = \"{word}\", on = \"leader\", with = \"unsynced {}\" }}\ndo = \"crash\"\n\
             target = \"event.node\"\ndisk = {{ lose = \"unsynced\" }}\nrestart_after = \"100ms\"",
            if lost { ">= 1" } else { "== 0" }
        ));
        let (code, results) = tool.run(&tool.plan(&plan), &[]);
        assert_eq!(code, 0, "{word}: {}", results[0]["reasons"]);
        let faults = results[0]["faults"].as_array().unwrap();
        let power_lost =
            &faults.iter().find(|fault| fault["event"] == "it").unwrap()["evidence"]["power_lost"];
        assert_eq!(power_lost["bytes"].as_u64() > Some(0), lost, "{word}: {power_lost}");
    }
}

/// A vote that is granted and not yet durable is lost with the power: it is counted nowhere, and the server
/// does not know of it when it starts again.
#[test]
fn a_moment_comes_before_anything_has_left_the_server() {
    let tool = Tool::new();
    let plan = with(
        r#"when = { vote = "granted", at = "4s" }
do = "crash"
target = "event.node"
disk = { lose = "unsynced" }
restart_after = "100ms""#,
    );
    let said = tool.call(&["run", &tool.plan(&plan)]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let run = fs::read_dir(tool.path("raft-chaos-out/snapshots")).unwrap().next().unwrap().unwrap().path();
    let events = fs::read_to_string(run.join("events.jsonl")).unwrap();
    let events: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let fired = events.iter().position(|event| event["fault"] == "it").expect("it fired");
    let (before, after) = events.split_at(fired);
    let granted = |event: &&Value| event["event"] == "voted" && event["node"] != event["candidate"];
    let vote = before.iter().rev().find(granted).expect("a vote was granted");
    let counted = |event: &Value| {
        event["event"] == "vote-counted"
            && (&event["node"], &event["voter"], &event["term"])
                == (&vote["candidate"], &vote["node"], &vote["term"])
    };
    assert!(!after.iter().any(counted), "{vote} was counted");
    let started = |event: &&Value| event["node"] == vote["node"] && event["life"].is_u64();
    let again = after.iter().find(started).expect("it starts again");
    assert!(again["term"].as_u64() < vote["term"].as_u64(), "{again} after {vote}");
}

#[test]
fn a_snapshot_is_taken_when_the_plan_asks_for_one() {
    let tool = Tool::new();
    let plan = with("when = { at = \"2s\" }\ndo = \"snapshot\"\ntarget = \"all\"");
    let (code, results) = tool.run(&tool.plan(&plan), &["--set", "cluster.snapshot_every=0"]);
    assert_eq!(code, 0, "{}", results[0]["reasons"]);
    let faults = results[0]["faults"].as_array().unwrap();
    let done = faults.iter().find(|fault| fault["event"] == "it").unwrap();
    assert_eq!(done["evidence"]["snapshot_taken"], serde_json::json!([1, 2, 3]));
    assert_eq!(results[0]["snapshots_taken"], 3);
}
