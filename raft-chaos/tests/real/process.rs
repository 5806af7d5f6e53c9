//! Plans whose servers are processes.

use std::fs;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

#[cfg(feature = "test-version")]
use raft_net::{Version, Versions};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::tool::Tool;

/// A leader is killed and its successor cut off. There is time for disks on which a sync takes a tenth of a second: that of a
/// vote has to be over before the next election.
const FAULTS: &str = r#"
schema = 1
name = "for-real"
[run]
mode = "process"
seeds = 1
warmup = "5s"
duration = "12s"
settle = "5s"
[cluster]
election_timeout = ["500ms", "1s"]
[workload]
kind = "kv"
[[event]]
name = "kill"
when = { after = "500ms", leader = "elected" }
do = "crash"
target = "leader"
restart_after = "1s"
[[event]]
name = "cut"
when = { event = "kill", after = "2500ms", leader = "elected" }
do = "partition"
split = { isolate = "leader" }
for = "4s"
[check.liveness]
leader_within = "8s"
commit_within = "10s"
[check.evidence]
elections = ">= 2"
ops_ok = ">= 100"
"#;

fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect()
}

/// The folder of the only run in here.
fn only_run(tool: &Tool) -> Option<PathBuf> {
    let runs = folders(&tool.path("raft-chaos-out/for-real"));
    if let [run] = &runs[..] { Some(run.clone()) } else { None }
}

