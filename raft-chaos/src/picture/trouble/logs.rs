//! The logs of all nodes side by side, at the moment when the first thing broke.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use raft_core::{Event, NodeId};

use crate::picture::recording::Recording;
use crate::sim::trace::Happening;

/// The logs of all nodes.
#[derive(Clone, Debug, Default)]
pub(in crate::picture) struct Logs {
    pub(in crate::picture) nodes: BTreeMap<u64, Log>,
    /// The indexes that are shown.
    pub(in crate::picture) from: u64,
    pub(in crate::picture) to: u64,
}

/// The log of a node, with what a snapshot stands for now, as long as it was ever in the log.
#[derive(Clone, Debug, Default)]
pub(in crate::picture) struct Log {
    /// All up to here is in a snapshot.
    pub(in crate::picture) base: u64,
    /// By index, the term and what names the content.
    pub(in crate::picture) entries: BTreeMap<u64, (u64, u32)>,
    pub(in crate::picture) durable: u64,
    pub(in crate::picture) committed: u64,
}

impl Logs {
    pub(super) fn at_first_break(recording: &Recording) -> Self {
        let mut logs = Self::default();
        for (_, happening) in recording.happenings() {
            match happening {
                Happening::Broken { .. } => break,
                Happening::Node { node, event } => logs.of(*node).take(event),
                // What was not durable is lost with a life.
                Happening::Started { node, last, .. } => logs.of(*node).cut(last.index.get()),
                Happening::Gone { .. }
                | Happening::Fault { .. }
                | Happening::Phase { .. }
                | Happening::Operation { .. } => {}
            }
        }
        logs.to = logs.nodes.values().filter_map(Log::last).max().unwrap_or(0);
        logs
    }

    fn of(&mut self, node: NodeId) -> &mut Log {
        self.nodes.entry(node.get()).or_default()
    }

    /// The first index at which two of these nodes have different entries.
    pub(super) fn differ(&self, nodes: &[u64]) -> Option<u64> {
        let logs: Vec<_> = nodes.iter().filter_map(|node| self.nodes.get(node)).collect();
        let mut at: BTreeMap<u64, BTreeSet<(u64, u32)>> = BTreeMap::new();
        for (index, entry) in logs.iter().flat_map(|log| &log.entries) {
            at.entry(*index).or_default().insert(*entry);
        }
        at.into_iter().find(|(_, entries)| entries.len() > 1).map(|(index, _)| index)
    }

    /// How far anybody knows the log to be committed.
    pub(super) fn committed(&self) -> u64 {
        self.nodes.values().map(|log| log.committed).max().unwrap_or(0)
    }

    /// Only these indexes, as far as any node has them.
    pub(super) fn about(mut self, from: u64, to: u64) -> Self {
        (self.from, self.to) = (from.max(1), to.min(self.to.max(1)));
        self
    }

    /// Whether nodes have different entries there.
    pub(in crate::picture) fn is_split(&self, index: u64) -> bool {
        let entries = self.nodes.values().filter_map(|log| log.entries.get(&index));
        entries.collect::<BTreeSet<_>>().len() > 1
    }
}

impl Log {
    fn take(&mut self, event: &Event) {
        if let Event::Appended { id, checksum } = event {
            self.entries.insert(id.index.get(), (id.term.get(), *checksum));
        }
        if let Event::Truncated { last, .. } | Event::Dropped { last, .. } = event {
            self.cut(last.index.get());
        }
        if let Event::Compacted { base } = event {
            self.base = base.index.get();
        }
        if let Event::Installed { snapshot, .. } = event {
            self.base = snapshot.last_included.index.get();
            self.entries.clear();
        }
        if let Event::Durable { index, .. } = event {
            self.durable = index.get();
        }
        if let Event::Committed { to, .. } = event {
            self.committed = to.index.get();
        }
    }

    fn cut(&mut self, last: u64) {
        self.entries.retain(|index, _| *index <= last);
    }

    fn last(&self) -> Option<u64> {
        self.entries.keys().next_back().copied()
    }

    /// What is at an index: the term of the entry, `snap`, or nothing.
    pub(in crate::picture) fn cell(&self, index: u64) -> String {
        match self.entries.get(&index) {
            Some((term, _)) => {
                let durable = if index <= self.durable { "" } else { "~" };
                let committed = if index <= self.committed { "*" } else { "" };
                format!("t{term}{durable}{committed}")
            }
            None if index <= self.base => "snap".to_owned(),
            None => "-".to_owned(),
        }
    }
}

/// A row for each node, a column for each index.
impl fmt::Display for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "    index")?;
        (self.from..=self.to).try_for_each(|index| write!(f, " {index:>6}"))?;
        for (node, log) in &self.nodes {
            write!(f, "\n    {:<5}", format!("n{node}"))?;
            (self.from..=self.to).try_for_each(|index| write!(f, " {:>6}", log.cell(index)))?;
        }
        writeln!(f, "\n    (the term of each entry; * known there to be committed, ~ not on its disk yet)")
    }
}
