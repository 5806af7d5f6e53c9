//! What is known of one server.

use crate::configuration::Configured;
use crate::types::{EntryId, LogIndex, Term};

/// One server, in one life of its data directory.
#[derive(Clone, Debug, Default)]
pub(super) struct Server {
    pub(super) term: Term,
    pub(super) durable_term: Term,
    pub(super) leads: bool,
    /// What lies before the log: as many entries as this, and they are committed.
    pub(super) base: LogIndex,
    pub(super) log: Vec<Seen>,
    /// Those in its log, and the last before it, if there is one; the first of the group is not among them.
    pub(super) configurations: Vec<Configured>,
    pub(super) durable: LogIndex,
    pub(super) commit: LogIndex,
    pub(super) applied: LogIndex,
}

/// An entry, with the hash of it and all before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) id: EntryId,
    pub(super) past: u64,
}

impl Server {
    /// Another configuration is in force: a new one, or an earlier one again.
    pub(super) fn configure(&mut self, configured: Configured) {
        self.configurations.retain(|earlier| earlier.at.index < configured.at.index);
        if configured.at > EntryId::ZERO {
            self.configurations.push(configured);
        }
    }

    /// How many entries of the log are at or before `index`.
    pub(super) fn upto(&self, index: LogIndex) -> usize {
        usize::try_from(index.get().saturating_sub(self.base.get())).unwrap_or(usize::MAX).min(self.log.len())
    }
}
