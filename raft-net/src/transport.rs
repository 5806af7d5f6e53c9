//! The transport of one server: queues and connections to each peer, and a listener for what the
//! peers and the clients send. The connections themselves are in `outgoing.rs` and `incoming.rs`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use raft_core::node::{Environment, Transport};
use raft_core::{ClusterId, Envelope, Incarnation, Message, NodeId};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::task::JoinSet;

use crate::addresses::Addresses;
use crate::client::{Request, Responder};
use crate::counters::Counters;
use crate::frame::{Hello, Party};
use crate::link::Links;
use crate::net::Net;
use crate::outgoing::{Lifetime, Outgoing};
use crate::serve::Answers;
use crate::version::{Version, Versions};
use crate::{NetError, incoming};

/// Pieces of snapshots that may wait for one peer. A group sends it one at a time.
const SNAPSHOT_PIECES_MAX: usize = 16;

/// What a server's transport is told once.
#[derive(Clone, Debug)]
pub struct PeersConfig {
    /// The cluster. Who belongs to another one is refused.
    pub cluster: ClusterId,
    /// This server.
    pub id: NodeId,
    /// This life of its data directory.
    pub incarnation: Incarnation,
    /// Where the others listen at first, as `"host:port"`. This server itself may be among them.
    pub peers: BTreeMap<NodeId, String>,
    /// The versions of the conversation that this server speaks. Those of other releases are for tests.
    pub versions: Versions,
    /// The seed of the jitter of redialling. Servers of one cluster take different ones.
    pub seed: u64,
    /// Messages that may wait for one peer; more are dropped. 0 is taken as 1. Pieces of snapshots are not
    /// among them: of those, 16 may wait.
    pub queue_messages_max: usize,
    /// Connections that may be open from clients, and from servers of which it is not known where they listen; more are
    /// refused. Those of peers do not count: however many clients there are, a peer gets in.
    pub connections_max: usize,
    /// Connections that may be open on which nobody has said yet who it is, for which there is
    /// [`connect_timeout`](Self::connect_timeout). Of more the oldest gives way, so that a peer, which says so at once, gets in
    /// here, too. 0 is taken as 1.
    pub handshakes_max: usize,
    /// How long connecting may take, and after it the handshake.
    pub connect_timeout: Duration,
    /// How long one write may take; a message may take as long as its peer is heard meanwhile.
    pub write_timeout: Duration,
    /// How often a connection between servers is pinged by who has dialled it. More than zero.
    pub keep_alive: Duration,
    /// How long a server that was dialled may be silent before the connection is dropped and dialled again.
    /// Several times the other's `unasked_pong` and one's own `keep_alive`.
    pub silence: Duration,
    /// How often a server that was dialled says, without having been asked, that bytes still come in. Pings wait
    /// behind what was sent before them, and a server behind a slow link is not one that has gone. More than zero.
    pub unasked_pong: Duration,
    /// How long nothing may come in from a server that has dialled before the connection is dropped: it notices
    /// by itself if it is not heard any more, and this only clears away what is left. So long, too, is a connection for
    /// snapshots kept when none is sent: long enough for a piece to get through.
    pub idle: Duration,
    /// How long a client's connection may be silent before it is dropped.
    pub client_idle: Duration,
    /// How long to wait before dialling again: at first the shorter, then twice as long each time, up
    /// to the longer; of that, half is fixed and half is drawn. Who was refused waits up to a second, if that is longer.
    pub back_off: (Duration, Duration),
    /// Which commands only clients with the role `admin` may send; usually none.
    pub needs_admin: fn(&Bytes) -> bool,
}

impl PeersConfig {
    /// The usual values for the server `id`: 1024 messages a queue, 1024 connections and as many handshakes, a second to
    /// connect, two to write, a ping every 500 ms, silence of 2 s, clients idle up to 5 minutes,
    /// redialling after 50 ms to 1 s. [`notice_within`](Self::notice_within) makes it faster.
    pub fn new(id: NodeId, peers: BTreeMap<NodeId, String>) -> Self {
        Self {
            cluster: ClusterId(1),
            id,
            incarnation: Incarnation(id.get()),
            peers,
            versions: Versions::OURS,
            seed: id.get(),
            queue_messages_max: 1024,
            connections_max: 1024,
            handshakes_max: 1024,
            connect_timeout: Duration::from_secs(1),
            write_timeout: Duration::from_secs(2),
            keep_alive: Duration::from_millis(500),
            silence: Duration::from_secs(2),
            unasked_pong: Duration::from_millis(500),
            idle: Duration::from_secs(2),
            client_idle: Duration::from_secs(300),
            back_off: (Duration::from_millis(50), Duration::from_secs(1)),
            needs_admin: |_| false,
        }
    }

    /// A connection whose other end is not there any more, and has not said so, is noticed within so long: a leader whose
    /// connection to a follower has died dials anew before the follower misses it, if this is the shortest election timeout.
    /// So does a leader whose follower was away: it dials at least every half of that.
    pub fn notice_within(&mut self, election_timeout: Duration) {
        let part = |parts: u32| (election_timeout / parts).max(Duration::from_millis(1));
        (self.keep_alive, self.unasked_pong, self.silence) = (part(5), part(5), part(5) * 4);
        let (shortest, longest) = self.back_off;
        self.back_off = (shortest.min(part(2)), longest.min(part(2)));
    }

    /// What this server says first to `to`.
    pub(crate) fn hello(&self, to: Option<NodeId>) -> Hello {
        let party = Party::Node { id: self.id, incarnation: self.incarnation };
        Hello { versions: self.versions, cluster: self.cluster, party, to }
    }

