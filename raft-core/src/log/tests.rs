//! Where entries are looked for, and what is left of them.

use super::*;

/// A log whose entries have these terms.
fn log(terms: &[u64]) -> Log {
    let mut log = Log::default();
    for &term in terms {
        log.append(Term::new(term), Payload::Noop);
    }
    log
}

fn id(term: u64, index: u64) -> EntryId {
    EntryId::new(Term::new(term), LogIndex::new(index))
}

fn ids(found: &Found) -> Vec<u64> {
    match found {
        Found::Here(entries) => entries.iter().map(|entry| entry.id.index.get()).collect(),
        Found::OnDisk { to } => panic!("on disk to {to}"),
    }
}

#[test]
fn what_is_truncated_before_it_was_given_needs_no_truncation_on_disk() {
    let mut log = log(&[1, 1]);
    assert_eq!(log.take_ungiven().entries.len(), 2);
    log.append(Term::new(1), Payload::Noop);
    log.truncate(LogIndex::new(3));
    assert_eq!(log.take_ungiven(), Ungiven::default());
    log.append(Term::new(2), Payload::Noop);
    log.truncate(LogIndex::new(2));
    log.append(Term::new(3), Payload::Noop);
    let ungiven = log.take_ungiven();
    assert_eq!(ungiven.truncate, Some(LogIndex::new(2)));
    assert_eq!(ungiven.entries.iter().map(|entry| entry.id).collect::<Vec<_>>(), [id(3, 2)]);
}

#[test]
fn a_batch_of_entries_ends_at_the_limit_but_is_never_empty() {
    let mut log = Log::default();
    for size in [10, 10, 30, 5] {
        log.append(Term::new(1), Payload::Command(vec![0; size].into()));
    }
    log.close();
    let lengths = |from, bytes_max| ids(&log.entries(LogIndex::new(from), LogIndex::new(4), bytes_max)).len();
    assert_eq!(
        [lengths(1, 20), lengths(1, 19), lengths(3, 1), lengths(4, 99), lengths(5, 99)],
        [2, 1, 1, 1, 0]
    );
}

#[test]
fn payloads_beyond_the_budget_go_once_they_were_given_and_come_back_from_disk() {
    let mut log = log(&[1, 1, 1, 2]);
    log.close();
    log.forget(0);
    assert_eq!(ids(&log.entries(LogIndex::new(1), LogIndex::new(9), 9)), [1, 2, 3, 4]);
    let entries = log.take_ungiven().entries;
    log.forget(2 * entries[0].payload.weight());
    assert_eq!(ids(&log.entries(LogIndex::new(3), LogIndex::new(9), 9)), [3, 4]);
    let on_disk = Found::OnDisk { to: LogIndex::new(2) };
    assert_eq!(log.entries(LogIndex::new(1), LogIndex::new(9), 9), on_disk);
    log.loaded(entries.clone().up_to(1));
    assert_eq!(ids(&log.entries(LogIndex::new(1), LogIndex::new(9), 9)), [1]);
    log.loaded(entries.up_to(2).after(1));
    // What was read joins on to what is in memory.
    assert_eq!(ids(&log.entries(LogIndex::new(2), LogIndex::new(9), 9)), [2, 3, 4]);
    log.forget(0);
    assert_eq!(log.entries(LogIndex::new(4), LogIndex::new(9), 9), Found::OnDisk { to: LogIndex::new(4) });
}

#[test]
fn what_was_truncated_while_it_was_read_is_not_kept() {
    let mut log = log(&[1, 1, 1]);
    let entries = log.take_ungiven().entries;
    log.forget(0);
    log.truncate(LogIndex::new(3));
    log.append(Term::new(2), Payload::Noop);
    log.loaded(entries);
    log.close();
    let Found::Here(found) = log.entries(LogIndex::new(1), LogIndex::new(9), 9) else { panic!("on disk") };
    assert_eq!(found.iter().map(|entry| entry.id).collect::<Vec<_>>(), [id(1, 1), id(1, 2), id(2, 3)]);
}

/// Each row: the terms of a log, its base, somebody's hint, and the last that both may share.
#[test]
fn what_a_leader_shares_may_lie_before_its_base() {
    for (terms, base, hint, shared) in [
        (&[1, 1, 2, 3][..], 0, id(2, 3), 3),
        (&[1, 1, 2, 3], 2, id(1, 2), 2),
        (&[1, 1, 2, 3], 2, id(1, 4), 2),
        (&[1, 1, 2, 3], 2, id(0, 0), 0),
        (&[1, 1, 2, 3], 3, id(1, 4), 2),
        (&[1, 1, 2, 3], 3, id(1, 1), 1),
    ] {
        let mut log = log(terms);
        if let Some(base) = log.id_at(LogIndex::new(base)) {
            log.compact(base);
        }
        assert_eq!(log.shared_with(hint).get(), shared, "{terms:?} {base} {hint}");
    }
}

