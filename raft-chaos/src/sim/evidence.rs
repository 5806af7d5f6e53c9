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
    /// Partitions that were ended.
    Healed(usize),
    /// Servers that have nothing of what was on their disks.
    Wiped(Vec<NodeId>),
    /// Calls to disks that took longer, failed, hung or came with a wrong bit, by kind.
    CallsTouched(BTreeMap<&'static str, u64>),
    /// Bytes on the disks of servers that are not what they were, while those were down.
    BytesDamaged(BTreeMap<NodeId, u64>),
    /// What came of what a server was asked for.
    Asked(Asked),
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
    /// Whether the fault did anything. To heal what is whole is no fault.
    pub(super) fn had_effect(&self) -> bool {
        match self {
            Self::MessagesCut(counts) => counts.values().any(|count| *count > 0),
            Self::CallsTouched(counts) => counts.values().any(|count| *count > 0),
            Self::BytesDamaged(counts) => counts.values().any(|count| *count > 0),
            Self::HeldBack(count) => *count > 0,
            Self::Killed(nodes)
            | Self::PowerLost { nodes, .. }
            | Self::ShutDown(nodes)
            | Self::Wiped(nodes)
            | Self::SnapshotTaken(nodes) => !nodes.is_empty(),
            Self::Asked(asked) => asked.counts,
            Self::Healed(_) => true,
        }
    }
}
