//! How entries and pieces of a snapshot are read back. What is missing or damaged is named: never a hole, and
//! never the end of the log. A piece that is damaged is an error; an entry can be repaired, and so is not.

use raft_core::{Chunk, Entry, GroupId, Load, Loaded, LogIndex, SnapshotId};
use rocksdb::{DBRawIterator, ErrorKind};

use crate::database::{Database, refused, unreadable};
use crate::error::StorageError;
use crate::format::{LOG, SNAPSHOT, entry_key, piece_key};
use crate::mapping::Slot;
use crate::record;
use crate::snapshots::Numbered;
use crate::state::State;

/// So many damaged entries are told of at once, at most: each of them is looked up by itself.
const DAMAGED_MAX: usize = 1000;

/// What is to be read, and the state as it was when that was asked for. Neither slots nor numbers are used
/// twice, so later batches change nothing of what it names.
pub(crate) struct Reading {
    pub(crate) group: GroupId,
    pub(crate) load: Load,
    pub(crate) state: State,
}

/// The entries of one group, read by their slots.
pub(crate) struct Entries<'a> {
    database: &'a Database,
    group: GroupId,
    state: &'a State,
    stored: DBRawIterator<'a>,
}

impl<'a> Entries<'a> {
    pub(crate) fn of(database: &'a Database, group: GroupId, state: &'a State) -> Result<Self, StorageError> {
        Ok(Self { database, group, state, stored: database.iterator(LOG)? })
    }

    /// The entry that lies there; none if it is missing or damaged. One seek a run: what follows the last one that
    /// was read needs none.
    pub(crate) fn read(&mut self, index: LogIndex, slot: Slot) -> Result<Option<Entry>, StorageError> {
        let key = entry_key(self.group, slot);
        if self.stored.key() != Some(&key) {
            self.stored.seek(key);
        }
        let Some(id) = self.state.log.id_at(index) else { return Ok(None) };
        let entry = match self.stored.status() {
            Ok(()) => {
                let found = self.stored.item().filter(|(found, _)| *found == key);
                found.and_then(|(_, value)| record::decode_entry(value, id))
            }
            // Where another file is damaged that begins with a later key, an iterator cannot be placed before it.
            Err(error) if error.kind() == ErrorKind::Corruption => {
                let value = self.database.sound(LOG, &key)?;
                value.and_then(|value| record::decode_entry(&value, id))
            }
            Err(error) => return Err(refused("reading a record")(error)),
        };
        if self.stored.valid() {
            self.stored.next();
        }
        Ok(entry)
    }
}

/// The entries that are missing or damaged, each looked at.
pub(crate) fn damaged(
    database: &Database,
    group: GroupId,
    state: &State,
) -> Result<Vec<LogIndex>, StorageError> {
    let mut stored = Entries::of(database, group, state)?;
    let mut damaged = Vec::new();
    for (index, slot) in state.mapping.slots(LogIndex::ZERO, LogIndex::new(u64::MAX)) {
        if stored.read(index, slot)?.is_none() {
            damaged.push(index);
        }
    }
    Ok(damaged)
}

/// Whether every piece of a snapshot, or of the beginning of one, is there and is what its maker made.
pub(crate) fn pieces_are_sound(
    stored: &mut DBRawIterator<'_>,
    group: GroupId,
    numbered: &Numbered,
    is_whole: bool,
) -> Result<bool, rocksdb::Error> {
    let mut offset = 0;
    stored.seek(piece_key(group, numbered.number, offset));
    loop {
        let key = piece_key(group, numbered.number, offset);
        let Some((_, value)) = stored.item().filter(|(found, _)| *found == key) else {
            return stored.status().map(|()| false);
        };
        let Some(piece) = record::decode_chunk(value, offset) else { return Ok(false) };
        if offset == numbered.last_offset {
            return Ok((piece.end(), piece.done) == (numbered.bytes(), is_whole));
        }
        offset = piece.end();
        stored.next();
    }
}

impl Reading {
    /// Reads what was asked for. Everything that it was asked after has to be written.
    pub(crate) fn read(&self, database: &Database) -> Result<Loaded, StorageError> {
        match self.load {
            Load::Entries { from, to, bytes_max } => self.read_entries(database, from, to, bytes_max),
            Load::Chunk { snapshot, offset } => {
                Ok(Loaded::Chunk { snapshot, offset, chunk: self.read_chunk(database, snapshot, offset)? })
            }
        }
    }

    /// Entries from `from` to `to`, as many as fit into `bytes_max`, but at least the first, up to before the first
    /// that is damaged; none if the log does not have the first.
    fn read_entries(
        &self,
        database: &Database,
        from: LogIndex,
        to: LogIndex,
        bytes_max: usize,
    ) -> Result<Loaded, StorageError> {
        let Self { group, state, .. } = self;
        let mut entries = Vec::new();
        if from < state.mapping.first_index() {
            return Ok(Loaded::Entries { from, entries });
        }
        let mut stored = Entries::of(database, *group, state)?;
        let mut bytes = 0;
        for (index, slot) in state.mapping.slots(from, to) {
            let Some(entry) = stored.read(index, slot)? else {
                if index > from {
                    break;
                }
                let key = format!("log/{group}/slot {} (index {index})", slot.get());
                tracing::warn!(key, "an entry is missing or damaged");
                return Ok(Loaded::Damaged { from, to: self.end_of_damage(&mut stored, from, to)? });
            };
            bytes += entry.payload.bytes().len();
            if index > from && bytes > bytes_max {
                break;
            }
            entries.push(entry);
        }
        Ok(Loaded::Entries { from, entries })
    }

    /// The last one, up to `to`, before the first sound one behind `from`.
    fn end_of_damage(
        &self,
        stored: &mut Entries<'_>,
        from: LogIndex,
        to: LogIndex,
    ) -> Result<LogIndex, StorageError> {
        let mut end = from;
        for (index, slot) in self.state.mapping.slots(from.next(), to).take(DAMAGED_MAX) {
            if stored.read(index, slot)?.is_some() {
                break;
            }
            end = index;
        }
        Ok(end)
    }

    /// The piece of the whole snapshot that begins at `offset`; none if that is another snapshot, or no
    /// piece of it begins there.
    fn read_chunk(
        &self,
        database: &Database,
        id: SnapshotId,
        offset: u64,
    ) -> Result<Option<Chunk>, StorageError> {
        let whole = self.state.snapshots.whole().filter(|whole| whole.snapshot.id == id);
        let Some(Numbered { number, .. }) = whole.filter(|whole| offset <= whole.last_offset) else {
            return Ok(None);
        };
        let corrupt = || {
            let key = format!("snapshot/{}/number {}/offset {offset}", self.group, number.get());
            StorageError::Corrupt { what: "a piece of a snapshot", key }
        };
        let mut stored = database.iterator(SNAPSHOT)?;
        stored.seek_for_prev(piece_key(self.group, *number, offset));
        stored.status().map_err(unreadable(corrupt))?;
        let (key, value) = stored.item().ok_or_else(corrupt)?;
        // The piece that begins at the offset, or the one that the offset lies within.
        let (_, begin) = key.split_last_chunk::<8>().ok_or_else(corrupt)?;
        let begin = u64::from_be_bytes(*begin);
        let ours = *key == piece_key(self.group, *number, begin);
        let chunk = record::decode_chunk(value, begin).filter(|_| ours).ok_or_else(corrupt)?;
        if begin == offset {
            Ok(Some(chunk))
        } else if offset < chunk.end() {
            Ok(None)
        } else {
            Err(corrupt())
        }
    }
}
