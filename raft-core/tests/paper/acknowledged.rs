//! What a server acknowledges: what its disk has, and not what it has lost; when the end of a log counts again; and
//! what a leader counts of its own.

use std::time::Duration;

use raft_core::{
    AppendEntriesReply, Config, EntryId, Envelope, Event, Input, Loaded, LogIndex, Message, NodeId, RoleName,
    Session, StepDownReason, Term,
};

use crate::bench::{Bench, append, config, envelope, heartbeat, id, piece, pre_vote, vote};
use crate::fetching::{disk, reply, with_snapshot};
use crate::repair::{answer, damaged};

const MS: Duration = Duration::from_millis(1);

/// How long a leader has to get what is damaged: the longest election timeout.
const PATIENCE: Duration = Duration::from_millis(300);

/// One of three whose log may have been longer, as its disk says.
fn cut_short(terms: &[u64], term: u64) -> Bench {
    let mut disk = Bench::with_log(config(3), terms, term).disk;
    disk.suspect_tail();
    Bench::with_disk(config(3), disk)
}

/// A leader of three in term 1 that keeps no entries in memory, with its no-op and these commands.
pub(crate) fn forgetful_leader(config: Config, commands: &[&'static str]) -> Bench {
    let mut bench = Bench::in_role(Config { cache_bytes_max: 0, ..config }, RoleName::Leader, 1);
    commands.iter().for_each(|command| bench.propose(command));
    bench
}

/// Tells the leader that it has lost something: from where on, and in which conversation it is to go on.
pub(crate) fn tells_of_loss(bench: &mut Bench, leader: u64) -> (LogIndex, Session) {
    let term = bench.raft.current_term().get();
    bench.hear(leader, term, heartbeat());
    match bench.last_reply() {
        Some(AppendEntriesReply::Lost { from, session }) => (from, session),
        other => panic!("it has lost nothing: {other:?}"),
    }
}

/// A leader says this in that conversation.
fn goes_on(bench: &mut Bench, leader: u64, session: Session, message: Message) {
    let said = envelope(leader, bench.raft.current_term().get(), message);
    bench.step(Input::Receive(Envelope { session, ..said }));
}

/// A driver may take effects after one input or after many.
#[test]
fn all_that_comes_in_before_effects_are_taken_is_written() {
    let mut bench = Bench::with_log(config(3), &[1, 1, 1, 1], 1);
    let sent = |(term, prev_log, terms): (u64, EntryId, &[u64])| {
        Input::Receive(envelope(2, term, append(prev_log, terms, 0)))
    };
    let all = [(2, id(1, 3), &[2, 2][..]), (3, id(1, 1), &[3]), (3, id(3, 2), &[3, 3]), (3, id(3, 4), &[3])];
    bench.step_all(all.map(sent));
    assert_eq!(bench.log(), [1, 3, 3, 3, 3]);
    let accepted = AppendEntriesReply::Accepted { match_index: LogIndex::new(5) };
    assert_eq!(bench.last_reply(), Some(accepted));
    bench.restart();
    assert_eq!(bench.raft.last_log(), id(3, 5));
}

/// Figure 2: the log is "updated on stable storage before responding", also where it was longer before a
/// snapshot took its place: what was durable then is not there any more.
#[test]
fn what_follows_a_snapshot_is_not_acknowledged_before_it_is_durable() {
    let mut bench = Bench::with_log(config(3), &[1, 2, 2, 2, 2], 2);
    bench.hear(2, 5, heartbeat());
    bench.hangs = true;
    bench.hear(2, 5, piece(id(4, 3), 0, "state", true));
    bench.said.clear();
    bench.hear(2, 5, append(id(4, 3), &[5, 5], 3));
    for durable in [id(4, 3), id(5, 5)] {
        assert_eq!(bench.last_reply(), None);
        let write = bench.hung.remove(0);
        bench.step(Input::Persisted(write.token));
        assert_eq!(bench.raft.durable_log(), durable);
    }
    let match_index = LogIndex::new(5);
    assert_eq!(bench.last_reply(), Some(AppendEntriesReply::Accepted { match_index }));
}

/// An answer has not left yet when the entry turns out to be lost: it was just decided on, or waits for the
/// disk. Other answers have nothing to do with it.
#[test]
fn what_was_to_be_acknowledged_is_not_once_it_is_lost() {
    let mut bench = Bench::with_disk(config(3), disk(&[1, 1, 1]));
    let lost = || Input::Loaded(Loaded::Damaged { from: LogIndex::new(3), to: LogIndex::new(3) });
    let asked = Input::Receive(envelope(3, 2, pre_vote(id(1, 3))));
    let appended = Input::Receive(envelope(2, 1, append(id(1, 3), &[], 0)));
    bench.step_all([asked, appended, lost()]);
    assert_eq!(bench.last_reply(), None);
    assert!(bench.last_said(3, "pre-vote-reply").is_some());

    let mut bench = Bench::with_disk(config(3), disk(&[1, 1, 1]));
    bench.hangs = true;
    bench.hear(2, 1, append(id(1, 3), &[1], 0));
    bench.step(lost());
    bench.finish_writes();
    assert_eq!((bench.log().len(), bench.last_reply()), (4, None));
}

#[test]
fn a_leader_that_joins_on_to_a_lost_entry_is_told_to_come_back_to_it() {
    let mut bench = damaged(&[1, 1, 1], 2);
    let (_, session) = tells_of_loss(&mut bench, 2);
    for prev in [2, 3] {
        goes_on(&mut bench, 2, session, append(id(1, prev), &[], 0));
        let rejected = AppendEntriesReply::Rejected { refused: id(1, prev), hint: id(1, 1) };
        assert_eq!(bench.last_reply(), Some(rejected));
    }
}

/// A server in term 2 may have lost the end of its log. Each row: the terms of that; what its leader's
/// heartbeat joins on to, in a conversation that began since; how far that one has committed; and whether the
/// end counts.
#[test]
fn the_end_of_the_log_counts_again_after_a_commit_of_the_leaders_term() {
    for (terms, prev_log, leader_commit, trusts) in [
        (&[1, 1][..], id(1, 2), 2, false),
        (&[1, 2], id(2, 2), 1, false),
        (&[1, 2], id(2, 2), 2, true),
        (&[1, 2], id(2, 2), 3, false),
        (&[1, 2, 2], id(1, 1), 3, false),
    ] {
        let mut bench = cut_short(terms, 2);
        let (_, session) = tells_of_loss(&mut bench, 2);
        goes_on(&mut bench, 2, session, append(prev_log, &[], leader_commit));
        let still = (bench.raft.is_suspect(), bench.disk.restored().suspect_tail);
        assert_eq!(still, (!trusts, !trusts), "{terms:?} {prev_log} {leader_commit}");
    }
}

/// A leader that does not know yet what is committed says nothing with it of what may have been lost.
#[test]
fn a_commit_before_the_log_begins_says_nothing_of_its_end() {
    let mut disk = with_snapshot(disk(&[1, 1, 2]), id(1, 2), Some(id(1, 2)));
    disk.suspect_tail();
    let mut bench = Bench::with_disk(config(3), disk);
    let (_, session) = tells_of_loss(&mut bench, 2);
    goes_on(&mut bench, 2, session, append(id(2, 3), &[], 1));
    assert!(bench.raft.is_suspect());
    goes_on(&mut bench, 2, session, append(id(2, 3), &[], 3));
    assert!(!bench.raft.is_suspect());
}

/// It may have heard of a later commit in a conversation that does not count.
#[test]
fn the_end_of_the_log_counts_again_where_more_is_committed_than_the_leader_says() {
    let mut bench = cut_short(&[1, 2, 2], 2);
    bench.hear(2, 2, append(id(2, 3), &[], 3));
    assert_eq!((bench.raft.commit_index(), bench.raft.is_suspect()), (LogIndex::new(3), true));
    let (_, session) = tells_of_loss(&mut bench, 2);
    goes_on(&mut bench, 2, session, append(id(2, 3), &[], 2));
    assert!(!bench.raft.is_suspect());
}

#[test]
fn the_end_of_the_log_does_not_count_again_by_what_is_written_meanwhile() {
    let mut bench = cut_short(&[1], 1);
    bench.hear(2, 2, vote(id(1, 1)));
    bench.restart();
    assert!(bench.raft.is_suspect());
    assert_eq!(bench.disk.restored().hard_state.voted_for, Some(NodeId::new(2)));
}

/// What is before counts like any other follower's log.
#[test]
fn a_leader_counts_itself_up_to_before_what_it_has_lost() {
    let mut bench = forgetful_leader(config(3), &["x", "y"]);
    bench.lose(3);
    bench.accepts(2, 3);
    assert_eq!(bench.raft.commit_index(), LogIndex::new(2));
}

#[test]
fn a_leader_counts_itself_for_what_came_back_once_that_is_durable() {
    let mut bench = forgetful_leader(config(3), &[]);
    bench.lose(1);
    bench.accepts(2, 1);
    bench.hangs = true;
    answer(&mut bench, 3, reply(&[id(1, 1)], &[]));
    assert_eq!((bench.raft.damaged(), bench.raft.commit_index()), (0, LogIndex::ZERO));
    bench.finish_writes();
    assert_eq!(bench.raft.commit_index(), LogIndex::new(1));
}

/// From the first loss on, not from the beginning of its reign, and not from the last.
#[test]
fn a_leader_has_an_election_timeout_to_get_what_it_has_lost() {
    let mut bench = forgetful_leader(config(3), &["x"]);
    let passes = |bench: &mut Bench, duration| {
        bench.wait(duration);
        bench.accepts(2, 1);
        bench.accepts(3, 1);
    };
    for _ in 0..5 {
        passes(&mut bench, 100 * MS);
    }
    bench.lose(1);
    passes(&mut bench, 200 * MS);
    bench.lose(2);
    passes(&mut bench, 99 * MS);
    assert_eq!(bench.raft.role(), RoleName::Leader);
    bench.wait(MS);
    let stepped_down = Event::SteppedDown { term: Term::new(1), reason: StepDownReason::LogDamaged };
    assert!(bench.events.contains(&stepped_down));
}

/// Without check-quorum, and with a disk that may take longer than that, nothing else asks it to look at the
/// time.
#[test]
fn a_leader_gives_way_in_time_though_it_waits_for_its_disk() {
    let mut bench = forgetful_leader(Config { check_quorum: false, ..config(3) }, &[]);
    bench.hangs = true;
    bench.propose("x");
    bench.step(Input::Tick);
    bench.lose(1);
    bench.wait(PATIENCE);
    assert_eq!(bench.raft.counts().gave_way_log_damaged, 1);
}
