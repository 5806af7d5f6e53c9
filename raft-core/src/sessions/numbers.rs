//! A client's end of a session, as a value: which number a command has, and which are without an answer.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::request::{Request, SessionId};

/// The numbers of a client's commands in its session.
///
/// ```
/// use raft_core::sessions::{Numbers, Request, SessionId};
///
/// let mut numbers = Numbers::new(SessionId::new(7), 128);
/// let (first, second) = (numbers.take().unwrap(), numbers.take().unwrap());
/// // Both may be sent, any number of times and in any order. Here the answer to the second has come:
/// numbers.answered(second);
/// let Request::Command { sequence, first_unanswered, .. } = numbers.request(first, "x".into()) else { panic!() };
/// assert_eq!((sequence, first_unanswered), (1, 1));
/// numbers.answered(first);
/// assert_eq!(numbers.first_unanswered(), 3);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbers {
    session: SessionId,
    window: u64,
    next: u64,
    unanswered: BTreeSet<u64>,
}

impl Numbers {
    /// Those of a session that was just registered, with the window that the registration was answered with.
    pub const fn new(session: SessionId, window: u64) -> Self {
        Self { session, window, next: 1, unanswered: BTreeSet::new() }
    }

    /// The session.
    pub const fn session(&self) -> SessionId {
        self.session
    }

    /// A number for a command that was never sent. None if the servers would refuse it as too far ahead: then an answer
    /// has to come first.
    pub fn take(&mut self) -> Option<u64> {
        let sequence = self.next;
        if sequence - self.first_unanswered() >= self.window {
            return None;
        }
        self.next += 1;
        self.unanswered.insert(sequence);
        Some(sequence)
    }

    /// The command under this number, to be sent for the first time or again.
    pub fn request(&self, sequence: u64, command: Bytes) -> Request {
        let first_unanswered = self.first_unanswered();
        Request::Command { session: self.session, sequence, first_unanswered, command }
    }

    /// The session is to be used without a command.
    pub fn keep_alive(&self) -> Request {
        Request::KeepAlive { session: self.session, first_unanswered: self.first_unanswered() }
    }

    /// This number has its answer, or is given up: once a later command or keep-alive has been applied that was made while no
    /// lower number was without an answer, this one never is.
    pub fn answered(&mut self, sequence: u64) {
        self.unanswered.remove(&sequence);
    }

    /// The lowest number without an answer.
    pub fn first_unanswered(&self) -> u64 {
        self.unanswered.first().copied().unwrap_or(self.next)
    }
}
