//! turmoil's simulated TCP. Works only on a host of a simulation.

use std::io;

use ::turmoil::net::{TcpListener, TcpStream};

use crate::net::Net;

/// TCP between hosts of a simulation. Listen at `"0.0.0.0:port"`; connect to `"name of the host:port"`.
#[derive(Clone, Copy, Debug, Default)]
pub struct TurmoilNet;

impl Net for TurmoilNet {
    type Stream = TcpStream;
    type Listener = TcpListener;

    async fn listen(&self, address: &str) -> io::Result<TcpListener> {
        TcpListener::bind(address).await
    }

    fn local_address(&self, listener: &TcpListener) -> io::Result<String> {
        listener.local_addr().map(|address| address.to_string())
    }

    async fn accept(&self, listener: &mut TcpListener) -> io::Result<TcpStream> {
        listener.accept().await.map(|(stream, _)| stream)
    }

    async fn connect(&self, address: &str) -> io::Result<TcpStream> {
        TcpStream::connect(address).await
    }
}
