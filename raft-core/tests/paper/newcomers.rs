//! How new servers catch up before they vote, and for whom a change waits (thesis 4.2.1).

use std::time::Duration;

use raft_core::{
    AppendEntriesReply, Config, Envelope, Incarnation, Input, LogIndex, Member, Message, NodeId, Session,
};

use crate::bench::{Bench, ME, config};
use crate::membership::{NOBODY, bound, change, has_all, in_force, of, servers, to, wiped};
use crate::reads::leader;

const MS: Duration = Duration::from_millis(1);

/// Asks it for these voters alone, who may be bound to a life.
pub(crate) fn change_to(bench: &mut Bench, voters: &[Member]) {
    let from = bench.raft.configuration().at;
    assert!(bench.raft.change_membership(from, voters.to_vec(), NOBODY).is_ok());
    bench.step(Input::Tick);
}

/// Whether the change that is under way has come to joint consensus.
fn is_joint(bench: &Bench) -> bool {
    in_force(bench).next.expect("a change is under way").joint
}

/// So much time passes, in which these say again and again that they have all that the leader has.
pub(crate) fn elapse(bench: &mut Bench, duration: Duration, followers: &[u64]) {
    let until = bench.now.after(duration);
    while bench.now < until {
        bench.wait(until.since(bench.now).min(50 * MS));
        followers.iter().for_each(|&follower| has_all(bench, follower));
    }
}

/// Thesis 4.2.1: a round replicates what was in the log when it began. Entries come all the time, and whoever
/// has more by then has that too.
#[test]
fn a_round_is_over_when_the_new_server_has_more_than_there_was_at_its_start() {
    let mut bench = leader(config(3));
    assert!(change(&mut bench, &[1, 2, 3, 4], &[]).is_ok());
    has_all(&mut bench, 2);
    bench.propose("x");
    bench.wait(50 * MS);
    has_all(&mut bench, 4);
    assert_eq!(in_force(&bench), to(&[1, 2, 3], &[1, 2, 3, 4], true));
}

/// Thesis 4.2.1: the rounds follow each other without a break, and each has to replicate what there is at its
/// beginning.
#[test]
fn a_round_begins_when_the_one_before_it_is_over() {
    let mut bench = leader(config(3));
    let announced = change(&mut bench, &[1, 2, 3, 4], &[]).unwrap().index.get();
    has_all(&mut bench, 2);
    elapse(&mut bench, 200 * MS, &[2, 3]);
    bench.propose("x");
    bench.accepts(4, announced);
    elapse(&mut bench, 100 * MS, &[2, 3]);
    bench.propose("y");
    elapse(&mut bench, 60 * MS, &[2, 3]);
    bench.accepts(4, announced + 1);
    assert!(!is_joint(&bench), "the second round took 160 ms");
    elapse(&mut bench, 100 * MS, &[2, 3]);
    has_all(&mut bench, 4);
    assert!(is_joint(&bench), "the third took 100");
}

/// Who has caught up for a change that was given up has to catch up again for the next one.
#[test]
fn each_change_waits_for_a_round_of_its_own() {
    let first = of(&[1, 2, 3]).with_learners(servers(&[4]));
    let mut bench = leader(Config { bootstrap: Some(first), ..config(3) });
    assert!(change(&mut bench, &[1, 2, 3, 4, 5], &[]).is_ok());
    has_all(&mut bench, 2);
    has_all(&mut bench, 4);
    assert!(!is_joint(&bench), "n5 is not there");
    assert!(bench.raft.abandon_change().is_ok());
    bench.propose("x");
    has_all(&mut bench, 2);
    assert!(change(&mut bench, &[1, 2, 3, 4], &[]).is_ok());
    has_all(&mut bench, 2);
    assert!(!is_joint(&bench), "n4 lacks what has come meanwhile");
    has_all(&mut bench, 4);
    assert!(is_joint(&bench));
}

/// Thesis 4.2.1: "the new server is unavailable". It had all when it was last heard, and that was long ago.
#[test]
fn a_new_server_that_has_caught_up_and_is_gone_is_waited_for() {
    let mut bench = leader(config(3));
    assert!(change(&mut bench, &[1, 2, 3, 4], &[]).is_ok());
    has_all(&mut bench, 4);
    for _ in 0..8 {
        bench.wait(50 * MS);
        bench.accepts(2, 1);
        bench.accepts(3, 1);
    }
    has_all(&mut bench, 2);
    assert!(!is_joint(&bench));
    has_all(&mut bench, 4);
    assert!(is_joint(&bench));
}

