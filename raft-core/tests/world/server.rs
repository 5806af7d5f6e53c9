//! One server of the world: the bare [`Raft`], its disk and its state machine.

use std::collections::VecDeque;

use raft_core::{
    Batch, Chunk, Entry, Input, Loaded, LogIndex, Raft, Rng, RoleName, SnapshotId, Stored, Term, Write,
};

use super::clock::Clock;

/// Small, so that every snapshot has several pieces.
pub(super) const CHUNK_BYTES: usize = 5;

#[derive(Default)]
pub(super) struct Server {
    /// None while it is down.
    pub(super) raft: Option<Raft>,
    /// What no crash takes away.
    pub(super) disk: Stored,
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

    /// A write gets to the disk.
    pub(super) fn apply(&mut self, batch: Batch) {
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

/// A state machine whose state is a hash of all that it has applied.
#[derive(Default)]
pub(super) struct Machine {
    pub(super) applied: LogIndex,
    pub(super) state: u64,
    /// The snapshot that is being taken, and its bytes from here on.
    taking: Option<(SnapshotId, Vec<u8>)>,
}

impl Machine {
    /// The same state, with nothing under way.
    fn restarted(&self) -> Self {
        Self { applied: self.applied, state: self.state, taking: None }
    }

    pub(super) fn apply(&mut self, entries: &[Entry]) {
        for entry in entries {
            assert_eq!(entry.id.index, self.applied.next(), "applied in order, each once");
            self.applied = entry.id.index;
            self.state = Rng::new(self.state ^ u64::from(entry.checksum)).next_u64();
        }
    }

    /// The state is held fast; its bytes come later.
    pub(super) fn take(&mut self, snapshot: SnapshotId) {
        assert_eq!(snapshot.last_included.index, self.applied, "a snapshot says what it stands for");
        let bytes = [self.applied.get().to_le_bytes(), self.state.to_le_bytes()].concat();
        self.taking = Some((snapshot, bytes));
    }

    pub(super) fn next_piece(&mut self) -> Option<Input> {
        let (snapshot, bytes) = self.taking.as_mut()?;
        let snapshot = *snapshot;
        let data: Vec<u8> = bytes.drain(..CHUNK_BYTES.min(bytes.len())).collect();
        let done = data.len() < CHUNK_BYTES;
        if done {
            self.taking = None;
        }
        Some(Input::SnapshotTaken { snapshot, data: data.into(), done })
    }

    pub(super) fn restore(&mut self, chunks: &[Chunk]) {
        let bytes: Vec<u8> = chunks.iter().flat_map(|chunk| chunk.data.to_vec()).collect();
        let (applied, state) = bytes.split_at(8);
        let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("a whole snapshot"));
        (self.applied, self.state) = (LogIndex::new(number(applied)), number(state));
    }
}
