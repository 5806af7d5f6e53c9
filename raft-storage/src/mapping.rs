//! Where an entry lies on disk: logical index to physical slot, and nothing else.
//!
//! The mapping is a short list of runs: straight lines from indexes to slots. Appending extends the
//! last run. Truncating cuts it, and the next append starts a new run. Compacting drops runs from the
//! front. An entry that is replaced, because its bytes are damaged, gets a fresh slot: the run that it was
//! in is split around it. Slots only grow and none is used twice, so keys arrive in order, neither a
//! truncation nor a compaction writes anything to the log, and the stale bytes of a superseded or damaged entry
//! can never be taken for an entry.

use std::ops::Range;

use raft_core::LogIndex;
use serde::{Deserialize, Serialize};

/// The physical place of an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Slot(u64);

impl Slot {
    pub(crate) const fn get(self) -> u64 {
        self.0
    }

    /// The slot before this one; none before the first.
    pub(crate) fn before(self) -> Option<Self> {
        self.0.checked_sub(1).map(Self)
    }
}

/// One straight line: `first_index` lies in `first_slot`, the next index in the next slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Run {
    first_index: LogIndex,
    first_slot: Slot,
    /// Entries; never zero.
    len: u64,
}

impl Run {
    /// Of these, counted from the first one, the indexes and the slots.
    fn places(self, nths: Range<u64>) -> impl Iterator<Item = (LogIndex, Slot)> {
        nths.map(move |nth| (LogIndex::new(self.first_index.get() + nth), Slot(self.first_slot.0 + nth)))
    }
}

/// The runs of one log, in order of their indexes, without a gap between these. Where nothing was replaced their
/// slots are in order too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mapping {
    runs: Vec<Run>,
    next_index: LogIndex,
    next_slot: Slot,
}

impl Mapping {
    /// That of a log without entries, of which nothing has been compacted.
    pub(crate) const fn new() -> Self {
        Self { runs: Vec::new(), next_index: LogIndex::new(1), next_slot: Slot(0) }
    }

    /// The index of the first entry; of an empty log, that of the entry to come.
    pub(crate) fn first_index(&self) -> LogIndex {
        self.runs.first().map_or(self.next_index, |run| run.first_index)
    }

    /// The last index of the log; of an empty one, the index before the entry to come.
    pub(crate) const fn last_index(&self) -> LogIndex {
        self.next_index.prev()
    }

    /// The lowest slot of an entry; of an empty log, that of the entry to come. No slot before it is read
    /// again.
    pub(crate) fn first_slot(&self) -> Slot {
        self.runs.iter().map(|run| run.first_slot).min().unwrap_or(self.next_slot)
    }

    /// The slot that the next entry is given.
    pub(crate) const fn next_slot(&self) -> Slot {
        self.next_slot
    }

    /// The straight lines, in order: the first index, the first slot, and how many entries.
    pub(crate) fn runs(&self) -> impl Iterator<Item = (LogIndex, Slot, u64)> {
        self.runs.iter().map(|run| (run.first_index, run.first_slot, run.len))
    }

    /// The slot for the entry that follows the last one. No entry was ever given it before.
    pub(crate) fn append(&mut self) -> Slot {
        let slot = self.next_slot;
        match self.runs.last_mut() {
            Some(run) if run.first_slot.0 + run.len == slot.0 => run.len += 1,
            Some(_) | None => self.runs.push(Run { first_index: self.next_index, first_slot: slot, len: 1 }),
        }
        self.next_index = self.next_index.next();
        self.next_slot = Slot(slot.0 + 1);
        slot
    }

    /// A fresh slot for the entry at `index`, in the place of the one it had; none if the log does not have that
    /// entry. Neighbours that are replaced one after the other lie in one run again.
    pub(crate) fn replace(&mut self, index: LogIndex) -> Option<Slot> {
        let place = self.runs.partition_point(|run| run.first_index.get() + run.len <= index.get());
        let old = *self.runs.get(place).filter(|run| run.first_index <= index)?;
        let slot = self.next_slot;
        self.next_slot = Slot(slot.0 + 1);
        let before = index.get() - old.first_index.get();
        let mut fresh = Run { first_index: index, first_slot: slot, len: 1 };
        let neighbour = place.checked_sub(1).and_then(|place| self.runs.get_mut(place));
        if let Some(neighbour) = neighbour
            && before == 0
            && neighbour.first_slot.0 + neighbour.len == slot.0
        {
            neighbour.len += 1;
            fresh.len = 0;
        }
        let after = Run {
            first_index: index.next(),
            first_slot: Slot(old.first_slot.0 + before + 1),
            len: old.len - before - 1,
        };
        let split = [Run { len: before, ..old }, fresh, after];
        self.runs.splice(place..=place, split.into_iter().filter(|run| run.len > 0));
        Some(slot)
    }

