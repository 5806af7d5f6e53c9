//! "Consensus: Bridging Theory and Practice", section 6.4: reads without an entry in the log.

use std::time::Duration;

use raft_core::{
    Config, Configuration, ConfirmReply, EntryId, Envelope, Event, Input, LogIndex, Message, NodeId,
    PreVoteReply, ReadIndexReply, RoleName,
};

use crate::bench::{Bench, append, config, envelope, heartbeat, id, vote};

const MS: Duration = Duration::from_millis(1);

/// The shortest and the longest election timeout.
const SHORTEST: Duration = Duration::from_millis(150);
const LONGEST: Duration = Duration::from_millis(300);

/// Leads term 1 of so many servers; its no-op, entry 1, is committed.
pub(crate) fn leader(config: Config) -> Bench {
    let majority = config.bootstrap.as_ref().map_or(0, |first| first.voters.len()) as u64 / 2 + 1;
    let mut bench = Bench::in_role(config, RoleName::Leader, 1);
    bench.wait(50 * MS);
    (2..=majority).for_each(|follower| bench.acknowledge(follower));
    bench.said.clear();
    bench
}

/// §6.4, step 1: "If the leader has not yet marked an entry from its current term committed, it waits until it has
/// done so."
#[test]
pub(crate) fn the_leader_waits_until_it_has_committed_an_entry_of_its_term() {
    let mut bench = Bench::in_role(config(3), RoleName::Leader, 1);
    bench.wait(50 * MS);
    bench.read(1);
    assert_eq!(bench.last_said(2, "confirm"), None);
    bench.acknowledge(2);
    bench.confirm(2);
    assert_eq!(bench.take_reads(), [(1, Some(1))]);
}

/// §6.4, step 2: "The leader saves its current commit index in a local variable readIndex." What is committed
/// later a read may see, and need not.
#[test]
pub(crate) fn the_read_index_is_the_commit_index_when_the_round_begins() {
    let mut bench = leader(config(3));
    bench.raft.propose("x".into()).unwrap();
    bench.wait(MS);
    bench.read(1);
    bench.acknowledge(2);
    assert_eq!(bench.raft.commit_index(), LogIndex::new(2));
    bench.confirm(3);
    bench.read(2);
    bench.confirm(3);
    assert_eq!(bench.take_reads(), [(1, Some(1)), (2, Some(2))]);
}

/// §6.4, step 3: "It issues a new round of heartbeats and waits for their acknowledgments from a majority of the
/// cluster." Each row: how many servers, who acknowledges, and whether the read is answered.
#[test]
pub(crate) fn the_leader_waits_for_the_acknowledgements_of_a_majority() {
    for (size, acknowledge, answered) in [
        (1, &[][..], true),
        (3, &[], false),
        (3, &[2], true),
        (3, &[3], true),
        (5, &[2], false),
        (5, &[2, 2, 2], false),
        (5, &[2, 5], true),
        (5, &[3, 4], true),
    ] {
        let mut bench = leader(config(size));
        bench.read(1);
        acknowledge.iter().for_each(|&follower| bench.confirm(follower));
        let expected: &[_] = if answered { &[(1, Some(1))] } else { &[] };
        assert_eq!(bench.take_reads(), expected, "{size} {acknowledge:?}");
    }
}

/// An acknowledgement of another term, another conversation, an earlier round or one that was never begun
/// confirms nothing, and neither does an answer to AppendEntries. Each row is one of them, but for the last.
#[test]
pub(crate) fn nothing_but_an_acknowledgement_of_this_round_confirms_it() {
    for (term, of_this_session, round, confirms) in [
        (0, true, 2, false),
        (1, false, 2, false),
        (1, true, 1, false),
        (1, true, 3, false),
        (1, true, u64::MAX, false),
        (1, true, 2, true),
    ] {
        let mut bench = leader(config(3));
        bench.read(1);
        bench.confirm(2);
        bench.read(2);
        bench.wait(50 * MS);
        bench.acknowledge(2);
        bench.acknowledge(3);
        let session = bench.last_said(3, "confirm").unwrap().session;
        let reply = envelope(3, term, Message::ConfirmReply(ConfirmReply { round }));
        let session = if of_this_session { session } else { reply.session };
        bench.step(Input::Receive(Envelope { session, ..reply }));
        let expected: &[_] = if confirms { &[(1, Some(1)), (2, Some(1))] } else { &[(1, Some(1))] };
        assert_eq!(bench.take_reads(), expected, "{term} {of_this_session} {round}");
    }
}

