//! Every byte on disk, drawn once. Numbers in keys are big-endian, so that keys sort as numbers do;
//! numbers elsewhere are little-endian.
//!
//! # Keys
//!
//! | column family | key | value |
//! | --- | --- | --- |
//! | `log` | group, 8 bytes; slot, 8 bytes | a *record*: one entry |
//! | `meta` | group, 8 bytes; `state` | the *state* of the group, written with each batch |
//! | `meta` | `format` | the *format* of the whole directory, written once |
//!
//! The group comes first so that many groups can share one database. A slot is a physical place: it
//! only grows and is never used twice, and only the runs in the state say which entry lies in it. A
//! slot that no run names holds stale bytes, which nothing reads. The first and the last index are in
//! the state; nothing is ever found by seeking.
//!
//! # Values
//!
//! ```text
//! record   +--------+--------+------------------------------------------------+---------+
//!          | layout | CRC32C | MessagePack [term, index, payload tag,         | payload |
//!          | 1 byte | 4      |              payload length, entry's checksum] |         |
//!          +--------+--------+------------------------------------------------+---------+
//!
//! state    +--------+--------+------------------------------------------------+
//!          | layout | CRC32C | MessagePack [incarnation, current term,        |
//!          | 1 byte | 4      |              vote or nil, mapping,             |
//!          |        |        |              commit bound]                     |
//!          +--------+--------+------------------------------------------------+
//!          mapping: [[run, ...], next index, next slot]
//!          run:     [first index, first slot, length]
//!
//! format   +--------+--------+
//!          | number | CRC32C |
//!          | 4      | 4      |
//!          +--------+--------+
//! ```
//!
//! Each CRC32C is over the layout (or the number) and the MessagePack. The payload is under the
//! entry's checksum, which its leader computed: it is written as it came and checked when read, so
//! that no server ever vouches for bytes that were damaged before they reached it. The payload tag is
//! 0 for a no-op and 1 for a command. The commit bound is how far the log was known to be committed:
//! a log that ends before it is damaged.

use raft_core::GroupId;

use crate::error::StorageError;
use crate::mapping::Slot;

/// The format of a directory written by this version. A directory with a later one is refused.
pub const FORMAT: u32 = 1;

/// The first byte of each record and each state.
pub const LAYOUT: u8 = 1;

/// The column family of the entries.
pub const LOG: &str = "log";

/// The column family of all else.
pub const META: &str = "meta";

/// The key of the format, in [`META`].
pub const FORMAT_KEY: &[u8] = b"format";

pub(crate) fn record_key(group: GroupId, slot: Slot) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&group.0.to_be_bytes());
    key[8..].copy_from_slice(&slot.get().to_be_bytes());
    key
}

pub(crate) fn state_key(group: GroupId) -> [u8; 13] {
    let mut key = *b"________state";
    key[..8].copy_from_slice(&group.0.to_be_bytes());
    key
}

pub(crate) fn encode_format() -> [u8; 8] {
    let number = FORMAT.to_le_bytes();
    let mut value = [0; 8];
    value[..4].copy_from_slice(&number);
    value[4..].copy_from_slice(&crc32c::crc32c(&number).to_le_bytes());
    value
}

/// Whether this version may read a directory with this value under [`FORMAT_KEY`].
pub(crate) fn check_format(value: &[u8]) -> Result<(), StorageError> {
    let intact = value
        .split_first_chunk::<4>()
        .filter(|(number, crc)| crc32c::crc32c(*number).to_le_bytes() == **crc)
        .map(|(number, _)| u32::from_le_bytes(*number));
    match intact {
        Some(found) if found > FORMAT => Err(StorageError::TooNew { found, known: FORMAT }),
        Some(FORMAT) => Ok(()),
        Some(_) | None => Err(StorageError::Corrupt { what: "the format", key: "meta/format".into() }),
    }
}
