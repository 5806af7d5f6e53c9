//! Checks of snapshots and compaction (§7).

use raft_core::{Batch, EntryId, Load, LogIndex};

use super::Disk;
use super::life::{Life, entries, id, parts, parts_with};

/// What a snapshot stands for can go from the log; what comes after it stays, and more can follow.
pub async fn compaction_keeps_the_tail_and_forgets_the_front<D: Disk>(disk: D) {
    let mut life = Life::begin(disk);
    life.write(Batch { entries: entries(1, 1..11), ..Batch::default() });
    life.write(Batch { entries: entries(2, 11..21), ..Batch::default() });
    life.write(Batch { parts: parts(id(2, 12)), compact: Some(id(1, 8)), ..Batch::default() });
    assert_eq!(life.written().entries().len(), 12);
    for from in [1, 8, 9, 20, 21] {
        life.load(entries_to(from, 20));
    }
    life.all_done().await;
    life.crash().await;
    life.write(Batch { truncate: Some(LogIndex::new(15)), entries: entries(3, 15..18), ..Batch::default() });
    life.write(Batch { compact: Some(id(2, 12)), ..Batch::default() });
    life.all_persisted().await;
    life.crash().await;
    // All of it, and then there are more.
    life.write(Batch { parts: parts(id(3, 17)), compact: Some(id(3, 17)), ..Batch::default() });
    life.all_persisted().await;
    life.crash().await;
    life.load(entries_to(17, 18));
    life.write(Batch { entries: entries(3, 18..20), ..Batch::default() });
    life.load(entries_to(18, 19));
    life.all_done().await;
    life.crash().await;
}

/// Until the last piece is there, the snapshot before it is the one that counts.
pub async fn a_snapshot_is_whole_only_with_its_last_piece<D: Disk>(disk: D) {
    let mut life = Life::begin(disk);
    life.write(Batch { entries: entries(1, 1..9), ..Batch::default() });
    life.write(Batch { parts: parts(id(1, 3)), compact: Some(id(1, 2)), ..Batch::default() });
    let older = parts(id(1, 3))[0].snapshot.clone();
    let newer = parts(id(1, 7))[0].snapshot.clone();
    let last = parts(id(1, 7)).len() - 1;
    for (nth, part) in parts(id(1, 7)).into_iter().enumerate() {
        life.write(Batch { parts: vec![part], ..Batch::default() });
        for snapshot in [older.id, newer.id] {
            life.load(Load::Chunk { snapshot, offset: 0 });
        }
        life.all_done().await;
        let whole = if nth < last { &older } else { &newer };
        assert_eq!(life.restored().snapshot.as_ref(), Some(whole));
        life.crash().await;
    }
}

/// A snapshot that is begun, or begun again with other bytes, has nothing of the one that was given up.
pub async fn a_first_piece_puts_an_end_to_an_unfinished_snapshot<D: Disk>(disk: D) {
    let mut life = Life::begin(disk);
    life.write(Batch { entries: entries(1, 1..9), ..Batch::default() });
    life.write(Batch { parts: parts(id(1, 7))[..3].to_vec(), ..Batch::default() });
    life.all_persisted().await;
    life.crash().await;
    let again = parts_with(id(1, 7), "again ");
    life.write(Batch { parts: again[..2].to_vec(), ..Batch::default() });
    life.all_persisted().await;
    life.crash().await;
    life.write(Batch { parts: again[2..].to_vec(), ..Batch::default() });
    life.all_persisted().await;
    life.crash().await;
    // Given up and begun in one batch.
    let both = parts(id(1, 6))[..2].iter().chain(&parts(id(1, 8))).cloned().collect();
    life.write(Batch { parts: both, compact: Some(id(1, 5)), ..Batch::default() });
    life.all_persisted().await;
    life.crash().await;
}

/// A leader's snapshot that the log does not reach, or contradicts, takes all of the log with it. What
/// lay behind it never comes back.
pub async fn an_installed_snapshot_leaves_no_stale_tail<D: Disk>(disk: D) {
    let mut life = Life::begin(disk);
    life.write(Batch { entries: entries(1, 1..31), ..Batch::default() });
    life.all_persisted().await;
    for (first, base) in [(1, id(5, 103)), (104, id(6, 109))] {
        let mut pieces = parts(base);
        let last = pieces.split_off(pieces.len() - 1);
        life.write(Batch { parts: pieces, ..Batch::default() });
        let next = base.index.get() + 1;
        life.write(Batch {
            truncate: Some(LogIndex::new(first)),
            parts: last,
            compact: Some(base),
            entries: entries(base.term.get(), next..next + 3),
            ..Batch::default()
        });
        life.load(entries_to(first, 200));
        life.load(entries_to(next, 200));
        life.all_done().await;
        life.crash().await;
        assert_eq!((life.restored().log.base(), life.written().entries().len()), (base, 3));
        life.write(Batch { entries: entries(6, next + 3..next + 20), ..Batch::default() });
        life.all_persisted().await;
        life.crash().await;
    }
    life.write(Batch { truncate: Some(LogIndex::new(110)), ..Batch::default() });
    life.all_persisted().await;
    life.crash().await;
}

/// A crash after each of a snapshot's pieces, and in the middle of the next; the leader then goes on with
/// the piece that is missing.
pub async fn an_install_that_was_interrupted_goes_on<D: Disk>(disk: D) {
    let mut life = Life::begin(disk);
    life.write(Batch { entries: entries(1, 1..9), ..Batch::default() });
    for interrupted in 0..4 {
        let last_included = id(2, 103 + 100 * interrupted);
        for _ in 0..interrupted {
            send_next_piece(&mut life, last_included);
        }
        life.all_persisted().await;
        send_next_piece(&mut life, last_included);
        life.crash().await;
        while life.restored().log.base() != last_included {
            send_next_piece(&mut life, last_included);
            life.all_persisted().await;
        }
        life.crash().await;
    }
}

/// With the last piece the log goes.
fn send_next_piece<D: Disk>(life: &mut Life<D>, last_included: EntryId) {
    let partial = life.restored().partial;
    let bytes =
        partial.filter(|partial| partial.snapshot.id.last_included == last_included).map_or(0, |it| it.bytes);
    let next = parts(last_included).into_iter().find(|part| part.chunk.offset == bytes);
    let done = next.as_ref().is_some_and(|part| part.chunk.done);
    let log = life.restored().log;
    life.write(Batch {
        truncate: done.then(|| log.base().index.next()),
        parts: next.into_iter().collect(),
        compact: done.then_some(last_included),
        ..Batch::default()
    });
}

fn entries_to(from: u64, to: u64) -> Load {
    Load::Entries { from: LogIndex::new(from), to: LogIndex::new(to), bytes_max: usize::MAX }
}
