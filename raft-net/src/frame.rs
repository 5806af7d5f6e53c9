//! Frames: what goes over a connection, byte by byte, and how whole ones come off it again.
//!
//! What the headers of the kinds hold is in `header.rs` and `messages.rs`; who sends which frame when is
//! not here.

use std::fmt;

use bytes::{Buf, Bytes, BytesMut};
use raft_core::{ClusterId, Config, Envelope, Incarnation, NodeId};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadHalf, WriteHalf};

use crate::client::{Request, Response};
use crate::error::NetError;
use crate::header;
use crate::version::{Version, Versions};

// A frame. Numbers are little-endian; the header is MessagePack, see `header.rs`.
//
//     0          4          8          12        13     14
//     +----------+----------+----------+---------+------+----------------+------------------------+
//     | checksum |  length  |  header  | version | kind | header         | payloads               |
//     |          |          |  length  |         |      | (MessagePack)  | (one behind the other) |
//     +----------+----------+----------+---------+------+----------------+------------------------+
//                                                       |<------------- length ------------------>|
//                                                       |<-header length->|
//                |<------------------------ CRC32C over this ------------------------------------>|

/// Bytes of the fixed part of a frame.
pub const PREFIX_BYTES: usize = 14;

/// The longest frame, prefix and all. A frame that claims to be longer is refused before a byte of
/// it is read; one that would be longer is not sent.
pub const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The longest command or query of a client, in bytes. A server takes no longer command from whoever uses it in its own
/// process either.
pub const COMMAND_BYTES_MAX: usize = Config::COMMAND_BYTES_MAX;

// So that it fits into an AppendEntries together with everything else that may be in there.
const _: () = assert!(COMMAND_BYTES_MAX <= FRAME_BYTES_MAX / 2);

/// The version of the drawing above. Frames of another one are refused.
pub const FRAME_VERSION: u8 = 1;

/// The newest [`Version`] of the conversation: which frames and messages there are, and what they mean. A later one
/// leaves this one's bytes as they are.
pub const PROTOCOL_VERSION: u32 = 6;

/// How much is asked of a connection in one read, and how little room is left before it is asked of a
/// new buffer. A payload keeps the buffer that it was read into from being freed, so that is also
/// what one small payload may hold on to.
const READ_BYTES: usize = 64 * 1024;
const READ_BYTES_MIN: usize = 4 * 1024;

/// What goes over a connection.
///
/// | Number | Frame | From | Payloads |
/// | --- | --- | --- | --- |
/// | 1 | [`Hello`](Self::Hello) | both, first | |
/// | 2 | [`HelloRefused`](Self::HelloRefused) | who was dialled, instead of a hello | the reason |
/// | 3 | [`Ping`](Self::Ping) | the server that dialled | |
/// | 4 | [`Pong`](Self::Pong) | the server that was dialled | |
/// | 5 | [`Message`](Self::Message) | the server that dialled | commands of the entries, in order; the bytes of a piece of a snapshot |
/// | 6 | [`Request`](Self::Request) | a client | the command or query |
/// | 7 | [`Response`](Self::Response) | the server that a client dialled | the result or the reason |
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Who is there.
    Hello(Hello),
    /// The one who was dialled does not want the one who dialled.
    HelloRefused {
        /// Why, in words.
        reason: String,
    },
    /// Are you still there?
    Ping,
    /// Yes.
    Pong,
    /// A message between servers.
    Message(Envelope),
    /// A client wants something of the state machine. It may want more before it has an answer.
    Request(Request),
    /// What became of a request: whichever was done first.
    Response(Response),
}

/// Who is there: the first frame of each side, before anything else is read. The groups of a process
/// share its connections, so a group is named by each message and not here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The versions that the sender speaks.
    pub versions: Versions,
    /// The cluster of the sender.
    pub cluster: ClusterId,
    /// What the sender is.
    pub party: Party,
    /// The server that the sender thinks it talks to. A client may not know, and is not named in an answer.
    pub to: Option<NodeId>,
}

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Party {
    /// A client.
    Client,
    /// A server.
    Node {
        /// Which.
        id: NodeId,
        /// Which life of its data directory.
        incarnation: Incarnation,
    },
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client => write!(f, "the client"),
            Self::Node { id, .. } => id.fmt(f),
        }
    }
}

impl Party {
    /// The server; a client has no name.
    pub(crate) const fn id(self) -> Option<NodeId> {
        match self {
            Self::Client => None,
            Self::Node { id, .. } => Some(id),
        }
    }
}

