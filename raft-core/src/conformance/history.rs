//! What leaders have made. Every entry is made once, by the leader of its term, behind all that the leader has.
//! So all logs are paths of one tree, and whoever knows the last entry of a log knows the log.

use std::collections::BTreeMap;

use crate::configuration::Configuration;
use crate::types::{EntryId, LogIndex, NodeId, Term};

/// The tree: of each term that had a leader, what that has made; and the values in it.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    reigns: BTreeMap<Term, Reign>,
    checksums: BTreeMap<EntryId, u32>,
    /// How far the logs of servers were compacted, at most: a snapshot stands for that.
    pub(super) compacted: LogIndex,
    /// The entries with a configuration, by index and term.
    configurations: BTreeMap<(LogIndex, Term), Configuration>,
}

/// What the leader of a term has made, and committed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reign {
    pub(super) leader: NodeId,
    /// The end of its log when it was elected.
    pub(super) elected_with: EntryId,
    /// The end of its log now, or when it led last.
    pub(super) log: EntryId,
    pub(super) commit_index: LogIndex,
}

impl History {
    pub(super) fn begin(&mut self, term: Term, reign: Reign) {
        self.reigns.insert(term, reign);
    }

    pub(super) fn reign(&self, term: Term) -> Option<&Reign> {
        self.reigns.get(&term)
    }

    /// A leader appends an entry of its term.
    pub(super) fn make(&mut self, id: EntryId, checksum: u32) {
        if let Some(reign) = self.reigns.get_mut(&id.term) {
            reign.log = id;
        }
        self.checksums.insert(id, checksum);
    }

    /// The entry that a leader has made has this configuration.
    pub(super) fn configure(&mut self, id: EntryId, configuration: Configuration) {
        self.configurations.insert((id.index, id.term), configuration);
    }

    /// Whether an entry is known to have a configuration.
    pub(super) fn configures(&self, id: EntryId) -> bool {
        self.configurations.contains_key(&(id.index, id.term))
    }

    /// The last configuration in the log that ends with `log`, and its entry.
    pub(super) fn configuration_of(&self, log: EntryId) -> Option<(EntryId, &Configuration)> {
        let up_to = self.configurations.range(..=(log.index, Term::new(u64::MAX))).rev();
        up_to
            .map(|(&(index, term), configuration)| (EntryId { term, index }, configuration))
            .find(|&(id, _)| self.contains(log, id))
    }

    /// A leader has committed this far.
    pub(super) fn commit(&mut self, term: Term, index: LogIndex) {
        if let Some(reign) = self.reigns.get_mut(&term) {
            reign.commit_index = index;
        }
    }

    /// Whether a leader has committed this entry.
    pub(super) fn is_committed(&self, id: EntryId) -> bool {
        let mut reigns = self.reigns.range(id.term..).map(|(_, reign)| reign);
        reigns.any(|reign| id.index <= reign.commit_index && self.contains(reign.log, id))
    }

    /// Whether this entry was made, with this value.
    pub(super) fn is(&self, id: EntryId, checksum: u32) -> bool {
        self.checksums.get(&id) == Some(&checksum)
    }

    /// Whether this entry was made. There is always what lies before the first one.
    pub(super) fn has(&self, id: EntryId) -> bool {
        id == EntryId::ZERO || self.checksums.contains_key(&id)
    }

    /// The entry before one that was made.
    pub(super) fn before(&self, id: EntryId) -> Option<EntryId> {
        let reign = self.reigns.get(&id.term).filter(|_| self.checksums.contains_key(&id))?;
        let index = id.index.prev();
        Some(if index == reign.elected_with.index { reign.elected_with } else { EntryId { index, ..id } })
    }

    /// The entry at `index` of the log that ends with `log`.
    pub(super) fn at(&self, log: EntryId, index: LogIndex) -> Option<EntryId> {
        if index > log.index {
            return None;
        }
        let mut term = log.term;
        while let Some(reign) = self.reigns.get(&term) {
            if index > reign.elected_with.index {
                return Some(EntryId { term, index });
            }
            term = reign.elected_with.term;
        }
        (index == LogIndex::ZERO).then_some(EntryId::ZERO)
    }

    /// Whether the log that ends with `log` has this very entry.
    pub(super) fn contains(&self, log: EntryId, id: EntryId) -> bool {
        self.at(log, id.index) == Some(id)
    }
}
