//! Stories of events, and the property of Figure 3 that each breaks.

use raft_core::figure3::{Figure3, Property};
use raft_core::{
    Configured, EntryId, Event, HardState, Incarnation, LogIndex, LogOutline, NodeId, Restored, RoleName,
    Snapshot, SnapshotId, Term,
};

fn node(id: u64) -> NodeId {
    NodeId::new(id)
}

fn id(term: u64, index: u64) -> EntryId {
    EntryId::new(Term::new(term), LogIndex::new(index))
}

fn lead(term: u64) -> Event {
    let role = RoleName::Candidate;
    let term = Term::new(term);
    Event::Role { from_term: term, from: role, term, to: RoleName::Leader, leader: None }
}

fn follow(term: u64) -> Event {
    let (from, term) = (RoleName::Leader, Term::new(term));
    Event::Role { from_term: term, from, term, to: RoleName::Follower, leader: None }
}

fn append(term: u64, index: u64) -> Event {
    Event::Appended { id: id(term, index), checksum: 1 }
}

fn durable(term: u64, vote: u64, index: u64) -> Event {
    Event::Durable { term: Term::new(term), voted_for: Some(node(vote)), index: LogIndex::new(index) }
}

fn commit(from: u64, term: u64, to: u64) -> Event {
    Event::Committed { from: LogIndex::new(from), to: id(term, to) }
}

#[test]
fn a_leader_elected_late_need_not_have_what_a_later_term_committed() {
    let mut figure3 = Figure3::new((1..=3).map(node).collect::<Vec<_>>());
    for (server, event) in [
        (1, append(1, 1)),
        (2, append(1, 1)),
        (1, durable(6, 1, 1)),
        (2, durable(6, 1, 1)),
        (1, lead(6)),
        (1, commit(0, 1, 1)),
        (3, lead(5)),
    ] {
        assert_eq!(figure3.observe(node(server), &event), Ok(()), "{event:?}");
    }
    assert!(figure3.observe(node(3), &lead(7)).is_err());
}

fn applying(to: u64) -> Event {
    Event::Applying { to: LogIndex::new(to) }
}

fn installed(term: u64, index: u64, from: u64) -> Event {
    let snapshot = SnapshotId { last_included: id(term, index), made_by: Incarnation(1) };
    Event::Installed { snapshot, from: LogIndex::new(from) }
}

/// A server that has seen entry 1 committed starts again with this on its disk; each row, and what that
/// breaks.
#[test]
fn a_server_starts_with_what_it_had() {
    let log = |base: EntryId, terms: &[u64]| {
        let mut log = LogOutline::new(base);
        for &term in terms {
            assert!(log.append(id(term, log.last().index.get() + 1)));
        }
        log
    };
    let snapshot = |last_included: EntryId| {
        let id = SnapshotId { last_included, made_by: Incarnation(1) };
        Some(Snapshot { id, configured: Configured::default() })
    };
    for (term, snapshot, log, broken) in [
        (1, None, log(EntryId::ZERO, &[1]), None),
        (1, snapshot(id(1, 1)), log(id(1, 1), &[]), None),
        (0, None, log(EntryId::ZERO, &[1]), Some(Property::Monotonic)),
        (1, None, log(EntryId::ZERO, &[]), Some(Property::DurableBeforeAck)),
        (1, None, log(EntryId::ZERO, &[2]), Some(Property::LogMatching)),
        (1, snapshot(id(2, 1)), log(id(2, 1), &[]), Some(Property::StateMachine)),
    ] {
        let mut figure3 = Figure3::new((1..=3).map(node).collect::<Vec<_>>());
        for (server, event) in [
            (1, append(1, 1)),
            (2, append(1, 1)),
            (1, durable(1, 1, 1)),
            (2, durable(1, 1, 1)),
            (1, commit(0, 1, 1)),
        ] {
            assert_eq!(figure3.observe(node(server), &event), Ok(()));
        }
        let hard_state = HardState { current_term: Term::new(term), voted_for: None };
        let restored = Restored { hard_state, snapshot, log, ..Restored::default() };
        let found = figure3.started(node(2), &restored).err();
        assert_eq!(found.as_ref().map(|found| found.property), broken, "{restored:?}: {found:?}");
    }
}

/// Each row: the property that the last event of a story breaks.
#[test]
fn every_property_can_break() {
    let agreed = || vec![(1, append(1, 1)), (2, append(1, 1)), (1, durable(1, 1, 1)), (2, durable(1, 1, 1))];
    let committed = || [agreed(), vec![(1, commit(0, 1, 1))]].concat();
    let then = |mut story: Vec<(u64, Event)>, more: &[(u64, Event)]| {
        story.extend_from_slice(more);
        story
    };
    let gone = Event::Truncated { from: LogIndex::new(1), last: EntryId::ZERO };
    for (property, story) in [
        (Property::ElectionSafety, vec![(1, lead(1)), (2, lead(1))]),
        (Property::ElectionSafety, vec![(1, lead(1)), (1, lead(1))]),
        (Property::ElectionSafety, vec![(1, lead(1)), (1, follow(1)), (1, lead(1))]),
        (Property::LeaderAppendOnly, vec![(1, append(1, 1)), (1, lead(2)), (1, gone.clone())]),
        (Property::LogMatching, vec![(1, append(1, 1)), (1, append(2, 2)), (2, append(2, 2))]),
        (Property::LeaderCompleteness, then(agreed(), &[(1, commit(0, 1, 1)), (3, lead(2))])),
        (Property::LeaderCompleteness, then(agreed(), &[(3, lead(2)), (1, commit(0, 1, 1))])),
        (Property::DurableBeforeAck, vec![(1, append(1, 1)), (1, durable(1, 1, 1)), (1, commit(0, 1, 1))]),
        (
            Property::StateMachine,
            then(agreed(), &[(1, commit(0, 1, 1)), (3, append(2, 1)), (3, commit(0, 2, 1))]),
        ),
        (Property::OneVote, vec![(1, durable(3, 2, 0)), (1, durable(3, 1, 0))]),
        (Property::Monotonic, vec![(1, durable(3, 2, 0)), (1, durable(2, 2, 0))]),
        (Property::Monotonic, then(agreed(), &[(1, commit(0, 1, 1)), (1, commit(0, 1, 1))])),
        (Property::Monotonic, then(committed(), &[(1, applying(1)), (1, applying(1))])),
        (Property::Monotonic, then(agreed(), &[(1, applying(1))])),
        (Property::Monotonic, then(committed(), &[(1, installed(1, 1, 1))])),
        (Property::StateMachine, then(committed(), &[(3, installed(2, 1, 0))])),
        (Property::StateMachine, then(agreed(), &[(1, Event::Compacted { base: id(2, 1) })])),
        (Property::SelfCheck, vec![(1, Event::Stopped { reason: "why".into() })]),
    ] {
        let mut figure3 = Figure3::new((1..=3).map(node).collect::<Vec<_>>());
        let (last, before) = story.split_last().unwrap();
        for (server, event) in before {
            assert_eq!(figure3.observe(node(*server), event), Ok(()), "{property:?}");
        }
        let broken = figure3.observe(node(last.0), &last.1).unwrap_err();
        assert_eq!(broken.property, property, "{broken}");
    }
}
