//! ClientRequest, AppendEntries and AdvanceCommitIndex.

use super::{Action, Judged, Step};
use crate::event::RoleName;
use crate::types::{EntryId, LogIndex, NodeId, Term};

impl Step<'_> {
    /// Whoever sends entries in a term leads it; a candidate returns to being a follower.
    pub(super) fn follow(&mut self, leader: NodeId) -> Judged {
        self.action = Action::HandleAppendEntriesRequest;
        let term = self.server.current_term;
        self.needs(!self.is_a(RoleName::Leader), || format!("leads {term} and follows {leader}"))?;
        let leads = self.history.reign(term).is_some_and(|reign| reign.leader == leader);
        self.needs(leads, || format!("follows {leader}, which does not lead {term}"))?;
        self.server.state = RoleName::Follower;
        self.server.leader = Some(leader);
        Ok(())
    }

    /// The log that the leader of this server's term has sent, at most; that of nobody is empty.
    fn leader_log(&self) -> EntryId {
        self.history.reign(self.server.current_term).map_or(EntryId::ZERO, |reign| reign.log)
    }

    /// Whoever follows takes what comes next in its leader's log; a leader makes what comes next.
    pub(super) fn append(&mut self, id: EntryId, checksum: u32) -> Judged {
        match self.server.leader.filter(|_| self.is_a(RoleName::Follower)) {
            Some(leader) => self.append_next_of(leader, id, checksum),
            None => self.make(id, checksum),
        }
    }

    fn make(&mut self, id: EntryId, checksum: u32) -> Judged {
        self.action = Action::ClientRequest;
        self.needs_leader()?;
        let (term, last) = (self.server.current_term, self.server.log);
        let is_next = id == EntryId::new(term, last.index.next());
        self.needs(is_next, || format!("makes {id} in {term} after {last}"))?;
        let transfer = self.server.transfer;
        self.needs(transfer.is_none(), || format!("makes {id} while it hands over leadership"))?;
        self.needs(!self.is_removed(), || format!("makes {id}, and has committed that it votes no more"))?;
        self.history.make(id, checksum);
        self.server.log = id;
        Ok(())
    }

    /// HandleAppendEntriesRequest: no conflict, append.
    fn append_next_of(&mut self, leader: NodeId, id: EntryId, checksum: u32) -> Judged {
        self.action = Action::HandleAppendEntriesRequest;
        let sent = self.history.contains(self.leader_log(), id) && self.history.is(id, checksum);
        self.needs(sent, || format!("appends {id}, which {leader} has not sent"))?;
        let last = self.server.log;
        let joins_on = self.history.before(id) == Some(last);
        self.needs(joins_on, || format!("appends {id} after {last}, and {leader} has not"))?;
        self.server.log = id;
        Ok(())
    }

    /// HandleAppendEntriesRequest: conflict, remove.
    pub(super) fn remove_conflict(&mut self, from: LogIndex, last: EntryId) -> Judged {
        self.action = Action::HandleAppendEntriesRequest;
        let Some(leader) = self.server.leader.filter(|_| self.is_a(RoleName::Follower)) else {
            let state = self.server.state;
            return self.needs(false, || format!("removes entries from {from} on as a {state} of nobody"));
        };
        let (ours, theirs) =
            (self.history.at(self.server.log, from), self.history.at(self.leader_log(), from));
        let conflict = ours.is_some() && theirs.is_some() && ours != theirs;
        self.needs(conflict, || format!("removes entries from {from} on, where {leader} has no other"))?;
        self.remove(from, last)
    }

    /// All from an entry on leaves the log.
    pub(super) fn remove(&mut self, from: LogIndex, last: EntryId) -> Judged {
        let committed = self.server.commit_index;
        self.needs(from > committed, || {
            format!("removes entries from {from} on, and has committed {committed}")
        })?;
        let left = self.history.at(self.server.log, from.prev());
        self.needs(left == Some(last), || format!("removes entries from {from} on and is left with {last}"))?;
        self.server.log = last;
        self.server.durable_index = self.server.durable_index.min(last.index);
        self.server.damaged.retain(|id| id.index < from);
        Ok(())
    }

    /// HandleAppendEntriesRequest: already done, and answered once it is durable.
    pub(super) fn accept(&mut self, leader: NodeId, match_index: LogIndex) -> Judged {
        self.action = Action::HandleAppendEntriesRequest;
        self.agree(leader, match_index)
    }

    /// A follower has the same log as its leader up to here.
    pub(super) fn agree(&mut self, leader: NodeId, index: LogIndex) -> Judged {
        self.needs_follower_of(leader)?;
        let (ours, theirs) =
            (self.history.at(self.server.log, index), self.history.at(self.leader_log(), index));
        let agrees = ours.is_some() && ours == theirs;
        self.needs(agrees, || format!("agrees up to {index}, where it has another log than {leader}"))?;
        self.server.accepted = self.server.accepted.max(index);
        self.acknowledge();
        Ok(())
    }

    /// Says how far the log agrees and is durable.
    pub(super) fn acknowledge(&mut self) {
        let term = self.server.current_term;
        if self.server.durable_term == term {
            let index = self.sound(self.server.accepted.min(self.server.durable_index));
            self.said.acknowledge(term, self.who(), index);
        }
    }

    /// HandleAppendEntriesRequest: reject, as the request is of an old term or its entries do not join on.
    pub(super) fn reject(&mut self, leader: NodeId, term: Term, refused: EntryId) -> Judged {
        self.action = Action::HandleAppendEntriesRequest;
        let current = self.server.current_term;
        self.needs(term <= current, || format!("rejects {term} and is in {current}"))?;
        if term < current {
            let led = self.history.reign(term).is_some_and(|reign| reign.leader == leader);
            return self.needs(led, || format!("rejects {leader}, which did not lead {term}"));
        }
        self.needs_follower_of(leader)?;
        let has = self.history.contains(self.server.log, refused);
        self.needs(!has, || format!("rejects what comes after {refused}, which it has"))
    }

    /// HandleAppendEntriesResponse, where it tells more than was known.
    pub(super) fn count_match(&mut self, follower: NodeId, match_index: LogIndex) -> Judged {
        self.action = Action::HandleAppendEntriesResponse;
        self.needs_leader()?;
        let is_other = follower != self.node && self.is_member(|member| member.id == follower);
        self.needs(is_other, || format!("counts {follower}, which is no other member"))?;
        let term = self.server.current_term;
        let said = |who| self.said.acknowledged(term, who);
        let lives: Vec<_> = self.all_lives(follower).map(|who| (who, said(who))).collect();
        let most = lives.iter().map(|&(_, index)| index).max().unwrap_or_default();
        let what = || format!("counts {follower} up to {match_index} in {term}, which has said {most}");
        self.needs(match_index <= most, what)?;
        for (who, _) in lives.into_iter().filter(|&(_, said)| match_index <= said) {
            self.server.match_index.insert(who, match_index);
        }
        Ok(())
    }

    /// The commit index rises: a leader's by a quorum, a follower's by its leader's word.
    pub(super) fn commit(&mut self, from: LogIndex, to: EntryId) -> Judged {
        let leads = self.is_a(RoleName::Leader);
        self.action = if leads { Action::AdvanceCommitIndex } else { Action::HandleAppendEntriesRequest };
        let committed = self.server.commit_index;
        let rises = from == committed && to.index > from;
        self.needs(rises, || format!("commits {to} after {from}, and has committed {committed}"))?;
        self.needs_entry(to)?;
        if leads {
            self.needs_agreement(to)?;
            self.history.commit(self.server.current_term, to.index);
        } else {
            self.needs_word(to)?;
        }
        self.server.commit_index = to.index;
        Ok(())
    }

    /// A quorum has the entry on disk, and it is of the leader's own term (§5.4.2).
    fn needs_agreement(&self, to: EntryId) -> Judged {
        let server = &self.server;
        let own = (self.sound(server.durable_index) >= to.index).then(|| self.who());
        let others = server.match_index.iter().filter(|(_, index)| **index >= to.index);
        let agree: Vec<_> = own.into_iter().chain(others.map(|(&who, _)| who)).collect();
        let is_quorum = self.is_quorum(|voter| agree.iter().any(|&who| self.is(voter, who)));
        let (_, all) = self.in_force(server.log);
        self.needs(is_quorum, || format!("commits {to}, on which {} of {all} agree", agree.len()))?;
        let term = server.current_term;
        self.needs(to.term == term, || format!("commits {to} by counting in {term}"))
    }

    /// The leader has committed that much and it agrees; or the state machine has it from an earlier life.
    fn needs_word(&self, to: EntryId) -> Judged {
        let follows = self.is_a(RoleName::Follower) && self.server.leader.is_some();
        let reign = self.history.reign(self.server.current_term).filter(|_| follows);
        let committed =
            reign.is_some_and(|reign| to.index <= reign.commit_index && self.history.contains(reign.log, to));
        let kept = self.history.contains(self.server.applied_ever, to);
        self.needs(committed || kept, || format!("commits {to}, which its leader has not committed"))
    }
}
