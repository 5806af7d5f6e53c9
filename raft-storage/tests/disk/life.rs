//! A life of two groups that share a directory, with everything in it that a store is ever asked to do; and
//! how what is found in a directory is held against it.

use std::path::Path;

use raft_core::node::{Done, LogStore};
use raft_core::{
    Batch, Chunk, ClusterId, Configuration, Entries, Entry, EntryId, GroupId, HardState, Incarnation, Load,
    Loaded, LogIndex, NodeId, Part, Payload, Restored, Snapshot, SnapshotId, Stored, Term,
};
use raft_storage::{Opened, RocksGroups, RocksOptions, RocksStore, StorageError};
use tempfile::TempDir;

use crate::measures::listen;

/// RocksDB's smallest, so that the life outgrows it; and everything is read from disk.
pub(crate) const OPTIONS: RocksOptions = RocksOptions { memtable_bytes: 64 * 1024, tail_bytes: 0 };

pub(crate) const GROUPS: [GroupId; 2] = [GroupId(1), GroupId(7)];

/// A directory on a file system in memory, where there is one: there a sync costs nothing.
pub(crate) fn scratch() -> TempDir {
    listen();
    let builder = tempfile::Builder::new();
    builder.tempdir_in("/dev/shm").or_else(|_| builder.tempdir()).unwrap()
}

/// Runs a future to its end.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

pub(crate) fn id(term: u64, index: u64) -> EntryId {
    EntryId::new(Term::new(term), LogIndex::new(index))
}

pub(crate) fn entries(term: u64, indexes: std::ops::Range<u64>, command: &str) -> Entries {
    let payload = |index| Payload::Command(format!("{command}{index}").into());
    indexes.map(|index| Entry::new(id(term, index), payload(index))).collect()
}

fn hard_state(term: u64, vote: u64) -> Option<HardState> {
    Some(HardState { current_term: Term::new(term), voted_for: Some(NodeId::new(vote)) })
}

fn part(last_included: EntryId, offset: u64, data: &'static str, done: bool) -> Part {
    let id = SnapshotId { last_included, made_by: Incarnation(9) };
    let snapshot = Snapshot { id, configured: Configuration::of([1, 2].map(NodeId::new)).into() };
    Part { snapshot, chunk: Chunk::new(offset, data.into(), done) }
}

/// The beginning of a snapshot, in two pieces.
pub(crate) fn begun() -> Vec<Part> {
    vec![part(id(3, 6), 0, "one piece", false), part(id(3, 6), 9, "and another", false)]
}

/// What is written between two openings, each row by both groups at once. The first opening is of a new
/// directory.
pub(crate) type Script = Vec<Vec<[Batch; 2]>>;

/// Everything that there is, in three parts.
pub(crate) fn script() -> Script {
    let batch = Batch::default;
    let bound = |index| LogIndex::new(index);
    let appended = vec![
        [
            Batch {
                cluster: Some(ClusterId(3)),
                hard_state: hard_state(1, 1),
                entries: entries(1, 1..4, "a"),
                ..batch()
            },
            Batch { hard_state: hard_state(5, 2), entries: entries(5, 1..3, "b"), ..batch() },
        ],
        [
            Batch { entries: entries(1, 4..6, "c"), commit_index: bound(3), ..batch() },
            Batch { parts: vec![part(id(9, 30), 0, "begun", false)], ..batch() },
        ],
        // Another leader's entries replace what was not committed.
        [
            Batch {
                hard_state: hard_state(3, 2),
                truncate: Some(LogIndex::new(4)),
                entries: entries(3, 4..7, "d"),
                ..batch()
            },
            Batch { truncate: Some(LogIndex::new(2)), ..batch() },
        ],
    ];
    let snapshots = vec![
        // A snapshot is taken, and the log begins after it; another one is received and installed.
        [
            Batch { parts: vec![part(id(3, 4), 0, "first piece", false)], commit_index: bound(6), ..batch() },
            Batch { parts: vec![part(id(9, 30), 5, "and going on", false)], ..batch() },
        ],
        [
            Batch { parts: vec![part(id(3, 4), 11, "last", true)], compact: Some(id(3, 4)), ..batch() },
            Batch {
                hard_state: hard_state(9, 1),
                truncate: Some(LogIndex::new(1)),
                parts: vec![part(id(9, 30), 17, "", true)],
                compact: Some(id(9, 30)),
                entries: entries(9, 31..33, "e"),
                commit_index: bound(30),
                ..batch()
            },
        ],
    ];
    // More than the memtable holds: a table is made while the life goes on, and files are given back.
    let big = "0123456789abcdef".repeat(2 * 1024);
    let flushed = vec![
        [
            Batch { entries: entries(3, 7..8, &big), ..batch() },
            Batch { entries: entries(9, 33..34, &big), ..batch() },
        ],
        [
            Batch { entries: entries(3, 8..10, "f"), commit_index: bound(7), ..batch() },
            Batch { entries: entries(9, 34..36, &big), ..batch() },
        ],
        [
            Batch { parts: vec![part(id(3, 8), 0, "newer", true)], compact: Some(id(3, 8)), ..batch() },
            Batch { parts: vec![part(id(9, 35), 0, "newer", true)], compact: Some(id(9, 35)), ..batch() },
        ],
        [
            Batch { hard_state: hard_state(4, 1), ..batch() },
            Batch { entries: entries(9, 36..37, "g"), ..batch() },
        ],
    ];
    vec![appended, snapshots, flushed]
}

