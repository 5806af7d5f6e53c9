//! What a client saw of an operation.

use raft_core::LogIndex;

use crate::data::Answer;
use crate::recorder;

/// What a client saw of an operation.
pub(super) enum Seen {
    Ok(Answer),
    /// Its time ran out, and it was certainly not applied.
    TimedOut,
    Unknown,
}

impl Seen {
    /// What came of it, where nobody knows unless there is an answer.
    pub(super) fn of(answer: Option<Answer>) -> Self {
        answer.map_or(Self::Unknown, Self::Ok)
    }

    pub(super) const fn answer(&self) -> Option<&Answer> {
        match self {
            Self::Ok(answer) => Some(answer),
            Self::TimedOut | Self::Unknown => None,
        }
    }

    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Ok(_) => "ok",
            Self::TimedOut | Self::Unknown => "info",
        }
    }

    pub(super) fn outcome(self) -> (recorder::Outcome, Option<LogIndex>) {
        match self {
            Self::Ok(Answer { index, reply }) => (recorder::Outcome::Ok(reply), Some(index)),
            Self::TimedOut => (recorder::Outcome::TimedOut, None),
            Self::Unknown => (recorder::Outcome::Info, None),
        }
    }
}
