//! The whole language, from the outside: which plans are refused and how that is said, and which are taken.

use std::env;
use std::fs;

use super::*;

const HEAD: &str = "schema = 1\nname = \"p\"\n";
const SMALLEST: &str = r#"
schema = 1
name = "isolate-the-leader"
[run]
duration = "10s"
[[event]]
when = { at = "3s" }
do = "partition"
split = { isolate = "leader" }
for = "3s"
"#;

/// A plan with everything that this version can do.
const EVERYTHING: &str = r#"
schema = 1
name = "all-of-it"
about = "says \"hello\"\nand goes on"
tags = ["nightly"]
run = { mode = "sim", seeds = "3..=9", warmup = "1s", duration = "1h", settle = "1.5s", max_wall = "90s", swarm = true }
sim = { tick = "2ms", link = { delay = "0s", jitter = "0.001us", tail = "40ms@0.5%" }, shuffle_hosts = false, recheck = 1 }
cluster = { voters = 5, learners = 1, spares = 2, storage = "memory", election_timeout = ["90ms", "120ms"], heartbeat = "45ms", snapshot_every = 50, snapshot_trailing = 7, snapshot_chunk = "2KiB", log_cache = "0B", features = { prevote = false, read = "lease", lease_drift = "0.5%" } }
workload = { kind = "kv", clients = 3, rate = 9, value = "2KiB", keys = { live = 1 }, mix = { append = 3 }, op_timeout = "7s", retries = "session", sessions = 9, route = "leader" }
[[event]]
name = "depose"
when = { leader = "elected", at = "1s", every = "2m", times = 3 }
do = "partition"
split = { isolate = "event.node" }
for = ["200ms", "3s"]
[[event]]
when = { event = "depose", after = "1s" }
optional = true
do = "crash"
target = "event:depose.target"
disk = { lose = "none", torn = 0.0 }
restart_after = "2s"
[[event]]
do = "partition"
split = { any = ["ring", "bridge", "oneway:leader->majority", "oneway:1->2", "halves", "minority-third", "majority"] }
heal = false
[[event]]
do = "partition"
split = { groups = [[1, 2], [3]] }
[[event]]
do = "partition"
split = { cut = [[1, 2], [3, 4]] }
[[event]]
do = "stop"
target = [1, 2]
heal = false
disk = { damage = "truncate-log" }
[[event]]
do = "crash"
target = 1
disk = { lose = "unsynced", torn = 0.5, damage = "flip-log" }
[[event]]
do = "disk"
target = "leader"
disk = { fsync = "slow:1500us", write = "error", read = "bitflip", calls = 9 }
for = ["1s", "2s"]
[[event]]
do = "disk"
target = [2, 3]
disk = { fsync = "hang" }
heal = false
[[event]]
when = { membership = "joint-committed", on = "leader" }
do = "wipe"
target = "spare"
restart_after = ["1s", "2s"]
[[event]]
do = "membership"
change = ["remove", "replace-voter"]
target = "learner"
via = 2
expect = "refused"
[[event]]
do = "membership"
change = [[1, 2, 3, 4, 5], [8, 2]]
[[event]]
do = "transfer"
to = "follower"
expect = "any"
[[event]]
do = "link"
link = { delay = ["1ms", "2s"], jitter = "27ms", loss = "10%", duplicate = "0.5%", reorder = "66.6667%", corrupt = "1%", reset = "100%", rate = "1.5mbit", stall = true }
only = ["requests", "replies", "vote"]
for = "1s"
[[event]]
do = "link"
target = [2, 3]
link = { stall = true }
heal = false
[[event]]
do = "link"
target = "random-pair"
link = { rate = "9kbit" }
[[event]]
when = { event = "depose" }
do = "link"
target = "oneway:event:depose.target->3"
link = { loss = "1%" }
[[event]]
do = "partition"
split = "oneway:leader->follower"
[[event]]
do = "clock"
target = "one"
clock = { drift = "-99.5%", jump = "+800ms" }
for = "1s"
[[event]]
do = "clock"
target = [1, 2]
clock = { jump = "-1.5s" }
[[event]]
do = "isolate-client"
target = "leader"
heal = false
[[event]]
do = "pause"
target = 3
[[event]]
do = "snapshot"
target = "all"
[[event]]
when = { snapshot = "chunk-received", chunk = 2, on = "follower", nth = 3 }
do = "pause"
target = "event.node"
[[event]]
when = { vote = "granted", event = "depose" }
do = "crash"
target = "event.node"
[[event]]
do = "heal"
[[event]]
when = { term = "<= 9", commit = 100, with = "uncommitted >= 3 and lag == 0", leader = "deposed", nth = 2 }
do = "pause"
target = "longest-log"
[[event]]
when = { fsync = "before", on = "longest-log" }
do = "stop"
target = "event.node"
[[chaos]]
every = "2s"
weight = 4
do = "partition"
split = { any = ["majority", "ring"] }
for = ["200ms", "3s"]
[[chaos]]
every = "1h"
do = "crash"
target = "one"
[[chaos]]
every = "1500us"
off = true
do = "wipe"
target = "minority"
[budget]
down_or_cut = "any"
disk_loss = "any"
max_clock_error = "3s"
[check]
linearizable = { engine = "wgl", timeout = "5s", memory = "1GiB" }
invariants = ["all", "-conformance"]
liveness = { leader_within = "9s", commit_within = "8s", ok_ratio_after_heal = 0.5 }
limits = { elections = "<= 2", ok_gap_ms = "< 900", append_rejections = 0 }
evidence = { ops_ok = 5, elections = "> 1", snapshots_installed = "== 0", commands_repeated = 1, sessions_expired = "> 2", entries_repaired = 3, every_event_fired = false }
"#;

