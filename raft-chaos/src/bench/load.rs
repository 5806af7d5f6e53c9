//! The load: clients in a closed loop. Each has one operation at a time, over a connection that it shares with others.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use raft_core::node::{Environment, SystemEnvironment};
use raft_core::server::{Client, CodecError, Coded, Route};
use raft_core::sessions::{self, Proposed, Proposer, Request};
use raft_core::{ClusterId, NodeId, Rng};
use raft_net::{Net, Servers};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::processor::{Shares, Used};
use super::{Kind, Op};
use crate::client::command;
use crate::data::Answer;
use crate::history::Value;
use crate::node::{Command, Ended, Store};

/// How long a client rests whose operation was not done: servers that refuse everything are not to be flooded.
const REST: Duration = Duration::from_millis(20);
/// How many keys are filled at a time.
const FILLING: u64 = 16;
/// What values are made of.
const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Whom clients ask, and of what.
#[derive(Clone, Debug)]
pub(super) struct Load<N> {
    pub(super) net: N,
    pub(super) clock: SystemEnvironment,
    pub(super) cluster: ClusterId,
    pub(super) addresses: BTreeMap<NodeId, String>,
    /// How long an operation may take.
    pub(super) timeout: Duration,
    pub(super) keys: u64,
    /// How many connections clients share.
    pub(super) connections: usize,
}

/// What became of operations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// They ended well within the time that counts.
    pub(super) ok: u64,
    /// They ended well after it, in which they had begun.
    pub(super) late: u64,
    /// How long these and those took, in microseconds.
    pub(super) took_us: Vec<u64>,
    /// They were certainly not done.
    pub(super) not_done: u64,
    /// Nobody knows of them.
    pub(super) unknown: u64,
    /// What was answered was not what had been asked for.
    pub(super) wrong: u64,
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Done,
    NotDone,
    Unknown,
    Wrong,
}

/// The time that counts. It is not known before all clients have their connections.
#[derive(Clone, Copy, Debug)]
struct Window {
    from: Instant,
    until: Instant,
}

impl Tally {
    fn note(&mut self, end: End, (began, ended): (Instant, Instant), window: Window) {
        if ended < window.from {
            return;
        }
        match end {
            End::Done => {
                *(if ended <= window.until { &mut self.ok } else { &mut self.late }) += 1;
                let took = ended.duration_since(began).as_micros();
                self.took_us.push(u64::try_from(took).unwrap_or(u64::MAX));
            }
            End::NotDone => self.not_done += 1,
            End::Unknown => self.unknown += 1,
            End::Wrong => self.wrong += 1,
        }
    }

    fn join(&mut self, mut other: Self) {
        self.ok += other.ok;
        self.late += other.late;
        self.took_us.append(&mut other.took_us);
        self.not_done += other.not_done;
        self.unknown += other.unknown;
        self.wrong += other.wrong;
    }
}

impl<N: Net> Load<N> {
    fn servers(&self) -> Servers<N, SystemEnvironment> {
        Servers::new(self.net.clone(), self.clock, self.cluster, self.addresses.clone())
            .connect_within(self.timeout)
    }

    /// Puts a value of this size under every key.
    ///
    /// # Errors
    ///
    /// One of them was not put there, however often that was tried.
    pub(super) async fn fill(&self, size: usize) -> Result<(), Ended> {
        let client = Client::<Store, _>::new(self.servers(), self.clock).patience(self.timeout);
        let mut filling = JoinSet::new();
        for first in 0..FILLING.min(self.keys) {
            let (client, mut values) = (client.clone(), Values::new(first, size));
            let keys = (first..self.keys).step_by(usize::try_from(FILLING).unwrap_or(1));
            filling.spawn(async move {
                for key in keys {
                    let write = Command::Data(command("write", &name(key), Value::Text(values.next())));
                    client.propose(write).await?;
                }
                Ok(())
            });
        }
        for filled in filling.join_all().await {
            filled.map_err(|error: raft_core::server::Failed| {
                Ended::unavailable(format!("the keys cannot be filled: {error}"))
            })?;
        }
        Ok(())
    }

    /// Has clients go on for so long, after they have warmed up. Gives what became of their operations, and who used the
    /// processor meanwhile.
    pub(super) async fn row(
        &self,
        kind: Kind,
        (warmup, time): (Duration, Duration),
        nodes: &[u32],
    ) -> (Tally, Shares) {
        let window = Arc::new(OnceLock::new());
        let (ready, mut others) = mpsc::unbounded_channel();
        let ways: Vec<_> = (0..self.connections).map(|_| Arc::new(self.servers())).collect();
        let mut clients = JoinSet::new();
        for (nth, servers) in ways.iter().cycle().take(kind.clients).enumerate() {
            let (servers, window, ready) = (Arc::clone(servers), Arc::clone(&window), ready.clone());
            clients.spawn(One { load: self.clone(), servers, kind, window, ready }.run(nth as u64));
        }
        drop(ready);
        for _ in 0..kind.clients {
            // None of a client that has panicked, which has been told.
            let _: Option<()> = others.recv().await;
        }
        let from = Instant::now() + warmup;
        let window = *window.get_or_init(|| Window { from, until: from + time });
        tokio::time::sleep_until(window.from.into()).await;
        let before = Used::now(nodes);
        tokio::time::sleep_until(window.until.into()).await;
        let shares = Used::now(nodes).since(&before);
        let mut all = Tally::default();
        clients.join_all().await.into_iter().for_each(|tally| all.join(tally));
        all.took_us.sort_unstable();
        (all, shares)
    }
}

