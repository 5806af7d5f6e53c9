//! Why a connection, a frame or a request came to nothing.

use std::{fmt, io};

use raft_core::LogIndex;

use crate::frame::{COMMAND_BYTES_MAX, FRAME_BYTES_MAX, FRAME_VERSION};
use crate::identity::Insecure;

/// Why a connection, a frame or a request came to nothing. Whoever meets one drops the connection;
/// none of them says anything about messages that were sent before.
#[derive(Debug)]
pub enum NetError {
    /// The operating system, or the simulated network, refused.
    Io(io::Error),
    /// The other side closed the connection.
    Closed,
    /// A step was not done by its deadline.
    Deadline {
        /// Which step.
        step: &'static str,
    },
    /// The connection ended inside a frame.
    Torn {
        /// How many bytes of the frame had come.
        bytes: usize,
    },
    /// A frame is longer than [`FRAME_BYTES_MAX`].
    FrameTooLong {
        /// Its length, or what it claims to be.
        bytes: usize,
    },
    /// A command is longer than [`COMMAND_BYTES_MAX`]. Nothing was sent.
    CommandTooLong {
        /// Its length.
        bytes: usize,
    },
    /// A frame of another version of the format.
    Version {
        /// The version it names.
        found: u8,
    },
    /// A frame of a kind that does not exist.
    UnknownKind {
        /// The number of the kind.
        kind: u8,
    },
    /// A frame is not what was sent.
    ChecksumMismatch,
    /// The bytes of a frame do not make sense, although their checksum matches.
    Malformed {
        /// The kind of the frame.
        frame: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// An entry is not what its leader made.
    EntryDamaged {
        /// Its place in the log.
        index: LogIndex,
    },
    /// A piece of a snapshot is not what its maker made.
    ChunkDamaged {
        /// Where in the snapshot it begins, in bytes.
        offset: u64,
    },
    /// A frame that does not belong at this place of the conversation.
    Unexpected {
        /// Its kind.
        frame: &'static str,
    },
    /// One end has not proved who it is, or not to the other's satisfaction.
    Insecure {
        /// Why, in words.
        reason: String,
    },
    /// One side does not want the other.
    Refused {
        /// Why, in words.
        reason: String,
    },
}

impl NetError {
    /// Whether it was what came in that cannot be accepted, rather than that nothing came.
    pub(crate) const fn is_about_bytes(&self) -> bool {
        match self {
            Self::Torn { .. }
            | Self::FrameTooLong { .. }
            | Self::Version { .. }
            | Self::UnknownKind { .. }
            | Self::ChecksumMismatch
            | Self::Malformed { .. }
            | Self::EntryDamaged { .. }
            | Self::ChunkDamaged { .. }
            | Self::Unexpected { .. } => true,
            Self::Io(_)
            | Self::Closed
            | Self::Deadline { .. }
            | Self::CommandTooLong { .. }
            | Self::Insecure { .. }
            | Self::Refused { .. } => false,
        }
    }
}

impl fmt::Display for NetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "connection: {error}"),
            Self::Closed => write!(f, "connection: closed by the other side; dial again"),
            Self::Deadline { step } => write!(f, "connection: no {step} in time; dial again"),
            Self::Torn { bytes } => write!(f, "frame: the connection ended after {bytes} bytes of it"),
            Self::FrameTooLong { bytes } => {
                write!(f, "frame: {bytes} bytes are too long; at most {FRAME_BYTES_MAX} go into one")
            }
            Self::CommandTooLong { bytes } => {
                write!(
                    f,
                    "command: {bytes} bytes are too long; split it, at most {COMMAND_BYTES_MAX} go into one"
                )
            }
            Self::Version { found } => {
                write!(
                    f,
                    "frame: version {found} is not known here; run servers that speak version {FRAME_VERSION}"
                )
            }
            Self::UnknownKind { kind } => {
                write!(f, "frame: there is no kind {kind}; run servers of one version")
            }
            Self::ChecksumMismatch => write!(f, "frame: the bytes do not match their checksum"),
            Self::Malformed { frame, why } => write!(f, "frame: {frame} makes no sense: {why}"),
            Self::EntryDamaged { index } => {
                write!(f, "entry {index}: the bytes do not match the checksum that its leader gave it")
            }
            Self::ChunkDamaged { offset } => {
                write!(
                    f,
                    "snapshot piece at byte {offset}: the bytes do not match the checksum that its maker gave it"
                )
            }
            Self::Unexpected { frame } => write!(f, "frame: {frame} does not belong here"),
            Self::Insecure { reason } => write!(f, "TLS: {reason}"),
            Self::Refused { reason } => write!(f, "handshake: refused: {reason}"),
        }
    }
}

impl std::error::Error for NetError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        if let Self::Io(error) = self { Some(error) } else { None }
    }
}

impl From<io::Error> for NetError {
    fn from(error: io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Insecure>()) {
            Some(Insecure(reason)) => Self::Insecure { reason: reason.clone() },
            None => Self::Io(error),
        }
    }
}
