//! Nodes on tokio's paused clock, with channels for a network: what the loop does with the core's effects.
#![cfg(feature = "tokio")]

mod damage;
mod disk_share;
mod leases;
mod load;
mod membership;
mod metrics;
mod reads;
mod sessions;
mod snapshots;
mod transfer;
mod world;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use raft_core::node::{
    Environment, Handle, Node, NodeError, Outcome, Refusal, StateMachine, TokioEnvironment,
};
use raft_core::{Config, NodeId, Raft, Restored, RoleName, Time};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use world::{BrokenStore, Channels, Counter, QuickStore, Trouble};

struct Cluster {
    handles: Vec<Handle>,
    tasks: Vec<JoinHandle<Result<(), NodeError<Infallible>>>>,
    cut_off: Arc<AtomicU64>,
    hung: Arc<AtomicU64>,
}

fn raft(id: NodeId, voters: &[NodeId]) -> Raft {
    Raft::new(config(id, voters), Restored::default(), Time::ZERO).unwrap()
}

fn config(id: NodeId, voters: &[NodeId]) -> Config {
    Config { snapshot_trailing: 0, snapshot_chunk_bytes: 4, ..Config::new(id, voters.to_vec()) }
}

fn cluster(size: u64) -> Cluster {
    troubled_cluster(size, Trouble::None)
}

fn troubled_cluster(size: u64, trouble: Trouble) -> Cluster {
    cluster_of(size, trouble, |_| {})
}

fn cluster_of(size: u64, trouble: Trouble, configure: fn(&mut Config)) -> Cluster {
    let environment = TokioEnvironment::new();
    cluster_in(size, trouble, configure, |_| environment)
}

fn cluster_in<E: Environment>(
    size: u64,
    trouble: Trouble,
    configure: fn(&mut Config),
    environment: impl Fn(NodeId) -> E,
) -> Cluster {
    cluster_with(size, || Counter { trouble, ..Counter::default() }, configure, environment)
}

fn cluster_with<M: StateMachine, E: Environment>(
    size: u64,
    machine: impl Fn() -> M,
    configure: fn(&mut Config),
    environment: impl Fn(NodeId) -> E,
) -> Cluster {
    let voters: Vec<NodeId> = (1..=size).map(NodeId::new).collect();
    let (mut channels, mut inboxes) = (Channels::default(), Vec::new());
    for &id in &voters {
        let (sender, inbox) = mpsc::channel(1024);
        channels.inboxes.insert(id, sender);
        inboxes.push(inbox);
    }
    let hung = Arc::new(AtomicU64::new(0));
    let start = |(&id, inbox): (&NodeId, _)| {
        let store = QuickStore::of(id, hung.clone());
        let mut config = config(id, &voters);
        configure(&mut config);
        let raft = Raft::new(config, Restored::default(), Time::ZERO).unwrap();
        let (node, handle) = Node::new(raft, store, channels.clone(), machine(), environment(id), inbox);
        (handle, tokio::spawn(node.run()))
    };
    let (handles, tasks) = voters.iter().zip(inboxes).map(start).unzip();
    Cluster { handles, tasks, cut_off: channels.cut_off, hung }
}

impl Cluster {
    fn id(place: usize) -> NodeId {
        NodeId::new(place as u64 + 1)
    }

