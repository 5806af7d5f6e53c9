//! A run once more: the same, in detail, up to an event.

use std::fs;

use crate::tool::{Tool, shipped};

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
