//! Seeded misfortune: messages are lost, repeated, reordered and delayed, links are cut, servers crash and
//! lose what was not durable; after every step the properties of Figure 3 must hold.
//!
//! `cargo run --profile ci -p raft-core --example simulate -- 5000..6000` runs other seeds.

mod world;

use std::ops::Range;
use std::thread;

use raft_core::{Configuration, PlantedBug, Rng};
use world::{Conditions, Judges, Report, World, Wrong};

/// The seeds of the test run.
const SEEDS: Range<u64> = 0..5_000;

/// The world that a seed names.
type WorldOf = fn(u64, Option<PlantedBug>, fn(Configuration) -> Judges) -> World;

/// Runs the seeds on all cores.
fn run(seeds: Range<u64>, world: WorldOf) -> Vec<(u64, Result<Report, Wrong>)> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let run = move |seed| (seed, world(seed, None, Judges::all).run());
    let share = |core: usize| seeds.clone().skip(core).step_by(cores).map(run);
    thread::scope(|scope| {
        let workers: Vec<_> =
            (0..cores).map(|core| scope.spawn(move || share(core).collect::<Vec<_>>())).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    })
}

/// Runs the seeds of the test run, of which none breaks anything, and looks at each of them.
fn nothing_breaks(world: WorldOf, look: impl Fn(u64, &Report)) -> Report {
    let mut sum = Report::default();
    for (seed, result) in run(SEEDS, world) {
        let report = result.unwrap_or_else(|wrong| panic!("seed {seed}: {}: {wrong}", wrong.name()));
        look(seed, &report);
        sum += report;
    }
    println!("{sum:?}");
    sum
}

/// The same, and all servers agree when all is healed.
fn all_agree(world: WorldOf, look: impl Fn(u64, &Report)) -> Report {
    nothing_breaks(world, |seed, report| {
        look(seed, report);
        assert!(report.recovered, "seed {seed}: no agreement after all was healed");
    })
}

#[test]
fn figure_3_holds_under_misfortune_and_every_step_is_one_of_the_specification() {
    let sum = all_agree(World::new, |seed, report| {
        assert!(report.committed > 0, "seed {seed}: nothing was committed");
    });
    assert!(sum.crashes > 0 && sum.lost_writes > 0 && sum.cut > 0 && sum.repeated > 0, "{sum:?}");
    assert!(sum.pre_votes > 0 && sum.ignored > 0 && sum.alone > 0 && sum.hung > 0, "{sum:?}");
    assert!(sum.handed_over > 0 && sum.kept > 0, "{sum:?}");
    assert!(sum.reads > 0 && sum.follower_reads > 0 && sum.refused_reads > 0 && sum.leases > 0, "{sum:?}");
    assert!(sum.taken > 0 && sum.pieces > 0 && sum.installed > 0 && sum.loads > 0, "{sum:?}");
}

/// The same while who votes is changed all the time, leaders are removed, and disks are wiped.
#[test]
fn the_same_holds_while_members_change_and_disks_are_wiped() {
    let sum = all_agree(World::changing, |_, _| {});
    assert!(sum.changes > 0 && sum.configured > 0 && sum.removed > 0 && sum.wipes > 0, "{sum:?}");
    assert!(sum.installed > 0 && sum.leases > 0 && sum.handed_over > 0, "{sum:?}");
}

/// The same while disks lose entries, and the ends of logs that were acknowledged, but never the last copy of what is
/// committed.
#[test]
fn the_same_holds_while_disks_lose_what_they_had() {
    let sum = all_agree(World::rotting, |_, _| {});
    assert!(sum.damaged > 0 && sum.repaired > 0 && sum.dropped > 0 && sum.filled > 0, "{sum:?}");
    assert!(sum.tails_lost > 0 && sum.tails_trusted > 0, "{sum:?}");
}

/// Nothing is lost while members change and disks lose what they had. That all agree in the end is not owed: the only
/// one that still has an entry may have become a learner, or have left.
#[test]
fn nothing_is_lost_while_members_change_and_disks_lose_what_they_had() {
    let sum = nothing_breaks(World::changing_and_rotting, |_, _| {});
    assert!(sum.changes > 0 && sum.removed > 0 && sum.repaired > 0 && sum.tails_trusted > 0, "{sum:?}");
}

#[test]
fn the_same_seed_goes_the_same_way() {
    for seed in 0..20 {
        let run = || World::new(seed, None, Judges::all).run().unwrap();
        assert_eq!(run(), run(), "seed {seed}");
        let run = || World::changing(seed, None, Judges::all).run().unwrap();
        assert_eq!(run(), run(), "seed {seed}");
        let run = || World::rotting(seed, None, Judges::all).run().unwrap();
        assert_eq!(run(), run(), "seed {seed}");
    }
}

