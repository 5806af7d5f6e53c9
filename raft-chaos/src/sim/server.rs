//! One server of the simulated cluster: the real node, the real transport, a real store.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use raft_core::node::{Handle, LogStore, Node, NodeError, SnapshotReader, StateMachine};
use raft_core::sessions::Sessions;
use raft_core::{
    Config, Configuration, GroupId, Incarnation, LogIndex, NodeId, PlantedBug, Raft, Restored, Rng,
};
use raft_net::{Inlet, Net, Peers, PeersConfig, Request, Responder};
use raft_storage::{MemoryStore, Opened, RocksStore, StorageError, SyncDelay};
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::Planted;
use super::clock::Clock;
use super::disk::{Disk, Kept};
use super::door::Door;
use super::environment::{SimEnvironment, SimLinks};
use super::membership::Ask;
use super::sessions::Watched;
use super::world::World;
use crate::data::{self, Answer, Command, DataType};
use crate::plan::{Cluster, Reads};

/// The port that every server listens on.
pub(super) const PORT: u16 = 7000;
/// How many messages, and how many requests, may wait for a node.
const INLET_MAX: usize = 4096;
/// The shortest and the longest time that a sync takes.
const SYNC: (Duration, Duration) = (Duration::from_micros(500), Duration::from_millis(4));

/// The simulated host that all clients run on.
pub(super) const CLIENTS: &str = "clients";

/// The simulated host that a server runs on.
pub(super) fn host_name(id: NodeId) -> String {
    id.to_string()
}

/// What a server needs in each of its lives.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) id: NodeId,
    pub(super) cluster: Cluster,
    pub(super) world: World,
    pub(super) disk: Disk,
    pub(super) seed: u64,
    pub(super) clock: Clock,
    /// What the group begins with.
    pub(super) first: Configuration,
    /// Whether clients have sessions.
    pub(super) sessions: bool,
    /// What the state machine keeps.
    pub(super) data: Arc<dyn DataType>,
    pub(super) planted: Option<Planted>,
}

impl Server {
    /// One life, from start to stop; a crash drops it anywhere.
    pub(super) async fn live(self) -> turmoil::Result {
        let environment = SimEnvironment::new(&self.world, Some(self.id), self.clock.clone());
        let life = self.world.server(self.id).map_or(0, |server| server.life);
        let mut rng = Rng::new(self.seed ^ life.wrapping_mul(0x9e37_79b9));
        let incarnation = self.world.membership(|membership| membership.life(self.id));
        let mut sync = Rng::new(rng.next_u64());
        let (world, id) = (self.world.clone(), self.id);
        let delay: SyncDelay = Box::new(move || {
            world.syncs(id);
            sync.duration(SYNC)
        });
        // What an earlier life was refused says nothing of this one.
        self.disk.faults.take_refused();
        let (time, faults) = (environment.clone(), self.disk.faults.clone());
        let ended = match &self.disk.kept {
            Kept::Memory(disk) => {
                let opened = MemoryStore::open(disk, incarnation, time, delay, faults);
                self.run(opened, environment, &mut rng).await
            }
            Kept::Rocksdb { folder, .. } => {
                match RocksStore::open_simulated(folder, GroupId(0), incarnation, time, delay, faults) {
                    Ok(opened) => {
                        self.disk.opened(opened.store.synced_wal());
                        self.run(opened, environment, &mut rng).await
                    }
                    Err(error) => Err(NodeError::Store(error)),
                }
            }
        };
        match ended {
            Ok(()) => self.world.shut_down(self.id),
            Err(NodeError::Store(_)) if self.disk.faults.take_refused() => {
                self.disk.gave_out(&mut rng);
                self.world.gave_out(self.id);
            }
            Err(NodeError::Store(error)) if self.world.is_over_damage(self.id, &error) => {
                self.world.gave_out(self.id);
            }
            Err(error) => self.world.ended(self.id, &error),
        }
        Ok(())
    }

    async fn run<S: LogStore<Error = StorageError>>(
        &self,
        opened: Opened<S>,
        environment: SimEnvironment,
        rng: &mut Rng,
    ) -> Result<(), NodeError<StorageError>> {
        let Opened { store, restored, incarnation, torn_bytes: _ } = opened;
        self.world.started(self.id, incarnation, &restored);
        let (messages, inbox) = mpsc::channel(INLET_MAX);
        let (requests, clients) = mpsc::channel(INLET_MAX);
        let raft = self.raft(restored, incarnation, rng.next_u64(), &environment);
        let door = Door { node: self.id, world: self.world.clone() };
        let listener = door.listen(&format!("0.0.0.0:{PORT}")).await.expect("a simulated port is free");
        let peers = Peers::start(
            door,
            listener,
            environment.clone(),
            SimLinks(self.world.clone()),
            self.peers(incarnation, rng.next_u64()),
            Inlet { messages, requests },
        );
        let (id, world) = (self.id, self.world.clone());
        let machine = Machine {
            id,
            machine: self.data.machine(),
            applied: LogIndex::ZERO,
            world: world.clone(),
            planted: self.planted,
        };
        if self.sessions {
            let machine =
                Sessions::new(machine).expect("a state machine in memory has nothing applied at first");
            let machine = Watched { id, machine: machine.with_bug(self.bug()), world };
            let (node, handle) = Node::new(raft, store, peers, machine, environment, inbox);
            self.serve(node.run(), handle, clients).await
        } else {
            let (node, handle) = Node::new(raft, store, peers, machine, environment, inbox);
            self.serve(node.run(), handle, clients).await
        }
    }

