//! Keeping servers off a directory while somebody else needs its files to stay as they are.

use std::fs::File;
use std::path::Path;

use crate::directory;
use crate::error::StorageError;
use crate::format::LOCK;

/// As long as it is there, no store opens the directory. Nothing in it is changed.
#[derive(Debug)]
#[must_use = "it holds as long as it is there"]
pub struct Hold {
    _lock: File,
}

impl Hold {
    /// Of the directory of a store.
    ///
    /// # Errors
    ///
    /// Somebody has it open, or the disk refused.
    pub fn of(directory: impl AsRef<Path>) -> Result<Self, StorageError> {
        Ok(Self { _lock: directory::lock(directory.as_ref(), LOCK)? })
    }
}
