//! "Consensus: Bridging Theory and Practice": pre-vote (9.6), check-quorum (6.2), sticky leaders (4.2.3),
//! leadership transfer (3.10), and what our disks have to do with them.

use std::time::Duration;

use raft_core::{
    Config, EntryId, Event, Input, Message, NodeId, PreVoteReply, ProposeError, RequestVote, RoleName,
    StepDownReason, TransferError,
};

use crate::bench::{Bench, ME, config, heartbeat, id, pre_vote, vote};

const MS: Duration = Duration::from_millis(1);
const NS: Duration = Duration::from_nanos(1);

/// The shortest and the longest election timeout.
const SHORTEST: Duration = Duration::from_millis(150);
const LONGEST: Duration = Duration::from_millis(300);

/// Thesis 9.6: "a candidate only increments its term if it first learns from a majority of the cluster that
/// they would be willing to grant the candidate their votes".
#[test]
pub(crate) fn a_candidate_only_increments_its_term_if_a_majority_would_vote_for_it() {
    let mut bench = Bench::with_log(config(5), &[], 4);
    for _ in 0..9 {
        bench.time_out();
        assert_eq!(bench.is(), (RoleName::PreCandidate, 4));
        assert_eq!(bench.said.len(), 4);
        let asked = std::mem::take(&mut bench.said);
        bench.answer(&asked[0], true);
        bench.answer(&asked[0], true);
        bench.answer(&asked[1], false);
        assert_eq!(bench.is(), (RoleName::PreCandidate, 4));
    }
    bench.time_out();
    let asked = std::mem::take(&mut bench.said);
    bench.answer(&asked[2], true);
    bench.answer(&asked[3], true);
    assert_eq!(bench.is(), (RoleName::Candidate, 5));
    assert_eq!(bench.take_said(), [(2, 5, "vote"), (3, 5, "vote"), (4, 5, "vote"), (5, 5, "vote")]);
}

/// Thesis 9.6: "While a server is partitioned, it won't be able to increment its term, since it can't receive permission from a
/// majority of the cluster." "Once the server receives a heartbeat from the leader itself, it will return to the
/// follower state (in the same term)."
#[test]
pub(crate) fn a_server_that_was_partitioned_returns_to_the_follower_state_in_the_same_term() {
    let mut bench = Bench::new(config(3));
    bench.hear(2, 4, heartbeat());
    (0..99).for_each(|_| bench.time_out());
    assert_eq!((bench.is(), bench.raft.leader()), ((RoleName::PreCandidate, 4), None));
    let asked = bench.said.last().cloned().unwrap();
    bench.hear(2, 4, heartbeat());
    assert_eq!((bench.is(), bench.raft.leader()), ((RoleName::Follower, 4), Some(NodeId::new(2))));
    // What it had asked for before is forgotten.
    bench.answer(&asked, true);
    assert_eq!(bench.is(), (RoleName::Follower, 4));
}

/// Thesis 9.6: a pre-vote changes nothing, and nothing has to be written for it. In every role, granted or not.
#[test]
pub(crate) fn a_pre_vote_changes_neither_term_nor_vote_nor_timer() {
    for role in [RoleName::Follower, RoleName::PreCandidate, RoleName::Candidate, RoleName::Leader] {
        let pre_vote_on = role == RoleName::PreCandidate;
        let config = Config { pre_vote: pre_vote_on, check_quorum: false, ..config(3) };
        for last_log in [id(9, 9), EntryId::ZERO] {
            let mut bench = Bench::in_role(config.clone(), role, 4);
            let before = (bench.raft.fingerprint(), bench.raft.deadline(), bench.writes);
            bench.hear(2, 10, pre_vote(last_log));
            assert_eq!(before, (bench.raft.fingerprint(), bench.raft.deadline(), bench.writes), "{role}");
            assert_eq!(bench.said.len(), 1, "{role}");
        }
    }
}

