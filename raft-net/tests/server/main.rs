//! Servers as their users have them, over TCP and on RocksDB.

mod cancel;
mod clocks;
#[path = "../../examples/counters.rs"]
#[expect(unreachable_pub, reason = "it is a program of its own")]
mod counters;
mod durable;
#[cfg(feature = "test-version")]
mod versions;
mod world;

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use raft_core::node::{Environment, Refusal, SystemEnvironment};
use raft_core::server::{Coded as _, Failed, Server, Why};
use raft_core::sessions::Request as InSession;
use raft_core::{ClusterId, LogIndex, NodeId};
use raft_net::{Ask, Client, Frame, FrameReader, Hello, Outcome, Party, Request, Response, TcpNet, Versions};
use tokio::io::AsyncWriteExt;

use world::{Cluster, Command, ELECTION, List, Mood, for_a_while, hears_a_leader};

/// The example adds all up, whoever leads.
#[test]
fn counters_count_each_addition_once() {
    counters::main().unwrap();
}

/// All that a server can be asked, then a shutdown that hands over, and a start where it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_asked_handed_over_stopped_and_started_again() {
    let mut cluster = Cluster::start(3, |_| {}).await;
    let leader = cluster.leader().await;
    let first = leader.status().id;
    assert_eq!(leader.propose(Command::Push(7)).await, Ok(1));
    for server in cluster.servers.values() {
        // One that started late may not have heard of the leader yet: a majority goes on without it.
        hears_a_leader(server).await;
        assert_eq!(server.read(()).await, Ok(vec![7]));
        assert_eq!(server.read_stale((), Duration::from_secs(60)).await, Ok(vec![7]));
    }
    let refused = cluster.other_than(first).propose(Command::Push(8)).await;
    let not_leader = Why::Refused(Refusal::NotLeader { leader: Some(first) });
    assert_eq!(refused, Err(Failed::NotApplied(not_leader)));

    let session = leader.session().await.unwrap();
    assert_eq!(session.propose(Command::Push(8)).await, Ok(2));
    session.end().await.unwrap();
    let client = cluster.client();
    assert_eq!(client.propose(Command::Push(9)).await, Ok(3));
    assert_eq!(client.session().await.unwrap().propose(Command::Push(10)).await, Ok(4));
    assert_eq!(client.read(()).await, Ok(vec![7, 8, 9, 10]));

    let membership = leader.membership().await.unwrap();
    assert_eq!(membership.configured.configuration.voters.len(), 3);
    leader.transfer(None).await.unwrap();
    let leader = cluster.leader_that(|status| status.id != first).await;
    let mut watch = leader.watch();
    leader.snapshot().await;
    watch.wait_for(|status| status.snapshot_index > LogIndex::ZERO).await.unwrap();
    assert_eq!(leader.propose(Command::Push(11)).await, Ok(5));

    let second = leader.status();
    cluster.servers[&second.id].shutdown().await.unwrap();
    let third = cluster.leader_that(|status| status.current_term > second.current_term).await;
    assert_ne!(third.status().id, second.id);
    assert_eq!(cluster.servers[&second.id].metrics().await, None);
    let stopped = cluster.servers[&second.id].propose(Command::Push(12)).await;
    assert_eq!(stopped, Err(Failed::NotApplied(Why::Refused(Refusal::Stopped))));
    // Directory and address are free at once.
    cluster.serve(second.id, None).await;
    let again = &cluster.servers[&second.id];
    hears_a_leader(again).await;
    assert_eq!(again.read(()).await, Ok(vec![7, 8, 9, 10, 11]));
}

