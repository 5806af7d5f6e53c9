//! Why a store could not be used, and who must act.

use std::fmt;
use std::path::PathBuf;

use raft_core::{EntryId, GroupId, SnapshotId};

/// Why the disk could not be used. None of these can be retried: a server that meets one stops,
/// because nobody knows what the disk holds after a failed write or a failed sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StorageError {
    /// The disk refused. What was being written may or may not be there.
    Io {
        /// What was being done.
        what: &'static str,
        /// Where, and what the system said.
        message: String,
    },
    /// A file is not what was written.
    Damaged {
        /// The file; where RocksDB found it, the directory.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// The bytes under a key are not what this version writes, or are missing.
    Corrupt {
        /// What should be there.
        what: &'static str,
        /// Where.
        key: String,
    },
    /// What a state machine keeps in its own directory is not what was written. The log store is not concerned.
    DamagedMachine {
        /// The directory of the state machine.
        directory: PathBuf,
        /// What is wrong, and where.
        message: String,
    },
    /// The directory was written by a later version.
    TooNew {
        /// Its format number.
        found: u32,
        /// The latest that this version knows.
        known: u32,
    },
    /// The directory is not that of a store.
    NotAStore {
        /// The directory.
        path: PathBuf,
        /// What is missing.
        message: String,
    },
    /// The directory was written to all the time while it was inspected, so that nothing can be said of it.
    Changing {
        /// The directory.
        path: PathBuf,
    },
    /// Another process, or another store of this one, has the directory open.
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// Another store of this process has the group open, in the same directory.
    Taken {
        /// The group.
        group: GroupId,
    },
    /// An entry of a batch does not follow the last one of the log, or the log contradicts the one that it is
    /// to begin after. Nothing of the batch was written.
    Misfit {
        /// The last entry of the log.
        last: EntryId,
        /// The entry that does not join on.
        found: EntryId,
    },
    /// A piece of a snapshot does not follow the one before it. Nothing of its batch was written.
    MisfitPiece {
        /// The snapshot.
        snapshot: SnapshotId,
        /// Where the piece that would have followed begins, in bytes.
        expected: u64,
        /// Where the one that came begins.
        found: u64,
    },
    /// The log was to begin after an entry that no whole snapshot stands for (§7). Nothing of the batch was
    /// written.
    Uncovered {
        /// The entry.
        base: EntryId,
    },
    /// The disk in memory was crashed, or opened by another store, since this one was opened.
    Superseded,
}

impl StorageError {
    /// What [`Io`](Self::Io) says of an error of the system.
    #[cfg(feature = "rocksdb")]
    pub(crate) fn io(what: &'static str) -> impl Fn(std::io::Error) -> Self {
        move |error| Self::Io { what, message: error.to_string() }
    }

    /// The same, with the place.
    #[cfg(feature = "rocksdb")]
    pub(crate) fn io_at(what: &'static str, place: &std::path::Path) -> impl Fn(std::io::Error) -> Self {
        move |error| Self::Io { what, message: format!("{}: {error}", place.display()) }
    }

    /// The same of a state machine in this directory, where damage has another cure.
    #[cfg(feature = "rocksdb")]
    pub(crate) fn of_machine(self, directory: &std::path::Path) -> Self {
        let message = if let Self::Damaged { path, message } = &self {
            format!("{}: {message}", path.display())
        } else if let Self::Corrupt { what, key } = &self {
            format!("{what} at key {key} is missing or damaged")
        } else {
            return self;
        };
        Self::DamagedMachine { directory: directory.to_owned(), message }
    }
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { what, message } => {
                write!(f, "disk: {what} failed: {message}; mend the disk, then start the server again")
            }
            Self::Damaged { path, message } => write!(
                f,
                "damaged: {}: {message}; keep a copy of the directory, and bring the server back as a new member \
                 with an empty one",
                path.display()
            ),
            Self::Corrupt { what, key } => write!(
                f,
                "disk: {what} at key {key} is missing or damaged; bring the server back as a new member with an \
                 empty directory"
            ),
            Self::DamagedMachine { directory, message } => write!(
                f,
                "damaged state machine: {message}; move {} away, and start the server again: it makes the state anew \
                 from the snapshot and the log in its store",
                directory.display()
            ),
            Self::TooNew { found, known } => write!(
                f,
                "directory: its format {found} is later than {known}, the latest known here; start a version that \
                 knows it"
            ),
            Self::NotAStore { path, message } => write!(
                f,
                "directory {}: not that of a store: {message}; name the directory that a server was given",
                path.display()
            ),
            Self::Changing { path } => write!(
                f,
                "directory {}: written to all the time while it was read; inspect it again, or stop the server first",
                path.display()
            ),
            Self::Locked { path } => {
                write!(f, "directory {}: in use by another store; stop that one first", path.display())
            }
            Self::Taken { group } => write!(f, "{group}: another store has it open; drop that one first"),
            Self::Misfit { last, found } => write!(
                f,
                "batch: entry {found} does not join on to a log that ends with {last}; give each batch to the store \
                 once, in order"
            ),
            Self::MisfitPiece { snapshot, expected, found } => write!(
                f,
                "batch: a piece of the snapshot up to {} came for byte {found} where byte {expected} follows; give \
                 each batch to the store once, in order",
                snapshot.last_included
            ),
            Self::Uncovered { base } => write!(
                f,
                "batch: the log is to begin after {base}, and no whole snapshot stands for what is before; store the \
                 snapshot first"
            ),
            Self::Superseded => {
                write!(f, "store: its disk was crashed or opened again; open a new store on the disk")
            }
        }
    }
}

impl std::error::Error for StorageError {}
