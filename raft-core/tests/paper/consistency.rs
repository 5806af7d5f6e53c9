//! "In Search of an Understandable Consensus Algorithm", sections 5.3 and 5.5: what a follower does with what it is
//! sent, how the logs become the same, and what a crash changes about it.

use std::time::Duration;

use raft_core::{
    AppendEntriesReply, Config, EntryId, Envelope, Input, LogIndex, Message, NodeId, Raft, RequestVoteReply,
    RoleName, Session, Term, Time, Violation,
};

use crate::bench::{Bench, append, config, envelope, heartbeat, id, piece, pre_vote, vote};

const MS: Duration = Duration::from_millis(1);

/// §5.1: "Followers are passive: they issue no requests on their own but simply respond to requests from leaders and
/// candidates."
#[test]
pub(crate) fn followers_issue_no_requests_on_their_own() {
    let mut bench = Bench::new(config(3));
    for _ in 0..100 {
        bench.wait(50 * MS);
        bench.hear(2, 1, heartbeat());
    }
    assert_eq!(bench.said.len(), 100);
    assert!(bench.take_said().iter().all(|said| *said == (2, 1, "append-reply")));
}

/// §5.3: "If the follower does not find an entry in its log with the same index and term, then it refuses the new
/// entries." Each row: the entry that immediately precedes the new ones, and the hint of a refusal.
#[test]
pub(crate) fn a_follower_refuses_what_does_not_follow_an_entry_of_its_log() {
    for (prev_log, hint) in [
        (EntryId::ZERO, None),
        (id(1, 1), None),
        (id(2, 2), None),
        (id(1, 2), Some(id(1, 1))),
        (id(2, 3), Some(id(2, 2))),
        (id(3, 3), Some(id(2, 2))),
        (id(3, 2), Some(id(2, 2))),
        (id(2, 1), Some(id(1, 1))),
        (id(1, 9), Some(id(1, 1))),
    ] {
        let mut bench = Bench::with_log(config(3), &[1, 2], 2);
        bench.hear(2, 3, append(prev_log, &[], 0));
        let refused = |hint| AppendEntriesReply::Rejected { refused: prev_log, hint };
        let expected = hint.map_or(AppendEntriesReply::Accepted { match_index: prev_log.index }, refused);
        assert_eq!(bench.last_reply(), Some(expected), "{prev_log}");
        assert_eq!(bench.log(), [1, 2]);
    }
}

/// §5.3: "conflicting entries in follower logs will be overwritten with entries from the leader's log", they and all that
/// follow them, and nothing else goes: what is there already stays, with what follows it.
#[test]
pub(crate) fn conflicting_entries_are_overwritten_and_others_stay() {
    for (prev_log, entries, log) in [
        (id(2, 2), &[3][..], &[1, 2, 3][..]),
        (id(1, 1), &[3, 4], &[1, 3, 4]),
        (EntryId::ZERO, &[1], &[1, 2]),
        (EntryId::ZERO, &[1, 2], &[1, 2]),
        (EntryId::ZERO, &[1, 2, 2], &[1, 2, 2]),
        (EntryId::ZERO, &[3], &[3]),
        (id(1, 1), &[], &[1, 2]),
    ] {
        let mut bench = Bench::with_log(config(3), &[1, 2], 2);
        bench.hear(2, 4, append(prev_log, entries, 0));
        assert_eq!(bench.log(), log, "{prev_log} {entries:?}");
    }
}

