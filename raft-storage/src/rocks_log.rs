//! One group's log and snapshots in RocksDB: how they are found there, and how a batch becomes part of them.
//! Both executors of the log writer drive this one; nothing here decides when a write is synced.

use std::collections::BTreeMap;
use std::mem;

use raft_core::{Batch, ClusterId, GroupId, Incarnation, Load, LogIndex, Restored};
use rocksdb::{ErrorKind, WriteBatch};

use crate::batch;
use crate::database::{Database, refused, unreadable};
use crate::error::StorageError;
use crate::format::{
    FORMAT_KEY, LOG, META, SNAPSHOT, cluster_key, encode_format, entry_key, piece_key, state_key, suspect_key,
};
use crate::mapping::Slot;
use crate::reading::{self, Reading, pieces_are_sound};
use crate::record;
use crate::snapshots::Freed;
use crate::state::State;
use crate::suspect;

/// The log and the snapshots of one group.
pub(crate) struct RocksLog {
    group: GroupId,
    /// The cluster that all of this is of, once somebody has said so. It lies under a key of its own.
    cluster: Option<ClusterId>,
    state: State,
    /// Whether the log may have been longer.
    is_suspect: bool,
    /// What is known of the entries, where the write-ahead log was mended.
    damaged: Vec<LogIndex>,
    /// Term or vote is another one since the state was last written.
    is_new_hard_state: bool,
    /// Files before this slot have been given back, and those of these snapshots.
    given_back: (Slot, [Option<Freed>; 2]),
    /// The bytes of one value at a time.
    buffer: Vec<u8>,
}

/// Batches, of one group or of many, that are written together.
#[derive(Default)]
pub(crate) struct Staged {
    write: WriteBatch,
    /// The states with a new term or vote, once more. What a power cut or a flipped byte takes of the end of the
    /// write-ahead log is one write, and so never the only one that has a vote which was acknowledged.
    again: WriteBatch,
    /// How many there are of each group.
    pub(crate) batches: BTreeMap<GroupId, usize>,
}

/// So much is written before a state that is written again: a power cut may tear a sector to which something is being
/// added, and what was written first is not to end in it.
const SECTOR: [u8; 4096] = [0; 4096];

impl Staged {
    pub(crate) fn bytes(&self) -> usize {
        self.write.size_in_bytes()
    }

    /// Writes all of it or nothing. Synced in production, each write by itself: one that is not would be lost before
    /// the next where that begins a new write-ahead log.
    pub(crate) fn write(self, database: &Database) -> Result<(), StorageError> {
        if self.batches.is_empty() {
            return Ok(());
        }
        let batches = self.batches.values().sum();
        database.write(self.write)?;
        if !self.again.is_empty() {
            database.write(self.again)?;
        }
        database.counters().shared(batches);
        Ok(())
    }
}

impl RocksLog {
    /// What there is of `group`, or the beginning of it. Reads neither entries nor pieces.
    pub(crate) fn open(
        database: &Database,
        group: GroupId,
        new_incarnation: Incarnation,
    ) -> Result<Self, StorageError> {
        if let Some(mut found) = Self::find(database, group)? {
            if database.is_unsettled() {
                found.look_for_losses(database)?;
            }
            return Ok(found);
        }
        let mut log = Self::of(group, None, State::new(new_incarnation));
        log.write_first_state(database)?;
        Ok(log)
    }

    /// What there is of `group`; none if it is new here.
    pub(crate) fn find(database: &Database, group: GroupId) -> Result<Option<Self>, StorageError> {
        let cluster = read_cluster(database, group)?;
        match read_state(database, group)? {
            Some(state) => {
                let is_suspect = suspect::is_marked(database, group)?;
                Ok(Some(Self { is_suspect, ..Self::of(group, cluster, state) }))
            }
            // The one is never written without the other.
            None if cluster.is_some() => Err(corrupt_state(group)),
            None => Ok(None),
        }
    }

    fn of(group: GroupId, cluster: Option<ClusterId>, state: State) -> Self {
        let given_back = <(Slot, [Option<Freed>; 2])>::default();
        let (damaged, buffer) = (Vec::new(), Vec::new());
        let (is_suspect, is_new_hard_state) = (false, false);
        Self { group, cluster, state, is_suspect, damaged, is_new_hard_state, given_back, buffer }
    }

