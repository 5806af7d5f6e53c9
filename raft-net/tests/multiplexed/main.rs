//! Many requests at a time over one connection: from a client that is played, and to a server that is.

mod counted;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use raft_core::node::{Environment, SystemEnvironment, TokioEnvironment};
use raft_core::sessions::{Proposed, Proposer as _};
use raft_core::{ClusterId, NodeId, Time};
use raft_net::{
    Ask, Frame, FrameReader, Hello, Inlet, Net, Outcome, Party, Peers, PeersConfig, Request, Responder,
    Response, Servers, TcpNet, Versions, Whole,
};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use counted::Counted;

/// So many requests of a connection are answered at a time.
const AT_A_TIME: usize = 256;

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(60);

const ME: NodeId = NodeId::new(1);

/// A server of which the test answers the requests.
struct Server {
    peers: Peers,
    address: String,
    requests: mpsc::Receiver<(Request, Responder)>,
}

impl Server {
    async fn start() -> Self {
        Self::start_with(PeersConfig::new(ME, BTreeMap::new())).await
    }

    async fn start_with(config: PeersConfig) -> Self {
        let listener = TcpNet.listen("127.0.0.1:0").await.unwrap();
        let address = TcpNet.local_address(&listener).unwrap();
        let ((messages, _), (sender, requests)) = (mpsc::channel(1), mpsc::channel(1024));
        let inlet = Inlet { messages, requests: sender };
        let peers = Peers::start(TcpNet, listener, TokioEnvironment::new(), Whole, config, inlet);
        Self { peers, address, requests }
    }

    async fn next(&mut self) -> (Request, Responder) {
        timeout(LIMIT, self.requests.recv()).await.expect("somebody asks").unwrap()
    }

    /// Takes in so many requests, and keeps them.
    async fn some(&mut self, count: usize) -> Vec<(Request, Responder)> {
        let mut some = Vec::new();
        while some.len() < count {
            some.push(self.next().await);
        }
        some
    }

    fn client(&self) -> (Servers<Counted, TokioEnvironment>, Counted) {
        self.client_in(TokioEnvironment::new())
    }

    fn client_in<E: Environment>(&self, environment: E) -> (Servers<Counted, E>, Counted) {
        let net = Counted::default();
        let addresses = BTreeMap::from([(ME, self.address.clone())]);
        let servers = Servers::new(net.clone(), environment, ClusterId(1), addresses);
        // A machine that stands still is not to look like a server that cannot be reached.
        (servers.connect_within(LIMIT), net)
    }
}

/// A client that is played.
struct Raw(FrameReader<TcpStream>);

impl Raw {
    async fn connect(address: &str) -> Self {
        let mut raw = Self(FrameReader::new(TcpNet.connect(address).await.unwrap()));
        let (versions, party) = (Versions::OURS, Party::Client);
        raw.say([Frame::Hello(Hello { versions, cluster: ClusterId(1), party, to: None })]).await;
        assert!(matches!(raw.0.next().await.unwrap(), Some(Frame::Hello(_))));
        raw
    }

    async fn say(&mut self, frames: impl IntoIterator<Item = Frame>) {
        let mut bytes = BytesMut::new();
        frames.into_iter().for_each(|frame| frame.encode(&mut bytes).unwrap());
        self.0.stream_mut().write_all(&bytes).await.unwrap();
    }

    async fn ask(&mut self, ids: impl IntoIterator<Item = u64>) {
        let ask = |id| Frame::Request(Request { id, ask: Ask::Apply, command: id.to_string().into() });
        self.say(ids.into_iter().map(ask)).await;
    }

    async fn hear(&mut self) -> Response {
        match self.0.next().await.unwrap() {
            Some(Frame::Response(response)) => response,
            other => panic!("{other:?}"),
        }
    }
}

fn committed(text: &str) -> Outcome {
    Outcome::Committed(Bytes::copy_from_slice(text.as_bytes()))
}

/// Asks beside all else.
fn ask(servers: &Arc<Servers<Counted, TokioEnvironment>>, number: u64) -> JoinHandle<Proposed> {
    let servers = Arc::clone(servers);
    tokio::spawn(async move { servers.propose(number.to_string().into(), soon()).await })
}

fn soon() -> Time {
    TokioEnvironment::new().now().after(LIMIT)
}