/// Figure 2, AppendEntries RPC, rule 5: "If leaderCommit > commitIndex, set commitIndex = min(leaderCommit, index of
/// last new entry)". Each row: what precedes, what comes, the leader's commit index, and the log and the commit
/// index after it; none of what is refused.
#[test]
pub(crate) fn what_was_not_checked_against_the_leaders_log_is_not_committed() {
    for (prev_log, entries, leader_commit, after) in [
        (id(3, 2), &[][..], 3, None),
        (id(3, 3), &[], 3, None),
        (id(1, 1), &[], 1, Some((&[1, 2][..], 1))),
        (EntryId::ZERO, &[2], 1, Some((&[2], 1))),
        (id(2, 2), &[2, 2], 3, Some((&[1, 2, 2, 2], 3))),
        (id(2, 2), &[2], 4, Some((&[1, 2, 2], 3))),
        (id(1, 1), &[2], 4, Some((&[1, 2], 2))),
        (id(1, 1), &[], 3, Some((&[1, 2], 1))),
        (id(1, 1), &[2], 3, Some((&[1, 2], 2))),
        (id(2, 2), &[], 3, Some((&[1, 2], 2))),
        (id(2, 2), &[], 4, Some((&[1, 2], 2))),
    ] {
        let mut bench = Bench::with_log(config(3), &[1, 2], 2);
        bench.hear(2, 3, append(prev_log, entries, leader_commit));
        let (log, commit) = after.unwrap_or((&[1, 2], 0));
        assert_eq!((bench.log(), bench.raft.commit_index().get()), (log.to_vec(), commit), "{prev_log}");
        let refused = matches!(bench.last_reply(), Some(AppendEntriesReply::Rejected { .. }));
        assert_eq!(refused, after.is_none(), "{prev_log}");
    }
}

/// Figure 3, Leader Completeness: a leader has what is committed. One that contradicts it stops whoever it tells, and nothing
/// of the log goes. Entry 1 is compacted, and entry 2 committed.
#[test]
pub(crate) fn whoever_contradicts_what_is_committed_is_not_followed() {
    for (prev_log, entries, contradicts) in [
        (EntryId::ZERO, &[2][..], Some(1)),
        (EntryId::ZERO, &[1, 2], Some(2)),
        (id(1, 1), &[2], Some(2)),
        (id(1, 1), &[1, 2], None),
        (EntryId::ZERO, &[1, 1, 2], None),
    ] {
        let mut bench = Bench::new(Config { snapshot_entries: 1, snapshot_trailing: 0, ..config(3) });
        bench.hear(2, 1, append(EntryId::ZERO, &[1, 1, 1], 1));
        let snapshot = bench.taking.take().unwrap().id;
        bench.step(Input::SnapshotTaken { snapshot, data: "x".into(), done: true });
        bench.hear(2, 1, append(id(1, 3), &[], 2));
        assert_eq!((bench.log(), bench.raft.commit_index().get()), (vec![1, 1], 2));
        bench.hear(3, 2, append(prev_log, entries, 0));
        let index = contradicts.map(LogIndex::new);
        let leader = raft_core::NodeId::new(3);
        let violation = index.map(|index| Violation::CommittedEntryContradicted { leader, index });
        assert_eq!(bench.violation, violation, "{prev_log} {entries:?}");
        assert_eq!(bench.log(), if contradicts.is_some() { [1, 1] } else { [1, 2] }, "{prev_log}");
    }
}

/// The same of each entry that is committed: of the last one, and of those before it.
#[test]
pub(crate) fn an_entry_before_the_last_committed_one_is_contradicted_by_nobody_either() {
    for (prev_log, index) in [(EntryId::ZERO, 1), (id(1, 1), 2), (id(1, 2), 3)] {
        let mut bench = Bench::new(config(3));
        bench.hear(2, 1, append(EntryId::ZERO, &[1, 1, 1], 3));
        bench.hear(3, 2, append(prev_log, &[2], 0));
        let (leader, index) = (NodeId::new(3), LogIndex::new(index));
        assert_eq!(bench.violation, Some(Violation::CommittedEntryContradicted { leader, index }));
        assert_eq!(bench.log(), [1, 1, 1]);
    }
}

/// Figure 3, Election Safety: "at most one leader can be elected in a given term". A follower that hears of two stops.
#[test]
pub(crate) fn whoever_hears_two_leaders_of_one_term_follows_neither() {
    let mut bench = Bench::new(config(3));
    bench.hear(2, 4, heartbeat());
    bench.hear(3, 4, heartbeat());
    let (known, other) = (NodeId::new(2), NodeId::new(3));
    assert_eq!(bench.violation, Some(Violation::TwoLeaders { term: Term::new(4), known, other }));
}

