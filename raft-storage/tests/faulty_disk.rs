//! What a store says whose disk is faulty: both simulated stores, and any other in one that is.

mod common;

use std::time::Duration;

use common::{PausedClock, delays, sound};
use raft_core::node::{Done, LogStore};
use raft_core::{
    Batch, Chunk, Configured, Entry, EntryId, Incarnation, Load, Loaded, LogIndex, Part, Payload, Restored,
};
use raft_core::{Snapshot, SnapshotId, Term};
use raft_storage::{
    DiskFault, DiskFaults, FaultyStore, MemoryDisk, MemoryStore, Opened, ReadFault, StorageError, SyncFault,
    Touched, WriteFault,
};
use tokio::time::{Instant, timeout};

fn id(index: u64) -> EntryId {
    EntryId::new(Term::new(1), LogIndex::new(index))
}

fn batch(index: u64) -> Batch {
    Batch { entries: vec![Entry::new(id(index), Payload::Command("x".into()))].into(), ..Batch::default() }
}

fn all() -> Load {
    Load::Entries { from: LogIndex::new(1), to: LogIndex::new(9), bytes_max: usize::MAX }
}

fn io(error: &StorageError) -> bool {
    matches!(error, StorageError::Io { .. })
}

fn snapshot() -> SnapshotId {
    SnapshotId { last_included: id(0), made_by: Incarnation(1) }
}

/// A disk that may be opened again, and its faults.
trait Disk {
    type Store: LogStore<Error = StorageError>;

    fn open(&self, faults: &DiskFaults) -> (Self::Store, u64);
}

impl Disk for MemoryDisk {
    type Store = MemoryStore;

    fn open(&self, faults: &DiskFaults) -> (MemoryStore, u64) {
        let opened = MemoryStore::open(self, Incarnation(1), PausedClock::new(), delays(), faults.clone());
        (opened.store, opened.restored.log.len())
    }
}

/// A disk with nothing wrong, under a store that says otherwise.
struct Sound(MemoryDisk);

impl Disk for Sound {
    type Store = FaultyStore;

    fn open(&self, faults: &DiskFaults) -> (FaultyStore, u64) {
        let clock = PausedClock::new();
        let opened = MemoryStore::open(&self.0, Incarnation(1), clock.clone(), delays(), sound());
        let Opened { store, restored, .. } = FaultyStore::over(opened, clock, faults.clone());
        (store, restored.log.len())
    }
}

#[cfg(feature = "rocksdb")]
impl Disk for tempfile::TempDir {
    type Store = raft_storage::RocksStore;

    fn open(&self, faults: &DiskFaults) -> (Self::Store, u64) {
        let (clock, group) = (PausedClock::new(), raft_core::GroupId(0));
        let opened = raft_storage::RocksStore::open_simulated(
            self.path(),
            group,
            Incarnation(1),
            clock,
            delays(),
            faults.clone(),
        );
        let opened = opened.unwrap();
        (opened.store, opened.restored.log.len())
    }
}

/// Each row is asked of a new disk.
async fn assert_faults_are_told<D: Disk>(new: impl Fn() -> D) {
    a_slow_sync_takes_longer(&new()).await;
    a_sync_hangs_until_the_fault_ends(&new()).await;
    what_fails_poisons(&new()).await;
    a_flipped_bit_is_found(&new()).await;
}

/// The delays are 1, 2, 3 ms; only the first two calls are touched.
async fn a_slow_sync_takes_longer(disk: &impl Disk) {
    let faults = DiskFaults::new(7);
    let slow = |millis| Some(SyncFault::Slow(Duration::from_millis(millis)));
    let id = faults.begin(DiskFault { sync: slow(100), calls: Some(2), ..DiskFault::default() });
    faults.begin(DiskFault { sync: slow(10), ..DiskFault::default() });
    let (mut store, _) = disk.open(&faults);
    let mut took = Vec::new();
    for index in 1..4 {
        let began = Instant::now();
        store.write(batch(index));
        assert_eq!(store.done().await, Ok(Done::Persisted(1)));
        took.push(began.elapsed().as_millis());
    }
    assert_eq!(took, [111, 112, 13]);
    assert_eq!(faults.touched(id), Touched { syncs: 2, ..Touched::default() });
    assert!(!faults.take_refused());
}

