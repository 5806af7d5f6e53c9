//! A client's session over TCP, to servers that are played: who leads changes, answers are lost, servers are gone.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use raft_core::node::{Environment, SnapshotReader, StateMachine, TokioEnvironment};
use raft_core::sessions::{
    ClientSession, CommandError, Proposed, Proposer as _, Request as InSession, Retries, Sessions,
};
use raft_core::{ClusterId, LogIndex, NodeId, Time};
use raft_net::{Client, Inlet, Net, Outcome, Peers, PeersConfig, Request, Responder, Servers, TcpNet, Whole};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Answers each command with how many came before it.
struct Counter(u64);

#[async_trait]
impl StateMachine for Counter {
    async fn apply(&mut self, _: LogIndex, _: Bytes) -> Bytes {
        self.0 += 1;
        self.0.to_string().into()
    }

    async fn query(&mut self, _: Bytes) -> Bytes {
        Bytes::new()
    }

    async fn snapshot(&mut self) -> io::Result<SnapshotReader> {
        Err(io::Error::other("nobody asks for one"))
    }

    async fn restore(&mut self, _: SnapshotReader) -> io::Result<()> {
        Err(io::Error::other("nobody asks for one"))
    }
}

/// What all servers have in common: the log, as if it were committed at once.
struct Group {
    machine: Sessions<Counter>,
    index: LogIndex,
    leader: NodeId,
    /// Whether the others know who leads.
    is_known: bool,
    /// So many answers are lost, and each time another server leads.
    lose: u64,
    asked: u64,
}

impl Group {
    fn next_leader(&mut self) {
        self.leader = NodeId::new(self.leader.get() % 3 + 1);
    }

    async fn hear(&mut self, me: NodeId, command: Bytes, responder: Responder) {
        self.asked += 1;
        if me != self.leader {
            let leader_hint = Some(self.leader).filter(|_| self.is_known);
            responder.answer(Outcome::NotApplied { reason: "not the leader".to_owned(), leader_hint });
            return;
        }
        self.index = self.index.next();
        let answer = self.machine.apply(self.index, command).await;
        if self.lose == 0 {
            responder.answer(Outcome::Committed(answer));
        } else {
            self.lose -= 1;
            self.next_leader();
            drop(responder);
        }
    }
}

struct Cluster {
    group: Arc<Mutex<Group>>,
    addresses: BTreeMap<NodeId, String>,
    servers: BTreeMap<NodeId, (Peers, JoinSet<()>)>,
    clock: TokioEnvironment,
}

impl Cluster {
    async fn start() -> Self {
        let machine = Sessions::new(Counter(0)).unwrap();
        let leader = NodeId::new(2);
        let group = Group { machine, index: LogIndex::ZERO, leader, is_known: true, lose: 0, asked: 0 };
        let (group, clock) = (Arc::new(Mutex::new(group)), TokioEnvironment::new());
        let mut cluster = Self { group, addresses: BTreeMap::new(), servers: BTreeMap::new(), clock };
        for id in (1..=3).map(NodeId::new) {
            cluster.serve(id, "127.0.0.1:0").await;
        }
        cluster
    }

    async fn serve(&mut self, id: NodeId, address: &str) {
        let listener = TcpNet.listen(address).await.unwrap();
        self.addresses.insert(id, TcpNet.local_address(&listener).unwrap());
        let (messages, _) = mpsc::channel(1);
        let (requests, mut heard) = mpsc::channel::<(Request, Responder)>(64);
        let (config, inlet) = (PeersConfig::new(id, BTreeMap::new()), Inlet { messages, requests });
        let peers = Peers::start(TcpNet, listener, self.clock, Whole, config, inlet);
        let (mut tasks, group) = (JoinSet::new(), self.group.clone());
        tasks.spawn(async move {
            while let Some((request, responder)) = heard.recv().await {
                group.lock().await.hear(id, request.command, responder).await;
            }
        });
        self.servers.insert(id, (peers, tasks));
    }

    fn in_a_minute(&self) -> Time {
        self.clock.now().after(LIMIT)
    }