/// §5.3: "Once a follower learns that a log entry is committed, it applies the entry to its local state machine (in log
/// order)." What a heartbeat says later never takes anything back.
#[test]
pub(crate) fn a_follower_applies_what_it_learns_is_committed_in_log_order() {
    let mut bench = Bench::new(config(3));
    bench.hear(2, 1, append(EntryId::ZERO, &[1, 1, 1, 1], 0));
    for (commit, applied) in [(1, 1), (3, 3), (2, 3), (0, 3), (4, 4), (9, 4)] {
        bench.hear(2, 1, append(id(1, 4), &[], commit));
        let expected: Vec<_> = (1..=applied).map(|index| id(1, index)).collect();
        assert_eq!(bench.applied, expected, "commit {commit}");
    }
}

/// §5.3: "whenever AppendEntries returns successfully, the leader knows that the follower's log is identical to its own log
/// up through the new entries." Not further: what the follower has beyond them is its own affair.
#[test]
pub(crate) fn an_answer_speaks_of_the_new_entries_and_not_of_what_follows_them() {
    for (prev_log, entries, match_index) in [
        (EntryId::ZERO, &[][..], 0),
        (EntryId::ZERO, &[1], 1),
        (id(1, 1), &[], 1),
        (id(1, 1), &[2], 2),
        (id(2, 2), &[2, 2], 4),
    ] {
        let mut bench = Bench::with_log(config(3), &[1, 2, 2], 2);
        bench.hear(2, 3, append(prev_log, entries, 0));
        let match_index = LogIndex::new(match_index);
        assert_eq!(bench.last_reply(), Some(AppendEntriesReply::Accepted { match_index }), "{prev_log}");
    }
}

/// §5.3: "when rejecting an AppendEntries request, the follower can include the term of the conflicting entry and the first
/// index it stores for that term." Ours includes the last entry that may agree, and the leader goes back to the
/// last one of its own that may. Each row: the leader's log, the follower's, that hint, and the next probe.
#[test]
pub(crate) fn a_rejection_says_from_where_on_the_logs_differ() {
    for (leader, follower, hint, probe) in [
        (&[1, 2, 2, 4, 4, 4, 4][..], &[1, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3][..], id(3, 7), id(2, 3)),
        (&[1, 2, 2, 3, 4, 4, 4, 5], &[1, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3], id(3, 8), id(3, 4)),
        (&[1, 1, 1, 1], &[1, 1, 2, 4], id(1, 2), id(1, 2)),
        (&[1, 1, 1, 1, 1, 1], &[1, 1, 2, 4], id(1, 2), id(1, 2)),
        (&[1, 1, 1, 1], &[1, 1, 2, 4, 4, 4], id(1, 2), id(1, 2)),
        (&[1, 1, 1, 4, 5], &[1, 1, 1, 1, 4], id(4, 5), id(4, 4)),
        (&[1, 1, 1, 1, 4], &[1, 1, 1, 1], id(1, 4), id(1, 4)),
        (&[1, 3, 3, 3], &[1, 2, 2, 2, 2], id(2, 4), id(1, 1)),
        (&[3, 3], &[1, 1, 1, 1], id(1, 2), EntryId::ZERO),
        (&[1, 1], &[], EntryId::ZERO, EntryId::ZERO),
    ] {
        let mut leads = Bench::with_log(config(3), leader, 7);
        leads.is_elected();
        leads.wait(50 * MS);
        let asked = leads.last_append(2);
        let mut follows = Bench::with_log(config(3), follower, 7);
        follows.hear(2, 8, Message::AppendEntries(asked.clone()));
        let refused = AppendEntriesReply::Rejected { refused: asked.prev_log, hint };
        assert_eq!(follows.last_reply(), Some(refused), "{leader:?} {follower:?}");
        leads.refuses(2, asked.prev_log, hint);
        assert_eq!(leads.last_append(2).prev_log, probe, "{leader:?} {follower:?}");
    }
}

