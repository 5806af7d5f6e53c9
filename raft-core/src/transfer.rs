//! Leadership transfer (thesis 3.10): a leader lets another server be elected before anybody's timeout elapses.

use crate::event::Event;
use crate::input::TransferError;
use crate::message::Message;
use crate::planted::planted;
use crate::progress::Progress;
use crate::state::{Health, Raft, Role};
use crate::types::{NodeId, Time};

/// A transfer that is under way. It lives with the leader's reign.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Transfer {
    /// Who is to lead.
    pub(crate) to: NodeId,
    /// When the leader goes on as before.
    pub(crate) until: Time,
    /// Whether the target has been told since the last heartbeat.
    pub(crate) told: bool,
}

impl Raft {
    /// Hands leadership over. The target is caught up, and as soon as it has the whole log it is told to
    /// start an election; no commands are taken meanwhile. How it ends is an [`Event::TransferEnded`], and
    /// shows in [`Raft::transferring`] and [`Raft::leader`]: after an election timeout in which no other
    /// server has been elected this one goes on leading as before. Asking again for the same target changes
    /// nothing.
    ///
    /// # Errors
    ///
    /// Nothing was begun.
    pub fn transfer_leadership(&mut self, to: NodeId) -> Result<(), TransferError> {
        let leader = self.leader();
        let is_voter = self.configurations.latest().configuration.votes(to, None).any();
        let until = self.now.after(self.config.election_timeout.1);
        let (transfer, lease) = match &mut self.role {
            Role::Leader { transfer, lease, .. } if self.health == Health::Sound => (transfer, lease),
            Role::Leader { .. } => return Err(TransferError::NotLeader { leader: None }),
            Role::Follower { .. } | Role::PreCandidate { .. } | Role::Candidate { .. } => {
                return Err(TransferError::NotLeader { leader });
            }
        };
        if to == self.config.id {
            return Err(TransferError::ToItself);
        }
        if !is_voter {
            return Err(TransferError::NotVoter);
        }
        match transfer {
            Some(under_way) if under_way.to == to => Ok(()),
            Some(under_way) => Err(TransferError::UnderWay { to: under_way.to }),
            None => {
                *transfer = Some(Transfer { to, until, told: false });
                lease.given_up = true;
                self.observe(|| Event::TransferStarted { to });
                Ok(())
            }
        }
    }

    /// To whom this leader is handing over leadership, if it is.
    pub fn transferring(&self) -> Option<NodeId> {
        self.transfer().map(|transfer| transfer.to)
    }

    pub(crate) const fn transfer(&self) -> Option<&Transfer> {
        if let Role::Leader { transfer, .. } = &self.role { transfer.as_ref() } else { None }
    }

    /// Leaders: whoever is to lead and has the whole log is told so, and once more with each heartbeat, as
    /// that may be lost. Late or repeated it harms nobody once another leads: the term in it is one of the past then. Where the
    /// transfer was given up and this leader leads on, the target still stands for election: there may be another leader, or
    /// none for an election timeout.
    pub(crate) fn hand_over(&mut self) {
        let last = self.log.last().index;
        let Role::Leader { progress, transfer: under_way, .. } = &mut self.role else { return };
        let Some(transfer) = under_way else { return };
        let to = transfer.to;
        if self.now >= transfer.until {
            *under_way = None;
            self.observe(|| Event::TransferEnded { to, leads: true });
            return;
        }
        let has_all = |peer: &&Progress| peer.follower == to && peer.match_index == last;
        if let Some(peer) = progress.iter().find(has_all)
            && !transfer.told
        {
            transfer.told = true;
            let session = peer.session;
            self.send(to, session, Message::TimeoutNow);
            self.observe(|| Event::TimeoutNowSent { to });
        }
    }

    /// A leader that gives way tells a voter that has its whole log, if there is one, to stand for election at once.
    pub(crate) fn name_heir(&mut self) {
        let (last, until) = (self.log.last().index, self.now.after(self.config.election_timeout.1));
        if let Role::Leader { progress, transfer: transfer @ None, .. } = &mut self.role {
            let heir = progress.iter().find(|peer| peer.votes.old && peer.match_index == last);
            if let Some(to) = heir.map(|peer| peer.follower) {
                *transfer = Some(Transfer { to, until, told: false });
                self.observe(|| Event::TransferStarted { to });
            }
        }
        self.hand_over();
    }

    /// The target's side: it does not ask whether it would win, and its votes pass where a leader is heard.
    pub(crate) fn handle_timeout_now(&mut self) {
        if self.may_campaign() && !matches!(self.role, Role::Leader { .. }) {
            self.start_election(!planted!(self, TransferVoteNotMarked));
        }
    }
}
