//! Every kind of workload, under faults: what clients ask is done, judged, and judged well.

use crate::tool::Tool;

/// A leader is killed and another one is cut off, while clients are in the middle of it.
const UNDER_FAULTS: &str = r#"
schema = 1
name = "kinds"
[run]
warmup = "1s"
duration = "5s"
settle = "3s"
[sim]
recheck = 1
[cluster]
storage = "memory"
snapshot_every = 100
[workload]
rate = 200
op_timeout = "500ms"
keys = { live = 4, ops_per_key = 100 }
[[event]]
when = { at = "1s" }
do = "crash"
target = "leader"
disk = { lose = "unsynced" }
restart_after = "500ms"
[[event]]
when = { at = "3s" }
do = "partition"
split = { isolate = "leader" }
for = "1s"
[check.liveness]
commit_within = "2s"
"#;

/// Each row: a kind, and all of its operations.
#[test]
fn every_kind_of_workload_runs_and_is_judged() {
    let tool = Tool::new();
    let plan = tool.plan(UNDER_FAULTS);
    for (kind, operations) in [
        ("register", &["read", "write", "cas"][..]),
        ("kv", &["read", "write", "cas", "delete", "append"]),
        ("list-append", &["read", "append"]),
        ("set", &["read", "add"]),
        ("counter", &["read", "add"]),
        ("bank", &["read", "transfer"]),
        ("queue", &["enqueue", "dequeue"]),
    ] {
        for retries in ["none", "session"] {
            let set = [format!("workload.kind={kind}"), format!("workload.retries={retries}")];
            let (code, results) = tool.run(&plan, &["--set", &set[0], "--set", &set[1], "--seeds", "0..2"]);
            for result in &results {
                assert_eq!(code, 0, "{kind} {retries}: {}", result["reasons"]);
                assert_eq!(result["checker"]["verdict"], "linearizable", "{kind} {retries}");
                let by_f = result["ops"]["by_f"].as_object().unwrap();
                assert_eq!(by_f.len(), operations.len(), "{kind} {retries}: {by_f:?}");
                for operation in operations {
                    assert!(by_f[*operation]["ok"].as_u64() > Some(50), "{kind} {retries}: {by_f:?}");
                }
            }
            assert_eq!(results.len(), 2);
        }
    }
}
