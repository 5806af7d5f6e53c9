//! The four things a node needs from outside: a log store, a transport, a state machine, and an
//! environment that has the time.

use std::error::Error;
use std::future::Future;

use async_trait::async_trait;
use bytes::Bytes;

use crate::effects::Batch;
use crate::event::Event;
use crate::message::Envelope;
use crate::types::{LogIndex, Time};

/// Where hard state and log are kept.
#[async_trait]
pub trait LogStore: Send + 'static {
    /// Why the store can no longer be used. There is no retry: after a failed write nobody knows
    /// what the disk holds, and the node stops.
    type Error: Error + Send + Sync + 'static;

    /// Takes a batch and returns at once. Batches become durable in the order in which they were
    /// given, each of them whole or not at all.
    fn write(&mut self, batch: Batch);

    /// Waits until at least one more of the batches given is durable, and says how many are, in the
    /// order given, that it has not yet told of. "Durable" means that a power cut cannot undo it.
    ///
    /// With nothing to wait for it waits for ever. Cancel safe: what one call did not live to tell,
    /// the next one tells.
    ///
    /// # Errors
    ///
    /// The disk refused. What was being written may or may not be there, and nothing more will be.
    async fn persisted(&mut self) -> Result<usize, Self::Error>;
}

/// The way to the other servers.
pub trait Transport: Send + 'static {
    /// Sends a message, or loses it. Never waits: where there is no room, the message is dropped.
    fn send(&mut self, envelope: Envelope);
}

/// What the cluster replicates.
#[async_trait]
pub trait StateMachine: Send + 'static {
    /// Applies a committed command and returns the answer for the client that proposed it. Must give
    /// the same result on every server.
    async fn apply(&mut self, index: LogIndex, command: Bytes) -> Bytes;
}

/// The world's clock, and the places where a simulation can halt a node.
///
/// Production takes [`TokioEnvironment`](super::TokioEnvironment). A simulation drifts, jumps and
/// pauses here; the transport waits through the same environment.
pub trait Environment: Clone + Send + Sync + 'static {
    /// The moment it is. Never goes back.
    fn now(&self) -> Time;

    /// Waits until `deadline` has come.
    fn sleep_until(&self, deadline: Time) -> impl Future<Output = ()> + Send;

    /// Says that the node has got to `point`, and waits there while the environment wants it to.
    fn point(&self, point: Point) -> impl Future<Output = ()> + Send;

    /// Hears what happened inside the server, in order, before anything of it is carried out. Nothing
    /// is heard unless [`Config::observe`](crate::Config::observe) is set.
    fn observe(&self, _event: &Event) {}
}

/// A place between two effects of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Point {
    /// Inputs were taken in; effects are about to be taken.
    Stepped,
    /// A batch is about to be given to the log store.
    BeforeWrite,
    /// A message is about to be given to the transport.
    BeforeSend,
    /// Entries are about to be applied.
    BeforeApply,
    /// The transport has received a message and is about to hand it to the node.
    Received,
    /// The transport is about to write a frame to a connection.
    BeforeFrame,
}
