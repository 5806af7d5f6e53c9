//! "In Search of an Understandable Consensus Algorithm", sections 5.3 and 5.4.2: what a leader does with its log.

use std::time::Duration;

use raft_core::{
    Config, EntryId, Input, LogIndex, Message, NodeId, Payload, PreVoteReply, ProposeError, RoleName,
    Violation,
};

use crate::bench::{Bench, append, config, heartbeat, id};
use crate::reads::leader;

const MS: Duration = Duration::from_millis(1);

/// Leads this term with entries of earlier ones, followed by its no-op; nobody has answered yet.
fn leader_with(size: u64, terms: &[u64], term: u64) -> Bench {
    let mut bench = Bench::with_log(config(size), terms, term - 1);
    bench.is_elected();
    assert_eq!(bench.is(), (RoleName::Leader, term));
    bench.wait(50 * MS);
    bench
}

/// §5.1: "if a client contacts a follower, the follower redirects it to the leader".
#[test]
pub(crate) fn a_follower_redirects_a_client_to_the_leader() {
    let mut bench = Bench::new(config(3));
    let refused = |leader| Err(ProposeError::NotLeader { leader });
    assert_eq!(bench.raft.propose("x".into()), refused(None));
    bench.hear(2, 1, heartbeat());
    assert_eq!(bench.raft.propose("x".into()), refused(Some(NodeId::new(2))));
    assert_eq!(bench.raft.last_log(), EntryId::ZERO);
}

/// §5.2: "Once a candidate wins an election, it becomes leader. It then sends heartbeat messages to all of the other
/// servers to establish its authority and prevent new elections." Ours bring its no-op (§8).
#[test]
pub(crate) fn whoever_wins_says_so_to_all_the_others_at_once() {
    let mut bench = Bench::in_role(config(5), RoleName::Candidate, 3);
    bench.time_out();
    while bench.raft.role() != RoleName::Leader {
        for asked in std::mem::take(&mut bench.said) {
            bench.answer(&asked, true);
        }
    }
    let said = bench.take_said();
    let term = bench.is().1;
    assert_eq!(said, [(2, term, "append"), (3, term, "append"), (4, term, "append"), (5, term, "append")]);
}

/// §5.3: "The leader appends the command to its log as a new entry, then issues AppendEntries RPCs in parallel to each
/// of the other servers to replicate the entry." Its own disk is one of those that it does not wait for.
#[test]
pub(crate) fn the_leader_appends_the_command_and_replicates_it_to_all_in_parallel() {
    let mut bench = leader(config(5));
    (2..=5).for_each(|follower| bench.accepts(follower, 1));
    bench.hangs = true;
    bench.said.clear();
    bench.propose("x");
    assert_eq!(bench.hung.len(), 1);
    assert_eq!(bench.take_said(), [(2, 1, "append"), (3, 1, "append"), (4, 1, "append"), (5, 1, "append")]);
    assert_eq!((bench.raft.last_log(), bench.raft.commit_index()), (id(1, 2), LogIndex::new(1)));
}

/// §5.3: "Each log entry stores a state machine command along with the term number when the entry was received by the
/// leader." It "also has an integer index identifying its position in the log."
#[test]
pub(crate) fn an_entry_stores_the_command_and_the_term_and_its_position() {
    let mut bench = leader_with(3, &[1, 1], 7);
    bench.propose("x");
    let last = bench.disk.entries().last().unwrap();
    assert_eq!((last.id, &last.payload), (id(7, 4), &Payload::Command("x".into())));
    assert_eq!(bench.log(), [1, 1, 7, 7]);
}

/// §5.3: "When the entry has been safely replicated (as described below), the leader applies the entry to its state
/// machine". Once.
#[test]
pub(crate) fn the_leader_applies_an_entry_once_it_is_safely_replicated() {
    let mut bench = leader(config(3));
    bench.propose("x");
    assert_eq!(bench.applied, [id(1, 1)]);
    bench.accepts(2, 2);
    assert_eq!(bench.applied, [id(1, 1), id(1, 2)]);
    bench.accepts(2, 2);
    bench.accepts(3, 2);
    bench.wait(50 * MS);
    assert_eq!(bench.applied, [id(1, 1), id(1, 2)]);
}

