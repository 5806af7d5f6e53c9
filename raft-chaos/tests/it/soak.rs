//! Soaks: a ledger that outlasts interruptions, shards that add up, failures that are told apart.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

#[cfg(feature = "planted-bugs")]
use crate::simulated::shipped;
use crate::tool::{Said, Tool};

/// A plan that takes a moment.
fn short(name: &str) -> String {
    format!(
        r#"
schema = 1
name = "{name}"
[run]
warmup = "1s"
duration = "1s"
settle = "1s"
[cluster]
storage = "memory"
[workload]
clients = 2
[[event]]
when = {{ at = "100ms" }}
do = "pause"
target = "one"
for = "100ms"
"#
    )
}

/// A folder with two short plans.
fn two_plans(tool: &Tool) -> String {
    let folder = tool.path("plans");
    fs::create_dir_all(&folder).unwrap();
    for name in ["one", "two"] {
        fs::write(folder.join(format!("{name}.toml")), short(name)).unwrap();
    }
    folder.display().to_string()
}

fn ledger(folder: &Path) -> Vec<Value> {
    let text = fs::read_to_string(folder.join("ledger.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What became of each seed, but for what depends on the machine.
fn outcomes(lines: &[Value]) -> BTreeMap<String, Value> {
    let outcome = |line: &Value| {
        let mut line = line.clone();
        let fields = line.as_object_mut().unwrap();
        fields.retain(|key, _| !matches!(key.as_str(), "wall_s" | "rss_mb"));
        (format!("{} {} {}", line["plan"], line["store"], line["seed"]), line)
    };
    let outcomes: BTreeMap<_, _> = lines.iter().map(outcome).collect();
    assert_eq!(outcomes.len(), lines.len(), "no seed is there twice");
    outcomes
}

fn soak(tool: &Tool, plans: &str, out: &str, more: &[&str]) -> Said {
    let out = tool.path(out).display().to_string();
    tool.call(&[&["soak", plans, "--out", &out, "--progress", "none"], more].concat())
}

#[test]
fn shards_joined_are_one_soak_and_a_soak_goes_on_from_its_ledger() {
    let tool = Tool::new();
    let plans = two_plans(&tool);
    let weighted = ["--seeds", "7", "--weight", "two=2", "--first-seed", "3"];
    let said = soak(&tool, &plans, "whole", &weighted);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.out.contains("soaked    7 seeds, 0 failed"), "{}", said.out);
    let whole = outcomes(&ledger(&tool.path("whole")));
    assert_eq!(whole.len(), 7);
    assert_eq!(whole.keys().filter(|key| key.starts_with("\"two\"")).count(), 5, "{:?}", whole.keys());

    let folders = ["1/2", "2/2"].map(|shard| {
        let name = format!("shard-{}", &shard[..1]);
        assert_eq!(soak(&tool, &plans, &name, &[&weighted[..], &["--shard", shard]].concat()).code, 0);
        tool.path(&name).display().to_string()
    });
    let joined = tool.path("joined").display().to_string();
    let said = tool.call(&["merge", &folders[0], &folders[1], "--out", &joined]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert_eq!(outcomes(&ledger(&tool.path("joined"))), whole);
    let again = tool.call(&["merge", &folders[0], "--out", &joined]);
    assert_eq!(again.code, 64, "a ledger is not written over");
    assert!(again.err.contains("joined/ledger.jsonl"), "{}", again.err);

    // A ledger that lost its last lines is made whole again, and nothing in it runs twice.
    let path = tool.path("whole").join("ledger.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, &text[..text.len() / 2]).unwrap();
    assert_eq!(soak(&tool, &plans, "whole", &weighted).code, 0);
    assert_eq!(outcomes(&ledger(&tool.path("whole"))), whole);
}

/// Of a folder the plans of processes are left out, and it is said; one that is named is refused.
#[test]
fn a_soak_is_of_what_is_simulated() {
    let tool = Tool::new();
    let plans = two_plans(&tool);
    let real = format!("{plans}/real.toml");
    // What is in memory cannot be upgraded: that is no reason to refuse the others.
    let upgrade = "[[event]]\ndo = \"upgrade\"\ntarget = 1\nnode = [\"{tool}\", \"{events}\"]\n";
    let text = format!("schema = 1\nname = \"real\"\ntags = [\"all\"]\nrun.mode = \"process\"\n{upgrade}");
    fs::write(&real, text).unwrap();
    let said = soak(&tool, &plans, "folder", &["--seeds", "2", "--stores", "memory"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.err.contains("real.toml: left out: its nodes are processes"), "{}", said.err);
    assert!(ledger(&tool.path("folder")).iter().all(|line| line["plan"] != "real"));
    let said = soak(&tool, &plans, "tagged", &["--seeds", "2", "--tag", "all"]);
    assert!(said.code == 64 && said.err.contains("no plan is left to run"), "{}", said.err);
    assert_eq!(soak(&tool, &real, "named", &["--seeds", "2"]).code, 69);
}

#[test]
fn an_interrupt_ends_a_soak_and_a_run_in_order_with_what_is_known() {
    let tool = Tool::new();
    let plans = two_plans(&tool);
    let plan = format!("{plans}/one.toml");
    let out = |name: &str| tool.path(name).display().to_string();
    for arguments in [
        vec!["soak", &plans, "--out", &out("soak"), "--progress", "none"],
        vec!["run", &plan, "--out", &out("run"), "--seeds", "0..100000"],
    ] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_raft-chaos"))
            .args(&arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let written = || {
            let runs = fs::read_dir(tool.path("run").join("one")).into_iter().flatten().flatten();
            let files = runs.map(|run| run.path().join("results.jsonl"));
            let mut files = files.chain([tool.path("soak").join("ledger.jsonl")]);
            files.any(|file| fs::read_to_string(file).is_ok_and(|text| text.lines().count() >= 3))
        };
        while !written() {
            assert_eq!(child.try_wait().unwrap(), None, "it has no end of its own");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{arguments:?}");
        if arguments[0] == "soak" {
            let lines = ledger(&tool.path("soak"));
            assert!(lines.iter().all(|line| line["verdict"] == "pass"), "{lines:?}");
            assert!(
                fs::read_to_string(tool.path("soak").join("summary.md"))
                    .unwrap()
                    .contains("| one | memory |")
            );
            fs::remove_dir_all(tool.path("soak")).unwrap();
        }
    }
}

#[cfg(feature = "planted-bugs")]
/// Many runs that fail in one way are one finding, of which the fastest run is kept.
#[test]
fn failures_are_grouped_and_the_fastest_of_each_kind_is_kept() {
    let tool = Tool::new();
    let plan = shipped("crash-loop.toml");
    let common = ["--stores", "memory", "--plant", "ack-before-sync", "--set", "sim.recheck=0"];
    let said = soak(&tool, &plan, "out", &[&common[..], &["--seeds", "4"]].concat());
    assert_eq!(said.code, 1, "{}{}", said.out, said.err);
    let lines = ledger(&tool.path("out"));
    let failed: Vec<_> = lines.iter().filter(|line| line["verdict"] != "pass").collect();
    let mut kinds: Vec<_> = failed.iter().map(|line| line["signature"].as_str().unwrap()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    assert!(failed.len() > kinds.len(), "{kinds:?}");
    let kept: Vec<_> = fs::read_dir(tool.path("out").join("found/crash-loop-memory")).unwrap().collect();
    assert_eq!(kept.len(), kinds.len());
    let junit = fs::read_to_string(tool.path("out").join("junit.xml")).unwrap();
    assert!(junit.contains("HandleAppendEntriesResponse refused on") && junit.contains("--seed"), "{junit}");

    let said = soak(&tool, &plan, "first", &[&common[..], &["--until-failure", "--jobs", "1"]].concat());
    assert_eq!(said.code, 1, "{}{}", said.out, said.err);
    assert_eq!(ledger(&tool.path("first")).iter().filter(|line| line["verdict"] != "pass").count(), 1);
}

/// What a plan asks of one seed among all it asks of a soak, and of several that are joined.
#[test]
fn what_no_seed_of_a_soak_has_shown_is_told() {
    let tool = Tool::new();
    let plan = format!("{}/one.toml", two_plans(&tool));
    for (elections, code) in [("0", 0), ("99", 2)] {
        let evidence = format!("check.evidence.elections={elections}");
        let more = ["--seeds", "2", "--set", "run.swarm=true", "--set", &evidence];
        let said = soak(&tool, &plan, elections, &more);
        assert_eq!(said.code, code, "{}{}", said.out, said.err);
        let out = tool.path(elections);
        assert!(ledger(&out).iter().all(|line| line["verdict"] == "pass"));
        let [out, joined] = [out, tool.path("joined").join(elections)].map(|path| path.display().to_string());
        let merged = tool.call(&["merge", &out, "--out", &joined]);
        assert_eq!(merged.code, code, "{}{}", merged.out, merged.err);
        let told = "one on memory: inconclusive: evidence.elections: in no seed >= 99";
        assert_eq!([said.err, merged.err].map(|err| err.contains(told)), [code == 2; 2]);
        let summary = fs::read_to_string(tool.path("joined").join(elections).join("summary.md")).unwrap();
        assert_eq!(summary.contains("evidence.elections: in no seed"), code == 2, "{summary}");
    }
}

#[test]
fn what_eats_memory_is_ended_and_told_as_what_it_is() {
    let tool = Tool::new();
    let plans = two_plans(&tool);
    let said = soak(&tool, &plans, "out", &["--seeds", "1", "--max-memory", "1"]);
    assert_eq!(said.code, 2, "{}{}", said.out, said.err);
    let reason = ledger(&tool.path("out"))[0]["reason"].to_string();
    assert!(reason.contains("memory: the seed's process held") && reason.contains("was stopped"), "{reason}");
}

/// A tool that was killed while a seed was being recorded has left a part of its folder.
#[test]
fn a_recording_that_was_cut_short_is_made_again() {
    let tool = Tool::new();
    let plans = two_plans(&tool);
    for plan in ["one", "two"] {
        let folder = tool.path(&format!("out/found/{plan}-memory/seed-0"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("half"), "of it").unwrap();
    }
    let said = soak(&tool, &plans, "out", &["--seeds", "2", "--max-memory", "1", "--jobs", "1"]);
    assert_eq!(said.code, 2, "{}{}", said.out, said.err);
    assert_eq!(ledger(&tool.path("out")).len(), 2);
    let found = |plan: &str| tool.path(&format!("out/found/{plan}-memory/seed-0"));
    assert!(["one", "two"].iter().all(|plan| !found(plan).join("half").exists()));
    assert!(["one", "two"].iter().any(|plan| found(plan).join("result.json").exists()));
}

#[test]
fn a_wrong_soak_is_refused_before_anything_runs() {
    let tool = Tool::new();
    let plans = two_plans(&tool);
    for (more, what) in [
        (&["--weight", "three=1"][..], "there is no plan three"),
        (&["--weight", "two"], "a plan's name, = and a whole number"),
        (&["--shard", "3/2"], "2/4 for the second of four"),
        (&["--shard", "0/2"], "2/4 for the second of four"),
        (&["--tag", "nightly"], "no plan is left to run"),
        (&["--max-time", "8"], "is no duration"),
        (&["--jobs", "0"], "--jobs"),
        (&["--set", "cluster.voters=99"], "cluster.voters"),
    ] {
        let said = soak(&tool, &plans, "out", more);
        assert_eq!(said.code, 64, "{more:?}: {}", said.err);
        assert!(said.err.contains(what), "{more:?}: {}", said.err);
        assert!(!tool.path("out").exists());
    }
    let twice = format!("{plans}/one.toml");
    let said = tool.call(&["soak", &twice, &twice]);
    assert_eq!(said.code, 64, "{}", said.err);
    assert!(said.err.contains("two plans of this name"), "{}", said.err);
    let said = tool.call(&["soak", "nowhere.toml"]);
    assert_eq!(said.code, 64, "{}", said.err);
    assert!(said.err.contains("nowhere.toml"), "{}", said.err);
}
