//! Between a connection that brings a client's requests and whoever answers them.

use std::future::Future;

use raft_core::node::{self, Handle, Owed, Refusal};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::addresses::Addresses;
use crate::client::{Ask, Outcome, Request, Responder};
use crate::orders::{obey, report};

/// Answers the requests of clients.
pub(crate) trait Answers: Clone + Send + Sync + 'static {
    /// An answer that a client is owed, until this is dropped.
    type Owed: Send;

    /// A request has come in. Its answer is owed until it has been written.
    fn owe(&self) -> Self::Owed;

    /// Whoever drops the future is not told what becomes of the request.
    fn answer(&self, request: Request) -> impl Future<Output = Outcome> + Send;
}

/// Whoever takes them in at the other end.
impl Answers for mpsc::Sender<(Request, Responder)> {
    /// Nobody waits for it.
    type Owed = ();

    fn owe(&self) {}

    async fn answer(&self, request: Request) -> Outcome {
        let (answer, outcome) = oneshot::channel();
        match self.try_send((request, Responder::new(answer))) {
            Ok(()) => outcome.await.unwrap_or_else(|_| Outcome::Unknown {
                reason: "the server let go of the request without an answer".to_owned(),
            }),
            Err(TrySendError::Full(_)) => not_applied("too many requests are waiting; try again later"),
            Err(TrySendError::Closed(_)) => not_applied("the server takes no requests; try another one"),
        }
    }
}

/// A node, which each connection asks by itself: a queue and a task between them would be two more that have to be
/// woken for each request.
#[derive(Clone)]
pub(crate) struct Serving {
    node: Handle,
    addresses: Addresses,
    /// Goes with the last connection and the listener.
    _open: mpsc::Sender<()>,
}

impl Serving {
    /// Who asks how the server is is told of these addresses. With it comes what ends once nobody serves any more.
    pub(crate) fn new(node: Handle, addresses: Addresses) -> (Self, impl Future<Output = ()> + Send) {
        let (open, mut closed) = mpsc::channel(1);
        let over = async move {
            // Nobody says anything there.
            let _: Option<()> = closed.recv().await;
        };
        (Self { node, addresses, _open: open }, over)
    }
}

impl Answers for Serving {
    type Owed = Owed;

    fn owe(&self) -> Owed {
        self.node.owe()
    }

    async fn answer(&self, request: Request) -> Outcome {
        answer(&self.node, &self.addresses, request).await
    }
}

/// Hands the requests of an [`Inlet`](crate::Inlet) to `node`, and its answers back, until the listener
/// is gone and all is answered. Dropping the future answers "unknown" to whoever still waits.
pub async fn serve(node: Handle, mut requests: mpsc::Receiver<(Request, Responder)>) {
    let mut waiting = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            Some(_) = waiting.join_next() => {}
            Some((request, responder)) = requests.recv() => {
                let node = node.clone();
                waiting.spawn(async move {
                    responder.answer(answer(&node, &Addresses::default(), request).await);
                });
            }
            else => return,
        }
    }
}

async fn answer(node: &Handle, addresses: &Addresses, Request { ask, command, .. }: Request) -> Outcome {
    match ask {
        Ask::Report => report(node, addresses).await,
        Ask::Order => obey(node, &command).await,
        Ask::Read => node.read(command).await.map_or_else(refused, Outcome::Answered),
        Ask::Apply => match node.propose(command).await {
            node::Outcome::Applied { answer, .. } => Outcome::Committed(answer),
            node::Outcome::NotApplied(refusal) => refused(refusal),
            node::Outcome::Unknown => {
                Outcome::Unknown { reason: "the node has stopped, or was removed from its group".to_owned() }
            }
        },
    }
}

pub(crate) fn not_applied(reason: &str) -> Outcome {
    Outcome::NotApplied { reason: reason.to_owned(), leader_hint: None }
}

fn refused(refusal: Refusal) -> Outcome {
    let leader_hint = match refusal {
        Refusal::NotLeader { leader } => leader,
        // The next leader, most likely.
        Refusal::Transferring { to } => Some(to),
        Refusal::Overloaded | Refusal::Malformed | Refusal::TooLong { .. } | Refusal::Stopped => None,
    };
    Outcome::NotApplied { reason: refusal.to_string(), leader_hint }
}
