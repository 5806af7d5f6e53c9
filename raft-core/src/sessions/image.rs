//! The bytes of a table in a snapshot; numbers have 8 bytes, little-endian, unless it says otherwise.
//!
//! | bytes | |
//! | --- | --- |
//! | 4 | `sess` |
//! | 4 | the format, 1 |
//! | 8 | how many bytes the table has |
//! | 4 | CRC32C of all that comes before, and of the table |
//! | so many | the table: the limits (sessions, window, result bytes); the number of sessions; for each, by id, its id, the index of its last use, the first unanswered number, the number of results; for each of these, by number, the number, its bytes, and these |
//!
//! What the state machine wrote follows.

use std::collections::BTreeMap;
use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

use super::request::SessionId;
use super::table::{Held, Limits, Table};
use super::wire::Reader;
use crate::types::LogIndex;

const MAGIC: [u8; 4] = *b"sess";
const FORMAT: u32 = 1;

/// What comes before the table.
pub(super) const HEAD_BYTES: usize = 20;

/// Why bytes are no table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageError {
    /// They begin like something else.
    NotATable,
    /// Another version wrote them.
    Format {
        /// The format.
        format: u32,
    },
    /// They were changed, or end too early, or go on.
    Damaged,
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotATable => {
                write!(
                    f,
                    "the snapshot does not begin with a table of sessions: a state machine without wrote it"
                )
            }
            Self::Format { format } => {
                write!(f, "the table of sessions has format {format}, and this version knows {FORMAT}")
            }
            Self::Damaged => write!(f, "the table of sessions in the snapshot is damaged"),
        }
    }
}

impl std::error::Error for ImageError {}

/// What stands before the bytes of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    bytes: u64,
    checksum: u32,
}

impl Head {
    pub(super) fn decode(head: &[u8; HEAD_BYTES]) -> Result<Self, ImageError> {
        let [m0, m1, m2, m3, f0, f1, f2, f3, b0, b1, b2, b3, b4, b5, b6, b7, c0, c1, c2, c3] = *head;
        if [m0, m1, m2, m3] != MAGIC {
            return Err(ImageError::NotATable);
        }
        match u32::from_le_bytes([f0, f1, f2, f3]) {
            FORMAT => Ok(Self {
                bytes: u64::from_le_bytes([b0, b1, b2, b3, b4, b5, b6, b7]),
                checksum: u32::from_le_bytes([c0, c1, c2, c3]),
            }),
            format => Err(ImageError::Format { format }),
        }
    }

    /// How many bytes the table has, as far as that is known before they are read.
    #[cfg(feature = "tokio")]
    pub(super) const fn table_bytes(self) -> u64 {
        self.bytes
    }

    /// The table of these bytes.
    pub(super) fn table(self, bytes: Bytes) -> Result<Table, ImageError> {
        let is_intact = bytes.len() as u64 == self.bytes && checksum(&bytes) == self.checksum;
        if is_intact { read(Reader::new(bytes)).ok_or(ImageError::Damaged) } else { Err(ImageError::Damaged) }
    }
}

fn checksum(table: &[u8]) -> u32 {
    let sum = crc32c::crc32c(&MAGIC);
    let sum = crc32c::crc32c_append(sum, &FORMAT.to_le_bytes());
    let sum = crc32c::crc32c_append(sum, &(table.len() as u64).to_le_bytes());
    crc32c::crc32c_append(sum, table)
}

impl Table {
    /// The table as bytes. Equal tables have equal ones.
    pub fn encode(&self) -> Bytes {
        let mut table = BytesMut::new();
        self.limits.write(&mut table);
        table.put_u64_le(self.sessions.len() as u64);
        for (session, held) in &self.sessions {
            table.put_u64_le(session.get());
            held.write(&mut table);
        }
        let mut image = BytesMut::with_capacity(HEAD_BYTES + table.len());
        image.extend_from_slice(&MAGIC);
        image.put_u32_le(FORMAT);
        image.put_u64_le(table.len() as u64);
        image.put_u32_le(checksum(&table));
        image.extend_from_slice(&table);
        image.freeze()
    }

    /// The table that was written so.
    ///
    /// # Errors
    ///
    /// The bytes are not what [`encode`](Self::encode) of this version writes, to the last bit.
    pub fn decode(image: &Bytes) -> Result<Self, ImageError> {
        let head = image.first_chunk().ok_or(ImageError::Damaged)?;
        Head::decode(head)?.table(image.slice(HEAD_BYTES..))
    }
}

impl Table {
    /// The table with these limits, and with these sessions as [`take_changes`](Self::take_changes) gave them. None if it never
    /// gave them so: there are more of them, or they have more results, than there may be.
    pub fn of_sessions(
        limits: Limits,
        sessions: impl IntoIterator<Item = (SessionId, Bytes)>,
    ) -> Option<Self> {
        let read = |(session, bytes)| {
            let mut reader = Reader::new(bytes);
            let held = Held::read(&mut reader)?;
            reader.end((session, held))
        };
        let sessions = sessions.into_iter().map(read).collect::<Option<_>>()?;
        Some(Self::of(limits, sessions)).filter(Self::fits)
    }

    /// Whether it keeps to its limits.
    fn fits(&self) -> bool {
        let limits = self.limits();
        self.len() as u64 <= limits.sessions() && self.result_bytes() <= limits.result_bytes()
    }
}

impl Held {
    /// What [`Table::of_sessions`] reads.
    pub(super) fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::new();
        self.write(&mut bytes);
        bytes.freeze()
    }

    fn write(&self, out: &mut BytesMut) {
        out.put_u64_le(self.used.get());
        out.put_u64_le(self.first_unanswered);
        out.put_u64_le(self.results.len() as u64);
        for (sequence, result) in &self.results {
            out.put_u64_le(*sequence);
            out.put_u64_le(result.len() as u64);
            out.extend_from_slice(result);
        }
    }
}

/// Reads what `encode` wrote; none if it could not have. The checksum has shown that nothing was changed on the way: this is
/// about who wrote it.
fn read(mut reader: Reader) -> Option<Table> {
    let limits = Limits::read(&mut reader)?;
    let mut sessions = BTreeMap::new();
    for _ in 0..reader.number()? {
        let (session, held) = (SessionId::new(reader.number()?), Held::read(&mut reader)?);
        let last = sessions.last_key_value().map(|(&last, _)| last);
        if last.is_some_and(|last| session <= last) {
            return None;
        }
        sessions.insert(session, held);
    }
    reader.end(Table::of(limits, sessions)).filter(Table::fits)
}

impl Held {
    fn read(reader: &mut Reader) -> Option<Self> {
        let (used, first_unanswered) = (LogIndex::new(reader.number()?), reader.number()?);
        let mut results = BTreeMap::new();
        let mut next = first_unanswered;
        for _ in 0..reader.number()? {
            let (sequence, len) = (reader.number()?, reader.number()?);
            if sequence < next {
                return None;
            }
            next = sequence.checked_add(1)?;
            // A copy, so that a session that goes frees its bytes.
            results.insert(sequence, Bytes::copy_from_slice(&reader.bytes(len)?));
        }
        Some(Self { used, first_unanswered, results })
    }
}
