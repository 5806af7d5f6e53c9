//! What is done to disks and clocks of nodes that are processes: their own stores and timers make it true, and say so.

use serde_json::Value;

use crate::tool::Tool;

const PLAN: &str = r#"
schema = 1
name = "machines-for-real"
run = { mode = "process", seeds = 1, warmup = "6s", duration = "12s", settle = "6s" }
workload.kind = "kv"
check = { liveness = { leader_within = "8s", commit_within = "10s" }, evidence = { ops_ok = ">= 100" } }
"#;

/// What came of a plan with these events, whose nodes wait for so long before they elect.
fn run(election_timeout: &str, events: &str) -> Value {
    let tool = Tool::new();
    let plan = format!("{PLAN}cluster.election_timeout = {election_timeout}\n{events}");
    let (code, mut results) = tool.run(&tool.plan(&plan), &[]);
    let result = results.remove(0);
    assert_eq!((code, &result["verdict"]), (0, &"pass".into()), "{result}");
    assert_eq!(result["checker"]["verdict"], "linearizable");
    result
}

fn evidence<'a>(result: &'a Value, place: usize, key: &str) -> &'a Value {
    &result["faults"][place]["evidence"][key]
}

/// A leader syncs late, a clock runs fast and is set back, and a node that was down finds its disk broken from its start on: it
/// ends over that, is down until all is healed, and nothing is wrong with it.
#[test]
fn disks_are_slow_or_broken_and_clocks_run_fast() {
    let events = r#"
[[event]]
name = "slow"
when.at = "200ms"
do = "disk"
target = "leader"
disk = { fsync = "slow:100ms" }
for = "3s"
[[event]]
name = "fast"
when.at = "500ms"
do = "clock"
target = 1
clock = { drift = "+20%", jump = "-800ms" }
for = "3s"
[[event]]
name = "kill"
when.at = "3500ms"
do = "crash"
target = 2
restart_after = "1s"
[[event]]
name = "broken"
when.at = "4s"
do = "disk"
target = 2
disk = { write = "enospc", calls = 1 }
"#;
    // Nobody else is elected where the machine stands still for a moment.
    let result = run(r#"["1s", "2s"]"#, events);
    let calls = evidence(&result, 0, "calls_touched");
    let syncs = calls["fsync"].as_u64().unwrap();
    // One after the other, each for at least as long as that.
    assert!((1..=40).contains(&syncs) && calls["write"] == 0 && calls["read"] == 0, "{calls}");
    let off = &evidence(&result, 1, "clocks_off")["1"];
    let [monotonic, wall] = ["monotonic_us", "wall_us"].map(|key| off[key].as_i64().unwrap());
    assert!(monotonic > 300_000 && (wall - (monotonic - 800_000)).abs() < 1_000, "{off}");
    let calls = evidence(&result, 3, "calls_touched");
    assert_eq!(*calls, serde_json::json!({ "fsync": 0, "read": 0, "write": 1 }));
    assert_eq!(result["restarts"], 2, "once after it was killed, and once when all was healed");
}

/// A leader whose disk gives no answer gives way.
#[test]
fn another_leads_while_a_leaders_disk_hangs() {
    let events = r#"
[[event]]
name = "hang"
when = { at = "500ms", leader = "elected" }
do = "disk"
target = "leader"
disk = { fsync = "hang" }
for = "9s"
"#;
    // It gives its disk 4 s.
    let result = run(r#"["500ms", "1s"]"#, events);
    assert_eq!(evidence(&result, 0, "calls_touched")["fsync"], 1, "{result}");
    assert!(result["elections"].as_u64() >= Some(1) && result["restarts"] == 0, "{result}");
}
