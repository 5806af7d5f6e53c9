//! The tester tests itself: bugs that are planted are found by plans that know nothing of them.

use serde_json::Value;

use crate::simulated::shipped;
use crate::tool::Tool;

/// A quick part of the table: bugs of votes, of disks, of reads and of sessions, each found by one of the plans of nights within a few
/// seeds, and none of those seeds fails without it.
#[test]
fn a_few_bugs_are_found_by_the_plans_of_nights() {
    let tool = Tool::new();
    let bugs = ["vote-without-log-check", "ack-before-sync", "read-not-confirmed", "sessions-filter-nothing"];
    let said = tool.call(&["selftest", "--mutants", &bugs.join(","), "--seeds", "48", "--format", "json"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let table: Value = serde_json::from_str(&said.out).expect("one object");
    assert_eq!((&table["found"], &table["percent"]), (&4.into(), &100.into()), "{table}");
    let hunts = table["hunts"].as_array().expect("hunts");
    let hunted: Vec<_> = hunts.iter().map(|hunt| hunt["bug"].as_str().expect("a name")).collect();
    assert_eq!(hunted, bugs);
    for hunt in hunts {
        assert_eq!(hunt["false_alarms"], Value::Array(Vec::new()), "{hunt}");
        assert!(hunt["virtual_s"].as_f64() > Some(0.0) && hunt["found"]["reason"].is_string(), "{hunt}");
    }
    // Both broken testers give themselves away.
    let testers = table["broken_testers"].as_array().expect("testers");
    let found: Vec<_> = testers.iter().map(|tester| tester["found"].as_str().unwrap_or("not")).collect();
    assert!(found[0].contains("depose") && found[1].starts_with("a stale read is bad"), "{found:?}");
}

/// What is not found counts, and so does a plan without chaos not.
#[test]
fn a_score_that_is_too_low_ends_with_5() {
    let tool = Tool::new();
    let plan = shipped("quickstart.toml");
    let short =
        ["--set", "cluster.storage=memory", "--set", "run.duration=4s", "--set", "event.depose.when.at=1s"];
    let hunt = |more: &[&str]| tool.call(&[&["selftest", &plan, "--seeds", "1"], &short[..], more].concat());
    let said = hunt(&["--mutants", "fixed-timeout"]);
    assert_eq!(said.code, 5, "{}{}", said.out, said.err);
    assert!(said.out.contains("| fixed-timeout | **not found** |"), "{}", said.out);
    assert!(said.out.contains("0 of 0 bugs found (0 %)"), "{}", said.out);
    assert_eq!(hunt(&["--mutants", "fixed-timeout", "--min-score", "0%"]).code, 0);
    let said = hunt(&["--mutants", "ack-before-sink"]);
    assert_eq!(said.code, 64);
    assert!(said.err.contains("did you mean ack-before-sync?"), "{}", said.err);
    assert_eq!(hunt(&["--min-score", "most"]).code, 64);
}
