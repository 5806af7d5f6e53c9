//! How a batch joins on to what was written before it. Nothing here knows how it is stored.

use raft_core::{Batch, Configured, Entry, EntryId, LogIndex, LogOutline, Part, Partial, Restored, Snapshot};

use crate::error::StorageError;

/// What a server finds that had stored `restored`, and then `batch`. Asked before anything of a batch is
/// carried out.
///
/// # Errors
///
/// The batch does not join on: an entry or a piece of a snapshot does not follow the one before it, the log does not
/// have an entry that is to be repaired, or it would begin after an entry that it contradicts or that no whole
/// snapshot stands for (§7).
pub(crate) fn after(restored: Restored, batch: &Batch) -> Result<Restored, StorageError> {
    let Batch { cluster, hard_state, truncate, repair, parts, compact, entries, trust_tail, commit_index: _ } =
        batch;
    let mut after = restored;
    after.cluster = cluster.or(after.cluster);
    after.hard_state = hard_state.unwrap_or(after.hard_state);
    after.suspect_tail &= !trust_tail;
    if let Some(from) = truncate {
        after.log.truncate(*from);
        after.configurations.retain(|configured| configured.at.index < *from);
    }
    let base = after.log.base().index;
    let is_there = |entry: &&Entry| entry.id.index > base && after.log.contains(entry.id);
    if let Some(stranger) = repair.iter().find(|entry| !is_there(entry)) {
        return Err(StorageError::Misfit { last: after.log.last(), found: stranger.id });
    }
    for part in parts {
        store_part(part, &mut after.snapshot, &mut after.partial)?;
    }
    if let Some(base) = compact {
        self::compact(&mut after.log, *base)?;
        let log = &after.log;
        after.configurations.retain(|Configured { at, .. }| at.index > base.index && log.contains(*at));
    }
    let base = after.log.base();
    if after.snapshot.as_ref().map_or(LogIndex::ZERO, Snapshot::index) < base.index {
        return Err(StorageError::Uncovered { base });
    }
    for entry in entries {
        if !after.log.append(entry.id) {
            return Err(StorageError::Misfit { last: after.log.last(), found: entry.id });
        }
        after.configurations.extend(entry.configured());
    }
    Ok(after)
}

/// The first piece of a snapshot puts an end to an unfinished one; the last one makes it whole.
fn store_part(
    part: &Part,
    whole: &mut Option<Snapshot>,
    partial: &mut Option<Partial>,
) -> Result<(), StorageError> {
    let Part { snapshot, chunk } = part;
    if chunk.offset == 0 {
        *partial = Some(Partial { snapshot: snapshot.clone(), bytes: 0 });
    }
    let expected =
        partial.as_ref().filter(|partial| partial.snapshot == *snapshot).map_or(0, |partial| partial.bytes);
    if chunk.offset != expected {
        return Err(StorageError::MisfitPiece { snapshot: snapshot.id, expected, found: chunk.offset });
    }
    if chunk.done {
        *partial = None;
        *whole = Some(snapshot.clone());
    } else {
        *partial = Some(Partial { snapshot: snapshot.clone(), bytes: chunk.end() });
    }
    Ok(())
}

fn compact(log: &mut LogOutline, base: EntryId) -> Result<(), StorageError> {
    if base.index <= log.last().index && !log.contains(base) {
        return Err(StorageError::Misfit { last: log.last(), found: base });
    }
    log.compact(base);
    Ok(())
}

#[cfg(test)]
mod tests {
    use raft_core::{Chunk, Entries, Incarnation, Payload, SnapshotId, Term};

    use super::*;

    fn id(term: u64, index: u64) -> EntryId {
        EntryId::new(Term::new(term), LogIndex::new(index))
    }

    fn entries(ids: &[EntryId]) -> Entries {
        ids.iter().map(|&id| Entry::new(id, Payload::Noop)).collect()
    }

    fn part(last_included: EntryId, offset: u64, done: bool) -> Part {
        let id = SnapshotId { last_included, made_by: Incarnation(1) };
        let snapshot = Snapshot { id, configured: Configured::default() };
        Part { snapshot, chunk: Chunk::new(offset, "12345".into(), done) }
    }

