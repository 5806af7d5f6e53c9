//! The entries at the end of the log, in memory, in the batches in which they came.

use std::collections::VecDeque;

use crate::entries::Entries;
use crate::entry::Entry;
use crate::types::LogIndex;

/// So many batches at the end are looked at one by one before all are searched.
const RECENT: usize = 4;

/// Entries without gaps.
#[derive(Clone, Debug, Default)]
pub(crate) struct Newest {
    /// None of them empty.
    batches: VecDeque<Entries>,
    /// The last ones, which nobody shares yet.
    open: Vec<Entry>,
    bytes: usize,
}

impl Newest {
    /// What they take in memory, in bytes.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The first of them.
    pub(crate) fn first(&self) -> Option<LogIndex> {
        match self.batches.front() {
            Some(batch) => Some(batch.begins()),
            None => self.open.first().map(|entry| entry.id.index),
        }
    }

    /// All of them, in order.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.batches.iter().flatten().chain(&self.open)
    }

    /// Appends one; it is shared from the next [`Newest::close`] on.
    pub(crate) fn push(&mut self, entry: Entry) {
        self.bytes += entry.payload.weight();
        self.open.push(entry);
    }

    /// Appends some; they are shared from the next [`Newest::close`] on. Returns them.
    pub(crate) fn extend(&mut self, entries: impl Iterator<Item = Entry>) -> &[Entry] {
        let before = self.open.len();
        self.open.extend(entries);
        let added = self.open.get(before..).unwrap_or_default();
        self.bytes += added.iter().map(|entry| entry.payload.weight()).sum::<usize>();
        added
    }

    /// Appends a batch; returns it.
    pub(crate) fn append(&mut self, batch: Entries) -> &[Entry] {
        self.close();
        if batch.is_empty() {
            return &[];
        }
        self.bytes += batch.weight();
        self.batches.push_back(batch);
        self.batches.back().map_or(&[], |batch| batch)
    }

    /// What was appended one by one becomes a batch.
    #[inline]
    pub(crate) fn close(&mut self) {
        if !self.open.is_empty() {
            self.batches.push_back(Entries::from(&mut self.open));
        }
    }

    /// The batch that begins with the entry at `index`, if it is one of the last: so it is where servers keep up.
    pub(crate) fn recent(&self, index: LogIndex) -> Option<&Entries> {
        debug_assert!(self.open.is_empty(), "these are not shared yet");
        let len = self.batches.len();
        for place in (len.saturating_sub(RECENT)..len).rev() {
            let batch = self.batches.get(place)?;
            let begins = batch.begins();
            if begins <= index {
                return (begins == index).then_some(batch);
            }
        }
        None
    }

    /// What lies from `from` on, which was closed: the rest of the batch that has it, and those that follow.
    pub(crate) fn since(&self, from: LogIndex) -> (Entries, impl Iterator<Item = &Entries> + Clone) {
        debug_assert!(self.open.is_empty(), "these are not shared yet");
        let place = self.place(from);
        let first = self.batches.get(place).map(|batch| batch.clone().after(before(batch, from)));
        (first.unwrap_or_default(), self.batches.range(self.batches.len().min(place + 1)..))
    }

    /// All batches; what was appended has been closed.
    pub(crate) fn batches(&self) -> impl Iterator<Item = &Entries> + Clone {
        debug_assert!(self.open.is_empty(), "these are not shared yet");
        self.batches.iter()
    }

    /// Which batch has the entry at `index`: mostly one of the last.
    fn place(&self, index: LogIndex) -> usize {
        let starts_by = |batch: &Entries| batch.begins() <= index;
        let len = self.batches.len();
        for place in (len.saturating_sub(RECENT)..len).rev() {
            if self.batches.get(place).is_some_and(starts_by) {
                return place;
            }
        }
        self.batches.partition_point(starts_by).saturating_sub(1)
    }

    /// Drops those from `from` on.
    pub(crate) fn truncate(&mut self, from: LogIndex) {
        self.close();
        while let Some(batch) = self.batches.pop_back() {
            self.bytes -= batch.weight();
            let kept = before(&batch, from);
            if kept > 0 {
                self.append(batch.up_to(kept));
                return;
            }
        }
    }

    /// Drops those up to `to`.
    pub(crate) fn drop_to(&mut self, to: LogIndex) {
        self.close();
        while self.first().is_some_and(|first| first <= to) {
            let Some(batch) = self.batches.pop_front() else { return };
            self.bytes -= batch.weight();
            let gone = before(&batch, to.next());
            let rest = batch.after(gone);
            if !rest.is_empty() {
                self.bytes += rest.weight();
                self.batches.push_front(rest);
            }
        }
    }

    /// Drops the oldest of them that lie at or before `to` until what is left takes at most `bytes_max`.
    pub(crate) fn shrink(&mut self, bytes_max: usize, to: LogIndex) {
        let Some(mut too_many) = self.bytes.checked_sub(bytes_max) else { return };
        let mut last = LogIndex::ZERO;
        for entry in self.iter().take_while(|entry| entry.id.index <= to) {
            if too_many == 0 {
                break;
            }
            too_many = too_many.saturating_sub(entry.payload.weight());
            last = entry.id.index;
        }
        self.drop_to(last);
    }
}

