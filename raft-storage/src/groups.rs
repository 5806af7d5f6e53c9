//! Many groups in one directory: one database, one write-ahead log, one sync.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use raft_core::{GroupId, Incarnation};

use crate::database::RocksOptions;
use crate::error::StorageError;
use crate::metrics::{StorageMeter, StorageMetrics};
use crate::opened::Opened;
use crate::rocks::RocksStore;
use crate::threaded_writer::{Seat, Writer};

/// A directory that is open, for the stores of as many groups as there are. What they write while a sync is going
/// on shares the next one. Clones are handles on the same directory; it is closed when the last of them and
/// of its stores is dropped.
///
/// A failed write or sync poisons all stores of the directory, because it was one write. A batch that does not
/// join on, or a damaged record, poisons its own store alone.
#[derive(Clone)]
pub struct RocksGroups {
    writer: Arc<Writer>,
}

impl RocksGroups {
    /// Opens the directory `path`, and makes it if there is none. A thread of its own writes, syncs and reads.
    ///
    /// # Errors
    ///
    /// Somebody else has the directory open, a later version wrote it, something in it is not what was
    /// written, or the disk refused.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StorageError> {
        Self::open_with(path, RocksOptions::default())
    }

    /// The same with other than the usual options.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_with(path: impl AsRef<Path>, options: RocksOptions) -> Result<Self, StorageError> {
        Ok(Self { writer: Arc::new(Writer::start(path.as_ref(), options)?) })
    }

    /// The store of `group`; a new group gets `new_incarnation`, which is to be drawn at random. Waits for what
    /// is being written, and for a sync where the group is new.
    ///
    /// # Errors
    ///
    /// Another store has the group open, something of it is not what was written, or the disk refused.
    pub fn store(
        &self,
        group: GroupId,
        new_incarnation: Incarnation,
    ) -> Result<Opened<RocksStore>, StorageError> {
        let (seat, restored, incarnation) = Seat::take(Arc::clone(&self.writer), group, new_incarnation)?;
        let store = RocksStore::threaded(seat);
        Ok(Opened { store, restored, incarnation, torn_bytes: self.torn_bytes() })
    }

    /// What the directory measures of itself, all its groups together. Waits for no write and for no sync.
    pub fn metrics(&self) -> StorageMetrics {
        self.writer.meter().metrics()
    }

    /// A handle to ask that later, which does not keep the directory open.
    pub fn meter(&self) -> StorageMeter {
        self.writer.meter().clone()
    }

    /// How many bytes of a torn end were cut off the write-ahead log when the directory was opened.
    pub fn torn_bytes(&self) -> u64 {
        self.writer.torn_bytes()
    }
}

impl fmt::Debug for RocksGroups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RocksGroups").field("path", self.writer.path()).finish_non_exhaustive()
    }
}