#[tokio::test]
async fn an_answer_waits_for_no_other() {
    let mut server = Server::start().await;
    let mut client = Raw::connect(&server.address).await;
    client.ask([1, 2, 3]).await;
    let [first, second, third] = server.some(3).await.try_into().unwrap();
    for ((request, responder), id) in [(third, 3), (first, 1)] {
        assert_eq!(request.command, id.to_string());
        responder.answer(committed("done"));
        assert_eq!(client.hear().await, Response { id, outcome: committed("done") });
    }
    drop(second);
    let Response { id, outcome } = client.hear().await;
    assert!(id == 2 && matches!(outcome, Outcome::Unknown { .. }), "{id} {outcome:?}");
}

/// What a client asks beyond that waits in its connection, and takes no memory of the server's.
#[tokio::test]
async fn so_many_are_answered_at_a_time_and_no_more_are_read() {
    let mut server = Server::start().await;
    let mut client = Raw::connect(&server.address).await;
    client.ask(1..=AT_A_TIME as u64 + 2).await;
    let mut waiting = server.some(AT_A_TIME).await;
    for more in 1..=2 {
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        assert!(server.requests.try_recv().is_err(), "no more are read");
        waiting.pop().unwrap().1.answer(committed("done"));
        waiting.push(server.next().await);
        assert_eq!(waiting.last().unwrap().0.id, AT_A_TIME as u64 + more);
    }
}

/// A server that reads no more does not see whether the client is still there: it lets go of it after a while. One that has
/// room for more waits for as long as its answers take.
#[tokio::test]
async fn a_client_that_waits_for_all_it_may_is_let_go_of_when_nothing_happens() {
    let client_idle = Duration::from_millis(200);
    let config = PeersConfig { client_idle, ..PeersConfig::new(ME, BTreeMap::new()) };
    let mut server = Server::start_with(config).await;
    let mut client = Raw::connect(&server.address).await;
    client.ask(1..AT_A_TIME as u64).await;
    let mut waiting = server.some(AT_A_TIME - 1).await;
    tokio::time::sleep(3 * client_idle).await;
    waiting.pop().unwrap().1.answer(committed("late"));
    assert_eq!(client.hear().await.outcome, committed("late"));
    client.ask([1_000, 1_001]).await;
    waiting.extend(server.some(2).await);
    assert_eq!(timeout(LIMIT, client.0.next()).await.unwrap().unwrap(), None);
    drop(waiting);
}

#[tokio::test]
async fn all_requests_of_a_client_share_a_connection() {
    let mut server = Server::start().await;
    let (servers, net) = server.client();
    let servers = Arc::new(servers);
    let asking: Vec<_> = (0..50).map(|number| ask(&servers, number)).collect();
    for (request, responder) in server.some(50).await.into_iter().rev() {
        responder.answer(Outcome::Committed(request.command));
    }
    for (number, asking) in asking.into_iter().enumerate() {
        assert_eq!(asking.await.unwrap(), Proposed::Answered(number.to_string().into()));
    }
    assert_eq!(net.dials(), 1);
}

/// On a thread that has all of them, a task that is woken goes first that wakes the one that writes: it does not write before the
/// others have asked, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn those_who_are_answered_together_ask_together() {
    const CLIENTS: u64 = 32;
    const ROUNDS: u64 = 10;
    let written = tokio::spawn(async {
        let mut server = Server::start().await;
        let clock = SystemEnvironment::new();
        let (servers, net) = server.client_in(clock);
        let servers = Arc::new(servers);
        let in_time = clock.now().after(LIMIT);
        for _ in 0..CLIENTS {
            let servers = Arc::clone(&servers);
            tokio::spawn(async move {
                for _ in 0..ROUNDS {
                    servers.propose("x".into(), in_time).await;
                }
            });
        }
        for _ in 0..ROUNDS {
            let asked = server.some(usize::try_from(CLIENTS).unwrap()).await;
            asked.into_iter().for_each(|(_, responder)| responder.answer(committed("done")));
        }
        net.writes()
    });
    let written = written.await.unwrap();
    assert!(written <= ROUNDS * CLIENTS / 8, "{written} writes of {} requests", ROUNDS * CLIENTS);
}

