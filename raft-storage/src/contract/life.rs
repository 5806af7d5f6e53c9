//! A store on its disk, held against the model of it from one crash to the next; and what is written there.

use std::collections::VecDeque;
use std::future::Future;
use std::mem;
use std::ops::Range;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use raft_core::node::{Done, LogStore};
use raft_core::{
    Batch, Chunk, Configuration, Entries, Entry, EntryId, HardState, Incarnation, Load, Loaded, LogIndex,
    NodeId, Part, Payload, Restored, Snapshot, SnapshotId, Stored, Term,
};

use super::Disk;
use crate::opened::Opened;

const INCARNATION: Incarnation = Incarnation(42);

/// How long a piece of a snapshot is, but for the last one, in bytes.
pub(super) const PIECE_BYTES: u64 = 64;

/// A store, and what may be found on its disk.
pub(super) struct Life<D: Disk> {
    disk: D,
    /// None only while the disk is being crashed.
    store: Option<D::Store>,
    /// What the disk holds after the last acknowledged batch, and after each one written since.
    states: Vec<Stored>,
    /// What has to be answered, in order.
    asked: VecDeque<Loaded>,
}

impl<D: Disk> Life<D> {
    pub(super) fn begin(mut disk: D) -> Self {
        let Opened { store, restored, .. } = disk.open(INCARNATION);
        assert_eq!(restored, Restored::default(), "the disk is not new");
        Self { disk, store: Some(store), states: vec![Stored::default()], asked: VecDeque::new() }
    }

    pub(super) fn store(&mut self) -> &mut D::Store {
        self.store.as_mut().expect("a store is open between two crashes")
    }

    /// What was written, durable or not.
    pub(super) fn written(&self) -> &Stored {
        self.states.last().expect("there is one that was acknowledged")
    }

    /// What a server would find now.
    pub(super) fn restored(&self) -> Restored {
        self.written().restored()
    }

    pub(super) fn write(&mut self, batch: Batch) {
        self.store().write(batch.clone());
        let mut written = self.written().clone();
        written.apply(batch);
        self.states.push(written);
    }

    pub(super) fn load(&mut self, load: Load) {
        self.store().load(load);
        let answer = self.written().load(&load);
        self.asked.push_back(answer);
    }

    /// The store has done something, or failed.
    pub(super) fn told<E: std::fmt::Debug>(&mut self, told: Result<Done, E>) {
        match told.expect("the disk is sound") {
            Done::Persisted(count) => {
                let in_flight = self.states.len() - 1;
                assert!(
                    (1..=in_flight).contains(&count),
                    "{count} writes are durable, and {in_flight} were in flight"
                );
                self.states.drain(..count);
            }
            Done::Loaded(loaded) => {
                let wanted = self.asked.pop_front();
                assert!(
                    wanted.as_ref() == Some(&loaded),
                    "loaded {loaded:?}, and {wanted:?} is what was written"
                );
            }
        }
    }

    /// Waits until every write is durable.
    pub(super) async fn all_persisted(&mut self) {
        while self.states.len() > 1 {
            let told = self.store().done().await;
            self.told(told);
        }
    }

    /// Waits until every write is durable and everything that was asked for has come.
    pub(super) async fn all_done(&mut self) {
        while self.states.len() > 1 || !self.asked.is_empty() {
            let told = self.store().done().await;
            self.told(told);
        }
    }

    /// Crashes and opens again, and checks what is there, to the last byte.
    pub(super) async fn crash(&mut self) {
        if let Some(store) = self.store.take() {
            self.disk.crash(store);
        }
        self.asked.clear();
        let Opened { store, restored, incarnation, torn_bytes: _ } = self.disk.open(Incarnation(0));
        // After a crash a store may say so of any end.
        let restored = Restored { suspect_tail: false, ..restored };
        self.store = Some(store);
        assert_eq!(incarnation, INCARNATION, "a directory keeps its incarnation");
        let possible = mem::take(&mut self.states);
        let alike = possible.iter().filter(|stored| stored.restored() == restored).cloned().collect();
        self.states = alike;
        assert!(
            !self.states.is_empty(),
            "found {}, wanted one of {}",
            brief(&restored),
            possible.iter().map(|stored| brief(&stored.restored())).collect::<Vec<_>>().join(" or ")
        );
        let (entries, chunks) = (self.read_log(&restored).await, self.read_snapshot(&restored).await);
        let same = |stored: &Stored| stored.entries() == entries && stored.chunks() == chunks;
        let found = self.states.pop().filter(same).or_else(|| self.states.drain(..).find(same));
        assert!(found.is_some(), "found {}, and entries or pieces are others", brief(&restored));
        self.states.clear();
        self.states.extend(found);
    }

