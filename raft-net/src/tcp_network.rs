//! TCP, as a server and a client are given it.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use raft_core::node::{Environment, SystemEnvironment};
use raft_core::server::{Client, Joined, Joining, Network, Typed};
use raft_core::sessions::Request;
use raft_core::{ClusterId, NodeId};

use crate::addresses::Addresses;
use crate::counters::Counters;
use crate::link::Whole;
use crate::net::Net;
use crate::operator::Operator;
use crate::serve::Serving;
use crate::servers::Servers;
use crate::tcp::TcpNet;
use crate::transport::{Context, Inlet, Peers, PeersConfig};

/// The servers of a cluster, at these addresses: the [`Network`] of each of them, and the way to them of a client.
///
/// ```no_run
/// # use std::collections::BTreeMap;
/// # use raft_core::{ClusterId, NodeId};
/// # use raft_core::server::Machine;
/// # use raft_net::Tcp;
/// # async fn ask<M: Machine<Command = u64>>() {
/// let addresses = BTreeMap::from([(NodeId::new(1), "10.0.0.1:7000".to_owned())]);
/// let client = Tcp::new(addresses).client::<M>(ClusterId(1));
/// let answer = client.propose(7).await;
/// # }
/// ```
pub struct Tcp<N: Net = TcpNet> {
    net: N,
    addresses: Addresses,
    door: Option<Door<N>>,
    counters: Arc<Counters>,
    configure: Box<dyn FnOnce(&mut PeersConfig) + Send>,
}

/// Where a server listens, if not where the others reach it.
enum Door<N: Net> {
    At(String),
    Open(N::Listener),
}

impl Tcp {
    /// Servers at these addresses, as `"host:port"`. A server listens where the others reach it, unless it is told
    /// [`otherwise`](Self::listen).
    pub fn new(addresses: BTreeMap<NodeId, String>) -> Self {
        let addresses = Addresses::new(addresses);
        Self { net: TcpNet, addresses, door: None, counters: Arc::default(), configure: Box::new(|_| {}) }
    }
}

#[cfg(feature = "tls")]
impl Tcp {
    /// The same with mutual TLS. Everything else is said after this.
    #[must_use]
    pub fn tls(self, tls: crate::Tls) -> Tcp<crate::TlsNet> {
        let Self { addresses, counters, configure, .. } = self;
        Tcp { net: crate::TlsNet::new(tls), addresses, door: None, counters, configure }
    }
}

impl<N: Net> Tcp<N> {
    /// The same, for a server that listens there: behind a translation of addresses, say.
    #[must_use]
    pub fn listen(self, address: impl Into<String>) -> Self {
        Self { door: Some(Door::At(address.into())), ..self }
    }

    /// The same, for a server whose listener is there already.
    #[must_use]
    pub fn listener(self, listener: N::Listener) -> Self {
        Self { door: Some(Door::Open(listener)), ..self }
    }

    /// The same, for a server that is other than usual in what `configure` changes. Usual is [`PeersConfig::new`],
    /// and that a connection that has died is noticed within the shortest election timeout.
    #[must_use]
    pub fn configure(self, configure: impl FnOnce(&mut PeersConfig) + Send + 'static) -> Self {
        Self { configure: Box::new(configure), ..self }
    }

    /// Where a server will look for the others, to be changed while it runs.
    pub fn addresses(&self) -> Addresses {
        self.addresses.clone()
    }

    /// What will become of a server's messages and connections.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// A client of these servers.
    pub fn client<M: Typed>(self, cluster: ClusterId) -> Client<M, Servers<N, SystemEnvironment>> {
        let environment = SystemEnvironment::new();
        Client::new(Servers::new(self.net, environment, cluster, self.addresses.to_map()), environment)
    }
}

impl<N: Net> Tcp<N> {
    /// An operator of these servers. Not all of them have to be known: they name each other.
    pub fn operator(self, cluster: ClusterId) -> Operator<N, SystemEnvironment> {
        Operator::new(self.net, SystemEnvironment::new(), cluster, self.addresses.to_map().into_values())
    }
}

impl<N: Net, E: Environment> Network<E> for Tcp<N> {
    type Transport = Peers;

    async fn join(self, server: Joining<E>) -> io::Result<Joined<Peers>> {
        let Self { net, addresses, door, counters, configure } = self;
        let Joining { cluster, id, incarnation, seed, election_timeout, environment, messages, handle } =
            server;
        if let Some(reason) = net.own_identity().refusal(cluster, Some(id)) {
            return Err(io::Error::other(reason));
        }
        let listener = match door {
            Some(Door::Open(listener)) => listener,
            Some(Door::At(address)) => net.listen(&address).await.map_err(at(&address))?,
            None => {
                let unknown = || io::Error::other(format!("{id} is not among the addresses; add its own"));
                let address = addresses.get(id).ok_or_else(unknown)?;
                net.listen(&address).await.map_err(at(&address))?
            }
        };
        let mut config = PeersConfig {
            cluster,
            incarnation,
            seed,
            needs_admin,
            ..PeersConfig::new(id, addresses.to_map())
        };
        config.notice_within(election_timeout);
        configure(&mut config);
        let (requests, over) = Serving::new(handle, addresses.clone());
        let serving = tokio::spawn(over);
        let context =
            Context { net, environment, links: Whole, config: Arc::new(config), counters, addresses };
        let transport = Peers::of(context, listener, Inlet { messages, requests });
        Ok(Joined { transport, serving })
    }
}

/// Whether a command is an operator's act: one that changes what all sessions may keep.
fn needs_admin(command: &Bytes) -> bool {
    matches!(Request::decode(command.clone()), Some(Request::Limit(_)))
}

/// Says where there is no listening.
fn at(address: &str) -> impl FnOnce(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("listening at {address}: {error}"))
}

impl<N: Net> fmt::Debug for Tcp<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tcp").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use raft_core::sessions::Limits;

    use super::*;

    #[test]
    fn setting_the_limits_of_sessions_is_an_operators_act() {
        assert!(needs_admin(&Request::Limit(Limits::INITIAL).encode()));
        for command in
            [Request::Register, Request::Plain { command: Request::Limit(Limits::INITIAL).encode() }]
        {
            assert!(!needs_admin(&command.encode()), "{command:?}");
        }
        assert!(!needs_admin(&Bytes::new()));
    }
}
