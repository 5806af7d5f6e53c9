//! Where an entry lies on disk: logical index to physical slot, and nothing else.
//!
//! The mapping is a short list of runs: straight lines from indexes to slots. Appending extends the
//! last run. Truncating cuts it, and the next append starts a new run. Slots only grow and none is
//! used twice, so keys arrive in order, a truncation writes nothing to the log, and the stale bytes of
//! a superseded entry can never be taken for an entry.

use raft_core::LogIndex;
use serde::{Deserialize, Serialize};

/// The physical place of an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Slot(u64);

impl Slot {
    pub(crate) const fn get(self) -> u64 {
        self.0
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

/// The runs of one log, in order of both index and slot, without a gap between indexes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mapping {
    runs: Vec<Run>,
    next_index: LogIndex,
    next_slot: Slot,
}

impl Mapping {
    /// That of an empty log.
    pub(crate) const fn new() -> Self {
        Self { runs: Vec::new(), next_index: LogIndex::new(1), next_slot: Slot(0) }
    }

    /// The last index of the log; 0 if it is empty.
    pub(crate) const fn last_index(&self) -> LogIndex {
        self.next_index.prev()
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

    /// The entry at `from` and all that follow it go (§5.3). Their slots stay used.
    pub(crate) fn truncate(&mut self, from: LogIndex) {
        let from = from.max(LogIndex::new(1));
        while let Some(run) = self.runs.last_mut() {
            if run.first_index < from {
                run.len = run.len.min(from.get() - run.first_index.get());
                break;
            }
            self.runs.pop();
        }
        self.next_index = self.next_index.min(from);
    }

    /// Every entry and its slot, both ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (LogIndex, Slot)> {
        self.runs.iter().flat_map(|run| {
            (0..run.len).map(|nth| (LogIndex::new(run.first_index.get() + nth), Slot(run.first_slot.0 + nth)))
        })
    }

    /// Whether this, read from a disk, is what [`append`](Self::append) and
    /// [`truncate`](Self::truncate) can have made.
    pub(crate) fn is_sound(&self) -> bool {
        let ends = self.runs.iter().try_fold((1_u64, 0_u64), |(index, slot), run| {
            let joins_on = run.first_index.get() == index && run.first_slot.0 >= slot && run.len > 0;
            let end_slot = run.first_slot.0.checked_add(run.len)?;
            joins_on.then_some((index.checked_add(run.len)?, end_slot))
        });
        ends.is_some_and(|(index, slot)| self.next_index.get() == index && self.next_slot.0 >= slot)
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
        Truncate { from: u64 },
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            (0..20_u64).prop_map(|count| Act::Append { count }),
            (0..60_u64).prop_map(|from| Act::Truncate { from }),
        ]
    }

    proptest! {
        /// Any life of the log reads like a map from index to slot, and no slot is given twice.
        #[test]
        fn any_life_of_the_log_reads_like_a_map(acts in proptest::collection::vec(act(), 0..60)) {
            let mut mapping = Mapping::new();
            let mut model = BTreeMap::new();
            let mut given = None;
            for act in acts {
                match act {
                    Act::Append { count } => for _ in 0..count {
                        let index = model.last_key_value().map_or(1, |(index, _): (&LogIndex, &Slot)| index.get() + 1);
                        let slot = mapping.append();
                        prop_assert!(given < Some(slot), "slot {slot:?} after {given:?}");
                        given = Some(slot);
                        model.insert(LogIndex::new(index), slot);
                    },
                    Act::Truncate { from } => {
                        mapping.truncate(LogIndex::new(from));
                        model.split_off(&LogIndex::new(from));
                    }
                }
                prop_assert_eq!(mapping.iter().collect::<BTreeMap<_, _>>(), model.clone());
                let last = model.last_key_value().map_or(LogIndex::ZERO, |(&index, _)| index);
                prop_assert_eq!(mapping.last_index(), last);
                prop_assert!(mapping.is_sound());
            }
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
            (vec![], 2, 0),
            (vec![run(1, 0, 0)], 1, 0),
            (vec![run(2, 0, 1)], 3, 1),
            (vec![run(1, 0, 2)], 2, 2),
            (vec![run(1, 0, 2)], 3, 1),
            (vec![run(1, 0, 2), run(4, 2, 1)], 5, 3),
            (vec![run(1, 0, 2), run(3, 1, 1)], 4, 2),
            (vec![run(1, u64::MAX, 2)], 3, u64::MAX),
        ] {
            let mapping = Mapping { runs, next_index: LogIndex::new(next_index), next_slot: Slot(next_slot) };
            assert!(!mapping.is_sound(), "{mapping:?}");
        }
    }
}
