//! Commands on their way into the log, as many at once as wait.

use bytes::Bytes;
use tokio::sync::oneshot;

use super::handle::{Outcome, Refusal};
use super::metrics::RequestCounts;
use super::waiters::Waiters;
use super::{Environment, LogStore, Node, Transport};
use crate::state::Raft;

/// How many commands may wait in a node to be committed and applied, of whoever still waits for them or not; the next one is
/// told [`Refusal::Overloaded`].
const COMMANDS_MAX: usize = 64 * 1024;

/// Commands that came in one after the other, and who asked for each.
#[derive(Default)]
pub(super) struct Proposed {
    commands: Vec<Bytes>,
    askers: Vec<oneshot::Sender<Outcome>>,
}

impl Proposed {
    /// Takes one in, unless too many wait already.
    pub(super) fn take(
        &mut self,
        command: Bytes,
        asker: oneshot::Sender<Outcome>,
        waiting: usize,
        requests: &mut RequestCounts,
    ) {
        if waiting + self.commands.len() < COMMANDS_MAX {
            self.commands.push(command);
            self.askers.push(asker);
        } else {
            // An asker who has gone away need not be told, here and below.
            drop(asker.send(Outcome::NotApplied(requests.refused(Refusal::Overloaded))));
        }
    }

    /// Appends them. Whoever asked for one then waits for its entry, or is told now that it was refused.
    pub(super) fn append(&mut self, raft: &mut Raft, waiting: &mut Waiters, requests: &mut RequestCounts) {
        let Self { commands, askers } = self;
        let mut askers = askers.drain(..);
        while !commands.is_empty() {
            let refusal = match raft.propose_all(commands) {
                Ok(ids) => {
                    requests.commands += ids.len() as u64;
                    waiting.extend(ids.zip(askers.by_ref()));
                    Refusal::Overloaded
                }
                Err(error) => error.into(),
            };
            // The one after the first that found no room may be smaller.
            let refused = if refusal == Refusal::Overloaded { commands.len().min(1) } else { commands.len() };
            commands.drain(..refused);
            for asker in askers.by_ref().take(refused) {
                drop(asker.send(Outcome::NotApplied(requests.refused(refusal))));
            }
        }
    }
}

impl<S: LogStore, T: Transport, E: Environment> Node<S, T, E> {
    /// Proposes what has come in.
    pub(super) fn propose(&mut self) {
        self.proposed.append(&mut self.raft, &mut self.waiting, &mut self.meter.requests);
    }
}
