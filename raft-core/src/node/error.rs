//! Why a node ends.

use std::error::Error;
use std::fmt;
use std::io;

use crate::effects::Violation;

/// Why a node stopped by itself.
#[derive(Debug)]
pub enum NodeError<E> {
    /// The store can no longer be used. What was not acknowledged may or may not be there.
    Store(E),
    /// The server contradicts what is committed or elected.
    Violation(Violation),
    /// The state machine panicked.
    StateMachine,
    /// The state machine could not become what a snapshot says (§7).
    Restore(io::Error),
}

impl<E: fmt::Display> fmt::Display for NodeError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => write!(f, "log store: {error}"),
            Self::Violation(violation) => write!(f, "raft: {violation}"),
            Self::StateMachine => write!(f, "state machine: it panicked while applying"),
            Self::Restore(error) => write!(f, "state machine: restoring a snapshot: {error}"),
        }
    }
}

impl<E: Error> Error for NodeError<E> {}
