//! How a follower asks its leader what its reads have to see, and a leader its followers whether they follow it still
//! (thesis 6.4, 6.4.1): what is asked again, which answer counts, and who waits.

use std::time::Duration;

use raft_core::{
    Config, EntryId, Envelope, Event, Input, LogIndex, Message, NodeId, ReadId, ReadIndexReply, ReadOutcome,
    Session,
};

use crate::bench::{Bench, NUMBER_MAX, append, config, envelope, heartbeat, id};
use crate::reads::leader;
use crate::snapshots::follower;

const MS: Duration = Duration::from_millis(1);

/// Its leader answers a question.
fn answer(bench: &mut Bench, session: Session, read_index: Option<EntryId>) {
    let term = bench.raft.current_term().get();
    let reply = Message::ReadIndexReply(ReadIndexReply { read_index });
    bench.step(Input::Receive(Envelope { session, ..envelope(2, term, reply) }));
}

/// The session of the last question.
fn question(bench: &Bench) -> Session {
    bench.last_said(2, "read-index").expect("it asks").session
}

/// Whom it has asked whether they follow it.
fn confirmers(bench: &Bench) -> Vec<u64> {
    bench.said.iter().filter(|said| said.message.kind() == "confirm").map(|said| said.to.get()).collect()
}

/// A follower asks for what its reads have to see.
fn follower_asks(bench: &mut Bench, from: u64, session: u64) {
    let asked = Envelope { session: Session(session), ..envelope(from, 1, Message::ReadIndex) };
    bench.step(Input::Receive(asked));
}

/// Which followers it has answered, in which session, and what.
fn answers(bench: &Bench) -> Vec<(u64, u64, Option<EntryId>)> {
    let answer = |said: &Envelope| {
        let Message::ReadIndexReply(ReadIndexReply { read_index }) = said.message else { return None };
        Some((said.to.get(), said.session.0, read_index))
    };
    bench.said.iter().filter_map(answer).collect()
}

/// The answer to an earlier question says nothing about a later read; that of a server that does not lead
/// ends it.
#[test]
fn only_the_answer_to_the_question_that_is_asked_counts() {
    let mut bench = follower(config(3), &[1], 1);
    bench.read(1);
    let first = question(&bench);
    answer(&mut bench, first, Some(id(1, 1)));
    assert_eq!(bench.take_reads(), [(1, Some(1))]);
    bench.read(2);
    for late in [Some(id(1, 1)), None] {
        answer(&mut bench, first, late);
        assert_eq!(bench.take_reads(), [], "{late:?}");
    }
    let second = question(&bench);
    answer(&mut bench, second, Some(id(1, 1)));
    assert_eq!(bench.take_reads(), [(2, Some(1))]);
    bench.read(3);
    let third = question(&bench);
    answer(&mut bench, third, None);
    assert_eq!(bench.take_reads(), [(3, None)]);
}

/// §5.3: what the leader has committed is committed here if it is here, and not what stands in its place.
#[test]
fn a_read_index_commits_no_other_entry_in_its_place() {
    let mut bench = Bench::with_log(config(3), &[1, 1], 1);
    bench.hear(2, 2, heartbeat());
    bench.read(1);
    let asked = question(&bench);
    answer(&mut bench, asked, Some(id(2, 2)));
    assert_eq!((bench.raft.commit_index(), bench.take_reads()), (LogIndex::ZERO, vec![]));
    bench.hear(2, 2, append(id(1, 1), &[2], 2));
    assert_eq!((bench.take_reads(), bench.applied), (vec![(1, Some(2))], vec![id(1, 1), id(2, 2)]));
}

/// A question that is not answered is asked again after each heartbeat, and given up after an election
/// timeout though the leader is heard; and a server that is told the time when it wants to be needs nothing
/// else for that.
#[test]
fn a_question_is_asked_again_with_each_heartbeat_and_given_up_after_an_election_timeout() {
    let mut bench = Bench::new(Config { heartbeat: 70 * MS, ..config(3) });
    bench.hear(2, 1, heartbeat());
    let began = bench.now;
    bench.read(1);
    let mut asked = Vec::new();
    for _ in 0..9 {
        let questions = bench.take_said().into_iter().filter(|said| said.2 == "read-index");
        asked.extend(questions.map(|_| bench.now.since(began).as_millis()));
        if bench.reads.is_empty() {
            bench.hear(2, 1, heartbeat());
            bench.time_out();
        }
    }
    assert_eq!((asked, bench.now.since(began)), (vec![0, 70, 140, 210, 280], 300 * MS));
    let leader = Some(NodeId::new(2));
    assert_eq!((bench.reads[0].id, bench.reads[0].outcome), (ReadId(1), ReadOutcome::NotLeader { leader }));
    assert_eq!(bench.raft.footprint().reads, 0);
}

/// The same of a server that is told the time later. Each row: when, and whether it asks again.
#[test]
fn a_question_that_is_overdue_is_asked_again_or_given_up() {
    for (after, asks) in [(49 * MS, false), (51 * MS, true), (299 * MS, true), (301 * MS, false)] {
        let mut bench = Bench::new(config(3));
        bench.hear(2, 1, heartbeat());
        bench.read(1);
        bench.said.clear();
        bench.now = bench.now.after(after);
        bench.hear(2, 1, heartbeat());
        assert_eq!(bench.last_said(2, "read-index").is_some(), asks, "{after:?}");
        let expected: &[_] = if after > 300 * MS { &[(1, None)] } else { &[] };
        assert_eq!(bench.take_reads(), expected, "{after:?}");
    }
}

