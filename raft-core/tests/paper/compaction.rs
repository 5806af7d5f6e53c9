//! When a server takes a snapshot of its own, what becomes of it, and what is left in the log (§7); and a state machine
//! that keeps what it has applied.

use raft_core::{Config, Configured, Counts, EntryId, Event, Input, LogIndex, Violation};

use crate::bench::{Bench, append, config, id, piece};
use crate::installed::{begins, under_way};
use crate::membership::{configure, of};
use crate::snapshots::{ask, compacts, follower, take, taken};

/// Whoever watches sees how far a snapshot is, and whose it is.
#[test]
fn a_snapshot_on_its_way_can_be_watched() {
    let mut bench = follower(compacts(3), &[1, 1, 1], 2);
    assert_eq!(under_way(&bench), None);
    let own = ask(&mut bench);
    bench.step(Input::Applied);
    assert_eq!(under_way(&bench), Some((2, 0, false)));
    taken(&mut bench, own, "sta", false);
    assert_eq!(under_way(&bench), Some((2, 3, false)));
    taken(&mut bench, own, "te", true);
    assert_eq!(under_way(&bench), None);
    bench.hear(2, 1, piece(id(1, 9), 0, "abc", false));
    assert_eq!(under_way(&bench), Some((9, 3, true)));
    bench.hear(2, 1, piece(id(1, 9), 3, "", true));
    assert_eq!(under_way(&bench), None);
}

#[test]
fn snapshots_that_are_taken_that_fail_and_that_are_received_are_counted() {
    let mut bench = follower(compacts(3), &[1, 1, 1], 1);
    take(&mut bench);
    let mut expected = Counts { leaders_found: 1, snapshots_taken: 1, ..Counts::default() };
    assert_eq!(bench.raft.counts(), expected);
    bench.hear(2, 1, append(id(1, 3), &[], 2));
    let snapshot = ask(&mut bench);
    bench.step(Input::Applied);
    for _ in 0..2 {
        bench.step(Input::SnapshotFailed { snapshot, reason: "no room".into() });
        expected.snapshots_failed = 1;
        assert_eq!(bench.raft.counts(), expected, "it fails once");
    }
    bench.hear(2, 1, piece(id(1, 9), 0, "sta", false));
    assert_eq!(bench.raft.counts(), expected, "it is not whole");
    bench.hear(2, 1, piece(id(1, 9), 3, "te", true));
    expected.snapshots_installed = 1;
    assert_eq!(bench.raft.counts(), expected);
}

/// What the state machine still gives of a snapshot that has failed does not get into the next one.
#[test]
fn a_piece_of_a_snapshot_that_has_failed_is_of_no_use() {
    let mut bench = follower(compacts(3), &[1, 1, 1], 1);
    let failed = ask(&mut bench);
    bench.step(Input::Applied);
    bench.step(Input::SnapshotFailed { snapshot: failed, reason: "no room".into() });
    bench.hear(2, 1, append(id(1, 3), &[], 2));
    let next = ask(&mut bench);
    bench.step(Input::Applied);
    taken(&mut bench, failed, "late", true);
    assert_eq!((under_way(&bench), bench.disk.restored().snapshot), (Some((2, 0, false)), None));
    taken(&mut bench, next, "state", true);
    assert_eq!(bench.disk.restored().snapshot.map(|whole| whole.id), Some(next));
}

/// [`Config::snapshot_trailing`]: so many entries before a snapshot are left in the log; where there are no
/// more, all are. Each row: how many, and where the log begins after a snapshot of the first four of five
/// entries.
#[test]
fn entries_are_left_in_the_log_before_a_snapshot() {
    for (snapshot_trailing, base) in [(0, 4), (1, 3), (3, 1), (4, 0), (9, 0)] {
        let mut bench = follower(Config { snapshot_trailing, ..config(3) }, &[1; 5], 4);
        take(&mut bench);
        let compacted = bench.events.iter().any(|event| matches!(event, Event::Compacted { .. }));
        let restored = bench.disk.restored();
        assert_eq!((restored.log.base().index.get(), compacted), (base, base > 0), "{snapshot_trailing}");
        assert_eq!((restored.log.last(), bench.raft.snapshot_index().get()), (id(1, 5), 4));
    }
}

