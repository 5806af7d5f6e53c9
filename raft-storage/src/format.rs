//! Every byte on disk, drawn once. Numbers in keys are big-endian, so that keys sort as numbers do;
//! numbers elsewhere are little-endian.
//!
//! # Keys
//!
//! | column family | key | value |
//! | --- | --- | --- |
//! | `log` | group, 8 bytes; slot, 8 bytes | an *entry* |
//! | `snapshot` | group, 8 bytes; number, 8 bytes; offset, 8 bytes | a *piece* of a snapshot |
//! | `meta` | group, 8 bytes; `state` | the *state* of the group, written with each batch |
//! | `meta` | group, 8 bytes; `cluster` | the *cluster* that the group is of, written with its first batch |
//! | `meta` | group, 8 bytes; `suspect` | 1 where the log may have been longer and the group has not caught up since; then 0 |
//! | `meta` | `format` | the *format* of the whole directory, written once |
//!
//! The group comes first so that many groups can share one database. A slot is a physical place: it
//! only grows and is never used twice, and only the runs in the state say which entry lies in it. A
//! slot that no run names holds stale bytes, which nothing reads. An entry that is repaired gets a slot of its own, so
//! that slots need not ascend with indexes; keys are written in order all the same. The number of a snapshot is to its
//! pieces what a slot is to an entry: only the state says which number is the whole snapshot and which
//! the beginning of another. The first and the last index are in the state, with the term of every
//! entry; nothing is ever found by seeking, and opening reads neither entries nor pieces.
//!
//! # Values
//!
//! ```text
//! entry    +--------+--------+------------------------------------------------+---------+
//!          | layout | CRC32C | MessagePack [id, payload tag, payload length,  | payload |
//!          | 1 byte | 4      |              entry's checksum]                 |         |
//!          +--------+--------+------------------------------------------------+---------+
//!          id:        [term, index]
//!
//! piece    +--------+--------+------------------------------------------------+---------+
//!          | layout | CRC32C | MessagePack [offset, whether it is the last,   | data    |
//!          | 1 byte | 4      |              data length, piece's checksum]    |         |
//!          +--------+--------+------------------------------------------------+---------+
//!
//! state    +--------+--------+------------------------------------------------+
//!          | layout | CRC32C | MessagePack [incarnation, hard state, outline, |
//!          | 1 byte | 4      |              mapping, commit bound, snapshots, |
//!          |        |        |              [configured, ...]]                |
//!          +--------+--------+------------------------------------------------+
//!          hard state: [current term, vote or nil]
//!          outline:    [base, [first entry of a term, ...], last entry]; each is an id
//!          mapping:    [[run, ...], next index, next slot]
//!          run:        [first index, first slot, length]
//!          snapshots:  [whole or nil, partial or nil, next number]
//!          each:       [number, snapshot, offset of its last piece, bytes]
//!          snapshot:   [[last included id, incarnation of its maker], configured]
//!          configured: [id of its entry, [voters, learners, next or nil]]
//!          next:       [voters, learners, whether joint]
//!          voters:     [[server, its incarnation or nil], ...]; learners too
//!
//! cluster  +--------+--------+-------------------------+
//!          | layout | CRC32C | MessagePack: its number |
//!          | 1 byte | 4      |                         |
//!          +--------+--------+-------------------------+
//!
//! format   +--------+--------+
//!          | number | CRC32C |
//!          | 4      | 4      |
//!          +--------+--------+
//! ```
//!
//! The state is written with each batch, and once more, 4 KiB behind that, where term or vote is new: whatever becomes
//! of the last record of the write-ahead log, or of the last sector, it is not the only one that has them.
//!
//! # Files
//!
//! Beside RocksDB's own there are two: `raft-storage.lock`, empty, which whoever has the directory open holds
//! a lock on; and, from a clean stop to the next opening, `raft-storage.clean`:
//!
//! ```text
//! clean    +--------+--------+------------------------------------------------+
//! stop     | layout | CRC32C | MessagePack [[file name, length, CRC32C], ...] |
//!          | 1 byte | 4      |                                                |
//!          +--------+--------+------------------------------------------------+
//! ```
//!
//! A third, `raft-storage.torn`, is empty and there for a moment: an end of the write-ahead log was cut off, and the groups
//! have not been marked as suspect yet.
//!
//! The clean stop names the manifest, `CURRENT` and the write-ahead logs, so that after a clean stop nothing of them can be
//! missing unnoticed.
//!
//! Where a record in the middle of a write-ahead log is damaged, and the directory is one group's, a record that says
//! nothing takes its place. The log as it was stays beside the mended one, `000012.log.mending` until it is known which
//! entries are lost, and `000012.log.damaged` from then on. Nothing reads it, and no other group can be begun beside
//! it: the bad record may have been the only one that knew of it. Once the entries are repaired it may be removed.
//!
//! # Formats
//!
//! | number | what was different |
//! | --- | --- |
//! | 0 | the layout of a state was 0, and it had no commit bound |
//! | 1 | the layout of a state was 1, and it had no configurations; a snapshot had `[voter, ...]` instead of its own |
//! | 2 | this one |
//!
//! Formats 0 and 1 were never released: upgrading is tried on them.
//!
//! # Checksums
//!
//! Each CRC32C is over the layout (or the number) and the MessagePack. Payload and data are under the
//! checksum that the entry's leader or the snapshot's maker computed: they are written as they came and
//! checked when read, so that no server ever vouches for bytes that were damaged before they reached
//! it. The payload tag is 0 for a no-op, 1 for a command and 2 for a configuration. The base is the last entry that was
//! compacted, and [0, 0] if none was. The commit bound is how far the log was known to be committed: a
//! log that ends before it is damaged.

