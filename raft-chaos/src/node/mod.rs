//! `raft-chaos node`: one real node, a key-value server in its own right, and what process mode breaks.
//!
//! | file | is |
//! | --- | --- |
//! | `settings.rs` | what a node is told: [`Settings`] |
//! | `store.rs` | what it replicates: [`Store`] |
//! | `home.rs` | what it keeps beside its log |
//! | `events.rs` | the file of what happens in it: [`Line`] |
//! | `joining.rs` | how a new one learns where the others are |
//! | `http.rs` | what it answers by HTTP |
//! | `tested.rs` | what it is told only where it is tested: [`ForTests`] |
//! | `machine.rs`, `environment.rs` | the disk and the clock that it has then, and the clock that it goes by |
//! | `ended.rs` | why it ended, and with which status: [`Ended`] |

mod ended;
mod environment;
mod events;
pub(crate) mod home;
mod http;
mod joining;
mod machine;
mod settings;
mod store;
mod tested;

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use raft_core::node::{LogStore, SystemEnvironment};
use raft_core::server::{Server, ServerError};
use raft_core::{Config, GroupId, NodeId};
use raft_net::{Addresses, Net, Tcp, TcpNet, TlsNet};
use raft_storage::{DiskFaults, MemoryDisk, MemoryStore, Opened, RocksStore, StorageError, StorageMeter};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::filter::LevelFilter;

use crate::data;
use crate::files;
use crate::plan::Storage;
pub(crate) use ended::{BUG, STORE};
pub use ended::{EXIT_CODES, Ended};
use environment::NodeEnvironment;
use events::Events;
pub use events::{Became, Happening, Line, NodeEvent};
use home::Home;
use http::{About, Http};
pub(crate) use machine::Condition;
use machine::Machine;
use settings::Resolved;
pub use settings::{Level, LogFormat, Settings};
pub(crate) use settings::{TlsFiles, check_address};
pub use store::{Command, Store};
use store::{Kept, Surroundings};
use tested::Different;
pub use tested::ForTests;
pub(crate) use tested::Tested;

/// Connections of clients that a node accepts, where it may have so many files: each client that asks something has one.
pub(crate) const CONNECTIONS_MAX: usize = 4_096;
/// Connections on which nobody has said yet who it is.
const HANDSHAKES_MAX: usize = 256;
/// Files and connections that a node needs besides those: its store, its peers, who asks by HTTP.
const FILES: usize = 512;

/// How long a process goes on at most whose node was told to end at once: RocksDB had better be closed by then.
const CLOSING: Duration = Duration::from_secs(1);

/// Runs a node until it is told to end, by SIGTERM or SIGINT, or ends by itself.
///
/// # Errors
///
/// It did not start, or ended by itself: why, and the status of the process.
pub fn run(settings: Settings, for_tests: &ForTests) -> Result<(), Ended> {
    let (mut node, different) = (settings.resolve()?, for_tests.read()?);
    if let Some(first) = different.first() {
        node.first = Some(first.clone()).filter(|first| first.members().contains(&node.id));
    }
    log(node.log);
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = node.threads {
        runtime.worker_threads(threads);
    }
    let runtime = runtime.enable_all().build();
    let runtime = runtime.map_err(|error| Ended::unavailable(format!("starting threads: {error}")))?;
    let ended = runtime.block_on(live(&node, &different));
    // Nothing is left to be waited for, unless it was not waited for that the server ends: then its store is closed meanwhile.
    runtime.shutdown_timeout(CLOSING);
    ended
}

/// What is told goes to standard error.
fn log((level, format): (Level, LogFormat)) {
    let level = match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    let told = tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).with_ansi(false);
    // That nobody hears it any more is no reason to end, nor to say so to whoever does not hear.
    let told = told.log_internal_errors(false);
    // Where somebody listens already, as in a test, it stays as it is.
    drop(match format {
        LogFormat::Text => told.try_init(),
        LogFormat::Json => told.json().flatten_event(true).try_init(),
    });
}

/// One life.
async fn live(node: &Resolved, different: &Different) -> Result<(), Ended> {
    let stop = Stop::new()?;
    let http = match &node.http {
        Some(address) => Some(Http::listen(address).await?),
        None => None,
    };
    let events = node.events.as_deref().map(|path| Events::open(path, node.id)).transpose()?.map(Arc::new);
    let machine = different.machine(events.clone());
    let life = Life { node, different, machine: machine.clone(), events: events.clone() };
    let ended = life.live(http, stop).await;
    if let Some(events) = events {
        let (status, why) = match &ended {
            Ok(()) => (0, None),
            Err(ended) => (ended.status, Some(ended.why.clone())),
        };
        if status == STORE && machine.is_some_and(|machine| machine.has_refused()) {
            events.tell(NodeEvent::GaveOut);
        }
        events.tell(NodeEvent::Ended { status, why });
    }
    ended
}

