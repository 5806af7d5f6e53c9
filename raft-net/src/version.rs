//! Versions of the conversation: which one two ends have in common, and what differs between them.
//!
//! Each end says in its hello which versions it speaks, and both speak the newest that they have in common. A hello
//! itself is the same in all versions, now and later. So servers can be upgraded one after the other, as long as each release
//! speaks the version of the one before it too: a new field is left out towards who does not know it, and what it
//! means where it is missing belongs to its version.

use std::fmt;

use crate::frame::PROTOCOL_VERSION;

/// A version of the conversation: which frames and messages there are, and what they mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(u32);

impl Version {
    /// The one that servers of this release speak with each other.
    pub const NEWEST: Self = Self(PROTOCOL_VERSION);

    /// The oldest one that this release speaks: that of the release before it, once there is one.
    pub const OLDEST: Self = Self::NEWEST;

    /// One that only tests speak, one newer than the newest: as if the next release were there already. In it an
    /// AppendEntries also says how many bytes of payload it has.
    #[cfg(feature = "test-version")]
    pub const NEXT: Self = Self(PROTOCOL_VERSION + 1);

    pub(crate) const fn new(number: u32) -> Self {
        Self(number)
    }

    pub(crate) const fn get(self) -> u32 {
        self.0
    }

    /// Whether an AppendEntries says how many bytes of payload it has.
    pub(crate) const fn counts_payloads(self) -> bool {
        cfg!(feature = "test-version") && self.0 > PROTOCOL_VERSION
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The versions that one end of a connection speaks: all from the oldest to the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    oldest: Version,
    newest: Version,
}

impl Versions {
    /// Those of this release.
    pub const OURS: Self = Self { oldest: Version::OLDEST, newest: Version::NEWEST };

    /// Those from `oldest` to `newest`; none if they are the wrong way round.
    pub const fn new(oldest: Version, newest: Version) -> Option<Self> {
        if oldest.0 <= newest.0 { Some(Self { oldest, newest }) } else { None }
    }

    /// The oldest.
    pub const fn oldest(self) -> Version {
        self.oldest
    }

    /// The newest.
    pub const fn newest(self) -> Version {
        self.newest
    }

    /// The newest one that is also among `others`.
    pub fn common(self, others: Self) -> Option<Version> {
        let newest = self.newest.min(others.newest);
        (newest >= self.oldest.max(others.oldest)).then_some(newest)
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { oldest, newest } = self;
        if oldest == newest { newest.fmt(f) } else { write!(f, "{oldest} to {newest}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each row: what two ends speak, from where to where, and what they speak with each other.
    #[test]
    fn two_ends_speak_the_newest_version_that_both_know() {
        let versions = |oldest, newest| Versions::new(Version(oldest), Version(newest));
        for (one, other, common) in [
            ((5, 5), (5, 5), Some(5)),
            ((5, 5), (5, 6), Some(5)),
            ((5, 6), (5, 6), Some(6)),
            ((5, 6), (6, 7), Some(6)),
            ((1, 9), (3, 4), Some(4)),
            ((5, 5), (6, 6), None),
            ((5, 6), (7, 8), None),
        ] {
            let [one, other] = [one, other].map(|(oldest, newest)| versions(oldest, newest).unwrap());
            assert_eq!(one.common(other), common.map(Version), "{one}, {other}");
            assert_eq!(other.common(one), common.map(Version), "{other}, {one}");
        }
        assert_eq!(versions(6, 5), None);
        assert_eq!(versions(5, 6).unwrap().to_string(), "5 to 6");
        assert_eq!(versions(5, 5).unwrap().to_string(), "5");
    }
}
