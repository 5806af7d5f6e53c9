//! RocksDB, opened with every option that a promise of this crate rests on. What is written there is the
//! [log](crate::rocks_log)'s.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use rocksdb::{
    ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType, DBRawIterator, DBRecoveryMode, ErrorKind,
    LogLevel, Options, ReadOptions, WriteBatch, WriteOptions,
};

use rocksdb::properties::PropName;
use rocksdb::statistics::StatsLevel;

use crate::error::StorageError;
use crate::format::{FORMAT, FORMAT_KEY, LOCK, LOG, META, SNAPSHOT, corrupt_format, decode_format};
use crate::metrics::Counters;
use crate::telling::{self, LastError};
use crate::{background, clean_stop, directory, salvage, suspect, upgrade};

const MIB: usize = 1024 * 1024;

/// Who writes, and so how much RocksDB may do on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The disk is synced; RocksDB flushes and compacts in the background.
    Production,
    /// Nothing is synced, and nothing happens in the background.
    Simulated,
}

/// What may be chosen of a database on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RocksOptions {
    /// What RocksDB keeps in memory of what was written, and in its write-ahead log, before it makes a table
    /// of it; in bytes, from 64 KiB. Four times as much may be kept while tables are made. Opening after a
    /// crash reads that much again. Small ones stay in the processor's cache, and free the disk sooner.
    pub memtable_bytes: usize,
    /// How much of the newest entries each group keeps in memory to be read, in bytes, from none. They are
    /// shared with whoever gave them. A batch that is larger is read from disk.
    pub tail_bytes: usize,
}

impl Default for RocksOptions {
    fn default() -> Self {
        Self { memtable_bytes: 4 * MIB, tail_bytes: 8 * MIB }
    }
}

/// A directory that is open. Fields are dropped in this order: the lock goes last.
pub(crate) struct Database {
    db: DB,
    path: PathBuf,
    write_options: WriteOptions,
    mode: Mode,
    counters: Arc<Counters>,
    last_error: LastError,
    torn_bytes: u64,
    /// The write-ahead log was mended, and what it lost has not been looked for before.
    is_unsettled: bool,
    _lock: File,
}

impl Database {
    /// Opens the directory, and makes it if there is none.
    pub(crate) fn open(path: &Path, mode: Mode, options: RocksOptions) -> Result<Self, StorageError> {
        let lock = directory::take(path, mode, LOCK)?;
        let torn_bytes = directory::mend(path, mode)?;
        if torn_bytes > 0 {
            let directory = path.display();
            tracing::warn!(%directory, torn_bytes, "cut off the end of a write that was interrupted");
        }
        let mut options = self::options(mode, options)?;
        let last_error = telling::listen(&mut options, path, level(mode));
        let db = open_checked(path, &options)?;
        let mut write_options = WriteOptions::default();
        write_options.set_sync(mode == Mode::Production);
        let (path, counters) = (path.to_owned(), Arc::new(Counters::new(options)));
        let is_unsettled = salvage::is_unsettled(&path).map_err(directory::unread(&path))?;
        let database = Self {
            db,
            path,
            write_options,
            mode,
            counters,
            last_error,
            torn_bytes,
            is_unsettled,
            _lock: lock,
        };
        if let Some(format) = database.meta(FORMAT_KEY, corrupt_format)? {
            match decode_format(&format)? {
                FORMAT => {}
                found => upgrade::from(&database, found)?,
            }
        }
        suspect::mark(&database, &database.path)?;
        Ok(database)
    }

    /// How much of a torn end was cut off the write-ahead log.
    pub(crate) const fn torn_bytes(&self) -> u64 {
        self.torn_bytes
    }

    /// Whether a write-ahead log was mended, so that entries may be missing.
    pub(crate) const fn is_unsettled(&self) -> bool {
        self.is_unsettled
    }

    /// It is known what the log that was mended lost.
    pub(crate) fn settle(&self) -> Result<(), StorageError> {
        salvage::settle(&self.path).map_err(StorageError::io_at("naming a damaged log", &self.path))
    }

    /// A damaged write-ahead log that may have known of other groups, if there was one.
    pub(crate) fn left_over(&self) -> Result<Option<PathBuf>, StorageError> {
        salvage::left_over(&self.path).map_err(directory::unread(&self.path))
    }

