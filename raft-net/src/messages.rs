//! The headers of the messages between servers.
//!
//! Each begins with `[cluster, group, from, incarnation, to, term, session, number]` and goes on by `number`:
//!
//! | Number | Message | Header |
//! | --- | --- | --- |
//! | 1 | RequestVote | `[last_log.term, last_log.index, told_by_leader]`, the last one 0 or 1 |
//! | 2 | RequestVoteReply | `[vote_granted, suspect]`, 0 or 1 each |
//! | 3 | AppendEntries | `[prev_log.term, prev_log.index, leader_commit, entries]`, then for each entry, from `prev_log.index + 1`, `[term, 0 for a no-op, 1 for a command or 2 for a configuration, bytes, checksum]` |
//! | 4 | AppendEntriesReply, accepted | `[match_index]` |
//! | 5 | AppendEntriesReply, rejected | `[refused.term, refused.index, hint.term, hint.index]` |
//! | 6 | InstallSnapshot | `[last_included.term, last_included.index, made_by, offset, done, bytes, checksum, configured.term, configured.index, configuration bytes]`, `done` 0 or 1 |
//! | 7 | InstallSnapshotReply, received | `[last_included.term, last_included.index, made_by, offset]` |
//! | 8 | InstallSnapshotReply, installed | `[last_included.term, last_included.index, made_by]` |
//! | 9 | PreVote | `[last_log.term, last_log.index]` |
//! | 10 | PreVoteReply | `[vote_granted, suspect]`, 0 or 1 each |
//! | 11 | TimeoutNow | none |
//! | 12 | Confirm | `[round]` |
//! | 13 | ConfirmReply | `[round]` |
//! | 14 | ReadIndex | none |
//! | 15 | ReadIndexReply, from a leader | `[read_index.term, read_index.index]` |
//! | 16 | ReadIndexReply, refused | none |
//! | 17 | NotMember | `[configured.term, configured.index]` |
//! | 18 | AppendEntriesReply, lost | `[from, session]` |
//! | 19 | FetchEntries | `[ids]`, then for each `[term, index]` |
//! | 20 | FetchEntriesReply | `[entries, lacking, base.term, base.index]`, then for each entry `[index]` and what follows as in AppendEntries, then for each that is lacking `[term, index, superseded]`, the last one 0 where it is not |
//!
//! In the version that only tests speak the numbers of an AppendEntries are followed by `[bytes of all payloads]`.
//!
//! Payloads are the commands and configurations of an AppendEntries or a FetchEntriesReply; of an InstallSnapshot its configuration
//! ([`Configuration::to_bytes`]), then the bytes of the piece.

use std::io;

use bytes::BytesMut;
use raft_core::{
    AppendEntriesReply, Chunk, ClusterId, Configuration, Configured, Confirm, ConfirmReply, Entries, Entry,
    EntryId, Envelope, FetchEntries, FetchEntriesReply, GroupId, Incarnation, InstallSnapshot,
    InstallSnapshotReply, Lacking, LogIndex, Message, NodeId, NotMember, PreVote, PreVoteReply,
    ReadIndexReply, RequestVote, RequestVoteReply, Session, Snapshot, SnapshotId, Term,
};

use crate::entries::{ENTRY_HEADER_BYTES_MIN, read_append, read_entry, write_append, write_entry};
use crate::error::NetError;
use crate::numbers::{Reader, Writer};
use crate::version::Version;

const REQUEST_VOTE: u8 = 1;
const REQUEST_VOTE_REPLY: u8 = 2;
const APPEND_ENTRIES: u8 = 3;
const APPEND_ACCEPTED: u8 = 4;
const APPEND_REJECTED: u8 = 5;
const INSTALL_SNAPSHOT: u8 = 6;
const SNAPSHOT_RECEIVED: u8 = 7;
const SNAPSHOT_INSTALLED: u8 = 8;
const PRE_VOTE: u8 = 9;
const PRE_VOTE_REPLY: u8 = 10;
const TIMEOUT_NOW: u8 = 11;
const CONFIRM: u8 = 12;
const CONFIRM_REPLY: u8 = 13;
const READ_INDEX: u8 = 14;
const READ_INDEX_KNOWN: u8 = 15;
const READ_INDEX_REFUSED: u8 = 16;
const NOT_MEMBER: u8 = 17;
const APPEND_LOST: u8 = 18;
const FETCH_ENTRIES: u8 = 19;
const FETCH_ENTRIES_REPLY: u8 = 20;

