//! A server of a simulation: the real node, the real transport, a real store, and the state machine under test.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use raft_core::node::{Environment, Handle, LogStore, Node, NodeError, SnapshotReader, StateMachine};
use raft_core::sessions::Sessions;
use raft_core::{Config, Configuration, Incarnation, LogIndex, NodeId, Raft, Restored, Rng};
use raft_net::{Inlet, Links, Net, Peers, PeersConfig, Request, Responder};
use raft_storage::{Opened, StorageError};
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::Planted;
use super::membership::Ask;
use super::sessions::Watched;
use super::world::World;
use crate::data::{self, Answer, Command, DataType};
use crate::plan::{Cluster, Reads};

/// How many messages, and how many requests, may wait for a node.
const INLET_MAX: usize = 4096;

/// What a server is in all of its lives.
#[derive(Clone)]
pub(crate) struct Seat {
    pub(crate) id: NodeId,
    pub(crate) cluster: Cluster,
    /// What the group begins with.
    pub(crate) first: Configuration,
    /// Whether clients have sessions.
    pub(crate) sessions: bool,
    /// What the state machine keeps.
    pub(crate) data: Arc<dyn DataType>,
    pub(crate) planted: Option<Planted>,
}

/// What surrounds a server in one of its lives.
pub(crate) struct Surroundings<N, E, L> {
    pub(crate) net: N,
    /// Where it listens.
    pub(crate) address: String,
    /// Where it finds the others.
    pub(crate) peers: BTreeMap<NodeId, String>,
    pub(crate) environment: E,
    pub(crate) links: L,
    pub(crate) world: World,
}

impl Seat {
    /// One life on an opened store. `attend` says what is done besides serving clients.
    pub(crate) async fn run<S, N, E, L>(
        &self,
        opened: Opened<S>,
        around: Surroundings<N, E, L>,
        rng: &mut Rng,
        attend: impl FnOnce(Handle, &mut JoinSet<()>),
    ) -> Result<(), NodeError<StorageError>>
    where
        S: LogStore<Error = StorageError>,
        N: Net,
        E: Environment,
        L: Links,
    {
        let Opened { store, restored, incarnation, torn_bytes: _ } = opened;
        let Surroundings { net, address, peers, environment, links, world } = around;
        let (messages, inbox) = mpsc::channel(INLET_MAX);
        let (requests, clients) = mpsc::channel(INLET_MAX);
        let raft = self.raft(restored, incarnation, rng.next_u64(), &environment);
        let listener = net.listen(&address).await.expect("the address of a server is its own");
        let peers = Peers::start(
            net,
            listener,
            environment.clone(),
            links,
            self.peers(peers, incarnation, rng.next_u64()),
            Inlet { messages, requests },
        );
        let machine = Machine {
            id: self.id,
            machine: self.data.machine(),
            applied: LogIndex::ZERO,
            world: world.clone(),
            planted: self.planted,
        };
        if self.sessions {
            let machine =
                Sessions::new(machine).expect("a state machine in memory has nothing applied at first");
            let machine = Watched {
                id: self.id,
                machine: machine.with_bug(self.planted.and_then(Planted::of_libraries)),
                world,
            };
            let (node, handle) = Node::new(raft, store, peers, machine, environment, inbox);
            serve(node.run(), handle, clients, attend).await
        } else {
            let (node, handle) = Node::new(raft, store, peers, machine, environment, inbox);
            serve(node.run(), handle, clients, attend).await
        }
    }

    fn raft(
        &self,
        restored: Restored,
        incarnation: Incarnation,
        seed: u64,
        environment: &impl Environment,
    ) -> Raft {
        let mut config = Config::new(self.id, Vec::new());
        config.bootstrap = Some(self.first.clone()).filter(|first| first.members().contains(&self.id));
        config.incarnation = incarnation;
        configure(&mut config, &self.cluster);
        config.seed = seed;
        config.observe = true;
        config.planted = self.planted.and_then(Planted::of_libraries);
        Raft::new(config, restored, environment.now()).expect("a plan that was read configures a server")
    }

