//! What a leader sends to which follower: which piece of a snapshot, when again, and no more than may be on its way.

use std::time::Duration;

use raft_core::{
    AppendEntriesReply, Chunk, Config, EntryId, Envelope, Input, InstallSnapshotReply, Load, LogIndex,
    Message, NodeId, Session, SnapshotId,
};

use crate::bench::{Bench, config, envelope, id};
use crate::installed::begins;
use crate::membership::{change, has_all};
use crate::newcomers::elapse;
use crate::reads::leader;
use crate::snapshots::{ask, compacts, take, taken};

const MS: Duration = Duration::from_millis(1);
const NS: Duration = Duration::from_nanos(1);

/// Leads term 1 of so many servers; its log begins after entry 1, for which it has a snapshot of two pieces, "sta"
/// and "te". Those beyond a majority have not said that they have entry 1, and are sent the snapshot; but not those
/// in `heard`, who have answered a heartbeat.
fn sender(size: u64, heard: &[u64]) -> (Bench, SnapshotId) {
    let mut bench = leader(compacts(size));
    heard.iter().for_each(|&follower| bench.accepts(follower, 0));
    let snapshot = ask(&mut bench);
    bench.step(Input::Applied);
    taken(&mut bench, snapshot, "sta", false);
    taken(&mut bench, snapshot, "te", true);
    (bench, snapshot)
}

/// A follower says this of a snapshot, or of what came with it.
fn reply(bench: &Bench, from: u64, message: Message) -> Input {
    Input::Receive(Envelope { session: bench.session, ..envelope(from, 1, message) })
}

/// A follower wants the piece at this offset.
fn wants(bench: &mut Bench, from: u64, snapshot: SnapshotId, offset: u64) {
    let received = InstallSnapshotReply::Received { snapshot, offset };
    let received = reply(bench, from, Message::InstallSnapshotReply(received));
    bench.step(received);
}

/// The pieces that a follower was sent, in order.
fn pieces(bench: &Bench, to: u64) -> Vec<(SnapshotId, Chunk)> {
    let to_it = |said: &&Envelope| said.to == NodeId::new(to);
    let piece = |said: &Envelope| {
        let Message::InstallSnapshot(args) = &said.message else { return None };
        Some((args.snapshot.id, args.chunk.clone()))
    };
    bench.said.iter().filter(to_it).filter_map(piece).collect()
}

/// Where they begin.
fn offsets(bench: &Bench, to: u64) -> Vec<u64> {
    pieces(bench, to).iter().map(|(_, chunk)| chunk.offset).collect()
}

/// §7: a snapshot that is on its way is not begun anew: not because its follower answers a heartbeat
/// meanwhile, nor because a refusal comes late, nor because an answer comes twice.
#[test]
fn what_a_follower_says_beside_the_snapshot_does_not_begin_it_anew() {
    let (mut bench, snapshot) = sender(3, &[]);
    for _ in 0..2 {
        wants(&mut bench, 3, snapshot, 3);
        bench.accepts(3, 0);
        bench.refuses(3, id(1, 1), EntryId::ZERO);
        assert_eq!(offsets(&bench, 3), [0, 3]);
    }
    let installed = InstallSnapshotReply::Installed { snapshot };
    let installed = reply(&bench, 3, Message::InstallSnapshotReply(installed));
    bench.step(installed);
    bench.propose("x");
    assert_eq!(bench.last_append(3).prev_log, id(1, 1));
}

/// Each follower is sent the piece that it wants, once, whatever others want at the same time.
#[test]
fn each_follower_is_sent_the_piece_that_it_wants() {
    let (mut bench, snapshot) = sender(5, &[5]);
    assert_eq!([4, 5].map(|to| offsets(&bench, to)), [vec![0], vec![]]);
    // Both pieces are read at the same time.
    let (refused, hint) = (id(1, 1), EntryId::ZERO);
    let rejected = Message::AppendEntriesReply(AppendEntriesReply::Rejected { refused, hint });
    bench.raft.step(bench.now, reply(&bench, 5, rejected));
    wants(&mut bench, 4, snapshot, 3);
    assert_eq!([4, 5].map(|to| offsets(&bench, to)), [vec![0, 3], vec![0]]);
    wants(&mut bench, 5, snapshot, 3);
    assert_eq!([4, 5].map(|to| offsets(&bench, to)), [vec![0, 3], vec![0, 3]]);
}

/// §5.3: a leader retries for ever. A piece is sent again later and later, but a follower that was away, and
/// answers again, is sent it at once.
#[test]
fn a_follower_that_was_away_is_sent_its_piece_when_it_is_back() {
    let (mut bench, _) = sender(3, &[]);
    elapse(&mut bench, 5_000 * MS, &[2]);
    bench.said.clear();
    bench.accepts(3, 0);
    assert_eq!(offsets(&bench, 3), [0]);
}

