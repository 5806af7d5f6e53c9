//! What a leader knows of its followers and sends them again, which commands it takes, and when it gives way.

use std::time::Duration;

use raft_core::{
    AppendEntriesReply, Config, Entry, EntryId, Envelope, Event, FetchEntriesReply, FollowerProgress, Input,
    LogIndex, Message, NodeId, ProposeError, RoleName, Session, StepDownReason, TransferError,
};

use crate::bench::{Bench, config, envelope, id};
use crate::elections::{hear_in, with_another_n3};
use crate::fetching::{disk, reply, starts};
use crate::membership::{bound, change, wiped};
use crate::newcomers::change_to;
use crate::paper::plain;
use crate::reads::leader;
use crate::repair::answer;
use crate::snapshots::{compacts, take};
use crate::waiting::{accepted, written};

const MS: Duration = Duration::from_millis(1);
const NS: Duration = Duration::from_nanos(1);

/// The longest election timeout.
const LONGEST: Duration = Duration::from_millis(300);

/// The conversation in which this server was last sent something of the log.
fn session(bench: &Bench, follower: u64) -> Session {
    bench.last_said(follower, "append").unwrap().session
}

fn progress(bench: &Bench, follower: u64) -> FollowerProgress {
    bench.raft.followers().into_iter().find(|known| known.follower == NodeId::new(follower)).unwrap()
}

/// Each row: the first entry that a follower has lost, as it says, and what it is sent then: what precedes,
/// and how many entries. This leader has two.
#[test]
fn a_follower_that_has_lost_entries_is_sent_them_from_there_on() {
    for (from, prev_log, entries) in
        [(1, EntryId::ZERO, 2), (2, id(1, 1), 1), (3, id(1, 2), 0), (9, id(1, 2), 0)]
    {
        let mut bench = leader(config(3));
        bench.propose("x");
        bench.accepts(2, 2);
        bench.replies(2, AppendEntriesReply::Lost { from: LogIndex::new(from), session: Session(9) });
        bench.wait(50 * MS);
        let sent = bench.last_append(2);
        assert_eq!((sent.prev_log, sent.entries.len()), (prev_log, entries), "{from}");
        assert_eq!(session(&bench, 2), Session(9));
    }
}

/// A disk that was put back to what it was, as from a backup, knows nothing of what its server has
/// acknowledged. One answer may have been overtaken by others; a follower that agrees to nothing for an
/// election timeout is begun anew with.
#[test]
fn a_leader_begins_anew_with_a_follower_that_disowns_what_it_acknowledged() {
    let mut bench = leader(config(3));
    (0..2).for_each(|_| bench.propose("x"));
    bench.accepts(2, 3);
    for _ in 0..2 {
        bench.wait(LONGEST / 2);
        bench.refuses(2, id(1, 3), id(1, 1));
        assert_eq!(progress(&bench, 2).match_index, LogIndex::new(3));
    }
    bench.wait(NS);
    let before = session(&bench, 2);
    bench.refuses(2, id(1, 3), id(1, 1));
    let sent = bench.last_append(2);
    assert_eq!((sent.prev_log, sent.entries.len()), (id(1, 1), 2));
    hear_in(&mut bench, before, envelope(2, 1, accepted(3)));
    assert_eq!(progress(&bench, 2).match_index, LogIndex::ZERO, "a late answer is none");
    bench.accepts(2, 3);
    assert_eq!(progress(&bench, 2).match_index, LogIndex::new(3));
}

/// Whoever answers from another life of its data directory has nothing of what it had, and the answer is one
/// to what the earlier life was asked.
#[test]
fn a_follower_in_another_life_has_nothing_of_what_it_acknowledged() {
    let mut bench = leader(config(3));
    bench.propose("x");
    bench.accepts(2, 2);
    let before = session(&bench, 2);
    hear_in(&mut bench, before, wiped(2, 1, accepted(2)));
    assert_eq!(progress(&bench, 2).match_index, LogIndex::ZERO);
    assert_ne!(session(&bench, 2), before, "it is asked anew");
    let anew = session(&bench, 2);
    hear_in(&mut bench, anew, wiped(2, 1, accepted(2)));
    assert_eq!(progress(&bench, 2).match_index, LogIndex::new(2));
}

