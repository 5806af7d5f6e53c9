//! Bugs that tests plant to see whether they are found.
//!
//! Only a build with the feature `planted-bugs` can hold one: without it [`PlantedBug`] has no value,
//! and every question after one is answered no by the compiler.

/// Whether a server has this bug.
macro_rules! planted {
    ($raft:expr, $bug:ident) => {{
        #[cfg(feature = "planted-bugs")]
        {
            $raft.config.planted == Some($crate::planted::PlantedBug::$bug)
        }
        #[cfg(not(feature = "planted-bugs"))]
        {
            false
        }
    }};
}
pub(crate) use planted;

/// A bug of real Raft systems, as a switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlantedBug {
    /// A vote is given without looking at the candidate's log (§5.4.1 left out).
    #[cfg(feature = "planted-bugs")]
    VoteWithoutLogCheck,
    /// A vote is answered before it is on disk.
    #[cfg(feature = "planted-bugs")]
    VoteBeforePersisted,
    /// Entries of earlier terms are committed by counting replicas (§5.4.2 left out; Figure 8).
    #[cfg(feature = "planted-bugs")]
    CommitByCounting,
}

#[cfg(feature = "planted-bugs")]
impl PlantedBug {
    /// Every bug, with the name that commands use for it.
    pub const ALL: [(&'static str, Self); 3] = [
        ("vote-without-log-check", Self::VoteWithoutLogCheck),
        ("vote-before-persisted", Self::VoteBeforePersisted),
        ("commit-by-counting", Self::CommitByCounting),
    ];
}
