//! Snapshots on one server (§7): which one there is, which one is on its way, and when one is taken. How a
//! leader's gets to a follower is in `install_snapshot.rs`.

use std::hash::{Hash, Hasher};

use bytes::Bytes;

use crate::event::Event;
use crate::planted::planted;
use crate::snapshot::{Chunk, Part, Snapshot, SnapshotId};
use crate::state::{Partial, Raft, Role};
use crate::types::{EntryId, LogIndex, Session};

/// The snapshots of one server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshots {
    /// The last whole one.
    whole: Option<Snapshot>,
    /// The one that is on its way to become the next.
    coming: Option<Coming>,
    /// Pieces that the disk has not been given yet.
    ungiven: Vec<Part>,
    /// The state machine has to become what `whole` says.
    pub(crate) restore: bool,
    /// Somebody asked for one.
    asked: bool,
    /// The last entry that one was begun for, done or not.
    attempted: LogIndex,
}

/// A snapshot that is not whole yet.
#[derive(Clone, Debug)]
struct Coming {
    snapshot: Snapshot,
    /// Where the next piece begins.
    bytes: u64,
    from: Source,
}

impl Coming {
    /// Whether this server's state machine has it taken, under this name.
    fn is_taken(&self, id: SnapshotId) -> bool {
        self.from == Source::Taken && self.snapshot.id == id
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// The state machine of this server.
    Taken,
    /// A leader, in this session; none in this life yet.
    Leader(Option<Session>),
}

/// What became of a piece from a leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is the next one.
    Next,
    /// It is the last one, and the snapshot is whole.
    Last,
    /// The piece at this offset is wanted instead.
    Wanted(u64),
    /// It is of a snapshot that this leader no longer sends.
    Stale,
}

impl Snapshots {
    /// What was found on disk. What a leader had begun to send may go on.
    pub(crate) fn restored(whole: Option<Snapshot>, partial: Option<Partial>) -> Self {
        let coming = |Partial { snapshot, bytes }| Coming { snapshot, bytes, from: Source::Leader(None) };
        let index = whole.as_ref().map_or(LogIndex::ZERO, Snapshot::index);
        let mut snapshots =
            Self { restore: whole.is_some(), coming: partial.map(coming), whole, ..Self::default() };
        snapshots.committed(index);
        snapshots
    }

    /// The last whole snapshot.
    pub(crate) const fn whole(&self) -> Option<&Snapshot> {
        self.whole.as_ref()
    }

    /// The last entry that the last whole snapshot stands for.
    pub(crate) fn last_included(&self) -> EntryId {
        self.whole.as_ref().map_or(EntryId::ZERO, |whole| whole.id.last_included)
    }

    /// Whether there are pieces that the disk has not been given yet.
    pub(crate) const fn has_ungiven(&self) -> bool {
        !self.ungiven.is_empty()
    }

    pub(crate) fn take_ungiven(&mut self) -> Vec<Part> {
        std::mem::take(&mut self.ungiven)
    }

    /// The bytes of the pieces that the disk has not been given.
    pub(crate) fn ungiven_bytes(&self) -> usize {
        self.ungiven.iter().map(|part| part.chunk.data.len()).sum()
    }

    /// A leader sends a piece.
    pub(crate) fn receive(&mut self, snapshot: &Snapshot, chunk: Chunk, session: Session) -> Taken {
        let from = Source::Leader(Some(session));
        let goes_on = |coming: &Coming| coming.snapshot == *snapshot && coming.from != Source::Taken;
        let newer = |coming: &Coming| coming.from == from && coming.snapshot.index() > snapshot.index();
        let coming = match &mut self.coming {
            Some(coming) if goes_on(coming) => {
                coming.from = from;
                coming.clone()
            }
            Some(coming) if newer(coming) => return Taken::Stale,
            Some(_) | None => Coming { snapshot: snapshot.clone(), bytes: 0, from },
        };
        if chunk.offset == coming.bytes { self.push(coming, chunk) } else { Taken::Wanted(coming.bytes) }
    }

    /// The next piece of the one that is coming.
    fn push(&mut self, mut coming: Coming, chunk: Chunk) -> Taken {
        let done = chunk.done;
        coming.bytes = chunk.end();
        self.ungiven.push(Part { snapshot: coming.snapshot.clone(), chunk });
        if done {
            (self.whole, self.coming) = (Some(coming.snapshot), None);
            Taken::Last
        } else {
            self.coming = Some(coming);
            Taken::Next
        }
    }

    /// What is committed here needs not come from a leader.
    pub(crate) fn committed(&mut self, index: LogIndex) {
        let obsolete = |coming: &Coming| coming.from != Source::Taken && coming.snapshot.index() <= index;
        if self.coming.as_ref().is_some_and(obsolete) {
            self.coming = None;
        }
    }

    /// Feeds what a fingerprint needs.
    pub(crate) fn hash_state(&self, hasher: &mut impl Hasher) {
        (&self.whole, self.restore, self.asked).hash(hasher);
        if let Some(coming) = &self.coming {
            (&coming.snapshot, coming.bytes, coming.from == Source::Taken).hash(hasher);
        }
    }
}

/// How far a snapshot is that is not whole yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotProgress {
    /// The last entry that it will stand for.
    pub index: LogIndex,
    /// Bytes of it that are here.
    pub bytes: u64,
    /// Whether a leader sends it; otherwise it is this server's own state machine's.
    pub is_sent: bool,
}

impl Raft {
    /// The snapshot that is being taken or received, if one is.
    pub fn snapshot_under_way(&self) -> Option<SnapshotProgress> {
        let Coming { snapshot, bytes, from } = self.snapshots.coming.as_ref()?;
        let is_sent = matches!(from, Source::Leader(_));
        Some(SnapshotProgress { index: snapshot.index(), bytes: *bytes, is_sent })
    }