    /// The entry at `from` and all that follow it go (§5.3). Their slots stay used.
    pub(crate) fn truncate(&mut self, from: LogIndex) {
        let from = from.max(self.first_index());
        while let Some(run) = self.runs.last_mut() {
            if run.first_index < from {
                run.len = run.len.min(from.get() - run.first_index.get());
                break;
            }
            self.runs.pop();
        }
        self.next_index = self.next_index.min(from);
    }

    /// The entry at `base` and all before it go (§7). Where the log ends earlier, it is empty now, and the
    /// entry to come follows `base`.
    pub(crate) fn compact(&mut self, base: LogIndex) {
        let first = base.next();
        let gone = self.runs.partition_point(|run| run.first_index.get() + run.len <= first.get());
        self.runs.drain(..gone);
        if let Some(run) = self.runs.first_mut() {
            let cut = first.get().saturating_sub(run.first_index.get());
            run.first_index = LogIndex::new(run.first_index.get() + cut);
            run.first_slot.0 += cut;
            run.len -= cut;
        }
        self.next_index = self.next_index.max(first);
    }

    /// The entries from `from` to `to` that the log has, in order, and their slots.
    pub(crate) fn slots(&self, from: LogIndex, to: LogIndex) -> impl Iterator<Item = (LogIndex, Slot)> {
        self.runs.iter().flat_map(move |run| {
            let past_first = |index: u64| index.saturating_sub(run.first_index.get());
            let nths = past_first(from.get())..run.len.min(past_first(to.get().saturating_add(1)));
            run.places(nths)
        })
    }

    /// All entries and their slots, in the order of the slots: that of the keys on disk.
    pub(crate) fn in_order_of_slots(&self) -> impl Iterator<Item = (LogIndex, Slot)> {
        self.runs_by_slot().into_iter().flat_map(|run| run.places(0..run.len))
    }

    fn runs_by_slot(&self) -> Vec<Run> {
        let mut runs = self.runs.clone();
        runs.sort_unstable_by_key(|run| run.first_slot);
        runs
    }

    /// Whether this, read from a disk, is what [`append`](Self::append), [`replace`](Self::replace),
    /// [`truncate`](Self::truncate) and [`compact`](Self::compact) can have made.
    pub(crate) fn is_sound(&self) -> bool {
        let first_index = self.first_index().get();
        let next_index = self.runs.iter().try_fold(first_index, |index, run| {
            let joins_on = run.first_index.get() == index && run.len > 0;
            index.checked_add(run.len).filter(|_| joins_on)
        });
        let end_slot = self.runs_by_slot().iter().try_fold(0_u64, |end, run| {
            run.first_slot.0.checked_add(run.len).filter(|_| run.first_slot.0 >= end)
        });
        first_index > 0
            && next_index == Some(self.next_index.get())
            && end_slot.is_some_and(|end| end <= self.next_slot.0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Act {
        Append { count: u64 },
        Replace { from: u64, count: u64 },
        Truncate { from: u64 },
        Compact { base: u64 },
    }

    /// Indexes are meant from the first one of the log, and may lie a little before it or past the end.
    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            3 => (0..20_u64).prop_map(|count| Act::Append { count }),
            3 => (0..60_u64, 0..5_u64).prop_map(|(from, count)| Act::Replace { from, count }),
            2 => (0..60_u64).prop_map(|from| Act::Truncate { from }),
            1 => (0..60_u64).prop_map(|base| Act::Compact { base }),
        ]
    }

    /// What a log is held against: its entries, and the index before the first one.
    #[derive(Clone, Debug, Default)]
    struct Model {
        base: u64,
        slots: BTreeMap<LogIndex, Slot>,
    }

    impl Model {
        fn last(&self) -> u64 {
            self.slots.last_key_value().map_or(self.base, |(index, _)| index.get())
        }
    }

