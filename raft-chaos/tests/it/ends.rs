//! How the processes of seeds end, and what they leave.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;

#[cfg(feature = "planted-bugs")]
use crate::simulated::shipped;
use crate::tool::{SHORT, Tool};

/// A day of simulated time: it has no end of its own while a test goes on.
const DAY: &str = "run.duration=24h";

/// Whether it passes or is killed because it runs for too long.
#[test]
fn a_seed_leaves_nothing_in_the_folder_for_what_is_temporary() {
    let tool = Tool::new();
    let temporary = tool.path("tmp");
    fs::create_dir(&temporary).unwrap();
    let plan = tool.plan(SHORT);
    for (more, code) in [(&[][..], 0), (&["--set", DAY, "--set", "run.max_wall=500ms"][..], 2)] {
        let arguments = [&["run", &plan, "--seeds", "0..2"], more].concat();
        let said = tool.call_with(&arguments, &[("TMPDIR", temporary.to_str().unwrap())]);
        assert_eq!(said.code, code, "{}{}", said.out, said.err);
        let left: Vec<_> = fs::read_dir(&temporary).unwrap().map(|file| file.unwrap().path()).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// Whoever kills the tool has no use for what it has begun.
#[cfg(target_os = "linux")]
#[test]
fn the_process_of_a_seed_ends_with_the_tool_that_was_killed() {
    let tool = Tool::new();
    let (plan, out) = (tool.plan(SHORT), tool.path("out"));
    let mut killed = Command::new(env!("CARGO_BIN_EXE_raft-chaos"))
        .args(["run", &plan, "--seed", "1", "--set", DAY])
        .args(["--out".as_ref(), out.as_os_str()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let runs = || fs::read_dir(out.join("short")).into_iter().flatten().flatten();
    while !runs().any(|run| run.path().join("events.jsonl").exists()) {
        assert_eq!(killed.try_wait().unwrap(), None, "it has not run yet");
        thread::sleep(Duration::from_millis(10));
    }
    let seeds: Vec<_> = processes().filter(|seed| seed.parent == killed.id()).collect();
    assert_eq!(seeds.len(), 1, "{seeds:?}");
    killed.kill().unwrap();
    killed.wait().unwrap();
    // The system may take a moment.
    let goes_on = || processes().any(|now| (now.pid, now.began) == (seeds[0].pid, seeds[0].began));
    let is_over = (0..1_000).any(|_| {
        thread::sleep(Duration::from_millis(10));
        !goes_on()
    });
    assert!(is_over, "{seeds:?}");
}

/// Each row: a command line, and the exit code that it has though nobody reads standard error any more.
#[test]
fn nobody_has_to_hear_what_is_said_beside_a_run() {
    let tool = Tool::new();
    let plan = tool.plan(SHORT);
    for (arguments, code) in [
        (&["run", &plan, "--seeds", "0..3"][..], 0),
        (&["run", &plan, "--seeds", "5..1"], 64),
        (&["plan", "lint", "nowhere.toml"], 64),
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_raft-chaos"));
        let said = command.args(arguments).current_dir(tool.path("")).stderr(writer).output().unwrap();
        let out = String::from_utf8(said.stdout).unwrap();
        assert_eq!(said.status.code(), Some(code), "{arguments:?}: {out}");
        assert_eq!(out.contains("seeds     3: 3 pass"), code == 0, "{out}");
    }
}

/// The tool in a process group of its own, with this on its command line, where a test goes on until it ends.
fn begin(tool: &Tool, arguments: &[&str]) -> Child {
    let temporary = tool.path("tmp");
    fs::create_dir_all(&temporary).unwrap();
    let file = |name: &str| File::create(tool.path(name)).unwrap();
    Command::new(env!("CARGO_BIN_EXE_raft-chaos"))
        .args(arguments)
        // Nothing that goes wrong here goes on for ever.
        .args(["--set", DAY, "--set", "run.max_wall=2m", "--out"])
        .arg(tool.path("out"))
        .env("TMPDIR", temporary)
        .stdout(file("stdout"))
        .stderr(file("stderr"))
        .process_group(0)
        .spawn()
        .unwrap()
}

fn wait_until(running: &mut Child, is_so: impl Fn() -> bool) {
    while !is_so() {
        assert_eq!(running.try_wait().unwrap(), None, "it has not got that far");
        thread::sleep(Duration::from_millis(10));
    }
}

/// The folders of all runs of the plan of this name.
fn runs(tool: &Tool, plan: &str) -> Vec<PathBuf> {
    let runs = fs::read_dir(tool.path("out").join(plan)).into_iter().flatten();
    runs.map(|run| run.unwrap().path()).collect()
}

fn ok_of(result: &Value) -> u64 {
    result["ops"]["ok"].as_u64().unwrap()
}

/// Whether the tool alone is interrupted, the process of the seed alone, or all of them, as by a terminal: the run ends at once
/// with what is known, and the seed does not run again.
#[cfg(target_os = "linux")]
#[test]
fn an_interrupted_run_ends_with_what_is_known() {
    for whom in ["the tool", "the seed", "all"] {
        let tool = Tool::new();
        let mut running = begin(&tool, &["run", &tool.plan(SHORT), "--set", "sim.recheck=1"]);
        let pid = Pid::from_child(&running);
        let has_answers = |run: &PathBuf| {
            fs::read_to_string(run.join("history.jsonl")).is_ok_and(|history| history.contains(r#""ok""#))
        };
        wait_until(&mut running, || runs(&tool, "short").iter().any(has_answers));
        let seed = processes().find(|seed| seed.parent == running.id()).unwrap();
        match whom {
            "the tool" => kill_process(pid, Signal::INT),
            "the seed" => kill_process(Pid::from_raw(seed.pid.cast_signed()).unwrap(), Signal::TERM),
            _ => kill_process_group(pid, Signal::INT),
        }
        .unwrap();
        let code = running.wait().unwrap().code();
        let said = fs::read_to_string(tool.path("stdout")).unwrap();
        assert_eq!(code, Some(130), "{whom}: {said}");
        assert!(said.contains("verdict   INTERRUPTED (seed 3): somebody wanted the run to end"), "{said}");
        let [run] = &runs(&tool, "short")[..] else { panic!("one run") };
        let result: Value = serde_json::from_slice(&fs::read(run.join("result.json")).unwrap()).unwrap();
        assert_eq!((&result["verdict"], &result["stopped"]), (&"interrupted".into(), &"interrupt".into()));
        let history = fs::read_to_string(run.join("history.jsonl")).unwrap();
        assert_eq!(ok_of(&result), history.matches(r#""type":"ok""#).count() as u64);
        assert!(
            result["virtual_s"].as_f64() > Some(0.0) && result["wall_s"].as_f64() > Some(0.0),
            "{result}"
        );
        assert!(run.join("report.html").exists() && !run.join("nodes").exists());
    }
}

/// Each of them has its line, with what it came to until then.
#[test]
fn interrupted_seeds_are_told_with_what_is_known_of_them() {
    let tool = Tool::new();
    let mut running = begin(&tool, &["run", &tool.plan(SHORT), "--seeds", "0..2", "--jobs", "2"]);
    let folders = |path: &PathBuf| -> Vec<PathBuf> {
        let files = fs::read_dir(path).into_iter().flatten().flatten().map(|file| file.path());
        files.filter(|path| path.is_dir()).collect()
    };
    // Each seed has a folder, and its servers have one in it.
    let begun = || folders(&tool.path("tmp")).iter().filter(|seed| !folders(seed).is_empty()).count();
    wait_until(&mut running, || begun() == 2);
    thread::sleep(Duration::from_secs(1));
    kill_process(Pid::from_child(&running), Signal::INT).unwrap();
    assert_eq!(running.wait().unwrap().code(), Some(130));
    let [run] = &runs(&tool, "short")[..] else { panic!("one run") };
    let lines = fs::read_to_string(run.join("results.jsonl")).unwrap();
    let results: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(results.len(), 2, "{lines}");
    for result in results {
        assert!(result["verdict"] == "interrupted" && ok_of(&result) > 0, "{result}");
    }
}

/// What was found before an interrupt stands.
#[cfg(feature = "planted-bugs")]
#[test]
fn a_violation_outlasts_an_interrupt() {
    let tool = Tool::new();
    let plan = shipped("crash-loop.toml");
    let bug = ["--seed", "2", "--set", "cluster.storage=memory", "--plant", "vote-without-log-check"];
    let mut running = begin(&tool, &[&["run", &*plan], &bug[..]].concat());
    let said = || fs::read_to_string(tool.path("stdout")).unwrap();
    wait_until(&mut running, || said().contains("BROKEN"));
    kill_process(Pid::from_child(&running), Signal::INT).unwrap();
    assert_eq!(running.wait().unwrap().code(), Some(1), "{}", said());
    assert!(said().contains("verdict   SAFETY BROKEN (seed 2)"), "{}", said());
    let [run] = &runs(&tool, "crash-loop")[..] else { panic!("one run") };
    let result: Value = serde_json::from_slice(&fs::read(run.join("result.json")).unwrap()).unwrap();
    assert_eq!((&result["verdict"], &result["stopped"]), (&"safety".into(), &"interrupt".into()));
    let reasons = result["reasons"].as_array().unwrap();
    assert!(reasons[0] != "somebody wanted the run to end", "{reasons:?}");
    assert!(reasons.iter().any(|reason| reason == "somebody wanted the run to end"), "{reasons:?}");
}

/// A process that has not ended.
#[derive(Debug)]
struct Process {
    pid: u32,
    parent: u32,
    began: u64,
}

fn processes() -> impl Iterator<Item = Process> {
    let all = fs::read_dir("/proc").unwrap().flatten();
    all.filter_map(|process| {
        let pid = process.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(process.path().join("stat")).ok()?;
        // Its name, in parentheses, can hold anything.
        let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace();
        let _alive = fields.next().filter(|state| !matches!(*state, "Z" | "X"))?;
        let parent = fields.next()?.parse().ok()?;
        Some(Process { pid, parent, began: fields.nth(17)?.parse().ok()? })
    })
}
