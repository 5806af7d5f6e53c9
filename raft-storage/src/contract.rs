//! What a [`LogStore`] is held to, as tests. They are asked of both stores of this crate, and can be
//! asked of any other: make a [`Disk`] for it, and call each check, or [`all`] of them, from a test.
//!
//! A check panics where the store breaks its promise. None of them sleeps; a store in simulated time
//! is asked under a clock that moves on by itself.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use raft_core::node::LogStore;
use raft_core::{Batch, Entry, EntryId, HardState, Incarnation, LogIndex, NodeId, Payload, Restored, Term};

use crate::batch::apply;
use crate::opened::Opened;

/// One disk, empty at first, and how its store is opened and crashed.
pub trait Disk {
    /// The store that is asked.
    type Store: LogStore;

    /// Opens the store. If the disk is new, `new_incarnation` is its own from then on.
    fn open(&mut self, new_incarnation: Incarnation) -> Opened<Self::Store>;

    /// Ends the life of `store` as hard as can be done: at best, all that was not acknowledged is lost.
    fn crash(&mut self, store: Self::Store);
}

/// Asks everything, each on a disk of its own.
pub async fn all<D: Disk>(mut new_disk: impl FnMut() -> D) {
    a_new_disk_holds_nothing(new_disk());
    a_restart_gives_back_what_was_acknowledged(new_disk()).await;
    what_was_truncated_is_gone_and_what_replaced_it_stays(new_disk()).await;
    hard_state_is_kept_without_entries(new_disk()).await;
    an_empty_batch_is_acknowledged(new_disk()).await;
    each_write_is_told_of_once_and_in_order(new_disk()).await;
    an_answer_that_nobody_waited_for_is_told_to_the_next(new_disk()).await;
    what_was_not_acknowledged_is_there_in_whole_batches(new_disk()).await;
    a_big_entry_is_kept(new_disk()).await;
    opening_twice_changes_nothing(new_disk()).await;
    a_long_life_with_crashes_is_remembered(new_disk(), 1).await;
}

/// A new disk gives the default, and takes the incarnation it is given.
pub fn a_new_disk_holds_nothing<D: Disk>(mut disk: D) {
    let Opened { restored, incarnation, .. } = disk.open(Incarnation(7));
    assert_eq!(restored, Restored::default());
    assert_eq!(incarnation, Incarnation(7));
}

/// Batch after batch, each acknowledged; then a crash.
pub async fn a_restart_gives_back_what_was_acknowledged<D: Disk>(disk: D) {
    let mut life = Life::begin(disk);
    life.write(Batch { hard_state: hard_state(1, 2), entries: entries(1, 1..4), ..Batch::default() });
    life.all_persisted().await;
    life.write(Batch { entries: entries(1, 4..5), commit_index: LogIndex::new(3), ..Batch::default() });
    life.all_persisted().await;
    life.crash();
}

/// §5.3: entries that conflict with a leader's go, with all that follow them, and never come back.
pub async fn what_was_truncated_is_gone_and_what_replaced_it_stays<D: Disk>(disk: D) {
    let mut life = Life::begin(disk);
    life.write(Batch { entries: entries(1, 1..9), ..Batch::default() });
    life.all_persisted().await;
    life.write(Batch { truncate: Some(LogIndex::new(4)), entries: entries(2, 4..6), ..Batch::default() });
    life.all_persisted().await;
    life.crash();
    life.write(Batch { truncate: Some(LogIndex::new(5)), ..Batch::default() });
    life.write(Batch { entries: entries(3, 5..7), ..Batch::default() });
    life.all_persisted().await;
    life.crash();
    life.write(Batch { truncate: Some(LogIndex::new(1)), ..Batch::default() });
    life.all_persisted().await;
    life.crash();
}

