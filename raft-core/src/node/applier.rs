//! The task that applies: a slow state machine delays no heartbeat.

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::{Outcome, StateMachine};
use crate::entry::{Entry, Payload};

/// A committed entry, and who waits for its result.
pub(super) struct Batch {
    pub(super) entry: Entry,
    pub(super) reply: Option<oneshot::Sender<Outcome>>,
}

/// The door to the task. The core hands out one batch at a time, so both queues have room for it.
pub(super) struct Applier {
    batches: mpsc::Sender<Vec<Batch>>,
    applied: mpsc::Receiver<()>,
    task: JoinHandle<()>,
}

impl Applier {
    pub(super) fn start<M: StateMachine>(mut machine: M) -> Self {
        let (batches, mut inbox) = mpsc::channel::<Vec<Batch>>(1);
        let (done, applied) = mpsc::channel(1);
        let task = tokio::spawn(async move {
            while let Some(batch) = inbox.recv().await {
                for Batch { entry, reply } in batch {
                    if let Payload::Command(command) = entry.payload {
                        let answer = machine.apply(entry.id.index, command).await;
                        if let Some(reply) = reply {
                            // A client that has gone away need not be told.
                            drop(reply.send(Outcome::Applied { id: entry.id, answer }));
                        }
                    }
                }
                if done.send(()).await.is_err() {
                    return;
                }
            }
        });
        Self { batches, applied, task }
    }

    /// Hands over a batch. If the task is gone, [`Applier::applied`] says so.
    pub(super) fn apply(&self, batch: Vec<Batch>) {
        drop(self.batches.try_send(batch));
    }

    /// Whether a batch has been applied that [`Applier::applied`] has not told of.
    pub(super) fn has_applied(&mut self) -> bool {
        self.applied.try_recv().is_ok()
    }

    /// Waits until a batch has been applied; none if the state machine panicked. Cancel safe.
    pub(super) async fn applied(&mut self) -> Option<()> {
        self.applied.recv().await
    }
}

impl Drop for Applier {
    fn drop(&mut self) {
        self.task.abort();
    }
}
