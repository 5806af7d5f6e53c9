//! What a store says of a directory that is not what was written.
#![cfg(feature = "rocksdb")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{PausedClock, delays, sound};
use raft_core::node::{Done, LogStore};
use raft_core::{
    Batch, Chunk, Entry, EntryId, GroupId, Incarnation, Load, Loaded, LogIndex, Part, Payload, Snapshot,
    SnapshotId, Term,
};
use raft_storage::format::{CLEAN_STOP, FORMAT, FORMAT_KEY, LOG, META, SNAPSHOT};
use raft_storage::{Opened, RocksStore, StorageError};
use rocksdb::{DB, IteratorMode, Options};
use tempfile::TempDir;

fn open(directory: &Path) -> Result<Opened<RocksStore>, StorageError> {
    RocksStore::open(directory, GroupId(0), Incarnation(1))
}

fn open_simulated(directory: &Path) -> Result<Opened<RocksStore>, StorageError> {
    RocksStore::open_simulated(directory, GroupId(0), Incarnation(1), PausedClock::new(), delays(), sound())
}

fn id(index: u64) -> EntryId {
    EntryId::new(Term::new(1), LogIndex::new(index))
}

fn entry(index: u64) -> Entry {
    Entry::new(id(index), Payload::Command("x".into()))
}

/// Entries 1 to 3, one batch each, in slots 0 to 2.
async fn three_entries() -> TempDir {
    let directory = TempDir::new().unwrap();
    let Opened { mut store, .. } = open(directory.path()).unwrap();
    for index in 1..4 {
        store.write(Batch { entries: vec![entry(index)].into(), ..Batch::default() });
        store.done().await.unwrap();
    }
    directory
}

/// Pieces at 0, 5, 10 and 15, the last one empty, under number 1; under number 0 what was given up.
async fn four_pieces() -> TempDir {
    let directory = TempDir::new().unwrap();
    let Opened { mut store, .. } = open(directory.path()).unwrap();
    let snapshot = Snapshot { id: snapshot(), configured: raft_core::Configured::default() };
    let chunks = [(0, "stale", false), (0, "01234", false), (5, "56789", false), (10, "abcde", false)];
    for (offset, data, done) in chunks.into_iter().chain([(15, "", true)]) {
        let part = Part { snapshot: snapshot.clone(), chunk: Chunk::new(offset, data.into(), done) };
        store.write(Batch { parts: vec![part], ..Batch::default() });
        store.done().await.unwrap();
    }
    directory
}

fn snapshot() -> SnapshotId {
    SnapshotId { last_included: id(7), made_by: Incarnation(1) }
}

fn all_entries() -> Load {
    Load::Entries { from: LogIndex::new(1), to: LogIndex::new(9), bytes_max: usize::MAX }
}

fn piece(offset: u64) -> Load {
    Load::Chunk { snapshot: snapshot(), offset }
}

/// Opens the directory and reads from it.
async fn load(directory: &Path, load: Load) -> Result<Loaded, StorageError> {
    let Opened { mut store, .. } = open(directory)?;
    store.load(load);
    match store.done().await? {
        Done::Loaded(loaded) => Ok(loaded),
        Done::Persisted(count) => panic!("nothing was written, and {count} writes are durable"),
    }
}

/// After this it counts as killed, not as closed in order.
fn kill(directory: &Path) {
    fs::remove_file(directory.join(CLEAN_STOP)).unwrap();
}

fn raw(directory: &Path) -> DB {
    kill(directory);
    DB::open_cf(&Options::default(), directory, [LOG, SNAPSHOT, META]).unwrap()
}

/// Changes what is under `key` behind the store's back; RocksDB's own checksums are those of the change.
fn change(directory: &Path, family: &str, key: &[u8], change: impl Fn(&mut Vec<u8>)) {
    let db = raw(directory);
    let family = db.cf_handle(family).unwrap();
    let mut value = db.get_cf(family, key).unwrap().unwrap();
    change(&mut value);
    db.put_cf(family, key, value).unwrap();
}

fn delete(directory: &Path, family: &str, key: &[u8]) {
    let db = raw(directory);
    db.delete_cf(db.cf_handle(family).unwrap(), key).unwrap();
}

