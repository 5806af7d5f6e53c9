//! The events of a server's life, all of them and in their order: whoever watches from outside (checkers, traces,
//! diagrams) knows nothing else.

use std::mem;
use std::time::Duration;

use raft_core::{
    Config, Configuration, Entry, EntryId, Envelope, Event, Incarnation, Input, InstallSnapshotReply,
    LogIndex, Message, NodeId, NotMember, Payload, Restored, RoleName, SnapshotId, StepDownReason, Term,
};

use crate::bench::{Bench, append, config, envelope, heartbeat, id, piece, pre_vote, vote};
use crate::reads::leader;

use RoleName::{Candidate, Follower, Leader, PreCandidate};

const MS: Duration = Duration::from_millis(1);

/// What it has told since the last time. Its disk takes no time.
fn told(bench: &mut Bench) -> Vec<Event> {
    mem::take(&mut bench.events)
}

fn role(from_term: u64, from: RoleName, term: u64, to: RoleName, leader: Option<u64>) -> Event {
    let leader = leader.map(NodeId::new);
    Event::Role { from_term: Term::new(from_term), from, term: Term::new(term), to, leader }
}

fn appended(entry: &Entry) -> Event {
    Event::Appended { id: entry.id, checksum: entry.checksum }
}

/// A no-op was appended.
fn noop(term: u64, index: u64) -> Event {
    appended(&Entry::new(id(term, index), Payload::Noop))
}

fn durable(term: u64, voted_for: Option<u64>, index: u64) -> Event {
    Event::Durable {
        term: Term::new(term),
        voted_for: voted_for.map(NodeId::new),
        index: LogIndex::new(index),
    }
}

fn committed(from: u64, to: EntryId) -> Event {
    Event::Committed { from: LogIndex::new(from), to }
}

const fn applying(to: u64) -> Event {
    Event::Applying { to: LogIndex::new(to) }
}

const fn accepted(leader: u64, match_index: u64) -> Event {
    Event::AppendAccepted { leader: NodeId::new(leader), match_index: LogIndex::new(match_index) }
}

const fn matched(follower: u64, match_index: u64) -> Event {
    Event::MatchCounted { follower: NodeId::new(follower), match_index: LogIndex::new(match_index) }
}

#[test]
fn a_follower_tells_what_it_takes_refuses_and_truncates() {
    let mut bench = Bench::new(config(3));
    bench.hear(2, 1, append(EntryId::ZERO, &[1, 1], 1));
    let heard = [role(0, Follower, 1, Follower, None), role(1, Follower, 1, Follower, Some(2))];
    let taken = [noop(1, 1), noop(1, 2), committed(0, id(1, 1)), accepted(2, 2), applying(1)];
    assert_eq!(told(&mut bench), [&heard[..], &taken, &[durable(1, None, 2)]].concat());

    bench.hear(2, 1, append(id(1, 7), &[], 0));
    let (leader, term) = (NodeId::new(2), Term::new(1));
    assert_eq!(told(&mut bench), [Event::AppendRejected { leader, term, refused: id(1, 7) }]);
    bench.hear(1, 9, heartbeat());
    assert_eq!(told(&mut bench), [Event::StrangerDropped { from: NodeId::new(1) }]);

    bench.hear(3, 2, append(id(1, 1), &[2], 1));
    let heard = [role(1, Follower, 2, Follower, None), role(2, Follower, 2, Follower, Some(3))];
    let truncated = Event::Truncated { from: LogIndex::new(2), last: id(1, 1) };
    let taken = [truncated, noop(2, 2), accepted(3, 2), durable(2, None, 2)];
    assert_eq!(told(&mut bench), [&heard[..], &taken].concat());
}