    /// The version that this server speaks with who says `hello`, or why it wants nothing to do with it.
    pub(crate) fn welcome(&self, hello: &Hello) -> Result<Version, String> {
        let me = self.id;
        let Some(version) = self.versions.common(hello.versions) else {
            let (ours, other, theirs) = (self.versions, hello.party, hello.versions);
            return Err(format!(
                "{me} speaks protocol version {ours}, and {other} {theirs}: upgrade the older one, by one release at a time"
            ));
        };
        if hello.cluster != self.cluster {
            return Err(format!("{me} belongs to {}, not to {}", self.cluster, hello.cluster));
        }
        match hello.to {
            Some(to) if to != me => Err(format!("this is {me}, not {to}; correct its address")),
            Some(_) | None => Ok(version),
        }
    }
}

/// Where a server's node takes in what comes from the network. Bounded; what does not fit is dropped
/// (messages) or answered with "not applied" (requests), both at once. Both close once the transport has let
/// go of its address.
#[derive(Clone, Debug)]
pub struct Inlet<A = mpsc::Sender<(Request, Responder)>> {
    /// Messages of the other servers.
    pub messages: mpsc::Sender<Envelope>,
    /// Requests of clients, each with the right to answer it.
    pub requests: A,
}

/// What every task of a transport has at hand.
#[derive(Clone)]
pub(crate) struct Context<N, E, L> {
    pub(crate) net: N,
    pub(crate) environment: E,
    pub(crate) links: L,
    pub(crate) config: Arc<PeersConfig>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) addresses: Addresses,
}

impl<N, E: Environment, L> Context<N, E, L> {
    /// Notes that `reason` kept two from talking.
    pub(crate) fn refused(&self, reason: String) -> NetError {
        self.counters.refused(&reason);
        NetError::Refused { reason }
    }

    /// The deadline of a step that begins now and may take `timeout`.
    pub(crate) fn deadline(&self, timeout: Duration) -> raft_core::Time {
        self.environment.now().after(timeout)
    }
}

/// The way to the other servers, over one connection to each, and a second one while snapshots are sent:
/// these never delay heartbeats. When this is dropped, all connections and the listener go with it; that
/// they are gone shows when the channels of the [`Inlet`] close.
pub struct Peers {
    queues: BTreeMap<NodeId, Queues>,
    connect: Box<Connect>,
    counters: Arc<Counters>,
    addresses: Addresses,
    tasks: JoinSet<()>,
}

/// Begins to connect to a peer.
type Connect = dyn Fn(NodeId, &mut JoinSet<()>) -> Queues + Send;

/// What waits for one peer.
#[derive(Debug)]
struct Queues {
    messages: mpsc::Sender<Envelope>,
    /// Pieces of snapshots, which go over a connection of their own.
    snapshots: mpsc::Sender<Envelope>,
}

impl Peers {
    /// Begins to dial the peers and to serve what comes in at `listener`. Must be called on a tokio
    /// runtime; time is the environment's alone.
    pub fn start<N: Net, E: Environment, L: Links>(
        net: N,
        listener: N::Listener,
        environment: E,
        links: L,
        config: PeersConfig,
        inlet: Inlet,
    ) -> Self {
        let addresses = Addresses::new(config.peers.clone());
        let (config, counters) = (Arc::new(config), Arc::default());
        Self::of(Context { net, environment, links, config, counters, addresses }, listener, inlet)
    }

    pub(crate) fn of<N: Net, E: Environment, L: Links, A: Answers>(
        context: Context<N, E, L>,
        listener: N::Listener,
        inlet: Inlet<A>,
    ) -> Self {
        let (counters, addresses) = (Arc::clone(&context.counters), context.addresses.clone());
        let (id, mut tasks) = (context.config.id, JoinSet::new());
        let dialling = context.clone();
        let connect: Box<Connect> = Box::new(move |peer, tasks| {
            let mut connect = |lifetime, messages_max| {
                let (queue, waiting) = mpsc::channel(messages_max);
                tasks.spawn(Outgoing::new(dialling.clone(), peer, lifetime, waiting).run());
                queue
            };
            let messages = connect(Lifetime::Kept, dialling.config.queue_messages_max.max(1));
            let snapshots = connect(Lifetime::OnDemand, SNAPSHOT_PIECES_MAX);
            Queues { messages, snapshots }
        });
        let others = addresses.to_map().into_keys().filter(|peer| *peer != id);
        let queues = others.map(|peer| (peer, connect(peer, &mut tasks))).collect();
        tasks.spawn(incoming::listen(context, (listener, inlet)));
        Self { queues, connect, counters, addresses, tasks }
    }

    /// What became of messages so far; grows on.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// Where the others listen, to be changed while this runs.
    pub fn addresses(&self) -> Addresses {
        self.addresses.clone()
    }

    /// Ends all connections. When this returns the listener is closed, and its address is free.
    pub async fn shutdown(mut self) {
        self.tasks.shutdown().await;
    }
}

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peers").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

impl Transport for Peers {
    fn send(&mut self, envelope: Envelope) {
        let to = envelope.to;
        let Self { queues, connect, counters, addresses, tasks } = self;
        if !queues.contains_key(&to) && addresses.know(to) {
            queues.insert(to, connect(to, tasks));
        }
        let Some(Queues { messages, snapshots }) = queues.get(&to) else {
            counters.dropped_unreachable.add(1);
            return;
        };
        let queue =
            if matches!(envelope.message, Message::InstallSnapshot(_)) { snapshots } else { messages };
        match queue.try_send(envelope) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => counters.dropped_queue_full.add(1),
            Err(TrySendError::Closed(_)) => {
                // It is not known any more. Should it be again, it is dialled again.
                queues.remove(&to);
                counters.dropped_unreachable.add(1);
            }
        }
    }
}