/// The fewest bytes that the numbers of a name take.
const ID_BYTES_MIN: usize = 2;

/// Appends the header of a message in `version`.
pub(crate) fn write<W: io::Write>(
    envelope: &Envelope,
    version: Version,
    numbers: &mut Writer<W>,
) -> Result<(), NetError> {
    let Envelope { cluster, group, from, incarnation, to, term, session, message } = envelope;
    numbers.put((cluster, group, from, incarnation, to, term, session, number(message)))?;
    match message {
        Message::RequestVote(RequestVote { last_log, told_by_leader }) => {
            numbers.put((last_log.term, last_log.index, u8::from(*told_by_leader)))
        }
        Message::PreVote(PreVote { last_log }) => numbers.put((last_log.term, last_log.index)),
        Message::RequestVoteReply(RequestVoteReply { vote_granted, suspect })
        | Message::PreVoteReply(PreVoteReply { vote_granted, suspect }) => {
            numbers.put((u8::from(*vote_granted), u8::from(*suspect)))
        }
        Message::TimeoutNow
        | Message::ReadIndex
        | Message::ReadIndexReply(ReadIndexReply { read_index: None }) => Ok(()),
        Message::Confirm(Confirm { round }) | Message::ConfirmReply(ConfirmReply { round }) => {
            numbers.put((round,))
        }
        Message::ReadIndexReply(ReadIndexReply { read_index: Some(id) }) => numbers.put((id.term, id.index)),
        Message::AppendEntries(append) => write_append(append, version, numbers),
        Message::AppendEntriesReply(AppendEntriesReply::Accepted { match_index }) => {
            numbers.put((match_index,))
        }
        Message::AppendEntriesReply(AppendEntriesReply::Rejected { refused, hint }) => {
            numbers.put((refused.term, refused.index, hint.term, hint.index))
        }
        Message::AppendEntriesReply(AppendEntriesReply::Lost { from, session }) => {
            numbers.put((from, session))
        }
        Message::FetchEntries(FetchEntries { ids }) => {
            numbers.put((ids.len(),))?;
            ids.iter().try_for_each(|id| numbers.put((id.term, id.index)))
        }
        Message::FetchEntriesReply(reply) => {
            let FetchEntriesReply { entries, lacking, base } = &**reply;
            numbers.put((entries.len(), lacking.len(), base.term, base.index))?;
            for entry in entries {
                numbers.put((entry.id.index,))?;
                write_entry(entry, numbers)?;
            }
            lacking.iter().try_for_each(|Lacking { id, superseded }| {
                numbers.put((id.term, id.index, superseded.unwrap_or_default()))
            })
        }
        Message::InstallSnapshot(install) => write_install(install, numbers),
        Message::NotMember(NotMember { configured }) => numbers.put((configured.term, configured.index)),
        Message::InstallSnapshotReply(InstallSnapshotReply::Received { snapshot, offset }) => {
            let SnapshotId { last_included, made_by } = snapshot;
            numbers.put((last_included.term, last_included.index, made_by, offset))
        }
        Message::InstallSnapshotReply(InstallSnapshotReply::Installed { snapshot }) => {
            let SnapshotId { last_included, made_by } = snapshot;
            numbers.put((last_included.term, last_included.index, made_by))
        }
    }
}

const fn number(message: &Message) -> u8 {
    match message {
        Message::RequestVote(_) => REQUEST_VOTE,
        Message::RequestVoteReply(_) => REQUEST_VOTE_REPLY,
        Message::AppendEntries(_) => APPEND_ENTRIES,
        Message::AppendEntriesReply(AppendEntriesReply::Accepted { .. }) => APPEND_ACCEPTED,
        Message::AppendEntriesReply(AppendEntriesReply::Rejected { .. }) => APPEND_REJECTED,
        Message::InstallSnapshot(_) => INSTALL_SNAPSHOT,
        Message::InstallSnapshotReply(InstallSnapshotReply::Received { .. }) => SNAPSHOT_RECEIVED,
        Message::InstallSnapshotReply(InstallSnapshotReply::Installed { .. }) => SNAPSHOT_INSTALLED,
        Message::PreVote(_) => PRE_VOTE,
        Message::PreVoteReply(_) => PRE_VOTE_REPLY,
        Message::TimeoutNow => TIMEOUT_NOW,
        Message::Confirm(_) => CONFIRM,
        Message::ConfirmReply(_) => CONFIRM_REPLY,
        Message::ReadIndex => READ_INDEX,
        Message::ReadIndexReply(ReadIndexReply { read_index: Some(_) }) => READ_INDEX_KNOWN,
        Message::ReadIndexReply(ReadIndexReply { read_index: None }) => READ_INDEX_REFUSED,
        Message::NotMember(_) => NOT_MEMBER,
        Message::AppendEntriesReply(AppendEntriesReply::Lost { .. }) => APPEND_LOST,
        Message::FetchEntries(_) => FETCH_ENTRIES,
        Message::FetchEntriesReply(_) => FETCH_ENTRIES_REPLY,
    }
}

