//! What clients send, as it stands in the log.
//!
//! The format (1), the kind, and then by kind; numbers have 8 bytes, little-endian:
//!
//! | kind | request | |
//! | --- | --- | --- |
//! | 1 | register | nothing |
//! | 2 | command | session, sequence, first unanswered, then the command |
//! | 3 | keep alive | session, first unanswered |
//! | 4 | unregister | session |
//! | 5 | limit | sessions, window, result bytes |
//! | 6 | plain | the command |

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

use super::table::Limits;
use super::wire::Reader;

/// The first byte of every request and every answer.
pub(super) const FORMAT: u8 = 1;

/// The most that a request has besides its command.
const NUMBERS_BYTES: usize = 2 + 3 * 8;

const REGISTER: u8 = 1;
const COMMAND: u8 = 2;
const KEEP_ALIVE: u8 = 3;
const UNREGISTER: u8 = 4;
const LIMIT: u8 = 5;
const PLAIN: u8 = 6;

/// A session: the index of the entry that registered it, which is of no other (thesis 6.3, Figure 6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(u64);

impl SessionId {
    /// The session with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number of this session.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session {}", self.0)
    }
}

/// What a client asks of a state machine with sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// A session, please. Sent again it is another session; the first one is never used, and goes in time.
    Register,
    /// Apply this command, unless that was done.
    Command {
        /// The client's session.
        session: SessionId,
        /// The number of the command in it, from 1. Whoever sends it again sends it under the same.
        sequence: u64,
        /// The lowest number of the session for which the client has no answer yet: results below it are not needed any more.
        first_unanswered: u64,
        /// For the state machine.
        command: Bytes,
    },
    /// Nothing, but that the session is used.
    KeepAlive {
        /// The client's session.
        session: SessionId,
        /// As with a command.
        first_unanswered: u64,
    },
    /// The session is needed no more.
    Unregister {
        /// The client's session.
        session: SessionId,
    },
    /// From now on these are the limits of the table. An operator's act: it may expire sessions.
    Limit(Limits),
    /// Apply this command, in no session: each time that it is in the log, as without sessions.
    Plain {
        /// For the state machine.
        command: Bytes,
    },
}

impl Request {
    /// What is for the state machine, if anything is.
    pub const fn command(&self) -> Option<&Bytes> {
        match self {
            Self::Command { command, .. } | Self::Plain { command } => Some(command),
            Self::Register | Self::KeepAlive { .. } | Self::Unregister { .. } | Self::Limit(_) => None,
        }
    }

    /// As bytes, to be proposed.
    pub fn encode(&self) -> Bytes {
        let command_bytes = self.command().map_or(0, Bytes::len);
        let mut out = BytesMut::with_capacity(NUMBERS_BYTES + command_bytes);
        out.put_u8(FORMAT);
        match self {
            Self::Register => out.put_u8(REGISTER),
            Self::Command { session, sequence, first_unanswered, command } => {
                out.put_u8(COMMAND);
                out.put_u64_le(session.0);
                out.put_u64_le(*sequence);
                out.put_u64_le(*first_unanswered);
                out.extend_from_slice(command);
            }
            Self::KeepAlive { session, first_unanswered } => {
                out.put_u8(KEEP_ALIVE);
                out.put_u64_le(session.0);
                out.put_u64_le(*first_unanswered);
            }
            Self::Unregister { session } => {
                out.put_u8(UNREGISTER);
                out.put_u64_le(session.0);
            }
            Self::Limit(limits) => {
                out.put_u8(LIMIT);
                limits.write(&mut out);
            }
            Self::Plain { command } => {
                out.put_u8(PLAIN);
                out.extend_from_slice(command);
            }
        }
        out.freeze()
    }

    /// From bytes; none if no request is written so. A command shares them.
    pub fn decode(bytes: Bytes) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        if reader.byte()? != FORMAT {
            return None;
        }
        match reader.byte()? {
            REGISTER => reader.end(Self::Register),
            COMMAND => {
                let session = SessionId(reader.number()?);
                let (sequence, first_unanswered) = (reader.number()?, reader.number()?);
                Some(Self::Command { session, sequence, first_unanswered, command: reader.rest() })
            }
            KEEP_ALIVE => {
                let (session, first_unanswered) = (SessionId(reader.number()?), reader.number()?);
                reader.end(Self::KeepAlive { session, first_unanswered })
            }
            UNREGISTER => {
                let session = SessionId(reader.number()?);
                reader.end(Self::Unregister { session })
            }
            LIMIT => {
                let limits = Limits::read(&mut reader)?;
                reader.end(Self::Limit(limits))
            }
            PLAIN => Some(Self::Plain { command: reader.rest() }),
            _ => None,
        }
    }
}
