//! What a server believes of what comes in and of what it finds on its disk, who is told that it is no member, and what
//! a server does no more that has stopped.

use raft_core::{
    AppendEntriesReply, Config, ConfigError, Configuration, Configured, EntryId, Event, FetchEntries,
    HardState, Incarnation, Input, Loaded, LogIndex, LogOutline, Message, NodeId, NotMember, Raft, Restored,
    RoleName, Session, Snapshot, SnapshotId, Term, Time, Violation,
};

use crate::bench::{Bench, ME, append, config, envelope, heartbeat, id, pre_vote, vote};
use crate::fetching::starts;
use crate::membership::{bound, configure, of, wiped};
use crate::snapshots::{follower, take};

/// The highest term and index that a disk can have got to.
const COUNTED_MAX: u64 = u64::MAX / 4 * 3;

/// Each row: what comes in, and whether a server can have said so.
#[test]
fn what_no_server_can_have_said_is_dropped_unread() {
    let lost = |from| {
        let (from, session) = (LogIndex::new(from), Session(9));
        Message::AppendEntriesReply(AppendEntriesReply::Lost { from, session })
    };
    let fetch =
        |count| Message::FetchEntries(FetchEntries { ids: (1..=count).map(|index| id(1, index)).collect() });
    for (message, could) in [(lost(0), false), (lost(1), true), (fetch(64), true), (fetch(65), false)] {
        let mut bench = Bench::new(config(3));
        bench.hear(2, 1, message.clone());
        assert_eq!(bench.raft.counts().strangers_dropped, u64::from(!could), "{message:?}");
    }
}

/// Thesis 4.1: a leader that the configuration does not name is followed; and who is not named is told so if
/// it asks for votes, and else is not.
#[test]
fn only_who_asks_for_votes_is_told_that_it_is_no_member() {
    let fetch = || Message::FetchEntries(FetchEntries { ids: vec![id(1, 1)] });
    for (message, told) in [
        (append(id(1, 1), &[], 0), false),
        (Message::ReadIndex, false),
        (fetch(), false),
        (pre_vote(id(1, 1)), true),
        (vote(id(1, 1)), true),
    ] {
        let mut bench = Bench::with_log(config(3), &[1], 1);
        bench.hear(9, 1, message.clone());
        assert_eq!(bench.last_said(9, "not-member").is_some(), told, "{message:?}");
        assert_eq!(bench.said.len(), if told { 2 } else { 1 }, "it is answered like any other: {message:?}");
    }
}

/// What a wiped server says is no vote and no acknowledgement, but it is heard: so it is told that the group
/// has another life of it in mind.
#[test]
fn what_a_wiped_server_asks_is_answered() {
    for (message, answer) in
        [(vote(EntryId::ZERO), "vote-reply"), (pre_vote(EntryId::ZERO), "pre-vote-reply")]
    {
        let mut bench = Bench::new(bound());
        bench.step(Input::Receive(wiped(3, 0, message)));
        assert!(bench.last_said(3, "not-member").is_some() && bench.last_said(3, answer).is_some());
        assert_eq!(bench.raft.counts().strangers_dropped, 0);
    }
}

/// A server that was removed may be in a later term than those that know of it, as it has stood for election
/// meanwhile.
#[test]
fn who_is_told_in_an_earlier_term_that_it_was_removed_knows_it() {
    let mut bench = Bench::with_log(config(3), &[1], 7);
    bench.hear(2, 3, Message::NotMember(NotMember { configured: id(1, 2) }));
    assert_eq!(bench.raft.removed(), Some(id(1, 2)));
}

/// A server that has yet to join knows nobody, and so removes nobody.
#[test]
fn who_knows_of_no_voters_tells_nobody_that_it_was_removed() {
    let mut bench = Bench::new(Config { bootstrap: None, ..config(3) });
    for (message, answer) in
        [(pre_vote(EntryId::ZERO), "pre-vote-reply"), (vote(EntryId::ZERO), "vote-reply")]
    {
        bench.hear(2, 1, message);
        assert!(bench.last_said(2, "not-member").is_none() && bench.last_said(2, answer).is_some());
    }
}

#[test]
fn who_takes_part_in_the_very_configuration_that_it_is_told_of_was_not_removed() {
    let mut bench = Bench::new(config(3));
    let configured = bench.raft.configuration().at;
    bench.hear(2, 0, Message::NotMember(NotMember { configured }));
    assert_eq!(bench.raft.removed(), None);
}

/// It has the entry that removed it, and is told by another server that it is committed: that it hears of earlier entries
/// that they are says nothing new.
#[test]
fn a_server_does_not_learn_again_of_its_removal_before_that_is_committed() {
    let mut bench = Bench::with_log(config(3), &[1], 1);
    bench.hear(2, 1, configure(id(1, 1), 1, &of(&[2, 3]), 0));
    let removed = Event::Removed { at: id(1, 2) };
    bench.hear(3, 1, Message::NotMember(NotMember { configured: id(1, 2) }));
    assert_eq!((bench.raft.removed(), bench.count(&removed)), (Some(id(1, 2)), 1));
    bench.hear(2, 1, append(id(1, 2), &[], 1));
    assert_eq!((bench.raft.commit_index(), bench.count(&removed)), (LogIndex::new(1), 1));
}

