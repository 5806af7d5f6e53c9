//! A client's way to whichever server leads: the way of its session.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use raft_core::node::Environment;
use raft_core::server::Route;
use raft_core::sessions::{Proposed, Proposer};
use raft_core::{ClusterId, NodeId, Time};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::client::{Ask, Client, Outcome};
use crate::error::NetError;
use crate::multiplexed::Multiplexed;
use crate::net::Net;
use crate::outbox::within;

/// How long a server may take to accept a connection, unless [`Servers::connect_within`] says otherwise.
const CONNECT: Duration = Duration::from_millis(500);

/// All servers of a cluster, as their clients reach them. Requests go to the one that seems to lead, and all that are under way at
/// the same time share a connection, so that many of them cost little more than one: 256 are, and others wait for them.
/// Connections live on the runtime of whoever asked first.
///
/// With a [`ClientSession`](raft_core::sessions::ClientSession) on it each command is applied exactly once, through
/// whatever becomes of leaders and connections, as long as the state machine is one of
/// [`Sessions`](raft_core::sessions::Sessions):
///
/// ```
/// use std::collections::BTreeMap;
/// use std::time::Duration;
///
/// use raft_core::node::{Environment, SystemEnvironment};
/// use raft_core::sessions::{ClientSession, CommandError, Retries};
/// use raft_core::{ClusterId, NodeId};
/// use raft_net::{Servers, TcpNet};
///
/// async fn pay(addresses: BTreeMap<NodeId, String>) -> Result<(), Box<dyn std::error::Error>> {
///     let clock = SystemEnvironment::new();
///     let in_a_minute = || clock.now().after(Duration::from_secs(60));
///     let servers = Servers::new(TcpNet, clock, ClusterId(1), addresses);
///     let session = ClientSession::register(servers, clock, Retries::default(), in_a_minute()).await?;
///     match session.command("pay 10".into(), in_a_minute()).await {
///         Ok(receipt) => println!("paid, once: {receipt:?}"),
///         Err(CommandError::SessionExpired { maybe_applied: false } | CommandError::NotApplied) => {
///             println!("not paid, and never will be")
///         }
///         Err(error) => println!("paid at most once: {error}"),
///     }
///     Ok(())
/// }
/// ```
pub struct Servers<N: Net, E> {
    net: N,
    environment: E,
    cluster: ClusterId,
    addresses: BTreeMap<NodeId, String>,
    connect: Duration,
    known: Mutex<Known>,
}

struct Known {
    /// Who is asked next.
    next: Option<NodeId>,
    /// How each was reached that was asked.
    lines: BTreeMap<NodeId, Arc<Dial>>,
    /// Whoever dials.
    dials: JoinSet<()>,
}

/// A server that is dialled, or was.
#[derive(Debug)]
struct Dial {
    /// Closed when it is over. Those who wait go on in the order in which they came.
    under_way: Semaphore,
    /// What has come of it; nothing if it failed.
    open: OnceLock<Multiplexed>,
}

impl Dial {
    async fn ended(&self) -> Option<Multiplexed> {
        // An error, once it is over: nobody ever gives a permit.
        drop(self.under_way.acquire().await);
        self.open.get().cloned()
    }
}

/// Whoever dials has this: once it is gone, whatever ended it, nobody waits for it in vain.
struct Dialling(Arc<Dial>);

impl Drop for Dialling {
    fn drop(&mut self) {
        self.0.under_way.close();
    }
}

impl<N: Net, E> fmt::Debug for Servers<N, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (cluster, addresses) = (&self.cluster, &self.addresses);
        let mut fields = f.debug_struct("Servers");
        fields.field("cluster", cluster).field("addresses", addresses).finish_non_exhaustive()
    }
}

impl<N: Net, E: Environment> Servers<N, E> {
    /// The servers of `cluster`, at these addresses.
    pub fn new(net: N, environment: E, cluster: ClusterId, addresses: BTreeMap<NodeId, String>) -> Self {
        let known = Known { next: None, lines: BTreeMap::new(), dials: JoinSet::new() };
        Self { net, environment, cluster, addresses, connect: CONNECT, known: Mutex::new(known) }
    }

