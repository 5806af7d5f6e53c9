//! A snapshot shares the disk with the log: a disk that takes its time, on a clock that stands still meanwhile.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use raft_core::node::{
    Done, Handle, LogStore, Node, Outcome, SnapshotReader, StateMachine, TokioEnvironment,
};
use raft_core::{Batch, Config, Load, Loaded, LogIndex, Raft, Restored, Stored, Time};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::Cluster;
use crate::world::Channels;

const MS: Duration = Duration::from_millis(1);
const PIECES: usize = 10;
const PIECE_BYTES: usize = 256 * 1024;
/// The longest pause after a piece of this size.
const PAUSE: Duration = Duration::from_micros(31_457);

/// When pieces of a snapshot were given to the disk.
type Given = Arc<Mutex<Vec<Instant>>>;

/// A disk that writes one batch after the other, each in a millisecond.
#[derive(Default)]
struct Slow {
    stored: Stored,
    /// When each batch will be written.
    writing: VecDeque<Instant>,
    loaded: VecDeque<Loaded>,
    given: Given,
}

#[async_trait]
impl LogStore for Slow {
    type Error = Infallible;

    fn write(&mut self, batch: Batch) {
        let now = Instant::now();
        if !batch.parts.is_empty() {
            self.given.lock().unwrap().push(now);
        }
        self.stored.apply(batch);
        self.writing.push_back(self.writing.back().map_or(now, |last| *last.max(&now)) + MS);
    }

    fn load(&mut self, load: Load) {
        self.loaded.push_back(self.stored.load(&load));
    }

    async fn done(&mut self) -> Result<Done, Infallible> {
        if let Some(loaded) = self.loaded.pop_front() {
            return Ok(Done::Loaded(loaded));
        }
        let Some(&written) = self.writing.front() else { return pending().await };
        sleep_until(written).await;
        self.writing.pop_front();
        Ok(Done::Persisted(1))
    }
}

/// Has a snapshot of so many pieces, the last of which is empty.
struct Large;

#[async_trait]
impl StateMachine for Large {
    async fn apply(&mut self, _: LogIndex, command: Bytes) -> Bytes {
        command
    }

    async fn query(&mut self, query: Bytes) -> Bytes {
        query
    }

    async fn snapshot(&mut self) -> io::Result<SnapshotReader> {
        // Eight bytes come before it.
        Ok(Box::pin(io::Cursor::new(vec![7; (PIECES - 1) * PIECE_BYTES - 8])))
    }

    async fn restore(&mut self, _: SnapshotReader) -> io::Result<()> {
        Ok(())
    }
}

/// A server by itself that nothing wakes but what it has to do.
async fn start() -> (Handle, Given, mpsc::Sender<raft_core::Envelope>) {
    let id = Cluster::id(0);
    let mut config = Config { snapshot_chunk_bytes: PIECE_BYTES, ..Config::new(id, vec![id]) };
    config.heartbeat = Duration::from_secs(100);
    config.election_timeout = (Duration::from_secs(1_000), Duration::from_secs(2_000));
    let raft = Raft::new(config, Restored::default(), Time::ZERO).unwrap();
    let store = Slow::default();
    let given = Arc::clone(&store.given);
    let (messages, inbox) = mpsc::channel(1);
    let (node, handle) = Node::new(raft, store, Channels::default(), Large, TokioEnvironment::new(), inbox);
    tokio::spawn(node.run());
    while !matches!(handle.propose("x".into()).await, Outcome::Applied { .. }) {
        sleep(Duration::from_secs(100)).await;
    }
    (handle, given, messages)
}

/// How much later than the one before each piece was given to the disk, of a snapshot that is taken while a client writes all
/// the time for so long.
async fn gaps(busy: Duration) -> Vec<Duration> {
    let (handle, given, _messages) = start().await;
    let busy_until = Instant::now() + busy;
    handle.snapshot().await;
    while Instant::now() < busy_until {
        assert!(matches!(handle.propose("x".into()).await, Outcome::Applied { .. }));
    }
    let whole = async {
        while given.lock().unwrap().len() < PIECES {
            sleep(MS).await;
        }
    };
    timeout(Duration::from_secs(2), whole).await.expect("the snapshot comes to its end by itself");
    let given = given.lock().unwrap();
    given.windows(2).map(|two| two[1] - two[0]).collect()
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_has_the_disk_to_itself_where_nobody_writes() {
    // Somebody has just written.
    let [first, others @ ..] = &gaps(Duration::ZERO).await[..] else { unreachable!() };
    assert!(*first <= 11 * MS, "{first:?}");
    assert!(others.iter().all(|gap| *gap <= 2 * MS), "{others:?}");
}

#[tokio::test(start_paused = true)]
async fn pieces_of_a_snapshot_come_at_intervals_while_others_write() {
    let gaps = gaps(Duration::from_secs(1)).await;
    assert!(gaps.iter().all(|gap| (PAUSE..PAUSE + 5 * MS).contains(gap)), "{gaps:?}");
}

/// Nothing but the pause itself wakes it then.
#[tokio::test(start_paused = true)]
async fn a_snapshot_goes_on_when_the_others_have_stopped() {
    let gaps = gaps(50 * MS).await;
    assert!(gaps[0] >= PAUSE && gaps[4..].iter().all(|gap| *gap <= 2 * MS), "{gaps:?}");
}
