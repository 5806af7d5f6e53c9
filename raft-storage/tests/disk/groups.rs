//! Many groups in one directory, and many proposers in one group: how many syncs their writes cost, and what one
//! group's mistake does to the others.

use std::thread;

use raft_core::node::{Done, LogStore};
use raft_core::{Batch, Entry, GroupId, Incarnation, Load, LogIndex, Payload};
use raft_storage::{Opened, RocksGroups, RocksStore, StorageError};

use crate::life::{Found, block_on, entries, id, scratch};
use crate::watch::{Operation, Watch};

fn stores(groups: &RocksGroups, count: u64) -> Vec<RocksStore> {
    let store = |group| groups.store(GroupId(group), Incarnation(group)).unwrap().store;
    (0..count).map(store).collect()
}

fn batch(index: u64) -> Batch {
    Batch { entries: entries(1, index..index + 1, "x"), ..Batch::default() }
}

fn log_syncs(watch: &Watch) -> usize {
    watch.count(|done| matches!(done, Operation::Sync { name } if name.ends_with(".log")))
}

/// The first of them is on its way to the disk when the others come.
#[test]
fn a_hundred_groups_with_a_write_each_cost_two_syncs_at_the_most() {
    let directory = scratch();
    let watch = Watch::begin(directory.path());
    let groups = RocksGroups::open(directory.path()).unwrap();
    let mut stores = stores(&groups, 100);
    for round in 1..11 {
        let before = log_syncs(&watch);
        // A sync takes as long as it takes to ask for the other writes.
        watch.hang(".log");
        stores[0].write(batch(round));
        watch.wait_for_hang();
        stores[1..].iter_mut().for_each(|store| store.write(batch(round)));
        watch.release();
        for store in &mut stores {
            assert_eq!(block_on(store.done()), Ok(Done::Persisted(1)));
        }
        assert_eq!(log_syncs(&watch) - before, 2, "round {round}");
    }
    drop((stores, groups));
    let groups = RocksGroups::open(directory.path()).unwrap();
    for group in 0..100 {
        let Opened { restored, incarnation, .. } = groups.store(GroupId(group), Incarnation(999)).unwrap();
        assert_eq!((restored.log.last(), incarnation), (id(1, 10), Incarnation(group)));
    }
}

/// Their batches are in the order in which each of them gave them, and are acknowledged in that order.
#[test]
fn many_proposers_share_a_sync_and_keep_their_order() {
    let directory = scratch();
    let watch = Watch::begin(directory.path());
    let groups = RocksGroups::open(directory.path()).unwrap();
    let mut first = groups.store(GroupId(1_000), Incarnation(0)).unwrap().store;
    let mut stores = stores(&groups, 8);
    watch.hang(".log");
    first.write(batch(1));
    watch.wait_for_hang();
    let before = log_syncs(&watch);
    thread::scope(|scope| {
        for store in &mut stores {
            scope.spawn(move || (1..65).for_each(|index| store.write(batch(index))));
        }
    });
    watch.release();
    block_on(first.done()).unwrap();
    for store in &mut stores {
        let mut acknowledged = 0;
        while acknowledged < 64 {
            let Done::Persisted(count) = block_on(store.done()).unwrap() else {
                panic!("nothing was asked for")
            };
            acknowledged += count;
        }
    }
    assert_eq!(log_syncs(&watch) - before, 2, "the one that hung, and one for 512 batches");
    drop((first, stores, groups));
    let groups = RocksGroups::open(directory.path()).unwrap();
    for group in 0..8 {
        let found = Found::in_store(groups.store(GroupId(group), Incarnation(0)).unwrap()).unwrap();
        assert_eq!(found.entries, entries(1, 1..65, "x").to_vec());
    }
}

