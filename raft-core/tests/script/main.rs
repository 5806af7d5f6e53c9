//! Plays the conversations of `tests/scripts` and compares what the servers did with what is written
//! under the dashes. `UPDATE=1 cargo test -p raft-core --test script` rewrites it; read the diff.
//!
//! | command | what happens |
//! | --- | --- |
//! | `cluster 3 [option=1 ...]` | n1 to n3 start with empty disks, and with these options |
//! | `disk n1 1 1 4 term=6 vote=n2` | n1 starts again with entries of these terms, that term and vote |
//! | `damage n1 2` | n1 starts again, and finds that its disk has lost entry 2 |
//! | `timeout n1` | its deadline comes |
//! | `deliver n1 [from n2]` | all that is on its way to n1 arrives (only what n2 sent) |
//! | `repeat n1` | all that was ever delivered to n1 arrives once more |
//! | `drop n1 [from n2]` | all that is on its way to n1 is lost |
//! | `persist n1 [1]` | its writes are durable (only the first) |
//! | `propose n1 x` | a client asks n1 to apply x |
//! | `read n1 7` | a client asks n1 for a read, which it names 7 |
//! | `wait n1 100` | 100 ms pass on n1's clock, at which it looks when something comes in |
//! | `transfer n1 n2` | n1 is asked to hand leadership over to n2 |
//! | `change n1 1,2,4+5` | n1 is asked to let n1, n2 and n4 vote and n5 learn; `4#7` is n4 in its life 7 only |
//! | `abandon n1` | n1 is asked to give up the change |
//! | `members n1` | n1 says which configuration it goes by |
//! | `wipe n1 [option=1 ...]` | n1 starts again with nothing on its disk, with these options from now on |
//! | `snapshot n1` | it takes a snapshot, in pieces of 4 bytes |
//! | `crash n1 [option=1 ...]` | n1 loses what is not durable and starts again, with these options from now on |
//! | `state n1` | n1 says what it is |
//!
//! In the commands above nothing happens by itself and each server has its own time. Here all go on together:
//!
//! | command | what happens |
//! | --- | --- |
//! | `elapse 500` | 500 ms pass: what is sent arrives, what is written is durable, deadlines come. Told is only who becomes what, and when |
//! | `cut n1>n2 ...` | from now on nothing arrives that n1 sends to n2 |
//! | `isolate n1` | from now on nothing arrives that n1 sends or is sent |
//! | `heal` | nothing is cut any more |
//! | `hang n1`, `mend n1` | from now on no write of n1 becomes durable; they do again |
//!
//! | option | is | usually |
//! | --- | --- | --- |
//! | `bytes` | the most that is sent in one message | 256 KiB |
//! | `window` | the bytes after which no more is sent to a follower that has not answered | 16 MiB |
//! | `uncommitted` | the most bytes of commands that wait to be committed | 64 MiB |
//! | `trailing` | how many entries are left before a snapshot | 0 |
//! | `every` | entries after which a snapshot is taken | 100,000 |
//! | `cache` | how many bytes of payloads are kept in memory | 64 MiB |
//! | `prevote` | whether there is pre-vote | 1 |
//! | `quorum` | whether there is check-quorum | 1 |
//! | `lease` | leases, and by how many millionths clocks may differ | none |
//! | `patience` | milliseconds that the disk may take | 1,000 |
//! | `spares` | servers that start too and know nobody, of the whole cluster | 0 |
//! | `joins` | whether the server begins without a configuration | 0; of spares 1 |
//! | `bound` | whether the first configuration names each server's life, which is its number | 0 |
//! | `life` | the life of its data directory that the server is in | its number |
//! | `delay` | milliseconds that a message takes, of the whole cluster | 1 |

mod stage;
mod transfers;
mod words;

use std::path::{Path, PathBuf};

use raft_core::PlantedBug;

use stage::Stage;

/// What a script says, and what is said when it is played by servers with a bug, or without.
fn play(path: &Path, planted: Option<PlantedBug>) -> (String, String) {
    let written = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let heard = Stage::new(planted).play(&written);
    (written, heard)
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts")
}

#[test]
fn scripts_play_as_written() {
    let mut played = 0;
    for file in std::fs::read_dir(folder()).unwrap() {
        let path = file.unwrap().path();
        let (written, heard) = play(&path, None);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &heard).unwrap();
        } else {
            assert_eq!(heard, written, "{}: UPDATE=1 rewrites it", path.display());
        }
        played += 1;
    }
    assert!(played > 0, "no scripts were found");
}

