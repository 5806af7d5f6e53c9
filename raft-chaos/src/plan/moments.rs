//! The instants inside a server that an event can wait for, and what narrows them down.

use raft_core::{Event, NodeId};

use super::Target;
use super::events::Context;
use super::targets::target;
use super::walk::Section;

/// An instant inside a server: something is decided there, and nothing of it has left the server or
/// reached its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// A leader of the highest term gives way, or another is elected in a higher one; it is on the one that led.
    LeaderDeposed,
    /// A vote for another server.
    VoteGranted,
    /// A follower's yes to AppendEntries.
    AppendAccepted,
    /// A follower's no.
    AppendRejected,
    /// A leader begins to send its snapshot to a follower.
    SnapshotStarted,
    /// A leader sends a piece of it.
    ChunkSent,
    /// A follower takes a piece of it.
    ChunkReceived,
    /// A follower has all of it.
    SnapshotInstalled,
    /// A leader has appended a configuration.
    MembershipProposed,
    /// A leader has committed one.
    MembershipCommitted,
    /// A leader has appended the one that begins joint consensus.
    JointProposed,
    /// It is committed.
    JointCommitted,
    /// A leader has appended the one that ends joint consensus.
    LeaveProposed,
    /// It is committed.
    LeaveCommitted,
    /// A server has written to its log, and the sync begins.
    SyncBegun,
    /// A sync has ended, and nothing was said of it.
    Synced,
}

/// The key and the word of each moment.
pub(super) const MOMENTS: [(&str, &str, Moment); 16] = [
    ("leader", "deposed", Moment::LeaderDeposed),
    ("vote", "granted", Moment::VoteGranted),
    ("append", "accepted", Moment::AppendAccepted),
    ("append", "rejected", Moment::AppendRejected),
    ("snapshot", "started", Moment::SnapshotStarted),
    ("snapshot", "chunk-sent", Moment::ChunkSent),
    ("snapshot", "chunk-received", Moment::ChunkReceived),
    ("snapshot", "installed", Moment::SnapshotInstalled),
    ("membership", "proposed", Moment::MembershipProposed),
    ("membership", "committed", Moment::MembershipCommitted),
    ("membership", "joint-proposed", Moment::JointProposed),
    ("membership", "joint-committed", Moment::JointCommitted),
    ("membership", "leave-proposed", Moment::LeaveProposed),
    ("membership", "leave-committed", Moment::LeaveCommitted),
    ("fsync", "before", Moment::SyncBegun),
    ("fsync", "after", Moment::Synced),
];

impl Moment {
    /// The moment that this event of a server is by itself, if it is one; those of membership, of leaders and
    /// of syncs that begin take more to tell.
    pub fn of(node: NodeId, event: &Event) -> Option<Self> {
        match event {
            Event::Voted { candidate, .. } => (*candidate != node).then_some(Self::VoteGranted),
            Event::AppendAccepted { .. } => Some(Self::AppendAccepted),
            Event::AppendRejected { .. } => Some(Self::AppendRejected),
            Event::SnapshotStarted { .. } => Some(Self::SnapshotStarted),
            Event::ChunkSent { .. } => Some(Self::ChunkSent),
            Event::ChunkReceived { .. } => Some(Self::ChunkReceived),
            Event::Installed { .. } | Event::SnapshotFills { .. } => Some(Self::SnapshotInstalled),
            Event::Durable { .. } => Some(Self::Synced),
            Event::Role { .. }
            | Event::PreVoteCounted { .. }
            | Event::VoteCounted { .. }
            | Event::VoteIgnored { .. }
            | Event::SteppedDown { .. }
            | Event::PreVoteGranted { .. }
            | Event::MatchCounted { .. }
            | Event::SnapshotNotNeeded { .. }
            | Event::TransferStarted { .. }
            | Event::TimeoutNowSent { .. }
            | Event::ReadsConfirmed { .. }
            | Event::TransferEnded { .. }
            | Event::Appended { .. }
            | Event::Truncated { .. }
            | Event::Committed { .. }
            | Event::Applying { .. }
            | Event::Restoring { .. }
            | Event::SnapshotTaken { .. }
            | Event::SnapshotFailed { .. }
            | Event::Compacted { .. }
            | Event::Configured { .. }
            | Event::Removed { .. }
            | Event::StrangerDropped { .. }
            | Event::Damaged { .. }
            | Event::Repaired { .. }
            | Event::Dropped { .. }
            | Event::TailTrusted
            | Event::Stopped { .. } => None,
        }
    }

    /// As a plan writes it: key and word.
    pub fn words(self) -> (&'static str, &'static str) {
        let written = MOMENTS.iter().find(|(.., moment)| *moment == self);
        written.map_or(("", ""), |(key, word, _)| (key, word))
    }
}

/// A moment, and which of its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trigger {
    /// The kind.
    pub moment: Moment,
    /// Of pieces of a snapshot: only the one of this number, from 1.
    pub chunk: Option<u64>,
    /// Only on a server that this fits.
    pub on: Option<Target>,
}

/// The trigger that `when` names, where it is not `found` already; `moments` takes the keys of all that are written.
pub(super) fn trigger(
    table: &mut Section<'_>,
    context: &mut Context,
    moments: &mut Vec<&'static str>,
    mut found: Option<Moment>,
) -> Option<Trigger> {
    for key in ["vote", "append", "snapshot", "membership", "fsync"] {
        let words: Vec<_> =
            MOMENTS.iter().filter(|(of, ..)| *of == key).map(|(_, word, moment)| (*word, *moment)).collect();
        if table.has(key) {
            moments.push(key);
            context.has_node = true;
        }
        found = table.read(key, |item| item.word(&words)).or(found);
    }
    let on = table.read("on", |item| {
        if moments.iter().all(|key| *key == "every") {
            return item
                .expected("a moment inside a server beside it, as in vote = \"granted\", or leave it out");
        }
        target(item, context)
    });
    let is_chunk = matches!(found, Some(Moment::ChunkSent | Moment::ChunkReceived));
    let chunk = table.read("chunk", |item| {
        if !is_chunk {
            return item
                .expected("snapshot = \"chunk-sent\" or \"chunk-received\" beside it, or leave it out");
        }
        item.integer(1, i64::MAX.unsigned_abs())
    });
    found.map(|moment| Trigger { moment, chunk, on })
}
