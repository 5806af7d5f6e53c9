//! `raft-chaos plan`: lint, explain, new, schema.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::simulated::shipped;
use crate::tool::Tool;

const WRONG: &str = "schema = 1\nname = \"p\"\nrun.duraton = \"1s\"\n[[event]]\ndo = \"crash\"\n";

/// Each row: plans, and the exit code.
#[test]
fn lint_tells_all_mistakes_at_once_and_runs_nothing() {
    let tool = Tool::new();
    let wrong = tool.plan(WRONG);
    let (good, lost) = (shipped("quickstart.toml"), "nowhere.toml");
    let unheard = ["--set", "run.mode=\"process\"", "--set", "process.node=[\"raft-chaos\"]"];
    let lint = |arguments: &[&str]| tool.call(&[&["plan", "lint"], arguments].concat());
    let said = lint(&[&good]);
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    assert!(said.out.ends_with("quickstart.toml: quickstart can be run\n"), "{}", said.out);
    let said = lint(&[&wrong, &good, lost]);
    assert_eq!(said.code, 64);
    for told in [
        "plan.toml:3:5: run.duraton: unknown key; did you mean \"duration\"?",
        "plan.toml:4:1: event.event-1.target: missing; write target = ...",
        "nowhere.toml:1:1: the plan cannot be read",
    ] {
        assert!(said.err.contains(told), "{told:?} is not in\n{}", said.err);
    }
    assert!(said.out.contains("quickstart can be run"), "{}", said.out);
    assert_eq!(lint(&[&[good.as_str()][..], &unheard].concat()).code, 69);
    let both = lint(&[&[good.as_str(), &wrong][..], &unheard].concat());
    assert_eq!(both.code, 64, "wrong comes before what cannot be done");
    assert_eq!(lint(&[]).code, 64);
    assert!(!tool.path("raft-chaos-out").exists(), "nothing was run");

    let said = lint(&[&wrong, "--format", "json"]);
    let told: Value = serde_json::from_str(&said.out).unwrap();
    let place = |mistake: &Value| (mistake["line"].as_u64(), mistake["column"].as_u64());
    let mistakes = told["mistakes"].as_array().unwrap();
    assert_eq!((said.code, &told["exit_code"], mistakes.len()), (64, &64.into(), 2));
    assert_eq!((place(&mistakes[0]), &mistakes[0]["key"]), ((Some(3), Some(5)), &"run.duraton".into()));
}

/// Each row: how servers are started, what they are upgraded to, and the command that is not there, by its key.
#[test]
fn commands_of_a_plan_are_looked_for_before_it_is_run() {
    let tool = Tool::new();
    for (node, upgrade, missing) in [
        ("true", "true", None),
        ("no-such-node", "true", Some("process.node: no-such-node: there is no such command")),
        ("true", "./nowhere/node", Some("event.newer.node: ./nowhere/node: there is no such command")),
    ] {
        let plan = tool.plan(&format!(
            r#"
schema = 1
name = "started"
run.mode = "process"
process.node = ["{node}", "{{id}}", "{{events}}"]
[[event]]
name = "newer"
do = "upgrade"
target = 1
node = ["{upgrade}", "{{id}}", "{{events}}"]
"#
        ));
        let said = tool.call(&["plan", "lint", &plan]);
        assert_eq!(said.code, if missing.is_some() { 69 } else { 0 }, "{}{}", said.out, said.err);
        let Some(missing) = missing else { continue };
        assert!(said.err.contains(&format!("plan.toml: {missing}")), "{}", said.err);
        let told: Value =
            serde_json::from_str(&tool.call(&["plan", "lint", &plan, "--format", "json"]).out).unwrap();
        assert_eq!(told["mistakes"][0]["not_built"], true, "{told}");
        let said = tool.call(&["run", &plan]);
        assert_eq!(said.code, 69, "{}{}", said.out, said.err);
        assert!(said.err.contains(missing), "{}", said.err);
        assert!(!tool.path("raft-chaos-out").exists(), "nothing was run");
    }
}

/// A chain of events of which each is told with the time that is known of it, and no other.
#[test]
fn explain_tells_what_is_known_before_a_run() {
    let tool = Tool::new();
    let plan = tool.plan(
        r#"
schema = 1
name = "told"
[run]
seeds = 7
duration = "10s"
[[event]]
name = "first"
when = { at = "1s" }
do = "crash"
target = 1
restart_after = ["1s", "2s"]
[[event]]
name = "second"
when = { event = "first", after = "2s" }
do = "partition"
split = { isolate = "leader" }
heal = false
[[event]]
name = "third"
when = { event = "second", after = "1s" }
do = "heal"
[[event]]
name = "often"
when = { at = "2s", every = "3s", times = 2 }
do = "snapshot"
target = "all"
[[event]]
name = "deposed"
when = { leader = "deposed", at = "4s", with = "uncommitted >= 3" }
do = "pause"
target = "event.node"
for = "1s"
"#,
    );
    let said = tool.call(&["plan", "explain", &plan, "--format", "json"]);
    assert_eq!(said.code, 0, "{}", said.err);
    let told: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(told["seed"], 7);
    let brief = |entry: &Value| {
        let waits: Vec<_> =
            entry["waits"].as_array().unwrap().iter().map(|wait| wait.as_str().unwrap()).collect();
        let millis = entry["time_ns"].as_u64().unwrap() / 1_000_000;
        format!("{millis} {} {} [{}]", entry["event"].as_str().unwrap(), entry["nth"], waits.join(", "))
    };
    let brief: Vec<_> = told["entries"].as_array().unwrap().iter().map(brief).collect();
    assert_eq!(
        brief,
        [
            "1000 first 1 []",
            "3000 second 1 []",
            "4000 third 1 [after = \"1s\", event = \"second\"]",
            "4000 deposed 1 [with = \"uncommitted >= 3\", leader = \"deposed\"]",
            "5000 often 1 []",
            "8000 often 2 []",
        ]
    );
    let first = &told["entries"][0];
    let length = first["for_ns"].as_u64().unwrap();
    assert!((1_000_000_000..=2_000_000_000).contains(&length), "{first}");
    assert_eq!((&told["entries"][1]["heals"], &told["entries"][1]["for_ns"]), (&false.into(), &Value::Null));

    let said = tool.call(&["plan", "explain", &plan, "--seed", "8"]);
    for told in [
        "told   3 voters, 0 learners, 0 spares; seed 8",
        "      3.000 s second: do = \"partition\", split = { isolate = \"leader\" }, heal = false",
        ">=    4.000 s third: do = \"heal\"   [after = \"1s\", event = \"second\"]",
    ] {
        assert!(said.out.contains(told), "{told:?} is not in\n{}", said.out);
    }
    assert_eq!(tool.call(&["plan", "explain", &tool.plan(WRONG)]).code, 64);
}