#[test]
fn a_voter_tells_whom_it_would_vote_for_and_whom_it_votes_for() {
    let mut bench = Bench::with_log(config(3), &[1], 1);
    bench.hear(2, 1, heartbeat());
    told(&mut bench);
    let (candidate, term) = (NodeId::new(3), Term::new(2));
    for asked in [pre_vote(id(1, 1)), vote(id(1, 1))] {
        bench.hear(3, 2, asked);
        assert_eq!(told(&mut bench), [Event::VoteIgnored { candidate, term }], "it hears a leader");
    }
    bench.wait(149 * MS);
    bench.wait(MS);
    told(&mut bench);
    bench.hear(3, 2, pre_vote(id(1, 1)));
    assert_eq!(told(&mut bench), [Event::PreVoteGranted { term, candidate }]);
    let before = bench.raft.role();
    bench.hear(3, 2, vote(id(1, 1)));
    let follows = role(1, before, 2, Follower, None);
    assert_eq!(told(&mut bench), [follows, Event::Voted { term, candidate }, durable(2, Some(3), 1)]);
    bench.hear(3, 2, vote(id(1, 1)));
    assert_eq!(told(&mut bench), [], "once");
}

#[test]
fn a_candidate_tells_of_each_vote_and_of_its_reign() {
    let mut bench = Bench::new(config(3));
    bench.time_out();
    let counted = |voter| Event::PreVoteCounted { term: Term::new(1), voter: NodeId::new(voter) };
    assert_eq!(told(&mut bench), [role(0, Follower, 0, PreCandidate, None), counted(1)]);
    let asked = mem::take(&mut bench.said);
    bench.answer(&asked[0], true);
    let stands = [
        role(0, PreCandidate, 1, Candidate, None),
        Event::Voted { term: Term::new(1), candidate: NodeId::new(1) },
    ];
    let voted = |voter| Event::VoteCounted { term: Term::new(1), voter: NodeId::new(voter) };
    assert_eq!(told(&mut bench), [&[counted(2)], &stands[..], &[durable(1, Some(1), 0), voted(1)]].concat());
    let asked = mem::take(&mut bench.said);
    bench.answer(&asked[0], true);
    let leads = [voted(2), role(1, Candidate, 1, Leader, Some(1)), noop(1, 1), durable(1, Some(1), 1)];
    assert_eq!(told(&mut bench), leads);
}

#[test]
fn a_leader_tells_what_it_counts_commits_and_confirms() {
    let mut bench = leader(config(3));
    told(&mut bench);
    bench.propose("x");
    let x = Entry::new(id(1, 2), Payload::Command("x".into()));
    assert_eq!(told(&mut bench), [appended(&x), durable(1, Some(1), 2)]);
    bench.accepts(2, 2);
    assert_eq!(told(&mut bench), [matched(2, 2), committed(1, id(1, 2)), applying(2)]);
    bench.accepts(2, 2);
    assert_eq!(told(&mut bench), [], "it says nothing new");
    bench.read(7);
    assert_eq!(told(&mut bench), []);
    bench.confirm(3);
    let read_index = LogIndex::new(2);
    assert_eq!(told(&mut bench), [Event::ReadsConfirmed { read_index, by_lease: false }]);
    bench.wait(Duration::from_secs(1));
    let reason = StepDownReason::NoMajority;
    let gone = [Event::SteppedDown { term: Term::new(1), reason }, role(1, Leader, 1, Follower, None)];
    assert_eq!(told(&mut bench), gone);
}

/// Handing over ends with another leader, or without one.
#[test]
fn a_leader_tells_how_it_hands_over() {
    let to = NodeId::new(2);
    for succeeds in [true, false] {
        let mut bench = leader(config(3));
        bench.accepts(2, 0);
        bench.propose("x");
        told(&mut bench);
        bench.raft.transfer_leadership(to).unwrap();
        bench.step(Input::Tick);
        assert_eq!(told(&mut bench), [Event::TransferStarted { to }], "it lacks x");
        bench.accepts(2, 2);
        let has_all = [matched(2, 2), committed(1, id(1, 2)), Event::TimeoutNowSent { to }, applying(2)];
        assert_eq!(told(&mut bench), has_all);
        if succeeds {
            bench.hear(2, 2, append(id(1, 2), &[2], 2));
            let gone = [role(1, Leader, 2, Follower, None), Event::TransferEnded { to, leads: false }];
            assert_eq!(told(&mut bench)[..2], gone);
        } else {
            bench.wait(50 * MS);
            bench.accepts(2, 2);
            assert_eq!(told(&mut bench), [Event::TimeoutNowSent { to }], "once more with each heartbeat");
            bench.accepts(3, 2);
            told(&mut bench);
            bench.wait(250 * MS);
            assert_eq!(told(&mut bench), [Event::TransferEnded { to, leads: true }]);
        }
    }
}

