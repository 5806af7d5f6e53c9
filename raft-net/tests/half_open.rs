//! Peers that vanish without a word, and such as are only slow: on a network in memory, in virtual time.

use std::collections::BTreeMap;
use std::future::pending;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use raft_core::node::{TokioEnvironment, Transport};
use raft_core::{
    AppendEntries, ClusterId, Entry, EntryId, Envelope, GroupId, Incarnation, LogIndex, Message, NodeId,
    Payload, Session, Term,
};
use raft_net::{Counters, Inlet, Net, Peers, PeersConfig, Whole};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

const A: NodeId = NodeId::new(1);
const B: NodeId = NodeId::new(2);
/// The shortest election timeout of the servers.
const ELECTION: Duration = Duration::from_millis(150);
/// How long a server waits before it dials again.
const BACK_OFF: Duration = Duration::from_millis(1);
/// What fits into the buffers of a connection, each way.
const BUFFER_BYTES: usize = 64 * 1024;

/// A network through whose middle all bytes go, which forwards them as it is told.
#[derive(Clone, Default)]
struct Pipes(Arc<Mutex<Inside>>);

#[derive(Default)]
struct Inside {
    listeners: BTreeMap<String, mpsc::UnboundedSender<DuplexStream>>,
    /// When each connection was dialled, and what stops it.
    connections: Vec<(Instant, watch::Sender<bool>)>,
    /// When one end of a stopped connection let go of it.
    let_go: Vec<Instant>,
    way: Way,
    /// Whether nobody listens anywhere.
    is_down: bool,
}

/// How bytes get through the middle.
#[derive(Clone, Copy, Default)]
struct Way {
    delay: Duration,
    /// None: as fast as they come.
    bytes_a_second: Option<u32>,
    /// Whether a stopped connection still takes bytes in, as a system does whose buffers are large.
    swallows: bool,
}

impl Pipes {
    fn of(way: Way) -> Self {
        Self(Arc::new(Mutex::new(Inside { way, ..Inside::default() })))
    }

    fn inside<T>(&self, look: impl FnOnce(&mut Inside) -> T) -> T {
        look(&mut self.0.lock().unwrap())
    }

    /// From now on nothing gets through the connections that are open, either way, and nobody is told.
    fn stop(&self) {
        self.inside(|inside| inside.connections.iter().for_each(|(_, stop)| _ = stop.send_replace(true)));
    }

    fn dials(&self) -> Vec<Instant> {
        self.inside(|inside| inside.connections.iter().map(|(at, _)| *at).collect())
    }

    /// Forwards one direction of a connection.
    async fn forward(
        self,
        mut from: ReadHalf<DuplexStream>,
        mut to: WriteHalf<DuplexStream>,
        mut stopped: watch::Receiver<bool>,
    ) {
        let (way, mut bytes) = (self.inside(|inside| inside.way), vec![0; 4096]);
        loop {
            let read = tokio::select! {
                biased;
                _ = stopped.wait_for(|stopped| *stopped) => break,
                read = from.read(&mut bytes) => read.unwrap(),
            };
            let took =
                way.bytes_a_second.map(|rate| Duration::from_secs(1) * u32::try_from(read).unwrap() / rate);
            sleep(way.delay + took.unwrap_or_default()).await;
            // The other end may have gone: then nobody takes in what is left.
            if read == 0 || to.write_all(&bytes[..read]).await.is_err() {
                return;
            }
        }
        if way.swallows {
            while from.read(&mut bytes).await.unwrap() > 0 {}
            self.inside(|inside| inside.let_go.push(Instant::now()));
        }
        // Both ends stay open.
        pending::<()>().await;
    }
}

impl Net for Pipes {
    type Stream = DuplexStream;
    type Listener = mpsc::UnboundedReceiver<DuplexStream>;

    async fn listen(&self, address: &str) -> io::Result<Self::Listener> {
        let (sender, listener) = mpsc::unbounded_channel();
        self.inside(|inside| inside.listeners.insert(address.to_owned(), sender));
        Ok(listener)
    }

    fn local_address(&self, _: &Self::Listener) -> io::Result<String> {
        Err(io::Error::other("nobody asks for it"))
    }

    async fn accept(&self, listener: &mut Self::Listener) -> io::Result<DuplexStream> {
        match listener.recv().await {
            Some(stream) => Ok(stream),
            None => pending().await,
        }
    }

