//! Who waits to read, until the state machine may be asked.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{Refusal, RequestCounts};
use crate::effects::{Read, ReadOutcome};
use crate::types::{ReadId, Time};

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
    /// Those that are not confirmed, and since when they wait.
    waiting: BTreeMap<ReadId, (Query, Time)>,
    /// Those that the state machine may be asked.
    ready: Vec<Query>,
    /// Whether it is being asked others.
    answering: bool,
    /// The last moment of which it is known that the state machine has all that was committed then: a query that
    /// came in then was confirmed.
    fresh: Option<Time>,
}

impl Queries {
    /// A name for a query that came in now and waits to be confirmed; none if too many wait, or if its answer may be
    /// older than the moment by so much, and is not.
    pub(super) fn wait(
        &mut self,
        query: Query,
        (now, max_lag): (Time, Duration),
        counts: &mut RequestCounts,
    ) -> Option<ReadId> {
        if self.len() >= READS_MAX {
            // An asker who has gone away need not be told, here and below.
            drop(query.reply.send(Err(counts.refused(Refusal::Overloaded))));
            return None;
        }
        counts.queries += 1;
        if !max_lag.is_zero() && self.fresh.is_some_and(|fresh| now.since(fresh) <= max_lag) {
            self.ready.push(query);
            return None;
        }
        self.last = ReadId(self.last.0 + 1);
        self.waiting.insert(self.last, (query, now));
        Some(self.last)
    }

    /// What became of some.
    pub(super) fn hear(&mut self, reads: Vec<Read>, counts: &mut RequestCounts) {
        for Read { id, outcome } in reads {
            let Some((query, since)) = self.waiting.remove(&id) else { continue };
            match outcome {
                ReadOutcome::Ready { .. } => {
                    self.fresh = self.fresh.max(Some(since));
                    self.ready.push(query);
                }
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

    /// Whether nobody waits for an answer.
    pub(super) fn are_answered(&self) -> bool {
        self.len() == 0 && !self.answering
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
