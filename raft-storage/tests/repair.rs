//! Entries that are damaged on disk: what is said of them, and how they are written once more.
#![cfg(feature = "rocksdb")]

mod common;
#[path = "common/harm.rs"]
mod harm;

use std::fs;
use std::path::Path;

use harm::{
    all_entries, change, delete, entry, flip_last_bit, id, load, open, open_simulated, raw, three_entries,
};
use raft_core::node::{Done, LogStore};
use raft_core::{Batch, Entry, Load, Loaded, LogIndex, Payload};
use raft_storage::Opened;
use raft_storage::format::LOG;
use tempfile::TempDir;

fn entry_key(slot: u8) -> [u8; 16] {
    let mut key = [0; 16];
    key[15] = slot;
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

/// As far as damage goes it is told of at once, up to what was asked for; entries are repaired by many or one at a
/// time, in any order, with the log going on meanwhile.
#[tokio::test(start_paused = true)]
async fn damaged_entries_are_repaired_while_the_log_goes_on() {
    let load = |from, to| Load::Entries { from: LogIndex::new(from), to: LogIndex::new(to), bytes_max: 2 };
    let damaged = |from, to| Loaded::Damaged { from: LogIndex::new(from), to: LogIndex::new(to) };
    for open in [open, open_simulated] {
        let directory = TempDir::new().unwrap();
        let Opened { mut store, .. } = harm::open(directory.path()).unwrap();
        store.write(Batch { entries: (1..10).map(entry).collect(), ..Batch::default() });
        store.done().await.unwrap();
        drop(store);
        for slot in [1, 2, 3, 5] {
            change(directory.path(), LOG, &entry_key(slot), |value| value[0] ^= 1);
            drop(harm::open(directory.path()).unwrap());
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
        for open in [open, harm::open] {
            let Opened { mut store, .. } = open(directory.path()).unwrap();
            store.load(Load::Entries { from: LogIndex::new(1), to: LogIndex::new(99), bytes_max: 99 });
            let all = Loaded::Entries { from: LogIndex::new(1), entries: (1..13).map(entry).collect() };
            assert_eq!(store.done().await, Ok(Done::Loaded(all)));
        }
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
    let Opened { mut store, .. } = open_simulated(directory.path()).unwrap();
    let mut found = Vec::new();
    for index in 1..10 {
        store.load(asked(index));
        found.push(match store.done().await.unwrap() {
            Done::Loaded(Loaded::Entries { entries, .. }) => entries.len(),
            Done::Loaded(Loaded::Damaged { .. }) => 0,
            done @ (Done::Loaded(Loaded::Chunk { .. }) | Done::Persisted(_)) => panic!("{done:?}"),
        });
    }
    // Two entries are in a block: the last one of the three is in a sound block of the damaged table.
    assert_eq!(found, [3, 2, 1, 0, 0, 4, 3, 2, 1]);
}
