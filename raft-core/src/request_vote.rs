//! Figure 2, box "RequestVote RPC": both sides, and what pre-vote shares with it.

use crate::configuration::Member;
use crate::event::{Event, RoleName};
use crate::message::{Message, RequestVote, RequestVoteReply};
use crate::planted::planted;
use crate::quorum::majority;
use crate::state::{Raft, Role, Sender};
use crate::types::{EntryId, Incarnation, NodeId, Session, Term};

/// A vote, or a pre-vote, that was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Vote {
    pub(crate) voter: NodeId,
    pub(crate) incarnation: Incarnation,
    /// It counts only where every voter gives one.
    pub(crate) suspect: bool,
}

impl Raft {
    /// Candidates (§5.2): increment the term, vote for oneself, reset the timer, ask all others.
    ///
    /// The vote for oneself is decided here and counts once it is durable, like anybody's.
    pub(crate) fn start_election(&mut self, told_by_leader: bool) {
        self.handed_over = told_by_leader;
        self.counts.elections_handed_over += u64::from(told_by_leader);
        let session = Session(self.rng.next_u64());
        self.change_role(self.current_term.next(), Role::Candidate { session, votes: Vec::new() });
        (self.voted_for, self.voted_incarnation) = (Some(self.config.id), Some(self.config.incarnation));
        self.observe_vote(self.config.id);
        self.reset_election_timer();
        for voter in self.other_voters() {
            let args = RequestVote { last_log: self.log.last(), told_by_leader };
            self.send(voter, session, Message::RequestVote(args));
        }
    }

    /// Whether this server votes for a candidate of `term`, or would if there were one.
    pub(crate) fn would_vote(&self, candidate: Sender, term: Term, last_log: EntryId) -> bool {
        // 1. A candidate of the past gets no vote (§5.1).
        // 2. One vote a term, first come first served (§5.2), and only for a log that is at least as
        //    up-to-date as this one (§5.4.1).
        let given_to = if term > self.current_term { None } else { self.voted_for };
        let same = self.voted_incarnation.is_none_or(|life| life == candidate.incarnation);
        let vote_is_free = given_to.is_none_or(|given_to| given_to == candidate.id && same);
        let up_to_date = last_log >= self.log.last() || planted!(self, VoteWithoutLogCheck);
        term >= self.current_term && vote_is_free && up_to_date && self.may_vote()
    }

    /// Whether this server may vote. One whose disk was wiped may have voted already and not know it, one with damaged
    /// entries is to have them first, and the votes of a learner are for the candidate to count or not (thesis 4.1).
    fn may_vote(&self) -> bool {
        let learns = planted!(self, LearnersRefuseVotes) && !self.own_votes().any();
        let damaged = self.lacks_entries() && !planted!(self, DamagedServerVotes);
        (!self.is_wiped() || planted!(self, AnyLifeCounts)) && !damaged && !learns
    }

    /// Whether the group has another life of this server's data directory in mind.
    pub(crate) fn is_wiped(&self) -> bool {
        self.is_another(self.config.id, self.config.incarnation)
    }

    /// Receiver implementation.
    pub(crate) fn handle_request_vote(
        &mut self,
        candidate: Sender,
        term: Term,
        args: &RequestVote,
    ) -> RequestVoteReply {
        let vote_granted = self.would_vote(candidate, term, args.last_log);
        if vote_granted {
            if self.voted_for.is_none() {
                (self.voted_for, self.voted_incarnation) = (Some(candidate.id), Some(candidate.incarnation));
                self.observe_vote(candidate.id);
            }
            if self.role() == RoleName::PreCandidate {
                // Somebody was quicker.
                self.change_role(self.current_term, Role::Follower { leader: None });
            }
            self.reset_election_timer();
        }
        RequestVoteReply { vote_granted, suspect: self.is_suspect() }
    }