/// How many of `batch`, which has no gaps, lie before `index`.
fn before(batch: &[Entry], index: LogIndex) -> usize {
    let first = batch.first().map_or(index, |first| first.id.index);
    let before = index.get().saturating_sub(first.get());
    usize::try_from(before).unwrap_or(usize::MAX).min(batch.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Payload;
    use crate::types::{EntryId, Term};

    /// Batches of these lengths, from index 1 on; the last of them is still open.
    fn newest(lengths: &[u64]) -> Newest {
        let mut newest = Newest::default();
        let mut index = 0;
        for &length in lengths {
            newest.close();
            for _ in 0..length {
                index += 1;
                let id = EntryId::new(Term::new(1), LogIndex::new(index));
                newest.push(Entry::new(id, Payload::Command(vec![0; 3].into())));
            }
        }
        newest
    }

    fn indexes<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Vec<u64> {
        entries.into_iter().map(|entry| entry.id.index.get()).collect()
    }

    /// Wherever they are cut, and wherever one begins to read, they are the plain list that they stand for.
    #[test]
    fn batches_read_like_the_list_of_their_entries() {
        let lengths = [1, 3, 1, 1, 2, 64, 1, 2];
        for end in [0, 1, 4, 7, 40, 75] {
            for base in [0, 1, 2, 5, 39, 75] {
                let mut cut = newest(&lengths);
                cut.truncate(LogIndex::new(end + 1));
                cut.drop_to(LogIndex::new(base));
                let kept: Vec<u64> = (base + 1..=end).collect();
                assert_eq!(indexes(cut.iter()), kept, "{base}..{end}");
                assert_eq!(cut.bytes, kept.len() * (size_of::<Entry>() + 3), "{base}..{end}");
                for (place, &from) in kept.iter().enumerate() {
                    let (first, rest) = cut.since(LogIndex::new(from));
                    assert_eq!(first.begins(), LogIndex::new(from), "{base}..{end}");
                    let joined = Entries::joined(first, rest);
                    assert_eq!(indexes(&joined), kept[place..], "{base}..{end} from {from}");
                }
            }
        }
    }

    /// Each row: how many bytes may be sent from index 1 on up to 9, and how many are. A batch of 64
    /// goes by itself.
    #[test]
    fn small_batches_are_put_together_and_large_ones_shared() {
        for (lengths, bytes_max, sent) in [
            (&[2, 3][..], 99, 5),
            (&[2, 3], 9, 3),
            (&[2, 3], 6, 2),
            (&[2, 3], 0, 1),
            (&[5, 9], 999, 9),
            (&[64, 2], 9, 3),
        ] {
            let mut newest = newest(lengths);
            newest.close();
            let (first, rest) = newest.since(LogIndex::new(1));
            let found = Entries::gather(first, rest, LogIndex::new(9), bytes_max);
            assert_eq!(found.len(), sent, "{lengths:?} {bytes_max}");
        }
        let mut newest = newest(&[64, 2]);
        newest.close();
        let (first, rest) = newest.since(LogIndex::new(1));
        assert_eq!(Entries::gather(first, rest, LogIndex::new(99), 999).len(), 64);
    }

    /// Those that were appended one by one come before a batch that joins on, and are dropped like others.
    #[test]
    fn what_is_still_open_has_its_place_in_the_order() {
        let mut joined = newest(&[1, 2]);
        let id = EntryId::new(Term::new(1), LogIndex::new(4));
        joined.append(vec![Entry::new(id, Payload::Noop)].into());
        assert_eq!(indexes(joined.iter()), [1, 2, 3, 4]);
        let mut dropped = newest(&[1, 2]);
        dropped.drop_to(LogIndex::new(2));
        assert_eq!((indexes(dropped.iter()), dropped.bytes()), (vec![3], size_of::<Entry>() + 3));
    }

    /// Each row: an index, and the last entry of the batch that is found to begin there.
    #[test]
    fn a_batch_is_found_by_its_first_entry_if_it_is_one_of_the_last() {
        let mut newest = newest(&[2, 3, 1, 2, 1]);
        newest.close();
        for (index, last) in
            [(3, Some(5)), (4, None), (5, None), (6, Some(6)), (7, Some(8)), (8, None), (9, Some(9))]
        {
            let found = newest.recent(LogIndex::new(index)).map(|batch| batch.ends().get());
            assert_eq!(found, last, "{index}");
        }
    }
}