/// A vote is kept, and a later one replaces it.
pub async fn hard_state_is_kept_without_entries<D: Disk>(disk: D) {
    let mut life = Life::begin(disk);
    for term in 1..4 {
        life.write(Batch { hard_state: hard_state(term, term + 1), ..Batch::default() });
        life.all_persisted().await;
        life.crash();
    }
    let nobody = HardState { current_term: Term::new(9), voted_for: None };
    life.write(Batch { hard_state: Some(nobody), ..Batch::default() });
    life.all_persisted().await;
    life.crash();
}

/// Nothing to write is written too, and told of like anything else.
pub async fn an_empty_batch_is_acknowledged<D: Disk>(disk: D) {
    let mut life = Life::begin(disk);
    life.write(Batch::default());
    life.all_persisted().await;
    life.write(Batch { entries: entries(1, 1..2), ..Batch::default() });
    life.write(Batch::default());
    life.all_persisted().await;
    life.crash();
}

/// With many writes in flight, the acknowledgements add up to the writes, and then there are no more.
pub async fn each_write_is_told_of_once_and_in_order<D: Disk>(disk: D) {
    let mut life = Life::begin(disk);
    for index in 1..65 {
        life.write(Batch { entries: entries(1, index..index + 1), ..Batch::default() });
    }
    life.all_persisted().await;
    assert!(
        poll_once(life.store().persisted()).is_pending(),
        "nothing was written, and something is durable"
    );
    life.crash();
}

/// A waiting that is given up loses no acknowledgement.
pub async fn an_answer_that_nobody_waited_for_is_told_to_the_next<D: Disk>(disk: D) {
    let mut life = Life::begin(disk);
    for index in 1..9 {
        life.write(Batch { entries: entries(1, index..index + 1), ..Batch::default() });
        if let Poll::Ready(told) = poll_once(life.store().persisted()) {
            life.acknowledge(told.expect("the disk is sound"));
        }
    }
    life.all_persisted().await;
    life.crash();
}

/// A crash in the middle leaves a state that was: that after the last acknowledged batch, or after a
/// later one.
pub async fn what_was_not_acknowledged_is_there_in_whole_batches<D: Disk>(disk: D) {
    let mut life = Life::begin(disk);
    life.write(Batch { hard_state: hard_state(1, 1), entries: entries(1, 1..6), ..Batch::default() });
    life.all_persisted().await;
    life.write(Batch { hard_state: hard_state(2, 3), entries: entries(2, 6..9), ..Batch::default() });
    life.write(Batch { truncate: Some(LogIndex::new(6)), entries: entries(3, 6..7), ..Batch::default() });
    life.crash();
    let next = life.expected.last().map_or(1, |restored| restored.entries.len() as u64 + 1);
    life.write(Batch { entries: entries(4, next..next + 2), ..Batch::default() });
    life.all_persisted().await;
    life.crash();
}

/// 8 MiB in one entry.
pub async fn a_big_entry_is_kept<D: Disk>(disk: D) {
    let mut life = Life::begin(disk);
    let command = Bytes::from(vec![0xa5; 8 * 1024 * 1024]);
    let entry = Entry::new(EntryId::new(Term::new(1), LogIndex::new(1)), Payload::Command(command));
    life.write(Batch { entries: vec![entry], ..Batch::default() });
    life.all_persisted().await;
    life.crash();
}

/// Reading is not writing. What a crash left is durable once the store is open: a second crash takes
/// none of it.
pub async fn opening_twice_changes_nothing<D: Disk>(disk: D) {
    let mut life = Life::begin(disk);
    life.write(Batch { hard_state: hard_state(3, 1), entries: entries(2, 1..20), ..Batch::default() });
    life.write(Batch { truncate: Some(LogIndex::new(10)), ..Batch::default() });
    life.all_persisted().await;
    life.write(Batch { entries: entries(3, 10..12), ..Batch::default() });
    for _ in 0..3 {
        life.crash();
    }
}

