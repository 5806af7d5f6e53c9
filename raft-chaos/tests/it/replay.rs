//! A run once more: the same, in detail, up to an event.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::simulated::shipped;
use crate::tool::Tool;

#[test]
fn a_run_is_replayed_in_detail_up_to_an_event_and_held_against_its_record() {
    let tool = Tool::new();
    let plan = shipped("quickstart.toml");
    let set = ["--set", "run.duration=4s", "--set", "cluster.storage=memory"];
    assert_eq!(tool.call(&[&["run", &plan, "--out", "first"], &set[..]].concat()).code, 0);
    let runs = fs::read_dir(tool.path("first").join("quickstart")).unwrap();
    let run = runs.map(|run| run.unwrap().path().display().to_string()).next().unwrap();

    let said = tool.call(&["replay", &run]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.out.contains("n1 leads in t1") && !said.out.contains("pre-vote-counted"), "{}", said.out);

    let said = tool.call(&["replay", &run, "--until", "10", "--trace"]);
    assert_eq!(said.code, 2, "a run that was cut short proves nothing: {}{}", said.out, said.err);
    assert!(
        said.out.contains(r#"     10  {"node":1,"event":"pre-vote-counted","term":1,"voter":1}"#),
        "{}",
        said.out
    );
    assert!(!said.out.contains("     11  "), "{}", said.out);
    assert!(said.out.contains("n1 runs: pre-candidate in t0"), "{}", said.out);

    // Where the record says something else, that is named.
    let record = format!("{run}/events.jsonl");
    let events = fs::read_to_string(&record).unwrap();
    fs::write(&record, events.replacen("\"voter\":1", "\"voter\":3", 1)).unwrap();
    let said = tool.call(&["replay", &run]);
    assert_eq!(said.code, 4, "{}{}", said.out, said.err);
    assert!(said.out.contains("event 10 is \"pre-vote-counted\" of n1 at 0.200000000 s"), "{}", said.out);
    assert_eq!(tool.call(&["replay", &run, "--until", "9"]).code, 2, "up to there they are one");
    assert_eq!(tool.call(&["replay", &plan, "--seed", "2", "--until", "0"]).code, 2);
    for (arguments, what) in [
        (&["replay", &run, "--seed", "1"][..], "--seed and --set are for plans"),
        (&["replay", &plan, "--set", "run.seeds=\"0..3\""], "say which one with --seed N"),
        (&["replay", "nowhere.toml"], "nowhere.toml"),
    ] {
        let said = tool.call(arguments);
        assert_eq!(said.code, 64, "{arguments:?}: {}", said.err);
        assert!(said.err.contains(what), "{arguments:?}: {}", said.err);
    }
}

/// Of a run that was stopped, by its limit or by somebody, it is not known which way it would have gone.
#[test]
fn a_run_that_was_stopped_has_not_gone_another_way() {
    let tool = Tool::new();
    let plan = shipped("quickstart.toml");
    let stopped = ["--set", "run.max_wall=1ms"];
    let said = tool.call(&[&["determinism", &plan], &stopped[..]].concat());
    assert_eq!(said.code, 2, "{}{}", said.out, said.err);
    assert!(said.out.contains("stopped   quickstart, seed 1: max_wall: "), "{}", said.out);
    assert!(said.out.contains("0 of 0 went two ways"), "{}", said.out);

    assert_eq!(tool.call(&["run", &plan, "--set", "run.duration=4s", "--out", "first"]).code, 0);
    let runs = fs::read_dir(tool.path("first").join("quickstart")).unwrap();
    let run = runs.map(|run| run.unwrap().path()).next().unwrap();
    let lock = fs::read_to_string(run.join("plan.lock.toml")).unwrap();
    let max_wall = lock.lines().find(|line| line.starts_with("max_wall")).unwrap();
    fs::write(run.join("plan.lock.toml"), lock.replace(max_wall, "max_wall = \"1ms\"")).unwrap();
    let said = tool.call(&["replay", run.to_str().unwrap()]);
    assert_eq!(said.code, 2, "{}{}", said.out, said.err);
    assert!(said.out.contains("max_wall: the seed ran for more than"), "{}", said.out);

    // The other way round: the earlier run is the one that was stopped.
    assert_eq!(tool.call(&[&["run", &plan, "--out", "second"], &stopped[..]].concat()).code, 2);
    let runs = fs::read_dir(tool.path("second").join("quickstart")).unwrap();
    let run = runs.map(|run| run.unwrap().path()).next().unwrap();
    fs::write(run.join("plan.lock.toml"), lock).unwrap();
    let said = tool.call(&["replay", run.to_str().unwrap()]);
    assert_eq!(said.code, 2, "{}{}", said.out, said.err);
    assert!(said.out.contains("was stopped before it ended"), "{}", said.out);
}

/// Each row: what the folder of a run has besides its plan, what is asked for, and what it lacks for that.
#[test]
fn what_a_run_has_to_have_is_looked_for_before_it_is_replayed() {
    let tool = Tool::new();
    let plan = fs::read_to_string(shipped("quickstart.toml")).unwrap();
    for (has, more, lacks) in [
        (&[][..], &[][..], "events.jsonl"),
        (&["result.json"], &["--until", "7"], "events.jsonl"),
        (&["result.json"], &["--schedule"], "schedule.jsonl"),
        (&["schedule.jsonl"], &["--schedule"], "result.json"),
    ] {
        let run = tool.path("run");
        fs::create_dir(&run).unwrap();
        fs::write(run.join("plan.lock.toml"), &plan).unwrap();
        has.iter().for_each(|name| fs::write(run.join(name), "{}").unwrap());
        let said = tool.call(&[&["replay", run.to_str().unwrap()], more].concat());
        assert_eq!(said.code, 64, "{has:?} {more:?}: {}{}", said.out, said.err);
        assert!(said.err.contains(&format!("there is no {lacks} in it")), "{}", said.err);
        assert!(!tool.path("raft-chaos-out").exists());
        fs::remove_dir_all(&run).unwrap();
    }
}

/// An interrupt from the terminal, which all processes of a group hear.
#[test]
fn runs_that_are_interrupted_end_with_130_and_not_as_two_ways() {
    let tool = Tool::new();
    let plan = shipped("quickstart.toml");
    let out = tool.path("out");
    let arguments = ["determinism", &plan, "--set", "run.duration=10m", "--jobs", "1"];
    let mut child = Command::new(env!("CARGO_BIN_EXE_raft-chaos"))
        .args(arguments)
        .args(["--out".as_ref(), out.as_os_str()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap();
    let runs = || fs::read_dir(out.join("quickstart")).into_iter().flatten().flatten();
    let began = |name: &str| runs().any(|run| run.path().join(name).join("events.jsonl").exists());
    while !began("seed-1-run-1") {
        assert_eq!(child.try_wait().unwrap(), None, "it has not run yet");
        std::thread::sleep(Duration::from_millis(10));
    }
    Command::new("kill").args(["-INT", "--", &format!("-{}", child.id())]).status().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(!began("seed-1-run-2"), "none begins any more");
}

/// The folder of the last run of this plan under this one.
#[cfg(feature = "planted-bugs")]
fn newest_run(tool: &Tool, out: &str, plan: &str) -> String {
    let runs = fs::read_dir(tool.path(out).join(plan)).unwrap();
    let mut runs: Vec<_> = runs.map(|run| run.unwrap()).collect();
    runs.sort_by_key(|run| run.metadata().unwrap().modified().unwrap());
    runs.last().unwrap().path().display().to_string()
}

/// On the same code the recorded schedule gives the same run, chaos and triggers included.
#[cfg(feature = "planted-bugs")]
#[test]
fn a_recorded_schedule_gives_the_same_run_on_the_same_code() {
    let tool = Tool::new();
    for (plan, seed) in [("nightly", "3"), ("lagging-follower", "1")] {
        let path = shipped(&format!("{plan}.toml"));
        let set = ["--seed", seed, "--set", "cluster.storage=memory", "--format", "json"];
        let said = tool.call(&[&["run", &path, "--out", "first"], &set[..]].concat());
        assert_eq!(said.code, 0, "{}{}", said.out, said.err);
        let first: serde_json::Value = serde_json::from_str(&said.out).unwrap();
        assert!(first["faults"].as_array().unwrap().len() > 2, "{first}");
        let run = newest_run(&tool, "first", plan);
        let said = tool.call(&["replay", &run, "--schedule", "--out", "second"]);
        assert_eq!(said.code, 0, "{}{}", said.out, said.err);
        let second = fs::read(format!("{}/result.json", newest_run(&tool, "second", plan))).unwrap();
        let second: serde_json::Value = serde_json::from_slice(&second).unwrap();
        assert_eq!(first["event_hash"], second["event_hash"], "{plan}");
    }
}

/// Once a bug is fixed its run passes, with the faults that showed it; a fault that lands no more proves nothing.
#[cfg(feature = "planted-bugs")]
#[test]
fn the_run_of_a_bug_that_was_fixed_passes_with_its_faults_still_landing() {
    let tool = Tool::new();
    let plan = shipped("crash-loop.toml");
    let set = ["--seed", "2", "--set", "cluster.storage=memory"];
    let bug = ["--plant", "vote-without-log-check", "--out", "first"];
    let said = tool.call(&[&["run", &plan], &set[..], &bug].concat());
    assert_eq!(said.code, 1, "{}{}", said.out, said.err);
    let run = newest_run(&tool, "first", "crash-loop");
    assert_eq!(tool.call(&["replay", &run, "--schedule", "--plant", "vote-without-log-check"]).code, 1);
    let said = tool.call(&["replay", &run, "--schedule"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let said = tool.call(&["replay", &run, "--schedule", "--plant", "idle-crash"]);
    assert_eq!(said.code, 2, "{}{}", said.out, said.err);
    let idle =
        fs::read_to_string(format!("{}/result.json", newest_run(&tool, "raft-chaos-out", "crash-loop")))
            .unwrap();
    assert!(
        idle.contains("schedule: power had an effect at 2.69s in the earlier run, and none in this one"),
        "{idle}"
    );
    let said = tool.call(&["replay", &plan, "--schedule"]);
    assert_eq!(said.code, 64, "{}{}", said.out, said.err);
    assert!(said.err.contains("schedule.jsonl"), "{}", said.err);
}
