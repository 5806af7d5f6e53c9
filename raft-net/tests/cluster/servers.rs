//! Three servers: real nodes over TCP, each with RocksDB in a directory of its own.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use raft_core::node::{
    Environment, Handle, Node, NodeError, Point, SnapshotReader, StateMachine, TokioEnvironment,
};
use raft_core::{
    ClusterId, Config, Event, GroupId, Incarnation, LogIndex, NodeId, Raft, RoleName, Term, Time,
};
use raft_net::{Counters, Inlet, Net, Peers, PeersConfig, TcpNet, Whole, serve};
use raft_storage::{Opened, RocksStore, StorageError};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::writer::{Answer, Writer};

/// How many answers may wait to be counted: fewer than a round has, so that a crash comes in its middle.
const ANSWERS: usize = 32;

/// A command and its place in the log.
pub(crate) type Applied = (LogIndex, Bytes);
/// Who has come to lead last, of all the servers.
pub(crate) type Leader = Option<(Term, NodeId)>;

/// A state machine that publishes what it has applied, and answers with the place.
struct Journal(watch::Sender<Vec<Applied>>);

#[async_trait]
impl StateMachine for Journal {
    async fn apply(&mut self, index: LogIndex, command: Bytes) -> Bytes {
        self.0.send_modify(|applied| applied.push((index, command)));
        Bytes::copy_from_slice(&index.get().to_be_bytes())
    }

    /// How many commands have been applied.
    async fn query(&mut self, _: Bytes) -> Bytes {
        let applied = self.0.borrow().len() as u64;
        Bytes::copy_from_slice(&applied.to_be_bytes())
    }

    /// Of each command its place, its length and itself.
    async fn snapshot(&mut self) -> io::Result<SnapshotReader> {
        let mut bytes = BytesMut::new();
        for (index, command) in self.0.borrow().iter() {
            bytes.put_u64_le(index.get());
            bytes.put_u64_le(command.len() as u64);
            bytes.put_slice(command);
        }
        Ok(Box::pin(io::Cursor::new(bytes)))
    }

    async fn restore(&mut self, mut snapshot: SnapshotReader) -> io::Result<()> {
        let mut bytes = Vec::new();
        snapshot.read_to_end(&mut bytes).await?;
        let (mut bytes, mut applied) = (Bytes::from(bytes), Vec::new());
        while bytes.has_remaining() {
            let index = LogIndex::new(bytes.get_u64_le());
            let length = usize::try_from(bytes.get_u64_le()).map_err(io::Error::other)?;
            applied.push((index, bytes.split_to(length)));
        }
        self.0.send_replace(applied);
        Ok(())
    }
}

/// What snapshots have made of a server's log.
#[derive(Clone, Copy, Debug, Default)]
struct Replaced {
    /// The last entry that its own snapshots have replaced.
    compacted: LogIndex,
    /// The last entry that a leader's snapshot has replaced.
    installed: LogIndex,
}

/// The real environment, and somebody who listens for new leaders and for snapshots.
#[derive(Clone)]
struct Observed {
    clock: TokioEnvironment,
    leader: watch::Sender<Leader>,
    replaced: watch::Sender<Replaced>,
}

impl Environment for Observed {
    fn now(&self) -> Time {
        self.clock.now()
    }

    fn sleep_until(&self, deadline: Time) -> impl Future<Output = ()> + Send {
        self.clock.sleep_until(deadline)
    }

    fn point(&self, point: Point) -> impl Future<Output = ()> + Send {
        self.clock.point(point)
    }

    fn observe(&self, event: &Event) {
        if let Event::Role { term, to: RoleName::Leader, leader: Some(leader), .. } = *event {
            self.leader.send_if_modified(|last| {
                let later = Some((term, leader)).max(*last);
                std::mem::replace(last, later) != later
            });
        } else if let Event::Compacted { base } = *event {
            self.replaced.send_modify(|replaced| replaced.compacted = base.index);
        } else if let Event::Installed { snapshot, .. } = *event {
            self.replaced.send_modify(|replaced| replaced.installed = snapshot.last_included.index);
        }
    }
}

pub(crate) struct Cluster {
    folder: Arc<TempDir>,
    clock: TokioEnvironment,
    id: ClusterId,
    /// Those that the group begins with; none where its log says who votes.
    voters: Vec<NodeId>,
    /// Where servers listen, of this cluster or of another one.
    pub(crate) peers: BTreeMap<NodeId, String>,
    /// How the servers are configured other than usually.
    change: fn(&mut Config),
    pub(crate) leader: watch::Sender<Leader>,
    /// Where those that have been started listen.
    pub(crate) addresses: BTreeMap<NodeId, String>,
    pub(crate) lives: BTreeMap<NodeId, Life>,
}

/// A server, from start to end.
pub(crate) struct Life {
    pub(crate) node: JoinHandle<Result<(), NodeError<StorageError>>>,
    pub(crate) handle: Handle,
    pub(crate) counters: Arc<Counters>,
    clients: JoinHandle<()>,
    applied: watch::Receiver<Vec<Applied>>,
    replaced: watch::Receiver<Replaced>,
}

impl Life {
    /// Waits until its own snapshots have replaced more of its log than the entries up to `index`.
    pub(crate) async fn has_compacted_past(&mut self, index: LogIndex) {
        self.replaced.wait_for(|replaced| replaced.compacted > index).await.unwrap();
    }

