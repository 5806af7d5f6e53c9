//! What a snapshot is (§7): a state that stands for the log before it, in pieces.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::configuration::Configured;
use crate::types::{EntryId, Incarnation, LogIndex};

/// Which snapshot. Snapshots of one state by two servers may differ in their bytes, so the maker is part
/// of the name: pieces of both must not be put together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SnapshotId {
    /// The last entry that the snapshot stands for (lastIncludedIndex, lastIncludedTerm).
    pub last_included: EntryId,
    /// The life of the data directory that it was made in.
    pub made_by: Incarnation,
}

/// A snapshot without its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Snapshot {
    /// Which.
    pub id: SnapshotId,
    /// The configuration that was in force at its last included entry, and so committed.
    pub configured: Configured,
}

impl Snapshot {
    /// The index of the last entry that it stands for.
    pub const fn index(&self) -> LogIndex {
        self.id.last_included.index
    }
}

/// A piece of a snapshot's bytes. A snapshot is cut into pieces once, where it is made; they travel and are
/// stored as they are, and are put together in the order of their offsets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Chunk {
    /// Where in the snapshot it begins, in bytes.
    pub offset: u64,
    /// The bytes. Only the last piece may have none.
    pub data: Bytes,
    /// Whether it is the last one.
    pub done: bool,
    /// CRC32C over all of the above, computed where the snapshot was made; disk, wire and restoring check
    /// this one.
    pub checksum: u32,
}

impl Chunk {
    /// A new piece, with its checksum.
    pub fn new(offset: u64, data: Bytes, done: bool) -> Self {
        Self { checksum: checksum(offset, &data, done), offset, data, done }
    }

    /// Whether it is what it was when it was made.
    pub fn is_intact(&self) -> bool {
        self.checksum == checksum(self.offset, &self.data, self.done)
    }

    /// Where the next piece begins.
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(self.data.len() as u64)
    }
}

fn checksum(offset: u64, data: &[u8], done: bool) -> u32 {
    let mut head = [0; 9];
    head[..8].copy_from_slice(&offset.to_le_bytes());
    head[8] = u8::from(done);
    crc32c::crc32c_append(crc32c::crc32c(&head), data)
}

/// A piece, and the snapshot that it is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// The piece.
    pub chunk: Chunk,
}

/// Something that is on disk and not in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// Entries of the log.
    Entries {
        /// The first.
        from: LogIndex,
        /// The last.
        to: LogIndex,
        /// At most this many bytes of payload; the first entry comes whatever its size.
        bytes_max: usize,
    },
    /// A piece of the whole snapshot that the store has.
    Chunk {
        /// Of which snapshot.
        snapshot: SnapshotId,
        /// Where it begins.
        offset: u64,
    },
}

/// What was on disk, after all that had been written before it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loaded {
    /// Entries of the log, without gaps.
    Entries {
        /// The first that was asked for.
        from: LogIndex,
        /// From there on, up to before the first damaged one; none if the log does not have it, any more or yet.
        entries: Vec<crate::Entry>,
    },
    /// The first entry that was asked for is in the log, and its bytes are not what was written. It can be repaired
    /// ([`Batch::repair`](crate::Batch::repair)).
    Damaged {
        /// The first that was asked for.
        from: LogIndex,
        /// The last one after it, up to the last that was asked for, before which no sound one comes.
        to: LogIndex,
    },
    /// A piece of a snapshot.
    Chunk {
        /// Of which snapshot.
        snapshot: SnapshotId,
        /// Where it was to begin.
        offset: u64,
        /// None if the store does not have that snapshot, any more or yet, or no piece of it begins there.
        chunk: Option<Chunk>,
    },
}

/// What was asked of the disk and has not been answered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Loads {
    asked: Vec<Load>,
    /// Those of them that the world has not been told of.
    new: Vec<Load>,
}

impl Loads {
    /// Asks for this, unless something that begins there has been asked for already.
    pub(crate) fn ask(&mut self, load: Load) {
        if !self.asked.iter().any(|asked| asked.begins_like(&load)) {
            self.asked.push(load);
            self.new.push(load);
        }
    }

    /// This came.
    pub(crate) fn answered(&mut self, loaded: &Loaded) {
        let load = match *loaded {
            Loaded::Entries { from, .. } | Loaded::Damaged { from, .. } => {
                Load::Entries { from, to: from, bytes_max: 0 }
            }
            Loaded::Chunk { snapshot, offset, .. } => Load::Chunk { snapshot, offset },
        };
        self.asked.retain(|asked| !asked.begins_like(&load));
    }

    /// How many have not been answered.
    pub(crate) const fn len(&self) -> usize {
        self.asked.len()
    }

    pub(crate) fn take_new(&mut self) -> Vec<Load> {
        std::mem::take(&mut self.new)
    }
}

impl Load {
    fn begins_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Entries { from, .. }, Self::Entries { from: other, .. }) => from == other,
            (Self::Chunk { .. }, Self::Chunk { .. }) => self == other,
            (Self::Entries { .. }, Self::Chunk { .. }) | (Self::Chunk { .. }, Self::Entries { .. }) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each row changes one thing; none goes unnoticed.
    #[test]
    fn a_piece_that_was_changed_is_not_intact() {
        let chunk = Chunk::new(7, "state".into(), false);
        assert!(chunk.is_intact());
        for changed in [
            Chunk { offset: 8, ..chunk.clone() },
            Chunk { data: "State".into(), ..chunk.clone() },
            Chunk { done: true, ..chunk.clone() },
            Chunk { checksum: chunk.checksum ^ 1, ..chunk },
        ] {
            assert!(!changed.is_intact(), "{changed:?}");
        }
    }
}
