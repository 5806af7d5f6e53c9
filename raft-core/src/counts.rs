//! What has happened in a server, in numbers: for those who watch many, and want no events.

use crate::event::{RoleName, StepDownReason};
use crate::progress::{Pace, Progress};
use crate::state::{Raft, Role};
use crate::types::{LogIndex, NodeId, Time};

/// How often something has happened since the server was made. Each number only grows, and nothing of them is kept
/// over a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rounds of pre-votes that it started (thesis 9.6).
    pub pre_votes: u64,
    /// Elections that it started (§5.2).
    pub elections: u64,
    /// Those of them that it started because a leader handed over to it (thesis 3.10), and not of impatience.
    pub elections_handed_over: u64,
    /// Elections that it won.
    pub elections_won: u64,
    /// Those of them that a leader had handed over to it.
    pub elections_won_handed_over: u64,
    /// How often it found a leader, itself or another: after it knew of none, or of another one.
    pub leaders_found: u64,
    /// How often it gave way as a leader because it heard from no majority (thesis 6.2).
    pub gave_way_no_majority: u64,
    /// How often it gave way as a leader because its disk hung.
    pub gave_way_disk_hangs: u64,
    /// How often it gave way as a leader because it is no voter any more (thesis 4.2.2).
    pub gave_way_removed: u64,
    /// How often it gave way as a leader because its disk no longer had entries of its log.
    pub gave_way_log_damaged: u64,
    /// Entries that its disk no longer had.
    pub entries_damaged: u64,
    /// Those of them that other servers have sent.
    pub entries_repaired: u64,
    /// Those of them that no server had, and all after them: they were not committed.
    pub entries_dropped: u64,
    /// Entries that it has sent to servers whose disks no longer had them.
    pub entries_lent: u64,
    /// Messages that it dropped unread: of another cluster or group, not for this server, or malformed.
    pub strangers_dropped: u64,
    /// Votes and pre-votes that it did not hear because a leader is there (thesis 4.2.3).
    pub votes_ignored: u64,
    /// What leaders sent that did not join on to its log, or was of an old term.
    pub appends_rejected: u64,
    /// Snapshots of its own state machine (§7).
    pub snapshots_taken: u64,
    /// Snapshots of its own state machine that could not be taken.
    pub snapshots_failed: u64,
    /// Snapshots that it received whole: they stand for all of its log, or for what its disk had lost.
    pub snapshots_installed: u64,
}

impl Counts {
    pub(crate) const fn changed_role(&mut self, to: RoleName, leader: Option<NodeId>) {
        match to {
            RoleName::Follower => {}
            RoleName::PreCandidate => self.pre_votes += 1,
            RoleName::Candidate => self.elections += 1,
            RoleName::Leader => self.elections_won += 1,
        }
        if leader.is_some() {
            self.leaders_found += 1;
        }
    }

    pub(crate) const fn gave_way(&mut self, reason: StepDownReason) {
        match reason {
            StepDownReason::NoMajority => self.gave_way_no_majority += 1,
            StepDownReason::DiskHangs => self.gave_way_disk_hangs += 1,
            StepDownReason::Removed => self.gave_way_removed += 1,
            StepDownReason::LogDamaged => self.gave_way_log_damaged += 1,
        }
    }
}

/// How far a leader has brought a follower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowerProgress {
    /// Which.
    pub follower: NodeId,
    /// The last entry that is known to agree and to be durable there; 0 until it has answered.
    pub match_index: LogIndex,
    /// The next entry to send.
    pub next_index: LogIndex,
    /// How it is sent to.
    pub pace: PaceName,
    /// Messages with entries that it has not answered.
    pub in_flight_messages: usize,
    /// Bytes of entries in them.
    pub in_flight_bytes: usize,
    /// When it was last heard from, or when the leader's reign began.
    pub heard: Time,
}

impl FollowerProgress {
    fn of(known: &Progress) -> Self {
        let &Progress { follower, match_index, next_index, heard, .. } = known;
        let (pace, in_flight) = match &known.pace {
            Pace::Probe { .. } => (PaceName::Probe, (0, 0)),
            Pace::Replicate { in_flight } => {
                (PaceName::Replicate, (in_flight.lasts().len(), in_flight.bytes()))
            }
            Pace::Snapshot { .. } => (PaceName::Snapshot, (0, 0)),
        };
        let (in_flight_messages, in_flight_bytes) = in_flight;
        Self { follower, match_index, next_index, pace, in_flight_messages, in_flight_bytes, heard }
    }
}

/// How a leader sends to a follower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PaceName {
    /// One message at a time: where the logs agree is not known.
    Probe,
    /// Messages follow each other without waiting.
    Replicate,
    /// A snapshot, piece by piece (§7).
    Snapshot,
}

impl Raft {
    /// What has happened in this server since it was made.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// How far each follower is, as this leader knows; nothing unless it leads.
    pub fn followers(&self) -> Vec<FollowerProgress> {
        match &self.role {
            Role::Leader { progress, .. } => progress.iter().map(FollowerProgress::of).collect(),
            Role::Follower { .. } | Role::PreCandidate { .. } | Role::Candidate { .. } => Vec::new(),
        }
    }

    /// When the oldest write was given out that has not been confirmed.
    pub fn oldest_write(&self) -> Option<Time> {
        self.disk.oldest_given()
    }
}
