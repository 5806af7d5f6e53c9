//! A life that a seed draws.

use raft_core::{Batch, Entry, Load, LogIndex, LogOutline, Part, Restored, Snapshot, Stored};

use super::Disk;
use super::life::{Life, PIECE_BYTES, entries, hard_state, id, parts};

/// 400 writes that `seed` draws: entries, truncations, repairs, compactions, snapshots taken and installed in one
/// piece or bit by bit; with requests to read, waits and crashes among them.
pub async fn a_long_life_with_crashes_is_remembered<D: Disk>(disk: D, seed: u64) {
    let mut life = Life::begin(disk);
    let mut draw = Draw(seed);
    for term in 1..401 {
        let mut batch = draw.batch(term, life.restored());
        batch.repair = draw.repair(life.written(), batch.truncate);
        life.write(batch);
        while draw.below(3) == 0 {
            let load = draw.load(&life.restored());
            life.load(load);
        }
        match draw.below(12) {
            0 => life.crash().await,
            1..3 => life.all_persisted().await,
            3 => life.all_done().await,
            _ => {}
        }
    }
    life.all_done().await;
    life.crash().await;
}

/// Knuth's generator; its upper bits are good enough to choose from.
struct Draw(u64);

impl Draw {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    /// What a server of this term could write that had written `restored`.
    fn batch(&mut self, term: u64, restored: Restored) -> Batch {
        let mut log = restored.log.clone();
        let mut batch = Batch { parts: self.parts(term, &restored), ..Batch::default() };
        match batch.parts.last() {
            Some(last) if last.chunk.done => self.compact(&mut batch, &log),
            Some(_) | None if self.below(3) == 0 => {
                let back = self.below(log.len().min(8) + 1);
                batch.truncate = Some(LogIndex::new(log.last().index.get() + 1 - back));
            }
            Some(_) | None => {}
        }
        if let Some(from) = batch.truncate {
            log.truncate(from);
        }
        if let Some(base) = batch.compact {
            log.compact(base);
        }
        let first = log.last().index.get() + 1;
        batch.entries = entries(term, first..first + self.below(6));
        if self.below(2) == 0 {
            batch.hard_state = hard_state(term, self.below(5));
        }
        batch
    }

    /// Some of the entries that a batch does not cut off.
    fn repair(&mut self, written: &Stored, truncate: Option<LogIndex>) -> Vec<Entry> {
        if self.below(4) > 0 {
            return Vec::new();
        }
        let kept = |entry: &&Entry| truncate.is_none_or(|from| entry.id.index < from);
        written.entries().iter().filter(kept).filter(|_| self.below(3) == 0).cloned().collect()
    }

    /// The next pieces of the snapshot that has begun, or the first of another one, or none.
    fn parts(&mut self, term: u64, restored: &Restored) -> Vec<Part> {
        let count = 1 + usize::try_from(self.below(4)).unwrap_or(0);
        let (last_included, offset) = match (self.below(6), &restored.partial) {
            (0, _) => {
                // In the log, or a little past its end.
                let newest = restored.snapshot.as_ref().map_or(LogIndex::ZERO, Snapshot::index);
                let newest = newest.max(restored.log.base().index).get();
                let index = newest + 1 + self.below(restored.log.len() + 10);
                (restored.log.id_at(LogIndex::new(index)).unwrap_or(id(term, index)), 0)
            }
            (1..4, Some(partial)) => (partial.snapshot.id.last_included, partial.bytes),
            _ => return Vec::new(),
        };
        let rest = parts(last_included).into_iter().skip_while(|part| part.chunk.offset < offset);
        rest.take(count).collect()
    }

    /// The snapshot of this batch is whole. Where the log has its last entry, some of what is before that
    /// goes; where not, all of the log.
    fn compact(&mut self, batch: &mut Batch, log: &LogOutline) {
        let Some(last_included) = batch.parts.last().map(|part| part.snapshot.id.last_included) else {
            return;
        };
        let (base, index) = (log.base().index.get(), last_included.index.get());
        if log.contains(last_included) {
            batch.compact = log.id_at(LogIndex::new(index - self.below(index - base)));
        } else {
            batch.truncate = Some(log.base().index.next());
            batch.compact = Some(last_included);
        }
    }

    /// Of what is there, or a little beside it.
    fn load(&mut self, restored: &Restored) -> Load {
        let whole = restored.snapshot.as_ref().or(restored.partial.as_ref().map(|partial| &partial.snapshot));
        match whole {
            Some(Snapshot { id, .. }) if self.below(3) == 0 => {
                Load::Chunk { snapshot: *id, offset: self.below(5) * PIECE_BYTES }
            }
            Some(_) | None => {
                let first = restored.log.base().index.get().saturating_sub(2);
                let from = first + self.below(restored.log.len() + 6);
                let to = LogIndex::new(from + self.below(20));
                let bytes_max = usize::try_from(self.below(60)).unwrap_or(0);
                Load::Entries { from: LogIndex::new(from), to, bytes_max }
            }
        }
    }
}