    /// Waits until a leader's snapshot has brought it further than the entries up to `index`.
    pub(crate) async fn has_installed_past(&mut self, index: LogIndex) {
        self.replaced.wait_for(|replaced| replaced.installed > index).await.unwrap();
    }
}

impl Cluster {
    pub(crate) async fn start(change: fn(&mut Config)) -> Self {
        let (mut listeners, mut peers) = (Vec::new(), BTreeMap::new());
        for id in (1..=3).map(NodeId::new) {
            let listener = TcpNet.listen("127.0.0.1:0").await.unwrap();
            peers.insert(id, TcpNet.local_address(&listener).unwrap());
            listeners.push((id, listener));
        }
        let mut cluster = Self {
            folder: Arc::new(tempfile::tempdir().unwrap()),
            clock: TokioEnvironment::new(),
            id: ClusterId(1),
            voters: peers.keys().copied().collect(),
            peers,
            change,
            leader: watch::Sender::new(None),
            addresses: BTreeMap::new(),
            lives: BTreeMap::new(),
        };
        for (id, listener) in listeners {
            cluster.start_server(id, listener);
        }
        cluster
    }

    /// A cluster of the same directories, of which no server has been started.
    pub(crate) fn another(&self, id: ClusterId, voters: Vec<NodeId>) -> Self {
        Self {
            folder: Arc::clone(&self.folder),
            clock: self.clock,
            id,
            voters,
            peers: self.peers.clone(),
            change: self.change,
            leader: watch::Sender::new(None),
            addresses: BTreeMap::new(),
            lives: BTreeMap::new(),
        }
    }

    pub(crate) fn directory(&self, id: NodeId) -> PathBuf {
        self.folder.path().join(id.to_string())
    }

    pub(crate) fn open(&self, id: NodeId) -> Opened<RocksStore> {
        RocksStore::open(self.directory(id), GroupId(0), Incarnation(id.get())).unwrap()
    }

    /// Where the server listened before, and nobody does now.
    pub(crate) async fn listen(&self, id: NodeId) -> TcpListener {
        TcpNet.listen(&self.peers[&id]).await.expect("the address is free")
    }

    pub(crate) fn start_server(&mut self, id: NodeId, listener: TcpListener) {
        let Opened { store, restored, incarnation, torn_bytes: _ } = self.open(id);
        let mut config = Config::new(id, self.voters.clone());
        config.cluster = self.id;
        if self.voters.is_empty() {
            config.bootstrap = None;
        }
        config.incarnation = incarnation;
        // Long, so that a busy machine seldom holds an election of its own. It would do no harm.
        config.election_timeout = (Duration::from_millis(500), Duration::from_secs(1));
        // A leader whose disk is only slow leads on.
        config.disk_patience = Duration::from_secs(60);
        config.observe = true;
        (self.change)(&mut config);
        let raft = Raft::new(config, restored, self.clock.now()).unwrap();

        let (messages, inbox) = mpsc::channel(1024);
        let (requests, clients) = mpsc::channel(1024);
        self.addresses.insert(id, TcpNet.local_address(&listener).unwrap());
        let config =
            PeersConfig { cluster: self.id, incarnation, ..PeersConfig::new(id, self.peers.clone()) };
        let peers = Peers::start(TcpNet, listener, self.clock, Whole, config, Inlet { messages, requests });
        let counters = peers.counters();
        let (journal, applied) = watch::channel(Vec::new());
        let (replaced, snapshots) = watch::channel(Replaced::default());
        let environment = Observed { clock: self.clock, leader: self.leader.clone(), replaced };
        let (node, handle) = Node::new(raft, store, peers, Journal(journal), environment, inbox);
        let clients = tokio::spawn(serve(handle.clone(), clients));
        let node = tokio::spawn(node.run());
        let life = Life { node, handle, counters, clients, applied, replaced: snapshots };
        self.lives.insert(id, life);
    }

    /// Drops a server where it stands, and returns what it had applied. Its address is free afterwards.
    pub(crate) async fn crash(&mut self, id: NodeId) -> Vec<Applied> {
        let Life { node, clients, applied, .. } = self.lives.remove(&id).unwrap();
        node.abort();
        assert!(node.await.unwrap_err().is_cancelled());
        clients.await.unwrap();
        applied.borrow().clone()
    }

    /// Starts a writer for each server, which turns to that one first.
    pub(crate) fn write(&self, round: &'static str) -> mpsc::Receiver<Answer> {
        let (answers, told) = mpsc::channel(ANSWERS);
        for &first in self.addresses.keys() {
            let writer = Writer::new(first, &self.addresses, self.id, self.clock, self.leader.subscribe());
            tokio::spawn(writer.write_all(round, answers.clone()));
        }
        told
    }

    /// Waits until all have applied `last`, checks that they have applied the same, and returns it.
    pub(crate) async fn all_have_applied(&mut self, last: LogIndex) -> Vec<Applied> {
        let mut all: Vec<Vec<Applied>> = Vec::new();
        for life in self.lives.values_mut() {
            let reached =
                life.applied.wait_for(|applied| applied.last().is_some_and(|(index, _)| *index >= last));
            all.push(reached.await.unwrap().clone());
        }
        assert!(all.iter().all(|applied| *applied == all[0]), "{all:?}");
        all.remove(0)
    }
}
