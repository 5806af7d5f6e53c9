//! What clients are answered.
//!
//! The format (1), the kind, and then by kind; numbers have 8 bytes, little-endian:
//!
//! | kind | answer | |
//! | --- | --- | --- |
//! | 1 | registered | session, window |
//! | 2 | applied | the result |
//! | 3 | repeated | the result |
//! | 4 | kept alive, 5 unregistered, 6 limited | nothing |
//! | 7 | session expired, 8 sequence forgotten, 9 too far ahead, 10 malformed | nothing |

use bytes::{BufMut, Bytes, BytesMut};

use super::request::{FORMAT, SessionId};
use super::wire::Reader;

const REGISTERED: u8 = 1;
const APPLIED: u8 = 2;
const REPEATED: u8 = 3;
const KEPT_ALIVE: u8 = 4;
const UNREGISTERED: u8 = 5;
const LIMITED: u8 = 6;
const SESSION_EXPIRED: u8 = 7;
const SEQUENCE_FORGOTTEN: u8 = 8;
const TOO_FAR_AHEAD: u8 = 9;
const MALFORMED: u8 = 10;

/// What became of a [`Request`](super::Request) that was committed. Only [`Answer::Applied`] changed the state machine.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a command may not have been applied"]
pub enum Answer {
    /// To a registration: this is the session.
    Registered {
        /// Its id.
        session: SessionId,
        /// A number this far above the lowest unanswered one, or farther, is [`Answer::TooFarAhead`].
        window: u64,
    },
    /// The command was applied just now; this is its result.
    Applied(Bytes),
    /// The command had been applied before, and was not again; this is the result that it had then.
    Repeated(Bytes),
    /// The session goes on.
    KeptAlive,
    /// The session is over.
    Unregistered,
    /// The limits are the new ones.
    Limited,
    /// There is no such session, or no longer. The command was not applied now, and never will be in this session;
    /// whether it was before, nobody knows.
    SessionExpired,
    /// The client has said that it has the answer to this number, or gave it up. The command was not applied now.
    SequenceForgotten,
    /// The command was not applied: too many lower numbers are without an answer. Later it may be.
    TooFarAhead,
    /// Nothing was applied: these bytes are no request that this version knows.
    Malformed,
}

impl Answer {
    /// As bytes, which a state machine answers.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(64);
        out.put_u8(FORMAT);
        out.put_u8(self.kind());
        match self {
            Self::Registered { session, window } => {
                out.put_u64_le(session.get());
                out.put_u64_le(*window);
            }
            Self::Applied(result) | Self::Repeated(result) => out.extend_from_slice(result),
            Self::KeptAlive
            | Self::Unregistered
            | Self::Limited
            | Self::SessionExpired
            | Self::SequenceForgotten
            | Self::TooFarAhead
            | Self::Malformed => {}
        }
        out.freeze()
    }

    const fn kind(&self) -> u8 {
        match self {
            Self::Registered { .. } => REGISTERED,
            Self::Applied(_) => APPLIED,
            Self::Repeated(_) => REPEATED,
            Self::KeptAlive => KEPT_ALIVE,
            Self::Unregistered => UNREGISTERED,
            Self::Limited => LIMITED,
            Self::SessionExpired => SESSION_EXPIRED,
            Self::SequenceForgotten => SEQUENCE_FORGOTTEN,
            Self::TooFarAhead => TOO_FAR_AHEAD,
            Self::Malformed => MALFORMED,
        }
    }

    /// From bytes; none if no answer is written so.
    pub fn decode(bytes: Bytes) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        if reader.byte()? != FORMAT {
            return None;
        }
        match reader.byte()? {
            REGISTERED => {
                let (session, window) = (SessionId::new(reader.number()?), reader.number()?);
                reader.end(Self::Registered { session, window })
            }
            APPLIED => Some(Self::Applied(reader.rest())),
            REPEATED => Some(Self::Repeated(reader.rest())),
            KEPT_ALIVE => reader.end(Self::KeptAlive),
            UNREGISTERED => reader.end(Self::Unregistered),
            LIMITED => reader.end(Self::Limited),
            SESSION_EXPIRED => reader.end(Self::SessionExpired),
            SEQUENCE_FORGOTTEN => reader.end(Self::SequenceForgotten),
            TOO_FAR_AHEAD => reader.end(Self::TooFarAhead),
            MALFORMED => reader.end(Self::Malformed),
            _ => None,
        }
    }
}