/// §5.3: "the leader retries AppendEntries RPCs indefinitely (even after it has responded to the client) until all
/// followers eventually store all log entries." n3 does not answer, or has lost what was sent after it did.
#[test]
pub(crate) fn the_leader_retries_until_all_followers_store_all_entries() {
    for answered in [false, true] {
        let mut bench = leader(config(3));
        if answered {
            bench.accepts(3, 1);
        }
        bench.propose("x");
        bench.accepts(2, 2);
        assert_eq!(bench.applied, [id(1, 1), id(1, 2)]);
        for round in 0..9 {
            bench.said.clear();
            bench.wait(50 * MS);
            bench.accepts(2, 2);
            let mut sent = bench.last_append(3);
            if answered && round == 0 {
                // It joins on to what n3 lacks, and so n3 says so.
                assert_eq!((sent.prev_log, sent.entries.len()), (id(1, 2), 0));
                bench.refuses(3, id(1, 2), id(1, 1));
                sent = bench.last_append(3);
            }
            assert_eq!(sent.entries.last().map(|last| last.id), Some(id(1, 2)), "answered {answered}");
        }
        bench.accepts(3, 2);
        bench.said.clear();
        bench.wait(50 * MS);
        assert!(bench.last_append(3).entries.is_empty());
    }
}

/// §5.3: "A log entry is committed once the leader that created the entry has replicated it on a majority of the
/// servers". Each row: how many servers, who has it, whether the leader's own disk has it, and whether it is
/// committed.
#[test]
pub(crate) fn an_entry_is_committed_once_it_is_on_a_majority() {
    for (size, has, leader_has, committed) in [
        (1, &[][..], true, true),
        (1, &[], false, false),
        (3, &[], true, false),
        (3, &[2], true, true),
        (3, &[2], false, false),
        (3, &[2, 3], true, true),
        (3, &[2, 3], false, true),
        (5, &[], true, false),
        (5, &[4], true, false),
        (5, &[2, 3], true, true),
        (5, &[2, 3], false, false),
        (5, &[2, 3, 4], false, true),
        (5, &[2, 3, 4, 5], true, true),
        (5, &[2, 2, 2], true, false),
    ] {
        let mut bench = leader(config(size));
        bench.hangs = !leader_has;
        bench.propose("x");
        has.iter().for_each(|&follower| bench.accepts(follower, 2));
        let expected = if committed { 2 } else { 1 };
        assert_eq!(bench.raft.commit_index().get(), expected, "{size} {has:?} {leader_has}");
    }
}

/// §5.3: "This also commits all preceding entries in the leader's log, including entries created by previous leaders."
/// They are applied in the order of the log.
#[test]
pub(crate) fn an_entry_commits_all_that_precede_it() {
    for log in [&[][..], &[2], &[1, 2], &[1]] {
        let mut bench = leader_with(3, log, 3);
        bench.accepts(2, log.len() as u64 + 1);
        let all = [log, &[3]].concat();
        let applied: Vec<_> = bench.applied.iter().map(|id| (id.term.get(), id.index.get())).collect();
        assert_eq!(applied, all.iter().copied().zip(1..).collect::<Vec<_>>(), "{log:?}");
    }
}

/// However large they are, all entries are applied, in order, each once: those of a leader from memory, and after a restart
/// from its disk.
#[test]
pub(crate) fn large_entries_are_applied_one_batch_after_the_other() {
    let mut bench = leader(config(3));
    let large = || vec![0; 200 * 1024].into();
    (0..5).for_each(|_| assert!(bench.raft.propose(large()).is_ok()));
    bench.wait(50 * MS);
    bench.accepts(2, 6);
    let all: Vec<_> = (1..=6).map(|index| id(1, index)).collect();
    assert_eq!(bench.applied, all);
    bench.restart();
    bench.hear(2, 1, append(id(1, 6), &[], 6));
    assert_eq!(bench.applied, all);
}