    fn peers(&self, peers: BTreeMap<NodeId, String>, incarnation: Incarnation, seed: u64) -> PeersConfig {
        // A lost connection is noticed, and dialled again, within a few election timeouts.
        let (_, timeout) = self.cluster.election_timeout;
        PeersConfig {
            incarnation,
            seed,
            connect_timeout: timeout,
            keep_alive: timeout,
            silence: timeout * 4,
            idle: timeout * 4,
            // Links that a plan makes slow are slow for messages, not for bytes: none of them is still on its way.
            unasked_pong: Duration::MAX,
            back_off: (self.cluster.heartbeat, timeout),
            ..PeersConfig::new(self.id, peers)
        }
    }
}

/// Configures a server as the plan says that the cluster is.
pub(crate) fn configure(config: &mut Config, cluster: &Cluster) {
    config.election_timeout = cluster.election_timeout;
    config.heartbeat = cluster.heartbeat;
    config.pre_vote = cluster.prevote;
    if let Reads::Lease { drift } = cluster.read {
        config.read_lease_ppm = Some(drift.ppm());
    }
    config.disk_patience = cluster.election_timeout.1 * 4;
    let bytes = |bytes| usize::try_from(bytes).unwrap_or(usize::MAX);
    config.snapshot_entries = cluster.snapshot_every;
    config.snapshot_trailing = cluster.snapshot_trailing;
    config.snapshot_chunk_bytes = bytes(cluster.snapshot_chunk);
    config.cache_bytes_max = bytes(cluster.log_cache);
}

/// Runs a node, serves its clients, and does what else is to be done.
async fn serve(
    node: impl Future<Output = Result<(), NodeError<StorageError>>>,
    handle: Handle,
    clients: mpsc::Receiver<(Request, Responder)>,
    attend: impl FnOnce(Handle, &mut JoinSet<()>),
) -> Result<(), NodeError<StorageError>> {
    let mut tasks = JoinSet::new();
    tasks.spawn(raft_net::serve(handle.clone(), clients));
    attend(handle, &mut tasks);
    node.await
}

/// What a node says to what it is asked for.
pub(crate) async fn answer(handle: &Handle, ask: Ask) -> super::membership::Answer {
    match ask {
        Ask::Change { from, voters, learners } => {
            let changed = handle.change_membership(from, voters, learners).await;
            changed.map(Some).map_err(|refused| refused.to_string())
        }
        Ask::Transfer { to } => {
            handle.transfer(to).await.map(|()| None).map_err(|refused| refused.to_string())
        }
    }
}

/// The state machine, and the world, which hears what was applied.
struct Machine {
    id: NodeId,
    machine: Box<dyn data::Machine>,
    /// The last command that was.
    applied: LogIndex,
    world: World,
    planted: Option<Planted>,
}

#[async_trait]
impl StateMachine for Machine {
    async fn apply(&mut self, index: LogIndex, command: Bytes) -> Bytes {
        match self.planted {
            #[cfg(feature = "planted-bugs")]
            Some(Planted::Panic) => assert!(index.get() < 100, "the planted panic"),
            #[cfg(feature = "planted-bugs")]
            Some(Planted::FailedSyncIgnored | Planted::Leak | Planted::Idle(_)) => {}
            Some(Planted::Raft(_)) | None => {}
        }
        let command: Command = data::decode(&command).expect("an intact entry holds what a client encoded");
        let operation = command.operation;
        self.applied = index;
        let answer = Answer { index, reply: self.machine.apply(command) };
        self.world.applied(self.id, operation, &answer, self.machine.state());
        data::encode(&answer)
    }

    async fn query(&mut self, query: Bytes) -> Bytes {
        let query: Command = data::decode(&query).expect("a query is what a client encoded");
        let answer = Answer { index: self.applied, reply: self.machine.read(&query) };
        self.world.answered(query.operation, answer.index);
        data::encode(&answer)
    }

    async fn snapshot(&mut self) -> io::Result<SnapshotReader> {
        let snapshot = data::encode(&(self.applied, self.machine.snapshot()));
        Ok(Box::pin(io::Cursor::new(snapshot)))
    }

    async fn restore(&mut self, mut snapshot: SnapshotReader) -> io::Result<()> {
        let mut bytes = Vec::new();
        snapshot.read_to_end(&mut bytes).await?;
        let (applied, snapshot): (LogIndex, Bytes) = data::decode(&bytes).map_err(io::Error::other)?;
        self.machine.restore(&snapshot)?;
        self.applied = applied;
        self.world.restored(self.id, self.applied, self.machine.state());
        Ok(())
    }
}
