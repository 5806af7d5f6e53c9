//! `[[chaos]]`, `run.swarm` and `[budget]`.

use std::fs;

use serde_json::Value;

use crate::simulated::shipped;
use crate::tool::Tool;

/// Three servers, and nothing that happens to them.
const CALM: &str = r#"
schema = 1
name = "calm"
[run]
seeds = 4
warmup = "1s"
duration = "4s"
settle = "4s"
[cluster]
storage = "memory"
[workload]
op_timeout = "300ms"
[check.evidence]
every_fault_had_effect = false
"#;

fn calm(more: &str) -> String {
    format!("{CALM}{more}")
}

fn named<'a>(result: &'a Value, key: &str, name: &str) -> Vec<&'a Value> {
    result[key].as_array().unwrap().iter().filter(|entry| entry["event"] == name).collect()
}

#[test]
fn a_locked_storm_is_the_same_storm_again() {
    let tool = Tool::new();
    let (_, first) = tool.run(&shipped("storm.toml"), &["--seed", "2", "--set", "cluster.storage=memory"]);
    let run = fs::read_dir(tool.path("raft-chaos-out/storm")).unwrap().next().unwrap().unwrap().path();
    let (code, again) = tool.run(&run.join("plan.lock.toml").display().to_string(), &[]);
    assert_eq!((code, &again[0]["event_hash"]), (0, &first[0]["event_hash"]));
    assert_eq!(again[0]["faults"], first[0]["faults"]);
}

/// Each row: a script, chaos that does not fit beside it, and why.
#[test]
fn chaos_that_does_not_fit_is_held_back_and_counted() {
    let tool = Tool::new();
    let down = "[[event]]\ndo = \"crash\"\ntarget = 1\n";
    let crash = "[[chaos]]\nevery = \"300ms\"\ndo = \"crash\"\ntarget = \"one\"\nrestart_after = \"100ms\"\n";
    let wipe = "[[chaos]]\nevery = \"300ms\"\ndo = \"wipe\"\ntarget = \"one\"\n";
    let cut =
        "[[chaos]]\nevery = \"300ms\"\ndo = \"partition\"\nsplit = { cut = [[2, 3]] }\nfor = \"50ms\"\n";
    let stale = "[[chaos]]\nevery = \"300ms\"\ndo = \"pause\"\ntarget = \"stale-leader\"\nfor = \"50ms\"\n";
    for (script, chaos, budget, why) in [
        (down, crash, "", "budget.down_or_cut"),
        (down, cut, "", "budget.down_or_cut"),
        ("", crash, "[budget]\ndown_or_cut = \"none\"\n", "budget.down_or_cut"),
        ("", wipe, "[budget]\ndisk_loss = \"none\"\n", "budget.disk_loss"),
        ("", stale, "", "nobody to do it to"),
    ] {
        let (code, results) = tool.run(&tool.plan(&calm(&format!("{script}{chaos}{budget}"))), &[]);
        assert_eq!(code, 0, "{chaos}: {}", results[0]["reasons"]);
        assert!(named(&results[0], "faults", "chaos.1").is_empty(), "{chaos}");
        let skipped = named(&results[0], "skipped", "chaos.1");
        assert_eq!((skipped.len(), &skipped[0]["why"]), (1, &why.into()), "{chaos}");
        assert!(skipped[0]["count"].as_u64() > Some(4), "{chaos}: {}", skipped[0]);
    }
}

/// Two tables are due at the first instant, and there is room for one server: the heavier one has it.
#[test]
fn the_heaviest_goes_first() {
    let tool = Tool::new();
    let chaos = |weight: u64| {
        format!(
            "[[chaos]]\nevery = \"100us\"\nweight = {weight}\ndo = \"crash\"\ntarget = \"one\"\nrestart_after = \"3s\"\n"
        )
    };
    let plan = calm(&format!("{}{}", chaos(1), chaos(2)));
    let (code, results) = tool.run(&tool.plan(&plan), &["--set", "run.duration=100ms"]);
    assert_eq!(code, 0, "{}", results[0]["reasons"]);
    assert_eq!(named(&results[0], "faults", "chaos.2").len(), 1, "{}", results[0]["faults"]);
    assert!(named(&results[0], "faults", "chaos.1").is_empty());
}

/// With `swarm` it is enough if one seed of all shows it, and not enough if none does.
#[test]
fn under_swarm_one_seed_of_all_has_to_show_elections() {
    let tool = Tool::new();
    let plan = calm(
        "[[chaos]]\nevery = \"700ms\"\ndo = \"crash\"\ntarget = \"leader\"\nrestart_after = \"200ms\"\n\n[[chaos]]\nevery = \"1s\"\ndo = \"snapshot\"\ntarget = \"one\"\n",
    );
    let plan = tool.plan(&plan);
    let run = |elections: &str, seeds: &str| {
        let elections = format!("check.evidence.elections={elections}");
        tool.call(&["run", &plan, "--seeds", seeds, "--set", "run.swarm=true", "--set", &elections])
    };
    let elections = |seed: &str| {
        let said = tool.run(&plan, &["--seed", seed, "--set", "run.swarm=true"]);
        said.1[0]["elections"].as_u64().unwrap()
    };
    let each: Vec<_> = ["0", "1", "2", "3"].map(elections).into();
    let (least, most) = (each.iter().min().unwrap(), each.iter().max().unwrap());
    assert!(least < most, "{each:?}");
    let said = run(&most.to_string(), "0..4");
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let said = run(&(most + 1).to_string(), "0..4");
    assert_eq!(said.code, 2, "{}{}", said.out, said.err);
    assert!(said.err.contains("evidence.elections: in no seed"), "{}", said.err);
    let alone = each.iter().position(|count| count == least).unwrap();
    let said = run(&most.to_string(), &alone.to_string());
    assert_eq!(said.code, 2, "{}{}", said.out, said.err);
}
