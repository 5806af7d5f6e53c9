//! A state machine as its author writes it, and as a node drives it.

use std::future::Future;
use std::io;

use async_trait::async_trait;
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::AsyncReadExt;

use super::coded::Coded;
use crate::node::{Known, SnapshotReader, StateMachine};
use crate::sessions::{Request, Sessions};
use crate::types::LogIndex;

/// What a cluster replicates: a state, the commands that change it, and the queries that do not.
///
/// It has a thread of its own, unless it [is quick](Self::is_quick). One that is slow, or blocks, delays its own answers and
/// nothing else: no heartbeat, no replication. One that panics ends its server ([`NodeError::StateMachine`](crate::node::NodeError)).
/// A runtime that is dropped waits until it is closed.
pub trait Machine: Send + 'static {
    /// Changes the state.
    type Command: Coded;
    /// What whoever proposed a command is told.
    type Answer: Coded;
    /// Asks of the state.
    type Query: Coded;
    /// What whoever asked is told.
    type Reply: Coded;

    /// Applies a committed command. Must do the same on every server: no clock, no randomness, nothing from outside.
    fn apply(&mut self, index: LogIndex, command: Self::Command) -> Self::Answer;

    /// Answers from the state as it is.
    fn query(&self, query: Self::Query) -> Self::Reply;

    /// The state as it is now; its bytes are read at leisure, and what is applied meanwhile must not show in them.
    /// Nothing is applied until this returns. [`snapshot_of`] does it for a state that serde can write.
    ///
    /// # Errors
    ///
    /// There can be no snapshot now. The log is kept, and the next one is tried later.
    fn snapshot(&self) -> io::Result<SnapshotReader>;

    /// Becomes what [`snapshot`](Self::snapshot) of this or another server wrote: [`state_of`] reads it.
    ///
    /// # Errors
    ///
    /// The bytes are not what `snapshot` writes: the server stops. What the reader fails with is to be passed on.
    fn restore(&mut self, snapshot: SnapshotReader) -> impl Future<Output = io::Result<()>> + Send;

    /// Whether every command is applied and every query answered in microseconds, and none of them waits for anything: then
    /// that is done on the runtime of the server, which saves two changes of threads for each batch. Heartbeats wait for it.
    /// Snapshots are taken and restored on a thread of their own all the same. Asked once, at the start.
    fn is_quick(&self) -> bool {
        false
    }
}

/// The values that are said to a state machine and that it answers with, whatever it is made of. Every [`Machine`] has them.
pub trait Typed: Send + 'static {
    /// Changes the state.
    type Command: Coded;
    /// What whoever proposed a command is told.
    type Answer: Coded;
    /// Asks of the state.
    type Query: Coded;
    /// What whoever asked is told.
    type Reply: Coded;
}

impl<M: Machine> Typed for M {
    type Command = M::Command;
    type Answer = M::Answer;
    type Query = M::Query;
    type Reply = M::Reply;
}

/// What a server can be given as its state machine: a [`Machine`], or one that keeps through a crash what it has applied,
/// and the sessions with it. `raft-storage`'s `RocksSessions` is one.
pub trait Replicated: Send + 'static {
    /// Its values.
    type Typed: Typed;

    /// Whether it keeps what it has applied through a crash.
    const IS_DURABLE: bool;

    /// Whether it is [quick](Machine::is_quick).
    fn is_quick(&self) -> bool {
        false
    }

    /// As a node drives it. Its commands are [`Request`]s and its answers [`Answer`](crate::sessions::Answer)s, as bytes.
    ///
    /// # Errors
    ///
    /// It cannot have sessions.
    fn into_state_machine(self) -> io::Result<impl StateMachine>;
}

impl<M: Machine> Replicated for M {
    type Typed = M;

    const IS_DURABLE: bool = false;

    fn is_quick(&self) -> bool {
        Machine::is_quick(self)
    }

    fn into_state_machine(self) -> io::Result<impl StateMachine> {
        Sessions::new(in_bytes(self)).map_err(io::Error::other)
    }
}

/// A state machine as a node drives it, without sessions, for whoever has something of their own around it.
pub fn in_bytes(machine: impl Machine) -> impl StateMachine {
    Hosted(machine)
}

/// A snapshot of `state`, as MessagePack.
///
/// # Errors
///
/// Serde cannot write it.
pub fn snapshot_of(state: &impl Serialize) -> io::Result<SnapshotReader> {
    let bytes = rmp_serde::to_vec_named(state).map_err(io::Error::other)?;
    Ok(Box::pin(io::Cursor::new(bytes)))
}

/// The state of which [`snapshot_of`] made this snapshot.
///
/// # Errors
///
/// The bytes are of no such state, or could not be read.
pub async fn state_of<T: DeserializeOwned>(mut snapshot: SnapshotReader) -> io::Result<T> {
    let mut bytes = Vec::new();
    snapshot.read_to_end(&mut bytes).await?;
    rmp_serde::from_slice(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// The state machine as a node drives it: in bytes.
struct Hosted<M>(M);

#[async_trait]
impl<M: Machine> StateMachine for Hosted<M> {
    async fn apply(&mut self, index: LogIndex, command: Bytes) -> Bytes {
        match M::Command::decode(command) {
            // An answer that cannot be written is none that anybody can read, and the client is told so.
            Ok(command) => self.0.apply(index, command).encode().unwrap_or_default(),
            // Nothing gets here that this version does not know, but what a later one proposed: whoever skipped it would
            // not be the same state machine any more.
            Err(error) => {
                panic!("the command of entry {index} is of another version than this server: {error}")
            }
        }
    }

    async fn query(&mut self, query: Bytes) -> Bytes {
        let reply = M::Query::decode(query).and_then(|query| self.0.query(query).encode());
        reply.unwrap_or_default()
    }

    async fn snapshot(&mut self) -> io::Result<SnapshotReader> {
        self.0.snapshot()
    }

    async fn restore(&mut self, snapshot: SnapshotReader) -> io::Result<()> {
        self.0.restore(snapshot).await
    }
}

/// What is let in, from clients over the network and from this process: whatever else got into the log would stop every server.
/// Not all that can be written as bytes can be read again.
pub(super) const fn known<M: Typed>() -> Known {
    Known { command: is_command::<M>, query: |query| M::Query::decode(query.clone()).is_ok() }
}

fn is_command<M: Typed>(request: &Bytes) -> bool {
    Request::decode(request.clone()).is_some_and(|request| {
        request.command().is_none_or(|command| M::Command::decode(command.clone()).is_ok())
    })
}