/// A leader of a quiet world is elected once and stays, and what clients tell it is committed.
#[test]
fn a_quiet_world_keeps_its_leader() {
    const SECONDS: u64 = 100;
    for seed in 0..10 {
        let world = World::under(Conditions::calm(SECONDS), Rng::new(seed), None, Judges::all);
        let report = world.run().unwrap_or_else(|wrong| panic!("seed {seed}: {}: {wrong}", wrong.name()));
        assert!(report.recovered && report.alone == 0 && report.hung == 0, "seed {seed}: {report:?}");
        assert_eq!((report.elections, report.lost, report.cut), (1, 0, 0), "seed {seed}: {report:?}");
        // A command a second in the mean.
        assert!(report.committed > SECONDS / 2, "seed {seed}: {report:?}");
    }
}

/// The world in which a bug can show.
#[cfg(feature = "planted-bugs")]
fn world_of(bug: raft_core::PlantedBug) -> WorldOf {
    use raft_core::PlantedBug;
    let is_of_rot = matches!(
        bug,
        PlantedBug::DamageAcknowledged | PlantedBug::DamagedServerVotes | PlantedBug::SuspectVotesCount
    );
    if is_of_rot {
        World::rotting
    } else if is_of_membership(bug) {
        World::changing
    } else {
        World::new
    }
}

/// Whether a bug can only show where who votes changes.
#[cfg(feature = "planted-bugs")]
const fn is_of_membership(bug: raft_core::PlantedBug) -> bool {
    use raft_core::PlantedBug;
    matches!(
        bug,
        PlantedBug::ChangeBeforeCommitInTerm
            | PlantedBug::ChangeWhileOneIsUnderWay
            | PlantedBug::ChangeWithoutJoint
            | PlantedBug::ConfigurationOnCommit
            | PlantedBug::ConfigurationNotRolledBack
            | PlantedBug::RestartForgetsConfiguration
            | PlantedBug::SnapshotOfLatestConfiguration
            | PlantedBug::JointCountsOldOnly
            | PlantedBug::JointBeforeCaughtUp
            | PlantedBug::SecondChangeDropped
            | PlantedBug::RemovedLeaderLeads
            | PlantedBug::RemovedServerWaits
            | PlantedBug::LearnersRefuseVotes
            | PlantedBug::AnyLifeCounts
    )
}