/// A pre-candidate that votes for another was too slow: what it was granted before starts no election.
#[test]
pub(crate) fn a_pre_candidate_that_votes_for_another_waits() {
    let mut bench = Bench::in_role(config(3), RoleName::PreCandidate, 4);
    bench.time_out();
    let asked = std::mem::take(&mut bench.said);
    bench.hear(2, 4, vote(EntryId::ZERO));
    assert_eq!(bench.take_said(), [(2, 4, "vote-reply")]);
    bench.answer(&asked[1], true);
    assert_eq!(bench.is(), (RoleName::Follower, 4));
}

/// Each row: the voter's term and vote, the term that is proposed, and the answer with its term. A grant
/// carries the proposed term, a refusal the voter's own.
#[test]
pub(crate) fn a_grant_carries_the_proposed_term_and_a_refusal_ones_own() {
    for (term, voted_for, proposed, answer) in [
        (1, None, 4, (4, true)),
        (4, None, 4, (4, true)),
        (4, Some(2), 4, (4, true)),
        (4, Some(3), 4, (4, false)),
        (4, Some(3), 5, (5, true)),
        (5, None, 4, (5, false)),
    ] {
        let mut bench = Bench::with_log(config(3), &[], term);
        if let Some(candidate) = voted_for {
            bench.hear(candidate, term, vote(EntryId::ZERO));
            bench.said.clear();
        }
        bench.hear(2, proposed, pre_vote(EntryId::ZERO));
        let reply = PreVoteReply { vote_granted: answer.1, suspect: false };
        let said = (bench.said[0].term.get(), bench.said[0].message.clone());
        assert_eq!(said, (answer.0, Message::PreVoteReply(reply)), "{term} {voted_for:?} {proposed}");
    }
}

/// Thesis 4.2.3: "if a server receives a RequestVote request within the minimum election timeout of hearing from a
/// current leader, it does not update its term or grant its vote". Thesis 9.6 says the same of pre-votes.
#[test]
pub(crate) fn within_the_minimum_timeout_of_hearing_from_a_leader_no_vote_is_heard() {
    for message in [vote(id(9, 9)), pre_vote(id(9, 9))] {
        for (after, heard) in [(Duration::ZERO, false), (SHORTEST - NS, false), (SHORTEST, true)] {
            let mut bench = Bench::with_log(config(3), &[], 4);
            bench.hear(2, 4, heartbeat());
            bench.said.clear();
            bench.now = bench.now.after(after);
            bench.raft.step(bench.now, Input::Tick);
            bench.hear(3, 6, message.clone());
            assert_eq!(!bench.said.is_empty(), heard, "{message:?} after {after:?}");
            let adopts = heard && matches!(message, Message::RequestVote(_));
            assert_eq!(bench.is().1, if adopts { 6 } else { 4 });
        }
    }
}

/// Thesis 4.2.3: the time counts from the last that was heard, not from the first.
#[test]
pub(crate) fn each_heartbeat_keeps_votes_away_anew() {
    let mut bench = Bench::with_log(config(3), &[], 4);
    for _ in 0..9 {
        bench.hear(2, 4, heartbeat());
        bench.wait(SHORTEST - NS);
        bench.hear(3, 6, vote(id(9, 9)));
        assert_eq!(bench.is(), (RoleName::Follower, 4));
    }
}

/// Thesis 4.2.3: a leader is true to itself, and a leader of an earlier term binds nobody.
#[test]
pub(crate) fn a_leader_hears_no_vote_and_a_new_term_frees_its_followers() {
    let mut leader = Bench::in_role(config(3), RoleName::Leader, 4);
    leader.hear(3, 9, vote(id(9, 9)));
    assert_eq!(leader.is(), (RoleName::Leader, 4));
    let ignored = Event::VoteIgnored { candidate: NodeId::new(3), term: raft_core::Term::new(9) };
    assert!(leader.events.contains(&ignored));
    let mut follower = Bench::new(config(3));
    follower.hear(2, 4, heartbeat());
    let refusal = Message::PreVoteReply(PreVoteReply { vote_granted: false, suspect: false });
    follower.hear(3, 5, refusal);
    follower.hear(3, 6, vote(EntryId::ZERO));
    assert_eq!(follower.is(), (RoleName::Follower, 6));
}

