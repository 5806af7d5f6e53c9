//! What servers are known to have said. A message stays for ever, as the network may repeat it, and is not there
//! before all that it says is durable.

use std::collections::{BTreeMap, BTreeSet};

use crate::snapshot::SnapshotId;
use crate::types::{EntryId, LogIndex, NodeId, Term};

/// A server in one life of its data directory: the first is number 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Who {
    pub(super) node: NodeId,
    pub(super) life: usize,
}

/// The messages. What a leader has appended and committed, the history tells; refusals change nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Said {
    /// Servers and the terms that their messages carried.
    terms: BTreeSet<(Term, NodeId)>,
    /// RequestVote: the candidate's last entry.
    vote_requests: BTreeMap<(Term, NodeId), EntryId>,
    /// The answer of each voter that granted one: the candidate.
    pub(super) votes: BTreeMap<(Term, Who), NodeId>,
    /// Pre-vote: the best of the last entries that the asker had, as it may have asked again.
    pre_vote_requests: BTreeMap<(Term, NodeId), EntryId>,
    /// Those who granted one, and to whom.
    pub(super) pre_votes: BTreeSet<(Term, Who, NodeId)>,
    /// Votes that count where all vote, and, with true, such pre-votes.
    pub(super) marked: BTreeSet<(Term, Who, bool)>,
    /// Answers to AppendEntries and InstallSnapshot: how far each follower agrees with the leader.
    acknowledged: BTreeMap<(Term, Who), LogIndex>,
    /// TimeoutNow: to whom.
    pub(super) timeouts: BTreeSet<(Term, NodeId)>,
    /// InstallSnapshot: to whom, and where the piece begins.
    pub(super) pieces: BTreeSet<(Term, NodeId, SnapshotId, u64)>,
}

impl Said {
    pub(super) fn say_term(&mut self, term: Term, node: NodeId) {
        self.terms.insert((term, node));
    }

    pub(super) fn has_said_term(&self, term: Term, node: NodeId) -> bool {
        self.terms.contains(&(term, node))
    }

    /// Whether another server than this one has spoken in this term.
    pub(super) fn have_others_said_term(&self, term: Term, node: NodeId) -> bool {
        let said = self.terms.range((term, NodeId::new(0))..=(term, NodeId::new(u64::MAX)));
        said.into_iter().any(|(_, other)| *other != node)
    }

    pub(super) fn ask_vote(&mut self, term: Term, candidate: NodeId, log: EntryId) {
        let best = self.vote_requests.entry((term, candidate)).or_insert(log);
        *best = log.max(*best);
    }

    pub(super) fn vote_request(&self, term: Term, candidate: NodeId) -> Option<EntryId> {
        self.vote_requests.get(&(term, candidate)).copied()
    }

    pub(super) fn ask_pre_vote(&mut self, term: Term, asker: NodeId, log: EntryId) {
        let best = self.pre_vote_requests.entry((term, asker)).or_insert(log);
        *best = log.max(*best);
    }

    pub(super) fn pre_vote_request(&self, term: Term, asker: NodeId) -> Option<EntryId> {
        self.pre_vote_requests.get(&(term, asker)).copied()
    }

    pub(super) fn acknowledge(&mut self, term: Term, follower: Who, index: LogIndex) {
        let furthest = self.acknowledged.entry((term, follower)).or_insert(index);
        *furthest = index.max(*furthest);
    }

    pub(super) fn acknowledged(&self, term: Term, follower: Who) -> LogIndex {
        self.acknowledged.get(&(term, follower)).copied().unwrap_or_default()
    }
}
