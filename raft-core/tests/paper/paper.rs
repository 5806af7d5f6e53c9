//! "In Search of an Understandable Consensus Algorithm", sections 5.1, 5.2 and 5.4.1.

use std::time::Duration;

use raft_core::{
    AppendEntriesReply, Config, EntryId, Envelope, Incarnation, Input, InstallSnapshotReply, LogIndex,
    Message, NodeId, PreVoteReply, RequestVote, RequestVoteReply, RoleName, SnapshotId,
};

use crate::bench::{Bench, ME, config, envelope, heartbeat, id, pre_vote, snapshot, vote};

/// As the paper has it, without pre-vote and check-quorum.
pub(crate) fn plain(size: u64) -> Config {
    Config { pre_vote: false, check_quorum: false, ..config(size) }
}

/// Every role, with the configuration that it takes to be in it.
fn roles() -> [(RoleName, Config); 4] {
    [
        (RoleName::Follower, plain(3)),
        (RoleName::PreCandidate, Config { pre_vote: true, ..plain(3) }),
        (RoleName::Candidate, plain(3)),
        (RoleName::Leader, plain(3)),
    ]
}

/// §5.1: "if one server's current term is smaller than the other's, then it updates its current term to the
/// larger value. If a candidate or leader discovers that its term is out of date, it immediately reverts to
/// follower state."
#[test]
pub(crate) fn whoever_hears_of_a_larger_term_adopts_it_and_follows() {
    let snapshot = SnapshotId::default();
    for message in [
        vote(EntryId::ZERO),
        Message::RequestVote(RequestVote { last_log: EntryId::ZERO, told_by_leader: true }),
        Message::RequestVoteReply(RequestVoteReply { vote_granted: false, suspect: false }),
        Message::PreVoteReply(PreVoteReply { vote_granted: false, suspect: false }),
        heartbeat(),
        Message::AppendEntriesReply(AppendEntriesReply::Accepted { match_index: LogIndex::ZERO }),
        Message::InstallSnapshotReply(InstallSnapshotReply::Received { snapshot, offset: 0 }),
    ] {
        for (role, config) in roles() {
            let mut bench = Bench::in_role(config, role, 4);
            let before = bench.is();
            bench.hear(2, 9, message.clone());
            assert_eq!(bench.is(), (RoleName::Follower, 9), "{before:?} hears {message:?}");
        }
    }
}

/// §5.1: "If a server receives a request with a stale term number, it rejects the request." It says so under
/// its own term, and remains what it is.
#[test]
pub(crate) fn a_request_of_a_stale_term_is_rejected_under_ones_own() {
    for (message, reply) in [
        (vote(id(9, 9)), "vote-reply"),
        (pre_vote(id(9, 9)), "pre-vote-reply"),
        (heartbeat(), "append-reply"),
        (snapshot(), "snapshot-reply"),
    ] {
        for (role, config) in roles() {
            let mut bench = Bench::in_role(config, role, 4);
            let (term, before, deadline) = (bench.is().1, bench.raft.fingerprint(), bench.raft.deadline());
            bench.hear(2, 3, message.clone());
            assert_eq!(bench.take_said(), [(2, term, reply)], "{role} hears {message:?}");
            assert_eq!((bench.raft.fingerprint(), bench.raft.deadline()), (before, deadline));
        }
    }
}

/// §5.1: a reply of a stale term, or of another conversation, answers nothing.
#[test]
pub(crate) fn a_vote_of_a_stale_term_or_another_conversation_does_not_count() {
    let granted = || Message::RequestVoteReply(RequestVoteReply { vote_granted: true, suspect: false });
    for term in [4, 5] {
        let mut bench = Bench::in_role(plain(3), RoleName::Candidate, 4);
        assert_eq!(bench.is(), (RoleName::Candidate, 5));
        bench.hear(2, term, granted());
        assert_eq!(bench.is(), (RoleName::Candidate, 5));
    }
}

/// §5.2: "When servers start up, they begin as followers", whatever they were.
#[test]
pub(crate) fn servers_begin_as_followers_of_nobody() {
    let bench = Bench::with_log(config(3), &[1, 2], 2);
    assert_eq!((bench.is(), bench.raft.leader()), ((RoleName::Follower, 2), None));
}

/// §5.2: "Leaders send periodic heartbeats (AppendEntries RPCs that carry no log entries) to all followers".
#[test]
pub(crate) fn leaders_send_periodic_heartbeats_to_all_followers() {
    let mut bench = Bench::in_role(plain(5), RoleName::Leader, 1);
    for _ in 0..9 {
        (2..=5).for_each(|follower| bench.hear(follower, 0, heartbeat()));
        bench.said.clear();
        let before = bench.now;
        bench.time_out();
        assert_eq!(bench.now.since(before), Duration::from_millis(50));
        let said = bench.take_said();
        assert_eq!(said, [(2, 1, "append"), (3, 1, "append"), (4, 1, "append"), (5, 1, "append")]);
    }
}

