//! Bugs that tests plant: in every server, or in the tester itself.

use raft_core::PlantedBug;
use raft_storage::DiskFault;
#[cfg(feature = "planted-bugs")]
use raft_storage::SyncFault;

/// A bug that tests plant. A build without the feature `planted-bugs` can hold none.
#[derive(Clone, Copy, Debug)]
pub enum Planted {
    /// One of the protocol's.
    Raft(PlantedBug),
    /// The state machine panics at its hundredth entry.
    #[cfg(feature = "planted-bugs")]
    Panic,
    /// A store takes a sync that failed for one that was done.
    #[cfg(feature = "planted-bugs")]
    FailedSyncIgnored,
    /// How long messages take is drawn from something that is another in each process.
    #[cfg(feature = "planted-bugs")]
    Leak,
    /// The tester's own: what events of this action do is not done.
    #[cfg(feature = "planted-bugs")]
    Idle(&'static str),
}

/// The actions that a broken tester can be idle at.
#[cfg(feature = "planted-bugs")]
pub const IDLE: [&str; 14] = [
    "partition",
    "heal",
    "link",
    "crash",
    "damage",
    "stop",
    "pause",
    "clock",
    "disk",
    "wipe",
    "membership",
    "transfer",
    "snapshot",
    "isolate-client",
];

impl Planted {
    /// The name of a bug of the protocol's.
    pub(crate) fn name(self) -> Option<String> {
        match self {
            #[cfg(feature = "planted-bugs")]
            Self::Raft(bug) => {
                let named = PlantedBug::ALL.iter().find(|(_, known)| *known == bug);
                named.map(|(name, _)| (*name).to_owned())
            }
            #[cfg(not(feature = "planted-bugs"))]
            Self::Raft(_) => None,
            #[cfg(feature = "planted-bugs")]
            Self::Panic | Self::FailedSyncIgnored | Self::Leak | Self::Idle(_) => None,
        }
    }

    /// The bug of the protocol's of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        #[cfg(feature = "planted-bugs")]
        return PlantedBug::ALL.iter().find(|(known, _)| *known == name).map(|(_, bug)| Self::Raft(*bug));
        #[cfg(not(feature = "planted-bugs"))]
        {
            let _ = name;
            None
        }
    }

    /// The bug that a server's libraries have then.
    pub(crate) fn of_libraries(self) -> Option<PlantedBug> {
        match self {
            Self::Raft(bug) => Some(bug),
            #[cfg(feature = "planted-bugs")]
            Self::Panic | Self::FailedSyncIgnored | Self::Leak | Self::Idle(_) => None,
        }
    }

    /// Whether the tester does not do this.
    pub(super) fn is_idle(self, action: &str) -> bool {
        let idle: Option<&str> = match self {
            #[cfg(feature = "planted-bugs")]
            Self::Idle(idle) => Some(idle),
            #[cfg(feature = "planted-bugs")]
            Self::Panic | Self::FailedSyncIgnored | Self::Leak => None,
            Self::Raft(_) => None,
        };
        idle == Some(action)
    }
}

/// What a disk's fault comes to for a store that ignores failed syncs.
pub(super) fn ignored(planted: Option<Planted>, fault: DiskFault) -> DiskFault {
    match planted {
        #[cfg(feature = "planted-bugs")]
        Some(Planted::FailedSyncIgnored) if fault.sync == Some(SyncFault::Error) => {
            DiskFault { sync: Some(SyncFault::Lie), ..fault }
        }
        #[cfg(feature = "planted-bugs")]
        Some(Planted::Panic | Planted::FailedSyncIgnored | Planted::Leak | Planted::Idle(_)) => fault,
        Some(Planted::Raft(_)) | None => fault,
    }
}

/// What the planted leak brings into a run that is not from its seed.
pub(super) fn leaked(planted: Option<Planted>) -> u64 {
    match planted {
        #[cfg(feature = "planted-bugs")]
        Some(Planted::Leak) => std::process::id().into(),
        #[cfg(feature = "planted-bugs")]
        Some(Planted::Panic | Planted::FailedSyncIgnored | Planted::Idle(_)) => 0,
        Some(Planted::Raft(_)) | None => 0,
    }
}