/// §6.4, step 4: "The leader waits for its state machine to advance at least as far as the readIndex".
#[test]
pub(crate) fn the_leader_waits_for_its_state_machine() {
    let mut bench = leader(config(3));
    bench.raft.propose("x".into()).unwrap();
    bench.busy = true;
    bench.wait(MS);
    bench.acknowledge(2);
    bench.raft.propose("y".into()).unwrap();
    bench.wait(MS);
    bench.acknowledge(2);
    bench.read(1);
    bench.confirm(2);
    assert_eq!((bench.raft.commit_index(), bench.take_reads()), (LogIndex::new(3), vec![]));
    bench.busy = false;
    bench.step(Input::Applied);
    assert_eq!(bench.take_reads(), [(1, Some(3))]);
}

/// §6.4: "the leader [...] can use a single round of heartbeats for any number of read-only queries that it has
/// accumulated."
#[test]
pub(crate) fn a_single_round_is_enough_for_any_number_of_reads() {
    let mut bench = leader(config(3));
    bench.read(0);
    (1..=1_000).for_each(|name| bench.read(name));
    bench.confirm(2);
    assert_eq!((bench.said.len(), bench.take_reads()), (4, vec![(0, Some(1))]));
    bench.confirm(2);
    assert_eq!((bench.said.len(), bench.take_reads().len()), (4, 1_000));
}

/// §6.4: to read without a log entry "avoids synchronous disk writes": nothing is written for a read, at a leader or at a
/// follower.
#[test]
pub(crate) fn a_read_takes_no_disk_write() {
    let mut leads = leader(config(3));
    let mut follows = Bench::new(config(3));
    follows.hear(2, 1, heartbeat());
    for bench in [&mut leads, &mut follows] {
        let (writes, last) = (bench.writes, bench.raft.last_log());
        (1..=9).for_each(|name| bench.read(name));
        assert_eq!((bench.writes, bench.raft.last_log()), (writes, last));
    }
    leads.confirm(2);
    leads.confirm(2);
    assert_eq!((leads.take_reads().len(), leads.writes), (9, 2), "its term, its no-op, and nothing more");
}

/// §6.4: for a follower's request "the leader would execute steps 1–3 above": it answers when it has committed an entry of
/// its term and a round has been acknowledged that began after the request came in. Any other server says that
/// it does not lead.
#[test]
pub(crate) fn the_leader_executes_steps_1_to_3_for_a_follower() {
    let mut bench = Bench::in_role(config(3), RoleName::Leader, 1);
    bench.wait(50 * MS);
    let ask = |bench: &mut Bench, session| {
        let asked = Envelope { session: raft_core::Session(session), ..envelope(3, 1, Message::ReadIndex) };
        bench.step(Input::Receive(asked));
    };
    let answers = |bench: &Bench| {
        let answer = |said: &Envelope| {
            let Message::ReadIndexReply(ReadIndexReply { read_index }) = said.message else { return None };
            Some((said.session.0, read_index))
        };
        bench.said.iter().filter_map(answer).collect::<Vec<_>>()
    };
    ask(&mut bench, 11);
    assert_eq!((bench.last_said(2, "confirm"), answers(&bench)), (None, vec![]));
    bench.accepts(2, 1);
    assert_eq!(answers(&bench), []);
    ask(&mut bench, 12);
    bench.confirm(2);
    assert_eq!(answers(&bench), [], "n3 has given up its first question");
    bench.confirm(2);
    assert_eq!(answers(&bench), [(12, Some(id(1, 1)))]);
    let mut follower = Bench::new(config(3));
    ask(&mut follower, 13);
    assert_eq!(answers(&follower), [(13, None)]);
}

/// §6.4: "the follower could issue a request to the leader that just asked for a current readIndex [...]; the
/// follower could then execute steps 4 and 5 on its own state machine for any number of accumulated read-only
/// queries." What the leader has committed is committed here, if it is here.
#[test]
pub(crate) fn a_follower_asks_for_the_read_index_and_answers_from_its_own_state() {
    let mut bench = Bench::new(config(3));
    let entries = [1, 1]
        .iter()
        .zip(1..)
        .map(|(&term, index)| raft_core::Entry::new(id(term, index), raft_core::Payload::Noop));
    let append = raft_core::AppendEntries {
        prev_log: raft_core::EntryId::ZERO,
        entries: entries.collect(),
        leader_commit: LogIndex::ZERO,
    };
    bench.hear(2, 1, Message::AppendEntries(append));
    bench.said.clear();
    (1..=3).for_each(|name| bench.read(name));
    let answer = |bench: &mut Bench, read_index| {
        let asked = bench.last_said(2, "read-index").unwrap().session;
        let reply = Message::ReadIndexReply(ReadIndexReply { read_index: Some(read_index) });
        bench.step(Input::Receive(Envelope { session: asked, ..envelope(2, 1, reply) }));
    };
    answer(&mut bench, id(1, 3));
    assert_eq!((bench.raft.commit_index(), bench.take_reads()), (LogIndex::ZERO, vec![]), "it lacks entry 3");
    answer(&mut bench, id(1, 2));
    assert_eq!(
        (bench.raft.commit_index(), bench.take_reads()),
        (LogIndex::new(2), vec![(2, Some(2)), (3, Some(2))])
    );
    assert_eq!(bench.take_said(), [(2, 1, "read-index"), (2, 1, "read-index")]);
}