    /// A new life begins: with the batches that are staged from now on.
    pub(crate) const fn live_anew(&mut self, incarnation: Incarnation) {
        self.state.incarnation = incarnation;
    }

    /// Reads everything, once the write-ahead log was mended. The beginning of a snapshot of which a piece is lost
    /// begins anew; of a whole one none is.
    fn look_for_losses(&mut self, database: &Database) -> Result<(), StorageError> {
        if let Some(begun) = self.state.snapshots.begun() {
            let mut pieces = database.iterator(SNAPSHOT)?;
            let are_sound = match pieces_are_sound(&mut pieces, self.group, begun, false) {
                Err(error) if error.kind() == ErrorKind::Corruption => false,
                are_sound => are_sound.map_err(refused("reading the beginning of a snapshot"))?,
            };
            if !are_sound {
                self.state.snapshots.give_up();
                self.write_state(database)?;
            }
        }
        self.damaged = reading::damaged(database, self.group, &self.state)?;
        let (group, lost) = (self.group, self.damaged.len());
        tracing::warn!(%group, lost, "entries were lost with a damaged record of the write-ahead log");
        database.settle()
    }

    pub(crate) const fn incarnation(&self) -> Incarnation {
        self.state.incarnation
    }

    /// What a server finds that starts with this.
    pub(crate) fn restored(&self) -> Restored {
        let (damaged, suspect_tail) = (self.damaged.clone(), self.is_suspect);
        Restored { damaged, suspect_tail, ..self.state.restored(self.cluster) }
    }

    /// Makes `batch` the last of its group in `staged`. On an error nothing of it is in there.
    pub(crate) fn stage(
        &mut self,
        database: &Database,
        batch: &Batch,
        staged: &mut Staged,
    ) -> Result<(), StorageError> {
        let after = batch::after(self.state.restored(self.cluster), batch)?;
        if let Some(cluster) = batch.cluster.filter(|&cluster| self.cluster != Some(cluster)) {
            record::seal(&cluster, &mut self.buffer)?;
            staged.write.put_cf(database.family(META)?, cluster_key(self.group), &self.buffer);
        }
        self.cluster = after.cluster;
        if self.is_suspect && batch.trust_tail {
            staged.write.put_cf(database.family(META)?, suspect_key(self.group), suspect::TRUSTED);
            self.is_suspect = false;
        }
        self.is_new_hard_state |= self.state.hard_state != after.hard_state;
        self.state.hard_state = after.hard_state;
        self.state.log = after.log;
        self.state.configurations = after.configurations;
        if let Some(from) = batch.truncate {
            self.state.mapping.truncate(from);
        }
        let log = database.family(LOG)?;
        for entry in &batch.repair {
            let stranger = StorageError::Misfit { last: self.state.log.last(), found: entry.id };
            let slot = self.state.mapping.replace(entry.id.index).ok_or(stranger)?;
            record::encode_entry(entry, &mut self.buffer)?;
            staged.write.put_cf(log, entry_key(self.group, slot), &self.buffer);
        }
        let pieces = database.family(SNAPSHOT)?;
        for part in &batch.parts {
            record::encode_chunk(&part.chunk, &mut self.buffer)?;
            let number = self.state.snapshots.store(part);
            let key = piece_key(self.group, number, part.chunk.offset);
            staged.write.put_cf(pieces, key, &self.buffer);
        }
        if let Some(base) = batch.compact {
            self.state.mapping.compact(base.index);
        }
        for entry in &batch.entries {
            record::encode_entry(entry, &mut self.buffer)?;
            staged.write.put_cf(log, entry_key(self.group, self.state.mapping.append()), &self.buffer);
        }
        // Whether what is committed may be truncated is the core's to judge; here the log stays readable.
        let bound = self.state.commit_bound.max(batch.commit_index);
        self.state.commit_bound = bound.min(self.state.mapping.last_index());
        *staged.batches.entry(self.group).or_default() += 1;
        Ok(())
    }

