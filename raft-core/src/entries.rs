//! Entries that are shared: one batch lies in the log, is on its way to every follower and to the disk, and is
//! applied, and nobody copies it.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use crate::entry::Entry;
use crate::types::LogIndex;

/// A batch of so many entries goes as it is. Smaller ones that follow each other are put together: then one
/// message or write for all of them is worth a copy.
const WORTH_SENDING: usize = 64;

/// Entries in order. A clone shares them with its original; neither can change them.
#[derive(Clone, Default)]
pub struct Entries {
    /// None where there are none.
    all: Option<Arc<[Entry]>>,
    from: usize,
    to: usize,
    /// Of their payloads, in all.
    bytes: usize,
}

impl Entries {
    /// Those of `first`, and of `rest` which follows it, that lie at or before `to` and fit into `bytes_max`, but
    /// at least one; not all of them, perhaps. A no-op counts as one byte.
    pub(crate) fn gather<'a>(
        first: Self,
        rest: impl Iterator<Item = &'a Self> + Clone,
        to: LogIndex,
        bytes_max: usize,
    ) -> Self {
        let whole = first.last().is_some_and(|last| last.id.index <= to)
            && first.bytes.saturating_add(first.len()) <= bytes_max;
        let more = rest.clone().next().and_then(|next| next.first()).is_some_and(|next| next.id.index <= to);
        if whole && (first.len() >= WORTH_SENDING || !more) {
            return first;
        }
        let mut bytes = 0;
        let mut fits = |entry: &&Entry| {
            let is_first = bytes == 0;
            bytes += entry.payload.bytes().len().max(1);
            entry.id.index <= to && (is_first || bytes <= bytes_max)
        };
        let count = first.iter().take_while(&mut fits).count();
        if count < first.len() {
            return first.up_to(count);
        }
        match rest.clone().flatten().take_while(fits).count() {
            0 => first,
            more => Self::copied(&first, rest, more),
        }
    }

    /// All of `first`, and of `rest` which follows it: shared if they are in one piece, copied if not.
    pub(crate) fn joined<'a>(first: Self, rest: impl Iterator<Item = &'a Self> + Clone) -> Self {
        match rest.clone().map(|piece| piece.len()).sum() {
            0 => first,
            more => Self::copied(&first, rest, more),
        }
    }

    /// All of `first`, and `more` of `rest`.
    fn copied<'a>(first: &[Entry], rest: impl Iterator<Item = &'a Self>, more: usize) -> Self {
        let mut entries = Vec::with_capacity(first.len() + more);
        entries.extend_from_slice(first);
        entries.extend(rest.flatten().take(more).cloned());
        entries.into()
    }

    /// The first `count` of them.
    pub(crate) fn up_to(self, count: usize) -> Self {
        let (from, to) = (self.from, self.to.min(self.from.saturating_add(count)));
        self.part(from, to)
    }

    /// All but the first `count` of them.
    pub(crate) fn after(self, count: usize) -> Self {
        let (from, to) = (self.from.saturating_add(count).min(self.to), self.to);
        self.part(from, to)
    }

    /// The index of the first; 0 where there are none.
    pub(crate) fn begins(&self) -> LogIndex {
        self.first().map_or(LogIndex::ZERO, |first| first.id.index)
    }

    /// The index of the last; 0 where there are none.
    pub(crate) fn ends(&self) -> LogIndex {
        self.last().map_or(LogIndex::ZERO, |last| last.id.index)
    }

    /// Whether [`Entries::gather`] takes these, and nothing that follows them.
    pub(crate) fn go_alone(&self, to: LogIndex, bytes_max: usize) -> bool {
        let Some(last) = self.last() else { return false };
        let enough = last.id.index == to || (last.id.index < to && self.len() >= WORTH_SENDING);
        enough && self.bytes.saturating_add(self.len()) <= bytes_max
    }

    /// The bytes of their payloads, in all.
    pub(crate) const fn payload_bytes(&self) -> usize {
        self.bytes
    }

    /// What they take in memory, in bytes.
    pub(crate) fn weight(&self) -> usize {
        self.len() * size_of::<Entry>() + self.bytes
    }

    fn part(mut self, from: usize, to: usize) -> Self {
        if (from, to) != (self.from, self.to) {
            (self.from, self.to) = (from, to);
            self.bytes = payload_bytes(&self);
        }
        self
    }
}

