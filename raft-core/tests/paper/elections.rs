//! Whose votes count in an election, who may stand for it, and what is told and counted of it.

use std::time::Duration;

use raft_core::{
    Config, Configuration, EntryId, Envelope, Event, HardState, Incarnation, Input, Member, Message, Next,
    NodeId, RequestVoteReply, RoleName, Session, Term, Time,
};

use crate::bench::{Bench, config, envelope, heartbeat, id, pre_vote, vote};
use crate::fetching::disk;
use crate::membership::{bound, configure, wiped};
use crate::paper::plain;
use crate::reads::leader;

const MS: Duration = Duration::from_millis(1);

/// The longest election timeout.
const LONGEST: Duration = Duration::from_millis(300);

/// n1 to n3, each in the life of its data directory that has its number, but n3 in another one.
pub(crate) fn with_another_n3() -> Vec<Member> {
    [(1, 1), (2, 2), (3, 103)].map(|(id, life)| Member::bound(NodeId::new(id), Incarnation(life))).to_vec()
}

/// It comes in this conversation.
pub(crate) fn hear_in(bench: &mut Bench, session: Session, said: Envelope) {
    bench.step(Input::Receive(Envelope { session, ..said }));
}

const fn votes(suspect: bool) -> Message {
    Message::RequestVoteReply(RequestVoteReply { vote_granted: true, suspect })
}

/// §5.2: "Each server will vote for at most one candidate in a given term": in the next one its vote is free
/// again, and a term in which it has not voted has no vote on its disk.
#[test]
fn the_vote_is_free_again_in_each_term() {
    let mut bench = Bench::new(plain(3));
    for (term, candidate) in [(1, 2), (2, 3), (5, 2)] {
        bench.hear(candidate, term, vote(EntryId::ZERO));
        let answer = bench.last_said(candidate, "vote-reply").unwrap();
        assert_eq!((answer.term, &answer.message), (Term::new(term), &votes(false)));
    }
    bench.hear(3, 6, heartbeat());
    let hard_state = HardState { current_term: Term::new(6), voted_for: None };
    assert_eq!(bench.disk.restored().hard_state, hard_state);
}

/// Thesis 9.6: a grant answers the question that it names. Each round of pre-votes asks anew.
#[test]
fn a_pre_vote_of_an_earlier_round_does_not_count() {
    let mut bench = Bench::new(config(3));
    bench.time_out();
    let earlier = bench.last_said(2, "pre-vote").unwrap().clone();
    bench.time_out();
    let later = bench.last_said(3, "pre-vote").unwrap().clone();
    bench.answer(&earlier, true);
    assert_eq!(bench.is(), (RoleName::PreCandidate, 0));
    bench.answer(&later, true);
    assert_eq!(bench.is(), (RoleName::Candidate, 1));
}

/// Others would vote for it, but since it asked them its disk hangs, or has lost an entry.
#[test]
fn a_server_that_may_not_stand_for_election_any_more_starts_none() {
    for (hangs, loses, role) in [
        (false, false, RoleName::Candidate),
        (true, false, RoleName::PreCandidate),
        (false, true, RoleName::PreCandidate),
    ] {
        let mut bench = Bench::with_log(Config { disk_patience: LONGEST + MS, ..config(3) }, &[1, 1], 1);
        bench.hangs = hangs;
        bench.hear(2, 2, heartbeat());
        bench.time_out();
        let asked = bench.last_said(2, "pre-vote").unwrap().clone();
        if hangs {
            bench.now = Time::ZERO.after(LONGEST + MS);
        }
        if loses {
            bench.lose(1);
        }
        bench.answer(&asked, true);
        assert_eq!(bench.raft.role(), role, "hangs {hangs}, loses {loses}");
    }
}