/// With `append_window` messages on their way no more entries are sent; heartbeats are, and an answer makes room for what it
/// answers.
#[test]
pub(crate) fn no_more_messages_are_on_their_way_than_the_window_has() {
    let mut bench = leader(Config { append_window: 3, ..config(3) });
    let sent = |bench: &mut Bench| {
        let to = |said: &&raft_core::Envelope| said.to == NodeId::new(2);
        let entries = |said: &raft_core::Envelope| {
            let Message::AppendEntries(args) = &said.message else { return None };
            Some(args.entries.len())
        };
        let sent: Vec<_> = bench.said.iter().filter(to).filter_map(entries).collect();
        bench.said.clear();
        sent
    };
    (0..5).for_each(|_| bench.propose("x"));
    assert_eq!(sent(&mut bench), [1, 1, 1]);
    bench.wait(50 * MS);
    bench.wait(50 * MS);
    assert_eq!(sent(&mut bench), [0, 0]);
    bench.accepts(2, 3);
    assert_eq!(sent(&mut bench), [2], "what has waited shares a message");
    bench.propose("x");
    bench.propose("x");
    assert_eq!(sent(&mut bench), [1]);
    bench.accepts(2, 7);
    assert_eq!(sent(&mut bench), [1]);
    bench.accepts(2, 8);
    (0..9).for_each(|_| bench.propose("x"));
    assert_eq!(sent(&mut bench), [1, 1, 1], "nothing has leaked");
}

/// §5.3: "The leader keeps track of the highest index it knows to be committed, and it includes that index in future
/// AppendEntries RPCs (including heartbeats) so that the other servers eventually find out."
#[test]
pub(crate) fn future_rpcs_include_the_highest_index_that_is_committed() {
    let mut bench = leader(config(3));
    bench.accepts(3, 1);
    bench.propose("x");
    assert_eq!(bench.last_append(2).leader_commit, LogIndex::new(1));
    bench.accepts(2, 2);
    bench.propose("y");
    let next = bench.last_append(2);
    assert_eq!((next.leader_commit, next.entries.len()), (LogIndex::new(2), 1));
    bench.accepts(2, 3);
    bench.accepts(3, 3);
    bench.said.clear();
    bench.wait(50 * MS);
    let heartbeat = bench.last_append(3);
    assert_eq!((heartbeat.leader_commit, heartbeat.entries.len()), (LogIndex::new(3), 0));
}

/// §5.3: "When a leader first comes to power, it initializes all nextIndex values to the index just after the last one
/// in its log".
#[test]
pub(crate) fn a_new_leader_sends_what_comes_after_its_last_entry() {
    let bench = leader_with(5, &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6], 8);
    for follower in 2..=5 {
        let sent = bench.last_append(follower);
        assert_eq!((sent.prev_log, sent.entries[0].id, sent.entries.len()), (id(6, 10), id(8, 11), 1));
    }
}

/// §5.3: "After a rejection, the leader decrements nextIndex and retries the AppendEntries RPC." An answer that was
/// overtaken decrements nothing: each row is one, after n2 has accepted all.
#[test]
pub(crate) fn a_rejection_that_was_overtaken_moves_nothing() {
    for (refused, hint) in [(id(6, 3), id(1, 1)), (id(6, 3), EntryId::ZERO), (id(6, 2), id(1, 1))] {
        let mut bench = leader_with(3, &[1, 6, 6], 7);
        bench.refuses(2, id(6, 3), id(1, 1));
        assert_eq!(bench.last_append(2).prev_log, id(1, 1));
        bench.accepts(2, 4);
        bench.said.clear();
        let before = bench.raft.followers();
        bench.refuses(2, refused, hint);
        assert_eq!((bench.take_said(), bench.raft.followers()), (vec![], before), "{refused} {hint}");
        bench.propose("x");
        assert_eq!(bench.last_append(2).prev_log, id(7, 4), "{refused} {hint}");
    }
}

/// §5.3: "A leader never overwrites or deletes entries in its own log (the Leader Append-Only Property in Figure 3)."
/// Whoever claims to lead the same term, or led an earlier one, gets nothing of its log.
#[test]
pub(crate) fn a_leader_never_overwrites_or_deletes_entries_in_its_own_log() {
    for (term, stops) in [(2, false), (3, true)] {
        let mut bench = leader_with(3, &[1, 1], 3);
        bench.hear(2, term, append(EntryId::ZERO, &[2, 2, 2], 3));
        assert_eq!((bench.log(), bench.raft.commit_index()), (vec![1, 1, 3], LogIndex::ZERO));
        assert_eq!(matches!(bench.violation, Some(Violation::TwoLeaders { .. })), stops, "t{term}");
    }
}

