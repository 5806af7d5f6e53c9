//! Bugs of real systems in membership changes (M).

use crate::Evidence::{Sentence, Test};
use crate::bugs::{Bug, SEEDS};

const IN_WORLDS: &str = "the_same_holds_while_members_change_and_disks_are_wiped";

pub(crate) const MEMBERSHIP: &[Bug] = &[
    Bug {
        row: "M1",
        seen_at: "Raft dissertation 2015: changes of single servers by leaders of two terms have two majorities",
        told: "https://groups.google.com/g/raft-dev/c/t4xj6dJTP6E",
        planted: &["ChangeBeforeCommitInTerm", "ChangeWithoutJoint"],
        found_by: &[
            Sentence("membership", "a_leader_changes_nothing_before_it_has_committed_in_its_term"),
            Sentence("membership", "agreement_requires_separate_majorities_from_both_configurations"),
            Test(SEEDS, "planted_bugs_are_found"),
        ],
        excluded: "",
    },
    Bug {
        row: "M2",
        seen_at: "etcd raft 2017: a configuration is in force once it is applied; a candidate counts an old quorum",
        told: "https://github.com/etcd-io/etcd/issues/7280",
        planted: &["ConfigurationOnCommit"],
        found_by: &[
            Sentence("membership", "agreement_requires_separate_majorities_from_both_configurations"),
            Test(SEEDS, "planted_bugs_are_found"),
        ],
        excluded: "",
    },
    Bug {
        row: "M3",
        seen_at: "etcd, raft-rs: two removals that only the leader has applied, and two leaders in one term",
        told: "https://github.com/etcd-io/etcd/issues/11284",
        planted: &["ConfigurationOnCommit", "ChangeWhileOneIsUnderWay"],
        found_by: &[
            Sentence("membership", "agreement_requires_separate_majorities_from_both_configurations"),
            Sentence("membership", "the_new_configuration_comes_once_joint_consensus_is_committed"),
            Test(SEEDS, "planted_bugs_are_found"),
        ],
        excluded: "",
    },
    Bug {
        row: "M4",
        seen_at: "etcd raft: nobody can be elected though a majority of old and new is up",
        told: "https://github.com/etcd-io/etcd/issues/12359",
        planted: &["ConfigurationOnCommit", "RemovedServerWaits"],
        found_by: &[
            Sentence("membership", "agreement_requires_separate_majorities_from_both_configurations"),
            Sentence("membership", "a_server_that_is_removed_still_starts_elections_until_that_is_committed"),
            Test(SEEDS, "planted_bugs_are_found"),
        ],
        excluded: "",
    },
    Bug {
        row: "M5",
        seen_at: "etcd's TLA+ specification 2026: a server campaigns that is two configurations behind",
        told: "https://github.com/etcd-io/raft/pull/469",
        planted: &["ConfigurationOnCommit"],
        found_by: &[
            Sentence("membership", "agreement_requires_separate_majorities_from_both_configurations"),
            Test(SEEDS, "the_specification_refuses_the_planted_bugs_that_break_it"),
        ],
        excluded: "",
    },
    Bug {
        row: "M6",
        seen_at: "etcd raft 2025: a second change becomes nothing, and whoever proposed it sees a success",
        told: "https://github.com/etcd-io/raft/issues/354",
        planted: &["SecondChangeDropped"],
        found_by: &[Sentence("membership", "a_change_while_another_is_under_way_is_refused")],
        excluded: "",
    },
    Bug {
        row: "M7",
        seen_at: "etcd raft 2019: a learner that does not know that it votes by now refuses to",
        told: "https://github.com/etcd-io/etcd/pull/10998",
        planted: &["LearnersRefuseVotes"],
        found_by: &[
            Sentence("membership", "a_server_grants_its_vote_to_a_candidate_that_it_does_not_know"),
            Test(SEEDS, "planted_bugs_are_found"),
        ],
        excluded: "",
    },
    Bug {
        row: "M8",
        seen_at: "etcd raft 2019: a leader leaves joint consensus several times, and panics",
        told: "https://github.com/etcd-io/raft/commit/bd3c759",
        planted: &["ChangeWhileOneIsUnderWay"],
        found_by: &[
            Sentence("membership", "the_new_configuration_comes_once_joint_consensus_is_committed"),
            Test(SEEDS, "the_specification_refuses_the_planted_bugs_that_break_it"),
        ],
        excluded: "",
    },
    Bug {
        row: "M9",
        seen_at: "etcd raft 2023: a leader that removed itself leads on, and drops what it is asked",
        told: "https://github.com/etcd-io/raft/commit/72d62a1",
        planted: &["RemovedLeaderLeads"],
        found_by: &[Sentence("membership", "a_leader_that_is_removed_steps_down_once_that_is_committed")],
        excluded: "",
    },
    Bug {
        row: "M10",
        seen_at: "etcd 3.5: a promotion is in one of two stores; after a restart the voter learns again",
        told: "https://github.com/etcd-io/etcd/pull/19563",
        planted: &["RestartForgetsConfiguration"],
        found_by: &[
            Sentence("membership", "a_server_always_uses_the_latest_configuration_in_its_log"),
            Test(SEEDS, "planted_bugs_are_found"),
        ],
        excluded: "There are no two stores: configurations are in the log and in the snapshot of it, and nowhere else.",
    },
    Bug {
        row: "M11",
        seen_at: "etcd: a learner is promoted that never started, or whose address was changed",
        told: "https://github.com/etcd-io/etcd/pull/15096",
        planted: &["JointBeforeCaughtUp"],
        found_by: &[
            Sentence(
                "membership",
                "a_new_server_votes_after_a_round_that_is_shorter_than_an_election_timeout",
            ),
            Test(SEEDS, "planted_bugs_are_found"),
        ],
        excluded: "Configurations have no addresses.",
    },
    Bug {
        row: "M12",
        seen_at: "RethinkDB 2.2.3, Jepsen: a removed server forgets its vote, is added as a new one, and votes twice",
        told: "https://aphyr.com/posts/330-jepsen-rethinkdb-2-2-3-reconfiguration",
        planted: &["AnyLifeCounts"],
        found_by: &[
            Sentence("membership", "a_wiped_disk_under_an_old_id_does_not_count"),
            Sentence("membership", "a_server_whose_disk_was_wiped_does_not_vote"),
            Sentence("membership", "a_vote_is_not_given_again_to_another_life_of_the_candidate"),
            Test(SEEDS, "planted_bugs_are_found"),
        ],
        excluded: "",
    },
    Bug {
        row: "M13",
        seen_at: "openraft 2021: of joint consensus only the first half is looked at",
        told: "https://github.com/databendlabs/openraft/commit/6c0ccaf3",
        planted: &["JointCountsOldOnly"],
        found_by: &[
            Sentence("membership", "agreement_requires_separate_majorities_from_both_configurations"),
            Test(SEEDS, "planted_bugs_are_found"),
        ],
        excluded: "",
    },
    Bug {
        row: "M14",
        seen_at: "openraft 2026: in a change one side has the longest log and the other the highest term",
        told: "https://github.com/databendlabs/openraft/issues/1796",
        planted: &["LowerTermUnanswered"],
        found_by: &[
            Sentence("paper", "a_request_of_a_stale_term_is_rejected_under_ones_own"),
            Test(SEEDS, "planted_bugs_are_found"),
        ],
        excluded: "",
    },
    Bug {
        row: "M15",
        seen_at: "Camunda 2026: members refuse votes by their own role; a restart forgets a configuration",
        told: "https://github.com/camunda/camunda/issues/57386",
        planted: &["LearnersRefuseVotes", "RestartForgetsConfiguration"],
        found_by: &[
            Sentence("membership", "a_server_grants_its_vote_to_a_candidate_that_it_does_not_know"),
            Sentence("membership", "a_server_always_uses_the_latest_configuration_in_its_log"),
            Test(SEEDS, "planted_bugs_are_found"),
        ],
        excluded: "",
    },
    Bug {
        row: "M16",
        seen_at: "ClickHouse Keeper 2026: a snapshot has a configuration that was overwritten",
        told: "https://github.com/ClickHouse/ClickHouse/pull/105784",
        planted: &["SnapshotOfLatestConfiguration", "ConfigurationNotRolledBack"],
        found_by: &[
            Sentence("membership", "a_snapshot_has_no_configuration_that_is_not_committed"),
            Sentence("membership", "a_server_always_uses_the_latest_configuration_in_its_log"),
            Test(SEEDS, "the_specification_refuses_the_planted_bugs_that_break_it"),
        ],
        excluded: "",
    },
    Bug {
        row: "M17",
        seen_at: "ClickHouse Keeper 2026: who is removed and added back aborts, and is sent all from the beginning",
        told: "https://github.com/ClickHouse/ClickHouse/pull/118740",
        planted: &[],
        found_by: &[Test(SEEDS, IN_WORLDS)],
        excluded: "Nothing is left of a removed server but its log. A leader that adds it back asks what that has.",
    },
];
