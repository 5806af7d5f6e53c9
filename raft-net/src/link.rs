//! The seam where a test harness does to messages what a bad network does.
//!
//! A fault is decided for each frame between two servers, above the socket, so that it means the same
//! on every network; clients' frames are never touched. Which faults there are, and when, is not here.

use std::time::Duration;

use raft_core::{Envelope, NodeId};

/// What happens to a frame on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It arrives, not before `delay` has gone by. Frames of one connection stay in order: a short
    /// delay behind a long one waits for it.
    Deliver {
        /// How long it takes, on top of what the network itself takes.
        delay: Duration,
    },
    /// It arrives, but not as it was sent, or not when, or not once.
    Bent(Bent),
    /// It stays where it is for as long as [`Links::holds`] says so; then its fate is asked again. What
    /// comes behind it may overtake it.
    Held,
    /// It is lost, and nobody is told.
    Drop,
    /// It is lost, and the connection with it: both ends are told.
    Reset,
}

/// What happens to a frame that arrives, but not as it was sent, or not when, or not once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Bent {
    /// How long it takes, on top of what the network itself takes.
    pub delay: Duration,
    /// It takes that much longer, and what comes behind it overtakes it.
    pub overtaken: Option<Duration>,
    /// It arrives once more, that much later, and what comes behind it may overtake it.
    pub again: Option<Duration>,
    /// A bit of it is wrong: the one of this number, counted round and round.
    pub flipped: Option<u64>,
}

/// The links between servers, each direction by itself.
///
/// A cut is silent: `fate` drops everything, nothing is reset, and a new connection hangs until its
/// deadline ([`PeersConfig::connect_timeout`]), because its hello is lost. Since a connection lives on
/// the pongs that come back, a cut of one direction ends the other one too, after
/// [`PeersConfig::silence`] or [`PeersConfig::idle`], as it would end any TCP connection. Whoever wants it to live on lets frames
/// of the kinds `hello` and `pong` through.
///
/// [`PeersConfig::connect_timeout`]: crate::PeersConfig::connect_timeout
/// [`PeersConfig::silence`]: crate::PeersConfig::silence
/// [`PeersConfig::idle`]: crate::PeersConfig::idle
pub trait Links: Clone + Send + Sync + 'static {
    /// What happens to a frame that `from` is about to send to `to`. `kind` is
    /// [`Frame::kind`](crate::Frame::kind), `bytes` the length of the whole frame.
    fn fate(&self, from: NodeId, to: NodeId, kind: &'static str, bytes: usize) -> Fate;

    /// Whether messages from `from` that have just come in at `to` are lost, because the link was cut
    /// while they were on their way.
    fn is_cut(&self, from: NodeId, to: NodeId) -> bool;

    /// Whether a frame of this kind whose fate was [`Fate::Held`] still stays where it is.
    fn holds(&self, _from: NodeId, _to: NodeId, _kind: &'static str) -> bool {
        false
    }

    /// Hears of a message whose fate is asked next, for those who draw diagrams.
    fn sends(&self, _envelope: &Envelope) {}

    /// Hears of a message that has come in, and whether it is lost, as [`is_cut`](Self::is_cut) has it.
    fn receives(&self, _envelope: &Envelope, _lost: bool) {}
}

/// Links without faults: production. Costs nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Whole;

impl Links for Whole {
    fn fate(&self, _from: NodeId, _to: NodeId, _kind: &'static str, _bytes: usize) -> Fate {
        Fate::Deliver { delay: Duration::ZERO }
    }

    fn is_cut(&self, _from: NodeId, _to: NodeId) -> bool {
        false
    }
}
