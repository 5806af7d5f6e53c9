//! A directory of an earlier format becomes one of this, whole or not at all. Format 0 was never released: these
//! tests make it of this one, as [`format`](raft_storage::format) says what was different.

use std::fs;
use std::path::Path;

use raft_core::{HardState, Incarnation, LogIndex, LogOutline, Snapshot};
use raft_storage::format::{CLEAN_STOP, FORMAT, FORMAT_KEY, LOG, META, SNAPSHOT};
use raft_storage::{RocksGroups, StorageError};
use rocksdb::{DB, IteratorMode, Options};

use crate::life::{self, scratch};
use crate::power_cut::Cuts;
use crate::recorded;
use crate::watch::{Operation, Watch};

type Mapping = (Vec<(u64, u64, u64)>, u64, u64);
type Numbered = Option<(u64, Snapshot, u64, u64)>;
type Snapshots = (Numbered, Numbered, u64);

pub(crate) fn raw(directory: &Path) -> DB {
    DB::open_cf(&Options::default(), directory, [LOG, SNAPSHOT, META]).unwrap()
}

fn checked(layout: &[u8], rest: &[u8]) -> Vec<u8> {
    let crc = crc32c::crc32c_append(crc32c::crc32c(layout), rest).to_le_bytes();
    [layout, &crc, rest].concat()
}

/// Rewrites the states and the format.
pub(crate) fn make_format_zero(directory: &Path) {
    fs::remove_file(directory.join(CLEAN_STOP)).unwrap();
    let db = raw(directory);
    let meta = db.cf_handle(META).unwrap();
    let states: Vec<_> = db.iterator_cf(meta, IteratorMode::Start).map(Result::unwrap).collect();
    for (key, value) in states.into_iter().filter(|(key, _)| key.ends_with(b"state")) {
        let (incarnation, hard_state, log, mapping, _bound, snapshots): (
            Incarnation,
            HardState,
            LogOutline,
            Mapping,
            LogIndex,
            Snapshots,
        ) = rmp_serde::from_slice(&value[5..]).unwrap();
        let without = rmp_serde::to_vec(&(incarnation, hard_state, log, mapping, snapshots)).unwrap();
        db.put_cf(meta, key, checked(&[0], &without)).unwrap();
    }
    db.put_cf(meta, FORMAT_KEY, checked(&0_u32.to_le_bytes(), &[])).unwrap();
}

fn format(directory: &Path) -> u32 {
    let db = raw(directory);
    let value = db.get_cf(db.cf_handle(META).unwrap(), FORMAT_KEY).unwrap().unwrap();
    u32::from_le_bytes(value[..4].try_into().unwrap())
}

#[test]
fn a_directory_of_an_earlier_format_is_upgraded_and_loses_nothing() {
    let directory = scratch();
    life::live(directory.path(), life::script(), |_| {});
    make_format_zero(directory.path());
    assert_eq!(format(directory.path()), 0);
    for _ in 0..2 {
        let (found, _) = life::read(directory.path()).unwrap();
        let wanted = life::states(&life::script());
        for (found, wanted) in found.iter().zip(&wanted) {
            assert_eq!(Some(found), wanted.last());
        }
    }
    assert_eq!(format(directory.path()), FORMAT);
}

/// All groups are of one format or of the other: a directory that is half upgraded could not be read.
#[test]
fn a_power_cut_at_any_moment_of_an_upgrade_loses_nothing() {
    let directory = scratch();
    life::live(directory.path(), life::script(), |_| {});
    make_format_zero(directory.path());
    let before = recorded::files(directory.path());
    let watch = Watch::begin(directory.path());
    drop(RocksGroups::open(directory.path()).unwrap());
    let upgrade = watch.operations();
    drop(watch);
    let states = upgrade.iter().any(|done| match done {
        Operation::Write { name, data, .. } => {
            name.ends_with(".log") && data.windows(5).filter(|window| window == b"state").count() == 2
        }
        Operation::Open { .. }
        | Operation::Create { .. }
        | Operation::Resize { .. }
        | Operation::Sync { .. }
        | Operation::Rename { .. }
        | Operation::Remove { .. }
        | Operation::Note(_) => false,
    });
    assert!(states, "both states are in one write");
    let batches = life::script().iter().map(Vec::len).sum();
    let (cuts, _) = Cuts::of(&before, &upgrade, batches);
    let looked_at = cuts.check();
    println!("{} operations, {looked_at} different cuts", upgrade.len());
}

/// A state of an earlier format that is damaged is not upgraded, and neither are the others.
#[test]
fn a_damaged_directory_is_not_upgraded() {
    let directory = scratch();
    life::live(directory.path(), life::script(), |_| {});
    make_format_zero(directory.path());
    let db = raw(directory.path());
    let meta = db.cf_handle(META).unwrap();
    let key = [&7_u64.to_be_bytes()[..], b"state"].concat();
    let mut state = db.get_cf(meta, &key).unwrap().unwrap();
    state[20] ^= 1;
    db.put_cf(meta, &key, state).unwrap();
    drop(db);
    let error = RocksGroups::open(directory.path()).unwrap_err();
    assert_eq!(error, StorageError::Corrupt { what: "the state", key: "meta/group 7/state".into() });
    assert_eq!(format(directory.path()), 0);
}
