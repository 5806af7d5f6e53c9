//! What a conversation needs: a clock, links that can be cut and watched, servers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use raft_core::node::{Environment, Point, TokioEnvironment, Transport};
use raft_core::{
    AppendEntries, Chunk, ClusterId, Configuration, Entry, EntryId, Envelope, GroupId, Incarnation,
    InstallSnapshot, LogIndex, Message, NodeId, Payload, Session, Snapshot, SnapshotId, Term, Time,
};
use raft_net::{Counters, Fate, Inlet, Links, Net, Peers, PeersConfig, Request, Responder};
use tokio::sync::{mpsc, watch};

/// The moment so many seconds from now.
pub(crate) fn in_seconds(environment: &impl Environment, seconds: u64) -> Time {
    environment.now().after(Duration::from_secs(seconds))
}

/// A clock of a node that can be paused, and that tells where it stands.
#[derive(Clone)]
pub(crate) struct Pausable {
    clock: TokioEnvironment,
    paused: watch::Receiver<bool>,
    at: mpsc::UnboundedSender<Point>,
}

impl Pausable {
    pub(crate) fn start() -> (Self, watch::Sender<bool>, mpsc::UnboundedReceiver<Point>) {
        let (pause, paused) = watch::channel(false);
        let (at, reached) = mpsc::unbounded_channel();
        (Self { clock: TokioEnvironment::new(), paused, at }, pause, reached)
    }
}

impl Environment for Pausable {
    fn now(&self) -> Time {
        self.clock.now()
    }

    async fn sleep_until(&self, deadline: Time) {
        self.clock.sleep_until(deadline).await;
    }

    async fn point(&self, point: Point) {
        let _ = self.at.send(point);
        let _ = self.paused.clone().wait_for(|paused| !paused).await;
    }
}

/// What happened to one frame at a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Sent(NodeId, &'static str),
    Lost(NodeId, &'static str),
    Arrived(NodeId),
}

/// Links that can be cut, that can be slow, and that tell what happens on them.
#[derive(Clone)]
pub(crate) struct Watched {
    cut: Arc<AtomicBool>,
    lost_on_arrival: Arc<AtomicBool>,
    snapshot_delay_ms: Arc<AtomicU64>,
    seen: mpsc::UnboundedSender<Seen>,
}

impl Watched {
    pub(crate) fn new() -> (Self, Watcher) {
        let (seen, watcher) = mpsc::unbounded_channel();
        let (cut, lost_on_arrival, snapshot_delay_ms) = Default::default();
        (Self { cut, lost_on_arrival, snapshot_delay_ms, seen }, Watcher(watcher))
    }

    /// Whether frames are lost before they leave.
    pub(crate) fn cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::SeqCst);
    }

    /// Whether messages are lost on arrival.
    pub(crate) fn lose_on_arrival(&self, lost: bool) {
        self.lost_on_arrival.store(lost, Ordering::SeqCst);
    }

    /// How long every piece of a snapshot takes from now on.
    pub(crate) fn delay_snapshots(&self, delay_ms: u64) {
        self.snapshot_delay_ms.store(delay_ms, Ordering::SeqCst);
    }
}

impl Links for Watched {
    fn fate(&self, from: NodeId, _: NodeId, kind: &'static str, _: usize) -> Fate {
        let cut = self.cut.load(Ordering::SeqCst);
        // The watcher may be gone: then nobody asks.
        let _ = self.seen.send(if cut { Seen::Lost(from, kind) } else { Seen::Sent(from, kind) });
        let delay_ms = if kind == "snapshot" { self.snapshot_delay_ms.load(Ordering::SeqCst) } else { 0 };
        if cut { Fate::Drop } else { Fate::Deliver { delay: Duration::from_millis(delay_ms) } }
    }

    fn is_cut(&self, from: NodeId, _: NodeId) -> bool {
        let _ = self.seen.send(Seen::Arrived(from));
        self.lost_on_arrival.load(Ordering::SeqCst)
    }
}

pub(crate) struct Watcher(mpsc::UnboundedReceiver<Seen>);

impl Watcher {
    /// Waits until this has happened, once more.
    pub(crate) async fn until(&mut self, wanted: Seen) {
        while self.0.recv().await.expect("the transports are still there") != wanted {}
    }

    /// Waits until nobody is left to tell anything.
    pub(crate) async fn until_all_have_gone(&mut self) {
        while self.0.recv().await.is_some() {}
    }
}

pub(crate) const A: NodeId = NodeId::new(1);
pub(crate) const B: NodeId = NodeId::new(2);

/// One server's transport, and what comes out of it.
pub(crate) struct Server {
    pub(crate) peers: Peers,
    pub(crate) counters: Arc<Counters>,
    pub(crate) inbox: mpsc::Receiver<Envelope>,
    pub(crate) requests: mpsc::Receiver<(Request, Responder)>,
}

impl Server {
    pub(crate) fn start<N: Net, L: Links>(
        net: &N,
        listener: N::Listener,
        links: &L,
        config: PeersConfig,
        inbox_messages_max: usize,
    ) -> Self {
        Self::start_in(TokioEnvironment::new(), net, listener, links, config, inbox_messages_max)
    }

