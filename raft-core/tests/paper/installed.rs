//! What a follower does with a snapshot that a leader sends it (§7, Figure 13), and with the beginning of one.

use std::time::Duration;

use raft_core::{
    Batch, Chunk, Config, Configuration, Configured, EntryId, Envelope, Event, Incarnation, Input,
    InstallSnapshot, InstallSnapshotReply, Message, NodeId, Part, RoleName, Session, Snapshot, SnapshotId,
    SnapshotProgress, Term, Violation,
};

use crate::bench::{Bench, append, config, envelope, heartbeat, id, piece};
use crate::fetching::{disk, starts};
use crate::membership::{configure, of};
use crate::snapshots::{compacts, taken};

const MS: Duration = Duration::from_millis(1);

/// A snapshot of three servers, without its bytes.
pub(crate) fn of_three(last_included: EntryId, made_by: u64) -> Snapshot {
    let id = SnapshotId { last_included, made_by: Incarnation(made_by) };
    Snapshot { id, configured: config(3).bootstrap.unwrap_or_default().into() }
}

fn install(snapshot: Snapshot, offset: u64, data: &'static str, done: bool) -> Message {
    let chunk = Chunk::new(offset, data.into(), done);
    Message::InstallSnapshot(Box::new(InstallSnapshot { snapshot, chunk }))
}

/// How far a snapshot is that is on its way: its index, the bytes that are here, and whether a leader sends
/// it.
pub(crate) fn under_way(bench: &Bench) -> Option<(u64, u64, bool)> {
    let short = |SnapshotProgress { index, bytes, is_sent }| (index.get(), bytes, is_sent);
    bench.raft.snapshot_under_way().map(short)
}

/// A snapshot is asked for; whether it is begun.
pub(crate) fn begins(bench: &mut Bench) -> bool {
    bench.raft.ask_for_snapshot();
    bench.step(Input::Tick);
    bench.taking.take().is_some()
}

/// A follower that has applied so many entries, of which its disk has lost the first since then: it begins a
/// snapshot of its own.
fn loses_what_it_has_applied(applied: u64) -> (Bench, SnapshotId) {
    let mut bench = Bench::new(Config { cache_bytes_max: 0, ..compacts(3) });
    bench.hear(2, 1, append(EntryId::ZERO, &[1, 1, 1], applied));
    bench.lose(1);
    let own = bench.taking.take().expect("its state stands for what was lost").id;
    bench.step(Input::Applied);
    (bench, own)
}

/// Figure 13, as Figure 2: whoever sends a snapshot in the current term leads it. A candidate gives way, the
/// election timeout begins anew, and two leaders are one too many.
#[test]
fn whoever_sends_a_snapshot_is_followed() {
    let mut bench = Bench::in_role(Config { pre_vote: false, ..config(3) }, RoleName::Candidate, 1);
    bench.wait(149 * MS);
    assert_eq!(bench.is(), (RoleName::Candidate, 2));
    bench.hear(2, 2, piece(id(1, 9), 0, "x", false));
    assert_eq!((bench.is(), bench.raft.leader()), ((RoleName::Follower, 2), Some(NodeId::new(2))));
    assert!(bench.raft.deadline() >= bench.now.after(150 * MS));
    bench.hear(3, 2, piece(id(1, 9), 0, "x", false));
    let (term, known, other) = (Term::new(2), NodeId::new(2), NodeId::new(3));
    assert_eq!(bench.violation, Some(Violation::TwoLeaders { term, known, other }));
}

/// Figure 3, State Machine Safety: no snapshot takes the place of what is committed here. One that says something else of
/// it stops whoever is sent it; one that says the same is not needed. The log begins behind entry 1.
#[test]
fn a_snapshot_that_contradicts_what_is_committed_replaces_nothing() {
    for (last_included, contradicts) in
        [(id(2, 1), true), (id(2, 2), true), (id(1, 1), false), (id(1, 2), false), (id(2, 3), false)]
    {
        let mut bench = Bench::new(Config { snapshot_entries: 1, snapshot_trailing: 0, ..config(3) });
        bench.hear(2, 1, append(EntryId::ZERO, &[1, 1, 1], 1));
        let snapshot = bench.taking.take().unwrap().id;
        bench.step(Input::SnapshotTaken { snapshot, data: "x".into(), done: true });
        bench.hear(2, 1, append(id(1, 3), &[], 2));
        bench.hear(2, 3, piece(last_included, 0, "y", false));
        let (leader, index) = (NodeId::new(2), last_included.index);
        let violation = contradicts.then_some(Violation::CommittedEntryContradicted { leader, index });
        assert_eq!(bench.violation, violation, "{last_included}");
        let kept = (bench.log(), bench.raft.commit_index().get(), bench.restored.len());
        assert_eq!(kept, (vec![1; 2], 2, 0), "{last_included}");
    }
}