fn parse(text: &str, overrides: &[&str]) -> Result<Plan, PlanErrors> {
    let overrides: Vec<_> = overrides.iter().map(|text| (*text).to_owned()).collect();
    Plan::parse(text, "plan.toml", &overrides)
}

/// The exit code, and each mistake without the line of the plan.
fn told(read: &Result<Plan, PlanErrors>) -> String {
    let Err(errors) = read else { return "0\n".to_owned() };
    let mut told = format!("{}\n", errors.exit_code());
    for mistake in errors.mistakes() {
        let text = mistake.to_string();
        told.push_str(text.lines().next().unwrap_or_default());
        told.push('\n');
    }
    told
}

/// Each block of `mistakes.txt` is a plan, and what is said of it.
#[test]
fn every_mistake_is_told_with_its_place_its_key_and_its_cure() {
    let script = include_str!("mistakes.txt");
    let (head, blocks) = script.split_once("\n\n").expect("a head and blocks");
    let mut rewritten = head.to_owned();
    for block in blocks.trim_end().split("\n\n") {
        let (plan, _) = block.split_once("\n----").expect("a plan and dashes");
        let told = told(&parse(&format!("{HEAD}{plan}\n"), &[]));
        rewritten.push_str(&format!("\n\n{plan}\n----\n{}", told.trim_end()));
    }
    rewritten.push('\n');
    if env::var_os("UPDATE").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/plan/mistakes.txt");
        fs::write(path, &rewritten).expect("the script can be written");
    } else {
        for (found, expected) in rewritten.lines().zip(script.lines()) {
            assert_eq!(found, expected);
        }
        assert_eq!(rewritten.lines().count(), script.lines().count());
    }
}

#[test]
fn a_mistake_shows_its_line_with_a_caret_under_the_column() {
    let errors = parse("schema = 1\nname = \"p\"\nrun = { duraton = \"1s\" }\n", &[]).expect_err("a mistake");
    assert_eq!(
        errors.to_string(),
        "plan.toml:3:9: run.duraton: unknown key; did you mean \"duration\"?\n    \
         run = { duraton = \"1s\" }\n            ^"
    );
}

#[test]
fn a_plan_has_a_known_schema_and_a_name() {
    assert_eq!(
        told(&parse("schema = 2\n", &[])),
        "64\nplan.toml:1:1: schema: this schema is unknown; known is 1, write schema = 1\n\
         plan.toml:1:1: name: missing; write name = ...\n"
    );
}

