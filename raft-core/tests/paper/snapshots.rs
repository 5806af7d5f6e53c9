//! "In Search of an Understandable Consensus Algorithm", section 7: log compaction.

use std::time::Duration;

use raft_core::{
    Config, Configuration, EntryId, Incarnation, Input, InstallSnapshotReply, LogIndex, Message, NodeId,
    RoleName, SnapshotId,
};

use crate::bench::{Bench, append, config, heartbeat, id, piece};
use crate::reads::leader;

const MS: Duration = Duration::from_millis(1);

/// Without entries that are left before a snapshot.
pub(crate) fn compacts(size: u64) -> Config {
    Config { snapshot_trailing: 0, ..config(size) }
}

/// A follower with these entries, of which so many are committed and applied.
pub(crate) fn follower(config: Config, terms: &[u64], commit: u64) -> Bench {
    let mut bench = Bench::new(config);
    bench.hear(2, *terms.last().unwrap(), append(EntryId::ZERO, terms, commit));
    assert_eq!(bench.applied.len() as u64, commit);
    bench.said.clear();
    bench
}

/// The snapshot that was asked for is begun.
pub(crate) fn ask(bench: &mut Bench) -> SnapshotId {
    bench.raft.ask_for_snapshot();
    bench.step(Input::Tick);
    bench.taking.take().expect("a snapshot is to be taken").id
}

/// The state machine gives one piece.
pub(crate) fn taken(bench: &mut Bench, snapshot: SnapshotId, data: &'static str, done: bool) {
    bench.step(Input::SnapshotTaken { snapshot, data: data.into(), done });
}

/// The whole of it.
pub(crate) fn take(bench: &mut Bench) -> SnapshotId {
    let snapshot = ask(bench);
    bench.step(Input::Applied);
    taken(bench, snapshot, "state", true);
    snapshot
}

fn received(bench: &mut Bench) -> InstallSnapshotReply {
    let said = bench.said.pop().expect("it answers").message;
    if let Message::InstallSnapshotReply(reply) = said { reply } else { panic!("of a snapshot: {said:?}") }
}

/// §7: "the entire current system state is written to a snapshot on stable storage, then the entire log up to that point is
/// discarded." Not a moment earlier: not before the last piece.
#[test]
pub(crate) fn the_state_is_written_to_a_snapshot_and_then_the_log_up_to_it_is_discarded() {
    let mut bench = follower(compacts(3), &[1, 1, 1, 1], 3);
    let snapshot = ask(&mut bench);
    bench.step(Input::Applied);
    taken(&mut bench, snapshot, "sta", false);
    assert_eq!((bench.log().len(), bench.disk.chunks().len()), (4, 0));
    taken(&mut bench, snapshot, "te", true);
    assert_eq!((bench.log().len(), bench.disk.chunks().len()), (1, 2));
    assert_eq!(bench.disk.restored().log.base(), id(1, 3));
}

/// §7: "Each server takes snapshots independently, covering just the committed entries in its log." Nobody is asked, and what
/// is not committed stays.
#[test]
pub(crate) fn each_server_takes_snapshots_independently_of_committed_entries() {
    for commit in 1..=4 {
        let mut bench = follower(compacts(3), &[1, 1, 1, 1], commit);
        assert_eq!(take(&mut bench).last_included, id(1, commit));
        assert_eq!((bench.take_said(), bench.log().len() as u64), (vec![], 4 - commit));
    }
    let mut nothing = follower(compacts(3), &[1, 1], 0);
    nothing.raft.ask_for_snapshot();
    nothing.step(Input::Tick);
    assert_eq!(nothing.taking, None);
}

/// §7: "the last included index is the index of the last entry in the log that the snapshot replaces (the last entry the
/// state machine had applied), and the last included term is the term of this entry. These are preserved to
/// support the AppendEntries consistency check for the first log entry following the snapshot". Through a restart.
#[test]
pub(crate) fn the_last_included_index_and_term_support_the_consistency_check() {
    let mut bench = follower(compacts(3), &[1, 1, 3], 3);
    assert_eq!(take(&mut bench).last_included, id(3, 3));
    for restarts in [false, true] {
        if restarts {
            bench.restart();
        }
        assert_eq!(bench.raft.last_log(), id(3, 3));
        for (prev_log, accepted) in [(id(2, 3), false), (id(3, 4), false), (id(3, 3), true)] {
            bench.hear(2, 3, append(prev_log, &[], 3));
            let reply = bench.last_reply().unwrap();
            let accepts = matches!(reply, raft_core::AppendEntriesReply::Accepted { .. });
            assert_eq!(accepts, accepted, "{prev_log}, restarts {restarts}");
        }
    }
}