fn payload_bytes(entries: &[Entry]) -> usize {
    entries.iter().map(|entry| entry.payload.bytes().len()).sum()
}

impl Deref for Entries {
    type Target = [Entry];

    fn deref(&self) -> &[Entry] {
        self.all.as_ref().and_then(|all| all.get(self.from..self.to)).unwrap_or_default()
    }
}

impl From<Vec<Entry>> for Entries {
    fn from(mut entries: Vec<Entry>) -> Self {
        Self::from(&mut entries)
    }
}

/// Takes all of them out; the room is left, to be filled again.
impl From<&mut Vec<Entry>> for Entries {
    fn from(entries: &mut Vec<Entry>) -> Self {
        let (to, bytes) = (entries.len(), payload_bytes(entries));
        Self { all: (to > 0).then(|| entries.drain(..).collect()), from: 0, to, bytes }
    }
}

impl FromIterator<Entry> for Entries {
    fn from_iter<T: IntoIterator<Item = Entry>>(entries: T) -> Self {
        entries.into_iter().collect::<Vec<_>>().into()
    }
}

impl<'a> IntoIterator for &'a Entries {
    type Item = &'a Entry;
    type IntoIter = std::slice::Iter<'a, Entry>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl PartialEq for Entries {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Entries {}

impl Hash for Entries {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (**self).hash(hasher);
    }
}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

    use super::*;
    use crate::entry::Payload;
    use crate::types::{EntryId, Term};

    /// Entries from this index on, with payloads of these sizes.
    fn entries(from: u64, sizes: &[usize]) -> Entries {
        let entry = |(index, &size)| {
            let id = EntryId::new(Term::new(1), LogIndex::new(index));
            Entry::new(id, Payload::Command(vec![0; size].into()))
        };
        (from..).zip(sizes).map(entry).collect()
    }

    fn hash(entries: &Entries) -> u64 {
        BuildHasherDefault::<DefaultHasher>::default().hash_one(entries)
    }

    #[test]
    fn a_part_of_a_batch_is_like_the_same_entries_by_themselves() {
        let all = entries(1, &[1, 2, 3, 4, 5]);
        let part = all.clone().after(1).up_to(3);
        let alike = entries(2, &[2, 3, 4]);
        assert_eq!((&part, hash(&part)), (&alike, hash(&alike)));
        assert!(part != all && hash(&part) != hash(&all));
        assert_eq!((part.begins().get(), part.ends().get(), part.payload_bytes()), (2, 4, 9));
        let none = part.after(3);
        assert_eq!((none.begins().get(), none.ends().get(), none.payload_bytes()), (0, 0, 0));
        assert!(none == Entries::default() && Entries::from(Vec::new()).all.is_none());
    }

    /// Whatever lies there and may be taken: what is taken is its beginning, within both limits, and at least
    /// one; and of a batch that is said to go alone, it is that batch.
    #[test]
    fn what_is_gathered_is_within_the_limits() {
        for (first, second) in [
            (&[3, 3, 3][..], &[3, 3][..]),
            (&[3, 3, 3], &[]),
            (&[0, 5, 0], &[1]),
            (&[], &[2]),
            (&[0; 64], &[0, 0]),
            (&[1; 65], &[1, 1]),
        ] {
            let (first, second) = (entries(1, first), entries(1 + first.len() as u64, second));
            let all = [&first[..], &second].concat();
            for (to, bytes_max) in (0..=68).flat_map(|to| (0..=140).map(move |bytes_max| (to, bytes_max))) {
                let case = format!("{} and {} to {to}, {bytes_max}", first.len(), second.len());
                let to = LogIndex::new(to);
                let taken = Entries::gather(first.clone(), [&second].into_iter(), to, bytes_max);
                assert_eq!(taken[..], all[..taken.len()], "{case}");
                let bytes: usize = taken.iter().map(|entry| entry.payload.bytes().len().max(1)).sum();
                assert!(taken.ends() <= to && (bytes <= bytes_max || taken.len() == 1), "{case}");
                assert_eq!(taken.is_empty(), to == LogIndex::ZERO, "{case}");
                assert!(taken == first || !first.go_alone(to, bytes_max), "{case}");
            }
        }
    }
}
