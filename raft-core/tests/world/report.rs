//! What a run did.

use raft_core::{Event, RoleName, StepDownReason};

/// What a run did, so that a test can see that it did something.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    /// The nanoseconds that went by in the world, and what happened in them: what came to a server, from a
    /// message or a write to a deadline.
    pub(crate) simulated: u64,
    pub(crate) events: u64,
    /// The last entry that was committed.
    pub(crate) committed: u64,
    /// Pre-votes that were counted, and leaders that were elected.
    pub(crate) pre_votes: usize,
    pub(crate) elections: usize,
    /// Votes that were not heard, and leaders that gave way as they were alone or their disk hung.
    pub(crate) ignored: usize,
    pub(crate) alone: usize,
    pub(crate) hung: usize,
    /// Transfers of leadership after which the old leader led no longer, or still did.
    pub(crate) handed_over: usize,
    pub(crate) kept: usize,
    /// Changes of membership that were begun or given up, those that took effect in a log for good or not, servers
    /// that knew that they were removed, and wiped disks.
    pub(crate) changes: usize,
    pub(crate) configured: usize,
    pub(crate) removed: usize,
    pub(crate) wipes: usize,
    /// Entries that disks lost, those that came back from others, those that were dropped, ends of logs that were lost
    /// with acknowledged entries in them, and that were trusted again.
    pub(crate) damaged: usize,
    pub(crate) repaired: usize,
    pub(crate) dropped: usize,
    pub(crate) tails_lost: usize,
    pub(crate) tails_trusted: usize,
    pub(crate) filled: usize,
    pub(crate) crashes: usize,
    pub(crate) pauses: usize,
    /// Writes that a crash took with it.
    pub(crate) lost_writes: usize,
    pub(crate) cut: usize,
    pub(crate) lost: usize,
    pub(crate) repeated: usize,
    /// Snapshots taken, pieces of them that arrived, and snapshots installed.
    pub(crate) taken: usize,
    pub(crate) pieces: usize,
    pub(crate) installed: usize,
    /// Requests to read what was no longer in memory.
    pub(crate) loads: usize,
    /// Reads that the leader answered, that another server did, and that nobody did.
    pub(crate) reads: usize,
    pub(crate) follower_reads: usize,
    /// Times that a leader confirmed reads by lease.
    pub(crate) leases: usize,
    pub(crate) refused_reads: usize,
    /// Whether all servers agreed in the end, and all reads were answered or refused.
    pub(crate) recovered: bool,
    /// All servers' fingerprints in the end, one after the other.
    pub(crate) fingerprint: u64,
}

impl std::ops::AddAssign for Report {
    fn add_assign(&mut self, other: Self) {
        self.simulated += other.simulated;
        self.events += other.events;
        self.committed += other.committed;
        self.pre_votes += other.pre_votes;
        self.elections += other.elections;
        self.ignored += other.ignored;
        self.alone += other.alone;
        self.hung += other.hung;
        self.handed_over += other.handed_over;
        self.kept += other.kept;
        self.changes += other.changes;
        self.configured += other.configured;
        self.removed += other.removed;
        self.wipes += other.wipes;
        self.damaged += other.damaged;
        self.repaired += other.repaired;
        self.dropped += other.dropped;
        self.tails_lost += other.tails_lost;
        self.tails_trusted += other.tails_trusted;
        self.filled += other.filled;
        self.crashes += other.crashes;
        self.pauses += other.pauses;
        self.lost_writes += other.lost_writes;
        self.cut += other.cut;
        self.lost += other.lost;
        self.repeated += other.repeated;
        self.taken += other.taken;
        self.pieces += other.pieces;
        self.installed += other.installed;
        self.loads += other.loads;
        self.reads += other.reads;
        self.leases += other.leases;
        self.follower_reads += other.follower_reads;
        self.refused_reads += other.refused_reads;
        self.recovered |= other.recovered;
        self.fingerprint ^= other.fingerprint;
    }
}

impl Report {
    /// Counts what happened.
    pub(super) fn count(&mut self, event: &Event) {
        if let Event::Committed { to, .. } = event {
            self.committed = self.committed.max(to.index.get());
        }
        self.elections += usize::from(matches!(event, Event::Role { to: RoleName::Leader, .. }));
        self.pre_votes += usize::from(matches!(event, Event::PreVoteCounted { .. }));
        let stepped_down = |why| matches!(event, Event::SteppedDown { reason, .. } if *reason == why);
        self.ignored += usize::from(matches!(event, Event::VoteIgnored { .. }));
        self.alone += usize::from(stepped_down(StepDownReason::NoMajority));
        self.hung += usize::from(stepped_down(StepDownReason::DiskHangs));
        self.handed_over += usize::from(matches!(event, Event::TransferEnded { leads: false, .. }));
        self.kept += usize::from(matches!(event, Event::TransferEnded { leads: true, .. }));
        self.leases += usize::from(matches!(event, Event::ReadsConfirmed { by_lease: true, .. }));
        self.configured += usize::from(matches!(event, Event::Configured { .. }));
        self.removed += usize::from(matches!(event, Event::Removed { .. }));
        self.damaged += usize::from(matches!(event, Event::Damaged { .. }));
        self.repaired += usize::from(matches!(event, Event::Repaired { .. }));
        self.dropped += usize::from(matches!(event, Event::Dropped { .. }));
        self.tails_trusted += usize::from(matches!(event, Event::TailTrusted));
        self.filled += usize::from(matches!(event, Event::SnapshotFills { .. }));
        self.taken += usize::from(matches!(event, Event::SnapshotTaken { .. }));
        self.pieces += usize::from(matches!(event, Event::ChunkReceived { .. }));
        self.installed += usize::from(matches!(event, Event::Installed { .. }));
    }
}
