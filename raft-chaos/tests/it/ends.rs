//! How the processes of seeds end, and what they leave.

use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

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