#[test]
fn a_server_tells_of_the_snapshot_that_it_takes_and_sends() {
    let mut bench = leader(Config { snapshot_trailing: 0, ..config(3) });
    bench.accepts(3, 0);
    told(&mut bench);
    let begin = |bench: &mut Bench| {
        bench.raft.ask_for_snapshot();
        bench.step(Input::Tick);
        bench.step(Input::Applied);
        bench.taking.take().unwrap().id
    };
    let snapshot = begin(&mut bench);
    let reason = String::from("no room");
    bench.step(Input::SnapshotFailed { snapshot, reason: reason.clone() });
    assert_eq!(told(&mut bench), [Event::SnapshotFailed { snapshot, reason }]);
    let snapshot = begin(&mut bench);
    bench.step(Input::SnapshotTaken { snapshot, data: "sta".into(), done: false });
    assert_eq!(told(&mut bench), [durable(1, Some(1), 1)]);
    bench.step(Input::SnapshotTaken { snapshot, data: "te".into(), done: true });
    let taken = Event::SnapshotTaken { snapshot, bytes: 5 };
    assert_eq!(told(&mut bench), [taken, Event::Compacted { base: id(1, 1) }, durable(1, Some(1), 1)]);

    let follower = NodeId::new(3);
    bench.wait(50 * MS);
    told(&mut bench);
    bench.refuses(3, id(1, 1), EntryId::ZERO);
    let sent = |offset| Event::ChunkSent { follower, snapshot, offset };
    assert_eq!(told(&mut bench), [Event::SnapshotStarted { follower, snapshot }, sent(0)]);
    for (reply, expected) in [
        (InstallSnapshotReply::Received { snapshot, offset: 3 }, sent(3)),
        (InstallSnapshotReply::Installed { snapshot }, matched(3, 1)),
    ] {
        let reply = envelope(3, 1, Message::InstallSnapshotReply(reply));
        bench.step(Input::Receive(Envelope { session: bench.session, ..reply }));
        assert_eq!(told(&mut bench), [expected]);
    }
}

#[test]
fn a_follower_tells_of_the_snapshot_that_it_takes_over() {
    let mut bench = Bench::new(config(3));
    bench.hear(2, 2, heartbeat());
    told(&mut bench);
    let (leader, snapshot) =
        (NodeId::new(2), SnapshotId { last_included: id(1, 3), made_by: Incarnation(2) });
    let received = |offset| Event::ChunkReceived { leader, snapshot, offset };
    bench.hear(2, 2, piece(id(1, 3), 0, "sta", false));
    assert_eq!(told(&mut bench), [received(0), durable(2, None, 0)]);
    bench.hear(2, 2, piece(id(1, 3), 0, "sta", false));
    assert_eq!(told(&mut bench), [], "it has that");
    bench.hear(2, 2, piece(id(1, 3), 3, "te", true));
    let installed = Event::Installed { snapshot, from: LogIndex::ZERO };
    assert_eq!(
        told(&mut bench),
        [received(3), installed, durable(2, None, 3), Event::Restoring { snapshot }]
    );
    bench.hear(2, 2, piece(id(1, 3), 0, "sta", false));
    assert_eq!(told(&mut bench), [Event::SnapshotNotNeeded { leader, snapshot }]);
}

