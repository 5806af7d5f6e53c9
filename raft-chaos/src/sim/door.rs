//! Where a server's connections come in, or its clients' go out, and where a plan keeps clients from it.
//!
//! It is silent, as a cut is: connections hang, and what is on its way is lost. What once lost bytes is of no use any
//! more, and its client, which hears nothing, gives it up.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use raft_core::NodeId;
use raft_net::{Net, TurmoilNet};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use turmoil::net::{TcpListener, TcpStream};

use super::server::CLIENTS;
use super::world::World;

/// The simulated network, as the server `node` has it.
#[derive(Clone)]
pub(super) struct Door {
    pub(super) node: NodeId,
    pub(super) world: World,
}

/// A connection of the server, or of a client with it.
pub(crate) struct Stream<S> {
    stream: S,
    /// Of a connection that a client has made.
    door: Option<Door>,
    /// Whether this is the client's end.
    asks: bool,
    lost: bool,
}

impl Net for Door {
    type Stream = Stream<TcpStream>;
    type Listener = TcpListener;

    async fn listen(&self, address: &str) -> io::Result<TcpListener> {
        TurmoilNet.listen(address).await
    }

    fn local_address(&self, listener: &TcpListener) -> io::Result<String> {
        TurmoilNet.local_address(listener)
    }

    async fn accept(&self, listener: &mut TcpListener) -> io::Result<Self::Stream> {
        let (stream, from) = listener.accept().await?;
        let clients: IpAddr = turmoil::lookup(CLIENTS);
        let door = (from.ip() == clients).then(|| self.clone());
        Ok(Stream { stream, door, asks: false, lost: false })
    }

    async fn connect(&self, address: &str) -> io::Result<Self::Stream> {
        let stream = TurmoilNet.connect(address).await?;
        Ok(Stream { stream, door: None, asks: false, lost: false })
    }
}

impl<S> Stream<S> {
    /// A client's end of a connection.
    pub(crate) const fn of_client(stream: S, node: NodeId, world: World) -> Self {
        Self { stream, door: Some(Door { node, world }), asks: true, lost: false }
    }

    /// Whether what comes and goes is lost.
    fn loses(&self) -> bool {
        self.lost || self.door.as_ref().is_some_and(|door| door.world.is_shut(door.node))
    }

    /// Something was lost that the client has asked, or that it was answered.
    fn loses_one(&mut self, asked: bool) {
        self.lost = true;
        if let Some(door) = self.door.as_ref().filter(|_| asked) {
            door.world.turned_away(door.node);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // What comes in is looked at after it has: it may be long before, and the door shut meanwhile.
        let before = buffer.filled().len();
        loop {
            ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
            if buffer.filled().len() == before || !self.loses() {
                return Poll::Ready(Ok(()));
            }
            buffer.set_filled(before);
            let asked = !self.asks;
            self.loses_one(asked);
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.loses() {
            let asked = self.asks;
            self.loses_one(asked);
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
