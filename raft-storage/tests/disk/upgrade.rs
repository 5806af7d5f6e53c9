//! A directory of an earlier format becomes one of this, whole or not at all. Formats 0 and 1 were never released:
//! these tests make them of this one, as [`format`](raft_storage::format) says what was different.

use std::fs;
use std::path::Path;

use raft_core::{Configured, HardState, Incarnation, LogIndex, LogOutline, NodeId, Snapshot, SnapshotId};
use raft_storage::format::{CLEAN_STOP, FORMAT, FORMAT_KEY, LOG, META, SNAPSHOT};
use raft_storage::{RocksGroups, StorageError};
use rocksdb::{DB, IteratorMode, Options};

use crate::life::{self, scratch};
use crate::power_cut::Cuts;
use crate::recorded;
use crate::watch::{Operation, Watch};

type Mapping = (Vec<(u64, u64, u64)>, u64, u64);
type Numbered<S> = Option<(u64, S, u64, u64)>;
type Snapshots<S> = (Numbered<S>, Numbered<S>, u64);

pub(crate) fn raw(directory: &Path) -> DB {
    DB::open_cf(&Options::default(), directory, [LOG, SNAPSHOT, META]).unwrap()
}

fn checked(layout: &[u8], rest: &[u8]) -> Vec<u8> {
    let crc = crc32c::crc32c_append(crc32c::crc32c(layout), rest).to_le_bytes();
    [layout, &crc, rest].concat()
}

/// The earlier formats.
pub(crate) const EARLIER: [u32; 2] = [0, 1];

/// A snapshot as formats 0 and 1 said it: with its voters.
fn earlier(numbered: Numbered<Snapshot>) -> Numbered<(SnapshotId, Vec<NodeId>)> {
    let (number, Snapshot { id, configured }, last_offset, bytes) = numbered?;
    let voters = configured.configuration.voters.iter().map(|voter| voter.id).collect();
    Some((number, (id, voters), last_offset, bytes))
}

/// Rewrites the states and the format.
pub(crate) fn make_earlier(directory: &Path, number: u32) {
    fs::remove_file(directory.join(CLEAN_STOP)).unwrap();
    let db = raw(directory);
    let meta = db.cf_handle(META).unwrap();
    let states: Vec<_> = db.iterator_cf(meta, IteratorMode::Start).map(Result::unwrap).collect();
    for (key, value) in states.into_iter().filter(|(key, _)| key.ends_with(b"state")) {
        let (incarnation, hard_state, log, mapping, bound, (whole, partial, next), _configurations): (
            Incarnation,
            HardState,
            LogOutline,
            Mapping,
            LogIndex,
            Snapshots<Snapshot>,
            Vec<Configured>,
        ) = rmp_serde::from_slice(&value[5..]).unwrap();
        let snapshots = (earlier(whole), earlier(partial), next);
        let state = match number {
            0 => rmp_serde::to_vec(&(incarnation, hard_state, log, mapping, snapshots)),
            _ => rmp_serde::to_vec(&(incarnation, hard_state, log, mapping, bound, snapshots)),
        };
        db.put_cf(meta, key, checked(&[number.try_into().unwrap()], &state.unwrap())).unwrap();
    }
    db.put_cf(meta, FORMAT_KEY, checked(&number.to_le_bytes(), &[])).unwrap();
}

fn format(directory: &Path) -> u32 {
    let db = raw(directory);
    let value = db.get_cf(db.cf_handle(META).unwrap(), FORMAT_KEY).unwrap().unwrap();
    u32::from_le_bytes(value[..4].try_into().unwrap())
}

#[test]
fn a_directory_of_an_earlier_format_is_upgraded_and_loses_nothing() {
    for number in EARLIER {
        let directory = scratch();
        life::live(directory.path(), life::script(), |_| {});
        make_earlier(directory.path(), number);
        assert_eq!(format(directory.path()), number);
        for _ in 0..2 {
            let (found, _) = life::read(directory.path()).unwrap();
            let wanted = life::states(&life::script());
            for (found, wanted) in found.iter().zip(&wanted) {
                assert_eq!(Some(found), wanted.last(), "format {number}");
            }
        }
        assert_eq!(format(directory.path()), FORMAT);
    }
}

/// All groups are of one format or of the other: a directory that is half upgraded could not be read.
#[test]
fn a_power_cut_at_any_moment_of_an_upgrade_loses_nothing() {
    let directory = scratch();
    life::live(directory.path(), life::script(), |_| {});
    make_earlier(directory.path(), 0);
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
        | Operation::Link { .. }
        | Operation::Directory { .. }
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
    make_earlier(directory.path(), 0);
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