/// Thesis 6.2: n3 was heard 100 ms after the election and n2 never. When n3 answers from a life that does not
/// vote yet, no majority was heard since the election.
#[test]
fn a_voter_that_comes_back_in_a_life_that_does_not_vote_keeps_no_leader() {
    for comes_back in [false, true] {
        let mut bench = Bench::new(bound());
        bench.time_out();
        let asked = bench.last_said(3, "vote").unwrap().clone();
        bench.answer(&asked, true);
        let elected = bench.now;
        bench.wait(100 * MS);
        bench.accepts(3, 1);
        change_to(&mut bench, &with_another_n3());
        bench.accepts(3, 2);
        bench.wait(20 * MS);
        if comes_back {
            let last = session(&bench, 3);
            hear_in(&mut bench, last, wiped(3, 1, accepted(0)));
        }
        bench.now = elected.after(LONGEST);
        bench.step(Input::Tick);
        assert_eq!(bench.raft.role() == RoleName::Leader, !comes_back);
    }
}

/// A piece of a snapshot that is not answered is sent again later and later, as it may still be on its way on
/// a slow link. But not to a follower that was away: what it was sent meanwhile is lost. Each row: when n3
/// begins to answer heartbeats, in ms, and when it is sent the piece.
#[test]
fn a_follower_that_was_away_is_soon_sent_the_piece_again() {
    for (answers_from, sent_at) in [(0, &[0, 300, 900, 2100][..]), (2200, &[0, 300, 900, 2100, 2400])] {
        let mut bench = leader(compacts(3));
        bench.accepts(3, 0);
        take(&mut bench);
        bench.refuses(3, id(1, 1), EntryId::ZERO);
        let mut sent = Vec::new();
        for ms in (0..3000).step_by(50) {
            if bench.last_said(3, "snapshot").is_some() {
                sent.push(ms);
            }
            bench.said.clear();
            bench.wait(50 * MS);
            bench.accepts(2, 1);
            if ms + 50 >= answers_from {
                bench.accepts(3, 0);
            }
        }
        assert_eq!(sent, sent_at, "from {answers_from} ms on");
    }
}

/// The first messages with entries 1 and 2 were lost. None of them is in memory.
#[test]
fn what_was_read_from_disk_is_read_again_when_it_is_needed_again() {
    let mut bench = leader(Config { cache_bytes_max: 0, ..config(3) });
    bench.propose("x");
    bench.accepts(3, 0);
    for _ in 0..3 {
        bench.said.clear();
        bench.refuses(3, id(1, 2), EntryId::ZERO);
        assert_eq!((bench.last_append(3).entries.len(), bench.raft.footprint().loads), (2, 0));
        bench.accepts(3, 0);
    }
}

/// [`Config::uncommitted_bytes_max`]: what is not committed counts, and what is not on the leader's own disk.
#[test]
fn a_command_makes_room_when_it_is_committed_and_on_the_leaders_own_disk() {
    let one = size_of::<Entry>() + 1;
    for on_disk_first in [false, true] {
        let mut bench = leader(Config { uncommitted_bytes_max: one, ..config(3) });
        bench.hangs = true;
        bench.propose("x");
        for on_disk in [on_disk_first, !on_disk_first] {
            assert_eq!(bench.raft.propose("y".into()), Err(ProposeError::Overloaded), "{on_disk_first}");
            if on_disk {
                written(&mut bench);
            } else {
                (2..=3).for_each(|follower| bench.accepts(follower, 2));
            }
        }
        assert_eq!(bench.raft.commit_index(), LogIndex::new(2));
        assert!(bench.raft.propose("y".into()).is_ok());
    }
}

#[test]
fn each_command_that_is_committed_makes_room_for_one() {
    let mut bench = leader(Config { uncommitted_bytes_max: 3 * (size_of::<Entry>() + 1), ..config(3) });
    (0..3).for_each(|_| bench.propose("x"));
    for index in 2..=9 {
        assert_eq!(bench.raft.propose("x".into()), Err(ProposeError::Overloaded));
        bench.accepts(2, index);
        bench.propose("x");
    }
}