/// 400 writes that `seed` draws, with waits and crashes among them.
pub async fn a_long_life_with_crashes_is_remembered<D: Disk>(disk: D, seed: u64) {
    let mut life = Life::begin(disk);
    let mut random = seed;
    // Knuth's generator; its upper bits are good enough to choose from.
    let mut draw = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    for term in 1..401 {
        let last = life.written.entries.len() as u64;
        let truncate = (draw(3) == 0).then(|| LogIndex::new(1 + last - draw(last.min(8) + 1)));
        let first = truncate.map_or(last + 1, LogIndex::get);
        let entries = entries(term, first..first + draw(6));
        let hard_state = if draw(2) == 0 { hard_state(term, draw(5)) } else { None };
        life.write(Batch { hard_state, truncate, entries, ..Batch::default() });
        match draw(12) {
            0 => life.crash(),
            1..4 => life.all_persisted().await,
            _ => {}
        }
    }
    life.all_persisted().await;
    life.crash();
}

/// A store, and what may be found on its disk.
struct Life<D: Disk> {
    disk: D,
    store: Option<D::Store>,
    /// The state after the last acknowledged batch, and after each one written since.
    expected: Vec<Restored>,
    /// The last of them.
    written: Restored,
}

const INCARNATION: Incarnation = Incarnation(42);

impl<D: Disk> Life<D> {
    fn begin(mut disk: D) -> Self {
        let Opened { store, restored, .. } = disk.open(INCARNATION);
        assert_eq!(restored, Restored::default(), "the disk is not new");
        Self { disk, store: Some(store), expected: vec![Restored::default()], written: Restored::default() }
    }

    fn store(&mut self) -> &mut D::Store {
        self.store.as_mut().expect("a store is open between two crashes")
    }

    fn write(&mut self, batch: Batch) {
        self.store().write(batch.clone());
        apply(&mut self.written, batch);
        self.expected.push(self.written.clone());
    }

    fn acknowledge(&mut self, count: usize) {
        let in_flight = self.expected.len() - 1;
        assert!(
            (1..=in_flight).contains(&count),
            "{count} writes are durable, and {in_flight} were in flight"
        );
        self.expected.drain(..count);
    }

    async fn all_persisted(&mut self) {
        while self.expected.len() > 1 {
            let count = self.store().persisted().await.expect("the disk is sound");
            self.acknowledge(count);
        }
    }

    /// Crashes and opens again, and checks what is there.
    fn crash(&mut self) {
        if let Some(store) = self.store.take() {
            self.disk.crash(store);
        }
        let Opened { store, restored, incarnation, torn_bytes: _ } = self.disk.open(Incarnation(0));
        assert_eq!(incarnation, INCARNATION, "a directory keeps its incarnation");
        let wanted = &self.expected;
        assert!(wanted.contains(&restored), "found {}, wanted one of {}", brief(&restored), list(wanted));
        self.store = Some(store);
        self.expected = vec![restored.clone()];
        self.written = restored;
    }
}

fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

fn brief(restored: &Restored) -> String {
    let ids = restored.entries.iter().map(|entry| entry.id.to_string()).collect::<Vec<_>>();
    format!("{:?} [{}]", restored.hard_state, ids.join(" "))
}

fn list(states: &[Restored]) -> String {
    states.iter().map(brief).collect::<Vec<_>>().join(" or ")
}

fn hard_state(term: u64, vote: u64) -> Option<HardState> {
    Some(HardState { current_term: Term::new(term), voted_for: Some(NodeId::new(vote)) })
}

/// One entry for each index, no-ops and commands in turn.
fn entries(term: u64, indexes: std::ops::Range<u64>) -> Vec<Entry> {
    let payload = |index: u64| match index % 3 {
        0 => Payload::Noop,
        _ => Payload::Command(format!("{term}/{index}").into()),
    };
    let id = |index| EntryId::new(Term::new(term), LogIndex::new(index));
    indexes.map(|index| Entry::new(id(index), payload(index))).collect()
}
