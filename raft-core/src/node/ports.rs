//! The four things a node needs from outside: a log store, a transport, a state machine, and an
//! environment that has the time.

use std::error::Error;
use std::future::{Future, ready};
use std::io;
use std::pin::Pin;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::io::AsyncRead;

use crate::effects::Batch;
use crate::event::Event;
use crate::message::Envelope;
use crate::snapshot::{Load, Loaded};
use crate::state::Raft;
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

    /// Takes a request to read and returns at once. It is answered with what is there after all batches
    /// given before it, durable or not.
    fn load(&mut self, load: Load);

    /// Waits for the next thing that is done. Requests to read are answered in the order in which they
    /// were given, and batches become durable in theirs; of the two kinds either may come first.
    ///
    /// With nothing to wait for it waits for ever. Cancel safe: what one call did not live to tell,
    /// the next one tells.
    ///
    /// # Errors
    ///
    /// The disk refused, or what it holds is damaged. What was being written may or may not be there, and
    /// nothing more will be.
    async fn done(&mut self) -> Result<Done, Self::Error>;
}

/// What a log store has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// So many more batches are durable, at least one, in the order given: a power cut cannot undo them.
    Persisted(usize),
    /// The answer to the first request to read that has not been answered.
    Loaded(Loaded),
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

    /// Answers a query from the state as it is now, which has all that was committed when the query was asked
    /// ([`Handle::read`](super::Handle::read)). Must change nothing that `apply` and `snapshot` would show. What
    /// is to be applied waits meanwhile.
    async fn query(&mut self, query: Bytes) -> Bytes;

    /// The state as it is now, to be read at leisure: what is applied meanwhile must not show in it. Nothing
    /// is applied until this returns, so it should do no more than it takes to hold the state fast (a
    /// copy, a checkpoint); the reading goes on beside the node's work.
    ///
    /// # Errors
    ///
    /// There can be no snapshot now. The node goes on, keeps its log, and asks again later.
    async fn snapshot(&mut self) -> io::Result<SnapshotReader>;

    /// Becomes what [`snapshot`](Self::snapshot) of this or another server wrote, whatever it was before.
    /// Reads to the end. Nothing else of the node waits for it.
    ///
    /// # Errors
    ///
    /// The bytes are not what `snapshot` writes, or the state could not be stored: the node stops. What the
    /// reader itself fails with is to be passed on.
    async fn restore(&mut self, snapshot: SnapshotReader) -> io::Result<()>;

    /// Of a state machine that keeps its state through a crash (see
    /// [`Config::durable_state_machine`](crate::Config::durable_state_machine)): the last entry that it has
    /// applied. Asked once, when the node is made. Nothing of that is applied again.
    fn durable_applied(&self) -> LogIndex {
        LogIndex::ZERO
    }
}

/// The bytes of a snapshot.
pub type SnapshotReader = Pin<Box<dyn AsyncRead + Send>>;

/// The world's clock, and the places where a simulation can halt a node.
///
/// Production takes [`SystemEnvironment`](super::SystemEnvironment). A simulation drifts, jumps and
/// pauses here; the transport waits through the same environment.
pub trait Environment: Clone + Send + Sync + 'static {
    /// The moment it is. Never goes back, and does not stand still while others go on: a leader's lease is judged by
    /// it ([`Config::read_lease_ppm`](crate::Config::read_lease_ppm)), after the read has come in.
    fn now(&self) -> Time;

    /// Waits until `deadline` has come.
    fn sleep_until(&self, deadline: Time) -> impl Future<Output = ()> + Send;

    /// Says that the node has got to `point`, and waits there while the environment wants it to.
    fn point(&self, point: Point) -> impl Future<Output = ()> + Send;

    /// Lets others run who can, before a node goes on that has been asked for something while it has more to do, and before
    /// a client's connection is written to: what they ask for then shares a write and a message. A simulation has nothing to
    /// gain by it.
    fn gather(&self) -> impl Future<Output = ()> + Send {
        ready(())
    }

    /// Hears what happened inside the server, in order, before anything of it is carried out. Nothing
    /// is heard unless [`Config::observe`](crate::Config::observe) is set.
    fn observe(&self, _event: &Event) {}

    /// Hears of a message that the server takes in now, and what the server was before.
    fn receives(&self, _raft: &Raft, _envelope: &Envelope) {}
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
    /// The state machine is about to be given work: entries, a snapshot to become or to take, queries.
    BeforeApply,
    /// The transport has received a message and is about to hand it to the node.
    Received,
    /// The transport is about to write a frame to a connection.
    BeforeFrame,
}
