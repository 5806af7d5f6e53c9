//! What is lost to a server and what is not, what comes back, and what is overwritten meanwhile.

use raft_core::{
    AppendEntriesReply, Config, EntryId, Envelope, Event, Input, Loaded, LogIndex, Message, RequestVote,
    RequestVoteReply, Term,
};

use crate::acknowledged::tells_of_loss;
use crate::bench::{Bench, append, config, envelope, id, piece};
use crate::fetching::{answered, disk, lacking, names, reply, starts, wanted, with_snapshot};
use crate::repair::{answer, damaged};

/// The entries that the disk was given in the places of damaged ones, by writes that hang.
fn given_anew(bench: &Bench) -> Vec<EntryId> {
    bench.hung.iter().flat_map(|write| names(&write.batch.repair)).collect()
}

/// Whatever is lost when, and whatever comes back first: the first that is lost counts.
#[test]
fn several_entries_are_lost_and_come_back_one_by_one() {
    let mut bench = damaged(&[1, 1, 1], 3);
    bench.lose(1);
    bench.lose(1);
    assert_eq!((bench.raft.damaged(), bench.raft.counts().entries_damaged), (2, 2));
    assert_eq!(wanted(&bench, 2), [id(1, 1), id(1, 3)]);
    assert_eq!(tells_of_loss(&mut bench, 2).0, LogIndex::new(1));
    // What is not lost takes nobody's place.
    answer(&mut bench, 2, reply(&[id(1, 1), id(1, 2)], &[]));
    assert_eq!((bench.raft.damaged(), bench.raft.counts().entries_repaired), (1, 1));
    assert_eq!(wanted(&bench, 2), [id(1, 3)]);
    assert_eq!(tells_of_loss(&mut bench, 2).0, LogIndex::new(3));
    let told = |event: &&Event| matches!(event, Event::Damaged { .. } | Event::Repaired { .. });
    let told: Vec<_> = bench.events.iter().filter(told).cloned().collect();
    let lost = |index| Event::Damaged { id: id(1, index) };
    assert_eq!(told, [lost(3), lost(1), Event::Repaired { id: id(1, 1) }]);
}

/// It may have been written anew, or compacted, since it was to be read.
#[test]
fn what_is_in_memory_or_compacted_is_not_lost() {
    let all = |to| Input::Loaded(Loaded::Damaged { from: LogIndex::new(1), to: LogIndex::new(to) });
    let mut in_memory = Bench::new(config(3));
    in_memory.hear(2, 1, append(EntryId::ZERO, &[1, 1], 0));
    in_memory.step(all(2));
    assert_eq!((in_memory.raft.damaged(), in_memory.raft.counts().entries_damaged), (0, 0));
    let disk = with_snapshot(disk(&[1, 1, 1]), id(1, 2), Some(id(1, 2)));
    let mut compacted = Bench::with_disk(config(3), disk);
    compacted.step(all(3));
    assert_eq!((compacted.raft.damaged(), compacted.raft.counts().entries_damaged), (1, 1));
}

#[test]
fn nothing_is_told_of_what_is_lost_unless_somebody_watches() {
    let unwatched = Config { observe: false, ..config(3) };
    let mut bench = starts(unwatched, disk(&[1, 1]), &[2]);
    bench.step(Input::Tick);
    assert_eq!((bench.raft.damaged(), bench.events.len()), (1, 0));
}

/// A log may begin long before its snapshot ends.
#[test]
fn what_its_own_snapshot_stands_for_is_not_lost() {
    for (lost, left) in [(1, 0), (2, 0), (3, 1)] {
        let mut bench = starts(config(3), with_snapshot(disk(&[1, 1, 1]), id(1, 2), None), &[lost]);
        bench.step(Input::Tick);
        assert_eq!(bench.raft.damaged(), left, "{lost}");
    }
}

/// Each row: which entry is lost, and whether the state machine, which has the first two, stands for it.
#[test]
fn a_snapshot_is_taken_if_it_stands_for_what_is_lost() {
    for (lost, stands) in [(1, true), (2, true), (3, false)] {
        let mut bench = starts(config(3), disk(&[1, 1, 1]), &[lost]);
        bench.raft.has_applied(LogIndex::new(2));
        bench.step(Input::Tick);
        assert_eq!(bench.taking.is_some(), stands, "{lost}");
    }
}

/// Nobody else has it, but its state machine does.
#[test]
fn what_the_state_machine_has_is_not_lost_to_a_server_that_is_alone() {
    let mut bench = starts(config(1), disk(&[1, 1, 1]), &[3]);
    bench.raft.has_applied(LogIndex::new(3));
    bench.step(Input::Tick);
    assert_eq!(bench.violation, None);
    assert_eq!(bench.taking.map(|snapshot| snapshot.id.last_included), Some(id(1, 3)));
}

