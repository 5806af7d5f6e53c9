//! Ten times more than the disks take: three servers refuse it at the door, what they keep of it is bounded, and what they
//! take they take as fast as before. Memory is measured as the system sees it, so this is a process of its own.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use raft_core::node::{Done, LogStore, Refusal, SnapshotReader, SystemEnvironment};
use raft_core::server::{Failed, Machine, Raw, Server, Why, snapshot_of, state_of};
use raft_core::{Batch, Config, Incarnation, Load, LogIndex, NodeId, RoleName};
use raft_net::{Net, Tcp, TcpNet};
use raft_storage::{DiskFaults, MemoryDisk, MemoryStore, Opened};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

const MIB: usize = 1024 * 1024;
const COMMAND_BYTES: usize = 16 * 1024;
/// What a disk takes in a second.
const DISK_BYTES: usize = 4 * MIB;
/// How long it takes to sync a batch, beyond its bytes.
const SYNC: Duration = Duration::from_millis(2);
/// Who propose one command after the other: enough that a disk never waits.
const PROPOSERS: usize = 64;
/// How long each part of the test takes, and how many there are with enough load and with too much: of each kind the median
/// counts, so that one in which the machine stood still does not.
const PART: Duration = Duration::from_secs(2);
const ENOUGH_PARTS: usize = 3;
const PARTS: usize = 5;
/// How many times too much that is.
const TOO_MUCH: u64 = 10;

// What each server is allowed to keep.
const UNCOMMITTED_BYTES: usize = 2 * MIB;
const CACHE_BYTES: usize = 2 * MIB;
const WINDOW_BYTES: usize = 2 * MIB;
const DISK_PATIENCE: Duration = Duration::from_secs(4);
const SNAPSHOT_ENTRIES: u64 = 200;
const SNAPSHOT_TRAILING: u64 = 50;

// What of it is no setting: bytes of requests at a node's door, and bytes that wait for one connection.
const REQUEST_BYTES: usize = 16 * MIB;
const WAITING_BYTES: usize = 4 * MIB;

/// By how much memory may grow under too much load, as the limits of the queues have it.
fn budget() -> usize {
    let log = usize::try_from(SNAPSHOT_ENTRIES + SNAPSHOT_TRAILING).unwrap() * COMMAND_BYTES;
    let leader = REQUEST_BYTES + UNCOMMITTED_BYTES + CACHE_BYTES + 2 * WAITING_BYTES;
    let follower = WINDOW_BYTES + CACHE_BYTES;
    leader + 2 * follower + 3 * log
}

/// A disk that takes so many bytes in a second, in front of another one. All that waits is synced at once.
struct Slow {
    inner: MemoryStore,
    /// How large each write is that waits for the next sync.
    waiting: Vec<usize>,
    /// How many writes are being synced, and until when.
    syncing: Option<(usize, Instant)>,
    /// How many writes the inner one has done that nobody was told of.
    done: usize,
}

impl Slow {
    const fn new(inner: MemoryStore) -> Self {
        Self { inner, waiting: Vec::new(), syncing: None, done: 0 }
    }

    fn sync_next(&mut self) {
        if self.syncing.is_none() && !self.waiting.is_empty() {
            let bytes: usize = self.waiting.iter().sum();
            let took =
                Duration::from_secs(1) * u32::try_from(bytes).unwrap() / u32::try_from(DISK_BYTES).unwrap();
            self.syncing = Some((self.waiting.len(), Instant::now() + SYNC + took));
            self.waiting.clear();
        }
    }
}

#[async_trait]
impl LogStore for Slow {
    type Error = <MemoryStore as LogStore>::Error;

    fn write(&mut self, batch: Batch) {
        self.waiting.push(batch.entries.iter().map(|entry| entry.payload.bytes().len()).sum());
        self.inner.write(batch);
        self.sync_next();
    }

    fn load(&mut self, load: Load) {
        self.inner.load(load);
    }

