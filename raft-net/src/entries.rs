//! Entries in the headers of messages: see `messages.rs`.

use std::io;

use raft_core::{AppendEntries, Entry, EntryId, LogIndex, Payload, Term};

use crate::error::NetError;
use crate::numbers::{Reader, Writer};
use crate::version::Version;

const NOOP: u8 = 0;
const COMMAND: u8 = 1;
const CONFIGURATION: u8 = 2;

/// The fewest bytes that the numbers of an entry take.
pub(crate) const ENTRY_HEADER_BYTES_MIN: usize = 5;

/// Appends the numbers of an AppendEntries in `version`.
pub(crate) fn write_append<W: io::Write>(
    append: &AppendEntries,
    version: Version,
    numbers: &mut Writer<W>,
) -> Result<(), NetError> {
    let AppendEntries { prev_log, entries, leader_commit } = append;
    numbers.put((prev_log.term, prev_log.index, leader_commit, entries.len()))?;
    if version.counts_payloads() {
        numbers.put((payload_bytes(entries),))?;
    }
    entries.iter().try_for_each(|entry| write_entry(entry, numbers))
}

fn payload_bytes(entries: &[Entry]) -> usize {
    entries.iter().map(|entry| entry.payload.bytes().len()).sum()
}

/// Appends the numbers of an entry.
pub(crate) fn write_entry<W: io::Write>(entry: &Entry, numbers: &mut Writer<W>) -> Result<(), NetError> {
    let tag = match entry.payload {
        Payload::Noop => NOOP,
        Payload::Command(_) => COMMAND,
        Payload::Configuration(_) => CONFIGURATION,
    };
    numbers.put((entry.id.term, tag, entry.payload.bytes().len(), entry.checksum))
}

/// Reads an AppendEntries of `version`.
pub(crate) fn read_append(reader: &mut Reader<'_>, version: Version) -> Result<AppendEntries, NetError> {
    let (term, index, commit, count): (u64, u64, u64, usize) = reader.take()?;
    let prev_log = reader.entry_id(term, index)?;
    let leader_commit = LogIndex::new(reader.check(commit)?);
    let announced = if version.counts_payloads() { Some(reader.take()?) } else { None };
    if count > reader.header_bytes() / ENTRY_HEADER_BYTES_MIN {
        return Err(reader.malformed("more entries are announced than there are"));
    }
    let mut entries = Vec::with_capacity(count);
    let mut index = prev_log.index;
    for _ in 0..count {
        index = index.next();
        entries.push(read_entry(reader, index)?);
    }
    if announced.is_some_and(|(bytes,): (usize,)| bytes != payload_bytes(&entries)) {
        return Err(reader.malformed("its payloads are not as long as announced"));
    }
    Ok(AppendEntries { prev_log, entries: entries.into(), leader_commit })
}

/// Reads the entry of this index.
pub(crate) fn read_entry(reader: &mut Reader<'_>, index: LogIndex) -> Result<Entry, NetError> {
    let (term, tag, bytes, checksum): (u64, u8, usize, u32) = reader.take()?;
    let payload = match (tag, bytes) {
        (NOOP, 0) => Payload::Noop,
        (COMMAND, _) => Payload::Command(reader.payload(bytes)?),
        (CONFIGURATION, _) => Payload::Configuration(reader.payload(bytes)?),
        _ => return Err(reader.malformed("an entry is neither a no-op, a command nor a configuration")),
    };
    let entry = Entry { id: EntryId::new(Term::new(reader.check(term)?), index), payload, checksum };
    if entry.is_intact() { Ok(entry) } else { Err(NetError::EntryDamaged { index }) }
}
