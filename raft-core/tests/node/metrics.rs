//! What a node measures of itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use raft_core::node::{Metrics, Outcome, Refusal};
use raft_core::{Counts, PaceName, RoleName};
use tokio::time::sleep;

use super::{Cluster, cluster, cluster_of};

async fn metrics(cluster: &Cluster, place: usize) -> Metrics {
    cluster.handles[place].metrics().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_cluster_at_work_shows_in_its_numbers() {
    let cluster = cluster(3);
    let (leader, _) = cluster.propose("four").await;
    for _ in 0..9 {
        assert!(matches!(cluster.handles[leader].propose("four".into()).await, Outcome::Applied { .. }));
    }
    assert!(cluster.handles[leader].read("".into()).await.is_ok());
    let follower = (leader + 1) % 3;
    let refused = cluster.handles[follower].propose("four".into()).await;
    assert!(matches!(refused, Outcome::NotApplied(Refusal::NotLeader { .. })));
    sleep(Duration::from_millis(200)).await;

    let found = metrics(&cluster, leader).await;
    assert_eq!(found.status, cluster.handles[leader].status().await.unwrap());
    assert_eq!(found.status.role, RoleName::Leader);
    // Ten commands, and the no-op before them.
    let last = found.status.last_log.index;
    assert_eq!(last.get(), 11);
    assert_eq!((found.durable_index, found.applied_index, found.status.commit_index), (last, last, last));
    assert_eq!((found.requests.commands, found.requests.queries), (10, 1));
    assert_eq!((found.entries_written, found.bytes_written), (11, 40));
    assert!(found.writes >= 10 && found.messages_sent > 20 && found.messages_received > 20, "{found:?}");
    assert_eq!((found.counts.elections, found.counts.elections_won, found.counts.leaders_found), (1, 1, 1));
    assert_eq!(found.followers.len(), 2);
    for known in &found.followers {
        assert_eq!(
            (known.match_index, known.next_index, known.pace),
            (last, last.next(), PaceName::Replicate)
        );
        assert_eq!((known.in_flight_messages, known.in_flight_bytes), (0, 0));
    }
    assert_eq!((found.waiting.commands, found.waiting.queries, found.waiting.writes), (0, 0, 0));
    assert_eq!((found.waiting.oldest_write, found.waiting.applying), (Duration::ZERO, false));

    let found = metrics(&cluster, follower).await;
    assert_eq!((found.applied_index, found.entries_written, found.followers.len()), (last, 11, 0));
    let counts = Counts { leaders_found: 1, ..Counts::default() };
    assert_eq!(Counts { pre_votes: 0, votes_ignored: 0, ..found.counts }, counts);
    // Whoever looked for a leader asked this one, too.
    assert!(found.requests.not_leader >= 1 && found.requests.commands == 0);
}

/// A disk that hangs shows in what is not durable, and for how long; then in why the leader gave way.
#[tokio::test(start_paused = true)]
async fn a_hanging_disk_shows_in_its_numbers() {
    let cluster = cluster_of(3, super::Trouble::None, |config| config.disk_patience = Duration::from_secs(2));
    let (leader, _) = cluster.propose("a").await;
    let before = metrics(&cluster, leader).await;
    cluster.hung.store(Cluster::id(leader).get(), Ordering::Relaxed);
    let handle = cluster.handles[leader].clone();
    let ask = tokio::spawn(async move { handle.propose("b".into()).await });
    sleep(Duration::from_secs(1)).await;
    let found = metrics(&cluster, leader).await;
    assert_eq!(found.durable_index, before.durable_index);
    assert_eq!(found.status.commit_index, before.status.commit_index.next(), "the others have it");
    assert!(
        found.waiting.writes > 0 && found.waiting.oldest_write >= Duration::from_millis(900),
        "{found:?}"
    );
    sleep(Duration::from_secs(3)).await;
    let found = metrics(&cluster, leader).await;
    assert_eq!((found.counts.gave_way_disk_hangs, found.counts.gave_way_no_majority), (1, 0));
    drop(ask);
}

/// Those who are turned away at the door, for their number or for how long their commands are, are counted, though the node
/// never sees them.
#[tokio::test(start_paused = true)]
async fn who_is_turned_away_is_counted() {
    // On one thread the node takes nothing in while they ask: 16 Ki may wait, and 16 MiB.
    for (clients, bytes, waiting) in [(20_000, 1, 16_384), (100, 1 << 20, 16), (3, 8 << 20, 2)] {
        let cluster = cluster(1);
        let (leader, _) = cluster.propose("a").await;
        let refused = Arc::new(AtomicU64::new(0));
        let command = Bytes::from(vec![b'b'; bytes]);
        let asks = (0..clients).map(|_| {
            let (handle, refused) = (cluster.handles[leader].clone(), refused.clone());
            let command = command.clone();
            tokio::spawn(async move {
                if handle.propose(command).await == Outcome::NotApplied(Refusal::Overloaded) {
                    refused.fetch_add(1, Ordering::Relaxed);
                }
            })
        });
        for ask in asks.collect::<Vec<_>>() {
            ask.await.unwrap();
        }
        let found = metrics(&cluster, leader).await;
        let refused = refused.load(Ordering::Relaxed);
        assert_eq!(refused, clients - waiting, "{clients} of {bytes} B");
        assert_eq!((found.requests.overloaded, found.requests.commands), (refused, 1 + waiting));
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_has_stopped_measures_nothing() {
    let cluster = cluster(1);
    cluster.propose("a").await;
    cluster.handles[0].shutdown().await;
    assert_eq!(cluster.handles[0].metrics().await, None);
}
