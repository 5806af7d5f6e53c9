//! One group's log in RocksDB: how it is opened and checked, and how a batch becomes part of it. Both
//! executors of the [log writer](crate::writer) drive this one; nothing here decides when a write is
//! synced.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;

use raft_core::{Batch, Entry, GroupId, Incarnation, LogIndex, Restored};
use rocksdb::{
    ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType, DBRecoveryMode, Options, ReadOptions,
    WriteBatch, WriteOptions,
};

use crate::batch::check_fit;
use crate::error::StorageError;
use crate::format::{FORMAT_KEY, LOG, META, check_format, encode_format, record_key, state_key};
use crate::record::{self, State};
use crate::wal;

/// Where the lock on the directory is held.
const LOCK_FILE: &str = "raft-storage.lock";

const MIB: usize = 1024 * 1024;

/// Who writes, and so how much RocksDB may do on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The disk is synced; RocksDB flushes and compacts in the background.
    Production,
    /// Nothing is synced, and nothing happens in the background.
    Simulated,
}

/// The log of one group, open. Fields are dropped in this order: the lock goes last.
pub(crate) struct RocksLog {
    db: DB,
    group: GroupId,
    state: State,
    write_options: WriteOptions,
    /// The bytes of one value at a time.
    buffer: Vec<u8>,
    _lock: File,
}

/// Batches that become part of the log together.
#[derive(Default)]
pub(crate) struct Group {
    write: WriteBatch,
    pub(crate) batches: usize,
}

impl Group {
    pub(crate) fn bytes(&self) -> usize {
        self.write.size_in_bytes()
    }
}

impl RocksLog {
    /// Opens the directory, makes it if there is none, and reads and checks the whole log. With it comes
    /// how much of a torn end was cut off.
    pub(crate) fn open(
        path: &Path,
        group: GroupId,
        new_incarnation: Incarnation,
        mode: Mode,
    ) -> Result<(Self, Restored, u64), StorageError> {
        make_directory(path, mode).map_err(StorageError::io("making the directory"))?;
        let lock = lock(path)?;
        let (db, torn_bytes) = open_database(path, mode)?;
        let mut write_options = WriteOptions::default();
        write_options.set_sync(mode == Mode::Production);
        let stored = read_state(&db, group)?;
        let state = stored.clone().unwrap_or_else(|| State::new(new_incarnation));
        let mut log = Self { db, group, state, write_options, buffer: Vec::new(), _lock: lock };
        if stored.is_none() {
            log.write_first_state()?;
        }
        let restored = Restored { hard_state: log.state.hard_state(), entries: log.read_entries()? };
        Ok((log, restored, torn_bytes))
    }

    pub(crate) const fn incarnation(&self) -> Incarnation {
        self.state.incarnation
    }

    /// Makes `batch` the last of `group`. On an error nothing of it is in there.
    pub(crate) fn stage(&mut self, batch: &Batch, group: &mut Group) -> Result<(), StorageError> {
        check_fit(self.state.mapping.last_index(), batch)?;
        if let Some(hard_state) = batch.hard_state {
            self.state.set_hard_state(hard_state);
        }
        if let Some(from) = batch.truncate {
            self.state.mapping.truncate(from);
        }
        let log = column_family(&self.db, LOG)?;
        for entry in &batch.entries {
            record::encode(entry, &mut self.buffer)?;
            group.write.put_cf(log, record_key(self.group, self.state.mapping.append()), &self.buffer);
        }
        // Whether what is committed may be truncated is the core's to judge; here the log stays readable.
        let bound = self.state.commit_bound.max(batch.commit_index);
        self.state.commit_bound = bound.min(self.state.mapping.last_index());
        group.batches += 1;
        Ok(())
    }

    /// Writes a group and the state after it: all of it or nothing. Synced in production.
    pub(crate) fn commit(&mut self, mut group: Group) -> Result<(), StorageError> {
        self.state.encode(&mut self.buffer)?;
        group.write.put_cf(column_family(&self.db, META)?, state_key(self.group), &self.buffer);
        self.db.write_opt(group.write, &self.write_options).map_err(refused("writing a batch"))
    }

    /// A directory without a state is new, unless it has entries.
    fn write_first_state(&mut self) -> Result<(), StorageError> {
        let mut entries = self.db.raw_iterator_cf(column_family(&self.db, LOG)?);
        entries.seek(self.group.0.to_be_bytes());
        if entries.key().is_some_and(|key| key.starts_with(&self.group.0.to_be_bytes())) {
            return Err(corrupt_state(self.group));
        }
        entries.status().map_err(refused("reading the log"))?;
        drop(entries);
        let mut group = Group::default();
        group.write.put_cf(column_family(&self.db, META)?, FORMAT_KEY, encode_format());
        self.commit(group)
    }

    /// Reads every entry that the mapping names. One seek a run.
    fn read_entries(&self) -> Result<Vec<Entry>, StorageError> {
        let mut options = ReadOptions::default();
        options.fill_cache(false);
        let mut stored = self.db.raw_iterator_cf_opt(column_family(&self.db, LOG)?, options);
        let mut entries = Vec::new();
        for (index, slot) in self.state.mapping.iter() {
            let key = record_key(self.group, slot);
            if stored.key() != Some(&key) {
                stored.seek(key);
            }
            stored.status().map_err(refused("reading the log"))?;
            let entry = stored
                .item()
                .filter(|(found, _)| *found == key)
                .and_then(|(_, value)| record::decode(value, index))
                .ok_or_else(|| corrupt_entry(self.group, index, slot.get()))?;
            entries.push(entry);
            stored.next();
        }
        Ok(entries)
    }
}

