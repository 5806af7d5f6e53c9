//! Checks of term, vote and log.

use std::task::Poll;

use bytes::Bytes;
use raft_core::node::LogStore;
use raft_core::{
    Batch, ClusterId, Entry, EntryId, HardState, Incarnation, Load, LogIndex, Payload, Restored, Term,
};

use super::Disk;
use super::life::{Life, entries, hard_state, id, parts, poll_once};
use crate::opened::Opened;

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
    life.crash().await;
}

/// §5.3: entries that conflict with a leader's go, with all that follow them, and never come back.
pub async fn what_was_truncated_is_gone_and_what_replaced_it_stays<D: Disk>(disk: D) {
    let mut life = Life::begin(disk);
    life.write(Batch { entries: entries(1, 1..9), ..Batch::default() });
    life.all_persisted().await;
    life.write(Batch { truncate: Some(LogIndex::new(4)), entries: entries(2, 4..6), ..Batch::default() });
    life.all_persisted().await;
    life.crash().await;
    life.write(Batch { truncate: Some(LogIndex::new(5)), ..Batch::default() });
    life.write(Batch { entries: entries(3, 5..7), ..Batch::default() });
    life.all_persisted().await;
    life.crash().await;
    life.write(Batch { truncate: Some(LogIndex::new(1)), ..Batch::default() });
    life.all_persisted().await;
    life.crash().await;
}

/// The cluster that a server is of is said once, and kept.
pub async fn the_cluster_is_kept<D: Disk>(disk: D) {
    let mut life = Life::begin(disk);
    life.write(Batch {
        cluster: Some(ClusterId(7)),
        hard_state: hard_state(1, 2),
        entries: entries(1, 1..3),
        ..Batch::default()
    });
    life.all_persisted().await;
    life.crash().await;
    life.write(Batch { truncate: Some(LogIndex::new(1)), ..Batch::default() });
    life.all_persisted().await;
    life.crash().await;
    assert_eq!(life.restored().cluster, Some(ClusterId(7)));
}

/// Entries that are written once more, each in its place, are what they were, and so are those around them: in a log
/// that is cut, compacted and appended to.
pub async fn what_is_repaired_reads_as_it_was_written<D: Disk>(disk: D) {
    let mut life = Life::begin(disk);
    let all = Load::Entries { from: LogIndex::new(1), to: LogIndex::new(99), bytes_max: usize::MAX };
    life.write(Batch { entries: entries(1, 1..13), ..Batch::default() });
    life.write(Batch { repair: entries(1, 12..13).to_vec(), ..Batch::default() });
    life.load(all);
    life.write(Batch { repair: entries(1, 3..6).to_vec(), entries: entries(1, 13..15), ..Batch::default() });
    life.load(all);
    life.all_done().await;
    life.crash().await;
    // What was repaired is cut in two by a truncation, and by a compaction.
    life.write(Batch {
        truncate: Some(LogIndex::new(12)),
        repair: entries(1, 9..12).to_vec(),
        entries: entries(2, 12..14),
        ..Batch::default()
    });
    life.load(all);
    life.write(Batch { truncate: Some(LogIndex::new(11)), entries: entries(3, 11..13), ..Batch::default() });
    life.write(Batch {
        repair: entries(1, 4..6).to_vec(),
        parts: parts(id(1, 4)),
        compact: Some(id(1, 4)),
        ..Batch::default()
    });
    for from in (4..13).map(LogIndex::new) {
        life.load(Load::Entries { from, to: LogIndex::new(99), bytes_max: 9 });
    }
    life.all_done().await;
    life.crash().await;
}

/// A vote is kept, and a later one replaces it.
pub async fn hard_state_is_kept_without_entries<D: Disk>(disk: D) {
    let mut life = Life::begin(disk);
    for term in 1..4 {
        life.write(Batch { hard_state: hard_state(term, term + 1), ..Batch::default() });
        life.all_persisted().await;
        life.crash().await;
    }
    let nobody = HardState { current_term: Term::new(9), voted_for: None };
    life.write(Batch { hard_state: Some(nobody), ..Batch::default() });
    life.all_persisted().await;
    life.crash().await;
}

/// Nothing to write is written too, and told of like anything else.
pub async fn an_empty_batch_is_acknowledged<D: Disk>(disk: D) {
    let mut life = Life::begin(disk);
    life.write(Batch::default());
    life.all_persisted().await;
    life.write(Batch { entries: entries(1, 1..2), ..Batch::default() });
    life.write(Batch::default());
    life.all_persisted().await;
    life.crash().await;
}

/// With many writes in flight, the acknowledgements add up to the writes, and then there are no more.
pub async fn each_write_is_told_of_once_and_in_order<D: Disk>(disk: D) {
    let mut life = Life::begin(disk);
    for index in 1..65 {
        life.write(Batch { entries: entries(1, index..index + 1), ..Batch::default() });
    }
    life.all_persisted().await;
    assert!(poll_once(life.store().done()).is_pending(), "nothing was written, and something is durable");
    life.crash().await;
}

/// A waiting that is given up loses no acknowledgement.
pub async fn an_answer_that_nobody_waited_for_is_told_to_the_next<D: Disk>(disk: D) {
    let mut life = Life::begin(disk);
    for index in 1..9 {
        life.write(Batch { entries: entries(1, index..index + 1), ..Batch::default() });
        if let Poll::Ready(told) = poll_once(life.store().done()) {
            life.told(told);
        }
    }
    life.all_persisted().await;
    life.crash().await;
}

/// A crash in the middle leaves a state that was: that after the last acknowledged batch, or after a
/// later one.
pub async fn what_was_not_acknowledged_is_there_in_whole_batches<D: Disk>(disk: D) {
    let mut life = Life::begin(disk);
    life.write(Batch { hard_state: hard_state(1, 1), entries: entries(1, 1..6), ..Batch::default() });
    life.all_persisted().await;
    life.write(Batch { hard_state: hard_state(2, 3), entries: entries(2, 6..9), ..Batch::default() });
    life.write(Batch { truncate: Some(LogIndex::new(6)), entries: entries(3, 6..7), ..Batch::default() });
    life.crash().await;
    let next = life.restored().log.last().index.get() + 1;
    life.write(Batch { entries: entries(4, next..next + 2), ..Batch::default() });
    life.all_persisted().await;
    life.crash().await;
}

/// 8 MiB in one entry.
pub async fn a_big_entry_is_kept<D: Disk>(disk: D) {
    let mut life = Life::begin(disk);
    let command = Bytes::from(vec![0xa5; 8 * 1024 * 1024]);
    let entry = Entry::new(EntryId::new(Term::new(1), LogIndex::new(1)), Payload::Command(command));
    life.write(Batch { entries: vec![entry].into(), ..Batch::default() });
    life.all_persisted().await;
    life.crash().await;
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
        life.crash().await;
    }
}
