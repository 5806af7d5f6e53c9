//! The headers of the kinds of frames, and where their payloads are.
//!
//! A header is one or more MessagePack arrays of integers (nil where there is none), one behind the
//! other, each number as short as it can be:
//!
//! | Kind | Header |
//! | --- | --- |
//! | hello | `[protocol, cluster, to]`, of a server then `[id, incarnation]` |
//! | hello-refused | `[bytes of the reason]` |
//! | ping, pong | none |
//! | message | `[cluster, group, from, incarnation, to, term, session, message]`, then by `message` |
//! | 1 RequestVote | `[last_log.term, last_log.index]` |
//! | 2 RequestVoteReply | `[vote_granted]`, 0 or 1 |
//! | 3 AppendEntries | `[prev_log.term, prev_log.index, leader_commit, entries]`, then for each entry, from `prev_log.index + 1`, `[term, 0 for a no-op or 1 for a command, bytes, checksum]` |
//! | 4 AppendEntriesReply, accepted | `[match_index]` |
//! | 5 AppendEntriesReply, rejected | `[refused.term, refused.index, hint.term, hint.index]` |
//! | request | `[id, bytes]` |
//! | response | `[id, outcome, bytes, leader]`; outcome 0 committed, 1 not applied, 2 unknown |

use bytes::{BufMut, Bytes, BytesMut};
use raft_core::{
    AppendEntries, AppendEntriesReply, ClusterId, Entry, EntryId, Envelope, GroupId, Incarnation, LogIndex,
    Message, NodeId, Payload, RequestVote, RequestVoteReply, Session, Term,
};
use rmp_serde::decode::ReadReader;
use rmp_serde::{Deserializer, Serializer};
use serde::{Deserialize, Serialize};

use crate::client::{Outcome, Request, Response};
use crate::error::NetError;
use crate::frame::{Frame, Hello, Party};

const HELLO: u8 = 1;
const HELLO_REFUSED: u8 = 2;
const PING: u8 = 3;
const PONG: u8 = 4;
const MESSAGE: u8 = 5;
const REQUEST: u8 = 6;
const RESPONSE: u8 = 7;

const REQUEST_VOTE: u8 = 1;
const REQUEST_VOTE_REPLY: u8 = 2;
const APPEND_ENTRIES: u8 = 3;
const APPEND_ACCEPTED: u8 = 4;
const APPEND_REJECTED: u8 = 5;

const NOOP: u8 = 0;
const COMMAND: u8 = 1;

const COMMITTED: u8 = 0;
const NOT_APPLIED: u8 = 1;
const UNKNOWN: u8 = 2;

/// The fewest bytes that the numbers of an entry take.
const ENTRY_HEADER_BYTES_MIN: usize = 5;

/// Terms and indexes from here on are refused, so that nobody who adds to one has to think of overflow.
const NUMBER_LIMIT: u64 = 1 << 63;

