//! One life of a server: the real node on the lab's network, and a disk in memory that outlives it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use raft_core::node::{Done, Environment, Handle, LogStore, Node, Point};
use raft_core::{Batch, Config, Envelope, Event, Incarnation, Load, PlantedBug, Raft, Rng, Time};
use raft_storage::{DiskFaults, Loss, MemoryDisk, MemoryStore, Opened, StorageError, SyncDelay};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::application::{Application, Service, Shared, Snapshots, State};
use super::ledger::Ledger;
use super::lock;
use super::network::{Network, node};
use super::record::Record;

/// How many messages may wait for a node: more than ever do.
const INBOX_MAX: usize = 1 << 16;
/// The shortest and the longest time that a sync takes: then a command takes what it took where the lab's own tests were
/// run, about 3 ms.
const SYNC: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(4));
/// At most ten heartbeats a second, as the lab asks.
const HEARTBEAT: Duration = Duration::from_millis(100);
const ELECTION_TIMEOUT: (Duration, Duration) = (Duration::from_millis(300), Duration::from_millis(600));

/// What lives of one server have in common.
pub(super) struct Machine {
    pub(super) server: usize,
    pub(super) servers: usize,
    pub(super) application: Application,
    pub(super) planted: Option<PlantedBug>,
    pub(super) snapshots: Snapshots,
    pub(super) network: Network,
    pub(super) ledger: Arc<Mutex<Ledger>>,
    pub(super) record: Record,
    pub(super) disk: MemoryDisk,
    pub(super) rng: Rng,
    /// How many lives there have been.
    pub(super) life: u64,
}

/// A server that runs.
pub(super) struct Running {
    pub(super) handle: Handle,
    pub(super) state: Shared,
    tasks: JoinSet<()>,
}

impl Machine {
    /// Begins a life with what the disk has.
    pub(super) fn start(&mut self) -> Running {
        self.life += 1;
        let environment = LabEnvironment {
            server: self.server,
            ledger: Arc::clone(&self.ledger),
            began: self.record.began(),
        };
        let mut sync = Rng::new(self.rng.next_u64());
        let delay: SyncDelay = Box::new(move || sync.duration(SYNC));
        let incarnation = Incarnation(node(self.server).get());
        let faults = DiskFaults::new(self.rng.next_u64());
        let opened = MemoryStore::open(&self.disk, incarnation, environment.clone(), delay, faults);
        let Opened { store, restored, .. } = opened;
        lock(&self.ledger).started(self.server, &restored);
        let raft =
            Raft::new(self.config(), restored, environment.now()).expect("the lab's configuration is sound");
        let (messages, inbox) = mpsc::channel(INBOX_MAX);
        let state: Shared = Arc::new(tokio::sync::Mutex::new(State::new(self.application)));
        let wanted = Arc::new(Notify::new());
        let service = Service {
            server: self.server,
            state: Arc::clone(&state),
            ledger: Arc::clone(&self.ledger),
            number: 0,
            snapshots: self.snapshots,
            wanted: Arc::clone(&wanted),
        };
        let store = Watched { server: self.server, ledger: Arc::clone(&self.ledger), store };
        let transport = self.network.transport(self.server, self.life);
        let (node, handle) = Node::new(raft, store, transport, service, environment, inbox);
        self.network.open(self.server, self.life, messages, handle.clone());
        let mut tasks = JoinSet::new();
        let (record, server) = (self.record.clone(), self.server);
        tasks.spawn(async move {
            if let Err(error) = node.run().await {
                record.ended(server, &error.to_string());
            }
        });
        let asked = handle.clone();
        tasks.spawn(async move {
            loop {
                wanted.notified().await;
                asked.snapshot().await;
            }
        });
        Running { handle, state, tasks }
    }

    /// Ends a life. Its memory is lost, its disk is not.
    pub(super) async fn kill(&self, mut running: Running) {
        self.network.close(self.server);
        self.disk.crash(Loss::None);
        running.tasks.shutdown().await;
    }

    fn config(&mut self) -> Config {
        let mut config = Config::new(node(self.server), (0..self.servers).map(node).collect());
        config.election_timeout = ELECTION_TIMEOUT;
        config.heartbeat = HEARTBEAT;
        config.snapshot_entries = 0;
        config.snapshot_trailing = 0;
        config.seed = self.rng.next_u64();
        config.observe = true;
        config.planted = self.planted;
        config
    }
}

/// The test's clock, and the ledger that hears what happens.
#[derive(Clone)]
struct LabEnvironment {
    server: usize,
    ledger: Arc<Mutex<Ledger>>,
    began: Instant,
}

impl Environment for LabEnvironment {
    fn now(&self) -> Time {
        Time::ZERO.after(self.began.elapsed())
    }

    fn sleep_until(&self, deadline: Time) -> impl Future<Output = ()> + Send {
        sleep_until(self.began + deadline.since(Time::ZERO))
    }

    fn point(&self, _: Point) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    fn observe(&self, event: &Event) {
        lock(&self.ledger).observe(self.server, event);
    }

    fn receives(&self, raft: &Raft, envelope: &Envelope) {
        lock(&self.ledger).met(raft, envelope);
    }
}

/// A store, and the ledger that hears what it is given.
struct Watched {
    server: usize,
    ledger: Arc<Mutex<Ledger>>,
    store: MemoryStore,
}

#[async_trait]
impl LogStore for Watched {
    type Error = StorageError;

    fn write(&mut self, batch: Batch) {
        lock(&self.ledger).wrote(self.server, &batch);
        self.store.write(batch);
    }

    fn load(&mut self, load: Load) {
        self.store.load(load);
    }

    async fn done(&mut self) -> Result<Done, StorageError> {
        self.store.done().await
    }
}
