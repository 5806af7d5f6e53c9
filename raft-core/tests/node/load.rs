//! Ten times more than a node can take.

use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::task::Poll;

use async_trait::async_trait;
use raft_core::LogIndex;
use raft_core::node::{Point, SnapshotReader, SystemEnvironment};

use super::*;

/// What a node takes before it refuses.
const COMMANDS_MAX: u64 = 64 * 1024;
/// What its door holds.
const REQUESTS_MAX: u64 = 16 * 1024;

/// A state machine that comes to no end.
struct Stuck;

#[async_trait]
impl StateMachine for Stuck {
    async fn apply(&mut self, _: LogIndex, _: Bytes) -> Bytes {
        pending().await
    }

    async fn query(&mut self, _: Bytes) -> Bytes {
        pending().await
    }

    async fn snapshot(&mut self) -> std::io::Result<SnapshotReader> {
        pending().await
    }

    async fn restore(&mut self, _: SnapshotReader) -> std::io::Result<()> {
        pending().await
    }
}

/// Begins to propose, and gives it up.
async fn propose_and_go(handle: &Handle) {
    let mut ask = pin!(handle.propose("four".into()));
    poll_fn(|context| {
        drop(ask.as_mut().poll(context));
        Poll::Ready(())
    })
    .await;
}

/// Clients lose patience with a state machine that is stuck, and others come: what the node keeps of all of them is bounded,
/// and it still says what it is.
#[tokio::test(start_paused = true)]
async fn ten_times_too_many_commands_are_refused_and_none_is_kept() {
    const CACHE: usize = 64 * 1024;
    let cluster =
        cluster_with(1, || Stuck, |config| config.cache_bytes_max = CACHE, |_| TokioEnvironment::new());
    let handle = &cluster.handles[0];
    while handle.status().await.unwrap().role != RoleName::Leader {
        // The clock is paused: this is when time passes.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut most = 0;
    for _ in 0..10 * COMMANDS_MAX / REQUESTS_MAX {
        for _ in 0..2 * REQUESTS_MAX {
            propose_and_go(handle).await;
        }
        let metrics = handle.metrics().await.unwrap();
        most = most.max(metrics.waiting.commands as u64);
        assert!(metrics.footprint.cached_bytes <= CACHE, "{:?}", metrics.footprint);
    }
    let requests = handle.metrics().await.unwrap().requests;
    // One batch of commands is with the state machine.
    assert!((COMMANDS_MAX - REQUESTS_MAX..=COMMANDS_MAX).contains(&most), "{most}");
    assert!(requests.commands <= COMMANDS_MAX + REQUESTS_MAX, "{requests:?}");
    assert_eq!(requests.commands + requests.overloaded, 20 * COMMANDS_MAX, "each is taken or refused");
}

/// What no message could carry would stay in the log and keep all that follows from being replicated.
#[tokio::test(start_paused = true)]
async fn a_command_that_is_too_long_gets_not_into_the_log() {
    let cluster = cluster_of(3, Trouble::None, |config| config.command_bytes_max = 9);
    let (leader, _) = cluster.propose("ninebytes").await;
    let handle = &cluster.handles[leader];
    let last = handle.status().await.unwrap().last_log;
    let too_long = Refusal::TooLong { bytes: 10, bytes_max: 9 };
    assert_eq!(handle.propose("ten bytes.".into()).await, Outcome::NotApplied(too_long));
    assert_eq!(handle.status().await.unwrap().last_log, last);
}

/// The two others commit what a leader sends them whose own disk hangs. It takes no more than it may keep for that disk,
/// and goes on when the disk does.
#[tokio::test(start_paused = true)]
async fn what_the_disk_of_a_leader_has_not_taken_yet_is_bounded() {
    let cluster = cluster_of(3, Trouble::None, |config| {
        config.uncommitted_bytes_max = 4_096;
        config.disk_patience = Duration::from_secs(3_600);
    });
    let (leader, _) = cluster.propose("first").await;
    let handle = &cluster.handles[leader];
    cluster.hung.store(Cluster::id(leader).get(), Ordering::Relaxed);
    let mut applied = 0;
    let refused = loop {
        match handle.propose("one more".into()).await {
            Outcome::Applied { .. } => applied += 1,
            other @ (Outcome::NotApplied(_) | Outcome::Unknown) => break other,
        }
    };
    assert_eq!(refused, Outcome::NotApplied(Refusal::Overloaded));
    assert!((10..100).contains(&applied), "{applied} were applied");
    cluster.hung.store(0, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(matches!(handle.propose("one more".into()).await, Outcome::Applied { .. }));
}

/// The environment of production on a clock that is paused.
#[derive(Clone)]
struct Gathering(TokioEnvironment);

impl Environment for Gathering {
    fn now(&self) -> Time {
        self.0.now()
    }

    fn sleep_until(&self, deadline: Time) -> impl Future<Output = ()> + Send {
        self.0.sleep_until(deadline)
    }

    fn point(&self, point: Point) -> impl Future<Output = ()> + Send {
        self.0.point(point)
    }

    async fn gather(&self) {
        SystemEnvironment::new().gather().await;
    }
}

/// Clients that are told at the same time ask again at the same time, one after the other. The node goes on with what all
/// of them ask, not with the first.
#[tokio::test(start_paused = true)]
async fn clients_that_run_side_by_side_share_writes_and_messages() {
    const CLIENTS: u64 = 64;
    const EACH: u64 = 16;
    let environment = Gathering(TokioEnvironment::new());
    let cluster = cluster_in(3, Trouble::None, |_| {}, |_| environment.clone());
    let (leader, _) = cluster.propose("first").await;
    let handle = &cluster.handles[leader];
    let before = handle.metrics().await.unwrap();
    let clients = (0..CLIENTS).map(|_| {
        let handle = handle.clone();
        tokio::spawn(async move {
            for _ in 0..EACH {
                assert!(matches!(handle.propose("one more".into()).await, Outcome::Applied { .. }));
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    let after = handle.metrics().await.unwrap();
    assert_eq!(after.entries_written - before.entries_written, CLIENTS * EACH);
    let (writes, messages) = (after.writes - before.writes, after.messages_sent - before.messages_sent);
    assert!(writes < 2 * EACH && messages < 6 * EACH, "{writes} writes, {messages} messages");
}
