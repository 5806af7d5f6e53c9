//! What a long log costs: to open it, not what is in it; to write to it, no more than to write to a short one (S19).

use std::path::Path;
use std::time::{Duration, Instant};

use raft_core::node::{Done, LogStore};
use raft_core::{Batch, Chunk, Entry, GroupId, Incarnation, LogIndex, Part, Payload, Snapshot, SnapshotId};
use raft_storage::format::CLEAN_STOP;
use raft_storage::{Opened, RocksStore};

use crate::life::{block_on, entries, id, scratch};
use crate::watch::{Operation, Watch};

const ENTRIES: u64 = 1_000_000;
const COMMAND_BYTES: u64 = 128;
const BATCH: u64 = 1_000;
/// What may be left in memory, and so in the write-ahead log, when a process is killed: four memtables of the
/// usual 4 MiB.
const IN_MEMORY_BYTES_MAX: u64 = 16 * 1024 * 1024;

fn open(directory: &Path) -> Opened<RocksStore> {
    RocksStore::open(directory, GroupId(0), Incarnation(1)).unwrap()
}

fn fill(directory: &Path) {
    let Opened { mut store, .. } = open(directory);
    let command = bytes::Bytes::from(vec![0x5a; usize::try_from(COMMAND_BYTES).unwrap()]);
    for first in (1..=ENTRIES).step_by(usize::try_from(BATCH).unwrap()) {
        let entry = |index| Entry::new(id(1, index), Payload::Command(command.clone()));
        store.write(Batch { entries: (first..first + BATCH).map(entry).collect(), ..Batch::default() });
        assert_eq!(block_on(store.done()), Ok(Done::Persisted(1)));
    }
}

/// Opens it as it is after a clean stop, and as a killed process leaves it; returns how long each took, once
/// while nobody counts what is read.
fn open_both(directory: &Path, what: impl Fn(bool)) -> [Duration; 2] {
    [true, false].map(|clean| {
        if !clean {
            std::fs::remove_file(directory.join(CLEAN_STOP)).unwrap();
        }
        let began = Instant::now();
        let opened = open(directory);
        let took = began.elapsed();
        assert_eq!((opened.restored.log.len(), opened.torn_bytes), (ENTRIES, 0));
        what(clean);
        took
    })
}

/// Tables tell by their ends where everything is, and nobody looks there; what is read of the write-ahead log is what
/// memtables hold.
#[test]
fn a_million_entries_are_opened_in_less_than_a_second_and_no_payload_is_read() {
    let directory = tempfile::tempdir().unwrap();
    fill(directory.path());
    let watch = Watch::begin(directory.path());
    open_both(directory.path(), |clean| {
        let (tables, log) = (watch.bytes_read(".sst"), watch.bytes_read(".log"));
        println!("clean {clean}, read so far: {tables} bytes of tables, {log} of the write-ahead log");
        assert!(
            tables > 0 && tables < ENTRIES * COMMAND_BYTES / 50,
            "clean {clean}: {tables} bytes of tables"
        );
        // Once by us and once by RocksDB, and in the second life a little of what the first one wrote.
        assert!(log < 3 * IN_MEMORY_BYTES_MAX, "clean {clean}: {log} bytes of the write-ahead log");
    });
    drop(watch);
    let took = open_both(directory.path(), |_| {});
    println!("a million entries were opened in {took:?}");
    assert!(took.into_iter().all(|took| took < Duration::from_secs(1)), "{took:?}");
}

/// After a hundred thousand entries that were appended, cut off and compacted again and again a write is as large as the
/// first one, but for longer numbers in it (S19).
#[test]
fn what_is_written_with_a_batch_does_not_grow_with_the_life_of_the_log() {
    let directory = scratch();
    let Opened { mut store, .. } = open(directory.path());
    let mut write = |batch| {
        let watch = Watch::begin(directory.path());
        store.write(batch);
        assert_eq!(block_on(store.done()), Ok(Done::Persisted(1)));
        let bytes = |done| {
            if let Operation::Write { name, data, .. } = done
                && name.ends_with(".log")
            {
                data.len()
            } else {
                0
            }
        };
        watch.operations().into_iter().map(bytes).sum::<usize>()
    };
    let one = |index| Batch { entries: entries(9, index..index + 1, "x"), ..Batch::default() };
    let first = write(one(1));
    let mut last = 1;
    for _ in 0..100 {
        write(Batch { entries: entries(9, last + 1..last + 1_001, "y"), ..Batch::default() });
        // Another leader's entries replace some.
        last += 500;
        write(Batch {
            truncate: Some(LogIndex::new(last + 1)),
            entries: entries(9, last + 1..last + 501, "z"),
            ..Batch::default()
        });
        last += 500;
        let snapshot = Snapshot {
            id: SnapshotId { last_included: id(9, last), made_by: Incarnation(1) },
            ..Snapshot::default()
        };
        let part = Part { snapshot, chunk: Chunk::new(0, "all".into(), true) };
        write(Batch { parts: vec![part], compact: Some(id(9, last)), ..Batch::default() });
    }
    let one_more = write(one(last + 1));
    println!("{first} bytes for the first entry, {one_more} for one after {last}");
    // There is a snapshot now, and each number in the state may take eight bytes more.
    assert!(one_more < first + 128, "{first} bytes for the first entry, {one_more} for one after {last}");
}