/// §5.5: "If a follower or candidate crashes, then future RequestVote and AppendEntries RPCs sent to it will fail. Raft
/// handles these failures by retrying indefinitely; if the crashed server restarts, then the RPC will complete
/// successfully." A candidate asks again in each of its elections; a leader with each heartbeat (§5.3).
#[test]
pub(crate) fn rpcs_to_a_crashed_server_are_retried_until_they_complete() {
    let mut bench = Bench::new(Config { pre_vote: false, ..config(3) });
    for _ in 0..99 {
        bench.said.clear();
        bench.time_out();
    }
    let asked = bench.said[0].clone();
    assert_eq!((asked.to.get(), asked.term.get(), asked.message.kind()), (2, 99, "vote"));
    bench.answer(&asked, true);
    assert_eq!(bench.is(), (RoleName::Leader, 99));
    bench.accepts(2, 1);
    for _ in 0..99 {
        bench.said.clear();
        bench.wait(50 * MS);
        bench.accepts(2, 1);
        assert_eq!(bench.last_append(3).entries.len(), 1);
    }
    bench.accepts(3, 1);
    bench.said.clear();
    bench.wait(50 * MS);
    assert_eq!(bench.last_append(3).prev_log, id(99, 1));
}

/// §5.5: "If a server crashes after completing an RPC but before responding, then it will receive the same RPC again after
/// it restarts. Raft RPCs are idempotent, so this causes no harm." With a crash between or without, each is
/// answered alike, and the second time nothing is written.
#[test]
pub(crate) fn rpcs_are_idempotent() {
    for message in [
        vote(id(2, 2)),
        vote(id(1, 1)),
        pre_vote(id(2, 2)),
        append(id(1, 1), &[3, 3], 2),
        append(id(3, 9), &[3], 2),
        piece(id(3, 9), 0, "x", false),
    ] {
        for crashes in [false, true] {
            let mut bench = Bench::with_log(config(3), &[1, 2], 2);
            bench.hear(2, 3, message.clone());
            let (said, log) = (std::mem::take(&mut bench.said), bench.log());
            if crashes {
                bench.restart();
            }
            bench.writes = 0;
            bench.hear(2, 3, message.clone());
            assert_eq!((bench.said.clone(), bench.writes), (said, 0), "{message:?}, crashes {crashes}");
            assert_eq!(bench.log(), log);
        }
    }
}

/// §5.5: "if a follower receives an AppendEntries request that includes log entries already present in its log, it ignores
/// those entries in the new request."
#[test]
pub(crate) fn entries_that_are_present_already_are_ignored() {
    let mut bench = Bench::with_log(config(3), &[1, 1, 1, 1], 1);
    bench.hear(2, 1, heartbeat());
    let writes = bench.writes;
    for (from, to) in (0..=4).flat_map(|from| (from..=4).map(move |to| (from, to))) {
        let prev_log = if from == 0 { EntryId::ZERO } else { id(1, from) };
        bench.hear(2, 1, append(prev_log, &[1, 1, 1, 1][..usize::try_from(to - from).unwrap()], 0));
        assert_eq!((bench.raft.last_log(), bench.writes), (id(1, 4), writes), "{from} to {to}");
    }
    bench.hear(2, 1, append(id(1, 2), &[1, 1, 1], 0));
    assert_eq!((bench.log(), bench.writes), (vec![1; 5], writes + 1));
}