/// As much as fits into few bytes: one part that is in tables when the next is written, and little of that.
pub(crate) fn short_script() -> Script {
    let [first, second] = [(4, 7), (9, 33)].map(|(term, index)| Batch {
        hard_state: hard_state(term, 1),
        entries: entries(term, index..index + 1, "h"),
        ..Batch::default()
    });
    let [one_more, and_another] = [(4, 8), (9, 34)]
        .map(|(term, index)| Batch { entries: entries(term, index..index + 1, "i"), ..Batch::default() });
    let in_tables = script().drain(..2).flatten().collect();
    vec![in_tables, vec![[first, second], [one_more, and_another]]]
}

/// What each group's disk gives back after so many of its batches.
pub(crate) fn states(script: &Script) -> [Vec<Found>; 2] {
    [0, 1].map(|group| {
        let mut stored = Stored::default();
        let mut states = vec![Found::of(&stored)];
        for row in script.iter().flatten() {
            stored.apply(row[group].clone());
            states.push(Found::of(&stored));
        }
        states
    })
}

pub(crate) fn open(directory: &Path) -> Result<(RocksGroups, [Opened<RocksStore>; 2]), StorageError> {
    let groups = RocksGroups::open_with(directory, OPTIONS)?;
    let [first, second] = GROUPS.map(|group| groups.store(group, Incarnation(group.0 + 1)));
    Ok((groups, [first?, second?]))
}

/// Lives a life in `directory`. What is acknowledged is told, as the number of batches of each group.
pub(crate) fn live(directory: &Path, script: Script, mut told: impl FnMut(usize)) {
    let mut batches = 0;
    for life in script {
        let (_groups, [mut first, mut second]) = open(directory).unwrap();
        for [to_first, to_second] in life {
            first.store.write(to_first);
            second.store.write(to_second);
            for store in [&mut first.store, &mut second.store] {
                assert_eq!(block_on(store.done()), Ok(Done::Persisted(1)));
            }
            batches += 1;
            told(batches);
        }
    }
}

/// Everything that a store gives back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) restored: Restored,
    pub(crate) entries: Vec<Entry>,
    pub(crate) chunks: Vec<Chunk>,
}

impl Found {
    pub(crate) fn of(stored: &Stored) -> Self {
        let (entries, chunks) = (stored.entries().to_vec(), stored.chunks().to_vec());
        Self { restored: stored.restored(), entries, chunks }
    }

    /// Reads everything that is there. An end that was torn is suspect, and stays so.
    pub(crate) fn in_store(opened: Opened<RocksStore>) -> Result<Self, StorageError> {
        let Opened { mut store, restored, torn_bytes, .. } = opened;
        // Of a group that has never written anything nothing can be lost.
        let is_new = Restored { suspect_tail: false, ..restored.clone() } == Restored::default();
        assert!(restored.suspect_tail || torn_bytes == 0 || is_new);
        let restored = Restored { suspect_tail: false, ..restored };
        let mut loaded = |load| loaded(&mut store, load);
        let (from, to) = (restored.log.base().index.next(), restored.log.last().index);
        let mut entries = Vec::new();
        if from <= to
            && let Loaded::Entries { entries: found, .. } =
                loaded(Load::Entries { from, to, bytes_max: usize::MAX })?
        {
            entries = found;
        }
        let mut chunks: Vec<Chunk> = Vec::new();
        while let Some(Snapshot { id, .. }) = restored.snapshot
            && chunks.last().is_none_or(|last| !last.done)
        {
            let offset = chunks.last().map_or(0, Chunk::end);
            let Loaded::Chunk { chunk: Some(chunk), .. } = loaded(Load::Chunk { snapshot: id, offset })?
            else {
                panic!("the piece at {offset} of a whole snapshot is not there")
            };
            chunks.push(chunk);
        }
        Ok(Self { restored, entries, chunks })
    }
}

fn loaded(store: &mut RocksStore, load: Load) -> Result<Loaded, StorageError> {
    store.load(load);
    match block_on(store.done())? {
        Done::Loaded(loaded) => Ok(loaded),
        Done::Persisted(count) => panic!("nothing was written, and {count} writes are durable"),
    }
}

/// Reads the log, and repairs each entry that is damaged. Returns how many there were.
pub(crate) fn repair(opened: &mut Opened<RocksStore>, right: &[Entry]) -> Result<usize, StorageError> {
    let Opened { store, restored, .. } = opened;
    let (mut from, last) = (restored.log.base().index.next(), restored.log.last().index);
    let mut damaged = Vec::new();
    while from <= last {
        match loaded(store, Load::Entries { from, to: last, bytes_max: 100 })? {
            Loaded::Entries { entries, .. } => from = entries.last().expect("the log has it").id.index.next(),
            Loaded::Damaged { to, .. } => {
                let is_damaged = |entry: &&Entry| (from..=to).contains(&entry.id.index);
                let repair: Vec<_> = right.iter().filter(is_damaged).cloned().collect();
                damaged.extend(repair.iter().map(|entry| entry.id.index));
                store.write(Batch { repair, ..Batch::default() });
                assert_eq!(block_on(store.done())?, Done::Persisted(1));
            }
            Loaded::Chunk { .. } => panic!("nobody asked for it"),
        }
    }
    assert!(
        restored.damaged.is_empty() || restored.damaged == damaged,
        "{:?}, {damaged:?}",
        restored.damaged
    );
    restored.damaged.clear();
    Ok(damaged.len())
}

/// Opens a directory and reads all of both groups; with it, how much was torn off.
pub(crate) fn read(directory: &Path) -> Result<([Found; 2], u64), StorageError> {
    let (groups, [first, second]) = open(directory)?;
    for (opened, group) in [&first, &second].into_iter().zip(GROUPS) {
        assert_eq!(opened.incarnation, Incarnation(group.0 + 1));
    }
    Ok(([Found::in_store(first)?, Found::in_store(second)?], groups.torn_bytes()))
}