    /// Adds the state after all of this group's batches in `staged`: it is written once for all of them, and once
    /// more where term or vote is new.
    pub(crate) fn seal(&mut self, database: &Database, staged: &mut Staged) -> Result<(), StorageError> {
        self.state.encode(&mut self.buffer)?;
        let (family, key) = (database.family(META)?, state_key(self.group));
        staged.write.put_cf(family, key, &self.buffer);
        if mem::take(&mut self.is_new_hard_state) {
            if staged.again.is_empty() {
                staged.again.put_log_data(SECTOR);
            }
            staged.again.put_cf(family, key, &self.buffer);
        }
        Ok(())
    }

    /// What it takes to read what is there now, once the batches that were staged are written.
    pub(crate) fn ask(&self, load: Load) -> Reading {
        Reading { group: self.group, load, state: self.state.clone() }
    }

    /// Gives back to the file system what compactions, truncations and newer snapshots have freed, by whole
    /// files. To be called when what frees it is durable and nobody has to read it any more.
    pub(crate) fn give_back(&mut self, database: &Database) -> Result<(), StorageError> {
        let (slot, freed) = (self.state.mapping.first_slot(), self.state.snapshots.freed());
        if let Some(last) = slot.before()
            && slot > self.given_back.0
        {
            let (first, last) = (entry_key(self.group, Slot::default()), entry_key(self.group, last));
            database.give_back(LOG, &first, &last)?;
        }
        for Freed { first, last } in freed.into_iter().flatten() {
            if !self.given_back.1.contains(&Some(Freed { first, last })) {
                let (first, last) = (piece_key(self.group, first, 0), piece_key(self.group, last, u64::MAX));
                database.give_back(SNAPSHOT, &first, &last)?;
            }
        }
        self.given_back = (slot, freed);
        Ok(())
    }

    /// A group without a state is new, unless it has entries or pieces of snapshots, or what it had may be lost.
    fn write_first_state(&mut self, database: &Database) -> Result<(), StorageError> {
        if let Some(path) = database.left_over()? {
            let key = format!("meta/{}/state (it may be in {})", self.group, path.display());
            return Err(StorageError::Corrupt { what: "the state", key });
        }
        let group = self.group.0.to_be_bytes();
        for family in [LOG, SNAPSHOT] {
            let mut records = database.iterator(family)?;
            records.seek(group);
            if records.key().is_some_and(|key| key.starts_with(&group)) {
                return Err(corrupt_state(self.group));
            }
            records.status().map_err(unreadable(|| corrupt_state(self.group)))?;
        }
        self.write_state(database)
    }

    fn write_state(&mut self, database: &Database) -> Result<(), StorageError> {
        let mut staged = Staged { batches: [(self.group, 1)].into(), ..Staged::default() };
        staged.write.put_cf(database.family(META)?, FORMAT_KEY, encode_format());
        self.seal(database, &mut staged)?;
        staged.write(database)
    }
}

/// The state of `group`; none if it is new here.
pub(crate) fn read_state(database: &Database, group: GroupId) -> Result<Option<State>, StorageError> {
    let corrupt = || corrupt_state(group);
    let Some(bytes) = database.meta(&state_key(group), corrupt)? else {
        return Ok(None);
    };
    // The two are written together.
    let format = database.meta(FORMAT_KEY, corrupt)?;
    let state = format.and_then(|_| State::decode(&bytes));
    state.map(Some).ok_or_else(corrupt)
}

/// The cluster that `group` is of, if somebody has said so.
fn read_cluster(database: &Database, group: GroupId) -> Result<Option<ClusterId>, StorageError> {
    let corrupt = || StorageError::Corrupt { what: "the cluster", key: format!("meta/{group}/cluster") };
    let stored = database.meta(&cluster_key(group), corrupt)?;
    stored.map(|bytes| record::decode_cluster(&bytes).ok_or_else(corrupt)).transpose()
}

/// What is said of a state that is missing or damaged.
pub(crate) fn corrupt_state(group: GroupId) -> StorageError {
    StorageError::Corrupt { what: "the state", key: format!("meta/{group}/state") }
}
