//! What becomes of commands and queries: an answer, or one of two other things.

use std::error::Error;
use std::fmt;

use bytes::Bytes;

use super::coded::{CodecError, Coded};
use crate::node::{Outcome, Refusal};
use crate::sessions::{Answer, CommandError, RegisterError};

/// What became of a command that has no answer. With the answer there are three ends, and no fourth.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a command may not have been applied"]
pub enum Failed {
    /// The command was not applied and never will be. It may be proposed again.
    NotApplied(Why),
    /// The command may have been applied, or may yet be. To propose it again may apply it twice: in a
    /// [session](super::Session) too, where it would be another command. A session has already repeated it.
    Unknown(Why),
}

/// Why there is no answer. That alone says nothing of whether a command was applied: [`Failed`] does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The server refused.
    Refused(Refusal),
    /// What was to be asked cannot be written as bytes.
    Unwritable(CodecError),
    /// The state machine answered, and its bytes are not the answer that was expected.
    Unreadable(CodecError),
    /// No server answered in time, or the server stopped first.
    NoAnswer,
    /// As many commands of the session as the servers allow are under way: wait for one.
    TooManyUnderWay,
    /// The session has expired: a new one has to be registered.
    SessionExpired,
    /// What answered is none of the cluster's state machines.
    Stranger,
}

const NO_ANSWER: &str = "no server answered in time";

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotApplied(why) => write!(f, "not applied: {why}"),
            Self::Unknown(why) => {
                write!(f, "applied or not, nobody knows: ")?;
                // Nobody is to be told to try again.
                if *why == Why::NoAnswer {
                    write!(f, "{NO_ANSWER}")?;
                } else {
                    write!(f, "{why}")?;
                }
                write!(f, "; proposing it again may apply it twice")
            }
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Unwritable(error) => write!(f, "what was asked cannot be written: {error}"),
            Self::Unreadable(error) => write!(f, "the answer cannot be read: {error}"),
            Self::NoAnswer => write!(f, "{NO_ANSWER}: try again"),
            Self::TooManyUnderWay => {
                write!(f, "too many commands of the session are under way: wait for one")
            }
            Self::SessionExpired => write!(f, "the session has expired: register anew"),
            Self::Stranger => {
                write!(f, "what answered is no state machine of this cluster: correct the address")
            }
        }
    }
}

impl Error for Failed {}
impl Error for Why {}

impl From<CommandError> for Failed {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::TooManyUnderWay => Self::NotApplied(Why::TooManyUnderWay),
            CommandError::NotApplied => Self::NotApplied(Why::NoAnswer),
            CommandError::Unknown => Self::Unknown(Why::NoAnswer),
            CommandError::SessionExpired { maybe_applied: false } => Self::NotApplied(Why::SessionExpired),
            CommandError::SessionExpired { maybe_applied: true } => Self::Unknown(Why::SessionExpired),
            CommandError::NoSessions => Self::Unknown(Why::Stranger),
        }
    }
}

impl From<RegisterError> for Why {
    fn from(error: RegisterError) -> Self {
        match error {
            RegisterError::NoAnswer => Self::NoAnswer,
            RegisterError::NoSessions => Self::Stranger,
        }
    }
}

/// The answer to a command of no session, of what a node says became of it.
pub(super) fn of_outcome<A: Coded>(outcome: Outcome) -> Result<A, Failed> {
    match outcome {
        Outcome::Applied { answer, .. } => of_bytes(answer),
        Outcome::NotApplied(refusal) => Err(Failed::NotApplied(Why::Refused(refusal))),
        Outcome::Unknown => Err(Failed::Unknown(Why::NoAnswer)),
    }
}

/// The answer to a command of no session, of the bytes of a state machine with sessions.
pub(super) fn of_bytes<A: Coded>(answer: Bytes) -> Result<A, Failed> {
    if let Some(Answer::Applied(result)) = Answer::decode(answer) {
        A::decode(result).map_err(|error| Failed::Unknown(Why::Unreadable(error)))
    } else {
        Err(Failed::Unknown(Why::Stranger))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each row: what became of a command, and what whoever proposed it is told to do.
    #[test]
    fn who_may_try_again_is_told_so_and_nobody_else() {
        for (failed, said) in [
            (Failed::NotApplied(Why::NoAnswer), "not applied: no server answered in time: try again"),
            (
                Failed::Unknown(Why::NoAnswer),
                "applied or not, nobody knows: no server answered in time; proposing it again may apply it twice",
            ),
            (
                Failed::Unknown(Why::SessionExpired),
                "applied or not, nobody knows: the session has expired: register anew; proposing it again may apply \
                 it twice",
            ),
        ] {
            assert_eq!(failed.to_string(), said);
        }
    }
}
