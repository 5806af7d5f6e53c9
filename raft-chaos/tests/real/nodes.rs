//! Nodes as processes on this machine, and a client of them. Those that still run when the test ends are killed.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio, id};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::tool::{Said, Tool};

/// How long anything may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
/// Long, so that votes are on a slow disk before the next election, and leadership is handed over before that is given up.
pub(crate) const ELECTION: &str = "1s..2s";

/// A folder with the directories of nodes, and those that run.
pub(crate) struct Nodes {
    pub(crate) tool: Tool,
    ports: BTreeMap<u64, (u16, u16)>,
    running: BTreeMap<u64, Child>,
}

/// Ports of this process's own host: nobody else takes one while a node is down.
fn port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(20_000);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A host of this process alone.
pub(crate) fn host() -> Ipv4Addr {
    let [_, high, middle, low] = id().to_be_bytes();
    if cfg!(target_os = "linux") {
        Ipv4Addr::new(127, 64 | high & 63, middle, low)
    } else {
        Ipv4Addr::LOCALHOST
    }
}

/// Tries until it has something, or the test has taken too long.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let began = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(last) if began.elapsed() > LIMIT => panic!("{what}: not within {LIMIT:?}: {last}"),
            Err(_) => thread::sleep(Duration::from_millis(10)),
        }
    }
}

impl Nodes {
    pub(crate) fn new() -> Self {
        Self { tool: Tool::new(), ports: BTreeMap::new(), running: BTreeMap::new() }
    }

    /// Nodes 1 to `count` of a new cluster, each of them ready.
    pub(crate) fn cluster(count: u64) -> Self {
        let mut nodes = Self::new();
        nodes.begin(count);
        nodes
    }

    pub(crate) fn begin(&mut self, count: u64) {
        let peers = self.peers(count);
        for id in 1..=count {
            self.start(id, &["--peers", &peers]);
        }
        (1..=count).for_each(|id| self.is_ready(id));
    }

    pub(crate) fn peers(&mut self, count: u64) -> String {
        (1..=count).map(|id| format!("{id}={}", self.address(id))).collect::<Vec<_>>().join(",")
    }

    /// Where a node listens.
    pub(crate) fn address(&mut self, id: u64) -> String {
        let (port, _) = self.ports.entry(id).or_insert_with(|| (port(), port()));
        format!("{}:{port}", host())
    }

    pub(crate) fn http(&mut self, id: u64) -> String {
        let (_, port) = self.ports.entry(id).or_insert_with(|| (port(), port()));
        format!("{}:{port}", host())
    }

    /// What a node is usually told.
    fn told(&mut self, id: u64) -> Vec<String> {
        let (listen, http) = (self.address(id), self.http(id));
        let id_word = id.to_string();
        let words =
            ["node", "--id", &id_word, "--listen", &listen, "--http", &http, "--election-timeout", ELECTION];
        words.into_iter().map(str::to_owned).chain(["--data".to_owned(), format!("n{id}")]).collect()
    }

    pub(crate) fn start(&mut self, id: u64, more: &[&str]) {
        self.start_by(Command::new(env!("CARGO_BIN_EXE_raft-chaos")), id, more);
    }

    /// A node whose files cannot grow beyond a megabyte.
    pub(crate) fn start_on_a_small_disk(&mut self, id: u64, more: &[&str]) {
        self.start_limited("trap '' XFSZ; ulimit -f 2000", id, more);
    }

