//! What a store says of a directory that is not what was written.
#![cfg(feature = "rocksdb")]

use std::fs;
use std::path::{Path, PathBuf};

use raft_core::node::LogStore;
use raft_core::{Batch, Entry, EntryId, GroupId, Incarnation, LogIndex, Payload, Term};
use raft_storage::format::{FORMAT, FORMAT_KEY, LOG, META};
use raft_storage::{Opened, RocksStore, StorageError};
use rocksdb::{DB, Options};
use tempfile::TempDir;

fn open(directory: &Path) -> Result<Opened<RocksStore>, StorageError> {
    RocksStore::open(directory, GroupId(0), Incarnation(1))
}

/// Entries 1 to 3, one batch each, in slots 0 to 2.
async fn three_entries() -> TempDir {
    let directory = TempDir::new().unwrap();
    let Opened { mut store, .. } = open(directory.path()).unwrap();
    for index in 1..4 {
        let id = EntryId::new(Term::new(1), LogIndex::new(index));
        store
            .write(Batch { entries: vec![Entry::new(id, Payload::Command("x".into()))], ..Batch::default() });
        store.persisted().await.unwrap();
    }
    directory
}

fn raw(directory: &Path) -> DB {
    DB::open_cf(&Options::default(), directory, [LOG, META]).unwrap()
}

/// Changes what is under `key` behind the store's back; RocksDB's own checksums are those of the change.
fn change(directory: &Path, family: &str, key: &[u8], change: impl Fn(&mut Vec<u8>)) {
    let db = raw(directory);
    let family = db.cf_handle(family).unwrap();
    let mut value = db.get_cf(family, key).unwrap().unwrap();
    change(&mut value);
    db.put_cf(family, key, value).unwrap();
}

fn record_key(slot: u8) -> [u8; 16] {
    let mut key = [0; 16];
    key[15] = slot;
    key
}

#[tokio::test]
async fn a_flipped_byte_of_a_record_is_damage_wherever_the_record_is() {
    for slot in 0..3 {
        let directory = three_entries().await;
        change(directory.path(), LOG, &record_key(slot), |record| *record.last_mut().unwrap() ^= 1);
        let error = open(directory.path()).unwrap_err();
        let key = format!("log/group 0/slot {slot} (index {})", slot + 1);
        assert_eq!(error, StorageError::Corrupt { what: "an entry", key });
    }
}

/// The last one too: a log does not end where a record is missing.
#[tokio::test]
async fn a_missing_record_is_damage_and_not_the_end_of_the_log() {
    for slot in 0..3 {
        let directory = three_entries().await;
        let db = raw(directory.path());
        db.delete_cf(db.cf_handle(LOG).unwrap(), record_key(slot)).unwrap();
        drop(db);
        let error = open(directory.path()).unwrap_err();
        assert!(matches!(error, StorageError::Corrupt { what: "an entry", .. }), "{error}");
    }
}

/// Term and vote are lost with the state: a server that went on as if it were new could vote twice.
#[tokio::test]
async fn a_directory_without_its_state_is_not_a_new_one() {
    for key in [b"\0\0\0\0\0\0\0\0state".as_slice(), FORMAT_KEY] {
        let directory = three_entries().await;
        let db = raw(directory.path());
        db.delete_cf(db.cf_handle(META).unwrap(), key).unwrap();
        drop(db);
        let error = open(directory.path()).unwrap_err();
        assert!(matches!(error, StorageError::Corrupt { what: "the state", .. }), "{error}");
    }
}

#[tokio::test]
async fn a_directory_of_a_later_version_is_refused() {
    let directory = three_entries().await;
    let later = (FORMAT + 1).to_le_bytes();
    let value = [later, crc32c::crc32c(&later).to_le_bytes()].concat();
    change(directory.path(), META, FORMAT_KEY, |format| format.clone_from(&value));
    let error = open(directory.path()).unwrap_err();
    assert_eq!(error, StorageError::TooNew { found: FORMAT + 1, known: FORMAT });
}

/// A flipped bit must not look like a later version.
#[tokio::test]
async fn a_damaged_format_is_damage() {
    let directory = three_entries().await;
    change(directory.path(), META, FORMAT_KEY, |format| format[0] ^= 2);
    let error = open(directory.path()).unwrap_err();
    assert!(matches!(error, StorageError::Corrupt { what: "the format", .. }), "{error}");
}

/// The only write-ahead log of a store.
fn wal(directory: &Path) -> PathBuf {
    let mut files = fs::read_dir(directory).unwrap().map(|file| file.unwrap().path());
    files.find(|file| file.extension().is_some_and(|extension| extension == "log")).unwrap()
}

/// RocksDB's default would open this with the last record, or the last two, silently gone.
#[tokio::test]
async fn a_flipped_bit_in_the_write_ahead_log_is_damage() {
    let directory = three_entries().await;
    let wal = wal(directory.path());
    let bytes = fs::read(&wal).unwrap();
    for at in [0, bytes.len() / 2] {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        fs::write(&wal, flipped).unwrap();
        let error = open(directory.path()).unwrap_err();
        assert!(matches!(error, StorageError::Damaged { .. }), "byte {at}: {error}");
    }
}

/// The last write of a store that was not closed in order: it cannot be told from one that a power cut
/// interrupted. All before it is there.
#[tokio::test]
async fn a_torn_end_of_the_write_ahead_log_is_cut_off_and_told() {
    let directory = three_entries().await;
    let wal = wal(directory.path());
    let bytes = fs::read(&wal).unwrap();
    fs::write(&wal, &bytes[..bytes.len() - 1]).unwrap();
    let opened = open(directory.path()).unwrap();
    assert!(opened.torn_bytes > 0);
    assert_eq!(opened.restored.entries.len(), 2);
    drop(opened);
    let again = open(directory.path()).unwrap();
    assert_eq!((again.torn_bytes, again.restored.entries.len()), (0, 2));
}

#[tokio::test]
async fn a_directory_that_is_open_is_locked_until_it_is_closed() {
    let directory = TempDir::new().unwrap();
    let first = open(directory.path()).unwrap();
    let error = open(directory.path()).unwrap_err();
    assert_eq!(error, StorageError::Locked { path: directory.path().to_owned() });
    drop(first);
    assert!(open(directory.path()).is_ok());
}
