//! `raft-chaos doctor`: what this machine allows, and what to do where it does not.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::statvfs;
use rustix::process::{Pid, Resource, Signal, getrlimit, kill_process};
use serde::Serialize;

use crate::plan::Plan;
use crate::runner::{How, Job, Runner};
use crate::scaffold;
use crate::verdict::Verdict;

/// What is written and synced to see how fast that is.
const BLOCK: [u8; 4096] = [0; 4096];
const SYNCS: usize = 64;
/// A sync that is faster than any disk was none.
const NO_SYNC: Duration = Duration::from_micros(20);
/// With slower ones plans on RocksDB take long.
const SLOW_SYNC: Duration = Duration::from_millis(20);
/// A node has a connection to each other and to each client, and RocksDB its files.
const FILES: u64 = 1024;
/// Directories of nodes, of a soak that keeps what it finds.
const FREE_MB: u64 = 1024;
/// One seed, and as many as there are cores at a time.
const MEMORY_MB: u64 = 256;

/// How something on this machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// As it should be.
    Good,
    /// It works, and not as well as it could.
    Poor,
    /// Something will not work.
    Bad,
}

/// Something that was looked at.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// What.
    pub what: &'static str,
    /// How it is.
    pub health: Health,
    /// What was seen.
    pub seen: String,
    /// What to do about it, where it is not good.
    pub cure: Option<&'static str>,
}

impl Finding {
    fn new(what: &'static str, seen: String, verdict: (Health, &'static str)) -> Self {
        let (health, cure) = verdict;
        Self { what, health, seen, cure: (health != Health::Good).then_some(cure) }
    }

    /// Something that could not even be tried.
    fn failed(what: &'static str, error: &io::Error, cure: &'static str) -> Self {
        Self::new(what, error.to_string(), (Health::Bad, cure))
    }
}

/// Poor below a bound.
const fn at_least(number: u64, bound: u64) -> Health {
    if number < bound { Health::Poor } else { Health::Good }
}

/// Looks at all that the tool needs, in `folder` where it needs a disk.
pub fn examine(runner: &Runner, folder: &Path) -> Vec<Finding> {
    let build = if cfg!(feature = "planted-bugs") { "with planted bugs" } else { "without planted bugs" };
    let judges =
        if cfg!(feature = "outside-judges") { "with outside judges" } else { "without outside judges" };
    vec![
        Finding::new(
            "build",
            format!("raft-chaos {}, {build}, {judges}", env!("CARGO_PKG_VERSION")),
            (Health::Good, ""),
        ),
        simulation(runner),
        cores(),
        memory(),
        space(folder),
        syncs(folder),
        files(),
        ports(),
        signals(),
    ]
}

/// The same seed twice, each in a process of its own.
fn simulation(runner: &Runner) -> Finding {
    let cure = "this is a bug of raft-chaos or of this build; build it anew, and report it";
    let overrides = ["cluster.storage=memory", "sim.tick=5ms"].map(str::to_owned);
    let run = || -> io::Result<(Verdict, String)> {
        let plan = Plan::parse(&scaffold::scaffold("doctor"), "doctor.toml", &overrides)
            .map_err(io::Error::other)?;
        let scratch = tempfile::tempdir()?;
        let job = Job { runner, plan: &plan, folder: scratch.path(), command: "" };
        let outcome = job.child(1, scratch.path(), How::default())?;
        Ok((outcome.verdict, outcome.result["event_hash"].to_string()))
    };
    let began = Instant::now();
    match run().and_then(|first| Ok((first, run()?))) {
        Ok(((Verdict::Pass, first), (Verdict::Pass, second))) if first == second => Finding::new(
            "simulation",
            format!("a seed went the same way twice, in {:.1} s", began.elapsed().as_secs_f64()),
            (Health::Good, ""),
        ),
        Ok((first, second)) => {
            Finding::new("simulation", format!("a seed gave {first:?} and {second:?}"), (Health::Bad, cure))
        }
        Err(error) => Finding::failed("simulation", &error, cure),
    }
}

fn cores() -> Finding {
    match thread::available_parallelism() {
        Ok(cores) => Finding::new(
            "cores",
            format!("{cores}: so many seeds run at a time"),
            (at_least(cores.get() as u64, 2), "many seeds take long; split them with soak --shard"),
        ),
        Err(error) => Finding::failed("cores", &error, "say how many seeds run at a time with --jobs"),
    }
}

