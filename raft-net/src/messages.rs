//! The headers of the messages between servers.
//!
//! Each begins with `[cluster, group, from, incarnation, to, term, session, number]` and goes on by `number`:
//!
//! | Number | Message | Header |
//! | --- | --- | --- |
//! | 1 | RequestVote | `[last_log.term, last_log.index]` |
//! | 2 | RequestVoteReply | `[vote_granted]`, 0 or 1 |
//! | 3 | AppendEntries | `[prev_log.term, prev_log.index, leader_commit, entries]`, then for each entry, from `prev_log.index + 1`, `[term, 0 for a no-op or 1 for a command, bytes, checksum]` |
//! | 4 | AppendEntriesReply, accepted | `[match_index]` |
//! | 5 | AppendEntriesReply, rejected | `[refused.term, refused.index, hint.term, hint.index]` |

use std::io;

use bytes::BytesMut;
use raft_core::{
    AppendEntries, AppendEntriesReply, ClusterId, Entry, EntryId, Envelope, GroupId, Incarnation, LogIndex,
    Message, NodeId, Payload, RequestVote, RequestVoteReply, Session, Term,
};

use crate::error::NetError;
use crate::numbers::{Reader, Writer};

const REQUEST_VOTE: u8 = 1;
const REQUEST_VOTE_REPLY: u8 = 2;
const APPEND_ENTRIES: u8 = 3;
const APPEND_ACCEPTED: u8 = 4;
const APPEND_REJECTED: u8 = 5;

const NOOP: u8 = 0;
const COMMAND: u8 = 1;

/// The fewest bytes that the numbers of an entry take.
const ENTRY_HEADER_BYTES_MIN: usize = 5;

/// Appends the header of a message.
pub(crate) fn write<W: io::Write>(envelope: &Envelope, numbers: &mut Writer<W>) -> Result<(), NetError> {
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

/// Appends the payloads of a message, one behind the other.
pub(crate) fn write_payloads(message: &Message, out: &mut BytesMut) {
    match message {
        Message::AppendEntries(append) => {
            for entry in &append.entries {
                out.extend_from_slice(entry.payload.bytes());
            }
        }
        Message::RequestVote(_) | Message::RequestVoteReply(_) | Message::AppendEntriesReply(_) => {}
    }
}

/// Reads a message.
pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Envelope, NetError> {
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
    if count > reader.header_bytes() / ENTRY_HEADER_BYTES_MIN {
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
