//! The bytes of one record, as [`format`](crate::format) draws them: an entry, or a piece of a snapshot.
//!
//! What does not check is `None` here, and never a reason to panic; the caller knows the key and makes
//! it [`Corrupt`](crate::StorageError::Corrupt).

use std::io::Cursor;

use bytes::Bytes;
use raft_core::{Chunk, ClusterId, Entry, EntryId, Payload};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::StorageError;
use crate::format::LAYOUT;

/// Layout and CRC32C.
const PREFIX_BYTES: usize = 5;

#[derive(Serialize, Deserialize)]
struct EntryHeader {
    id: EntryId,
    payload_tag: u8,
    payload_bytes: u64,
    checksum: u32,
}

#[derive(Serialize, Deserialize)]
struct ChunkHeader {
    offset: u64,
    done: bool,
    data_bytes: u64,
    checksum: u32,
}

/// Replaces what is in `into` by the record of `entry`.
pub(crate) fn encode_entry(entry: &Entry, into: &mut Vec<u8>) -> Result<(), StorageError> {
    let payload = entry.payload.bytes();
    let payload_tag = match entry.payload {
        Payload::Noop => 0,
        Payload::Command(_) => 1,
        Payload::Configuration(_) => 2,
    };
    let payload_bytes = payload.len() as u64;
    seal(&EntryHeader { id: entry.id, payload_tag, payload_bytes, checksum: entry.checksum }, into)?;
    into.extend_from_slice(payload);
    Ok(())
}

/// The entry in `bytes`, if it is this one and is what its leader made.
pub(crate) fn decode_entry(bytes: &[u8], id: EntryId) -> Option<Entry> {
    let (header, payload) = unseal::<EntryHeader>(bytes)?;
    let payload = match header.payload_tag {
        0 if payload.is_empty() => Payload::Noop,
        1 if payload.len() as u64 == header.payload_bytes => {
            Payload::Command(Bytes::copy_from_slice(payload))
        }
        2 if payload.len() as u64 == header.payload_bytes => {
            Payload::Configuration(Bytes::copy_from_slice(payload))
        }
        _ => return None,
    };
    let entry = Entry { id: header.id, payload, checksum: header.checksum };
    (entry.id == id && entry.is_intact()).then_some(entry)
}

/// Replaces what is in `into` by the record of `chunk`.
pub(crate) fn encode_chunk(chunk: &Chunk, into: &mut Vec<u8>) -> Result<(), StorageError> {
    let Chunk { offset, ref data, done, checksum } = *chunk;
    seal(&ChunkHeader { offset, done, data_bytes: data.len() as u64, checksum }, into)?;
    into.extend_from_slice(data);
    Ok(())
}

/// The piece in `bytes`, if it is the one at `offset` and is what its maker made.
pub(crate) fn decode_chunk(bytes: &[u8], offset: u64) -> Option<Chunk> {
    let (header, data) = unseal::<ChunkHeader>(bytes)?;
    let whole = (header.offset, header.data_bytes) == (offset, data.len() as u64);
    let ChunkHeader { done, checksum, .. } = header;
    let chunk = Chunk { offset, data: Bytes::copy_from_slice(data), done, checksum };
    (whole && chunk.is_intact()).then_some(chunk)
}

/// The entry whose record `bytes` begin with, whether or not its payload is what its leader made: how long the header
/// is, and how long all of it.
pub(crate) fn entry_bytes(bytes: &[u8]) -> Option<(EntryId, usize, usize)> {
    let (header, rest) = unseal::<EntryHeader>(bytes)?;
    let before = bytes.len() - rest.len();
    Some((header.id, before, before.saturating_add(usize::try_from(header.payload_bytes).ok()?)))
}

/// The same of a piece; where it begins in its snapshot.
pub(crate) fn chunk_bytes(bytes: &[u8]) -> Option<(u64, usize, usize)> {
    let (header, rest) = unseal::<ChunkHeader>(bytes)?;
    let before = bytes.len() - rest.len();
    Some((header.offset, before, before.saturating_add(usize::try_from(header.data_bytes).ok()?)))
}

/// The cluster in `bytes`.
pub(crate) fn decode_cluster(bytes: &[u8]) -> Option<ClusterId> {
    let (cluster, rest) = unseal(bytes)?;
    rest.is_empty().then_some(cluster)
}

/// Replaces what is in `into` by layout, CRC32C and `header`.
pub(crate) fn seal(header: &impl Serialize, into: &mut Vec<u8>) -> Result<(), StorageError> {
    seal_layout(header, LAYOUT, into)
}

