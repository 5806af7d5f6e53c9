//! Every future may be dropped at any await: nothing hangs, nothing leaks, nothing is applied twice.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use raft_core::Rng;
use raft_core::server::{Server, Session};
use raft_core::sessions::Proposer;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};

use crate::world::{Cluster, Command, List, ListClient};

/// How often each future is dropped somewhere.
const ROUNDS: u64 = 60;

/// When futures are dropped.
struct Drops {
    rng: Rng,
    /// How long a command takes on this disk.
    usual: Duration,
}

/// Polls a future so often, or for so long, and drops it: what it came to, if it came to anything.
async fn dropped<T>(drops: &mut Drops, future: impl Future<Output = T>) -> Option<T> {
    if drops.rng.one_in(2) {
        let longest = u64::try_from(4 * drops.usual.as_micros()).unwrap();
        let time = Duration::from_micros(drops.rng.below(longest));
        return timeout(time, future).await.ok();
    }
    let (mut future, mut left) = (pin!(future), drops.rng.below(40));
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            context.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await
}

/// What was pushed, and whether it is known that it was applied.
#[derive(Default)]
struct Pushed {
    next: u64,
    is_applied: BTreeMap<u64, bool>,
}

impl Pushed {
    fn next(&mut self) -> (u64, Command) {
        self.next += 1;
        (self.next, Command::Push(self.next))
    }

    fn note<T, X>(&mut self, number: u64, done: &Option<Result<T, X>>) {
        self.is_applied.insert(number, matches!(done, Some(Ok(_))));
    }
}

#[tokio::test]
async fn whatever_is_dropped_nothing_hangs_leaks_or_is_applied_twice() {
    let cluster = Cluster::start(3, |_| {}).await;
    cluster.leader().await;
    let client = cluster.client().patience(Duration::from_secs(60));
    let (mut drops, mut pushed) = (Drops { rng: Rng::new(9), usual: Duration::ZERO }, Pushed::default());
    // Connections and sessions that last are there before anything is counted.
    let kept = client.session().await.unwrap();
    for _ in 0..ROUNDS {
        // In each round one is not dropped.
        drops.usual = push_to_the_end(&kept, &mut pushed).await;
        let server = cluster.servers.values().nth(usize::try_from(drops.rng.below(3)).unwrap()).unwrap();
        ask_server(server, &mut drops, &mut pushed).await;
        ask_client(&client, &mut drops, &mut pushed).await;
        let (number, command) = pushed.next();
        pushed.note(number, &dropped(&mut drops, kept.propose(command)).await);
    }
    // The last command of the session is answered: what was given up of it before is over.
    push_to_the_end(&kept, &mut pushed).await;

    let list = client.read(()).await.unwrap();
    let mut once = list.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), list.len(), "something was applied twice");
    for (number, is_applied) in &pushed.is_applied {
        assert!(!is_applied || list.contains(number), "{number} was acknowledged");
    }
    let dropped = pushed.next - ROUNDS - 1;
    let acknowledged = pushed.is_applied.values().filter(|applied| **applied).count() as u64 - ROUNDS - 1;
    assert!(acknowledged > 20 && acknowledged < dropped, "{acknowledged} of {dropped}");
    for server in cluster.servers.values() {
        nothing_waits(server).await;
    }
    stop_half_way(cluster, &mut drops).await;
}

/// A command that nobody gives up, and how long it takes.
async fn push_to_the_end<P: Proposer>(session: &Session<List, P>, pushed: &mut Pushed) -> Duration {
    let (number, command) = pushed.next();
    let began = Instant::now();
    let done = session.propose(command).await;
    assert!(done.is_ok(), "{done:?}");
    pushed.note(number, &Some(done));
    began.elapsed()
}

async fn ask_server(server: &Server<List>, drops: &mut Drops, pushed: &mut Pushed) {
    let (number, command) = pushed.next();
    pushed.note(number, &dropped(drops, server.propose(command)).await);
    dropped(drops, server.read(())).await;
    dropped(drops, server.read_stale((), Duration::from_millis(5))).await;
    dropped(drops, server.membership()).await;
    dropped(drops, server.metrics()).await;
    dropped(drops, server.snapshot()).await;
    dropped(drops, server.ended()).await;
    let mut watch = server.watch();
    dropped(drops, watch.changed()).await;
    if drops.rng.below(20) == 0 {
        dropped(drops, server.transfer(None)).await;
    }
    if let Some(Ok(session)) = dropped(drops, server.session()).await {
        let (number, command) = pushed.next();
        pushed.note(number, &dropped(drops, session.propose(command)).await);
        dropped(drops, session.end()).await;
    }
}

async fn ask_client(client: &ListClient, drops: &mut Drops, pushed: &mut Pushed) {
    let (number, command) = pushed.next();
    pushed.note(number, &dropped(drops, client.propose(command)).await);
    dropped(drops, client.read(())).await;
    dropped(drops, client.session()).await;
}

/// Waits until a server has let go of all that was asked and given up.
async fn nothing_waits(server: &Server<List>) {
    let mut watch = server.watch();
    loop {
        let waiting = server.metrics().await.unwrap().waiting;
        if (waiting.commands, waiting.queries, waiting.transfers) == (0, 0, 0) {
            return;
        }
        // Whatever it waits for shows in a term or in what is committed.
        watch.changed().await.unwrap();
    }
}

/// Shutdowns that are given up half-way, and then not; at the end no task of all this is left.
async fn stop_half_way(mut cluster: Cluster, drops: &mut Drops) {
    for server in cluster.servers.values() {
        dropped(drops, server.shutdown()).await;
    }
    for server in cluster.servers.values() {
        server.shutdown().await.unwrap();
    }
    cluster.servers.clear();
    let runtime = Handle::current().metrics();
    while runtime.num_alive_tasks() > 0 {
        tokio::task::yield_now().await;
    }
}
