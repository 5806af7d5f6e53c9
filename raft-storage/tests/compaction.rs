//! Compacting the log frees the disk while the log goes on, and appends do not wait for it.
//!
//! At night as much as a busy server writes in an hour:
//! `RAFT_NIGHTLY=1 cargo test --profile ci -p raft-storage --all-features --test compaction`

#![cfg(feature = "rocksdb")]

use std::fs;
use std::time::{Duration, Instant};

use bytes::Bytes;
use raft_core::node::{Done, LogStore};
use raft_core::{
    Batch, Chunk, Entry, EntryId, GroupId, Incarnation, LogIndex, Part, Payload, Snapshot, SnapshotId, Term,
};
use raft_storage::{Opened, RocksStore};
use tempfile::TempDir;

const MIB: u64 = 1024 * 1024;
const COMMAND_BYTES: u64 = 4096;
/// A write and a sync are 256 KiB.
const BATCH: u64 = 64;
/// What is kept of the log.
const KEPT_BYTES: u64 = 64 * MIB;
/// The log is compacted each time that so much was written.
const COMPACTED_EACH_BYTES: u64 = 8 * MIB;
/// What is timed at once.
const ROUND_BYTES: u64 = 32 * MIB;

fn id(index: u64) -> EntryId {
    EntryId::new(Term::new(1), LogIndex::new(index))
}

struct Log {
    directory: TempDir,
    store: RocksStore,
    last: u64,
    compacts: bool,
    /// The most that the directory has ever held.
    most_bytes: u64,
}

impl Log {
    fn new(compacts: bool) -> Self {
        let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let Opened { store, .. } = RocksStore::open(directory.path(), GroupId(0), Incarnation(1)).unwrap();
        Self { directory, store, last: 0, compacts, most_bytes: 0 }
    }

    async fn write(&mut self, batch: Batch) {
        self.store.write(batch);
        assert_eq!(self.store.done().await, Ok(Done::Persisted(1)));
    }

    /// Appends so many bytes of commands, and compacts as it goes. Returns how long that took.
    async fn append(&mut self, bytes: u64) -> Duration {
        let began = Instant::now();
        let mut looking = Duration::ZERO;
        for nth in 1..=bytes / (BATCH * COMMAND_BYTES) {
            let entry = |index| Entry::new(id(index), Payload::Command(command(index)));
            let entries = (self.last + 1..=self.last + BATCH).map(entry).collect();
            self.last += BATCH;
            self.write(Batch { entries, ..Batch::default() }).await;
            if (nth * BATCH * COMMAND_BYTES).is_multiple_of(COMPACTED_EACH_BYTES) {
                if self.compacts {
                    self.compact().await;
                }
                let looked = Instant::now();
                self.most_bytes = self.most_bytes.max(self.bytes());
                looking += looked.elapsed();
            }
        }
        began.elapsed() - looking
    }

    /// A snapshot stands for all but the end of the log, which is kept.
    async fn compact(&mut self) {
        let Some(base @ 1..) = self.last.checked_sub(KEPT_BYTES / COMMAND_BYTES) else { return };
        let snapshot = SnapshotId { last_included: id(base), made_by: Incarnation(1) };
        let snapshot = Snapshot { id: snapshot, ..Snapshot::default() };
        let part = Part { snapshot, chunk: Chunk::new(0, "all".into(), true) };
        self.write(Batch { parts: vec![part], compact: Some(id(base)), ..Batch::default() }).await;
    }

    fn bytes(&self) -> u64 {
        let files = fs::read_dir(self.directory.path()).unwrap();
        // A file may go while we look.
        files.filter_map(|file| Some(file.ok()?.metadata().ok()?.len())).sum()
    }
}

/// No two are the same, so that nobody gets away with compressing them.
fn command(index: u64) -> Bytes {
    let mut state = index;
    let mut word = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_le_bytes()
    };
    (0..COMMAND_BYTES / 8).flat_map(|_| word()).collect::<Vec<_>>().into()
}

fn median(mut ratios: Vec<f64>) -> f64 {
    ratios.sort_by(f64::total_cmp);
    ratios[ratios.len() / 2]
}

/// In turns with a log that is never compacted.
async fn slowdown(compacting: &mut Log, written: u64) -> f64 {
    let mut growing = Log::new(false);
    let mut ratios = Vec::new();
    for round in 0..written / ROUND_BYTES {
        // It is about appends, not about how much the machine's disk holds.
        if (round * ROUND_BYTES).is_multiple_of(1024 * MIB) {
            growing = Log::new(false);
        }
        let without = growing.append(ROUND_BYTES).await;
        ratios.push(compacting.append(ROUND_BYTES).await.as_secs_f64() / without.as_secs_f64());
    }
    median(ratios)
}

#[tokio::test]
async fn a_log_that_is_compacted_stays_small_and_is_not_slowed_down() {
    let nightly = std::env::var_os("RAFT_NIGHTLY").is_some();
    let (written, left_max) = if nightly { (10 * 1024 * MIB, 512 * MIB) } else { (512 * MIB, 256 * MIB) };
    let mut log = Log::new(true);
    let mut slowdown = slowdown(&mut log, written).await;
    let (most, left) = (log.most_bytes / MIB, log.bytes() / MIB);
    println!(
        "{} MiB written: {most} MiB at the most, {left} MiB left, {slowdown:.2} times as long",
        written / MIB
    );
    assert!(log.bytes() < left_max && log.most_bytes < left_max, "{most} MiB at the most, {left} MiB left");
    // The machine has other work: it is asked again before anybody is blamed.
    for _ in 0..4 {
        if slowdown > 1.2 {
            slowdown = self::slowdown(&mut log, 512 * MIB).await;
            println!("{slowdown:.2} times as long");
        }
    }
    assert!(slowdown <= 1.2, "appends take {slowdown:.2} times as long");
}