/// A fourth server joins, one moves to another address, and one leaves, while the others run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_come_move_and_go() {
    let mut cluster = Cluster::start(3, |_| {}).await;
    let leader = cluster.leader().await.clone();
    assert_eq!(leader.propose(Command::Push(1)).await, Ok(1));
    let newcomer = NodeId::new(4);
    cluster.serve_elsewhere(newcomer).await;
    change(&leader, [1, 2, 3, 4].map(NodeId::new).into()).await;
    assert_eq!(cluster.servers[&newcomer].read(()).await, Ok(vec![1]));

    let mover = cluster.other_than(leader.status().id).status().id;
    cluster.servers[&mover].shutdown().await.unwrap();
    cluster.serve_elsewhere(mover).await;
    assert_eq!(leader.propose(Command::Push(2)).await, Ok(2));
    hears_a_leader(&cluster.servers[&mover]).await;
    assert_eq!(cluster.servers[&mover].read(()).await, Ok(vec![1, 2]));

    let stay = cluster.addresses.keys().copied().filter(|id| *id != mover).collect();
    change(&leader, stay).await;
    cluster.known.values().for_each(|known| known.remove(mover));
    cluster.servers[&mover].shutdown().await.unwrap();
    assert_eq!(leader.propose(Command::Push(3)).await, Ok(3));
}

/// Waits until these vote, and the change is committed.
async fn change(leader: &Server<List>, voters: Vec<NodeId>) {
    let learners: [NodeId; 0] = [];
    let at = leader.membership().await.unwrap().configured.at;
    leader.change_membership(at, voters.clone(), learners).await.unwrap();
    let mut watch = leader.watch();
    loop {
        let membership = leader.membership().await.unwrap();
        let configuration = &membership.configured.configuration;
        if membership.committed && configuration.next.is_none() && configuration.voters.len() == voters.len()
        {
            return;
        }
        watch.changed().await.unwrap();
    }
}

/// Nothing gets into the log unless the state machine knows it: neither what a client sends over the network, nor what is
/// proposed in the server's own process.
#[tokio::test]
async fn what_is_no_command_is_refused_at_the_door() {
    let cluster = Cluster::start(1, |_| {}).await;
    let leader = cluster.leader().await;
    let last = leader.status().last_log;
    let clock = SystemEnvironment::new();
    let deadline = clock.now().after(Duration::from_secs(60));
    let address = &cluster.addresses[&leader.status().id];
    let mut client = Client::connect(&TcpNet, clock, ClusterId(1), address, deadline).await.unwrap();
    let reason = Refusal::Malformed.to_string();
    let refused = Outcome::NotApplied { reason, leader_hint: None };
    for bytes in [Bytes::new(), "x".into(), InSession::Plain { command: "x".into() }.encode()] {
        assert_eq!(client.request(bytes.clone(), deadline).await.unwrap(), refused);
        assert_eq!(client.read(bytes, deadline).await.unwrap(), refused);
    }
    let unreadable = Err(Failed::NotApplied(Why::Refused(Refusal::Malformed)));
    assert_eq!(leader.propose(Command::Unreadable).await, unreadable);
    assert_eq!(leader.status().last_log, last);
    assert_eq!(leader.propose(Command::Push(1)).await, Ok(1));
}

/// An answer that is larger than what the system holds on its way is being written while the server is stopped: it arrives,
/// whole.
#[tokio::test]
async fn a_server_that_is_stopped_writes_its_answers_to_the_end() {
    const MANY: usize = 1_500_000;
    let cluster = Cluster::start(1, |_| {}).await;
    let leader = cluster.leader().await.clone();
    assert_eq!(leader.propose(Command::Fill(MANY)).await, Ok(MANY));
    let address = &cluster.addresses[&leader.status().id];
    let mut client = FrameReader::new(tokio::net::TcpStream::connect(address).await.unwrap());
    let hello = Hello { versions: Versions::OURS, cluster: ClusterId(1), party: Party::Client, to: None };
    let request = Request { id: 1, ask: Ask::Read, command: ().encode().unwrap() };
    let mut bytes = BytesMut::new();
    Frame::Hello(hello).encode(&mut bytes).unwrap();
    Frame::Request(request).encode(&mut bytes).unwrap();
    client.stream_mut().write_all(&bytes).await.unwrap();
    assert!(matches!(client.next().await.unwrap(), Some(Frame::Hello(_))));
    client.stream().readable().await.unwrap();
    let stopped = tokio::spawn(async move { leader.shutdown().await });
    for_a_while(Duration::from_millis(300)).await;
    assert!(!stopped.is_finished(), "the whole answer was on its way");
    let Some(Frame::Response(Response { outcome: Outcome::Answered(answer), .. })) =
        client.next().await.unwrap()
    else {
        panic!("no answer")
    };
    assert_eq!(Vec::<u64>::decode(answer).unwrap().len(), MANY);
    stopped.await.unwrap().unwrap();
}

