//! TCP with TLS on it. The handshake of a connection that comes in goes on where the connection is served, so that a slow
//! one keeps nobody from being accepted.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls::CertificateError;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::server::FallibleAccept;
use tokio_rustls::{TlsStream, rustls};

use crate::identity::{Identity, Insecure};
use crate::net::Net;
use crate::tcp::TcpNet;
use crate::tls::{self, Tls};

/// TCP with mutual TLS.
#[derive(Clone, Debug)]
pub struct TlsNet(Tls);

impl TlsNet {
    /// A network where this end proves who it is by `tls`, and all others have to.
    pub const fn new(tls: Tls) -> Self {
        Self(tls)
    }
}

impl Net for TlsNet {
    type Stream = Secured;
    type Listener = TcpListener;

    async fn listen(&self, address: &str) -> io::Result<TcpListener> {
        TcpNet.listen(address).await
    }

    fn local_address(&self, listener: &TcpListener) -> io::Result<String> {
        TcpNet.local_address(listener)
    }

    async fn accept(&self, listener: &mut TcpListener) -> io::Result<Secured> {
        let stream = TcpNet.accept(listener).await?;
        Ok(Secured(Stage::Accepting(Box::new(self.0.acceptor.accept(stream).into_fallible()))))
    }

    async fn connect(&self, address: &str) -> io::Result<Secured> {
        let stream = TcpNet.connect(address).await?;
        // A name of a host is asked for, and is not looked at by anybody.
        let anybody = ServerName::try_from("raft").map_err(io::Error::other)?;
        let stream = self.0.connector.connect(anybody, stream).await.map_err(insecure)?;
        Ok(Secured(Stage::Done(Box::new(stream.into()))))
    }

    fn identity(&self, stream: &Secured) -> Identity {
        match &stream.0 {
            Stage::Done(stream) => {
                let certificates = stream.get_ref().1.peer_certificates();
                tls::identity(certificates.and_then(<[_]>::first))
            }
            Stage::Accepting(_) | Stage::Refused(_) => {
                Identity::Nobody { why: "nothing is proved yet".into() }
            }
        }
    }

    fn own_identity(&self) -> Identity {
        self.0.identity.clone()
    }
}

/// A connection with TLS. One that came in shakes hands when it is read from first; if that fails, it is read
/// to its end unsecured, so that the other side gets to hear why.
#[derive(Debug)]
pub struct Secured(Stage);

enum Stage {
    Accepting(Box<FallibleAccept<TcpStream>>),
    Done(Box<TlsStream<TcpStream>>),
    Refused(TcpStream),
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Accepting(_) => "Accepting",
            Self::Done(_) => "Done",
            Self::Refused(_) => "Refused",
        })
    }
}

impl Secured {
    /// Goes on with the handshake.
    fn poll_secured(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Stage::Accepting(accept) = &mut self.0 {
            match ready!(Pin::new(&mut **accept).poll(context)) {
                Ok(stream) => self.0 = Stage::Done(Box::new(stream.into())),
                Err((error, stream)) => {
                    self.0 = Stage::Refused(stream);
                    return Poll::Ready(Err(insecure(error)));
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Secured {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_secured(context))?;
        match &mut self.0 {
            Stage::Done(stream) => Pin::new(&mut **stream).poll_read(context, buffer).map_err(insecure),
            Stage::Refused(stream) => Pin::new(stream).poll_read(context, buffer),
            Stage::Accepting(_) => Poll::Pending,
        }
    }
}

impl AsyncWrite for Secured {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_secured(context))?;
        match &mut self.0 {
            Stage::Done(stream) => Pin::new(&mut **stream).poll_write(context, bytes).map_err(insecure),
            Stage::Refused(_) | Stage::Accepting(_) => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Stage::Done(stream) => Pin::new(&mut **stream).poll_flush(context),
            Stage::Refused(_) | Stage::Accepting(_) => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Stage::Done(stream) => Pin::new(&mut **stream).poll_shutdown(context),
            Stage::Refused(stream) => Pin::new(stream).poll_shutdown(context),
            Stage::Accepting(_) => Poll::Ready(Ok(())),
        }
    }
}

/// What TLS itself refused is told from what the network did.
fn insecure(error: io::Error) -> io::Error {
    let refused = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match refused {
        Some(refused) => io::Error::new(error.kind(), Insecure(format!("{refused}{}", cure(refused)))),
        None => error,
    }
}

/// A certificate is good from one moment to another, by the clock of whoever looks at it.
fn cure(refused: &rustls::Error) -> &'static str {
    let by_our_clock = matches!(
        refused,
        rustls::Error::InvalidCertificate(
            CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. }
        )
    );
    let by_theirs =
        matches!(refused, rustls::Error::AlertReceived(rustls::AlertDescription::CertificateExpired));
    if by_our_clock {
        " (the other end needs a new one, or this machine's clock is wrong)"
    } else if by_theirs {
        " (this end needs a new one, or the other machine's clock is wrong)"
    } else {
        ""
    }
}
