//! The instants inside a server that an event can wait for, and what narrows them down.

use raft_core::{Event, NodeId};

use super::Target;
use super::events::Context;
use super::targets::target;
use super::walk::{Item, Section};

/// An instant inside a server: something is decided there, and nothing of it has left the server or
/// reached its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
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
}

/// The key and the word of each moment; those without one are known and not built.
const MOMENTS: [(&str, &str, Option<Moment>); 15] = [
    ("vote", "granted", Some(Moment::VoteGranted)),
    ("append", "accepted", Some(Moment::AppendAccepted)),
    ("append", "rejected", Some(Moment::AppendRejected)),
    ("snapshot", "started", Some(Moment::SnapshotStarted)),
    ("snapshot", "chunk-sent", Some(Moment::ChunkSent)),
    ("snapshot", "chunk-received", Some(Moment::ChunkReceived)),
    ("snapshot", "installed", Some(Moment::SnapshotInstalled)),
    ("membership", "proposed", Some(Moment::MembershipProposed)),
    ("membership", "committed", Some(Moment::MembershipCommitted)),
    ("membership", "joint-proposed", Some(Moment::JointProposed)),
    ("membership", "joint-committed", Some(Moment::JointCommitted)),
    ("membership", "leave-proposed", Some(Moment::LeaveProposed)),
    ("membership", "leave-committed", Some(Moment::LeaveCommitted)),
    ("fsync", "before", None),
    ("fsync", "after", None),
];

impl Moment {
    /// The moment that this event of a server is by itself, if it is one; those of membership take more to tell.
    pub fn of(node: NodeId, event: &Event) -> Option<Self> {
        match event {
            Event::Voted { candidate, .. } => (*candidate != node).then_some(Self::VoteGranted),
            Event::AppendAccepted { .. } => Some(Self::AppendAccepted),
            Event::AppendRejected { .. } => Some(Self::AppendRejected),
            Event::SnapshotStarted { .. } => Some(Self::SnapshotStarted),
            Event::ChunkSent { .. } => Some(Self::ChunkSent),
            Event::ChunkReceived { .. } => Some(Self::ChunkReceived),
            Event::Installed { .. } | Event::SnapshotFills { .. } => Some(Self::SnapshotInstalled),
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
            | Event::Durable { .. }
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
        let written = MOMENTS.iter().find(|(.., moment)| *moment == Some(self));
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
    /// Only the one of this number, from 1, at which all else holds.
    pub nth: Option<u64>,
}

/// The trigger that `when` names; `moments` takes the keys of all that are written.
pub(super) fn trigger(
    table: &mut Section<'_>,
    context: &mut Context,
    moments: &mut Vec<&'static str>,
) -> Option<Trigger> {
    let mut found = None;
    for key in ["vote", "append", "snapshot", "membership", "fsync"] {
        let words: Vec<_> =
            MOMENTS.iter().filter(|(of, ..)| *of == key).map(|(_, word, moment)| (*word, *moment)).collect();
        if table.has(key) {
            moments.push(key);
            context.has_node = true;
        }
        found = table.read(key, |item| item.word(&words)).or(found);
    }
    let is_moment = |item: &Item<'_>| {
        if moments.iter().all(|key| *key == "every") {
            return item
                .expected("a moment inside a server beside it, as in vote = \"granted\", or leave it out");
        }
        Some(())
    };
    let number = |item: &Item<'_>| item.integer(1, i64::MAX.unsigned_abs());
    let on = table.read("on", |item| is_moment(item).and_then(|()| target(item, context)));
    let nth = table.read("nth", |item| is_moment(item).and_then(|()| number(item)));
    let is_chunk = matches!(found, Some(Moment::ChunkSent | Moment::ChunkReceived));
    let chunk = table.read("chunk", |item| {
        if !is_chunk {
            return item
                .expected("snapshot = \"chunk-sent\" or \"chunk-received\" beside it, or leave it out");
        }
        number(item)
    });
    found.map(|moment| Trigger { moment, chunk, on, nth })
}
