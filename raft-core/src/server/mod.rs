//! A server as its users have it: a state machine that is replicated, in a few lines.
//!
//! | file | is |
//! | --- | --- |
//! | `machine.rs` | what one writes: a state machine, [`Machine`]; and what else can be one, [`Replicated`] |
//! | `builder.rs` | how it becomes a server: [`Builder`], with a [`Log`] and a [`Network`] |
//! | `mod.rs` | what one has then: [`Server`]; `running.rs` is what is behind it |
//! | `client.rs`, `session.rs` | how others ask: [`Client`], [`Session`] |
//! | `observed.rs` | who hears what happens in it, event by event |
//! | `telling.rs` | what an operator has to know of it, to `tracing` |
//! | `coded.rs`, `answers.rs` | values as bytes, and what becomes of commands: [`Coded`], [`Failed`] |
//!
//! It is made of [`node`](crate::node), where each part can be had by itself and driven by a simulation, and of
//! [`sessions`](crate::sessions): every command in the log is a [`Request`].

mod answers;
mod builder;
mod client;
mod coded;
mod machine;
mod observed;
mod running;
mod session;
mod telling;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

pub use answers::{Failed, Why};
pub use builder::{Builder, Joined, Joining, Log, Network, StartError};
pub use client::{Client, Route};
pub use coded::{CodecError, Coded, Raw};
pub use machine::{Machine, Replicated, Typed, in_bytes, snapshot_of, state_of};
use running::Running;
pub use running::ServerError;
pub use session::Session;

use crate::config::Config;
use crate::configuration::Member;
use crate::node::{Handle, Membership, Metrics, NotChanged, NotTransferred, Status};
use crate::sessions::Request;
use crate::types::{EntryId, NodeId};

/// How long a session of a server itself waits for an answer.
const SESSION_PATIENCE: Duration = Duration::from_secs(30);

/// A server of a cluster that replicates an `M`. Cheap to clone; any number may ask at once, and every future may be
/// dropped at any moment.
///
/// When the last clone is dropped the server ends as in a crash: nothing that was acknowledged is lost. Whoever has the
/// time calls [`shutdown`](Self::shutdown).
pub struct Server<M> {
    running: Arc<Running>,
    machine: PhantomData<fn() -> M>,
}

impl Server<()> {
    /// What a server is to be, to be given the rest and started.
    pub fn builder(config: Config) -> Builder {
        Builder::new(config)
    }
}

impl<M: Typed> Server<M> {
    /// Has a command applied, and returns the state machine's answer. Only the leader takes one, and none that is as bytes
    /// longer than [`Config::command_bytes_max`].
    ///
    /// May wait as long as there is no majority. Whoever cannot drops the future; then nobody knows what becomes of the
    /// command.
    ///
    /// # Errors
    ///
    /// There is no answer, and the error says what that means for the command.
    pub async fn propose(&self, command: M::Command) -> Result<M::Answer, Failed> {
        let command = command.encode().map_err(|error| Failed::NotApplied(Why::Unwritable(error)))?;
        answers::of_outcome(self.running.handle.propose(Request::Plain { command }.encode()).await)
    }

    /// Asks of the state, on any server. The answer has all that any client had been told of when this was called
    /// (thesis 6.4); by lease where [`Config::read_lease_ppm`] is set.
    ///
    /// # Errors
    ///
    /// The query was not answered. It may be asked again, here or elsewhere.
    pub async fn read(&self, query: M::Query) -> Result<M::Reply, Why> {
        self.read_stale(query, Duration::ZERO).await
    }

    /// The same, but that the answer may lack what was committed in the last `max_lag` before this was called. It is
    /// given at once, without asking another server, where a read so lately was answered here.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read): a server that has been cut off for longer than `max_lag` answers nothing.
    pub async fn read_stale(&self, query: M::Query, max_lag: Duration) -> Result<M::Reply, Why> {
        let query = query.encode().map_err(Why::Unwritable)?;
        let reply = self.running.handle.read_stale(query, max_lag).await.map_err(Why::Refused)?;
        M::Reply::decode(reply).map_err(Why::Unreadable)
    }

    /// Registers a session at this server, which has to lead; clients elsewhere take a [`Client`].
    ///
    /// # Errors
    ///
    /// There is none.
    pub async fn session(&self) -> Result<Session<M, Handle>, Why> {
        let Running { handle, environment, .. } = &*self.running;
        Session::register(handle.clone(), *environment, SESSION_PATIENCE).await
    }
}

impl<M> Server<M> {
    /// Who takes part, as far as this server knows; none if it has stopped.
    pub async fn membership(&self) -> Option<Membership> {
        self.running.handle.membership().await
    }

    /// Begins to change who votes and who learns: see [`Handle::change_membership`].
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
        self.running.handle.change_membership(from, voters, learners).await
    }

    /// Gives up a change of which joint consensus has not begun: see [`Handle::abandon_change`].
    ///
    /// # Errors
    ///
    /// Nothing was given up.
    pub async fn abandon_change(&self) -> Result<EntryId, NotChanged> {
        self.running.handle.abandon_change().await
    }

    /// Hands leadership over (thesis 3.10), to that voter or to the one that is farthest, and waits until a leader is known
    /// again.
    ///
    /// # Errors
    ///
    /// The target does not lead.
    pub async fn transfer(&self, to: Option<NodeId>) -> Result<(), NotTransferred> {
        self.running.transfer(to).await
    }

    /// Asks for a snapshot (§7) as soon as it can be taken. That it is there shows in [`Status::snapshot_index`].
    pub async fn snapshot(&self) {
        self.running.handle.snapshot().await;
    }

    /// What the server is, or was when it ended.
    pub fn status(&self) -> Status {
        self.running.status()
    }

    /// What the server is, each time that it has changed. Ends with the server.
    pub fn watch(&self) -> watch::Receiver<Status> {
        self.running.status.clone()
    }

    /// What the server measures of itself; none if it has stopped.
    pub async fn metrics(&self) -> Option<Metrics> {
        self.running.handle.metrics().await
    }

    /// Stops in order: hands leadership over, answers what has come in, makes durable what was begun, and closes
    /// everything. When this returns the log store is closed, the state machine is dropped and the address is free. Nothing
    /// that was acknowledged is lost. Twice the longest election timeout is spent at most on handing over, and as long again on
    /// answers: what could not be answered by then is told that nobody knows.
    ///
    /// # Errors
    ///
    /// The server had ended by itself.
    pub async fn shutdown(&self) -> Result<(), ServerError> {
        self.running.shutdown().await
    }

    /// Waits until the server has ended.
    ///
    /// # Errors
    ///
    /// It ended by itself, and why.
    pub async fn ended(&self) -> Result<(), ServerError> {
        self.running.ended().await
    }
}

impl<M> Clone for Server<M> {
    fn clone(&self) -> Self {
        Self { running: Arc::clone(&self.running), machine: PhantomData }
    }
}

impl<M> fmt::Debug for Server<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("status", &self.status()).finish_non_exhaustive()
    }
}
