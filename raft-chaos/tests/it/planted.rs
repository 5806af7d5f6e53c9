//! Bugs that are planted are found, and a panic is not swallowed.

use serde_json::Value;

use crate::tool::{Tool, shipped};

/// Each row: a bug, the plan that finds it, seeds of which one does, the verdict, and what is said.
const FOUND: [(&str, &str, &str, &str, &str); 10] = [
    ("fixed-timeout", "seven-minus-three", "1..2", "liveness", "without a leader"),
    ("timer-not-reset-by-snapshot", "lagging-follower", "0..1", "liveness", "limits.elections"),
    ("back-up-by-one", "old-leader-with-a-long-tail", "1..2", "liveness", "limits.append_rejections"),
    ("prev-below-snapshot", "lagging-follower", "1..2", "liveness", "committed nothing"),
    ("heartbeats-without-entries", "flicker", "1..2", "liveness", "limits.ok_gap_ms"),
    ("ack-before-sync", "crash-loop", "0..1", "safety", "durable-before-ack broken"),
    ("last-included-term-forgotten", "empty-logs", "2..3", "liveness", "committed nothing"),
    ("stale-tail", "crash-loop", "8..9", "crash", "does not join on to a log"),
    ("vote-before-persisted", "amnesia", "5..6", "safety", "election-safety broken on n"),
    ("vote-without-log-check", "crash-loop", "0..12", "safety", "leader-completeness broken on n"),
];

/// What is found is found again, in a process of its own, and the same run without the bug is sound.
#[test]
fn planted_bugs_are_found_and_named() {
    for (bug, plan, seeds, verdict, what) in FOUND {
        let tool = Tool::new();
        let plan = shipped(&format!("{plan}.toml"));
        let set = ["--set", "cluster.storage=memory", "--set", "sim.recheck=0"];
        let run =
            |seeds: &str, more: &[&str]| tool.run(&plan, &[&["--seeds", seeds], &set[..], more].concat());
        let (_, results) = run(seeds, &["--plant", bug]);
        let found = results.iter().find(|result| result["verdict"] == verdict);
        let found = found.unwrap_or_else(|| panic!("{bug}: {results:?}"));
        let said = |result: &Value| result["reasons"].to_string().contains(what);
        assert!(said(found), "{bug}: {}", found["reasons"]);
        let seed = found["seed"].as_u64().unwrap();
        let seed = format!("{seed}..{}", seed + 1);
        let (code, again) = run(&seed, &["--plant", bug]);
        assert_eq!((code, &again[0]["event_hash"]), (exit_code(found), &found["event_hash"]), "{bug}");
        assert_eq!(run(&seed, &[]).0, 0, "{bug}: without it all is well");
    }
}

fn exit_code(result: &Value) -> i32 {
    i32::try_from(result["exit_code"].as_i64().unwrap()).unwrap()
}

#[test]
fn a_panic_in_a_task_of_a_node_ends_with_6() {
    let tool = Tool::new();
    let said = tool.call(&["run", &shipped("quickstart.toml"), "--plant", "panic"]);
    assert_eq!(said.code, 6, "{}{}", said.out, said.err);
    assert!(said.out.contains("NODE CRASHED") && said.out.contains("the planted panic"), "{}", said.out);
}
