//! Servers of one process, over TCP and on RocksDB, and a state machine that does as a test wants.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::io;
use std::sync::{Arc, Condvar, Mutex};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use raft_core::node::{SnapshotReader, Status};
use raft_core::server::{Client, Machine, Server, Typed, snapshot_of, state_of};
use raft_core::{ClusterId, Config, GroupId, Incarnation, LogIndex, NodeId, RoleName};
use raft_net::{Addresses, Net, Servers, Tcp, TcpNet, Versions};
use raft_storage::RocksStore;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, DuplexStream, duplex};
use tokio::net::TcpListener;

/// What a state machine does with [`Command::Touch`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mood {
    #[default]
    Fine,
    /// It does not return.
    Stuck,
    Panics,
    /// Its snapshots come to no end.
    SlowSnapshots,
    /// They do not even begin.
    StuckSnapshots,
    /// It takes its time when it is dropped.
    SlowToClose,
}

/// The mood of one server's state machine.
#[derive(Clone, Default)]
pub(crate) struct Gate(pub(crate) Arc<Held>);

#[derive(Default)]
pub(crate) struct Held {
    mood: Mutex<Mood>,
    changed: Condvar,
    /// A snapshot is over when this is dropped.
    snapshot: Mutex<Option<DuplexStream>>,
}

impl Gate {
    pub(crate) fn set(&self, mood: Mood) {
        *self.0.mood.lock().unwrap() = mood;
        self.0.changed.notify_all();
        *self.0.snapshot.lock().unwrap() = None;
    }

    fn pass(&self, stuck: Mood) {
        let Held { mood, changed, .. } = &*self.0;
        let mood = changed.wait_while(mood.lock().unwrap(), |mood| *mood == stuck).unwrap();
        let panics = *mood == Mood::Panics;
        drop(mood);
        assert!(!panics, "this state machine was told to panic");
    }
}

/// A list of numbers.
#[derive(Default)]
pub(crate) struct List {
    items: Vec<u64>,
    gate: Gate,
    is_quick: bool,
}

impl Drop for List {
    fn drop(&mut self) {
        if *self.gate.0.mood.lock().unwrap() == Mood::SlowToClose {
            thread::sleep(Duration::from_millis(300));
        }
    }
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum Command {
    Push(u64),
    /// So many at once.
    Fill(usize),
    Touch,
    /// It can be written, and not read again.
    #[serde(skip_deserializing)]
    Unreadable,
}

impl Machine for List {
    type Command = Command;
    /// How many there are.
    type Answer = usize;
    type Query = ();
    type Reply = Vec<u64>;

    fn apply(&mut self, _: LogIndex, command: Command) -> usize {
        match command {
            Command::Push(number) => self.items.push(number),
            Command::Fill(count) => self.items.extend(std::iter::repeat_n(u64::MAX, count)),
            Command::Touch => self.gate.pass(Mood::Stuck),
            Command::Unreadable => unreachable!("nobody reads it"),
        }
        self.items.len()
    }

    fn query(&self, (): ()) -> Vec<u64> {
        self.items.clone()
    }

    fn snapshot(&self) -> io::Result<SnapshotReader> {
        self.gate.pass(Mood::StuckSnapshots);
        let snapshot = snapshot_of(&self.items)?;
        if *self.gate.0.mood.lock().unwrap() == Mood::SlowSnapshots {
            let (end, rest) = duplex(1);
            *self.gate.0.snapshot.lock().unwrap() = Some(end);
            return Ok(Box::pin(snapshot.chain(rest)));
        }
        Ok(snapshot)
    }

    async fn restore(&mut self, snapshot: SnapshotReader) -> io::Result<()> {
        self.items = state_of(snapshot).await?;
        Ok(())
    }

    fn is_quick(&self) -> bool {
        self.is_quick
    }
}

/// Long, so that no machine holds an election of its own that stands still for a second. Where it did, who leads would not
/// be who led.
pub(crate) const ELECTION: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(3));
/// A leader whose disk is only slow leads on.
const DISK_PATIENCE: Duration = Duration::from_secs(60);
/// The last of those that a cluster begins with.
const FIRST: NodeId = NodeId::new(3);

/// A client of such servers.
pub(crate) type ListClient = Client<List, Servers<TcpNet, raft_core::node::SystemEnvironment>>;

pub(crate) struct Cluster {
    folder: TempDir,
    configure: fn(&mut Config),
    pub(crate) addresses: BTreeMap<NodeId, String>,
    pub(crate) servers: BTreeMap<NodeId, Server<List>>,
    pub(crate) gates: BTreeMap<NodeId, Gate>,
    /// What each knows of where the others are.
    pub(crate) known: BTreeMap<NodeId, Addresses>,
    /// What each speaks, if not what this release does.
    pub(crate) versions: BTreeMap<NodeId, Versions>,
    /// What their state machines say of themselves.
    pub(crate) are_quick: bool,
}