    async fn connect(&self, address: &str) -> io::Result<DuplexStream> {
        if self.inside(|inside| inside.is_down) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let [(near, near_middle), (far_middle, far)] = [(); 2].map(|()| tokio::io::duplex(BUFFER_BYTES));
        let (stop, stopped) = watch::channel(false);
        let listener = self.inside(|inside| {
            inside.connections.push((Instant::now(), stop));
            inside.listeners[address].clone()
        });
        let (from_near, to_near) = tokio::io::split(near_middle);
        let (from_far, to_far) = tokio::io::split(far_middle);
        tokio::spawn(self.clone().forward(from_near, to_far, stopped.clone()));
        tokio::spawn(self.clone().forward(from_far, to_near, stopped));
        listener.send(far).map_err(io::Error::other)?;
        Ok(near)
    }
}

/// A, which dials B, and what B takes in.
struct Pair {
    pipes: Pipes,
    a: Peers,
    counters: Arc<Counters>,
    inbox: mpsc::Receiver<Envelope>,
    _b: Peers,
    next: u64,
}

impl Pair {
    async fn start(way: Way, change: impl Fn(&mut PeersConfig)) -> Self {
        let pipes = Pipes::of(way);
        let start = async |id: NodeId, peers: BTreeMap<NodeId, String>| {
            let listener = pipes.listen(&id.to_string()).await.unwrap();
            let (messages, inbox) = mpsc::channel(1024);
            let (requests, _) = mpsc::channel(1);
            let mut config = PeersConfig { back_off: (BACK_OFF, BACK_OFF), ..PeersConfig::new(id, peers) };
            config.notice_within(ELECTION);
            change(&mut config);
            let (clock, inlet) = (TokioEnvironment::new(), Inlet { messages, requests });
            (Peers::start(pipes.clone(), listener, clock, Whole, config, inlet), inbox)
        };
        let (b, inbox) = start(B, BTreeMap::new()).await;
        let (a, _) = start(A, BTreeMap::from([(B, B.to_string())])).await;
        Self { counters: a.counters(), pipes, a, inbox, _b: b, next: 0 }
    }

    /// Sends a message with a command of so many bytes, and returns its number.
    fn send(&mut self, bytes: usize) -> u64 {
        self.next += 1;
        let id = |index| EntryId::new(Term::new(1), LogIndex::new(index));
        let command = Payload::Command(Bytes::from(vec![7; bytes]));
        self.a.send(Envelope {
            cluster: ClusterId(1),
            group: GroupId(0),
            from: A,
            incarnation: Incarnation(A.get()),
            to: B,
            term: Term::new(1),
            session: Session(self.next),
            message: Message::AppendEntries(AppendEntries {
                prev_log: id(self.next),
                entries: vec![Entry::new(id(self.next + 1), command)].into(),
                leader_commit: LogIndex::ZERO,
            }),
        });
        self.next
    }

    /// Waits for this message, past those before it.
    async fn receive(&mut self, number: u64) {
        while self.inbox.recv().await.unwrap().session != Session(number) {}
    }
}

/// Each row: whether the system still takes bytes in for a peer that has gone, how large the messages are, and how often they
/// are sent.
#[tokio::test(start_paused = true)]
async fn a_peer_that_vanishes_without_a_word_is_dialled_anew_within_an_election_timeout() {
    let heartbeat = Some(Duration::from_millis(50));
    for (swallows, bytes, every) in [
        (true, 0, None),
        (true, 0, heartbeat),
        (false, 0, heartbeat),
        (true, 1 << 20, heartbeat),
        (false, 1 << 20, heartbeat),
    ] {
        let mut pair = Pair::start(Way { swallows, ..Way::default() }, |_| {}).await;
        let first = pair.send(bytes);
        pair.receive(first).await;
        // Some pings later.
        sleep(Duration::from_millis(333)).await;
        pair.pipes.stop();
        let stopped = Instant::now();
        while Instant::now() < stopped + ELECTION + BACK_OFF {
            if every.is_some() {
                pair.send(bytes);
            }
            sleep_until((stopped + ELECTION + BACK_OFF).min(Instant::now() + every.unwrap_or(ELECTION)))
                .await;
        }
        let dials = pair.pipes.dials();
        let row = format!("{swallows} {bytes} {every:?}: dialled {dials:?}, stopped {stopped:?}");
        assert_eq!(dials.len(), 2, "{row}");
        assert!(dials[1] > stopped && dials[1] <= stopped + ELECTION + BACK_OFF, "{row}");
        // What waited meanwhile is old: the protocol sends again what matters.
        let next = pair.send(bytes);
        pair.receive(next).await;
    }
}

