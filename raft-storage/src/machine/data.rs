//! The database of a state machine: what commands have put there, and how far they were applied, in one batch.

use std::path::{Path, PathBuf};

use raft_core::LogIndex;
use rocksdb::{
    ColumnFamily, ColumnFamilyDescriptor, DB, DBRawIterator, LogLevel, Options, WriteBatch, WriteOptions,
    checkpoint::Checkpoint,
};

use super::MachineOptions;
use crate::database::{Mode, careful, refused, unopened};
use crate::error::StorageError;
use crate::record::{seal, unseal};
use crate::telling::{self, LastError};
use crate::{background, clean_stop, directory};

/// The column family of what commands put there.
const DATA: &str = "data";
/// The column family of what the machine keeps beside it.
const OWN: &str = "own";
/// The key, in [`OWN`], of the index of the last entry that was applied.
const APPLIED: &[u8] = b"applied";

/// A name or a key, and what is under it.
pub(super) type Record = (Vec<u8>, Vec<u8>);

/// A database that is open.
pub(super) struct Data {
    db: DB,
    path: PathBuf,
    unlogged: WriteOptions,
    last_error: LastError,
}

impl Data {
    /// Opens the one in the directory `path`, and makes it where there is none. With it comes the last entry that
    /// was applied to it.
    pub(super) fn open(path: &Path, options: MachineOptions) -> Result<(Self, LogIndex), StorageError> {
        directory::mend(path, Mode::Production)?;
        let mut options = self::options(options)?;
        let last_error = telling::listen(&mut options, path, LogLevel::Warn);
        let families = [DATA, OWN].map(|name| ColumnFamilyDescriptor::new(name, options.clone()));
        let db = DB::open_cf_descriptors(&options, path, families)
            .map_err(unopened(path, "opening a state machine"))?;
        let mut unlogged = WriteOptions::default();
        unlogged.disable_wal(true);
        let data = Self { db, path: path.to_owned(), unlogged, last_error };
        let applied = data.applied()?;
        Ok((data, applied))
    }

    /// Closes it in order: whatever is missing when it is opened next is damage. Not for one that refused
    /// something.
    pub(super) fn close(self) {
        let Self { db, path, unlogged: _, last_error: _ } = self;
        // What is in memory is written to tables.
        drop(db);
        // Without the marker it counts as killed.
        let _unmarked = clean_stop::mark(&path, Mode::Production);
    }

    /// The last entry that was applied; zero where there is nothing yet.
    fn applied(&self) -> Result<LogIndex, StorageError> {
        let corrupt = || StorageError::Corrupt { what: "how far was applied", key: "own/applied".into() };
        let stored =
            self.db.get_cf(self.family(OWN)?, APPLIED).map_err(self.unread("reading how far was applied"))?;
        let Some(stored) = stored else {
            let mut all = self.iterator()?;
            all.seek_to_first();
            all.status().map_err(self.unread("reading a state machine"))?;
            return if all.valid() { Err(corrupt()) } else { Ok(LogIndex::ZERO) };
        };
        match unseal::<LogIndex>(&stored) {
            Some((applied, [])) => Ok(applied),
            Some(_) | None => Err(corrupt()),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What the machine keeps under this name beside what commands put there.
    pub(super) fn own(&self, name: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        self.db.get_cf(self.family(OWN)?, name).map_err(self.unread("reading what a state machine keeps"))
    }

    /// All that it keeps under names that begin so, by the rest of the name.
    pub(super) fn own_under(&self, prefix: &[u8]) -> Result<Vec<Record>, StorageError> {
        let (mut found, mut all) = (self.db.raw_iterator_cf(self.family(OWN)?), Vec::new());
        found.seek(prefix);
        while let Some((name, value)) = found.item() {
            let Some(rest) = name.strip_prefix(prefix) else { break };
            all.push((rest.to_vec(), value.to_vec()));
            found.next();
        }
        found.status().map_err(self.unread("reading what a state machine keeps"))?;
        Ok(all)
    }

    /// Adds to `changes` what the machine keeps under this name from now on; none: nothing.
    pub(super) fn keep(
        &self,
        changes: &mut WriteBatch,
        name: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), StorageError> {
        let own = self.family(OWN)?;
        match value {
            Some(value) => changes.put_cf(own, name, value),
            None => changes.delete_cf(own, name),
        }
        Ok(())
    }

    /// Writes what a command has changed, and that it was applied: all of it or nothing is there after a crash.
    pub(super) fn write(&self, mut changes: WriteBatch, applied: LogIndex) -> Result<(), StorageError> {
        let mut value = Vec::new();
        seal(&applied, &mut value)?;
        let own = self.family(OWN)?;
        changes.put_cf(own, APPLIED, &value);
        background::wait_for_room(&self.db, own, &self.path, &self.last_error)?;
        self.db.write_opt(changes, &self.unlogged).map_err(refused("applying a command"))?;
        background::check(&self.db, &self.path, &self.last_error)
    }

    pub(super) fn data(&self) -> Result<&ColumnFamily, StorageError> {
        self.family(DATA)
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        self.db.get_cf(self.data()?, key).map_err(self.unread("reading a state machine"))
    }

    pub(super) fn iterator(&self) -> Result<DBRawIterator<'_>, StorageError> {
        Ok(self.db.raw_iterator_cf(self.data()?))
    }

    /// All of it as it is now, in a directory of its own: what is in memory is written to tables, and tables are
    /// given a second name.
    pub(super) fn checkpoint(&self, path: &Path) -> Result<(), StorageError> {
        Checkpoint::new(&self.db)
            .and_then(|checkpoint| checkpoint.create_checkpoint(path))
            .map_err(refused("holding a state machine fast"))
    }

    /// What an error of something that was to be read says: that the database is damaged, or that the disk refused.
    pub(super) fn unread(&self, what: &'static str) -> impl Fn(rocksdb::Error) -> StorageError {
        unopened(&self.path, what)
    }

    fn family(&self, name: &'static str) -> Result<&ColumnFamily, StorageError> {
        self.db
            .cf_handle(name)
            .ok_or_else(|| StorageError::Corrupt { what: "a column family", key: name.into() })
    }
}

fn options(chosen: MachineOptions) -> Result<Options, StorageError> {
    let mut options = careful("")?;
    options.set_write_buffer_size(chosen.memtable_bytes);
    background::never_stall(&mut options);
    Ok(options)
}
