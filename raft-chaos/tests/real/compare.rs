//! `raft-chaos compare`: two runs side by side.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::tool::{Said, Tool, short};

/// Runs a plan, and gives the folder of its results.
fn ran(tool: &Tool, out: &str, more: &[&str]) -> String {
    let plan = tool.plan(&short(""));
    let said = tool.call(&[&["run", &plan, "--out", out, "--progress", "none"], more].concat());
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let results = said.out.lines().find_map(|line| line.strip_prefix("results   ")).unwrap();
    results.trim_end_matches("/results.jsonl").to_owned()
}

fn compared(tool: &Tool, one: &str, two: &str) -> (Said, Value) {
    let said = tool.call(&["compare", one, two]);
    assert_eq!((said.code, &*said.err), (0, ""), "{}", said.out);
    let is_path = |line: &str| line.starts_with("   ") && line.ends_with(".json") || line.ends_with(".jsonl");
    let long = said.out.lines().find(|line| line.chars().count() > 100 && !is_path(line));
    assert_eq!(long, None);
    let json = tool.call(&["compare", one, two, "--format", "json"]);
    assert_eq!(json.code, 0, "{}", json.err);
    let json: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((&json["schema"], &json["exit_code"]), (&json!(1), &json!(0)));
    (said, json)
}

fn measure<'a>(json: &'a Value, name: &str) -> &'a Value {
    let measures = json["measures"].as_array().unwrap();
    measures.iter().find(|measure| measure["name"] == name).unwrap_or_else(|| panic!("{name}: {json}"))
}

#[test]
fn two_simulated_runs_stand_side_by_side() {
    let tool = Tool::new();
    let one = ran(&tool, "a", &["--seed", "1"]);
    let two = ran(&tool, "b", &["--seed", "2"]);
    let again = ran(&tool, "c", &["--seed", "1"]);
    let result: Value =
        serde_json::from_slice(&fs::read(tool.path(&one).join("result.json")).unwrap()).unwrap();

    let (said, json) = compared(&tool, &one, &two);
    assert!(said.out.starts_with("A  1 run: short; sim; pass\n   "), "{}", said.out);
    assert!(!said.out.contains("lies") && json["same_events"].is_null(), "{}", said.out);
    assert_eq!(measure(&json, "ok")["a"]["median"], result["ops"]["ok"].as_f64().unwrap());
    let p50_ms = result["latency_us"]["p50"].as_f64().unwrap() / 1e3;
    assert_eq!(measure(&json, "p50 ms")["a"]["median"], p50_ms);
    let cells = &json["cells"];
    let in_both = cells["both"].as_u64().unwrap();
    let of = |side: &str| json[side]["coverage"]["reached"].as_u64().unwrap();
    assert_eq!(of("a"), in_both + cells["only_a"].as_array().unwrap().len() as u64);
    assert_eq!(of("b"), in_both + cells["only_b"].as_array().unwrap().len() as u64);

    let (said, json) = compared(&tool, &one, &again);
    assert!(said.out.contains("the same seed, simulated twice, went the same way"), "{}", said.out);
    assert_eq!((&json["same_events"], &json["cells"]["only_a"]), (&json!(true), &json!([])));

    // Of many seeds each number is that of the middle, with its ends.
    let many = ran(&tool, "d", &["--seeds", "1..4"]);
    let (said, json) = compared(&tool, &one, &many);
    assert!(said.out.contains("\nB  3 runs: short; sim; pass\n"), "{}", said.out);
    let ok = &measure(&json, "ok")["b"];
    assert_eq!(ok["count"], 3);
    assert!(ok["min"].as_f64() <= ok["median"].as_f64() && ok["median"].as_f64() <= ok["max"].as_f64());
}

#[test]
fn where_the_simulation_lies_is_said() {
    let tool = Tool::new();
    let one = ran(&tool, "a", &["--seed", "1"]);
    let real =
        ran(&tool, "b", &["--seed", "1", "--mode", "process", "--set", "check.liveness.commit_within=20s"]);
    for (one, two) in [(&one, &real), (&real, &one)] {
        let (said, json) = compared(&tool, one, two);
        let (_, lies) = said.out.split_once("\nwhere the simulation lies\n").unwrap();
        for words in [
            "- Latency (p50 ms: ",
            "- A sync takes a time that is drawn",
            "- Throughput (ok a second: ",
            "- Elections (",
        ] {
            assert!(lies.contains(words), "{words}: {lies}");
        }
        assert_eq!(json["where_the_simulation_lies"].as_array().unwrap().len(), lies.matches("- ").count());
        let simulated = if json["a"]["modes"] == json!({ "sim": 1 }) { "a" } else { "b" };
        let p50 = format!("{:.1}", measure(&json, "p50 ms")[simulated]["median"].as_f64().unwrap());
        let p50 = p50.strip_suffix(".0").unwrap_or(&p50);
        assert!(lies.contains(&format!("p50 ms: {p50} simulated, ")), "{p50}: {lies}");
        // Nobody looks into real nodes.
        assert!(json["cells"].is_null(), "{json}");
    }
}

/// Each row: what is compared with a run, and what is said of it.
#[test]
fn what_is_no_run_is_named() {
    let tool = Tool::new();
    fs::create_dir(tool.path("empty")).unwrap();
    for (file, text) in [
        ("text.json", "no"),
        ("other.json", "{\"schema\":1}"),
        ("later.json", "{\"schema\":2,\"ops\":{}}"),
        ("none.jsonl", ""),
        ("some.jsonl", "{\"schema\":1,\"ops\":{}}\n{"),
    ] {
        fs::write(tool.path(file), text).unwrap();
    }
    let run = ran(&tool, "a", &["--seed", "1"]);
    assert!(Path::new(&tool.path(&run)).exists());
    for (other, why) in [
        ("nowhere", "nowhere: No such file or directory"),
        ("empty", "empty: has no results.jsonl or result.json; name the folder of a run"),
        ("text.json", "text.json: no result of a run: "),
        ("other.json", "other.json: no result of a run, or not of schema 1"),
        ("later.json", "later.json: no result of a run, or not of schema 1"),
        ("none.jsonl", "none.jsonl: has no results"),
        ("some.jsonl", "some.jsonl:2: no result of a run: "),
    ] {
        for pair in [[&*run, other], [other, &*run]] {
            let said = tool.call(&[&["compare"], &pair[..]].concat());
            assert_eq!((said.code, &*said.out), (64, ""), "{other}");
            assert!(said.err.contains(why), "{other}: {}", said.err);
        }
    }
}
