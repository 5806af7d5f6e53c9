//! Three real nodes over TCP, each on RocksDB: they lose their leader, and nothing else. Power cuts and bad
//! networks are not here.

mod servers;
mod writer;

use std::cell::Cell;
use std::time::Duration;

use bytes::Bytes;
use raft_core::{Entry, LogIndex, NodeId, Payload};
use raft_net::{Net, TcpNet};
use tokio::time::timeout;

use servers::{Applied, Cluster};
use writer::{COMMANDS, Told};

/// How long all of it may take; it takes a few seconds.
const LIMIT: Duration = Duration::from_secs(60);

/// Three writers go on through the crash and the return of the leader; what was acknowledged to them is in
/// all three logs at the end, at the place that they were told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_loses_its_leader_and_nothing_else() {
    let waiting_for = Cell::new("nothing yet");
    let in_time = timeout(LIMIT, lose_and_regain_a_leader(&waiting_for)).await;
    assert!(in_time.is_ok(), "after {LIMIT:?} it still waits for {}", waiting_for.get());
}

async fn lose_and_regain_a_leader(waiting_for: &Cell<&'static str>) {
    let (mut cluster, mut told) = (Cluster::start().await, Told::default());
    waiting_for.set("the first leader, and a third of the commands");
    let mut answers = cluster.write("first round");
    while told.acknowledged.len() < COMMANDS {
        told.note(answers.recv().await.expect("there are more commands"));
    }
    assert!(told.unknown.is_empty(), "{:?}", told.unknown);

    waiting_for.set("the leader's end");
    let (old_term, old) = cluster.leader.borrow().expect("commands were committed");
    let applied_by_old = cluster.crash(old).await;
    waiting_for.set("the next leader, and the other commands");
    told.note_all(answers).await;
    assert!(told.unknown.len() <= 3, "one connection loses one answer: {:?}", told.unknown);
    let (term, leader) = cluster.leader.borrow().expect("it has led");
    assert!(term > old_term && leader != old, "{leader} leads in {term}");

    waiting_for.set("the old leader, and commands written meanwhile");
    let listener = TcpNet.listen(&cluster.addresses[&old]).await.expect("the address is free");
    cluster.start_server(old, listener);
    let lost = told.unknown.len();
    told.note_all(cluster.write("second round")).await;
    assert_eq!(told.unknown.len(), lost, "nobody went away: {:?}", told.unknown);
    assert_eq!(told.acknowledged.len() + lost, 2 * 3 * COMMANDS);
    assert!(told.hints > 0, "two of three writers turn to followers first");

    waiting_for.set("all three to apply everything");
    let applied = cluster.all_have_applied(told.last()).await;
    told.is_kept_by(&applied);
    assert!(applied.starts_with(&applied_by_old), "what was applied before the crash still is");

    waiting_for.set("all three to shut down");
    let logs = shut_down(cluster).await;
    assert_eq!(logs.len(), 3);
    for log in &logs {
        assert_eq!(commands(log), applied);
        // Who was left alone last may have stood for election, and have begun a term.
        let shared = log.iter().zip(&logs[0]).take_while(|(one, other)| one == other).count();
        assert!(shared as u64 >= told.last().get(), "{:?}", log.get(shared));
    }
}

/// Ends all servers in good order, and returns what is then in their logs.
async fn shut_down(mut cluster: Cluster) -> Vec<Vec<Entry>> {
    let ids: Vec<NodeId> = cluster.addresses.keys().copied().collect();
    for life in std::mem::take(&mut cluster.lives).into_values() {
        life.handle.shutdown().await;
        life.node.await.unwrap().unwrap();
    }
    ids.into_iter().map(|id| cluster.open(id).restored.entries).collect()
}

fn commands(log: &[Entry]) -> Vec<Applied> {
    let command = |entry: &Entry| -> Option<(LogIndex, Bytes)> {
        match &entry.payload {
            Payload::Command(command) => Some((entry.id.index, command.clone())),
            Payload::Noop => None,
        }
    };
    log.iter().filter_map(command).collect()
}
