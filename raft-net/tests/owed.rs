//! A server that is stopped in order goes when its clients have what they are owed.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use raft_core::node::{SnapshotReader, SystemEnvironment};
use raft_core::server::{Machine, Raw, Server, snapshot_of, state_of};
use raft_core::{ClusterId, Config, Incarnation, LogIndex, NodeId, RoleName};
use raft_net::{
    Ask, Frame, FrameReader, Hello, Net, Outcome, Party, Request, Response, Tcp, TcpNet, Versions,
};
use raft_storage::{DiskFaults, MemoryDisk, MemoryStore};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// More than lies in a connection that nobody reads.
const LONG: usize = 12 * 1024 * 1024;

const ME: NodeId = NodeId::new(1);

/// Has a long answer to everything, and says when it was asked.
struct Long(Arc<Notify>);

impl Machine for Long {
    type Command = Raw;
    type Answer = Raw;
    type Query = Raw;
    type Reply = Raw;

    fn apply(&mut self, _: LogIndex, command: Raw) -> Raw {
        command
    }

    fn query(&self, _: Raw) -> Raw {
        self.0.notify_one();
        Raw(vec![7; LONG].into())
    }

    fn snapshot(&self) -> io::Result<SnapshotReader> {
        snapshot_of(&())
    }

    async fn restore(&mut self, snapshot: SnapshotReader) -> io::Result<()> {
        state_of(snapshot).await
    }
}

/// A server that is a cluster by itself, and its address. It waits for its clients for eight seconds.
async fn start(asked: &Arc<Notify>) -> (Server<Long>, String) {
    let listener = TcpNet.listen("127.0.0.1:0").await.unwrap();
    let address = TcpNet.local_address(&listener).unwrap();
    let mut config = Config::new(ME, vec![ME]);
    config.election_timeout = (Duration::from_millis(100), Duration::from_secs(4));
    let (clock, at_once) = (SystemEnvironment::new(), Box::new(|| Duration::ZERO));
    let disk = MemoryDisk::new();
    let log = MemoryStore::open(&disk, Incarnation::random(), clock, at_once, DiskFaults::new(0));
    let tcp = Tcp::new(BTreeMap::from([(ME, address.clone())])).listener(listener);
    let machine = Long(Arc::clone(asked));
    let server = Server::builder(config).log(log).network(tcp).machine(machine).start().await.unwrap();
    let mut status = server.watch();
    status.wait_for(|status| status.role == RoleName::Leader).await.unwrap();
    (server, address)
}

/// A client that asks, and does not read the answer yet.
async fn ask(address: &str) -> FrameReader<TcpStream> {
    let mut client = FrameReader::new(TcpNet.connect(address).await.unwrap());
    let (versions, party) = (Versions::OURS, Party::Client);
    let mut bytes = BytesMut::new();
    for frame in [
        Frame::Hello(Hello { versions, cluster: ClusterId(1), party, to: None }),
        Frame::Request(Request { id: 1, ask: Ask::Read, command: Bytes::new() }),
    ] {
        frame.encode(&mut bytes).unwrap();
    }
    client.stream_mut().write_all(&bytes).await.unwrap();
    client
}

/// An answer is owed until it has been written, and not only until there is one.
#[tokio::test]
async fn a_server_that_stops_in_order_has_written_what_it_was_asked() {
    let asked = Arc::new(Notify::new());
    let (server, address) = start(&asked).await;
    let mut client = ask(&address).await;
    asked.notified().await;
    let stops = tokio::spawn(async move { server.shutdown().await });
    // It has had the time to stop.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!stops.is_finished(), "the client has not read its answer");
    assert!(matches!(client.next().await.unwrap(), Some(Frame::Hello(_))));
    let answered = Response { id: 1, outcome: Outcome::Answered(vec![7; LONG].into()) };
    assert_eq!(client.next().await.unwrap(), Some(Frame::Response(answered)));
    stops.await.unwrap().unwrap();
}
