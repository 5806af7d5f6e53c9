//! What waits for which write.

use super::*;
use crate::config::Config;
use crate::fingerprint::{Fnv1a, all_differ, names};
use crate::snapshot::SnapshotId;
use crate::types::Session;

fn id(term: u64, index: u64) -> EntryId {
    EntryId::new(Term::new(term), LogIndex::new(index))
}

#[test]
fn a_write_confirms_nothing_of_what_was_truncated_meanwhile() {
    let mut disk = Disk::default();
    let first = disk.give(Time::ZERO, HardState::default(), id(1, 8), Holds::default());
    disk.truncate(id(1, 4));
    let second = disk.give(Time::ZERO, HardState::default(), id(2, 6), Holds::default());
    assert!(disk.confirm(&first));
    assert_eq!(disk.durable().last, id(1, 4));
    assert_eq!(disk.write_of(LogIndex::new(5)), 2);
    assert!(disk.confirm(&second));
    assert_eq!(disk.durable().last, id(2, 6));
}

#[test]
fn truncation_takes_back_what_was_durable() {
    let mut disk = Disk::new(Owner::default(), HardState::default(), id(1, 8));
    disk.truncate(id(1, 5));
    assert_eq!(disk.durable().last, id(1, 5));
}

#[test]
fn a_token_out_of_order_is_refused() {
    let mut disk = Disk::default();
    let _first = disk.give(Time::ZERO, HardState::default(), id(1, 1), Holds::default());
    let second = disk.give(Time::ZERO, HardState::default(), id(1, 2), Holds::default());
    assert!(!disk.confirm(&second));
}

#[test]
fn truncation_makes_nothing_durable() {
    let mut disk = Disk::new(Owner::default(), HardState::default(), id(1, 2));
    let write = disk.give(Time::ZERO, HardState::default(), id(1, 8), Holds::default());
    disk.truncate(id(1, 5));
    assert_eq!(disk.durable().last, id(1, 2));
    assert!(disk.confirm(&write));
    assert_eq!(disk.durable().last, id(1, 5));
}

/// Entry 1 is durable, and three writes are under way: up to entry 3, 5 and 7.
#[test]
fn an_entry_is_durable_with_the_first_write_that_reaches_it() {
    let mut disk = Disk::new(Owner::default(), HardState::default(), id(1, 1));
    for last in [3, 5, 7] {
        let _token = disk.give(Time::ZERO, HardState::default(), id(1, last), Holds::default());
    }
    assert_eq!(
        (0..=7).map(|index| disk.write_of(LogIndex::new(index))).collect::<Vec<_>>(),
        [0, 0, 1, 1, 2, 2, 3, 3]
    );
}

/// Of a log of nine entries: up to where it is on disk, of the first entry and of all.
#[test]
fn what_is_repaired_is_on_disk_when_the_repair_is() {
    let mut disk = Disk::new(Owner::default(), HardState::default(), id(1, 9));
    let on_disk = |disk: &Disk| [1, 9].map(|index| disk.repaired_to(LogIndex::new(index)).get());
    let repair = |disk: &mut Disk, first| {
        let holds = Holds { repaired: Some(LogIndex::new(first)), ..Holds::default() };
        disk.give(Time::ZERO, HardState::default(), id(1, 9), holds)
    };
    assert_eq!(on_disk(&disk), [1, 9]);
    let both = [3, 5].map(|first| repair(&mut disk, first));
    assert_eq!(on_disk(&disk), [1, 2]);
    assert!(both.iter().all(|token| disk.confirm(token)));
    assert_eq!(on_disk(&disk), [1, 9]);
    let _token = repair(&mut disk, 7);
    assert_eq!(on_disk(&disk), [1, 6]);
}

#[test]
fn a_whole_snapshot_is_durable_with_the_write_of_its_last_piece() {
    let mut disk = Disk::default();
    let whole = Holds { whole_snapshot: true, ..Holds::default() };
    let pieces = [Holds::default(), whole, Holds::default()];
    let durable = pieces.map(|holds| {
        let _token = disk.give(Time::ZERO, HardState::default(), id(1, 9), holds);
        disk.has_whole_snapshot()
    });
    assert_eq!(durable, [true, false, false]);
    assert!((1..=2).all(|sequence| disk.confirm(&WriteToken { owner: Owner::default(), sequence })));
    assert!(disk.has_whole_snapshot());
}

/// From n1, to this server, in a conversation of this number.
fn envelope(to: u64, session: u64, message: Message) -> Envelope {
    let config = Config::new(NodeId::new(1), Vec::new());
    config.envelope(NodeId::new(to), Term::new(1), Session(session), message)
}

fn accepted(match_index: u64) -> Message {
    let match_index = LogIndex::new(match_index);
    Message::AppendEntriesReply(AppendEntriesReply::Accepted { match_index })
}

const fn vote(vote_granted: bool) -> Message {
    Message::RequestVoteReply(RequestVoteReply { vote_granted, suspect: false })
}