/// Thesis 4.2.3: the mark of an election that the leader wanted: "I have permission to disrupt the leader — it told
/// me to!" It passes followers and the leader itself.
#[test]
pub(crate) fn a_vote_that_the_leader_wanted_passes() {
    let marked = || Message::RequestVote(RequestVote { last_log: id(9, 9), told_by_leader: true });
    let mut follower = Bench::with_log(config(3), &[], 4);
    follower.hear(2, 4, heartbeat());
    follower.hear(3, 5, marked());
    assert_eq!(follower.take_said().last(), Some(&(3, 5, "vote-reply")));
    let mut leader = Bench::in_role(config(3), RoleName::Leader, 4);
    leader.hear(3, 5, marked());
    assert_eq!(leader.is(), (RoleName::Follower, 5));
}

/// Thesis 6.2: "a leader in Raft steps down if an election timeout elapses without a successful round of heartbeats to a
/// majority of its cluster": in the very nanosecond, which it has asked to be told of.
#[test]
pub(crate) fn a_leader_steps_down_if_an_election_timeout_elapses_without_a_majority() {
    let mut bench = Bench::in_role(config(5), RoleName::Leader, 1);
    bench.wait(100 * MS);
    bench.acknowledge(2);
    bench.wait(100 * MS);
    bench.acknowledge(3);
    // Itself, n2 100 ms ago and n3 just now: with n2 it is a majority.
    bench.wait(LONGEST - 100 * MS - NS);
    assert_eq!(bench.is(), (RoleName::Leader, 1));
    assert_eq!(bench.raft.deadline(), bench.now.after(NS));
    bench.wait(NS);
    assert_eq!((bench.is(), bench.raft.leader()), ((RoleName::Follower, 1), None));
    let term = raft_core::Term::new(1);
    assert!(bench.events.contains(&Event::SteppedDown { term, reason: StepDownReason::NoMajority }));
    assert_eq!(bench.raft.counts().gave_way_no_majority, 1);
}

/// Thesis 6.2: any answer counts, if it is one to this leader of this term.
#[test]
pub(crate) fn an_answer_of_another_term_or_conversation_keeps_no_leader() {
    let refused = raft_core::AppendEntriesReply::Rejected { refused: EntryId::ZERO, hint: EntryId::ZERO };
    for (term, of_this_session, leads) in [(1, true, true), (0, true, false), (1, false, false)] {
        let mut bench = Bench::in_role(config(3), RoleName::Leader, 1);
        bench.wait(100 * MS);
        let session = bench.said[0].session;
        let reply = crate::bench::envelope(2, term, Message::AppendEntriesReply(refused.clone()));
        let session = if of_this_session { session } else { reply.session };
        bench.step(Input::Receive(raft_core::Envelope { session, ..reply }));
        bench.wait(LONGEST - 50 * MS);
        assert_eq!(bench.raft.role() == RoleName::Leader, leads, "{term} {of_this_session}");
    }
}

/// A leader alone in its cluster needs nobody.
#[test]
pub(crate) fn a_majority_of_one_is_always_heard() {
    let mut bench = Bench::in_role(config(1), RoleName::Leader, 1);
    bench.wait(Duration::from_secs(9));
    assert_eq!(bench.is(), (RoleName::Leader, 1));
}

/// Thesis 3.10: "The prior leader stops accepting new client requests. The prior leader fully updates the target server's
/// log to match its own [...]. The prior leader sends a TimeoutNow request to the target server."
#[test]
pub(crate) fn the_prior_leader_updates_the_target_and_then_sends_timeout_now() {
    let mut bench = Bench::in_role(config(3), RoleName::Leader, 1);
    bench.raft.propose("x".into()).unwrap();
    assert_eq!(bench.raft.transfer_leadership(NodeId::new(2)), Ok(()));
    let to = NodeId::new(2);
    assert_eq!(bench.raft.propose("y".into()), Err(ProposeError::Transferring { to }));
    bench.wait(50 * MS);
    assert!(bench.said.iter().all(|said| said.message != Message::TimeoutNow), "it lacks entries");
    bench.acknowledge(3);
    bench.said.retain(|said| said.to == to);
    assert!(bench.said.iter().all(|said| said.message != Message::TimeoutNow), "it is not n3's turn");
    bench.acknowledge(2);
    assert_eq!(bench.take_said().last(), Some(&(2, 1, "timeout-now")));
}

