//! In which form servers take what clients ask, and answer it.

use bytes::Bytes;
use raft_core::server::Coded;
use raft_core::sessions::{Answer as SessionAnswer, Request};

use crate::data::{self, Answer, Command};
use crate::node;

/// The form of commands, queries and answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As a [`Seat`](super::Seat) has them: with sessions only where the plan has some.
    Bare,
    /// As a node has them, which always has sessions.
    Node,
}

impl Form {
    /// What is put into the log, in a session of the client or in none.
    pub(super) fn command(self, command: Command, in_session: bool) -> Bytes {
        match self {
            Self::Bare => data::encode(&command),
            Self::Node => {
                let command = written(&node::Command::Data(command));
                if in_session { command } else { Request::Plain { command }.encode() }
            }
        }
    }

    /// What is answered beside the log.
    pub(super) fn query(self, query: &Command) -> Bytes {
        match self {
            Self::Bare => data::encode(query),
            Self::Node => written(query),
        }
    }

    /// The answer to what was put into the log in no session; none if it is none.
    pub(super) fn answer(self, answer: Bytes) -> Option<Answer> {
        let answer = match self {
            Self::Bare => answer,
            Self::Node => match SessionAnswer::decode(answer)? {
                SessionAnswer::Applied(answer) => answer,
                SessionAnswer::Registered { .. }
                | SessionAnswer::Repeated(_)
                | SessionAnswer::KeptAlive
                | SessionAnswer::Unregistered
                | SessionAnswer::Limited
                | SessionAnswer::SessionExpired
                | SessionAnswer::SequenceForgotten
                | SessionAnswer::TooFarAhead
                | SessionAnswer::Malformed => return None,
            },
        };
        data::decode(&answer).ok()
    }
}

fn written(value: &impl Coded) -> Bytes {
    value.encode().expect("what clients ask is plain data")
}
