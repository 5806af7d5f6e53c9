//! A follower that is a million entries behind is caught up from the leader's disk, and the leader's memory
//! stays what it was.

#![cfg(feature = "rocksdb")]

use std::collections::VecDeque;
use std::time::Duration;

use raft_core::node::{Done, LogStore};
use raft_core::{
    Config, Effects, Envelope, GroupId, Incarnation, Input, LogIndex, NodeId, Raft, Restored, RoleName, Time,
    WriteToken,
};
use raft_storage::RocksStore;

const ENTRIES: u64 = 1_000_000;
const COMMAND_BYTES: usize = 200;
/// What each server may keep of its log in memory.
const CACHE_BYTES: usize = 5 << 18;
/// By how much the leader's process may grow while the follower catches up. All entries are 200 MB.
const GROWTH_MAX_MIB: u64 = 32;

/// One server: its core, and what it waits for. Only the leader has a disk.
struct Server {
    raft: Raft,
    store: Option<RocksStore>,
    writing: VecDeque<WriteToken>,
    loading: usize,
    loads: u64,
}

impl Server {
    fn new(id: u64, store: Option<RocksStore>, restored: Restored) -> Self {
        let mut config = Config::new(NodeId::new(id), (1..=3).map(NodeId::new).collect());
        config.cache_bytes_max = CACHE_BYTES;
        config.snapshot_entries = 0;
        let raft = Raft::new(config, restored, Time::ZERO).unwrap();
        Self { raft, store, writing: VecDeque::new(), loading: 0, loads: 0 }
    }

    /// Takes in what came and does what the core asks for; returns what it sends.
    async fn run(&mut self, now: Time, inputs: impl IntoIterator<Item = Input>) -> Vec<Envelope> {
        inputs.into_iter().for_each(|input| self.raft.step(now, input));
        let mut sent = Vec::new();
        loop {
            let Effects { write, send, apply, load, violation, .. } = self.raft.take_effects();
            assert_eq!(violation, None);
            sent.extend(send);
            if !apply.is_empty() {
                self.raft.step(now, Input::Applied);
            }
            if write.is_none() && apply.is_empty() && load.is_empty() && self.is_idle() {
                return sent;
            }
            match (&mut self.store, write) {
                (Some(store), Some(write)) => {
                    self.writing.push_back(write.token);
                    store.write(write.batch);
                }
                // Nobody will ask these servers for what they have written.
                (None, Some(write)) => self.raft.step(now, Input::Persisted(write.token)),
                (_, None) => {}
            }
            for load in load {
                (self.loading, self.loads) = (self.loading + 1, self.loads + 1);
                self.store.as_mut().expect("only the leader reads").load(load);
            }
            self.wait(now).await;
        }
    }

    fn is_idle(&self) -> bool {
        self.writing.is_empty() && self.loading == 0
    }

    /// Waits for the disk, if there is anything to wait for.
    async fn wait(&mut self, now: Time) {
        let idle = self.is_idle();
        let Some(store) = self.store.as_mut().filter(|_| !idle) else { return };
        match store.done().await.unwrap() {
            Done::Persisted(writes) => {
                for token in self.writing.drain(..writes) {
                    self.raft.step(now, Input::Persisted(token));
                }
            }
            Done::Loaded(loaded) => {
                self.loading -= 1;
                self.raft.step(now, Input::Loaded(loaded));
            }
        }
    }
}

/// Three servers; what is sent to or from one that is cut off is lost.
struct Cluster {
    servers: Vec<Server>,
    network: VecDeque<Envelope>,
    cut_off: Option<NodeId>,
    now: Time,
}

impl Cluster {
    /// A millisecond goes by, and everything that is on its way arrives. Only the first server is told the
    /// time, so that it leads, and goes on to.
    async fn advance(&mut self) {
        self.now = self.now.after(Duration::from_millis(1));
        self.run(0, Input::Tick).await;
        for _ in 0..self.network.len() {
            let envelope = self.network.pop_front().expect("as many as there were");
            let place = usize::try_from(envelope.to.get() - 1).unwrap();
            self.run(place, Input::Receive(envelope)).await;
        }
    }

    async fn run(&mut self, place: usize, input: Input) {
        let cut_off = self.cut_off;
        let sent = self.servers[place].run(self.now, [input]).await;
        self.network.extend(
            sent.into_iter().filter(|sent| cut_off.is_none_or(|id| id != sent.from && id != sent.to)),
        );
    }
}

/// The resident memory of this process, in MiB.
fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

#[tokio::test]
async fn a_follower_a_million_entries_behind_is_caught_up_in_flat_memory() {
    let directory = tempfile::tempdir().unwrap();
    let opened = RocksStore::open(directory.path(), GroupId(0), Incarnation(1)).unwrap();
    let servers = vec![
        Server::new(1, Some(opened.store), opened.restored),
        Server::new(2, None, Restored::default()),
        Server::new(3, None, Restored::default()),
    ];
    let mut cluster =
        Cluster { servers, network: VecDeque::new(), cut_off: Some(NodeId::new(2)), now: Time::ZERO };
    while cluster.servers[0].raft.role() != RoleName::Leader {
        cluster.advance().await;
    }
    let command = bytes::Bytes::from(vec![7; COMMAND_BYTES]);
    while cluster.servers[0].raft.last_log().index < LogIndex::new(ENTRIES) {
        for _ in 0..1_000 {
            cluster.servers[0].raft.propose(command.clone()).unwrap();
        }
        cluster.advance().await;
    }
    for _ in 0..1_000 {
        cluster.advance().await;
    }
    let last = cluster.servers[0].raft.last_log();
    assert_eq!(cluster.servers[0].raft.commit_index(), last.index);
    assert_eq!(cluster.servers[1].raft.last_log().index, LogIndex::ZERO, "it is far behind");

    let (before, loads) = (resident_mib(), cluster.servers[0].loads);
    let mut most = before;
    cluster.cut_off = None;
    while cluster.servers[1].raft.commit_index() < last.index {
        cluster.advance().await;
        most = most.max(resident_mib());
    }
    let loads = cluster.servers[0].loads - loads;
    println!("{last}: {loads} reads; {before} MiB before, {most} MiB at the most");
    assert!(loads > 100, "it was read from disk in {loads} pieces");
    assert!(most - before <= GROWTH_MAX_MIB, "{before} MiB before, {most} MiB at the most");
}
