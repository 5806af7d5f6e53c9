//! Reads without an entry in the log (thesis 6.4): a server answers one only when its leader is known to have
//! led after the read came in, and from a state that has all that was committed by then.
//!
//! | at a | a round is | and is over with |
//! | --- | --- | --- |
//! | leader | [`Confirm`], to all others | the acknowledgements of a majority, itself included |
//! | follower | [`Message::ReadIndex`], to its leader | its answer, for which the leader has had a round |
//!
//! Whatever waits shares a round. What comes in while one is under way waits for the next: only what was sent
//! after a read came in says anything about it. So a round has a number, and a question a session, and late or
//! repeated answers are known by them; neither is used twice.

use std::mem;

use crate::event::Event;
use crate::message::{Confirm, ConfirmReply, Message, ReadIndexReply};
use crate::planted::planted;
use crate::progress::Progress;
use crate::reads::{Asker, UnderWay};
use crate::rules::NUMBER_MAX;
use crate::state::{Raft, Role, Sender};
use crate::types::{EntryId, NodeId, ReadId, Session, Term};

impl Raft {
    /// A client wants to read. It cannot where nobody could confirm that.
    pub(crate) fn read(&mut self, id: ReadId) {
        if self.leader().is_some() {
            self.reads.wait(Asker::Here(id));
        } else {
            self.reads.refuse(id, None);
        }
    }

    /// Reads that wait get a round as soon as none is under way.
    pub(crate) fn serve_reads(&mut self) {
        match self.role {
            Role::Leader { lease, .. } if self.reads.are_idle() && !lease.renew => {}
            Role::Follower { leader: Some(_) } if self.reads.are_idle() => {}
            Role::Leader { .. } => {
                self.end_round();
                self.serve_by_lease();
                self.begin_round();
                // A majority of one needs nobody.
                self.end_round();
            }
            Role::Follower { leader: Some(heard) } => self.ask(heard.leader),
            Role::Follower { leader: None } | Role::PreCandidate { .. } | Role::Candidate { .. } => {}
        }
    }

    /// Leaders. Steps 1 to 3: "If the leader has not yet marked an entry from its current term committed, it waits
    /// until it has done so." It "saves its current commit index in a local variable readIndex", and "issues a new
    /// round of heartbeats".
    fn begin_round(&mut self) {
        let Role::Leader { lease, .. } = &mut self.role else { return };
        let wanted = mem::take(&mut lease.renew) || self.reads.are_waiting();
        if self.reads.under_way.is_some() || !wanted {
            return;
        }
        if let Some(read_index) = self.read_index() {
            self.reads.begin_round(UnderWay::Confirming { read_index, since: self.now });
            self.send_round();
        }
    }

    /// Leaders: with a lease nobody has to be asked (thesis 6.4.1).
    fn serve_by_lease(&mut self) {
        if self.reads.are_waiting()
            && let Some(read_index) = self.read_index()
            && self.holds_lease()
        {
            let askers = self.reads.take_waiting();
            self.confirm(askers, read_index, true);
        }
    }

    /// Leaders: what is committed, if that is of this term. Before, others may know of more.
    fn read_index(&self) -> Option<EntryId> {
        let committed = self.log.id_at(self.commit_index)?;
        let of_this_term = committed.term == self.current_term || planted!(self, ReadBeforeCommitInTerm);
        let not_checked = planted!(self, ReadIndexNotChecked);
        let index = if not_checked { self.log.id_at(self.last_applied)? } else { committed };
        of_this_term.then_some(index)
    }

    /// Leaders: the round under way goes to whoever has not acknowledged it; once more with each heartbeat.
    pub(crate) fn send_round(&mut self) {
        let round = self.reads.round;
        let Role::Leader { progress, .. } = &self.role else { return };
        if self.reads.under_way.is_none() {
            return;
        }
        for peer in progress.iter().filter(|peer| peer.confirmed < round) {
            let message = Message::Confirm(Confirm { round });
            self.outbox.push(self.config.envelope(peer.follower, self.current_term, peer.session, message));
        }
    }

    /// Leaders: with the acknowledgements of a majority nobody can have been elected, and committed anything,
    /// before the round began.
    fn end_round(&mut self) {
        let Role::Leader { progress, .. } = &self.role else { return };
        let Some(UnderWay::Confirming { read_index, since }) = self.reads.under_way else { return };
        let round = self.reads.round;
        let confirmed = self.reached_by_majority(progress, |peer| peer.confirmed, round) >= round;
        if confirmed || planted!(self, ReadNotConfirmed) {
            if let Role::Leader { lease, .. } = &mut self.role {
                lease.acknowledged(since);
            }
            let askers = self.reads.end_round();
            self.confirm(askers, read_index, false);
        }
    }

