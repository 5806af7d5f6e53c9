//! Reads that clients ask of any server, and what they must see.

use std::collections::BTreeMap;

use raft_core::{Input, LogIndex, NodeId, Read, ReadId, ReadOutcome};

use super::{World, Wrong};

/// The clients that read.
#[derive(Default)]
pub(super) struct Readers {
    asked: u64,
    /// Whom they asked, and what any client knew before.
    waiting: BTreeMap<ReadId, (NodeId, LogIndex)>,
    /// The last entry that any server has applied: whoever proposed it may have its answer.
    known: LogIndex,
    /// Whether nobody asks for anything any more.
    stopped: bool,
}

impl Readers {
    pub(super) const fn stop(&mut self) {
        self.stopped = true;
    }

    pub(super) const fn have_stopped(&self) -> bool {
        self.stopped
    }

    pub(super) fn learn(&mut self, applied: LogIndex) {
        self.known = self.known.max(applied);
    }

    /// Whoever waits at this server waits in vain.
    pub(super) fn forget(&mut self, id: NodeId) {
        self.waiting.retain(|_, (asked, _)| *asked != id);
    }

    /// Whether all have been told.
    pub(super) fn are_done(&self) -> bool {
        self.waiting.is_empty()
    }
}

impl World {
    /// A client asks a server, one that leads or thinks so more often than not.
    pub(super) fn read_anywhere(&mut self) -> Result<(), Wrong> {
        let leaders: Vec<_> = self.ids.iter().filter(|id| self.servers[id].leads()).copied().collect();
        let from = if self.rng.one_in(2) { &leaders } else { &self.ids };
        match self.rng.pick(from).copied() {
            Some(id) if !self.is_paused(id) => self.ask(id),
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn ask(&mut self, id: NodeId) -> Result<(), Wrong> {
        if self.servers[&id].raft.is_none() || self.readers.have_stopped() {
            return Ok(());
        }
        self.report.events += 1;
        self.readers.asked += 1;
        let read = ReadId(self.readers.asked);
        self.readers.waiting.insert(read, (id, self.readers.known));
        self.step(id, Input::Read(read))
    }

    /// A server tells what became of reads; its state machine has applied this much.
    pub(super) fn hear(&mut self, id: NodeId, reads: Vec<Read>, applied: LogIndex) -> Result<(), Wrong> {
        for read in reads {
            let (asked, known) = self.readers.waiting.remove(&read.id).expect("a read is told of once");
            assert_eq!(asked, id, "where it was asked for");
            match read.outcome {
                ReadOutcome::NotLeader { .. } => self.report.refused_reads += 1,
                ReadOutcome::Ready { read_index } => {
                    assert!(read_index <= applied, "the state is as new as the read index");
                    self.judges.read(id, known, applied)?;
                    let leads = self.servers[&id].leads();
                    *(if leads { &mut self.report.reads } else { &mut self.report.follower_reads }) += 1;
                }
            }
        }
        Ok(())
    }
}
