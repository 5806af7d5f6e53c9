//! Damage to the directory of a server that is down. To flip a bit, nothing of RocksDB is asked where a record lies: its files
//! are searched for bytes that check as one. To lose a snapshot, RocksDB is told to.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use raft_core::{GroupId, LogIndex};
use rocksdb::WriteBatch;

use crate::database::{Database, Mode, RocksOptions, refused};
use crate::error::StorageError;
use crate::format::{LAYOUT, SNAPSHOT, piece_key, piece_of_key};
use crate::record::{chunk_bytes, entry_bytes};
use crate::rocks_log::read_state;
use crate::wal;

/// Deletes the pieces of a group's whole snapshot: what stands for the beginning of its log is named, and not there. The
/// directory, which nobody may have open, is opened for that, with all that an opening does. Gives how many bytes that was;
/// none without a snapshot.
///
/// # Errors
///
/// The directory does not open, or the disk refused.
pub fn delete_snapshot(directory: impl AsRef<Path>, group: GroupId) -> Result<u64, StorageError> {
    let database = Database::open(directory.as_ref(), Mode::Simulated, RocksOptions::default())?;
    let state = read_state(&database, group)?;
    let Some(whole) = state.as_ref().and_then(|state| state.snapshots.whole()) else { return Ok(0) };
    let is_of_it = |key: &[u8]| {
        piece_of_key(key).is_some_and(|(of, number, _)| (of, number) == (group, whole.number.get()))
    };
    let mut pieces = database.iterator(SNAPSHOT)?;
    pieces.seek(piece_key(group, whole.number, 0));
    let (mut gone, mut bytes) = (WriteBatch::default(), 0);
    while let Some((key, value)) = pieces.item().filter(|(key, _)| is_of_it(key)) {
        bytes += value.len() as u64;
        gone.delete_cf(database.family(SNAPSHOT)?, key);
        pieces.next();
    }
    pieces.status().map_err(refused("looking for a snapshot"))?;
    database.write(gone)?;
    Ok(bytes)
}

/// Where the records lie that are stored in a directory. Nobody has it open.
#[derive(Debug)]
pub struct StoredRecords {
    files: Vec<PathBuf>,
    /// Of each index the record that was written last.
    entries: BTreeMap<LogIndex, Place>,
    /// Those of the snapshot that was begun last.
    pieces: Vec<Place>,
}

#[derive(Clone, Debug)]
struct Place {
    /// Which of the files.
    file: usize,
    bytes: Range<usize>,
}

impl StoredRecords {
    /// Searches the tables, and then the write-ahead logs, in the order in which they were made. A record of which the
    /// header lies across two blocks of a write-ahead log is not found.
    ///
    /// # Errors
    ///
    /// The disk refused.
    pub fn find(directory: impl AsRef<Path>) -> io::Result<Self> {
        let mut files = Vec::new();
        for file in directory.as_ref().read_dir()? {
            let file = file?.path();
            if file.extension().is_some_and(|extension| extension == "sst") {
                files.push(file);
            }
        }
        files.sort();
        files.extend(wal::files(directory.as_ref())?);
        let mut records = Self { files, entries: BTreeMap::new(), pieces: Vec::new() };
        for file in 0..records.files.len() {
            records.search(file)?;
        }
        Ok(records)
    }

    /// The indexes of the entries that were found, in order; among them such as are no longer in the log.
    pub fn entries(&self) -> impl Iterator<Item = LogIndex> + '_ {
        self.entries.keys().copied()
    }

    /// Flips a bit of the entry at `index`; `place` says which, whatever it is. False if that entry was not found.
    ///
    /// # Errors
    ///
    /// The disk refused.
    pub fn flip_entry(&self, index: LogIndex, place: u64) -> io::Result<bool> {
        self.flip(self.entries.get(&index), place)
    }

    /// Flips a bit of a piece of the snapshot that was begun last. False if none was found.
    ///
    /// # Errors
    ///
    /// The disk refused.
    pub fn flip_piece(&self, place: u64) -> io::Result<bool> {
        let count = self.pieces.len().max(1) as u64;
        let nth = usize::try_from(place % count).unwrap_or(0);
        self.flip(self.pieces.get(nth), place / count)
    }

    fn flip(&self, at: Option<&Place>, place: u64) -> io::Result<bool> {
        let Some((path, bytes)) = at.and_then(|at| Some((self.files.get(at.file)?, &at.bytes))) else {
            return Ok(false);
        };
        let mut content = fs::read(path)?;
        let bits = bytes.len() as u64 * 8;
        let bit = place % bits.max(1);
        let byte = bytes.start.saturating_add(usize::try_from(bit / 8).unwrap_or(0));
        let Some(byte) = content.get_mut(byte) else { return Ok(false) };
        *byte ^= 1 << (bit % 8);
        fs::write(path, content)?;
        Ok(true)
    }

    fn search(&mut self, file: usize) -> io::Result<()> {
        let content = self.files.get(file).map_or_else(|| Ok(Vec::new()), fs::read)?;
        let mut at = 0;
        while let Some(rest) = content.get(at..).filter(|rest| !rest.is_empty()) {
            let found = (rest.first() == Some(&LAYOUT)).then(|| self.record(file, at, rest)).flatten();
            at += found.unwrap_or(1);
        }
        Ok(())
    }

    /// Takes the record with which `rest` begins, if it does; how long its header is.
    fn record(&mut self, file: usize, at: usize, rest: &[u8]) -> Option<usize> {
        let place = |length: usize| Place { file, bytes: at..at.saturating_add(length.min(rest.len())) };
        if let Some((id, header, length)) = entry_bytes(rest) {
            self.entries.insert(id.index, place(length));
            return Some(header);
        }
        let (offset, header, length) = chunk_bytes(rest)?;
        if offset == 0 {
            self.pieces.clear();
        }
        self.pieces.push(place(length));
        Some(header)
    }
}