#[test]
fn a_server_tells_which_configuration_it_goes_by_and_that_it_was_removed() {
    let mut bench = Bench::new(config(3));
    bench.hear(2, 1, heartbeat());
    told(&mut bench);
    let without: Configuration = [2, 3].map(NodeId::new).to_vec().into();
    let entry = Entry::new(id(1, 1), Payload::Configuration(without.to_bytes()));
    let Message::AppendEntries(mut args) = append(EntryId::ZERO, &[1], 1) else { unreachable!() };
    args.entries = vec![entry.clone()].into();
    bench.hear(2, 1, Message::AppendEntries(args));
    let at = id(1, 1);
    let goes_by = [appended(&entry), Event::Configured { at, configuration: without }];
    let gone = [committed(0, at), Event::Removed { at }, accepted(2, 1), applying(1), durable(1, None, 1)];
    assert_eq!(told(&mut bench), [&goes_by[..], &gone].concat());

    let mut bench = Bench::new(config(3));
    bench.time_out();
    told(&mut bench);
    for _ in 0..2 {
        bench.hear(2, 0, Message::NotMember(NotMember { configured: at }));
    }
    assert_eq!(told(&mut bench), [Event::Removed { at }, role(0, PreCandidate, 0, Follower, None)], "once");
}

#[test]
fn a_server_that_contradicts_what_is_committed_tells_why_it_stops() {
    let mut bench = Bench::new(config(3));
    bench.hear(2, 1, append(EntryId::ZERO, &[1], 1));
    told(&mut bench);
    bench.hear(3, 2, append(EntryId::ZERO, &[2], 0));
    let events = told(&mut bench);
    let reason = bench.violation.as_ref().unwrap().to_string();
    assert_eq!(events.last(), Some(&Event::Stopped { reason }));
    bench.hear(3, 2, heartbeat());
    assert_eq!(told(&mut bench), []);
}

#[test]
fn a_server_tells_what_its_disk_has_lost_and_how_it_came_back() {
    let lost = || {
        let mut disk = Bench::with_log(config(3), &[1, 1, 1], 1).disk;
        disk.damage(LogIndex::new(2));
        let restored = Restored { damaged: vec![LogIndex::new(2)], ..disk.restored() };
        let mut bench = Bench::with_restored(config(3), disk, restored);
        bench.step(Input::Tick);
        assert_eq!(told(&mut bench), [Event::Damaged { id: id(1, 2) }]);
        bench.hear(2, 1, heartbeat());
        told(&mut bench);
        bench
    };
    let mut bench = lost();
    bench.hear(2, 1, append(id(1, 1), &[1], 0));
    let repaired = [Event::Repaired { id: id(1, 2) }, accepted(2, 2), durable(1, None, 3)];
    assert_eq!(told(&mut bench), repaired);

    let mut bench = lost();
    bench.hear(2, 1, piece(id(1, 2), 0, "state", true));
    let (leader, snapshot) =
        (NodeId::new(2), SnapshotId { last_included: id(1, 2), made_by: Incarnation(2) });
    let filled = [
        Event::ChunkReceived { leader, snapshot, offset: 0 },
        committed(0, id(1, 2)),
        Event::SnapshotFills { leader, snapshot },
        Event::Compacted { base: id(1, 2) },
        durable(1, None, 3),
        Event::Restoring { snapshot },
    ];
    assert_eq!(told(&mut bench), filled);
}

/// Each row: whose configuration is committed of which others have heard, and whether the server believes them. It
/// has a later one in its log, of an old leader's, that was never committed; and an earlier one.
#[test]
fn a_server_that_was_removed_knows_it_whatever_an_old_leader_has_announced() {
    for (committed, believes) in [(id(2, 2), true), (id(1, 2), false), (id(1, 4), true)] {
        let mut bench = Bench::new(config(3));
        let four: Configuration = [1, 2, 3, 4].map(NodeId::new).to_vec().into();
        let announced = Entry::new(id(1, 3), Payload::Configuration(four.to_bytes()));
        let Message::AppendEntries(mut args) = append(EntryId::ZERO, &[1, 1, 1], 0) else { unreachable!() };
        let mut entries: Vec<_> = args.entries.iter().cloned().collect();
        entries[2] = announced;
        args.entries = entries.into();
        bench.hear(2, 1, Message::AppendEntries(args));
        bench.time_out();
        bench.hear(3, 2, Message::NotMember(NotMember { configured: committed }));
        assert_eq!(bench.raft.removed(), believes.then_some(committed), "{committed}");
    }
}
