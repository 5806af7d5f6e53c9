//! What the state machine is given: committed entries, and the snapshot that it is to become.

use crate::entries::Entries;
use crate::event::Event;
use crate::log::Found;
use crate::planted::planted;
use crate::snapshot::{Load, Snapshot};
use crate::state::Raft;

/// At most this many bytes of payload are handed out to be applied at once; a no-op counts as one byte.
const APPLY_BYTES_MAX: usize = 256 * 1024;

impl Raft {
    /// All servers: if commitIndex > lastApplied, apply (§5.3). One batch at a time.
    pub(crate) fn take_committed(&mut self) -> Entries {
        let durable = self.disk.durable().last.index;
        let limit = if self.config.durable_state_machine && !planted!(self, AppliedBeforeDurable) {
            self.commit_index.min(durable)
        } else {
            self.commit_index
        };
        if self.applying || self.snapshots.restore || self.last_applied >= limit {
            return Entries::default();
        }
        let (from, bytes_max) = (self.last_applied.next(), APPLY_BYTES_MAX);
        let limit = self.repairs.sound_to(from, limit, &self.log);
        if limit < from {
            return Entries::default();
        }
        let entries = match self.log.entries(from, limit, bytes_max) {
            Found::Here(entries) => entries,
            Found::OnDisk { to } => {
                self.loads.ask(Load::Entries { from, to, bytes_max });
                return Entries::default();
            }
        };
        self.applying = true;
        let last = entries.last().map_or(self.last_applied, |entry| entry.id.index);
        let skips = planted!(self, PagesSkipped) && entries.payload_bytes() > bytes_max / 2;
        self.last_applied = if skips { limit } else { last };
        let to = self.last_applied;
        self.observe(|| Event::Applying { to });
        entries
    }

    /// §7: the state machine becomes what a snapshot says, once no crash can take the snapshot away.
    pub(crate) fn take_restore(&mut self) -> Option<Snapshot> {
        let written = !self.snapshots.has_ungiven() && self.disk.has_whole_snapshot();
        if self.applying || !self.snapshots.restore || !written {
            return None;
        }
        let durable = self.disk.durable().last.index;
        let whole = self.snapshots.whole().filter(|whole| whole.index() <= durable)?.clone();
        self.applying = true;
        self.snapshots.restore = false;
        self.last_applied = whole.index();
        self.observe(|| Event::Restoring { snapshot: whole.id });
        Some(whole)
    }
}