/// The same of a record with another layout.
pub(crate) fn seal_layout(
    header: &impl Serialize,
    layout: u8,
    into: &mut Vec<u8>,
) -> Result<(), StorageError> {
    into.clear();
    into.resize(PREFIX_BYTES, 0);
    rmp_serde::encode::write(into, header)
        .map_err(|error| StorageError::Io { what: "encoding a header", message: error.to_string() })?;
    let crc = seal_crc(layout, &into[PREFIX_BYTES..]);
    into[0] = layout;
    into[1..PREFIX_BYTES].copy_from_slice(&crc.to_le_bytes());
    Ok(())
}

/// The header in `bytes`, and what follows it.
pub(crate) fn unseal<T: DeserializeOwned>(bytes: &[u8]) -> Option<(T, &[u8])> {
    unseal_layout(bytes, LAYOUT)
}

/// The same of a record with another layout.
pub(crate) fn unseal_layout<T: DeserializeOwned>(bytes: &[u8], wanted: u8) -> Option<(T, &[u8])> {
    let (&[layout, a, b, c, d], rest) = bytes.split_first_chunk::<PREFIX_BYTES>()?;
    let mut cursor = Cursor::new(rest);
    let header = rmp_serde::from_read(&mut cursor).ok()?;
    let end = usize::try_from(cursor.position()).ok()?;
    let (sealed, payload) = rest.split_at_checked(end)?;
    let intact = layout == wanted && seal_crc(layout, sealed) == u32::from_le_bytes([a, b, c, d]);
    intact.then_some((header, payload))
}

fn seal_crc(layout: u8, header: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&[layout]), header)
}

#[cfg(test)]
pub(crate) mod tests {
    use raft_core::{Configuration, LogIndex, NodeId, Term};

    use super::*;

    const ID: EntryId = EntryId::new(Term::new(300), LogIndex::new(7));

    fn entry(payload: Payload) -> Entry {
        Entry::new(ID, payload)
    }

    /// Each byte in turn is damaged or is where the bytes end.
    pub(crate) fn assert_all_damage_is_noticed(bytes: &[u8], is_noticed: impl Fn(&[u8]) -> bool) {
        for at in 0..bytes.len() {
            assert!(is_noticed(&bytes[..at]), "cut at {at}");
            for bit in 0..8 {
                let mut flipped = bytes.to_vec();
                flipped[at] ^= 1 << bit;
                assert!(is_noticed(&flipped), "bit {bit} of byte {at}");
            }
        }
        assert!(is_noticed(&[bytes, &[0]].concat()), "a byte too many");
    }

    #[test]
    fn an_entry_reads_as_it_was_written_and_no_damage_goes_unnoticed() {
        let configuration = Configuration::of([1, 2].map(NodeId::new)).to_bytes();
        for payload in
            [Payload::Noop, Payload::Command("set x 1".into()), Payload::Configuration(configuration)]
        {
            let entry = entry(payload);
            let mut bytes = Vec::new();
            encode_entry(&entry, &mut bytes).unwrap();
            assert_eq!(decode_entry(&bytes, ID), Some(entry));
            assert_all_damage_is_noticed(&bytes, |bytes| decode_entry(bytes, ID).is_none());
        }
    }

    #[test]
    fn a_piece_reads_as_it_was_written_and_no_damage_goes_unnoticed() {
        for chunk in [Chunk::new(0, "all".into(), false), Chunk::new(300, Bytes::new(), true)] {
            let mut bytes = Vec::new();
            encode_chunk(&chunk, &mut bytes).unwrap();
            let offset = chunk.offset;
            assert_eq!(decode_chunk(&bytes, offset), Some(chunk));
            assert_all_damage_is_noticed(&bytes, |bytes| decode_chunk(bytes, offset).is_none());
        }
    }

    #[test]
    fn what_lies_under_the_key_of_another_is_not_what_is_looked_for() {
        let mut bytes = Vec::new();
        encode_entry(&entry(Payload::Noop), &mut bytes).unwrap();
        assert_eq!(decode_entry(&bytes, EntryId::new(ID.term, LogIndex::new(8))), None);
        assert_eq!(decode_entry(&bytes, EntryId::new(Term::new(301), ID.index)), None);
        encode_chunk(&Chunk::new(5, "piece".into(), false), &mut bytes).unwrap();
        assert_eq!(decode_chunk(&bytes, 6), None);
    }

    /// A leader's damaged memory: the checksum is stored as it came, so the damage shows on reading.
    #[test]
    fn what_was_damaged_before_it_was_written_is_not_read() {
        let mut bytes = Vec::new();
        let sound = entry(Payload::Command("set x 1".into()));
        let damaged = Entry { payload: Payload::Command("set x 2".into()), ..sound };
        encode_entry(&damaged, &mut bytes).unwrap();
        assert_eq!(decode_entry(&bytes, ID), None);
        let damaged = Chunk { data: "Piece".into(), ..Chunk::new(0, "piece".into(), true) };
        encode_chunk(&damaged, &mut bytes).unwrap();
        assert_eq!(decode_chunk(&bytes, 0), None);
    }
}