/// §7: "the snapshot also includes the latest configuration in the log as of last included index."
#[test]
pub(crate) fn a_snapshot_includes_the_configuration() {
    let mut bench = follower(compacts(5), &[1], 1);
    take(&mut bench);
    let snapshot = bench.disk.restored().snapshot.unwrap();
    assert_eq!(snapshot.configured, Configuration::of((1..=5).map(NodeId::new)).into());
}

/// §7: "Once a server completes writing a snapshot, it may delete all log entries up through the last included index, as well
/// as any prior snapshot."
#[test]
pub(crate) fn a_snapshot_takes_the_place_of_the_prior_one() {
    let mut bench = follower(compacts(3), &[1, 1, 1], 1);
    let first = take(&mut bench);
    bench.hear(2, 1, append(id(1, 3), &[], 3));
    let second = take(&mut bench);
    assert!(second.last_included > first.last_included);
    assert_eq!(bench.disk.restored().snapshot.map(|whole| whole.id), Some(second));
    assert_eq!((bench.disk.chunks().len(), bench.log().len()), (1, 0));
}

/// §7: "take a snapshot when the log reaches a fixed size": here, of entries that were applied. One that could not be
/// taken is tried again after as many.
#[test]
pub(crate) fn a_snapshot_is_taken_when_the_log_reaches_a_fixed_size() {
    let mut bench = Bench::new(Config { snapshot_entries: 3, ..compacts(3) });
    let due = |bench: &mut Bench, commit| {
        bench.hear(2, 1, append(id(1, 9), &[], commit));
        bench.taking.take().map(|snapshot| snapshot.id.last_included.index.get())
    };
    bench.hear(2, 1, append(EntryId::ZERO, &[1; 9], 0));
    assert_eq!([due(&mut bench, 2), due(&mut bench, 3)], [None, Some(3)]);
    let snapshot = SnapshotId { last_included: id(1, 3), made_by: Incarnation(1) };
    bench.step(Input::Applied);
    bench.step(Input::SnapshotFailed { snapshot, reason: "no space".into() });
    assert_eq!([due(&mut bench, 5), due(&mut bench, 6)], [None, Some(6)]);
}

/// §7: "writing a snapshot can take a significant amount of time, and we do not want this to delay normal operations." With
/// "copy-on-write techniques so that new updates can be accepted without impacting the snapshot being written."
#[test]
pub(crate) fn new_updates_are_accepted_while_a_snapshot_is_written() {
    let mut bench = leader(compacts(3));
    let snapshot = ask(&mut bench);
    bench.propose("x");
    bench.accepts(2, 2);
    assert_eq!((bench.raft.commit_index().get(), bench.applied.len()), (2, 1), "the state is being copied");
    bench.step(Input::Applied);
    taken(&mut bench, snapshot, "sta", false);
    bench.propose("y");
    bench.accepts(2, 3);
    assert_eq!(bench.applied, [id(1, 1), id(1, 2), id(1, 3)]);
    taken(&mut bench, snapshot, "te", true);
    assert_eq!(bench.disk.restored().snapshot.map(|whole| whole.id), Some(snapshot));
    assert_eq!(bench.disk.restored().log.base(), id(1, 1));
}

/// §7: "the leader must occasionally send snapshots to followers that lag behind. This happens when the leader has already
/// discarded the next log entry that it needs to send to a follower." A follower "that has kept up with the
/// leader" is sent none. Each row: how far n3 is, and whether it is sent one.
#[test]
pub(crate) fn a_follower_is_sent_a_snapshot_if_the_next_entry_that_it_needs_was_discarded() {
    for (has, sent) in [(0, true), (2, true), (3, false), (5, false)] {
        let mut bench = leader(compacts(3));
        (0..4).for_each(|_| bench.propose("x"));
        bench.accepts(3, 0);
        bench.accepts(2, 3);
        take(&mut bench);
        assert_eq!(bench.disk.restored().log.base(), id(1, 3));
        bench.said.clear();
        bench.refuses(3, id(1, 5), if has == 0 { EntryId::ZERO } else { id(1, has) });
        if has == 5 {
            bench.accepts(3, 5);
        }
        assert_eq!(bench.last_said(3, "snapshot").is_some(), sent, "n3 has {has}");
    }
}

