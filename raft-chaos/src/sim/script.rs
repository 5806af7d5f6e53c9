//! `schedule.jsonl`: every firing of a run as it was, to be fired once more whatever the servers do.

use std::collections::VecDeque;

use raft_core::{NodeId, Time};
use serde::{Deserialize, Serialize};

use crate::plan::Drawn;

/// One firing. What else it does, its event says, and what that draws from the seed alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fired {
    /// The event or the chaos, by its name in the plan.
    pub event: String,
    /// Which firing of it, from 1.
    pub nth: u64,
    /// When, in nanoseconds of virtual time.
    pub time_ns: u64,
    /// Where its trigger happened.
    pub trigger: Option<NodeId>,
    /// Whom it met.
    pub target: Vec<NodeId>,
    /// The directions that it met, from and to.
    pub cut: Vec<(NodeId, NodeId)>,
}

impl Fired {
    /// Whom and what it met.
    pub(super) fn aim(&self) -> Drawn {
        Drawn { target: self.target.clone(), cut: self.cut.iter().copied().collect() }
    }
}

/// What is left of a recorded schedule.
pub(super) struct Script(VecDeque<Fired>);

impl Script {
    pub(super) fn new(fired: Vec<Fired>) -> Self {
        Self(fired.into())
    }

    /// What fired by now, in its order; first, by itself, what fired over moments inside servers.
    pub(super) fn due(&mut self, now: Time, over_moments: bool) -> Vec<Fired> {
        let is_due =
            |fired: &&Fired| fired.time_ns <= now.as_nanos() && (fired.trigger.is_some() || !over_moments);
        let count = self.0.iter().take_while(is_due).count();
        self.0.drain(..count).collect()
    }
}
