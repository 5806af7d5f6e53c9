//! How a server is put together and started.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::Server;
use super::machine::{Replicated, known};
use super::observed::{Observed, Observer};
use super::running::{Running, ServerError, Task};
use super::telling::{tell, tell_end};
use crate::config::{Config, ConfigError};
use crate::event::Event;
use crate::message::Envelope;
use crate::node::{
    Applier, Door, Environment, Handle, LogStore, Node, StateMachine, SystemEnvironment, Transport,
};
use crate::state::{Raft, Restored};
use crate::types::{ClusterId, Incarnation, NodeId, random};

/// Messages of other servers that may wait for the node; more are dropped, and sent again.
const INBOX_MAX: usize = 1024;

/// A log store that was opened, and what it found. `raft-storage`'s `Opened` is one.
pub trait Log: Send {
    /// The store.
    type Store: LogStore;

    /// The store, what it had stored, and this life of its directory.
    fn into_parts(self) -> (Self::Store, Restored, Incarnation);
}

/// A way to the other servers, and for them and for clients to this one. `raft-net`'s `Tcp` is one.
pub trait Network<E = SystemEnvironment>: Send {
    /// What carries messages.
    type Transport: Transport;

    /// Begins to listen and to carry messages.
    ///
    /// # Errors
    ///
    /// There is no listening here.
    fn join(self, server: Joining<E>) -> impl Future<Output = io::Result<Joined<Self::Transport>>> + Send;
}

/// A server that is about to be reached.
#[derive(Debug)]
pub struct Joining<E = SystemEnvironment> {
    /// Its cluster.
    pub cluster: ClusterId,
    /// The server.
    pub id: NodeId,
    /// This life of its data directory.
    pub incarnation: Incarnation,
    /// A seed of this life alone.
    pub seed: u64,
    /// The shortest election timeout: a connection that has died is to be noticed within it.
    pub election_timeout: Duration,
    /// The clock that all waiting is on.
    pub environment: E,
    /// Where the messages of other servers go. What does not fit is to be dropped.
    pub messages: mpsc::Sender<Envelope>,
    /// Answers clients.
    pub handle: Handle,
}

/// A server that can be reached.
#[derive(Debug)]
pub struct Joined<T> {
    /// Carries messages. When it is dropped, the server can be reached no more.
    pub transport: T,
    /// Answers clients, and ends once the transport has been dropped and the address is free.
    pub serving: JoinHandle<()>,
}

/// What a server is made of: [`log`](Self::log), [`network`](Self::network) and [`machine`](Self::machine), in any order,
/// then [`start`](Builder::start).
#[derive(Debug)]
#[must_use = "nothing runs before it is started"]
pub struct Builder<L = (), N = (), M = (), E = SystemEnvironment> {
    config: Config,
    log: L,
    network: N,
    machine: M,
    environment: E,
    observer: Option<Observer>,
}

impl Builder {
    pub(super) fn new(config: Config) -> Self {
        let environment = SystemEnvironment::new();
        Self { config, log: (), network: (), machine: (), environment, observer: None }
    }
}

impl<L, N, M, E> Builder<L, N, M, E> {
    /// Where hard state and log become durable.
    pub fn log<L2: Log>(self, log: L2) -> Builder<L2, N, M, E> {
        let Self { config, network, machine, environment, observer, .. } = self;
        Builder { config, log, network, machine, environment, observer }
    }

    /// The way to the other servers.
    pub fn network<N2: Network<E>>(self, network: N2) -> Builder<L, N2, M, E> {
        let Self { config, log, machine, environment, observer, .. } = self;
        Builder { config, log, network, machine, environment, observer }
    }

    /// What is replicated: a [`Machine`](super::Machine) as it is before anything was applied, which is restored from the last
    /// snapshot and the log, or one that has kept what it has applied.
    pub fn machine<M2: Replicated>(self, machine: M2) -> Builder<L, N, M2, E> {
        let Self { config, log, network, environment, observer, .. } = self;
        Builder { config, log, network, machine, environment, observer }
    }

    /// The clock that the server and its transport go by, if not the system's: in tests, one that runs fast or slow. What
    /// happens in the server an [`observer`](Self::observer) hears, and not this.
    pub fn environment<E2: Environment>(self, environment: E2) -> Builder<L, N, M, E2> {
        let Self { config, log, network, machine, observer, .. } = self;
        Builder { config, log, network, machine, environment, observer }
    }

    /// Who hears what happens in the server ([`Event`]), in order, and before anything of it is carried out: for traces and
    /// checkers. The server waits for it, each time.
    pub fn observer(self, hear: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        Self { observer: Some(Observer::new(hear)), ..self }
    }
}

impl<L: Log, N: Network<E>, M: Replicated, E: Environment> Builder<L, N, M, E> {
    /// Starts the server on this tokio runtime. The incarnation of the configuration is the log's, and its seed is
    /// drawn.
    ///
    /// # Errors
    ///
    /// The configuration or what is on the disk makes no sense, or the network refused.
    pub async fn start(self) -> Result<Server<M::Typed>, StartError> {
        let Self { mut config, log, network, machine, environment, observer } = self;
        let (store, restored, incarnation) = log.into_parts();
        config.incarnation = incarnation;
        config.seed = random();
        config.durable_state_machine = M::IS_DURABLE;
        config.observe = observer.is_some();
        let (cluster, id, patience) = (config.cluster, config.id, config.election_timeout.1 * 2);
        let raft = Raft::new(config, restored, environment.now()).map_err(StartError::Config)?;
        let is_quick = machine.is_quick();
        let machine = machine.into_state_machine()?;
        let applied = machine.durable_applied();

        let (handle, door) = Door::new(raft.config().command_bytes_max);
        let handle = handle.for_what_is_known(known::<M::Typed>());
        let (messages, inbox) = mpsc::channel(INBOX_MAX);
        let joining = Joining {
            cluster,
            id,
            incarnation,
            seed: random(),
            election_timeout: raft.config().election_timeout.0,
            environment: environment.clone(),
            messages,
            handle: handle.clone(),
        };
        let Joined { transport, serving } = network.join(joining).await?;
        let (gone, machine_gone) = oneshot::channel();
        let chunk_bytes = raft.config().snapshot_chunk_bytes;
        let applier = if is_quick {
            Applier::start_quick(machine, chunk_bytes, gone)
        } else {
            Applier::start_apart(machine, chunk_bytes, gone)
        };
        let ports = (store, transport, Observed { environment, observer });
        let mut node = Node::behind(door, raft, ports, inbox, (applier, applied));

        let (status, turns) = node.watch();
        tokio::spawn(tell(turns));
        let (ended_sender, ended) = watch::channel(None);
        let task = tokio::spawn(async move {
            let how = node.run().await.map_err(|error| ServerError(Arc::new(error)));
            // Both end by themselves once the node has let go of them; neither says more than that.
            drop(machine_gone.await);
            drop(serving.await);
            tell_end(id, &how);
            ended_sender.send_replace(Some(how));
        });
        let task = Task(task.abort_handle());
        let environment = SystemEnvironment::new();
        let running = Arc::new(Running { handle, environment, patience, status, ended, _task: task });
        Ok(Server { running, machine: PhantomData })
    }
}

/// Why a server did not start.
#[derive(Debug)]
pub enum StartError {
    /// The configuration makes no sense, or does not go with what is on the disk.
    Config(ConfigError),
    /// The operating system refused.
    Io(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Io(error) => write!(f, "starting a server: {error}"),
        }
    }
}

impl Error for StartError {}

impl From<io::Error> for StartError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
