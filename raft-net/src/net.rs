//! What the transport needs of a network: to listen, to accept and to connect.

use std::future::Future;
use std::io;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::identity::Identity;

/// A network of byte streams. An address is `"host:port"`; which hosts there are is the network's own affair.
pub trait Net: Clone + Send + Sync + 'static {
    /// One end of a connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// Where connections come in.
    type Listener: Send + 'static;

    /// Listens at `address`; port 0 takes any that is free.
    ///
    /// # Errors
    ///
    /// The address makes no sense here or is taken.
    fn listen(&self, address: &str) -> impl Future<Output = io::Result<Self::Listener>> + Send;

    /// Where `listener` listens.
    ///
    /// # Errors
    ///
    /// The network does not know.
    fn local_address(&self, listener: &Self::Listener) -> io::Result<String>;

    /// Waits for the next connection. Cancel safe.
    ///
    /// # Errors
    ///
    /// This one connection failed, or there is no room for it; later ones may come.
    fn accept(&self, listener: &mut Self::Listener) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// Connects to whoever listens at `address`. May wait for ever; the caller has the deadline.
    ///
    /// # Errors
    ///
    /// There is no such address, or nobody listens there.
    fn connect(&self, address: &str) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// Who is at the other end, as far as this network proves it, once something has been read from there, or
    /// [`connect`](Self::connect) has returned.
    fn identity(&self, _stream: &Self::Stream) -> Identity {
        Identity::Unproved
    }

    /// Who this end is to others, as far as this network proves it.
    fn own_identity(&self) -> Identity {
        Identity::Unproved
    }
}
