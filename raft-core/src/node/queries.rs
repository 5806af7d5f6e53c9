//! Who waits to read, until the state machine may be asked.

use std::collections::BTreeMap;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{Refusal, RequestCounts};
use crate::effects::{Read, ReadOutcome};
use crate::types::ReadId;

/// How many reads may wait in a node; the next one is told [`Refusal::Overloaded`].
const READS_MAX: usize = 64 * 1024;

/// What somebody wants to know of the state machine.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) query: Bytes,
    pub(super) reply: oneshot::Sender<Result<Bytes, Refusal>>,
}

/// All queries of a node.
#[derive(Debug, Default)]
pub(super) struct Queries {
    last: ReadId,
    /// Those that are not confirmed.
    waiting: BTreeMap<ReadId, Query>,
    /// Those that the state machine may be asked.
    ready: Vec<Query>,
    /// Whether it is being asked others.
    answering: bool,
}

impl Queries {
    /// A name for a query that waits from now on; none if too many do.
    pub(super) fn wait(&mut self, query: Query, counts: &mut RequestCounts) -> Option<ReadId> {
        if self.len() >= READS_MAX {
            // An asker who has gone away need not be told, here and below.
            drop(query.reply.send(Err(counts.refused(Refusal::Overloaded))));
            return None;
        }
        counts.queries += 1;
        self.last = ReadId(self.last.0 + 1);
        self.waiting.insert(self.last, query);
        Some(self.last)
    }

    /// What became of some.
    pub(super) fn hear(&mut self, reads: Vec<Read>, counts: &mut RequestCounts) {
        for Read { id, outcome } in reads {
            let Some(query) = self.waiting.remove(&id) else { continue };
            match outcome {
                ReadOutcome::Ready { .. } => self.ready.push(query),
                ReadOutcome::NotLeader { leader } => {
                    drop(query.reply.send(Err(counts.refused(Refusal::NotLeader { leader }))));
                }
            }
        }
    }

    /// How many wait to be confirmed, or for the state machine.
    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.ready.len()
    }

    /// What the state machine is to be asked next, if it is not being asked anything.
    pub(super) fn next(&mut self) -> Option<Vec<Query>> {
        if self.answering || self.ready.is_empty() {
            return None;
        }
        self.answering = true;
        Some(std::mem::take(&mut self.ready))
    }

    /// The state machine has answered.
    pub(super) const fn answered(&mut self) {
        self.answering = false;
    }
}
