//! What a run has begun outside of its own process, written down so that it can be ended by whoever comes later.
//!
//! Servers end with the process that started them, however that ends. What is left then are directories; and, where a system
//! does not do as Linux does, the servers.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, getppid, kill_process_group};
use serde::{Deserialize, Serialize};

/// The name of a register in the folder of a run, and of the folder with its servers.
const REGISTER: &str = "processes.jsonl";
pub(crate) const NODES: &str = "nodes";

/// Has this process killed when the one that started it ends, however that comes about, also while it is stopped. Where the
/// system has no such thing, what it leaves is found by whoever comes later.
pub(crate) fn end_with(parent: u32) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // It may have ended before.
    let now = getppid().map(|parent| parent.as_raw_nonzero().get().unsigned_abs());
    if now == Some(parent) { Ok(()) } else { Err(io::Error::other("whoever started this is gone")) }
}

/// A process, which is not the next one that has its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Process {
    pid: u32,
    /// When it began, as the system counts.
    began: u64,
}

impl Process {
    /// None if there is no such process any more.
    fn of(pid: u32) -> Option<Self> {
        let (_, began) = stat(pid)?;
        Some(Self { pid, began })
    }

    fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }
}

/// The state of a process and when it began, as `/proc` has them; none of one that has ended.
pub(super) fn stat(pid: u32) -> Option<(char, u64)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Its name, in parentheses, can hold anything.
    let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace();
    let state = fields.next()?.chars().next().filter(|state| !matches!(state, 'Z' | 'X'))?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

/// The processes of a run that goes on. The first is that of the run itself.
#[derive(Debug)]
pub(crate) struct Register {
    path: PathBuf,
    file: File,
}

impl Register {
    /// Of this process's run, in this folder.
    pub(crate) fn begin(folder: &Path) -> io::Result<Self> {
        let path = folder.join(REGISTER);
        let mut register = Self { file: File::create(&path)?, path };
        register.add(std::process::id())?;
        Ok(register)
    }

    /// Another process has begun.
    pub(crate) fn add(&mut self, pid: u32) -> io::Result<()> {
        let Some(process) = Process::of(pid) else { return Ok(()) };
        writeln!(self.file, "{}", serde_json::to_string(&process)?)
    }
}

impl Drop for Register {
    /// All of them have ended.
    fn drop(&mut self) {
        // Whoever comes next finds nothing to do in it.
        drop(fs::remove_file(&self.path));
    }
}

/// Ends what runs under `out` have left behind whose process was killed: their servers, and the directories of those. Gives
/// the folders of these runs.
///
/// # Errors
///
/// Something cannot be removed.
pub(crate) fn clean(out: &Path) -> io::Result<Vec<PathBuf>> {
    let runs: Vec<_> = folders(out).iter().flat_map(|plan| folders(plan)).collect();
    let seeds = runs.iter().flat_map(|run| folders(run));
    let mut cleaned = Vec::new();
    for run in runs.iter().cloned().chain(seeds) {
        if clean_run(&run)? {
            cleaned.push(run);
        }
    }
    Ok(cleaned)
}

/// The same for one run by its folder; whether there was something to do.
pub(crate) fn clean_run(run: &Path) -> io::Result<bool> {
    let Ok(register) = fs::read_to_string(run.join(REGISTER)) else { return Ok(false) };
    // The last line may have been on its way.
    let mut processes = register.lines().map_while(|line| serde_json::from_str::<Process>(line).ok());
    // Without a first line it is only just beginning.
    if processes.next().is_none_or(Process::is_alive) {
        return Ok(false);
    }
    for process in processes.filter(|process| process.is_alive()) {
        if let Some(pid) = i32::try_from(process.pid).ok().and_then(Pid::from_raw) {
            // Each is the first of its group. One that has ended meanwhile is what is wanted.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
    let nodes = run.join(NODES);
    if nodes.exists() {
        fs::remove_dir_all(nodes)?;
    }
    fs::remove_file(run.join(REGISTER))?;
    Ok(true)
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::os::unix::process::CommandExt as _;
    use std::process::{Child, Command, Stdio};
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// A script that starts what goes on, as a server is started: in a group of its own.
    fn sleeper() -> Child {
        let script = "sleep 600 & echo $!; wait";
        Command::new("sh").args(["-c", script]).stdout(Stdio::piped()).process_group(0).spawn().unwrap()
    }

    /// What the script has started.
    fn started_by(sleeper: &mut Child) -> Process {
        let mut line = String::new();
        BufReader::new(sleeper.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Process::of(line.trim().parse().unwrap()).unwrap()
    }

    /// The system may take a moment over it.
    fn until_gone(process: Process) {
        for _ in 0..1_000 {
            if !process.is_alive() {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("{process:?} goes on");
    }

    /// A run's folder with servers, and a register of these processes.
    fn run(out: &Path, name: &str, processes: &[Process]) -> PathBuf {
        let run = out.join("plan").join(name);
        fs::create_dir_all(run.join(NODES).join("1")).unwrap();
        let lines: Vec<_> = processes.iter().map(|process| serde_json::to_string(process).unwrap()).collect();
        fs::write(run.join(REGISTER), lines.join("\n") + "\n{\"pid\":").unwrap();
        run
    }

    /// Of a run whose process is gone its servers are killed and their directories removed; one that goes on is left alone,
    /// and so is whoever has the number of a server by now.
    #[test]
    fn only_what_a_dead_run_has_left_is_ended() {
        let out = tempfile::tempdir().unwrap();
        let (mut server, mut other) = (sleeper(), sleeper());
        let [left, later] = [&server, &other].map(|child| Process::of(child.id()).unwrap());
        let [begun, begun_later] = [&mut server, &mut other].map(started_by);
        let own = Process::of(std::process::id()).unwrap();
        let dead = Process { began: own.began + 1, ..own };
        let earlier = Process { began: later.began - 1, ..later };
        let gone = run(out.path(), "1", &[dead, left, earlier]);
        let goes_on = run(out.path(), "2", &[own, later]);
        assert_eq!(clean(out.path()).unwrap(), std::slice::from_ref(&gone));
        assert!(!server.wait().unwrap().success(), "it was killed");
        until_gone(begun);
        assert!(begun_later.is_alive());
        assert!(later.is_alive() && goes_on.join(NODES).exists());
        assert!(gone.exists() && !gone.join(NODES).exists() && !gone.join(REGISTER).exists());
        assert!(clean(out.path()).unwrap().is_empty(), "nothing is left");
        let _ = kill_process_group(Pid::from_child(&other), Signal::KILL);
        other.wait().unwrap();
        assert!(!later.is_alive());
    }

    /// A register names its own process, and goes with it.
    #[test]
    fn a_run_that_goes_on_is_registered() {
        let out = tempfile::tempdir().unwrap();
        let folder = out.path().join("plan/1/seed-7");
        fs::create_dir_all(&folder).unwrap();
        let register = Register::begin(&folder).unwrap();
        assert!(clean(out.path()).unwrap().is_empty() && folder.join(REGISTER).exists());
        drop(register);
        assert!(!folder.join(REGISTER).exists());
    }
}
