//! Checks of what is read back.

use std::task::Poll;

use raft_core::node::LogStore;
use raft_core::{Batch, Incarnation, Load, LogIndex, SnapshotId};

use super::Disk;
use super::life::{Life, PIECE_BYTES, entries, id, parts, poll_once};

/// Each limit of a request, and each place in and around the log.
pub async fn a_load_gives_no_more_than_was_asked_for<D: Disk>(disk: D) {
    let mut life = Life::begin(disk);
    life.write(Batch { entries: entries(1, 1..13), ..Batch::default() });
    life.write(Batch { truncate: Some(LogIndex::new(7)), entries: entries(2, 7..17), ..Batch::default() });
    life.write(Batch { parts: parts(id(1, 4)), compact: Some(id(1, 3)), ..Batch::default() });
    life.all_persisted().await;
    for from in 0..18_u64 {
        for to in [from.saturating_sub(1), from, from + 2, 16, 99] {
            for bytes_max in [0, 1, 3, 9, 20, usize::MAX] {
                let (from, to) = (LogIndex::new(from), LogIndex::new(to));
                life.load(Load::Entries { from, to, bytes_max });
            }
        }
    }
    life.all_done().await;
    life.crash().await;
}

/// Another snapshot, the beginning of one, and an offset within a piece or past the end give none.
pub async fn a_piece_is_loaded_only_of_the_whole_snapshot_and_where_it_begins<D: Disk>(disk: D) {
    let mut life = Life::begin(disk);
    life.write(Batch { entries: entries(1, 1..13), ..Batch::default() });
    // The last piece of the first is empty, that of the second is not, the third has but one.
    for whole in [id(1, 3), id(1, 7), id(1, 8)] {
        life.write(Batch { parts: parts(whole), ..Batch::default() });
        life.write(Batch { parts: parts(id(1, 11))[..2].to_vec(), ..Batch::default() });
        let whole = parts(whole)[0].snapshot.id;
        let another = SnapshotId { made_by: Incarnation(9), ..whole };
        for snapshot in [whole, another, parts(id(1, 11))[0].snapshot.id] {
            for nth in 0..5 {
                for within in [0, 1, PIECE_BYTES - 1] {
                    life.load(Load::Chunk { snapshot, offset: nth * PIECE_BYTES + within });
                }
            }
        }
        life.all_done().await;
        life.crash().await;
    }
}

/// What was asked for between two writes is what is there after the first and before the second.
pub async fn loads_see_what_is_not_synced<D: Disk>(disk: D) {
    let mut life = Life::begin(disk);
    let whole = Load::Entries { from: LogIndex::new(3), to: LogIndex::new(99), bytes_max: usize::MAX };
    let chunk = |index| Load::Chunk { snapshot: parts(id(1, index))[0].snapshot.id, offset: 0 };
    life.load(whole);
    life.write(Batch { entries: entries(1, 1..9), ..Batch::default() });
    life.load(whole);
    life.write(Batch { truncate: Some(LogIndex::new(5)), entries: entries(2, 5..7), ..Batch::default() });
    life.load(whole);
    life.load(chunk(2));
    life.write(Batch { parts: parts(id(1, 2)), compact: Some(id(1, 2)), ..Batch::default() });
    life.load(whole);
    life.load(chunk(2));
    life.write(Batch { parts: parts(id(1, 4)), compact: Some(id(1, 4)), ..Batch::default() });
    life.load(whole);
    life.load(chunk(2));
    life.load(chunk(4));
    life.all_done().await;
    life.crash().await;
}

/// Writes and requests to read in turns, with waits that are given up: nothing is told twice, nothing is
/// lost, and each kind is told in its own order.
pub async fn loads_and_writes_are_told_each_in_their_order<D: Disk>(disk: D) {
    let mut life = Life::begin(disk);
    for index in 1..65 {
        life.write(Batch { entries: entries(1, index..index + 1), ..Batch::default() });
        let from = LogIndex::new(index / 2 + 1);
        life.load(Load::Entries { from, to: LogIndex::new(index), bytes_max: 20 });
        if let Poll::Ready(told) = poll_once(life.store().done()) {
            life.told(told);
        }
    }
    life.all_done().await;
    assert!(poll_once(life.store().done()).is_pending(), "nothing was asked for, and something is done");
    life.crash().await;
}
