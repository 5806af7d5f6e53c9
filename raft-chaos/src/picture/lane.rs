//! What became of a node over time: its role, what happened to it, and how far its log was.

use std::collections::BTreeMap;

use raft_core::{Configuration, Event, NodeId, RoleName, Term};
use serde::Serialize;

use super::columns::Deltas;
use super::recording::Recording;
use crate::sim::trace::Happening;

/// A node over time.
#[derive(Default, Serialize)]
pub(super) struct Lane {
    pub(super) node: u64,
    pub(super) spans: Vec<Span>,
    /// What happened once: when, what kind of thing, and in words.
    pub(super) marks: Vec<(u64, &'static str, String)>,
    appended: Appended,
    /// From which index on entries left the log.
    truncated: Steps,
    durable: Steps,
    pub(super) committed: Steps,
    pub(super) applied: Steps,
}

/// From a moment to the next span, or to the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Span {
    pub(super) at: u64,
    /// `down`, a role, or in place of `follower` what it is of the group: `learner` or `spare`.
    pub(super) role: &'static str,
    pub(super) term: u64,
}

/// A number that changes.
#[derive(Default, Serialize)]
pub(super) struct Steps {
    at: Deltas,
    to: Deltas,
}

/// Entries that a node appended, those of one moment and one term together.
#[derive(Default, Serialize)]
struct Appended {
    at: Deltas,
    first: Deltas,
    term: Deltas,
    count: Vec<u64>,
    #[serde(skip)]
    next: u64,
}

/// What a node is of its group, where it does nothing of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Voter,
    Learner,
    None,
}

/// What is known of a node now.
struct Node {
    lane: Lane,
    role: RoleName,
    term: Term,
    part: Part,
    runs: bool,
}

/// A lane for each node that was ever heard of.
pub(super) fn lanes(recording: &Recording) -> Vec<Lane> {
    let mut nodes: BTreeMap<NodeId, Node> = BTreeMap::new();
    for (at, happening) in recording.happenings() {
        let (Happening::Node { node, .. } | Happening::Started { node, .. } | Happening::Gone { node, .. }) =
            happening
        else {
            continue;
        };
        nodes.entry(*node).or_insert_with(|| Node::new(*node)).take(at, happening);
    }
    nodes.into_values().map(|node| node.lane).collect()
}

impl Node {
    fn new(id: NodeId) -> Self {
        let lane = Lane { node: id.get(), ..Lane::default() };
        Self { lane, role: RoleName::Follower, term: Term::default(), part: Part::Voter, runs: false }
    }

    fn take(&mut self, at: u64, happening: &Happening) {
        match happening {
            Happening::Started { term, last, life, .. } => {
                (self.role, self.term, self.runs) = (RoleName::Follower, *term, true);
                if *life > 1 {
                    self.mark(at, "start", format!("starts again, life {life}, log up to {last}"));
                }
                self.lane.appended.next = last.index.get() + 1;
                self.span(at);
            }
            Happening::Gone { how, .. } => {
                self.runs = false;
                self.mark(at, "down", how.clone());
                self.span(at);
            }
            Happening::Node { event, .. } => self.observe(at, event),
            Happening::Fault { .. }
            | Happening::Broken { .. }
            | Happening::Phase { .. }
            | Happening::Operation { .. } => {}
        }
    }

    fn observe(&mut self, at: u64, event: &Event) {
        self.lane.follow(at, event);
        if let Event::Role { term, to, .. } = event {
            // A node that ran before anything was recorded runs.
            (self.role, self.term, self.runs) = (*to, *term, true);
            self.span(at);
        }
        if let Event::Configured { configuration, .. } = event {
            self.part = part(configuration, NodeId::new(self.lane.node));
            self.span(at);
        }
        self.lane.marks.extend(told(event).map(|(kind, text)| (at, kind, text)));
    }

    fn mark(&mut self, at: u64, kind: &'static str, text: String) {
        self.lane.marks.push((at, kind, text));
    }

    /// What it is from now on.
    fn span(&mut self, at: u64) {
        let role = match (self.runs, self.role, self.part) {
            (false, _, _) => "down",
            (true, RoleName::Leader, _) => "leader",
            (true, RoleName::Candidate, _) => "candidate",
            (true, RoleName::PreCandidate, _) => "pre-candidate",
            (true, RoleName::Follower, Part::Voter) => "follower",
            (true, RoleName::Follower, Part::Learner) => "learner",
            (true, RoleName::Follower, Part::None) => "spare",
        };
        let span = Span { at, role, term: self.term.get() };
        let spans = &mut self.lane.spans;
        if spans.last().is_some_and(|last| (last.role, last.term) == (span.role, span.term)) {
            return;
        }
        // Of what took no time only the end is seen.
        if spans.last().is_some_and(|last| last.at == at) {
            spans.pop();
        }
        spans.push(span);
    }
}