/// What is foretold of a firing that is sure is what happens, to the nanosecond of its length.
#[test]
fn what_is_told_is_what_happens() {
    let tool = Tool::new();
    let plan = tool.plan(
        r#"
schema = 1
name = "told"
run = { seeds = 3, warmup = "1s", duration = "4s", settle = "4s" }
cluster.storage = "memory"
[[event]]
name = "down"
when = { at = "500ms" }
do = "crash"
target = 2
restart_after = ["100ms", "3s"]
"#,
    );
    let said = tool.call(&["plan", "explain", &plan, "--format", "json"]);
    let told: Value = serde_json::from_str(&said.out).unwrap();
    let length = told["entries"][0]["for_ns"].as_u64().unwrap();
    let said = tool.call(&["run", &plan]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let again = said.out.lines().find(|line| line.contains("n2 starts again")).expect("it starts again");
    let seconds: f64 = again.trim_start().split(' ').next().unwrap().parse().unwrap();
    let expected = 0.5 + length as f64 / 1e9;
    assert!((expected..expected + 0.002).contains(&seconds), "{again}, and {expected} s was told");
}

/// What `plan explain` says of a seed is what the run does: the same chaos at the same times, and nothing of what is off.
#[test]
fn a_seed_decides_which_chaos_is_on_and_when_it_is_due() {
    let tool = Tool::new();
    let storm = shipped("storm.toml");
    let mut all_off = BTreeSet::new();
    for seed in ["0", "1", "2", "3"] {
        let said = tool.call(&["plan", "explain", &storm, "--seed", seed, "--format", "json"]);
        assert_eq!(said.code, 0, "{}", said.err);
        let told: Value = serde_json::from_str(&said.out).unwrap();
        let entries = told["entries"].as_array().unwrap();
        let off = told["off"].as_array().unwrap();
        assert!(off.len() < 9, "at least one is kept");
        all_off.insert(off.iter().map(Value::to_string).collect::<Vec<_>>());
        let (code, results) = tool.run(&storm, &["--seed", seed, "--set", "cluster.storage=memory"]);
        assert_eq!(code, 0, "seed {seed}: {}", results[0]["reasons"]);
        let mut fired = 0;
        for fault in results[0]["faults"].as_array().unwrap() {
            let chaos = fault["event"].as_str().unwrap();
            if !chaos.starts_with("chaos.") {
                continue;
            }
            fired += 1;
            // It is done in the tick in which it is due.
            let since = fault["time_ns"].as_u64().unwrap() - 2_000_000_000;
            let due = |entry: &&Value| {
                let at = entry["time_ns"].as_u64().unwrap();
                entry["event"] == chaos && at <= since && since < at + 1_000_000
            };
            assert!(entries.iter().any(|entry| due(&entry)), "seed {seed}: {fault} was not foretold");
        }
        let due = entries.iter().filter(|entry| entry["event"].as_str().unwrap().starts_with("chaos."));
        let skipped = results[0]["skipped"].as_array().unwrap().iter();
        let skipped: u64 = skipped.map(|skipped| skipped["count"].as_u64().unwrap()).sum();
        assert_eq!(due.count() as u64, fired + skipped, "what is due is done, or held back and counted");
    }
    assert!(all_off.len() >= 3, "seeds switch other tables off: {all_off:?}");
}

#[test]
fn a_new_plan_can_be_run_and_passes() {
    let tool = Tool::new();
    let said = tool.call(&["plan", "new", "my-plan"]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.contains("raft-chaos run my-plan.toml"), "{}", said.out);
    assert_eq!(tool.call(&["plan", "lint", "my-plan.toml"]).code, 0);
    let said = tool.call(&["run", "my-plan.toml"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.out.contains("seeds     5: 5 pass"), "{}", said.out);
    let said = tool.call(&["plan", "new", "my-plan.toml"]);
    assert_eq!(said.code, 64);
    assert!(said.err.contains("my-plan.toml exists already"), "{}", said.err);
    let said = tool.call(&["plan", "new", "My Plan"]);
    assert_eq!(said.code, 64);
    assert!(said.err.contains("\"My Plan\" names no plan"), "{}", said.err);
    let said = tool.call(&["plan", "new"]);
    assert_eq!(said.code, 0);
    assert_eq!(tool.call(&["plan", "lint", &tool.plan(&said.out)]).code, 0);
}

#[test]
fn the_schema_is_printed() {
    let said = Tool::new().call(&["plan", "schema"]);
    let schema: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((said.code, &schema["$schema"]), (0, &"https://json-schema.org/draft/2020-12/schema".into()));
    assert!(schema["properties"]["chaos"].is_object());
}
