//! An invariant that does not hold.

use std::fmt;

use raft_core::{NodeId, Time};

/// An invariant that was broken.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    pub(super) at: Time,
    /// Its name in a plan.
    pub(crate) property: &'static str,
    pub(super) nodes: Vec<NodeId>,
    pub(super) what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} broken on", self.property)?;
        self.nodes.iter().try_for_each(|node| write!(f, " {node}"))?;
        write!(f, ": {}", self.what)
    }
}