/// §5.2: "If a follower receives no communication over a period of time called the election timeout, then it
/// assumes there is no viable leader and begins an election": it "increments its current term and
/// transitions to candidate state. It then votes for itself and issues RequestVote RPCs in parallel to each of
/// the other servers". So does a candidate whose election has no result (§5.2: split votes).
#[test]
pub(crate) fn a_server_that_hears_nothing_starts_one_election_after_the_other() {
    let mut bench = Bench::new(plain(3));
    for term in 1..=9 {
        let before = bench.now;
        bench.now = bench.raft.deadline();
        let waited = bench.now.since(before);
        assert!((Duration::from_millis(150)..=Duration::from_millis(300)).contains(&waited), "{waited:?}");
        bench.time_out();
        assert_eq!(bench.is(), (RoleName::Candidate, term));
        assert_eq!(bench.take_said(), [(2, term, "vote"), (3, term, "vote")]);
    }
}

/// §5.2: "A server remains in follower state as long as it receives valid RPCs from a leader", and a vote
/// that it grants delays it too; what it refuses does not.
#[test]
pub(crate) fn the_election_timer_is_reset_by_what_is_legitimate_only() {
    for (term, message, resets) in [
        (4, heartbeat(), true),
        (3, heartbeat(), false),
        (5, vote(id(2, 1)), true),
        (5, vote(id(1, 1)), false),
        (5, pre_vote(id(2, 1)), false),
    ] {
        let mut bench = Bench::with_log(plain(3), &[2], 4);
        let before = bench.raft.deadline();
        bench.wait(Duration::from_millis(149));
        bench.hear(2, term, message.clone());
        assert_eq!(bench.raft.deadline() > before, resets, "{message:?} of {term}");
    }
}

/// §5.2: "election timeouts are chosen randomly from a fixed interval": each time, and all of it.
#[test]
pub(crate) fn election_timeouts_are_drawn_afresh_from_the_whole_interval() {
    let mut bench = Bench::new(plain(3));
    let mut drawn: Vec<u128> = (0..500)
        .map(|_| {
            let before = bench.now;
            bench.time_out();
            bench.now.since(before).as_millis()
        })
        .collect();
    drawn.sort_unstable();
    let tenths: std::collections::BTreeSet<_> = drawn.iter().map(|ms| (ms - 150) / 15).collect();
    assert!(drawn[0] >= 150 && drawn[499] <= 300 && tenths.len() >= 10, "{drawn:?}");
}

/// §5.2: "Each server will vote for at most one candidate in a given term, on a first-come-first-served
/// basis." Each row: who asked before, who asks now, and whether that one gets the vote; the same if the first has won since,
/// and of a candidate that follows the winner.
#[test]
pub(crate) fn one_vote_a_term_first_come_first_served() {
    for (first, second, granted) in [(2, 2, true), (2, 3, false), (3, 2, false), (3, 3, true)] {
        let mut bench = Bench::new(plain(3));
        bench.hear(first, 1, vote(EntryId::ZERO));
        bench.said.clear();
        bench.hear(second, 1, vote(EntryId::ZERO));
        let expected = Message::RequestVoteReply(RequestVoteReply { vote_granted: granted, suspect: false });
        assert_eq!(bench.said[0].message, expected, "{first} then {second}");
        bench.hear(first, 1, heartbeat());
        bench.said.clear();
        bench.hear(second, 1, vote(EntryId::ZERO));
        assert_eq!(bench.said[0].message, expected, "{first} wins, then {second}");
    }
    let mut bench = Bench::in_role(plain(3), RoleName::Candidate, 4);
    bench.hear(2, 5, heartbeat());
    bench.said.clear();
    bench.hear(3, 5, vote(EntryId::ZERO));
    let refused = Message::RequestVoteReply(RequestVoteReply { vote_granted: false, suspect: false });
    assert_eq!((bench.is(), &bench.said[0].message), ((RoleName::Follower, 5), &refused));
}

/// §5.2: "A candidate wins an election if it receives votes from a majority of the servers in the full
/// cluster for the same term." Each row: how many servers, who grants, who refuses, and whether it wins.
/// Without a majority it goes on waiting, whatever the others say.
#[test]
pub(crate) fn a_candidate_wins_with_the_votes_of_a_majority() {
    for (size, grants, refuses, wins) in [
        (1, &[][..], &[][..], true),
        (3, &[2, 3], &[], true),
        (3, &[2], &[], true),
        (3, &[3], &[2], true),
        (3, &[], &[2, 3], false),
        (3, &[], &[], false),
        (5, &[2, 3, 4, 5], &[], true),
        (5, &[2, 3], &[], true),
        (5, &[4, 5], &[2, 3], true),
        (5, &[2], &[3, 4, 5], false),
        (5, &[2, 2, 2], &[], false),
        (5, &[2], &[], false),
        (5, &[], &[2, 3, 4, 5], false),
        (3, &[9], &[], false),
    ] {
        for asks in [false, true] {
            let mut bench = Bench::new(Config { pre_vote: asks, ..plain(size) });
            bench.time_out();
            if asks && size > 1 {
                bench.said.drain(..).collect::<Vec<_>>().iter().for_each(|asked| bench.answer(asked, true));
            }
            let asked = std::mem::take(&mut bench.said);
            for (voters, granted) in [(refuses, false), (grants, true)] {
                for &voter in voters {
                    let mut asked = asked[0].clone();
                    asked.to = NodeId::new(voter);
                    bench.answer(&asked, granted);
                }
            }
            let role = if wins { RoleName::Leader } else { RoleName::Candidate };
            assert_eq!(bench.is(), (role, 1), "{size} {grants:?} {refuses:?}, pre-vote {asks}");
        }
    }
}