    proptest! {
            /// Any life of the log, compactions, installed snapshots and replaced entries among it, reads like a
            /// map from index to slot, and no slot is given twice.
            #[test]
            fn any_life_of_the_log_reads_like_a_map(acts in proptest::collection::vec(act(), 0..60)) {
                let mut mapping = Mapping::new();
                let mut model = Model::default();
                let mut given = None;
                for act in acts {
                    match act {
                        Act::Append { count } => for _ in 0..count {
                            let index = LogIndex::new(model.last() + 1);
                            let slot = mapping.append();
                            prop_assert!(given < Some(slot), "slot {slot:?} after {given:?}");
                            given = Some(slot);
                            model.slots.insert(index, slot);
                        },
                        Act::Replace { from, count } => for index in from..from + count {
                            let index = LogIndex::new(model.base.saturating_sub(5) + index);
                            let slot = mapping.replace(index);
                            prop_assert_eq!(slot.is_some(), model.slots.contains_key(&index));
                            if let Some(slot) = slot {
                                prop_assert!(given < Some(slot), "slot {slot:?} after {given:?}");
                                given = Some(slot);
                                model.slots.insert(index, slot);
                            }
                        },
                        Act::Truncate { from } => {
                            let from = LogIndex::new(model.base.saturating_sub(5) + from);
                            mapping.truncate(from);
                            model.slots.split_off(&from);
                        }
                        Act::Compact { base } => {
                            let base = model.base.saturating_sub(5) + base;
                            mapping.compact(LogIndex::new(base));
                            model.slots = model.slots.split_off(&LogIndex::new(base + 1));
                            model.base = model.base.max(base);
                        }
                    }
                    let all = mapping.slots(LogIndex::ZERO, LogIndex::new(u64::MAX));
                    prop_assert_eq!(all.collect::<Vec<_>>(), model.slots.clone().into_iter().collect::<Vec<_>>());
                    let mut by_slot: Vec<_> = model.slots.clone().into_iter().collect();
                    by_slot.sort_by_key(|(_, slot)| *slot);
                    prop_assert_eq!(mapping.in_order_of_slots().collect::<Vec<_>>(), by_slot.clone());
                    prop_assert_eq!(mapping.first_index().get(), model.base + 1);
                    prop_assert_eq!(mapping.last_index().get(), model.last());
                    prop_assert!(mapping.is_sound());
                    let first_slot = by_slot.first().map(|(_, slot)| *slot);
                    prop_assert!(first_slot.is_none_or(|slot| slot == mapping.first_slot()));
                    prop_assert!(given.is_none_or(|given| first_slot.is_some() || given < mapping.first_slot()));
                }
            }

            /// A part of the log is the same part of the map.
            #[test]
            fn a_part_of_the_log_is_that_part_of_the_map(from in 0..40_u64, to in 0..40_u64) {
                let mut mapping = Mapping::new();
                for (count, truncate) in [(10, 8), (10, 12), (1, 13), (15, 99)] {
                    for _ in 0..count {
    mapping.append();
    }
                    mapping.truncate(LogIndex::new(truncate));
                }
                mapping.compact(LogIndex::new(3));
                let all: Vec<_> = mapping.slots(LogIndex::ZERO, LogIndex::new(u64::MAX)).collect();
                prop_assert_eq!(all.len(), 24);
                let part: Vec<_> = mapping.slots(LogIndex::new(from), LogIndex::new(to)).collect();
                let wanted = all.into_iter().filter(|(index, _)| (from..=to).contains(&index.get()));
                prop_assert_eq!(part, wanted.collect::<Vec<_>>());
            }
        }

    /// Each row: entries of a log of six, replaced in this order, and the runs that there are then.
    #[test]
    fn what_is_replaced_splits_its_run_and_neighbours_share_one() {
        for (replaced, runs) in [
            (vec![3], vec![(1, 0, 2), (3, 6, 1), (4, 3, 3)]),
            (vec![3, 4, 5], vec![(1, 0, 2), (3, 6, 3), (6, 5, 1)]),
            (vec![4, 3], vec![(1, 0, 2), (3, 7, 1), (4, 6, 1), (5, 4, 2)]),
            (vec![1, 6], vec![(1, 6, 1), (2, 1, 4), (6, 7, 1)]),
            (vec![1, 2, 3, 4, 5, 6], vec![(1, 6, 6)]),
            (vec![2, 2], vec![(1, 0, 1), (2, 7, 1), (3, 2, 4)]),
            (vec![0, 7], vec![(1, 0, 6)]),
        ] {
            let mut mapping = Mapping::new();
            for _ in 0..6 {
                mapping.append();
            }
            for index in &replaced {
                mapping.replace(LogIndex::new(*index));
            }
            let found = mapping.runs().map(|(index, slot, len)| (index.get(), slot.get(), len));
            assert_eq!(found.collect::<Vec<_>>(), runs, "{replaced:?}");
        }
    }

    /// Each row cannot have been written by this version.
    #[test]
    fn a_mapping_that_contradicts_itself_is_not_sound() {
        let run = |first_index, first_slot, len| Run {
            first_index: LogIndex::new(first_index),
            first_slot: Slot(first_slot),
            len,
        };
        for (runs, next_index, next_slot) in [
            (vec![], 0, 0),
            (vec![run(0, 0, 1)], 1, 1),
            (vec![run(1, 0, 0)], 1, 0),
            (vec![run(1, 0, 2)], 2, 2),
            (vec![run(1, 0, 2)], 3, 1),
            (vec![run(1, 0, 2), run(4, 2, 1)], 5, 3),
            (vec![run(1, 0, 2), run(3, 1, 1)], 4, 2),
            (vec![run(1, u64::MAX, 2)], 3, u64::MAX),
            (vec![run(u64::MAX, 0, 1)], 0, 1),
        ] {
            let mapping = Mapping { runs, next_index: LogIndex::new(next_index), next_slot: Slot(next_slot) };
            assert!(!mapping.is_sound(), "{mapping:?}");
        }
    }
}
