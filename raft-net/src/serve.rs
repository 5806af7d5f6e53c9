//! Between a listener that takes in clients' requests and the node that answers them.

use raft_core::node::{self, Handle, Refusal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::client::{Outcome, Request, Responder};

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
                waiting.spawn(async move { responder.answer(outcome(node.propose(request.command).await)) });
            }
            else => return,
        }
    }
}

fn outcome(outcome: node::Outcome) -> Outcome {
    match outcome {
        node::Outcome::Applied { answer, .. } => Outcome::Committed(answer),
        node::Outcome::NotApplied(refusal) => {
            let leader_hint = match refusal {
                Refusal::NotLeader { leader } => leader,
                // The next leader, most likely.
                Refusal::Transferring { to } => Some(to),
                Refusal::Overloaded | Refusal::Stopped => None,
            };
            Outcome::NotApplied { reason: refusal.to_string(), leader_hint }
        }
        node::Outcome::Unknown => Outcome::Unknown { reason: "the node has stopped".to_owned() },
    }
}