/// Each bug is found within the first seeds, and told by what it can break: a property of Figure 3, or
/// agreement once all is healed. Those that only cost time are left to the plans of raft-chaos.
#[cfg(feature = "planted-bugs")]
#[test]
fn planted_bugs_are_found() {
    use raft_core::PlantedBug;
    for (name, bug) in PlantedBug::ALL {
        let signals: &[&str] = match bug {
            PlantedBug::VoteWithoutLogCheck | PlantedBug::CommitByCounting => {
                &["leader-completeness", "state-machine", "self-check"]
            }
            PlantedBug::VoteForgottenInTerm => &["one-vote", "election-safety"],
            PlantedBug::VoteBeforePersisted
            | PlantedBug::ReplyOfOldTerm
            | PlantedBug::VoteCountedTwice => &[
                "election-safety",
                "log-matching",
                "leader-completeness",
                "state-machine",
                "durable-before-ack",
                "self-check",
            ],
            PlantedBug::LastIncludedTermForgotten => {
                &["leader-completeness", "state-machine", "self-check", "no agreement"]
            }
            PlantedBug::LeaderTwice => &["election-safety"],
            PlantedBug::AppendTruncates | PlantedBug::CompactedIsConflict => {
                &["durable-before-ack", "leader-completeness", "no agreement"]
            }
            PlantedBug::WholeLogAcknowledged | PlantedBug::RefusalCounts => {
                &["durable-before-ack", "self-check", "no agreement"]
            }
            PlantedBug::UncheckedTailCommitted => &["state-machine"],
            PlantedBug::WritesConfirmIndexes => &["durable-before-ack"],
            PlantedBug::RestartWaitsLong => &["no agreement"],
            PlantedBug::AckBeforeSync => &["durable-before-ack"],
            PlantedBug::PrevBelowSnapshot | PlantedBug::LowerTermUnanswered => &["no agreement"],
            PlantedBug::AppendJudgedByDurableTerm | PlantedBug::AppliedBeforeDurable => &["self-check"],
            PlantedBug::ReadNotConfirmed
            | PlantedBug::ReadBeforeCommitInTerm
            | PlantedBug::ReadConfirmedByLateReply
            | PlantedBug::ReadSessionReused
            | PlantedBug::ReadIndexNotChecked
            | PlantedBug::LeaseNotShortened
            | PlantedBug::LeaseJudgedEarly => &["stale-read"],
            PlantedBug::ChangeWhileOneIsUnderWay
            | PlantedBug::ChangeWithoutJoint
            | PlantedBug::ConfigurationOnCommit
            | PlantedBug::RestartForgetsConfiguration
            | PlantedBug::JointCountsOldOnly
            | PlantedBug::AnyLifeCounts => {
                &["durable-before-ack", "election-safety", "leader-completeness", "no agreement"]
            }
            PlantedBug::DamageAcknowledged | PlantedBug::SuspectVotesCount => &["leader-completeness", "durable-before-ack", "state-machine", "no agreement"],
            PlantedBug::ChangeBeforeCommitInTerm
            | PlantedBug::SnapshotOfLatestConfiguration
            | PlantedBug::JointBeforeCaughtUp
            | PlantedBug::RemovedServerWaits
            | PlantedBug::LearnersRefuseVotes => &["no agreement"],
            // `tests/script` and `tests/paper` find these, or a plan.
            PlantedBug::FixedTimeout
            | PlantedBug::PreVoteKeepsLowerTerm
            | PlantedBug::VotesDisturbLeaders
            | PlantedBug::QuorumNotChecked
            | PlantedBug::HungDiskLeads
            | PlantedBug::ClockWaitsForDisk
            | PlantedBug::VoteAskedBeforePersisted
            | PlantedBug::TransferVoteNotMarked
            | PlantedBug::LeaseThroughTransfer
            | PlantedBug::PromiseForgotten
            | PlantedBug::TimerNotResetBySnapshot
            | PlantedBug::BackUpByOne
            | PlantedBug::HeartbeatsWithoutEntries
            | PlantedBug::StaleTail
            | PlantedBug::PagesSkipped
            | PlantedBug::WindowIgnored
            | PlantedBug::StuckAfterSnapshot
            | PlantedBug::ConfigurationNotRolledBack
            | PlantedBug::SecondChangeDropped
            | PlantedBug::RemovedLeaderLeads
            // A vote by the names of entries alone loses nothing: what it costs is time.
            | PlantedBug::DamagedServerVotes
            // The state machine's own.
            | PlantedBug::SessionsFilterNothing
            | PlantedBug::ExpiredSessionApplied
            | PlantedBug::SessionExpiredByClock
            | PlantedBug::ResultDroppedUnacknowledged
            | PlantedBug::SessionsNotInSnapshot => continue,
        };
        let world = world_of(bug);
        let found = |seed| match world(seed, Some(bug), Judges::figure3).run() {
            Err(wrong) => Some((seed, wrong.name(), wrong.to_string())),
            Ok(report) if !report.recovered => Some((seed, "no agreement", String::new())),
            Ok(_) => None,
        };
        let (seed, signal, what) =
            (0..5_000).find_map(found).unwrap_or_else(|| panic!("{name} was not found"));
        println!("{name}: seed {seed}: {signal} {what}");
        assert!(signals.contains(&signal), "{name}: seed {seed}: {signal} {what}");
    }
}