fn memory() -> Finding {
    let available = fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
        line.trim().split(' ').next()?.parse::<u64>().ok()
    });
    let Some(mb) = available.map(|kb| kb >> 10) else {
        return Finding::new("memory", "this system does not say".to_owned(), (Health::Good, ""));
    };
    let cure = "run fewer seeds at a time with --jobs";
    Finding::new("memory", format!("{mb} MB are available"), (at_least(mb, MEMORY_MB), cure))
}

fn space(folder: &Path) -> Finding {
    let cure = "free some, or send results elsewhere with --out";
    match statvfs(folder) {
        Ok(stat) => {
            let mb = (stat.f_bavail * stat.f_frsize) >> 20;
            Finding::new("disk space", format!("{mb} MB are free"), (at_least(mb, FREE_MB), cure))
        }
        Err(error) => Finding::failed("disk space", &error.into(), cure),
    }
}

/// Whether blocks get to the disk, and soon.
fn syncs(folder: &Path) -> Finding {
    let cure = "write to another disk with --out";
    let times = match sync_times(folder) {
        Ok(times) => times,
        Err(error) => return Finding::failed("disk sync", &error, cure),
    };
    let (middle, worst) = (times[SYNCS / 2], times[SYNCS - 1]);
    let verdict = if middle < NO_SYNC {
        (
            Health::Poor,
            "this disk says that it has written before it has, or is memory: choose one that keeps its word with --out",
        )
    } else if middle > SLOW_SYNC {
        (Health::Poor, cure)
    } else {
        (Health::Good, "")
    };
    Finding::new("disk sync", format!("half of them within {middle:.1?}, all within {worst:.1?}"), verdict)
}

/// How long it takes until a block is on the disk, measured again and again, from the fastest to the slowest.
pub(crate) fn sync_times(folder: &Path) -> io::Result<Vec<Duration>> {
    let scratch = tempfile::tempdir_in(folder)?;
    let mut file = File::create(scratch.path().join("block"))?;
    let sync = |_| {
        let began = Instant::now();
        file.write_all(&BLOCK)?;
        file.sync_data()?;
        Ok(began.elapsed())
    };
    let mut times: Vec<_> = (0..SYNCS).map(sync).collect::<io::Result<_>>()?;
    times.sort_unstable();
    Ok(times)
}

fn files() -> Finding {
    let limit = getrlimit(Resource::Nofile).current;
    let seen = limit.map_or_else(|| "no limit".to_owned(), |limit| format!("at most {limit} open at a time"));
    Finding::new("files", seen, (at_least(limit.unwrap_or(u64::MAX), FILES), "raise it: ulimit -n 4096"))
}

/// Whether processes can listen on this machine and reach each other.
fn ports() -> Finding {
    let cure = "plans against real processes need TCP on 127.0.0.1; allow it, or stay in the simulation";
    let reached = || -> io::Result<u16> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        listener.accept()?;
        Ok(address.port())
    };
    match reached() {
        Ok(port) => {
            Finding::new("ports", format!("a listener on 127.0.0.1:{port} was reached"), (Health::Good, ""))
        }
        Err(error) => Finding::failed("ports", &error, cure),
    }
}

/// Whether a process of one's own can be stopped, continued and killed.
fn signals() -> Finding {
    let cure = "plans against real processes stop and kill them; allow signals, or stay in the simulation";
    let sleeper = Command::new("sleep").arg("60").spawn();
    match sleeper.and_then(|mut child| {
        let seen = signalled(&child);
        child.kill()?;
        child.wait()?;
        seen
    }) {
        Ok(()) => {
            let seen = "a process was stopped, continued and killed".to_owned();
            Finding::new("signals", seen, (Health::Good, ""))
        }
        Err(error) => Finding::failed("signals", &error, cure),
    }
}

fn signalled(child: &Child) -> io::Result<()> {
    let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let id = id.ok_or_else(|| io::Error::other("its process has no id"))?;
    kill_process(id, Signal::STOP)?;
    let stopped = (0..100).any(|_| {
        thread::sleep(Duration::from_millis(5));
        let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap_or_default();
        stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'))
    });
    kill_process(id, Signal::CONT)?;
    if stopped { Ok(()) } else { Err(io::Error::other("a process that was stopped went on")) }
}

/// What was found, a line each.
pub fn words(findings: &[Finding]) -> String {
    let line = |finding: &Finding| {
        let mark = match finding.health {
            Health::Good => "good",
            Health::Poor => "POOR",
            Health::Bad => "BAD ",
        };
        let cure = finding.cure.map_or_else(String::new, |cure| format!("\n                  {cure}"));
        format!("{mark}  {:<10}  {}{cure}", finding.what, finding.seen)
    };
    findings.iter().map(line).collect::<Vec<_>>().join("\n")
}