/// Of three entries on disk those are damaged that were found to be, and are in the log.
#[test]
fn what_was_not_found_damaged_is_not() {
    for (from, to, damaged) in [(2, 2, 1), (1, 2, 2), (3, 3, 1), (2, 9, 2), (4, 9, 0)] {
        let mut bench = Bench::with_log(config(3), &[1, 1, 1], 1);
        let (first, last) = (LogIndex::new(from), LogIndex::new(to));
        bench.step(Input::Loaded(Loaded::Damaged { from: first, to: last }));
        assert_eq!(bench.raft.damaged(), damaged, "{from} to {to}");
    }
}

/// The write fails in the moment in which an election is due, or an entry that is damaged could go for a
/// snapshot.
#[test]
fn a_server_that_stops_starts_nothing_any_more() {
    let mut bench = Bench::new(config(3));
    bench.now = bench.raft.deadline();
    bench.step(Input::WriteFailed);
    assert_eq!((bench.is(), bench.events.len(), bench.said.len()), ((RoleName::Follower, 0), 0, 0));

    let mut follower = follower(Config { snapshot_trailing: 9, ..config(3) }, &[1, 1, 1], 3);
    take(&mut follower);
    for (fails, base) in [(false, id(1, 2)), (true, EntryId::ZERO)] {
        let mut bench = starts(config(3), follower.disk.clone(), &[2]);
        bench.step(if fails { Input::WriteFailed } else { Input::Tick });
        assert_eq!(bench.raft.log_outline().base(), base, "fails {fails}");
    }
}

/// A server that has met a contradiction says so, once; what contradicts then is no news.
#[test]
fn the_first_contradiction_is_told_and_no_other() {
    let mut bench = Bench::new(config(3));
    bench.hear(2, 4, heartbeat());
    bench.raft.step(bench.now, Input::Receive(envelope(3, 4, heartbeat())));
    bench.raft.has_applied(LogIndex::new(9));
    bench.step(Input::Tick);
    let (known, other) = (NodeId::new(2), NodeId::new(3));
    assert_eq!(bench.violation.take(), Some(Violation::TwoLeaders { term: Term::new(4), known, other }));
    bench.raft.has_applied(LogIndex::new(9));
    bench.step(Input::Tick);
    assert_eq!(bench.violation, None);
    let stopped = |event: &&Event| matches!(event, Event::Stopped { .. });
    assert_eq!(bench.events.iter().filter(stopped).count(), 1);
}

/// Each row: a term and the end of a log that were found, and whether anybody can have counted so far.
#[test]
fn a_disk_that_is_beyond_counting_is_refused() {
    for (term, index, could) in [
        (COUNTED_MAX, 1, true),
        (COUNTED_MAX + 1, 1, false),
        (1, COUNTED_MAX, true),
        (1, COUNTED_MAX + 1, false),
        (1, u64::MAX, false),
    ] {
        let last = id(1, index);
        let snapshot_id = SnapshotId { last_included: last, made_by: Incarnation(1) };
        let snapshot = Snapshot { id: snapshot_id, configured: Configuration::of([ME]).into() };
        let term = Term::new(term);
        let restored = Restored {
            hard_state: HardState { current_term: term, voted_for: None },
            snapshot: Some(snapshot),
            log: LogOutline::new(last),
            ..Restored::default()
        };
        let found = Raft::new(config(3), restored, Time::ZERO).map(|raft| raft.snapshot_index());
        let refused = ConfigError::BeyondCounting { term, last };
        assert_eq!(found, if could { Ok(last.index) } else { Err(refused) });
    }
}

/// Each row: where the log has configurations, as its store says, whether somebody votes in them, and which
/// cannot be so. The log has entries 1 to 3 of term 1.
#[test]
fn configurations_that_the_log_cannot_have_are_refused() {
    for (at, votes, refused) in [
        (&[id(1, 1), id(1, 3)][..], true, None),
        (&[id(1, 1)], false, Some(id(1, 1))),
        (&[id(1, 1), id(2, 2)], true, Some(id(2, 2))),
        (&[id(1, 4)], true, Some(id(1, 4))),
        (&[id(1, 2), id(1, 2)], true, Some(id(1, 2))),
        (&[id(1, 3), id(1, 1)], true, Some(id(1, 1))),
    ] {
        let restored = Bench::with_log(config(3), &[1, 1, 1], 1).disk.restored();
        let configuration = if votes { Configuration::of([ME]) } else { Configuration::default() };
        let configured = |&at| Configured { at, configuration: configuration.clone() };
        let restored = Restored { configurations: at.iter().map(configured).collect(), ..restored };
        let found = Raft::new(config(3), restored, Time::ZERO).map(|raft| raft.configuration().at);
        let expected = match refused {
            Some(at) => Err(ConfigError::Configuration { at }),
            None => Ok(*at.last().unwrap()),
        };
        assert_eq!(found, expected, "{at:?}");
    }
}