impl Lane {
    /// How far its log is.
    fn follow(&mut self, at: u64, event: &Event) {
        if let Event::Appended { id, .. } = event {
            self.appended.push(at, id.index.get(), id.term.get());
        }
        if let Event::Truncated { from, last } = event {
            self.truncated.push(at, from.get());
            self.appended.next = last.index.get() + 1;
        }
        if let Event::Durable { index, .. } = event {
            self.durable.push(at, index.get());
        }
        if let Event::Committed { to, .. } = event {
            self.committed.push(at, to.index.get());
        }
        if let Event::Applying { to } = event {
            self.applied.push(at, to.get());
        }
        if let Event::Restoring { snapshot } = event {
            self.applied.push(at, snapshot.last_included.index.get());
        }
    }
}

/// The kind of a mark, and what it says; none of what messages, and the log, show by themselves.
fn told(event: &Event) -> Option<(&'static str, String)> {
    Some(match event {
        Event::Voted { term, candidate } => ("vote", format!("votes for {candidate} in {term}")),
        Event::SteppedDown { term, reason } => {
            ("yield", format!("gives way as leader of {term}: {reason:?}"))
        }
        Event::TransferStarted { to } => ("transfer", format!("begins to hand over to {to}")),
        Event::TransferEnded { to, leads: true } => ("transfer", format!("could not hand over to {to}")),
        Event::SnapshotTaken { snapshot, bytes } => {
            ("snapshot", format!("takes a snapshot up to {}, {bytes} bytes", snapshot.last_included))
        }
        Event::SnapshotStarted { follower, snapshot } => {
            ("send", format!("begins to send {follower} its snapshot up to {}", snapshot.last_included))
        }
        Event::Installed { snapshot, .. } => {
            ("install", format!("installs a snapshot up to {}", snapshot.last_included))
        }
        Event::SnapshotFills { snapshot, .. } => (
            "install",
            format!("takes a snapshot up to {} for what its disk has lost", snapshot.last_included),
        ),
        Event::Repaired { id } => ("install", format!("has entry {id} again, from another node")),
        Event::Removed { at } => ("member", format!("was removed by entry {at}")),
        Event::Truncated { from, .. } => {
            ("truncate", format!("drops entries from {from} on, which the leader contradicts"))
        }
        Event::Dropped { from, .. } => ("truncate", format!("drops entry {from}, which nobody has")),
        Event::Damaged { id } => ("damage", format!("its disk has lost entry {id}")),
        Event::SnapshotFailed { reason, .. } => ("damage", format!("could not take a snapshot: {reason}")),
        Event::Stopped { reason } => ("damage", format!("stops: {reason}")),
        Event::Configured { configuration, at } => {
            ("member", format!("configuration of entry {at}: {configuration}"))
        }
        Event::Role { .. }
        | Event::TransferEnded { leads: false, .. }
        | Event::Appended { .. }
        | Event::Durable { .. }
        | Event::Committed { .. }
        | Event::Applying { .. }
        | Event::Restoring { .. }
        | Event::VoteIgnored { .. }
        | Event::TimeoutNowSent { .. }
        | Event::PreVoteCounted { .. }
        | Event::VoteCounted { .. }
        | Event::PreVoteGranted { .. }
        | Event::AppendAccepted { .. }
        | Event::AppendRejected { .. }
        | Event::MatchCounted { .. }
        | Event::Compacted { .. }
        | Event::ChunkSent { .. }
        | Event::ChunkReceived { .. }
        | Event::SnapshotNotNeeded { .. }
        | Event::StrangerDropped { .. }
        | Event::TailTrusted
        | Event::ReadsConfirmed { .. } => return None,
    })
}

/// What is told of a node besides what makes a story; none of what happens all the time.
pub(super) fn in_words(event: &Event) -> Option<String> {
    if let Event::Role { term, to, .. } = event {
        return Some(format!("is {to} in {term}"));
    }
    if let Event::VoteCounted { term, voter } = event {
        return Some(format!("counts the vote of {voter} in {term}"));
    }
    told(event).filter(|(kind, _)| !matches!(*kind, "snapshot" | "send")).map(|(_, text)| text)
}

fn part(configuration: &Configuration, node: NodeId) -> Part {
    let next = configuration.next.iter();
    let votes = |members: &[raft_core::Member]| members.iter().any(|member| member.id == node);
    if votes(&configuration.voters) || next.clone().any(|next| next.joint && votes(&next.voters)) {
        Part::Voter
    } else if votes(&configuration.learners)
        || next.clone().any(|next| votes(&next.voters) || votes(&next.learners))
    {
        Part::Learner
    } else {
        Part::None
    }
}

impl Steps {
    /// When, and to what.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.at.iter().zip(self.to.iter())
    }

    /// Of one moment the last number counts.
    fn push(&mut self, at: u64, to: u64) {
        self.at.push(at);
        self.to.push(to);
    }
}

impl Appended {
    fn push(&mut self, at: u64, index: u64, term: u64) {
        let goes_on = self.at.last() == Some(at) && self.term.last() == Some(term) && self.next == index;
        self.next = index + 1;
        if goes_on && let Some(count) = self.count.last_mut() {
            *count += 1;
            return;
        }
        self.at.push(at);
        self.first.push(index);
        self.term.push(term);
        self.count.push(1);
    }
}
