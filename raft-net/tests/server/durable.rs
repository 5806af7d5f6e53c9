//! Servers whose state machine keeps through a crash what it has applied, and the sessions with it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use raft_core::node::{Environment, SystemEnvironment};
use raft_core::server::{Raw, Server, Typed};
use raft_core::sessions::{Answer, Request, SessionId};
use raft_core::{ClusterId, Config, GroupId, Incarnation, LogIndex, NodeId, RoleName};
use raft_net::{Client, Net, Outcome, Tcp, TcpNet};
use raft_storage::machine::{Changes, Commands, MachineOptions, RocksSessions, View};
use raft_storage::{RocksStore, StorageError};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::world::{ELECTION, hears_a_leader};

/// How many entries each server keeps that its snapshot stands for.
const TRAILING: u64 = 5;

/// Counts commands on disk, and in memory those of this life.
struct Counter {
    this_life: Arc<AtomicU64>,
}

impl Typed for Counter {
    type Command = Raw;
    type Answer = Raw;
    type Query = Raw;
    type Reply = Raw;
}

impl Commands for Counter {
    fn apply(
        &self,
        _: LogIndex,
        _: &[u8],
        view: &View<'_>,
        changes: &mut Changes<'_>,
    ) -> Result<Bytes, StorageError> {
        self.this_life.fetch_add(1, Ordering::SeqCst);
        let count = view.get(b"count")?.map_or(0, |count| u64::from_be_bytes(count.try_into().unwrap())) + 1;
        changes.put(b"count", &count.to_be_bytes());
        Ok(count.to_string().into())
    }

    fn query(&self, _: &[u8], view: &View<'_>) -> Result<Bytes, StorageError> {
        let count = view.get(b"count")?.map_or(0, |count| u64::from_be_bytes(count.try_into().unwrap()));
        Ok(count.to_string().into())
    }
}

struct Cluster {
    folder: TempDir,
    addresses: BTreeMap<NodeId, String>,
    /// And how many commands each has applied in this life.
    servers: BTreeMap<NodeId, (Server<Counter>, Arc<AtomicU64>)>,
}

impl Cluster {
    async fn start() -> Self {
        let (mut addresses, mut listeners) = (BTreeMap::new(), Vec::new());
        for id in (1..=3).map(NodeId::new) {
            let listener = TcpNet.listen("127.0.0.1:0").await.unwrap();
            addresses.insert(id, TcpNet.local_address(&listener).unwrap());
            listeners.push((id, listener));
        }
        let folder = tempfile::tempdir().unwrap();
        let mut cluster = Self { folder, addresses, servers: BTreeMap::new() };
        for (id, listener) in listeners {
            cluster.serve(id, Some(listener)).await;
        }
        cluster
    }

    async fn serve(&mut self, id: NodeId, listener: Option<TcpListener>) {
        let directory = |name: &str| self.folder.path().join(format!("{id}-{name}"));
        let log = RocksStore::open(directory("log"), GroupId(0), Incarnation::random()).unwrap();
        let this_life = Arc::new(AtomicU64::new(0));
        let counter = Counter { this_life: Arc::clone(&this_life) };
        let machine = RocksSessions::open(directory("state"), counter, MachineOptions::default()).unwrap();
        let mut config = Config::new(id, self.addresses.keys().copied().collect());
        config.election_timeout = ELECTION;
        (config.snapshot_entries, config.snapshot_trailing) = (20, TRAILING);
        let tcp = Tcp::new(self.addresses.clone());
        let tcp = match listener {
            Some(listener) => tcp.listener(listener),
            None => tcp,
        };
        let server = Server::builder(config).log(log).network(tcp).machine(machine).start().await.unwrap();
        self.servers.insert(id, (server, this_life));
    }

    fn server(&self, id: NodeId) -> &Server<Counter> {
        &self.servers[&id].0
    }

    /// How many commands a server has applied in this life.
    fn applied(&self, id: NodeId) -> u64 {
        self.servers[&id].1.load(Ordering::SeqCst)
    }

    async fn stop(&self, id: NodeId) {
        self.server(id).shutdown().await.unwrap();
    }

    /// Until no log but that of `late` has the entry that `late` would ask for, however slow the disks are.
    async fn leave_behind(&self, late: NodeId) {
        let last = self.server(late).status().last_log.index;
        for (server, _) in self.servers.values().filter(|(server, _)| server.status().id != late) {
            let mut watch = server.watch();
            watch.wait_for(|status| status.snapshot_index.get() > last.get() + TRAILING).await.unwrap();
        }
    }

    async fn count(&self, id: NodeId) -> String {
        hears_a_leader(self.server(id)).await;
        let Raw(count) = self.server(id).read(Raw::default()).await.unwrap();
        String::from_utf8(count.to_vec()).unwrap()
    }

    /// What a request comes to, sent to whoever leads.
    async fn ask(&self, request: &Request) -> Answer {
        let clock = SystemEnvironment::new();
        let deadline = clock.now().after(Duration::from_secs(60));
        loop {
            for (server, _) in self.servers.values() {
                let status = server.status();
                if status.role != RoleName::Leader {
                    continue;
                }
                let address = &self.addresses[&status.id];
                let client = Client::connect(&TcpNet, clock, ClusterId(1), address, deadline).await;
                match client.unwrap().request(request.encode(), deadline).await.unwrap() {
                    Outcome::Committed(answer) => return Answer::decode(answer).unwrap(),
                    Outcome::NotApplied { .. } => {}
                    other @ (Outcome::Answered(_) | Outcome::Unknown { .. }) => {
                        panic!("{request:?}: {other:?}")
                    }
                }
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Commands of a session, one after the other, and that each was answered with its number.
    async fn count_on(&self, session: SessionId, sequences: std::ops::RangeInclusive<u64>) {
        for sequence in sequences {
            let answer = self.ask(&command(session, sequence)).await;
            assert_eq!(answer, Answer::Applied(sequence.to_string().into()));
        }
    }
}

fn command(session: SessionId, sequence: u64) -> Request {
    Request::Command { session, sequence, first_unanswered: sequence, command: "one more".into() }
}

/// One server misses more than the logs of the others keep, gets a snapshot, and then all are restarted: nothing is applied
/// again, and a command that comes again has the answer that it had.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_machine_on_disk_goes_on_where_it_was_and_knows_what_it_has_answered() {
    let mut cluster = Cluster::start().await;
    let Answer::Registered { session, .. } = cluster.ask(&Request::Register).await else {
        panic!("no session")
    };
    cluster.count_on(session, 1..=30).await;
    let late = NodeId::new(3);
    cluster.stop(late).await;
    cluster.count_on(session, 31..=90).await;
    cluster.leave_behind(late).await;
    cluster.serve(late, None).await;
    assert_eq!(cluster.count(late).await, "90");
    let applied = cluster.applied(late);
    assert!(
        applied < 60,
        "it was sent a snapshot, and has applied {applied} of the 60 commands that it missed"
    );

    let all: Vec<_> = cluster.servers.keys().copied().collect();
    for &id in &all {
        cluster.stop(id).await;
    }
    for &id in &all {
        cluster.serve(id, None).await;
    }
    for &id in &all {
        assert_eq!(cluster.count(id).await, "90");
        assert_eq!(cluster.applied(id), 0, "{id} has applied what it had applied");
    }
    assert_eq!(cluster.ask(&command(session, 90)).await, Answer::Repeated("90".into()));
    cluster.count_on(session, 91..=95).await;
    for &id in &all {
        assert_eq!(cluster.count(id).await, "95");
        assert_eq!(cluster.applied(id), 5);
    }
}