/// One client.
struct One<N: Net> {
    load: Load<N>,
    servers: Arc<Servers<N, SystemEnvironment>>,
    kind: Kind,
    window: Arc<OnceLock<Window>>,
    /// Is told after the first operation, which has made the connection.
    ready: mpsc::UnboundedSender<()>,
}

impl<N: Net> One<N> {
    async fn run(self, nth: u64) -> Tally {
        let mut keys = Rng::new(nth);
        let mut values = Values::new(!nth, self.kind.value);
        let mut tally = Tally::default();
        let mut is_first = true;
        loop {
            if self.window.get().is_some_and(|window| Instant::now() >= window.until) {
                return tally;
            }
            let key = name(keys.below(self.load.keys));
            let Ok(request) = request(self.kind.op, &key, || values.next()) else { return tally };
            let began = Instant::now();
            let end = self.ask(request).await;
            let ended = Instant::now();
            if let Some(window) = self.window.get() {
                tally.note(end, (began, ended), *window);
            }
            if std::mem::take(&mut is_first) {
                // Whoever listens no more has been interrupted.
                let _ = self.ready.send(());
            }
            if end != End::Done {
                tokio::time::sleep(REST).await;
            }
        }
    }

    async fn ask(&self, request: Bytes) -> End {
        let deadline = self.load.clock.now().after(self.load.timeout);
        match self.kind.op {
            Op::Write => match self.servers.propose(request, deadline).await {
                Proposed::Answered(answer) => {
                    if is_applied(answer) {
                        End::Done
                    } else {
                        End::Wrong
                    }
                }
                Proposed::NotApplied => End::NotDone,
                Proposed::Unknown => End::Unknown,
            },
            Op::Read => match self.servers.read(request, deadline).await {
                Some(reply) if is_text(reply.clone()) => End::Done,
                Some(_) => End::Wrong,
                // A read changes nothing.
                None => End::NotDone,
            },
        }
    }
}

/// The key with this number.
fn name(key: u64) -> String {
    format!("bench-{key}")
}

fn request(op: Op, key: &str, value: impl FnOnce() -> String) -> Result<Bytes, CodecError> {
    match op {
        Op::Write => {
            let command = Command::Data(command("write", key, Value::Text(value()))).encode()?;
            Ok(Request::Plain { command }.encode())
        }
        Op::Read => command("read", key, Value::Null).encode(),
    }
}

fn is_applied(answer: Bytes) -> bool {
    match sessions::Answer::decode(answer) {
        Some(sessions::Answer::Applied(answer)) => Answer::decode(answer).is_ok(),
        Some(_) | None => false,
    }
}

fn is_text(reply: Bytes) -> bool {
    Answer::decode(reply).is_ok_and(|answer| matches!(answer.reply.value, Value::Text(_)))
}

/// Values of one size, no two the same where there is room for that.
struct Values {
    rng: Rng,
    rest: String,
    size: usize,
}

impl Values {
    fn new(seed: u64, size: usize) -> Self {
        let mut rng = Rng::new(seed);
        let letter = |_| rng.pick(LETTERS).map_or('a', |letter| char::from(*letter));
        let rest = (0..size.saturating_sub(16)).map(letter).collect();
        Self { rng, rest, size }
    }

    fn next(&mut self) -> String {
        let mut value = format!("{:016x}", self.rng.next_u64());
        value.truncate(self.size);
        value + &self.rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_their_size_and_differ() {
        for size in [1, 15, 16, 17, 4_096] {
            let mut values = Values::new(7, size);
            let (one, two) = (values.next(), values.next());
            assert_eq!((one.len(), two.len()), (size, size));
            assert!(size < 15 || one != two);
        }
    }

    /// Each row: when an operation of which the time that counts is from 10 to 20 began and ended, and the numbers of those
    /// that ended well in time, later, and of whose latencies are known.
    #[test]
    fn what_ended_before_does_not_count_and_what_ended_late_is_no_throughput() {
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        let window = Window { from: at(10), until: at(20) };
        for (began, ended, expected) in
            [(5, 9, (0, 0, 0)), (5, 11, (1, 0, 1)), (12, 20, (1, 0, 1)), (12, 21, (0, 1, 1))]
        {
            let mut tally = Tally::default();
            tally.note(End::Done, (at(began), at(ended)), window);
            assert_eq!((tally.ok, tally.late, tally.took_us.len()), expected);
        }
        let mut tally = Tally::default();
        for end in [End::NotDone, End::Unknown, End::Unknown, End::Wrong] {
            tally.note(end, (at(12), at(25)), window);
        }
        assert_eq!(tally, Tally { not_done: 1, unknown: 2, wrong: 1, ..Tally::default() });
    }
}