    /// What was committed when these reads came in is at or before `read_index`.
    fn confirm(&mut self, askers: Vec<Asker>, read_index: EntryId, by_lease: bool) {
        if !askers.is_empty() {
            self.observe(|| Event::ReadsConfirmed { read_index: read_index.index, by_lease });
        }
        for asker in askers {
            match asker {
                Asker::Here(id) => self.reads.confirm(id, read_index.index),
                Asker::Follower(follower, session) => {
                    let reply = ReadIndexReply { read_index: Some(read_index) };
                    self.send(follower, session, Message::ReadIndexReply(reply));
                }
            }
        }
    }

    /// Receiver implementation of a leader's round: like a heartbeat that brings nothing.
    pub(crate) fn handle_confirm(&mut self, leader: NodeId, term: Term, session: Session, args: &Confirm) {
        // A leader of the past is told so (§5.1).
        if term < self.current_term || self.follow(leader).is_some() {
            let reply = ConfirmReply { round: args.round };
            self.send(leader, session, Message::ConfirmReply(reply));
        }
    }

    /// The leader's side.
    pub(crate) fn handle_confirm_reply(&mut self, follower: Sender, session: Session, reply: &ConfirmReply) {
        let last = self.reads.round;
        let round = if planted!(self, ReadConfirmedByLateReply) { last } else { reply.round };
        // Nobody can acknowledge what has not been asked.
        if let Some(peer) = self.hear(follower, session)
            && round <= last
        {
            peer.confirmed = peer.confirmed.max(round);
        }
    }

    /// Followers: what waits becomes a question to the leader. It is asked again after a heartbeat without an
    /// answer, and given up after an election timeout: a leader that is heard and does not answer does not hear.
    fn ask(&mut self, leader: NodeId) {
        if let Some(UnderWay::Asking { since, .. }) = self.reads.under_way
            && self.now.since(since) >= self.config.election_timeout.1
        {
            let askers = self.reads.end_round();
            self.refuse(askers, Some(leader));
        }
        let waits = self.reads.are_waiting();
        let session = match &mut self.reads.under_way {
            Some(UnderWay::Asking { session, sent, .. })
                if self.now.since(*sent) >= self.config.heartbeat =>
            {
                *sent = self.now;
                *session
            }
            None if waits => {
                let drawn = Session(self.rng.next_u64());
                let session = if planted!(self, ReadSessionReused) { Session(0) } else { drawn };
                self.reads.begin_round(UnderWay::Asking { session, since: self.now, sent: self.now });
                session
            }
            Some(_) | None => return,
        };
        self.send(leader, session, Message::ReadIndex);
    }

    /// A follower's question. Only a leader can answer it, and only a member's waits: there are no more of them than
    /// there are members.
    pub(crate) fn handle_read_index(&mut self, follower: NodeId, session: Session) {
        let is_member = |peer: &Progress| peer.follower == follower;
        if let Role::Leader { progress, .. } = &self.role
            && progress.iter().any(is_member)
        {
            self.reads.wait(Asker::Follower(follower, session));
        } else {
            let reply = ReadIndexReply { read_index: None };
            self.send(follower, session, Message::ReadIndexReply(reply));
        }
    }

    /// The follower's side. What the leader has committed is committed here if the log has it, as then the two
    /// logs agree up to there (§5.3).
    pub(crate) fn handle_read_index_reply(&mut self, session: Session, reply: &ReadIndexReply) {
        match self.reads.under_way {
            Some(UnderWay::Asking { session: asked, .. }) if asked == session => {}
            Some(_) | None => return,
        }
        let askers = self.reads.end_round();
        let Some(read_index) = reply.read_index else {
            self.refuse(askers, None);
            return;
        };
        if self.log.contains(read_index) {
            self.commit_to(read_index.index);
        }
        for asker in askers {
            if let Asker::Here(id) = asker {
                self.reads.confirm(id, read_index.index);
            }
        }
    }

    /// Whoever was to confirm what waits here does not any more. Followers that have asked ask again.
    pub(crate) fn refuse_reads(&mut self) {
        let (askers, leader) = (self.reads.take_waiting(), self.leader());
        self.reads.under_way = None;
        self.refuse(askers, leader);
    }

    /// Nobody sends this server anything: what it does not know to be committed may never come.
    pub(crate) fn refuse_reads_beyond_commit(&mut self) {
        let leader = self.leader();
        for id in self.reads.take_beyond(self.commit_index) {
            self.reads.refuse(id, leader);
        }
    }

    fn refuse(&mut self, askers: Vec<Asker>, leader: Option<NodeId>) {
        for asker in askers {
            if let Asker::Here(id) = asker {
                self.reads.refuse(id, leader);
            }
        }
    }
}

/// Whether the answer could come from any leader of `term`.
pub(crate) fn is_well_formed(term: Term, reply: &ReadIndexReply) -> bool {
    reply.read_index.is_none_or(|id| id.term <= term && id.index.get() <= NUMBER_MAX)
}
