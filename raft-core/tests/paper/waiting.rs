//! What waits for the disk, or for the state machine, before it is said, counted or given, and what does not.

use raft_core::{
    AppendEntriesReply, Config, Effects, EntryId, Envelope, Event, FetchEntriesReply, Input, LogIndex,
    Message, Raft, Restored, RoleName, Session, Time, Violation,
};

use crate::acknowledged::forgetful_leader;
use crate::bench::{Bench, append, config, envelope, heartbeat, id, piece, pre_vote, vote};
use crate::fetching::reply;
use crate::paper::plain;
use crate::reads::leader;
use crate::repair::{answer, damaged};
use crate::snapshots::{ask, compacts, take, taken};

/// The disk gets done with the oldest write that hangs.
pub(crate) fn written(bench: &mut Bench) {
    let write = bench.hung.remove(0);
    bench.step(Input::Persisted(write.token));
}

pub(crate) fn accepted(match_index: u64) -> Message {
    Message::AppendEntriesReply(AppendEntriesReply::Accepted { match_index: LogIndex::new(match_index) })
}

/// Figure 2: "Updated on stable storage before responding to RPCs". Of what is said at once, what needs no
/// disk leaves, and nothing else.
#[test]
fn of_two_answers_only_the_one_leaves_that_needs_no_disk() {
    let mut bench = Bench::with_log(plain(3), &[1], 1);
    bench.hangs = true;
    let both = [envelope(2, 1, append(id(1, 1), &[1], 0)), envelope(3, 2, pre_vote(id(1, 2)))];
    bench.step_all(both.map(Input::Receive));
    assert_eq!(bench.take_said(), [(3, 2, "pre-vote-reply")]);
    written(&mut bench);
    assert_eq!(bench.take_said(), [(2, 1, "append-reply")]);
}

/// A term that is only proposed is nobody's yet, and is the next one: whoever asks, or is asked, for a
/// pre-vote waits for no disk, though its own term is on its way there.
#[test]
fn a_proposal_waits_for_no_disk() {
    let mut bench = Bench::with_log(Config { check_quorum: false, ..config(3) }, &[], 1);
    bench.hangs = true;
    bench.hear(3, 2, vote(EntryId::ZERO));
    bench.hear(2, 9, pre_vote(EntryId::ZERO));
    assert_eq!(bench.take_said(), [(2, 9, "pre-vote-reply")]);
    bench.time_out();
    assert_eq!(bench.take_said(), [(2, 3, "pre-vote"), (3, 3, "pre-vote")]);
    written(&mut bench);
    assert_eq!(bench.take_said(), [(3, 2, "vote-reply")]);
}

/// A server that votes for itself once more, in a later term, leads when that vote is durable, not when the
/// first one is.
#[test]
fn ones_own_vote_counts_when_it_is_durable_and_none_of_an_earlier_term_does() {
    let mut bench = Bench::new(plain(1));
    bench.hangs = true;
    (0..2).for_each(|_| bench.time_out());
    written(&mut bench);
    assert_eq!(bench.is(), (RoleName::Candidate, 2));
    written(&mut bench);
    assert_eq!(bench.is(), (RoleName::Leader, 2));
}

/// What has waited and what comes up just then leave together.
#[test]
fn what_has_waited_for_the_disk_leaves_with_what_is_new() {
    let mut bench = Bench::with_log(plain(3), &[1], 1);
    bench.hangs = true;
    bench.hear(2, 1, append(id(1, 1), &[1], 0));
    let (asked, write) = (envelope(3, 2, pre_vote(id(1, 2))), bench.hung.remove(0));
    bench.step_all([Input::Receive(asked), Input::Persisted(write.token)]);
    assert_eq!(bench.take_said(), [(2, 1, "append-reply"), (3, 2, "pre-vote-reply")]);
}

/// Each write, when it is done, lets go of the answers that wait for it; those that many wait for leave
/// together.
#[test]
fn answers_leave_when_their_writes_are_done_one_by_one_or_at_once() {
    for at_once in [false, true] {
        let mut bench = Bench::new(config(3));
        bench.hangs = true;
        bench.hear(2, 1, append(EntryId::ZERO, &[1], 0));
        bench.hear(2, 1, append(id(1, 1), &[1], 0));
        let waits = |bench: &Bench| (bench.raft.footprint().held_messages, bench.raft.footprint().writes);
        assert_eq!((waits(&bench), bench.said.len()), ((2, 2), 0));
        if at_once {
            let write = bench.hung.remove(0);
            bench.raft.step(bench.now, Input::Persisted(write.token));
        } else {
            written(&mut bench);
            assert_eq!((waits(&bench), bench.said.len()), ((1, 1), 1));
        }
        written(&mut bench);
        let answers: Vec<_> = bench.said.iter().map(|said| said.message.clone()).collect();
        assert_eq!((waits(&bench), answers), ((0, 0), vec![accepted(1), accepted(2)]), "{at_once}");
    }
}

/// What is held in memory for a slow disk is bounded: a refusal takes the place of an earlier one.
#[test]
fn of_refusals_that_wait_for_the_disk_the_last_one_is_enough() {
    let mut bench = Bench::with_log(plain(3), &[1], 1);
    bench.hangs = true;
    bench.hear(2, 2, vote(id(1, 1)));
    for question in 1..=9 {
        let asked = envelope(3, 2, pre_vote(EntryId::ZERO));
        bench.step(Input::Receive(Envelope { session: Session(question), ..asked }));
        assert_eq!((bench.raft.footprint().held_messages, bench.said.len()), (2, 0));
    }
    written(&mut bench);
    assert_eq!(bench.last_said(3, "pre-vote-reply").unwrap().session, Session(9));
    assert_eq!(bench.take_said(), [(2, 2, "vote-reply"), (3, 2, "pre-vote-reply")]);
}

