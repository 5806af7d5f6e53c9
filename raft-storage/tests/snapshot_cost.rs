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
use raft_core::node::{Done, LogStore, StateMachine};
use raft_core::{
    Batch, Chunk, Entry, EntryId, GroupId, Incarnation, LogIndex, Part, Payload, Snapshot, SnapshotId, Term,
};
use raft_storage::machine::{Changes, Commands, MachineOptions, RocksMachine, View};
use raft_storage::{RocksStore, StorageError};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;

const ATTEMPTS: usize = 5;
/// As the node cuts snapshots.
const PIECE_BYTES: u64 = 256 * 1024;

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

/// The log that appends and pieces of snapshots go to, as from a node.
struct Log {
    store: RocksStore,
    _directory: TempDir,
    last: u64,
    snapshots: u64,
}

impl Log {
    fn new() -> Self {
        let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let store = RocksStore::open(directory.path(), GroupId(1), Incarnation(1)).unwrap().store;
        Self { store, _directory: directory, last: 0, snapshots: 0 }
    }

    /// Appends until nobody sends pieces any more, or so often if nobody does. Returns how long each append took.
    async fn append(&mut self, appends: usize, mut pieces: Option<mpsc::Receiver<Bytes>>) -> Vec<Duration> {
        let mut took = Vec::new();
        let (mut offset, mut waiting) = (0, 0);
        self.snapshots += u64::from(pieces.is_some());
        loop {
            // A piece goes to the store when it comes, and nobody waits for it.
            if let Some(receiver) = &mut pieces {
                match receiver.try_recv() {
                    Ok(data) => {
                        self.write_piece(&mut offset, data);
                        waiting += 1;
                    }
                    Err(mpsc::error::TryRecvError::Empty) => {}
                    Err(mpsc::error::TryRecvError::Disconnected) => return took,
                }
            } else if took.len() == appends {
                return took;
            }
            let began = Instant::now();
            self.write_entries();
            waiting += 1;
            while waiting > 0 {
                let Done::Persisted(batches) = self.store.done().await.unwrap() else {
                    unreachable!("nobody reads")
                };
                waiting -= batches;
            }
            took.push(began.elapsed());
            tokio::task::yield_now().await;
        }
    }

    fn write_entries(&mut self) {
        let id = |index| EntryId::new(Term::new(1), LogIndex::new(index));
        let entry = |index| Entry::new(id(index), Payload::Command(Bytes::from(vec![7; 256])));
        let entries = (self.last + 1..=self.last + 16).map(entry).collect();
        self.last += 16;
        self.store.write(Batch { entries, ..Batch::default() });
    }

    /// As much as is read at once is a piece; the last one does not come: this snapshot stays unfinished.
    fn write_piece(&mut self, offset: &mut u64, data: Bytes) {
        let last_included = EntryId::new(Term::new(1), LogIndex::new(self.snapshots));
        let id = SnapshotId { last_included, made_by: Incarnation(1) };
        let chunk = Chunk::new(*offset, data, false);
        *offset = chunk.end();
        let part = Part { snapshot: Snapshot { id, ..Snapshot::default() }, chunk };
        self.store.write(Batch { parts: vec![part], ..Batch::default() });
    }
}

/// Takes a snapshot and reads it to its end, piece by piece.
async fn snapshot(mut machine: Machine, pieces: mpsc::Sender<Bytes>) -> Machine {
    let mut reader = machine.machine.snapshot().await.unwrap();
    loop {
        let mut data = Vec::new();
        let mut piece = (&mut reader).take(PIECE_BYTES);
        piece.read_to_end(&mut data).await.unwrap();
        if data.is_empty() || pieces.send(data.into()).await.is_err() {
            return machine;
        }
    }
}

fn p99(mut took: Vec<Duration>) -> Duration {
    took.sort();
    took[took.len() * 99 / 100]
}

/// The node's work goes on while 64 MiB are held fast, read, and written to the log store in pieces.
#[tokio::test]
#[ignore = "a measurement, for a machine that does nothing else"]
async fn appends_hardly_notice_a_snapshot() {
    let (mut log, mut machine) = (Log::new(), Machine::new(64 * 1024).await);
    log.append(2_000, None).await;
    for attempt in 1.. {
        let (mut without, mut with) = (Vec::new(), Vec::new());
        for _ in 0..7 {
            let (sender, pieces) = mpsc::channel(1);
            let taking = tokio::spawn(snapshot(machine, sender));
            let during = log.append(0, Some(pieces)).await;
            machine = taking.await.unwrap();
            without.push(p99(log.append(during.len(), None).await));
            with.push(p99(during));
        }
        without.sort();
        with.sort();
        let (without, with) = (without[3], with[3]);
        println!("99 of 100 appends of 16 entries take at most {without:?}, and {with:?} during a snapshot");
        if with <= 2 * without {
            return;
        }
        assert!(attempt < ATTEMPTS, "{without:?} without a snapshot, {with:?} with one");
    }
}