async fn a_sync_hangs_until_the_fault_ends(disk: &impl Disk) {
    let faults = DiskFaults::new(7);
    let id = faults.begin(DiskFault { sync: Some(SyncFault::Hang), ..DiskFault::default() });
    let (mut store, _) = disk.open(&faults);
    store.write(batch(1));
    assert!(timeout(Duration::from_secs(3600), store.done()).await.is_err(), "no answer");
    // What is written can be read all the same.
    store.load(all());
    assert!(matches!(store.done().await, Ok(Done::Loaded(_))));
    let (faults, woken) = (faults.clone(), tokio::spawn(async move { store.done().await }));
    tokio::task::yield_now().await;
    faults.end(id);
    assert_eq!(timeout(Duration::from_secs(1), woken).await.unwrap().unwrap(), Ok(Done::Persisted(1)));
}

/// What was given before is durable, and what failed may be there.
async fn what_fails_poisons(disk: &impl Disk) {
    let faults = DiskFaults::new(7);
    for (fault, length) in [
        (DiskFault { write: Some(WriteFault::NoSpace), ..DiskFault::default() }, 2),
        (DiskFault { sync: Some(SyncFault::Error), ..DiskFault::default() }, 4),
        (DiskFault { read: Some(ReadFault::Error), ..DiskFault::default() }, 6),
        (DiskFault { write: Some(WriteFault::Error), ..DiskFault::default() }, 8),
    ] {
        let (mut store, found) = disk.open(&faults);
        assert_eq!(found + 2, length);
        store.write(batch(length - 1));
        assert_eq!(store.done().await, Ok(Done::Persisted(1)));
        let id = faults.begin(fault);
        store.write(batch(length));
        if fault.read.is_some() {
            store.load(all());
            assert_eq!(store.done().await, Ok(Done::Persisted(1)));
        }
        let error = store.done().await.unwrap_err();
        assert!(io(&error), "{error}");
        let touched = faults.touched(id);
        assert_eq!(touched.syncs + touched.writes + touched.reads, 1);
        faults.end(id);
        store.write(batch(length + 1));
        assert_eq!(store.done().await, Err(error));
        assert!(faults.take_refused() && !faults.take_refused());
    }
    assert_eq!(disk.open(&faults).1, 8);
}

/// It is the read that is wrong: the next one is not.
async fn a_flipped_bit_is_found(disk: &impl Disk) {
    let faults = DiskFaults::new(7);
    let (mut store, _) = disk.open(&faults);
    let flip = DiskFault { read: Some(ReadFault::BitFlip), ..DiskFault::default() };
    let nothing = faults.begin(flip);
    store.load(all());
    let none = Loaded::Entries { from: LogIndex::new(1), entries: Vec::new() };
    assert_eq!(store.done().await, Ok(Done::Loaded(none)));
    assert_eq!(faults.touched(nothing), Touched::default(), "of nothing no bit can be wrong");
    faults.end(nothing);
    let configured = Configured::default();
    let part =
        Part { snapshot: Snapshot { id: snapshot(), configured }, chunk: Chunk::new(0, "all".into(), true) };
    let entries = (1..4).flat_map(|index| batch(index).entries.to_vec()).collect::<Vec<_>>();
    store.write(Batch { entries: entries.clone().into(), parts: vec![part], ..Batch::default() });
    assert_eq!(store.done().await, Ok(Done::Persisted(1)));
    let mut lengths = Vec::new();
    for _ in 0..40 {
        let id = faults.begin(flip);
        store.load(all());
        match store.done().await.unwrap() {
            Done::Loaded(Loaded::Damaged { from, to }) => {
                assert_eq!((from, to), (LogIndex::new(1), LogIndex::new(1)));
                lengths.push(0);
            }
            Done::Loaded(Loaded::Entries { entries: sound, .. }) => {
                assert_eq!(sound, entries[..sound.len()]);
                lengths.push(sound.len());
            }
            other @ (Done::Persisted(_) | Done::Loaded(_)) => panic!("{other:?}"),
        }
        assert_eq!(faults.touched(id), Touched { reads: 1, ..Touched::default() });
        faults.end(id);
        store.load(all());
        let whole = Loaded::Entries { from: LogIndex::new(1), entries: entries.clone() };
        assert_eq!(store.done().await, Ok(Done::Loaded(whole)));
    }
    lengths.sort_unstable();
    lengths.dedup();
    assert_eq!(lengths, [0, 1, 2]);
    assert!(!faults.take_refused());
    faults.begin(flip);
    store.load(Load::Chunk { snapshot: snapshot(), offset: 0 });
    assert!(matches!(store.done().await, Err(StorageError::Corrupt { .. })));
    assert!(faults.take_refused());
}