/// §7: "Usually the snapshot will contain new information not already in the recipient's log. In this case, the follower
/// discards its entire log; it is all superseded by the snapshot and may possibly have uncommitted entries that
/// conflict with the snapshot." So does an old leader, with what it had been asked for.
#[test]
pub(crate) fn a_snapshot_with_new_information_supersedes_the_entire_log() {
    for role in [RoleName::Follower, RoleName::Leader] {
        let mut bench = Bench::with_log(compacts(3), &[1, 2, 2, 2, 2], 2);
        if role == RoleName::Leader {
            bench.is_elected();
            bench.propose("x");
        }
        bench.hear(2, 5, piece(id(4, 3), 0, "state", true));
        assert_eq!((bench.is(), bench.raft.last_log()), ((RoleName::Follower, 5), id(4, 3)));
        assert_eq!((bench.log().len(), bench.raft.commit_index().get()), (0, 3));
        let snapshot = SnapshotId { last_included: id(4, 3), made_by: Incarnation(2) };
        assert_eq!(received(&mut bench), InstallSnapshotReply::Installed { snapshot });
        bench.restart();
        bench.hear(2, 5, append(id(4, 3), &[5], 4));
        let all = (bench.restored.clone(), bench.applied.clone(), bench.log());
        assert_eq!(all, (vec![snapshot], vec![id(5, 4)], vec![5]));
    }
}

/// §7: "If instead the follower receives a snapshot that describes a prefix of its log (due to retransmission or by mistake),
/// then [...] entries following the snapshot are still valid and must be retained."
#[test]
pub(crate) fn entries_following_a_snapshot_of_a_prefix_are_retained() {
    for (commit, last_included) in [(0, id(1, 2)), (0, id(3, 4)), (1, id(1, 2)), (3, id(1, 2)), (4, id(1, 2))]
    {
        let mut bench = follower(compacts(3), &[1, 1, 3, 3], commit);
        bench.hear(2, 3, piece(last_included, 0, "state", true));
        assert_eq!((bench.log(), bench.restored.len()), (vec![1, 1, 3, 3], 0), "{last_included}");
        assert_eq!(bench.raft.commit_index(), LogIndex::new(commit).max(last_included.index));
        let snapshot = SnapshotId { last_included, made_by: Incarnation(2) };
        assert_eq!(received(&mut bench), InstallSnapshotReply::Installed { snapshot });
    }
}

/// A snapshot of what was compacted here is of a prefix as well.
#[test]
pub(crate) fn a_snapshot_from_before_the_log_changes_nothing() {
    let mut bench = follower(compacts(3), &[1, 1, 3, 3], 3);
    take(&mut bench);
    for (last_included, installed) in
        [(id(1, 1), true), (id(1, 2), true), (id(3, 3), true), (id(3, 9), false)]
    {
        let writes = bench.writes;
        bench.hear(2, 3, piece(last_included, 0, "state", false));
        let snapshot = SnapshotId { last_included, made_by: Incarnation(2) };
        let wanted = InstallSnapshotReply::Received { snapshot, offset: 5 };
        let expected = if installed { InstallSnapshotReply::Installed { snapshot } } else { wanted };
        assert_eq!((received(&mut bench), bench.log()), (expected, vec![3]), "{last_included}");
        assert_eq!(bench.writes == writes, installed, "{last_included}");
    }
}

/// What was compacted is committed, and so whoever leads has it: entries that join on before the snapshot are no
/// conflict, and what is there stays.
#[test]
pub(crate) fn entries_that_join_on_before_the_snapshot_delete_nothing() {
    let mut bench = follower(compacts(3), &[1, 1, 3, 3], 2);
    take(&mut bench);
    bench.restart();
    for (prev_log, entries, match_index) in [
        (EntryId::ZERO, &[][..], 0),
        (EntryId::ZERO, &[1], 1),
        (EntryId::ZERO, &[1, 1], 2),
        (id(1, 1), &[1, 3], 3),
        (id(1, 1), &[1, 3, 3], 4),
    ] {
        bench.hear(2, 3, append(prev_log, entries, 0));
        let match_index = LogIndex::new(match_index);
        let accepted = raft_core::AppendEntriesReply::Accepted { match_index };
        assert_eq!((bench.last_reply(), bench.log()), (Some(accepted), vec![3, 3]), "{prev_log} {entries:?}");
    }
}

