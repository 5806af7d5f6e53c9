//! Messages between Raft servers, and clients' requests, over TCP and over turmoil by the same code.
//!
//! [`Tcp`] is what a [`Server`](raft_core::server::Server) and its clients are given: `raft-net/examples/kv.rs` is a replicated
//! key-value store on it, in under 80 lines, and `raft-net/examples/counters.rs` has clients with sessions. It is made of what follows, which can be had by itself.
//!
//! [`Peers`] is a [`Transport`](raft_core::node::Transport): one-way messages, each sent once and
//! perhaps lost. It dials every peer, and once more when there is a snapshot to send, so that its pieces
//! never delay heartbeats; and it listens, on one port, for peers and for clients; [`Client`] is a client's
//! end, [`Servers`] the way of a client's session to whichever server leads, and [`Operator`] that of whoever looks after
//! the servers. [`Frame`] is what goes over a
//! connection, [`Net`] the network below ([`TcpNet`], or `TurmoilNet` with the feature `turmoil`), [`Links`] the seam
//! for faults. All waiting goes through the node's [`Environment`](raft_core::node::Environment).
//!
//! # What the network may do to a message
//!
//! | It may be | When | What is done about it |
//! | --- | --- | --- |
//! | lost | a queue is full, a connection fails or is not there yet, a link is cut, the node does not keep up | it is counted, see [`Counters`]; the protocol sends again what still matters |
//! | late | always | a connection that is silent for [`PeersConfig::silence`], on which not even a part of a message gets through, is dropped and dialled again; what waited meanwhile is forgotten before the next dial |
//! | reordered | after a reconnection: the old connection's last messages may come after the new one's first. The pieces of snapshots and all other messages overtake each other at any time. Never within a connection, but where a test harness says so ([`Fate`]) | the protocol's terms, indexes and sessions |
//! | repeated | never by this crate, but where a test harness says so | the protocol bears it |
//! | changed | on the way, by hardware | the frame's checksum, and each entry's and each piece of a snapshot's own from its maker: the connection is dropped and counted |
//! | sent astray | to another cluster or server, or to one with which no [`Version`] is common | the handshake is refused in words, before a message is read |
//! | claimed | to come from another server than the one that shook hands | the connection is dropped |
//! | read, or made by somebody else | where there is no TLS | with `Tls` (feature `tls`) each end proves who it is by a certificate: see [`Identity`] |
//!
//! Servers that move, come and go are made known by [`Addresses`].
//!
//! ```
//! use std::collections::BTreeMap;
//!
//! use raft_core::node::Environment;
//! use raft_core::NodeId;
//! use raft_net::{Inlet, Net, Peers, PeersConfig, TcpNet, Whole};
//! use tokio::sync::mpsc;
//!
//! async fn start<E: Environment>(environment: E) -> std::io::Result<Peers> {
//!     let listener = TcpNet.listen("127.0.0.1:7001").await?;
//!     let peers = BTreeMap::from([
//!         (NodeId::new(2), "127.0.0.1:7002".to_owned()),
//!         (NodeId::new(3), "127.0.0.1:7003".to_owned()),
//!     ]);
//!     let config = PeersConfig::new(NodeId::new(1), peers);
//!     // The receiving ends belong to the node and to whoever answers its clients.
//!     let (messages, _inbox) = mpsc::channel(1024);
//!     let (requests, _clients) = mpsc::channel(1024);
//!     Ok(Peers::start(TcpNet, listener, environment, Whole, config, Inlet { messages, requests }))
//! }
//! ```

// A library prints nothing: whoever wants to know asks.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod addresses;
mod aside;
mod carrying;
mod client;
mod counters;
mod entries;
mod error;
mod frame;
mod header;
mod identity;
mod incoming;
mod link;
mod messages;
mod multiplexed;
mod net;
mod numbers;
mod operator;
mod orders;
mod outbox;
mod outgoing;
mod relay;
mod room;
mod serve;
mod servers;
mod tcp;
mod tcp_network;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tls")]
mod tls_net;
mod transport;
#[cfg(feature = "turmoil")]
mod turmoil;
mod version;

pub use addresses::Addresses;
pub use client::{Ask, Client, Outcome, Request, Responder, Response};
pub use counters::{Count, Counters};
pub use error::NetError;
pub use frame::{
    COMMAND_BYTES_MAX, FRAME_BYTES_MAX, FRAME_VERSION, Frame, FrameReader, Hello, PREFIX_BYTES,
    PROTOCOL_VERSION, Party,
};
pub use identity::{Identity, Role};
pub use link::{Bent, Fate, Links, Whole};
pub use net::Net;
pub use operator::{NotObeyed, Operator, Survey};
pub use orders::{Order, Report};
pub use relay::{Conversation, relay};
pub use serve::serve;
pub use servers::Servers;
pub use tcp::TcpNet;
pub use tcp_network::Tcp;
#[cfg(feature = "tls")]
pub use tls::{Tls, TlsError};
#[cfg(feature = "tls")]
pub use tls_net::{Secured, TlsNet};
pub use transport::{Inlet, Peers, PeersConfig};
#[cfg(feature = "turmoil")]
pub use turmoil::TurmoilNet;
pub use version::{Version, Versions};