fn flip_last_bit(directory: &Path, family: &str, key: &[u8]) {
    change(directory, family, key, |value| *value.last_mut().unwrap() ^= 1);
}

fn entry_key(slot: u8) -> [u8; 16] {
    let mut key = [0; 16];
    key[15] = slot;
    key
}

fn piece_key(number: u8, offset: u8) -> [u8; 24] {
    let mut key = [0; 24];
    (key[15], key[23]) = (number, offset);
    key
}

fn corrupt_entry(index: u64) -> StorageError {
    let key = format!("log/group 0/slot {} (index {index})", index - 1);
    StorageError::Corrupt { what: "an entry", key }
}

fn corrupt_piece(offset: u64) -> StorageError {
    let key = format!("snapshot/group 0/number 1/offset {offset}");
    StorageError::Corrupt { what: "a piece of a snapshot", key }
}

/// It is found when the entry is loaded.
#[tokio::test]
async fn a_flipped_byte_of_an_entry_is_damage_wherever_the_entry_is() {
    for slot in 0..3 {
        let directory = three_entries().await;
        flip_last_bit(directory.path(), LOG, &entry_key(slot));
        assert_eq!(load(directory.path(), all_entries()).await, Err(corrupt_entry(u64::from(slot) + 1)));
    }
}

/// The last one too: a log does not end where a record is missing.
#[tokio::test]
async fn a_missing_entry_is_damage_and_not_the_end_of_the_log() {
    for slot in 0..3 {
        let directory = three_entries().await;
        delete(directory.path(), LOG, &entry_key(slot));
        assert_eq!(load(directory.path(), all_entries()).await, Err(corrupt_entry(u64::from(slot) + 1)));
    }
}

/// It checks, and it is not the one that the log has there.
#[tokio::test]
async fn an_entry_in_the_place_of_another_is_damage() {
    let directory = three_entries().await;
    let db = raw(directory.path());
    let log = db.cf_handle(LOG).unwrap();
    let second = db.get_cf(log, entry_key(1)).unwrap().unwrap();
    db.put_cf(log, entry_key(2), second).unwrap();
    drop(db);
    assert_eq!(load(directory.path(), all_entries()).await, Err(corrupt_entry(3)));
}

/// What is sound is still read, up to the damage; then nothing any more.
#[tokio::test(start_paused = true)]
async fn damage_that_was_read_poisons_the_store() {
    let directory = three_entries().await;
    flip_last_bit(directory.path(), LOG, &entry_key(2));
    for open in [open, open_simulated] {
        let Opened { mut store, .. } = open(directory.path()).unwrap();
        let (from, to) = (LogIndex::new(1), LogIndex::new(2));
        store.load(Load::Entries { from, to, bytes_max: usize::MAX });
        let loaded = Loaded::Entries { from, entries: vec![entry(1), entry(2)] };
        assert_eq!(store.done().await, Ok(Done::Loaded(loaded)));
        store.load(all_entries());
        assert_eq!(store.done().await, Err(corrupt_entry(3)));
        store.write(Batch { entries: vec![entry(4)].into(), ..Batch::default() });
        assert_eq!(store.done().await, Err(corrupt_entry(3)));
        drop(store);
        assert_eq!(open(directory.path()).unwrap().restored.log.last(), id(3));
    }
}

#[tokio::test]
async fn a_flipped_byte_of_a_piece_is_damage() {
    for offset in [0, 5, 10, 15] {
        let directory = four_pieces().await;
        flip_last_bit(directory.path(), SNAPSHOT, &piece_key(1, offset));
        let offset = u64::from(offset);
        assert_eq!(load(directory.path(), piece(offset)).await, Err(corrupt_piece(offset)));
    }
}

/// The first one too, though a stale one lies before it.
#[tokio::test]
async fn a_missing_piece_is_damage_and_not_another_snapshot() {
    for offset in [0, 5, 10, 15] {
        let directory = four_pieces().await;
        delete(directory.path(), SNAPSHOT, &piece_key(1, offset));
        let offset = u64::from(offset);
        assert_eq!(load(directory.path(), piece(offset)).await, Err(corrupt_piece(offset)));
    }
}

