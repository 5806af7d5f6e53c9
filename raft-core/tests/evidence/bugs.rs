//! Bugs of real systems in elections (L), replication and snapshots (G). Each can be planted, and what covers it then
//! fails; or this design has no place for it, and the row says why. Those of reads (R) are in `tests/script`, those of
//! membership changes (M) and sessions (E) in files of their own.

use crate::Evidence::{self, Plan, Script, Sentence, Test};
use crate::membership::MEMBERSHIP;
use crate::sessions::SESSIONS;

pub(crate) struct Bug {
    pub(crate) row: &'static str,
    pub(crate) seen_at: &'static str,
    pub(crate) told: &'static str,
    /// As [`raft_core::PlantedBug`] names them.
    pub(crate) planted: &'static [&'static str],
    pub(crate) found_by: &'static [Evidence],
    /// Why there is no place for it, or for what is left of it.
    pub(crate) excluded: &'static str,
}

pub(crate) const SEEDS: &str = "raft-core/tests/seeds.rs";

/// All of them.
fn bugs() -> impl Iterator<Item = &'static Bug> {
    [ELECTIONS, REPLICATION, MEMBERSHIP, SESSIONS].into_iter().flatten()
}

const ELECTIONS: &[Bug] = &[
    Bug {
        row: "L1",
        seen_at: "etcd at Cloudflare 2020: endless elections behind a switch that half failed",
        told: "https://blog.cloudflare.com/a-byzantine-failure-in-the-real-world/",
        planted: &["VotesDisturbLeaders"],
        found_by: &[Script("a_leader_that_one_server_cannot_reach_stays")],
        excluded: "",
    },
    Bug {
        row: "L2",
        seen_at: "Raft on partial links: pre-vote and check-quorum are both needed",
        told: "https://decentralizedthoughts.github.io/2020-12-12-raft-liveness-full-omission/",
        planted: &["VotesDisturbLeaders", "QuorumNotChecked"],
        found_by: &[
            Script("a_chain_around_a_connected_majority_keeps_or_regains_its_leader"),
            Script("a_leader_that_hears_from_no_majority_gives_way"),
            Script("a_bridge_between_two_halves_keeps_or_regains_its_leader"),
        ],
        excluded: "",
    },
    Bug {
        row: "L3",
        seen_at: "etcd, canonical/raft, Redpanda: a pre-vote of a lower term neither grants nor wins",
        told: "https://github.com/etcd-io/etcd/issues/8243",
        planted: &["PreVoteKeepsLowerTerm"],
        found_by: &[Script("a_server_of_a_lower_term_grants_a_pre_vote_that_counts")],
        excluded: "",
    },
    Bug {
        row: "L4",
        seen_at: "etcd and CockroachDB 2017: an upgrade with pre-vote on in half of the nodes wedges",
        told: "https://github.com/etcd-io/etcd/issues/8501",
        planted: &["LowerTermUnanswered"],
        found_by: &[
            Script("a_pre_candidate_is_not_stuck_while_servers_are_upgraded"),
            Test("raft-core/tests/script/main.rs", "no_mixture_of_servers_wedges"),
        ],
        excluded: "",
    },
    Bug {
        row: "L5",
        seen_at: "CockroachDB 2023: a leader that hears nobody, behind a cut in one direction",
        told: "https://github.com/cockroachdb/cockroach/pull/104042",
        planted: &["QuorumNotChecked"],
        found_by: &[
            Script("a_leader_that_hears_from_no_majority_gives_way"),
            Script("a_server_that_can_send_but_not_receive_disturbs_nobody"),
        ],
        excluded: "",
    },
    Bug {
        row: "L6",
        seen_at: "etcd 2021: the ticker waits behind a stalled disk, and check-quorum never runs",
        told: "https://github.com/etcd-io/etcd/issues/13527",
        planted: &["ClockWaitsForDisk"],
        found_by: &[Script("a_leader_whose_disk_hangs_gives_way")],
        excluded: "",
    },
    Bug {
        row: "L7",
        seen_at: "hashicorp/raft, Consul 2022: a leader with a hung disk goes on heartbeating",
        told: "https://github.com/hashicorp/raft/issues/503",
        planted: &["HungDiskLeads"],
        found_by: &[Script("a_leader_whose_disk_hangs_gives_way")],
        excluded: "",
    },
    Bug {
        row: "L8",
        seen_at: "jgroups-raft 2024: who counts the votes picks one that lacks committed entries",
        told: "https://github.com/jgroups-extras/jgroups-raft/issues/258",
        planted: &["VoteWithoutLogCheck"],
        found_by: &[
            Sentence("paper", "the_voter_denies_its_vote_if_its_own_log_is_more_up_to_date"),
            Test(SEEDS, "planted_bugs_are_found"),
        ],
        excluded: "",
    },
    Bug {
        row: "L9",
        seen_at: "Camunda 2018: two leaders in one term",
        told: "https://github.com/camunda/camunda/issues/1068",
        planted: &["VoteBeforePersisted", "VoteCountedTwice", "ReplyOfOldTerm", "LeaderTwice"],
        found_by: &[
            Sentence("consistency", "nothing_is_answered_before_it_is_on_stable_storage"),
            Sentence("paper", "a_candidate_wins_with_the_votes_of_a_majority"),
            Sentence("paper", "a_vote_of_a_stale_term_or_another_conversation_does_not_count"),
            Sentence("replication", "whoever_wins_says_so_to_all_the_others_at_once"),
            Test(SEEDS, "planted_bugs_are_found"),
        ],
        excluded: "",
    },
    Bug {
        row: "L10",
        seen_at: "NebulaGraph 2019: a candidate of a term that is not on disk follows an older leader",
        told: "https://github.com/vesoft-inc/nebula/issues/685",
        planted: &["AppendJudgedByDurableTerm"],
        found_by: &[Script("a_candidate_follows_no_older_leader"), Test(SEEDS, "planted_bugs_are_found")],
        excluded: "",
    },
    Bug {
        row: "L11",
        seen_at: "canonical/raft 2023: a candidate advertises what is not on its disk",
        told: "https://github.com/canonical/raft/commit/a54636b",
        planted: &["VoteAskedBeforePersisted"],
        found_by: &[
            Script("a_leader_is_elected_and_a_command_committed"),
            Sentence("paper", "a_candidate_asks_for_votes_once_its_own_is_on_stable_storage"),
        ],
        excluded: "",
    },
    Bug {
        row: "L12",
        seen_at: "canonical/raft 2023: a candidate in the middle of a snapshot",
        told: "https://github.com/canonical/raft/commit/4fbd3c0",
        planted: &["TimerNotResetBySnapshot"],
        found_by: &[Script("a_follower_that_takes_a_long_snapshot_starts_no_election")],
        excluded: "",
    },
    Bug {
        row: "L13",
        seen_at: "SandTable, EuroSys 2024: 23 bugs in 8 systems, found by schedules that a model guides",
        told: "https://github.com/tangruize/SandTable",
        planted: &["LeaderTwice", "VoteBeforePersisted"],
        found_by: &[
            Sentence("replication", "whoever_wins_says_so_to_all_the_others_at_once"),
            Sentence("consistency", "nothing_is_answered_before_it_is_on_stable_storage"),
            Test(SEEDS, "the_specification_refuses_the_planted_bugs_that_break_it"),
        ],
        excluded: "",
    },
    Bug {
        row: "L14",
        seen_at: "openraft 2021: a restarted follower waits for long; fifty conflicting entries live-lock",
        told: "https://github.com/databendlabs/openraft/commit/228077a6",
        planted: &["RestartWaitsLong", "BackUpByOne"],
        found_by: &[
            Sentence("consistency", "a_server_that_starts_again_waits_for_one_election_timeout"),
            Sentence("consistency", "a_rejection_says_from_where_on_the_logs_differ"),
            Test("raft-core/tests/back_up.rs", "one_round_trip_for_each_entry_is_too_slow"),
            Plan("old-leader-with-a-long-tail"),
        ],
        excluded: "",
    },
];