/// Whoever has no answer in time knows nothing, and whoever waits beside it hears all the same. The next one goes over the same
/// connection: the server answers there.
#[tokio::test]
async fn a_request_without_an_answer_takes_no_other_with_it() {
    let mut server = Server::start().await;
    let (servers, net) = server.client();
    let (ended, has_ended) = oneshot::channel();
    let slow = async {
        let deadline = TokioEnvironment::new().now().after(Duration::from_secs(2));
        let proposed = servers.propose("slow".into(), deadline).await;
        ended.send(()).unwrap();
        proposed
    };
    let beside = servers.propose("beside".into(), soon());
    let answering = async {
        let mut asked = server.some(2).await;
        let place = asked.iter().position(|(request, _)| request.command == "beside").unwrap();
        let (_, late) = asked.remove(place);
        has_ended.await.unwrap();
        late.answer(committed("beside"));
        asked
    };
    let (slow, beside, never) = tokio::join!(slow, beside, answering);
    assert_eq!((slow, beside), (Proposed::Unknown, Proposed::Answered("beside".into())));
    let answering = async { server.next().await.1.answer(committed("again")) };
    let (again, ()) = tokio::join!(servers.propose("again".into(), soon()), answering);
    assert_eq!((again, net.dials()), (Proposed::Answered("again".into()), 1));
    drop(never);
}

#[tokio::test]
async fn whoever_gives_up_disturbs_nobody() {
    let mut server = Server::start().await;
    let (servers, net) = server.client();
    for _ in 0..3 {
        let given_up = tokio::select! {
            biased;
            _ = servers.propose("given up".into(), soon()) => panic!("nobody has answered"),
            (_, responder) = server.next() => responder,
        };
        given_up.answer(committed("too late"));
        let answering = async { server.next().await.1.answer(committed("done")) };
        let (proposed, ()) = tokio::join!(servers.propose("next".into(), soon()), answering);
        assert_eq!(proposed, Proposed::Answered("done".into()));
    }
    // No more than one, unless the machine stands still for long.
    assert!(net.dials() < 4);
}

/// A server that is stopped and not gone takes in requests and says nothing. Whoever asks on, and does not wait for long, finds
/// out by itself.
#[tokio::test]
async fn a_server_that_answers_nothing_is_dialled_anew() {
    let mut server = Server::start().await;
    let (servers, net) = server.client();
    let began = Instant::now();
    let mut asked = Vec::new();
    while net.dials() < 2 {
        assert!(began.elapsed() < LIMIT, "it is asked over the same connection for ever");
        tokio::select! {
            biased;
            _ = servers.propose("x".into(), soon()) => panic!("nobody has answered"),
            one = server.next() => asked.push(one),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(began.elapsed() >= Duration::from_millis(500), "it had its time");
}

/// The server tells whoever asked, and the others have their answers over the same connection.
#[tokio::test]
async fn an_answer_that_fits_into_no_frame_takes_no_other_with_it() {
    let mut server = Server::start().await;
    let (servers, net) = server.client();
    let servers = Arc::new(servers);
    let asking = [0, 1, 2].map(|number| ask(&servers, number));
    for (request, responder) in server.some(3).await {
        let long = if request.command == "1" { vec![0; 17 << 20] } else { Vec::new() };
        responder.answer(Outcome::Committed(long.into()));
    }
    let [first, second, third] = asking;
    assert_eq!(second.await.unwrap(), Proposed::Unknown);
    for other in [first, third] {
        assert_eq!(other.await.unwrap(), Proposed::Answered(Bytes::new()));
    }
    assert_eq!(net.dials(), 1);
}

#[tokio::test]
async fn when_a_connection_ends_nobody_waits_on_it() {
    let mut server = Server::start().await;
    let (servers, _) = server.client();
    let servers = Arc::new(servers);
    let asking: Vec<_> = (0..300).map(|number| ask(&servers, number)).collect();
    let under_way = server.some(AT_A_TIME).await;
    server.peers.shutdown().await;
    let mut ends = BTreeMap::new();
    for asking in asking {
        *ends.entry(format!("{:?}", asking.await.unwrap())).or_default() += 1;
    }
    // Those that had not been sent are certainly not applied.
    assert_eq!(ends, BTreeMap::from([("Unknown".to_owned(), 256), ("NotApplied".to_owned(), 44)]));
    drop(under_way);
}

/// Both ends have more to write than lies in a connection, and neither reads the other's before it has written.
#[tokio::test]
async fn long_requests_and_long_answers_do_not_wait_for_each_other() {
    let mut server = Server::start().await;
    let (servers, net) = server.client();
    let servers = Arc::new(servers);
    let long = Bytes::from(vec![7; 4 << 20]);
    let asking: Vec<_> = (0..12)
        .map(|_| {
            let (servers, long) = (Arc::clone(&servers), long.clone());
            tokio::spawn(async move { servers.propose(long, soon()).await })
        })
        .collect();
    for _ in 0..12 {
        let (request, responder) = server.next().await;
        responder.answer(Outcome::Committed(request.command));
    }
    for asking in asking {
        assert_eq!(asking.await.unwrap(), Proposed::Answered(long.clone()));
    }
    assert_eq!(net.dials(), 1);
}
