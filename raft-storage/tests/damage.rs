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

/// One entry is not what was written: what is before it is read, it is told of, and what is behind it is read. Then
/// it is repaired, and all is read, now and after the next opening.
async fn assert_damaged_and_repaired(directory: &Path, damaged: u64) {
    let from_to = |from: u64, to: u64| Load::Entries {
        from: LogIndex::new(from),
        to: LogIndex::new(to),
        bytes_max: usize::MAX,
    };
    let entries = |indexes: std::ops::Range<u64>| indexes.map(entry).collect::<Vec<_>>();
    let sound = |from: u64, to: u64| {
        Done::Loaded(Loaded::Entries { from: LogIndex::new(from), entries: entries(from..to) })
    };
    let Opened { mut store, restored, .. } = open(directory).unwrap();
    assert_eq!((restored.log.last(), &restored.damaged[..]), (id(3), &[][..]));
    if damaged > 1 {
        store.load(all_entries());
        assert_eq!(store.done().await, Ok(sound(1, damaged)));
    }
    store.load(from_to(damaged, 9));
    let damaged = LogIndex::new(damaged);
    assert_eq!(store.done().await, Ok(Done::Loaded(Loaded::Damaged { from: damaged, to: damaged })));
    if damaged < LogIndex::new(3) {
        store.load(from_to(damaged.get() + 1, 9));
        assert_eq!(store.done().await, Ok(sound(damaged.get() + 1, 4)));
    }
    store.write(Batch { repair: entries(damaged.get()..damaged.get() + 1), ..Batch::default() });
    assert_eq!(store.done().await, Ok(Done::Persisted(1)));
    store.load(all_entries());
    assert_eq!(store.done().await, Ok(sound(1, 4)));
    drop(store);
    assert_eq!(load(directory, all_entries()).await.map(Done::Loaded), Ok(sound(1, 4)));
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
        assert_damaged_and_repaired(directory.path(), u64::from(slot) + 1).await;
    }
}

/// The last one too: a log does not end where a record is missing.
#[tokio::test]
async fn a_missing_entry_is_damage_and_not_the_end_of_the_log() {
    for slot in 0..3 {
        let directory = three_entries().await;
        delete(directory.path(), LOG, &entry_key(slot));
        assert_damaged_and_repaired(directory.path(), u64::from(slot) + 1).await;
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
    assert_damaged_and_repaired(directory.path(), 3).await;
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

/// As far as damage goes it is told of at once, up to what was asked for; entries are repaired by many or one at a
/// time, in any order, with the log going on meanwhile.
#[tokio::test(start_paused = true)]
async fn damaged_entries_are_repaired_while_the_log_goes_on() {
    let load = |from, to| Load::Entries { from: LogIndex::new(from), to: LogIndex::new(to), bytes_max: 2 };
    let damaged = |from, to| Loaded::Damaged { from: LogIndex::new(from), to: LogIndex::new(to) };
    for open in [open, open_simulated] {
        let directory = TempDir::new().unwrap();
        let Opened { mut store, .. } = self::open(directory.path()).unwrap();
        store.write(Batch { entries: (1..10).map(entry).collect(), ..Batch::default() });
        store.done().await.unwrap();
        drop(store);
        for slot in [1, 2, 3, 5] {
            change(directory.path(), LOG, &entry_key(slot), |value| value[0] ^= 1);
            drop(self::open(directory.path()).unwrap());
        }
        let Opened { mut store, .. } = open(directory.path()).unwrap();
        for (asked, answer) in [
            (load(2, 9), damaged(2, 4)),
            (load(2, 3), damaged(2, 3)),
            (load(4, 4), damaged(4, 4)),
            (load(6, 9), damaged(6, 6)),
            (load(5, 9), Loaded::Entries { from: LogIndex::new(5), entries: vec![entry(5)] }),
        ] {
            store.load(asked);
            assert_eq!(store.done().await, Ok(Done::Loaded(answer)));
        }
        for (repair, appended) in [(vec![6], 10), (vec![3], 11), (vec![4, 2], 12)] {
            let repair = repair.into_iter().map(entry).collect();
            store.write(Batch { repair, entries: vec![entry(appended)].into(), ..Batch::default() });
            assert_eq!(store.done().await, Ok(Done::Persisted(1)));
        }
        drop(store);
        for open in [open, self::open] {
            let Opened { mut store, .. } = open(directory.path()).unwrap();
            store.load(Load::Entries { from: LogIndex::new(1), to: LogIndex::new(99), bytes_max: 99 });
            let all = Loaded::Entries { from: LogIndex::new(1), entries: (1..13).map(entry).collect() };
            assert_eq!(store.done().await, Ok(Done::Loaded(all)));
        }
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

/// What is in sound tables is read, before the damaged one and behind it. An iterator that has to look into several
/// says that all of them are damaged.
#[tokio::test]
async fn a_table_whose_first_entries_are_damaged_hides_no_others() {
    let directory = TempDir::new().unwrap();
    let Opened { mut store, .. } = open(directory.path()).unwrap();
    let command = || Payload::Command(vec![7; 3000].into());
    let entry = |index| Entry::new(id(index), command());
    store.write(Batch { entries: (1..10).map(entry).collect(), ..Batch::default() });
    store.done().await.unwrap();
    drop(store);
    let db = raw(directory.path());
    let log = db.cf_handle(LOG).unwrap();
    // Entries 4 to 6 once more, in a table of their own before the first level.
    let again: Vec<_> =
        (3..6).map(|slot| (entry_key(slot), db.get_cf(log, entry_key(slot)).unwrap())).collect();
    db.compact_range_cf(log, None::<&[u8]>, None::<&[u8]>);
    again.iter().for_each(|(key, value)| db.put_cf(log, key, value.as_ref().unwrap()).unwrap());
    db.flush_cf(log).unwrap();
    let tables = db.live_files().unwrap();
    let table = tables.iter().find(|table| table.level == 0 && table.column_family_name == LOG).unwrap();
    let table = directory.path().join(table.name.trim_start_matches('/'));
    drop(db);
    let mut bytes = fs::read(&table).unwrap();
    bytes[20] ^= 1;
    fs::write(&table, bytes).unwrap();

    let asked =
        |from: u64| Load::Entries { from: LogIndex::new(from), to: LogIndex::new(9), bytes_max: usize::MAX };
    let Opened { mut store, .. } = RocksStore::open_simulated(
        directory.path(),
        GroupId(0),
        Incarnation(1),
        PausedClock::new(),
        delays(),
    )
    .unwrap();
    let mut found = Vec::new();
    for index in 1..10 {
        store.load(asked(index));
        found.push(match store.done().await.unwrap() {
            Done::Loaded(Loaded::Entries { entries, .. }) => entries.len(),
            Done::Loaded(Loaded::Damaged { .. }) => 0,
            done => panic!("{done:?}"),
        });
    }
    // Two entries are in a block: the last one of the three is in a sound block of the damaged table.
    assert_eq!(found, [3, 2, 1, 0, 0, 4, 3, 2, 1]);
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
