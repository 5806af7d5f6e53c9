//! Every future may be dropped at any await: nothing hangs, nothing leaks, nothing is applied twice.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use raft_core::Rng;
use raft_core::server::Server;
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::world::{Cluster, Command, List, ListClient};

/// How often each future is dropped somewhere.
const ROUNDS: u64 = 60;

/// Polls a future so often, or for so long, and drops it: what it came to, if it came to anything.
async fn dropped<T>(rng: &mut Rng, future: impl Future<Output = T>) -> Option<T> {
    if rng.one_in(2) {
        let time = Duration::from_micros(rng.below(12_000));
        return timeout(time, future).await.ok();
    }
    let (mut future, mut left) = (pin!(future), rng.below(40));
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
    let client = cluster.client().patience(Duration::from_secs(10));
    let (mut rng, mut pushed) = (Rng::new(9), Pushed::default());
    // Connections and sessions that last are there before anything is counted.
    let kept = client.session().await.unwrap();
    for _ in 0..ROUNDS {
        let server = cluster.servers.values().nth(usize::try_from(rng.below(3)).unwrap()).unwrap();
        ask_server(server, &mut rng, &mut pushed).await;
        ask_client(&client, &mut rng, &mut pushed).await;
        let (number, command) = pushed.next();
        pushed.note(number, &dropped(&mut rng, kept.propose(command)).await);
    }
    // The last command of the session is answered: what was given up of it before is over.
    let (number, command) = pushed.next();
    pushed.note(number, &Some(kept.propose(command).await));

    let list = client.read(()).await.unwrap();
    let mut once = list.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), list.len(), "something was applied twice");
    for (number, is_applied) in &pushed.is_applied {
        assert!(!is_applied || list.contains(number), "{number} was acknowledged");
    }
    let acknowledged = pushed.is_applied.values().filter(|applied| **applied).count();
    assert!(acknowledged > 20 && acknowledged < pushed.is_applied.len(), "{acknowledged} of {}", pushed.next);
    for server in cluster.servers.values() {
        nothing_waits(server).await;
    }
    stop_half_way(cluster, &mut rng).await;
}

async fn ask_server(server: &Server<List>, rng: &mut Rng, pushed: &mut Pushed) {
    let (number, command) = pushed.next();
    pushed.note(number, &dropped(rng, server.propose(command)).await);
    dropped(rng, server.read(())).await;
    dropped(rng, server.read_stale((), Duration::from_millis(5))).await;
    dropped(rng, server.membership()).await;
    dropped(rng, server.metrics()).await;
    dropped(rng, server.snapshot()).await;
    dropped(rng, server.ended()).await;
    let mut watch = server.watch();
    dropped(rng, watch.changed()).await;
    if rng.below(20) == 0 {
        dropped(rng, server.transfer(None)).await;
    }
    if let Some(Ok(session)) = dropped(rng, server.session()).await {
        let (number, command) = pushed.next();
        pushed.note(number, &dropped(rng, session.propose(command)).await);
        dropped(rng, session.end()).await;
    }
}

async fn ask_client(client: &ListClient, rng: &mut Rng, pushed: &mut Pushed) {
    let (number, command) = pushed.next();
    pushed.note(number, &dropped(rng, client.propose(command)).await);
    dropped(rng, client.read(())).await;
    dropped(rng, client.session()).await;
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
async fn stop_half_way(mut cluster: Cluster, rng: &mut Rng) {
    for server in cluster.servers.values() {
        dropped(rng, server.shutdown()).await;
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
