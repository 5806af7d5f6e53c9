//! How a directory of an earlier format becomes one of this. The new format number is written together with all
//! that changes, in one batch: a crash leaves one format or the other.

use raft_core::{
    Configuration, GroupId, HardState, Incarnation, LogIndex, LogOutline, NodeId, Snapshot, SnapshotId,
};
use rocksdb::WriteBatch;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::database::{Database, unreadable};
use crate::error::StorageError;
use crate::format::{FORMAT, FORMAT_KEY, META, encode_format, group_of_state, state_key};
use crate::mapping::Mapping;
use crate::record::unseal_layout;
use crate::rocks_log::corrupt_state;
use crate::snapshots::Snapshots;
use crate::state::State;

/// A state of format 0, with the layout 0. No bound was kept.
#[derive(Serialize, Deserialize)]
struct StateZero {
    incarnation: Incarnation,
    hard_state: HardState,
    log: LogOutline,
    mapping: Mapping,
    snapshots: Snapshots<SnapshotOne>,
}

/// A state of format 1, with the layout 1. No configuration could be changed.
#[derive(Serialize, Deserialize)]
struct StateOne {
    incarnation: Incarnation,
    hard_state: HardState,
    log: LogOutline,
    mapping: Mapping,
    commit_bound: LogIndex,
    snapshots: Snapshots<SnapshotOne>,
}

/// A snapshot until format 1.
#[derive(Serialize, Deserialize)]
struct SnapshotOne {
    id: SnapshotId,
    voters: Vec<NodeId>,
}

impl SnapshotOne {
    /// The voters were those that the group began with.
    fn upgrade(self) -> Snapshot {
        let Self { id, voters } = self;
        Snapshot { id, configured: Configuration::of(voters).into() }
    }
}

impl StateZero {
    fn upgrade(self) -> StateOne {
        let Self { incarnation, hard_state, log, mapping, snapshots } = self;
        StateOne { incarnation, hard_state, log, mapping, commit_bound: LogIndex::ZERO, snapshots }
    }
}

impl StateOne {
    /// The state in these bytes, of this format or of the one before.
    fn decode(bytes: &[u8], format: u32) -> Option<Self> {
        if format > 0 {
            return decode_layout(bytes, 1);
        }
        decode_layout(bytes, 0).map(StateZero::upgrade)
    }

    fn upgrade(self) -> State {
        let Self { incarnation, hard_state, log, mapping, commit_bound, snapshots } = self;
        let (snapshots, configurations) = (snapshots.map(SnapshotOne::upgrade), Vec::new());
        State { incarnation, hard_state, log, mapping, commit_bound, snapshots, configurations }
    }
}

/// The state that lies in a directory of format `found`, as it is here.
pub(crate) fn decode_state(found: u32, bytes: &[u8]) -> Option<State> {
    match found {
        0 | 1 => StateOne::decode(bytes, found).map(StateOne::upgrade).filter(State::is_sound),
        FORMAT => State::decode(bytes),
        _ => None,
    }
}

fn decode_layout<T: DeserializeOwned>(bytes: &[u8], layout: u8) -> Option<T> {
    let (state, rest) = unseal_layout(bytes, layout)?;
    rest.is_empty().then_some(state)
}

/// Upgrades a directory of format `found`, which is earlier than this one.
pub(crate) fn from(database: &Database, found: u32) -> Result<(), StorageError> {
    let mut write = WriteBatch::default();
    upgrade_states(database, found, &mut write)?;
    write.put_cf(database.family(META)?, FORMAT_KEY, encode_format());
    database.write(write)
}

/// The states change; entries and pieces of snapshots stay as they are.
fn upgrade_states(database: &Database, found: u32, write: &mut WriteBatch) -> Result<(), StorageError> {
    let mut stored = database.iterator(META)?;
    stored.seek_to_first();
    let mut buffer = Vec::new();
    while let Some((key, value)) = stored.item() {
        if let Some(group) = group_of_state(key) {
            decode_state(found, value).ok_or_else(|| corrupt_state(group))?.encode(&mut buffer)?;
            write.put_cf(database.family(META)?, state_key(group), &buffer);
        }
        stored.next();
    }
    stored.status().map_err(unreadable(|| corrupt_state(GroupId::default())))
}
