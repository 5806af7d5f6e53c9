//! How a batch joins on to a log, and what it makes of one. Nothing here knows how it is stored.

use raft_core::{Batch, LogIndex, Restored};

use crate::error::StorageError;

/// Whether `batch` joins on to a log that ends at `last`: after its truncation (§5.3), its entries
/// follow each other without a gap. Asked before anything of a batch is carried out.
pub(crate) fn check_fit(last: LogIndex, batch: &Batch) -> Result<(), StorageError> {
    let kept = batch.truncate.map_or(last, |from| last.min(from.prev()));
    let mut expected = kept.next();
    for entry in &batch.entries {
        let found = entry.id.index;
        if found != expected {
            return Err(StorageError::Misfit { expected, found });
        }
        expected = expected.next();
    }
    Ok(())
}

/// What a server that had stored `restored`, and then `batch`, finds when it starts.
pub(crate) fn apply(restored: &mut Restored, batch: Batch) {
    if let Some(hard_state) = batch.hard_state {
        restored.hard_state = hard_state;
    }
    if let Some(from) = batch.truncate {
        let kept = restored.entries.partition_point(|entry| entry.id.index < from);
        restored.entries.truncate(kept);
    }
    restored.entries.extend(batch.entries);
}