    /// Runs a node, and does what it is asked by clients and by the plan.
    async fn serve(
        &self,
        node: impl Future<Output = Result<(), NodeError<StorageError>>>,
        handle: Handle,
        clients: mpsc::Receiver<(Request, Responder)>,
    ) -> Result<(), NodeError<StorageError>> {
        let mut tasks = JoinSet::new();
        tasks.spawn(raft_net::serve(handle.clone(), clients));
        if let Some(server) = self.world.server(self.id) {
            let asked = handle.clone();
            tasks.spawn(async move {
                loop {
                    server.take_snapshot.notified().await;
                    asked.snapshot().await;
                }
            });
            let (world, id, changed) = (self.world.clone(), self.id, handle.clone());
            tasks.spawn(async move {
                loop {
                    server.asked.notified().await;
                    while let Some((ask, what)) = world.next_ask(id) {
                        let answer = answer(&changed, what).await;
                        world.answered_ask(ask, answer);
                    }
                }
            });
            tasks.spawn(async move {
                server.stop.notified().await;
                handle.shutdown().await;
            });
        }
        node.await
    }

    /// The bug that this server's libraries have.
    fn bug(&self) -> Option<PlantedBug> {
        match self.planted {
            Some(Planted::Raft(bug)) => Some(bug),
            #[cfg(feature = "planted-bugs")]
            Some(Planted::Panic | Planted::FailedSyncIgnored | Planted::Leak | Planted::Idle(_)) => None,
            None => None,
        }
    }

    fn raft(
        &self,
        restored: Restored,
        incarnation: Incarnation,
        seed: u64,
        environment: &SimEnvironment,
    ) -> Raft {
        use raft_core::node::Environment as _;
        let mut config = Config::new(self.id, Vec::new());
        config.bootstrap = Some(self.first.clone()).filter(|first| first.members().contains(&self.id));
        config.incarnation = incarnation;
        config.election_timeout = self.cluster.election_timeout;
        config.heartbeat = self.cluster.heartbeat;
        config.pre_vote = self.cluster.prevote;
        if let Reads::Lease { drift } = self.cluster.read {
            config.read_lease_ppm = Some(drift.ppm());
        }
        config.disk_patience = self.cluster.election_timeout.1 * 4;
        let bytes = |bytes| usize::try_from(bytes).unwrap_or(usize::MAX);
        config.snapshot_entries = self.cluster.snapshot_every;
        config.snapshot_trailing = self.cluster.snapshot_trailing;
        config.snapshot_chunk_bytes = bytes(self.cluster.snapshot_chunk);
        config.cache_bytes_max = bytes(self.cluster.log_cache);
        config.seed = seed;
        config.observe = true;
        config.planted = self.bug();
        Raft::new(config, restored, environment.now()).expect("a plan that was read configures a server")
    }

    fn peers(&self, incarnation: Incarnation, seed: u64) -> PeersConfig {
        let address = |id| (id, format!("{}:{PORT}", host_name(id)));
        let peers: BTreeMap<_, _> = self.cluster.nodes().into_iter().map(address).collect();
        // A lost connection is noticed, and dialled again, within a few election timeouts.
        let (_, timeout) = self.cluster.election_timeout;
        PeersConfig {
            incarnation,
            seed,
            connect_timeout: timeout,
            keep_alive: timeout,
            silence: timeout * 4,
            idle: timeout * 4,
            // Simulated links are slow for messages, not for bytes: none of them is still on its way.
            unasked_pong: Duration::MAX,
            back_off: (self.cluster.heartbeat, timeout),
            ..PeersConfig::new(self.id, peers)
        }
    }
}

/// What a node says to what it is asked for.
async fn answer(handle: &Handle, ask: Ask) -> Result<(), String> {
    match ask {
        Ask::Change { from, voters, learners } => {
            let changed = handle.change_membership(from, voters, learners).await;
            changed.map(|_| ()).map_err(|refused| refused.to_string())
        }
        Ask::Transfer { to } => handle.transfer(to).await.map_err(|refused| refused.to_string()),
    }
}

/// The state machine, and the world that hears what was applied.
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