    async fn done(&mut self) -> Result<Done, Self::Error> {
        loop {
            let synced = self.syncing.filter(|(writes, _)| *writes <= self.done);
            tokio::select! {
                biased;
                done = self.inner.done() => match done? {
                    Done::Persisted(writes) => self.done += writes,
                    loaded @ Done::Loaded(_) => return Ok(loaded),
                },
                () = sleep_until(synced.map_or_else(Instant::now, |(_, at)| at)), if synced.is_some() => {
                    let (writes, _) = self.syncing.take().unwrap();
                    self.done -= writes;
                    self.sync_next();
                    return Ok(Done::Persisted(writes));
                }
            }
        }
    }
}

/// Counts bytes.
struct Sum(u64);

impl Machine for Sum {
    type Command = Raw;
    type Answer = u64;
    type Query = ();
    type Reply = u64;

    fn apply(&mut self, _: LogIndex, Raw(command): Raw) -> u64 {
        self.0 += command.len() as u64;
        self.0
    }

    fn query(&self, (): ()) -> u64 {
        self.0
    }

    fn snapshot(&self) -> io::Result<SnapshotReader> {
        snapshot_of(&self.0)
    }

    async fn restore(&mut self, snapshot: SnapshotReader) -> io::Result<()> {
        self.0 = state_of(snapshot).await?;
        Ok(())
    }
}

async fn start() -> Vec<Server<Sum>> {
    let (mut addresses, mut listeners) = (BTreeMap::new(), Vec::new());
    for id in (1..=3).map(NodeId::new) {
        let listener = TcpNet.listen("127.0.0.1:0").await.unwrap();
        addresses.insert(id, TcpNet.local_address(&listener).unwrap());
        listeners.push((id, listener));
    }
    let mut servers = Vec::new();
    for (id, listener) in listeners {
        let mut config = Config::new(id, addresses.keys().copied().collect());
        config.election_timeout = (Duration::from_secs(2), Duration::from_secs(3));
        config.uncommitted_bytes_max = UNCOMMITTED_BYTES;
        config.cache_bytes_max = CACHE_BYTES;
        config.append_window_bytes = WINDOW_BYTES;
        config.disk_patience = DISK_PATIENCE;
        config.snapshot_entries = SNAPSHOT_ENTRIES;
        config.snapshot_trailing = SNAPSHOT_TRAILING;
        let (clock, at_once) = (SystemEnvironment::new(), Box::new(|| Duration::ZERO));
        let disk = MemoryDisk::new();
        let opened = MemoryStore::open(&disk, Incarnation::random(), clock, at_once, DiskFaults::new(0));
        let Opened { store, restored, incarnation, torn_bytes } = opened;
        let log = Opened { store: Slow::new(store), restored, incarnation, torn_bytes };
        let tcp = Tcp::new(addresses.clone()).listener(listener);
        let server = Server::builder(config).log(log).network(tcp).machine(Sum(0)).start().await.unwrap();
        servers.push(server);
    }
    servers
}