/// Thesis 4.2.1: those who are to vote are caught up before joint consensus begins. One that has lost its log
/// since it was has to be caught up again.
#[test]
fn a_server_that_has_lost_its_log_is_not_caught_up() {
    let mut bench = leader(config(3));
    assert!(change(&mut bench, &[1, 2, 3, 4, 5], &[]).is_ok());
    bench.accepts(2, 2);
    bench.accepts(4, 2);
    bench.replies(4, AppendEntriesReply::Lost { from: LogIndex::new(1), session: Session(9) });
    bench.accepts(5, 2);
    assert!(!is_joint(&bench));
    bench.accepts(4, 2);
    assert!(is_joint(&bench));
}

/// A voter that is down holds up nothing, as long as a majority of those who are to vote is there.
#[test]
fn a_change_waits_for_a_majority_of_those_who_are_to_vote() {
    for (voters, waits) in [(&[1, 2, 3, 4][..], false), (&[3, 4], true)] {
        let mut bench = leader(config(3));
        elapse(&mut bench, 400 * MS, &[2]);
        assert!(change(&mut bench, voters, &[]).is_ok());
        has_all(&mut bench, 2);
        assert!(!is_joint(&bench), "n4 has nothing yet");
        has_all(&mut bench, 4);
        assert_eq!(is_joint(&bench), !waits, "n3 is down, {voters:?}");
        has_all(&mut bench, 3);
        assert!(is_joint(&bench), "{voters:?}");
    }
}

/// Without a majority of those who are to vote this leader would have to give way in joint consensus. Each
/// row: how long ago n4 and n5 were heard, in ms, and whether they are there.
#[test]
fn where_nobody_has_to_catch_up_joint_consensus_begins_at_once_if_a_majority_is_there() {
    for (ago, there) in [(299, true), (300, false)] {
        let mut bench = leader(config(5));
        bench.accepts(4, 0);
        bench.accepts(5, 0);
        elapse(&mut bench, ago * MS, &[2, 3]);
        assert!(change(&mut bench, &[1, 4, 5], &[]).is_ok());
        assert_eq!(in_force(&bench), to(&[1, 2, 3, 4, 5], &[1, 4, 5], there), "{ago}");
        if !there {
            has_all(&mut bench, 2);
            has_all(&mut bench, 3);
            assert!(!is_joint(&bench), "only n1 is");
            has_all(&mut bench, 4);
            assert!(is_joint(&bench));
        }
    }
}

/// What another life of a member says does not make it there.
#[test]
fn a_voter_is_not_there_in_another_life() {
    for is_wiped in [false, true] {
        let mut bench = leader(bound());
        bench.accepts(3, 1);
        let [one, two, three] = in_force(&bench).voters[..] else { panic!("three vote") };
        let again = Member::bound(three.id, Incarnation(103));
        change_to(&mut bench, &[one, two, again]);
        has_all(&mut bench, 2);
        if is_wiped {
            // It is to join, and so it is heard.
            let match_index = LogIndex::ZERO;
            let reply = Message::AppendEntriesReply(AppendEntriesReply::Accepted { match_index });
            let session = bench.last_said(3, "append").unwrap().session;
            bench.step(Input::Receive(Envelope { session, ..wiped(3, 1, reply) }));
        }
        assert!(!is_joint(&bench) && bench.raft.abandon_change().is_ok());
        bench.step(Input::Tick);
        has_all(&mut bench, 2);
        change_to(&mut bench, &[one, three]);
        assert_eq!(is_joint(&bench), !is_wiped);
    }
}

/// A leader has all that it has itself, in its own life only.
#[test]
fn a_leader_that_is_bound_to_a_life_need_not_catch_up() {
    for (life, is_it) in [(1, true), (99, false)] {
        let mut bench = leader(config(3));
        let [two, three] = [2, 3].map(|id| Member::from(NodeId::new(id)));
        change_to(&mut bench, &[Member::bound(ME, Incarnation(life)), two, three]);
        has_all(&mut bench, 2);
        assert_eq!(is_joint(&bench), is_it, "{life}");
    }
}
