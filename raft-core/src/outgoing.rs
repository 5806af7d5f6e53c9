//! What goes out: to the disk as one write, and to others once the disk has what they are told.

use std::mem;

use crate::disk::Holds;
use crate::effects::{Batch, Write};
use crate::log::Ungiven;
use crate::message::{Envelope, Message};
use crate::planted::planted;
use crate::state::Raft;
use crate::types::{NodeId, Session, Term};

impl Raft {
    /// All that disk does not have yet, as one write.
    pub(crate) fn take_write(&mut self) -> Option<Write> {
        let hard_state = self.disk.ungiven(self.hard_state());
        let in_log = self.log.has_ungiven() || self.repairs.has_ungiven();
        if hard_state.is_none() && !in_log && !self.snapshots.has_ungiven() {
            return None;
        }
        let Ungiven { mut truncate, compact, entries } = self.log.take_ungiven();
        if compact.is_some() && planted!(self, StaleTail) {
            truncate = None;
        }
        let parts = self.snapshots.take_ungiven();
        let commit_index = self.commit_index;
        let (repair, trust_tail) = self.repairs.take_ungiven(&self.log);
        let repaired = repair.iter().map(|entry| entry.id.index).min();
        let whole_snapshot = parts.iter().any(|part| part.chunk.done);
        let cluster = self.ungiven_cluster.take();
        let batch = Batch {
            cluster,
            hard_state,
            truncate,
            repair,
            parts,
            compact,
            entries,
            trust_tail,
            commit_index,
        };
        let holds = Holds { whole_snapshot, repaired };
        let token = self.disk.give(self.now, self.hard_state(), self.log.last(), holds);
        Some(Write { batch, token })
    }

    /// The messages that may leave now; the others wait for the disk.
    pub(crate) fn take_messages(&mut self, send: &mut Vec<Envelope>) {
        self.disk.release(send);
        if self.outbox.is_empty() {
            return;
        }
        let leaves = |envelope: &Envelope| self.disk.has_written(self.needs(envelope));
        if send.is_empty() && self.outbox.iter().all(leaves) {
            // Nothing waits, and so nothing has to be moved.
            mem::swap(send, &mut self.outbox);
            return;
        }
        let mut outbox = mem::take(&mut self.outbox);
        for envelope in outbox.drain(..) {
            let needed = self.needs(&envelope);
            self.disk.send_or_hold(needed, envelope, send);
        }
        self.outbox = outbox;
    }

    /// The write that has to be confirmed before a message may leave.
    fn needs(&self, envelope: &Envelope) -> u64 {
        let early = match &envelope.message {
            Message::RequestVoteReply(_) => planted!(self, VoteBeforePersisted),
            Message::AppendEntriesReply(_) => planted!(self, AckBeforeSync),
            Message::RequestVote(_) => planted!(self, VoteAskedBeforePersisted),
            Message::PreVote(_)
            | Message::PreVoteReply(_)
            | Message::TimeoutNow
            | Message::AppendEntries(_)
            | Message::InstallSnapshot(_)
            | Message::InstallSnapshotReply(_)
            | Message::Confirm(_)
            | Message::ConfirmReply(_)
            | Message::ReadIndex
            | Message::ReadIndexReply(_)
            | Message::NotMember(_)
            | Message::FetchEntries(_)
            | Message::FetchEntriesReply(_) => false,
        };
        if early { 0 } else { self.disk.write_needed(&envelope.message) }
    }

    pub(crate) fn send(&mut self, to: NodeId, session: Session, message: Message) {
        self.send_under(self.current_term, to, session, message);
    }

    pub(crate) fn send_under(&mut self, term: Term, to: NodeId, session: Session, message: Message) {
        self.outbox.push(self.config.envelope(to, term, session, message));
    }
}
