//! What a disk has lost: steps that the specification allows, and steps that it does not.

use raft_core::conformance::Action;

use super::{ASKED, COMMITTED, ELECTED, GRANTED, REPLICATED, Row};

/// n1 and n2 have another entry, which is not committed, and n2's disk has lost it.
const LOST: &str = "1 appends 2@1, 2 appends 2@1, 2 loses 2@1";
/// n1 gives way and asks for votes in t2, and n2 has heard of it.
const ASKED_AGAIN: &str = "1 steps-down 1, 1 candidate 2, 1 votes 1 2, 1 durable 2 1 1, 2 adopts 2";
/// n1 has sent n2 a snapshot of what n2 has committed.
const SENT: &str = "1 snapshots 1@1, 1 sends 2 1@1 0, 2 receives 1 1@1 0, 2 commits 0 1@1";

/// What is lost is told of before it comes back, counts for nothing until then, and goes only if it is not committed.
pub(crate) const ROWS: &[Row] = &[
    (Action::Repair, &[ASKED, GRANTED, ELECTED, REPLICATED], "2 loses 1@1, 2 repairs 1@1", "2 repairs 1@1"),
    (Action::Repair, &[ASKED, GRANTED, ELECTED, REPLICATED], "2 loses 1@1", "2 loses 2@1"),
    (Action::Repair, &[ASKED, GRANTED, ELECTED, REPLICATED, LOST], "2 drops 2@1 1@1", "2 drops 1@1 0@0"),
    (
        Action::Repair,
        &[ASKED, GRANTED, ELECTED, REPLICATED, COMMITTED, LOST],
        "2 drops 2@1 1@1",
        "2 loses 1@1, 2 drops 1@1 0@0",
    ),
    (
        Action::Repair,
        &[ASKED, GRANTED, ELECTED, REPLICATED, LOST, "1 loses 2@1"],
        "1 steps-down 1, 1 drops 2@1 1@1",
        "1 drops 2@1 1@1",
    ),
    (
        Action::HandleRequestVoteRequest,
        &[ASKED, GRANTED, ELECTED, REPLICATED, ASKED_AGAIN],
        "2 loses 1@1, 2 repairs 1@1, 2 votes 1 2",
        "2 loses 1@1, 2 votes 1 2",
    ),
    // What another server's snapshot stands for is not lost.
    (
        Action::HandleRequestVoteRequest,
        &[ASKED, GRANTED, ELECTED, REPLICATED, COMMITTED, ASKED_AGAIN, "2 loses 1@1"],
        "1 compacts 1@1, 2 votes 1 2",
        "2 votes 1 2",
    ),
    (
        Action::AdvanceCommitIndex,
        &[ASKED, GRANTED, ELECTED, REPLICATED],
        "1 matches 2 1, 1 commits 0 1@1",
        "1 loses 1@1, 1 matches 2 1, 1 commits 0 1@1",
    ),
    (
        Action::HandleAppendEntriesResponse,
        &[ASKED, GRANTED, ELECTED, "2 follows 1 1, 2 appends 1@1, 2 accepts 1 1"],
        "2 durable 1 1 1, 1 matches 2 1",
        "2 loses 1@1, 2 durable 1 1 1, 1 matches 2 1",
    ),
    (
        Action::HandleInstallSnapshotRequest,
        &[ASKED, GRANTED, ELECTED, REPLICATED, COMMITTED, SENT],
        "2 loses 1@1, 2 fills 1 1@1",
        "2 fills 1 1@1",
    ),
];
