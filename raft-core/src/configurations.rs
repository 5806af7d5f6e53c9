//! The configurations of a server's log: one takes effect as soon as its entry is in the log, committed or not, and
//! goes with it (§6: "a server always uses the latest configuration in its log").

use std::hash::{Hash, Hasher};

use crate::configuration::{Configuration, Configured, Member, sorted};
use crate::types::{EntryId, LogIndex, NodeId};

/// What is in force at each entry of the log, in order. The first is in force before the log; where a server
/// knows of none, that one has no voters.
#[derive(Clone, Debug)]
pub(crate) struct Configurations {
    list: Vec<Configured>,
}

impl Configurations {
    /// Before the log `first`, and then those of `log`, of which the first may have them already.
    pub(crate) fn restored(first: Configured, mut log: Vec<Configured>) -> Self {
        log.retain(|configured| configured.at.index > first.at.index);
        log.insert(0, first);
        Self { list: log }
    }

    /// The one that is in force.
    pub(crate) fn latest(&self) -> &Configured {
        self.list.last().unwrap_or(const { &Configured { at: EntryId::ZERO, configuration: NOBODY } })
    }

    /// The one that was in force at `index`; none if that is no longer known.
    pub(crate) fn as_of(&self, index: LogIndex) -> Option<&Configured> {
        self.list.iter().rev().find(|configured| configured.at.index <= index)
    }

    /// The one that was in force at `index`, and all after it.
    pub(crate) fn since(&self, index: LogIndex) -> impl Iterator<Item = &Configuration> {
        let later = self.list.partition_point(|configured| configured.at.index <= index);
        self.list.iter().skip(later.saturating_sub(1)).map(|configured| &configured.configuration)
    }

    /// An entry with it was appended.
    pub(crate) fn append(&mut self, at: EntryId, configuration: Configuration) {
        self.list.push(Configured { at, configuration });
    }

    /// The entry at `from` and all that follow it are gone. Whether another configuration is in force now.
    pub(crate) fn truncate(&mut self, from: LogIndex) -> bool {
        let before = self.list.len();
        let left = self.list.partition_point(|configured| configured.at.index < from).max(1);
        self.list.truncate(left);
        self.list.len() < before
    }

    /// All that is at or before `index` is committed: what was in force before it will not be again.
    pub(crate) fn forget_before(&mut self, index: LogIndex) {
        let later = self.list.partition_point(|configured| configured.at.index <= index);
        self.list.drain(..later.saturating_sub(1));
    }

    /// A snapshot stands for the whole log. Whether another configuration is in force now.
    pub(crate) fn reset(&mut self, configured: Configured) -> bool {
        let is_another = *self.latest() != configured;
        self.list = vec![configured];
        is_another
    }

    /// Feeds what a fingerprint needs, where servers have other names.
    pub(crate) fn hash_state(&self, name: &dyn Fn(NodeId) -> NodeId, hasher: &mut impl Hasher) {
        let renamed =
            |list: &[Member]| sorted(list.iter().map(|member| Member { id: name(member.id), ..*member }));
        for Configured { at, configuration: Configuration { voters, learners, next } } in &self.list {
            (at, renamed(voters), renamed(learners)).hash(hasher);
            if let Some(next) = next {
                (renamed(&next.voters), renamed(&next.learners), next.joint).hash(hasher);
            }
        }
    }
}

