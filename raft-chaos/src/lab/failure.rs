//! Why a test failed.

use std::error::Error;
use std::fmt;

/// Why a test failed, in a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Something happened that must not.
    Wrong(String),
    /// Something did not come in time, or took more than it may.
    Missed(String),
    /// A server ended by itself.
    Ended(String),
    /// Nobody knows whether what clients saw can be explained.
    Unknown(String),
}

impl Failure {
    /// The sentence.
    pub fn sentence(&self) -> &str {
        match self {
            Self::Wrong(what) | Self::Missed(what) | Self::Ended(what) | Self::Unknown(what) => what,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

impl Error for Failure {}

/// What a test, or a step of one, comes to.
pub type Tested<T = ()> = Result<T, Failure>;

/// Fails a test unless `holds`, as something is [wrong](Failure::Wrong).
///
/// # Errors
///
/// `what` is a sentence that says what came, and what was expected.
pub fn expect(holds: bool, what: impl FnOnce() -> String) -> Tested {
    if holds { Ok(()) } else { Err(Failure::Wrong(what())) }
}

/// Fails a test unless `holds`, as a bound was [missed](Failure::Missed).
///
/// # Errors
///
/// `what` is a sentence that says what came, and what the bound is.
pub fn within(holds: bool, what: impl FnOnce() -> String) -> Tested {
    if holds { Ok(()) } else { Err(Failure::Missed(what())) }
}