/// One that joins a group is told by that group's leader who is in it.
#[test]
fn a_server_that_knows_nobody_is_not_alone() {
    let joins = Config { bootstrap: None, ..config(3) };
    let mut bench = starts(joins, disk(&[1, 1]), &[2]);
    bench.step(Input::Tick);
    assert_eq!((bench.violation, bench.raft.damaged()), (None, 1));
}

/// Each row: which entry is lost, and whether a leader's snapshot of the first two is needed for it.
#[test]
fn a_leaders_snapshot_stands_for_what_is_lost_before_its_end() {
    for (lost, needed) in [(1, true), (2, true), (3, false)] {
        let mut bench = damaged(&[1, 1, 1], lost);
        bench.hear(2, 1, piece(id(1, 2), 0, "x", true));
        assert_eq!(bench.restored.len(), usize::from(needed), "{lost}");
        assert_eq!(bench.raft.counts().snapshots_installed, u64::from(needed), "{lost}");
        assert_eq!(bench.raft.damaged(), usize::from(!needed), "{lost}");
    }
}

/// A leader's snapshot takes the place of the whole log. What others say of an entry of it is of no interest
/// any more, be it a moment later or a moment before.
#[test]
fn what_left_the_log_with_a_snapshot_is_neither_repaired_nor_dropped() {
    let installs = || Input::Receive(envelope(2, 2, piece(id(2, 3), 0, "x", true)));
    for late in [lacking(id(1, 5), Some(2)), reply(&[id(1, 5)], &[])] {
        let mut bench = damaged(&[1, 1, 1, 1, 1], 5);
        let late = Envelope { term: Term::new(2), ..answered(&bench, 3, late) };
        bench.step_all([installs(), Input::Receive(late)]);
        let counts = bench.raft.counts();
        assert_eq!((counts.entries_dropped, counts.entries_repaired), (0, 0));
        assert_eq!((bench.raft.last_log(), bench.raft.damaged()), (id(2, 3), 0));
    }
    let mut bench = damaged(&[1, 1, 1, 1, 1], 5);
    bench.hangs = true;
    let early = answered(&bench, 3, reply(&[id(1, 5)], &[]));
    bench.step_all([Input::Receive(early), installs()]);
    assert_eq!((bench.hung.len(), given_anew(&bench)), (1, vec![]), "the disk does not have it any more");
}

/// The same of a vote: it lacks nothing any more, in the very moment in which the snapshot is whole.
#[test]
fn who_has_a_snapshot_of_all_that_it_had_lost_votes_at_once() {
    let mut bench = damaged(&[1, 1, 1], 1);
    let snapshot = envelope(2, 2, piece(id(2, 3), 0, "x", true));
    let asked = Message::RequestVote(RequestVote { last_log: id(2, 3), told_by_leader: true });
    bench.step_all([snapshot, envelope(3, 3, asked)].map(Input::Receive));
    let granted = Message::RequestVoteReply(RequestVoteReply { vote_granted: true, suspect: false });
    assert_eq!(bench.last_said(3, "vote-reply").map(|said| &said.message), Some(&granted));
}

/// A leader overwrites what follows an entry that another server has just sent.
#[test]
fn what_was_repaired_stays_so_where_what_follows_it_is_overwritten() {
    let mut bench = damaged(&[1, 1, 1], 1);
    bench.hangs = true;
    let sent = answered(&bench, 2, reply(&[id(1, 1)], &[]));
    let overwrites = envelope(3, 2, append(id(1, 2), &[2], 0));
    bench.step_all([sent, overwrites].map(Input::Receive));
    assert_eq!(given_anew(&bench), [id(1, 1)]);
    bench.finish_writes();
    assert_eq!((bench.log(), bench.raft.damaged()), (vec![1, 1, 2], 0));
}

/// One leader overwrites an entry that was lost, and the next one brings it back: then it is written like any
/// other.
#[test]
fn what_comes_back_after_it_was_overwritten_is_not_lost() {
    for repaired_before in [false, true] {
        let mut bench = damaged(&[1, 1], 2);
        bench.hangs = true;
        let sent = answered(&bench, 2, reply(&[id(1, 2)], &[]));
        let overwrites = envelope(2, 2, append(id(1, 1), &[2], 0));
        let brings_back = envelope(3, 3, append(id(1, 1), &[1, 3], 0));
        let sent = repaired_before.then_some(sent).into_iter();
        bench.step_all(sent.chain([overwrites, brings_back]).map(Input::Receive));
        assert_eq!((bench.raft.damaged(), given_anew(&bench)), (0, vec![]), "{repaired_before}");
        bench.finish_writes();
        assert_eq!(bench.log(), [1, 1, 3]);
        bench.hear(3, 3, append(id(3, 3), &[], 0));
        let match_index = LogIndex::new(3);
        assert_eq!(bench.last_reply(), Some(AppendEntriesReply::Accepted { match_index }));
    }
}
