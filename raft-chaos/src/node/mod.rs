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
//! | `ended.rs` | why it ended, and with which status: [`Ended`] |

mod ended;
mod events;
pub(crate) mod home;
mod http;
mod joining;
mod settings;
mod store;

use std::collections::BTreeMap;
use std::sync::Arc;

use raft_core::server::{Server, ServerError};
use raft_core::{Config, GroupId, Incarnation, NodeId};
use raft_net::{Addresses, Net, Tcp, TcpNet, TlsNet};
use raft_storage::{Opened, RocksStore};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::filter::LevelFilter;

use crate::data;
pub(crate) use ended::STORE;
pub use ended::{EXIT_CODES, Ended};
use events::Events;
pub use events::{Happening, Line, NodeEvent};
use home::Home;
use http::{About, Http};
use settings::Resolved;
pub use settings::{Level, LogFormat, Settings};
pub(crate) use settings::{TlsFiles, check_address};
use store::Surroundings;
pub use store::{Command, Store};

/// Connections that a node accepts, of servers and clients together: each client that asks something has one.
pub(crate) const CONNECTIONS_MAX: usize = 4_096;

/// Runs a node until it is told to end, by SIGTERM or SIGINT, or ends by itself.
///
/// # Errors
///
/// It did not start, or ended by itself: why, and the status of the process.
pub fn run(settings: Settings) -> Result<(), Ended> {
    let node = settings.resolve()?;
    log(node.log);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Ended::unavailable(format!("starting threads: {error}")))?;
    let ended = runtime.block_on(live(&node));
    // A file that is being read, at most: nothing that has to be waited for.
    runtime.shutdown_background();
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
    // Where somebody listens already, as in a test, it stays as it is.
    drop(match format {
        LogFormat::Text => told.try_init(),
        LogFormat::Json => told.json().flatten_event(true).try_init(),
    });
}

/// One life.
async fn live(node: &Resolved) -> Result<(), Ended> {
    let stop = Stop::new()?;
    let tls = node.tls.as_ref().map(TlsFiles::read).transpose()?;
    let http = match &node.http {
        Some(address) => Some(Http::listen(address).await?),
        None => None,
    };
    let events = node.events.as_deref().map(|path| Events::open(path, node.id)).transpose()?.map(Arc::new);
    let log = RocksStore::open(&node.data, GroupId(0), Incarnation::random())
        .map_err(|error| Ended::store(&node.data, &error))?;
    let home = Home::open(&node.data, node.id, node.kind.name(), node.first.clone())?;
    let life = Life { node, home: Arc::new(home), events: events.clone() };
    let ended = match tls {
        Some(tls) => {
            joining::ask(node, TlsNet::new(tls.clone()), &life.home, log.incarnation).await?;
            life.run(Tcp::new(life.addresses()?).tls(tls), log, http, stop).await
        }
        None => {
            joining::ask(node, TcpNet, &life.home, log.incarnation).await?;
            life.run(Tcp::new(life.addresses()?), log, http, stop).await
        }
    };
    if let Some(events) = events {
        events.tell(NodeEvent::Ended { status: ended.as_ref().map_or_else(|ended| ended.status, |()| 0) });
    }
    ended
}

/// What a server is started with.
struct Life<'a> {
    node: &'a Resolved,
    home: Arc<Home>,
    events: Option<Arc<Events>>,
}

impl Life<'_> {
    /// Where the servers are, as far as that is known at the start. What was given by hand counts.
    fn addresses(&self) -> Result<BTreeMap<NodeId, String>, Ended> {
        let Resolved { id, peers, advertise, .. } = self.node;
        let mut addresses = self.home.addresses();
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
    async fn run<N: Net>(
        &self,
        tcp: Tcp<N>,
        log: Opened<RocksStore>,
        http: Option<Http>,
        stop: Stop,
    ) -> Result<(), Ended> {
        self.home.settle()?;
        if self.home.first() != self.node.first && !self.node.peers.is_empty() {
            tracing::warn!(
                "--peers says something else than when the directory was made: who votes is in the log"
            );
        }
        let (counters, meter) = (tcp.counters(), log.store.meter());
        let server = self.start(tcp, log).await?;
        let Resolved { id, cluster, listen, data, .. } = self.node;
        tracing::info!(server = %id, cluster = cluster.0, listen, data = %data.display(), "runs");
        let about = About { server: server.clone(), counters, meter };
        let answering = tokio::spawn(async move {
            if let Some(http) = http {
                http.serve(about).await;
            }
        });
        let ended = until_it_ends(&server, stop).await;
        answering.abort();
        ended?.map_err(|error| Ended::server(data, &error))
    }

    async fn start<N: Net>(&self, tcp: Tcp<N>, log: Opened<RocksStore>) -> Result<Server<Store>, Ended> {
        let Resolved { listen, data: directory, kind, .. } = self.node;
        if let Some(events) = &self.events {
            let Opened { restored, incarnation, .. } = &log;
            let (term, last) = (restored.hard_state.current_term, restored.log.last());
            events.tell(NodeEvent::Started { incarnation: *incarnation, term, last });
        }
        let kept = data::named(*kind, data::Mix::new()).machine();
        let store = Store::new(kept, self.surroundings(tcp.addresses()));
        let tcp = tcp.listen(listen).configure(|config| config.connections_max = CONNECTIONS_MAX);
        let builder = Server::builder(self.config()).log(log).network(tcp).machine(store);
        let started = match self.events.clone() {
            Some(events) => builder.observer(move |event| events.observe(event)).start().await,
            None => builder.start().await,
        };
        started.map_err(|error| Ended::start(directory, listen, &error))
    }

    fn surroundings(&self, addresses: Addresses) -> Surroundings {
        let mut given = self.node.peers.clone();
        given.insert(self.node.id, self.node.advertise.clone());
        Surroundings { home: Arc::clone(&self.home), addresses, given, events: self.events.clone() }
    }

    fn config(&self) -> Config {
        let Resolved { id, cluster, election_timeout, heartbeat, snapshot_every, .. } = self.node;
        let usual = Config::new(*id, Vec::new());
        Config {
            cluster: *cluster,
            bootstrap: self.home.first(),
            election_timeout: *election_timeout,
            heartbeat: *heartbeat,
            snapshot_entries: snapshot_every.unwrap_or(usual.snapshot_entries),
            // No more stays in the log than a snapshot later stands for.
            snapshot_trailing: snapshot_every
                .filter(|every| *every > 0)
                .map_or(usual.snapshot_trailing, |every| every.min(usual.snapshot_trailing)),
            ..usual
        }
    }
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
