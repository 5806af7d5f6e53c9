//! Steps that the specification allows after a story, and steps that it does not.

mod membership;
mod repair;
mod restart;
mod story;

use std::collections::BTreeSet;

use raft_core::conformance::Action;

use story::tell;

/// n1 asks for votes in t1.
const ASKED: &str = "1 candidate 1, 1 votes 1 1, 1 durable 1 1 0";
/// n2 gives its own.
const GRANTED: &str = "2 adopts 1, 2 votes 1 1, 2 durable 1 1 0";
/// n1 leads t1, and has made entry 1.
const ELECTED: &str = "1 counts 1 1, 1 counts 2 1, 1 leads 1, 1 appends 1@1";
/// n2 has that, on disk, and so has n1.
const REPLICATED: &str = "2 follows 1 1, 2 appends 1@1, 2 accepts 1 1, 2 durable 1 1 1, 1 durable 1 1 1";
/// It is committed.
const COMMITTED: &str = "1 matches 2 1, 1 commits 0 1@1";
/// n1 has made entry 2, too, and n2 leads t2 with another one.
const FORKED: &str = "1 appends 2@1, 2 candidate 2, 2 votes 2 2, 2 durable 2 2 1, \
                      3 adopts 2, 3 votes 2 2, 3 durable 2 2 0, 2 counts 2 2, 2 counts 3 2, 2 leads 2, \
                      2 appends 2@2, 1 adopts 2, 1 follows 2 2";
/// n3 asks for votes in t2, and n2 has heard of it.
const RIVAL: &str = "3 adopts 1, 3 candidate 2, 3 votes 3 2, 3 durable 2 3 0, 2 adopts 2";
/// n2 would vote for n1, and both n1 and n3 have asked.
const PRE_VOTES: &str = "1 pre-candidate 0, 3 pre-candidate 0, 2 would-vote 1 1, 1 counts-pre 1 1";
/// n1 has a snapshot, and has sent the first piece of it to n3, which follows.
const SENT: &str = "1 snapshots 1@1, 1 sends 3 1@1 0, 3 adopts 1, 3 follows 1 1";

/// An action, how many of the parts of a story have happened, what is allowed then, and what is not.
type Row = (Action, &'static [&'static str], &'static str, &'static str);

/// Timeout, UpdateTerm, RequestVote, BecomeLeader; pre-votes; leaders that give way.
const ELECTIONS: &[Row] = &[
    (Action::Timeout, &[], "1 candidate 1", "1 candidate 2"),
    (Action::Timeout, &[ASKED, GRANTED, ELECTED], "2 candidate 2", "1 candidate 2"),
    (Action::Timeout, &[PRE_VOTES], "1 counts-pre 2 1, 1 candidate 1", "1 candidate 1"),
    (Action::UpdateTerm, &[], "1 candidate 1, 1 durable 1 - 0, 2 adopts 1", "1 candidate 1, 2 adopts 1"),
    (Action::UpdateTerm, &[ASKED, GRANTED], "3 adopts 1", "1 adopts 0"),
    (
        Action::HandleRequestVoteRequest,
        &[],
        "1 candidate 1, 1 durable 1 - 0, 2 candidate 1, 2 votes 1 1",
        "1 candidate 1, 2 candidate 1, 2 votes 1 1",
    ),
    (
        Action::HandleRequestVoteRequest,
        &[ASKED, GRANTED],
        "3 adopts 1, 3 votes 1 1",
        "3 adopts 1, 3 votes 2 1",
    ),
    (
        Action::HandleRequestVoteRequest,
        &[ASKED],
        "2 candidate 1, 2 votes 1 1",
        "2 candidate 1, 2 votes 2 1, 2 votes 1 1",
    ),
    (Action::HandleRequestVoteRequest, &[ASKED, GRANTED, ELECTED, RIVAL], "2 votes 3 2", "2 votes 3 1"),
    (
        Action::HandleRequestVoteRequest,
        &[ASKED, GRANTED, ELECTED, RIVAL],
        "2 votes 3 2",
        "1 adopts 2, 1 votes 3 2",
    ),
    (Action::HandleRequestVoteResponse, &[ASKED, GRANTED], "1 counts 2 1", "1 counts 3 1"),
    (
        Action::HandleRequestVoteResponse,
        &[ASKED],
        "2 adopts 1, 2 votes 1 1, 2 durable 1 1 0, 1 counts 2 1",
        "2 adopts 1, 2 votes 1 1, 1 counts 2 1",
    ),
    (Action::HandleRequestVoteResponse, &[ASKED, GRANTED], "1 counts 2 1", "1 counts 2 1, 1 counts 2 1"),
    (
        Action::HandleRequestVoteResponse,
        &[ASKED, GRANTED],
        "1 candidate 2, 1 votes 1 2, 1 durable 2 1 0, 1 counts 1 2",
        "1 candidate 2, 1 votes 1 2, 1 durable 2 1 0, 1 counts 2 2",
    ),
    (Action::BecomeLeader, &[ASKED, GRANTED, "1 counts 1 1"], "1 counts 2 1, 1 leads 1", "1 leads 1"),
    (Action::BecomeLeader, &[ASKED, GRANTED], "1 counts 1 1, 1 counts 2 1, 1 leads 1", "2 leads 1"),
    (Action::BecomeLeader, &[ASKED, GRANTED, ELECTED], "1 appends 2@1", "1 leads 1"),
    (Action::PreVote, &[ASKED, GRANTED, ELECTED], "2 pre-candidate 1", "1 pre-candidate 1"),
    (Action::HandlePreVoteRequest, &[PRE_VOTES], "2 would-vote 3 1", "3 would-vote 2 1"),
    (
        Action::HandlePreVoteRequest,
        &[ASKED, GRANTED, ELECTED, REPLICATED],
        "1 steps-down 1, 1 adopts 1, 1 pre-candidate 1, 2 would-vote 1 2",
        "3 adopts 1, 3 pre-candidate 1, 2 would-vote 3 2",
    ),
    (Action::HandlePreVoteResponse, &[PRE_VOTES], "1 counts-pre 2 1", "1 counts-pre 3 1"),
    (Action::HandlePreVoteResponse, &[PRE_VOTES], "1 counts-pre 2 1", "1 counts-pre 1 1"),
    (Action::StepDown, &[ASKED, GRANTED, ELECTED], "1 steps-down 1, 1 adopts 1", "1 adopts 1"),
    (Action::StepDown, &[ASKED, GRANTED, ELECTED], "1 steps-down 1", "2 steps-down 1"),
];