/// However long it was away: it has begun to wait for a leader.
#[tokio::test(start_paused = true)]
async fn a_peer_that_comes_back_is_dialled_within_half_an_election_timeout() {
    let pair = Pair::start(Way::default(), |config| {
        config.back_off = PeersConfig::new(A, BTreeMap::new()).back_off;
        config.notice_within(ELECTION);
    })
    .await;
    for away in (1..60).map(|tenths| Duration::from_millis(100) * tenths) {
        let before = pair.pipes.dials().len();
        pair.pipes.inside(|inside| inside.is_down = true);
        pair.pipes.stop();
        sleep(away + ELECTION).await;
        pair.pipes.inside(|inside| inside.is_down = false);
        let back = Instant::now();
        sleep(ELECTION / 2).await;
        let dials = pair.pipes.dials();
        assert_eq!(dials.len(), before + 1, "back at {back:?} after {away:?}: {dials:?}");
    }
}

/// A server of another cluster: until somebody corrects that, it is dialled once a second or twice.
#[tokio::test(start_paused = true)]
async fn a_peer_that_refuses_is_not_dialled_many_times_a_second() {
    let pair = Pair::start(Way::default(), |config| {
        if config.id == B {
            config.cluster = ClusterId(2);
        }
    })
    .await;
    sleep(Duration::from_secs(60)).await;
    let (dials, refused) = (pair.counters.dials.get(), pair.counters.handshakes_refused.get());
    assert!((60..150).contains(&dials) && refused + 1 >= dials, "{dials} dials, {refused} refused");
}

/// What is left of a connection whose other end has vanished is cleared away by who was dialled, too.
#[tokio::test(start_paused = true)]
async fn who_was_dialled_lets_go_of_a_peer_that_has_vanished() {
    let way = Way { swallows: true, ..Way::default() };
    let mut pair = Pair::start(way, |config| config.idle = Duration::from_secs(2)).await;
    let first = pair.send(0);
    pair.receive(first).await;
    pair.pipes.stop();
    let stopped = Instant::now();
    sleep(Duration::from_millis(2_100)).await;
    let let_go = pair.pipes.inside(|inside| inside.let_go.clone());
    let [noticed, cleared] = let_go[..] else { panic!("{let_go:?}") };
    assert!(noticed < stopped + ELECTION && cleared > stopped + Duration::from_secs(1), "{let_go:?}");
}

/// A message takes ten seconds to get through, and another one waits behind it with the pings. Where who was dialled says
/// nothing unasked, the connection is lost again and again, and neither arrives.
#[tokio::test(start_paused = true)]
async fn a_peer_behind_a_slow_link_is_not_one_that_has_gone() {
    const RATE: u32 = 100_000;
    let way = Way { bytes_a_second: Some(RATE), ..Way::default() };
    for (unasked, arrives) in [(true, true), (false, false)] {
        let mut pair = Pair::start(way, |config| {
            if !unasked {
                config.unasked_pong = Duration::MAX;
            }
        })
        .await;
        let (began, mut last) = (Instant::now(), 0);
        for _ in 0..2 {
            last = pair.send(10 * usize::try_from(RATE).unwrap());
        }
        let received = tokio::time::timeout(Duration::from_secs(30), pair.receive(last)).await;
        assert_eq!(received.is_ok(), arrives);
        assert_eq!(pair.counters.dials.get() == 1, arrives, "{} dials", pair.counters.dials.get());
        assert!(began.elapsed() > Duration::from_secs(20));
    }
}

/// Each way takes a fifth of an election timeout.
#[tokio::test(start_paused = true)]
async fn a_peer_that_is_far_away_is_not_one_that_has_gone() {
    let mut pair = Pair::start(Way { delay: ELECTION / 5, ..Way::default() }, |_| {}).await;
    for _ in 0..100 {
        let number = pair.send(100);
        pair.receive(number).await;
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(pair.counters.dials.get(), 1);
}