    /// The candidate's side: with the votes of a majority it leads (§5.2).
    pub(crate) fn handle_request_vote_reply(
        &mut self,
        voter: Sender,
        session: Session,
        reply: &RequestVoteReply,
    ) {
        match &self.role {
            Role::Candidate { session: own, .. }
                if (*own == session || planted!(self, ReplyOfOldTerm)) && reply.vote_granted =>
            {
                self.count_vote(voter, reply.suspect);
            }
            Role::Leader { .. } if reply.vote_granted && planted!(self, LeaderTwice) => self.become_leader(),
            Role::Candidate { .. }
            | Role::PreCandidate { .. }
            | Role::Follower { .. }
            | Role::Leader { .. } => {}
        }
    }

    /// The disk has the server's own vote.
    pub(crate) fn count_own_vote(&mut self) {
        if self.role() == RoleName::Candidate && self.disk.durable().hard_state == self.hard_state() {
            self.count_vote(self.me(), self.is_suspect());
        }
    }

    /// This server, as others hear of it.
    pub(crate) const fn me(&self) -> Sender {
        Sender { id: self.config.id, incarnation: self.config.incarnation }
    }

    /// Each voter counts once. Whoever would win starts an election; whoever wins leads.
    pub(crate) fn count_vote(&mut self, voter: Sender, suspect: bool) {
        let Sender { id: voter, incarnation } = voter;
        let is_voter = self.in_force().votes(voter, Some(incarnation)).any() || planted!(self, AnyLifeCounts);
        let (Role::PreCandidate { votes, .. } | Role::Candidate { votes, .. }) = &mut self.role else {
            return;
        };
        let place =
            match votes.binary_search_by_key(&(voter, incarnation), |vote| (vote.voter, vote.incarnation)) {
                Err(place) => place,
                Ok(place) if planted!(self, VoteCountedTwice) => place,
                Ok(_) => return,
            };
        if !is_voter {
            return;
        }
        votes.insert(place, Vote { voter, incarnation, suspect });
        let wins = self.wins();
        let term = self.current_term;
        if self.role() == RoleName::PreCandidate {
            self.observe(|| Event::PreVoteCounted { term: term.next(), voter });
            if wins && self.may_campaign() {
                self.start_election(false);
            }
        } else {
            self.observe(|| Event::VoteCounted { term, voter });
            if wins {
                self.become_leader();
            }
        }
    }

    /// Whether the votes are those of a majority; in joint consensus of both the old voters and the new ones (§6).
    /// Those of servers that may have lost what they acknowledged count where all have voted: an entry that any voter
    /// still has is then in the winner's log.
    fn wins(&self) -> bool {
        let (Role::PreCandidate { votes, .. } | Role::Candidate { votes, .. }) = &self.role else {
            return false;
        };
        let electorates = if planted!(self, JointCountsOldOnly) { 1 } else { 2 };
        let is = |voter: &Member, vote: &Vote| {
            voter.is(vote.voter, vote.incarnation)
                || (planted!(self, AnyLifeCounts) && voter.id == vote.voter)
        };
        let votes_count = planted!(self, VoteCountedTwice) || planted!(self, AnyLifeCounts);
        let of = |voters: &[Member], counts: &dyn Fn(&Vote) -> bool| {
            if votes_count {
                let is_voters = |vote: &&Vote| counts(vote) && voters.iter().any(|voter| is(voter, vote));
                return votes.iter().filter(is_voters).count();
            }
            // Voters are counted, and not votes: one that is bound to no life may have voted in two.
            let votes_for_it = |voter: &&Member| votes.iter().any(|vote| counts(vote) && is(voter, vote));
            voters.iter().filter(votes_for_it).count()
        };
        let certain = |vote: &Vote| !vote.suspect || planted!(self, SuspectVotesCount);
        let mut all = self.in_force().electorates().take(electorates);
        all.clone().all(|voters| of(voters, &certain) >= majority(voters.len()))
            || all.all(|voters| of(voters, &|_| true) >= voters.len())
    }

    fn observe_vote(&mut self, candidate: NodeId) {
        let term = self.current_term;
        self.observe(|| Event::Voted { term, candidate });
    }
}
