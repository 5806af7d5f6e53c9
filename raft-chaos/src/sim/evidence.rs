//! What a fault is known to have done. A fault that did nothing proves nothing.

use std::collections::BTreeMap;

use raft_core::NodeId;
use serde::Serialize;

/// One firing of an event, with its evidence.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Firing {
    pub(super) event: String,
    pub(super) time_ns: u64,
    pub(super) evidence: Evidence,
}

/// What a fault is known to have done.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Evidence {
    /// Messages of the protocol, and hellos of new connections, that met the cut, by direction.
    MessagesCut(BTreeMap<String, u64>),
    /// Messages that were late, lost, repeated, overtaken, changed, held, or that took their connection with them, by what
    /// was done to them.
    MessagesTouched(BTreeMap<&'static str, u64>),
    /// Servers that ran, and then did not.
    Killed(Vec<NodeId>),
    /// Servers that ran and lost their power, and what went with it.
    PowerLost {
        /// Which.
        nodes: Vec<NodeId>,
        /// Bytes that had been written and not synced, all together.
        bytes: u64,
    },
    /// Servers that shut down in order.
    ShutDown(Vec<NodeId>),
    /// How often a server had something to do and did not do it.
    HeldBack(u64),
    /// Servers whose snapshot stands for more than before.
    SnapshotTaken(Vec<NodeId>),
    /// Partitions and faults of links that were ended.
    Healed {
        /// How many.
        ended: usize,
        /// Directions that are not whole all the same.
        left: usize,
    },
    /// Servers that were seen in another life of their disks, with nothing of what was there.
    Wiped(Vec<NodeId>),
    /// Calls to disks that took longer, failed, hung or came with a wrong bit, by kind.
    CallsTouched(BTreeMap<&'static str, u64>),
    /// By how much the clocks of servers were off when that was over, in microseconds; fast ones by more than nothing.
    ClocksOff(BTreeMap<NodeId, Off>),
    /// How often a client wanted something of a server that it could not reach.
    RequestsMet(u64),
    /// Bytes on the disks of servers that are not what they were, while those were down.
    BytesDamaged(BTreeMap<NodeId, u64>),
    /// What came of what a server was asked for.
    Asked(Asked),
    /// The versions of the conversation that servers spoke before they were started under another command, and since.
    Upgraded(BTreeMap<NodeId, Spoken>),
}

/// The versions that a server has said that it speaks.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Spoken {
    pub(super) before: Option<String>,
    /// None if it was not heard since.
    pub(super) after: Option<String>,
}

/// By how much a clock was off, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Off {
    pub(super) wall_us: i64,
    pub(super) monotonic_us: i64,
}

/// What came of what a server was asked for.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Asked {
    /// Whether it is done.
    pub(super) done: bool,
    /// Why it was refused, if it was.
    pub(super) refused: Option<String>,
    /// Whether that is what was to be seen.
    #[serde(skip)]
    pub(super) counts: bool,
}

impl Evidence {
    /// Whether the fault did anything. To heal what is whole is no fault, and to leave anything broken no heal.
    pub(super) fn had_effect(&self) -> bool {
        match self {
            Self::MessagesCut(counts) => counts.values().any(|count| *count > 0),
            Self::MessagesTouched(counts) | Self::CallsTouched(counts) => {
                counts.values().any(|count| *count > 0)
            }
            Self::BytesDamaged(counts) => counts.values().any(|count| *count > 0),
            Self::HeldBack(count) | Self::RequestsMet(count) => *count > 0,
            Self::ClocksOff(clocks) => clocks.values().any(|off| *off != Off::default()),
            Self::Killed(nodes)
            | Self::PowerLost { nodes, .. }
            | Self::ShutDown(nodes)
            | Self::Wiped(nodes)
            | Self::SnapshotTaken(nodes) => !nodes.is_empty(),
            Self::Asked(asked) => asked.counts,
            Self::Upgraded(servers) => {
                !servers.is_empty() && servers.values().all(|spoken| spoken.after.is_some())
            }
            Self::Healed { left, .. } => *left == 0,
        }
    }
}