#[tokio::test(start_paused = true)]
async fn faults_of_a_disk_in_memory_are_told() {
    assert_faults_are_told(MemoryDisk::new).await;
}

#[tokio::test(start_paused = true)]
async fn faults_are_told_of_a_disk_with_nothing_wrong() {
    assert_faults_are_told(|| Sound(MemoryDisk::new())).await;
}

/// What is wrong with a disk is wrong with another that follows it, which tells what is touched: what was touched before
/// counts, and what hangs goes on when it is over.
#[tokio::test(start_paused = true)]
async fn a_disk_follows_another_and_tells_what_is_touched() {
    let here = DiskFaults::new(7);
    let slow = DiskFault {
        sync: Some(SyncFault::Slow(Duration::from_millis(9))),
        calls: Some(3),
        ..DiskFault::default()
    };
    let slow = here.begin(slow);
    let hang = here.begin(DiskFault { sync: Some(SyncFault::Hang), calls: Some(1), ..DiskFault::default() });
    let syncs = |syncs| Touched { syncs, ..Touched::default() };
    here.has_touched(slow, syncs(1));
    let listener = here.clone();
    let there = DiskFaults::new(7).heard_by(move |id, touched| listener.has_touched(id, touched));
    there.follow(here.in_force());
    assert_eq!(there.in_force(), here.in_force());
    let (mut store, _) = Sound(MemoryDisk::new()).open(&there);
    store.write(batch(1));
    assert!(timeout(Duration::from_secs(3600), store.done()).await.is_err(), "no answer");
    assert_eq!((here.touched(slow), here.touched(hang)), (syncs(2), syncs(1)));
    here.end(hang);
    there.follow(here.in_force());
    assert_eq!(store.done().await, Ok(Done::Persisted(1)));
    for index in 2..5 {
        store.write(batch(index));
        assert_eq!(store.done().await, Ok(Done::Persisted(1)));
    }
    assert_eq!((here.touched(slow), here.in_force().len()), (syncs(3), 1), "no more than it may");
    there.follow(DiskFaults::new(7).in_force());
    assert!(there.in_force().is_empty());
}

#[cfg(feature = "rocksdb")]
#[tokio::test(start_paused = true)]
async fn faults_of_a_simulated_directory_are_told() {
    assert_faults_are_told(|| tempfile::TempDir::new().unwrap()).await;
}

/// Found when it is read, and not before; also by the next store.
#[tokio::test(start_paused = true)]
async fn what_rots_on_a_disk_in_memory_is_found_when_it_is_read() {
    let (disk, faults) = (MemoryDisk::new(), sound());
    let (mut store, _) = disk.open(&faults);
    for index in 1..4 {
        store.write(batch(index));
    }
    drop(store);
    assert!(disk.rot(LogIndex::new(2)) && !disk.rot(LogIndex::new(4)));
    assert_eq!(disk.cut(LogIndex::new(3)), 1);
    let (mut store, length) = disk.open(&faults);
    assert_eq!((length, disk.log().last()), (2, id(2)));
    store.load(all());
    let sound = Loaded::Entries { from: LogIndex::new(1), entries: batch(1).entries.to_vec() };
    assert_eq!(store.done().await, Ok(Done::Loaded(sound)));
    store.load(Load::Entries { from: LogIndex::new(2), to: LogIndex::new(2), bytes_max: 9 });
    let damaged = Loaded::Damaged { from: LogIndex::new(2), to: LogIndex::new(2) };
    assert_eq!(store.done().await, Ok(Done::Loaded(damaged)));
}

#[cfg(feature = "rocksdb")]
mod rocks {
    use raft_storage::{StoredRecords, delete_snapshot};
    use tempfile::TempDir;

    use super::*;