const REPLICATION: &[Bug] = &[
    Bug {
        row: "G1",
        seen_at: "openraft 2021: what matches is deleted and appended again, and a crash comes between",
        told: "https://github.com/databendlabs/openraft/commit/9540c904",
        planted: &["AppendTruncates"],
        found_by: &[
            Sentence("consistency", "entries_that_are_present_already_are_ignored"),
            Script("a_repeated_append_truncates_nothing"),
            Test(SEEDS, "planted_bugs_are_found"),
        ],
        excluded: "No crash comes between: truncation and entries are one atomic batch.",
    },
    Bug {
        row: "G2",
        seen_at: "openraft 2022: conflicting entries outlive the snapshot that was installed",
        told: "https://github.com/databendlabs/openraft/commit/674e78aa",
        planted: &["StaleTail"],
        found_by: &[
            Sentence("snapshots", "a_snapshot_with_new_information_supersedes_the_entire_log"),
            Script("an_install_goes_on_after_a_crash_and_leaves_no_stale_tail"),
            Test(
                "raft-core/tests/conformance/restart.rs",
                "a_server_starts_with_what_it_had_on_disk_or_a_little_more",
            ),
        ],
        excluded: "Last piece, truncation and compaction are one atomic batch.",
    },
    Bug {
        row: "G3",
        seen_at: "openraft 2022: an entry that was compacted is taken for a conflict, and the log goes",
        told: "https://github.com/databendlabs/openraft/commit/71a290cd",
        planted: &["CompactedIsConflict"],
        found_by: &[
            Sentence("snapshots", "entries_that_join_on_before_the_snapshot_delete_nothing"),
            Script("a_snapshot_of_what_is_there_already_changes_nothing"),
            Test(SEEDS, "planted_bugs_are_found"),
        ],
        excluded: "",
    },
    Bug {
        row: "G4",
        seen_at: "async-raft: entries of earlier terms are committed by counting (Figure 8)",
        told: "https://github.com/async-raft/async-raft/issues/106",
        planted: &["CommitByCounting"],
        found_by: &[
            Sentence("replication", "only_entries_of_the_current_term_are_committed_by_counting"),
            Script("an_old_entry_is_not_committed_by_counting"),
            Test(SEEDS, "planted_bugs_are_found"),
            Plan("figure-8"),
        ],
        excluded: "",
    },
    Bug {
        row: "G5",
        seen_at: "RabbitMQ Ra 2025: a follower commits a tail that was not checked against the leader's log",
        told: "https://github.com/rabbitmq/ra/pull/508",
        planted: &["UncheckedTailCommitted"],
        found_by: &[
            Sentence("consistency", "what_was_not_checked_against_the_leaders_log_is_not_committed"),
            Test(SEEDS, "planted_bugs_are_found"),
        ],
        excluded: "",
    },
    Bug {
        row: "G6",
        seen_at: "RabbitMQ Ra 2025: a late write confirms what was rewritten; applied is ahead of the disk",
        told: "https://github.com/rabbitmq/ra/commit/324d9bc5",
        planted: &["WritesConfirmIndexes", "AppliedBeforeDurable"],
        found_by: &[
            Sentence("consistency", "a_write_confirms_no_entry_that_was_overwritten_meanwhile"),
            Sentence("consistency", "a_durable_state_machine_is_given_only_what_is_durable_here"),
            Script("a_write_confirms_no_entry_that_was_truncated_meanwhile"),
            Test(SEEDS, "planted_bugs_are_found"),
        ],
        excluded: "",
    },
    Bug {
        row: "G7",
        seen_at: "ClickHouse Keeper 2023: an old leader installs a snapshot, and applies what was only asked for",
        told: "https://github.com/ClickHouse/ClickHouse/pull/54572",
        planted: &[],
        found_by: &[
            Script("an_old_leader_that_gets_a_snapshot_forgets_what_was_not_committed"),
            Sentence("snapshots", "a_snapshot_with_new_information_supersedes_the_entire_log"),
        ],
        excluded: "What was asked for lives in the log alone, and an install leaves nothing of that. Nothing is applied \
                   but what the log has up to the commit index.",
    },
    Bug {
        row: "G8",
        seen_at: "etcd: a follower is stuck after a snapshot of the whole log; windows overrun; a compacted log panics",
        told: "https://github.com/etcd-io/etcd/pull/10308",
        planted: &["StuckAfterSnapshot", "WindowIgnored", "PrevBelowSnapshot"],
        found_by: &[
            Sentence("snapshots", "a_leader_sends_piece_after_piece_and_then_entries"),
            Sentence("replication", "no_more_messages_are_on_their_way_than_the_window_has"),
            Script("an_answer_to_an_older_snapshot_lets_a_follower_go_on"),
        ],
        excluded: "",
    },
    Bug {
        row: "G9",
        seen_at: "etcd raft 2018: batches of large committed entries skip some on restart",
        told: "https://github.com/etcd-io/etcd/pull/10063",
        planted: &["PagesSkipped"],
        found_by: &[Sentence("replication", "large_entries_are_applied_one_batch_after_the_other")],
        excluded: "",
    },
    Bug {
        row: "G10",
        seen_at: "Redis-Raft 2020, Jepsen: 21 issues, from lost data on any failover to stale reads",
        told: "https://jepsen.io/analyses/redis-raft-1b3fbf6",
        planted: &["AckBeforeSync", "ReadNotConfirmed", "LastIncludedTermForgotten", "ChangeWithoutJoint"],
        found_by: &[
            Sentence("consistency", "nothing_is_answered_before_it_is_on_stable_storage"),
            Sentence("reads", "the_leader_waits_for_the_acknowledgements_of_a_majority"),
            Sentence("snapshots", "the_last_included_index_and_term_support_the_consistency_check"),
            Test(SEEDS, "figure_3_holds_under_misfortune_and_every_step_is_one_of_the_specification"),
            Sentence("membership", "agreement_requires_separate_majorities_from_both_configurations"),
            Plan("crash-loop"),
        ],
        excluded: "",
    },
    Bug {
        row: "G11",
        seen_at: "NATS 2.10, Jepsen: a kill leaves snapshot and Raft state out of step, and all is deleted",
        told: "https://jepsen.io/analyses/nats-2.12.1",
        planted: &["LastIncludedTermForgotten"],
        found_by: &[
            Sentence("snapshots", "the_last_included_index_and_term_support_the_consistency_check"),
            Test("raft-storage/tests/damage.rs", "a_directory_without_its_state_is_not_a_new_one"),
            Plan("crash-loop"),
            Plan("amnesia"),
        ],
        excluded: "Snapshot, log and term are written by one batch; a store that has lost one of them does not start.",
    },
    Bug {
        row: "G12",
        seen_at: "CCF, NSDI 2025: six bugs found by TLA+ and by traces held against it",
        told: "https://arxiv.org/abs/2406.17455",
        planted: &[
            "CommitByCounting",
            "RefusalCounts",
            "AppendTruncates",
            "WholeLogAcknowledged",
            "VoteCountedTwice",
            "RemovedServerWaits",
        ],
        found_by: &[
            Sentence("replication", "only_entries_of_the_current_term_are_committed_by_counting"),
            Sentence("replication", "a_rejection_that_was_overtaken_moves_nothing"),
            Sentence("consistency", "entries_that_are_present_already_are_ignored"),
            Sentence("consistency", "an_answer_speaks_of_the_new_entries_and_not_of_what_follows_them"),
            Sentence("paper", "a_candidate_wins_with_the_votes_of_a_majority"),
            Sentence("membership", "a_server_that_is_removed_still_starts_elections_until_that_is_committed"),
            Test(SEEDS, "the_specification_refuses_the_planted_bugs_that_break_it"),
        ],
        excluded: "",
    },
];

