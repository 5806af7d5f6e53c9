//! Bugs of real systems, planted, and for each a sentence that does not hold then. `tests/evidence` says where they were
//! seen.

use std::panic::catch_unwind;

use raft_core::PlantedBug;

use crate::bench::PLANTED;
use crate::{
    consistency, leases, membership, paper, reads, repair, replication, sessions, snapshots, thesis,
};

const BROKEN: &[(PlantedBug, fn())] = &[
    (PlantedBug::VoteWithoutLogCheck, paper::the_voter_denies_its_vote_if_its_own_log_is_more_up_to_date),
    (PlantedBug::VoteBeforePersisted, consistency::nothing_is_answered_before_it_is_on_stable_storage),
    (PlantedBug::VoteForgottenInTerm, paper::one_vote_a_term_first_come_first_served),
    (PlantedBug::CommitByCounting, replication::only_entries_of_the_current_term_are_committed_by_counting),
    (PlantedBug::FixedTimeout, paper::election_timeouts_are_drawn_afresh_from_the_whole_interval),
    (PlantedBug::ReplyOfOldTerm, paper::a_vote_of_a_stale_term_or_another_conversation_does_not_count),
    (PlantedBug::VoteCountedTwice, paper::a_candidate_wins_with_the_votes_of_a_majority),
    (PlantedBug::LeaderTwice, replication::whoever_wins_says_so_to_all_the_others_at_once),
    (PlantedBug::BackUpByOne, consistency::a_rejection_says_from_where_on_the_logs_differ),
    (PlantedBug::PrevBelowSnapshot, snapshots::a_leader_sends_piece_after_piece_and_then_entries),
    (
        PlantedBug::HeartbeatsWithoutEntries,
        replication::the_leader_retries_until_all_followers_store_all_entries,
    ),
    (PlantedBug::AckBeforeSync, consistency::nothing_is_answered_before_it_is_on_stable_storage),
    (
        PlantedBug::LastIncludedTermForgotten,
        snapshots::the_last_included_index_and_term_support_the_consistency_check,
    ),
    (PlantedBug::StaleTail, snapshots::a_snapshot_with_new_information_supersedes_the_entire_log),
    (PlantedBug::PreVoteKeepsLowerTerm, thesis::a_grant_carries_the_proposed_term_and_a_refusal_ones_own),
    (PlantedBug::LowerTermUnanswered, paper::a_request_of_a_stale_term_is_rejected_under_ones_own),
    (
        PlantedBug::VotesDisturbLeaders,
        thesis::within_the_minimum_timeout_of_hearing_from_a_leader_no_vote_is_heard,
    ),
    (
        PlantedBug::QuorumNotChecked,
        thesis::a_leader_steps_down_if_an_election_timeout_elapses_without_a_majority,
    ),
    (PlantedBug::HungDiskLeads, thesis::a_leader_gives_way_when_its_oldest_write_has_taken_too_long),
    (PlantedBug::ClockWaitsForDisk, thesis::a_leader_gives_way_when_its_oldest_write_has_taken_too_long),
    (
        PlantedBug::VoteAskedBeforePersisted,
        paper::a_candidate_asks_for_votes_once_its_own_is_on_stable_storage,
    ),
    (PlantedBug::TransferVoteNotMarked, thesis::the_target_starts_a_new_election_at_once),
    (PlantedBug::ReadNotConfirmed, reads::the_leader_waits_for_the_acknowledgements_of_a_majority),
    (PlantedBug::ReadBeforeCommitInTerm, reads::the_leader_executes_steps_1_to_3_for_a_follower),
    (PlantedBug::ReadConfirmedByLateReply, reads::nothing_but_an_acknowledgement_of_this_round_confirms_it),
    (PlantedBug::ReadIndexNotChecked, reads::the_leader_waits_for_its_state_machine),
    (
        PlantedBug::LeaseNotShortened,
        leases::a_lease_lasts_for_the_election_timeout_by_the_bound_on_clock_drift,
    ),
    (PlantedBug::LeaseThroughTransfer, leases::a_leader_expires_its_lease_before_it_transfers_leadership),
    (
        PlantedBug::LeaseJudgedEarly,
        leases::a_lease_lasts_for_the_election_timeout_by_the_bound_on_clock_drift,
    ),
    (PlantedBug::PromiseForgotten, leases::with_leases_neither_a_restart_nor_a_higher_term_frees_a_follower),
    (PlantedBug::AppendTruncates, consistency::entries_that_are_present_already_are_ignored),
    (PlantedBug::CompactedIsConflict, snapshots::entries_that_join_on_before_the_snapshot_delete_nothing),
    (
        PlantedBug::UncheckedTailCommitted,
        consistency::what_was_not_checked_against_the_leaders_log_is_not_committed,
    ),
    (
        PlantedBug::WholeLogAcknowledged,
        consistency::an_answer_speaks_of_the_new_entries_and_not_of_what_follows_them,
    ),
    (PlantedBug::RefusalCounts, replication::a_rejection_that_was_overtaken_moves_nothing),
    (PlantedBug::WritesConfirmIndexes, consistency::a_write_confirms_no_entry_that_was_overwritten_meanwhile),
    (
        PlantedBug::AppliedBeforeDurable,
        consistency::a_durable_state_machine_is_given_only_what_is_durable_here,
    ),
    (PlantedBug::PagesSkipped, replication::large_entries_are_applied_one_batch_after_the_other),
    (PlantedBug::WindowIgnored, replication::no_more_messages_are_on_their_way_than_the_window_has),
    (PlantedBug::StuckAfterSnapshot, snapshots::a_leader_sends_piece_after_piece_and_then_entries),
    (PlantedBug::RestartWaitsLong, consistency::a_server_that_starts_again_waits_for_one_election_timeout),
    (
        PlantedBug::ChangeBeforeCommitInTerm,
        membership::a_leader_changes_nothing_before_it_has_committed_in_its_term,
    ),
    (
        PlantedBug::ChangeWhileOneIsUnderWay,
        membership::the_new_configuration_comes_once_joint_consensus_is_committed,
    ),
    (
        PlantedBug::ChangeWithoutJoint,
        membership::agreement_requires_separate_majorities_from_both_configurations,
    ),
    (
        PlantedBug::ConfigurationOnCommit,
        membership::agreement_requires_separate_majorities_from_both_configurations,
    ),
    (
        PlantedBug::ConfigurationNotRolledBack,
        membership::a_server_always_uses_the_latest_configuration_in_its_log,
    ),
    (
        PlantedBug::RestartForgetsConfiguration,
        membership::a_server_always_uses_the_latest_configuration_in_its_log,
    ),
    (
        PlantedBug::SnapshotOfLatestConfiguration,
        membership::a_snapshot_has_no_configuration_that_is_not_committed,
    ),
    (
        PlantedBug::JointCountsOldOnly,
        membership::agreement_requires_separate_majorities_from_both_configurations,
    ),
    (
        PlantedBug::JointBeforeCaughtUp,
        membership::a_new_server_votes_after_a_round_that_is_shorter_than_an_election_timeout,
    ),
    (PlantedBug::SecondChangeDropped, membership::a_change_while_another_is_under_way_is_refused),
    (PlantedBug::RemovedLeaderLeads, membership::a_leader_that_is_removed_steps_down_once_that_is_committed),
    (
        PlantedBug::RemovedServerWaits,
        membership::a_server_that_is_removed_still_starts_elections_until_that_is_committed,
    ),
    (
        PlantedBug::LearnersRefuseVotes,
        membership::a_server_grants_its_vote_to_a_candidate_that_it_does_not_know,
    ),
    (PlantedBug::AnyLifeCounts, membership::a_wiped_disk_under_an_old_id_does_not_count),
    (
        PlantedBug::DamageAcknowledged,
        repair::a_server_acknowledges_nothing_from_a_damaged_entry_on_until_it_is_repaired,
    ),
    (PlantedBug::DamagedServerVotes, repair::a_server_with_a_damaged_entry_neither_votes_nor_asks_for_votes),
    (PlantedBug::SuspectVotesCount, repair::a_vote_of_a_suspect_server_counts_where_every_voter_gives_one),
    (PlantedBug::SessionsFilterNothing, sessions::a_serial_number_that_was_executed_is_not_executed_again),
    (PlantedBug::ExpiredSessionApplied, sessions::a_command_with_no_record_of_its_session_is_not_processed),
    (PlantedBug::SessionExpiredByClock, sessions::session_expiry_is_deterministic),
    (PlantedBug::ResultDroppedUnacknowledged, sessions::a_session_is_a_set_of_number_and_response_pairs),
    (PlantedBug::SessionsNotInSnapshot, sessions::each_state_machine_maintains_a_session_for_each_client),
];

/// The three that no single sentence shows; `tests/script` has them.
const IN_SCRIPTS: [PlantedBug; 3] = [
    PlantedBug::TimerNotResetBySnapshot,
    PlantedBug::AppendJudgedByDurableTerm,
    PlantedBug::ReadSessionReused,
];

#[test]
fn a_planted_bug_breaks_a_sentence() {
    for (bug, sentence) in BROKEN {
        PLANTED.set(Some(*bug));
        let broken = catch_unwind(sentence).is_err();
        PLANTED.set(None);
        assert!(broken, "{bug:?}");
        sentence();
    }
}

#[test]
fn every_planted_bug_breaks_a_sentence_or_a_script() {
    for (name, bug) in PlantedBug::ALL {
        let sentences = BROKEN.iter().filter(|(broken_by, _)| *broken_by == bug).count();
        assert_eq!(sentences, usize::from(!IN_SCRIPTS.contains(&bug)), "{name}");
    }
}