const NOBODY: Configuration = Configuration { voters: Vec::new(), learners: Vec::new(), next: None };

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::Next;
    use crate::fingerprint::{Fnv1a, all_differ, names};
    use crate::types::Term;

    fn of(voters: u64) -> Configuration {
        Configuration::of((1..=voters).map(NodeId::new))
    }

    fn id(index: u64) -> EntryId {
        EntryId::new(Term::new(1), LogIndex::new(index))
    }

    #[test]
    fn what_is_truncated_is_no_longer_in_force() {
        let mut configurations = Configurations::restored(of(1).into(), Vec::new());
        configurations.append(id(3), of(2));
        configurations.append(id(5), of(3));
        assert!(!configurations.truncate(LogIndex::new(6)));
        assert!(configurations.truncate(LogIndex::new(5)));
        assert_eq!((configurations.latest().at, &configurations.latest().configuration), (id(3), &of(2)));
        assert!(configurations.truncate(LogIndex::new(1)));
        assert_eq!(configurations.latest().configuration, of(1));
    }

    #[test]
    fn what_was_in_force_is_known_back_to_where_the_log_may_go() {
        let mut configurations = Configurations::restored(of(1).into(), Vec::new());
        configurations.append(id(3), of(2));
        configurations.append(id(5), of(3));
        let voters = |configurations: &Configurations, index| {
            configurations.as_of(LogIndex::new(index)).map(|configured| configured.configuration.voters.len())
        };
        assert_eq!([0, 2, 3, 4, 9].map(|index| voters(&configurations, index)), [1, 1, 2, 2, 3].map(Some));
        let since = |index| {
            configurations.since(LogIndex::new(index)).map(|one| one.voters.len()).collect::<Vec<_>>()
        };
        assert_eq!([since(0), since(4), since(5)], [vec![1, 2, 3], vec![2, 3], vec![3]]);
        configurations.forget_before(LogIndex::new(4));
        assert_eq!([2, 3, 9].map(|index| voters(&configurations, index)), [None, Some(2), Some(3)]);
    }

    #[test]
    fn a_fingerprint_tells_who_takes_part_and_who_is_to() {
        let list = |at, configuration| Configurations { list: vec![Configured { at, configuration }] };
        let learns = |learner: u64| of(3).with_learners([NodeId::new(learner)]);
        let becomes = |next: Configuration, joint| Configuration {
            next: Some(Next { voters: next.voters, learners: next.learners, joint }),
            ..of(3)
        };
        let states = [
            list(id(1), of(3)),
            list(id(2), of(3)),
            list(id(1), of(4)),
            list(id(1), learns(4)),
            list(id(1), learns(5)),
            list(id(1), becomes(of(4), false)),
            list(id(1), becomes(of(4), true)),
            list(id(1), becomes(of(5), false)),
            list(id(1), becomes(learns(4), false)),
        ];
        let feed = |state: &Configurations, name: &dyn Fn(NodeId) -> NodeId, hasher: &mut Fnv1a| {
            state.hash_state(name, hasher);
        };
        let all = names(&states, false, feed);
        assert!(all_differ(all.clone()));
        assert_eq!(all, names(&states, true, feed), "n2 and n3 do the same in each");
    }

    /// Where the log begins a little before what its snapshot stands for, both have the same.
    #[test]
    fn what_a_snapshot_has_is_not_taken_from_the_log_once_more() {
        let at = |index, voters| Configured { at: id(index), configuration: of(voters) };
        let configurations = Configurations::restored(at(5, 3), vec![at(3, 2), at(5, 3), at(7, 4)]);
        assert_eq!(configurations.list, [at(5, 3), at(7, 4)]);
        assert_eq!(configurations.as_of(LogIndex::new(4)), None);
    }

    /// What was in force at the last committed entry is kept, and nothing before it.
    #[test]
    fn what_will_not_be_in_force_again_is_forgotten() {
        for (committed, left) in [(2, 3), (3, 2), (4, 2), (5, 1), (9, 1)] {
            let mut configurations = Configurations::restored(of(1).into(), Vec::new());
            configurations.append(id(3), of(2));
            configurations.append(id(5), of(3));
            configurations.forget_before(LogIndex::new(committed));
            assert_eq!(configurations.list.len(), left, "{committed}");
        }
    }

    #[test]
    fn a_snapshot_has_the_only_configuration_that_is_left() {
        let mut configurations = Configurations::restored(of(1).into(), Vec::new());
        configurations.append(id(3), of(2));
        for (configured, is_another) in [(id(3), false), (id(7), true)] {
            let configured = Configured { at: configured, configuration: of(2) };
            assert_eq!(configurations.reset(configured.clone()), is_another);
            assert_eq!(configurations.list, [configured]);
        }
    }
}