    async fn read_log(&mut self, restored: &Restored) -> Vec<Entry> {
        let (mut from, to) = (restored.log.base().index.next(), restored.log.last().index);
        let mut log = Vec::new();
        while from <= to {
            let loaded = self.answer(Load::Entries { from, to, bytes_max: 100 }).await;
            let Loaded::Entries { entries, .. } = loaded else { panic!("asked for entries, got {loaded:?}") };
            assert!(!entries.is_empty(), "the entry {from} of a log to {to} is not there");
            log.extend(entries);
            from = LogIndex::new(restored.log.base().index.get() + log.len() as u64 + 1);
        }
        log
    }

    async fn read_snapshot(&mut self, restored: &Restored) -> Vec<Chunk> {
        let mut chunks: Vec<Chunk> = Vec::new();
        let Some(Snapshot { id, .. }) = restored.snapshot else { return chunks };
        while chunks.last().is_none_or(|last| !last.done) {
            let offset = chunks.last().map_or(0, Chunk::end);
            let loaded = self.answer(Load::Chunk { snapshot: id, offset }).await;
            let Loaded::Chunk { chunk: Some(chunk), .. } = loaded else {
                panic!("asked for the piece at {offset} of a whole snapshot, got {loaded:?}")
            };
            chunks.push(chunk);
        }
        chunks
    }

    /// With nothing else in flight.
    async fn answer(&mut self, load: Load) -> Loaded {
        self.store().load(load);
        match self.store().done().await.expect("the disk is sound") {
            Done::Loaded(loaded) => loaded,
            Done::Persisted(count) => panic!("nothing was written, and {count} writes are durable"),
        }
    }
}

pub(super) fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

fn brief(restored: &Restored) -> String {
    let Restored { cluster, hard_state, snapshot, partial, log, configurations, damaged, suspect_tail } =
        restored;
    let name = |snapshot: &Snapshot| snapshot.id.last_included.to_string();
    let partial = partial.as_ref().map(|partial| (name(&partial.snapshot), partial.bytes));
    let ids = log.ids().map(|id| id.to_string()).collect::<Vec<_>>().join(" ");
    let configurations: Vec<_> = configurations
        .iter()
        .map(|configured| format!("{}: {}", configured.at, configured.configuration))
        .collect();
    let snapshot = snapshot.as_ref().map(name);
    format!(
        "{cluster:?} {hard_state:?} {snapshot:?} {partial:?} {} | {ids} {configurations:?} {damaged:?} {suspect_tail}",
        log.base()
    )
}

pub(super) fn id(term: u64, index: u64) -> EntryId {
    EntryId::new(Term::new(term), LogIndex::new(index))
}

pub(super) fn hard_state(term: u64, vote: u64) -> Option<HardState> {
    Some(HardState { current_term: Term::new(term), voted_for: Some(NodeId::new(vote)) })
}

/// One entry for each index: commands, no-ops and configurations in turn.
pub(super) fn entries(term: u64, indexes: Range<u64>) -> Entries {
    let payload = |index: u64| match index % 5 {
        0 => Payload::Noop,
        4 => Payload::Configuration(Configuration::of((1..index).map(NodeId::new)).to_bytes()),
        _ => Payload::Command(format!("{term}/{index}").into()),
    };
    indexes.map(|index| Entry::new(id(term, index), payload(index))).collect()
}

pub(super) fn snapshot(last_included: EntryId) -> Snapshot {
    let id = SnapshotId { last_included, made_by: INCARNATION };
    Snapshot { id, configured: Configuration::of((1..4).map(NodeId::new)).into() }
}

/// A whole snapshot, one to four pieces. The last one may be empty.
pub(super) fn parts(last_included: EntryId) -> Vec<Part> {
    parts_with(last_included, "")
}

/// The same with other bytes: as long, and told apart by `what`.
pub(super) fn parts_with(last_included: EntryId, what: &str) -> Vec<Part> {
    let last = last_included.index.get() % 4;
    let part = |nth: u64| {
        let bytes = if nth < last { PIECE_BYTES } else { last_included.index.get() % 3 * 20 };
        let text = format!("{what}{last_included}/{nth} ");
        let data: Bytes = text.bytes().cycle().take(usize::try_from(bytes).unwrap_or(0)).collect();
        Part { snapshot: snapshot(last_included), chunk: Chunk::new(nth * PIECE_BYTES, data, nth == last) }
    };
    (0..=last).map(part).collect()
}