fn write_install<W: io::Write>(install: &InstallSnapshot, numbers: &mut Writer<W>) -> Result<(), NetError> {
    let InstallSnapshot { snapshot: Snapshot { id, configured }, chunk } = install;
    numbers.put((
        id.last_included.term,
        id.last_included.index,
        id.made_by,
        chunk.offset,
        u8::from(chunk.done),
        chunk.data.len(),
        chunk.checksum,
        configured.at.term,
        configured.at.index,
        configured.configuration.to_bytes().len(),
    ))
}

/// Appends the payloads of a message, one behind the other.
pub(crate) fn write_payloads(message: &Message, out: &mut BytesMut) {
    match message {
        Message::AppendEntries(append) => write_commands(&append.entries, out),
        Message::FetchEntriesReply(reply) => write_commands(&reply.entries, out),
        Message::InstallSnapshot(install) => {
            out.extend_from_slice(&install.snapshot.configured.configuration.to_bytes());
            out.extend_from_slice(&install.chunk.data);
        }
        Message::RequestVote(_)
        | Message::RequestVoteReply(_)
        | Message::PreVote(_)
        | Message::PreVoteReply(_)
        | Message::AppendEntriesReply(_)
        | Message::InstallSnapshotReply(_)
        | Message::TimeoutNow
        | Message::Confirm(_)
        | Message::ConfirmReply(_)
        | Message::ReadIndex
        | Message::ReadIndexReply(_)
        | Message::NotMember(_)
        | Message::FetchEntries(_) => {}
    }
}

fn write_commands(entries: &[Entry], out: &mut BytesMut) {
    for entry in entries {
        out.extend_from_slice(entry.payload.bytes());
    }
}

/// Reads a message of `version`.
pub(crate) fn read(reader: &mut Reader<'_>, version: Version) -> Result<Envelope, NetError> {
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
            let (term, index, told) = reader.take()?;
            let last_log = reader.entry_id(term, index)?;
            let told_by_leader = reader.flag(told, "a candidate was neither told to stand nor not")?;
            Message::RequestVote(RequestVote { last_log, told_by_leader })
        }
        PRE_VOTE => {
            let (term, index) = reader.take()?;
            Message::PreVote(PreVote { last_log: reader.entry_id(term, index)? })
        }
        REQUEST_VOTE_REPLY => {
            let (vote_granted, suspect) = read_vote(reader)?;
            Message::RequestVoteReply(RequestVoteReply { vote_granted, suspect })
        }
        PRE_VOTE_REPLY => {
            let (vote_granted, suspect) = read_vote(reader)?;
            Message::PreVoteReply(PreVoteReply { vote_granted, suspect })
        }
        TIMEOUT_NOW => Message::TimeoutNow,
        APPEND_ENTRIES => Message::AppendEntries(read_append(reader, version)?),
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
        APPEND_LOST => {
            let (from, session) = reader.take()?;
            let from = LogIndex::new(reader.check(from)?);
            Message::AppendEntriesReply(AppendEntriesReply::Lost { from, session })
        }
        FETCH_ENTRIES => {
            let (count,) = reader.take()?;
            Message::FetchEntries(FetchEntries { ids: read_ids(reader, count)? })
        }
        FETCH_ENTRIES_REPLY => Message::FetchEntriesReply(Box::new(read_fetched(reader)?)),
        INSTALL_SNAPSHOT => Message::InstallSnapshot(Box::new(read_install(reader)?)),
        SNAPSHOT_RECEIVED => {
            let (term, index, made_by, offset) = reader.take()?;
            let snapshot = SnapshotId { last_included: reader.entry_id(term, index)?, made_by };
            let offset = reader.check(offset)?;
            Message::InstallSnapshotReply(InstallSnapshotReply::Received { snapshot, offset })
        }
        SNAPSHOT_INSTALLED => {
            let (term, index, made_by) = reader.take()?;
            let snapshot = SnapshotId { last_included: reader.entry_id(term, index)?, made_by };
            Message::InstallSnapshotReply(InstallSnapshotReply::Installed { snapshot })
        }
        CONFIRM => Message::Confirm(Confirm { round: read_round(reader)? }),
        CONFIRM_REPLY => Message::ConfirmReply(ConfirmReply { round: read_round(reader)? }),
        READ_INDEX => Message::ReadIndex,
        READ_INDEX_KNOWN => {
            let (term, index) = reader.take()?;
            Message::ReadIndexReply(ReadIndexReply { read_index: Some(reader.entry_id(term, index)?) })
        }
        READ_INDEX_REFUSED => Message::ReadIndexReply(ReadIndexReply { read_index: None }),
        NOT_MEMBER => {
            let (term, index) = reader.take()?;
            Message::NotMember(NotMember { configured: reader.entry_id(term, index)? })
        }
        _ => return Err(reader.malformed("there is no message of this number")),
    };
    Ok(Envelope { cluster, group, from, incarnation, to, term, session, message })
}

