//! Members that go: what those are told who wait at them.

use super::*;

/// Clients ask without a pause while the leader is removed: what came in behind the removal stays in its log, and the others
/// tell it nothing any more.
#[tokio::test(start_paused = true)]
async fn a_leader_that_is_removed_lets_nobody_wait() {
    const CLIENTS: usize = 8;
    // One entry at a time, so that some wait behind the one that removes the leader.
    let cluster = cluster_of(3, Trouble::None, |config| {
        config.append_window = 1;
        config.append_bytes_max = 1;
    });
    let (leader, _) = cluster.propose("a").await;
    let handle = &cluster.handles[leader];
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let handle = handle.clone();
            tokio::spawn(async move {
                // No time passes while they ask: where the leader leads on, that has to come to an end.
                for _ in 0..10_000 {
                    match handle.propose("b".into()).await {
                        Outcome::Applied { .. } => {}
                        other @ (Outcome::NotApplied(_) | Outcome::Unknown) => return other,
                    }
                }
                panic!("it was not removed")
            })
        })
        .collect();
    let others = (0..3).filter(|&place| place != leader).map(Cluster::id);
    let (at, learners) = (handle.membership().await.unwrap().configured.at, Vec::<NodeId>::new());
    handle.change_membership(at, others, learners).await.unwrap();
    let mut unknown = 0;
    for client in clients {
        let outcome = tokio::time::timeout(Duration::from_secs(60), client).await;
        match outcome.expect("each is told").unwrap() {
            Outcome::Unknown => unknown += 1,
            Outcome::NotApplied(Refusal::NotLeader { .. }) => {}
            other @ (Outcome::NotApplied(_) | Outcome::Applied { .. }) => panic!("{other:?}"),
        }
    }
    assert!(unknown > 0, "nobody asked behind the removal");
    assert!(handle.membership().await.unwrap().removed.is_some());
}