#[test]
fn a_pre_vote_that_is_refused_is_not_told_as_granted() {
    let mut bench = Bench::with_log(config(3), &[1], 1);
    let granted = |bench: &Bench| {
        bench.events.iter().filter(|event| matches!(event, Event::PreVoteGranted { .. })).count()
    };
    bench.hear(2, 2, pre_vote(EntryId::ZERO));
    assert_eq!(granted(&bench), 0);
    bench.hear(2, 2, pre_vote(id(1, 1)));
    assert_eq!(granted(&bench), 1);
}

/// n3 is to vote in another life of its data directory, and n4 to learn: what they say is no vote of n3, and
/// is not counted.
#[test]
fn the_vote_of_a_learner_or_of_a_life_that_does_not_vote_yet_is_not_counted() {
    let learns = [NodeId::new(4)];
    let first = bound().bootstrap.unwrap().with_learners(learns);
    let next = Next { voters: with_another_n3(), learners: vec![learns[0].into()], joint: false };
    let announced = Configuration { next: Some(next), ..first.clone() };
    let mut bench = Bench::new(Config { bootstrap: Some(first), ..bound() });
    bench.hear(2, 1, configure(EntryId::ZERO, 1, &announced, 0));
    bench.time_out();
    let asked = bench.last_said(3, "vote").unwrap().session;
    for vote in [envelope(4, 2, votes(false)), wiped(3, 2, votes(false))] {
        hear_in(&mut bench, asked, vote);
    }
    let counted = |bench: &Bench| {
        let voter = |event: &Event| {
            if let Event::VoteCounted { voter, .. } = event { Some(voter.get()) } else { None }
        };
        bench.events.iter().filter_map(voter).collect::<Vec<_>>()
    };
    assert_eq!((bench.is(), counted(&bench)), ((RoleName::Candidate, 2), vec![1]));
    hear_in(&mut bench, asked, envelope(3, 2, votes(false)));
    assert_eq!((bench.is(), counted(&bench)), ((RoleName::Leader, 2), vec![1, 3]));
}

/// After a blackout that tore every tail: what any server still has the winner has, where all have voted.
/// Then nobody can ask for more, and its tail counts again, also after the next start.
#[test]
fn servers_whose_tails_are_all_suspect_elect_a_leader_if_all_vote() {
    for (voters, wins) in [(&[2][..], false), (&[3], false), (&[2, 3], true)] {
        let mut torn = disk(&[1]);
        torn.suspect_tail();
        let mut bench = Bench::with_disk(plain(3), torn);
        bench.time_out();
        let asked = bench.last_said(2, "vote").unwrap().session;
        voters.iter().for_each(|&voter| hear_in(&mut bench, asked, envelope(voter, 2, votes(true))));
        assert_eq!(bench.raft.role() == RoleName::Leader, wins, "{voters:?}");
        assert_eq!(bench.raft.is_suspect(), !wins, "{voters:?}");
        assert_eq!(bench.disk.restored().suspect_tail, !wins, "{voters:?}");
        assert_eq!(bench.events.contains(&Event::TailTrusted), wins, "{voters:?}");
    }
}

/// Of two elections the first was a leader's wish (thesis 3.10).
#[test]
fn elections_that_a_leader_has_handed_over_are_counted_apart() {
    let mut bench = Bench::new(plain(3));
    bench.hear(2, 1, heartbeat());
    bench.said.clear();
    bench.hear(2, 1, Message::TimeoutNow);
    for elections in 1..=2 {
        bench.is_elected();
        let counts = bench.raft.counts();
        assert_eq!((counts.elections, counts.elections_won), (elections, elections));
        assert_eq!((counts.elections_handed_over, counts.elections_won_handed_over), (1, 1));
        bench.hear(3, 9, heartbeat());
        bench.said.clear();
    }
}

/// Only the leader of a term hands it over, and not to itself.
#[test]
fn a_leader_is_not_told_by_others_to_stand_for_election() {
    let mut bench = leader(config(3));
    bench.hear(2, 1, Message::TimeoutNow);
    assert_eq!(bench.is(), (RoleName::Leader, 1));
}
