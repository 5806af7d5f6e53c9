//! The page of metrics, as dashboards know it: a name that changes is a graph that ends.

#![cfg(feature = "prometheus")]

use std::time::Duration;

use prometheus_client::encoding::prometheus_text::encode;
use prometheus_client::registry::Registry;
use raft_core::node::{Durations, Metrics, RequestCounts, Status, Waiting};
use raft_core::{
    Counts, EntryId, FollowerProgress, Footprint, Incarnation, LogIndex, NodeId, PaceName, RoleName,
    SnapshotProgress, Term, Time,
};

/// Each number is another one.
fn metrics() -> Metrics {
    let follower = |id, match_index, in_flight_bytes| FollowerProgress {
        follower: NodeId::new(id),
        match_index: LogIndex::new(match_index),
        next_index: LogIndex::new(match_index + 1),
        pace: PaceName::Replicate,
        in_flight_messages: 1,
        in_flight_bytes,
        heard: Time::ZERO,
    };
    let mut applies = Durations::default();
    for micros in [3, 3, 1_500, 4_000_000_000] {
        applies.add(Duration::from_micros(micros));
    }
    Metrics {
        status: Status {
            id: NodeId::new(1),
            incarnation: Incarnation(1),
            current_term: Term::new(101),
            role: RoleName::Leader,
            leader: Some(NodeId::new(102)),
            commit_index: LogIndex::new(103),
            last_log: EntryId::new(Term::new(101), LogIndex::new(104)),
            snapshot_index: LogIndex::new(105),
            damaged: 106,
            suspect: true,
        },
        durable_index: LogIndex::new(107),
        applied_index: LogIndex::new(108),
        followers: vec![follower(2, 100, 109), follower(3, 200, 110)],
        snapshot: Some(SnapshotProgress { index: LogIndex::new(1), bytes: 111, is_sent: true }),
        waiting: Waiting {
            messages: 112,
            requests: 113,
            commands: 114,
            queries: 115,
            transfers: 116,
            writes: 117,
            oldest_write: Duration::from_millis(1_180),
            loads: 119,
            applying: true,
        },
        footprint: Footprint { cached_bytes: 120, ..Footprint::default() },
        requests: RequestCounts {
            commands: 121,
            queries: 122,
            not_leader: 123,
            transferring: 124,
            overloaded: 125,
        },
        counts: Counts {
            pre_votes: 126,
            elections: 300,
            elections_handed_over: 127,
            elections_won: 400,
            elections_won_handed_over: 128,
            leaders_found: 129,
            gave_way_no_majority: 130,
            gave_way_disk_hangs: 131,
            gave_way_removed: 132,
            gave_way_log_damaged: 133,
            entries_damaged: 134,
            entries_repaired: 135,
            entries_dropped: 136,
            entries_lent: 137,
            strangers_dropped: 138,
            votes_ignored: 139,
            appends_rejected: 140,
            snapshots_taken: 141,
            snapshots_failed: 142,
            snapshots_installed: 143,
        },
        messages_received: 144,
        messages_sent: 145,
        writes: 146,
        entries_written: 147,
        bytes_written: 148,
        applies,
    }
}

fn page(metrics: Metrics) -> String {
    let (mut page, mut registry) = (String::new(), Registry::default());
    registry.register_collector(Box::new(metrics));
    encode(&mut page, &registry).unwrap();
    page
}

#[test]
fn everything_is_on_the_page_under_its_name() {
    let page = page(metrics());
    assert!(page == include_str!("page.txt"), "{page}");
}

/// Of a snapshot that is taken here, nothing is received.
#[test]
fn a_snapshot_is_taken_or_received() {
    let snapshot = Some(SnapshotProgress { index: LogIndex::new(1), bytes: 111, is_sent: false });
    let page = page(Metrics { snapshot, ..metrics() });
    for line in [
        "raft_snapshot_progress_bytes{of=\"taking\"} 111",
        "raft_snapshot_progress_bytes{of=\"receiving\"} 0",
    ] {
        assert!(page.lines().any(|other| other == line), "{page}");
    }
}
