//! What RocksDB does in the background, and what becomes of writes while it cannot.
//!
//! Left to itself, RocksDB lets a write wait inside it when it has more memtables than it may keep in memory. Where
//! a full disk is the reason that no table can be made of them, it waits for room, for ever if need be, and tells
//! nobody. So no write is given to it that could have to wait: whoever writes waits here, and asks for errors
//! meanwhile.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rocksdb::properties::{BACKGROUND_ERRORS, NUM_IMMUTABLE_MEM_TABLE};
use rocksdb::{ColumnFamily, DB, Options};

use crate::error::StorageError;
use crate::telling::LastError;

/// So many memtables may wait for tables to be made of them.
pub(crate) const WAITING_MAX: u64 = 3;

/// A write may fill one memtable more; with one less than this RocksDB slows writes down, and with as many it lets
/// them wait.
const MEMTABLES_MAX: i32 = 5;

/// How often it is asked whether a table was made.
const PATIENCE: Duration = Duration::from_micros(500);

/// Nothing but memtables that wait is a reason to slow a write down.
pub(crate) fn never_stall(options: &mut Options) {
    options.set_max_write_buffer_number(MEMTABLES_MAX);
    options.set_level_zero_slowdown_writes_trigger(i32::MAX);
    options.set_level_zero_stop_writes_trigger(i32::MAX);
    options.set_soft_pending_compaction_bytes_limit(0);
    options.set_hard_pending_compaction_bytes_limit(0);
}

/// Waits until a write to `family`, which is written with each batch, finds room in memory. How long it had to.
///
/// # Errors
///
/// No table could be made.
pub(crate) fn wait_for_room(
    db: &DB,
    family: &ColumnFamily,
    path: &Path,
    last_error: &LastError,
) -> Result<Duration, StorageError> {
    let mut began = None;
    let waiting = || db.property_int_value_cf(family, NUM_IMMUTABLE_MEM_TABLE).map_err(asking);
    while waiting()?.is_some_and(|waiting| waiting >= WAITING_MAX) {
        began.get_or_insert_with(Instant::now);
        check(db, path, last_error)?;
        thread::sleep(PATIENCE);
    }
    Ok(began.map_or(Duration::ZERO, |began| began.elapsed()))
}

/// # Errors
///
/// Something could not be written in the background since the database was opened, or what was to be written there was
/// read and is damaged. A full disk RocksDB takes for
/// well again as soon as it sees room, whatever it was told.
pub(crate) fn check(db: &DB, path: &Path, last_error: &LastError) -> Result<(), StorageError> {
    match db.property_int_value(BACKGROUND_ERRORS).map_err(asking)? {
        Some(1..) => {
            let said = last_error.wait().unwrap_or_else(|| "nothing is known of it".into());
            if said.contains("Corruption: ") {
                return Err(StorageError::Damaged { path: path.to_owned(), message: said });
            }
            let message = format!("{}: {said}", path.display());
            Err(StorageError::Io { what: "writing a table in the background", message })
        }
        Some(0) | None => Ok(()),
    }
}

fn asking(error: rocksdb::Error) -> StorageError {
    StorageError::Io { what: "asking what goes on in the background", message: error.into_string() }
}
