//! The directory of a state machine.
//!
//! | name | what |
//! | --- | --- |
//! | `raft-machine.lock` | empty; whoever has the machine open holds a lock on it |
//! | `raft-machine` | which database counts: layout, CRC32C, MessagePack \[format, number\] |
//! | `state-`*number* | a database; the one that counts, or one that is being installed |
//! | `checkpoint-`*number* | a database held fast, as long as a snapshot is read from it |
//!
//! A snapshot is installed when `raft-machine` names its database: that file is written beside, synced, and
//! renamed, when all of the database is durable. Whatever else lies there is what a crash left, and goes.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::database::Mode;
use crate::directory;
use crate::error::StorageError;
use crate::record::{seal, unseal};

/// The format of a machine's directory and of its snapshots. A later one is refused.
pub(super) const FORMAT: u32 = 1;

const LOCK: &str = "raft-machine.lock";
const POINTER: &str = "raft-machine";
const POINTER_TO_BE: &str = "raft-machine.tmp";
const STATE: &str = "state-";
const CHECKPOINT: &str = "checkpoint-";

/// A directory whose lock is held.
pub(super) struct Places {
    path: PathBuf,
    /// No two places of one life have the same number.
    next: AtomicU64,
    _lock: File,
}

impl Places {
    /// Takes the lock, and clears away what a crash left. With it comes the number of the database that counts; none
    /// in a new directory.
    pub(super) fn open(path: &Path) -> Result<(Self, Option<u64>), StorageError> {
        let lock = directory::take(path, Mode::Production, LOCK)?;
        let places = Self { path: path.to_owned(), next: AtomicU64::new(1), _lock: lock };
        let number = places.named()?;
        if number.is_none() {
            places.was_never_used()?;
        }
        places.next.store(number.map_or(1, |number| number + 1), Ordering::Relaxed);
        places.clear(number).map_err(StorageError::io_at("clearing away what a crash left", path))?;
        Ok((places, number))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn state(&self, number: u64) -> PathBuf {
        self.path.join(format!("{STATE}{number}"))
    }

    pub(super) fn checkpoint(&self, number: u64) -> PathBuf {
        self.path.join(format!("{CHECKPOINT}{number}"))
    }

    /// A number that nothing has.
    pub(super) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// An empty directory for a database that does not count yet.
    pub(super) fn make_state(&self) -> io::Result<(u64, PathBuf)> {
        let number = self.number();
        let directory = self.state(number);
        directory::make(&directory, Mode::Production)?;
        Ok((number, directory))
    }

    /// From here on it is this database that counts, durably.
    pub(super) fn name(&self, number: u64) -> Result<(), StorageError> {
        let mut pointer = Vec::new();
        seal(&(FORMAT, number), &mut pointer)?;
        let to_be = self.path.join(POINTER_TO_BE);
        File::create(&to_be)
            .and_then(|mut file| {
                file.write_all(&pointer)?;
                file.sync_all()
            })
            .and_then(|()| fs::rename(&to_be, self.path.join(POINTER)))
            .and_then(|()| File::open(&self.path)?.sync_all())
            .map_err(StorageError::io_at("naming the database that counts", &to_be))
    }

    /// The number of the database that counts; none in a new directory.
    fn named(&self) -> Result<Option<u64>, StorageError> {
        let path = self.path.join(POINTER);
        let pointer = match fs::read(&path) {
            Ok(pointer) => pointer,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StorageError::io_at("reading which database counts", &path)(error)),
        };
        match unseal::<(u32, u64)>(&pointer) {
            Some(((found, _), _)) if found > FORMAT => Err(StorageError::TooNew { found, known: FORMAT }),
            Some(((FORMAT, number), [])) if self.state(number).is_dir() => Ok(Some(number)),
            Some(_) | None => {
                let message = "it is to name the database that counts, and does not".into();
                Err(StorageError::Damaged { path, message })
            }
        }
    }

    /// A crash may have left a database before it counted, and so before anything was written to it: it has no
    /// tables.
    fn was_never_used(&self) -> Result<(), StorageError> {
        let reading = StorageError::io_at("reading the directory of a state machine", &self.path);
        for (_, state) in self.databases(STATE).map_err(&reading)? {
            for file in state.read_dir().map_err(&reading)? {
                if file.map_err(&reading)?.file_name().to_string_lossy().ends_with(".sst") {
                    let message =
                        "there are databases, and the file that names the one that counts is missing".into();
                    return Err(StorageError::Damaged { path: self.path.join(POINTER), message });
                }
            }
        }
        Ok(())
    }

    /// Removes all databases but one, all checkpoints, and a name that was being written.
    fn clear(&self, but: Option<u64>) -> io::Result<()> {
        directory::forget(&self.path.join(POINTER_TO_BE))?;
        for (number, state) in self.databases(STATE)? {
            if number.is_none() || number != but {
                remove(&state)?;
            }
        }
        for (_, checkpoint) in self.databases(CHECKPOINT)? {
            remove(&checkpoint)?;
        }
        Ok(())
    }

    /// The directories whose names begin so, with their numbers; RocksDB adds to the name while it makes one.
    fn databases(&self, begins: &str) -> io::Result<Vec<(Option<u64>, PathBuf)>> {
        let mut found = Vec::new();
        for file in self.path.read_dir()? {
            let file = file?;
            let name = file.file_name();
            if let Some(number) = name.to_str().and_then(|name| name.strip_prefix(begins))
                && file.file_type()?.is_dir()
            {
                found.push((number.parse().ok(), file.path()));
            }
        }
        Ok(found)
    }
}

/// Removes a directory, and the files in it.
pub(super) fn remove(directory: &Path) -> io::Result<()> {
    for file in directory.read_dir()? {
        fs::remove_file(file?.path())?;
    }
    fs::remove_dir(directory)
}
