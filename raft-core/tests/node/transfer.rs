//! Leadership transfer on nodes (thesis 3.10): where leadership goes, and what the asker hears of it.

use super::*;
use raft_core::TransferError;
use raft_core::node::NotTransferred;

#[tokio::test(start_paused = true)]
async fn leadership_goes_where_it_is_wanted() {
    let cluster = cluster(3);
    let (leader, _) = cluster.propose("a").await;
    let wanted = (leader + 1) % 3;
    assert_eq!(cluster.handles[leader].transfer(Cluster::id(wanted)).await, Ok(()));
    assert_eq!(cluster.handles[wanted].status().await.unwrap().role, RoleName::Leader);
    assert_eq!(cluster.propose("b").await, (wanted, Bytes::from("2")));
}

#[tokio::test(start_paused = true)]
async fn leadership_that_cannot_go_stays_and_takes_no_commands_meanwhile() {
    let cluster = cluster(3);
    let (leader, _) = cluster.propose("a").await;
    let wanted = Cluster::id((leader + 1) % 3);
    cluster.cut_off.store(wanted.get(), Ordering::Relaxed);
    let handle = cluster.handles[leader].clone();
    let transfer = tokio::spawn(async move { handle.transfer(wanted).await });
    tokio::task::yield_now().await;
    let refused = cluster.handles[leader].propose("b".into()).await;
    assert_eq!(refused, Outcome::NotApplied(Refusal::Transferring { to: wanted }));
    let stayed = NotTransferred::Elsewhere { leader: Cluster::id(leader) };
    assert_eq!(transfer.await.unwrap(), Err(stayed));
    assert_eq!(cluster.propose("c").await, (leader, Bytes::from("2")));
}

#[tokio::test(start_paused = true)]
async fn a_transfer_that_makes_no_sense_is_refused() {
    let cluster = cluster(3);
    let (place, _) = cluster.propose("a").await;
    let (leader, follower) = (Cluster::id(place), (place + 1) % 3);
    let not_leader = TransferError::NotLeader { leader: Some(leader) };
    for (place, to, why) in [
        (follower, leader, not_leader),
        (place, leader, TransferError::ToItself),
        (place, NodeId::new(9), TransferError::NotVoter),
    ] {
        let refused = NotTransferred::Refused(why);
        assert_eq!(cluster.handles[place].transfer(to).await, Err(refused), "{refused}");
    }
}