    async fn session(&self) -> ClientSession<Servers<TcpNet, TokioEnvironment>, TokioEnvironment> {
        let servers = Servers::new(TcpNet, self.clock, ClusterId(1), self.addresses.clone());
        // Who does not answer says so at once. Only the machine may take its time, and that is no answer lost.
        let (servers, tries) =
            (servers.connect_within(LIMIT), Retries { patience: LIMIT, ..Retries::default() });
        ClientSession::register(servers, self.clock, tries, self.in_a_minute()).await.unwrap()
    }

    async fn group<T>(&self, work: impl FnOnce(&mut Group) -> T) -> T {
        work(&mut *self.group.lock().await)
    }
}

fn text(number: u64) -> Result<Bytes, CommandError> {
    Ok(number.to_string().into())
}

#[tokio::test]
async fn a_session_finds_the_leader_and_stays_with_it() {
    let cluster = Cluster::start().await;
    let session = cluster.session().await;
    assert_eq!(cluster.group(|group| group.asked).await, 2, "it was sent on once");
    for count in 1..=9 {
        assert_eq!(session.command("x".into(), cluster.in_a_minute()).await, text(count));
    }
    assert_eq!(cluster.group(|group| group.asked).await, 2 + 9);
}

/// Leaders change, answers are lost, nobody knows who leads: each command is applied once.
#[tokio::test]
async fn through_lost_answers_and_leaders_each_command_is_applied_once() {
    let cluster = Cluster::start().await;
    let session = cluster.session().await;
    for count in 1..=30 {
        cluster
            .group(|group| {
                group.lose = count % 4;
                group.is_known = count % 3 > 0;
                if count % 5 == 0 {
                    group.next_leader();
                }
            })
            .await;
        assert_eq!(session.command("x".into(), cluster.in_a_minute()).await, text(count));
    }
    let (applied, entries) = cluster.group(|group| (group.machine.machine().0, group.index.get())).await;
    assert_eq!(applied, 30);
    assert!(entries > 30 + 40, "most were in the log more than once: {entries}");
}

/// A server that nobody reaches is passed, and one that was forgotten is found again.
#[tokio::test]
async fn servers_that_are_gone_are_passed() {
    let mut cluster = Cluster::start().await;
    let session = cluster.session().await;
    drop(cluster.servers.remove(&NodeId::new(2)));
    cluster.group(Group::next_leader).await;
    assert_eq!(session.command("x".into(), cluster.in_a_minute()).await, text(1));
    drop(cluster.servers.remove(&NodeId::new(3)));
    cluster.group(Group::next_leader).await;
    assert_eq!(session.command("x".into(), cluster.in_a_minute()).await, text(2));
    drop(cluster.servers.remove(&NodeId::new(1)));
    let soon = cluster.clock.now().after(Duration::from_millis(300));
    let error = session.command("x".into(), soon).await.unwrap_err();
    assert!(matches!(error, CommandError::NotApplied | CommandError::Unknown), "{error}");
}

/// A server has started again since the last answer, and so has closed the connection that it came on. Nobody may have to
/// wonder what became of the next command.
#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_carries_no_command() {
    let mut cluster = Cluster::start().await;
    let servers = Servers::new(TcpNet, cluster.clock, ClusterId(1), cluster.addresses.clone());
    let deadline = cluster.in_a_minute();
    let leader = NodeId::new(2);
    for _ in 0..3 {
        let proposed = servers.propose(InSession::Register.encode(), deadline).await;
        assert!(matches!(proposed, Proposed::Answered(_)), "{proposed:?}");
        let (peers, _) = cluster.servers.remove(&leader).unwrap();
        peers.shutdown().await;
        let address = cluster.addresses[&leader].clone();
        cluster.serve(leader, &address).await;
        // By the time that this one is open the end of the other one has come in.
        Client::connect(&TcpNet, cluster.clock, ClusterId(1), &address, deadline).await.unwrap();
    }
}

/// All share a connection, and have the one session.
#[tokio::test]
async fn several_commands_are_under_way_at_once() {
    let cluster = Cluster::start().await;
    let session = cluster.session().await;
    cluster.group(|group| group.lose = 5).await;
    let ask = || session.command("x".into(), cluster.in_a_minute());
    let (one, two, three, four) = tokio::join!(ask(), ask(), ask(), ask());
    let mut counts = [one, two, three, four].map(Result::unwrap);
    counts.sort_unstable();
    assert_eq!(counts, ["1", "2", "3", "4"].map(Bytes::from));
}