    /// Entries 3 to 6 behind a snapshot of the first two, and the beginning of another one.
    fn written() -> Restored {
        let batch = Batch {
            parts: vec![part(id(1, 2), 0, true), part(id(2, 4), 0, false)],
            compact: Some(id(1, 2)),
            entries: entries(&[id(1, 3), id(2, 4), id(2, 5), id(2, 6)]),
            ..Batch::default()
        };
        after(Restored::default(), &batch).unwrap()
    }

    /// Each row joins on; the second column is the log after it.
    #[test]
    fn what_joins_on_moves_both_ends_of_the_log() {
        let last = part(id(2, 4), 5, true);
        let far = part(id(7, 20), 0, true);
        for (batch, base, end) in [
            (Batch::default(), id(1, 2), id(2, 6)),
            (Batch { truncate: Some(LogIndex::new(4)), ..Batch::default() }, id(1, 2), id(1, 3)),
            (Batch { truncate: Some(LogIndex::new(1)), ..Batch::default() }, id(1, 2), id(1, 2)),
            (
                Batch { repair: entries(&[id(2, 6), id(1, 3)]).to_vec(), ..Batch::default() },
                id(1, 2),
                id(2, 6),
            ),
            (Batch { entries: entries(&[id(2, 7), id(3, 8)]), ..Batch::default() }, id(1, 2), id(3, 8)),
            (Batch { parts: vec![last], compact: Some(id(2, 4)), ..Batch::default() }, id(2, 4), id(2, 6)),
            (
                Batch {
                    parts: vec![far],
                    compact: Some(id(7, 20)),
                    entries: entries(&[id(7, 21)]),
                    ..Batch::default()
                },
                id(7, 20),
                id(7, 21),
            ),
        ] {
            let log = after(written(), &batch).unwrap().log;
            assert_eq!((log.base(), log.last()), (base, end), "{batch:?}");
        }
    }

    /// Each row would leave something that no server can start with.
    #[test]
    fn what_does_not_join_on_is_refused() {
        let misfit = |last, found| StorageError::Misfit { last, found };
        let repaired = |term, index| Entry::new(id(term, index), Payload::Noop);
        let misfit_piece = |last_included, expected, found| {
            let snapshot = part(last_included, 0, false).snapshot.id;
            StorageError::MisfitPiece { snapshot, expected, found }
        };
        for (batch, error) in [
            (Batch { entries: entries(&[id(2, 8)]), ..Batch::default() }, misfit(id(2, 6), id(2, 8))),
            (Batch { entries: entries(&[id(2, 6)]), ..Batch::default() }, misfit(id(2, 6), id(2, 6))),
            (Batch { entries: entries(&[id(1, 7)]), ..Batch::default() }, misfit(id(2, 6), id(1, 7))),
            (Batch { repair: vec![repaired(1, 2)], ..Batch::default() }, misfit(id(2, 6), id(1, 2))),
            (Batch { repair: vec![repaired(1, 4)], ..Batch::default() }, misfit(id(2, 6), id(1, 4))),
            (Batch { repair: vec![repaired(2, 7)], ..Batch::default() }, misfit(id(2, 6), id(2, 7))),
            (
                Batch {
                    truncate: Some(LogIndex::new(5)),
                    repair: vec![repaired(2, 5)],
                    entries: entries(&[id(2, 5)]),
                    ..Batch::default()
                },
                misfit(id(2, 4), id(2, 5)),
            ),
            (Batch { compact: Some(id(1, 1)), ..Batch::default() }, misfit(id(2, 6), id(1, 1))),
            (Batch { compact: Some(id(3, 5)), ..Batch::default() }, misfit(id(2, 6), id(3, 5))),
            (
                Batch { compact: Some(id(2, 4)), ..Batch::default() },
                StorageError::Uncovered { base: id(2, 4) },
            ),
            (
                Batch { parts: vec![part(id(2, 4), 6, true)], ..Batch::default() },
                misfit_piece(id(2, 4), 5, 6),
            ),
            (
                Batch { parts: vec![part(id(2, 5), 5, true)], ..Batch::default() },
                misfit_piece(id(2, 5), 0, 5),
            ),
        ] {
            assert_eq!(after(written(), &batch), Err(error), "{batch:?}");
        }
    }
}
