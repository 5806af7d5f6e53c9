//! Between a listener that takes in clients' requests and the node that answers them.

use raft_core::node::{self, Handle, Refusal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::addresses::Addresses;
use crate::client::{Ask, Outcome, Request, Responder};
use crate::orders::{obey, report};

/// Hands the requests of an [`Inlet`](crate::Inlet) to `node`, and its answers back, until the listener
/// is gone and all is answered. Dropping the future answers "unknown" to whoever still waits.
pub async fn serve(node: Handle, requests: mpsc::Receiver<(Request, Responder)>) {
    serve_with(node, Addresses::default(), requests).await;
}

/// The same, and who asks how the server is is told where it looks for the others.
pub(crate) async fn serve_with(
    node: Handle,
    addresses: Addresses,
    mut requests: mpsc::Receiver<(Request, Responder)>,
) {
    let mut waiting = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            Some(_) = waiting.join_next() => {}
            Some((request, responder)) = requests.recv() => {
                let (node, addresses) = (node.clone(), addresses.clone());
                waiting.spawn(async move { responder.answer(answer(&node, &addresses, request).await) });
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
            node::Outcome::Unknown => Outcome::Unknown { reason: "the node has stopped".to_owned() },
        },
    }
}

fn refused(refusal: Refusal) -> Outcome {
    let leader_hint = match refusal {
        Refusal::NotLeader { leader } => leader,
        // The next leader, most likely.
        Refusal::Transferring { to } => Some(to),
        Refusal::Overloaded | Refusal::Malformed | Refusal::Stopped => None,
    };
    Outcome::NotApplied { reason: refusal.to_string(), leader_hint }
}
