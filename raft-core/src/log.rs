//! The log in memory: the ids of all entries, the payloads of the newest, and what has not been given to
//! the disk yet.
//!
//! The only place that turns an index into a position in memory.

use bytes::Bytes;

use crate::entries::Entries;
use crate::entry::{Checksummer, Entry, Payload};
use crate::newest::Newest;
use crate::outline::LogOutline;
use crate::types::{EntryId, LogIndex, Term};

/// The log (§5.3).
///
/// - `newest` are the entries at the end of the log, without gaps; those before them are on disk.
/// - What lies past `given` has not been part of a [`Batch`](crate::Batch) yet, and is in memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    outline: LogOutline,
    newest: Newest,
    /// Entries that were read from disk, each row without gaps; gone when effects have been taken.
    loaded: Vec<Entries>,
    given: LogIndex,
    /// The lowest index that was truncated after it had been given.
    truncated: Option<LogIndex>,
    /// The base, if the disk has not been given it yet.
    compacted: Option<EntryId>,
}

/// Entries of the log, if they are in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// In order; not all that were asked for, perhaps.
    Here(Entries),
    /// The entries up to this one are on disk.
    OnDisk { to: LogIndex },
}

impl Log {
    /// The log that was found on disk.
    pub(crate) fn restored(outline: LogOutline) -> Self {
        Self { given: outline.last().index, outline, ..Self::default() }
    }

    /// The ids of all entries.
    pub(crate) const fn outline(&self) -> &LogOutline {
        &self.outline
    }

    /// The last entry; the base of an empty log.
    pub(crate) const fn last(&self) -> EntryId {
        self.outline.last()
    }

    /// The last entry that was compacted.
    pub(crate) const fn base(&self) -> EntryId {
        self.outline.base()
    }

    /// The name of the entry at `index`, the base included.
    pub(crate) fn id_at(&self, index: LogIndex) -> Option<EntryId> {
        self.outline.id_at(index)
    }

    /// Whether the log has this very entry.
    pub(crate) fn contains(&self, id: EntryId) -> bool {
        self.outline.contains(id)
    }

    /// The same, and it has not been compacted.
    pub(crate) fn has_entry(&self, id: EntryId) -> bool {
        id.index > self.base().index && self.contains(id)
    }

    /// The last entry that this log may share with one whose last entry at or before what was refused is
    /// `hint`: the last here that is no later. It lies before the base if what is here is all later.
    pub(crate) fn shared_with(&self, hint: EntryId) -> LogIndex {
        let shared = self.outline.last_no_later_than(hint);
        if shared.index > hint.index || shared.term > hint.term {
            hint.index.min(self.base().index.prev())
        } else {
            shared.index
        }
    }

    /// Appends what a leader was asked to do in its term; returns name and checksum of the entry.
    pub(crate) fn append(&mut self, term: Term, payload: Payload) -> (EntryId, u32) {
        let entry = Entry::new(EntryId::new(term, self.last().index.next()), payload);
        let named = (entry.id, entry.checksum);
        // A leader's term does not go down.
        if self.outline.append(entry.id) {
            self.newest.push(entry);
        }
        named
    }

    /// Appends what clients ask a leader to do in its term; returns the entries.
    pub(crate) fn append_commands(
        &mut self,
        term: Term,
        commands: impl ExactSizeIterator<Item = Bytes>,
    ) -> &[Entry] {
        let first = EntryId::new(term, self.last().index.next());
        // A leader's term does not go down.
        if !self.outline.append_run(first, commands.len()) {
            return &[];
        }
        let mut checksummer = Checksummer::new();
        let ids = (first.index.get()..).map(|index| EntryId::new(term, LogIndex::new(index)));
        self.newest
            .extend(commands.zip(ids).map(|(command, id)| checksummer.entry(id, Payload::Command(command))))
    }

    /// The first of `entries` that the log contradicts: same index, another term.
    pub(crate) fn first_conflict(&self, entries: &[Entry]) -> Option<LogIndex> {
        let last = self.last().index;
        let mut shared = entries.iter().take_while(|entry| entry.id.index <= last);
        let conflicts = |entry: &&Entry| self.id_at(entry.id.index).is_some_and(|here| here != entry.id);
        shared.find(conflicts).map(|entry| entry.id.index)
    }

    /// Appends those of `entries` that the log does not have; returns them.
    pub(crate) fn append_missing(&mut self, entries: Entries) -> &[Entry] {
        let first = entries.first().map_or(LogIndex::ZERO, |first| first.id.index);
        let missing = entries.after(distance(first, self.last().index.next()));
        let joining = self.outline.append_all(&missing);
        // What does not follow is refused before it gets here.
        self.newest.append(missing.up_to(joining))
    }

