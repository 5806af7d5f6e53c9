//! A test of the edition of 2024, in which clients append to values: an append that is applied twice shows, which a put with
//! a version hides. Clients have sessions, as nothing else makes an append that is sent again apply once.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{BufMut, Bytes, BytesMut};
use raft_core::node::{Environment, Handle, Outcome, SnapshotReader, StateMachine, TokioEnvironment};
use raft_core::sessions::{ClientSession, Proposed, Proposer, Retries, Sessions};
use raft_core::{LogIndex, Time};
use tokio::io::AsyncReadExt;
use tokio::task::JoinSet;

use super::super::cluster::Lab;
use super::super::failure::{Failure, Tested, expect};
use super::super::tester::millis;

const CLIENTS: usize = 5;
const APPENDS: usize = 10;

/// One value that grows.
#[derive(Default)]
struct Text(Vec<u8>);

/// A new text with sessions, which is empty.
pub(crate) fn text() -> Box<dyn StateMachine> {
    Box::new(Sessions::new(Text::default()).expect("a text in memory has nothing applied at first"))
}

#[async_trait]
impl StateMachine for Text {
    async fn apply(&mut self, _: LogIndex, command: Bytes) -> Bytes {
        self.0.extend_from_slice(&command);
        Bytes::new()
    }

    async fn query(&mut self, _: Bytes) -> Bytes {
        self.0.clone().into()
    }

    async fn snapshot(&mut self) -> io::Result<SnapshotReader> {
        Ok(Box::pin(io::Cursor::new(self.0.clone())))
    }

    async fn restore(&mut self, mut snapshot: SnapshotReader) -> io::Result<()> {
        self.0.clear();
        snapshot.read_to_end(&mut self.0).await?;
        Ok(())
    }
}

const NOT_APPLIED: u8 = 0;
const UNKNOWN: u8 = 1;
const ANSWERED: u8 = 2;

/// What a server does with a request: one byte that says what became of it, then the answer.
fn serve(handle: Handle, request: Bytes) -> Pin<Box<dyn Future<Output = Bytes> + Send>> {
    Box::pin(async move {
        let (became, answer) = match handle.propose(request).await {
            Outcome::Applied { answer, .. } => (ANSWERED, answer),
            Outcome::NotApplied(_) => (NOT_APPLIED, Bytes::new()),
            Outcome::Unknown => (UNKNOWN, Bytes::new()),
        };
        let mut reply = BytesMut::new();
        reply.put_u8(became);
        reply.put(answer);
        reply.freeze()
    })
}

/// The way of a session over the lab's network, to one server after the other.
struct Way {
    lab: Lab,
    next: AtomicUsize,
}

impl Proposer for Way {
    async fn propose(&self, request: Bytes, _: Time) -> Proposed {
        let to = self.next.load(Ordering::Relaxed);
        let reply = self.lab.shared.network.call(true, to, request, serve).await;
        let proposed = match reply.ok().as_deref() {
            Some([ANSWERED, answer @ ..]) => return Proposed::Answered(Bytes::copy_from_slice(answer)),
            Some([NOT_APPLIED, ..]) => Proposed::NotApplied,
            Some(_) | None => Proposed::Unknown,
        };
        self.next.store((to + 1) % self.lab.servers(), Ordering::Relaxed);
        proposed
    }
}

/// UnreliableOneKey of 2024: every append is there once, those of one client in its order.
pub(crate) async fn unreliable_one_key(lab: Lab) -> Tested {
    let environment = TokioEnvironment::new();
    let deadline = environment.now().after(Duration::from_secs(100));
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let way = Way { lab: lab.clone(), next: AtomicUsize::new(0) };
        clients.spawn(async move {
            let session = ClientSession::register(way, environment, Retries::default(), deadline).await;
            let session = session.map_err(|error| Failure::Missed(error.to_string()))?;
            for append in 0..APPENDS {
                let done = session.command(word(client, append).into(), deadline).await;
                done.map_err(|error| Failure::Missed(error.to_string()))?;
            }
            Ok(())
        });
    }
    clients.join_all().await.into_iter().collect::<Tested<()>>()?;
    let text = read(&lab).await;
    for client in 0..CLIENTS {
        let places: Vec<Vec<_>> = (0..APPENDS)
            .map(|append| text.match_indices(&word(client, append)).map(|(place, _)| place).collect())
            .collect();
        expect(places.iter().all(|places| places.len() == 1), || {
            format!("client {client} has not each of its appends in the text once: {text}")
        })?;
        expect(places.is_sorted(), || format!("client {client} finds its appends in another order: {text}"))?;
    }
    let length = (0..CLIENTS * APPENDS).map(|all| word(all / APPENDS, all % APPENDS).len()).sum::<usize>();
    expect(text.len() == length, || format!("there is more in the text than was appended: {text}"))
}

fn word(client: usize, append: usize) -> String {
    format!("x {client} {append} y")
}

/// What the cluster answers to a read, whoever leads.
async fn read(lab: &Lab) -> String {
    loop {
        for server in 0..lab.servers() {
            let Some(handle) = lab.handle(server) else { continue };
            if let Ok(text) = handle.read(Bytes::new()).await {
                return String::from_utf8_lossy(&text).into_owned();
            }
        }
        millis(20).await;
    }
}