use raft_core::GroupId;

use crate::error::StorageError;
use crate::mapping::Slot;
use crate::snapshots::Number;

/// The format of a directory written by this version. A directory with a later one is refused, and one with an
/// earlier one is upgraded when it is opened.
pub const FORMAT: u32 = 2;

/// The first byte of each entry, each piece, each cluster and the clean stop.
pub const LAYOUT: u8 = 1;

/// The first byte of each state.
pub const STATE_LAYOUT: u8 = 2;

/// The file that the lock on the directory is held on.
pub const LOCK: &str = "raft-storage.lock";

/// The file that says that the directory was closed in order, and what it held then.
pub const CLEAN_STOP: &str = "raft-storage.clean";

/// The file that says that an end was cut off, until the groups are marked.
pub const TORN: &str = "raft-storage.torn";

/// What is added to the name of a write-ahead log that is damaged, while it is mended and what it lost is looked for.
pub const MENDING: &str = "mending";

/// The same, once that is known.
pub const DAMAGED: &str = "damaged";

/// The same of the mended log, before it is in its place.
pub const MENDED: &str = "mended";

/// The column family of the entries.
pub const LOG: &str = "log";

/// The column family of the pieces of snapshots.
pub const SNAPSHOT: &str = "snapshot";

/// The column family of all else.
pub const META: &str = "meta";

/// The key of the format, in [`META`].
pub const FORMAT_KEY: &[u8] = b"format";

pub(crate) fn entry_key(group: GroupId, slot: Slot) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&group.0.to_be_bytes());
    key[8..].copy_from_slice(&slot.get().to_be_bytes());
    key
}

pub(crate) fn piece_key(group: GroupId, number: Number, offset: u64) -> [u8; 24] {
    let mut key = [0; 24];
    key[..8].copy_from_slice(&group.0.to_be_bytes());
    key[8..16].copy_from_slice(&number.get().to_be_bytes());
    key[16..].copy_from_slice(&offset.to_be_bytes());
    key
}

/// What lies under `key`, if it is one of an entry: the group, and the number of the slot.
pub(crate) fn entry_of_key(key: &[u8]) -> Option<(GroupId, u64)> {
    let (group, slot) = key.split_first_chunk::<8>()?;
    Some((GroupId(u64::from_be_bytes(*group)), u64::from_be_bytes(slot.try_into().ok()?)))
}

/// What lies under `key`, if it is one of a piece: the group, the number of the snapshot, and the offset.
pub(crate) fn piece_of_key(key: &[u8]) -> Option<(GroupId, u64, u64)> {
    let (group, rest) = key.split_first_chunk::<8>()?;
    let (number, offset) = rest.split_first_chunk::<8>()?;
    let [number, offset] = [number, offset.try_into().ok()?].map(|bytes| u64::from_be_bytes(*bytes));
    Some((GroupId(u64::from_be_bytes(*group)), number, offset))
}

pub(crate) fn state_key(group: GroupId) -> [u8; 13] {
    let mut key = *b"________state";
    key[..8].copy_from_slice(&group.0.to_be_bytes());
    key
}

/// The group whose state lies under `key`, if one does.
pub(crate) fn group_of_state(key: &[u8]) -> Option<GroupId> {
    let (group, name) = key.split_first_chunk::<8>()?;
    (name == b"state").then(|| GroupId(u64::from_be_bytes(*group)))
}

pub(crate) fn cluster_key(group: GroupId) -> [u8; 15] {
    let mut key = *b"________cluster";
    key[..8].copy_from_slice(&group.0.to_be_bytes());
    key
}

pub(crate) fn suspect_key(group: GroupId) -> [u8; 15] {
    let mut key = *b"________suspect";
    key[..8].copy_from_slice(&group.0.to_be_bytes());
    key
}

/// Whether `key` marks a group as suspect.
pub(crate) fn is_suspect_mark(key: &[u8]) -> bool {
    key.split_first_chunk::<8>().is_some_and(|(_, name)| name == b"suspect")
}

/// The group whose cluster lies under `key`, if one does.
pub(crate) fn group_of_cluster(key: &[u8]) -> Option<GroupId> {
    let (group, name) = key.split_first_chunk::<8>()?;
    (name == b"cluster").then(|| GroupId(u64::from_be_bytes(*group)))
}

pub(crate) fn encode_format() -> [u8; 8] {
    let number = FORMAT.to_le_bytes();
    let mut value = [0; 8];
    value[..4].copy_from_slice(&number);
    value[4..].copy_from_slice(&crc32c::crc32c(&number).to_le_bytes());
    value
}

/// The format that a value under [`FORMAT_KEY`] tells of: this version's or an earlier one.
pub(crate) fn decode_format(value: &[u8]) -> Result<u32, StorageError> {
    let intact = value
        .split_first_chunk::<4>()
        .filter(|(number, crc)| crc32c::crc32c(*number).to_le_bytes() == **crc)
        .map(|(number, _)| u32::from_le_bytes(*number));
    match intact {
        Some(found) if found > FORMAT => Err(StorageError::TooNew { found, known: FORMAT }),
        Some(found) => Ok(found),
        None => Err(corrupt_format()),
    }
}

pub(crate) fn corrupt_format() -> StorageError {
    StorageError::Corrupt { what: "the format", key: "meta/format".into() }
}
