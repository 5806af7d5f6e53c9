//! What events do to the servers.

use std::time::Duration;

use raft_core::NodeId;
use raft_storage::DiskFault;

use super::Range;
use super::clocks::ClockFault;
use super::links::{LinkFault, LinkTarget};
use super::targets::{Split, Target};
use super::values::Share;

/// What an event does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Cuts links.
    Partition {
        /// Which.
        split: Split,
        /// How long.
        undo: Undo,
    },
    /// Ends every partition and every fault of links, also those for ever.
    Heal,
    /// Has links delay, lose, repeat, reorder, change, slow or hold messages, or reset connections.
    Link {
        /// Which.
        target: LinkTarget,
        /// What they do.
        fault: LinkFault,
        /// How long.
        undo: Undo,
    },
    /// Kills servers, or takes their power.
    Crash {
        /// Which.
        target: Target,
        /// How long they are down.
        undo: Undo,
        /// What goes with them.
        loss: Loss,
        /// What is done to their disks while they are down.
        damage: Option<Damage>,
    },
    /// Shuts servers down.
    Stop {
        /// Which.
        target: Target,
        /// How long they are down.
        undo: Undo,
        /// What is done to their disks while they are down.
        damage: Option<Damage>,
    },
    /// Has the disks of servers be slow, hang, refuse, or return what is not on them; also from the start of a server on
    /// that is down.
    Disk {
        /// Which.
        target: Target,
        /// In what way.
        fault: DiskFault,
        /// How long.
        undo: Undo,
    },
    /// Has servers take a snapshot now.
    Snapshot {
        /// Which.
        target: Target,
    },
    /// Takes all that is on servers' disks, and starts them again under their old ids.
    Wipe {
        /// Which.
        target: Target,
        /// After how long they start, drawn evenly.
        restart_after: Range,
    },
    /// Stops servers in order, and starts them again under another command, on what is on their disks.
    Upgrade {
        /// Which.
        target: Target,
        /// The command and its words.
        node: Vec<String>,
    },
    /// Changes who votes and who learns.
    Membership {
        /// How.
        change: Change,
        /// Whom it is about, where that is not drawn.
        target: Option<Target>,
        /// Who is asked for it.
        via: Target,
        /// What has to come of it.
        expect: Option<Expect>,
    },
    /// Hands leadership over.
    Transfer {
        /// To whom.
        to: Target,
        /// What has to come of it.
        expect: Option<Expect>,
    },
    /// Has the clocks of servers run fast or slow, or be set.
    Clock {
        /// Which.
        target: Target,
        /// In what way.
        fault: ClockFault,
        /// How long.
        undo: Undo,
    },
    /// Keeps clients from reaching servers; also those that are down, from their start on.
    IsolateClient {
        /// Which.
        target: Target,
        /// How long.
        undo: Undo,
    },
    /// Keeps servers from doing anything; their clocks go on.
    Pause {
        /// Which.
        target: Target,
        /// How long.
        undo: Undo,
    },
}

/// How the membership is to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// One of these, drawn for each firing.
    Any(Vec<Step>),
    /// These voters become those; while others vote it does not fire.
    Voters {
        /// Those who vote now.
        from: Vec<NodeId>,
        /// Those who are to vote.
        to: Vec<NodeId>,
    },
}

/// A change of one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A spare learns.
    AddLearner,
    /// A learner votes.
    PromoteLearner,
    /// A learner, or else a spare, votes instead of a voter, who becomes a spare.
    ReplaceVoter,
    /// A member becomes a spare.
    Remove,
    /// The leader becomes a spare.
    RemoveLeader,
}

/// What has to come of what a server is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// It is done.
    Ok,
    /// It is refused.
    Refused,
    /// Either.
    Any,
}

/// What a crash takes from the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Nothing: the process is killed, and the operating system keeps what was handed to it.
    None,
    /// The power goes, and what was not synced is lost.
    Unsynced {
        /// How often some of that is left all the same: a part from its beginning.
        torn: Share,
    },
}

/// What is done to the disk of a server that is down. The place is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// The log loses its end, whatever was acknowledged of it.
    TruncateLog,
    /// A bit of an entry is flipped; on each server that one event meets, of another entry.
    FlipLog,
    /// A bit of a piece of a snapshot is flipped.
    FlipSnapshot,
    /// The write-ahead logs are deleted.
    DeleteWal,
    /// A table is deleted.
    DeleteTable,
    /// The manifests are deleted.
    DeleteManifest,
    /// The file that names the manifest in use is deleted.
    DeleteCurrent,
    /// All pieces of the last whole snapshot are deleted.
    DeleteSnapshot,
    /// The disk becomes what it was.
    OldCopy {
        /// So long ago.
        age: Duration,
    },
}

/// When the effect of an action ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undo {
    /// That long after it began, drawn evenly for each firing; at the end of `duration` at the latest.
    After(Range),
    /// At the end of `duration`.
    AtEnd,
    /// Never (`heal = false`).
    Never,
}

impl Action {
    /// Whether it may make a disk what it was before.
    pub const fn puts_back(&self) -> bool {
        matches!(
            self,
            Self::Crash { damage: Some(Damage::OldCopy { .. }), .. }
                | Self::Stop { damage: Some(Damage::OldCopy { .. }), .. }
        )
    }

    /// When its effect ends; none where there is nothing to end.
    pub const fn undo(&self) -> Option<Undo> {
        match self {
            Self::Partition { undo, .. }
            | Self::Link { undo, .. }
            | Self::Clock { undo, .. }
            | Self::IsolateClient { undo, .. }
            | Self::Crash { undo, .. }
            | Self::Stop { undo, .. }
            | Self::Disk { undo, .. }
            | Self::Pause { undo, .. } => Some(*undo),
            Self::Wipe { restart_after, .. } => Some(Undo::After(*restart_after)),
            Self::Snapshot { .. }
            | Self::Upgrade { .. }
            | Self::Membership { .. }
            | Self::Transfer { .. } => Some(Undo::Never),
            Self::Heal => None,
        }
    }
}