    /// Takes a snapshot as soon as there is something that it could stand for and none does.
    pub fn ask_for_snapshot(&mut self) {
        self.snapshots.asked = true;
    }

    /// The state machine keeps what it has applied through a crash, and has applied this much. To be said
    /// before anything else, once: nothing of that is applied again.
    pub fn has_applied(&mut self, index: LogIndex) {
        if index > self.log.last().index {
            self.violate(crate::Violation::AppliedBeyondLog { index });
        } else if index >= self.snapshots.last_included().index && index > self.last_applied {
            self.snapshots.restore = false;
            self.last_applied = index;
            self.commit_to(index);
        }
    }

    /// Whether a snapshot is to be taken now: it is due or asked for, none is on its way, and no follower is
    /// in the middle of the one there is, which a new one would replace.
    pub(crate) fn take_snapshot(&mut self) -> Option<Snapshot> {
        if self.applying || self.snapshots.restore || self.snapshots.coming.is_some() {
            return None;
        }
        let last_included = self.snapshots.last_included().index;
        let since = last_included.max(self.snapshots.attempted);
        let new = self.last_applied.get().saturating_sub(since.get());
        let due = self.config.snapshot_entries > 0 && new >= self.config.snapshot_entries;
        let asked = self.snapshots.asked && self.last_applied > last_included;
        if !(due || asked) || self.is_sending_snapshot() {
            return None;
        }
        let last_included = self.log.id_at(self.last_applied)?;
        let id = SnapshotId { last_included, made_by: self.config.incarnation };
        let in_force = self.configurations.as_of(self.last_applied);
        let latest = planted!(self, SnapshotOfLatestConfiguration).then(|| self.configurations.latest());
        // Who has joined a group and does not know it yet cannot say who is in it.
        let known = latest.or(in_force).filter(|known| !known.configuration.voters.is_empty());
        let snapshot = Snapshot { id, configured: known?.clone() };
        self.applying = true;
        self.snapshots.asked = false;
        self.snapshots.attempted = self.last_applied;
        self.snapshots.coming = Some(Coming { snapshot: snapshot.clone(), bytes: 0, from: Source::Taken });
        Some(snapshot)
    }

    /// Whether a follower that answers is being sent a snapshot.
    fn is_sending_snapshot(&self) -> bool {
        // A piece may take many heartbeats on a slow link.
        let patience = self.config.election_timeout.1 * 10;
        match &self.role {
            Role::Leader { progress, .. } => progress
                .iter()
                .any(|peer| peer.snapshot_heard().is_some_and(|at| self.now.since(at) < patience)),
            Role::Follower { .. } | Role::PreCandidate { .. } | Role::Candidate { .. } => false,
        }
    }

    /// The next piece of the snapshot that is being taken. With the last one, the log is compacted (§7).
    pub(crate) fn snapshot_taken(&mut self, id: SnapshotId, data: Bytes, done: bool) {
        let Some(coming) = self.snapshots.coming.take_if(|coming| coming.is_taken(id)) else { return };
        let chunk = Chunk::new(coming.bytes, data, done);
        let bytes = chunk.end();
        if self.snapshots.push(coming, chunk) != Taken::Last {
            return;
        }
        self.counts.snapshots_taken += 1;
        self.observe(|| Event::SnapshotTaken { snapshot: id, bytes });
        let base = id.last_included.index.get().saturating_sub(self.config.snapshot_trailing);
        if let Some(base) = self.log.id_at(LogIndex::new(base))
            && base.index > self.log.base().index
        {
            self.compact_to(base);
        }
    }

    /// The log begins after this entry; a snapshot stands for what is before.
    pub(crate) fn compact_to(&mut self, base: EntryId) {
        self.log.compact(base);
        self.configurations.forget_before(base.index);
        self.observe(|| Event::Compacted { base });
    }

    /// The snapshot could not be taken; the next one is due when as many entries have been applied again.
    pub(crate) fn snapshot_failed(&mut self, id: SnapshotId, reason: String) {
        if self.snapshots.coming.take_if(|coming| coming.is_taken(id)).is_some() {
            self.counts.snapshots_failed += 1;
            self.observe(|| Event::SnapshotFailed { snapshot: id, reason });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::Configuration;
    use crate::fingerprint::{Fnv1a, all_differ, names};
    use crate::types::{Incarnation, NodeId, Term};

    fn snapshot(index: u64) -> Snapshot {
        let last_included = EntryId::new(Term::new(1), LogIndex::new(index));
        let configured = Configuration::of([NodeId::new(1)]).into();
        Snapshot { id: SnapshotId { last_included, made_by: Incarnation(1) }, configured }
    }

    #[test]
    fn a_fingerprint_tells_which_snapshots_there_are() {
        let whole = |index| Snapshots { whole: Some(snapshot(index)), ..Snapshots::default() };
        let coming = |index, bytes, from| {
            let coming = Some(Coming { snapshot: snapshot(index), bytes, from });
            Snapshots { coming, ..Snapshots::default() }
        };
        let states = [
            Snapshots::default(),
            whole(1),
            whole(2),
            Snapshots { restore: true, ..whole(1) },
            Snapshots { asked: true, ..whole(1) },
            coming(1, 0, Source::Taken),
            coming(2, 0, Source::Taken),
            coming(1, 1, Source::Taken),
            coming(1, 0, Source::Leader(None)),
        ];
        let feed =
            |state: &Snapshots, _: &dyn Fn(NodeId) -> NodeId, hasher: &mut Fnv1a| state.hash_state(hasher);
        assert!(all_differ(names(&states, false, feed)));
    }
}