/// The one of the leader does not return, on a runtime of one thread. It leads on, the others apply and answer, and what
/// waits shows.
#[tokio::test]
async fn a_state_machine_that_is_stuck_delays_no_heartbeat() {
    let cluster = Cluster::start(3, |_| {}).await;
    let leader = cluster.leader().await;
    assert_eq!(leader.propose(Command::Push(1)).await, Ok(1));
    let before = leader.status();
    cluster.gates[&before.id].set(Mood::Stuck);
    let stuck = tokio::spawn({
        let leader = leader.clone();
        async move { leader.propose(Command::Touch).await }
    });
    let mut watch = leader.watch();
    watch.wait_for(|status| status.commit_index > before.commit_index).await.unwrap();
    let sent = leader.metrics().await.unwrap().messages_sent;
    for_a_while(2 * ELECTION.1).await;

    let metrics = leader.metrics().await.unwrap();
    assert_eq!((metrics.status.current_term, metrics.status.role), (before.current_term, before.role));
    assert!(metrics.messages_sent > sent + 2 * 60, "{} heartbeats", metrics.messages_sent - sent);
    assert!(metrics.waiting.applying, "{:?}", metrics.waiting);
    assert_eq!(metrics.applied_index, before.commit_index);
    let other = cluster.other_than(before.id);
    hears_a_leader(other).await;
    assert_eq!(other.read(()).await, Ok(vec![1]));
    cluster.gates[&before.id].set(Mood::Fine);
    assert_eq!(stuck.await.unwrap(), Ok(1));
    assert_eq!(leader.read(()).await, Ok(vec![1]));
}

/// Commands are applied and answered meanwhile, the leader leads on, and how far the snapshot is shows.
#[tokio::test]
async fn a_snapshot_that_takes_long_holds_nobody_up() {
    let cluster = Cluster::start(3, |_| {}).await;
    let leader = cluster.leader().await;
    assert_eq!(leader.propose(Command::Push(1)).await, Ok(1));
    let before = leader.status();
    cluster.gates[&before.id].set(Mood::SlowSnapshots);
    leader.snapshot().await;
    // It is begun as soon as the node has heard that the state machine is done with what it had.
    let under_way = loop {
        if let Some(under_way) = leader.metrics().await.unwrap().snapshot {
            break under_way;
        }
    };
    assert_eq!((under_way.index, under_way.is_sent), (before.commit_index, false));
    for_a_while(2 * ELECTION.1).await;
    assert_eq!(leader.propose(Command::Push(2)).await, Ok(2));
    let metrics = leader.metrics().await.unwrap();
    assert_eq!((metrics.status.current_term, metrics.status.role), (before.current_term, before.role));
    assert_eq!((metrics.status.snapshot_index, metrics.counts.snapshots_taken), (LogIndex::ZERO, 0));
    assert_eq!(metrics.snapshot, Some(under_way));

    cluster.gates[&before.id].set(Mood::Fine);
    let mut watch = leader.watch();
    watch.wait_for(|status| status.snapshot_index == under_way.index).await.unwrap();
    assert_eq!(leader.metrics().await.unwrap().snapshot, None);
}