/// §5.2: "If the leader's term (included in its RPC) is at least as large as the candidate's current term, then
/// the candidate recognizes the leader as legitimate and returns to follower state. If the term in the RPC is
/// smaller [...], then the candidate rejects the RPC and continues in candidate state."
#[test]
pub(crate) fn a_candidate_gives_way_to_a_leader_of_its_term_and_to_none_before() {
    for (role, config) in [roles()[1].clone(), roles()[2].clone()] {
        for (difference, follows) in [(-1, None), (0, Some(2)), (1, Some(2))] {
            let mut bench = Bench::in_role(config.clone(), role, 4);
            let term = bench.is().1;
            bench.hear(2, term.checked_add_signed(difference).unwrap(), heartbeat());
            let expected = if follows.is_some() { RoleName::Follower } else { role };
            assert_eq!(bench.raft.role(), expected, "{role} {difference}");
            assert_eq!(bench.raft.leader(), follows.map(NodeId::new));
        }
    }
}

/// §5.4.1: "the voter denies its vote if its own log is more up-to-date than that of the candidate": "If the
/// logs have last entries with different terms, then the log with the later term is more up-to-date. If the
/// logs end with the same term, then whichever log is longer is more up-to-date." Pre-vote judges alike.
#[test]
pub(crate) fn the_voter_denies_its_vote_if_its_own_log_is_more_up_to_date() {
    for (log, last, granted) in [
        (&[][..], EntryId::ZERO, true),
        (&[1], id(1, 1), true),
        (&[1], id(1, 2), true),
        (&[1, 1], id(1, 1), false),
        (&[1], id(2, 1), true),
        (&[1], id(2, 2), true),
        (&[1, 1], id(2, 1), true),
        (&[2], id(1, 1), false),
        (&[2], id(1, 2), false),
        (&[2, 2], id(1, 1), false),
        (&[1, 2], id(1, 9), false),
    ] {
        let mut bench = Bench::with_log(plain(3), log, 3);
        bench.hear(2, 4, pre_vote(last));
        bench.hear(2, 4, vote(last));
        assert_eq!(
            bench.said.iter().map(|said| said.message.clone()).collect::<Vec<_>>(),
            [
                Message::PreVoteReply(PreVoteReply { vote_granted: granted, suspect: false }),
                Message::RequestVoteReply(RequestVoteReply { vote_granted: granted, suspect: false })
            ],
            "{log:?} {last}"
        );
    }
}

/// §5.4.1: "The RequestVote RPC [...] includes information about the candidate's log".
#[test]
pub(crate) fn a_candidate_says_how_its_log_ends() {
    let mut bench = Bench::with_log(plain(3), &[1, 1, 2], 2);
    bench.time_out();
    assert_eq!(bench.said[0].message, vote(id(2, 3)));
    assert_eq!(bench.said[0].from, ME);
}

/// §5.2: a candidate "votes for itself", and asks the others when no crash can make it forget that, or its log.
#[test]
pub(crate) fn a_candidate_asks_for_votes_once_its_own_is_on_stable_storage() {
    let mut bench = Bench::new(plain(3));
    bench.hangs = true;
    bench.time_out();
    assert_eq!((bench.is(), bench.said.len()), ((RoleName::Candidate, 1), 0));
    let write = bench.hung.remove(0);
    bench.step(raft_core::Input::Persisted(write.token));
    assert_eq!(bench.take_said(), [(2, 1, "vote"), (3, 1, "vote")]);
}

/// A disk that is wiped is another life of its server, which may vote again: one voter all the same, also where voters are
/// bound to no life.
#[test]
fn a_voter_counts_once_in_all_its_lives() {
    let mut bench = Bench::new(plain(5));
    bench.time_out();
    let session = bench.said[0].session;
    for (voter, life, wins) in [(2, 2, false), (2, 102, false), (3, 3, true)] {
        let granted = Message::RequestVoteReply(RequestVoteReply { vote_granted: true, suspect: false });
        let granted = Envelope { session, incarnation: Incarnation(life), ..envelope(voter, 1, granted) };
        bench.step(Input::Receive(granted));
        assert_eq!(bench.raft.role() == RoleName::Leader, wins, "n{voter} in its life {life}");
    }
}
