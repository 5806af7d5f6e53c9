//! Figure 2, box "State" (stub).
use crate::entry::Entry;
use crate::types::{NodeId, Term};

/// What a server keeps on stable storage beside its log (Figure 2, persistent state).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct HardState {
    /// The latest term this server has seen.
    pub current_term: Term,
    /// The candidate that got this server's vote in that term.
    pub voted_for: Option<NodeId>,
}

/// What a server finds on its disk when it starts. Of a new server: the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Term and vote.
    pub hard_state: HardState,
    /// The log, from its first entry on, without gaps.
    pub entries: Vec<Entry>,
}