fn read_vote(reader: &mut Reader<'_>) -> Result<(bool, bool), NetError> {
    let (granted, suspect) = reader.take()?;
    let granted = reader.flag(granted, "a vote is neither granted nor refused")?;
    Ok((granted, reader.flag(suspect, "a voter is neither suspect nor not")?))
}

fn read_round(reader: &mut Reader<'_>) -> Result<u64, NetError> {
    let (round,) = reader.take()?;
    Ok(round)
}

fn read_ids(reader: &mut Reader<'_>, count: usize) -> Result<Vec<EntryId>, NetError> {
    if count > reader.header_bytes() / ID_BYTES_MIN {
        return Err(reader.malformed("more names of entries are announced than there are"));
    }
    let read_id = |_| {
        let (term, index) = reader.take()?;
        reader.entry_id(term, index)
    };
    (0..count).map(read_id).collect()
}

fn read_fetched(reader: &mut Reader<'_>) -> Result<FetchEntriesReply, NetError> {
    let (count, lacking, term, index) = reader.take()?;
    let base = reader.entry_id(term, index)?;
    if count > reader.header_bytes() / ENTRY_HEADER_BYTES_MIN {
        return Err(reader.malformed("more entries are announced than there are"));
    }
    let read = |_| {
        let (index,) = reader.take()?;
        let index = LogIndex::new(reader.check(index)?);
        read_entry(reader, index)
    };
    let entries: Entries = (0..count).map(read).collect::<Result<Vec<_>, NetError>>()?.into();
    if lacking > reader.header_bytes() / ID_BYTES_MIN {
        return Err(reader.malformed("more entries are lacking than there are names"));
    }
    let read = |_| {
        let (term, index, superseded) = reader.take()?;
        let superseded = Some(Term::new(reader.check(superseded)?)).filter(|by| *by > Term::default());
        Ok(Lacking { id: reader.entry_id(term, index)?, superseded })
    };
    let lacking = (0..lacking).map(read).collect::<Result<_, NetError>>()?;
    Ok(FetchEntriesReply { entries, lacking, base })
}

fn read_install(reader: &mut Reader<'_>) -> Result<InstallSnapshot, NetError> {
    let (term, index, made_by, offset, done, bytes, checksum, at_term, at_index, configuration): (
        u64,
        u64,
        Incarnation,
        u64,
        u8,
        usize,
        u32,
        u64,
        u64,
        usize,
    ) = reader.take()?;
    let id = SnapshotId { last_included: reader.entry_id(term, index)?, made_by };
    let offset = reader.check(offset)?;
    let done = reader.flag(done, "a piece is neither the last one nor not")?;
    let at = reader.entry_id(at_term, at_index)?;
    let Some(configuration) = Configuration::from_bytes(&reader.payload(configuration)?) else {
        return Err(reader.malformed("the configuration of a snapshot is none"));
    };
    let chunk = Chunk { offset, data: reader.payload(bytes)?, done, checksum };
    if !chunk.is_intact() {
        return Err(NetError::ChunkDamaged { offset });
    }
    let configured = Configured { at, configuration };
    Ok(InstallSnapshot { snapshot: Snapshot { id, configured }, chunk })
}
