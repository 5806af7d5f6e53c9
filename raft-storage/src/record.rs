//! The bytes of one record and of one state, as [`format`](crate::format) draws them.
//!
//! What does not check is `None` here, and never a reason to panic; the caller knows the key and makes
//! it [`Corrupt`](crate::StorageError::Corrupt).

use std::io::Cursor;

use bytes::Bytes;
use raft_core::{Entry, EntryId, HardState, Incarnation, LogIndex, NodeId, Payload, Term};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::StorageError;
use crate::format::LAYOUT;
use crate::mapping::Mapping;

/// Layout and CRC32C.
const PREFIX_BYTES: usize = 5;

#[derive(Serialize, Deserialize)]
struct Header {
    term: Term,
    index: LogIndex,
    payload_tag: u8,
    payload_bytes: u64,
    checksum: u32,
}

/// What one group keeps beside its entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) incarnation: Incarnation,
    current_term: Term,
    voted_for: Option<NodeId>,
    pub(crate) mapping: Mapping,
    /// The log reaches at least this far.
    pub(crate) commit_bound: LogIndex,
}

impl State {
    /// That of a new directory.
    pub(crate) const fn new(incarnation: Incarnation) -> Self {
        Self {
            incarnation,
            current_term: Term::new(0),
            voted_for: None,
            mapping: Mapping::new(),
            commit_bound: LogIndex::ZERO,
        }
    }

    pub(crate) const fn hard_state(&self) -> HardState {
        HardState { current_term: self.current_term, voted_for: self.voted_for }
    }

    pub(crate) const fn set_hard_state(&mut self, hard_state: HardState) {
        let HardState { current_term, voted_for } = hard_state;
        self.current_term = current_term;
        self.voted_for = voted_for;
    }

    /// Replaces what is in `into` by the bytes of this state.
    pub(crate) fn encode(&self, into: &mut Vec<u8>) -> Result<(), StorageError> {
        seal(self, into)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (state, rest) = unseal::<Self>(bytes)?;
        let sound = state.mapping.is_sound() && state.commit_bound <= state.mapping.last_index();
        (rest.is_empty() && sound).then_some(state)
    }
}

/// Replaces what is in `into` by the record of `entry`.
pub(crate) fn encode(entry: &Entry, into: &mut Vec<u8>) -> Result<(), StorageError> {
    let payload = entry.payload.bytes();
    let payload_tag = match entry.payload {
        Payload::Noop => 0,
        Payload::Command(_) => 1,
    };
    let EntryId { term, index } = entry.id;
    let payload_bytes = payload.len() as u64;
    seal(&Header { term, index, payload_tag, payload_bytes, checksum: entry.checksum }, into)?;
    into.extend_from_slice(payload);
    Ok(())
}

/// The entry in `bytes`, if it is the one at `index` and is what its leader made.
pub(crate) fn decode(bytes: &[u8], index: LogIndex) -> Option<Entry> {
    let (header, payload) = unseal::<Header>(bytes)?;
    let payload = match header.payload_tag {
        0 if payload.is_empty() => Payload::Noop,
        1 if payload.len() as u64 == header.payload_bytes => {
            Payload::Command(Bytes::copy_from_slice(payload))
        }
        _ => return None,
    };
    let entry = Entry { id: EntryId::new(header.term, header.index), payload, checksum: header.checksum };
    (entry.id.index == index && entry.is_intact()).then_some(entry)
}

fn seal(header: &impl Serialize, into: &mut Vec<u8>) -> Result<(), StorageError> {
    into.clear();
    into.resize(PREFIX_BYTES, 0);
    rmp_serde::encode::write(into, header)
        .map_err(|error| StorageError::Io { what: "encoding a header", message: error.to_string() })?;
    let crc = seal_crc(LAYOUT, &into[PREFIX_BYTES..]);
    into[0] = LAYOUT;
    into[1..PREFIX_BYTES].copy_from_slice(&crc.to_le_bytes());
    Ok(())
}

/// The header in `bytes`, and what follows it.
fn unseal<T: DeserializeOwned>(bytes: &[u8]) -> Option<(T, &[u8])> {
    let (&[layout, a, b, c, d], rest) = bytes.split_first_chunk::<PREFIX_BYTES>()?;
    let mut cursor = Cursor::new(rest);
    let header = rmp_serde::from_read(&mut cursor).ok()?;
    let end = usize::try_from(cursor.position()).ok()?;
    let (sealed, payload) = rest.split_at_checked(end)?;
    let intact = layout == LAYOUT && seal_crc(layout, sealed) == u32::from_le_bytes([a, b, c, d]);
    intact.then_some((header, payload))
}

fn seal_crc(layout: u8, header: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&[layout]), header)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(payload: Payload) -> Entry {
        Entry::new(EntryId::new(Term::new(300), LogIndex::new(7)), payload)
    }

    fn state() -> State {
        let mut state = State::new(Incarnation(u64::MAX));
        for _ in 0..3 {
            state.mapping.append();
        }
        state.set_hard_state(HardState { current_term: Term::new(9), voted_for: Some(NodeId::new(2)) });
        state.commit_bound = LogIndex::new(3);
        state
    }

    /// Each byte in turn is damaged or is where the bytes end.
    fn assert_all_damage_is_noticed(bytes: &[u8], is_noticed: impl Fn(&[u8]) -> bool) {
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
        for entry in [entry(Payload::Noop), entry(Payload::Command("set x 1".into()))] {
            let mut bytes = Vec::new();
            encode(&entry, &mut bytes).unwrap();
            assert_eq!(decode(&bytes, entry.id.index), Some(entry));
            assert_all_damage_is_noticed(&bytes, |bytes| decode(bytes, LogIndex::new(7)).is_none());
        }
    }

    #[test]
    fn an_entry_under_another_index_is_not_the_one_looked_for() {
        let mut bytes = Vec::new();
        encode(&entry(Payload::Noop), &mut bytes).unwrap();
        assert_eq!(decode(&bytes, LogIndex::new(8)), None);
    }

    /// A leader's damaged memory: the checksum is stored as it came, so the damage shows on reading.
    #[test]
    fn an_entry_that_was_damaged_before_it_was_written_is_not_read() {
        let damaged = Entry {
            payload: Payload::Command("set x 2".into()),
            ..entry(Payload::Command("set x 1".into()))
        };
        let mut bytes = Vec::new();
        encode(&damaged, &mut bytes).unwrap();
        assert_eq!(decode(&bytes, LogIndex::new(7)), None);
    }

    #[test]
    fn a_state_reads_as_it_was_written_and_no_damage_goes_unnoticed() {
        let mut bytes = Vec::new();
        state().encode(&mut bytes).unwrap();
        assert_eq!(State::decode(&bytes), Some(state()));
        assert_all_damage_is_noticed(&bytes, |bytes| State::decode(bytes).is_none());
    }

    #[test]
    fn a_log_that_ends_before_what_was_committed_is_damaged() {
        let mut bytes = Vec::new();
        State { commit_bound: LogIndex::new(4), ..state() }.encode(&mut bytes).unwrap();
        assert_eq!(State::decode(&bytes), None);
    }
}