/// Each row: what has happened to others, the bug that does it, and a script that it cannot play as written.
/// Seeds see nothing wrong with safety where elections wedge or a leader stays that should not.
#[cfg(feature = "planted-bugs")]
#[test]
fn a_planted_bug_does_not_play_as_written() {
    for (seen_at, bug, script) in [
        (
            "Cloudflare 2020, behind a switch that half failed",
            PlantedBug::VotesDisturbLeaders,
            "a_leader_that_one_server_cannot_reach_stays",
        ),
        (
            "Raft on partial links, a term that goes round",
            PlantedBug::VotesDisturbLeaders,
            "a_chain_around_a_connected_majority_keeps_or_regains_its_leader",
        ),
        (
            "Raft on partial links, and CockroachDB #104042: a leader that hears nobody",
            PlantedBug::QuorumNotChecked,
            "a_leader_that_hears_from_no_majority_gives_way",
        ),
        (
            "etcd #8243, canonical/raft #279, Redpanda #2071: a grant that does not count",
            PlantedBug::PreVoteKeepsLowerTerm,
            "a_server_of_a_lower_term_grants_a_pre_vote_that_counts",
        ),
        (
            "etcd #8501: an upgrade that wedges",
            PlantedBug::LowerTermUnanswered,
            "a_pre_candidate_is_not_stuck_while_servers_are_upgraded",
        ),
        (
            "etcd: a candidate that nobody may hear",
            PlantedBug::LowerTermUnanswered,
            "a_candidate_that_nobody_hears_is_freed_by_its_answer_to_the_leader",
        ),
        (
            "etcd #13527: a clock behind a disk",
            PlantedBug::ClockWaitsForDisk,
            "a_leader_whose_disk_hangs_gives_way",
        ),
        (
            "hashicorp/raft #503, Consul #22064: a leader without a disk",
            PlantedBug::HungDiskLeads,
            "a_leader_whose_disk_hangs_gives_way",
        ),
        (
            "NebulaGraph #685: a candidate that follows",
            PlantedBug::AppendJudgedByDurableTerm,
            "a_candidate_follows_no_older_leader",
        ),
        (
            "canonical/raft a54636b: a log that is not on disk gets votes",
            PlantedBug::VoteAskedBeforePersisted,
            "a_leader_is_elected_and_a_command_committed",
        ),
        (
            "canonical/raft 4fbd3c0: a candidate in the middle of a snapshot",
            PlantedBug::TimerNotResetBySnapshot,
            "a_follower_that_takes_a_long_snapshot_starts_no_election",
        ),
        // https://aphyr.com/posts/316-jepsen-etcd-and-consul
        (
            "etcd 0.4.1 and Consul 2014: reads from a deposed leader's state (R1)",
            PlantedBug::ReadNotConfirmed,
            "a_deposed_leader_answers_no_read",
        ),
        // https://github.com/etcd-io/etcd/pull/21423
        (
            "etcd #21423: a question that has the name of an earlier one (R2)",
            PlantedBug::ReadSessionReused,
            "a_follower_reads_through_its_leader",
        ),
        // https://github.com/etcd-io/raft/pull/397
        (
            "etcd-io/raft #397: late acknowledgements confirm a newer read (R3)",
            PlantedBug::ReadConfirmedByLateReply,
            "a_read_is_confirmed_by_a_round_that_began_after_it_came_in",
        ),
        // https://github.com/etcd-io/etcd/issues/7331
        (
            "etcd #7331: a new leader that does not know what is committed (R4)",
            PlantedBug::ReadBeforeCommitInTerm,
            "a_new_leader_answers_no_read_before_it_has_committed_in_its_term",
        ),
        // https://github.com/tikv/tikv/pull/9239
        (
            "TiKV #9239: one index is checked and another is answered with (R5)",
            PlantedBug::ReadIndexNotChecked,
            "a_read_index_is_what_was_checked",
        ),
        // https://github.com/tikv/tikv/issues/1593, https://github.com/tikv/tikv/issues/4680
        (
            "TiKV #1593, #4680: a lease that goes on through a transfer (R6)",
            PlantedBug::LeaseThroughTransfer,
            "a_transfer_ends_the_lease",
        ),
        // https://github.com/tikv/tikv/issues/964
        (
            "TiKV #964: a lease that is judged before a pause (R7)",
            PlantedBug::LeaseJudgedEarly,
            "a_lease_is_judged_by_a_time_from_after_the_read_came_in",
        ),
        (
            "a lease by clocks that are taken for equal",
            PlantedBug::LeaseNotShortened,
            "a_lease_answers_reads_until_it_ends",
        ),
        (
            "a follower that forgets what a lease rests on",
            PlantedBug::PromiseForgotten,
            "a_server_that_starts_again_keeps_what_it_has_promised",
        ),
        ("a transfer that nobody hears", PlantedBug::TransferVoteNotMarked, "leadership_is_handed_over"),
        (
            "Ongaro 2015: a leader that may not know of a change that is under way (M1)",
            PlantedBug::ChangeBeforeCommitInTerm,
            "a_new_leader_changes_nothing_before_it_has_committed_in_its_term",
        ),
        (
            "Ongaro 2015: two majorities that share no server (M1)",
            PlantedBug::ChangeWithoutJoint,
            "a_change_that_is_overwritten_is_rolled_back",
        ),
        (
            "etcd #7280, #11284, #12359: who counts is known when a change is committed (M2 to M5)",
            PlantedBug::ConfigurationOnCommit,
            "a_new_leader_goes_on_with_joint_consensus",
        ),
        (
            "etcd-io/raft #354: a second change that becomes nothing (M6)",
            PlantedBug::SecondChangeDropped,
            "a_change_is_given_up_when_nobody_comes",
        ),
        (
            "etcd #10998: a voter that takes itself for a learner (M7)",
            PlantedBug::LearnersRefuseVotes,
            "a_learner_that_votes_by_now_and_does_not_know_it_gives_its_vote",
        ),
        (
            "etcd-io/raft bd3c759: joint consensus that ends several times (M8)",
            PlantedBug::ChangeWhileOneIsUnderWay,
            "the_new_configuration_comes_once_whatever_happens_meanwhile",
        ),
        (
            "etcd-io/raft 72d62a1: a leader that is no member (M9)",
            PlantedBug::RemovedLeaderLeads,
            "a_leader_that_is_removed_hands_over",
        ),
        (
            "etcd #19563, Camunda #57386: a restart that forgets who votes (M10, M15)",
            PlantedBug::RestartForgetsConfiguration,
            "a_restart_has_no_configuration_that_was_overwritten",
        ),
        (
            "etcd #15096: a voter that never started (M11)",
            PlantedBug::JointBeforeCaughtUp,
            "a_change_is_given_up_when_nobody_comes",
        ),
        (
            "RethinkDB 2.2.3: a disk that was wiped (M12)",
            PlantedBug::AnyLifeCounts,
            "a_wiped_disk_under_an_old_id_counts_for_nothing",
        ),
        (
            "openraft 6c0ccaf3: joint consensus of which half is looked at (M13)",
            PlantedBug::JointCountsOldOnly,
            "joint_consensus_needs_the_new_voters_too",
        ),
        (
            "openraft #1796: the longest log, and the highest term elsewhere (M14)",
            PlantedBug::LowerTermUnanswered,
            "the_longest_log_and_the_highest_term_are_on_two_sides_of_a_change",
        ),
        (
            "Camunda #57386: a vote that is refused by one's own role (M15)",
            PlantedBug::LearnersRefuseVotes,
            "a_new_leader_goes_on_with_joint_consensus",
        ),
        (
            "ClickHouse #105784: a snapshot with what is not committed (M16)",
            PlantedBug::SnapshotOfLatestConfiguration,
            "a_restart_has_no_configuration_that_was_overwritten",
        ),
        (
            "ClickHouse #105784: a configuration that outlives its entry (M16)",
            PlantedBug::ConfigurationNotRolledBack,
            "a_change_that_is_overwritten_is_rolled_back",
        ),
        (
            "thesis, Figure 4.6: a removed server without which there is no leader",
            PlantedBug::RemovedServerWaits,
            "a_removed_server_is_needed_until_that_is_committed",
        ),
    ] {
        let (written, heard) = play(&folder().join(script).with_extension("txt"), Some(bug));
        assert_ne!(heard, written, "{seen_at}");
    }
}

