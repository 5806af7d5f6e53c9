//! Which pieces on disk belong to which snapshot (§7), and nothing else.
//!
//! Each snapshot that is begun gets a number. Numbers only grow and none is used twice, so the stale
//! pieces of one that was given up or replaced can never be taken for a piece of another.

use raft_core::{Part, Partial, Snapshot};
use serde::{Deserialize, Serialize};

/// The number of a snapshot: the place of its pieces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Number(u64);

impl Number {
    pub(crate) const fn get(self) -> u64 {
        self.0
    }
}

/// The numbers from one to another, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Freed {
    pub(crate) first: Number,
    pub(crate) last: Number,
}

impl Freed {
    /// Those from `first` to before `end`, if there are any.
    fn between(first: Number, end: Number) -> Option<Self> {
        (first < end).then(|| Self { first, last: Number(end.0 - 1) })
    }
}

/// A snapshot, or the beginning of one, and where its pieces are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Numbered<S = Snapshot> {
    pub(crate) number: Number,
    pub(crate) snapshot: S,
    /// Where the last piece begins that there is.
    pub(crate) last_offset: u64,
    /// Where it ends: the length of what there is, in bytes.
    bytes: u64,
}

/// The snapshots of one group; of an earlier format where a snapshot is said otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Snapshots<S = Snapshot> {
    whole: Option<Numbered<S>>,
    partial: Option<Numbered<S>>,
    next: Number,
}

impl<S> Numbered<S> {
    /// The length of what there is, in bytes.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl<S> Snapshots<S> {
    /// The same snapshots, said otherwise.
    pub(crate) fn map<T>(self, say: impl Fn(S) -> T) -> Snapshots<T> {
        let numbered = |Numbered { number, snapshot, last_offset, bytes }: Numbered<S>| Numbered {
            number,
            snapshot: say(snapshot),
            last_offset,
            bytes,
        };
        let Self { whole, partial, next } = self;
        Snapshots { whole: whole.map(&numbered), partial: partial.map(&numbered), next }
    }
}

impl Default for Snapshots {
    fn default() -> Self {
        Self { whole: None, partial: None, next: Number::default() }
    }
}

impl Snapshots {
    /// The whole one.
    pub(crate) const fn whole(&self) -> Option<&Numbered> {
        self.whole.as_ref()
    }

    /// The beginning of another one.
    pub(crate) fn partial(&self) -> Option<Partial> {
        let partial =
            |partial: &Numbered| Partial { snapshot: partial.snapshot.clone(), bytes: partial.bytes };
        self.partial.as_ref().map(partial)
    }

    /// The same, and where its pieces are.
    pub(crate) const fn begun(&self) -> Option<&Numbered> {
        self.partial.as_ref()
    }

    /// The number that the next one is given.
    pub(crate) const fn next(&self) -> Number {
        self.next
    }

    /// The numbers whose pieces nobody reads again: those before the whole one, and those that were begun after it and
    /// given up.
    pub(crate) fn freed(&self) -> [Option<Freed>; 2] {
        let number = |numbered: &Numbered| numbered.number;
        let begun = self.partial.as_ref().map_or(self.next, number);
        let whole = self.whole.as_ref().map(number);
        let after = whole.and_then(|whole| Freed::between(Number(whole.0 + 1), begun));
        [Freed::between(Number::default(), whole.unwrap_or(begun)), after]
    }

    /// The number for a piece that joins on. The first piece of a snapshot puts an end to an unfinished one;
    /// the last one makes it whole.
    pub(crate) fn store(&mut self, part: &Part) -> Number {
        let Part { snapshot, chunk } = part;
        let (last_offset, bytes) = (chunk.offset, chunk.end());
        let partial = match self.partial.take() {
            Some(partial) if chunk.offset > 0 => Numbered { last_offset, bytes, ..partial },
            Some(_) | None => {
                let number = self.next;
                self.next.0 += 1;
                Numbered { number, snapshot: snapshot.clone(), last_offset, bytes }
            }
        };
        let number = partial.number;
        if chunk.done {
            self.whole = Some(partial);
        } else {
            self.partial = Some(partial);
        }
        number
    }

