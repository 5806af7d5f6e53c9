//! Two adjacent protocol versions: that of this release, and the one that only tests speak.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::BytesMut;
use raft_core::node::{Environment, SystemEnvironment, Transport};
use raft_core::{
    AppendEntries, ClusterId, Configuration, Entry, EntryId, Envelope, GroupId, Incarnation, LogIndex,
    Message, NodeId, Payload, Session, Term,
};
use raft_net::{
    Client, Frame, FrameReader, Hello, Inlet, Net, NetError, PREFIX_BYTES, Party, Peers, PeersConfig, TcpNet,
    Version, Versions, Whole,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

const A: NodeId = NodeId::new(1);
const B: NodeId = NodeId::new(3);
const CLUSTER: ClusterId = ClusterId(7);
const LIMIT: Duration = Duration::from_secs(60);

fn versions(oldest: Version, newest: Version) -> Versions {
    Versions::new(oldest, newest).unwrap()
}

/// What the release after this one speaks.
fn both() -> Versions {
    versions(Version::NEWEST, Version::NEXT)
}

fn append() -> Frame {
    let id = |term, index| EntryId::new(Term::new(term), LogIndex::new(index));
    let entries = vec![
        Entry::new(id(5, 10), Payload::Noop),
        Entry::new(id(5, 11), Payload::Command("set x".into())),
        Entry::new(id(5, 12), Payload::Configuration(Configuration::of([B]).to_bytes())),
    ];
    let append =
        AppendEntries { prev_log: id(4, 9), entries: entries.into(), leader_commit: LogIndex::new(8) };
    Frame::Message(Envelope {
        cluster: CLUSTER,
        group: GroupId(2),
        from: A,
        incarnation: Incarnation(300),
        to: B,
        term: Term::new(5),
        session: Session(70_000),
        message: Message::AppendEntries(append),
    })
}

fn hello(versions: Versions, party: Party, to: Option<NodeId>) -> Frame {
    Frame::Hello(Hello { versions, cluster: CLUSTER, party, to })
}

fn encoded(frame: &Frame, version: Version) -> BytesMut {
    let mut bytes = BytesMut::new();
    frame.encode_in(version, &mut bytes).unwrap();
    bytes
}

/// What the version changes, byte by byte, and that it changes nothing else. These never change while the versions do not.
#[test]
fn every_version_has_its_golden_bytes() {
    let server = Party::Node { id: A, incarnation: Incarnation(300) };
    for (version, frame, golden) in [
        (
            Version::NEWEST,
            hello(Versions::OURS, server, Some(B)),
            "899502f309000000090000000101 930607039201cd012c ",
        ),
        (
            Version::NEWEST,
            hello(both(), server, Some(B)),
            "e61515e60a0000000a0000000101 94070703069201cd012c ",
        ),
        (Version::NEXT, hello(both(), server, Some(B)), "e61515e60a0000000a0000000101 94070703069201cd012c "),
        (Version::NEXT, hello(both(), Party::Client, None), "9b244aa705000000050000000101 940707c006 "),
        (
            Version::NEWEST,
            append(),
            "27cdedb44f0000002f0000000105 98070201cd012c0305ce0001117003940409080394050000ceaa9450cd94050105cede9e14d59405021bcefeba051c 7365742078010001000000030000000000000000000000000000000000000000",
        ),
        (
            Version::NEXT,
            append(),
            "6d1a6b7751000000310000000105 98070201cd012c0305ce00011170039404090803912094050000ceaa9450cd94050105cede9e14d59405021bcefeba051c 7365742078010001000000030000000000000000000000000000000000000000",
        ),
        (Version::NEXT, Frame::Ping, "e89b2fe300000000000000000103  "),
    ] {
        let mut bytes = encoded(&frame, version);
        let header = PREFIX_BYTES + usize::from(bytes[8]);
        let digits = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let parts = [&bytes[..PREFIX_BYTES], &bytes[PREFIX_BYTES..header], &bytes[header..]].map(digits);
        assert_eq!(parts.join(" "), golden, "{frame:?} in version {version}");
        assert_eq!(Frame::decode_in(version, &mut bytes).unwrap(), Some(frame));
    }
}

/// A message of one version is never taken for one of the other, nor one whose payloads are not as long as it says.
#[test]
fn a_message_of_another_version_is_refused() {
    for (written, read) in [(Version::NEWEST, Version::NEXT), (Version::NEXT, Version::NEWEST)] {
        let refused = Frame::decode_in(read, &mut encoded(&append(), written)).unwrap_err();
        assert!(matches!(refused, NetError::Malformed { .. }), "{refused}");
    }
}

/// A server with its transport, and what comes out of it.
struct Server {
    peers: Peers,
    inbox: mpsc::Receiver<Envelope>,
}

fn start(listener: TcpListener, id: NodeId, versions: Versions, peers: BTreeMap<NodeId, String>) -> Server {
    let (messages, inbox) = mpsc::channel(16);
    let (requests, _) = mpsc::channel(16);
    let config = PeersConfig {
        cluster: CLUSTER,
        incarnation: Incarnation(300),
        versions,
        ..PeersConfig::new(id, peers)
    };
    let clock = SystemEnvironment::new();
    let peers = Peers::start(TcpNet, listener, clock, Whole, config, Inlet { messages, requests });
    Server { peers, inbox }
}

async fn listener() -> (TcpListener, String) {
    let listener = TcpNet.listen("127.0.0.1:0").await.unwrap();
    let address = TcpNet.local_address(&listener).unwrap();
    (listener, address)
}

/// What two ends speak, and what they then speak with each other.
fn pairs() -> [(Versions, Versions, Version); 4] {
    let [ours, next] = [Version::NEWEST, Version::NEXT].map(|version| versions(version, version));
    [
        (ours, both(), Version::NEWEST),
        (both(), ours, Version::NEWEST),
        (both(), both(), Version::NEXT),
        (both(), next, Version::NEXT),
    ]
}

/// Dials by hand: sends a hello and a message in `version`.
async fn dial(address: &str, speaks: Versions, version: Version) -> FrameReader<TcpStream> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let party = Party::Node { id: A, incarnation: Incarnation(300) };
    stream.write_all(&encoded(&hello(speaks, party, Some(B)), Version::NEWEST)).await.unwrap();
    stream.write_all(&encoded(&append(), version)).await.unwrap();
    FrameReader::new(stream)
}