/// One that says that it is quick, and has a runtime of one thread: no heartbeat waits for its snapshot, and it becomes what
/// the snapshot says after a start.
#[tokio::test]
async fn a_quick_state_machine_delays_no_heartbeat_with_its_snapshots() {
    let mut cluster = Cluster::start_three(true).await;
    let leader = cluster.leader().await.clone();
    assert_eq!(leader.propose(Command::Push(1)).await, Ok(1));
    let before = leader.status();
    cluster.gates[&before.id].set(Mood::StuckSnapshots);
    leader.snapshot().await;
    let waiting = tokio::spawn({
        let leader = leader.clone();
        async move { leader.propose(Command::Push(2)).await }
    });
    let mut watch = leader.watch();
    watch.wait_for(|status| status.commit_index > before.commit_index).await.unwrap();
    for_a_while(2 * ELECTION.1).await;
    let metrics = leader.metrics().await.unwrap();
    assert_eq!((metrics.status.current_term, metrics.status.role), (before.current_term, before.role));
    assert_eq!((metrics.waiting.commands, metrics.applied_index), (1, before.commit_index));

    cluster.gates[&before.id].set(Mood::Fine);
    assert_eq!(waiting.await.unwrap(), Ok(2));
    watch.wait_for(|status| status.snapshot_index == before.commit_index).await.unwrap();
    leader.shutdown().await.unwrap();
    cluster.serve(before.id, None).await;
    hears_a_leader(&cluster.servers[&before.id]).await;
    assert_eq!(cluster.servers[&before.id].read(()).await, Ok(vec![1, 2]));
}

#[tokio::test]
async fn a_state_machine_that_panics_ends_its_server_and_the_others_go_on() {
    for is_quick in [false, true] {
        let mut cluster = Cluster::start_three(is_quick).await;
        let leader = cluster.leader().await;
        let old = leader.status();
        cluster.gates[&old.id].set(Mood::Panics);
        assert_eq!(leader.propose(Command::Touch).await, Err(Failed::Unknown(Why::NoAnswer)));
        let error = leader.ended().await.unwrap_err();
        assert_eq!(error.to_string(), "state machine: it panicked while applying");
        assert_eq!(leader.shutdown().await.unwrap_err().to_string(), error.to_string());

        let new = cluster.leader_that(|status| status.current_term > old.current_term).await;
        assert_eq!(new.propose(Command::Push(1)).await, Ok(1));
        cluster.servers.remove(&old.id);
        // With another mood it applies what killed it, and all that came after.
        cluster.serve(old.id, None).await;
        hears_a_leader(&cluster.servers[&old.id]).await;
        assert_eq!(cluster.servers[&old.id].read(()).await, Ok(vec![1]));
    }
}

/// The last clone is dropped, and another server opens the same directory and listens at the same address, once the task
/// is gone.
#[tokio::test]
async fn a_server_that_is_dropped_ends() {
    let mut cluster = Cluster::start(1, |_| {}).await;
    let server = cluster.leader().await;
    let id = server.status().id;
    assert_eq!(server.propose(Command::Push(1)).await, Ok(1));
    let (mut watch, clone) = (server.watch(), server.clone());
    cluster.servers.clear();
    assert_eq!(clone.read(()).await, Ok(vec![1]));
    drop(clone);
    while watch.changed().await.is_ok() {}
    assert_eq!(watch.borrow().id, id);
}

/// A program that returns from `main` with its server still running does not end before the state machine is closed: one that is
/// in RocksDB would use it while the process tears it down.
#[test]
fn a_runtime_waits_for_the_state_machines_of_its_servers() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let gate = runtime.block_on(async {
        let cluster = Cluster::start(1, |_| {}).await;
        let leader = cluster.leader().await;
        assert_eq!(leader.propose(Command::Push(1)).await, Ok(1));
        let gate = cluster.gates[&leader.status().id].clone();
        gate.set(Mood::SlowToClose);
        gate
    });
    drop(runtime);
    assert_eq!(Arc::strong_count(&gate.0), 1, "the state machine has the other one");
}