/// Each acknowledgement comes after the sync that it rests on (S2, S13, S15).
#[test]
fn nothing_is_acknowledged_before_it_is_synced() {
    let directory = scratch();
    let watch = Watch::begin(directory.path());
    let groups = RocksGroups::open(directory.path()).unwrap();
    let mut stores = stores(&groups, 3);
    for round in 1..11 {
        for store in &mut stores {
            store.write(batch(round));
            block_on(store.done()).unwrap();
            watch.note(0);
        }
    }
    let mut unsynced = false;
    let mut acknowledged = 0;
    for done in watch.operations() {
        match done {
            Operation::Write { name, .. } if name.ends_with(".log") => unsynced = true,
            Operation::Sync { name } if name.ends_with(".log") => unsynced = false,
            Operation::Note(_) => {
                assert!(!unsynced, "after {acknowledged} acknowledgements");
                acknowledged += 1;
            }
            Operation::Open { .. }
            | Operation::Create { .. }
            | Operation::Write { .. }
            | Operation::Resize { .. }
            | Operation::Sync { .. }
            | Operation::Rename { .. }
            | Operation::Link { .. }
            | Operation::Directory { .. }
            | Operation::Remove { .. } => {}
        }
    }
    assert_eq!(acknowledged, 30);
}

#[test]
fn a_batch_that_does_not_join_on_poisons_its_own_group_alone() {
    let directory = scratch();
    let groups = RocksGroups::open(directory.path()).unwrap();
    let mut stores = stores(&groups, 3);
    stores.iter_mut().for_each(|store| store.write(batch(1)));
    stores[1].write(batch(3));
    stores.iter_mut().for_each(|store| store.write(batch(2)));
    for (nth, store) in stores.iter_mut().enumerate() {
        let (mut acknowledged, wanted) = (0, if nth == 1 { 1 } else { 2 });
        while acknowledged < wanted {
            let Done::Persisted(count) = block_on(store.done()).unwrap() else {
                panic!("nothing was asked for")
            };
            acknowledged += count;
        }
    }
    let misfit = StorageError::Misfit { last: id(1, 1), found: id(1, 3) };
    assert_eq!(block_on(stores[1].done()), Err(misfit.clone()));
    stores[1].load(Load::Entries { from: LogIndex::new(1), to: LogIndex::new(1), bytes_max: 0 });
    assert_eq!(block_on(stores[1].done()), Err(misfit));

    // A store of the group that is opened anew goes on with what is there.
    stores.remove(1);
    let Opened { mut store, restored, .. } = groups.store(GroupId(1), Incarnation(0)).unwrap();
    assert_eq!(restored.log.last(), id(1, 1));
    store.write(batch(2));
    assert_eq!(block_on(store.done()), Ok(Done::Persisted(1)));
}

#[test]
fn a_group_that_is_open_is_not_opened_again() {
    let directory = scratch();
    let groups = RocksGroups::open(directory.path()).unwrap();
    let store = groups.store(GroupId(5), Incarnation(1)).unwrap().store;
    let error = groups.store(GroupId(5), Incarnation(1)).unwrap_err();
    assert_eq!(error, StorageError::Taken { group: GroupId(5) });
    drop(store);
    assert!(groups.store(GroupId(5), Incarnation(1)).is_ok());
}

/// The directory is closed when the last of them goes, whichever that is.
#[test]
fn a_store_keeps_its_directory_open() {
    let directory = scratch();
    let groups = RocksGroups::open(directory.path()).unwrap();
    let Opened { mut store, .. } = groups.store(GroupId(5), Incarnation(1)).unwrap();
    drop(groups);
    assert!(matches!(RocksGroups::open(directory.path()), Err(StorageError::Locked { .. })));
    let noop = Entry::new(id(1, 1), Payload::Noop);
    store.write(Batch { entries: vec![noop].into(), ..Batch::default() });
    drop(store);
    let groups = RocksGroups::open(directory.path()).unwrap();
    assert_eq!(groups.store(GroupId(5), Incarnation(1)).unwrap().restored.log.last(), id(1, 1));
}
