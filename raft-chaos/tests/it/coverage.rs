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

/// Elections, a log that falls behind, and a leader that has nobody left.
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
    // A calm run has little but heartbeats, entries and one election; a cut brings a second term and a second log.
    assert!(reached(&all[0]) >= 12, "{}", reached(&all[0]));
    assert!(reached(&all[1]) >= 2 * reached(&all[0]), "{} {}", reached(&all[0]), reached(&all[1]));

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
    assert!(!empty.contains(&"follower append equal ahead stable".into()));

    let words = tool.call(&["coverage", &folder("many")]);
    assert_eq!(words.code, 0, "{}", words.err);
    let together = format!("cells     {} of 1050 in 2 runs", said_reached(&tool, &folder("many")));
    assert!(words.out.starts_with(&together), "{}", words.out);
    assert!(words.out.contains("\nappend-reply ") && words.out.contains("\nempty     "), "{}", words.out);
}

fn said_reached(tool: &Tool, folder: &str) -> u64 {
    covered(tool, &[folder])["coverage"]["reached"].as_u64().unwrap()
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