/// With a reign ends all that was asked in it, of whom and by whom it may be.
#[test]
fn a_server_whose_role_has_changed_asks_anew() {
    let mut bench = leader(config(3));
    bench.read(1);
    bench.hear(2, 2, heartbeat());
    assert_eq!(bench.take_reads(), [(1, None)]);
    bench.said.clear();
    bench.read(2);
    assert_eq!(bench.take_said(), [(2, 2, "read-index")], "it asks its leader");
    bench.is_elected();
    assert_eq!(bench.take_reads(), [(2, None)]);
    bench.wait(50 * MS);
    bench.acknowledge(2);
    bench.read(3);
    bench.confirm(2);
    assert_eq!(bench.take_reads(), [(3, Some(2))], "it asks its followers");
}

/// The highest index that any server counts up to is one that a read can wait for.
#[test]
fn a_read_index_is_dropped_unread_if_nobody_counts_that_far() {
    for (index, dropped) in [(NUMBER_MAX, false), (NUMBER_MAX + 1, true)] {
        let mut bench = Bench::new(config(3));
        bench.hear(2, 1, heartbeat());
        answer(&mut bench, Session(7), Some(id(1, index)));
        assert_eq!(bench.raft.counts().strangers_dropped, u64::from(dropped), "{index}");
    }
}

/// §6.4: a round goes to all, once more with each heartbeat to those who have not acknowledged it, and to
/// nobody when it is over.
#[test]
fn a_round_goes_again_to_those_who_have_not_acknowledged_it() {
    let mut bench = leader(config(5));
    bench.read(1);
    assert_eq!(confirmers(&bench), [2, 3, 4, 5]);
    bench.confirm(2);
    bench.said.clear();
    bench.wait(50 * MS);
    assert_eq!(confirmers(&bench), [3, 4, 5]);
    bench.confirm(3);
    assert_eq!(bench.take_reads(), [(1, Some(1))]);
    bench.said.clear();
    bench.wait(50 * MS);
    assert!(confirmers(&bench).is_empty());
}

/// A follower's question comes again with each heartbeat. It is answered by the round that was begun for it,
/// and neither it nor another follower's takes the place of what others wait for.
#[test]
fn a_question_that_comes_twice_is_one_and_displaces_no_other() {
    let mut bench = leader(config(5));
    bench.read(1);
    follower_asks(&mut bench, 3, 11);
    follower_asks(&mut bench, 4, 12);
    [2, 5].iter().for_each(|&follower| bench.confirm(follower));
    assert_eq!((bench.take_reads(), answers(&bench)), (vec![(1, Some(1))], vec![]));
    follower_asks(&mut bench, 3, 11);
    [2, 5].iter().for_each(|&follower| bench.confirm(follower));
    assert_eq!(answers(&bench), [(3, 11, Some(id(1, 1))), (4, 12, Some(id(1, 1)))]);
    assert_eq!(bench.raft.footprint().reads, 0);
}

/// Nobody waits here who is no member: such a server is told at once that it is not answered.
#[test]
fn the_question_of_a_stranger_does_not_wait() {
    let mut bench = leader(config(3));
    follower_asks(&mut bench, 9, 11);
    assert_eq!((answers(&bench), bench.raft.footprint().reads), (vec![(9, 11, None)], 0));
    assert!(confirmers(&bench).is_empty());
}

/// §6.4.1: "the leader would use the normal heartbeat mechanism to maintain a lease". Whoever reads by a
/// lease gets a new one before it ends: with the next heartbeat, though no read waits. When nobody reads,
/// nobody is asked.
#[test]
fn a_lease_that_was_used_is_renewed_with_the_next_heartbeat_and_another_is_not() {
    // A lease lasts for 120 ms.
    let mut bench = leader(Config { read_lease_ppm: Some(250_000), ..config(3) });
    bench.read(1);
    bench.confirm(2);
    bench.read(2);
    assert_eq!(bench.take_reads(), [(1, Some(1)), (2, Some(1))]);
    bench.said.clear();
    bench.events.clear();
    bench.wait(50 * MS);
    assert_eq!(confirmers(&bench), [2, 3]);
    bench.confirm(2);
    let confirmed = |event: &Event| matches!(event, Event::ReadsConfirmed { .. });
    assert!(!bench.events.iter().any(confirmed), "there were no reads");
    bench.said.clear();
    bench.wait(50 * MS);
    assert!(confirmers(&bench).is_empty(), "it has not been used again");
    bench.wait(40 * MS);
    bench.read(3);
    assert_eq!(bench.take_reads(), [(3, Some(1))], "the first one has ended, the second one has not");
}

/// Reads that have not been answered: those that wait, those that are confirmed and wait for the state
/// machine, and those of which the world has not been told.
#[test]
fn reads_that_have_not_been_answered_are_counted() {
    let mut bench = Bench::new(config(3));
    bench.hear(2, 1, heartbeat());
    for name in [1, 2] {
        bench.read(name);
        let asked = question(&bench);
        answer(&mut bench, asked, Some(id(1, 9)));
    }
    bench.read(3);
    bench.read(4);
    assert_eq!(bench.raft.footprint().reads, 4, "two are confirmed, and two wait");
    let refusal = Message::ReadIndexReply(ReadIndexReply { read_index: None });
    let refusal = Envelope { session: question(&bench), ..envelope(2, 1, refusal) };
    bench.raft.step(bench.now, Input::Receive(refusal));
    assert_eq!(bench.raft.footprint().reads, 4, "nobody has been told that one is refused");
    bench.step(Input::Tick);
    assert_eq!((bench.take_reads(), bench.raft.footprint().reads), (vec![(3, None)], 3));
}
