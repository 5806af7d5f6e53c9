//! One server of the world: the bare [`Raft`], its disk and its state machine.

use std::collections::VecDeque;

use raft_core::{Batch, EntryId, Incarnation, Loaded, Raft, RoleName, Stored, Term, Write};

use super::clock::Clock;
use super::machine::Machine;

#[derive(Default)]
pub(super) struct Server {
    /// None while it is down.
    pub(super) raft: Option<Raft>,
    /// What no crash takes away.
    pub(super) disk: Stored,
    /// What it was before the last write, where that may be lost.
    pub(super) before_last: Option<Stored>,
    /// The term in it.
    pub(super) durable_term: Term,
    /// What was written, durable or not.
    pub(super) written: Stored,
    /// Writes on their way to the disk, and when they will be durable.
    pub(super) in_flight: VecDeque<(u64, Write)>,
    /// What was read from the disk, and when it will be known.
    pub(super) reading: VecDeque<(u64, Loaded)>,
    pub(super) machine: Machine,
    pub(super) clock: Clock,
    /// Which life of its data directory it is in, and whether it is not told then what the group began with.
    pub(super) life: Incarnation,
    pub(super) joins: bool,
    /// When it will be woken for its deadline, and when it acts on what it has taken in.
    pub(super) wakes_at: Option<u64>,
    pub(super) acts_at: Option<u64>,
    /// Until when the process is held fast.
    pub(super) paused_until: u64,
}

impl Server {
    pub(super) fn leads(&self) -> bool {
        self.raft.as_ref().is_some_and(|raft| raft.role() == RoleName::Leader)
    }

    /// Whether a write is on its way that puts a sound entry in the place of a bad one.
    pub(super) fn is_repairing(&self, entry: EntryId) -> bool {
        let repairs = self.in_flight.iter().flat_map(|(_, write)| &write.batch.repair);
        repairs.into_iter().any(|repaired| repaired.id == entry)
    }

    /// A write gets to the disk.
    pub(super) fn apply(&mut self, batch: Batch, may_be_lost: bool) {
        self.before_last = may_be_lost.then(|| self.disk.clone());
        self.durable_term = batch.hard_state.map_or(self.durable_term, |durable| durable.current_term);
        self.disk.apply(batch);
    }

    /// The process ends, and of the writes on their way only the first few reach the disk. What the state
    /// machine has applied, its own disk keeps or nobody does.
    pub(super) fn crash(&mut self, survive: usize, machine_survives: bool) {
        for (_, write) in self.in_flight.drain(..).take(survive) {
            self.disk.apply(write.batch);
        }
        self.written = self.disk.clone();
        self.raft = None;
        self.reading.clear();
        self.paused_until = 0;
        self.acts_at = None;
        self.machine = if machine_survives { self.machine.restarted() } else { Machine::default() };
    }
}