/// Figure 2: currentTerm, votedFor and log[] are "Updated on stable storage before responding to RPCs". What the disk does
/// not have is not said; after a crash the server is what it said.
#[test]
pub(crate) fn nothing_is_answered_before_it_is_on_stable_storage() {
    for message in [vote(id(2, 2)), append(id(2, 2), &[3], 0), piece(id(3, 9), 0, "x", false)] {
        let mut bench = Bench::with_log(config(3), &[1, 2], 2);
        bench.hangs = true;
        bench.hear(2, 3, message.clone());
        assert_eq!((bench.said.len(), bench.hung.len()), (0, 1), "{message:?}");
        let write = bench.hung.remove(0);
        bench.step(Input::Persisted(write.token));
        assert_eq!(bench.said.len(), 1, "{message:?}");
    }
    let mut voter = Bench::with_log(config(3), &[], 2);
    voter.hear(2, 3, vote(EntryId::ZERO));
    voter.restart();
    assert_eq!(voter.raft.current_term().get(), 3);
    voter.hear(3, 3, vote(EntryId::ZERO));
    let refused = Message::RequestVoteReply(RequestVoteReply { vote_granted: false, suspect: false });
    assert_eq!(voter.said[0].message, refused);
}

/// §5.2: a vote that was given stays given. While the disk has not got it, the refusal of what the candidate asked for in an
/// earlier term does not take its place.
#[test]
pub(crate) fn a_vote_that_waits_for_the_disk_is_not_taken_back() {
    let mut bench = Bench::new(config(3));
    bench.hangs = true;
    for (term, session) in [(6, 2), (6, 2), (5, 1)] {
        let asked = envelope(3, term, vote(EntryId::ZERO));
        bench.step(Input::Receive(Envelope { session: Session(session), ..asked }));
    }
    let write = bench.hung.remove(0);
    bench.step(Input::Persisted(write.token));
    let answers: Vec<_> = bench.said.iter().map(|said| (said.session.0, said.message.clone())).collect();
    let answer = |vote_granted| Message::RequestVoteReply(RequestVoteReply { vote_granted, suspect: false });
    assert_eq!(answers, [(2, answer(true)), (1, answer(false))]);
}

/// What is on stable storage is entries, not indexes: a write confirms none of its own that have been overwritten since.
#[test]
pub(crate) fn a_write_confirms_no_entry_that_was_overwritten_meanwhile() {
    let mut bench = Bench::new(config(3));
    bench.hear(2, 1, append(EntryId::ZERO, &[1], 0));
    bench.hangs = true;
    bench.hear(2, 1, append(id(1, 1), &[1, 1], 0));
    bench.hear(3, 2, append(id(1, 1), &[2, 2], 0));
    bench.said.clear();
    for (durable, said) in [(id(1, 1), 0), (id(2, 3), 1)] {
        let write = bench.hung.remove(0);
        bench.step(Input::Persisted(write.token));
        assert_eq!((bench.raft.durable_log(), bench.said.len()), (durable, said));
    }
}

/// A state machine that keeps what it has applied through a crash must not be ahead of the log then: it is given only
/// what is on stable storage here. Any other may be given all that is committed.
#[test]
pub(crate) fn a_durable_state_machine_is_given_only_what_is_durable_here() {
    for durable_state_machine in [false, true] {
        let mut bench = Bench::new(Config { durable_state_machine, ..config(3) });
        bench.hear(2, 1, append(EntryId::ZERO, &[1], 1));
        bench.hangs = true;
        bench.hear(2, 1, append(id(1, 1), &[1, 1], 3));
        let given = if durable_state_machine { 1 } else { 3 };
        assert_eq!((bench.raft.commit_index().get(), bench.applied.len()), (3, given));
        let write = bench.hung.remove(0);
        bench.step(Input::Persisted(write.token));
        assert_eq!(bench.applied, [id(1, 1), id(1, 2), id(1, 3)]);
    }
}

/// §5.2: a server that starts again waits no longer than any other, whatever its disk holds.
#[test]
pub(crate) fn a_server_that_starts_again_waits_for_one_election_timeout() {
    for term in [0, 1, 1_000_000] {
        let bench = Bench::with_log(config(3), &[], term);
        let waits = bench.raft.deadline().since(Time::ZERO);
        assert!((150 * MS..=300 * MS).contains(&waits), "{waits:?}");
    }
    let disk = Bench::with_log(config(3), &[1, 2], 2).disk;
    let again = Raft::new(config(3), disk.restored(), Time::from_nanos(7)).unwrap();
    assert!(again.deadline().since(Time::from_nanos(7)) <= 300 * MS);
}
