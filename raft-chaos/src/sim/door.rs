//! Where a server's connections come in, and where a plan keeps clients from it.
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

/// A connection of the server.
pub(super) struct Stream {
    stream: TcpStream,
    /// Of a connection that a client has made.
    door: Option<Door>,
    lost: bool,
}

impl Net for Door {
    type Stream = Stream;
    type Listener = TcpListener;

    async fn listen(&self, address: &str) -> io::Result<TcpListener> {
        TurmoilNet.listen(address).await
    }

    fn local_address(&self, listener: &TcpListener) -> io::Result<String> {
        TurmoilNet.local_address(listener)
    }

    async fn accept(&self, listener: &mut TcpListener) -> io::Result<Stream> {
        let (stream, from) = listener.accept().await?;
        let clients: IpAddr = turmoil::lookup(CLIENTS);
        let door = (from.ip() == clients).then(|| self.clone());
        Ok(Stream { stream, door, lost: false })
    }

    async fn connect(&self, address: &str) -> io::Result<Stream> {
        let stream = TurmoilNet.connect(address).await?;
        Ok(Stream { stream, door: None, lost: false })
    }
}

impl Stream {
    /// Whether what comes and goes is lost.
    fn loses(&self) -> bool {
        self.lost || self.door.as_ref().is_some_and(|door| door.world.is_shut(door.node))
    }
}

impl AsyncRead for Stream {
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
            self.lost = true;
            if let Some(door) = &self.door {
                door.world.turned_away(door.node);
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.loses() {
            self.lost = true;
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
