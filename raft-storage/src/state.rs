//! What one group keeps beside its entries and its pieces of snapshots, in memory and under one key.

use raft_core::{ClusterId, Configured, EntryId, HardState, Incarnation, LogIndex, LogOutline, Restored};
use serde::{Deserialize, Serialize};

use crate::error::StorageError;
use crate::format::STATE_LAYOUT;
use crate::mapping::Mapping;
use crate::record::{seal_layout, unseal_layout};
use crate::snapshots::Snapshots;

/// Written with each batch. All that opening needs to know is in here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) incarnation: Incarnation,
    pub(crate) hard_state: HardState,
    /// The ids of all entries.
    pub(crate) log: LogOutline,
    /// Where they lie.
    pub(crate) mapping: Mapping,
    /// The log reaches at least this far.
    pub(crate) commit_bound: LogIndex,
    pub(crate) snapshots: Snapshots,
    /// Those of the entries that have one.
    pub(crate) configurations: Vec<Configured>,
}

impl State {
    /// That of a new directory.
    pub(crate) fn new(incarnation: Incarnation) -> Self {
        Self {
            incarnation,
            hard_state: HardState::default(),
            log: LogOutline::default(),
            mapping: Mapping::new(),
            commit_bound: LogIndex::ZERO,
            snapshots: Snapshots::default(),
            configurations: Vec::new(),
        }
    }

    /// What a server of `cluster` finds that starts with this.
    pub(crate) fn restored(&self, cluster: Option<ClusterId>) -> Restored {
        Restored {
            cluster,
            hard_state: self.hard_state,
            snapshot: self.snapshots.whole().map(|whole| whole.snapshot.clone()),
            partial: self.snapshots.partial(),
            log: self.log.clone(),
            configurations: self.configurations.clone(),
            damaged: Vec::new(),
            suspect_tail: false,
        }
    }

    /// Replaces what is in `into` by the bytes of this state.
    pub(crate) fn encode(&self, into: &mut Vec<u8>) -> Result<(), StorageError> {
        seal_layout(self, STATE_LAYOUT, into)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (state, rest) = unseal_layout::<Self>(bytes, STATE_LAYOUT)?;
        (rest.is_empty() && state.is_sound()).then_some(state)
    }

    /// Whether its parts, read from a disk, tell of one and the same log.
    pub(crate) fn is_sound(&self) -> bool {
        let (base, last) = (self.log.base().index, self.log.last().index);
        let snapshot = self.snapshots.whole().map_or(LogIndex::ZERO, |whole| whole.snapshot.index());
        self.mapping.is_sound()
            && self.snapshots.is_sound()
            && is_sound(&self.log)
            && (base, last) == (self.mapping.first_index().prev(), self.mapping.last_index())
            && base <= snapshot
            && self.commit_bound <= last
            && self.configurations.iter().all(|configured| self.has(configured))
            && self.configurations.is_sorted_by(|a, b| a.at.index < b.at.index)
    }

    /// Whether the log has an entry with this configuration, and a group can.
    fn has(&self, configured: &Configured) -> bool {
        let Configured { at, configuration } = configured;
        at.index > self.log.base().index && self.log.contains(*at) && configuration.check().is_ok()
    }
}

/// Whether an outline is what appending, truncating and compacting can have made.
fn is_sound(log: &LogOutline) -> bool {
    let (base, last) = (log.base(), log.last());
    let ascending = log.firsts().is_sorted_by(|a, b| a.term < b.term && a.index < b.index);
    let ends = match log.firsts() {
        [] => base == last,
        [first, ..] => base.index.get().checked_add(1) == Some(first.index.get()) && base.term <= first.term,
    };
    let of_last_term = |first: &EntryId| first.term == last.term && first.index <= last.index;
    ascending && ends && log.firsts().last().is_none_or(of_last_term)
}

#[cfg(test)]
mod tests {
    use raft_core::{Chunk, Configuration, NodeId, Part, Snapshot, SnapshotId, Term};

    use super::*;
    use crate::record::tests::assert_all_damage_is_noticed;

    fn id(term: u64, index: u64) -> EntryId {
        EntryId::new(Term::new(term), LogIndex::new(index))
    }