/// ClientRequest, AppendEntries, AdvanceCommitIndex; the disk and the state machine.
const REPLICATION: &[Row] = &[
    (Action::ClientRequest, &[ASKED, GRANTED, ELECTED], "1 appends 2@1", "1 appends 3@1"),
    (Action::ClientRequest, &[ASKED, GRANTED, ELECTED], "1 appends 2@1", "3 appends 1@1"),
    (Action::ClientRequest, &[ASKED, GRANTED, ELECTED], "1 appends 2@1", "1 transfers 2, 1 appends 2@1"),
    (Action::HandleAppendEntriesRequest, &[ASKED, GRANTED, ELECTED], "2 follows 1 1", "2 follows 3 1"),
    (
        Action::HandleAppendEntriesRequest,
        &[ASKED, GRANTED, ELECTED, "2 follows 1 1"],
        "2 appends 1@1",
        "2 appends 2@1",
    ),
    (
        Action::HandleAppendEntriesRequest,
        &[ASKED, GRANTED, ELECTED, REPLICATED],
        "2 accepts 1 1, 2 rejects 1 1 2@1",
        "2 rejects 1 1 1@1",
    ),
    (
        Action::HandleAppendEntriesRequest,
        &[ASKED, GRANTED, ELECTED, REPLICATED],
        "2 accepts 1 1",
        "2 accepts 1 2",
    ),
    (
        Action::HandleAppendEntriesRequest,
        &[ASKED, GRANTED, ELECTED, REPLICATED, COMMITTED, FORKED],
        "1 rejects 2 2 2@2, 1 removes 2 1@1, 1 appends 2@2",
        "1 appends 2@2",
    ),
    (
        Action::HandleAppendEntriesRequest,
        &[ASKED, GRANTED, ELECTED, REPLICATED, COMMITTED, FORKED],
        "1 removes 2 1@1",
        "1 removes 1 0@0",
    ),
    (
        Action::HandleAppendEntriesRequest,
        &[ASKED, GRANTED, ELECTED, REPLICATED, COMMITTED, FORKED],
        "1 accepts 2 1",
        "1 accepts 2 2",
    ),
    (
        Action::HandleAppendEntriesRequest,
        &[ASKED, GRANTED, ELECTED, REPLICATED],
        "1 matches 2 1, 1 commits 0 1@1, 2 commits 0 1@1",
        "2 commits 0 1@1",
    ),
    (
        Action::HandleAppendEntriesResponse,
        &[ASKED, GRANTED, ELECTED, "2 follows 1 1, 2 appends 1@1, 2 accepts 1 1"],
        "2 durable 1 1 1, 1 matches 2 1",
        "1 matches 2 1",
    ),
    (
        Action::HandleAppendEntriesResponse,
        &[ASKED, GRANTED, ELECTED, REPLICATED],
        "1 matches 2 1",
        "1 matches 2 2",
    ),
    // An acknowledgement of t1 says nothing to the leader of t2.
    (
        Action::HandleAppendEntriesResponse,
        &[ASKED, GRANTED, ELECTED, REPLICATED, COMMITTED, FORKED],
        "1 accepts 2 1, 1 durable 2 - 2, 2 matches 1 1",
        "2 matches 1 1",
    ),
    (
        Action::AdvanceCommitIndex,
        &[ASKED, GRANTED, ELECTED, REPLICATED],
        "1 matches 2 1, 1 commits 0 1@1",
        "1 commits 0 1@1",
    ),
    // Figure 8: an entry of an earlier term is not committed by counting.
    (
        Action::AdvanceCommitIndex,
        &[
            ASKED,
            GRANTED,
            ELECTED,
            REPLICATED,
            COMMITTED,
            FORKED,
            "1 accepts 2 1, 1 durable 2 - 2, 2 matches 1 1",
        ],
        "1 removes 2 1@1, 1 appends 2@2, 1 accepts 2 2, 1 durable 2 - 2, 2 durable 2 2 2, 2 matches 1 2, \
         2 commits 0 2@2",
        "2 commits 0 1@1",
    ),
    (Action::Persist, &[ASKED], "1 durable 1 1 0", "1 durable 1 2 0"),
    (Action::Persist, &[], "2 candidate 1, 2 votes 2 1, 2 durable 1 2 0", "2 candidate 1, 2 durable 1 2 0"),
    (Action::Persist, &[ASKED], "1 durable 1 1 0", "1 durable 2 1 0"),
    (Action::Persist, &[ASKED], "1 durable 1 1 0", "1 durable 1 1 1"),
    (Action::Apply, &[ASKED, GRANTED, ELECTED, REPLICATED, COMMITTED], "1 applies 1", "2 applies 1"),
    (
        Action::Apply,
        &[ASKED, GRANTED, ELECTED, REPLICATED, COMMITTED],
        "1 applies 1",
        "1 applies 1, 1 applies 1",
    ),
    (Action::Stop, &[], "1 ignores 2 1", "1 stops"),
];