impl Frame {
    /// The short name of this kind, as plans, traces and errors use it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Hello(_) => "hello",
            Self::HelloRefused { .. } => "hello-refused",
            Self::Ping => "ping",
            Self::Pong => "pong",
            Self::Message(envelope) => envelope.message.kind(),
            Self::Request(_) => "request",
            Self::Response(_) => "response",
        }
    }

    /// Appends this frame to `out`, in the newest version; many can be appended and go out in one write.
    ///
    /// # Errors
    ///
    /// [`NetError::FrameTooLong`]; `out` is then as it was.
    pub fn encode(&self, out: &mut BytesMut) -> Result<(), NetError> {
        self.encode_in(Version::NEWEST, out)
    }

    /// The same in `version`, as the other end of a connection knows it.
    ///
    /// # Errors
    ///
    /// As [`encode`](Self::encode).
    pub fn encode_in(&self, version: Version, out: &mut BytesMut) -> Result<(), NetError> {
        let start = out.len();
        let written = self.encode_unbounded(version, out);
        let bytes = out.len() - start;
        let result = match written {
            Ok(()) if bytes > FRAME_BYTES_MAX => Err(NetError::FrameTooLong { bytes }),
            other => other,
        };
        if result.is_err() {
            out.truncate(start);
        }
        result
    }

    fn encode_unbounded(&self, version: Version, out: &mut BytesMut) -> Result<(), NetError> {
        let start = out.len();
        out.extend_from_slice(&[0; PREFIX_BYTES]);
        let kind = header::write(self, version, out)?;
        let header_bytes = out.len() - start - PREFIX_BYTES;
        header::write_payloads(self, out);
        let frame = &mut out[start..];
        let length = frame.len() - PREFIX_BYTES;
        let too_long = |_| NetError::FrameTooLong { bytes: length };
        frame[4..8].copy_from_slice(&u32::try_from(length).map_err(too_long)?.to_le_bytes());
        frame[8..12].copy_from_slice(&u32::try_from(header_bytes).map_err(too_long)?.to_le_bytes());
        frame[12] = FRAME_VERSION;
        frame[13] = kind;
        let checksum = crc32c::crc32c(&frame[4..]);
        frame[..4].copy_from_slice(&checksum.to_le_bytes());
        Ok(())
    }

    /// Takes the first frame, which is of the newest version, off `buffer`, or nothing while it is not all there.
    /// Payloads are slices of `buffer`; nothing is copied.
    ///
    /// # Errors
    ///
    /// The bytes are not a frame of this version, or an entry or a piece of a snapshot in it is not
    /// what its maker made. What follows in `buffer` can then not be trusted either: the connection is to
    /// be dropped.
    pub fn decode(buffer: &mut BytesMut) -> Result<Option<Self>, NetError> {
        Self::decode_in(Version::NEWEST, buffer)
    }

    /// The same of a frame of `version`.
    ///
    /// # Errors
    ///
    /// As [`decode`](Self::decode).
    pub fn decode_in(version: Version, buffer: &mut BytesMut) -> Result<Option<Self>, NetError> {
        let Some(prefix) = buffer.first_chunk::<PREFIX_BYTES>() else { return Ok(None) };
        let [c0, c1, c2, c3, l0, l1, l2, l3, h0, h1, h2, h3, format, kind] = *prefix;
        if format != FRAME_VERSION {
            return Err(NetError::Version { found: format });
        }
        let length = usize_of(u32::from_le_bytes([l0, l1, l2, l3]));
        let header_bytes = usize_of(u32::from_le_bytes([h0, h1, h2, h3]));
        let bytes = PREFIX_BYTES.saturating_add(length);
        if bytes > FRAME_BYTES_MAX {
            return Err(NetError::FrameTooLong { bytes });
        }
        if buffer.len() < bytes {
            return Ok(None);
        }
        let mut frame = buffer.split_to(bytes).freeze();
        if crc32c::crc32c(&frame[4..]) != u32::from_le_bytes([c0, c1, c2, c3]) {
            return Err(NetError::ChecksumMismatch);
        }
        if header_bytes > length {
            return Err(NetError::Malformed { frame: "prefix", why: "the header is longer than the frame" });
        }
        frame.advance(PREFIX_BYTES);
        let header: Bytes = frame.split_to(header_bytes);
        header::read(kind, version, &header, frame).map(Some)
    }
}

impl<S: AsyncRead + AsyncWrite> FrameReader<S> {
    /// The two halves of the connection, to be used at the same time.
    pub(crate) fn split(self) -> (FrameReader<ReadHalf<S>>, WriteHalf<S>) {
        let Self { stream, buffer, version, received } = self;
        let (stream, writer) = tokio::io::split(stream);
        (FrameReader { stream, buffer, version, received }, writer)
    }
}

/// What a length on the wire is here; one too large for this machine is also too long for a frame.
fn usize_of(length: u32) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}

/// Takes whole frames off a connection.
#[derive(Debug)]
pub struct FrameReader<S> {
    stream: S,
    buffer: BytesMut,
    version: Version,
    /// How many bytes have come in.
    received: u64,
}

impl<S: AsyncRead + Unpin> FrameReader<S> {
    /// A reader of what comes in on `stream`, in the newest version.
    pub fn new(stream: S) -> Self {
        Self { stream, buffer: BytesMut::new(), version: Version::NEWEST, received: 0 }
    }

    /// From the next frame on they are of `version`.
    pub fn speak(&mut self, version: Version) {
        self.version = version;
    }

    /// How many bytes have come in so far, whether or not they were a whole frame yet.
    pub(crate) const fn received(&self) -> u64 {
        self.received
    }

    /// The connection, to write to.
    pub const fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// The connection.
    pub const fn stream(&self) -> &S {
        &self.stream
    }

    /// The next frame; nothing once the other side has closed the connection between two frames.
    ///
    /// Cancel safe. Memory grows with what has come, not with what a frame claims to be.
    ///
    /// # Errors
    ///
    /// Those of [`Frame::decode`]; the connection failed, or ended inside a frame.
    pub async fn next(&mut self) -> Result<Option<Frame>, NetError> {
        loop {
            if let Some(frame) = Frame::decode_in(self.version, &mut self.buffer)? {
                return Ok(Some(frame));
            }
            if self.buffer.capacity() - self.buffer.len() < READ_BYTES_MIN {
                self.buffer.reserve(READ_BYTES);
            }
            let bytes = self.stream.read_buf(&mut self.buffer).await?;
            self.received += bytes as u64;
            if bytes == 0 {
                let bytes = self.buffer.len();
                return match self.buffer[..] {
                    [] => Ok(None),
                    // What TLS says to who does not speak it, before it hangs up: an alert.
                    [0x15, 3, _, _, 2, _, _] => Err(NetError::Insecure {
                        reason: "the other end speaks it, and this one does not".to_owned(),
                    }),
                    _ => Err(NetError::Torn { bytes }),
                };
            }
        }
    }
}
