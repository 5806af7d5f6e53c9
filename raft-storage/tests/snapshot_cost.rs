//! What a snapshot of a state machine on disk costs: how long everything stands still for it, and what the log
//! notices of it.
//!
//! Both are asked in turns, with and without, because the same disk is twice as fast in one minute as in the next; and
//! again where the answer is bad, because the machine may have other work. They are measurements, and need a machine that
//! does nothing else:
//!
//! `cargo test --profile ci -p raft-storage --all-features --test snapshot_cost -- --ignored`

#![cfg(feature = "rocksdb")]

use std::time::{Duration, Instant};

use bytes::Bytes;
use raft_core::node::{Handle, Node, NodeError, Outcome, StateMachine, SystemEnvironment, Transport};
use raft_core::{Config, Envelope, GroupId, Incarnation, LogIndex, NodeId, Raft, Time};
use raft_storage::machine::{Changes, Commands, MachineOptions, RocksMachine, View};
use raft_storage::{RocksStore, StorageError};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

const ATTEMPTS: usize = 5;

/// A command is a key of eight bytes and its value.
struct Puts;

impl Commands for Puts {
    fn apply(
        &self,
        _: LogIndex,
        command: &[u8],
        _: &View<'_>,
        changes: &mut Changes<'_>,
    ) -> Result<Bytes, StorageError> {
        let (key, value) = command.split_at(8);
        changes.put(key, value);
        Ok(Bytes::new())
    }

    fn query(&self, key: &[u8], view: &View<'_>) -> Result<Bytes, StorageError> {
        Ok(view.get(key)?.unwrap_or_default().into())
    }
}

struct Machine {
    machine: RocksMachine<Puts>,
    _directory: TempDir,
    index: u64,
    keys: u64,
}

impl Machine {
    /// So many keys with values of 1 KiB.
    async fn new(keys: u64) -> Self {
        let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let machine = RocksMachine::open(directory.path(), Puts, MachineOptions::default()).unwrap();
        let mut machine = Self { machine, _directory: directory, index: 0, keys };
        for key in 0..keys {
            machine.put(key).await;
        }
        machine
    }

    async fn put(&mut self, key: u64) {
        self.index += 1;
        let mut command = (key % self.keys).to_be_bytes().to_vec();
        let mut state = self.index;
        for _ in 0..128 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            command.extend(state.to_le_bytes());
        }
        self.machine.apply(LogIndex::new(self.index), command.into()).await;
    }

    /// How long it takes to hold the state fast with 2 MiB in memory.
    async fn hold(&mut self) -> Duration {
        drop(self.machine.snapshot().await.unwrap());
        for nth in 0..2_048 {
            self.put(self.index * 7_919 + nth).await;
        }
        let began = Instant::now();
        let reader = self.machine.snapshot().await.unwrap();
        let took = began.elapsed();
        drop(reader);
        took
    }
}

#[tokio::test]
#[ignore = "a measurement, for a machine that does nothing else"]
async fn holding_the_state_fast_does_not_depend_on_how_much_there_is() {
    let (mut small, mut large) = (Machine::new(16 * 1024).await, Machine::new(160 * 1024).await);
    for attempt in 1.. {
        let (mut by_small, mut by_large) = (Vec::new(), Vec::new());
        for _ in 0..15 {
            by_small.push(small.hold().await);
            by_large.push(large.hold().await);
        }
        by_small.sort();
        by_large.sort();
        let (small, large) = (by_small[7], by_large[7]);
        println!("held fast in {small:?} with 16 MiB, in {large:?} with 160 MiB");
        if large.as_secs_f64() <= 1.5 * small.as_secs_f64() {
            return;
        }
        assert!(attempt < ATTEMPTS, "{small:?} with 16 MiB, {large:?} with 160 MiB");
    }
}

/// There is nobody else.
struct Nowhere;

impl Transport for Nowhere {
    fn send(&mut self, _: Envelope) {}
}

/// A node by itself, whose log and whose state machine are on disk.
struct Alone {
    handle: Handle,
    running: JoinHandle<Result<(), NodeError<StorageError>>>,
    _messages: mpsc::Sender<Envelope>,
    _directory: TempDir,
}

