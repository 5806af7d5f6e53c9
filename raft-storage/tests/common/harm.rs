//! A directory with a few entries, and what is done to it behind its store's back.

use std::fs;
use std::path::Path;

use raft_core::node::{Done, LogStore};
use raft_core::{Batch, Entry, EntryId, GroupId, Incarnation, Load, Loaded, LogIndex, Payload, Term};
use raft_storage::format::{CLEAN_STOP, LOG, META, SNAPSHOT};
use raft_storage::{Opened, RocksStore, StorageError};
use rocksdb::{DB, Options};
use tempfile::TempDir;

use crate::common::{PausedClock, delays, sound};

pub(crate) fn open(directory: &Path) -> Result<Opened<RocksStore>, StorageError> {
    RocksStore::open(directory, GroupId(0), Incarnation(1))
}

pub(crate) fn open_simulated(directory: &Path) -> Result<Opened<RocksStore>, StorageError> {
    RocksStore::open_simulated(directory, GroupId(0), Incarnation(1), PausedClock::new(), delays(), sound())
}

pub(crate) fn id(index: u64) -> EntryId {
    EntryId::new(Term::new(1), LogIndex::new(index))
}

pub(crate) fn entry(index: u64) -> Entry {
    Entry::new(id(index), Payload::Command("x".into()))
}

/// Entries 1 to 3, one batch each, in slots 0 to 2.
pub(crate) async fn three_entries() -> TempDir {
    let directory = TempDir::new().unwrap();
    let Opened { mut store, .. } = open(directory.path()).unwrap();
    for index in 1..4 {
        store.write(Batch { entries: vec![entry(index)].into(), ..Batch::default() });
        store.done().await.unwrap();
    }
    directory
}

pub(crate) fn all_entries() -> Load {
    Load::Entries { from: LogIndex::new(1), to: LogIndex::new(9), bytes_max: usize::MAX }
}

/// Opens the directory and reads from it.
pub(crate) async fn load(directory: &Path, load: Load) -> Result<Loaded, StorageError> {
    let Opened { mut store, .. } = open(directory)?;
    store.load(load);
    match store.done().await? {
        Done::Loaded(loaded) => Ok(loaded),
        Done::Persisted(count) => panic!("nothing was written, and {count} writes are durable"),
    }
}

/// After this it counts as killed, not as closed in order.
pub(crate) fn kill(directory: &Path) {
    fs::remove_file(directory.join(CLEAN_STOP)).unwrap();
}

pub(crate) fn raw(directory: &Path) -> DB {
    kill(directory);
    DB::open_cf(&Options::default(), directory, [LOG, SNAPSHOT, META]).unwrap()
}

/// Changes what is under `key` behind the store's back; RocksDB's own checksums are those of the change.
pub(crate) fn change(directory: &Path, family: &str, key: &[u8], change: impl Fn(&mut Vec<u8>)) {
    let db = raw(directory);
    let family = db.cf_handle(family).unwrap();
    let mut value = db.get_cf(family, key).unwrap().unwrap();
    change(&mut value);
    db.put_cf(family, key, value).unwrap();
}

pub(crate) fn delete(directory: &Path, family: &str, key: &[u8]) {
    let db = raw(directory);
    db.delete_cf(db.cf_handle(family).unwrap(), key).unwrap();
}

pub(crate) fn flip_last_bit(directory: &Path, family: &str, key: &[u8]) {
    change(directory, family, key, |value| *value.last_mut().unwrap() ^= 1);
}
