//! Leases (thesis 6.4.1): a leader that a majority has acknowledged knows for a while that it leads, and answers
//! reads without asking anybody. Off unless [`Config::read_lease_ppm`](crate::Config::read_lease_ppm) is set.
//!
//! Whoever acknowledges a leader promises to vote for nobody before the shortest election timeout has passed on
//! its clock, and is held to that through a restart and into a higher term, where others forget their leader. The
//! lease is counted on the leader's clock from when it sent the round, and is shorter by the most that the two
//! clocks may differ in rate: it ends before the first promise does. What it does not survive:
//!
//! - A clock that stops or leaps, as on a machine that is suspended, or that runs at a rate beyond what is stated.
//! - A server with a shorter election timeout, without check-quorum or without leases: all take the same.
//! - A driver that reads its clock before an input has come in, and tells [`Raft::step`] of that time.

use std::time::Duration;

use crate::planted::planted;
use crate::state::{Raft, Role};
use crate::types::Time;

/// What a leader holds during its reign.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lease {
    /// When the last round was begun that a majority has acknowledged.
    from: Option<Time>,
    /// Whether it was used since the last heartbeat: then it is worth another round.
    used: bool,
    /// Whether a round is to be begun though no read waits.
    pub(crate) renew: bool,
    /// Whether leadership was to be handed over: whoever is told to stand for election is voted for, whatever
    /// was promised, and a TimeoutNow may get there late. Then there are no more leases in this reign.
    pub(crate) given_up: bool,
}

impl Lease {
    /// A majority has acknowledged a round that was begun at `sent`.
    pub(crate) const fn acknowledged(&mut self, sent: Time) {
        self.from = Some(sent);
    }

    /// A heartbeat is due. Whoever reads gets a new lease before the old one ends; an idle leader asks nobody.
    pub(crate) const fn heartbeat(&mut self) {
        self.renew = self.used;
        self.used = false;
    }
}

impl Raft {
    /// Whether this leader knows that no other has been elected by now: a time that was told with the reads that
    /// wait or after them, so that their answers have all that was committed when they came in.
    pub(crate) fn holds_lease(&mut self) -> bool {
        let (now, length) = (self.now, self.lease_length());
        let through_transfer = planted!(self, LeaseThroughTransfer);
        let Role::Leader { lease, .. } = &mut self.role else { return false };
        let (Some(from), Some(length)) = (lease.from, length) else { return false };
        let holds = now.since(from) < length && (!lease.given_up || through_transfer);
        lease.used |= holds;
        holds
    }

    /// The shortest election timeout on a clock that is as slow as may be, as one that is as fast counts it.
    fn lease_length(&self) -> Option<Duration> {
        let stated = self.config.read_lease_ppm?;
        let ppm = if planted!(self, LeaseNotShortened) { 0 } else { stated };
        let (shortest, million) = (self.config.election_timeout.0.as_nanos(), 1_000_000);
        let nanos = shortest * million / (million + u128::from(ppm));
        Some(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }
}
