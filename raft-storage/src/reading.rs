//! How entries and pieces of a snapshot are read back. What is missing or damaged is an error that names
//! its key: never a hole, and never the end of the log.

use raft_core::{Chunk, Entry, GroupId, Load, Loaded, LogIndex, SnapshotId};

use crate::database::{Database, unreadable};
use crate::error::StorageError;
use crate::format::{LOG, SNAPSHOT, entry_key, piece_key};
use crate::record;
use crate::snapshots::Numbered;
use crate::state::State;

/// What is to be read, and the state as it was when that was asked for. Neither slots nor numbers are used
/// twice, so later batches change nothing of what it names.
pub(crate) struct Reading {
    pub(crate) group: GroupId,
    pub(crate) load: Load,
    pub(crate) state: State,
}

impl Reading {
    /// Reads what was asked for. Everything that it was asked after has to be written.
    pub(crate) fn read(&self, database: &Database) -> Result<Loaded, StorageError> {
        Ok(match self.load {
            Load::Entries { from, to, bytes_max } => {
                Loaded::Entries { from, entries: self.read_entries(database, from, to, bytes_max)? }
            }
            Load::Chunk { snapshot, offset } => {
                Loaded::Chunk { snapshot, offset, chunk: self.read_chunk(database, snapshot, offset)? }
            }
        })
    }

    /// Entries from `from` to `to`, as many as fit into `bytes_max`, but at least the first; none if the
    /// log does not have that one. One seek a run.
    fn read_entries(
        &self,
        database: &Database,
        from: LogIndex,
        to: LogIndex,
        bytes_max: usize,
    ) -> Result<Vec<Entry>, StorageError> {
        let Self { state, .. } = self;
        let mut entries = Vec::new();
        if from < state.mapping.first_index() {
            return Ok(entries);
        }
        let mut stored = database.iterator(LOG)?;
        let mut bytes = 0;
        for (index, slot) in state.mapping.slots(from, to) {
            let corrupt = || {
                let key = format!("log/{}/slot {} (index {index})", self.group, slot.get());
                StorageError::Corrupt { what: "an entry", key }
            };
            let key = entry_key(self.group, slot);
            if stored.key() != Some(&key) {
                stored.seek(key);
            }
            stored.status().map_err(unreadable(corrupt))?;
            let (_, value) = stored.item().filter(|(found, _)| *found == key).ok_or_else(corrupt)?;
            let id = state.log.id_at(index).ok_or_else(corrupt)?;
            let entry = record::decode_entry(value, id).ok_or_else(corrupt)?;
            bytes += entry.payload.bytes().len();
            if index > from && bytes > bytes_max {
                break;
            }
            entries.push(entry);
            stored.next();
        }
        Ok(entries)
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