/// What leaves when the next write is confirmed: the conversations.
fn released(disk: &mut Disk) -> Vec<u64> {
    let sequence = disk.confirmed + 1;
    assert!(disk.confirm(&WriteToken { owner: Owner::default(), sequence }));
    let mut send = Vec::new();
    disk.release(&mut send);
    send.iter().map(|envelope| envelope.session.0).collect()
}

/// Each answer waits for its own write, and takes the place of one of its kind to the same server that waits for the same
/// one. A vote that was given in another conversation stays.
#[test]
fn one_answer_of_each_kind_to_each_server_waits_for_each_write() {
    let mut disk = Disk::default();
    for last in [1, 2] {
        let _token = disk.give(Time::ZERO, HardState::default(), id(1, last), Holds::default());
    }
    let mut send = Vec::new();
    for (needed, to, session, message) in [
        (1, 2, 1, accepted(1)),
        (2, 2, 2, accepted(2)),
        (1, 2, 3, accepted(1)),
        (2, 2, 4, accepted(2)),
        (2, 3, 5, accepted(2)),
        (1, 3, 6, accepted(1)),
        (1, 2, 7, vote(true)),
        (1, 2, 8, vote(false)),
        (1, 2, 9, vote(false)),
    ] {
        disk.send_or_hold(needed, envelope(to, session, message), &mut send);
    }
    assert_eq!((send.len(), disk.held(), disk.in_flight()), (0, 6, 2));
    disk.send_or_hold(0, envelope(2, 10, accepted(0)), &mut send);
    assert_eq!((send.len(), disk.held()), (1, 6), "what needs no write does not wait");
    assert_eq!([released(&mut disk), released(&mut disk)], [vec![3, 6, 7, 9], vec![4, 5]]);
    assert_eq!((disk.held(), disk.in_flight()), (0, 0));
}

#[test]
fn what_waits_leaves_though_more_was_confirmed_than_it_waits_for() {
    let mut disk = Disk::default();
    let tokens =
        [1, 2].map(|last| disk.give(Time::ZERO, HardState::default(), id(1, last), Holds::default()));
    let mut send = Vec::new();
    disk.send_or_hold(1, envelope(2, 1, accepted(1)), &mut send);
    assert!(tokens.iter().all(|token| disk.confirm(token)));
    disk.release(&mut send);
    assert_eq!(send.len(), 1);
}

#[test]
fn a_new_term_drops_what_waits_in_earlier_ones() {
    let mut disk = Disk::default();
    let _token = disk.give(Time::ZERO, HardState::default(), id(1, 1), Holds::default());
    for term in 1..=4 {
        let answer = Envelope { term: Term::new(term), ..envelope(term, term, accepted(1)) };
        disk.send_or_hold(1, answer, &mut Vec::new());
    }
    disk.drop_held_before(Term::new(3));
    assert_eq!(released(&mut disk), [3, 4]);
}

/// Each row: what waits to be said, and whether it says that entry 4 is there, which is lost.
#[test]
fn what_is_lost_is_not_acknowledged() {
    let installed = |index| {
        let snapshot = SnapshotId { last_included: id(1, index), ..SnapshotId::default() };
        Message::InstallSnapshotReply(InstallSnapshotReply::Installed { snapshot })
    };
    for (message, says_so) in [
        (accepted(3), false),
        (accepted(4), true),
        (accepted(5), true),
        (installed(3), false),
        (installed(4), true),
        (installed(5), true),
        (vote(true), false),
        (Message::ReadIndex, false),
    ] {
        let mut disk = Disk::default();
        let _token = disk.give(Time::ZERO, HardState::default(), id(1, 9), Holds::default());
        disk.send_or_hold(1, envelope(2, 1, message.clone()), &mut Vec::new());
        disk.drop_acknowledgements(LogIndex::new(4));
        assert_eq!(disk.held() == 0, says_so, "{message:?}");
    }
}

/// What waits for the second of two writes is the same as what waits for the first of one.
#[test]
fn a_fingerprint_tells_which_messages_wait_and_for_how_many_writes() {
    let says = |to: u64, term: u64| Envelope {
        to: NodeId::new(to),
        ..Config::new(NodeId::new(1), vec![]).envelope(
            NodeId::new(to),
            Term::new(term),
            Session(1),
            Message::TimeoutNow,
        )
    };
    let holding = |given: u64, confirmed: u64, held: &[(u64, Envelope)]| Disk {
        given,
        confirmed,
        held: held.iter().cloned().collect(),
        ..Disk::default()
    };
    let states = [
        holding(2, 0, &[]),
        holding(2, 0, &[(1, says(2, 1))]),
        holding(2, 0, &[(2, says(2, 1))]),
        holding(2, 0, &[(1, says(3, 1))]),
        holding(2, 0, &[(1, says(2, 2))]),
    ];
    let feed =
        |disk: &Disk, name: &dyn Fn(NodeId) -> NodeId, hasher: &mut Fnv1a| disk.hash_state(name, hasher);
    assert!(all_differ(names(&states, false, feed)));
    let later = holding(7, 5, &[(6, says(2, 1))]);
    assert_eq!(names(&[later], false, feed), names(&states[1..2], false, feed));
}
