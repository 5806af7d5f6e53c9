//! What a plan does to messages: what a run says of each kind, on both stores.

use serde_json::Value;

use crate::tool::Tool;

const SHORT: &str = r#"
schema = 1
name = "links"
[run]
seeds = 3
warmup = "1s"
duration = "4s"
settle = "4s"
[cluster]
snapshot_every = 60
[workload]
kind = "kv"
rate = 200
op_timeout = "300ms"
[check.liveness]
commit_within = "2s"
[[event]]
name = "it"
when = { at = "500ms" }
do = "link"
for = "2s"
"#;

fn run(event: &str, storage: &str) -> (i32, Value) {
    Tool::new().run_on(storage, &format!("{SHORT}{event}"))
}

/// Each row: on which links, what is done there, and what is known to have touched messages.
#[test]
fn every_fault_of_links_leaves_its_evidence() {
    for (target, link, kinds) in [
        ("\"all\"", r#"{ loss = "10%" }"#, &["loss"][..]),
        ("[1, 2]", r#"{ delay = ["10ms", "20ms"], jitter = "30ms" }"#, &["delay", "jitter"]),
        ("\"leader\"", r#"{ duplicate = "50%", reorder = "20%" }"#, &["duplicate", "reorder"]),
        ("\"oneway:leader->all\"", r#"{ corrupt = "2%" }"#, &["corrupt"]),
        ("\"follower\"", r#"{ rate = "200kbit" }"#, &["rate"]),
        ("\"random-pair\"", r#"{ stall = true }"#, &["stall"]),
        ("\"all\"", r#"{ reset = "2%" }"#, &["reset"]),
        ("\"all\"", r#"{ delay = "0ms", jitter = "27ms", loss = "10%" }"#, &["jitter", "loss"]),
    ] {
        for storage in ["memory", "rocksdb"] {
            let (code, result) = run(&format!("target = {target}\nlink = {link}\n"), storage);
            assert_eq!(code, 0, "{link} on {storage}: {}", result["reasons"]);
            let touched = result["faults"][0]["evidence"]["messages_touched"].as_object().unwrap();
            let touched: Vec<_> =
                touched.iter().map(|(kind, count)| (kind.as_str(), count.as_u64())).collect();
            assert!(touched.iter().all(|(_, count)| *count > Some(0)), "{link} on {storage}: {touched:?}");
            let found: Vec<_> = touched.iter().map(|(kind, _)| *kind).collect();
            assert_eq!(found, kinds, "{link} on {storage}");
        }
    }
}

/// Each row: which messages of the leader are lost, whether there is another leader then, and whether anything was.
#[test]
fn only_the_messages_that_are_named_are_touched() {
    for (only, deposed, touched) in [
        (r#"["append"]"#, true, true),
        (r#"["requests"]"#, true, true),
        (r#"["vote", "timeout-now"]"#, false, false),
        // A leader that clients ask has nobody to answer.
        (r#"["replies"]"#, false, false),
    ] {
        let event = format!("target = \"oneway:leader->all\"\nlink = {{ loss = \"100%\" }}\nonly = {only}\n");
        let (code, result) = run(&event, "memory");
        assert_eq!(code, if touched { 0 } else { 2 }, "{only}: {}", result["reasons"]);
        assert_eq!(result["elections"].as_u64() > Some(0), deposed, "{only}");
    }
}

/// Corrupt frames cost connections, and nothing that is in them is believed: nobody hears the leader, and the servers
/// go on without it.
#[test]
fn what_is_corrupt_is_never_believed() {
    let event = "target = \"oneway:leader->all\"\nlink = { corrupt = \"100%\" }\n";
    for storage in ["memory", "rocksdb"] {
        let (code, result) = run(event, storage);
        assert_eq!(code, 0, "{storage}: {}", result["reasons"]);
        assert!(result["elections"].as_u64() > Some(0), "{storage}: {result}");
    }
}

/// A link is whole when no fault is left on it, whichever ended first, and `heal` ends them all.
#[test]
fn faults_of_links_add_up_and_heal_ends_them() {
    let event = r#"
target = "all"
link = { loss = "100%" }
[[event]]
name = "longer"
when = { at = "1s" }
do = "link"
link = { stall = true }
heal = false
[[event]]
name = "heal"
when = { at = "3s" }
do = "heal"
"#;
    let (code, result) = run(event, "memory");
    assert_eq!(code, 0, "{}", result["reasons"]);
    let faults = result["faults"].as_array().unwrap();
    let done = |event: &str| {
        let fault = faults.iter().find(|fault| fault["event"] == event);
        fault.map(|fault| fault["evidence"].clone()).unwrap()
    };
    assert_eq!(
        done("heal")["healed"],
        serde_json::json!({ "ended": 1, "left": 0 }),
        "the first one was over"
    );
    assert!(done("longer")["messages_touched"]["stall"].as_u64() > Some(0));
    let gap = result["ok_gap_ms"].as_u64().unwrap();
    assert!((2_300..4_000).contains(&gap), "nothing passes from 500 ms on for 2.5 s: {gap}");
    let commit = result["recovery_ms"].as_array().unwrap().last().unwrap()["commit"].as_u64();
    assert!(commit < Some(1_000), "{commit:?}");
}
