//! The bugs that nodes can have on purpose, by name.

#[cfg(feature = "planted-bugs")]
use crate::sim::{IDLE, Planted};

/// The bug of a store.
#[cfg(feature = "planted-bugs")]
const FAILED_SYNC_IGNORED: &str = "failed-sync-ignored";

/// The names of all bugs that nodes can have in this build.
pub(super) fn bugs() -> Vec<&'static str> {
    #[cfg(feature = "planted-bugs")]
    return raft_core::PlantedBug::ALL.iter().map(|(name, _)| *name).chain([FAILED_SYNC_IGNORED]).collect();
    #[cfg(not(feature = "planted-bugs"))]
    Vec::new()
}

/// The bug of this name.
#[cfg(feature = "planted-bugs")]
pub(super) fn planted(name: &str) -> Option<Planted> {
    let bugs = raft_core::PlantedBug::ALL.map(|(name, bug)| (name, Planted::Raft(bug)));
    let others = [
        (FAILED_SYNC_IGNORED, Planted::FailedSyncIgnored),
        ("panic", Planted::Panic),
        ("leak", Planted::Leak),
    ];
    let mut all = bugs.into_iter().chain(others);
    let idle =
        || IDLE.iter().find(|idle| name.strip_prefix("idle-") == Some(idle)).map(|idle| Planted::Idle(idle));
    all.find(|(known, _)| *known == name).map(|(_, bug)| bug).or_else(idle)
}