    pub(crate) fn start_in<N: Net, L: Links>(
        environment: impl Environment,
        net: &N,
        listener: N::Listener,
        links: &L,
        config: PeersConfig,
        inbox_messages_max: usize,
    ) -> Self {
        let (messages, inbox) = mpsc::channel(inbox_messages_max);
        let (requests, waiting) = mpsc::channel(16);
        let inlet = Inlet { messages, requests };
        let peers = Peers::start(net.clone(), listener, environment, links.clone(), config, inlet);
        Self { counters: peers.counters(), peers, inbox, requests: waiting }
    }

    /// Sends the messages with these numbers.
    pub(crate) fn send(&mut self, from: NodeId, to: NodeId, numbers: impl IntoIterator<Item = u64>) {
        for number in numbers {
            self.peers.send(envelope(from, to, number));
        }
    }

    /// Sends the pieces with these numbers.
    pub(crate) fn send_pieces(&mut self, from: NodeId, to: NodeId, numbers: impl IntoIterator<Item = u64>) {
        for number in numbers {
            self.peers.send(piece(from, to, number));
        }
    }

    pub(crate) async fn receive(&mut self) -> Envelope {
        self.inbox.recv().await.expect("the transport is still there")
    }
}

/// A message that its number makes different from all others.
pub(crate) fn envelope(from: NodeId, to: NodeId, number: u64) -> Envelope {
    let id = EntryId::new(Term::new(1), LogIndex::new(number + 1));
    let entry = Entry::new(id, Payload::Command(number.to_string().into()));
    Envelope {
        cluster: ClusterId(1),
        group: GroupId(0),
        from,
        incarnation: Incarnation(from.get()),
        to,
        term: Term::new(1),
        session: Session(number),
        message: Message::AppendEntries(AppendEntries {
            prev_log: EntryId::new(Term::new(1), LogIndex::new(number)),
            entries: vec![entry].into(),
            leader_commit: LogIndex::ZERO,
        }),
    }
}

/// Bytes of a piece of a snapshot: four times as many as usual.
const PIECE_BYTES: u64 = 1024 * 1024;

/// A piece of a snapshot that its number makes different from all others.
pub(crate) fn piece(from: NodeId, to: NodeId, number: u64) -> Envelope {
    let last_included = EntryId::new(Term::new(1), LogIndex::new(1));
    let id = SnapshotId { last_included, made_by: Incarnation(from.get()) };
    let data: Bytes = (0..PIECE_BYTES / 8).flat_map(|word| (number + word).to_le_bytes()).collect();
    let chunk = Chunk::new(number * PIECE_BYTES, data, false);
    let install = InstallSnapshot {
        snapshot: Snapshot { id, configured: Configuration::of([from, to]).into() },
        chunk,
    };
    Envelope { message: Message::InstallSnapshot(Box::new(install)), ..envelope(from, to, number) }
}

/// `a`, which dials `b`, and `b`, which dials nobody.
pub(crate) struct Pair<N> {
    pub(crate) net: N,
    pub(crate) links: Watched,
    pub(crate) watcher: Watcher,
    pub(crate) address: String,
    pub(crate) a: Server,
    pub(crate) b: Server,
}

impl<N: Net> Pair<N> {
    pub(crate) async fn start(net: N) -> Self {
        Self::start_with(net, |_, _| {}, 1024).await
    }

    /// Starts both, once `change` has had its way with their configurations.
    pub(crate) async fn start_with(
        net: N,
        change: impl FnOnce(&mut PeersConfig, &mut PeersConfig),
        inbox_messages_max: usize,
    ) -> Self {
        let (links, watcher) = Watched::new();
        let near = net.listen("127.0.0.1:0").await.unwrap();
        let far = net.listen("127.0.0.1:0").await.unwrap();
        let address = net.local_address(&far).unwrap();
        let mut a = PeersConfig::new(A, BTreeMap::from([(B, address.clone())]));
        let mut b = PeersConfig::new(B, BTreeMap::new());
        change(&mut a, &mut b);
        let a = Server::start(&net, near, &links, a, 1024);
        let b = Server::start(&net, far, &links, b, inbox_messages_max);
        Self { net, links, watcher, address, a, b }
    }

    /// Sends a piece again and again, as the protocol does, until it arrives.
    pub(crate) async fn until_it_arrives(&mut self, number: u64) {
        let clock = TokioEnvironment::new();
        loop {
            self.a.send_pieces(A, B, [number]);
            let patience = clock.now().after(Duration::from_millis(20));
            tokio::select! {
                biased;
                arrived = self.b.receive() => return assert_eq!(arrived, piece(A, B, number)),
                () = clock.sleep_until(patience) => {}
            }
        }
    }

    /// Waits until both have said hello, once more.
    pub(crate) async fn until_connected(&mut self) {
        self.watcher.until(Seen::Sent(A, "hello")).await;
        self.watcher.until(Seen::Sent(B, "hello")).await;
    }
}
