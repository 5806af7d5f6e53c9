//! How a directory of an earlier format becomes one of this. The new format number is written together with all
//! that changes, in one batch: a crash leaves one format or the other.

use raft_core::{GroupId, HardState, Incarnation, LogIndex, LogOutline};
use rocksdb::WriteBatch;
use serde::{Deserialize, Serialize};

use crate::database::{Database, unreadable};
use crate::error::StorageError;
use crate::format::{FORMAT, FORMAT_KEY, META, encode_format, group_of_state, state_key};
use crate::mapping::Mapping;
use crate::record::unseal_layout;
use crate::rocks_log::corrupt_state;
use crate::snapshots::Snapshots;
use crate::state::State;

/// A state of format 0, with the layout 0.
#[derive(Serialize, Deserialize)]
struct StateZero {
    incarnation: Incarnation,
    hard_state: HardState,
    log: LogOutline,
    mapping: Mapping,
    snapshots: Snapshots,
}

impl StateZero {
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (state, rest) = unseal_layout::<Self>(bytes, 0)?;
        rest.is_empty().then_some(state)
    }

    /// No bound was kept.
    fn upgrade(self) -> State {
        let Self { incarnation, hard_state, log, mapping, snapshots } = self;
        State { incarnation, hard_state, log, mapping, commit_bound: LogIndex::ZERO, snapshots }
    }
}

/// The state that lies in a directory of format `found`, as it is here.
pub(crate) fn decode_state(found: u32, bytes: &[u8]) -> Option<State> {
    match found {
        0 => StateZero::decode(bytes).map(StateZero::upgrade).filter(State::is_sound),
        FORMAT => State::decode(bytes),
        _ => None,
    }
}

/// Upgrades a directory of format `found`, which is earlier than this one.
pub(crate) fn from(database: &Database, found: u32) -> Result<(), StorageError> {
    debug_assert_eq!(found, 0, "each format has its step");
    let mut write = WriteBatch::default();
    from_zero(database, &mut write)?;
    write.put_cf(database.family(META)?, FORMAT_KEY, encode_format());
    database.write(write)
}

/// The states change; entries and pieces of snapshots stay as they are.
fn from_zero(database: &Database, write: &mut WriteBatch) -> Result<(), StorageError> {
    let mut stored = database.iterator(META)?;
    stored.seek_to_first();
    let mut buffer = Vec::new();
    while let Some((key, value)) = stored.item() {
        if let Some(group) = group_of_state(key) {
            decode_state(0, value).ok_or_else(|| corrupt_state(group))?.encode(&mut buffer)?;
            write.put_cf(database.family(META)?, state_key(group), &buffer);
        }
        stored.next();
    }
    stored.status().map_err(unreadable(|| corrupt_state(GroupId::default())))
}