    /// A node that is started by a shell, after this.
    pub(crate) fn start_limited(&mut self, limits: &str, id: u64, more: &[&str]) {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{limits}; exec \"$@\""), "sh", env!("CARGO_BIN_EXE_raft-chaos")]);
        self.start_by(shell, id, more);
    }

    fn start_by(&mut self, mut command: Command, id: u64, more: &[&str]) {
        let log =
            std::fs::File::options().create(true).append(true).open(self.tool.path(&format!("n{id}.log")));
        let node = command
            .args(self.told(id))
            .args(more)
            .current_dir(self.tool.path("."))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.unwrap())
            .spawn();
        self.running.insert(id, node.unwrap());
    }

    pub(crate) fn log(&self, id: u64) -> String {
        std::fs::read_to_string(self.tool.path(&format!("n{id}.log"))).unwrap_or_default()
    }

    /// What a node answers by HTTP.
    pub(crate) fn get(&mut self, id: u64, path: &str) -> Result<(u16, String), String> {
        let http = self.http(id);
        let asked = || {
            let mut stream = TcpStream::connect(&http)?;
            stream.set_read_timeout(Some(LIMIT))?;
            write!(stream, "GET {path} HTTP/1.1\r\nHost: {http}\r\nConnection: close\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).map(|_| answer)
        };
        let answer = asked().map_err(|error: std::io::Error| error.to_string())?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| format!("no answer: {answer:?}"))?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Ok((status.ok_or_else(|| head.to_owned())?, body.to_owned()))
    }

    /// Waits until a node answers, of use or not.
    pub(crate) fn lives(&mut self, id: u64) {
        until(&format!("n{id} lives"), || match self.get(id, "/health")? {
            (200, _) => Ok(()),
            (_, why) => Err(why),
        });
    }

    /// Waits until a node is of use.
    pub(crate) fn is_ready(&mut self, id: u64) {
        until(&format!("n{id} is ready"), || match self.get(id, "/ready")? {
            (200, _) => Ok(()),
            (_, why) => Err(format!("{why}\n{}", self.log(id))),
        });
    }

    /// A number that a node measures.
    pub(crate) fn measured(&mut self, id: u64, metric: &str) -> Result<f64, String> {
        let (_, page) = self.get(id, "/metrics")?;
        let line = page.lines().find_map(|line| line.strip_prefix(metric)?.strip_prefix(' '));
        line.and_then(|number| number.parse().ok()).ok_or_else(|| format!("no {metric} in\n{page}"))
    }

    /// Asks through all of these nodes.
    pub(crate) fn ask(&mut self, through: &[u64], words: &[&str]) -> Said {
        let servers = through.iter().map(|id| self.address(*id)).collect::<Vec<_>>().join(",");
        let mut arguments = vec!["client", "--servers", &servers, "--timeout", "40s"];
        arguments.extend(words);
        self.tool.call(&arguments)
    }

    /// The same, which is done; what it prints.
    pub(crate) fn done(&mut self, through: &[u64], words: &[&str]) -> String {
        let said = self.ask(through, words);
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{words:?}: {}", said.out);
        said.out.trim_end().to_owned()
    }

    /// The same as JSON.
    pub(crate) fn json(&mut self, through: &[u64], words: &[&str]) -> Value {
        let said = self.ask(through, &[words, &["--format", "json"]].concat());
        serde_json::from_str(&said.out)
            .unwrap_or_else(|error| panic!("{words:?}: {error}: {} {}", said.out, said.err))
    }

    /// Waits until somebody leads.
    pub(crate) fn leader(&mut self, through: &[u64]) -> u64 {
        until("a leader", || {
            self.json(through, &["status"])["leader"].as_u64().ok_or_else(|| "none".to_owned())
        })
    }

    /// As the system does when memory is short.
    pub(crate) fn kill(&mut self, id: u64) {
        let mut node = self.running.remove(&id).unwrap();
        node.kill().unwrap();
        node.wait().unwrap();
    }

    /// Tells a node to end, and waits until it has.
    pub(crate) fn stop(&mut self, id: u64) -> ExitStatus {
        kill_process(Pid::from_child(&self.running[&id]), Signal::TERM).unwrap();
        self.ends(id)
    }

    /// Waits until a node has ended.
    pub(crate) fn ends(&mut self, id: u64) -> ExitStatus {
        let mut node = self.running.remove(&id).unwrap();
        until(&format!("n{id} has ended"), || node.try_wait().unwrap().ok_or_else(|| "it runs".to_owned()))
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for (id, node) in &mut self.running {
            // It may have ended by itself, which is what the test is about to tell.
            drop(node.kill());
            drop(node.wait());
            if thread::panicking() {
                let log = std::fs::read_to_string(self.tool.path(&format!("n{id}.log"))).unwrap_or_default();
                eprintln!("--- n{id}\n{log}");
            }
        }
    }
}