    /// The same, with another time that a server may take to accept a connection; then the next one is tried.
    #[must_use]
    pub fn connect_within(self, connect: Duration) -> Self {
        Self { connect, ..self }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who is to be asked: from now on the first, if nobody is known to be better.
    fn next(&self, known: &mut Known) -> Option<NodeId> {
        known.next = known.next.or_else(|| self.addresses.keys().next().copied());
        known.next
    }

    /// Who is to be asked, and how it is reached: over a connection that is good, or else a new one. A server that could not be
    /// reached, and nobody waited to see it, or that says nothing, is passed.
    fn line(&self) -> Option<(NodeId, Arc<Dial>)> {
        let mut known = self.known();
        let now = self.environment.now();
        for _ in 0..self.addresses.len() {
            let server = self.next(&mut known)?;
            let Some(line) = known.lines.get(&server).cloned() else { break };
            match line.open.get() {
                None if !line.under_way.is_closed() => return Some((server, line)),
                Some(open) if open.is_good(now) => return Some((server, line)),
                // It was not used for long, or has been closed.
                Some(open) if !open.falls_silent(now) => break,
                Some(_) | None => {
                    known.lines.remove(&server);
                    self.turn(&mut known, server, None);
                }
            }
        }
        let server = self.next(&mut known)?;
        let line = self.dial(server, &mut known.dials)?;
        known.lines.insert(server, Arc::clone(&line));
        Some((server, line))
    }

    /// Dials, for all who want to ask this server: none of them can keep others from it by what becomes of its request.
    fn dial(&self, server: NodeId, dials: &mut JoinSet<()>) -> Option<Arc<Dial>> {
        let address = self.addresses.get(&server)?.clone();
        let (net, environment, cluster) = (self.net.clone(), self.environment.clone(), self.cluster);
        let until = environment.now().after(self.connect);
        let line = Arc::new(Dial { under_way: Semaphore::new(0), open: OnceLock::new() });
        let dialling = Dialling(Arc::clone(&line));
        while dials.try_join_next().is_some() {}
        dials.spawn(async move {
            let client = Client::connect(&net, environment, cluster, &address, until).await;
            if let Some(client) = client.ok().filter(|client| client.node() == server) {
                dialling.0.open.get_or_init(|| Multiplexed::over(client));
            }
        });
        Some(line)
    }

    /// Who is to be asked, and the connection there; without one, if there can be none, it is not asked any more. None if it is
    /// too late, or there is no server.
    async fn reached(&self, deadline: Time) -> Option<(NodeId, Option<Multiplexed>)> {
        let (server, line) = self.line()?;
        let dialled = async { Ok::<_, NetError>(line.ended().await) };
        let open = within(&self.environment, deadline, "connection", dialled).await.ok()?;
        if open.is_none() {
            let mut known = self.known();
            if known.lines.get(&server).is_some_and(|current| Arc::ptr_eq(current, &line)) {
                known.lines.remove(&server);
                self.turn(&mut known, server, None);
            }
        }
        Some((server, open))
    }

    /// `server` is not the one to be asked: it is the one that it names, or else the one after it. If others have found that
    /// out already, nothing changes.
    fn turn(&self, known: &mut Known, server: NodeId, leader: Option<NodeId>) {
        if known.next == Some(server) {
            let leader = leader.filter(|leader| *leader != server && self.addresses.contains_key(leader));
            let after = || self.addresses.range((Excluded(server), Unbounded)).next().map(|(&id, _)| id);
            known.next = leader.or_else(after);
        }
    }

    /// `server` has left a request without an answer that went over `line`. It is asked on if it answers others, or over
    /// another connection.
    fn doubt(&self, server: NodeId, line: &Multiplexed) {
        let mut known = self.known();
        let now = self.environment.now();
        let current = known.lines.get(&server).and_then(|line| line.open.get());
        if current.is_some_and(|open| open.is(line) && !open.is_good(now)) {
            self.turn(&mut known, server, None);
        }
    }
}

impl<N: Net, E: Environment> Proposer for Servers<N, E> {
    /// Goes to the leader by the servers' hints, and past those that cannot be reached.
    async fn propose(&self, request: Bytes, deadline: Time) -> Proposed {
        self.ask(Ask::Apply, request, deadline).await
    }
}

impl<N: Net, E: Environment> Route for Servers<N, E> {
    /// Goes to the server that was asked last, and on from it as a command does.
    async fn read(&self, query: Bytes, deadline: Time) -> Option<Bytes> {
        match self.ask(Ask::Read, query, deadline).await {
            Proposed::Answered(reply) => Some(reply),
            Proposed::NotApplied | Proposed::Unknown => None,
        }
    }
}

impl<N: Net, E: Environment> Servers<N, E> {
    async fn ask(&self, ask: Ask, request: Bytes, deadline: Time) -> Proposed {
        // Each of them once, and once more over a connection that has ended before this was sent.
        for _ in 0..2 * self.addresses.len() {
            let Some((server, open)) = self.reached(deadline).await else { break };
            let Some(open) = open else { continue };
            match open.ask(&self.environment, (ask, request.clone()), deadline).await {
                Ok(Outcome::Committed(answer)) if ask == Ask::Apply => return Proposed::Answered(answer),
                Ok(Outcome::Answered(reply)) if ask == Ask::Read => return Proposed::Answered(reply),
                Ok(Outcome::NotApplied { leader_hint, .. }) => {
                    self.turn(&mut self.known(), server, leader_hint);
                    if leader_hint.is_none() {
                        return Proposed::NotApplied;
                    }
                }
                // The answer to a query is none to a command, nor the other way round.
                Ok(Outcome::Unknown { .. } | Outcome::Answered(_) | Outcome::Committed(_)) => {
                    self.doubt(server, &open);
                    return Proposed::Unknown;
                }
                // Nothing was sent.
                Err(NetError::Closed) => {}
                Err(_) => break,
            }
        }
        Proposed::NotApplied
    }
}
