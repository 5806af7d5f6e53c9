//! Members that go: what those are told who wait at them.

use super::*;

/// Clients ask without a pause while the leader is removed: what came in behind the removal stays in its log, and the others
/// tell it nothing any more.
#[tokio::test(start_paused = true)]
async fn a_leader_that_is_removed_lets_nobody_wait() {
    const CLIENTS: usize = 8;
    let cluster = cluster(3);
    let (leader, _) = cluster.propose("a").await;
    let handle = &cluster.handles[leader];
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let handle = handle.clone();
            tokio::spawn(async move {
                loop {
                    match handle.propose("b".into()).await {
                        Outcome::Applied { .. } => {}
                        other @ (Outcome::NotApplied(_) | Outcome::Unknown) => return other,
                    }
                }
            })
        })
        .collect();
    let others = (0..3).filter(|&place| place != leader).map(Cluster::id);
    let (at, learners): (_, [NodeId; 0]) =
        (handle.membership().await.unwrap().configured.at, Default::default());
    handle.change_membership(at, others, learners).await.unwrap();
    let mut unknown = 0;
    for client in clients {
        let outcome = tokio::time::timeout(Duration::from_secs(60), client).await;
        match outcome.expect("each is told").unwrap() {
            Outcome::Unknown => unknown += 1,
            other => assert!(matches!(other, Outcome::NotApplied(Refusal::NotLeader { .. })), "{other:?}"),
        }
    }
    assert!(unknown > 0, "nobody asked behind the removal");
    assert!(handle.membership().await.unwrap().removed.is_some());
}