/// Thesis 3.10: "This request has the same effect as the target server's election timer firing: the target server starts
/// a new election (incrementing its term and becoming a candidate)." Unless it is of the past, or the target
/// may not stand for election: each row is why.
#[test]
pub(crate) fn the_target_starts_a_new_election_at_once() {
    let stranger = Config { bootstrap: Some([2, 3].map(NodeId::new).to_vec().into()), ..config(3) };
    for (config, hangs, term, becomes) in [
        (config(3), false, 4, (RoleName::Candidate, 5)),
        (config(3), false, 6, (RoleName::Candidate, 7)),
        (config(3), false, 3, (RoleName::Follower, 4)),
        (config(3), true, 4, (RoleName::Follower, 4)),
        (stranger, false, 4, (RoleName::Follower, 4)),
    ] {
        let mut bench = Bench::with_log(config, &[], 3);
        bench.hangs = hangs;
        bench.hear(2, 4, heartbeat());
        if hangs {
            bench.wait(Duration::from_secs(1));
            bench.hear(2, 4, heartbeat());
        }
        bench.said.clear();
        bench.hear(2, term, Message::TimeoutNow);
        assert_eq!(bench.is(), becomes, "hangs {hangs}, term {term}");
        let asks = |said: &raft_core::Envelope| matches!(&said.message, Message::RequestVote(args) if args.told_by_leader);
        let asked = bench.said.iter().filter(|said| asks(said)).count();
        assert_eq!(asked, if becomes.0 == RoleName::Candidate { 2 } else { 0 });
    }
}

/// Thesis 3.10: "If leadership transfer does not complete after about an election timeout, the prior leader aborts the
/// transfer and resumes accepting client requests." To ask again extends nothing.
#[test]
pub(crate) fn after_an_election_timeout_the_prior_leader_resumes() {
    let mut bench = Bench::in_role(Config { check_quorum: false, ..config(3) }, RoleName::Leader, 1);
    let to = NodeId::new(2);
    assert_eq!(bench.raft.transfer_leadership(to), Ok(()));
    let ends = bench.now.after(LONGEST);
    while bench.raft.deadline() < ends {
        bench.time_out();
        assert_eq!(bench.raft.transfer_leadership(to), Ok(()));
        assert!(bench.raft.propose("x".into()).is_err());
    }
    assert_eq!(bench.raft.deadline(), ends);
    bench.time_out();
    assert!(bench.events.contains(&Event::TransferEnded { to, leads: true }));
    assert!(bench.raft.propose("x".into()).is_ok());
}

/// What is refused, and what ends a transfer before its time.
#[test]
pub(crate) fn a_transfer_that_makes_no_sense_is_refused_and_one_ends_with_its_reign() {
    let mut bench = Bench::in_role(config(3), RoleName::Leader, 1);
    let (target, other) = (NodeId::new(2), NodeId::new(3));
    assert_eq!(bench.raft.transfer_leadership(ME), Err(TransferError::ToItself));
    assert_eq!(bench.raft.transfer_leadership(NodeId::new(9)), Err(TransferError::NotVoter));
    assert_eq!(bench.raft.transfer_leadership(target), Ok(()));
    let under_way = TransferError::UnderWay { to: target };
    assert_eq!(bench.raft.transfer_leadership(other), Err(under_way));
    bench.hear(3, 2, heartbeat());
    assert!(bench.events.contains(&Event::TransferStarted { to: target }));
    assert!(bench.events.contains(&Event::TransferEnded { to: target, leads: false }));
    assert_eq!(bench.raft.transferring(), None);
    let not_leader = TransferError::NotLeader { leader: Some(other) };
    assert_eq!(bench.raft.transfer_leadership(target), Err(not_leader));
}

