//! Membership changes, asked of a node (§6, thesis 4).

use std::fmt;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::handle::{Handle, Request};
use crate::configuration::{Configured, Member};
use crate::input::ChangeError;
use crate::state::Raft;
use crate::types::EntryId;

/// Who takes part in a group, as far as a node knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The configuration in force: the last one in the node's log.
    pub configured: Configured,
    /// Whether its entry is known to be committed.
    pub committed: bool,
    /// The entry with which this node was removed from the group, if it knows of one. It may be shut down.
    pub removed: Option<EntryId>,
}

/// Why no change of membership was begun, or given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotChanged {
    /// The server refuses, and nothing is in the log.
    Refused(ChangeError),
    /// Too much is waiting at this server, and nothing was begun.
    Overloaded,
    /// The node has stopped. The change may have been begun.
    Stopped,
}

impl fmt::Display for NotChanged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => why.fmt(f),
            Self::Overloaded => write!(f, "overloaded: try later"),
            Self::Stopped => write!(f, "stopped: try another server"),
        }
    }
}

impl std::error::Error for NotChanged {}

/// What a node is asked to do about the members.
#[derive(Debug)]
pub(super) enum Change {
    To { from: EntryId, voters: Vec<Member>, learners: Vec<Member> },
    Abandon,
}

impl Change {
    pub(super) fn ask(self, raft: &mut Raft) -> Result<EntryId, NotChanged> {
        match self {
            Self::To { from, voters, learners } => raft.change_membership(from, voters, learners),
            Self::Abandon => raft.abandon_change(),
        }
        .map_err(NotChanged::Refused)
    }
}

impl Membership {
    pub(super) fn of(raft: &Raft) -> Self {
        let configured = raft.configuration().clone();
        let committed = configured.at.index <= raft.commit_index();
        Self { configured, committed, removed: raft.removed() }
    }
}

impl Handle {
    /// Who takes part, as far as this node knows; none if it has stopped.
    pub async fn membership(&self) -> Option<Membership> {
        let (reply, membership) = oneshot::channel();
        self.requests.send(Request::Membership { reply }).await.ok()?;
        membership.await.ok()
    }

    /// Begins to change who votes and who learns to these: see
    /// [`Raft::change_membership`](crate::Raft::change_membership). Returns as soon as the leader has begun; the
    /// change is done when [`Handle::membership`] has these voters, nothing to come, and is committed. Whoever leads
    /// next goes on with it.
    ///
    /// # Errors
    ///
    /// It was not begun.
    pub async fn change_membership(
        &self,
        from: EntryId,
        voters: impl IntoIterator<Item = impl Into<Member>>,
        learners: impl IntoIterator<Item = impl Into<Member>>,
    ) -> Result<EntryId, NotChanged> {
        let voters = voters.into_iter().map(Into::into).collect();
        let learners = learners.into_iter().map(Into::into).collect();
        self.change(Change::To { from, voters, learners }).await
    }

    /// Gives up a change of which joint consensus has not begun: see
    /// [`Raft::abandon_change`](crate::Raft::abandon_change).
    ///
    /// # Errors
    ///
    /// Nothing was given up.
    pub async fn abandon_change(&self) -> Result<EntryId, NotChanged> {
        self.change(Change::Abandon).await
    }

    async fn change(&self, change: Change) -> Result<EntryId, NotChanged> {
        let (reply, changed) = oneshot::channel();
        self.ask(Request::Change { change, reply }, NotChanged::Overloaded, NotChanged::Stopped)?;
        changed.await.unwrap_or(Err(NotChanged::Stopped))
    }
}