/// "A single larger one is taken if nothing else waits": also one that was refused while something did.
#[test]
fn a_command_that_was_too_large_beside_others_is_taken_when_nothing_waits() {
    let mut bench = leader(Config { uncommitted_bytes_max: 1, ..config(3) });
    let large = || vec![0; 999].into();
    bench.propose("x");
    assert_eq!(bench.raft.propose(large()), Err(ProposeError::Overloaded));
    bench.accepts(2, 2);
    assert_eq!(bench.raft.propose(large()), Ok(id(1, 3)));
}

#[test]
fn nobody_is_told_of_commands_who_did_not_ask() {
    for observe in [false, true] {
        let mut bench = leader(Config { observe, ..config(3) });
        bench.events.clear();
        let appended = bench.raft.propose_all(&mut vec!["x".into(), "y".into()]).unwrap().len();
        let events = bench.raft.take_effects().events.len();
        assert_eq!((appended, events), (2, if observe { 2 } else { 0 }));
    }
}

/// The disk has taken too long, and nobody has told the leader of the time since the write was given.
#[test]
fn a_leader_whose_disk_hangs_gives_way_when_it_is_told_the_time_next() {
    let disk_patience = 80 * MS;
    let mut bench = leader(Config { disk_patience, ..config(3) });
    bench.hangs = true;
    bench.propose("x");
    bench.wait(disk_patience);
    assert_eq!((bench.is(), bench.raft.counts().gave_way_disk_hangs), ((RoleName::Follower, 1), 1));
}

/// A leader that was elected with a damaged entry, which only a snapshot of another stands for, has an
/// election timeout from then on, however long ago it was found.
#[test]
fn a_new_leader_has_an_election_timeout_to_get_what_is_damaged() {
    let mut bench = starts(plain(3), disk(&[1, 1]), &[1]);
    bench.step(Input::Tick);
    answer(&mut bench, 2, FetchEntriesReply { base: id(1, 1), ..reply(&[], &[]) });
    (0..3).for_each(|_| bench.wait(LONGEST));
    let asked = bench.last_said(2, "vote").unwrap().clone();
    bench.answer(&asked, true);
    bench.wait(LONGEST - NS);
    assert_eq!(bench.raft.role(), RoleName::Leader);
    bench.wait(NS);
    let reason = StepDownReason::LogDamaged;
    assert!(bench.events.contains(&Event::SteppedDown { term: bench.raft.current_term(), reason }));
}

/// Thesis 3.10: the prior leader resumes after an election timeout, though it is told the time later.
#[test]
fn a_transfer_ends_also_for_a_leader_that_is_told_the_time_late() {
    let mut bench = leader(Config { check_quorum: false, ..config(3) });
    let to = NodeId::new(2);
    bench.raft.transfer_leadership(to).unwrap();
    bench.wait(LONGEST + NS);
    assert!(bench.events.contains(&Event::TransferEnded { to, leads: true }));
    assert!(bench.raft.propose("x".into()).is_ok());
}

/// Thesis 4.2.2 and 3.10: of those that are left n2 learns, n3 lacks an entry, and n4 votes and has all.
#[test]
fn a_leader_that_is_removed_hands_over_to_a_voter_that_has_all() {
    let mut bench = leader(config(4));
    bench.accepts(4, 1);
    let n4 = NodeId::new(4);
    assert!(change(&mut bench, &[3, 4], &[2]).is_ok());
    (2..=4).for_each(|follower| bench.accepts(follower, 2));
    bench.propose("x");
    assert_eq!((bench.raft.last_log(), bench.raft.configuration().at), (id(1, 4), id(1, 3)));
    for (follower, match_index) in [(2, 4), (4, 4), (3, 3)] {
        assert_eq!(bench.raft.role(), RoleName::Leader);
        bench.accepts(follower, match_index);
    }
    assert_eq!(bench.is(), (RoleName::Follower, 1));
    let told = |said: &&Envelope| said.message == Message::TimeoutNow;
    assert_eq!(bench.said.iter().filter(told).map(|said| said.to).collect::<Vec<_>>(), [n4]);
    assert!(bench.events.contains(&Event::TransferStarted { to: n4 }));
}

#[test]
fn a_leader_that_has_stopped_hands_nothing_over() {
    let mut bench = leader(config(3));
    bench.step(Input::WriteFailed);
    let refused = TransferError::NotLeader { leader: None };
    assert_eq!(bench.raft.transfer_leadership(NodeId::new(2)), Err(refused));
    assert_eq!(bench.raft.transferring(), None);
}
