//! `raft-chaos run`: what it prints, what it writes, how it ends.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::simulated::shipped;
use crate::tool::{SHORT, Tool, short};
use serde_json::Value;

/// The evidence of the only firing of each of these events.
fn evidence(result: &Value) -> Vec<(String, Value)> {
    let faults = result["faults"].as_array().unwrap();
    faults
        .iter()
        .map(|fault| (fault["event"].as_str().unwrap().to_owned(), fault["evidence"].clone()))
        .collect()
}

/// The folder of the only run of the plan of this name.
fn results(tool: &Tool, plan: &str) -> PathBuf {
    let runs = fs::read_dir(tool.path("raft-chaos-out").join(plan)).unwrap();
    let mut runs: Vec<_> = runs.map(|run| run.unwrap().path()).collect();
    assert_eq!(runs.len(), 1, "{runs:?}");
    runs.remove(0)
}

#[test]
fn a_run_tells_its_story_and_leaves_its_files() {
    let tool = Tool::new();
    let said = tool.call(&["run", &shipped("quickstart.toml")]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    for line in [
        "leads in t1",
        "depose: cuts off",
        "gives way",
        "verdict   PASS (seed 1)",
        "repeat    raft-chaos run",
    ] {
        assert!(said.out.contains(line), "{line:?} is not in\n{}", said.out);
    }
    let folder = results(&tool, "quickstart");
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let result: Value = serde_json::from_str(&read("result.json")).unwrap();
    assert_eq!((&result["verdict"], &result["exit_code"]), (&"pass".into(), &0.into()));
    assert_eq!(result["checker"]["verdict"], "linearizable");
    let ends = read("history.jsonl").lines().filter(|line| line.contains(r#""type":"ok""#)).count();
    assert_eq!(result["ops"]["ok"], ends);
    let last: Value = serde_json::from_str(read("events.jsonl").lines().last().unwrap()).unwrap();
    assert!(last["time_ns"].as_u64() <= Some(22_000_000_000) && last["hash"].is_string());
    let again = Command::new(folder.join("repro.sh")).output().unwrap();
    let again = String::from_utf8(again.stdout).unwrap();
    let hash = result["event_hash"].as_str().unwrap();
    assert!(again.contains("PASS (seed 1)") && again.contains(hash), "{hash} is not in\n{again}");
    assert!(read("plan.lock.toml").contains("\n[process]\nkeep_data_on_failure = true\n"));
}

#[test]
fn a_locked_plan_is_the_same_run_again() {
    let tool = Tool::new();
    let (_, first) = tool.run(&tool.plan(SHORT), &[]);
    let lock = results(&tool, "short").join("plan.lock.toml").display().to_string();
    let (code, again) = tool.run(&lock, &[]);
    assert_eq!((code, &again[0]["event_hash"]), (0, &first[0]["event_hash"]));
}

#[test]
fn another_seed_goes_another_way_and_the_store_makes_no_difference() {
    let tool = Tool::new();
    let hash = |more: &[&str]| tool.run(&tool.plan(SHORT), more).1[0]["event_hash"].clone();
    assert_ne!(hash(&["--seed", "1"]), hash(&["--seed", "2"]));
    assert_eq!(hash(&["--seed", "1"]), hash(&["--seed", "1", "--set", "cluster.storage=\"rocksdb\""]));
}

/// Each row: an event, and what it is known to have done.
#[test]
fn every_action_leaves_its_evidence() {
    let tool = Tool::new();
    for (event, key) in [
        (
            r#"do = "partition""#.to_owned() + "\nsplit = { isolate = \"leader\" }\nfor = \"1s\"",
            "messages_cut",
        ),
        (
            r#"do = "partition""#.to_owned() + "\nsplit = { groups = [[1], [2, 3]] }\nfor = \"1s\"",
            "messages_cut",
        ),
        (
            r#"do = "partition""#.to_owned()
                + "\nsplit = { any = [\"oneway:leader->follower\"] }\nfor = \"1s\"",
            "messages_cut",
        ),
        (r#"do = "crash""#.to_owned() + "\ntarget = \"leader\"\nrestart_after = \"500ms\"", "killed"),
        (r#"do = "crash""#.to_owned() + "\ntarget = \"all\"\nrestart_after = \"500ms\"", "killed"),
        (
            r#"do = "crash""#.to_owned()
                + "\ntarget = \"all\"\nrestart_after = \"500ms\"\ndisk = { lose = \"unsynced\", torn = 1.0 }",
            "power_lost",
        ),
        (r#"do = "stop""#.to_owned() + "\ntarget = \"follower\"\nrestart_after = \"500ms\"", "shut_down"),
        (r#"do = "pause""#.to_owned() + "\ntarget = \"leader\"\nfor = \"1s\"", "held_back"),
        (
            r#"do = "clock""#.to_owned()
                + "\ntarget = \"one\"\nclock = { drift = \"+2%\", jump = \"-800ms\" }\nfor = \"1s\"",
            "clocks_off",
        ),
        (r#"do = "isolate-client""#.to_owned() + "\ntarget = \"leader\"\nfor = \"1s\"", "requests_met"),
        (r#"do = "heal""#.to_owned(), "healed"),
    ] {
        for storage in ["memory", "rocksdb"] {
            let plan = short(&format!("[[event]]\nname = \"it\"\nwhen = {{ at = \"500ms\" }}\n{event}\n"));
            let more = ["--set", &format!("cluster.storage={storage}")];
            let (code, results) = tool.run(&tool.plan(&plan), &more);
            assert_eq!(code, 0, "{event} on {storage}: {}", results[0]["reasons"]);
            let [(name, done)] = &evidence(&results[0])[..] else { panic!("{event}: fired once") };
            assert_eq!(name, "it");
            assert!(done.get(key).is_some(), "{event}: {done}");
        }
    }
}

/// With writes under way, a power cut takes some of them, on either store; with all of the tail torn off at
/// a random place, not all of them. The run is sound all the same.
#[test]
fn a_power_cut_takes_what_was_not_synced() {
    let tool = Tool::new();
    let plan = short(
        r#"
[[event]]
name = "dark"
when = { every = "303ms" }
do = "crash"
target = "all"
restart_after = "5ms"
disk = { lose = "unsynced" }
"#,
    );
    for storage in ["memory", "rocksdb"] {
        let lost = |torn: &str| {
            let set = format!("cluster.storage={storage}");
            let torn = format!("event.dark.disk.torn={torn}");
            let (code, results) =
                tool.run(&tool.plan(&plan), &["--set", &set, "--set", &torn, "--set", "workload.rate=2000"]);
            assert_eq!(code, 0, "{storage}: {}", results[0]["reasons"]);
            let of = |(_, done): &(String, Value)| done["power_lost"]["bytes"].as_u64().unwrap();
            evidence(&results[0]).iter().map(of).sum::<u64>()
        };
        let (all, torn) = (lost("0"), lost("1.0"));
        assert!(all > torn && torn > 0, "{storage}: {all}, torn {torn}");
    }
}

#[test]
fn events_repeat_follow_each_other_and_wait_for_a_leader() {
    let tool = Tool::new();
    let plan = short(
        r#"
[[event]]
name = "again"
when = { every = "400ms", times = 3 }
do = "pause"
target = 1
for = "200ms"
[[event]]
name = "first"
when = { at = "300ms", leader = "elected" }
do = "crash"
target = "leader"
restart_after = "600ms"
[[event]]
name = "then"
when = { event = "first", after = "100ms", leader = "elected" }
do = "pause"
target = "event:first.target"
for = "100ms"
[check.evidence]
every_fault_had_effect = false
"#,
    );
    let (code, results) = tool.run(&tool.plan(&plan), &[]);
    assert_eq!(code, 0, "{}", results[0]["reasons"]);
    let faults = results[0]["faults"].as_array().unwrap();
    let times = |name: &str| -> Vec<u64> {
        let of = faults.iter().filter(|fault| fault["event"] == name);
        of.map(|fault| fault["time_ns"].as_u64().unwrap() / 1_000_000).collect()
    };
    assert_eq!(times("again"), [1_400, 1_800, 2_200]);
    assert_eq!(times("first"), [1_300]);
    // Whoever was killed at 1,300 is replaced only after an election timeout.
    let [then] = times("then")[..] else { panic!("fired once") };
    assert!((1_450..3_000).contains(&then), "{then}");
}

/// A shutdown that a pause holds up past its `restart_after`, asked for twice, and a kill of what is down.
#[test]
fn a_fault_meets_one_life_of_a_server_and_the_next_one_is_whole() {
    let tool = Tool::new();
    let plan = short(
        r#"
[[event]]
name = "pause"
when = { at = "500ms" }
do = "pause"
target = 1
for = "1s"
[[event]]
name = "stop"
when = { at = "600ms" }
do = "stop"
target = 1
restart_after = "200ms"
[[event]]
name = "stop-again"
when = { at = "600ms" }
do = "stop"
target = 1
restart_after = "300ms"
[[event]]
name = "kill"
when = { at = "2s" }
do = "crash"
target = 2
restart_after = "200ms"
[[event]]
name = "kill-what-is-down"
when = { at = "2100ms" }
do = "crash"
target = 2
restart_after = "10s"
[check.evidence]
every_fault_had_effect = false
"#,
    );
    let (code, results) = tool.run(&tool.plan(&plan), &[]);
    assert_eq!(code, 0, "{}", results[0]["reasons"]);
    assert_eq!(results[0]["restarts"], 2);
    let evidence = evidence(&results[0]);
    let of = |event: &str| &evidence.iter().find(|(name, _)| name == event).unwrap().1;
    for stop in ["stop", "stop-again"] {
        assert_eq!(
            of(stop),
            &serde_json::json!({ "shut_down": [1] }),
            "late, once it was not paused any more"
        );
    }
    assert_eq!(of("kill"), &serde_json::json!({ "killed": [2] }));
    assert_eq!(of("kill-what-is-down"), &serde_json::json!({ "killed": [] }));
}

#[test]
fn a_fault_that_does_nothing_proves_nothing() {
    let tool = Tool::new();
    let plan = short(
        r#"
[[event]]
name = "first"
when = { at = "500ms" }
do = "crash"
target = 1
[[event]]
name = "second"
when = { at = "600ms" }
do = "pause"
target = 1
for = "100ms"
[[event]]
name = "never"
when = { at = "1s" }
do = "crash"
target = "candidate"
"#,
    );
    let (code, results) = tool.run(&tool.plan(&plan), &[]);
    assert_eq!((code, &results[0]["verdict"]), (2, &"inconclusive".into()));
    let reasons = results[0]["reasons"].to_string();
    assert!(
        reasons.contains("event second fired") && reasons.contains("event never never fired"),
        "{reasons}"
    );
}

#[test]
fn progress_is_owed_to_a_majority_and_to_nobody_else() {
    let tool = Tool::new();
    let cut = |split: &str| {
        short(&format!(
            "leader_within = \"1s\"\n[[event]]\nwhen = {{ at = \"100ms\" }}\ndo = \"partition\"\nsplit = {split}\n"
        ))
    };
    // Nobody sees anybody: nothing is owed, and nothing is missed.
    let (code, results) = tool.run(&tool.plan(&cut("{ groups = [[1], [2], [3]] }")), &[]);
    assert_eq!(code, 0, "{}", results[0]["reasons"]);
    // Elections take longer than the bound: it is missed, the first one already, before anything was cut.
    let slow = ["--set", "cluster.election_timeout=[\"1500ms\", \"1600ms\"]", "--set", "run.warmup=\"3s\""];
    let (code, results) = tool.run(&tool.plan(&cut("{ isolate = \"leader\" }")), &slow);
    assert_eq!((code, &results[0]["verdict"]), (3, &"liveness".into()));
    let reason = results[0]["reasons"][0].as_str().unwrap();
    assert!(reason.ends_with("were up and connected for 1s without a leader (at 1.001s)"), "{reason}");
}

#[test]
fn limits_and_a_warm_up_without_success_are_missed_thresholds() {
    let tool = Tool::new();
    let (code, results) = tool.run(&tool.plan(&short("[check.limits]\np99_us = \"<= 1\"\n")), &[]);
    assert_eq!(code, 3);
    assert!(results[0]["reasons"].to_string().contains("limits.p99_us"), "{}", results[0]["reasons"]);
    let (code, results) = tool.run(&tool.plan(SHORT), &["--set", "run.warmup=\"20ms\""]);
    assert_eq!(code, 3);
    assert!(
        results[0]["reasons"].to_string().contains("ended without a leader"),
        "{}",
        results[0]["reasons"]
    );
}

#[test]
fn many_seeds_leave_a_line_each() {
    let tool = Tool::new();
    let said = tool.call(&["run", &tool.plan(SHORT), "--seeds", "0..4", "--jobs", "2"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.out.contains("seeds     4: 4 pass"), "{}", said.out);
    assert!(said.err.contains("4 of 4 seeds, 0 failed"), "{}", said.err);
    let lines = fs::read_to_string(results(&tool, "short").join("results.jsonl")).unwrap();
    let mut seeds: Vec<_> =
        lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["seed"].as_u64()).collect();
    seeds.sort_unstable();
    assert_eq!(seeds, [Some(0), Some(1), Some(2), Some(3)]);
    for (file, text) in [("summary.md", "| short | memory | 4 | 4 |"), ("junit.xml", "4 of 4 seeds pass")] {
        let written = fs::read_to_string(results(&tool, "short").join(file)).unwrap();
        assert!(written.contains(text), "{file}: {written}");
    }
}

#[test]
fn nodes_of_a_run_that_fails_leave_their_directories_and_those_of_one_that_passes_do_not() {
    let tool = Tool::new();
    let plan = tool.plan(&short("[check.limits]\np99_us = \"<= 1\"\n"));
    let disk = ["--seed", "1", "--set", "cluster.storage=rocksdb"];
    assert_eq!(tool.run(&plan, &disk).0, 3);
    let directory = results(&tool, "short").join("nodes/1").display().to_string();
    let said = tool.call(&["inspect", &directory]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    fs::remove_dir_all(tool.path("raft-chaos-out")).unwrap();
    assert_eq!(tool.run(&tool.plan(SHORT), &disk).0, 0);
    assert!(!results(&tool, "short").join("nodes").exists());
}

#[test]
fn a_seed_that_takes_too_long_is_stopped() {
    let tool = Tool::new();
    let (code, results) =
        tool.run(&tool.plan(SHORT), &["--set", "run.duration=\"24h\"", "--set", "run.max_wall=\"500ms\""]);
    assert_eq!((code, &results[0]["verdict"]), (2, &"inconclusive".into()));
    assert!(results[0]["reasons"].to_string().contains("max_wall"), "{}", results[0]["reasons"]);
}

/// Nobody, an administrator included, makes a folder in a file.
#[test]
fn a_folder_for_results_that_cannot_be_made_is_named() {
    let tool = Tool::new();
    let plan = tool.plan(SHORT);
    fs::write(tool.path("file"), "").unwrap();
    for command in ["run", "soak", "determinism"] {
        let said = tool.call(&[command, &plan, "--out", "file/out"]);
        assert_eq!(said.code, 69, "{command}: {}{}", said.out, said.err);
        let cure = "name a folder that can be written to with --out";
        assert!(said.err.contains("raft-chaos: file/out") && said.err.contains(cure), "{}", said.err);
    }
}

/// Each row: a command line, its exit code, and what it must say.
#[test]
fn what_cannot_be_run_is_refused_before_anything_starts() {
    let tool = Tool::new();
    let misspelt = tool.plan("schema = 1\nname = \"x\"\n[run]\nduratoin = \"5s\"\n");
    let good = shipped("quickstart.toml");
    for (arguments, code, text) in [
        (&["run", &misspelt][..], 64, ":4:1"),
        (&["run", &misspelt], 64, "duration"),
        (
            &["run", &good, "--set", "run.mode=\"process\"", "--set", "process.node=[\"raft-chaos\"]"],
            69,
            "add {events} to process.node",
        ),
        (&["run", &good, "--seeds", "5..1"], 64, "seeds"),
        (&["run", &good, "--jobs", "0"], 64, "--jobs"),
        (&["run", &good, "--jobs", "0", "--set", "check.invariants=[\"acked-present\"]"], 64, "--jobs"),
        (&["run", "nowhere.toml"], 64, "nowhere.toml"),
        (&["run"], 64, "PLAN"),
        (&["walk"], 64, "walk"),
    ] {
        let said = tool.call(arguments);
        assert_eq!(said.code, code, "{arguments:?}: {}", said.err);
        assert!(said.err.contains(text), "{arguments:?}: {}", said.err);
        assert!(!tool.path("raft-chaos-out").exists(), "{arguments:?}");
    }
    assert_eq!(tool.call(&["--help"]).code, 0);
}