/// What a server is started with.
struct Life<'a> {
    node: &'a Resolved,
    different: &'a Different,
    machine: Option<Machine>,
    events: Option<Arc<Events>>,
}

impl Life<'_> {
    async fn live(&self, http: Option<Http>, stop: Stop) -> Result<(), Ended> {
        let Some(machine) = &self.machine else {
            let (log, meter) = self.directory()?;
            return self.live_on(log, http.map(|http| (http, meter)), stop).await;
        };
        match self.different.storage() {
            Storage::Rocksdb => {
                let (log, meter) = self.directory()?;
                self.live_on(machine.store(log), http.map(|http| (http, meter)), stop).await
            }
            Storage::Memory => {
                let directory = &self.node.data;
                fs::create_dir_all(directory).map_err(|error| Ended::unmade(directory, &error))?;
                let (clock, faults) = (machine.environment(), DiskFaults::new(0));
                let (incarnation, delay) = (self.different.incarnation(), Box::new(|| Duration::ZERO));
                let log = MemoryStore::open(&MemoryDisk::new(), incarnation, clock, delay, faults);
                self.live_on(machine.store(log), None, stop).await
            }
        }
    }

    /// The store in the directory.
    fn directory(&self) -> Result<(Opened<RocksStore>, StorageMeter), Ended> {
        let directory = &self.node.data;
        let log = RocksStore::open(directory, GroupId(0), self.different.incarnation())
            .map_err(|error| Ended::store(directory, &error))?;
        let meter = log.store.meter();
        Ok((log, meter))
    }

    async fn live_on<S: LogStore<Error = StorageError>>(
        &self,
        log: Opened<S>,
        http: Option<(Http, StorageMeter)>,
        stop: Stop,
    ) -> Result<(), Ended> {
        let node = self.node;
        let home = Home::open(&node.data, node.id, node.kind.name(), node.first.clone())?;
        match node.tls.as_ref().map(TlsFiles::read).transpose()? {
            Some(tls) => {
                joining::ask(node, TlsNet::new(tls.clone()), &home, log.incarnation).await?;
                let tcp = Tcp::new(self.addresses(&home)?).tls(tls);
                self.run(tcp, home, log, http, stop).await
            }
            None => {
                joining::ask(node, TcpNet, &home, log.incarnation).await?;
                self.run(Tcp::new(self.addresses(&home)?), home, log, http, stop).await
            }
        }
    }

    /// Where the servers are, as far as that is known at the start. What was given by hand counts.
    fn addresses(&self, home: &Home) -> Result<BTreeMap<NodeId, String>, Ended> {
        let Resolved { id, peers, advertise, .. } = self.node;
        let mut addresses = home.addresses();
        if addresses.is_empty() && peers.is_empty() {
            return Err(Ended::usage(
                "peers: the directory is new: give --peers 1=HOST:PORT,2=HOST:PORT,... to begin a cluster, or --join \
                 HOST:PORT to join one",
            ));
        }
        addresses.extend(peers.clone());
        addresses.insert(*id, advertise.clone());
        Ok(addresses)
    }

    /// Runs the server to its end.
    async fn run<N: Net, S: LogStore<Error = StorageError>>(
        &self,
        tcp: Tcp<N>,
        home: Home,
        log: Opened<S>,
        http: Option<(Http, StorageMeter)>,
        stop: Stop,
    ) -> Result<(), Ended> {
        home.settle()?;
        if home.first() != self.node.first && !self.node.peers.is_empty() {
            tracing::warn!(
                "--peers says something else than when the directory was made: who votes is in the log"
            );
        }
        if let Some(machine) = self.machine.clone() {
            machine.listen()?;
        }
        let counters = tcp.counters();
        let server = self.start(tcp, home, log).await?;
        let Resolved { id, cluster, listen, data, .. } = self.node;
        tracing::info!(server = %id, cluster = cluster.0, listen, data = %data.display(), "runs");
        let asked = server.clone();
        let answering = tokio::spawn(async move {
            if let Some((http, meter)) = http {
                http.serve(About { server: asked, counters, meter }).await;
            }
        });
        let ended = until_it_ends(&server, stop).await;
        answering.abort();
        ended?.map_err(|error| Ended::server(data, &error))
    }

    async fn start<N: Net, S: LogStore<Error = StorageError>>(
        &self,
        tcp: Tcp<N>,
        home: Home,
        log: Opened<S>,
    ) -> Result<Server<Store>, Ended> {
        let Resolved { listen, data: directory, kind, .. } = self.node;
        if let Some(events) = &self.events {
            let Opened { restored, incarnation, .. } = &log;
            let (term, last) = (restored.hard_state.current_term, restored.log.last());
            let found = Box::new(restored.clone());
            events.tell(NodeEvent::Started { incarnation: *incarnation, term, last, found });
        }
        let (config, kept) = (self.config(&home), data::named(*kind, data::Mix::new()).machine());
        let store = Store::new(kept, self.surroundings(home, tcp.addresses()));
        let (versions, connections_max) = (self.different.versions(), connections_max());
        let tcp = tcp.listen(listen).configure(move |config| {
            (config.connections_max, config.handshakes_max) = (connections_max, HANDSHAKES_MAX);
            (config.versions, config.needs_admin) = (versions, store::needs_admin);
        });
        let machine = Kept { store, bug: self.different.bug() };
        let environment = self.machine.as_ref().map(Machine::environment);
        let environment = environment.unwrap_or_else(|| NodeEnvironment::new(SystemEnvironment::new(), None));
        let builder = Server::builder(config).environment(environment).log(log).network(tcp).machine(machine);
        let started = match self.events.clone() {
            Some(events) => builder.observer(move |event| events.observe(event)).start().await,
            None => builder.start().await,
        };
        started.map_err(|error| Ended::start(directory, listen, &error))
    }

    fn surroundings(&self, home: Home, addresses: Addresses) -> Surroundings {
        let mut given = self.node.peers.clone();
        given.insert(self.node.id, self.node.advertise.clone());
        Surroundings { home, addresses, given, events: self.events.clone() }
    }

    fn config(&self, home: &Home) -> Config {
        let Resolved { id, cluster, election_timeout, heartbeat, disk_patience, snapshot_every, .. } =
            self.node;
        let usual = Config::new(*id, Vec::new());
        let mut config = Config {
            cluster: *cluster,
            bootstrap: home.first(),
            election_timeout: *election_timeout,
            heartbeat: *heartbeat,
            disk_patience: *disk_patience,
            snapshot_entries: snapshot_every.unwrap_or(usual.snapshot_entries),
            // No more stays in the log than a snapshot later stands for.
            snapshot_trailing: snapshot_every
                .filter(|every| *every > 0)
                .map_or(usual.snapshot_trailing, |every| every.min(usual.snapshot_trailing)),
            ..usual
        };
        self.different.configure(&mut config);
        config
    }
}

