//! A server that runs, whatever its state machine, and how it ends.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::event::RoleName;
use crate::node::{Handle, NotTransferred, Status, SystemEnvironment};
use crate::types::NodeId;

/// What all handles of a server share. The server ends with it.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) handle: Handle,
    /// What those who ask wait by.
    pub(super) environment: SystemEnvironment,
    /// How long a shutdown waits for others.
    pub(super) patience: Duration,
    pub(super) status: watch::Receiver<Status>,
    pub(super) ended: watch::Receiver<Option<Result<(), ServerError>>>,
    pub(super) _task: Task,
}

/// The task of a server, which is ended with this.
#[derive(Debug)]
pub(super) struct Task(pub(super) AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Why a server ended by itself: a [`NodeError`](crate::node::NodeError).
#[derive(Clone, Debug)]
pub struct ServerError(pub(super) Arc<dyn Error + Send + Sync>);

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for ServerError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

impl Running {
    pub(super) fn status(&self) -> Status {
        *self.status.borrow()
    }

    pub(super) async fn transfer(&self, to: Option<NodeId>) -> Result<(), NotTransferred> {
        let to = match to {
            Some(to) => to,
            None => self.heir().await?,
        };
        self.handle.transfer(to).await
    }

    /// The other voter that has most of the log; of those that have as much, the one that was heard last.
    async fn heir(&self) -> Result<NodeId, NotTransferred> {
        let membership = self.handle.membership().await.ok_or(NotTransferred::Stopped)?;
        let metrics = self.handle.metrics().await.ok_or(NotTransferred::Stopped)?;
        let id = metrics.status.id;
        let votes = |other: NodeId| {
            other != id && membership.configured.configuration.voters.iter().any(|voter| voter.id == other)
        };
        let others = metrics.followers.iter().filter(|known| votes(known.follower));
        let heir = others.max_by_key(|known| (known.match_index, known.heard));
        heir.map(|known| known.follower).ok_or(NotTransferred::Nobody)
    }

    /// Hands over leadership, has what came in answered, and stops.
    pub(super) async fn shutdown(&self) -> Result<(), ServerError> {
        if self.status().role == RoleName::Leader {
            // Where nobody takes it, the others elect a leader when they miss this one.
            let _handed_over = timeout(self.patience, self.transfer(None)).await;
        }
        // What cannot be answered in that time is told that nobody knows.
        let answered = async {
            self.handle.idle().await;
            self.handle.paid().await;
        };
        let _all_answered = timeout(self.patience, answered).await;
        self.handle.shutdown().await;
        self.ended().await
    }

    pub(super) async fn ended(&self) -> Result<(), ServerError> {
        let mut ended = self.ended.clone();
        // The sender says how before it goes, but where the runtime went first: as in a crash, which nobody is told of.
        let how = ended.wait_for(Option::is_some).await;
        how.map_or(Ok(()), |how| how.clone().unwrap_or(Ok(())))
    }
}
