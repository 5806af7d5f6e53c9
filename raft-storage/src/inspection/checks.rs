//! Each record, held against what the state of its group says of it.

use std::collections::{BTreeMap, BTreeSet};

use raft_core::GroupId;
use rocksdb::DBRawIterator;

use super::view::View;
use super::{Inspection, Problem};
use crate::error::StorageError;
use crate::format::{LOG, SNAPSHOT, entry_key, entry_of_key, piece_key, piece_of_key};
use crate::record;
use crate::snapshots::Numbered;
use crate::state::State;

/// By group, in the order of their keys.
pub(super) type States = BTreeMap<GroupId, State>;

const MISSING: &str = "it is missing";
const DAMAGED: &str = "it is damaged, or another one's";

/// Every entry that a state names, in its slot; and that there are no others.
pub(super) fn entries(view: &View, states: &States, found: &mut Inspection) -> Result<(), StorageError> {
    let Some(mut stored) = view.records(LOG) else { return Ok(()) };
    stored.seek_to_first();
    let mut orphans = BTreeSet::new();
    for (&group, state) in states {
        for (index, slot) in state.mapping.in_order_of_slots() {
            let key = entry_key(group, slot);
            pass_stale(&mut stored, Some(&key), states, &mut orphans, found);
            let wrong = if let Err(error) = stored.status() {
                Some(view.damage(error)?)
            } else if let Some((_, value)) = stored.item().filter(|(found, _)| *found == key) {
                let id = state.log.id_at(index);
                let sound = id.is_some_and(|id| record::decode_entry(value, id).is_some());
                stored.next();
                (!sound).then(|| DAMAGED.to_owned())
            } else {
                Some(MISSING.to_owned())
            };
            match (wrong, &mut found.checked) {
                (Some(wrong), _) => {
                    let key = format!("{LOG}/{group}/slot {} (index {index})", slot.get());
                    found.found(Problem::key(key, wrong));
                }
                (None, Some(checked)) => checked.entries += 1,
                (None, None) => {}
            }
        }
    }
    pass_stale(&mut stored, None, states, &mut orphans, found);
    if let Err(error) = stored.status() {
        found.found(Problem::key(format!("{LOG} (nothing refers to it)"), view.damage(error)?));
    }
    Ok(())
}

/// Goes on to `key`, or to the end, past what no state names. Behind a place that cannot be read it begins anew.
fn pass_stale(
    stored: &mut DBRawIterator<'_>,
    key: Option<&[u8; 16]>,
    states: &States,
    orphans: &mut BTreeSet<Option<GroupId>>,
    found: &mut Inspection,
) {
    while let Some(passed) = stored.key().filter(|passed| key.is_none_or(|key| *passed < &key[..])) {
        let place = entry_of_key(passed);
        let wrong = match place.map(|(group, slot)| (states.get(&group), slot)) {
            Some((Some(state), slot)) if slot < state.mapping.next_slot().get() => None,
            Some((Some(_), _)) => Some("its slot was never given: the state is older than the entry"),
            Some((None, _)) => Some("its group has no state that can be read"),
            None => Some("nothing has this key"),
        };
        match (wrong, &mut found.checked) {
            // Of each group once.
            (Some(wrong), _) if orphans.insert(place.map(|(group, _)| group)) => {
                let key = place.map_or_else(
                    || format!("{LOG}/{}", passed.escape_ascii()),
                    |(group, slot)| format!("{LOG}/{group}/slot {slot}"),
                );
                found.found(Problem::key(key, wrong));
            }
            (None, Some(checked)) => checked.stale += 1,
            (Some(_), _) | (None, None) => {}
        }
        stored.next();
    }
    if let (Err(_), Some(key)) = (stored.status(), key) {
        stored.seek(key);
    }
}

/// The pieces of a snapshot, or of the beginning of one, each checked: how many there are.
pub(super) fn pieces(
    view: &View,
    group: GroupId,
    numbered: &Numbered,
    whole: bool,
    found: &mut Inspection,
) -> Result<u64, StorageError> {
    let number = numbered.number;
    let prefix = &piece_key(group, number, 0)[..16];
    let place = |offset| format!("{SNAPSHOT}/{group}/number {}/offset {offset}", number.get());
    let Some(mut stored) = view.records(SNAPSHOT) else { return Ok(0) };
    stored.seek(prefix);
    // What is damaged says nothing of where it ends.
    let (mut pieces, mut end, mut at) = (0, Some(0), 0);
    while let Some((key, value)) = stored.item().filter(|(key, _)| key.starts_with(prefix)) {
        let Some(offset) = key.last_chunk::<8>().map(|offset| u64::from_be_bytes(*offset)) else { break };
        if let Some(missing) = end.filter(|end| *end != offset) {
            found.found(Problem::key(place(missing), MISSING));
        }
        let piece = record::decode_chunk(value, offset);
        let is_last = offset == numbered.last_offset;
        match &piece {
            Some(piece) if is_last && (piece.end(), piece.done) != (numbered.bytes(), whole) => {
                found.found(Problem::key(place(offset), "it does not end where the snapshot ends"));
            }
            Some(_) => {
                pieces += 1;
                found.checked.iter_mut().for_each(|checked| checked.pieces += 1);
            }
            None => found.found(Problem::key(place(offset), DAMAGED)),
        }
        if is_last {
            return Ok(pieces);
        }
        end = piece.map(|piece| piece.end());
        at = offset + 1;
        stored.next();
    }
    let wrong = stored.status().err().map(|error| view.damage(error)).transpose()?;
    found.found(Problem::key(place(end.unwrap_or(at)), wrong.unwrap_or_else(|| MISSING.into())));
    Ok(pieces)
}

/// Pieces that no state names are what is left of snapshots that were given up or replaced.
pub(super) fn pieces_of_nobody(
    view: &View,
    states: &States,
    found: &mut Inspection,
) -> Result<(), StorageError> {
    let Some(mut stored) = view.records(SNAPSHOT) else { return Ok(()) };
    stored.seek_to_first();
    let mut orphans = BTreeSet::new();
    while let Some(key) = stored.key() {
        let place = piece_of_key(key);
        let wrong = match place.map(|(group, number, offset)| (states.get(&group), number, offset)) {
            Some((Some(State { snapshots, .. }), number, offset)) => {
                let mut named = snapshots.whole().into_iter().chain(snapshots.begun());
                match named.find(|named| named.number.get() == number) {
                    Some(named) => (offset > named.last_offset).then_some("the snapshot ends before it"),
                    None if number < snapshots.next().get() => {
                        if let Some(checked) = &mut found.checked {
                            checked.stale += 1;
                        }
                        None
                    }
                    None => Some("its number was never given: the state is older than the piece"),
                }
            }
            Some((None, _, _)) => Some("its group has no state that can be read"),
            None => Some("nothing has this key"),
        };
        if let Some(wrong) = wrong.filter(|_| orphans.insert(place.map(|(group, number, _)| (group, number))))
        {
            let key = place.map_or_else(
                || format!("{SNAPSHOT}/{}", key.escape_ascii()),
                |(group, number, offset)| format!("{SNAPSHOT}/{group}/number {number}/offset {offset}"),
            );
            found.found(Problem::key(key, wrong));
        }
        stored.next();
    }
    match stored.status() {
        Ok(()) => Ok(()),
        // Told of already, if a snapshot needs it.
        Err(error) => view.damage(error).map(|wrong| {
            if !found.problems.iter().any(|problem| problem.what == wrong) {
                found.found(Problem::key(format!("{SNAPSHOT} (nothing refers to it)"), wrong));
            }
        }),
    }
}