/// The same beneath RocksDB, in a file that it has checksums of its own for.
#[tokio::test]
async fn a_flipped_bit_in_a_table_is_damage() {
    for (family, error) in [(LOG, corrupt_entry(1)), (SNAPSHOT, corrupt_piece(0))] {
        let directory = if family == LOG { three_entries().await } else { four_pieces().await };
        let db = raw(directory.path());
        db.flush_cf(db.cf_handle(family).unwrap()).unwrap();
        let tables = db.live_files().unwrap();
        let table = tables.iter().find(|table| table.column_family_name == family).unwrap();
        let table = directory.path().join(table.name.trim_start_matches('/'));
        drop(db);
        let mut bytes = fs::read(&table).unwrap();
        bytes[20] ^= 1;
        fs::write(&table, bytes).unwrap();
        let load_all = if family == LOG { all_entries() } else { piece(0) };
        assert_eq!(load(directory.path(), load_all).await, Err(error));
    }
}

/// Damage to payloads is not found by opening, because opening reads none: every record there is is
/// damaged here.
#[tokio::test]
async fn opening_reads_no_records() {
    let directory = TempDir::new().unwrap();
    let Opened { mut store, .. } = open(directory.path()).unwrap();
    for term in 1..11 {
        let id = |nth| EntryId::new(Term::new(term), LogIndex::new((term - 1) * 1_000 + nth));
        let entries = (1..1_001).map(|nth| Entry::new(id(nth), Payload::Command("x".into()))).collect();
        store.write(Batch { entries, ..Batch::default() });
    }
    let whole = Snapshot { id: snapshot(), configured: raft_core::Configured::default() };
    let part = Part { snapshot: whole.clone(), chunk: Chunk::new(0, "01234".into(), true) };
    store.write(Batch { parts: vec![part], compact: Some(id(5)), ..Batch::default() });
    drop(store);

    let db = raw(directory.path());
    for family in [LOG, SNAPSHOT] {
        let family = db.cf_handle(family).unwrap();
        for item in db.iterator_cf(family, IteratorMode::Start) {
            db.put_cf(family, item.unwrap().0, b"damaged").unwrap();
        }
    }
    drop(db);
    let Opened { restored, .. } = open(directory.path()).unwrap();
    assert_eq!(restored.snapshot, Some(whole));
    assert_eq!((restored.log.base(), restored.log.len()), (id(5), 9_995));
    for index in [6_u64, 1_000, 1_001, 5_500, 10_000] {
        let id = EntryId::new(Term::new(index.div_ceil(1_000)), LogIndex::new(index));
        assert!(restored.log.contains(id), "{id}");
    }
    assert_eq!(
        load(directory.path(), piece(0)).await,
        Err(StorageError::Corrupt {
            what: "a piece of a snapshot",
            key: "snapshot/group 0/number 0/offset 0".into(),
        })
    );
}

/// Term and vote are lost with the state: a server that went on as if it were new could vote twice.
#[tokio::test]
async fn a_directory_without_its_state_is_not_a_new_one() {
    for key in [b"\0\0\0\0\0\0\0\0state".as_slice(), FORMAT_KEY] {
        for directory in [three_entries().await, four_pieces().await] {
            delete(directory.path(), META, key);
            let error = open(directory.path()).unwrap_err();
            assert!(matches!(error, StorageError::Corrupt { what: "the state", .. }), "{error}");
        }
    }
}

#[tokio::test]
async fn a_flipped_byte_of_the_state_is_damage() {
    let directory = three_entries().await;
    flip_last_bit(directory.path(), META, b"\0\0\0\0\0\0\0\0state");
    let error = open(directory.path()).unwrap_err();
    assert!(matches!(error, StorageError::Corrupt { what: "the state", .. }), "{error}");
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
    kill(directory.path());
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
    kill(directory.path());
    let wal = wal(directory.path());
    let bytes = fs::read(&wal).unwrap();
    fs::write(&wal, &bytes[..bytes.len() - 1]).unwrap();
    let opened = open(directory.path()).unwrap();
    assert!(opened.torn_bytes > 0);
    assert_eq!(opened.restored.log.len(), 2);
    drop(opened);
    let again = open(directory.path()).unwrap();
    assert_eq!((again.torn_bytes, again.restored.log.len()), (0, 2));
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