/// Snapshots, and leadership transfer.
const EXTENSIONS: &[Row] = &[
    (
        Action::TakeSnapshot,
        &[ASKED, GRANTED, ELECTED, REPLICATED, COMMITTED],
        "1 snapshots 1@1, 1 compacts 1@1",
        "2 snapshots 1@1",
    ),
    (
        Action::TakeSnapshot,
        &[ASKED, GRANTED, ELECTED, REPLICATED, COMMITTED],
        "1 compacts 1@1",
        "1 compacts 1@2",
    ),
    (
        Action::SendSnapshot,
        &[ASKED, GRANTED, ELECTED, REPLICATED, COMMITTED],
        "1 sends 3 1@1 0",
        "2 sends 3 1@1 0",
    ),
    (
        Action::HandleInstallSnapshotRequest,
        &[ASKED, GRANTED, ELECTED, REPLICATED, COMMITTED, SENT],
        "3 receives 1 1@1 0",
        "3 receives 1 1@1 8",
    ),
    (
        Action::HandleInstallSnapshotRequest,
        &[ASKED, GRANTED, ELECTED, REPLICATED, COMMITTED, SENT, "3 receives 1 1@1 0"],
        "3 installs 1@1 0",
        "3 installs 2@1 0",
    ),
    (
        Action::HandleInstallSnapshotRequest,
        &[ASKED, GRANTED, ELECTED, REPLICATED, COMMITTED, SENT],
        "2 has 1 1@1",
        "2 installs 1@1 0",
    ),
    (
        Action::HandleInstallSnapshotRequest,
        &[ASKED, GRANTED, ELECTED, REPLICATED, COMMITTED, SENT],
        "2 has 1 1@1",
        "3 has 1 1@1",
    ),
    // What was installed is acknowledged once it is durable.
    (
        Action::HandleAppendEntriesResponse,
        &[ASKED, GRANTED, ELECTED, REPLICATED, COMMITTED, SENT, "3 receives 1 1@1 0, 3 installs 1@1 0"],
        "3 durable 1 - 1, 1 matches 3 1",
        "1 matches 3 1",
    ),
    (
        Action::ReadIndex,
        &[ASKED, GRANTED, ELECTED, REPLICATED],
        "1 matches 2 1, 1 commits 0 1@1, 1 confirms 1",
        "1 confirms 1",
    ),
    (
        Action::ReadIndex,
        &[ASKED, GRANTED, ELECTED, REPLICATED, COMMITTED],
        "2 commits 0 1@1, 1 confirms 1",
        "2 commits 0 1@1, 2 confirms 1",
    ),
    // What a new leader has committed is not of its own term.
    (
        Action::ReadIndex,
        &[ASKED, GRANTED, ELECTED, REPLICATED, COMMITTED, "2 commits 0 1@1", FORKED],
        "3 follows 2 2, 3 appends 1@1, 3 appends 2@2, 3 accepts 2 2, 3 durable 2 2 2, 2 durable 2 2 2, \
         2 matches 3 2, 2 commits 1 2@2, 2 confirms 2",
        "2 confirms 1",
    ),
    (Action::TransferLeadership, &[ASKED, GRANTED, ELECTED], "1 transfers 2", "2 transfers 1"),
    (
        Action::TransferLeadership,
        &[ASKED, GRANTED, ELECTED, "1 transfers 2"],
        "1 goes-on 2, 1 transfers 3",
        "1 transfers 3",
    ),
    (
        Action::TransferLeadership,
        &[ASKED, GRANTED, ELECTED, "1 transfers 2, 1 steps-down 1"],
        "1 hands-over 2",
        "1 goes-on 2",
    ),
    (
        Action::TimeoutNow,
        &[ASKED, GRANTED, ELECTED, REPLICATED, "1 transfers 2"],
        "1 matches 2 1, 1 tells 2",
        "1 tells 2",
    ),
    (
        Action::TimeoutNow,
        &[ASKED, GRANTED, ELECTED, REPLICATED, COMMITTED],
        "1 transfers 2, 1 tells 2",
        "1 tells 2",
    ),
    // Who is told to asks for votes at once.
    (
        Action::Timeout,
        &[ASKED, GRANTED, ELECTED, REPLICATED, COMMITTED, "1 transfers 2, 2 pre-candidate 1"],
        "1 tells 2, 2 candidate 2",
        "2 candidate 2",
    ),
];

