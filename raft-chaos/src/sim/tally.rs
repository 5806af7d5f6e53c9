//! What is counted over a whole run.

use raft_core::Event;
use raft_core::sessions::Answer;

/// How often things happened that are bounded or asked for as evidence.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) snapshots_taken: u64,
    pub(super) snapshots_installed: u64,
    /// Refusals of AppendEntries.
    pub(super) append_rejections: u64,
    /// Entries with a command that had been applied before.
    pub(super) commands_repeated: u64,
    /// Entries of sessions that had expired.
    pub(super) sessions_expired: u64,
    /// Entries that a disk had lost, and that came from another server.
    pub(super) entries_repaired: u64,
}

impl Tally {
    pub(super) fn count(&mut self, event: &Event) {
        self.snapshots_taken += u64::from(matches!(event, Event::SnapshotTaken { .. }));
        self.snapshots_installed +=
            u64::from(matches!(event, Event::Installed { .. } | Event::SnapshotFills { .. }));
        self.entries_repaired += u64::from(matches!(event, Event::Repaired { .. }));
        self.append_rejections += u64::from(matches!(event, Event::AppendRejected { .. }));
    }

    /// What became of an entry, at the first server to get there.
    pub(super) fn count_answer(&mut self, answer: &Answer) {
        self.commands_repeated += u64::from(matches!(answer, Answer::Repeated(_)));
        self.sessions_expired += u64::from(*answer == Answer::SessionExpired);
    }

    /// What was counted since `earlier`.
    pub(super) const fn since(self, earlier: Self) -> Self {
        Self {
            snapshots_taken: self.snapshots_taken - earlier.snapshots_taken,
            snapshots_installed: self.snapshots_installed - earlier.snapshots_installed,
            append_rejections: self.append_rejections - earlier.append_rejections,
            commands_repeated: self.commands_repeated - earlier.commands_repeated,
            sessions_expired: self.sessions_expired - earlier.sessions_expired,
            entries_repaired: self.entries_repaired - earlier.entries_repaired,
        }
    }
}