#[test]
fn each_bug_is_found_or_has_no_place() {
    for bug in bugs() {
        let Bug { row, seen_at, told, planted, found_by, excluded } = bug;
        assert!(!seen_at.is_empty() && told.starts_with("https://"), "{row}");
        assert!(!found_by.is_empty() && (!planted.is_empty() || !excluded.is_empty()), "{row}");
        for evidence in *found_by {
            assert!(evidence.is_there(), "{row}: {}", evidence.name());
        }
    }
    let numbers = |rows: &[Bug]| rows.iter().map(|bug| bug.row[1..].parse().unwrap()).collect::<Vec<u32>>();
    assert_eq!(numbers(ELECTIONS), (1..=14).collect::<Vec<_>>());
    assert_eq!(numbers(REPLICATION), (1..=12).collect::<Vec<_>>());
    assert_eq!(numbers(MEMBERSHIP), (1..=17).collect::<Vec<_>>());
    assert_eq!(numbers(SESSIONS), (1..=6).collect::<Vec<_>>());
}

/// Whether a list of tests plants this bug and looks for it with this script or sentence.
#[cfg(feature = "planted-bugs")]
fn looks_for(list: &str, bug: &str, with: &str) -> bool {
    let planted = format!("PlantedBug::{bug},");
    let row = |text: &str| text.split_once(')').is_some_and(|(row, _)| row.contains(with));
    list.split(&planted).skip(1).any(row)
}

/// The planted bug is one, and a test that the row names plants it: then it plays no script as written, or breaks a
/// sentence.
#[cfg(feature = "planted-bugs")]
#[test]
fn each_planted_bug_is_planted_where_its_row_says() {
    let scripts = crate::read("raft-core/tests/script/main.rs");
    let sentences = crate::read("raft-core/tests/paper/bugs.rs");
    for bug in bugs() {
        for planted in bug.planted {
            let known = raft_core::PlantedBug::ALL.iter().any(|(_, known)| format!("{known:?}") == *planted);
            assert!(known, "{}: {planted}", bug.row);
            let planted_by = |evidence: &Evidence| match evidence {
                Script(name) => looks_for(&scripts, planted, &format!("\"{name}\"")),
                Sentence(file, name) => looks_for(&sentences, planted, &format!("{file}::{name}")),
                Test(..) | Plan(_) => false,
            };
            assert!(bug.found_by.iter().any(planted_by), "{}: {planted}", bug.row);
        }
    }
}
