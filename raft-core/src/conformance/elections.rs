//! Timeout, UpdateTerm, RequestVote and BecomeLeader; and pre-vote.

use std::mem;

use super::history::Reign;
use super::said::Who;
use super::{Action, Judged, Left, Step};
use crate::configuration::Member;
use crate::event::RoleName;
use crate::types::{EntryId, NodeId, Term};

impl Step<'_> {
    /// A server changes its role, its term, or both.
    pub(super) fn role(&mut self, term: Term, to: RoleName, leader: Option<NodeId>) -> Judged {
        match (to, leader) {
            (RoleName::Leader, _) => self.become_leader(term),
            (RoleName::Candidate, _) => self.time_out(term),
            (RoleName::PreCandidate, _) => self.ask_for_pre_votes(term),
            (RoleName::Follower, _) if term != self.server.current_term => self.update_term(term),
            (RoleName::Follower, Some(leader)) => self.follow(leader),
            (RoleName::Follower, None) => self.be_free(),
        }
    }

    /// Timeout, and RequestVote to everybody. Who asks first goes on only with the pre-votes of a quorum, or
    /// if it was told to.
    fn time_out(&mut self, term: Term) -> Judged {
        self.action = Action::Timeout;
        let from = self.server.current_term;
        self.needs(!self.is_a(RoleName::Leader), || format!("leads {from} and is a candidate of {term}"))?;
        self.needs(term == from.next(), || format!("is a candidate of {term} after {from}"))?;
        self.needs_voter()?;
        self.needs_sound_log()?;
        let pre_votes = self.server.votes_granted.len();
        let may = !self.is_a(RoleName::PreCandidate)
            || self.is_elected()
            || self.said.timeouts.contains(&(from, self.node));
        self.needs(may, || format!("is a candidate of {term} with {pre_votes} pre-votes, told by nobody"))?;
        self.enter(term);
        self.server.state = RoleName::Candidate;
        self.server.votes_granted.clear();
        self.said.ask_vote(term, self.node, self.server.log);
        Ok(())
    }

    /// Who does not vote asks for no votes, unless it may be needed (thesis 4.2.2).
    fn needs_voter(&self) -> Judged {
        let (who, log) = (self.who(), self.server.log);
        self.needs(self.may_be_voter(|voter| self.is(voter, who)), || {
            format!("asks for votes, and does not vote itself where its log ends with {log}")
        })
    }

    /// Whether the votes that it has counted are those of a quorum.
    fn is_elected(&self) -> bool {
        let asks = self.is_a(RoleName::PreCandidate);
        let term = if asks { self.server.current_term.next() } else { self.server.current_term };
        let has = |voter: &Member, counts: &dyn Fn(Who) -> bool| {
            self.server.votes_granted.iter().any(|&who| self.is(voter, who) && counts(who))
        };
        let certain = |who| !self.said.marked.contains(&(term, who, asks));
        self.is_quorum(|voter| has(voter, &certain)) || self.is_all(|voter| has(voter, &|_| true))
    }

    fn update_term(&mut self, term: Term) -> Judged {
        self.action = Action::UpdateTerm;
        let from = self.server.current_term;
        self.needs(term > from, || format!("goes back from {from} to {term}"))?;
        let heard = self.said.have_others_said_term(term, self.node);
        self.needs(heard, || format!("adopts {term}, which nobody has said"))?;
        self.enter(term);
        self.server.state = RoleName::Follower;
        Ok(())
    }

    fn enter(&mut self, term: Term) {
        let server = &mut *self.server;
        let (voted_for, accepted) = (server.voted_for.take(), mem::take(&mut server.accepted));
        server.left.push(Left { term: server.current_term, voted_for, accepted });
        server.current_term = term;
        server.leader = None;
    }

    /// HandleRequestVoteRequest, where it is granted. A candidate answers itself like anybody.
    pub(super) fn vote(&mut self, term: Term, candidate: NodeId) -> Judged {
        self.action = Action::HandleRequestVoteRequest;
        let current = self.server.current_term;
        self.needs(term == current, || format!("votes in {term} and is in {current}"))?;
        let request = self.said.vote_request(term, candidate);
        let asked = candidate == self.node || self.said.has_said_term(term, candidate);
        let Some(last) = request.filter(|_| asked) else {
            return self.needs(false, || format!("votes for {candidate} in {term}, which has not asked"));
        };
        self.needs_free_vote(candidate)?;
        self.needs_log_ok(candidate, last)?;
        self.needs_sound_log()?;
        self.server.voted_for = Some(candidate);
        self.mark_vote(term, false);
        Ok(())
    }

    fn needs_free_vote(&self, candidate: NodeId) -> Judged {
        let given_to = self.server.voted_for.filter(|&given_to| given_to != candidate);
        let what = |first| format!("votes for {candidate} after {first} in {}", self.server.current_term);
        given_to.map_or(Ok(()), |first| self.needs(false, || what(first)))
    }

    /// logOk: no vote for a log that is less up-to-date (§5.4.1).
    fn needs_log_ok(&self, candidate: NodeId, last: EntryId) -> Judged {
        let log = self.server.log;
        let ok = last.term > log.term || (last.term == log.term && last.index >= log.index);
        self.needs(ok, || format!("votes for {candidate}, whose log ends with {last}, and has {log}"))
    }

    /// HandleRequestVoteResponse, where it was granted.
    pub(super) fn count_vote(&mut self, term: Term, voter: NodeId) -> Judged {
        self.action = Action::HandleRequestVoteResponse;
        let (state, current) = (self.server.state, self.server.current_term);
        let asks = self.is_a(RoleName::Candidate) && term == current;
        self.needs(asks, || format!("counts a vote of {term} as a {state} of {current}"))?;
        let said: Vec<_> = self
            .all_lives(voter)
            .filter(|&who| self.said.votes.get(&(term, who)) == Some(&self.node))
            .collect();
        self.needs(!said.is_empty(), || {
            format!("counts the vote of {voter} in {term}, which has not said so")
        })?;
        self.count(voter, &said)
    }

    /// Each voter counts once. In which of its lives it has said so is not told; in each that has.
    fn count(&mut self, voter: NodeId, said: &[Who]) -> Judged {
        let votes = |who| self.is_voter(|voter| self.is(voter, who));
        let counts: Vec<_> = said.iter().copied().filter(|&who| votes(who)).collect();
        self.needs(!counts.is_empty(), || format!("counts {voter}, which is no voter"))?;
        let before = self.server.votes_granted.len();
        self.server.votes_granted.extend(counts);
        let is_new = self.server.votes_granted.len() > before;
        self.needs(is_new, || format!("counts {voter} twice in {}", self.server.current_term))
    }

    fn become_leader(&mut self, term: Term) -> Judged {
        self.action = Action::BecomeLeader;
        let (state, current) = (self.server.state, self.server.current_term);
        let asked = self.is_a(RoleName::Candidate) && term == current;
        self.needs(asked, || format!("leads {term} as a {state} of {current}"))?;
        let votes = self.server.votes_granted.len();
        let (_, configuration) = self.in_force(self.server.log);
        self.needs(self.is_elected(), || format!("leads {term} with {votes} votes of {configuration}"))?;
        let (log, commit_index) = (self.server.log, self.server.commit_index);
        self.history.begin(term, Reign { leader: self.node, elected_with: log, log, commit_index });
        self.server.state = RoleName::Leader;
        self.server.match_index.clear();
        Ok(())
    }

    // --- extensions ---

    /// Pre-vote (thesis 9.6): the term is only proposed.
    fn ask_for_pre_votes(&mut self, term: Term) -> Judged {
        self.action = Action::PreVote;
        let current = self.server.current_term;
        self.needs(!self.is_a(RoleName::Leader), || format!("leads {current} and asks for pre-votes"))?;
        self.needs(term == current, || format!("goes from {current} to {term} to ask for pre-votes"))?;
        self.needs_voter()?;
        self.server.state = RoleName::PreCandidate;
        self.server.leader = None;
        self.server.votes_granted.clear();
        self.needs_sound_log()?;
        self.mark_vote(term.next(), true);
        self.said.ask_pre_vote(term.next(), self.node, self.server.log);
        Ok(())
    }

    pub(super) fn grant_pre_vote(&mut self, term: Term, asker: NodeId) -> Judged {
        self.action = Action::HandlePreVoteRequest;
        let current = self.server.current_term;
        self.needs(term >= current, || format!("would vote in {term} and is in {current}"))?;
        let Some(last) = self.said.pre_vote_request(term, asker) else {
            return self.needs(false, || format!("would vote for {asker} in {term}, which has not asked"));
        };
        if term == current {
            self.needs_free_vote(asker)?;
        }
        self.needs_log_ok(asker, last)?;
        self.needs_sound_log()?;
        self.mark_vote(term, true);
        self.said.pre_votes.insert((term, self.who(), asker));
        Ok(())
    }

    pub(super) fn count_pre_vote(&mut self, term: Term, voter: NodeId) -> Judged {
        self.action = Action::HandlePreVoteResponse;
        let (state, current) = (self.server.state, self.server.current_term);
        let asks = self.is_a(RoleName::PreCandidate) && term == current.next();
        self.needs(asks, || format!("counts a pre-vote for {term} as a {state} of {current}"))?;
        let granted = |who| who == self.who() || self.said.pre_votes.contains(&(term, who, self.node));
        let said: Vec<_> = self.all_lives(voter).filter(|&who| granted(who)).collect();
        self.needs(!said.is_empty(), || {
            format!("counts the pre-vote of {voter} for {term}, which has not said so")
        })?;
        self.count(voter, &said)
    }

    /// A leader gives way by itself (thesis 6.2).
    pub(super) fn step_down(&mut self, term: Term) -> Judged {
        self.action = Action::StepDown;
        self.needs_leader()?;
        let current = self.server.current_term;
        self.needs(term == current, || format!("steps down in {term} and leads {current}"))?;
        self.server.state = RoleName::Follower;
        Ok(())
    }

    /// A server follows nobody, in the same term: it has just stepped down, or asks no longer.
    fn be_free(&mut self) -> Judged {
        self.action = Action::StepDown;
        let (state, term) = (self.server.state, self.server.current_term);
        let may = self.is_a(RoleName::Follower) || self.is_a(RoleName::PreCandidate);
        self.needs(may, || format!("is a {state} no longer in the same {term}, and follows nobody"))?;
        self.server.state = RoleName::Follower;
        self.server.leader = None;
        Ok(())
    }
}
