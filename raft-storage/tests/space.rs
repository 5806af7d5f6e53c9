//! What is freed is given back to the file system.
#![cfg(feature = "rocksdb")]

mod common;

use std::fs;
use std::path::Path;

use bytes::Bytes;
use common::{PausedClock, delays, sound};
use raft_core::node::{Done, LogStore};
use raft_core::{
    Batch, Chunk, Entries, Entry, EntryId, GroupId, Incarnation, Load, Loaded, LogIndex, Part, Payload,
    Snapshot, SnapshotId, Term,
};
use raft_storage::RocksStore;
use raft_storage::format::{CLEAN_STOP, LOG, META, SNAPSHOT};
use rocksdb::{DB, Options};
use tempfile::TempDir;

const MIB: u64 = 1024 * 1024;

fn id(index: u64) -> EntryId {
    EntryId::new(Term::new(1), LogIndex::new(index))
}

/// Entries of 1 MiB each.
fn entries(indexes: std::ops::Range<u64>) -> Entries {
    let command = Bytes::from(vec![0xa5; 1024 * 1024]);
    indexes.map(|index| Entry::new(id(index), Payload::Command(command.clone()))).collect()
}

/// A whole snapshot in pieces of 1 MiB.
fn parts(index: u64, pieces: u64) -> Vec<Part> {
    let id = SnapshotId { last_included: id(index), made_by: Incarnation(1) };
    let snapshot = Snapshot { id, configured: raft_core::Configured::default() };
    let data = Bytes::from(vec![0x5a; 1024 * 1024]);
    let chunk = |nth| Chunk::new(nth * MIB, data.clone(), nth + 1 == pieces);
    (0..pieces).map(|nth| Part { snapshot: snapshot.clone(), chunk: chunk(nth) }).collect()
}

/// Writes it, and closes the store.
async fn write(open: impl Fn(&Path) -> RocksStore, directory: &Path, batch: Batch) {
    let mut store = open(directory);
    store.write(batch);
    assert_eq!(store.done().await, Ok(Done::Persisted(1)));
}

fn production(directory: &Path) -> RocksStore {
    RocksStore::open(directory, GroupId(0), Incarnation(1)).unwrap().store
}

fn simulated(directory: &Path) -> RocksStore {
    let (clock, incarnation) = (PausedClock::new(), Incarnation(1));
    RocksStore::open_simulated(directory, GroupId(0), incarnation, clock, delays(), sound()).unwrap().store
}

/// Brings all that was written to where RocksDB brings it sooner or later on its own: out of the
/// write-ahead log, into files below the first level.
fn settle(directory: &Path) {
    fs::remove_file(directory.join(CLEAN_STOP)).unwrap();
    let db = DB::open_cf(&Options::default(), directory, [LOG, SNAPSHOT, META]).unwrap();
    for family in [LOG, SNAPSHOT, META] {
        db.compact_range_cf(db.cf_handle(family).unwrap(), None::<&[u8]>, None::<&[u8]>);
    }
}

/// How much the directory holds, in MiB, rounded.
fn size(directory: &Path) -> u64 {
    let files = fs::read_dir(directory).unwrap().map(|file| file.unwrap().metadata().unwrap().len());
    (files.sum::<u64>() + MIB / 2) / MIB
}

/// Eight entries in one file, eight in another, and a snapshot of 2 MiB.
async fn two_files() -> TempDir {
    let directory = TempDir::new().unwrap();
    for first in [1, 9] {
        let batch = Batch { entries: entries(first..first + 8), ..Batch::default() };
        write(production, directory.path(), batch).await;
        settle(directory.path());
    }
    let snapshot = Batch { parts: parts(16, 2), ..Batch::default() };
    write(production, directory.path(), snapshot).await;
    settle(directory.path());
    assert_eq!(size(directory.path()), 18);
    directory
}

/// Each row: how far the log is compacted, and how many MiB are left. A file goes when all that is in it is
/// free, and what is not free can still be read.
#[tokio::test]
async fn compacting_the_log_gives_space_back_by_whole_files() {
    for (base, left) in [(7, 18), (8, 10), (15, 10), (16, 2)] {
        let directory = two_files().await;
        let compact = Batch { compact: Some(id(base)), ..Batch::default() };
        write(production, directory.path(), compact).await;
        assert_eq!(size(directory.path()), left, "compacted up to {base}");
        let mut store = production(directory.path());
        let from = id(base + 1).index;
        store.load(Load::Entries { from, to: id(16).index, bytes_max: usize::MAX });
        let loaded = Loaded::Entries { from, entries: entries(base + 1..17).to_vec() };
        assert!(store.done().await == Ok(Done::Loaded(loaded)), "compacted up to {base}");
    }
}

/// The beginning of a snapshot takes nothing away from the one that counts; a whole one does.
#[tokio::test]
async fn a_newer_snapshot_gives_the_space_of_the_older_one_back() {
    let directory = two_files().await;
    let mut newer = parts(17, 3);
    let last = newer.split_off(2);
    for (parts, left) in [(newer, 20), (last, 19)] {
        write(production, directory.path(), Batch { parts, ..Batch::default() }).await;
        assert_eq!(size(directory.path()), left);
    }
}

/// A leader that begins again and again, or one snapshot after the other none of which gets whole, fills no disk.
#[tokio::test]
async fn snapshots_that_are_given_up_give_their_space_back() {
    let directory = two_files().await;
    for index in 17..20 {
        let mut begun = parts(index, 3);
        begun.truncate(2);
        write(production, directory.path(), Batch { parts: begun, ..Batch::default() }).await;
        settle(directory.path());
        assert_eq!(size(directory.path()), 20, "that up to {index} is there, and those before it are not");
    }
}

/// An installed snapshot gives back all of the log, and the snapshot before it.
#[tokio::test]
async fn an_installed_snapshot_gives_everything_before_it_back() {
    let directory = two_files().await;
    let install = Batch {
        truncate: Some(id(1).index),
        parts: parts(100, 1),
        compact: Some(id(100)),
        entries: entries(101..103),
        ..Batch::default()
    };
    write(production, directory.path(), install).await;
    assert_eq!(size(directory.path()), 3);
}

/// Deleting files is RocksDB's work on the side, which no simulation may depend on.
#[tokio::test(start_paused = true)]
async fn a_simulation_gives_nothing_back() {
    let directory = two_files().await;
    let batch = Batch { parts: parts(20, 1), compact: Some(id(20)), ..Batch::default() };
    write(simulated, directory.path(), batch).await;
    assert_eq!(size(directory.path()), 19);
}

/// Files go when what was asked for before has been read.
#[tokio::test]
async fn what_was_asked_for_before_it_was_freed_is_read() {
    let directory = two_files().await;
    let mut store = production(directory.path());
    let (from, to) = (id(1).index, id(16).index);
    store.load(Load::Entries { from, to, bytes_max: usize::MAX });
    store.write(Batch { compact: Some(id(16)), ..Batch::default() });
    let mut done = [store.done().await.unwrap(), store.done().await.unwrap()];
    done.sort_by_key(|done| matches!(done, Done::Loaded(_)));
    assert!(
        done == [
            Done::Persisted(1),
            Done::Loaded(Loaded::Entries { from, entries: entries(1..17).to_vec() })
        ]
    );
    drop(store);
    assert_eq!(size(directory.path()), 2);
}
