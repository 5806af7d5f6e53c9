//! Who waits for what becomes of commands and of leadership, and is told.

use std::collections::VecDeque;

use tokio::sync::oneshot;

use super::applier::Committed;
use super::{Environment, LogStore, Node, NotTransferred, Outcome, Refusal, Transport};
use crate::entry::Entry;
use crate::event::RoleName;
use crate::snapshot::SnapshotId;
use crate::types::EntryId;

/// Who waits for which entry, in the order of the log: a server that leads appends at its end, under a term that
/// never goes down.
pub(super) type Waiters = VecDeque<(EntryId, oneshot::Sender<Outcome>)>;

impl<S: LogStore, T: Transport, E: Environment> Node<S, T, E> {
    /// Whoever waits for what has been decided by who leads, or that this server never will again, is told.
    pub(super) fn tell_of_leadership(&mut self) {
        self.tell_of_transfers();
        self.let_go_of_waiters();
    }

    /// A transfer is over when none is under way and a leader is known.
    fn tell_of_transfers(&mut self) {
        if self.raft.transferring().is_none()
            && let Some(leader) = self.raft.leader()
        {
            for (to, asker) in self.transfers.drain(..) {
                let gone_there =
                    if leader == to { Ok(()) } else { Err(NotTransferred::Elsewhere { leader }) };
                let _gone_away = asker.send(gone_there);
            }
        }
    }

    /// A server that was removed and does not lead learns of nothing that is committed after that. What is, it still applies;
    /// what becomes of all else, it can tell nobody.
    fn let_go_of_waiters(&mut self) {
        let waits = !self.waiting.is_empty() || !self.transfers.is_empty();
        if !waits || self.raft.role() == RoleName::Leader || self.raft.removed().is_none() {
            return;
        }
        let commit_index = self.raft.commit_index();
        // Whoever waits hears that nobody knows.
        self.waiting.retain(|(id, _)| id.index <= commit_index);
        for (_, asker) in self.transfers.drain(..) {
            let _gone_away = asker.send(Err(NotTransferred::Removed));
        }
    }

    pub(super) fn with_waiters(&mut self, entries: &[Entry]) -> Vec<Committed> {
        entries.iter().cloned().map(|entry| self.with_waiter(entry)).collect()
    }

    /// What became of a command that lies before a snapshot, nobody here can tell. One that would lie after it, from an
    /// earlier term, is gone; one from the same may still be in the log, and shows when it is its turn.
    pub(super) fn forget_waiters(&mut self, snapshot: SnapshotId) {
        let EntryId { term, index } = snapshot.last_included;
        let first_later = EntryId::new(term, index.next());
        let earlier = self.waiting.partition_point(|(id, _)| *id < first_later);
        let leader = self.raft.leader();
        for (id, waiter) in self.waiting.drain(..earlier) {
            let outcome = if id.index <= snapshot.last_included.index {
                Outcome::Unknown
            } else {
                Outcome::NotApplied(self.meter.requests.refused(Refusal::NotLeader { leader }))
            };
            drop(waiter.send(outcome));
        }
    }

    /// A committed entry and who waits for it. Whoever waits for an entry of an earlier term, at any
    /// index, waits in vain: terms never go down along the log, so it can be neither before nor after.
    fn with_waiter(&mut self, entry: Entry) -> Committed {
        let mut reply = None;
        while self.waiting.front().is_some_and(|(id, _)| *id <= entry.id)
            && let Some((id, waiter)) = self.waiting.pop_front()
        {
            if id == entry.id {
                reply = Some(waiter);
            } else {
                let leader = self.raft.leader();
                let refusal = self.meter.requests.refused(Refusal::NotLeader { leader });
                drop(waiter.send(Outcome::NotApplied(refusal)));
            }
        }
        Committed { entry, reply }
    }

    /// Whoever waits for nothing to wait is told, once nobody waits for a command or a query.
    pub(super) fn tell_of_idleness(&mut self) {
        let applying = self.meter.handed > self.meter.applied;
        if !self.idle.is_empty() && self.waiting.is_empty() && !applying && self.queries.are_answered() {
            for asker in self.idle.drain(..) {
                let _gone_away = asker.send(());
            }
        }
    }
}
