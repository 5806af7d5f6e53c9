//! Bugs that tests plant to see whether they are found.
//!
//! Only a build with the feature `planted-bugs` can hold one: without it [`PlantedBug`] has no value,
//! and every question after one is answered no by the compiler.

use crate::outline::LogOutline;
use crate::types::{EntryId, Term, Time};

/// Whether a server has this bug.
macro_rules! planted {
    (of $planted:expr, $bug:ident) => {{
        #[cfg(feature = "planted-bugs")]
        {
            $planted == Some($crate::planted::PlantedBug::$bug)
        }
        #[cfg(not(feature = "planted-bugs"))]
        {
            // Who has the bug is looked at in either build.
            let _ = &$planted;
            false
        }
    }};
    ($raft:expr, $bug:ident) => {
        $crate::planted::planted!(of $raft.config.planted, $bug)
    };
}
pub(crate) use planted;

/// A bug of real Raft systems, as a switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlantedBug {
    /// A vote is given without looking at the candidate's log (§5.4.1 left out).
    #[cfg(feature = "planted-bugs")]
    VoteWithoutLogCheck,
    /// A vote is answered before it is on disk.
    #[cfg(feature = "planted-bugs")]
    VoteBeforePersisted,
    /// A server that goes back to follow in the same term forgets its vote (§5.2 left out).
    #[cfg(feature = "planted-bugs")]
    VoteForgottenInTerm,
    /// Entries of earlier terms are committed by counting replicas (§5.4.2 left out; Figure 8).
    #[cfg(feature = "planted-bugs")]
    CommitByCounting,
    /// Everybody waits the same election timeout, and looks at it every 10 ms (§5.2 left out).
    #[cfg(feature = "planted-bugs")]
    FixedTimeout,
    /// A piece of a snapshot takes the place of a heartbeat and does not reset the election timer.
    #[cfg(feature = "planted-bugs")]
    TimerNotResetBySnapshot,
    /// A reply counts whatever term and conversation it is of.
    #[cfg(feature = "planted-bugs")]
    ReplyOfOldTerm,
    /// A vote that comes twice counts twice.
    #[cfg(feature = "planted-bugs")]
    VoteCountedTwice,
    /// A vote that comes after the majority makes the leader begin its reign anew.
    #[cfg(feature = "planted-bugs")]
    LeaderTwice,
    /// A refused leader goes back by one entry, whatever the hint (§5.3).
    #[cfg(feature = "planted-bugs")]
    BackUpByOne,
    /// A leader that should go back to before its snapshot goes back to the snapshot, and sends none.
    #[cfg(feature = "planted-bugs")]
    PrevBelowSnapshot,
    /// Heartbeats join on to what is known to agree and carry nothing: they do not notice what was lost.
    #[cfg(feature = "planted-bugs")]
    HeartbeatsWithoutEntries,
    /// Entries are acknowledged before they are on disk.
    #[cfg(feature = "planted-bugs")]
    AckBeforeSync,
    /// A restart finds the index of the last compacted entry, and not its term.
    #[cfg(feature = "planted-bugs")]
    LastIncludedTermForgotten,
    /// What a follower's disk had past an installed snapshot stays there.
    #[cfg(feature = "planted-bugs")]
    StaleTail,
    /// A pre-vote is granted under the voter's own term, which the asker takes for one of the past.
    #[cfg(feature = "planted-bugs")]
    PreVoteKeepsLowerTerm,
    /// Whoever is in a higher term says nothing to one in a lower (thesis 6.2 and 9.6 left out by half).
    #[cfg(feature = "planted-bugs")]
    LowerTermUnanswered,
    /// A vote deposes a leader that everybody hears (thesis 4.2.3 left out).
    #[cfg(feature = "planted-bugs")]
    VotesDisturbLeaders,
    /// A leader that hears nobody leads on (thesis 6.2 left out).
    #[cfg(feature = "planted-bugs")]
    QuorumNotChecked,
    /// A leader whose disk hangs leads on.
    #[cfg(feature = "planted-bugs")]
    HungDiskLeads,
    /// While a write is on its way to the disk nobody looks at the clock.
    #[cfg(feature = "planted-bugs")]
    ClockWaitsForDisk,
    /// A candidate judges what a leader sends by the term that it has on disk.
    #[cfg(feature = "planted-bugs")]
    AppendJudgedByDurableTerm,
    /// A candidate asks for votes before its term, its vote and its log are on disk.
    #[cfg(feature = "planted-bugs")]
    VoteAskedBeforePersisted,
    /// Whoever is told to start an election asks for votes like anybody (thesis 4.2.3 taken too far).
    #[cfg(feature = "planted-bugs")]
    TransferVoteNotMarked,
    /// A leader answers reads from what it has, and asks nobody (thesis 6.4 left out).
    #[cfg(feature = "planted-bugs")]
    ReadNotConfirmed,
    /// A leader answers reads before it has committed anything in its term (thesis 6.4, step 1 left out).
    #[cfg(feature = "planted-bugs")]
    ReadBeforeCommitInTerm,
    /// Whatever round a follower acknowledges, it is taken for the last one.
    #[cfg(feature = "planted-bugs")]
    ReadConfirmedByLateReply,
    /// A follower's questions all have the same name.
    #[cfg(feature = "planted-bugs")]
    ReadSessionReused,
    /// A leader looks at what it has committed, and answers with what it has applied.
    #[cfg(feature = "planted-bugs")]
    ReadIndexNotChecked,
    /// A lease is as long as the shortest election timeout, whatever the clocks (thesis 6.4.1 left out by half).
    #[cfg(feature = "planted-bugs")]
    LeaseNotShortened,
    /// A lease goes on while leadership is handed over.
    #[cfg(feature = "planted-bugs")]
    LeaseThroughTransfer,
    /// A lease is judged by a time from before the read came in: by when the server last did something else.
    #[cfg(feature = "planted-bugs")]
    LeaseJudgedEarly,
    /// A restart or a new term makes a server forget which leader it has just acknowledged.
    #[cfg(feature = "planted-bugs")]
    PromiseForgotten,
    /// Whatever follows what an append joins on to goes, though it is the same (§5.3, rule 3 taken too far).
    #[cfg(feature = "planted-bugs")]
    AppendTruncates,
    /// What joins on before the snapshot is taken for a conflict, and the log after it goes (§7).
    #[cfg(feature = "planted-bugs")]
    CompactedIsConflict,
    /// A follower commits what the leader has, up to the end of its own log, checked or not (§5.3, rule 5).
    #[cfg(feature = "planted-bugs")]
    UncheckedTailCommitted,
    /// A follower acknowledges the end of its own log, and not that of the new entries.
    #[cfg(feature = "planted-bugs")]
    WholeLogAcknowledged,
    /// A leader takes the hint of a refusal for an acknowledgement.
    #[cfg(feature = "planted-bugs")]
    RefusalCounts,
    /// A write that is done makes indexes durable, whatever has taken the place of its entries meanwhile.
    #[cfg(feature = "planted-bugs")]
    WritesConfirmIndexes,
    /// A state machine that keeps what it applies is given what the log may yet lose.
    #[cfg(feature = "planted-bugs")]
    AppliedBeforeDurable,
    /// What does not fit into one batch of committed entries is never applied.
    #[cfg(feature = "planted-bugs")]
    PagesSkipped,
    /// A leader sends on, however much is on its way.
    #[cfg(feature = "planted-bugs")]
    WindowIgnored,
    /// A follower whose snapshot ends where the log does is still sent it, and no entries.
    #[cfg(feature = "planted-bugs")]
    StuckAfterSnapshot,
    /// A server that starts again waits for a leader a hundred times as long.
    #[cfg(feature = "planted-bugs")]
    RestartWaitsLong,
    /// A leader changes the membership before it has committed anything in its term (Ongaro 2015 left out).
    #[cfg(feature = "planted-bugs")]
    ChangeBeforeCommitInTerm,
    /// A leader takes the next step of a change before the last one is committed (§6 left out by half).
    #[cfg(feature = "planted-bugs")]
    ChangeWhileOneIsUnderWay,
    /// The new voters are in force at once, whoever they are (§6, joint consensus left out).
    #[cfg(feature = "planted-bugs")]
    ChangeWithoutJoint,
    /// A configuration is in force when it is committed, and not when it is in the log.
    #[cfg(feature = "planted-bugs")]
    ConfigurationOnCommit,
    /// A configuration is in force after its entry was truncated.
    #[cfg(feature = "planted-bugs")]
    ConfigurationNotRolledBack,
    /// A restart goes by the configuration of the snapshot, whatever the log has.
    #[cfg(feature = "planted-bugs")]
    RestartForgetsConfiguration,
    /// A snapshot has the last configuration in the log, committed or not.
    #[cfg(feature = "planted-bugs")]
    SnapshotOfLatestConfiguration,
    /// In joint consensus the old voters are enough.
    #[cfg(feature = "planted-bugs")]
    JointCountsOldOnly,
    /// Joint consensus begins before those who are to vote have caught up (thesis 4.2.1 left out).
    #[cfg(feature = "planted-bugs")]
    JointBeforeCaughtUp,
    /// A change that comes while one is under way is dropped, and whoever asked for it is not told.
    #[cfg(feature = "planted-bugs")]
    SecondChangeDropped,
    /// A leader that was removed leads on (thesis 4.2.2 left out).
    #[cfg(feature = "planted-bugs")]
    RemovedLeaderLeads,
    /// A server that its log says was removed starts no elections, committed or not (thesis 4.2.2, Figure 4.6).
    #[cfg(feature = "planted-bugs")]
    RemovedServerWaits,
    /// A server that does not vote as far as it knows gives no vote (thesis 4.1 left out).
    #[cfg(feature = "planted-bugs")]
    LearnersRefuseVotes,
    /// Votes and acknowledgements count from a server whose disk was wiped.
    #[cfg(feature = "planted-bugs")]
    AnyLifeCounts,
    /// A follower whose disk has lost an entry acknowledges what follows it, and a leader counts itself.
    #[cfg(feature = "planted-bugs")]
    DamageAcknowledged,
    /// A server votes, and asks for votes, whose disk has lost entries of its log.
    #[cfg(feature = "planted-bugs")]
    DamagedServerVotes,
    /// The vote of a server that may have lost what it acknowledged counts like any.
    #[cfg(feature = "planted-bugs")]
    SuspectVotesCount,
    /// A command whose number was applied is applied again (thesis 6.3 left out).
    #[cfg(feature = "planted-bugs")]
    SessionsFilterNothing,
    /// A command of a session that has expired is applied in a new one.
    #[cfg(feature = "planted-bugs")]
    ExpiredSessionApplied,
    /// Each server expires the sessions that its own clock has not seen used for a minute.
    #[cfg(feature = "planted-bugs")]
    SessionExpiredByClock,
    /// Of a session only the last result is kept, whatever its client has.
    #[cfg(feature = "planted-bugs")]
    ResultDroppedUnacknowledged,
    /// The table of sessions is not in the snapshot.
    #[cfg(feature = "planted-bugs")]
    SessionsNotInSnapshot,
}

