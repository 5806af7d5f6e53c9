//! Bugs that are planted are found, and a panic is not swallowed.

use crate::tool::{Tool, shipped};

const CRASHES: &str = r#"
schema = 1
name = "crashes"
[run]
seeds = "0..20"
warmup = "2s"
duration = "20s"
settle = "7s"
[cluster]
voters = 5
storage = "memory"
[workload]
rate = 200
[[event]]
name = "cut-off"
when = { every = "1s" }
do = "partition"
split = { isolate = "minority" }
for = "950ms"
"#;

#[test]
fn a_vote_without_the_log_check_breaks_safety_and_is_named() {
    let tool = Tool::new();
    let (code, results) = tool.run(&tool.plan(CRASHES), &["--plant", "vote-without-log-check"]);
    assert_eq!(code, 1);
    let result = results.iter().find(|result| result["verdict"] == "safety").unwrap();
    let reason = result["reasons"][0].as_str().unwrap();
    assert!(reason.contains("leader-completeness broken on n"), "seed {}: {reason}", result["seed"]);
    // What is found is found again, and the same run without the bug is sound.
    let seed = result["seed"].to_string();
    let (code, again) =
        tool.run(&tool.plan(CRASHES), &["--plant", "vote-without-log-check", "--seed", &seed]);
    assert_eq!((code, &again[0]["event_hash"]), (1, &result["event_hash"]));
    assert_eq!(tool.run(&tool.plan(CRASHES), &["--seed", &seed]).0, 0);
}

#[test]
fn a_panic_in_a_task_of_a_node_ends_with_6() {
    let tool = Tool::new();
    let said = tool.call(&["run", &shipped("quickstart.toml"), "--plant", "panic"]);
    assert_eq!(said.code, 6, "{}{}", said.out, said.err);
    assert!(said.out.contains("NODE CRASHED") && said.out.contains("the planted panic"), "{}", said.out);
}
