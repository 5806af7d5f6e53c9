//! A log without its payloads: where it begins, where it ends, and the term of every entry.

use serde::{Deserialize, Serialize};

use crate::entry::Entry;
use crate::types::{EntryId, LogIndex};

/// The ids of all entries of a log, in a few words a term (§5.3, §7).
///
/// Indexes have no gaps, and terms never go down from one entry to the next; so the first entry of each
/// term says what the term of every entry is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LogOutline {
    base: EntryId,
    /// The first entry after `base` of each term.
    firsts: Vec<EntryId>,
    last: EntryId,
}

impl LogOutline {
    /// An empty log that begins after `base`: what is at or before it has been compacted (§7).
    /// [`EntryId::ZERO`] is the base of a log of which nothing has been.
    pub const fn new(base: EntryId) -> Self {
        Self { base, firsts: Vec::new(), last: base }
    }

    /// The entry before the first one of the log: the last that was compacted.
    pub const fn base(&self) -> EntryId {
        self.base
    }

    /// The last entry; the base of an empty log.
    pub const fn last(&self) -> EntryId {
        self.last
    }

    /// The first entry of each term that the log has entries of, in order.
    pub fn firsts(&self) -> &[EntryId] {
        &self.firsts
    }

    /// The name of the entry at `index`, the base included; none before it and past the end.
    pub fn id_at(&self, index: LogIndex) -> Option<EntryId> {
        if index == self.base.index {
            return Some(self.base);
        }
        if index > self.last.index {
            return None;
        }
        // No run begins at the base or before it.
        let run = self.firsts.partition_point(|first| first.index <= index).checked_sub(1)?;
        self.firsts.get(run).map(|first| EntryId::new(first.term, index))
    }

    /// Whether the log has this very entry. Then it agrees with every log that has it, up to there
    /// (Log Matching, §5.3).
    pub fn contains(&self, id: EntryId) -> bool {
        self.id_at(id.index) == Some(id)
    }

    /// Appends an entry. False, and nothing is changed, if it does not follow the last one: another index
    /// than the next, or a lower term.
    pub fn append(&mut self, id: EntryId) -> bool {
        self.append_run(id, 1)
    }

    /// The same for so many entries of one term, of which `first` is the first.
    pub(crate) fn append_run(&mut self, first: EntryId, count: usize) -> bool {
        let follows = first.index == self.last.index.next() && first.term >= self.last.term;
        if follows && count > 0 {
            if self.firsts.last().is_none_or(|begun| begun.term < first.term) {
                self.firsts.push(first);
            }
            self.last = EntryId::new(first.term, LogIndex::new(first.index.get() + count as u64 - 1));
        }
        follows
    }

    /// Appends those of `entries`, which have no gaps and whose terms never go down, that follow the last one; returns
    /// how many.
    pub(crate) fn append_all(&mut self, entries: &[Entry]) -> usize {
        let mut left = entries;
        while let [first, .., last] | [first @ last] = left {
            let of_one_term = first.id.term == last.id.term;
            let same_term = |entry: &Entry| entry.id.term == first.id.term;
            let run = if of_one_term { left.len() } else { left.partition_point(same_term) };
            if !self.append_run(first.id, run) {
                break;
            }
            left = left.get(run..).unwrap_or_default();
        }
        entries.len() - left.len()
    }

    /// Drops the entry at `from` and all that follow it; never the base.
    pub fn truncate(&mut self, from: LogIndex) {
        if let Some(last) = self.id_at(from.prev().max(self.base.index))
            && last.index < self.last.index
        {
            self.last = last;
            self.firsts.truncate(self.firsts.partition_point(|first| first.index <= last.index));
        }
    }

    /// Lets the log begin after `base`, and drops what is at or before it (§7). If the log does not have
    /// that entry, nothing of it is left. A base before the one there is changes nothing.
    pub fn compact(&mut self, base: EntryId) {
        if base.index < self.base.index {
            return;
        }
        if !self.contains(base) {
            *self = Self::new(base);
            return;
        }
        let after = self.id_at(base.index.next());
        self.firsts.drain(..self.firsts.partition_point(|first| first.index <= base.index));
        if let Some(after) = after
            && self.firsts.first().is_none_or(|first| first.index > after.index)
        {
            self.firsts.insert(0, after);
        }
        self.base = base;
    }

    /// The last entry at or before `at` whose term is at most that of `at`; the base if there is none.
    pub fn last_no_later_than(&self, at: EntryId) -> EntryId {
        let runs = self.firsts.partition_point(|first| first.term <= at.term);
        let end = self.firsts.get(runs).map_or(self.last.index, |first| first.index.prev());
        self.id_at(end.min(at.index)).unwrap_or(self.base)
    }

    /// How many entries the log has.
    pub const fn len(&self) -> u64 {
        self.last.index.get() - self.base.index.get()
    }

