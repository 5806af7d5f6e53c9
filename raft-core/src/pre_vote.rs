//! Pre-vote (thesis 9.6): a server starts an election only if it has heard that it would win one. So one
//! that was cut off comes back without a higher term, and disturbs nobody.

use crate::event::Event;
use crate::message::{Message, PreVote, PreVoteReply};
use crate::planted::planted;
use crate::state::{Raft, Role, Sender};
use crate::types::{Session, Term};

impl Raft {
    /// Followers and candidates: the election timeout elapsed. Term and vote stay what they are.
    pub(crate) fn start_pre_vote(&mut self) {
        let session = Session(self.rng.next_u64());
        self.change_role(self.current_term, Role::PreCandidate { session, votes: Vec::new() });
        self.reset_election_timer();
        for voter in self.other_voters() {
            let args = PreVote { last_log: self.log.last() };
            self.send_under(self.current_term.next(), voter, session, Message::PreVote(args));
        }
        self.count_vote(self.me(), self.is_suspect());
    }

    /// Receiver implementation. Changes neither term, vote nor timer, and nothing of it is kept.
    pub(crate) fn handle_pre_vote(
        &mut self,
        asker: Sender,
        proposed: Term,
        session: Session,
        args: &PreVote,
    ) {
        let vote_granted = self.would_vote(asker, proposed, args.last_log) && !self.disk_hangs();
        let asker = asker.id;
        let term =
            if vote_granted && !planted!(self, PreVoteKeepsLowerTerm) { proposed } else { self.current_term };
        if vote_granted {
            self.observe(|| Event::PreVoteGranted { term, candidate: asker });
        }
        self.send_under(
            term,
            asker,
            session,
            Message::PreVoteReply(PreVoteReply { vote_granted, suspect: self.is_suspect() }),
        );
    }

    /// The asker's side: with the grants of a majority it starts an election.
    pub(crate) fn handle_pre_vote_reply(&mut self, voter: Sender, session: Session, reply: &PreVoteReply) {
        if let Role::PreCandidate { session: own, .. } = &self.role
            && *own == session
            && reply.vote_granted
        {
            self.count_vote(voter, reply.suspect);
        }
    }
}
