//! Why a store could not be used, and who must act.

use std::fmt;
use std::path::PathBuf;

use raft_core::LogIndex;

/// Why the disk could not be used. None of these can be retried: a server that meets one stops,
/// because nobody knows what the disk holds after a failed write or a failed sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StorageError {
    /// The disk refused. What was being written may or may not be there.
    Io {
        /// What was being done.
        what: &'static str,
        /// What the system said.
        message: String,
    },
    /// RocksDB refuses the directory: a file of it is not what was written.
    Damaged {
        /// The directory.
        path: PathBuf,
        /// What RocksDB found.
        message: String,
    },
    /// The bytes under a key are not what this version writes, or are missing.
    Corrupt {
        /// What should be there.
        what: &'static str,
        /// Where.
        key: String,
    },
    /// The directory was written by a later version.
    TooNew {
        /// Its format number.
        found: u32,
        /// The latest that this version knows.
        known: u32,
    },
    /// Another process, or another store of this one, has the directory open.
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// An entry of a batch does not follow the last one of the log. Nothing of the batch was written.
    Misfit {
        /// The index that would have followed.
        expected: LogIndex,
        /// The index of the entry.
        found: LogIndex,
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
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { what, message } => {
                write!(f, "disk: {what} failed: {message}; mend the disk, then start the server again")
            }
            Self::Damaged { path, message } => write!(
                f,
                "directory {}: {message}; keep a copy of it, and bring the server back as a new member with an \
                 empty directory",
                path.display()
            ),
            Self::Corrupt { what, key } => write!(
                f,
                "disk: {what} at key {key} is missing or damaged; bring the server back as a new member with an \
                 empty directory"
            ),
            Self::TooNew { found, known } => write!(
                f,
                "directory: its format {found} is later than {known}, the latest known here; start a version that \
                 knows it"
            ),
            Self::Locked { path } => {
                write!(f, "directory {}: in use by another store; stop that one first", path.display())
            }
            Self::Misfit { expected, found } => write!(
                f,
                "batch: entry {found} came where entry {expected} follows; give each batch to the store once, in order"
            ),
            Self::Superseded => {
                write!(f, "store: its disk was crashed or opened again; open a new store on the disk")
            }
        }
    }
}

impl std::error::Error for StorageError {}
