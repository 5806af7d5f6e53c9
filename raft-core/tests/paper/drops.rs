//! Which of the entries that its disk has lost a server drops for good, and which it may not.

use raft_core::{AppendEntriesReply, Config, Input, Message, Payload, RoleName};

use crate::bench::{Bench, config, heartbeat, id};
use crate::fetching::{answered, disk, disk_of, lacking, reply, starts};
use crate::membership::{of, servers, to};
use crate::repair::{answer, damaged};

#[test]
fn what_is_dropped_is_counted_with_all_that_follows_it() {
    let mut bench = damaged(&[1, 1, 1, 1], 2);
    answer(&mut bench, 2, lacking(id(1, 2), Some(2)));
    assert_eq!(bench.log(), [1]);
    assert_eq!(bench.raft.counts().entries_dropped, 3);
}

/// Whoever led the later term had all that was committed before it. Each row: the last term of which this
/// server has followed a leader, and whether it drops an entry of term 1 where another server has one of term
/// 2.
#[test]
fn what_was_superseded_is_dropped_unless_it_may_have_been_acknowledged_in_a_later_term() {
    for (followed, dropped) in [(1, true), (2, true), (3, false)] {
        let mut bench = damaged(&[1, 1], 2);
        bench.hear(3, followed, heartbeat());
        answer(&mut bench, 2, lacking(id(1, 2), Some(2)));
        assert_eq!(bench.log().len() == 1, dropped, "{followed}");
    }
}

/// A leader acknowledges its log to itself.
#[test]
fn what_was_superseded_is_not_dropped_if_this_server_has_led_since() {
    let nothing_cached = Config { cache_bytes_max: 0, ..config(3) };
    let mut bench = Bench::with_log(nothing_cached, &[1, 1], 2);
    bench.is_elected();
    assert_eq!(bench.is(), (RoleName::Leader, 3));
    let refused = AppendEntriesReply::Rejected { refused: id(1, 2), hint: id(1, 1) };
    bench.hear(2, 4, Message::AppendEntriesReply(refused));
    assert_eq!(bench.is(), (RoleName::Follower, 4));
    bench.lose(2);
    answer(&mut bench, 2, lacking(id(1, 2), Some(2)));
    assert_eq!(bench.log(), [1, 1, 3]);
}

/// That another server does not have one that was lost says nothing of the first.
#[test]
fn only_the_entry_that_others_lack_is_dropped() {
    let mut bench = starts(config(3), disk(&[1, 1, 1]), &[2, 3]);
    bench.step(Input::Tick);
    answer(&mut bench, 2, lacking(id(1, 3), Some(9)));
    for from in [2, 3, 2, 3, 2, 3] {
        answer(&mut bench, from, lacking(id(1, 3), None));
    }
    assert_eq!(bench.log().len(), 3);
}

/// All others lack it, and it may be committed: before others came to vote, or where they only learn.
#[test]
fn what_this_server_may_have_committed_alone_is_not_dropped() {
    let change = Payload::Configuration(of(&[1, 2, 3]).to_bytes());
    let learners = of(&[1]).with_learners(servers(&[2, 3]));
    for (first, second) in [(of(&[1]), change), (learners, Payload::Noop)] {
        let disk = disk_of([Payload::Noop, second]);
        let mut bench = starts(Config { bootstrap: Some(first), ..config(3) }, disk, &[1]);
        bench.step(Input::Tick);
        for from in [2, 3, 2, 3, 2, 3] {
            answer(&mut bench, from, lacking(id(1, 1), None));
        }
        assert_eq!((bench.log().len(), bench.raft.damaged()), (2, 1));
    }
}

/// What follows the configuration that brings n2 could not be committed without n2. Each row: what the group of n1 alone
/// has become.
#[test]
fn what_this_server_needed_another_for_is_dropped_though_it_was_once_alone() {
    for grown in [of(&[1, 2]), to(&[1], &[1, 2], true)] {
        let change = Payload::Configuration(grown.to_bytes());
        let disk = disk_of([Payload::Noop, change, Payload::Noop]);
        let mut bench = starts(Config { bootstrap: Some(of(&[1])), ..config(3) }, disk, &[3]);
        bench.step(Input::Tick);
        assert_eq!((bench.log().len(), bench.raft.damaged()), (3, 1), "{grown}");
        for _ in 0..6 {
            answer(&mut bench, 2, lacking(id(1, 3), None));
        }
        assert_eq!((bench.log().len(), bench.raft.damaged()), (2, 0), "{grown}");
    }
}

#[test]
fn what_has_just_come_is_not_dropped() {
    let mut bench = damaged(&[1, 1], 2);
    let replies =
        [answered(&bench, 3, reply(&[id(1, 2)], &[])), answered(&bench, 2, lacking(id(1, 2), Some(9)))];
    bench.step_all(replies.map(Input::Receive));
    assert_eq!((bench.log().len(), bench.raft.damaged()), (2, 0));
}