/// Of what the log does not name any more nobody can say, and it is not needed.
#[test]
fn a_snapshot_of_what_a_later_one_stands_for_is_not_needed() {
    let mut bench = Bench::new(config(3));
    bench.hear(2, 2, piece(id(2, 5), 0, "state", true));
    bench.said.clear();
    for last_included in [id(1, 3), id(2, 4)] {
        bench.hear(2, 2, piece(last_included, 0, "old", true));
        let said = bench.said.drain(..).map(|envelope| envelope.message).collect::<Vec<_>>();
        let snapshot = SnapshotId { last_included, made_by: Incarnation(2) };
        let reply = Message::InstallSnapshotReply(InstallSnapshotReply::Installed { snapshot });
        assert_eq!((said, &bench.violation), (vec![reply], &None), "{last_included}");
    }
}

/// Figure 13: "load snapshot's cluster configuration". It is in force at once, and after a restart.
#[test]
fn a_snapshot_brings_the_configuration_of_its_group() {
    let mut bench = Bench::with_log(config(3), &[1, 1], 1);
    bench.hear(2, 1, configure(id(1, 2), 1, &of(&[1, 2]), 0));
    let configured = Configured { at: id(2, 4), configuration: of(&[1, 4, 5]) };
    let snapshot = Snapshot { configured: configured.clone(), ..of_three(id(2, 6), 2) };
    bench.hear(2, 2, install(snapshot, 0, "state", true));
    let Configured { at, configuration } = configured.clone();
    assert_eq!(bench.count(&Event::Configured { at, configuration }), 1);
    for restarts in [false, true] {
        if restarts {
            bench.restart();
        }
        assert_eq!(bench.raft.configuration(), &configured);
        bench.said.clear();
        bench.wait(300 * MS);
        let asked: Vec<_> = bench.take_said().into_iter().map(|(to, _, kind)| (to, kind)).collect();
        assert_eq!(asked, [(4, "pre-vote"), (5, "pre-vote")]);
    }

    // One that brings the same configuration as before changes nothing.
    let mut bench = Bench::new(config(3));
    bench.hear(2, 1, piece(id(1, 1), 0, "state", true));
    assert!(!bench.events.iter().any(|event| matches!(event, Event::Configured { .. })));
}

/// A snapshot is of a leader's log, and so is its configuration: of an entry that it stands for. Each row, of
/// a snapshot of five entries, the last of term 2: where its configuration comes from, how many voters it
/// has, and whether that can be.
#[test]
fn a_snapshot_whose_configuration_makes_no_sense_is_dropped_unread() {
    for (at, voters, could) in [
        (EntryId::ZERO, 3, true),
        (id(1, 3), 3, true),
        (id(2, 5), 3, true),
        (id(2, 6), 3, false),
        (id(3, 4), 3, false),
        (id(1, 3), 0, false),
    ] {
        let mut bench = Bench::new(config(3));
        let configuration = Configuration::of((1..=voters).map(NodeId::new));
        let snapshot = Snapshot { configured: Configured { at, configuration }, ..of_three(id(2, 5), 2) };
        bench.hear(2, 3, install(snapshot, 0, "state", true));
        assert_eq!(bench.raft.counts().strangers_dropped, u64::from(!could), "{at} {voters}");
        assert_eq!(bench.restored.len(), usize::from(could), "{at} {voters}");
    }
}

/// Figure 13, 6: a snapshot that stands for entries that the disk has lost takes their place, and that of all
/// before its last one; what follows stays.
#[test]
fn a_snapshot_that_stands_for_what_was_lost_takes_the_place_of_all_that_it_stands_for() {
    let mut bench = starts(config(3), disk(&[1, 1, 1, 1]), &[1]);
    bench.hear(2, 1, piece(id(1, 3), 0, "state", true));
    assert_eq!((bench.disk.restored().log.base(), bench.raft.last_log()), (id(1, 3), id(1, 4)));
    assert_eq!((bench.raft.damaged(), bench.restored.len()), (0, 1));
    assert_eq!(bench.raft.counts().snapshots_installed, 1);
}

/// "Reset state machine using snapshot contents" (Figure 13, 8) only where that is behind. Each row: how much
/// was applied, and whether it is to become a snapshot of two entries.
#[test]
fn a_state_machine_that_has_all_that_a_snapshot_stands_for_is_not_reset() {
    for (applied, is_reset) in [(1, true), (2, false), (3, false)] {
        let (mut bench, _) = loses_what_it_has_applied(applied);
        bench.hear(2, 1, piece(id(1, 2), 0, "state", true));
        assert_eq!((bench.raft.damaged(), bench.disk.restored().log.base()), (0, id(1, 2)), "{applied}");
        assert_eq!(!bench.restored.is_empty(), is_reset, "{applied}");
    }
}

