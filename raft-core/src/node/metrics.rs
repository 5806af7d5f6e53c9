//! What a node measures of itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::applier::Work;
use super::{Durations, Environment, LogStore, Node, Refusal, Status};
use crate::counts::{Counts, FollowerProgress};
use crate::effects::Batch;
use crate::footprint::Footprint;
use crate::snapshotting::SnapshotProgress;
use crate::types::{LogIndex, Time};

/// What a node is, holds and has done, at one moment: a picture to be taken as often as somebody wants to know, and
/// handed to whatever gathers metrics. Counts begin at 0 when the node is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// What the node is.
    pub status: Status,
    /// The last entry that is durable here.
    pub durable_index: LogIndex,
    /// The last entry that the state machine has applied.
    pub applied_index: LogIndex,
    /// How far each follower is; nothing unless the node leads.
    pub followers: Vec<FollowerProgress>,
    /// The snapshot that is being taken or received, if one is.
    pub snapshot: Option<SnapshotProgress>,
    /// What waits in the node.
    pub waiting: Waiting,
    /// What the core keeps in memory until something happens.
    pub footprint: Footprint,
    /// What became of requests.
    pub requests: RequestCounts,
    /// What has happened in the core.
    pub counts: Counts,
    /// Messages that came in.
    pub messages_received: u64,
    /// Messages given to the transport, which may drop them, and counts that itself.
    pub messages_sent: u64,
    /// Batches given to the store.
    pub writes: u64,
    /// Entries in them.
    pub entries_written: u64,
    /// Bytes of commands in them.
    pub bytes_written: u64,
    /// How long the state machine took for what it was given to apply at a time, which is as much as waited.
    pub applies: Durations,
}

/// How much waits in a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Messages that have come in and were not taken in yet.
    pub messages: usize,
    /// Requests at the door that were not taken in yet.
    pub requests: usize,
    /// Commands that have been appended and not been answered.
    pub commands: usize,
    /// Queries that have not been answered.
    pub queries: usize,
    /// Who waits for leadership to go elsewhere.
    pub transfers: usize,
    /// Batches that the store has not made durable.
    pub writes: usize,
    /// How long ago the oldest of them was given; nothing if there is none. A disk that hangs shows here
    /// first.
    pub oldest_write: Duration,
    /// What was asked of the store and has not been read.
    pub loads: usize,
    /// Whether the state machine is applying entries or a snapshot.
    pub applying: bool,
}

/// What became of requests. A number for each [`Refusal`](super::Refusal), and for what was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestCounts {
    /// Commands that were appended to the log.
    pub commands: u64,
    /// Queries that were taken.
    pub queries: u64,
    /// Commands and queries that were refused, or given up, because the node does not lead or nobody confirmed it.
    pub not_leader: u64,
    /// Commands that were refused because the node is handing over leadership.
    pub transferring: u64,
    /// Commands, queries and transfers that were refused because too much is waiting.
    pub overloaded: u64,
}

impl RequestCounts {
    /// Counts a refusal, and gives it back to be told.
    pub(super) const fn refused(&mut self, refusal: Refusal) -> Refusal {
        match refusal {
            Refusal::NotLeader { .. } => self.not_leader += 1,
            Refusal::Transferring { .. } => self.transferring += 1,
            Refusal::Overloaded => self.overloaded += 1,
            // Nobody is left to count, or it never got so far.
            Refusal::Stopped | Refusal::Malformed | Refusal::TooLong { .. } => {}
        }
        refusal
    }
}

/// What a node counts as it runs.
#[derive(Debug, Default)]
pub(super) struct Meter {
    pub(super) requests: RequestCounts,
    pub(super) messages_received: u64,
    pub(super) messages_sent: u64,
    pub(super) writes: u64,
    pub(super) entries_written: u64,
    pub(super) bytes_written: u64,
    /// The last entry that was handed to the state machine.
    pub(super) handed: LogIndex,
    /// The last entry that it has applied.
    pub(super) applied: LogIndex,
    /// Since when it applies what it was given last.
    since: Option<Time>,
    applies: Durations,
    pub(super) turned_away: TurnedAway,
}

impl Meter {
    /// Of a state machine that has applied this.
    pub(super) fn new(applied: LogIndex, turned_away: TurnedAway) -> Self {
        Self { handed: applied, applied, turned_away, ..Self::default() }
    }

    pub(super) fn wrote(&mut self, batch: &Batch) {
        self.writes += 1;
        self.entries_written += batch.entries.len() as u64;
        self.bytes_written += batch.entries.payload_bytes() as u64;
    }

    /// The state machine is given work.
    pub(super) fn handed(&mut self, work: &Work, now: Time) {
        self.since = matches!(work, Work::Apply(_)).then_some(now);
        match work {
            Work::Apply(entries) => {
                self.handed = entries.last().map_or(self.handed, |last| last.entry.id.index);
            }
            Work::Restore(snapshot) => self.handed = snapshot.index(),
            Work::Take(_) | Work::Answer(_) => {}
        }
    }

    /// The state machine has done what it was given.
    pub(super) fn worked(&mut self, now: Time) {
        self.applied = self.handed;
        if let Some(since) = self.since.take() {
            self.applies.add(now.since(since));
        }
    }
}

impl<S: LogStore, T, E: Environment> Node<S, T, E> {
    pub(super) fn metrics(&self) -> Metrics {
        let Self { raft, meter, .. } = self;
        let age = |given| self.environment.now().since(given);
        let waiting = Waiting {
            messages: self.inbox.len(),
            requests: self.requests.len(),
            commands: self.waiting.len(),
            queries: self.queries.len(),
            transfers: self.transfers.len(),
            writes: self.writing.len(),
            oldest_write: raft.oldest_write().map_or(Duration::ZERO, age),
            loads: self.reading.len(),
            applying: meter.handed > meter.applied,
        };
        let overloaded = meter.requests.overloaded + meter.turned_away.get();
        Metrics {
            status: Status::of(raft),
            durable_index: raft.durable_log().index,
            applied_index: meter.applied,
            followers: raft.followers(),
            snapshot: raft.snapshot_under_way(),
            waiting,
            footprint: raft.footprint(),
            requests: RequestCounts { overloaded, ..meter.requests },
            counts: raft.counts(),
            messages_received: meter.messages_received,
            messages_sent: meter.messages_sent,
            writes: meter.writes,
            entries_written: meter.entries_written,
            bytes_written: meter.bytes_written,
            applies: meter.applies.clone(),
        }
    }
}

/// Requests that did not get in at the door, counted by those who asked.
#[derive(Clone, Debug, Default)]
pub(super) struct TurnedAway(Arc<AtomicU64>);

impl TurnedAway {
    pub(super) fn one_more(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
