//! Whether the quorums of one configuration meet those of the next (§6): if two of them need not, both could decide.

use raft_core::{Configuration, Member};

/// Whether every quorum of the one has a server in common with every quorum of the other.
pub(super) fn meet(one: &Configuration, other: &Configuration) -> bool {
    one.electorates().any(|voters| other.electorates().any(|others| majorities_meet(voters, others)))
}

/// Two majorities avoid each other if those that both electorates have are enough for what each needs of them at least.
fn majorities_meet(one: &[Member], other: &[Member]) -> bool {
    let common = one.iter().filter(|voter| other.contains(voter)).count();
    let needs = |voters: &[Member]| (voters.len() / 2 + 1).saturating_sub(voters.len() - common);
    needs(one) + needs(other) > common
}

#[cfg(test)]
mod tests {
    use raft_core::{Next, NodeId};

    use super::*;

    fn simple(ids: &[u64]) -> Configuration {
        Configuration::of(ids.iter().map(|&id| NodeId::new(id)))
    }

    fn joint(old: &[u64], new: &[u64]) -> Configuration {
        let next = Next { voters: simple(new).voters, learners: Vec::new(), joint: true };
        Configuration { next: Some(next), ..simple(old) }
    }

    /// Each row: two configurations, and whether their quorums meet.
    #[test]
    fn quorums_meet_where_no_two_can_avoid_each_other() {
        for (one, other, expected) in [
            (simple(&[1, 2, 3]), simple(&[1, 2, 3]), true),
            (simple(&[1, 2, 3]), simple(&[1, 2, 3, 4]), true),
            (simple(&[1, 2, 3]), simple(&[1, 2]), true),
            (simple(&[1, 2, 3]), simple(&[1, 2, 3, 4, 5]), false),
            (simple(&[1, 2, 3]), simple(&[1, 4, 5]), false),
            (simple(&[1]), simple(&[2]), false),
            (simple(&[1, 2, 3]), joint(&[1, 2, 3], &[4, 5, 6]), true),
            (joint(&[1, 2, 3], &[4, 5, 6]), simple(&[4, 5, 6]), true),
            (joint(&[1, 2, 3], &[4, 5, 6]), simple(&[7, 8, 9]), false),
        ] {
            assert_eq!(meet(&one, &other), expected, "{one} and {other}");
            assert_eq!(meet(&other, &one), expected, "{other} and {one}");
        }
    }
}