    /// Closes it in order: whatever is missing when it is opened next is damage. Not for a database that
    /// refused something.
    pub(crate) fn close(mut shared: Arc<Self>) {
        // Whoever asks for its numbers holds it for a moment.
        let closed = loop {
            match Arc::try_unwrap(shared) {
                Ok(closed) => break closed,
                Err(held) => shared = held,
            }
            thread::yield_now();
        };
        let Self { db, path, mode, _lock, .. } = closed;
        drop(db);
        if mode == Mode::Production {
            // Without the marker it counts as killed.
            let _unmarked = clean_stop::mark(&path, mode);
        }
    }

    pub(crate) fn family(&self, name: &'static str) -> Result<&ColumnFamily, StorageError> {
        self.db
            .cf_handle(name)
            .ok_or_else(|| StorageError::Corrupt { what: "a column family", key: name.into() })
    }

    /// Writes all of it or nothing. Synced in production.
    ///
    /// # Errors
    ///
    /// The disk refused this, or refused a table in the background since it was opened.
    pub(crate) fn write(&self, write: WriteBatch) -> Result<(), StorageError> {
        let family = self.family(META)?;
        let waited = background::wait_for_room(&self.db, family, &self.path, &self.last_error)?;
        self.counters.waited(waited);
        let bytes = write.size_in_bytes();
        let began = (self.mode == Mode::Production).then(Instant::now);
        self.db.write_opt(write, &self.write_options).map_err(unopened(&self.path, "writing a batch"))?;
        self.counters.wrote(bytes, began.map(|began| began.elapsed()));
        background::check(&self.db, &self.path, &self.last_error)
    }

    pub(crate) const fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// What RocksDB measures; 0 where it does not.
    pub(crate) fn measured(&self, what: &PropName) -> u64 {
        self.db.property_int_value(what).ok().flatten().unwrap_or(0)
    }

    /// The same, of all column families together.
    pub(crate) fn measured_in_all(&self, what: &PropName) -> u64 {
        let families = [LOG, SNAPSHOT, META].into_iter().filter_map(|name| self.db.cf_handle(name));
        families.filter_map(|family| self.db.property_int_value_cf(family, what).ok().flatten()).sum()
    }

    /// What lies under a key of [`META`].
    pub(crate) fn meta(
        &self,
        key: &[u8],
        corrupt: impl Fn() -> StorageError,
    ) -> Result<Option<Vec<u8>>, StorageError> {
        self.db.get_cf(self.family(META)?, key).map_err(unreadable(corrupt))
    }

    /// What lies under a key, if it can be read; none if it is missing or damaged.
    pub(crate) fn sound(&self, family: &'static str, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        match self.db.get_cf(self.family(family)?, key) {
            Err(error) if error.kind() == ErrorKind::Corruption => Ok(None),
            read => read.map_err(refused("reading a record")),
        }
    }

    /// An iterator over a column family; what it reads is seldom read twice.
    pub(crate) fn iterator(&self, family: &'static str) -> Result<DBRawIterator<'_>, StorageError> {
        let mut options = ReadOptions::default();
        options.fill_cache(false);
        Ok(self.db.raw_iterator_cf_opt(self.family(family)?, options))
    }

    /// Gives the files back to the file system that hold nothing but keys from `first` to `last`, both
    /// included. No key is deleted one by one: what shares a file with a later key stays until that goes
    /// too. In a simulation nothing is given back.
    pub(crate) fn give_back(
        &self,
        family: &'static str,
        first: &[u8],
        last: &[u8],
    ) -> Result<(), StorageError> {
        match self.mode {
            Mode::Production => self
                .db
                .delete_file_in_range_cf(self.family(family)?, first, last)
                .map_err(refused("deleting files")),
            Mode::Simulated => Ok(()),
        }
    }
}

fn open_checked(path: &Path, options: &Options) -> Result<DB, StorageError> {
    let families = [LOG, SNAPSHOT, META].map(|name| {
        let mut options = options.clone();
        if name == META {
            // Nothing in there is ever given back, and all of it is small.
            options.set_level_zero_file_num_compaction_trigger(4);
        }
        ColumnFamilyDescriptor::new(name, options)
    });
    DB::open_cf_descriptors(options, path, families).map_err(unopened(path, "opening the database"))
}

