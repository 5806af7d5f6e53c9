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
}