/// Every mixture of servers with and without pre-vote and check-quorum, in troubles that have wedged others:
/// a term from isolation, a higher term with a shorter log, and links that work in one direction. In the end
/// there is a leader: for a second nobody looks for one.
#[test]
fn no_mixture_of_servers_wedges() {
    let leads = "timeout n1\nelapse 100";
    let apart = "disk n1 1 1 2 term=2\ndisk n3 1 1 term=7\n";
    let troubles = [
        format!("{leads}\nisolate n3\nelapse 1000\nheal"),
        format!("{leads}\ncut n1>n3 n2>n3\nelapse 1000\nheal"),
        format!("{leads}\ncut n2>n1 n3>n1\nelapse 1000\nheal"),
        format!("{apart}disk n2 1 1 2 term=2"),
        format!("{apart}isolate n2"),
        "disk n1 1 3 term=3\ndisk n3 1 term=1\nisolate n2".into(),
    ];
    for mixture in 0..64_u8 {
        let is = |bit: u8| mixture >> bit & 1;
        let options: String = (0..3)
            .map(|id| format!("crash n{} prevote={} quorum={}\n", id + 1, is(id), is(id + 3)))
            .collect();
        for trouble in &troubles {
            let script = format!(
                "cluster 3\n{options}{trouble}\nelapse 3000\n----\n\nelapse 1000\nstate n1\nstate n3\n----\n"
            );
            let heard = Stage::default().play(&script);
            let (_, last) = heard.rsplit_once("----\n").unwrap();
            let mut lines = last.lines().filter(|line| !line.contains("ms: n2"));
            let calm = |line: &str| !line.contains("ms: ") && !line.contains("candidate");
            assert!(lines.all(calm), "{heard}");
        }
    }
}