    /// Drops the entry at `from` and all that follow it (§5.3).
    pub(crate) fn truncate(&mut self, from: LogIndex) {
        self.outline.truncate(from);
        self.newest.truncate(from);
        self.loaded.clear();
        if from <= self.given {
            self.given = from.prev();
            self.truncated = Some(self.truncated.map_or(from, |earlier| earlier.min(from)));
        }
    }

    /// Lets the log begin after `base`, which it has, and drops what is at or before it (§7).
    pub(crate) fn compact(&mut self, base: EntryId) {
        self.outline.compact(base);
        self.newest.drop_to(base.index);
        self.compacted = Some(base);
    }

    /// Drops all entries and lets the log begin after `base`, which it does not have (§7).
    pub(crate) fn reset(&mut self, base: EntryId) {
        self.truncate(self.base().index.next());
        self.outline = LogOutline::new(base);
        self.given = base.index;
        self.compacted = Some(base);
    }

    /// What was appended is shared from now on: with messages, the disk, and the state machine.
    pub(crate) fn close(&mut self) {
        self.newest.close();
    }

    /// Entries from `from` to `to`, as many as fit into `bytes_max`, at least one if there is one.
    pub(crate) fn entries(&self, from: LogIndex, to: LogIndex, bytes_max: usize) -> Found {
        if let Some(batch) = self.newest.recent(from).filter(|batch| batch.go_alone(to, bytes_max)) {
            return Found::Here(batch.clone());
        }
        let on_disk = self.last_on_disk();
        if from > on_disk {
            let (first, rest) = self.newest.since(from);
            return Found::Here(Entries::gather(first, rest, to, bytes_max));
        }
        let Some(row) = self.loaded.iter().find(|row| holds(row, from)) else {
            return Found::OnDisk { to: to.min(on_disk) };
        };
        let joins_on = row.last().is_some_and(|last| last.id.index == on_disk);
        let newest = self.newest.batches().take(if joins_on { usize::MAX } else { 0 });
        let row = row.clone().after(distance(row[0].id.index, from));
        Found::Here(Entries::gather(row, newest, to, bytes_max))
    }

    /// The last entry whose payload is not in memory, if it has one.
    pub(crate) fn last_on_disk(&self) -> LogIndex {
        self.newest.first().map_or(self.last().index, LogIndex::prev)
    }

    /// Entries came from disk. What was truncated or compacted since they were asked for is not kept.
    pub(crate) fn loaded(&mut self, entries: Entries) {
        let there = entries.iter().take_while(|entry| self.contains(entry.id)).count();
        if there > 0 {
            self.loaded.push(entries.up_to(there));
        }
    }

    /// Lets go of what was loaded, and of the oldest payloads beyond the budget that are on disk.
    pub(crate) fn forget(&mut self, bytes_max: usize) {
        self.loaded.clear();
        self.newest.shrink(bytes_max, self.given);
    }

    /// The bytes of the entries in memory.
    pub(crate) fn cached_bytes(&self) -> usize {
        let loaded = self.loaded.iter().flatten().map(|entry| entry.payload.weight());
        self.newest.bytes() + loaded.sum::<usize>()
    }

    /// The checksums of the entries in memory, in order.
    pub(crate) fn checksums(&self) -> impl Iterator<Item = u32> {
        self.newest.iter().map(|entry| entry.checksum)
    }

    /// Whether there is anything that the disk has not been given yet.
    pub(crate) fn has_ungiven(&self) -> bool {
        self.given != self.last().index || self.truncated.is_some() || self.compacted.is_some()
    }

    /// What the disk has not been given yet: where to truncate, where to begin, and what to append then.
    pub(crate) fn take_ungiven(&mut self) -> Ungiven {
        self.close();
        let (from, last) = (self.given.next(), self.last().index);
        let entries = if from > last {
            Entries::default()
        } else if let Some(batch) = self.newest.recent(from).filter(|batch| batch.ends() == last) {
            batch.clone()
        } else {
            let (first, rest) = self.newest.since(from);
            Entries::joined(first, rest)
        };
        self.given = last;
        Ungiven { truncate: self.truncated.take(), compact: self.compacted.take(), entries }
    }
}

/// Changes of the log that the disk has not been given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ungiven {
    pub(crate) truncate: Option<LogIndex>,
    pub(crate) compact: Option<EntryId>,
    pub(crate) entries: Entries,
}

fn holds(row: &[Entry], index: LogIndex) -> bool {
    row.first().is_some_and(|first| first.id.index <= index)
        && row.last().is_some_and(|last| last.id.index >= index)
}

/// How many entries lie between two indexes. More than any machine could hold is too many to hold.
fn distance(from: LogIndex, to: LogIndex) -> usize {
    usize::try_from(to.get().saturating_sub(from.get())).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
