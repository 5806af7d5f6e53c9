//! The forty most telling of the scenarios that etcd/raft and raft-rs are tested with, and a few more of reads, of
//! membership changes and of asynchronous disks.

use crate::Evidence::{self, Script, Sentence, Test};
use crate::bugs::SEEDS;

/// Which of the forty, what it is called there, and what covers it here.
type Row = (&'static str, &'static str, &'static [Evidence]);

const PROGRESS: &str = "raft-core/src/progress.rs";
const QUORUMS: &str = "raft-core/tests/quorums.rs";
const SCRIPTS: &str = "raft-core/tests/script/main.rs";
const TRANSFERS: &str = "raft-core/tests/script/transfers.rs";

const ELECTIONS: &[Row] = &[
    (
        "1",
        "UpdateTermFromMessage",
        &[Sentence("paper", "whoever_hears_of_a_larger_term_adopts_it_and_follows")],
    ),
    (
        "2",
        "RejectStaleTermMessage",
        &[Sentence("paper", "a_request_of_a_stale_term_is_rejected_under_ones_own")],
    ),
    (
        "3",
        "FollowerStartElection, CandidateStartNewElection",
        &[Sentence("paper", "a_server_that_hears_nothing_starts_one_election_after_the_other")],
    ),
    // There a majority of refusals makes a candidate follow at once. Here it waits for its timeout, as in Figure 2.
    (
        "4",
        "LeaderElectionInOneRoundRPC",
        &[Sentence("paper", "a_candidate_wins_with_the_votes_of_a_majority")],
    ),
    ("5", "FollowerVote", &[Sentence("paper", "one_vote_a_term_first_come_first_served")]),
    (
        "6",
        "CandidateFallback",
        &[Sentence("paper", "a_candidate_gives_way_to_a_leader_of_its_term_and_to_none_before")],
    ),
    (
        "12",
        "Voter",
        &[
            Sentence("paper", "the_voter_denies_its_vote_if_its_own_log_is_more_up_to_date"),
            Script("a_vote_needs_a_log_that_is_up_to_date"),
        ],
    ),
    ("14", "LeaderCycle", &[Script("each_server_leads_in_its_turn")]),
    ("15", "LeaderElectionOverwriteNewerLogs", &[Script("a_new_leader_overwrites_what_was_never_committed")]),
    ("16", "DuelingCandidates, DuelingPreCandidates", &[Script("servers_that_duel_raise_no_term")]),
    (
        "17",
        "OldMessages",
        &[
            Script("an_append_that_comes_late_changes_nothing"),
            Script("a_token_is_for_one_write_and_a_reply_for_one_session"),
        ],
    ),
    (
        "18",
        "CandidateSelfVoteAfterLostElection, LeaderMsgAppSelfAckAfterTermChange",
        &[
            Script("a_vote_for_oneself_that_is_written_late_does_not_count"),
            Script("a_write_confirms_no_entry_that_was_truncated_meanwhile"),
        ],
    ),
    (
        "24",
        "LeaderStepdownWhenQuorumActive, LeaderStepdownWhenQuorumLost",
        &[
            Sentence("thesis", "a_leader_steps_down_if_an_election_timeout_elapses_without_a_majority"),
            Script("a_leader_that_hears_from_no_majority_gives_way"),
            Script("a_leader_that_one_server_cannot_reach_stays"),
        ],
    ),
    (
        "25",
        "FreeStuckCandidateWithCheckQuorum",
        &[Script("a_candidate_that_nobody_hears_is_freed_by_its_answer_to_the_leader")],
    ),
    (
        "26",
        "DisruptiveFollower, DisruptiveFollowerPreVote",
        &[Script("a_follower_that_is_late_deposes_nobody")],
    ),
    (
        "27",
        "NodeWithSmallerTermCanCompleteElection",
        &[Script("a_server_of_a_lower_term_grants_a_pre_vote_that_counts")],
    ),
    (
        "28",
        "PreVoteMigrationCanCompleteElection, PreVoteMigrationWithFreeStuckPreCandidate",
        &[
            Script("a_pre_candidate_is_not_stuck_while_servers_are_upgraded"),
            Test(SCRIPTS, "no_mixture_of_servers_wedges"),
        ],
    ),
    (
        "40",
        "leadership transfer, as one table",
        &[
            Test(TRANSFERS, "every_transfer_ends_with_one_leader_or_the_other"),
            Sentence("thesis", "the_target_starts_a_new_election_at_once"),
            Script("a_transfer_ends_with_the_reign_that_began_it"),
            Script("leadership_that_nobody_takes_stays"),
        ],
    ),
];

const REPLICATION: &[Row] = &[
    (
        "7",
        "LeaderAcknowledgeCommit",
        &[Sentence("replication", "an_entry_is_committed_once_it_is_on_a_majority")],
    ),
    ("8", "LeaderCommitPrecedingEntries", &[Sentence("replication", "an_entry_commits_all_that_precede_it")]),
    (
        "9",
        "FollowerCheckMsgApp",
        &[Sentence("consistency", "a_follower_refuses_what_does_not_follow_an_entry_of_its_log")],
    ),
    (
        "10",
        "FollowerAppendEntries",
        &[
            Sentence("consistency", "conflicting_entries_are_overwritten_and_others_stay"),
            Script("a_repeated_append_truncates_nothing"),
        ],
    ),
    ("11", "LeaderSyncFollowerLog", &[Script("figure_7_is_repaired")]),
    (
        "13",
        "LeaderOnlyCommitsLogFromCurrentTerm",
        &[Sentence("replication", "only_entries_of_the_current_term_are_committed_by_counting")],
    ),
    (
        "19",
        "CannotCommitWithoutNewTermEntry, CommitWithoutNewTermEntry",
        &[Script("an_old_entry_is_not_committed_by_counting")],
    ),
    (
        "20",
        "Commit",
        &[
            Sentence("replication", "only_entries_of_the_current_term_are_committed_by_counting"),
            Test("raft-core/src/quorum.rs", "majority_position"),
        ],
    ),
    (
        "21",
        "HandleMsgApp",
        &[Sentence("consistency", "what_was_not_checked_against_the_leaders_log_is_not_committed")],
    ),
    (
        "22",
        "FastLogRejection",
        &[
            Sentence("consistency", "a_rejection_says_from_where_on_the_logs_differ"),
            Test("raft-core/tests/back_up.rs", "one_round_trip_is_required_for_each_term_that_differs"),
            Script("fast_back_up_skips_whole_terms"),
        ],
    ),
    (
        "23",
        "LogReplicationWithReorderedMessage",
        &[
            Sentence("replication", "a_rejection_that_was_overtaken_moves_nothing"),
            Test(PROGRESS, "a_late_refusal_is_no_news"),
        ],
    ),
    // There a full window lets a probe through for each answer to a heartbeat. Here heartbeats are such probes.
    (
        "29",
        "MsgAppFlowControlFull, MsgAppFlowControlMoveForward, MsgAppFlowControlRecvHeartbeat",
        &[
            Sentence("replication", "no_more_messages_are_on_their_way_than_the_window_has"),
            Script("a_follower_is_sent_no_more_bytes_than_its_window_has"),
            Script("a_lost_append_is_noticed_by_the_next_heartbeat"),
            Test(PROGRESS, "replication_stops_at_the_window"),
        ],
    ),
    ("30", "probe_and_replicate", &[Script("figure_7_is_repaired")]),
    (
        "31",
        "UncommittedEntryLimit, BoundedLogGrowthWithPartition",
        &[Script("a_leader_takes_only_so_many_commands_that_are_not_committed")],
    ),
];

const SNAPSHOTS_AND_READS: &[Row] = &[
    (
        "32",
        "Restore, RestoreIgnoreSnapshot",
        &[
            Sentence("snapshots", "a_snapshot_with_new_information_supersedes_the_entire_log"),
            Sentence("snapshots", "entries_following_a_snapshot_of_a_prefix_are_retained"),
            Script("a_log_that_has_the_last_included_entry_is_kept"),
        ],
    ),
    (
        "33",
        "ProvideSnap, SlowNodeRestore",
        &[
            Sentence(
                "snapshots",
                "a_follower_is_sent_a_snapshot_if_the_next_entry_that_it_needs_was_discarded",
            ),
            Script("a_follower_that_lags_behind_the_snapshot_gets_it"),
        ],
    ),
    (
        "34",
        "snapshot_succeed_via_app_resp_behind, slow_follower_after_compaction",
        &[
            Script("an_answer_to_an_older_snapshot_lets_a_follower_go_on"),
            Sentence("snapshots", "a_leader_sends_piece_after_piece_and_then_entries"),
        ],
    ),
    (
        "reads",
        "ReadOnlyForNewLeader",
        &[
            Script("a_new_leader_answers_no_read_before_it_has_committed_in_its_term"),
            Sentence("reads", "the_leader_executes_steps_1_to_3_for_a_follower"),
        ],
    ),
    (
        "reads",
        "ReadOnlyDuplicateRequest",
        &[Script("a_read_is_confirmed_by_a_round_that_began_after_it_came_in")],
    ),
    (
        "disks",
        "async_storage_writes_append_aba_race",
        &[
            Sentence("consistency", "a_write_confirms_no_entry_that_was_overwritten_meanwhile"),
            Test("raft-core/src/disk/tests.rs", "a_write_confirms_nothing_of_what_was_truncated_meanwhile"),
        ],
    ),
];

const MEMBERSHIP: &[Row] = &[
    // There a second change becomes nothing. Here it is refused, and a new leader reads in its log what is under way.
    (
        "35",
        "StepConfig, StepIgnoreConfig, NewLeaderPendingConfig",
        &[
            Script("a_change_is_given_up_when_nobody_comes"),
            Script("a_new_leader_goes_on_with_a_change_that_was_announced"),
            Sentence("membership", "a_change_while_another_is_under_way_is_refused"),
            Sentence("membership", "a_leader_changes_nothing_before_it_has_committed_in_its_term"),
        ],
    ),
    (
        "36",
        "CommitAfterRemoveNode",
        &[
            Script("a_removal_lowers_the_quorum"),
            Sentence("membership", "agreement_requires_separate_majorities_from_both_configurations"),
        ],
    ),
    // There is nothing to wait for: a configuration is in force as soon as it is in the log.
    (
        "37",
        "ConfChangeCheckBeforeCampaign, ConfChangeV2CheckBeforeCampaign",
        &[
            Script("a_new_leader_goes_on_with_joint_consensus"),
            Sentence("membership", "a_server_always_uses_the_latest_configuration_in_its_log"),
            Sentence("membership", "agreement_requires_separate_majorities_from_both_configurations"),
        ],
    ),
    (
        "38",
        "LearnerElectionTimeout, LearnerPromotion, LearnerCanVote, LearnerLogReplication",
        &[
            Script("learners_learn_and_do_not_count"),
            Script("a_learner_that_votes_by_now_and_does_not_know_it_gives_its_vote"),
            Sentence("membership", "a_server_that_does_not_vote_starts_no_election"),
            Sentence("membership", "a_server_grants_its_vote_to_a_candidate_that_it_does_not_know"),
            Sentence("membership", "new_servers_are_not_yet_counted_towards_majorities"),
            Sentence(
                "membership",
                "a_new_server_votes_after_a_round_that_is_shorter_than_an_election_timeout",
            ),
        ],
    ),
    (
        "39",
        "confchange_v1_remove_leader, confchange_v1_remove_leader_stepdown",
        &[
            Script("a_leader_that_is_removed_hands_over"),
            Sentence("membership", "a_leader_that_is_removed_steps_down_once_that_is_committed"),
        ],
    ),
    (
        "members",
        "confchange_v2_add_double_auto, confchange_v2_replace_leader, unit data: joint_safety, autoleave",
        &[
            Script("a_voter_is_replaced"),
            Script("the_new_configuration_comes_once_whatever_happens_meanwhile"),
            Sentence("membership", "the_new_configuration_comes_once_joint_consensus_is_committed"),
        ],
    ),
    (
        "members",
        "ToLearner, RemoveNode, DemoteNode, TransferNonMember",
        &[
            Test(TRANSFERS, "every_transfer_ends_with_one_leader_or_the_other"),
            Script("learners_learn_and_do_not_count"),
        ],
    ),
    (
        "members",
        "AddNodeCheckQuorum, RemoveNodeItself, NonPromotableVoterWithCheckQuorum",
        &[
            Script("a_voter_is_replaced"),
            Script("a_removed_server_that_runs_on_disturbs_nobody"),
            Script("a_removed_server_is_needed_until_that_is_committed"),
        ],
    ),
    (
        "members",
        "unit data: majority_commit, joint_commit, majority_vote, joint_vote; quick test by brute force",
        &[
            Test(QUORUMS, "a_quorum_is_a_majority_of_each_list_and_any_two_share_a_server"),
            Test(QUORUMS, "a_candidate_wins_with_a_quorum_and_with_nothing_less"),
            Test(QUORUMS, "a_leader_commits_what_a_quorum_has_and_nothing_else"),
        ],
    ),
    (
        "members",
        "RestoreWithLearner, RestoreVoterToLearner, LearnerReceiveSnapshot",
        &[
            Script("a_server_that_joins_gets_a_snapshot_first"),
            Sentence("membership", "a_snapshot_has_no_configuration_that_is_not_committed"),
            Test(SEEDS, "the_same_holds_while_members_change_and_disks_are_wiped"),
        ],
    ),
];

#[test]
fn each_of_the_forty_scenarios_is_covered() {
    let rows = || [ELECTIONS, REPLICATION, SNAPSHOTS_AND_READS, MEMBERSHIP].into_iter().flatten();
    for (number, name, covered_by) in rows() {
        assert!(!covered_by.is_empty(), "{number} {name}");
        for evidence in *covered_by {
            assert!(evidence.is_there(), "{number} {name}: {}", evidence.name());
        }
    }
    let mut numbers: Vec<u32> = rows().filter_map(|(number, _, _)| number.parse().ok()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=40).collect::<Vec<_>>());
}