/// A new snapshot takes the place of the one that a follower is in the middle of: not before the follower has
/// taken nothing for ten election timeouts. Each row: how long it has not, and whether one is taken.
#[test]
fn no_snapshot_is_taken_while_a_follower_is_in_the_middle_of_the_one_there_is() {
    for (silent, is_taken) in [(Duration::ZERO, false), (3_000 * MS - NS, false), (3_000 * MS, true)] {
        let (mut bench, snapshot) = sender(3, &[]);
        bench.propose("x");
        bench.accepts(2, 2);
        elapse(&mut bench, 100 * MS, &[2]);
        wants(&mut bench, 3, snapshot, 3);
        elapse(&mut bench, silent, &[2]);
        assert_eq!(begins(&mut bench), is_taken, "{silent:?}");
    }
}

/// §7: pieces of two snapshots must not be put together. One that was read of the old one while the new one
/// became whole goes to nobody.
#[test]
fn a_piece_of_the_old_snapshot_does_not_go_under_the_name_of_the_new_one() {
    let (mut bench, old) = sender(3, &[]);
    bench.propose("x");
    bench.accepts(2, 2);
    elapse(&mut bench, 4_000 * MS, &[2]);
    // n3 is away.
    let new = ask(&mut bench);
    bench.step(Input::Applied);
    // The old one is due once more, and is being read when the new one becomes whole.
    bench.now = bench.now.after(5_000 * MS);
    let match_index = LogIndex::new(2);
    let accepted = Message::AppendEntriesReply(AppendEntriesReply::Accepted { match_index });
    bench.raft.step(bench.now, reply(&bench, 2, accepted));
    let load = bench.raft.take_effects().load;
    assert_eq!(load, [Load::Chunk { snapshot: old, offset: 0 }]);
    let late = bench.disk.load(&load[0]);
    bench.said.clear();
    bench.raft.step(bench.now, Input::SnapshotTaken { snapshot: new, data: "new".into(), done: true });
    bench.raft.step(bench.now, Input::Loaded(late));
    bench.step(Input::Tick);
    assert_eq!(pieces(&bench, 3), [(new, Chunk::new(0, "new".into(), true))]);
}

/// A piece of a snapshot that is not answered is sent more and more seldom. After a change whoever did not
/// answer because it took no part may answer now, and the patience begins anew.
#[test]
fn a_snapshot_is_offered_again_soon_after_a_change() {
    for changes in [false, true] {
        let mut bench = leader(compacts(3));
        take(&mut bench);
        assert!(change(&mut bench, &[1, 2, 3], &[4]).is_ok());
        has_all(&mut bench, 2);
        bench.refuses(4, id(1, 1), EntryId::ZERO);
        elapse(&mut bench, 950 * MS, &[2]);
        assert_eq!(pieces(&bench, 4).len(), 3, "at once, after 300 ms, and after 600 more");
        if changes {
            assert!(change(&mut bench, &[1, 2, 3], &[4, 5]).is_ok());
        }
        elapse(&mut bench, 250 * MS, &[2]);
        assert_eq!(pieces(&bench, 4).len(), if changes { 4 } else { 3 }, "after 300 more");
    }
}

/// A follower that has lost what it acknowledged is sent it at once: what was on its way to it takes up no
/// room.
#[test]
fn what_was_on_its_way_to_a_follower_that_has_lost_its_log_is_sent_anew() {
    let mut bench = leader(Config { append_window: 1, ..config(3) });
    bench.propose("x");
    assert_eq!(bench.last_append(2).prev_log, id(1, 1));
    bench.replies(2, AppendEntriesReply::Lost { from: LogIndex::new(1), session: Session(9) });
    let again = bench.last_append(2);
    assert_eq!((again.prev_log, again.entries.len()), (EntryId::ZERO, 2));
}

#[test]
fn a_leader_says_how_much_is_on_its_way_to_a_follower() {
    let mut bench = leader(config(3));
    bench.propose("abc");
    bench.propose("de");
    let on_its_way = |bench: &Bench| {
        let n2 = bench.raft.followers()[0];
        (n2.in_flight_messages, n2.in_flight_bytes)
    };
    assert_eq!(on_its_way(&bench), (2, 5));
    bench.accepts(2, 2);
    assert_eq!(on_its_way(&bench), (1, 2));
    bench.accepts(2, 3);
    assert_eq!(on_its_way(&bench), (0, 0));
}

/// `append_window_bytes`: while so many bytes are on their way no more are sent. Answers make room.
#[test]
fn no_more_is_sent_while_a_window_of_bytes_is_on_its_way() {
    let mut bench = leader(Config { append_window_bytes: 10, ..config(3) });
    for command in ["aaaaa", "bbbbbb", "ccccc", "d"] {
        bench.propose(command);
    }
    let to_n2 = |bench: &Bench| {
        let progress = bench.raft.followers().into_iter().find(|known| known.follower == NodeId::new(2));
        let known = progress.expect("it is a follower");
        let last = bench.last_append(2).entries.last().map(|entry| entry.id.index.get());
        (known.in_flight_messages, known.in_flight_bytes, last)
    };
    assert_eq!(to_n2(&bench), (2, 11, Some(3)));
    bench.accepts(2, 2);
    assert_eq!(to_n2(&bench), (2, 12, Some(5)));
}