    fn part(last_included: EntryId, done: bool) -> Part {
        let id = SnapshotId { last_included, made_by: Incarnation(5) };
        let snapshot = Snapshot { id, configured: Configuration::of([1, 300].map(NodeId::new)).into() };
        Part { snapshot, chunk: Chunk::new(0, "12345".into(), done) }
    }

    /// Entries 3 to 5 in two runs and of two terms, behind a snapshot; another one has begun.
    fn state() -> State {
        let mut state = State::new(Incarnation(u64::MAX));
        state.hard_state = HardState { current_term: Term::new(9), voted_for: Some(NodeId::new(2)) };
        for id in [id(1, 1), id(1, 2), id(1, 3), id(8, 4), id(8, 5)] {
            assert!(state.log.append(id));
            state.mapping.append();
        }
        state.mapping.truncate(LogIndex::new(5));
        state.mapping.append();
        state.snapshots.store(&part(id(1, 2), true));
        state.log.compact(id(1, 2));
        state.mapping.compact(LogIndex::new(2));
        state.snapshots.store(&part(id(8, 4), false));
        state.commit_bound = LogIndex::new(5);
        let configuration = Configuration::of([1, 2].map(NodeId::new));
        state.configurations.push(Configured { at: id(8, 4), configuration });
        state
    }

    fn decoded(state: &State) -> Option<State> {
        let mut bytes = Vec::new();
        state.encode(&mut bytes).unwrap();
        State::decode(&bytes)
    }

    #[test]
    fn a_state_reads_as_it_was_written_and_no_damage_goes_unnoticed() {
        let mut bytes = Vec::new();
        state().encode(&mut bytes).unwrap();
        assert_eq!(State::decode(&bytes), Some(state()));
        assert_all_damage_is_noticed(&bytes, |bytes| State::decode(bytes).is_none());
    }

    #[test]
    fn a_log_that_ends_before_what_was_committed_is_damaged() {
        assert_eq!(decoded(&State { commit_bound: LogIndex::new(6), ..state() }), None);
    }

    /// Each row changes one part of a state, so that it tells of another log than the others.
    #[test]
    fn a_state_whose_parts_contradict_each_other_is_damaged() {
        let mut longer = state().log;
        assert!(longer.append(id(8, 6)));
        let mut compacted = state().log;
        compacted.compact(id(1, 3));
        let mut slots = state().mapping;
        slots.compact(LogIndex::new(3));
        let of = |at, voters: &[u64]| {
            let configuration = Configuration::of(voters.iter().copied().map(NodeId::new));
            State { configurations: vec![Configured { at, configuration }], ..state() }
        };
        for (what, state) in [
            ("the log ends later than its slots", State { log: longer, ..state() }),
            ("the log begins later than its slots", State { log: compacted, ..state() }),
            ("the slots begin later than the log", State { mapping: slots, ..state() }),
            (
                "no snapshot stands for the first two entries",
                State { snapshots: Snapshots::default(), ..state() },
            ),
            ("a configuration is of an entry that the log does not have", of(id(1, 4), &[1])),
            ("a configuration is of an entry that was compacted", of(id(1, 2), &[1])),
            ("a configuration is none", of(id(8, 4), &[])),
        ] {
            assert_eq!(decoded(&state), None, "{what}");
        }
    }

    /// Each row cannot have been written by this version: base, first entries of the terms, last entry.
    #[test]
    fn an_outline_that_contradicts_itself_is_not_sound() {
        type Ids = (u64, u64);
        let rows: [(Ids, &[Ids], Ids); 9] = [
            ((1, 2), &[], (1, 3)),
            ((1, 2), &[], (2, 2)),
            ((1, 2), &[(1, 4)], (1, 5)),
            ((3, 2), &[(2, 3)], (2, 3)),
            ((1, 2), &[(1, 3), (1, 4)], (1, 4)),
            ((1, 2), &[(1, 3), (2, 3)], (2, 4)),
            ((1, 2), &[(1, 3), (2, 5)], (2, 4)),
            ((1, 2), &[(1, 3), (2, 5)], (1, 6)),
            ((1, u64::MAX), &[(1, 0)], (1, 1)),
        ];
        for row in rows {
            let log: LogOutline = rmp_serde::from_slice(&rmp_serde::to_vec(&row).unwrap()).unwrap();
            assert!(!is_sound(&log), "{log:?}");
        }
    }
}
