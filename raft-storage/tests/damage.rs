//! What a store says of a directory that is not what was written.
#![cfg(feature = "rocksdb")]

mod common;
#[path = "common/harm.rs"]
mod harm;

use std::fs;
use std::path::{Path, PathBuf};

use harm::{
    all_entries, change, delete, entry, flip_last_bit, id, kill, load, open, open_simulated, raw,
    three_entries,
};
use raft_core::node::{Done, LogStore};
use raft_core::{
    Batch, Chunk, Entry, EntryId, Incarnation, Load, Loaded, LogIndex, Part, Payload, Snapshot, SnapshotId,
    Term,
};
use raft_storage::format::{DAMAGED, FORMAT, FORMAT_KEY, LOG, META, SNAPSHOT};
use raft_storage::{Inspection, Opened, RocksGroups, StorageError};
use rocksdb::IteratorMode;
use tempfile::TempDir;

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

fn piece(offset: u64) -> Load {
    Load::Chunk { snapshot: snapshot(), offset }
}

fn piece_key(number: u8, offset: u8) -> [u8; 24] {
    let mut key = [0; 24];
    (key[15], key[23]) = (number, offset);
    key
}

fn corrupt_piece(offset: u64) -> StorageError {
    let key = format!("snapshot/group 0/number 1/offset {offset}");
    StorageError::Corrupt { what: "a piece of a snapshot", key }
}

/// What is sound is still read; then nothing any more.
#[tokio::test(start_paused = true)]
async fn a_damaged_piece_that_was_read_poisons_the_store() {
    let directory = four_pieces().await;
    flip_last_bit(directory.path(), SNAPSHOT, &piece_key(1, 10));
    for open in [open, open_simulated] {
        let Opened { mut store, .. } = open(directory.path()).unwrap();
        store.load(piece(5));
        let chunk = Some(Chunk::new(5, "56789".into(), false));
        assert_eq!(
            store.done().await,
            Ok(Done::Loaded(Loaded::Chunk { snapshot: snapshot(), offset: 5, chunk }))
        );
        store.load(piece(10));
        assert_eq!(store.done().await, Err(corrupt_piece(10)));
        store.write(Batch { entries: vec![entry(1)].into(), ..Batch::default() });
        assert_eq!(store.done().await, Err(corrupt_piece(10)));
        drop(store);
        assert!(open(directory.path()).unwrap().restored.log.is_empty());
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
    let damaged = Loaded::Damaged { from: LogIndex::new(1), to: LogIndex::new(3) };
    for (family, answer) in [(LOG, Ok(damaged)), (SNAPSHOT, Err(corrupt_piece(0)))] {
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
        assert_eq!(load(directory.path(), load_all).await, answer);
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

/// RocksDB's default would open this with the last record, or the last two, silently gone. The first record is the only
/// one that says which format this is.
#[tokio::test]
async fn a_flipped_bit_in_the_write_ahead_log_is_damage() {
    let directory = three_entries().await;
    kill(directory.path());
    let wal = wal(directory.path());
    let mut bytes = fs::read(&wal).unwrap();
    bytes[0] ^= 1;
    fs::write(&wal, bytes).unwrap();
    let error = open(directory.path()).unwrap_err();
    assert!(matches!(error, StorageError::Damaged { .. }), "{error}");
}

/// Later records say what there is, but for the entry. It is known at once to be lost, and the log as it was is kept:
/// as long as it is there, nobody else begins in the directory.
#[tokio::test(start_paused = true)]
async fn a_damaged_record_in_the_middle_of_the_write_ahead_log_costs_its_entries() {
    for open in [open, open_simulated] {
        let directory = three_entries().await;
        kill(directory.path());
        let wal = wal(directory.path());
        let mut bytes = fs::read(&wal).unwrap();
        let half = bytes.len() / 2;
        bytes[half] ^= 1;
        fs::write(&wal, &bytes).unwrap();
        let Opened { mut store, restored, torn_bytes, .. } = open(directory.path()).unwrap();
        assert_eq!((restored.log.last(), torn_bytes, restored.suspect_tail), (id(3), 0, false));
        assert_eq!(restored.damaged, [LogIndex::new(2)]);
        assert_eq!(fs::read(wal.with_extension(format!("log.{DAMAGED}"))).unwrap(), bytes);
        store.write(Batch { repair: vec![entry(2)], ..Batch::default() });
        assert_eq!(store.done().await, Ok(Done::Persisted(1)));
        drop(store);
        let Opened { mut store, restored, .. } = open(directory.path()).unwrap();
        assert_eq!(restored.damaged, []);
        store.load(all_entries());
        let entries = (1..4).map(entry).collect();
        assert_eq!(store.done().await, Ok(Done::Loaded(Loaded::Entries { from: LogIndex::new(1), entries })));
        drop(store);

        let groups = RocksGroups::open(directory.path()).unwrap();
        let error = groups.store(raft_core::GroupId(5), Incarnation(5)).unwrap_err();
        assert!(
            error.to_string().contains(DAMAGED) && error.to_string().contains("as a new member"),
            "{error}"
        );
        let Opened { mut store, .. } = groups.store(raft_core::GroupId(0), Incarnation(5)).unwrap();
        store.write(Batch::default());
        assert_eq!(store.done().await, Ok(Done::Persisted(1)));
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
    assert!(opened.restored.suspect_tail);
    assert_eq!(opened.restored.log.len(), 2);
    drop(opened);
    let is_suspect = || Inspection::read(directory.path()).unwrap().groups[0].suspect;
    assert!(is_suspect());
    let again = open(directory.path()).unwrap();
    assert_eq!((again.torn_bytes, again.restored.log.len()), (0, 2));
    assert!(again.restored.suspect_tail, "what was cut off is gone, but may have been acknowledged");
    let mut store = again.store;
    store.write(Batch { trust_tail: true, ..Batch::default() });
    store.done().await.unwrap();
    drop(store);
    assert!(!open(directory.path()).unwrap().restored.suspect_tail);
    assert!(!is_suspect());
}

/// Whoever starts a node has its words somewhere, and that may be its own directory.
#[tokio::test]
async fn files_of_a_stranger_are_none_of_the_store_s() {
    let directory = TempDir::new().unwrap();
    let strangers = ["node.log", "old.sst", "MANIFEST-of-mine"];
    let say = |what: &str| strangers.map(|name| fs::write(directory.path().join(name), what).unwrap());
    say("before it was made");
    for (index, what) in [(1, "while it is closed"), (2, "while it counts as killed")] {
        let Opened { mut store, restored, .. } = open(directory.path()).unwrap();
        assert_eq!(restored.log.last().index, LogIndex::new(index - 1));
        store.write(Batch { entries: vec![entry(index)].into(), ..Batch::default() });
        store.done().await.unwrap();
        drop(store);
        say(what);
        assert!(Inspection::verify(directory.path()).unwrap().is_sound());
    }
    kill(directory.path());
    assert!(Inspection::verify(directory.path()).unwrap().is_sound());
    assert_eq!(open(directory.path()).unwrap().restored.log.last(), id(2));
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