    /// The beginning of another one is not whole, and has to begin anew.
    pub(crate) fn give_up(&mut self) {
        self.partial = None;
    }

    /// Whether this, read from a disk, is what [`store`](Self::store) can have made.
    pub(crate) fn is_sound(&self) -> bool {
        let numbers: Vec<_> =
            self.whole.iter().chain(&self.partial).map(|numbered| numbered.number).collect();
        let ends =
            self.whole.iter().chain(&self.partial).all(|numbered| numbered.last_offset <= numbered.bytes);
        ends && numbers.iter().chain([&self.next]).is_sorted_by(|a, b| a < b)
    }
}

#[cfg(test)]
mod tests {
    use raft_core::{Chunk, Configured, EntryId, Incarnation, LogIndex, SnapshotId, Term};

    use super::*;

    fn part(index: u64, offset: u64, done: bool) -> Part {
        let last_included = EntryId::new(Term::new(1), LogIndex::new(index));
        let id = SnapshotId { last_included, made_by: Incarnation(1) };
        let snapshot = Snapshot { id, configured: Configured::default() };
        Part { snapshot, chunk: Chunk::new(offset, "12345".into(), done) }
    }

    /// Each row: a piece, its number, the numbers that are read no more, the whole snapshot, and the length of the
    /// partial one.
    #[test]
    fn a_snapshot_that_is_begun_gets_a_number_that_none_had_before() {
        let mut snapshots = Snapshots::default();
        for (part, number, freed, whole, partial) in [
            (part(1, 0, false), 0, [None, None], None, Some(5)),
            (part(1, 5, false), 0, [None, None], None, Some(10)),
            (part(2, 0, false), 1, [Some((0, 0)), None], None, Some(5)),
            (part(2, 5, true), 1, [Some((0, 0)), None], Some(2), None),
            (part(3, 0, false), 2, [Some((0, 0)), None], Some(2), Some(5)),
            (part(3, 0, false), 3, [Some((0, 0)), Some((2, 2))], Some(2), Some(5)),
            (part(3, 0, false), 4, [Some((0, 0)), Some((2, 3))], Some(2), Some(5)),
            (part(3, 5, true), 4, [Some((0, 3)), None], Some(3), None),
            (part(4, 0, true), 5, [Some((0, 4)), None], Some(4), None),
        ] {
            assert_eq!(snapshots.store(&part).get(), number, "{part:?}");
            let numbers =
                snapshots.freed().map(|freed| freed.map(|Freed { first, last }| (first.get(), last.get())));
            assert_eq!(numbers, freed, "{part:?}");
            assert_eq!(snapshots.whole().map(|whole| whole.snapshot.index().get()), whole, "{part:?}");
            assert_eq!(snapshots.partial().map(|partial| partial.bytes), partial, "{part:?}");
            assert!(snapshots.is_sound(), "{snapshots:?}");
        }
    }

    /// Each row cannot have been written by this version.
    #[test]
    fn snapshots_that_contradict_each_other_are_not_sound() {
        let numbered = |number, last_offset| {
            let snapshot = part(1, 0, false).snapshot;
            Some(Numbered { number: Number(number), snapshot, last_offset, bytes: 5 })
        };
        for (whole, partial, next) in [
            (numbered(1, 0), None, 1),
            (None, numbered(2, 0), 1),
            (numbered(1, 0), numbered(1, 0), 2),
            (numbered(2, 0), numbered(1, 0), 3),
            (numbered(1, 6), None, 2),
            (numbered(1, 0), numbered(2, 6), 3),
        ] {
            let snapshots = Snapshots { whole, partial, next: Number(next) };
            assert!(!snapshots.is_sound(), "{snapshots:?}");
        }
    }
}
