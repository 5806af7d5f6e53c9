//! When writes become durable, what a store does that cannot write, and what is written when it goes.

mod common;

use std::time::Duration;

use common::{PausedClock, delays, sound};
use raft_core::node::{Done, LogStore};
use raft_core::{
    Batch, Chunk, Entry, EntryId, Incarnation, Load, Loaded, LogIndex, Part, Payload, Restored, Snapshot,
    SnapshotId, Term,
};
use raft_storage::{Loss, MemoryDisk, MemoryStore, Opened, StorageError};
use tokio::time::Instant;

fn id(index: u64) -> EntryId {
    EntryId::new(Term::new(1), LogIndex::new(index))
}

fn batch(index: u64) -> Batch {
    Batch { entries: vec![Entry::new(id(index), Payload::Noop)].into(), ..Batch::default() }
}

/// How many entries the log has.
fn length(restored: &Restored) -> u64 {
    restored.log.len()
}

fn in_memory(disk: &MemoryDisk) -> Opened<MemoryStore> {
    MemoryStore::open(disk, Incarnation(1), PausedClock::new(), delays(), sound())
}

/// What was given before the mistake is durable; the mistake, and all after it, is not written.
async fn assert_a_misfit_poisons(mut store: impl LogStore<Error = StorageError>) {
    store.write(batch(1));
    store.write(batch(3));
    store.write(batch(2));
    assert_eq!(store.done().await, Ok(Done::Persisted(1)));
    let misfit = StorageError::Misfit { last: id(1), found: id(3) };
    assert_eq!(store.done().await, Err(misfit.clone()));
    store.write(batch(2));
    store.load(Load::Entries { from: LogIndex::new(1), to: LogIndex::new(1), bytes_max: 0 });
    assert_eq!(store.done().await, Err(misfit));
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_leaves_a_gap_poisons_the_store_in_memory() {
    let disk = MemoryDisk::new();
    assert_a_misfit_poisons(in_memory(&disk).store).await;
    assert_eq!(length(&in_memory(&disk).restored), 1);
}

/// An entry that the log does not have cannot be repaired: one after its end, one of another term.
async fn assert_no_stranger_is_repaired(mut store: impl LogStore<Error = StorageError>, stranger: EntryId) {
    store.write(batch(1));
    assert_eq!(store.done().await, Ok(Done::Persisted(1)));
    let repair = vec![Entry::new(stranger, Payload::Noop)];
    store.write(Batch { repair, ..Batch::default() });
    assert_eq!(store.done().await, Err(StorageError::Misfit { last: id(1), found: stranger }));
}

fn strangers() -> [EntryId; 2] {
    [id(2), EntryId::new(Term::new(2), LogIndex::new(1))]
}

#[tokio::test(start_paused = true)]
async fn a_repair_of_what_is_not_there_poisons_the_store_in_memory() {
    for stranger in strangers() {
        assert_no_stranger_is_repaired(in_memory(&MemoryDisk::new()).store, stranger).await;
    }
}

/// What has rotted is found when it is read, also by the store that wrote it, and is sound once it is repaired.
#[tokio::test(start_paused = true)]
async fn what_rots_in_memory_is_damaged_until_it_is_repaired() {
    let disk = MemoryDisk::new();
    let mut store = in_memory(&disk).store;
    (1..4).for_each(|index| store.write(batch(index)));
    store.done().await.unwrap();
    assert!(disk.rot(LogIndex::new(2)) && !disk.rot(LogIndex::new(2)) && !disk.rot(LogIndex::new(4)));
    let load = Load::Entries { from: LogIndex::new(2), to: LogIndex::new(9), bytes_max: 99 };
    let (from, to) = (LogIndex::new(2), LogIndex::new(2));
    store.load(load);
    assert_eq!(store.done().await, Ok(Done::Loaded(Loaded::Damaged { from, to })));
    disk.crash(Loss::None);
    let Opened { mut store, restored, .. } = in_memory(&disk);
    assert_eq!((length(&restored), restored.damaged), (3, Vec::new()));
    store.load(load);
    assert_eq!(store.done().await, Ok(Done::Loaded(Loaded::Damaged { from, to })));
    store.write(Batch { repair: batch(2).entries.to_vec(), ..Batch::default() });
    store.load(load);
    let entries = (2..4).flat_map(|index| batch(index).entries.to_vec()).collect();
    assert_eq!(store.done().await, Ok(Done::Loaded(Loaded::Entries { from, entries })));
}

/// Each row: what a crash took, of three batches of which one was synced, and whether the end is suspect then. It is so
/// until the server trusts it.
#[tokio::test(start_paused = true)]
async fn an_end_that_a_power_cut_took_something_of_is_suspect() {
    for (loss, suspect) in [
        (Loss::None, false),
        (Loss::Unsynced { keep: 0 }, true),
        (Loss::Unsynced { keep: 1 }, true),
        (Loss::Unsynced { keep: 2 }, false),
    ] {
        let disk = MemoryDisk::new();
        let mut store = in_memory(&disk).store;
        (1..4).for_each(|index| store.write(batch(index)));
        store.done().await.unwrap();
        disk.crash(loss);
        assert_eq!(in_memory(&disk).restored.suspect_tail, suspect, "{loss:?}");
        let Opened { mut store, restored, .. } = in_memory(&disk);
        assert_eq!(restored.suspect_tail, suspect, "{loss:?}");
        store.write(Batch { trust_tail: true, ..Batch::default() });
        store.done().await.unwrap();
        assert!(!in_memory(&disk).restored.suspect_tail, "{loss:?}");
    }
}

/// The delays are 1, 2, 3 ms: the first write is synced alone, the four behind it together.
async fn assert_writes_share_the_next_sync(mut store: impl LogStore<Error = StorageError>) {
    let began = Instant::now();
    for index in 1..6 {
        store.write(batch(index));
    }
    assert_eq!(store.done().await, Ok(Done::Persisted(1)));
    assert_eq!(began.elapsed(), Duration::from_millis(1));
    store.write(batch(6));
    assert_eq!(store.done().await, Ok(Done::Persisted(4)));
    assert_eq!(began.elapsed(), Duration::from_millis(3));
    assert_eq!(store.done().await, Ok(Done::Persisted(1)));
    assert_eq!(began.elapsed(), Duration::from_millis(6));
}

#[tokio::test(start_paused = true)]
async fn writes_handed_in_during_a_sync_share_the_next_one_in_memory() {
    assert_writes_share_the_next_sync(in_memory(&MemoryDisk::new()).store).await;
}

/// Each row: how many unsynced batches the disk had got to, and how many entries are left. The first
/// one was synced.
#[tokio::test(start_paused = true)]
async fn a_power_cut_leaves_what_was_synced_and_the_batches_that_the_caller_chooses() {
    for (keep, left) in [(0, 1), (1, 2), (3, 4), (9, 4)] {
        let disk = MemoryDisk::new();
        let mut store = in_memory(&disk).store;
        for index in 1..5 {
            store.write(batch(index));
        }
        assert_eq!(store.done().await, Ok(Done::Persisted(1)));
        assert_eq!(disk.unsynced(), 3);
        disk.crash(Loss::Unsynced { keep });
        assert_eq!(length(&in_memory(&disk).restored), left, "keep {keep}");
    }
}

/// Each row: how many unsynced batches the disk had got to, and how many bytes of snapshots and commands
/// are lost.
#[tokio::test(start_paused = true)]
async fn a_power_cut_tells_how_many_bytes_were_lost() {
    for (keep, lost) in [(0, 8), (1, 3), (2, 0)] {
        let disk = MemoryDisk::new();
        let mut store = in_memory(&disk).store;
        let snapshot = Snapshot { id: SnapshotId::default(), configured: raft_core::Configured::default() };
        let part = Part { snapshot, chunk: Chunk::new(0, "12345".into(), true) };
        store.write(Batch { parts: vec![part], ..Batch::default() });
        let command = Entry::new(id(1), Payload::Command("123".into()));
        store.write(Batch { entries: vec![command].into(), ..Batch::default() });
        assert_eq!(disk.crash(Loss::Unsynced { keep }), lost, "keep {keep}");
    }
}

/// Its task may live on for a while after the power has gone.
#[tokio::test(start_paused = true)]
async fn a_store_that_outlives_its_crash_changes_nothing() {
    let disk = MemoryDisk::new();
    let mut stale = in_memory(&disk).store;
    stale.write(batch(1));
    disk.crash(Loss::Unsynced { keep: 0 });
    let Opened { store: mut fresh, .. } = in_memory(&disk);
    fresh.write(batch(1));
    stale.write(batch(2));
    assert_eq!(stale.done().await, Err(StorageError::Superseded));
    assert_eq!(disk.unsynced(), 1);
}

#[cfg(feature = "rocksdb")]
mod rocks {
    use std::path::Path;

    use raft_core::{GroupId, HardState, NodeId};
    use raft_storage::RocksStore;
    use tempfile::TempDir;

    use super::*;

    fn threaded(directory: &Path) -> Opened<RocksStore> {
        RocksStore::open(directory, GroupId(0), Incarnation(1)).unwrap()
    }

    fn simulated(directory: &Path) -> Opened<RocksStore> {
        let clock = PausedClock::new();
        RocksStore::open_simulated(directory, GroupId(0), Incarnation(1), clock, delays(), sound()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_that_leaves_a_gap_poisons_the_store_on_disk() {
        for open in [threaded, simulated] {
            let directory = TempDir::new().unwrap();
            assert_a_misfit_poisons(open(directory.path()).store).await;
            assert_eq!(length(&open(directory.path()).restored), 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_repair_of_what_is_not_there_poisons_the_store_on_disk() {
        for (open, stranger) in [threaded, simulated].into_iter().zip(strangers()) {
            let directory = TempDir::new().unwrap();
            assert_no_stranger_is_repaired(open(directory.path()).store, stranger).await;
        }
    }

    /// The write-ahead log grows by one write for a batch, and by a second one, of the state alone, where term or vote
    /// is new. What is durable includes both.
    #[tokio::test(start_paused = true)]
    async fn only_what_has_a_new_vote_is_written_twice() {
        let hard_state = |term, vote| {
            Some(HardState { current_term: Term::new(term), voted_for: Some(NodeId::new(vote)) })
        };
        let directory = TempDir::new().unwrap();
        let Opened { mut store, .. } = simulated(directory.path());
        for (hard_state, writes) in
            [(None, 1), (hard_state(1, 1), 2), (hard_state(1, 1), 1), (hard_state(1, 2), 2), (None, 1)]
        {
            let before = store.meter().metrics();
            store.write(Batch { hard_state, ..Batch::default() });
            assert_eq!(store.done().await, Ok(Done::Persisted(1)));
            let after = store.meter().metrics();
            assert_eq!(
                (after.writes.count - before.writes.count, after.batches - before.batches),
                (writes, 1)
            );
            assert_eq!(store.synced_wal().unwrap().power_cut(|_| 0).unwrap(), 0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn writes_handed_in_during_a_sync_share_the_next_one_on_disk() {
        let directory = TempDir::new().unwrap();
        assert_writes_share_the_next_sync(simulated(directory.path()).store).await;
    }

    #[test]
    fn dropping_a_store_writes_what_was_given() {
        let directory = TempDir::new().unwrap();
        let Opened { mut store, .. } = threaded(directory.path());
        for index in 1..100 {
            store.write(batch(index));
        }
        drop(store);
        assert_eq!(length(&threaded(directory.path()).restored), 99);
    }

    /// The last piece of a snapshot, the log that goes with it, and what follows: one record of the
    /// write-ahead log. Whatever is left of it, before the cut there are three entries and the beginning of
    /// a snapshot, and after it, that snapshot and one entry.
    #[tokio::test(start_paused = true)]
    async fn a_power_cut_at_any_byte_of_an_install_leaves_all_of_it_or_nothing() {
        let part = |offset, done| {
            let id = SnapshotId { last_included: id(9), made_by: Incarnation(1) };
            let snapshot = Snapshot { id, configured: raft_core::Configured::default() };
            Part { snapshot, chunk: Chunk::new(offset, "12345".into(), done) }
        };
        let install = Batch {
            truncate: Some(LogIndex::new(1)),
            parts: vec![part(5, true)],
            compact: Some(id(9)),
            ..batch(10)
        };
        let directory = TempDir::new().unwrap();
        let Opened { mut store, .. } = threaded(directory.path());
        let entries = (1..4).flat_map(|index| batch(index).entries.to_vec()).collect();
        store.write(Batch { parts: vec![part(0, false)], entries, ..Batch::default() });
        assert_eq!(store.done().await, Ok(Done::Persisted(1)));
        drop(store);
        let old = threaded(directory.path()).restored;
        assert_eq!((old.log.last(), old.partial.is_some()), (id(3), true));

        let (mut survive, mut lost) = (0, 1);
        while lost > 0 {
            let Opened { mut store, restored, torn_bytes, .. } = simulated(directory.path());
            assert!(restored.suspect_tail || torn_bytes == 0, "nobody has trusted it since it was torn");
            assert_eq!(Restored { suspect_tail: false, ..restored }, old, "{survive} bytes were left");
            store.write(install.clone());
            let synced = store.synced_wal().unwrap();
            drop(store);
            lost = synced.power_cut(|_| survive).unwrap();
            survive += 1;
        }
        let new = simulated(directory.path()).restored;
        assert!(survive > 100, "{survive}");
        assert_eq!((new.log.base(), new.log.last()), (id(9), id(10)));
        assert_eq!((new.snapshot, new.partial), (Some(part(5, true).snapshot), None));
    }

    /// A log written in production is the same one in a simulation, and the other way round.
    #[tokio::test(start_paused = true)]
    async fn both_executors_write_the_same_log() {
        let directory = TempDir::new().unwrap();
        for (index, open) in (1..).zip([threaded, simulated, threaded]) {
            let Opened { mut store, restored, .. } = open(directory.path());
            assert_eq!(restored.log.ids().collect::<Vec<_>>(), (1..index).map(id).collect::<Vec<_>>());
            store.write(batch(index));
            assert_eq!(store.done().await, Ok(Done::Persisted(1)));
        }
    }
}