/// A disk that has hung for too long makes a leader give way in the very nanosecond; one that takes its time
/// again and again does not.
#[test]
pub(crate) fn a_leader_gives_way_when_its_oldest_write_has_taken_too_long() {
    let patience = Duration::from_millis(80);
    let mut bench = Bench::in_role(Config { disk_patience: patience, ..config(3) }, RoleName::Leader, 1);
    bench.wait(50 * MS);
    (2..=3).for_each(|follower| bench.acknowledge(follower));
    bench.hangs = true;
    bench.raft.propose("x".into()).unwrap();
    for _ in 0..9 {
        bench.wait(patience / 2);
        bench.raft.propose("x".into()).unwrap();
        bench.wait(Duration::ZERO);
        (2..=3).for_each(|follower| bench.acknowledge(follower));
        let write = bench.hung.remove(0);
        bench.step(Input::Persisted(write.token));
        assert_eq!(bench.raft.role(), RoleName::Leader);
    }
    let oldest = bench.now;
    bench.wait(patience / 2);
    bench.wait(patience / 2 - NS);
    assert_eq!((bench.is(), bench.raft.deadline()), ((RoleName::Leader, 1), oldest.after(patience)));
    bench.wait(NS);
    assert_eq!((bench.is(), bench.raft.leader()), ((RoleName::Follower, 1), None));
}

/// The same where a majority was heard just now: their answers say nothing of this disk.
#[test]
pub(crate) fn a_majority_keeps_no_leader_whose_disk_hangs() {
    let patience = Duration::from_millis(80);
    let mut bench = Bench::in_role(Config { disk_patience: patience, ..config(3) }, RoleName::Leader, 1);
    bench.wait(50 * MS);
    (2..=3).for_each(|follower| bench.acknowledge(follower));
    bench.hangs = true;
    assert_eq!(bench.raft.oldest_write(), None);
    bench.propose("x");
    assert_eq!(bench.raft.oldest_write(), Some(bench.now));
    bench.wait(patience - NS);
    assert_eq!(bench.is(), (RoleName::Leader, 1));
    bench.wait(NS);
    assert_eq!(bench.is(), (RoleName::Follower, 1));
    assert_eq!(bench.raft.counts().gave_way_disk_hangs, 1);
}

/// A disk that takes its time, but no longer than it may, keeps nobody from standing for election.
#[test]
pub(crate) fn a_write_that_is_under_way_keeps_nobody_from_elections() {
    let mut bench = Bench::new(config(3));
    bench.hangs = true;
    bench.hear(2, 4, heartbeat());
    bench.time_out();
    assert!(bench.now < bench.raft.oldest_write().unwrap().after(bench.raft.config().disk_patience));
    assert_eq!(bench.is(), (RoleName::PreCandidate, 4));
}

/// A server whose disk hangs, or failed, asks for nothing; nor does it grant what it could not give. With its
/// disk it may again.
#[test]
pub(crate) fn a_server_whose_disk_hangs_takes_no_part_in_elections() {
    for asks in [true, false] {
        let mut bench = Bench::new(Config { pre_vote: asks, ..config(3) });
        bench.hangs = true;
        bench.hear(2, 4, heartbeat());
        bench.wait(Duration::from_secs(1));
        bench.hear(2, 5, pre_vote(id(9, 9)));
        (0..9).for_each(|_| bench.time_out());
        assert_eq!((bench.is(), bench.said.len()), ((RoleName::Follower, 4), 0), "pre-vote {asks}");
        let write = bench.hung.remove(0);
        bench.step(Input::Persisted(write.token));
        bench.said.clear();
        bench.hear(2, 5, pre_vote(id(9, 9)));
        assert_eq!(bench.take_said(), [(2, 5, "pre-vote-reply")]);
        bench.time_out();
        assert_ne!(bench.raft.role(), RoleName::Follower);
        bench.said.clear();
        bench.step(Input::WriteFailed);
        (0..9).for_each(|_| bench.time_out());
        assert_eq!(bench.said.len(), 0);
    }
}