/// Appends the header of `frame` and says which kind it is.
pub(crate) fn write(frame: &Frame, out: &mut BytesMut) -> Result<u8, NetError> {
    let mut numbers = Writer(Serializer::new(out.writer()));
    match frame {
        Frame::Hello(hello) => {
            numbers.put((hello.protocol, hello.cluster, hello.to))?;
            if let Party::Node { id, incarnation } = hello.party {
                numbers.put((id, incarnation))?;
            }
            Ok(HELLO)
        }
        Frame::HelloRefused { reason } => numbers.put((reason.len(),)).map(|()| HELLO_REFUSED),
        Frame::Ping => Ok(PING),
        Frame::Pong => Ok(PONG),
        Frame::Message(envelope) => write_envelope(envelope, &mut numbers).map(|()| MESSAGE),
        Frame::Request(request) => numbers.put((request.id, request.command.len())).map(|()| REQUEST),
        Frame::Response(Response { id, outcome }) => {
            let (number, leader) = match outcome {
                Outcome::Committed(_) => (COMMITTED, None),
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
        Frame::Message(Envelope { message: Message::AppendEntries(append), .. }) => {
            for entry in &append.entries {
                out.extend_from_slice(entry.payload.bytes());
            }
        }
        Frame::Request(request) => out.extend_from_slice(&request.command),
        Frame::Response(response) => out.extend_from_slice(response.outcome.payload()),
        Frame::Hello(_) | Frame::Ping | Frame::Pong | Frame::Message(_) => {}
    }
}

/// The frame of this kind with this header and these payloads.
pub(crate) fn read(kind: u8, header: &[u8], payloads: Bytes) -> Result<Frame, NetError> {
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
    let mut reader = Reader { frame, numbers: Deserializer::new(header), payloads };
    let read = match kind {
        HELLO => Frame::Hello(read_hello(&mut reader)?),
        HELLO_REFUSED => {
            let (bytes,) = reader.take()?;
            Frame::HelloRefused { reason: reader.text(bytes)? }
        }
        PING => Frame::Ping,
        PONG => Frame::Pong,
        MESSAGE => Frame::Message(read_envelope(&mut reader)?),
        REQUEST => {
            let (id, bytes) = reader.take()?;
            Frame::Request(Request { id, command: reader.payload(bytes)? })
        }
        _ => Frame::Response(read_response(&mut reader)?),
    };
    reader.finish()?;
    Ok(read)
}

fn write_envelope<W: std::io::Write>(envelope: &Envelope, numbers: &mut Writer<W>) -> Result<(), NetError> {
    let Envelope { cluster, group, from, incarnation, to, term, session, message } = envelope;
    let number = match message {
        Message::RequestVote(_) => REQUEST_VOTE,
        Message::RequestVoteReply(_) => REQUEST_VOTE_REPLY,
        Message::AppendEntries(_) => APPEND_ENTRIES,
        Message::AppendEntriesReply(AppendEntriesReply::Accepted { .. }) => APPEND_ACCEPTED,
        Message::AppendEntriesReply(AppendEntriesReply::Rejected { .. }) => APPEND_REJECTED,
    };
    numbers.put((cluster, group, from, incarnation, to, term, session, number))?;
    match message {
        Message::RequestVote(RequestVote { last_log }) => numbers.put((last_log.term, last_log.index)),
        Message::RequestVoteReply(RequestVoteReply { vote_granted }) => {
            numbers.put((u8::from(*vote_granted),))
        }
        Message::AppendEntries(AppendEntries { prev_log, entries, leader_commit }) => {
            numbers.put((prev_log.term, prev_log.index, leader_commit, entries.len()))?;
            entries.iter().try_for_each(|entry| {
                let tag = match entry.payload {
                    Payload::Noop => NOOP,
                    Payload::Command(_) => COMMAND,
                };
                numbers.put((entry.id.term, tag, entry.payload.bytes().len(), entry.checksum))
            })
        }
        Message::AppendEntriesReply(AppendEntriesReply::Accepted { match_index }) => {
            numbers.put((match_index,))
        }
        Message::AppendEntriesReply(AppendEntriesReply::Rejected { refused, hint }) => {
            numbers.put((refused.term, refused.index, hint.term, hint.index))
        }
    }
}

fn read_hello(reader: &mut Reader<'_>) -> Result<Hello, NetError> {
    let (protocol, cluster, to) = reader.take()?;
    let party = if reader.has_more() {
        let (id, incarnation) = reader.take()?;
        Party::Node { id, incarnation }
    } else {
        Party::Client
    };
    Ok(Hello { protocol, cluster, party, to })
}

fn read_envelope(reader: &mut Reader<'_>) -> Result<Envelope, NetError> {
    let (cluster, group, from, incarnation, to, term, session, number): (
        ClusterId,
        GroupId,
        NodeId,
        Incarnation,
        NodeId,
        u64,
        Session,
        u8,
    ) = reader.take()?;
    let term = Term::new(reader.check(term)?);
    let message = match number {
        REQUEST_VOTE => {
            let (term, index) = reader.take()?;
            Message::RequestVote(RequestVote { last_log: reader.entry_id(term, index)? })
        }
        REQUEST_VOTE_REPLY => {
            let vote_granted = match reader.take::<(u8,)>()? {
                (0,) => false,
                (1,) => true,
                _ => return Err(reader.malformed("a vote is neither granted nor refused")),
            };
            Message::RequestVoteReply(RequestVoteReply { vote_granted })
        }
        APPEND_ENTRIES => Message::AppendEntries(read_append(reader)?),
        APPEND_ACCEPTED => {
            let (index,) = reader.take()?;
            let match_index = LogIndex::new(reader.check(index)?);
            Message::AppendEntriesReply(AppendEntriesReply::Accepted { match_index })
        }
        APPEND_REJECTED => {
            let (refused_term, refused_index, hint_term, hint_index) = reader.take()?;
            let refused = reader.entry_id(refused_term, refused_index)?;
            let hint = reader.entry_id(hint_term, hint_index)?;
            Message::AppendEntriesReply(AppendEntriesReply::Rejected { refused, hint })
        }
        _ => return Err(reader.malformed("there is no message of this number")),
    };
    Ok(Envelope { cluster, group, from, incarnation, to, term, session, message })
}

fn read_append(reader: &mut Reader<'_>) -> Result<AppendEntries, NetError> {
    let (term, index, commit, count): (u64, u64, u64, usize) = reader.take()?;
    let prev_log = reader.entry_id(term, index)?;
    let leader_commit = LogIndex::new(reader.check(commit)?);
    if count > reader.numbers.get_ref().len() / ENTRY_HEADER_BYTES_MIN {
        return Err(reader.malformed("more entries are announced than there are"));
    }
    let mut entries = Vec::with_capacity(count);
    let mut index = prev_log.index;
    for _ in 0..count {
        index = index.next();
        let (term, tag, bytes, checksum): (u64, u8, usize, u32) = reader.take()?;
        let payload = match (tag, bytes) {
            (NOOP, 0) => Payload::Noop,
            (COMMAND, _) => Payload::Command(reader.payload(bytes)?),
            _ => return Err(reader.malformed("an entry is neither a no-op nor a command")),
        };
        let entry = Entry { id: EntryId::new(Term::new(reader.check(term)?), index), payload, checksum };
        if !entry.is_intact() {
            return Err(NetError::EntryDamaged { index });
        }
        entries.push(entry);
    }
    Ok(AppendEntries { prev_log, entries, leader_commit })
}

fn read_response(reader: &mut Reader<'_>) -> Result<Response, NetError> {
    let (id, number, bytes, leader_hint): (u64, u8, usize, Option<NodeId>) = reader.take()?;
    let outcome = match (number, leader_hint) {
        (COMMITTED, None) => Outcome::Committed(reader.payload(bytes)?),
        (NOT_APPLIED, leader_hint) => Outcome::NotApplied { reason: reader.text(bytes)?, leader_hint },
        (UNKNOWN, None) => Outcome::Unknown { reason: reader.text(bytes)? },
        _ => return Err(reader.malformed("there is no outcome of this number")),
    };
    Ok(Response { id, outcome })
}

struct Writer<W>(Serializer<W>);

impl<W: std::io::Write> Writer<W> {
    fn put(&mut self, numbers: impl Serialize) -> Result<(), NetError> {
        let why = "its numbers cannot be written";
        numbers.serialize(&mut self.0).map_err(|_| NetError::Malformed { frame: "header", why })
    }
}

/// What is left of a frame.
struct Reader<'a> {
    frame: &'static str,
    numbers: Deserializer<ReadReader<&'a [u8]>>,
    payloads: Bytes,
}

impl<'a> Reader<'a> {
    const fn malformed(&self, why: &'static str) -> NetError {
        NetError::Malformed { frame: self.frame, why }
    }

    /// The next array of the header.
    fn take<T: Deserialize<'a>>(&mut self) -> Result<T, NetError> {
        T::deserialize(&mut self.numbers)
            .map_err(|_| self.malformed("a number is missing, too large or none"))
    }

    fn has_more(&self) -> bool {
        !self.numbers.get_ref().is_empty()
    }

    /// A term or an index that can be added to.
    fn check(&self, number: u64) -> Result<u64, NetError> {
        if number < NUMBER_LIMIT {
            Ok(number)
        } else {
            Err(self.malformed("a term or index is out of range"))
        }
    }

    fn entry_id(&self, term: u64, index: u64) -> Result<EntryId, NetError> {
        Ok(EntryId::new(Term::new(self.check(term)?), LogIndex::new(self.check(index)?)))
    }

    /// The next payload.
    fn payload(&mut self, bytes: usize) -> Result<Bytes, NetError> {
        if bytes > self.payloads.len() {
            return Err(self.malformed("a payload is longer than the frame"));
        }
        Ok(self.payloads.split_to(bytes))
    }

    fn text(&mut self, bytes: usize) -> Result<String, NetError> {
        let text = self.payload(bytes)?;
        String::from_utf8(text.into()).map_err(|_| self.malformed("a text is not UTF-8"))
    }

    /// Nothing may be left over.
    fn finish(&self) -> Result<(), NetError> {
        if self.has_more() || !self.payloads.is_empty() {
            return Err(self.malformed("bytes are left over"));
        }
        Ok(())
    }
}