/// Entries 1 to 3 are on disk, and the new term is on its way there. Each row: up to where n2's log is known
/// to agree, and whether it hears so, as entry 2 turns out to be lost. What n3 waits for says nothing of it.
#[test]
fn what_is_lost_before_it_was_acknowledged_is_not_acknowledged() {
    for (match_index, hears) in [(1, true), (2, false), (3, false)] {
        let mut bench = Bench::with_log(config(3), &[1, 1, 1], 1);
        bench.hangs = true;
        bench.hear(3, 2, vote(EntryId::ZERO));
        bench.hear(2, 2, append(id(1, match_index), &[], 0));
        bench.lose(2);
        written(&mut bench);
        let said = bench.last_said(2, "append-reply").map(|said| said.message.clone());
        assert_eq!(said, hears.then(|| accepted(match_index)), "{match_index}");
        assert!(bench.last_said(3, "vote-reply").is_some(), "{match_index}");
    }
}

/// Entries 1 and 3 of a leader are on their way to its disk again: it does not count itself for them, nor for
/// what is between.
#[test]
fn a_leader_counts_itself_for_nothing_from_the_first_entry_on_that_is_being_repaired() {
    let mut bench = forgetful_leader(config(3), &["x", "x"]);
    let entries = [0, 2].map(|place| bench.disk.entries()[place].clone()).to_vec().into();
    [1, 3].into_iter().for_each(|index| bench.lose(index));
    bench.accepts(2, 3);
    assert_eq!(bench.raft.commit_index(), LogIndex::ZERO);
    bench.hangs = true;
    answer(&mut bench, 3, FetchEntriesReply { entries, ..reply(&[], &[]) });
    bench.step(Input::Tick);
    assert_eq!((bench.raft.damaged(), bench.hung.len()), (0, 1));
    assert_eq!(bench.raft.commit_index(), LogIndex::ZERO);
    written(&mut bench);
    assert_eq!(bench.raft.commit_index(), LogIndex::new(3));
}

/// §7: the log has the last included entry already, and the snapshot stands for what the disk has lost before
/// it. Its end is durable, and the snapshot is not yet.
#[test]
fn a_snapshot_that_fills_the_log_is_given_to_the_state_machine_when_it_is_durable() {
    let mut bench = damaged(&[1, 1, 1], 1);
    bench.hangs = true;
    bench.hear(2, 1, piece(id(1, 2), 0, "state", true));
    bench.step(Input::Tick);
    assert_eq!((bench.hung.len(), bench.restored.len()), (1, 0));
    written(&mut bench);
    assert_eq!((bench.restored.len(), bench.raft.snapshot_index()), (1, LogIndex::new(2)));
}

/// A snapshot that a crash can take away may be made anew, with other bytes. Each row: what hangs at the
/// leader, and whether n3 is sent the snapshot that it needs meanwhile.
#[test]
fn a_piece_is_sent_when_its_whole_snapshot_is_durable_whatever_else_is_not() {
    for (hangs, sent) in [("the snapshot", false), ("a command", true), ("another snapshot", true)] {
        let mut bench = leader(compacts(3));
        bench.accepts(3, 0);
        bench.propose("x");
        if hangs != "the snapshot" {
            take(&mut bench);
        }
        if hangs == "another snapshot" {
            bench.accepts(2, 2);
        }
        bench.hangs = true;
        if hangs == "a command" {
            bench.propose("y");
        } else {
            let snapshot = ask(&mut bench);
            bench.step(Input::Applied);
            taken(&mut bench, snapshot, "sta", hangs == "the snapshot");
        }
        assert_eq!(bench.hung.len(), 1, "{hangs}");
        bench.refuses(3, id(1, 2), EntryId::ZERO);
        assert_eq!(bench.last_said(3, "snapshot").is_some(), sent, "{hangs}");
        written(&mut bench);
        assert!(bench.last_said(3, "snapshot").is_some(), "{hangs}");
    }
}

/// The state machine is given one thing at a time: entries, the snapshot that it is to become, and what
/// follows that.
#[test]
fn a_snapshot_waits_for_what_was_given_before_and_what_follows_waits_for_it() {
    let mut bench = Bench::new(config(3));
    bench.busy = true;
    bench.hear(2, 3, append(EntryId::ZERO, &[3], 1));
    bench.hear(2, 3, piece(id(3, 9), 0, "state", true));
    assert_eq!((bench.applied.as_slice(), bench.restored.len()), (&[id(3, 1)][..], 0));
    bench.step(Input::Applied);
    bench.hear(2, 3, append(id(3, 9), &[3], 10));
    assert_eq!((bench.applied.as_slice(), bench.restored.len()), (&[id(3, 1)][..], 1));
    bench.step(Input::Applied);
    assert_eq!(bench.applied, [id(3, 1), id(3, 10)]);
}

/// Whatever is left in effects that were carried out is not told again, now or later.
#[test]
fn what_is_left_in_effects_goes() {
    let mut raft = Raft::new(config(3), Restored::default(), Time::ZERO).unwrap();
    let mut effects = Effects {
        send: vec![envelope(2, 1, heartbeat())],
        events: vec![Event::TailTrusted],
        violation: Some(Violation::WriteOutOfOrder),
        ..Effects::default()
    };
    for _ in 0..2 {
        raft.take_effects_into(&mut effects);
        assert!(effects.send.is_empty() && effects.events.is_empty() && effects.violation.is_none());
    }
}