/// How many clients there may be, so that there are files left for peers.
fn connections_max() -> usize {
    let besides = HANDSHAKES_MAX + FILES;
    let needed = CONNECTIONS_MAX + besides;
    // A system that says nothing is taken for one with room.
    let allowed =
        files::allow(needed as u64).map_or(needed, |allowed| usize::try_from(allowed).unwrap_or(needed));
    let clients = allowed.saturating_sub(besides).clamp(1, CONNECTIONS_MAX);
    if allowed < needed {
        tracing::warn!(
            clients,
            "takes no more clients: {allowed} files may be open at a time, and more clients take up to {needed}; raise ulimit -n"
        );
    }
    clients
}

/// Waits until the server has ended, by itself or in order.
///
/// # Errors
///
/// It was not waited for.
async fn until_it_ends(server: &Server<Store>, mut stop: Stop) -> Result<Result<(), ServerError>, Ended> {
    tokio::select! {
        biased;
        ended = server.ended() => return Ok(ended),
        () = stop.asked() => {}
    }
    tracing::info!("told to end: hands over leadership, answers what came in, and closes");
    tokio::select! {
        biased;
        ended = server.shutdown() => Ok(ended),
        () = stop.asked() => Err(Ended::interrupted()),
    }
}

/// Whoever tells the process to end.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn new() -> Result<Self, Ended> {
        let hear = |kind| signal(kind).map_err(|error| Ended::unavailable(format!("signals: {error}")));
        Ok(Self { terminate: hear(SignalKind::terminate())?, interrupt: hear(SignalKind::interrupt())? })
    }

    /// Waits for it. Cancel safe.
    async fn asked(&mut self) {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
