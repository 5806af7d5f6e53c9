//! An entry of the log, with the checksum that stays with it from proposal to apply.

use std::mem;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::configuration::{Configuration, Configured};
use crate::types::EntryId;

/// Term, index and tag.
const HEAD_BYTES: usize = 17;
/// A payload up to this is copied behind the head, and both are checked in one go.
const SHORT_BYTES: usize = 271;

/// What an entry asks of the state machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Payload {
    /// Nothing: a leader's first entry, with which it learns what is committed (§8).
    Noop,
    /// A client's command. The bytes are the state machine's own.
    Command(Bytes),
    /// A configuration of the group (§6), in the bytes of [`Configuration::to_bytes`]. The state machine has
    /// nothing to do.
    ///
    /// [`Configuration::to_bytes`]: crate::Configuration::to_bytes
    Configuration(Bytes),
}

impl Payload {
    /// The bytes of the command or the configuration; none for a no-op.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Noop => &[],
            Self::Command(bytes) | Self::Configuration(bytes) => bytes,
        }
    }

    /// What an entry with it takes in memory, in bytes.
    pub(crate) fn weight(&self) -> usize {
        weight(self.bytes())
    }

    const fn tag(&self) -> u8 {
        match self {
            Self::Noop => 0,
            Self::Command(_) => 1,
            Self::Configuration(_) => 2,
        }
    }
}

/// What an entry with this command takes in memory, in bytes.
pub(crate) const fn weight(command: &[u8]) -> usize {
    mem::size_of::<Entry>() + command.len()
}

/// One entry of the log (§5.3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Its name, for ever.
    pub id: EntryId,
    /// What it asks of the state machine.
    pub payload: Payload,
    /// CRC32C over id and payload, computed once, by the leader that made the entry. Disk, wire and
    /// apply check this one and never compute their own.
    pub checksum: u32,
}

impl Entry {
    /// A new entry, with its checksum.
    pub fn new(id: EntryId, payload: Payload) -> Self {
        Checksummer::new().entry(id, payload)
    }

    /// The configuration that is in force from this entry on, if it has one.
    pub fn configured(&self) -> Option<Configured> {
        match &self.payload {
            Payload::Noop | Payload::Command(_) => None,
            Payload::Configuration(bytes) => Configuration::from_bytes(bytes)
                .map(|configuration| Configured { at: self.id, configuration }),
        }
    }

    /// Whether id and payload are what they were when the entry was made.
    pub fn is_intact(&self) -> bool {
        self.checksum == Checksummer::new().checksum(self.id, &self.payload)
    }
}

/// Computes checksums, any number of them with the same room.
pub(crate) struct Checksummer {
    /// The head, and behind it what is to be checked in one go with it.
    short: [u8; HEAD_BYTES + SHORT_BYTES],
}

impl Checksummer {
    pub(crate) const fn new() -> Self {
        Self { short: [0; HEAD_BYTES + SHORT_BYTES] }
    }

    /// A new entry, with its checksum.
    pub(crate) fn entry(&mut self, id: EntryId, payload: Payload) -> Entry {
        Entry { checksum: self.checksum(id, &payload), id, payload }
    }

    fn checksum(&mut self, id: EntryId, payload: &Payload) -> u32 {
        let short = &mut self.short;
        let payload_bytes = payload.bytes();
        let end = HEAD_BYTES + payload_bytes.len();
        short[..8].copy_from_slice(&id.term.get().to_le_bytes());
        short[8..16].copy_from_slice(&id.index.get().to_le_bytes());
        short[16] = payload.tag();
        match short.get_mut(HEAD_BYTES..end) {
            Some(rest) => {
                rest.copy_from_slice(payload_bytes);
                crc32c::crc32c(&short[..end])
            }
            None => crc32c::crc32c_append(crc32c::crc32c(&short[..HEAD_BYTES]), payload_bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{LogIndex, Term};

    /// Each row changes one thing; none goes unnoticed.
    #[test]
    fn an_entry_that_was_changed_is_not_intact() {
        let entry = Entry::new(EntryId::new(Term::new(3), LogIndex::new(7)), Payload::Command("x".into()));
        assert!(entry.is_intact());
        for changed in [
            Entry { id: EntryId::new(Term::new(4), LogIndex::new(7)), ..entry.clone() },
            Entry { id: EntryId::new(Term::new(3), LogIndex::new(8)), ..entry.clone() },
            Entry { payload: Payload::Command("y".into()), ..entry.clone() },
            Entry { payload: Payload::Noop, ..entry.clone() },
            Entry { payload: Payload::Configuration("x".into()), ..entry.clone() },
            Entry { checksum: entry.checksum ^ 1, ..entry },
        ] {
            assert!(!changed.is_intact(), "{changed:?}");
        }
    }

    #[test]
    fn no_kind_of_payload_is_taken_for_another() {
        let id = EntryId::new(Term::new(3), LogIndex::new(7));
        let kinds = [Payload::Noop, Payload::Command("".into()), Payload::Configuration("".into())];
        let checksums: std::collections::BTreeSet<_> =
            kinds.map(|payload| Entry::new(id, payload).checksum).into_iter().collect();
        assert_eq!(checksums.len(), 3);
    }
}
