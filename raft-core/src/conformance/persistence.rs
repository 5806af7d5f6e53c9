//! Restart, and what no crash takes away: in `raft.tla` all that a server remembers, here what is durable.

use std::mem;

use super::{Action, Judged, Left, Server, Step};
use crate::state::Restored;
use crate::types::{EntryId, LogIndex, NodeId, Term};

impl Step<'_> {
    /// A server loses all but what is durable, and perhaps of what was on its way to the disk the end.
    pub(super) fn restart(&mut self, restored: &Restored) -> Judged {
        self.action = Action::Restart;
        let (term, vote) = (restored.hard_state.current_term, restored.hard_state.voted_for);
        let (durable, current) = (self.server.durable_term, self.server.current_term);
        let had = (durable..=current).contains(&term);
        self.needs(had, || format!("starts in {term}, had {durable} on disk and was in {current}"))?;
        self.needs_restored_log(restored)?;
        let snapshot = restored.snapshot.as_ref().map(|snapshot| snapshot.id);
        let known = snapshot.is_none_or(|id| self.server.snapshots.contains(&id));
        self.needs(known, || "starts with a snapshot that it has never had".into())?;
        self.needs_restored_configurations(restored)?;
        self.keep_vote(term, vote)?;
        let log = restored.log.last();
        *self.server = Server {
            current_term: term,
            voted_for: vote,
            log,
            commit_index: snapshot.map_or(LogIndex::ZERO, |id| id.last_included.index),
            durable_term: term,
            durable_index: log.index,
            applied_ever: self.server.applied_ever,
            suspect: restored.suspect_tail,
            forgotten: self.server.forgotten,
            snapshots: mem::take(&mut self.server.snapshots),
            ..Server::init()
        };
        self.said.say_term(term, self.node);
        Ok(())
    }

    /// A log that leaders have made, with all in it that was durable.
    fn needs_restored_log(&self, restored: &Restored) -> Judged {
        let (base, log) = (restored.log.base(), restored.log.last());
        let follows = |last, id| (self.history.before(id) == Some(last)).then_some(id);
        let made = self.history.has(base) && restored.log.ids().try_fold(base, follows) == Some(log);
        self.needs(made, || format!("starts with a log from {base} to {log} that no leaders made"))?;
        let durable = self.history.at(self.server.log, self.server.durable_index).unwrap_or(EntryId::ZERO);
        let there = self.history.contains(log, durable);
        self.needs(there, || format!("starts with a log up to {log}, without {durable}, which was durable"))
    }

    /// The disk has what it was given, up to here.
    pub(super) fn persist(&mut self, term: Term, vote: Option<NodeId>, index: LogIndex) -> Judged {
        self.action = Action::Persist;
        let (durable, current) = (self.server.durable_term, self.server.current_term);
        let had = (durable..=current).contains(&term);
        self.needs(had, || format!("has {term} on disk after {durable}, and is in {current}"))?;
        let last = self.server.log;
        self.needs(index <= last.index, || format!("has a log up to {index} on disk, and {last} in memory"))?;
        self.keep_vote(term, vote)?;
        (self.server.durable_term, self.server.durable_index) = (term, index);
        self.said.say_term(term, self.node);
        self.acknowledge();
        self.say_what_was_left(term);
        Ok(())
    }

    /// With a later term on disk, what was decided before it can no longer be undone.
    fn say_what_was_left(&mut self, durable: Term) {
        let (node, who) = (self.node, self.who());
        for Left { term, voted_for, accepted } in self.server.left.extract_if(.., |left| left.term < durable)
        {
            self.said.say_term(term, node);
            self.said.acknowledge(term, who, accepted);
            if let Some(candidate) = voted_for {
                self.said.votes.insert((term, who), candidate);
            }
        }
    }

    /// A vote is durable, and said: one a term, and the one that was decided.
    fn keep_vote(&mut self, term: Term, vote: Option<NodeId>) -> Judged {
        let key = (term, self.who());
        let first = self.said.votes.get(&key).copied();
        let forgot = vote.is_none() && term <= self.server.forgotten;
        let same = forgot || first.is_none_or(|first| vote == Some(first));
        self.needs(same, || format!("has another vote on disk in {term} than before"))?;
        let decided = vote.is_none() || term < self.server.current_term || vote == self.server.voted_for;
        self.needs(decided, || format!("has a vote on disk in {term} that it has not given"))?;
        if let Some(candidate) = vote {
            self.said.votes.insert(key, candidate);
        }
        Ok(())
    }

    /// The state machine is given entries up to here, or a snapshot of them.
    pub(super) fn apply(&mut self, to: LogIndex) -> Judged {
        self.action = Action::Apply;
        let (applied, committed) = (self.server.applied, self.server.commit_index);
        let may = to > applied && to <= committed;
        self.needs(may, || format!("applies up to {to} after {applied}, and has committed {committed}"))?;
        self.server.applied = to;
        let last = self.history.at(self.server.log, to).unwrap_or(EntryId::ZERO);
        if last.index > self.server.applied_ever.index {
            self.server.applied_ever = last;
        }
        Ok(())
    }

    /// A server that finds a contradiction: there is none in the specification.
    pub(super) fn stop(&mut self, reason: &str) -> Judged {
        self.action = Action::Stop;
        self.needs(false, || format!("stops: {reason}"))
    }
}
