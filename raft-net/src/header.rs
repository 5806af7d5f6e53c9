//! The headers of the kinds of frames, and where their payloads are.
//!
//! A header is one or more MessagePack arrays of integers (nil where there is none), one behind the
//! other, each number as short as it can be:
//!
//! | Kind | Header |
//! | --- | --- |
//! | hello | `[newest version, cluster, to]`, of who speaks older ones too `[newest version, cluster, to, oldest version]`; of a server then `[id, incarnation]` |
//! | hello-refused | `[bytes of the reason]` |
//! | ping, pong | none |
//! | message | see `messages.rs` |
//! | request | `[id, ask, bytes]`; ask 0 to apply, 1 to read, 2 to report, 3 an order |
//! | response | `[id, outcome, bytes, leader]`; outcome 0 committed, 1 not applied, 2 unknown, 3 answered |

use bytes::{BufMut, Bytes, BytesMut};
use raft_core::{ClusterId, NodeId};
use serde::Deserialize;

use crate::client::{Ask, Outcome, Request, Response};
use crate::error::NetError;
use crate::frame::{Frame, Hello, Party};
use crate::messages;
use crate::numbers::{Reader, Writer};
use crate::version::{Version, Versions};

const HELLO: u8 = 1;
const HELLO_REFUSED: u8 = 2;
const PING: u8 = 3;
const PONG: u8 = 4;
const MESSAGE: u8 = 5;
const REQUEST: u8 = 6;
const RESPONSE: u8 = 7;

const COMMITTED: u8 = 0;
const NOT_APPLIED: u8 = 1;
const UNKNOWN: u8 = 2;
const ANSWERED: u8 = 3;

const APPLY: u8 = 0;
const READ: u8 = 1;
const REPORT: u8 = 2;
const ORDER: u8 = 3;

/// Appends the header of `frame` in `version`, and says which kind it is.
pub(crate) fn write(frame: &Frame, version: Version, out: &mut BytesMut) -> Result<u8, NetError> {
    let mut numbers = Writer::new(out.writer());
    match frame {
        Frame::Hello(hello) => {
            let (oldest, newest) = (hello.versions.oldest().get(), hello.versions.newest().get());
            if oldest == newest {
                numbers.put((newest, hello.cluster, hello.to))?;
            } else {
                numbers.put((newest, hello.cluster, hello.to, oldest))?;
            }
            if let Party::Node { id, incarnation } = hello.party {
                numbers.put((id, incarnation))?;
            }
            Ok(HELLO)
        }
        Frame::HelloRefused { reason } => numbers.put((reason.len(),)).map(|()| HELLO_REFUSED),
        Frame::Ping => Ok(PING),
        Frame::Pong => Ok(PONG),
        Frame::Message(envelope) => messages::write(envelope, version, &mut numbers).map(|()| MESSAGE),
        Frame::Request(Request { id, ask, command }) => {
            let ask = match ask {
                Ask::Apply => APPLY,
                Ask::Read => READ,
                Ask::Report => REPORT,
                Ask::Order => ORDER,
            };
            numbers.put((id, ask, command.len())).map(|()| REQUEST)
        }
        Frame::Response(Response { id, outcome }) => {
            let (number, leader) = match outcome {
                Outcome::Committed(_) => (COMMITTED, None),
                Outcome::Answered(_) => (ANSWERED, None),
                Outcome::NotApplied { leader_hint, .. } => (NOT_APPLIED, *leader_hint),
                Outcome::Unknown { .. } => (UNKNOWN, None),
            };
            numbers.put((id, number, outcome.payload().len(), leader)).map(|()| RESPONSE)
        }
    }
}

/// Appends the payloads of `frame`, one behind the other.
pub(crate) fn write_payloads(frame: &Frame, out: &mut BytesMut) {
    match frame {
        Frame::HelloRefused { reason } => out.extend_from_slice(reason.as_bytes()),
        Frame::Message(envelope) => messages::write_payloads(&envelope.message, out),
        Frame::Request(request) => out.extend_from_slice(&request.command),
        Frame::Response(response) => out.extend_from_slice(response.outcome.payload()),
        Frame::Hello(_) | Frame::Ping | Frame::Pong => {}
    }
}

/// The frame of this kind and version with this header and these payloads.
pub(crate) fn read(kind: u8, version: Version, header: &[u8], payloads: Bytes) -> Result<Frame, NetError> {
    let frame = match kind {
        HELLO => "hello",
        HELLO_REFUSED => "hello-refused",
        PING => "ping",
        PONG => "pong",
        MESSAGE => "message",
        REQUEST => "request",
        RESPONSE => "response",
        _ => return Err(NetError::UnknownKind { kind }),
    };
    let mut reader = Reader::new(frame, header, payloads);
    let read = match kind {
        HELLO => Frame::Hello(read_hello(&mut reader)?),
        HELLO_REFUSED => {
            let (bytes,) = reader.take()?;
            Frame::HelloRefused { reason: reader.text(bytes)? }
        }
        PING => Frame::Ping,
        PONG => Frame::Pong,
        MESSAGE => Frame::Message(messages::read(&mut reader, version)?),
        REQUEST => {
            let (id, ask, bytes) = reader.take()?;
            let ask = match ask {
                APPLY => Ask::Apply,
                READ => Ask::Read,
                REPORT => Ask::Report,
                ORDER => Ask::Order,
                _ => return Err(reader.malformed("nobody knows what is to be done with a command")),
            };
            Frame::Request(Request { id, ask, command: reader.payload(bytes)? })
        }
        _ => Frame::Response(read_response(&mut reader)?),
    };
    reader.finish()?;
    Ok(read)
}

/// The newest version, the cluster, to whom, and the oldest version of who speaks more than one.
#[derive(Deserialize)]
struct HelloNumbers(u32, ClusterId, Option<NodeId>, #[serde(default)] Option<u32>);

fn read_hello(reader: &mut Reader<'_>) -> Result<Hello, NetError> {
    let HelloNumbers(newest, cluster, to, oldest) = reader.take()?;
    let versions = Versions::new(Version::new(oldest.unwrap_or(newest)), Version::new(newest));
    let versions = versions.ok_or_else(|| reader.malformed("the oldest version is newer than the newest"))?;
    let party = if reader.header_bytes() > 0 {
        let (id, incarnation) = reader.take()?;
        Party::Node { id, incarnation }
    } else {
        Party::Client
    };
    Ok(Hello { versions, cluster, party, to })
}

fn read_response(reader: &mut Reader<'_>) -> Result<Response, NetError> {
    let (id, number, bytes, leader_hint): (u64, u8, usize, Option<NodeId>) = reader.take()?;
    let outcome = match (number, leader_hint) {
        (COMMITTED, None) => Outcome::Committed(reader.payload(bytes)?),
        (ANSWERED, None) => Outcome::Answered(reader.payload(bytes)?),
        (NOT_APPLIED, leader_hint) => Outcome::NotApplied { reason: reader.text(bytes)?, leader_hint },
        (UNKNOWN, None) => Outcome::Unknown { reason: reader.text(bytes)? },
        _ => return Err(reader.malformed("there is no outcome of this number")),
    };
    Ok(Response { id, outcome })
}