#[test]
fn a_log_that_is_reset_has_nothing_of_what_it_had() {
    let mut log = log(&[1, 1, 1]);
    drop(log.take_ungiven());
    log.append(Term::new(1), Payload::Noop);
    log.reset(id(2, 3));
    log.append(Term::new(3), Payload::Noop);
    let ungiven = log.take_ungiven();
    assert_eq!((ungiven.truncate, ungiven.compact), (Some(LogIndex::new(1)), Some(id(2, 3))));
    assert_eq!(ungiven.entries.iter().map(|entry| entry.id).collect::<Vec<_>>(), [id(3, 4)]);
    assert_eq!((log.base(), log.last()), (id(2, 3), id(3, 4)));
}

/// Two leaders have sent their entries since: the disk is given what is left of it all.
#[test]
fn all_that_came_since_the_last_write_is_in_the_next_one() {
    let entries = |term, from: u64, to: u64| -> Entries {
        (from..=to).map(|index| Entry::new(id(term, index), Payload::Noop)).collect()
    };
    let mut log = log(&[1, 1]);
    assert_eq!(log.append_missing(entries(1, 2, 5)).len(), 3);
    log.append(Term::new(2), Payload::Noop);
    assert_eq!(log.take_ungiven().entries.len(), 6);
    log.truncate(LogIndex::new(5));
    assert_eq!(log.append_missing(entries(3, 5, 7)).len(), 3);
    log.truncate(LogIndex::new(3));
    assert_eq!(log.append_missing(entries(4, 3, 3)).len(), 1);
    assert_eq!(log.append_missing(entries(4, 4, 5)).len(), 2);
    let ungiven = log.take_ungiven();
    assert_eq!((ungiven.truncate, ungiven.entries), (Some(LogIndex::new(3)), entries(4, 3, 5)));
}

#[test]
fn what_was_read_serves_from_its_first_entry_on_and_until_effects_are_taken() {
    let mut log = log(&[1, 1, 1, 1]);
    let entries = log.take_ungiven().entries;
    log.forget(0);
    log.loaded(entries.clone().after(1).up_to(2));
    let from = |log: &Log, index| log.entries(LogIndex::new(index), LogIndex::new(9), 9);
    let on_disk = Found::OnDisk { to: LogIndex::new(4) };
    assert_eq!([from(&log, 1), from(&log, 4)], [on_disk.clone(), on_disk.clone()]);
    assert_eq!([ids(&from(&log, 2)), ids(&from(&log, 3))], [vec![2, 3], vec![3]]);
    log.forget(usize::MAX);
    assert_eq!(from(&log, 2), on_disk);
}

/// It may be what was truncated.
#[test]
fn what_was_read_is_not_used_after_a_truncation() {
    let mut log = log(&[1, 1, 1]);
    let entries = log.take_ungiven().entries;
    log.forget(0);
    log.loaded(entries);
    log.truncate(LogIndex::new(3));
    log.append(Term::new(2), Payload::Noop);
    log.close();
    let found = log.entries(LogIndex::new(1), LogIndex::new(9), 9);
    assert_eq!(found, Found::OnDisk { to: LogIndex::new(2) });
}

#[test]
fn bytes_in_memory_are_those_of_the_newest_entries_and_of_what_was_read() {
    let mut log = Log::default();
    let commands = [vec![0; 10], vec![0; 20], vec![0; 40]].map(Bytes::from);
    log.append_commands(Term::new(1), commands.into_iter());
    let each = size_of::<Entry>();
    assert_eq!(log.cached_bytes(), 3 * each + 70);
    let entries = log.take_ungiven().entries;
    log.forget(2 * each + 60);
    assert_eq!(log.cached_bytes(), 2 * each + 60);
    log.loaded(entries.up_to(1));
    assert_eq!(log.cached_bytes(), 3 * each + 70);
    log.forget(2 * each + 60);
    assert_eq!(log.cached_bytes(), 2 * each + 60);
    log.compact(id(1, 2));
    assert_eq!((log.cached_bytes(), log.checksums().count()), (each + 40, 1));
}