#[tokio::test]
async fn who_is_dialled_speaks_the_newest_version_that_both_know() {
    for (theirs, ours, spoken) in pairs() {
        let (listener, address) = listener().await;
        let mut server = start(listener, B, ours, BTreeMap::new());
        let mut dialled = dial(&address, theirs, spoken).await;
        let answer = timeout(LIMIT, dialled.next()).await.unwrap().unwrap();
        let party = Party::Node { id: B, incarnation: Incarnation(300) };
        assert_eq!(answer, Some(hello(ours, party, Some(A))));
        let arrived = timeout(LIMIT, server.inbox.recv()).await.unwrap().map(Frame::Message);
        assert_eq!(arrived, Some(append()));

        let other = if spoken == Version::NEXT { Version::NEWEST } else { Version::NEXT };
        let mut dropped = dial(&address, theirs, other).await;
        timeout(LIMIT, dropped.stream_mut().read_to_end(&mut Vec::new())).await.unwrap().unwrap();
        assert_eq!(server.peers.counters().connections_refused.get(), 1, "{theirs} and {ours}");
    }
}

#[tokio::test]
async fn who_dials_speaks_the_newest_version_that_both_know() {
    for (ours, theirs, spoken) in pairs() {
        let ((own, _), (listener, address)) = (listener().await, listener().await);
        let mut server = start(own, A, ours, BTreeMap::from([(B, address)]));
        let (stream, _) = timeout(LIMIT, listener.accept()).await.unwrap().unwrap();
        let mut reader = FrameReader::new(stream);
        let party = Party::Node { id: A, incarnation: Incarnation(300) };
        assert_eq!(reader.next().await.unwrap(), Some(hello(ours, party, Some(B))));
        let party = Party::Node { id: B, incarnation: Incarnation(300) };
        let answer = encoded(&hello(theirs, party, Some(A)), Version::NEWEST);
        reader.stream_mut().write_all(&answer).await.unwrap();
        reader.speak(spoken);

        let Frame::Message(envelope) = append() else { unreachable!("it is one") };
        server.peers.send(envelope);
        let sent = loop {
            match timeout(LIMIT, reader.next()).await.unwrap().unwrap() {
                Some(Frame::Ping) => {}
                other => break other,
            }
        };
        assert_eq!(sent, Some(append()), "{ours} and {theirs}");
    }
}

/// Each row: what who dials and who is dialled speak, and what both say of it.
#[tokio::test]
async fn servers_that_have_no_version_in_common_refuse_each_other_and_both_say_why() {
    let next = versions(Version::NEXT, Version::NEXT);
    for (theirs, ours, why) in [
        (Versions::OURS, next, "n3 speaks protocol version 7, and n1 6"),
        (next, Versions::OURS, "n3 speaks protocol version 6, and n1 7"),
    ] {
        let ((near, _), (far, address)) = (listener().await, listener().await);
        let accepts = start(far, B, ours, BTreeMap::new());
        let dials = start(near, A, theirs, BTreeMap::from([(B, address)]));
        for end in [dials, accepts] {
            let counters = end.peers.counters();
            let refused = async {
                while counters.handshakes_refused.get() == 0 {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            timeout(LIMIT, refused).await.unwrap();
            let reason = counters.last_refusal().unwrap();
            assert_eq!(reason, format!("{why}: upgrade the older one, by one release at a time"));
        }
    }
}

#[tokio::test]
async fn a_client_and_a_server_of_two_releases_speak_the_version_of_the_older_one() {
    let clock = SystemEnvironment::new();
    for (speaks, refused) in [(both(), None), (versions(Version::NEXT, Version::NEXT), Some("version 7"))] {
        let (listener, address) = listener().await;
        let server = start(listener, B, speaks, BTreeMap::new());
        let deadline = clock.now().after(LIMIT);
        let client = Client::connect(&TcpNet, clock, CLUSTER, &address, deadline).await;
        match (client, refused) {
            (Ok(client), None) => assert_eq!(client.node(), B),
            (Err(NetError::Refused { reason }), Some(why)) => {
                assert!(reason.contains(why) && reason.contains("the client 6"), "{reason}");
                assert_eq!(server.peers.counters().last_refusal(), Some(reason));
            }
            (client, _) => panic!("{speaks}: {client:?}"),
        }
    }
}
