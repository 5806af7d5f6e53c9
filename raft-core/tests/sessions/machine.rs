//! A state machine with sessions as a node sees it.

use std::io;

use async_trait::async_trait;
use bytes::Bytes;
use raft_core::LogIndex;
use raft_core::node::{SnapshotReader, StateMachine};
use raft_core::sessions::{Answer, DurableMachine, Request, SessionId, Sessions};
use tokio::io::AsyncReadExt;

/// Answers with the index of each command, and keeps how many there were.
#[derive(Debug, Default)]
struct Counter {
    count: u8,
    durable: LogIndex,
}

#[async_trait]
impl StateMachine for Counter {
    async fn apply(&mut self, index: LogIndex, _: Bytes) -> Bytes {
        self.count += 1;
        index.to_string().into()
    }

    async fn query(&mut self, query: Bytes) -> Bytes {
        [&query[..], &[self.count]].concat().into()
    }

    async fn snapshot(&mut self) -> io::Result<SnapshotReader> {
        Ok(Box::pin(io::Cursor::new(vec![self.count])))
    }

    async fn restore(&mut self, mut snapshot: SnapshotReader) -> io::Result<()> {
        let mut bytes = Vec::new();
        snapshot.read_to_end(&mut bytes).await?;
        let [count] = bytes[..] else { return Err(io::Error::other("one byte is mine")) };
        self.count = count;
        Ok(())
    }

    fn durable_applied(&self) -> LogIndex {
        self.durable
    }
}

fn machine() -> Sessions<Counter> {
    Sessions::new(Counter::default()).unwrap()
}

async fn apply(machine: &mut Sessions<Counter>, index: u64, command: Bytes) -> Answer {
    Answer::decode(machine.apply(LogIndex::new(index), command).await).unwrap()
}

fn command(session: u64, sequence: u64) -> Bytes {
    let (session, command) = (SessionId::new(session), "x".into());
    Request::Command { session, sequence, first_unanswered: 1, command }.encode()
}

async fn snapshot(machine: &mut Sessions<Counter>) -> Vec<u8> {
    let mut bytes = Vec::new();
    machine.snapshot().await.unwrap().read_to_end(&mut bytes).await.unwrap();
    bytes
}

#[tokio::test]
async fn a_command_is_applied_at_its_index_and_a_query_goes_past_the_table() {
    let mut machine = machine();
    assert!(matches!(apply(&mut machine, 3, Request::Register.encode()).await, Answer::Registered { .. }));
    assert_eq!(apply(&mut machine, 7, command(3, 1)).await, Answer::Applied("7".into()));
    assert_eq!(apply(&mut machine, 9, command(3, 1)).await, Answer::Repeated("7".into()));
    assert_eq!(machine.query("how many: ".into()).await, "how many: \x01");
}

/// Sent twice it is applied twice, and the table knows nothing of it.
#[tokio::test]
async fn a_plain_command_is_applied_each_time() {
    let mut machine = machine();
    let plain = Request::Plain { command: "x".into() }.encode();
    for index in 1..3 {
        let answer = apply(&mut machine, index, plain.clone()).await;
        assert_eq!(answer, Answer::Applied(index.to_string().into()));
    }
    assert_eq!(machine.machine().count, 2);
    assert!(machine.table().is_empty());
}

/// Commands from a time without sessions, say.
#[tokio::test]
async fn what_is_no_request_is_answered_and_not_applied() {
    let mut machine = machine();
    for bytes in ["", "x = 1", "\x01\x02short"] {
        assert_eq!(apply(&mut machine, 1, bytes.into()).await, Answer::Malformed);
    }
    assert_eq!(machine.machine().count, 0);
    assert!(machine.table().is_empty());
}

#[test]
fn a_state_machine_that_outlives_its_sessions_is_refused() {
    let applied = LogIndex::new(4);
    let kept = Counter { count: 2, durable: applied };
    assert_eq!(Sessions::new(kept).unwrap_err(), DurableMachine { applied });
}

/// The table comes first, then what the state machine wrote; a restored one goes on as the other would have.
#[tokio::test]
async fn a_snapshot_has_table_and_state_machine() {
    let mut one = machine();
    for (index, request) in (1..).zip([Request::Register.encode(), command(1, 1), command(1, 2)]) {
        let _ = apply(&mut one, index, request).await;
    }
    let bytes = snapshot(&mut one).await;
    assert_eq!(bytes, [&one.table().encode()[..], &[2]].concat());
    let mut other = machine();
    let _ = apply(&mut other, 1, Request::Register.encode()).await;
    other.restore(Box::pin(io::Cursor::new(bytes.clone()))).await.unwrap();
    assert_eq!((other.machine().count, other.table()), (2, one.table()));
    assert_eq!(snapshot(&mut other).await, bytes);
    assert_eq!(apply(&mut other, 4, command(1, 2)).await, Answer::Repeated("3".into()));
}

/// A changed bit, a missing byte, another state machine's snapshot: all are said, and nothing is taken from them. Only the
/// last byte is the state machine's own.
#[tokio::test]
async fn a_damaged_table_restores_nothing() {
    let mut one = machine();
    let _ = apply(&mut one, 1, Request::Register.encode()).await;
    let bytes = snapshot(&mut one).await;
    let table = bytes.len() - 1;
    let flipped = (0..table * 8).map(|bit| {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        flipped
    });
    let cut = (0..bytes.len()).map(|len| bytes[..len].to_vec());
    for damaged in flipped.chain(cut).chain([vec![7; 100]]) {
        let mut other = machine();
        assert!(other.restore(Box::pin(io::Cursor::new(damaged))).await.is_err());
        assert!(other.table().is_empty());
    }
}
