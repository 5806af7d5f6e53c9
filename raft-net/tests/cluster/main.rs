//! Three real nodes over TCP, each on RocksDB: they lose their leader, or leave one behind that needs a
//! snapshot, and lose nothing else. Power cuts and bad networks are not here.

mod recovery;
mod servers;
mod writer;

use std::cell::Cell;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use raft_core::node::{Done, LogStore};
use raft_core::{Config, Entry, Load, Loaded, LogIndex, NodeId, Payload};
use raft_storage::Opened;
use tokio::time::timeout;

use servers::{Applied, Cluster};
use writer::{COMMANDS, Told};

/// How long all of it may take; it takes a few seconds, and minutes where each of a thousand syncs takes a tenth of one.
const LIMIT: Duration = Duration::from_secs(600);

/// Three writers go on through the crash and the return of the leader; what was acknowledged to them is in
/// all three logs at the end, at the place that they were told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_loses_its_leader_and_nothing_else() {
    let waiting_for = Cell::new("nothing yet");
    in_time(&waiting_for, lose_and_regain_a_leader(&waiting_for)).await;
}

/// A follower is away while the others compact past the end of its log. It comes back by a snapshot, in
/// pieces, and goes on with entries: it ends where the others do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_left_behind_catches_up_by_snapshot() {
    let waiting_for = Cell::new("nothing yet");
    in_time(&waiting_for, leave_a_server_behind(&waiting_for)).await;
}

async fn in_time(waiting_for: &Cell<&'static str>, story: impl Future<Output = ()>) {
    let in_time = timeout(LIMIT, story).await;
    assert!(in_time.is_ok(), "after {LIMIT:?} it still waits for {}", waiting_for.get());
}

async fn lose_and_regain_a_leader(waiting_for: &Cell<&'static str>) {
    let (mut cluster, mut told) = (Cluster::start(|_| {}).await, Told::default());
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
    let listener = cluster.listen(old).await;
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
    for address in cluster.addresses.values() {
        assert_eq!(
            writer::read(address).await,
            applied.len() as u64,
            "a follower's clients see all of it, too"
        );
    }

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

async fn leave_a_server_behind(waiting_for: &Cell<&'static str>) {
    let often = |config: &mut Config| {
        config.snapshot_entries = 50;
        config.snapshot_trailing = 10;
        config.snapshot_chunk_bytes = 1024;
    };
    let (mut cluster, mut told) = (Cluster::start(often).await, Told::default());
    waiting_for.set("the first leader, and all to apply the first commands");
    told.note_all(cluster.write("first round")).await;
    cluster.all_have_applied(told.last()).await;

    waiting_for.set("a follower's end");
    let (_, leader) = cluster.leader.borrow().expect("commands were committed");
    let away = *cluster.addresses.keys().find(|id| **id != leader).expect("there are three");
    let applied_before = cluster.crash(away).await;
    let last = cluster.open(away).restored.log.last().index;
    waiting_for.set("the others to compact past the end of its log");
    told.note_all(cluster.write("second round")).await;
    for life in cluster.lives.values_mut() {
        life.has_compacted_past(last).await;
    }

    waiting_for.set("the one that was away, and the snapshot for it");
    let listener = cluster.listen(away).await;
    cluster.start_server(away, listener);
    let life = cluster.lives.get_mut(&away).expect("it has been started");
    life.has_installed_past(last).await;
    assert!(life.handle.status().await.is_some_and(|status| status.snapshot_index > last));

    waiting_for.set("all three to apply everything");
    told.note_all(cluster.write("third round")).await;
    let applied = cluster.all_have_applied(told.last()).await;
    told.is_kept_by(&applied);
    assert!(applied.starts_with(&applied_before), "what was applied before the crash still is");

    waiting_for.set("all three to shut down");
    for log in shut_down(cluster).await {
        let commands = commands(&log);
        assert!(commands.len() < applied.len(), "a snapshot stands for the first ones");
        assert!(applied.ends_with(&commands), "{:?}", commands.first());
    }
}

/// Ends all servers in good order, and returns what is then in their logs.
async fn shut_down(mut cluster: Cluster) -> Vec<Vec<Entry>> {
    let ids: Vec<NodeId> = cluster.addresses.keys().copied().collect();
    for life in std::mem::take(&mut cluster.lives).into_values() {
        life.handle.shutdown().await;
        life.node.await.unwrap().unwrap();
    }
    let mut logs = Vec::new();
    for id in ids {
        logs.push(read_log(cluster.open(id)).await);
    }
    logs
}

async fn read_log<S: LogStore>(Opened { mut store, restored, .. }: Opened<S>) -> Vec<Entry> {
    let (from, to) = (restored.log.base().index.next(), restored.log.last().index);
    store.load(Load::Entries { from, to, bytes_max: 1024 * 1024 });
    let Done::Loaded(Loaded::Entries { entries, .. }) = store.done().await.unwrap() else {
        panic!("nothing but entries was asked for");
    };
    entries
}

fn commands(log: &[Entry]) -> Vec<Applied> {
    let command = |entry: &Entry| -> Option<(LogIndex, Bytes)> {
        match &entry.payload {
            Payload::Command(command) => Some((entry.id.index, command.clone())),
            Payload::Noop | Payload::Configuration(_) => None,
        }
    };
    log.iter().filter_map(command).collect()
}