/// A read waits for nobody who cannot confirm it. Each part: what ends the wait.
#[test]
pub(crate) fn a_read_ends_with_the_reign_that_was_to_confirm_it() {
    let higher_term = || Message::PreVoteReply(PreVoteReply { vote_granted: false, suspect: false });
    let mut leads = leader(config(3));
    leads.read(1);
    leads.hear(2, 9, higher_term());
    assert_eq!(leads.take_reads(), [(1, None)]);
    leads.read(2);
    assert_eq!(leads.take_reads(), [(2, None)]);

    let mut alone = leader(config(3));
    alone.read(1);
    alone.wait(LONGEST);
    assert_eq!((alone.raft.role(), alone.take_reads()), (RoleName::Follower, vec![(1, None)]));

    for leaves in [higher_term(), heartbeat()] {
        let mut follows = Bench::new(config(3));
        follows.hear(2, 1, heartbeat());
        follows.read(1);
        follows.hear(3, 2, leaves);
        assert_eq!(follows.take_reads(), [(1, None)]);
    }
    let mut times_out = Bench::new(config(3));
    times_out.hear(2, 1, heartbeat());
    times_out.read(1);
    while times_out.raft.role() == RoleName::Follower {
        times_out.time_out();
    }
    assert_eq!(times_out.take_reads(), [(1, None)]);
}

/// A follower that is sent nothing any more, as it was removed, may never have what the read index names. It is not known to
/// be committed there, and the read ends when no leader has been heard for an election timeout: also of one who learns, and so
/// starts no election.
#[test]
pub(crate) fn a_confirmed_read_ends_where_nobody_sends_what_it_waits_for() {
    let learns = Configuration::of([2, 3].map(NodeId::new)).with_learners([NodeId::new(1)]);
    for bootstrap in [config(3).bootstrap, Some(learns)] {
        let mut bench = Bench::new(Config { bootstrap, ..config(3) });
        bench.busy = true;
        bench.hear(2, 1, append(EntryId::ZERO, &[1], 1));
        for (name, read_index) in [(1, id(1, 2)), (2, id(1, 3))] {
            bench.read(name);
            let asked = bench.last_said(2, "read-index").unwrap().session;
            let reply = Message::ReadIndexReply(ReadIndexReply { read_index: Some(read_index) });
            bench.step(Input::Receive(Envelope { session: asked, ..envelope(2, 1, reply) }));
        }
        bench.hear(2, 1, append(id(1, 1), &[1], 2));
        assert_eq!(bench.take_reads(), []);
        bench.wait(LONGEST);
        assert_eq!(bench.take_reads(), [(2, None)], "the other one waits for its own state machine");
        bench.step(Input::Applied);
        assert_eq!(bench.take_reads(), [(1, Some(2))]);
    }
}

/// A round of heartbeats is one: whoever hears it follows, waits a whole election timeout from then on, and is true
/// to that leader. A leader of the past is told so.
#[test]
pub(crate) fn a_round_resets_the_election_timer_and_a_leader_of_the_past_is_told_so() {
    let confirm = || Message::Confirm(raft_core::Confirm { round: 7 });
    let mut bench = Bench::with_log(config(3), &[], 4);
    bench.wait(149 * MS);
    let before = bench.raft.deadline();
    bench.hear(2, 3, confirm());
    assert_eq!((bench.raft.leader(), bench.raft.deadline()), (None, before));
    bench.hear(2, 4, confirm());
    assert_eq!(bench.raft.leader(), Some(NodeId::new(2)));
    assert!(bench.raft.deadline() >= bench.now.after(SHORTEST));
    bench.hear(3, 9, vote(id(9, 9)));
    assert_eq!(bench.take_said(), [(2, 4, "confirm-reply"), (2, 4, "confirm-reply")]);
}

/// An answer cannot speak of what nobody can have.
#[test]
pub(crate) fn a_read_index_of_a_later_term_is_dropped_unread() {
    let mut bench = Bench::new(config(3));
    bench.hear(2, 1, heartbeat());
    for read_index in [id(2, 1), id(1, u64::MAX)] {
        bench.events.clear();
        bench.hear(2, 1, Message::ReadIndexReply(ReadIndexReply { read_index: Some(read_index) }));
        assert_eq!(bench.events, [Event::StrangerDropped { from: NodeId::new(2) }]);
    }
}