#[test]
fn every_action_is_allowed_for_its_reasons_and_refused_without_them() {
    let mut seen = BTreeSet::from([Action::Restart]);
    for (action, before, allowed, refused) in
        [ELECTIONS, REPLICATION, membership::ROWS, repair::ROWS, EXTENSIONS].into_iter().flatten()
    {
        let before = before.join(", ");
        let mut specification = tell(&before).unwrap_or_else(|refused| panic!("{before}: {refused}"));
        let mut twin = specification.clone();
        story::go_on(&mut specification, allowed).unwrap_or_else(|refused| panic!("{allowed}: {refused}"));
        let (almost, last) = refused.rsplit_once(", ").unwrap_or(("", refused));
        story::go_on(&mut twin, almost).unwrap_or_else(|refused| panic!("{almost}: {refused}"));
        let what = story::go_on(&mut twin, last).expect_err(refused);
        println!("{what}");
        assert_eq!(what.action, *action, "{refused}: {what}");
        seen.insert(*action);
    }
    assert_eq!(seen, Action::ALL.iter().copied().collect(), "every action has a row");
}

/// What is decided in a term may be said when a later one is on disk: no crash comes back to before that.
#[test]
fn what_was_decided_is_said_once_a_later_term_is_durable() {
    let decided = "2 adopts 1, 2 votes 1 1, 2 candidate 2";
    for (then, allowed) in [("1 counts 2 1", false), ("2 durable 2 - 0, 1 counts 2 1", true)] {
        let told = tell(&[ASKED, decided, then].join(", "));
        assert_eq!(told.is_ok(), allowed, "{told:?}");
    }
}

/// Log Matching: what is before an entry says whose it is.
#[test]
fn entries_of_two_leaders_are_told_apart_by_what_is_before_them() {
    let story = [ASKED, GRANTED, ELECTED, REPLICATED, COMMITTED, FORKED].join(", ");
    let what = tell(&[&story, "3 follows 2 2, 3 appends 2@2"].join(", ")).unwrap_err();
    assert_eq!(
        what.to_string(),
        "HandleAppendEntriesRequest refused on n3: it appends 2@t2 after 0@t0, and n2 has not"
    );
}

#[test]
fn a_server_of_no_group_does_nothing() {
    let what = tell("4 candidate 1").unwrap_err();
    assert_eq!(what.to_string(), "Restart refused on n4: it is no server of this group");
}