/// Opens RocksDB with every option that a promise of this crate rests on. Where it refuses the end of its
/// write-ahead log, our own reading decides: a torn end, which nobody was told of, is cut off; a bad record
/// that good ones follow is damage.
fn open_database(path: &Path, mode: Mode) -> Result<(DB, u64), StorageError> {
    match open_checked(path, mode) {
        Err(StorageError::Damaged { path, message }) => {
            let cut = wal::cut_torn_end(&path).map_err(StorageError::io("cutting a torn write-ahead log"))?;
            let Some(cut) = cut else { return Err(StorageError::Damaged { path, message }) };
            Ok((open_checked(&path, mode)?, cut))
        }
        opened => Ok((opened?, 0)),
    }
}

fn open_checked(path: &Path, mode: Mode) -> Result<DB, StorageError> {
    let options = database_options(mode)?;
    let families = [LOG, META].map(|name| ColumnFamilyDescriptor::new(name, options.clone()));
    DB::open_cf_descriptors(&options, path, families).map_err(|error| {
        if error.kind() == rocksdb::ErrorKind::Corruption {
            StorageError::Damaged { path: path.to_owned(), message: error.into_string() }
        } else {
            refused("opening the database")(error)
        }
    })
}

fn database_options(mode: Mode) -> Result<Options, StorageError> {
    // What the crate has no setter for. No resuming after an error in the background: what was lost then
    // stays lost. A flush while the log is recovered: what a killed process left unsynced is made
    // durable before anybody acknowledges it.
    let mut options = Options::default()
        .get_options_from_string("max_bgerror_resume_count=0;avoid_flush_during_recovery=false")
        .map_err(refused("setting options"))?;
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_paranoid_checks(true);
    // The default mode silently drops synced records behind a bad one; so does the one that tolerates a
    // torn tail.
    options.set_wal_recovery_mode(DBRecoveryMode::AbsoluteConsistency);
    // An old record in a recycled file could be taken for a new one.
    options.set_recycle_log_file_num(0);
    options.set_track_and_verify_wals_in_manifest(true);
    // Both column families always tell of the same batches.
    options.set_atomic_flush(true);
    // There is one writer.
    options.set_allow_concurrent_memtable_write(false);
    options.set_compression_type(DBCompressionType::None);
    options.set_max_background_jobs(2);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options.set_log_level(rocksdb::LogLevel::Warn);
    options.set_keep_log_file_num(2);
    match mode {
        Mode::Production => {
            options.set_write_buffer_size(64 * MIB);
            options.set_max_write_buffer_number(4);
        }
        Mode::Simulated => {
            // Never full in one life of a simulated server: nothing is flushed, and its WAL is one file.
            options.set_write_buffer_size(1024 * MIB);
            options.set_disable_auto_compactions(true);
        }
    }
    Ok(options)
}

/// Makes the directory where there is none, and its name durable: RocksDB syncs what is in it, but not
/// the directory that it is in.
fn make_directory(path: &Path, mode: Mode) -> io::Result<()> {
    let parent = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return Ok(()),
    };
    if !parent.exists() {
        make_directory(parent, mode)?;
    }
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    if mode == Mode::Production { File::open(parent)?.sync_all() } else { Ok(()) }
}

fn lock(path: &Path) -> Result<File, StorageError> {
    let file = File::options()
        .create(true)
        .write(true)
        .truncate(false)
        .open(path.join(LOCK_FILE))
        .map_err(StorageError::io("opening the lock file"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StorageError::Locked { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(StorageError::io("locking the directory")(error)),
    }
}

/// The state of `group`; none if it is new here.
fn read_state(db: &DB, group: GroupId) -> Result<Option<State>, StorageError> {
    let meta = column_family(db, META)?;
    let format = db.get_cf(meta, FORMAT_KEY).map_err(refused("reading the format"))?;
    if let Some(format) = &format {
        check_format(format)?;
    }
    let Some(bytes) = db.get_cf(meta, state_key(group)).map_err(refused("reading the state"))? else {
        return Ok(None);
    };
    // The two are written together.
    let state = format.and_then(|_| State::decode(&bytes));
    state.map(Some).ok_or_else(|| corrupt_state(group))
}

fn column_family<'db>(db: &'db DB, name: &'static str) -> Result<&'db ColumnFamily, StorageError> {
    db.cf_handle(name).ok_or_else(|| StorageError::Corrupt { what: "a column family", key: name.into() })
}

fn corrupt_state(group: GroupId) -> StorageError {
    StorageError::Corrupt { what: "the state", key: format!("meta/{group}/state") }
}

fn corrupt_entry(group: GroupId, index: LogIndex, slot: u64) -> StorageError {
    StorageError::Corrupt { what: "an entry", key: format!("log/{group}/slot {slot} (index {index})") }
}

fn refused(what: &'static str) -> impl Fn(rocksdb::Error) -> StorageError {
    move |error| StorageError::Io { what, message: error.into_string() }
}
