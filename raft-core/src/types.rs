//! Numbers that cannot be swapped: terms, indexes, ids, and the time.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A leader's reign (§5.1). Starts at 0, before any election, and only ever grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Term(u64);

impl Term {
    /// The term with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number of this term.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The term after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// The place of an entry in the log (§5.3). The first entry has index 1; 0 is the place before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LogIndex(u64);

impl LogIndex {
    /// The place before the first entry.
    pub const ZERO: Self = Self(0);

    /// The place with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number of this place.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The place after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The place before this one; 0 stays 0.
    #[must_use]
    pub const fn prev(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

/// The term and index that together name one entry for ever (Log Matching, §5.3).
///
/// The field order is the comparison of §5.4.1: a later last term wins, and within one term the
/// longer log wins. "At least as up-to-date as" is therefore `>=`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EntryId {
    /// The term of the leader that created the entry.
    pub term: Term,
    /// Its place in the log.
    pub index: LogIndex,
}

impl EntryId {
    /// The name of what lies before the first entry.
    pub const ZERO: Self = Self { term: Term(0), index: LogIndex(0) };

    /// The entry at `index` from the leader of `term`.
    pub const fn new(term: Term, index: LogIndex) -> Self {
        Self { term, index }
    }
}

/// A server of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(u64);

impl NodeId {
    /// The server with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number of this server.
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// A cluster. A message of another cluster is a stranger's and is dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ClusterId(pub u64);

/// One of the Raft groups that share a process, a store and a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GroupId(pub u64);

/// One life of a data directory: drawn at random when it is made, so that a wiped disk under an old
/// [`NodeId`] can be told from the server that it replaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Incarnation(pub u64);

#[cfg(feature = "tokio")]
impl Incarnation {
    /// One that nobody else has: the operating system draws it. Not for simulations.
    pub fn random() -> Self {
        Self(random())
    }
}

/// A number that the operating system draws, by way of the keys of a hash map.
#[cfg(feature = "tokio")]
pub(crate) fn random() -> u64 {
    use std::hash::{BuildHasher, RandomState};

    RandomState::new().hash_one(())
}

/// One conversation between a leader or candidate and a peer. A reply names the session that it
/// answers, and one of another session does not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Session(pub u64);

/// A read, as whoever asks for it names it: of two that wait at once each needs a name of its own. It never
/// leaves the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadId(pub u64);

/// A moment, in nanoseconds since an origin that the driver chooses. Never goes back within a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// The origin.
    pub const ZERO: Self = Self(0);

    /// The moment that many nanoseconds after the origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The moment `later` than this one; at most the last that can be told.
    #[must_use]
    pub fn after(self, later: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(later.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// How long `earlier` lies back; nothing if it is in the future.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

macro_rules! display_number {
    ($($name:ident: $prefix:literal),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }
    )*};
}
display_number!(Term: "t", LogIndex: "", NodeId: "n", ClusterId: "cluster ", GroupId: "group ", Incarnation: "incarnation ", ReadId: "read ");

/// Prints `7@t3`.
impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.index, self.term)
    }
}
