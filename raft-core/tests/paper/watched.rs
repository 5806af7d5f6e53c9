//! What those see who watch a server: counts, and events if they ask for them.

use std::time::Duration;

use raft_core::{Config, Counts, EntryId, RoleName};

use crate::bench::{Bench, append, config, heartbeat, id, pre_vote};

/// Each thing that happens is counted once, and nothing else is.
#[test]
fn what_happens_is_counted() {
    let mut bench = Bench::new(config(3));
    let mut expected = Counts::default();
    assert_eq!(bench.raft.counts(), expected);

    bench.hear(2, 1, heartbeat());
    bench.hear(2, 1, append(EntryId::ZERO, &[1], 0));
    expected.leaders_found = 1;
    assert_eq!(bench.raft.counts(), expected, "a leader is found once");
    bench.hear(2, 1, append(id(1, 5), &[], 0));
    expected.appends_rejected = 1;
    assert_eq!(bench.raft.counts(), expected, "it does not join on");
    bench.hear(3, 2, pre_vote(id(1, 1)));
    expected.votes_ignored = 1;
    assert_eq!(bench.raft.counts(), expected, "a leader is there");

    bench.time_out();
    expected.pre_votes = 1;
    assert_eq!((bench.raft.counts(), bench.raft.role()), (expected, RoleName::PreCandidate));
    bench.is_elected();
    (expected.elections, expected.elections_won, expected.leaders_found) = (1, 1, 2);
    assert_eq!(bench.raft.counts(), expected, "it has found itself");
    bench.wait(Duration::from_secs(1));
    expected.gave_way_no_majority = 1;
    assert_eq!(bench.raft.counts(), expected, "it was alone");
}

/// Events are for those who ask for them: others pay nothing for them.
#[test]
fn nobody_is_told_of_events_who_did_not_ask() {
    for observe in [false, true] {
        let mut bench = Bench::new(Config { observe, ..config(3) });
        bench.hear(2, 1, append(EntryId::ZERO, &[1], 1));
        bench.is_elected();
        bench.propose("x");
        assert_eq!(bench.events.is_empty(), !observe);
    }
}
