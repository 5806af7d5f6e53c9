//! How much of the protocol runs have reached: which messages met servers in which state.
//!
//! | file | is |
//! | --- | --- |
//! | `cell.rs` | the table of all cells |
//! | `files.rs` | what runs and ledgers have written of it |
//! | `told.rs` | that in words |

mod cell;
mod files;
mod told;

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

pub use cell::{CELLS, Cell};
pub use files::read;
pub(crate) use told::{columns, missing, rows};
pub use told::{json, words};

/// The number of this table: cells of two tables cannot be joined. It changes with every change of the table.
pub const VERSION: u32 = 1;

/// How many cells a word of the set has.
const BITS: usize = 64;
const WORDS: usize = CELLS.div_ceil(BITS);

/// A set of cells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Written", try_from = "Written")]
pub struct Coverage([u64; WORDS]);

/// As `result.json` and ledgers have it. Cells are in the order of the table, the first one in the lowest bit of the first
/// word of 16 digits.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Written {
    version: u32,
    reached: usize,
    of: usize,
    cells: String,
}

impl Coverage {
    /// This one was reached, if it is in the table.
    pub fn reach(&mut self, cell: Option<Cell>) {
        if let Some(place) = cell.map(Cell::place) {
            self.0[place / BITS] |= 1 << (place % BITS);
        }
    }

    /// What others reached was reached, too.
    pub fn join(&mut self, other: &Self) {
        for (word, more) in self.0.iter_mut().zip(other.0) {
            *word |= more;
        }
    }

    /// Whether this cell was reached.
    pub fn has(&self, cell: Cell) -> bool {
        let place = cell.place();
        self.0[place / BITS] >> (place % BITS) & 1 == 1
    }

    /// How many were, of [`CELLS`].
    pub fn reached(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }
}

/// Prints `612 of 1050`.
impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {CELLS}", self.reached())
    }
}

impl From<Coverage> for Written {
    fn from(coverage: Coverage) -> Self {
        let cells = coverage.0.iter().map(|word| format!("{word:016x}")).collect();
        Self { version: VERSION, reached: coverage.reached(), of: CELLS, cells }
    }
}

/// What a ledger has; nothing, where that is of another table.
pub(crate) fn of_this_table<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Coverage, D::Error> {
    let written = Written::deserialize(deserializer)?;
    if written.version == VERSION {
        written.try_into().map_err(D::Error::custom)
    } else {
        Ok(Coverage::default())
    }
}

impl TryFrom<Written> for Coverage {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written { version, cells, .. } = written;
        if version != VERSION {
            return Err(format!(
                "its coverage is of version {version} of the table of cells, and this is version {VERSION}: they cannot be joined"
            ));
        }
        let malformed = || format!("its coverage has {cells:?}, and not {WORDS} words of 16 digits");
        if cells.len() != WORDS * 16 || !cells.is_ascii() {
            return Err(malformed());
        }
        let mut coverage = Self::default();
        for (place, word) in coverage.0.iter_mut().enumerate() {
            *word = u64::from_str_radix(&cells[place * 16..][..16], 16).map_err(|_| malformed())?;
        }
        Ok(coverage)
    }
}