    /// Whether the log has no entry.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The ids of all entries, in order.
    pub fn ids(&self) -> impl Iterator<Item = EntryId> + use<'_> {
        (self.base.index.get() + 1..=self.last.index.get())
            .filter_map(|index| self.id_at(LogIndex::new(index)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Payload;
    use crate::types::Term;

    fn id(term: u64, index: u64) -> EntryId {
        EntryId::new(Term::new(term), LogIndex::new(index))
    }

    /// A log whose entries have these terms.
    fn outline(terms: &[u64]) -> LogOutline {
        let mut outline = LogOutline::default();
        for (index, &term) in (1..).zip(terms) {
            assert!(outline.append(id(term, index)));
        }
        outline
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
            assert_eq!(outline(terms).last_no_later_than(refused), hint, "{terms:?} {refused}");
        }
    }

    /// Every outline is held against the plain list of ids that it stands for, wherever it is cut.
    #[test]
    fn an_outline_reads_like_the_list_of_its_ids() {
        let terms = [1, 1, 2, 4, 4, 4, 7];
        let all: Vec<_> = outline(&terms).ids().collect();
        for base in 0..=all.len() {
            for end in base..=all.len() {
                let mut outline = outline(&terms);
                outline.truncate(LogIndex::new(end as u64 + 1));
                outline.compact(base.checked_sub(1).map_or(EntryId::ZERO, |last| all[last]));
                assert_eq!(outline.ids().collect::<Vec<_>>(), all[base..end], "{base}..{end}");
                assert_eq!((outline.len(), outline.is_empty()), ((end - base) as u64, end == base));
                let mut firsts = all[base..end].to_vec();
                firsts.dedup_by_key(|id| id.term);
                assert_eq!(outline.firsts(), firsts, "{base}..{end}");
                for id in &all {
                    let within = (base..=end).contains(&usize::try_from(id.index.get()).unwrap());
                    assert_eq!(outline.contains(*id), within, "{base}..{end} {id}");
                }
                let next = id(7, end as u64 + 1);
                assert!(outline.append(next) && !outline.append(next), "{base}..{end}");
                assert_eq!(outline.ids().collect::<Vec<_>>(), [&all[base..end], &[next]].concat());
            }
        }
    }

    #[test]
    fn a_base_that_the_log_does_not_have_leaves_nothing_of_it() {
        for base in [id(3, 2), id(9, 9)] {
            let mut outline = outline(&[1, 1, 2]);
            outline.compact(base);
            assert_eq!(outline, LogOutline::new(base));
        }
    }

    /// Each row: the terms of a log, those of entries that come at once from index 3 on, and those of the log then.
    #[test]
    fn entries_at_once_are_appended_as_one_by_one() {
        for (terms, more, joined) in [
            (&[1, 1][..], &[][..], &[1, 1][..]),
            (&[1, 1], &[1], &[1, 1, 1]),
            (&[1, 1], &[1, 1, 1], &[1, 1, 1, 1, 1]),
            (&[1, 1], &[1, 2, 2, 5], &[1, 1, 1, 2, 2, 5]),
            (&[1, 1], &[4, 4], &[1, 1, 4, 4]),
            (&[2, 2], &[1, 3], &[2, 2]),
            (&[1], &[1, 1], &[1]),
            (&[1, 1, 1], &[1, 1], &[1, 1, 1]),
        ] {
            let entry = |(index, &term)| Entry::new(id(term, index), Payload::Noop);
            let entries: Vec<_> = (3..).zip(more).map(entry).collect();
            let mut log = outline(terms);
            assert_eq!(log.append_all(&entries), joined.len() - terms.len(), "{terms:?} {more:?}");
            assert_eq!(log, outline(joined), "{terms:?} {more:?}");
        }
    }

    #[test]
    fn terms_that_go_down_and_gaps_do_not_join_on() {
        let mut outline = outline(&[2]);
        assert!(!outline.append(id(1, 2)) && !outline.append(id(2, 3)) && !outline.append(id(2, 1)));
        assert_eq!(outline.last(), id(2, 1));
    }

    /// One with another term in its place is another entry, which the log does not have.
    #[test]
    fn a_base_before_the_one_there_is_changes_nothing() {
        let mut outline = outline(&[1, 1, 2]);
        outline.compact(id(1, 2));
        let before = outline.clone();
        for base in [EntryId::ZERO, id(1, 1), id(2, 1), id(1, 2)] {
            outline.compact(base);
            assert_eq!(outline, before, "{base}");
        }
        outline.compact(id(2, 2));
        assert_eq!(outline, LogOutline::new(id(2, 2)));
    }

    #[test]
    fn no_entries_at_once_change_nothing() {
        let mut log = outline(&[1, 1]);
        assert!(log.append_run(id(4, 3), 0));
        assert_eq!((log.append_all(&[]), log), (0, outline(&[1, 1])));
    }
}
