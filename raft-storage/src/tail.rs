//! The newest entries of a log, in memory: what a follower that lags a little, and the state machine, ask for again
//! and again.

use std::collections::VecDeque;
use std::mem;

use raft_core::{Batch, Entries, Entry, Load, Loaded, LogIndex};

/// The end of one log, up to a number of bytes: the entries of its last batches, shared with whoever gave them.
/// They come out as they were given; whoever takes an entry checks it.
#[derive(Debug)]
pub(crate) struct Tail {
    /// Without gaps, none of them empty; the last entry of the last one is that of the log.
    pieces: VecDeque<Piece>,
    /// What the pieces hold in memory.
    bytes: usize,
    bytes_max: usize,
}

/// A batch of which the entries from `first` to before `end` count.
#[derive(Debug)]
struct Piece {
    entries: Entries,
    first: LogIndex,
    end: LogIndex,
    bytes: usize,
}

impl Piece {
    /// Those that count.
    fn entries(&self) -> &[Entry] {
        let begin = self.entries.first().map_or(LogIndex::ZERO, |entry| entry.id.index);
        let place =
            |index: LogIndex| usize::try_from(index.get().saturating_sub(begin.get())).unwrap_or(usize::MAX);
        self.entries.get(place(self.first)..place(self.end)).unwrap_or_default()
    }
}

impl Tail {
    /// Keeps batches of at most so many bytes in all.
    pub(crate) const fn new(bytes_max: usize) -> Self {
        Self { pieces: VecDeque::new(), bytes: 0, bytes_max }
    }

    /// Becomes the end of the log after `batch`, which is the next one that is written.
    pub(crate) fn follow(&mut self, batch: &Batch) {
        if let Some(from) = batch.truncate {
            self.truncate(from);
        }
        if let Some(base) = batch.compact {
            self.drop_to(base.index);
        }
        self.append(&batch.entries);
    }

    /// What is asked for, if it is all here.
    pub(crate) fn read(&self, load: Load) -> Option<Loaded> {
        let Load::Entries { from, to, bytes_max } = load else { return None };
        self.pieces.front().filter(|piece| piece.first <= from)?;
        let place = self.pieces.partition_point(|piece| piece.end <= from);
        let begin = self.pieces.get(place)?;
        let before = usize::try_from(from.get() - begin.first.get()).ok()?;
        let all = self.pieces.range(place..).flat_map(Piece::entries).skip(before);
        let count = to.get().saturating_add(1).saturating_sub(from.get());
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let mut entries = Vec::with_capacity(count.min(self.len_from(from)));
        let mut bytes = 0_usize;
        for entry in all.take(count) {
            bytes = bytes.saturating_add(entry.payload.bytes().len());
            if !entries.is_empty() && bytes > bytes_max {
                break;
            }
            entries.push(entry.clone());
        }
        Some(Loaded::Entries { from, entries })
    }

    /// How many there are from `from` on.
    fn len_from(&self, from: LogIndex) -> usize {
        let end = self.pieces.back().map_or(from, |piece| piece.end);
        usize::try_from(end.get().saturating_sub(from.get())).unwrap_or(usize::MAX)
    }

    fn append(&mut self, entries: &Entries) {
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return };
        let (first, end) = (first.id.index, last.id.index.next());
        if self.pieces.back().is_some_and(|last| last.end != first) {
            // It does not join on, and so is not written either.
            self.pieces.clear();
            self.bytes = 0;
            return;
        }
        let payload_bytes: usize = entries.iter().map(|entry| entry.payload.bytes().len()).sum();
        let bytes = payload_bytes + entries.len() * mem::size_of::<Entry>();
        self.bytes += bytes;
        self.pieces.push_back(Piece { entries: entries.clone(), first, end, bytes });
        while self.bytes > self.bytes_max {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        self.bytes -= self.pieces.pop_front().map_or(0, |oldest| oldest.bytes);
    }

    /// Those from `from` on go.
    fn truncate(&mut self, from: LogIndex) {
        while self.pieces.back().is_some_and(|last| last.first >= from) {
            self.bytes -= self.pieces.pop_back().map_or(0, |last| last.bytes);
        }
        if let Some(last) = self.pieces.back_mut() {
            last.end = last.end.min(from);
        }
    }