/// What the specification refuses first of a bug; nothing of one that only costs time: what that does is
/// allowed, and may go on for ever.
#[cfg(feature = "planted-bugs")]
const fn refused_of(bug: raft_core::PlantedBug) -> &'static [&'static str] {
    use raft_core::PlantedBug;
    match bug {
        PlantedBug::VoteWithoutLogCheck => &["HandlePreVoteRequest", "HandleRequestVoteRequest"],
        PlantedBug::VoteBeforePersisted => &["HandleRequestVoteResponse", "UpdateTerm"],
        PlantedBug::PreVoteKeepsLowerTerm => &["HandlePreVoteRequest"],
        PlantedBug::VoteCountedTwice => &["HandlePreVoteResponse", "HandleRequestVoteResponse"],
        PlantedBug::VoteAskedBeforePersisted => &["HandleRequestVoteRequest", "UpdateTerm"],
        PlantedBug::VoteForgottenInTerm => &["Persist", "HandleRequestVoteRequest"],
        PlantedBug::LeaderTwice => &["BecomeLeader"],
        PlantedBug::CommitByCounting | PlantedBug::RefusalCounts => &["AdvanceCommitIndex"],
        PlantedBug::AppendTruncates
        | PlantedBug::CompactedIsConflict
        | PlantedBug::UncheckedTailCommitted
        | PlantedBug::WholeLogAcknowledged => &["HandleAppendEntriesRequest"],
        PlantedBug::WritesConfirmIndexes => &["HandleAppendEntriesResponse", "Persist"],
        PlantedBug::AckBeforeSync => &["HandleAppendEntriesResponse", "UpdateTerm"],
        PlantedBug::ReplyOfOldTerm => &["HandleRequestVoteResponse", "HandleAppendEntriesResponse"],
        PlantedBug::AppendJudgedByDurableTerm => &["HandleAppendEntriesRequest"],
        PlantedBug::AppliedBeforeDurable => &["Stop"],
        PlantedBug::LastIncludedTermForgotten => {
            &["HandlePreVoteRequest", "HandleRequestVoteRequest", "HandleAppendEntriesRequest", "Stop"]
        }
        PlantedBug::ReadBeforeCommitInTerm | PlantedBug::ReadIndexNotChecked => &["ReadIndex"],
        PlantedBug::ChangeBeforeCommitInTerm
        | PlantedBug::ChangeWhileOneIsUnderWay
        | PlantedBug::ChangeWithoutJoint
        | PlantedBug::JointBeforeCaughtUp => &["ChangeMembership"],
        PlantedBug::RemovedLeaderLeads => &["ClientRequest"],
        PlantedBug::ConfigurationOnCommit | PlantedBug::JointCountsOldOnly => &[
            "AdvanceCommitIndex",
            "BecomeLeader",
            "HandlePreVoteResponse",
            "HandleRequestVoteResponse",
            "Timeout",
        ],
        PlantedBug::ConfigurationNotRolledBack => {
            &["ChangeMembership", "HandleAppendEntriesResponse", "Restart"]
        }
        PlantedBug::RestartForgetsConfiguration => &[
            "ChangeMembership",
            "AdvanceCommitIndex",
            "BecomeLeader",
            "HandleAppendEntriesResponse",
            "HandlePreVoteResponse",
            "HandleRequestVoteResponse",
            "PreVote",
            "Restart",
            "Timeout",
        ],
        PlantedBug::SnapshotOfLatestConfiguration => &["Restart"],
        PlantedBug::DamageAcknowledged => &["AdvanceCommitIndex", "HandleAppendEntriesResponse"],
        PlantedBug::DamagedServerVotes => &["HandlePreVoteRequest", "HandleRequestVoteRequest"],
        PlantedBug::SuspectVotesCount => &["BecomeLeader", "Timeout"],
        PlantedBug::AnyLifeCounts => {
            &["AdvanceCommitIndex", "HandlePreVoteResponse", "HandleRequestVoteResponse"]
        }
        // What it leaves on a disk shows at a restart, but seldom: `tests/conformance` has it.
        PlantedBug::StaleTail
        | PlantedBug::FixedTimeout
        | PlantedBug::TimerNotResetBySnapshot
        | PlantedBug::BackUpByOne
        | PlantedBug::PrevBelowSnapshot
        | PlantedBug::HeartbeatsWithoutEntries
        | PlantedBug::LowerTermUnanswered
        | PlantedBug::VotesDisturbLeaders
        | PlantedBug::QuorumNotChecked
        | PlantedBug::HungDiskLeads
        | PlantedBug::ClockWaitsForDisk
        | PlantedBug::TransferVoteNotMarked
        | PlantedBug::ReadNotConfirmed
        | PlantedBug::ReadConfirmedByLateReply
        | PlantedBug::ReadSessionReused
        | PlantedBug::LeaseNotShortened
        | PlantedBug::LeaseThroughTransfer
        | PlantedBug::LeaseJudgedEarly
        | PlantedBug::PromiseForgotten
        | PlantedBug::PagesSkipped
        | PlantedBug::WindowIgnored
        | PlantedBug::StuckAfterSnapshot
        | PlantedBug::RestartWaitsLong
        | PlantedBug::SecondChangeDropped
        | PlantedBug::RemovedServerWaits
        | PlantedBug::LearnersRefuseVotes
        | PlantedBug::SessionsFilterNothing
        | PlantedBug::ExpiredSessionApplied
        | PlantedBug::SessionExpiredByClock
        | PlantedBug::ResultDroppedUnacknowledged
        | PlantedBug::SessionsNotInSnapshot => &[],
    }
}

/// The specification alone, without Figure 3's help, refuses the first step that a bug takes and no correct
/// server would.
#[cfg(feature = "planted-bugs")]
#[test]
fn the_specification_refuses_the_planted_bugs_that_break_it() {
    for (name, bug) in raft_core::PlantedBug::ALL {
        let actions = refused_of(bug);
        let mut seeds = if actions.is_empty() { 0..100 } else { 0..2_000 };
        let refused = |seed| {
            let world = world_of(bug);
            let wrong = world(seed, Some(bug), Judges::specification).run().err()?;
            Some((seed, wrong))
        };
        match seeds.find_map(refused) {
            None => assert!(actions.is_empty(), "{name} was not refused"),
            Some((seed, wrong)) => {
                println!("{name}: seed {seed}: {wrong}");
                assert!(actions.contains(&wrong.name()), "{name}: seed {seed}: {wrong}");
            }
        }
    }
}