/// §5.3: "in the normal case a new entry can be replicated with a single round of RPCs to a majority of the cluster; and
/// a single slow follower will not impact performance." n5 says nothing.
#[test]
pub(crate) fn a_single_round_to_a_majority_is_enough() {
    let mut bench = leader(config(5));
    (2..=4).for_each(|follower| bench.accepts(follower, 1));
    for index in 2..=9 {
        bench.said.clear();
        bench.propose("x");
        (2..=3).for_each(|follower| bench.accepts(follower, index));
        assert_eq!(bench.raft.commit_index().get(), index);
        let rounds = bench.said.iter().filter(|said| said.to == NodeId::new(2)).count();
        assert_eq!(rounds, 1);
        bench.accepts(4, index);
    }
}

/// §5.3: "Raft can accept, replicate, and apply new log entries as long as a majority of the servers are up". §5.1: five
/// servers "tolerate two failures", and not three.
#[test]
pub(crate) fn five_servers_tolerate_two_failures() {
    for (up, applies) in [(2..=3, true), (2..=2, false)] {
        let mut bench = Bench::in_role(config(5), RoleName::Leader, 1);
        bench.wait(50 * MS);
        bench.propose("x");
        up.for_each(|follower| bench.accepts(follower, 2));
        assert_eq!(bench.applied.len(), if applies { 2 } else { 0 });
    }
}

/// §5.4.2: "Raft never commits log entries from previous terms by counting replicas. Only log entries from the leader's
/// current term are committed by counting replicas; once an entry from the current term has been committed in
/// this way, then all prior entries are committed indirectly". Each row: the log before term 3's no-op, how far
/// n2 and n3 have it, how many commands were added, and what is committed.
#[test]
pub(crate) fn only_entries_of_the_current_term_are_committed_by_counting() {
    for (log, matches, commands, committed) in [
        (&[1, 2][..], [1, 0], 0, 0),
        (&[1, 2], [2, 0], 0, 0),
        (&[1, 2], [2, 2], 0, 0),
        (&[1, 2], [3, 0], 0, 3),
        (&[1, 2], [3, 3], 0, 3),
        (&[2, 2], [1, 2], 0, 0),
        (&[2, 2], [2, 3], 0, 3),
        (&[], [1, 0], 0, 1),
        (&[1], [1, 1], 1, 0),
        (&[1], [2, 1], 1, 2),
        (&[1], [3, 1], 1, 3),
        (&[1], [3, 2], 2, 3),
        (&[1], [4, 4], 2, 4),
        (&[1], [0, 0], 2, 0),
    ] {
        let mut bench = leader_with(3, log, 3);
        (0..commands).for_each(|_| bench.propose("x"));
        (2..).zip(matches).for_each(|(follower, index)| bench.accepts(follower, index));
        assert_eq!(bench.raft.commit_index().get(), committed, "{log:?} {matches:?} {commands}");
    }
}

/// §5.4.2: "log entries retain their original term numbers when a leader replicates entries from previous terms."
#[test]
pub(crate) fn entries_retain_their_original_term_numbers() {
    let mut bench = leader_with(3, &[1, 2, 2], 5);
    bench.refuses(2, id(2, 3), EntryId::ZERO);
    let sent = bench.last_append(2);
    let ids: Vec<_> = sent.entries.iter().map(|entry| entry.id).collect();
    assert_eq!(ids, [id(1, 1), id(2, 2), id(2, 3), id(5, 4)]);
}

/// §5.1: "Current terms are exchanged whenever servers communicate". Whatever is said, but for what is only proposed,
/// is said under the speaker's own.
#[test]
pub(crate) fn current_terms_are_exchanged_whenever_servers_communicate() {
    let mut bench = leader_with(3, &[1], 4);
    bench.read(1);
    bench.accepts(2, 2);
    bench.read(2);
    bench.propose("x");
    assert!(bench.said.len() > 4 && bench.said.iter().all(|said| said.term.get() == 4));
    let mut follower = Bench::with_log(Config { pre_vote: false, check_quorum: false, ..config(3) }, &[1], 4);
    follower.hear(2, 3, heartbeat());
    follower.hear(2, 4, heartbeat());
    follower.hear(3, 2, crate::bench::vote(id(1, 1)));
    follower.step(Input::Tick);
    assert!(follower.said.len() == 3 && follower.said.iter().all(|said| said.term.get() == 4));
    follower.hear(3, 9, Message::PreVoteReply(PreVoteReply { vote_granted: false, suspect: false }));
    follower.hear(2, 4, heartbeat());
    assert_eq!(follower.take_said().last(), Some(&(2, 9, "append-reply")));
}