/// [`Config::snapshot_entries`]: "After so many entries have been applied", or more at once; "0: only when
/// asked for".
#[test]
fn a_snapshot_is_due_after_so_many_entries() {
    for (snapshot_entries, applied, due) in [(3, 2, false), (3, 3, true), (3, 5, true), (0, 5, false)] {
        let mut bench = follower(Config { snapshot_entries, ..compacts(3) }, &[1; 5], applied);
        assert_eq!(bench.taking.is_some(), due, "{snapshot_entries} {applied}");
        bench.taking = None;
        bench.step(Input::Applied);
        bench.step(Input::Tick);
        assert_eq!(bench.taking, None, "{snapshot_entries} {applied}");
    }
}

/// One at a time, and never while the state machine is busy: the state that it is to become is not there yet.
#[test]
fn a_snapshot_is_begun_when_nothing_is_in_its_way() {
    let mut bench = Bench::new(compacts(3));
    bench.busy = true;
    bench.hear(2, 1, append(EntryId::ZERO, &[1, 1, 1], 1));
    assert!(!begins(&mut bench), "entry 1 is being applied");
    bench.step(Input::Applied);
    let first = bench.taking.take().expect("it was asked for").id;
    bench.busy = false;
    bench.step(Input::Applied);
    bench.hear(2, 1, append(id(1, 3), &[], 2));
    assert!(!begins(&mut bench), "one is being taken");
    taken(&mut bench, first, "state", true);
    let second = bench.taking.take().expect("it was asked for").id;
    assert_eq!((first.last_included, second.last_included), (id(1, 1), id(1, 2)));
    bench.step(Input::Applied);
    taken(&mut bench, second, "state", true);
    bench.hear(2, 1, append(id(1, 3), &[], 3));
    assert_eq!(bench.taking, None, "it was asked for twice");
}

/// §7: a snapshot includes the configuration. Who has joined a group and does not know it yet cannot say who
/// is in it.
#[test]
fn whoever_knows_of_no_configuration_takes_no_snapshot() {
    let mut bench = follower(Config { bootstrap: None, ..compacts(3) }, &[1], 1);
    assert!(!begins(&mut bench));
    let configured = Configured { at: id(1, 2), configuration: of(&[1, 2, 3]) };
    bench.hear(2, 1, configure(id(1, 1), 1, &configured.configuration, 2));
    assert_eq!(bench.taking.map(|snapshot| snapshot.configured), Some(configured));
}

/// A state machine that keeps what it has applied through a crash is given nothing of that again; one that is
/// behind the snapshot becomes it. What it has applied is committed. Each row: how much it has applied of a
/// log that begins after a snapshot of three entries, and whether it becomes that.
#[test]
fn a_durable_state_machine_goes_on_from_what_it_has_applied() {
    let mut before = follower(compacts(3), &[1; 5], 3);
    take(&mut before);
    for (applied, is_reset) in [(0, true), (2, true), (3, false), (4, false), (5, false)] {
        let mut bench = Bench::with_disk(compacts(3), before.disk.clone());
        bench.raft.has_applied(LogIndex::new(applied));
        bench.step(Input::Tick);
        assert_eq!(bench.raft.commit_index().get(), applied.max(3));
        bench.hear(2, 1, append(id(1, 5), &[], 5));
        let rest: Vec<_> = (applied.max(3) + 1..=5).map(|index| id(1, index)).collect();
        assert_eq!((bench.applied, bench.restored.len()), (rest, usize::from(is_reset)), "{applied}");
        assert_eq!(bench.violation, None);
    }
    let mut bench = Bench::with_disk(compacts(3), before.disk);
    let index = LogIndex::new(6);
    bench.raft.has_applied(index);
    bench.step(Input::Tick);
    assert_eq!(bench.violation, Some(Violation::AppliedBeyondLog { index }), "the log ends with entry 5");
    assert_eq!((bench.applied.len(), bench.restored.len()), (0, 0));
}

/// Nothing is applied twice because a state machine says less than it has said before.
#[test]
fn what_a_state_machine_has_applied_does_not_become_less() {
    let mut bench = Bench::with_log(config(3), &[1; 5], 1);
    bench.raft.has_applied(LogIndex::new(4));
    bench.raft.has_applied(LogIndex::new(2));
    bench.hear(2, 1, append(id(1, 5), &[], 5));
    assert_eq!(bench.applied, [id(1, 5)]);
}
