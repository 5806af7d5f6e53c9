//! One group's log and snapshots in RocksDB: how they are opened, and how a batch becomes part of them.
//! Both executors of the [log writer](crate::writer) drive this one; nothing here decides when a write is
//! synced.

use std::path::Path;

use raft_core::{Batch, GroupId, Incarnation, Load, Restored};
use rocksdb::WriteBatch;

use crate::batch;
use crate::database::{Database, Mode, unreadable};
use crate::error::StorageError;
use crate::format::{
    FORMAT_KEY, LOG, META, SNAPSHOT, check_format, corrupt_format, encode_format, entry_key, piece_key,
    state_key,
};
use crate::mapping::Slot;
use crate::reading::Reading;
use crate::record;
use crate::snapshots::Number;
use crate::state::State;

/// The log and the snapshots of one group, open.
pub(crate) struct RocksLog {
    pub(crate) database: Database,
    pub(crate) group: GroupId,
    state: State,
    /// Files before this slot and this number have been given back.
    given_back: (Slot, Number),
    /// The bytes of one value at a time.
    buffer: Vec<u8>,
}

/// Batches that become part of the log together, and what was asked for among them.
#[derive(Default)]
pub(crate) struct Group {
    write: WriteBatch,
    pub(crate) batches: usize,
    pub(crate) readings: Vec<Reading>,
}

impl Group {
    pub(crate) fn bytes(&self) -> usize {
        self.write.size_in_bytes()
    }
}

impl RocksLog {
    /// Opens the directory, and makes it if there is none. Reads neither entries nor pieces. With it comes
    /// what was found, and how much of a torn end was cut off.
    pub(crate) fn open(
        path: &Path,
        group: GroupId,
        new_incarnation: Incarnation,
        mode: Mode,
    ) -> Result<(Self, Restored, u64), StorageError> {
        let (database, torn_bytes) = Database::open(path, mode)?;
        let stored = read_state(&database, group)?;
        let is_new = stored.is_none();
        let state = stored.unwrap_or_else(|| State::new(new_incarnation));
        let mut log =
            Self { database, group, state, given_back: <(Slot, Number)>::default(), buffer: Vec::new() };
        if is_new {
            log.write_first_state()?;
        }
        let restored = log.state.restored();
        Ok((log, restored, torn_bytes))
    }

    pub(crate) const fn incarnation(&self) -> Incarnation {
        self.state.incarnation
    }

    /// Makes `batch` the last of `group`. On an error nothing of it is in there.
    pub(crate) fn stage(&mut self, batch: &Batch, group: &mut Group) -> Result<(), StorageError> {
        let after = batch::after(self.state.restored(), batch)?;
        self.state.hard_state = after.hard_state;
        self.state.log = after.log;
        if let Some(from) = batch.truncate {
            self.state.mapping.truncate(from);
        }
        let pieces = self.database.family(SNAPSHOT)?;
        for part in &batch.parts {
            record::encode_chunk(&part.chunk, &mut self.buffer)?;
            let number = self.state.snapshots.store(part);
            let key = piece_key(self.group, number, part.chunk.offset);
            group.write.put_cf(pieces, key, &self.buffer);
        }
        if let Some(base) = batch.compact {
            self.state.mapping.compact(base.index);
        }
        let log = self.database.family(LOG)?;
        for entry in &batch.entries {
            record::encode_entry(entry, &mut self.buffer)?;
            group.write.put_cf(log, entry_key(self.group, self.state.mapping.append()), &self.buffer);
        }
        // Whether what is committed may be truncated is the core's to judge; here the log stays readable.
        let bound = self.state.commit_bound.max(batch.commit_index);
        self.state.commit_bound = bound.min(self.state.mapping.last_index());
        group.batches += 1;
        Ok(())
    }

    /// What it takes to read what is there now, once the batches that were staged are written.
    pub(crate) fn ask(&self, load: Load) -> Reading {
        Reading { load, state: self.state.clone() }
    }

    /// Writes the batches of a group and the state after them: all of it or nothing. Synced in production.
    /// Returns what is to be read now.
    pub(crate) fn commit(&mut self, group: Group) -> Result<Vec<Reading>, StorageError> {
        let Group { mut write, batches, readings } = group;
        if batches > 0 {
            self.state.encode(&mut self.buffer)?;
            write.put_cf(self.database.family(META)?, state_key(self.group), &self.buffer);
            self.database.write(write)?;
        }
        Ok(readings)
    }

    /// Gives back to the file system what compactions, truncations and newer snapshots have freed, by whole
    /// files. To be called when what frees it is durable and nobody has to read it any more.
    pub(crate) fn give_back(&mut self) -> Result<(), StorageError> {
        let lives = (self.state.mapping.first_slot(), self.state.snapshots.first());
        let (slot, number) = lives;
        if let Some(last) = slot.before()
            && slot > self.given_back.0
        {
            let (first, last) = (entry_key(self.group, Slot::default()), entry_key(self.group, last));
            self.database.give_back(LOG, &first, &last)?;
        }
        if let Some(last) = number.before()
            && number > self.given_back.1
        {
            let first = piece_key(self.group, Number::default(), 0);
            self.database.give_back(SNAPSHOT, &first, &piece_key(self.group, last, u64::MAX))?;
        }
        self.given_back = lives;
        Ok(())
    }

    /// A directory without a state is new, unless it has entries or pieces of snapshots.
    fn write_first_state(&mut self) -> Result<(), StorageError> {
        let group = self.group.0.to_be_bytes();
        for family in [LOG, SNAPSHOT] {
            let mut records = self.database.iterator(family)?;
            records.seek(group);
            if records.key().is_some_and(|key| key.starts_with(&group)) {
                return Err(corrupt_state(self.group));
            }
            records.status().map_err(unreadable(|| corrupt_state(self.group)))?;
        }
        let mut group = Group { batches: 1, ..Group::default() };
        group.write.put_cf(self.database.family(META)?, FORMAT_KEY, encode_format());
        self.commit(group).map(drop)
    }
}

/// The state of `group`; none if it is new here.
fn read_state(database: &Database, group: GroupId) -> Result<Option<State>, StorageError> {
    let format = database.meta(FORMAT_KEY, corrupt_format)?;
    if let Some(format) = &format {
        check_format(format)?;
    }
    let Some(bytes) = database.meta(&state_key(group), || corrupt_state(group))? else {
        return Ok(None);
    };
    // The two are written together.
    let state = format.and_then(|_| State::decode(&bytes));
    state.map(Some).ok_or_else(|| corrupt_state(group))
}

fn corrupt_state(group: GroupId) -> StorageError {
    StorageError::Corrupt { what: "the state", key: format!("meta/{group}/state") }
}
