//! What is going to happen in a world, by the moment at which it does.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use raft_core::{Envelope, NodeId};

/// A millisecond, in the nanoseconds that the world counts.
pub(super) const MS: u64 = 1_000_000;

/// What happens.
#[derive(Debug)]
pub(super) enum Happening {
    /// A message arrives.
    Arrives(Envelope),
    /// A server's deadline may have come.
    Wakes(NodeId),
    /// A server goes on that was held fast.
    Resumes(NodeId),
    /// A write is durable, or several are.
    Durable(NodeId),
    /// What was to be read from disk is known.
    Loaded(NodeId),
    /// A state machine has the next piece of a snapshot.
    Piece(NodeId),
    /// A client has a command.
    Command,
    /// A client reads.
    Read,
    /// Something may go wrong.
    Fault,
    /// Somebody is asked to change who votes.
    Change,
    /// Somebody is asked to let another lead.
    Transfer,
}

/// First what is due first; of two at the same moment, what was put in first.
#[derive(Debug, Default)]
pub(super) struct Queue {
    heap: BinaryHeap<Due>,
    put: u64,
}

#[derive(Debug)]
struct Due {
    at: u64,
    number: u64,
    happening: Happening,
}

impl Queue {
    pub(super) fn put(&mut self, at: u64, happening: Happening) {
        self.put += 1;
        self.heap.push(Due { at, number: self.put, happening });
    }

    /// The next that happens before `end`.
    pub(super) fn next_before(&mut self, end: u64) -> Option<(u64, Happening)> {
        let is_due = self.heap.peek().is_some_and(|due| due.at < end);
        if is_due { self.heap.pop().map(|due| (due.at, due.happening)) } else { None }
    }
}

impl Ord for Due {
    /// The heap gives the greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Due {}
