//! The state machine of a server in a test.

use raft_core::{Chunk, Entry, Input, LogIndex, Rng, SnapshotId};

/// Small, so that every snapshot has several pieces.
pub(super) const CHUNK_BYTES: usize = 5;

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
    pub(super) fn restarted(&self) -> Self {
        Self { applied: self.applied, state: self.state, taking: None }
    }

    pub(super) fn apply(&mut self, entries: &[Entry]) {
        for entry in entries {
            assert_eq!(entry.id.index, self.applied.next(), "applied in order, each once");
            assert!(entry.is_intact(), "as its leader made it");
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