#[test]
fn the_smallest_plan_has_every_default() {
    let plan = parse(SMALLEST, &[]).expect("a plan");
    assert_eq!(plan.run.seeds, Seeds::Random(1));
    assert_eq!((plan.cluster.voters, plan.cluster.storage), (3, Storage::Rocksdb));
    assert_eq!(plan.cluster.read, Reads::ReadIndex);
    assert_eq!(plan.workload.kind, Kind::Register);
    assert_eq!(plan.workload.mix, [(Operation::Read, 1), (Operation::Write, 1), (Operation::Cas, 1)]);
    assert_eq!(plan.check.invariants.len(), 14);
    let [event] = plan.events.as_slice() else { panic!("one event") };
    let three = Duration::from_secs(3);
    assert_eq!((event.name.as_str(), event.when.at), ("event-1", Some(three)));
    let undo = Undo::After((three, three));
    assert_eq!(event.action, Action::Partition { split: Split::Isolate(Target::Leader), undo });
}

#[test]
fn the_lock_of_a_plan_reads_back_as_that_plan() {
    let in_the_log = "schema = 1\nname = \"p\"\ncluster.features.read = \"log\"\nworkload.route = 3\n";
    let all_down = "schema = 1
name = \"p\"
budget.disk_loss = \"none\"
[[event]]
do = \"crash\"
target = \"all\"
";
    let lab = "schema = 1
name = \"p\"
workload.kind = \"lab\"
workload.test = \"kv-speed\"
";
    let unjudged = "schema = 1
name = \"p\"
check.linearizable = false
";
    let processes = "schema = 1
name = \"p\"
run.mode = \"process\"
process.node = [\"a \\\"node\\\"\", \"--id={id}\", \"{events}\"]
process.next = \"./next/node\"
[[event]]
do = \"upgrade\"
target = \"follower\"
node = [\"{next}\", \"{events}\"]
";
    for text in [SMALLEST, EVERYTHING, in_the_log, all_down, lab, unjudged, processes] {
        let plan = parse(text, &[]).unwrap_or_else(|errors| panic!("{errors}"));
        for seed in [0, 7, u64::MAX] {
            let lock = plan.lock(seed);
            let again = parse(&lock, &[]).unwrap_or_else(|errors| panic!("{errors}\n{lock}"));
            let mut expected = plan.clone();
            expected.run.seeds = Seeds::One(seed);
            if plan.run.swarm {
                let kept = plan.kept(seed);
                expected.chaos.iter_mut().zip(kept).for_each(|(chaos, kept)| chaos.off = Some(!kept));
            }
            assert_eq!(again, expected, "{lock}");
            assert_eq!(again.lock(seed), lock);
        }
    }
}

/// Each row: what is set, and what is said of it; the event of the plan is `event-1`.
#[test]
fn set_overrides_any_key_and_events_go_by_name() {
    let chaos = "\n[[chaos]]\nevery = \"1s\"\ndo = \"heal\"\n";
    let over = [
        "chaos.1.every=5s",
        "chaos.1 = { every = \"2s\", do = \"snapshot\", target = \"all\" }",
        "chaos.1.off=true",
    ];
    let plan = parse(&format!("{SMALLEST}{chaos}"), &over).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!((plan.chaos[0].every, plan.chaos[0].off), (Duration::from_secs(2), Some(true)));
    assert_eq!(plan.chaos[0].action, Action::Snapshot { target: Target::All });
    let told = self::told(&parse(&format!("{SMALLEST}{chaos}"), &["chaos.2.every=5s"]));
    assert!(told.contains("--set:1:1: chaos.2.every: no chaos has the number \"2\"; they are 1"), "{told}");
    let over =
        ["run.seeds=1..10", "event.event-1.for = 4s", "name=other", "check.limits.terms=3", "tags=[\"a\"]"];
    let plan = parse(SMALLEST, &over).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(plan.run.seeds, Seeds::These(1..=9));
    let four = Duration::from_secs(4);
    let Action::Partition { undo, .. } = &plan.events[0].action else { panic!("a partition") };
    assert_eq!(*undo, Undo::After((four, four)));
    assert_eq!((plan.name.as_str(), plan.tags.len()), ("other", 1));
    assert_eq!(plan.check.limits, [(Limit::Terms, Count::at_least(3))]);
    for (assignment, expected) in [
        ("run.seeds", "--set:1:1: run.seeds: not key=value; write --set run.seeds=1..10"),
        ("run.seeds=5..1", "--set:1:1: run.seeds: \"5..1\" are no seeds"),
        ("run.sedes=1", "--set:1:1: run.sedes: unknown key; did you mean \"seeds\"?"),
        (
            "event.depose.for=1s",
            "--set:1:1: event.depose.for: no event has the name \"depose\"; they are event-1",
        ),
        ("run.duration.x=1", "--set:1:1: run.duration.x: there is no table to hold \"x\"; shorten the key"),
        ("run..x=1", "--set:1:1: run..x: not a key"),
        ("extends=a.toml", "--set:1:1: extends: cannot be set"),
    ] {
        let told = self::told(&parse(SMALLEST, &[assignment]));
        assert!(told.contains(expected), "{told}");
    }
}

#[test]
fn a_plan_stands_on_the_plans_that_it_extends() {
    let folder = tempfile::tempdir().expect("a scratch directory");
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("written");
    let read = |name: &str| Plan::read(&folder.path().join(name), &[]);
    write("base.toml", &format!("{SMALLEST}\n[cluster]\nvoters = 5\nheartbeat = \"20ms\"\n"));
    write(
        "top.toml",
        "extends = \"base.toml\"\nname = \"top\"\ncluster.voters = 7\n[[event]]\ndo = \"heal\"\nwhen.at = \"9s\"\n",
    );
    let plan = read("top.toml").unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!((plan.name.as_str(), plan.cluster.voters), ("top", 7));
    assert_eq!(plan.cluster.heartbeat, Duration::from_millis(20));
    let names: Vec<_> = plan.events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(names, ["event-1", "event-2"]);

    let chaos = |every: &str| format!("[[chaos]]\nevery = {every:?}\ndo = \"heal\"\n");
    write("base.toml", &format!("{SMALLEST}[workload]\nrate = 5\n{}", chaos("1s")));
    write(
        "middle.toml",
        &format!(
            "extends = \"base.toml\"\nworkload = {{ clients = 2 }}\ntags = [\"b\", \"c\"]\n{}",
            chaos("2s")
        ),
    );
    write("top.toml", &format!("extends = \"middle.toml\"\ntags = [\"d\"]\n{}", chaos("3s")));
    let plan = read("top.toml").unwrap_or_else(|errors| panic!("{errors}"));
    let every: Vec<_> = plan.chaos.iter().map(|chaos| chaos.every.as_secs()).collect();
    assert_eq!((every, plan.tags), (vec![1, 2, 3], vec!["d".to_owned()]));
    assert_eq!((plan.workload.rate, plan.workload.clients), (5, 2), "tables merge");

    write("a.toml", "extends = \"b.toml\"\n");
    write("b.toml", "extends = \"a.toml\"\n");
    assert!(told(&read("a.toml")).contains("b.toml:1:1: extends: the plan extends itself; break the cycle"));
    for level in 0..9 {
        write(&format!("{level}.toml"), &format!("extends = \"{}.toml\"\n", level + 1));
    }
    write("9.toml", SMALLEST);
    assert!(read("1.toml").is_ok());
    assert!(told(&read("0.toml")).contains("8.toml:1:1: extends: more than 8 plans"));
    write("lost.toml", "extends = \"nowhere.toml\"\n");
    assert!(told(&read("lost.toml")).contains("nowhere.toml:1:1: the plan cannot be read"));
    fs::write(folder.path().join("bytes.toml"), b"schema = 1\n\xff").expect("written");
    assert!(told(&read("bytes.toml")).contains("bytes.toml:2:1: the plan is not UTF-8"));
    write("large.toml", &"#".repeat((1 << 20) + 1));
    assert!(told(&read("large.toml")).contains("the plan is larger than 1 MiB"));
}
