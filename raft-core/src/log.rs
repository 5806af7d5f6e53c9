//! The log in memory: entries, the runs of their terms, and what has not been given to the disk yet.
//!
//! The only place that turns an index into a position in memory.

use crate::entry::{Entry, Payload};
use crate::types::{EntryId, LogIndex, Term};

/// The log (§5.3).
///
/// - Indexes have no gaps, and terms never go down from one entry to the next.
/// - `runs` names the first entry of each term, so a look-up of a term costs a search among terms.
/// - What lies past `given` has not been part of a [`Batch`](crate::Batch) yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    /// The entry at index 1 comes first.
    entries: Vec<Entry>,
    runs: Vec<EntryId>,
    given: LogIndex,
    /// The lowest index that was truncated after it had been given.
    truncated: Option<LogIndex>,
}

impl Log {
    /// The log that was found on disk; the index of the first entry that does not join on to the one
    /// before it, if there is such an entry.
    pub(crate) fn restored(entries: Vec<Entry>) -> Result<Self, LogIndex> {
        let mut log = Self::default();
        for entry in entries {
            let last = log.last();
            if entry.id.index != last.index.next() || entry.id.term < last.term {
                return Err(last.index.next());
            }
            log.push(entry);
        }
        log.given = log.last().index;
        Ok(log)
    }

    /// The last entry; [`EntryId::ZERO`] of an empty log.
    pub(crate) fn last(&self) -> EntryId {
        self.entries.last().map_or(EntryId::ZERO, |entry| entry.id)
    }

    /// The name of the entry at `index`, the place before the first entry included.
    pub(crate) fn id_at(&self, index: LogIndex) -> Option<EntryId> {
        if index == LogIndex::ZERO {
            return Some(EntryId::ZERO);
        }
        self.entries.get(position(index)).map(|entry| entry.id)
    }

    /// Whether the log has this very entry. Then it agrees with every log that has it, up to there
    /// (Log Matching, §5.3).
    pub(crate) fn contains(&self, id: EntryId) -> bool {
        self.id_at(id.index) == Some(id)
    }

    /// The last entry at or before `at` whose term is at most `term`.
    pub(crate) fn last_no_later_than(&self, at: EntryId) -> EntryId {
        let runs = self.runs.partition_point(|first| first.term <= at.term);
        let end = self.runs.get(runs).map_or(self.last().index, |first| first.index.prev());
        self.id_at(end.min(at.index)).unwrap_or(EntryId::ZERO)
    }

    /// Appends what a leader was asked to do in its term.
    pub(crate) fn append(&mut self, term: Term, payload: Payload) -> &Entry {
        let id = EntryId::new(term, self.last().index.next());
        self.push(Entry::new(id, payload));
        &self.entries[position(id.index)]
    }

    /// The first of `entries` that the log contradicts: same index, another term.
    pub(crate) fn first_conflict(&self, entries: &[Entry]) -> Option<LogIndex> {
        let conflicts = |entry: &&Entry| self.id_at(entry.id.index).is_some_and(|here| here != entry.id);
        entries.iter().find(conflicts).map(|entry| entry.id.index)
    }

    /// Appends those of `entries` that the log does not have. Of these, the first joins on to the end.
    pub(crate) fn append_missing(&mut self, entries: Vec<Entry>) -> &[Entry] {
        let before = self.entries.len();
        for entry in entries {
            if entry.id.index == self.last().index.next() {
                self.push(entry);
            }
        }
        &self.entries[before..]
    }

    /// Drops the entry at `from` and all that follow it (§5.3).
    pub(crate) fn truncate(&mut self, from: LogIndex) {
        self.entries.truncate(position(from));
        self.runs.truncate(self.runs.partition_point(|first| first.index < from));
        if from <= self.given {
            self.given = from.prev();
            self.truncated = Some(self.truncated.map_or(from, |earlier| earlier.min(from)));
        }
    }

    /// Entries from `from` on: as many as fit into `bytes_max`, at least one if there is one, and none
    /// past `to`.
    pub(crate) fn entries(&self, from: LogIndex, to: LogIndex, bytes_max: usize) -> Vec<Entry> {
        let mut bytes = 0;
        let fits = |entry: &&Entry| {
            let first = bytes == 0;
            bytes += entry.payload.bytes().len().max(1);
            entry.id.index <= to && (first || bytes <= bytes_max)
        };
        self.entries.get(position(from)..).unwrap_or_default().iter().take_while(fits).cloned().collect()
    }

