//! Two of three servers are lost for good, and the third goes on by a forced recovery; then the two come back.

use std::cell::Cell;
use std::time::Duration;

use raft_core::node::{Environment, TokioEnvironment};
use raft_core::{ClusterId, Incarnation, Member, NodeId};
use raft_net::{Net, TcpNet};
use raft_storage::Recovery;

use crate::in_time;
use crate::servers::{Cluster, Life};
use crate::writer::Told;

const OLD: ClusterId = ClusterId(1);
const NEW: ClusterId = ClusterId(2);

/// What was acknowledged is there, a new server joins, and the majority that comes back leads and serves itself alone:
/// neither of the two clusters hears the other one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_majority_that_comes_back_is_a_stranger() {
    let waiting_for = Cell::new("nothing yet");
    in_time(&waiting_for, lose_a_majority_and_meet_it_again(&waiting_for)).await;
}

async fn lose_a_majority_and_meet_it_again(waiting_for: &Cell<&'static str>) {
    let [survivor, second, third, newcomer] = [1, 2, 3, 4].map(NodeId::new);
    let (mut lost, mut told) = (Cluster::start(|_| {}).await, Told::default());
    waiting_for.set("commands before the disaster");
    told.note_all(lost.write("before")).await;
    let before = lost.all_have_applied(told.last()).await;
    for id in [survivor, second, third] {
        lost.crash(id).await;
    }

    waiting_for.set("the survivor to serve alone");
    let recovery = Recovery { id: survivor, groups: Vec::new(), cluster: NEW, incarnation: Incarnation(11) };
    recovery.plan(lost.directory(survivor)).unwrap().carry_out().unwrap();
    let listener = TcpNet.listen("127.0.0.1:0").await.unwrap();
    let mut recovered = lost.another(NEW, Vec::new());
    recovered.peers.insert(newcomer, TcpNet.local_address(&listener).unwrap());
    recovered.start_server(survivor, recovered.listen(survivor).await);
    let mut told_by_recovered = told.clone();
    told_by_recovered.note_all(recovered.write("alone")).await;
    let applied = recovered.all_have_applied(told_by_recovered.last()).await;
    assert!(applied.starts_with(&before), "what was applied before the disaster still is");

    waiting_for.set("the newcomer");
    recovered.start_server(newcomer, listener);
    admit(&recovered.lives[&survivor], survivor, newcomer).await;
    told_by_recovered.note_all(recovered.write("together")).await;
    recovered.all_have_applied(told_by_recovered.last()).await;

    waiting_for.set("the lost majority to lead and serve itself");
    let mut back = lost.another(OLD, vec![survivor, second, third]);
    for id in [second, third] {
        back.start_server(id, back.listen(id).await);
    }
    told.note_all(back.write("back again")).await;
    waiting_for.set("each to turn the other away");
    for life in [&recovered.lives[&survivor], &back.lives[&second], &back.lives[&third]] {
        turns_somebody_away(life).await;
    }

    waiting_for.set("both to have what was written to them, and nothing else");
    told_by_recovered.note_all(recovered.write("at the end")).await;
    told_by_recovered.is_kept_by(&recovered.all_have_applied(told_by_recovered.last()).await);
    told.note_all(back.write("at the end")).await;
    told.is_kept_by(&back.all_have_applied(told.last()).await);
}

/// An ordinary membership change, from one voter to two.
async fn admit(leader: &Life, alone: NodeId, newcomer: NodeId) {
    let membership = leader.handle.membership().await.unwrap();
    assert_eq!(membership.configured.configuration.voters, [Member::bound(alone, Incarnation(11))]);
    let voters = [Member::bound(alone, Incarnation(11)), newcomer.into()];
    let none: [NodeId; 0] = [];
    leader.handle.change_membership(membership.configured.at, voters, none).await.unwrap();
}

/// Waits until it has refused a handshake, or its own was refused.
async fn turns_somebody_away(life: &Life) {
    let clock = TokioEnvironment::new();
    loop {
        if let Some(reason) = life.counters.last_refusal() {
            assert!(reason.contains("belongs to cluster"), "{reason}");
            return;
        }
        clock.sleep_until(clock.now().after(Duration::from_millis(10))).await;
    }
}
