//! How clients reach servers: not through the proxies, and not where the plan keeps them from it.

use std::collections::BTreeMap;
use std::io;

use raft_core::NodeId;
use raft_net::{Net, TcpNet};
use tokio::net::{TcpListener, TcpStream};

use crate::sim::{Stream, World};

/// The network of the clients.
#[derive(Clone)]
pub(super) struct Door {
    /// Who listens where.
    pub(super) servers: BTreeMap<String, NodeId>,
    pub(super) world: World,
}

impl Net for Door {
    type Stream = Stream<TcpStream>;
    type Listener = TcpListener;

    async fn listen(&self, address: &str) -> io::Result<TcpListener> {
        TcpNet.listen(address).await
    }

    fn local_address(&self, listener: &TcpListener) -> io::Result<String> {
        TcpNet.local_address(listener)
    }

    async fn accept(&self, _: &mut TcpListener) -> io::Result<Self::Stream> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn connect(&self, address: &str) -> io::Result<Self::Stream> {
        let node = self.servers.get(address).copied().ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Stream::of_client(TcpNet.connect(address).await?, node, self.world.clone()))
    }
}