async fn leader(servers: &[Server<Sum>]) -> Server<Sum> {
    loop {
        if let Some(leader) = servers.iter().find(|server| server.status().role == RoleName::Leader) {
            return leader.clone();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// What became of commands.
#[derive(Default)]
struct Ends {
    applied: AtomicU64,
    overloaded: AtomicU64,
    other: AtomicU64,
}

impl Ends {
    async fn propose(&self, server: &Server<Sum>) {
        let command = Raw(Bytes::from(vec![7; COMMAND_BYTES]));
        let count = match server.propose(command).await {
            Ok(_) => &self.applied,
            Err(Failed::NotApplied(Why::Refused(Refusal::Overloaded))) => &self.overloaded,
            Err(_) => &self.other,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    fn take(&self) -> [u64; 3] {
        [&self.applied, &self.overloaded, &self.other].map(|count| count.swap(0, Ordering::Relaxed))
    }
}

/// As many commands as are applied in so long, by proposers each of whom waits for the answer.
async fn enough(server: &Server<Sum>, time: Duration) -> u64 {
    let (ends, until) = (Arc::new(Ends::default()), Instant::now() + time);
    let mut proposers = tokio::task::JoinSet::new();
    for _ in 0..PROPOSERS {
        let (server, ends) = (server.clone(), Arc::clone(&ends));
        proposers.spawn(async move {
            while Instant::now() < until {
                ends.propose(&server).await;
            }
        });
    }
    sleep_until(until).await;
    let [applied, ..] = ends.take();
    while proposers.join_next().await.is_some() {}
    applied
}

/// That many commands in so long, evenly, by proposers who wait for nobody.
async fn too_much(server: &Server<Sum>, ends: &Arc<Ends>, commands: u64, time: Duration) {
    let ticks = u64::try_from(time.as_millis()).unwrap();
    let mut tick = interval(Duration::from_millis(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for number in 0..ticks {
        tick.tick().await;
        for _ in number * commands / ticks..(number + 1) * commands / ticks {
            let (server, ends) = (server.clone(), Arc::clone(ends));
            tokio::spawn(async move { ends.propose(&server).await });
        }
    }
}

/// A size of this process, in bytes.
fn memory(name: &str) -> Option<usize> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().strip_suffix(" kB")?.parse::<usize>().ok().map(|kib| kib * 1024)
}

fn median(counts: &mut [u64]) -> u64 {
    counts.sort_unstable();
    counts[counts.len() / 2]
}

fn mib(bytes: usize) -> String {
    format!("{:.1} MiB", bytes as f64 / MIB as f64)
}

/// With one arena, so that what one thread has freed another one takes: in a process that is told so before it begins.
const ARENAS: &str = "MALLOC_ARENA_MAX";

fn main() {
    if memory("VmRSS").is_none() {
        println!("this system does not say how much memory a process has: nothing is measured");
    } else if env::var(ARENAS).is_ok() {
        measure();
    } else {
        let itself = env::current_exe().unwrap();
        assert!(Command::new(itself).env(ARENAS, "1").status().unwrap().success());
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn measure() {
    let resident = || memory("VmRSS").unwrap();
    let servers = start().await;
    let leader = leader(&servers).await;
    let term = leader.status().current_term;
    // Once to warm up.
    enough(&leader, PART).await;
    let mut enough_applied = [0; ENOUGH_PARTS];
    for applied in &mut enough_applied {
        *applied = enough(&leader, PART).await;
    }
    let capacity = median(&mut enough_applied);
    let (before, snapshot) = (resident(), leader.status().snapshot_index);
    println!("the disks take {capacity} commands in {PART:?}; {} are in memory", mib(before));

    let ends = Arc::new(Ends::default());
    let (mut after, mut taken, mut refused) = (Vec::new(), [0; PARTS], [0; PARTS]);
    for part in 0..PARTS {
        too_much(&leader, &ends, TOO_MUCH * capacity, PART).await;
        let [applied, overloaded, other] = ends.take();
        after.push(resident());
        println!(
            "of {} commands {applied} were applied, {overloaded} refused; {} are in memory, {} have a snapshot",
            TOO_MUCH * capacity,
            mib(resident()),
            leader.status().snapshot_index
        );
        assert_eq!((other, leader.status().current_term), (0, term), "nobody else came to lead");
        (taken[part], refused[part]) = (applied, overloaded);
    }
    assert!(median(&mut refused) > 8 * capacity, "what is too much is refused at the door");
    assert!(4 * median(&mut taken) > 3 * capacity, "what is taken is taken as fast as before");
    assert!(leader.status().snapshot_index > snapshot, "logs are compacted all the same");
    let (most, grown) = (memory("VmHWM").unwrap(), |memory: usize| memory.saturating_sub(before));
    println!("at most {} were, of {} that the limits allow beyond {}", mib(most), mib(budget()), mib(before));
    assert!(grown(most) <= budget(), "{} more than before", mib(grown(most)));
    // In the first half what is allowed fills up.
    let (first, last) = (after[PARTS / 2], after[PARTS - 1]);
    assert!(last <= first + budget() / 12, "it grows on: {} after {}", mib(last), mib(first));
}