impl Alone {
    async fn start() -> Self {
        let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let opened = RocksStore::open(directory.path().join("log"), GroupId(0), Incarnation(1)).unwrap();
        let path = directory.path().join("machine");
        let machine = RocksMachine::open(&path, Puts, MachineOptions::default()).unwrap();
        let mut config = Config::new(NodeId::new(1), vec![NodeId::new(1)]);
        config.incarnation = opened.incarnation;
        config.durable_state_machine = true;
        // Only when it is asked for.
        config.snapshot_entries = 0;
        // A disk that hangs for a moment is to show as what it is.
        config.disk_patience = Duration::from_secs(30);
        let raft = Raft::new(config, opened.restored, Time::ZERO).unwrap();
        let (messages, inbox) = mpsc::channel(1);
        let (node, handle) = Node::new(raft, opened.store, Nowhere, machine, SystemEnvironment::new(), inbox);
        let running = tokio::spawn(node.run());
        let alone = Self { handle, running, _messages: messages, _directory: directory };
        while !matches!(alone.handle.propose(command(0, 8)).await, Outcome::Applied { .. }) {
            sleep(Duration::from_millis(10)).await;
        }
        alone
    }

    /// So many commands at once, for as many keys from this one on, with values of so many bytes. How long it took.
    async fn append(&self, commands: u64, first: u64, value: usize) -> Duration {
        let began = Instant::now();
        let mut proposed = JoinSet::new();
        for key in first..first + commands {
            let handle = self.handle.clone();
            proposed.spawn(async move { handle.propose(command(key, value)).await });
        }
        for outcome in proposed.join_all().await {
            assert!(matches!(outcome, Outcome::Applied { .. }));
        }
        began.elapsed()
    }

    async fn stop(self) {
        self.handle.shutdown().await;
        self.running.await.unwrap().unwrap();
    }

    async fn snapshot_index(&self) -> LogIndex {
        self.handle.status().await.unwrap().snapshot_index
    }

    /// Appends while a snapshot is taken, or so often if none is. How long each took.
    async fn appends(&self, without: Option<usize>) -> Vec<Duration> {
        let before = self.snapshot_index().await;
        if without.is_none() {
            self.handle.snapshot().await;
        }
        let mut took = Vec::new();
        while without.map_or(self.snapshot_index().await == before, |appends| took.len() < appends) {
            took.push(self.append(16, KEYS, 248).await);
        }
        took
    }
}

/// 64 MiB of them, with values of 1 KiB.
const KEYS: u64 = 64 * 1024;

fn command(key: u64, value: usize) -> Bytes {
    let mut command = key.to_be_bytes().to_vec();
    command.resize(8 + value, 7);
    command.into()
}

fn p99(mut took: Vec<Duration>) -> Duration {
    took.sort();
    took[took.len() * 99 / 100]
}

/// The node's work goes on while 64 MiB are held fast, read, and written to the log store in pieces: in a few seconds.
#[tokio::test]
#[ignore = "a measurement, for a machine that does nothing else"]
async fn appends_hardly_notice_a_snapshot() {
    let alone = Alone::start().await;
    for first in (0..KEYS).step_by(256) {
        alone.append(256, first, 1_024).await;
    }
    for attempt in 1.. {
        let (mut without, mut with) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            let began = Instant::now();
            let during =
                timeout(Duration::from_secs(60), alone.appends(None)).await.expect("it comes to its end");
            println!("a snapshot took {:?}, and {} appends meanwhile", began.elapsed(), during.len());
            // What it has freed is given back.
            sleep(Duration::from_secs(1)).await;
            without.push(p99(alone.appends(Some(during.len())).await));
            with.push(p99(during));
        }
        without.sort();
        with.sort();
        let (without, with) = (without[1], with[1]);
        println!("99 of 100 appends of 16 entries take at most {without:?}, and {with:?} during a snapshot");
        if with <= 2 * without {
            return alone.stop().await;
        }
        assert!(attempt < ATTEMPTS, "{without:?} without a snapshot, {with:?} with one");
    }
}