/// How often a server with [`PlantedBug::FixedTimeout`] looks at its timer, in nanoseconds.
const POLL_NS: u64 = 10_000_000;

/// The first look at the timer at or after `deadline`, of a server that looks at `phase` and every so often.
pub(crate) const fn next_poll(deadline: Time, phase: u64) -> Time {
    let phase = phase % POLL_NS;
    Time::from_nanos(deadline.as_nanos().saturating_sub(phase).next_multiple_of(POLL_NS) + phase)
}

/// The same log, but for the term of the last compacted entry.
pub(crate) fn without_base_term(log: &LogOutline) -> LogOutline {
    let mut without = LogOutline::new(EntryId::new(Term::new(0), log.base().index));
    for id in log.ids() {
        without.append(id);
    }
    without
}

#[cfg(feature = "planted-bugs")]
impl PlantedBug {
    /// Every bug, with the name that commands use for it.
    pub const ALL: [(&'static str, Self); 66] = [
        ("vote-without-log-check", Self::VoteWithoutLogCheck),
        ("vote-before-persisted", Self::VoteBeforePersisted),
        ("vote-forgotten-in-term", Self::VoteForgottenInTerm),
        ("commit-by-counting", Self::CommitByCounting),
        ("fixed-timeout", Self::FixedTimeout),
        ("timer-not-reset-by-snapshot", Self::TimerNotResetBySnapshot),
        ("reply-of-old-term", Self::ReplyOfOldTerm),
        ("vote-counted-twice", Self::VoteCountedTwice),
        ("leader-twice", Self::LeaderTwice),
        ("back-up-by-one", Self::BackUpByOne),
        ("prev-below-snapshot", Self::PrevBelowSnapshot),
        ("heartbeats-without-entries", Self::HeartbeatsWithoutEntries),
        ("ack-before-sync", Self::AckBeforeSync),
        ("last-included-term-forgotten", Self::LastIncludedTermForgotten),
        ("stale-tail", Self::StaleTail),
        ("pre-vote-keeps-lower-term", Self::PreVoteKeepsLowerTerm),
        ("lower-term-unanswered", Self::LowerTermUnanswered),
        ("votes-disturb-leaders", Self::VotesDisturbLeaders),
        ("quorum-not-checked", Self::QuorumNotChecked),
        ("hung-disk-leads", Self::HungDiskLeads),
        ("clock-waits-for-disk", Self::ClockWaitsForDisk),
        ("append-judged-by-durable-term", Self::AppendJudgedByDurableTerm),
        ("vote-asked-before-persisted", Self::VoteAskedBeforePersisted),
        ("transfer-vote-not-marked", Self::TransferVoteNotMarked),
        ("read-not-confirmed", Self::ReadNotConfirmed),
        ("read-before-commit-in-term", Self::ReadBeforeCommitInTerm),
        ("read-confirmed-by-late-reply", Self::ReadConfirmedByLateReply),
        ("read-session-reused", Self::ReadSessionReused),
        ("read-index-not-checked", Self::ReadIndexNotChecked),
        ("lease-not-shortened", Self::LeaseNotShortened),
        ("lease-through-transfer", Self::LeaseThroughTransfer),
        ("lease-judged-early", Self::LeaseJudgedEarly),
        ("promise-forgotten", Self::PromiseForgotten),
        ("append-truncates", Self::AppendTruncates),
        ("compacted-is-conflict", Self::CompactedIsConflict),
        ("unchecked-tail-committed", Self::UncheckedTailCommitted),
        ("whole-log-acknowledged", Self::WholeLogAcknowledged),
        ("refusal-counts", Self::RefusalCounts),
        ("writes-confirm-indexes", Self::WritesConfirmIndexes),
        ("applied-before-durable", Self::AppliedBeforeDurable),
        ("pages-skipped", Self::PagesSkipped),
        ("window-ignored", Self::WindowIgnored),
        ("stuck-after-snapshot", Self::StuckAfterSnapshot),
        ("restart-waits-long", Self::RestartWaitsLong),
        ("change-before-commit-in-term", Self::ChangeBeforeCommitInTerm),
        ("change-while-one-is-under-way", Self::ChangeWhileOneIsUnderWay),
        ("change-without-joint", Self::ChangeWithoutJoint),
        ("configuration-on-commit", Self::ConfigurationOnCommit),
        ("configuration-not-rolled-back", Self::ConfigurationNotRolledBack),
        ("restart-forgets-configuration", Self::RestartForgetsConfiguration),
        ("snapshot-of-latest-configuration", Self::SnapshotOfLatestConfiguration),
        ("joint-counts-old-only", Self::JointCountsOldOnly),
        ("joint-before-caught-up", Self::JointBeforeCaughtUp),
        ("second-change-dropped", Self::SecondChangeDropped),
        ("removed-leader-leads", Self::RemovedLeaderLeads),
        ("removed-server-waits", Self::RemovedServerWaits),
        ("learners-refuse-votes", Self::LearnersRefuseVotes),
        ("any-life-counts", Self::AnyLifeCounts),
        ("damage-acknowledged", Self::DamageAcknowledged),
        ("damaged-server-votes", Self::DamagedServerVotes),
        ("suspect-votes-count", Self::SuspectVotesCount),
        ("sessions-filter-nothing", Self::SessionsFilterNothing),
        ("expired-session-applied", Self::ExpiredSessionApplied),
        ("session-expired-by-clock", Self::SessionExpiredByClock),
        ("result-dropped-unacknowledged", Self::ResultDroppedUnacknowledged),
        ("sessions-not-in-snapshot", Self::SessionsNotInSnapshot),
    ];
}
