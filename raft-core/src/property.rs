//! The properties that [`Figure3`](crate::figure3::Figure3) checks, by name.

use std::fmt;

use crate::types::NodeId;

/// A property that a Raft group must never break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Property {
    /// At most one leader a term.
    ElectionSafety,
    /// A leader never overwrites or deletes entries of its own log.
    LeaderAppendOnly,
    /// Two logs that share an entry are the same up to it.
    LogMatching,
    /// A committed entry is in the log of every leader of a later term.
    LeaderCompleteness,
    /// No two servers commit different entries at one index.
    StateMachine,
    /// What is committed is durable on a majority.
    DurableBeforeAck,
    /// One vote a term on each server.
    OneVote,
    /// Terms and commit indexes never go back.
    Monotonic,
    /// A server found the contradiction itself, and stopped.
    SelfCheck,
}

impl Property {
    /// The name that plans use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ElectionSafety => "election-safety",
            Self::LeaderAppendOnly => "leader-append-only",
            Self::LogMatching => "log-matching",
            Self::LeaderCompleteness => "leader-completeness",
            Self::StateMachine => "state-machine",
            Self::DurableBeforeAck => "durable-before-ack",
            Self::OneVote => "one-vote",
            Self::Monotonic => "monotonic",
            Self::SelfCheck => "self-check",
        }
    }
}

/// A broken property, and where it broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which.
    pub property: Property,
    /// The servers that contradict each other, or the one that contradicts itself.
    pub nodes: Vec<NodeId>,
    /// What happened, with terms and indexes.
    pub what: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} broken on", self.property.name())?;
        self.nodes.iter().try_for_each(|node| write!(f, " {node}"))?;
        write!(f, ": {}", self.what)
    }
}
