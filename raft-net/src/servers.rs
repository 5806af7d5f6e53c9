//! A client's way to whichever server leads: the way of its session.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use raft_core::node::Environment;
use raft_core::server::Route;
use raft_core::sessions::{Proposed, Proposer};
use raft_core::{ClusterId, NodeId, Time};

use crate::client::{Ask, Client, Outcome};
use crate::net::Net;
use crate::pool::Pool;

/// How long a server may take to accept a connection, unless [`Servers::connect_within`] says otherwise.
const CONNECT: Duration = Duration::from_millis(500);

/// All servers of a cluster, as their clients reach them. Requests go to the one that seems to lead; each that is under way
/// at the same time has a connection of its own.
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
    known: Mutex<Known<N, E>>,
}

struct Known<N: Net, E> {
    /// Who is asked next.
    next: Option<NodeId>,
    /// Connections that nobody uses, all to that one.
    idle: Pool<Client<N, E>>,
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
    pub const fn new(
        net: N,
        environment: E,
        cluster: ClusterId,
        addresses: BTreeMap<NodeId, String>,
    ) -> Self {
        let known = Mutex::new(Known { next: None, idle: Pool::new() });
        Self { net, environment, cluster, addresses, connect: CONNECT, known }
    }

    /// The same, with another time that a server may take to accept a connection; then the next one is tried.
    #[must_use]
    pub fn connect_within(self, connect: Duration) -> Self {
        Self { connect, ..self }
    }

    fn known(&self) -> MutexGuard<'_, Known<N, E>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who is to be asked, and a connection to it if one is idle and still good: a command that goes out on one that the server
    /// has closed may have been applied, for all that anybody knows.
    fn next(&self) -> Option<(NodeId, Option<Client<N, E>>)> {
        let mut known = self.known();
        let next = known.next.or_else(|| self.addresses.keys().next().copied())?;
        known.next = Some(next);
        let now = self.environment.now();
        let mut idle = std::iter::from_fn(|| known.idle.take(now));
        Some((next, idle.find_map(|mut client| client.is_quiet().then_some(client))))
    }

    /// The connection is idle again.
    fn keep(&self, client: Client<N, E>) {
        let mut known = self.known();
        if known.next == Some(client.node()) {
            known.idle.put(client, self.environment.now());
        }
    }

    /// `server` is not the one to be asked: it is the one that it names, or else the one after it. If others have found that
    /// out already, nothing changes.
    fn turn_from(&self, server: NodeId, leader: Option<NodeId>) {
        let mut known = self.known();
        if known.next == Some(server) {
            let leader = leader.filter(|leader| *leader != server && self.addresses.contains_key(leader));
            let after = || self.addresses.range((Excluded(server), Unbounded)).next().map(|(&id, _)| id);
            known.next = leader.or_else(after);
            known.idle.clear();
        }
    }

    async fn connect(&self, server: NodeId, deadline: Time) -> Option<Client<N, E>> {
        let address = self.addresses.get(&server)?;
        let until = deadline.min(self.environment.now().after(self.connect));
        let client = Client::connect(&self.net, self.environment.clone(), self.cluster, address, until).await;
        client.ok().filter(|client| client.node() == server)
    }
}

impl<N: Net, E: Environment> Proposer for Servers<N, E> {
    /// Goes to the leader by the servers' hints, and past those that cannot be reached, each of them once.
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
        for _ in 0..self.addresses.len() {
            let Some((server, idle)) = self.next() else { break };
            let client = match idle {
                Some(client) => Some(client),
                None => self.connect(server, deadline).await,
            };
            let Some(mut client) = client else {
                self.turn_from(server, None);
                continue;
            };
            match client.ask(ask, request.clone(), deadline).await {
                Ok(Outcome::Committed(answer)) if ask == Ask::Apply => {
                    self.keep(client);
                    return Proposed::Answered(answer);
                }
                Ok(Outcome::Answered(reply)) if ask == Ask::Read => {
                    self.keep(client);
                    return Proposed::Answered(reply);
                }
                Ok(Outcome::NotApplied { leader_hint, .. }) => {
                    self.turn_from(server, leader_hint);
                    if leader_hint.is_none() {
                        return Proposed::NotApplied;
                    }
                }
                // The answer to a query is none to a command, nor the other way round.
                Ok(Outcome::Unknown { .. } | Outcome::Answered(_) | Outcome::Committed(_)) => {
                    self.turn_from(server, None);
                    return Proposed::Unknown;
                }
                // Nothing was sent.
                Err(_) => self.turn_from(server, None),
            }
        }
        Proposed::NotApplied
    }
}
