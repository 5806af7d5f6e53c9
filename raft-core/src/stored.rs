//! What batches make of a disk, as a value: the model that every log store is held to.

use std::collections::BTreeSet;

use crate::effects::Batch;
use crate::entry::Entry;
use crate::outline::LogOutline;
use crate::snapshot::{Chunk, Load, Loaded, Part, Snapshot};
use crate::state::{HardState, Partial, Restored};
use crate::types::{ClusterId, EntryId, LogIndex};

/// Everything that a server has written, in memory. A disk for tests and simulations, and the model of a
/// [`LogStore`](crate::node::LogStore): after the same batches a store restores and loads the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    cluster: Option<ClusterId>,
    hard_state: HardState,
    snapshot: Option<Pieces>,
    partial: Option<Pieces>,
    base: EntryId,
    entries: Vec<Entry>,
    /// Those of which nothing can be read.
    damaged: BTreeSet<LogIndex>,
    suspect_tail: bool,
}

/// A snapshot, or the beginning of one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pieces {
    snapshot: Snapshot,
    chunks: Vec<Chunk>,
}

impl Stored {
    /// Carries out a batch, in the order of its fields.
    pub fn apply(&mut self, batch: Batch) {
        let Batch {
            cluster,
            hard_state,
            truncate,
            repair,
            parts,
            compact,
            entries,
            trust_tail,
            commit_index: _,
        } = batch;
        self.cluster = cluster.or(self.cluster);
        self.suspect_tail &= !trust_tail;
        self.hard_state = hard_state.unwrap_or(self.hard_state);
        if let Some(from) = truncate {
            self.entries.truncate(self.position(from));
            self.damaged.split_off(&from);
        }
        for entry in repair {
            self.damaged.remove(&entry.id.index);
        }
        parts.into_iter().for_each(|part| self.store_part(part));
        if let Some(base) = compact {
            self.compact(base);
        }
        self.entries.extend_from_slice(&entries);
    }

    /// The entries of the log, in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The pieces of the whole snapshot, in order.
    pub fn chunks(&self) -> &[Chunk] {
        self.snapshot.as_ref().map_or(&[], |pieces| &pieces.chunks)
    }

    /// What a server finds when it starts on this disk.
    pub fn restored(&self) -> Restored {
        let mut log = LogOutline::new(self.base);
        for entry in &self.entries {
            log.append(entry.id);
        }
        let configurations = self.entries.iter().filter_map(Entry::configured).collect();
        Restored {
            cluster: self.cluster,
            hard_state: self.hard_state,
            snapshot: self.snapshot.as_ref().map(|pieces| pieces.snapshot.clone()),
            partial: self.partial.as_ref().map(|pieces| Partial {
                snapshot: pieces.snapshot.clone(),
                bytes: pieces.chunks.last().map_or(0, Chunk::end),
            }),
            log,
            configurations,
            damaged: Vec::new(),
            suspect_tail: self.suspect_tail,
        }
    }

    /// The entry at `index` can no longer be read, and nobody knows before it is. False if there is none.
    pub fn damage(&mut self, index: LogIndex) -> bool {
        let is_there = self.entries.iter().any(|entry| entry.id.index == index);
        is_there && self.damaged.insert(index)
    }

    /// The log may have been longer, as far as anybody can tell from now on.
    pub const fn suspect_tail(&mut self) {
        self.suspect_tail = true;
    }

    /// Answers a request.
    pub fn load(&self, load: &Load) -> Loaded {
        match *load {
            Load::Entries { from, to, .. } if self.damaged.contains(&from) => {
                let is_damaged = |index: &LogIndex| self.damaged.contains(index);
                let all = (from.get()..=to.get()).map(LogIndex::new);
                Loaded::Damaged { from, to: all.take_while(is_damaged).last().unwrap_or(from) }
            }
            Load::Entries { from, to, bytes_max } => {
                let mut bytes = 0;
                let fits = |entry: &&Entry| {
                    let first = entry.id.index == from;
                    if self.damaged.contains(&entry.id.index) {
                        return false;
                    }
                    bytes += entry.payload.bytes().len();
                    entry.id.index <= to && (first || bytes <= bytes_max)
                };
                let there = if from > self.base.index { self.position(from) } else { usize::MAX };
                let entries = self.entries.get(there..).unwrap_or_default().iter();
                Loaded::Entries { from, entries: entries.take_while(fits).cloned().collect() }
            }
            Load::Chunk { snapshot, offset } => {
                let pieces = self.snapshot.as_ref().filter(|pieces| pieces.snapshot.id == snapshot);
                let chunks = pieces.into_iter().flat_map(|pieces| &pieces.chunks);
                let chunk = chunks.into_iter().find(|chunk| chunk.offset == offset).cloned();
                Loaded::Chunk { snapshot, offset, chunk }
            }
        }
    }

    /// Where the entry at `index` lies.
    fn position(&self, index: LogIndex) -> usize {
        self.entries.partition_point(|entry| entry.id.index < index)
    }

    /// The first piece of a snapshot puts an end to an unfinished one; the last one makes it whole.
    fn store_part(&mut self, Part { snapshot, chunk }: Part) {
        if chunk.offset == 0 {
            self.partial = Some(Pieces { snapshot, chunks: Vec::new() });
        }
        let Some(partial) = &mut self.partial else { return };
        let done = chunk.done;
        partial.chunks.push(chunk);
        if done {
            self.snapshot = self.partial.take();
        }
    }

    fn compact(&mut self, base: EntryId) {
        let kept = self.position(base.index.next());
        self.entries.drain(..kept);
        self.damaged = self.damaged.split_off(&base.index.next());
        self.base = base;
    }
}