impl Cluster {
    pub(crate) async fn start(size: u64, configure: fn(&mut Config)) -> Self {
        Self::start_in(BTreeMap::new(), false, size, configure).await
    }

    /// Three with state machines that say that they are quick, or do not.
    pub(crate) async fn start_three(are_quick: bool) -> Self {
        Self::start_in(BTreeMap::new(), are_quick, 3, |_| {}).await
    }

    /// The same, where some speak other protocol versions.
    pub(crate) async fn start_in(
        versions: BTreeMap<NodeId, Versions>,
        are_quick: bool,
        size: u64,
        configure: fn(&mut Config),
    ) -> Self {
        let (mut addresses, mut listeners) = (BTreeMap::new(), BTreeMap::new());
        for id in (1..=size).map(NodeId::new) {
            let listener = TcpNet.listen("127.0.0.1:0").await.unwrap();
            addresses.insert(id, TcpNet.local_address(&listener).unwrap());
            listeners.insert(id, listener);
        }
        let folder = tempfile::tempdir().unwrap();
        let (servers, gates, known) = Default::default();
        let mut cluster = Self { folder, configure, addresses, servers, gates, known, versions, are_quick };
        for (id, listener) in listeners {
            cluster.serve(id, Some(listener)).await;
        }
        cluster
    }

    /// Starts a server; without a listener it listens where it did before.
    pub(crate) async fn serve(&mut self, id: NodeId, listener: Option<TcpListener>) {
        let directory = self.folder.path().join(id.to_string());
        // The others go on meanwhile, however long the disk takes.
        let open = move || RocksStore::open(directory, GroupId(0), Incarnation::random()).unwrap();
        let log = tokio::task::spawn_blocking(open).await.unwrap();
        let mut config = Config::new(id, self.addresses.keys().copied().collect());
        if id > FIRST {
            // It joins later.
            config.bootstrap = None;
        }
        config.election_timeout = ELECTION;
        config.disk_patience = DISK_PATIENCE;
        (self.configure)(&mut config);
        let gate = Gate::default();
        let versions = self.versions.get(&id).copied().unwrap_or(Versions::OURS);
        let tcp = Tcp::new(self.addresses.clone()).configure(move |config| {
            assert!(config.silence < ELECTION.0, "it is to be noticed that a connection has died");
            config.versions = versions;
        });
        let tcp = match listener {
            Some(listener) => tcp.listener(listener),
            None => tcp,
        };
        self.known.insert(id, tcp.addresses());
        let machine = List { items: Vec::new(), gate: gate.clone(), is_quick: self.are_quick };
        let server = Server::builder(config).log(log).network(tcp).machine(machine).start().await.unwrap();
        self.servers.insert(id, server);
        self.gates.insert(id, gate);
    }

    pub(crate) fn client(&self) -> ListClient {
        Tcp::new(self.addresses.clone()).client(ClusterId(1))
    }

    /// Starts a server at an address that is new, and has the others know it.
    pub(crate) async fn serve_elsewhere(&mut self, id: NodeId) {
        let listener = TcpNet.listen("127.0.0.1:0").await.unwrap();
        self.addresses.insert(id, TcpNet.local_address(&listener).unwrap());
        self.serve(id, Some(listener)).await;
        for known in self.known.values() {
            known.set(id, &self.addresses[&id]);
        }
    }

    /// Whoever leads, once somebody does.
    pub(crate) async fn leader(&self) -> &Server<List> {
        self.leader_that(|_| true).await
    }

    /// Whoever leads, once somebody does and the status is such.
    pub(crate) async fn leader_that(&self, such: impl Fn(&Status) -> bool) -> &Server<List> {
        let mut watches: Vec<_> = self.servers.values().map(|server| (server, server.watch())).collect();
        loop {
            for (server, watch) in &mut watches {
                let status = *watch.borrow_and_update();
                if status.role == RoleName::Leader && such(&status) {
                    return server;
                }
            }
            // Those that have ended change no more.
            watches.retain(|(_, watch)| watch.has_changed().is_ok());
            let mut changes: Vec<_> =
                watches.iter_mut().map(|(_, watch)| Box::pin(watch.changed())).collect();
            poll_fn(|context| {
                let mut changed = changes.iter_mut().map(|change| change.as_mut().poll(context));
                if changed.any(|change| change.is_ready()) { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        }
    }

    /// Somebody who does not lead.
    pub(crate) fn other_than(&self, id: NodeId) -> &Server<List> {
        self.servers.values().find(|server| server.status().id != id).unwrap()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // The runtime would wait for ever for a state machine that is stuck, instead of saying why the test failed.
        if thread::panicking() {
            self.gates.values().for_each(|gate| gate.set(Mood::Fine));
        }
    }
}

/// Does not return before that much time has passed: for things that must not happen meanwhile.
pub(crate) async fn for_a_while(time: Duration) {
    tokio::time::sleep(time).await;
}

pub(crate) async fn hears_a_leader<M: Typed>(server: &Server<M>) {
    server.watch().wait_for(|status| status.leader.is_some()).await.unwrap();
}
