//! A network that counts what is done with it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use raft_net::{Net, TcpNet};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// TCP, how often somebody has dialled, and how often something was written then.
#[derive(Clone, Default)]
pub(crate) struct Counted {
    dials: Arc<AtomicU64>,
    writes: Arc<AtomicU64>,
}

impl Counted {
    pub(crate) fn dials(&self) -> u64 {
        self.dials.load(Ordering::SeqCst)
    }

    pub(crate) fn writes(&self) -> u64 {
        self.writes.load(Ordering::SeqCst)
    }
}

/// A connection of it, and how often something was written.
pub(crate) struct Stream(TcpStream, Arc<AtomicU64>);

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.1.fetch_add(1, Ordering::SeqCst);
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

impl Net for Counted {
    type Stream = Stream;
    type Listener = TcpListener;

    async fn listen(&self, address: &str) -> io::Result<TcpListener> {
        TcpNet.listen(address).await
    }

    fn local_address(&self, listener: &TcpListener) -> io::Result<String> {
        TcpNet.local_address(listener)
    }

    async fn accept(&self, listener: &mut TcpListener) -> io::Result<Stream> {
        Ok(Stream(TcpNet.accept(listener).await?, Arc::default()))
    }

    async fn connect(&self, address: &str) -> io::Result<Stream> {
        self.dials.fetch_add(1, Ordering::SeqCst);
        Ok(Stream(TcpNet.connect(address).await?, Arc::clone(&self.writes)))
    }
}