    /// Those up to `base` go.
    fn drop_to(&mut self, base: LogIndex) {
        while self.pieces.front().is_some_and(|oldest| oldest.end <= base.next()) {
            self.drop_oldest();
        }
        if let Some(oldest) = self.pieces.front_mut() {
            oldest.first = oldest.first.max(base.next());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use raft_core::{EntryId, Payload, Stored, Term};

    use super::*;

    /// A batch, as numbers from the end of the log back and on: entries cut off, entries compacted, new entries.
    fn life() -> impl Strategy<Value = Vec<(u64, u64, u64)>> {
        let often = |strategy| prop_oneof![3 => Just(0_u64), 1 => strategy];
        proptest::collection::vec((often(0..6_u64), often(0..9_u64), 0..8_u64), 1..30)
    }

    fn entry(term: u64, index: u64) -> Entry {
        let id = EntryId::new(Term::new(term), LogIndex::new(index));
        Entry::new(id, Payload::Command(vec![7; usize::try_from(term % 3).unwrap()].into()))
    }

    fn batch(term: u64, stored: &Stored, (cut, compacted, added): (u64, u64, u64)) -> Batch {
        let (base, last) =
            (stored.restored().log.base().index.get(), stored.restored().log.last().index.get());
        let from = last.saturating_sub(cut).max(base) + 1;
        let compact = (base + compacted).min(from - 1);
        let compact = stored.restored().log.id_at(LogIndex::new(compact)).filter(|_| compacted > 0);
        Batch {
            truncate: (cut > 0).then(|| LogIndex::new(from)),
            compact,
            entries: (from..from + added).map(|index| entry(term, index)).collect(),
            ..Batch::default()
        }
    }

    proptest! {
        /// Through any life of a log the tail is its end, within its bytes, and reads as the log does.
        #[test]
        fn the_tail_reads_like_the_end_of_the_log(life in life(), kept in 0..12_usize) {
            let bytes_max = kept * (mem::size_of::<Entry>() + 1);
            let (mut tail, mut stored) = (Tail::new(bytes_max), Stored::default());
            for (term, act) in (1..).zip(life) {
                let batch = batch(term, &stored, act);
                tail.follow(&batch);
                stored.apply(batch);
                prop_assert!(tail.bytes <= bytes_max);
                prop_assert_eq!(tail.bytes, tail.pieces.iter().map(|piece| piece.bytes).sum::<usize>());
                let last = stored.restored().log.last().index.get();
                for from in (0..=last + 1).map(LogIndex::new) {
                    for (to, bytes_max) in [(u64::MAX, usize::MAX), (last + 9, 3), (from.get(), 0), (from.get() + 2, 2)] {
                        let load = Load::Entries { from, to: LogIndex::new(to), bytes_max };
                        if let Some(read) = tail.read(load) {
                            prop_assert_eq!(read, stored.load(&load));
                        }
                    }
                }
                // What was given last fits or is not there at all.
                let newest = tail.read(Load::Entries { from: LogIndex::new(last), to: LogIndex::new(last), bytes_max: 0 });
                prop_assert_eq!(newest.is_some(), !tail.pieces.is_empty());
            }
        }
    }

    #[test]
    fn a_batch_fits_or_nothing_is_kept() {
        let entries = |indexes: std::ops::Range<u64>| Batch {
            entries: indexes.map(|index| entry(1, index)).collect(),
            ..Batch::default()
        };
        let each = mem::size_of::<Entry>() + 1;
        let mut tail = Tail::new(4 * each);
        let first = |tail: &Tail| tail.pieces.front().map(|piece| piece.first.get());
        for (indexes, kept_from) in [
            (1..3, Some(1)),
            (3..5, Some(1)),
            (5..6, Some(3)),
            (6..10, Some(6)),
            (10..15, None),
            (15..16, Some(15)),
        ] {
            tail.follow(&entries(indexes.clone()));
            assert_eq!(first(&tail), kept_from, "{indexes:?}");
        }
        // A gap is the writer's to refuse; nothing that lies beside it is read from here.
        tail.follow(&entries(17..18));
        assert_eq!(first(&tail), None);
    }
}
