//! "Consensus: Bridging Theory and Practice", section 6.4.1: leases.

use std::time::Duration;

use raft_core::{Config, ConfigError, Event, LogIndex, Message, NodeId, PreVoteReply, Raft, Restored, Time};

use crate::bench::{Bench, config, heartbeat, id, pre_vote, vote};
use crate::reads::leader;

const MS: Duration = Duration::from_millis(1);
const NS: Duration = Duration::from_nanos(1);
const SHORTEST: Duration = Duration::from_millis(150);

/// With leases, and clocks that may differ by a quarter.
fn leases() -> Config {
    Config { read_lease_ppm: Some(250_000), ..config(3) }
}

/// "Once the leader's heartbeats were acknowledged by a majority of the cluster, the leader would extend its lease to
/// start + election timeout / clock drift bound". Until then, and not a nanosecond longer; start is when the
/// round was sent.
#[test]
pub(crate) fn a_lease_lasts_for_the_election_timeout_by_the_bound_on_clock_drift() {
    for (ppm, lasts) in [(0, SHORTEST), (250_000, 120 * MS), (1_000_000, 75 * MS), (u32::MAX, 34_916 * NS)] {
        let mut bench = leader(Config { read_lease_ppm: Some(ppm), ..config(3) });
        let start = bench.now;
        bench.read(1);
        bench.wait(lasts / 2);
        bench.confirm(3);
        bench.now = start.after(lasts - NS);
        bench.read(2);
        let by_lease = Event::ReadsConfirmed { read_index: LogIndex::new(1), by_lease: true };
        assert!(bench.events.contains(&by_lease), "{ppm}");
        bench.now = start.after(lasts);
        bench.read(3);
        assert_eq!(bench.take_reads(), [(1, Some(1)), (2, Some(1))], "{ppm}");
    }
}

/// They are off unless asked for.
#[test]
pub(crate) fn without_leases_every_read_takes_a_round() {
    let mut bench = leader(config(3));
    for name in 1..=9 {
        bench.read(name);
        assert_eq!(bench.take_reads(), []);
        bench.confirm(2);
        assert_eq!(bench.take_reads(), [(name, Some(1))]);
    }
}

/// A lease is the leader's own: the next reign begins without.
#[test]
pub(crate) fn a_lease_ends_with_the_reign() {
    let mut bench = leader(leases());
    bench.read(1);
    bench.confirm(2);
    bench.hear(2, 2, Message::PreVoteReply(PreVoteReply { vote_granted: false, suspect: false }));
    bench.is_elected();
    bench.read(2);
    assert_eq!(bench.take_reads(), [(1, Some(1))]);
}

/// R8 (https://github.com/tikv/raft-rs/pull/141): nobody keeps a promise that was never given.
#[test]
pub(crate) fn a_lease_needs_check_quorum() {
    let config = Config { check_quorum: false, ..leases() };
    let refused = Raft::new(config, Restored::default(), Time::ZERO).unwrap_err();
    assert_eq!(refused, ConfigError::LeaseWithoutCheckQuorum);
    assert_eq!(
        refused.to_string(),
        "read_lease_ppm: leases need check_quorum, which is off; set it, or no leases"
    );
}

/// "a leader would need to expire its lease before transferring leadership", and gets no other: TimeoutNow may come
/// late.
#[test]
pub(crate) fn a_leader_expires_its_lease_before_it_transfers_leadership() {
    let mut bench = leader(leases());
    bench.read(1);
    bench.confirm(2);
    bench.read(2);
    bench.raft.transfer_leadership(NodeId::new(2)).unwrap();
    bench.read(3);
    assert_eq!(bench.take_reads(), [(1, Some(1)), (2, Some(1))]);
    bench.confirm(3);
    bench.read(4);
    assert_eq!(bench.take_reads(), [(3, Some(1))]);
}

/// What a lease rests on (thesis 4.2.3), and goes beyond: a server that has acknowledged a leader hears no vote for
/// the shortest election timeout, though it starts again, or hears of a higher term. Without leases it may.
#[test]
pub(crate) fn with_leases_neither_a_restart_nor_a_higher_term_frees_a_follower() {
    for (config, free) in [(config(3), true), (leases(), false)] {
        for message in [vote(id(9, 9)), pre_vote(id(9, 9))] {
            let mut restarted = Bench::with_log(config.clone(), &[], 4);
            restarted.wait(SHORTEST - NS);
            restarted.hear(3, 5, message.clone());
            assert_eq!(!restarted.said.is_empty(), free, "{message:?}");
            restarted.wait(NS);
            restarted.hear(3, 5, message.clone());
            assert!(!restarted.said.is_empty(), "{message:?}");

            let mut follower = Bench::with_log(config.clone(), &[], 4);
            follower.wait(100 * MS);
            follower.hear(2, 4, heartbeat());
            follower.hear(3, 5, Message::PreVoteReply(PreVoteReply { vote_granted: false, suspect: false }));
            follower.wait(SHORTEST - NS);
            follower.said.clear();
            follower.hear(3, 6, message.clone());
            assert_eq!(!follower.said.is_empty(), free, "{message:?}");
            follower.wait(NS);
            follower.said.clear();
            follower.hear(3, 6, message.clone());
            assert!(!follower.said.is_empty(), "{message:?}");
        }
    }
}