    /// At most `count_max` entries from `from` to `to`, both included.
    pub(crate) fn committed(&self, from: LogIndex, to: LogIndex, count_max: usize) -> Vec<Entry> {
        let last = position(to.next()).min(position(from).saturating_add(count_max));
        self.entries.get(position(from)..last).unwrap_or_default().to_vec()
    }

    /// Id and checksum of all entries, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = (EntryId, u32)> {
        self.entries.iter().map(|entry| (entry.id, entry.checksum))
    }

    /// What the disk has not been given yet: where to truncate, and what to append then.
    pub(crate) fn take_ungiven(&mut self) -> (Option<LogIndex>, Vec<Entry>) {
        let entries = self.entries[position(self.given.next())..].to_vec();
        self.given = self.last().index;
        (self.truncated.take(), entries)
    }

    fn push(&mut self, entry: Entry) {
        if self.runs.last().is_none_or(|first| first.term < entry.id.term) {
            self.runs.push(entry.id);
        }
        self.entries.push(entry);
    }
}

/// Where the entry at `index` lies in memory. An index that no 64-bit machine could hold lies nowhere.
fn position(index: LogIndex) -> usize {
    usize::try_from(index.get()).unwrap_or(usize::MAX).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log whose entries have these terms.
    fn log(terms: &[u64]) -> Log {
        let mut log = Log::default();
        for &term in terms {
            log.append(Term::new(term), Payload::Noop);
        }
        log
    }

    fn id(term: u64, index: u64) -> EntryId {
        EntryId::new(Term::new(term), LogIndex::new(index))
    }

    /// Each row: the terms of a log, an entry of somebody else's, and the last that both may share.
    #[test]
    fn the_hint_is_the_last_entry_no_later_than_what_was_refused() {
        for (terms, refused, hint) in [
            (&[][..], id(3, 7), id(0, 0)),
            (&[1, 1, 1], id(1, 7), id(1, 3)),
            (&[1, 2, 2, 3, 3, 3], id(2, 6), id(2, 3)),
            (&[1, 2, 2, 3, 3, 3], id(3, 2), id(2, 2)),
            (&[1, 2, 2, 3, 3, 3], id(9, 9), id(3, 6)),
            (&[4, 4], id(3, 2), id(0, 0)),
        ] {
            assert_eq!(log(terms).last_no_later_than(refused), hint, "{terms:?} {refused}");
        }
    }

    #[test]
    fn what_is_truncated_before_it_was_given_needs_no_truncation_on_disk() {
        let mut log = log(&[1, 1]);
        assert_eq!(log.take_ungiven().1.len(), 2);
        log.append(Term::new(1), Payload::Noop);
        log.truncate(LogIndex::new(3));
        assert_eq!(log.take_ungiven(), (None, vec![]));
        log.append(Term::new(2), Payload::Noop);
        log.truncate(LogIndex::new(2));
        log.append(Term::new(3), Payload::Noop);
        let (truncated, entries) = log.take_ungiven();
        assert_eq!(truncated, Some(LogIndex::new(2)));
        assert_eq!(entries.iter().map(|entry| entry.id).collect::<Vec<_>>(), [id(3, 2)]);
    }

    #[test]
    fn a_batch_of_entries_ends_at_the_limit_but_is_never_empty() {
        let mut log = Log::default();
        for size in [10, 10, 30, 5] {
            log.append(Term::new(1), Payload::Command(vec![0; size].into()));
        }
        let sent = |from, bytes| log.entries(LogIndex::new(from), LogIndex::new(9), bytes).len();
        assert_eq!([sent(1, 20), sent(1, 19), sent(3, 1), sent(1, 999), sent(5, 999)], [2, 1, 1, 4, 0]);
    }

    #[test]
    fn a_gap_on_disk_is_named() {
        let entry = |term, index| Entry::new(id(term, index), Payload::Noop);
        assert!(Log::restored(vec![entry(1, 1), entry(2, 2)]).is_ok());
        assert_eq!(Log::restored(vec![entry(1, 1), entry(1, 3)]).unwrap_err(), LogIndex::new(2));
        assert_eq!(Log::restored(vec![entry(2, 1), entry(1, 2)]).unwrap_err(), LogIndex::new(2));
    }
}