/// Figure 13: "Create new snapshot file if first chunk (offset is 0)", "Write data into snapshot file at given offset", "Reply
/// and wait for more data chunks if done is false". Each row: the piece that comes, and what is wanted next.
#[test]
pub(crate) fn pieces_are_written_in_order_and_each_is_answered() {
    let mut bench = Bench::new(compacts(3));
    let snapshot = SnapshotId { last_included: id(3, 9), made_by: Incarnation(2) };
    for (offset, data, wanted) in
        [(5, "later", 0), (0, "abc", 3), (0, "abc", 3), (9, "gap", 3), (3, "de", 5), (3, "de", 5)]
    {
        bench.hear(2, 3, piece(id(3, 9), offset, data, false));
        let offset = wanted;
        assert_eq!(received(&mut bench), InstallSnapshotReply::Received { snapshot, offset }, "{data}");
        assert_eq!((bench.raft.last_log(), bench.restored.len()), (EntryId::ZERO, 0));
    }
    bench.hear(2, 3, piece(id(3, 9), 5, "", true));
    assert_eq!(received(&mut bench), InstallSnapshotReply::Installed { snapshot });
    let bytes: Vec<_> = bench.disk.chunks().iter().flat_map(|chunk| chunk.data.to_vec()).collect();
    assert_eq!((bytes.as_slice(), bench.restored.as_slice()), (&b"abcde"[..], &[snapshot][..]));
}

/// Figure 13: "Save snapshot file, discard any existing or partial snapshot with a smaller index".
#[test]
pub(crate) fn a_snapshot_with_a_larger_index_discards_a_partial_one() {
    let mut bench = Bench::new(compacts(3));
    bench.hear(2, 3, piece(id(3, 5), 0, "abc", false));
    bench.hear(2, 3, piece(id(3, 9), 0, "state", true));
    bench.hear(2, 3, piece(id(3, 5), 3, "de", true));
    let restored = bench.disk.restored();
    assert_eq!(restored.snapshot.map(|whole| whole.index()), Some(LogIndex::new(9)));
    assert_eq!((restored.partial, bench.disk.chunks().len(), bench.restored.len()), (None, 1, 1));
}

/// Figure 13: "Reset state machine using snapshot contents": once no crash can take them away.
#[test]
pub(crate) fn the_state_machine_is_reset_when_the_snapshot_is_durable() {
    let mut bench = Bench::new(compacts(3));
    bench.hear(2, 3, heartbeat());
    bench.hangs = true;
    bench.hear(2, 3, piece(id(3, 9), 0, "state", true));
    assert_eq!(bench.restored, []);
    let write = bench.hung.remove(0);
    bench.step(Input::Persisted(write.token));
    assert_eq!(bench.restored.len(), 1);
}

/// A leader that is asked for more pieces sends them one by one, each once, until the follower has all; then entries.
#[test]
pub(crate) fn a_leader_sends_piece_after_piece_and_then_entries() {
    let mut bench = leader(compacts(3));
    bench.accepts(3, 0);
    let snapshot = ask(&mut bench);
    bench.step(Input::Applied);
    taken(&mut bench, snapshot, "sta", false);
    taken(&mut bench, snapshot, "te", true);
    bench.wait(50 * MS);
    bench.refuses(3, id(1, 1), EntryId::ZERO);
    let mut offsets = Vec::new();
    while let Some(Message::InstallSnapshot(args)) =
        bench.last_said(3, "snapshot").map(|said| said.message.clone())
    {
        offsets.push(args.chunk.offset);
        bench.said.clear();
        let offset = args.chunk.end();
        let reply = if args.chunk.done {
            InstallSnapshotReply::Installed { snapshot }
        } else {
            InstallSnapshotReply::Received { snapshot, offset }
        };
        let reply = crate::bench::envelope(3, 1, Message::InstallSnapshotReply(reply));
        bench.step(Input::Receive(raft_core::Envelope { session: bench.session, ..reply }));
    }
    bench.propose("x");
    assert_eq!((offsets, bench.last_append(3).prev_log), (vec![0, 3], id(1, 1)));
}
