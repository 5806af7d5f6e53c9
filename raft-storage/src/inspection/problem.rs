//! What is damaged, where, and what to do.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use super::as_text;
use crate::error::StorageError;

/// Something that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub cure: &'static str,
}

/// Where something is damaged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// In this file; where it is not known in which one, in this directory.
    File(#[serde(serialize_with = "as_text")] PathBuf),
    /// Under this key: column family, group, and slot or offset.
    Key(String),
}

/// What is to be done about damage of any kind.
const CURE: &str =
    "keep a copy of the directory, and bring the server back as a new member with an empty one";

impl Problem {
    pub(super) fn file(file: impl Into<PathBuf>, what: impl Into<String>) -> Self {
        Self { place: Place::File(file.into()), what: what.into(), cure: CURE }
    }

    pub(super) fn key(key: impl Into<String>, what: impl Into<String>) -> Self {
        Self { place: Place::Key(key.into()), what: what.into(), cure: CURE }
    }

    /// What an error says, if it is one about damage.
    pub(super) fn of(error: StorageError) -> Result<Self, StorageError> {
        match error {
            StorageError::Damaged { path, message } => Ok(Self::file(path, message)),
            StorageError::Corrupt { what, key } => {
                Ok(Self::key(key, format!("{what} is missing or damaged")))
            }
            StorageError::Io { .. }
            | StorageError::DamagedMachine { .. }
            | StorageError::NotAStore { .. }
            | StorageError::Changing { .. }
            | StorageError::TooNew { .. }
            | StorageError::Locked { .. }
            | StorageError::Taken { .. }
            | StorageError::Misfit { .. }
            | StorageError::MisfitPiece { .. }
            | StorageError::Uncovered { .. }
            | StorageError::Superseded => Err(error),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::File(file) => write!(f, "{}: {}; {}", file.display(), self.what, self.cure),
            Place::Key(key) => write!(f, "{key}: {}; {}", self.what, self.cure),
        }
    }
}