#[test]
fn a_leader_is_killed_and_its_successor_cut_off() {
    let tool = Tool::new();
    let (code, results) = tool.run(&tool.plan(FAULTS), &[]);
    let [result] = &results[..] else { panic!("{results:?}") };
    assert_eq!((code, &result["verdict"]), (0, &"pass".into()), "{result}");
    assert_eq!((&result["mode"], &result["restarts"]), (&"process".into(), &1.into()));
    assert_eq!(result["checker"]["verdict"], "linearizable");
    assert_eq!(result["faults"][0]["evidence"]["killed"].as_array().map(Vec::len), Some(1));
    let run = only_run(&tool).unwrap();
    assert!(!run.join("nodes").exists() && !run.join("processes.jsonl").exists(), "nothing is left");
    assert!(fs::read_to_string(run.join("schedule.jsonl")).unwrap().lines().count() == 2);
    let history = fs::read_to_string(run.join("history.jsonl")).unwrap();
    let ok = history.lines().filter(|line| line.contains(r#""type":"ok""#)).count();
    assert_eq!(result["ops"]["ok"], ok);
    let checked = tool.call(&["check", &run.join("history.jsonl").display().to_string(), "--model", "kv"]);
    assert_eq!(checked.code, 0, "{}", checked.err);
    let exported = tool.call(&["export", &run.display().to_string(), "--to", "perfetto"]);
    let drawn: Value = serde_json::from_str(&exported.out).unwrap();
    let drawn = drawn["traceEvents"].as_array().unwrap();
    let count = |key: &str, value: &str| {
        drawn.iter().filter(|event| event.pointer(key) == Some(&value.into())).count()
    };
    assert!(count("/args/fate", "drop") > 0, "what met the cut");
    assert!(count("/ph", "f") > ok, "and each operation took a message that came in");
}

/// Everything else that can be done to processes, each with its evidence. Nobody is to be elected that the plan does not ask
/// for, also where the machine stands still for a second.
#[test]
fn processes_meet_what_simulated_servers_meet() {
    let tool = Tool::new();
    let plan = r#"
schema = 1
name = "all-for-real"
run = { mode = "process", seeds = 1, warmup = "8s", duration = "20s", settle = "5s" }
cluster = { spares = 1, election_timeout = ["1500ms", "3s"] }
check = { liveness = { leader_within = "8s", commit_within = "10s" } }
workload = { kind = "list-append", retries = "session" }
[[event]]
name = "wipe"
do = "wipe"
target = 4
[[event]]
name = "link"
when.at = "200ms"
do = "link"
link = { delay = "2ms", loss = "2%", duplicate = "5%", reorder = "5%", reset = "0.2%" }
for = "2s"
[[event]]
name = "pause"
when.at = "2500ms"
do = "pause"
target = "follower"
for = "1s"
[[event]]
name = "shut"
when.at = "4s"
do = "isolate-client"
target = "leader"
for = "2s"
[[event]]
name = "snapshot"
when.at = "6500ms"
do = "snapshot"
target = "leader"
[[event]]
name = "stop"
when.at = "7s"
do = "stop"
target = "follower"
restart_after = "3s"
[[event]]
name = "transfer"
when.at = "13s"
do = "transfer"
to = "follower"
[[event]]
name = "learn"
when = { at = "17s", leader = "elected" }
do = "membership"
change = "add-learner"
expect = "ok"
"#;
    let (code, results) = tool.run(&tool.plan(plan), &[]);
    let [result] = &results[..] else { panic!("{results:?}") };
    assert_eq!((code, &result["verdict"]), (0, &"pass".into()), "{result}");
    let evidence = |place: usize| result["faults"][place]["evidence"].to_string();
    let kinds = [
        "wiped",
        "messages_touched",
        "held_back",
        "requests_met",
        "snapshot_taken",
        "shut_down",
        "asked",
        "asked",
    ];
    for (place, kind) in kinds.into_iter().enumerate() {
        assert!(evidence(place).contains(kind), "{kind} is not in {}", evidence(place));
    }
}

/// The words that start a node as its users do, as a plan writes them; and these, too.
fn node(more: &[&str]) -> String {
    let words = [
        &[env!("CARGO_BIN_EXE_raft-chaos"), "node", "--id", "{id}", "--listen", "{addr}"][..],
        &["--peers", "{peers}", "--data", "{data_dir}", "--kind", "kv", "--election-timeout", "500ms..1s"],
        more,
    ];
    format!("{:?}", words.concat())
}

const EVENTS: [&str; 2] = ["--events", "{events}"];

/// Nodes as their users start them are upgraded to the next release, one after the other while clients write, and one of them
/// back: each speaks then what that release does, and nothing is lost.
#[cfg(feature = "test-version")]
#[test]
fn nodes_are_upgraded_one_after_the_other_and_nothing_is_lost() {
    let tool = Tool::new();
    let (this, next) = (node(&EVENTS), node(&[&EVENTS[..], &["--next-version"]].concat()));
    let mut plan = format!(
        r#"
schema = 1
name = "upgrade-for-real"
run = {{ mode = "process", seeds = 1, warmup = "5s", duration = "20s", settle = "5s" }}
process.node = {this}
workload = {{ kind = "kv", rate = 200, retries = "session" }}
check = {{ liveness = {{ leader_within = "8s", commit_within = "10s" }}, evidence.ops_ok = ">= 1000" }}
"#
    );
    let upgrades = [(1, &next), (2, &next), (3, &next), (2, &this)];
    for (nth, (target, node)) in upgrades.into_iter().enumerate() {
        let at = 500 + 4500 * nth;
        plan += &format!(
            "[[event]]\nwhen = {{ at = \"{at}ms\" }}\ndo = \"upgrade\"\ntarget = {target}\nnode = {node}\n"
        );
    }
    let (code, results) = tool.run(&tool.plan(&plan), &[]);
    let [result] = &results[..] else { panic!("{results:?}") };
    assert_eq!((code, &result["verdict"]), (0, &"pass".into()), "{result}");
    assert_eq!((&result["checker"]["verdict"], &result["restarts"]), (&"linearizable".into(), &4.into()));
    let versions = Versions::new(Version::OLDEST, Version::NEXT).unwrap();
    let (this, next) = (Versions::OURS.to_string(), versions.to_string());
    let spoken = [("1", &this, &next), ("2", &this, &next), ("3", &this, &next), ("2", &next, &this)];
    for (place, (id, before, after)) in spoken.into_iter().enumerate() {
        let evidence = &result["faults"][place]["evidence"]["upgraded"];
        assert_eq!(*evidence, serde_json::json!({ id: { "before": before, "after": after } }), "{result}");
    }
}

/// What of a result nobody knows where nothing is heard of nodes.
const UNHEARD: [&str; 11] = [
    "elections",
    "terms",
    "committed",
    "snapshots_taken",
    "snapshots_installed",
    "append_rejections",
    "commands_repeated",
    "sessions_expired",
    "entries_repaired",
    "recovery_ms",
    "coverage",
];

/// Of nodes that do not tell what happens in them the history is judged, and what is seen from outside. What is not seen nobody
/// claims.
#[test]
fn nodes_of_which_nothing_is_heard_are_run_all_the_same() {
    let tool = Tool::new();
    let plan = |node: &str| {
        format!(
            r#"
schema = 1
name = "silent-for-real"
run = {{ mode = "process", seeds = 1, warmup = "5s", duration = "6s", settle = "4s" }}
process.node = {node}
workload.kind = "kv"
check.evidence.ops_ok = ">= 200"
[[event]]
name = "kill"
when.at = "500ms"
do = "crash"
target = 1
restart_after = "1s"
[[event]]
when = {{ event = "kill", after = "3s" }}
do = "stop"
target = "one"
restart_after = "1s"
"#
        )
    };
    let said = tool.call(&["run", &tool.plan(&plan(&node(&[]))), "--report"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let run = folders(&tool.path("raft-chaos-out/silent-for-real")).remove(0);
    let read = |file: &str| fs::read_to_string(run.join(file)).unwrap();
    let result: Value = serde_json::from_str(&read("result.json")).unwrap();
    assert_eq!((&result["checker"]["verdict"], &result["restarts"]), (&"linearizable".into(), &2.into()));
    for key in UNHEARD {
        assert_eq!(result.get(key), Some(&Value::Null), "{key}");
    }
    let cluster = said.out.lines().find(|line| line.starts_with("cluster   "));
    assert_eq!(cluster, Some("cluster   2 restarts; of what happens in nodes nothing is heard"));
    assert!(!said.out.contains("elections") && !said.out.contains("recovery"), "{}", said.out);
    assert!(read("report.html").contains("restarts") && !read("report.html").contains("entries committed"));
    let said = tool.call(&["run", &tool.plan(&plan(r#"["no-such-node", "{id}"]"#))]);
    assert_eq!(said.code, 69, "{}", said.out);
    assert!(said.err.contains("no-such-node: there is no such command"), "{}", said.err);
}

/// A bug that every server has is found, and the run leaves what it was found in.
#[cfg(feature = "planted-bugs")]
#[test]
fn what_servers_do_wrong_is_found_across_their_records() {
    let tool = Tool::new();
    let plan = FAULTS.replace("for-real", "wrong-for-real");
    let (code, results) = tool.run(&tool.plan(&plan), &["--plant", "ack-before-sync"]);
    let [result] = &results[..] else { panic!("{results:?}") };
    assert_eq!((code, &result["verdict"]), (1, &"safety".into()), "{result}");
    let found = result["violations"].to_string();
    assert!(found.contains("durable-before-ack"), "{found}");
    let runs = folders(&tool.path("raft-chaos-out/wrong-for-real"));
    assert!(runs[0].join("nodes/1/events.jsonl").exists() && runs[0].join("report.html").exists());
}

/// All seeds are simulated, and the first is run for real as well. Nothing there goes the same way twice.
#[test]
fn a_plan_of_both_worlds_runs_in_both() {
    let tool = Tool::new();
    let run = r#"{ mode = "both", seeds = "4..6", warmup = "5s", duration = "1s", settle = "1s" }"#;
    let slow = r#"election_timeout = ["500ms", "1s"]"#;
    let plan = tool.plan(&format!("schema = 1\nname = \"both\"\nrun = {run}\ncluster.{slow}\n"));
    let (code, results) = tool.run(&plan, &[]);
    assert_eq!(code, 0, "{results:?}");
    let mut ran: Vec<_> =
        results.iter().map(|run| (run["mode"].to_string(), run["seed"].to_string())).collect();
    ran.sort();
    let ran: Vec<_> = ran.iter().map(|(mode, seed)| (mode.as_str(), seed.as_str())).collect();
    assert_eq!(ran, [("\"process\"", "4"), ("\"sim\"", "4"), ("\"sim\"", "5")]);
    let said = tool.call(&["determinism", &plan]);
    assert!(said.code == 69 && said.err.contains("run.mode"), "{}", said.err);
}

/// A tool in the middle of a run, and the processes of its servers.
struct Running {
    child: Child,
    run: PathBuf,
    servers: Vec<Pid>,
}

fn begin(tool: &Tool) -> Running {
    let plan = tool.plan(FAULTS);
    let mut command = Command::new(env!("CARGO_BIN_EXE_raft-chaos"));
    command.args(["run", &plan, "--format", "json"]).current_dir(tool.path("."));
    let child = command.stdout(Stdio::piped()).process_group(0).spawn().unwrap();
    let (run, servers) = started(tool);
    Running { child, run, servers }
}

/// Waits until all servers of a run have begun.
fn started(tool: &Tool) -> (PathBuf, Vec<Pid>) {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(run) = only_run(tool) {
            let register = fs::read_to_string(run.join("processes.jsonl")).unwrap_or_default();
            let pid = |line: &str| {
                let process: Value = serde_json::from_str(line).ok()?;
                Pid::from_raw(process["pid"].as_i64()?.try_into().ok()?)
            };
            // The first is the run itself.
            let pids: Vec<_> = register.lines().filter_map(pid).collect();
            // Who writes will end with the tool; who has not begun to may not know yet.
            let writes = |id: u64| run.join(format!("nodes/{id}/events.jsonl")).exists();
            if pids.len() == 4 && (1..=3).all(writes) {
                return (run, pids[1..].to_vec());
            }
        }
        assert!(Instant::now() < until, "the servers never started");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Whether a process has not ended. Who has ended may wait for somebody to take note.
fn goes_on(process: &Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero()));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

/// Waits until all of these processes have ended.
fn all_end(processes: &[Pid]) {
    let until = Instant::now() + Duration::from_secs(30);
    while processes.iter().any(goes_on) {
        assert!(Instant::now() < until, "they go on");
        thread::sleep(Duration::from_millis(10));
    }
}

/// The servers end at once, also one that is stopped; the next start removes the rest.
#[test]
fn a_tool_that_is_killed_leaves_nothing_behind() {
    let tool = Tool::new();
    let Running { mut child, run, servers } = begin(&tool);
    kill_process(servers[0], Signal::STOP).unwrap();
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    all_end(&servers);
    assert!(run.join("nodes").exists(), "nobody could remove it");
    let next = "schema = 1\nname = \"next\"\nrun = { seeds = 1, duration = \"2s\", settle = \"1s\" }";
    let next = tool.call(&["run", &tool.plan(next)]);
    assert_eq!(next.code, 0, "{}", next.err);
    assert!(next.err.contains("its tool was killed"), "{}", next.err);
    assert!(!run.join("nodes").exists() && !run.join("processes.jsonl").exists());
}

#[test]
fn an_interrupt_ends_a_run_in_order() {
    let tool = Tool::new();
    let Running { mut child, run, servers } = begin(&tool);
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    all_end(&servers);
    let result: Value = serde_json::from_slice(&fs::read(run.join("result.json")).unwrap()).unwrap();
    assert_eq!(result["verdict"], "interrupted");
    assert!(!run.join("nodes").exists() && !run.join("processes.jsonl").exists());
}