/// From where on RocksDB tells what it has to say. A simulation opens many databases, and nobody asks what they do.
const fn level(mode: Mode) -> LogLevel {
    match mode {
        Mode::Production => LogLevel::Info,
        Mode::Simulated => LogLevel::Warn,
    }
}

fn options(mode: Mode, chosen: RocksOptions) -> Result<Options, StorageError> {
    // A flush while the log is recovered: what a killed process left unsynced is made durable before anybody
    // acknowledges it. Each write-ahead log knows the one before it, so that a manifest that lost its end is
    // found out.
    let mut text = "avoid_flush_during_recovery=false;track_and_verify_wals=true".to_owned();
    if mode == Mode::Simulated {
        // Room for a whole memtable in each new WAL: a simulation opens many, and on a file system in memory
        // that room is memory.
        text.push_str(";allow_fallocate=false");
    }
    let mut options = careful(&text)?;
    // An old record in a recycled file could be taken for a new one.
    options.set_recycle_log_file_num(0);
    options.set_track_and_verify_wals_in_manifest(true);
    // There is one writer.
    options.set_allow_concurrent_memtable_write(false);
    match mode {
        Mode::Production => {
            // Counts, and no times: ours are measured around each write.
            options.enable_statistics();
            options.set_statistics_level(StatsLevel::ExceptHistogramOrTimers);
            options.set_write_buffer_size(chosen.memtable_bytes);
            background::never_stall(&mut options);
            // Files of the first level cannot be given back. Keys come in order, so that a file leaves it
            // without being written again. Measured with 1 MiB entries of which the last 16 to 24 were kept:
            // 800 MiB written took at most 152 MiB on disk, and 344 MiB with RocksDB's own trigger, 4.
            options.set_level_zero_file_num_compaction_trigger(1);
        }
        Mode::Simulated => {
            // Never full in one life of a simulated server: nothing is flushed, and its WAL is one file.
            options.set_write_buffer_size(1024 * MIB);
            options.set_disable_auto_compactions(true);
        }
    }
    Ok(options)
}

/// What every database of this crate is opened with: whatever is damaged or missing is told of, and what was lost
/// stays lost. `more` is what the crate has no setter for, as RocksDB writes it.
pub(crate) fn careful(more: &str) -> Result<Options, StorageError> {
    // No resuming after an error in the background.
    let text = format!("max_bgerror_resume_count=0;{more}");
    let mut options = Options::default().get_options_from_string(text).map_err(refused("setting options"))?;
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_paranoid_checks(true);
    // The default mode silently drops synced records behind a bad one; so does the one that tolerates a
    // torn tail.
    options.set_wal_recovery_mode(DBRecoveryMode::AbsoluteConsistency);
    // All column families always tell of the same batches, with a write-ahead log or without.
    options.set_atomic_flush(true);
    options.set_compression_type(DBCompressionType::None);
    options.set_max_background_jobs(2);
    // Sixteen threads for each column family would take longer to start than the few files to open.
    options.set_max_file_opening_threads(1);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    Ok(options)
}

/// What an error of RocksDB says of a database that it was to open or to write to: that it is damaged, or that the disk
/// refused.
pub(crate) fn unopened(path: &Path, what: &'static str) -> impl Fn(rocksdb::Error) -> StorageError {
    move |error| {
        if error.kind() == ErrorKind::Corruption {
            StorageError::Damaged { path: path.to_owned(), message: error.into_string() }
        } else {
            refused(what)(error)
        }
    }
}

/// What an error of RocksDB says of something that it was to do.
pub(crate) fn refused(what: &'static str) -> impl Fn(rocksdb::Error) -> StorageError {
    move |error| StorageError::Io { what, message: error.into_string() }
}

/// What an error of RocksDB says of something that was to be read: that it is damaged, or that the disk
/// refused.
pub(crate) fn unreadable(corrupt: impl Fn() -> StorageError) -> impl Fn(rocksdb::Error) -> StorageError {
    move |error| {
        if error.kind() == ErrorKind::Corruption { corrupt() } else { refused("reading a record")(error) }
    }
}
