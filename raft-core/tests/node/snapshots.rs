//! Snapshots on nodes: taken beside all else, sent to who lags, and what becomes of those who wait (§7).

use super::*;
use raft_core::{Batch, Entry, EntryId, HardState, LogIndex, Payload, Term};

impl Cluster {
    /// Cuts one node off, or nobody.
    fn cut_off(&self, place: Option<usize>) {
        self.cut_off.store(place.map_or(0, |place| Self::id(place).get()), Ordering::Relaxed);
    }

    /// Waits until a node's status is as it should be.
    async fn wait_for(&self, place: usize, is_so: impl Fn(&raft_core::node::Status) -> bool) {
        let so = async {
            while !self.handles[place].status().await.as_ref().is_some_and(&is_so) {
                // The clock is paused: this is when time passes.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), so).await.expect("within a minute");
    }

    /// Takes a snapshot on one node and waits until it has it.
    async fn snapshot(&self, place: usize) -> LogIndex {
        let commit = self.handles[place].status().await.unwrap().commit_index;
        self.handles[place].snapshot().await;
        self.wait_for(place, |status| status.snapshot_index >= commit).await;
        commit
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_lags_behind_gets_the_snapshot_and_goes_on_from_there() {
    let cluster = cluster(3);
    let (leader, _) = cluster.propose("a").await;
    let lagging = (leader + 1) % 3;
    cluster.cut_off(Some(lagging));
    for _ in 0..20 {
        assert_eq!(cluster.propose("b").await.0, leader);
    }
    let snapshot = cluster.snapshot(leader).await;
    cluster.cut_off(None);
    cluster.wait_for(lagging, |status| status.snapshot_index >= snapshot).await;
    // Once it leads, its state machine answers: it has counted what it never applied.
    loop {
        cluster.cut_off(Some(cluster.propose("c").await.0));
        tokio::time::sleep(Duration::from_secs(2)).await;
        cluster.cut_off(None);
        let (leader, answer) = cluster.propose("d").await;
        if leader == lagging {
            let count: u64 = String::from_utf8_lossy(&answer).parse().unwrap();
            assert!(count > 22, "{count}");
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_never_ends_stops_nothing() {
    let cluster = troubled_cluster(3, Trouble::Endless);
    let (leader, _) = cluster.propose("a").await;
    cluster.handles[leader].snapshot().await;
    for expected in 2..200 {
        let (place, answer) = cluster.propose("b").await;
        assert_eq!((place, answer), (leader, Bytes::from(expected.to_string())));
    }
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_cannot_be_taken_stops_nothing() {
    let cluster = troubled_cluster(1, Trouble::NotTaken);
    cluster.propose("a").await;
    cluster.handles[0].snapshot().await;
    assert_eq!(cluster.propose("b").await.1, "2");
    assert_eq!(cluster.handles[0].status().await.unwrap().snapshot_index, LogIndex::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_cannot_be_restored_ends_the_node_with_the_reason() {
    let mut cluster = troubled_cluster(3, Trouble::NotRestored);
    let (leader, _) = cluster.propose("a").await;
    let lagging = (leader + 1) % 3;
    cluster.cut_off(Some(lagging));
    cluster.propose("b").await;
    cluster.snapshot(leader).await;
    cluster.cut_off(None);
    let ended = tokio::time::timeout(Duration::from_secs(60), cluster.tasks.remove(lagging)).await;
    let error = ended.expect("it ends").unwrap().unwrap_err();
    assert_eq!(error.to_string(), "state machine: restoring a snapshot: this is not mine");
}

/// What an old leader was asked for may have been committed by others: its own log, which would tell, is gone.
#[tokio::test(start_paused = true)]
async fn whoever_waits_for_what_a_snapshot_replaced_is_told_that_nobody_knows() {
    let cluster = cluster(3);
    let (old, _) = cluster.propose("a").await;
    cluster.cut_off(Some(old));
    let handle = cluster.handles[old].clone();
    let ask = tokio::spawn(async move { handle.propose("lost".into()).await });
    let leads = |place: usize| {
        let handle = &cluster.handles[place];
        async move { handle.status().await.is_some_and(|status| status.role == RoleName::Leader) }
    };
    let (one, two) = ((old + 1) % 3, (old + 2) % 3);
    let new = loop {
        if leads(one).await {
            break one;
        }
        if leads(two).await {
            break two;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    for _ in 0..5 {
        assert!(matches!(cluster.handles[new].propose("b".into()).await, Outcome::Applied { .. }));
    }
    let snapshot = cluster.snapshot(new).await;
    cluster.cut_off(None);
    cluster.wait_for(old, |status| status.snapshot_index >= snapshot).await;
    let outcome = tokio::time::timeout(Duration::from_secs(60), ask).await.expect("it is told").unwrap();
    assert_eq!(outcome, Outcome::Unknown);
}

/// A state machine that keeps what it has applied is not given it again.
#[tokio::test(start_paused = true)]
async fn a_durable_state_machine_goes_on_where_it_was() {
    let id = NodeId::new(1);
    let entry = |index| {
        let id = EntryId::new(Term::new(1), LogIndex::new(index));
        Entry::new(id, Payload::Command("old".into()))
    };
    let mut store = QuickStore::default();
    let hard_state = Some(HardState { current_term: Term::new(1), voted_for: None });
    store.stored.apply(Batch { hard_state, entries: (1..=5).map(entry).collect(), ..Batch::default() });
    let config = Config { durable_state_machine: true, ..config(id, &[id]) };
    let raft = Raft::new(config, store.stored.restored(), Time::ZERO).unwrap();
    let machine = Counter { count: 3, durable: LogIndex::new(3), ..Counter::default() };
    let (_sender, inbox) = mpsc::channel(1);
    let environment = TokioEnvironment::new();
    let (node, handle) = Node::new(raft, store, Channels::default(), machine, environment, inbox);
    tokio::spawn(node.run());
    let answer = loop {
        match handle.propose("new".into()).await {
            Outcome::Applied { answer, .. } => break answer,
            Outcome::NotApplied(_) | Outcome::Unknown => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    };
    assert_eq!(answer, "6", "4 and 5 are applied, 1 to 3 are not applied again");
}

#[tokio::test(start_paused = true)]
async fn a_state_machine_ahead_of_its_log_ends_the_node() {
    let id = NodeId::new(1);
    let machine = Counter { durable: LogIndex::new(7), ..Counter::default() };
    let (_sender, inbox) = mpsc::channel(1);
    let store = QuickStore::default();
    let environment = TokioEnvironment::new();
    let (node, _handle) = Node::new(raft(id, &[id]), store, Channels::default(), machine, environment, inbox);
    let ended = node.run().await.unwrap_err();
    let reason = "raft: the state machine has applied entry 7, which the log does not have";
    assert_eq!(ended.to_string(), reason);
}
