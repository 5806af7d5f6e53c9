//! When a leader gives way by itself, and when nobody may depose it: check-quorum (thesis 6.2) and its other
//! half, the stickiness of leaders (thesis 4.2.3). And what a disk that hangs means for both.

use crate::event::{Event, StepDownReason};
use crate::planted::planted;
use crate::state::{Raft, Role};
use crate::types::{NodeId, Time};

/// A leader that its followers follow; when it was heard last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) leader: NodeId,
    pub(crate) at: Time,
}

impl Raft {
    /// Whether a leader was heard within the minimum election timeout; one that leads hears itself. Then
    /// votes and pre-votes are not heard, and their terms are not adopted (thesis 4.2.3). With leases (thesis
    /// 6.4.1) a leader relies on it, so neither a new term nor a restart makes a server forget.
    pub(crate) fn hears_leader(&self) -> bool {
        let lately = |at| self.now.since(at) < self.config.election_timeout.0;
        let promised = self.config.read_lease_ppm.is_some() && !planted!(self, PromiseForgotten);
        let heard = match &self.role {
            Role::Follower { leader: Some(heard) } => lately(heard.at),
            Role::Leader { .. } => true,
            Role::Follower { leader: None } | Role::PreCandidate { .. } | Role::Candidate { .. } => {
                promised && lately(self.followed)
            }
        };
        heard && self.config.check_quorum && !planted!(self, VotesDisturbLeaders)
    }

    /// Whether this server may ask for votes. One whose disk hangs could not give its own, one that has lost entries
    /// could not send them, and one that was removed would only be refused. One that its log says was removed may
    /// still be needed until that is committed, as the only one with an entry that the others have to get (thesis 4.2.2).
    pub(crate) fn may_campaign(&self) -> bool {
        self.may_be_needed() && self.removed().is_none() && !self.disk_hangs() && !self.lacks_entries()
    }

    /// When a leader gives way, unless it hears of a follower or of its disk before, and why.
    ///
    /// An election timeout without a majority is enough (thesis 6.2): the others may have another leader by
    /// then. So is a disk that hangs, though others might make its entries durable without it: commands must
    /// not depend on a disk that may be broken. So are damaged entries that no other server has sent by then.
    pub(crate) fn steps_down_at(&self) -> Option<(Time, StepDownReason)> {
        let Role::Leader { progress, .. } = &self.role else { return None };
        let quorum = (self.config.check_quorum && !planted!(self, QuorumNotChecked)).then(|| {
            let heard = self.reached_by_majority(progress, |peer| peer.heard, self.now);
            (heard.after(self.config.election_timeout.1), StepDownReason::NoMajority)
        });
        let disk = self.disk_hangs_at().filter(|_| !planted!(self, HungDiskLeads));
        let disk = disk.map(|at| (at, StepDownReason::DiskHangs));
        let damage = self.repairs.damaged_since();
        let damage =
            damage.map(|since| (since.after(self.config.election_timeout.1), StepDownReason::LogDamaged));
        quorum.into_iter().chain(disk).chain(damage).min()
    }

    /// A leader that has lost a majority, or entries of its log, or whose disk hangs, gives way.
    pub(crate) fn step_down(&mut self) {
        let Role::Leader { sits_until, .. } = &self.role else { return };
        if self.now < *sits_until && !self.disk_hangs() {
            return;
        }
        let Some((at, reason)) = self.steps_down_at() else { return };
        if let Role::Leader { sits_until, .. } = &mut self.role {
            *sits_until = at;
        }
        if self.now >= at {
            if reason == StepDownReason::LogDamaged {
                // Whoever has caught up can lead, and send what is missing here.
                self.name_heir();
            }
            self.give_way(reason);
        }
    }

    /// The only place where a leader gives way without having heard of a higher term.
    pub(crate) fn give_way(&mut self, reason: StepDownReason) {
        let term = self.current_term;
        self.counts.gave_way(reason);
        self.observe(|| Event::SteppedDown { term, reason });
        self.change_role(term, Role::Follower { leader: None });
    }

    /// Whether no vote could be given, as it would not get to the disk.
    pub(crate) fn disk_hangs(&self) -> bool {
        self.disk_hangs_at().is_some_and(|at| self.now >= at)
    }

    /// When the oldest write that is not confirmed has taken longer than a disk may.
    fn disk_hangs_at(&self) -> Option<Time> {
        self.disk.oldest_given().map(|given| given.after(self.config.disk_patience))
    }
}