    /// Entries 1 to 4 and a snapshot in two pieces, in this order, each in a batch of its own.
    fn written() -> TempDir {
        let directory = TempDir::new().unwrap();
        let (mut store, _) = directory.open(&sound());
        for index in 1..4 {
            store.write(batch(index));
        }
        let snapshot = Snapshot { id: snapshot(), configured: Configured::default() };
        for (offset, done) in [(0, false), (3, true)] {
            let part = Part { snapshot: snapshot.clone(), chunk: Chunk::new(offset, "all".into(), done) };
            store.write(Batch { parts: vec![part], ..Batch::default() });
        }
        store.write(batch(4));
        directory
    }

    fn opens(directory: &TempDir) -> Result<Restored, StorageError> {
        let (clock, group) = (PausedClock::new(), raft_core::GroupId(0));
        let store = raft_storage::RocksStore::open_simulated(
            directory.path(),
            group,
            Incarnation(1),
            clock,
            delays(),
            sound(),
        );
        store.map(|opened| opened.restored)
    }

    async fn loaded(directory: &TempDir, load: Load) -> Result<Done, StorageError> {
        let (mut store, _) = directory.open(&sound());
        store.load(load);
        store.done().await
    }

    /// In the write-ahead log, and in the table that opening makes of it; any bit.
    #[tokio::test(start_paused = true)]
    async fn a_bit_that_is_flipped_in_a_directory_is_found() {
        let second = Load::Entries { from: LogIndex::new(2), to: LogIndex::new(2), bytes_max: 9 };
        for place in [0, 9, 100, 1_000_003, u64::MAX] {
            let directory = written();
            let records = StoredRecords::find(directory.path()).unwrap();
            assert!(records.entries().eq((1..5).map(LogIndex::new)));
            assert!(!records.flip_entry(LogIndex::new(5), place).unwrap());
            assert!(records.flip_entry(LogIndex::new(2), place).unwrap());
            // What the log lost is known at once; what stands for all before it cannot be done without.
            assert_eq!(opens(&directory).unwrap().damaged, [LogIndex::new(2)], "{place}");
            let directory = written();
            let records = StoredRecords::find(directory.path()).unwrap();
            assert!(records.flip_piece(place).unwrap());
            assert!(matches!(opens(&directory), Err(StorageError::Damaged { .. })), "{place}");
            assert!(records.flip_piece(place).unwrap(), "back again");
            opens(&directory).unwrap();
            let records = StoredRecords::find(directory.path()).unwrap();
            assert!(records.entries().eq((1..5).map(LogIndex::new)));
            assert!(matches!(loaded(&directory, second).await, Ok(Done::Loaded(Loaded::Entries { .. }))));
            assert!(records.flip_entry(LogIndex::new(2), place).unwrap());
            let lost = Loaded::Damaged { from: LogIndex::new(2), to: LogIndex::new(2) };
            assert_eq!(loaded(&directory, second).await, Ok(Done::Loaded(lost)), "{place}");
            assert!(records.flip_piece(place).unwrap());
            let pieces =
                [0, 3].map(|offset| loaded(&directory, Load::Chunk { snapshot: snapshot(), offset }));
            let mut damaged = 0;
            for piece in pieces {
                damaged += u32::from(matches!(piece.await, Err(StorageError::Corrupt { .. })));
            }
            assert!(damaged > 0, "{place}");
        }
    }

    /// The log, and what is said of the snapshot, are what they were; a piece that is asked for is missed.
    #[tokio::test(start_paused = true)]
    async fn a_snapshot_whose_pieces_were_deleted_is_missed_when_it_is_read() {
        let (directory, group) = (written(), raft_core::GroupId(0));
        let before = opens(&directory).unwrap();
        assert!(delete_snapshot(directory.path(), raft_core::GroupId(1)).unwrap() == 0, "it has none");
        assert!(delete_snapshot(directory.path(), group).unwrap() > 0);
        assert!(delete_snapshot(directory.path(), group).unwrap() == 0, "nothing is left of it");
        assert_eq!(opens(&directory).unwrap(), before);
        for offset in [0, 3] {
            let piece = loaded(&directory, Load::Chunk { snapshot: snapshot(), offset }).await;
            assert!(matches!(piece, Err(StorageError::Corrupt { .. })), "{piece:?}");
        }
        let entries = Load::Entries { from: LogIndex::new(1), to: LogIndex::new(4), bytes_max: 99 };
        let Ok(Done::Loaded(Loaded::Entries { entries, .. })) = loaded(&directory, entries).await else {
            panic!("the log is whole");
        };
        assert_eq!(entries.len(), 4);
    }
}