    /// Proposes until a leader takes it; where each node sends one to.
    async fn propose(&self, command: &'static str) -> (usize, Bytes) {
        loop {
            for (place, handle) in self.handles.iter().enumerate() {
                match handle.propose(command.into()).await {
                    Outcome::Applied { answer, .. } => return (place, answer),
                    Outcome::NotApplied(_) | Outcome::Unknown => {}
                }
            }
            // The clock is paused: this is when time passes.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn three_nodes_commit_lose_their_leader_and_go_on() {
    let cluster = cluster(3);
    let (first, answer) = cluster.propose("a").await;
    assert_eq!(answer, "1");
    cluster.tasks[first].abort();
    let (second, answer) = cluster.propose("b").await;
    assert_ne!(second, first);
    assert_eq!(answer, "2");
    let term = cluster.handles[second].status().await.unwrap().current_term;
    assert!(term.get() >= 2);
}

/// Its entries leave in parallel with its disk, and the others commit what they have of them.
#[tokio::test(start_paused = true)]
async fn a_leader_whose_disk_hangs_gives_way_and_the_others_go_on() {
    let cluster = cluster(3);
    let (old, _) = cluster.propose("a").await;
    cluster.hung.store(Cluster::id(old).get(), Ordering::Relaxed);
    let handle = cluster.handles[old].clone();
    let ask = tokio::spawn(async move { handle.propose("b".into()).await });
    let outcome = tokio::time::timeout(Duration::from_secs(60), ask).await.unwrap().unwrap();
    assert!(matches!(outcome, Outcome::Applied { .. }), "{outcome:?}");
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (new, answer) = cluster.propose("c").await;
    assert_ne!(new, old);
    assert_eq!(answer, "3");
}

#[tokio::test(start_paused = true)]
async fn a_follower_says_who_leads() {
    let cluster = cluster(3);
    let (leader, _) = cluster.propose("a").await;
    let follower = &cluster.handles[(leader + 1) % 3];
    let hint = NodeId::new(leader as u64 + 1);
    let outcome = follower.propose("b".into()).await;
    assert_eq!(outcome, Outcome::NotApplied(Refusal::NotLeader { leader: Some(hint) }));
    assert_eq!(follower.status().await.unwrap().role, RoleName::Follower);
}

#[tokio::test(start_paused = true)]
async fn proposals_that_wait_together_are_all_answered() {
    let cluster = cluster(3);
    let (leader, _) = cluster.propose("a").await;
    let asks: Vec<_> = (0..500)
        .map(|_| {
            let handle = cluster.handles[leader].clone();
            tokio::spawn(async move { handle.propose("b".into()).await })
        })
        .collect();
    let mut answers: Vec<u64> = Vec::new();
    for ask in asks {
        match ask.await.unwrap() {
            Outcome::Applied { answer, .. } => {
                answers.push(String::from_utf8_lossy(&answer).parse().unwrap())
            }
            other @ (Outcome::NotApplied(_) | Outcome::Unknown) => panic!("{other:?}"),
        }
    }
    answers.sort_unstable();
    assert_eq!(answers, (2..=501).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_shut_down_ends_and_answers_no_more() {
    let mut cluster = cluster(1);
    cluster.propose("a").await;
    cluster.handles[0].shutdown().await;
    cluster.tasks.remove(0).await.unwrap().unwrap();
    assert_eq!(cluster.handles[0].propose("b".into()).await, Outcome::NotApplied(Refusal::Stopped));
    assert_eq!(cluster.handles[0].status().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_command_on_its_way_when_the_node_goes_is_unknown() {
    let mut cluster = cluster(3);
    let (leader, _) = cluster.propose("a").await;
    for place in (0..3).filter(|&place| place != leader) {
        cluster.tasks[place].abort();
    }
    let handle = cluster.handles[leader].clone();
    let ask = tokio::spawn(async move { handle.propose("b".into()).await });
    // The leader has taken it in once it answers a later question.
    tokio::task::yield_now().await;
    assert!(cluster.handles[leader].status().await.is_some());
    cluster.tasks.remove(leader).abort();
    assert_eq!(ask.await.unwrap(), Outcome::Unknown);
}

/// Two commands are lost with their leader's term; the next term's log ends before the second one's index.
#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_lost_entry_is_told_even_if_nothing_follows() {
    let cluster = cluster(3);
    let (leader, _) = cluster.propose("a").await;
    cluster.cut_off.store(leader as u64 + 1, Ordering::Relaxed);
    let ask = || {
        let handle = cluster.handles[leader].clone();
        tokio::spawn(async move { handle.propose("lost".into()).await })
    };
    let asks = [ask(), ask()];
    let other = &cluster.handles[(leader + 1) % 3];
    while other
        .status()
        .await
        .is_none_or(|status| status.leader.is_none_or(|led| led == NodeId::new(leader as u64 + 1)))
    {
        // The clock is paused: this is when time passes.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    cluster.cut_off.store(0, Ordering::Relaxed);
    for ask in asks {
        let outcome = tokio::time::timeout(std::time::Duration::from_secs(60), ask).await;
        let outcome = outcome.expect("both are told").unwrap();
        assert!(matches!(outcome, Outcome::NotApplied(Refusal::NotLeader { .. })), "{outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_state_machine_that_panics_ends_its_node() {
    let mut cluster = cluster(1);
    cluster.propose("a").await;
    assert_eq!(cluster.handles[0].propose("panic".into()).await, Outcome::Unknown);
    let ended = cluster.tasks.remove(0).await.unwrap();
    assert!(matches!(ended, Err(NodeError::StateMachine)), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_store_fails_stops_and_says_why() {
    let id = NodeId::new(1);
    let (_sender, inbox) = mpsc::channel(1);
    let store = BrokenStore { written: false };
    let environment = TokioEnvironment::new();
    let (node, handle) =
        Node::new(raft(id, &[id]), store, Channels::default(), Counter::default(), environment, inbox);
    let ended = node.run().await.unwrap_err();
    assert_eq!(ended.to_string(), "log store: no space left");
    assert_eq!(handle.propose("a".into()).await, Outcome::NotApplied(Refusal::Stopped));
}