/// Nor are pieces of both put together if they have the same name: what the state machine still gives is of
/// no use once a leader has begun to send.
#[test]
fn pieces_of_a_leader_and_of_the_own_state_machine_are_not_put_together() {
    for made_by in [1, 2] {
        let (mut bench, own) = loses_what_it_has_applied(2);
        taken(&mut bench, own, "ow", false);
        let sent = of_three(id(1, 2), made_by);
        bench.hear(2, 1, install(sent.clone(), 0, "abc", false));
        taken(&mut bench, own, "n", true);
        bench.step(Input::SnapshotFailed { snapshot: own, reason: "it was in vain".into() });
        assert_eq!(bench.disk.restored().snapshot, None, "{made_by}");
        assert_eq!(under_way(&bench), Some((2, 3, true)), "{made_by}");
        bench.hear(2, 1, install(sent.clone(), 3, "de", true));
        let bytes: Vec<_> = bench.disk.chunks().iter().flat_map(|chunk| chunk.data.to_vec()).collect();
        assert_eq!((bench.disk.restored().snapshot, &bytes[..]), (Some(sent), &b"abcde"[..]), "{made_by}");
        assert_eq!(bench.raft.counts().snapshots_failed, 0);
    }
}

/// A leader's messages may come late. Each row: who sends a piece of another snapshot, of which index and
/// maker, while that of entry 9 comes from n2, and whether it is answered, and takes its place. Only an
/// earlier one in the same conversation is late for certain.
#[test]
fn a_late_piece_of_an_earlier_snapshot_does_not_displace_a_later_one() {
    for (from, term, index, made_by, displaces) in [
        (2, 3, 5, 2, false),
        (2, 3, 12, 2, true),
        (2, 3, 9, 3, true),
        (3, 4, 5, 2, true),
        (3, 4, 12, 2, true),
    ] {
        let mut bench = Bench::new(compacts(3));
        bench.hear(2, 3, piece(id(3, 9), 0, "abcdef", false));
        bench.said.clear();
        let other = install(of_three(id(3, index), made_by), 0, "abc", false);
        let session = Session(from);
        let first_session = envelope(2, 3, heartbeat()).session;
        let session = if from == 2 { first_session } else { session };
        bench.step(Input::Receive(Envelope { session, ..envelope(from, term, other) }));
        let expected = if displaces { (index, 3, true) } else { (9, 6, true) };
        assert_eq!(under_way(&bench), Some(expected), "n{from} {index} {made_by}");
        assert_eq!(bench.said.len(), usize::from(displaces), "n{from} {index} {made_by}");
    }
}

/// A leader that goes on with what another one had begun to send is the one whose late messages are known
/// from then on.
#[test]
fn whoever_goes_on_with_a_snapshot_does_not_displace_it_with_an_earlier_one() {
    let mut bench = Bench::new(compacts(3));
    bench.hear(2, 3, piece(id(3, 9), 0, "abc", false));
    bench.said.clear();
    for (message, bytes, answers) in [
        (piece(id(3, 9), 3, "de", false), 5, 1),
        (piece(id(3, 5), 0, "late", false), 5, 1),
        (piece(id(3, 9), 5, "f", false), 6, 2),
    ] {
        bench.step(Input::Receive(Envelope { session: Session(8), ..envelope(3, 4, message) }));
        assert_eq!((under_way(&bench), bench.said.len()), (Some((9, bytes, true)), answers));
    }
}

/// What is committed here needs not come from a leader, and does not keep this server from taking a snapshot
/// of its own. Each row: how much is committed at once while a snapshot of three entries is on its way, and
/// whether it still is then.
#[test]
fn a_snapshot_of_what_is_committed_here_is_not_waited_for() {
    for (commit, comes) in [(2, true), (3, false), (4, false)] {
        let mut bench = Bench::new(compacts(3));
        bench.hear(2, 1, piece(id(1, 3), 0, "abc", false));
        bench.hear(2, 1, append(EntryId::ZERO, &[1; 4], commit));
        assert_eq!(under_way(&bench), comes.then_some((3, 3, true)), "{commit}");
        assert_eq!(!begins(&mut bench), comes, "{commit}");
    }
}

/// Nor what was on its way before a restart: only what is beyond the whole snapshot.
#[test]
fn the_beginning_of_a_snapshot_on_disk_is_gone_on_with_if_it_is_beyond_the_whole_one() {
    for (index, comes) in [(2, false), (3, false), (9, true)] {
        let mut bench = Bench::new(compacts(3));
        bench.hear(2, 1, piece(id(1, 3), 0, "state", true));
        let chunk = Chunk::new(0, "abc".into(), false);
        let parts = vec![Part { snapshot: of_three(id(1, index), 2), chunk }];
        bench.disk.apply(Batch { parts, ..Batch::default() });
        bench.restart();
        assert_eq!(under_way(&bench), comes.then_some((index, 3, true)), "{index}");
    }
}

#[test]
fn bytes_of_pieces_are_held_until_the_disk_is_given_them() {
    let mut bench = Bench::new(config(3));
    bench.raft.step(bench.now, Input::Receive(envelope(2, 1, piece(id(1, 9), 0, "abc", false))));
    assert_eq!(bench.raft.footprint().piece_bytes, 3);
    bench.step(Input::Tick);
    assert_eq!(bench.raft.footprint().piece_bytes, 0);
}
