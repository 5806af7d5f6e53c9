//! Which groups' logs may have been longer, until each has caught up: what a torn end leaves behind, when it is gone.
//!
//! The file [`TORN`] is there from before the end is cut off until the groups are marked, each under a key of its own,
//! which is taken back with the batch by which the group's server trusts its log again.

use std::fs::File;
use std::io;
use std::path::Path;

use raft_core::GroupId;
use rocksdb::WriteBatch;

use crate::database::{Database, unreadable};
use crate::directory::forget;
use crate::error::StorageError;
use crate::format::{META, TORN, group_of_state, suspect_key};
use crate::rocks_log::corrupt_state;

/// The log of a group may have been longer.
pub(crate) const SUSPECT: [u8; 1] = [1];

/// It may not any more.
pub(crate) const TRUSTED: [u8; 1] = [0];

/// Whether what stands under the key says that the log may have been longer. A mark that is anything else than trust is
/// believed.
pub(crate) fn is_mark(value: &[u8]) -> bool {
    value != TRUSTED
}

/// The end of the write-ahead log is about to be cut off.
pub(crate) fn note(path: &Path) -> io::Result<()> {
    File::create(path.join(TORN))?.sync_all()?;
    File::open(path)?.sync_all()
}

/// Marks all groups that there are, where an end was cut off.
pub(crate) fn mark(database: &Database, path: &Path) -> Result<(), StorageError> {
    let noted = path.join(TORN);
    if !noted.exists() {
        return Ok(());
    }
    let mut stored = database.iterator(META)?;
    stored.seek_to_first();
    let mut write = WriteBatch::default();
    while let Some((key, _)) = stored.item() {
        if let Some(group) = group_of_state(key) {
            write.put_cf(database.family(META)?, suspect_key(group), SUSPECT);
        }
        stored.next();
    }
    stored.status().map_err(unreadable(|| corrupt_state(GroupId::default())))?;
    if !write.is_empty() {
        database.write(write)?;
    }
    forget(&noted).map_err(StorageError::io_at("forgetting a torn end", &noted))
}

/// Whether a group is marked.
pub(crate) fn is_marked(database: &Database, group: GroupId) -> Result<bool, StorageError> {
    let mark = database.meta(&suspect_key(group), || corrupt_state(group))?;
    Ok(mark.is_some_and(|mark| is_mark(&mark)))
}
