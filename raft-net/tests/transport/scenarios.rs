//! Conversations. Each is held over every network, in the same words.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use raft_core::node::{Environment, Point, TokioEnvironment};
use raft_core::{ClusterId, NodeId, Session, Time};
use raft_net::{Ask, Client, Fate, Frame, Links, Net, NetError, Outcome, PeersConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::world::{A, B, Pair, Pausable, Seen, Server, Watched, envelope, in_seconds, piece};

pub(crate) async fn messages_arrive_whole_and_in_order<N: Net>(net: N) {
    let Pair { mut a, mut b, .. } = Pair::start(net).await;
    a.send(A, B, 0..500);
    for number in 0..500 {
        assert_eq!(b.receive().await, envelope(A, B, number));
    }
    assert_eq!((a.counters.sent.get(), b.counters.received.get(), a.counters.dials.get()), (500, 500, 1));
}

pub(crate) async fn a_peer_that_restarts_is_found_again<N: Net>(net: N) {
    let mut pair = Pair::start(net).await;
    pair.until_connected().await;
    pair.a.send(A, B, [1]);
    assert_eq!(pair.b.receive().await.session, Session(1));

    pair.b.peers.shutdown().await;
    let listener = pair.net.listen(&pair.address).await.unwrap();
    pair.b = Server::start(&pair.net, listener, &pair.links, PeersConfig::new(B, BTreeMap::new()), 16);
    pair.watcher.until(Seen::Sent(A, "hello")).await;
    pair.watcher.until(Seen::Sent(B, "hello")).await;
    pair.a.send(A, B, [2]);
    assert_eq!(pair.b.receive().await.session, Session(2));
    assert!(pair.a.counters.dials.get() >= 2);
}

pub(crate) async fn a_cut_link_loses_messages_silently_until_it_heals<N: Net>(net: N) {
    let mut pair = Pair::start(net).await;
    pair.until_connected().await;
    pair.a.send(A, B, [1]);
    assert_eq!(pair.b.receive().await.session, Session(1));

    pair.links.cut(true);
    pair.a.send(A, B, [2]);
    pair.watcher.until(Seen::Lost(A, "append")).await;
    pair.links.cut(false);
    pair.a.send(A, B, [3]);
    assert_eq!(pair.b.receive().await.session, Session(3));
    assert_eq!((pair.a.counters.dials.get(), pair.a.counters.dropped_by_link.get()), (1, 1));
}

pub(crate) async fn a_message_on_its_way_into_a_cut_is_lost<N: Net>(net: N) {
    let mut pair = Pair::start(net).await;
    pair.links.lose_on_arrival(true);
    pair.a.send(A, B, [1]);
    pair.watcher.until(Seen::Arrived(A)).await;
    pair.links.lose_on_arrival(false);
    pair.a.send(A, B, [2]);
    assert_eq!(pair.b.receive().await.session, Session(2));
    assert_eq!((pair.b.counters.received.get(), pair.b.counters.dropped_by_link.get()), (1, 1));
}

pub(crate) async fn a_silent_connection_is_dialled_again_until_the_link_heals<N: Net>(net: N) {
    let impatient = |a: &mut PeersConfig, _: &mut PeersConfig| {
        a.keep_alive = Duration::from_millis(50);
        a.silence = Duration::from_millis(200);
        a.connect_timeout = Duration::from_millis(500);
    };
    let mut pair = Pair::start_with(net, impatient, 16).await;
    pair.until_connected().await;

    pair.links.cut(true);
    pair.watcher.until(Seen::Lost(A, "ping")).await;
    pair.watcher.until(Seen::Lost(A, "hello")).await;
    pair.links.cut(false);
    pair.until_connected().await;
    pair.a.send(A, B, [1]);
    assert_eq!(pair.b.receive().await.session, Session(1));
    assert!(pair.a.counters.dials.get() >= 3, "one before the cut, one into it, one after it");
}

pub(crate) async fn another_cluster_is_refused_in_words_at_both_ends<N: Net>(net: N) {
    let mut pair = Pair::start_with(net, |_, b| b.cluster = ClusterId(2), 16).await;
    pair.a.send(A, B, [1]);
    pair.watcher.until(Seen::Sent(B, "hello-refused")).await;
    pair.watcher.until(Seen::Sent(A, "hello")).await;
    for server in [&pair.a, &pair.b] {
        let reason = server.counters.last_refusal();
        assert_eq!(reason.as_deref(), Some("n2 belongs to cluster 2, not to cluster 1"));
        assert!(server.counters.handshakes_refused.get() >= 1);
    }
    assert_eq!(pair.b.counters.received.get(), 0);
}

pub(crate) async fn another_server_at_the_address_is_refused_in_words<N: Net>(net: N) {
    let mut pair = Pair::start_with(net, |_, b| b.id = NodeId::new(3), 16).await;
    pair.watcher.until(Seen::Sent(NodeId::new(3), "hello-refused")).await;
    pair.watcher.until(Seen::Sent(A, "hello")).await;
    let reason = pair.a.counters.last_refusal();
    assert_eq!(reason.as_deref(), Some("this is n3, not n2; correct its address"));
}

pub(crate) async fn a_full_queue_drops_and_counts<N: Net>(net: N) {
    let Pair { mut a, mut b, .. } = Pair::start_with(net, |a, _| a.queue_messages_max = 4, 16).await;
    // Nothing else runs before the first wait, so nobody takes from the queue meanwhile.
    a.send(A, B, 0..10);
    a.send(A, NodeId::new(9), [10]);
    for number in 0..4 {
        assert_eq!(b.receive().await.session, Session(number));
    }
    assert_eq!((a.counters.dropped_queue_full.get(), a.counters.dropped_unreachable.get()), (6, 1));
}

pub(crate) async fn a_piece_of_a_snapshot_on_a_slow_link_delays_no_heartbeat<N: Net>(net: N) {
    let mut pair = Pair::start(net).await;
    pair.until_connected().await;
    pair.links.delay_snapshots(1000);
    pair.a.send_pieces(A, B, [0]);
    pair.a.send(A, B, 0..10);
    for number in 0..10 {
        assert_eq!(pair.b.receive().await, envelope(A, B, number));
    }
    assert_eq!(pair.b.receive().await, piece(A, B, 0));
}

pub(crate) async fn pieces_of_a_snapshot_arrive_whole_and_in_order<N: Net>(net: N) {
    let Pair { mut a, mut b, .. } = Pair::start(net).await;
    // Nothing else runs before the first wait, so nobody takes from the queue meanwhile.
    a.send_pieces(A, B, 0..20);
    for number in 0..16 {
        assert_eq!(b.receive().await, piece(A, B, number));
    }
    assert_eq!((a.counters.sent.get(), a.counters.dropped_queue_full.get()), (16, 4));
}

pub(crate) async fn a_snapshot_has_a_connection_of_its_own_while_it_is_sent<N: Net>(net: N) {
    let only_both = |a: &mut PeersConfig, b: &mut PeersConfig| {
        a.keep_alive = Duration::from_millis(20);
        // Nobody goes away here, and a machine that stands still is not to look like it.
        a.silence = Duration::from_secs(30);
        b.connections_max = 2;
    };
    let mut pair = Pair::start_with(net, only_both, 1024).await;
    for _ in 0..3 {
        pair.watcher.until(Seen::Sent(A, "ping")).await;
    }
    assert_eq!(pair.a.counters.dials.get(), 1, "there is no snapshot to send");
    for number in 0..3 {
        pair.a.send_pieces(A, B, [number]);
        assert_eq!(pair.b.receive().await, piece(A, B, number));
    }
    assert_eq!(pair.a.counters.dials.get(), 2, "one connection for all pieces");

    // There is room for a client once the second connection has gone.
    let clock = TokioEnvironment::new();
    let deadline = in_seconds(&clock, 60);
    let connect = || Client::connect(&pair.net, clock, ClusterId(1), &pair.address, deadline);
    let client = loop {
        match connect().await {
            Ok(client) => break client,
            Err(_) => clock.sleep_until(clock.now().after(Duration::from_millis(10))).await,
        }
    };
    assert_eq!(pair.a.counters.dials.get(), 2, "nobody has asked for another one");
    drop(client);
    pair.until_it_arrives(3).await;
    assert!(pair.a.counters.dials.get() >= 3, "a snapshot is dialled for again");
}

pub(crate) async fn a_peer_that_cannot_be_reached_loses_pieces_and_gets_later_ones<N: Net>(net: N) {
    let mut pair = Pair::start(net).await;
    pair.b.peers.shutdown().await;
    pair.a.send_pieces(A, B, 0..3);
    let clock = TokioEnvironment::new();
    while pair.a.counters.dropped_unreachable.get() < 3 {
        clock.sleep_until(clock.now().after(Duration::from_millis(10))).await;
    }
    let listener = pair.net.listen(&pair.address).await.unwrap();
    pair.b = Server::start(&pair.net, listener, &pair.links, PeersConfig::new(B, BTreeMap::new()), 16);
    pair.until_it_arrives(3).await;
}

pub(crate) async fn a_full_inbox_drops_and_pings_are_still_answered<N: Net>(net: N) {
    let often = |a: &mut PeersConfig, _: &mut PeersConfig| a.keep_alive = Duration::from_millis(20);
    let mut pair = Pair::start_with(net, often, 1).await;
    pair.a.send(A, B, 0..3);
    for _ in 0..3 {
        pair.watcher.until(Seen::Arrived(A)).await;
    }
    pair.watcher.until(Seen::Sent(B, "pong")).await;
    assert_eq!((pair.b.counters.received.get(), pair.b.counters.dropped_inbox_full.get()), (3, 2));
    assert_eq!(pair.b.receive().await.session, Session(0));
}

pub(crate) async fn a_client_is_told_what_became_of_its_request<N: Net>(net: N) {
    let Pair { net, address, mut b, .. } = Pair::start(net).await;
    let clock = TokioEnvironment::new();
    let deadline = in_seconds(&clock, 10);
    let mut client = Client::connect(&net, clock, ClusterId(1), &address, deadline).await.unwrap();
    assert_eq!(client.node(), B);

    let committed = Outcome::Committed("done".into());
    let not_applied = Outcome::NotApplied { reason: "not the leader".into(), leader_hint: Some(A) };
    for outcome in [committed, not_applied, Outcome::Unknown { reason: "deposed".into() }] {
        let answering = async {
            let (request, responder) = b.requests.recv().await.unwrap();
            assert_eq!((request.ask, request.command), (Ask::Apply, "set x".into()));
            responder.answer(outcome.clone());
        };
        let (answer, ()) = tokio::join!(client.request("set x".into(), deadline), answering);
        assert_eq!(answer.unwrap(), outcome);
    }
    let answering = async {
        let (request, responder) = b.requests.recv().await.unwrap();
        assert_eq!((request.ask, request.command), (Ask::Read, "get x".into()));
        responder.answer(Outcome::Answered("y".into()));
    };
    let (answer, ()) = tokio::join!(client.read("get x".into(), deadline), answering);
    assert_eq!(answer.unwrap(), Outcome::Answered("y".into()));
    let dropping = async { drop(b.requests.recv().await.unwrap()) };
    let (answer, ()) = tokio::join!(client.request(Bytes::new(), deadline), dropping);
    assert!(matches!(answer.unwrap(), Outcome::Unknown { .. }), "nobody answered, and it may be applied yet");
}

pub(crate) async fn a_request_without_an_answer_is_unknown_at_its_deadline<N: Net>(net: N) {
    let Pair { net, address, mut b, .. } = Pair::start(net).await;
    let clock = TokioEnvironment::new();
    let mut client =
        Client::connect(&net, clock, ClusterId(1), &address, in_seconds(&clock, 10)).await.unwrap();
    let soon = clock.now().after(Duration::from_millis(50));
    let outcome = client.request("set x".into(), soon).await.unwrap();
    assert_eq!(outcome, Outcome::Unknown { reason: "connection: no response in time; dial again".into() });
    assert!(b.requests.recv().await.is_some());
    let next = client.request("set y".into(), in_seconds(&clock, 10)).await;
    assert!(matches!(next, Err(NetError::Closed)), "an old answer must not be taken for a new one");
}

pub(crate) async fn a_client_of_another_cluster_is_refused_in_words<N: Net>(net: N) {
    let Pair { net, address, b, .. } = Pair::start(net).await;
    let clock = TokioEnvironment::new();
    let deadline = in_seconds(&clock, 10);
    let refused = Client::connect(&net, clock, ClusterId(9), &address, deadline).await.err().unwrap();
    assert_eq!(refused.to_string(), "handshake: refused: n2 belongs to cluster 1, not to cluster 9");
    assert_eq!(b.counters.handshakes_refused.get(), 1);
}

pub(crate) async fn connections_beyond_the_limit_are_turned_away<N: Net>(net: N) {
    let only_one = |a: &mut PeersConfig, b: &mut PeersConfig| {
        a.peers.clear();
        b.connections_max = 1;
    };
    let Pair { net, address, b, .. } = Pair::start_with(net, only_one, 16).await;
    let clock = TokioEnvironment::new();
    let deadline = in_seconds(&clock, 10);
    let first = Client::connect(&net, clock, ClusterId(1), &address, deadline).await;
    let second = Client::connect(&net, clock, ClusterId(1), &address, deadline).await;
    assert!(first.is_ok() && second.is_err());
    assert_eq!(b.counters.connections_turned_away.get(), 1);
}

/// `b`, which knows where `a` listens, and `a`'s side of that, which does nothing yet.
async fn b_alone<N: Net>(net: &N, change: impl FnOnce(&mut PeersConfig)) -> (Server, String, N::Listener) {
    let (near, far) = (net.listen("127.0.0.1:0").await.unwrap(), net.listen("127.0.0.1:0").await.unwrap());
    let address = net.local_address(&far).unwrap();
    let mut config = PeersConfig::new(B, BTreeMap::from([(A, net.local_address(&near).unwrap())]));
    change(&mut config);
    (Server::start(net, far, &Watched::new().0, config, 16), address, near)
}

pub(crate) async fn clients_at_their_limit_keep_no_peer_away<N: Net>(net: N) {
    let (mut b, address, near) = b_alone(&net, |b| b.connections_max = 2).await;
    let clock = TokioEnvironment::new();
    let deadline = in_seconds(&clock, 10);
    let connect = || Client::connect(&net, clock, ClusterId(1), &address, deadline);
    let clients = [connect().await.unwrap(), connect().await.unwrap()];
    let refused = connect().await.err().unwrap().to_string();
    let reason = "n2 has 2 connections of clients, and takes no more (connections_max): close some, or ask another server";
    assert_eq!(refused, format!("handshake: refused: {reason}"));
    assert_eq!(b.counters.connections_turned_away.get(), 1);
    assert_eq!(b.counters.last_refusal().as_deref(), Some(reason));

    let config = PeersConfig::new(A, BTreeMap::from([(B, address.clone())]));
    let mut a = Server::start(&net, near, &Watched::new().0, config, 16);
    a.send(A, B, [1]);
    assert_eq!(b.receive().await, envelope(A, B, 1));
    a.send_pieces(A, B, [2]);
    assert_eq!(b.receive().await, piece(A, B, 2));
    assert!(connect().await.is_err(), "a peer makes no room for clients");
    drop(clients);
    while connect().await.is_err() {
        clock.sleep_until(clock.now().after(Duration::from_millis(10))).await;
    }
}

pub(crate) async fn who_says_nothing_keeps_nobody_away<N: Net>(net: N) {
    let few = |b: &mut PeersConfig| (b.handshakes_max, b.connect_timeout) = (2, Duration::from_secs(3_600));
    let (mut b, address, near) = b_alone(&net, few).await;
    let mut silent = Vec::new();
    for _ in 0..5 {
        silent.push(net.connect(&address).await.unwrap());
    }
    // The first of them have given way.
    for stream in &mut silent[..3] {
        assert!(!matches!(stream.read(&mut [0]).await, Ok(1..)));
    }
    let clock = TokioEnvironment::new();
    let deadline = in_seconds(&clock, 10);
    let client = Client::connect(&net, clock, ClusterId(1), &address, deadline).await;
    let config = PeersConfig::new(A, BTreeMap::from([(B, address.clone())]));
    let mut a = Server::start(&net, near, &Watched::new().0, config, 16);
    a.send(A, B, [1]);
    assert_eq!(b.receive().await, envelope(A, B, 1));
    assert!(client.is_ok());
    assert_eq!(b.counters.connections_turned_away.get(), 4);
}

pub(crate) async fn nothing_outlives_the_transport<N: Net>(net: N) {
    let mut pair = Pair::start(net).await;
    pair.until_connected().await;
    pair.a.send_pieces(A, B, [0]);
    assert_eq!(pair.b.receive().await, piece(A, B, 0));
    drop((pair.a, pair.b, pair.links));
    pair.watcher.until_all_have_gone().await;
}

/// Links on which each message is faster than the one before it.
#[derive(Clone)]
struct Hastening(Arc<AtomicU64>);

impl Links for Hastening {
    fn fate(&self, _: NodeId, _: NodeId, kind: &'static str, _: usize) -> Fate {
        let steps = if kind == "append" { self.0.fetch_sub(1, Ordering::SeqCst) } else { 0 };
        Fate::Deliver { delay: Duration::from_millis(steps * 10) }
    }

    fn is_cut(&self, _: NodeId, _: NodeId) -> bool {
        false
    }
}

pub(crate) async fn a_short_delay_does_not_overtake_a_long_one<N: Net>(net: N) {
    let (near, far) = (net.listen("127.0.0.1:0").await.unwrap(), net.listen("127.0.0.1:0").await.unwrap());
    let peers = BTreeMap::from([(B, net.local_address(&far).unwrap())]);
    let links = Hastening(Arc::new(AtomicU64::new(10)));
    let clock = TokioEnvironment::new();
    let mut a = Server::start(&net, near, &links, PeersConfig::new(A, peers), 16);
    let mut b = Server::start(&net, far, &links, PeersConfig::new(B, BTreeMap::new()), 16);
    a.send(A, B, 0..10);
    for number in 0..10 {
        assert_eq!(b.receive().await.session, Session(number));
        assert!(clock.now() >= Time::ZERO.after(Duration::from_millis(100)), "the first took 100 ms");
    }
}

pub(crate) async fn a_paused_server_neither_writes_nor_takes_in<N: Net>(net: N) {
    let (near, far) = (net.listen("127.0.0.1:0").await.unwrap(), net.listen("127.0.0.1:0").await.unwrap());
    let peers = BTreeMap::from([(B, net.local_address(&far).unwrap())]);
    let (links, mut watcher) = Watched::new();
    let (here, pause_a, mut a_at) = Pausable::start();
    let (there, pause_b, mut b_at) = Pausable::start();
    let mut a = Server::start_in(here, &net, near, &links, PeersConfig::new(A, peers), 16);
    let mut b = Server::start_in(there, &net, far, &links, PeersConfig::new(B, BTreeMap::new()), 16);
    watcher.until(Seen::Sent(B, "hello")).await;
    assert_eq!((a_at.recv().await, b_at.recv().await), (Some(Point::BeforeFrame), Some(Point::BeforeFrame)));

    pause_a.send_replace(true);
    a.send(A, B, [1]);
    assert_eq!(a_at.recv().await, Some(Point::BeforeFrame));
    assert!(b_at.is_empty(), "nothing has come to b");

    pause_b.send_replace(true);
    pause_a.send_replace(false);
    assert_eq!(b_at.recv().await, Some(Point::Received));
    assert!(b.inbox.is_empty(), "nothing has come to the node of b");

    pause_b.send_replace(false);
    assert_eq!(b.receive().await.session, Session(1));
}

pub(crate) async fn a_damaged_frame_ends_the_connection_and_is_counted<N: Net>(net: N) {
    let Pair { net, address, b, .. } = Pair::start(net).await;
    let mut stream = net.connect(&address).await.unwrap();
    let mut damaged = BytesMut::new();
    Frame::Ping.encode(&mut damaged).unwrap();
    damaged[0] ^= 1;
    stream.write_all(&damaged).await.unwrap();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "the connection is closed without a word");
    assert_eq!(b.counters.connections_refused.get(), 1);
}
