//! How much of the protocol a run has reached: in its result, in a ledger, and as the command tells it.

use std::fs;

use serde_json::Value;

use crate::tool::{Tool, short};

/// What `coverage --format json` says of these.
fn covered(tool: &Tool, paths: &[&str]) -> Value {
    let said = tool.call(&[&["coverage", "--format", "json"], paths].concat());
    assert_eq!(said.code, 0, "{}", said.err);
    serde_json::from_str(&said.out).unwrap()
}

/// The cells as numbers, of which each bit is one.
fn cells(coverage: &Value) -> Vec<u64> {
    let text = coverage["cells"].as_str().unwrap();
    let word = |place| u64::from_str_radix(&text[place..place + 16], 16).unwrap();
    (0..text.len()).step_by(16).map(word).collect()
}

fn reached(cells: &[u64]) -> u64 {
    cells.iter().map(|word| u64::from(word.count_ones())).sum()
}

/// A leader has nobody left, and a log that the others do not share.
const CUT: &str = r#"
[[event]]
when = { at = "200ms" }
do = "partition"
split = { isolate = "leader" }
for = "900ms"
"#;

#[test]
fn a_run_tells_what_it_reached_and_several_are_joined() {
    let tool = Tool::new();
    let (code, alone) = tool.run(&tool.plan(&short("")), &["--out", "alone"]);
    assert_eq!(code, 0);
    let (code, results) = tool.run(&tool.plan(&short(CUT)), &["--seeds", "0..2", "--out", "many"]);
    assert_eq!((code, results.len()), (0, 2));
    let all: Vec<_> = alone.iter().chain(&results).map(|result| cells(&result["coverage"])).collect();
    for (result, cells) in alone.iter().chain(&results).zip(&all) {
        let coverage = &result["coverage"];
        assert_eq!(coverage["reached"], reached(cells));
        assert_eq!((&coverage["version"], &coverage["of"]), (&1.into(), &1050.into()));
    }
    // A calm run has little but heartbeats, entries and one election.
    assert!(reached(&all[0]) >= 12, "{}", reached(&all[0]));

    let folder = |out: &str| {
        fs::read_dir(tool.path(out).join("short"))
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path()
            .display()
            .to_string()
    };
    let said = covered(&tool, &[&folder("alone"), &folder("many")]);
    let union: Vec<u64> =
        (0..all[0].len()).map(|place| all.iter().fold(0, |word, cells| word | cells[place])).collect();
    assert_eq!((said["runs"].as_u64(), cells(&said["coverage"])), (Some(3), union.clone()));
    let empty = said["empty"].as_array().unwrap();
    assert_eq!(empty.len() as u64 + reached(&union), 1050);
    assert!(empty.contains(&"follower append equal ahead joint".into()), "nobody changed who votes");
    // What the leader had that was cut off gave way to what the next one had.
    let gives_way = "follower append equal conflicting stable".into();
    let calm = covered(&tool, &[&folder("alone")]);
    assert!(calm["empty"].as_array().unwrap().contains(&gives_way) && !empty.contains(&gives_way));

    let words = tool.call(&["coverage", &folder("many")]);
    assert_eq!(words.code, 0, "{}", words.err);
    let together = format!("cells     {} of 1050 in 2 runs", said_reached(&tool, &folder("many")));
    assert!(words.out.starts_with(&together), "{}", words.out);
    assert!(words.out.contains("\nappend-reply ") && words.out.contains("\nempty     "), "{}", words.out);
}

fn said_reached(tool: &Tool, folder: &str) -> u64 {
    covered(tool, &[folder])["coverage"]["reached"].as_u64().unwrap()
}

/// What is done at random, of which each seed has a part.
const STORM: &str = r#"
[[chaos]]
every = "500ms"
do = "pause"
target = "leader"
for = "400ms"
[[chaos]]
every = "1s"
do = "crash"
target = "one"
restart_after = "100ms"
[[chaos]]
every = "1s"
do = "transfer"
to = "follower"
[check.evidence]
every_fault_had_effect = false
"#;

/// The ledger says what was leaned how, a person can repeat it, and what was reached is the sum of what its lines say.
#[test]
fn a_soak_leans_and_each_of_its_seeds_can_be_repeated() {
    let tool = Tool::new();
    let plan = tool.plan(&short(STORM).replace("[run]", "[run]\nswarm = true"));
    let soak = |out: &str, more: &[&str]| {
        let base = ["soak", &plan, "--seeds", "6", "--progress", "none", "--out", out];
        let said = tool.call(&[&base[..], more].concat());
        assert_eq!(said.code, 0, "{}{}", said.out, said.err);
        let text = fs::read_to_string(tool.path(out).join("ledger.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
    };
    let lines = soak("leaned", &["--jobs", "1"]);
    let leaned: Vec<_> = lines.iter().filter(|line| line.get("paces").is_some()).collect();
    assert!(leaned.len() >= 2, "{} of 6 seeds", leaned.len());
    for line in leaned {
        let arguments: Vec<_> = line["command"].as_str().unwrap().split(' ').skip(1).collect();
        assert_eq!(arguments[..2], ["run", &plan]);
        let said = tool.call(&[&arguments[..], &["--format", "json", "--out", "again"]].concat());
        let again: Value = serde_json::from_str(&said.out).unwrap();
        assert_eq!(again["event_hash"], line["event_hash"], "{arguments:?}");
        assert_eq!(again["coverage"], line["coverage"]);
    }
    let all: Vec<_> = lines.iter().map(|line| cells(&line["coverage"])).collect();
    let union: Vec<u64> =
        (0..all[0].len()).map(|place| all.iter().fold(0, |word, cells| word | cells[place])).collect();
    assert_eq!(cells(&covered(&tool, &["leaned"])["coverage"]), union);
    let summary = fs::read_to_string(tool.path("leaned").join("summary.md")).unwrap();
    assert!(summary.contains(&format!(" | {} of 1050 |", reached(&union))), "{summary}");

    // Without it, and with shards, each seed is as the plan has it.
    let (plain, shard) = (soak("plain", &["--lean", "no"]), soak("shard", &["--shard", "1/2"]));
    assert!(plain.iter().chain(&shard).all(|line| line.get("paces").is_none()));
}

#[test]
fn what_says_nothing_of_coverage_is_named() {
    let tool = Tool::new();
    fs::create_dir(tool.path("empty")).unwrap();
    fs::write(tool.path("old.json"), "{}").unwrap();
    let other = r#"{"coverage":{"version":2,"reached":0,"of":1,"cells":"00"}}"#;
    fs::write(tool.path("other.jsonl"), format!("{other}\n")).unwrap();
    let short = other.replace(":2,", ":1,");
    fs::write(tool.path("short.jsonl"), short).unwrap();
    for (path, what) in [
        ("nowhere", "nowhere: No such file"),
        ("empty", "empty: has no ledger.jsonl, results.jsonl or result.json"),
        ("old.json", "old.json: says nothing of coverage"),
        ("other.jsonl", "other.jsonl:1: its coverage is of version 2"),
        ("short.jsonl", "short.jsonl:1: its coverage has \"00\""),
    ] {
        let said = tool.call(&["coverage", path]);
        assert_eq!((said.code, said.out.as_str()), (64, ""), "{path}");
        assert!(said.err.contains(what), "{path}: {}", said.err);
    }
}
