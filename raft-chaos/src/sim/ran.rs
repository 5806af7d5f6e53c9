//! What happened in a run, for those who judge it.

use std::collections::BTreeMap;
use std::time::Duration;

use raft_core::{LogIndex, NodeId, Time};
use serde::Serialize;

use super::chaos::Skipped;
use super::workload::Ended;
use crate::coverage::Coverage;
use crate::history::{F, History};
use crate::linearizable::TookEffect;

/// What happened in a run.
#[derive(Debug, Default)]
pub struct Ran {
    /// What clients saw.
    pub history: History,
    /// The operations that took effect, and where.
    pub witness: Vec<TookEffect>,
    /// Invariants that were broken: when, which, and how.
    pub violations: Vec<Violation>,
    /// Servers that ended by themselves, and why.
    pub ends: Vec<(NodeId, String)>,
    /// Each firing of an event: its name, its time, its evidence as JSON, and whether it had effect.
    pub firings: Vec<Firing>,
    /// Chaos that was held back.
    pub skipped: Vec<Skipped>,
    /// Events that had to fire and did not.
    pub unfired: Vec<String>,
    /// What was missed while progress was owed.
    pub missed: Vec<String>,
    /// Whether it was ended before its time, because nobody wanted to see more.
    pub cut_short: bool,
    /// What the warm-up did not bring.
    pub cold: Option<String>,
    /// How soon the cluster led and committed again after each heal.
    pub recoveries: Vec<Recovery>,
    /// Latencies, successes and gaps.
    pub operations: Operations,
    /// Terms in which a leader was elected, counted from the end of the warm-up.
    pub elections: u64,
    /// By how much the highest term rose since then.
    pub terms: u64,
    /// Snapshots that servers took and that they were sent, and refusals of AppendEntries, counted from
    /// there too.
    pub snapshots_taken: u64,
    /// See [`snapshots_taken`](Self::snapshots_taken).
    pub snapshots_installed: u64,
    /// See [`snapshots_taken`](Self::snapshots_taken).
    pub append_rejections: u64,
    /// The most messages with entries that were on their way from a leader to a follower at a time.
    pub appends_in_flight: u64,
    /// Commands that were in the log again and were answered from their session, and such that found it expired, counted
    /// from there too.
    pub commands_repeated: u64,
    /// See [`commands_repeated`](Self::commands_repeated).
    pub sessions_expired: u64,
    /// Entries that a disk had lost and that came from another server, counted from there too.
    pub entries_repaired: u64,
    /// Which messages met servers in which state, from the start of the run on.
    pub coverage: Coverage,
    /// The last committed entry.
    pub committed: LogIndex,
    /// How often a server started again.
    pub restarts: u64,
    /// Names everything that happened, in order.
    pub event_hash: u64,
    /// How long the run was in virtual time.
    pub virtual_time: Duration,
}

/// An invariant that was broken.
#[derive(Clone, Debug, Serialize)]
pub struct Violation {
    /// When, in nanoseconds of virtual time.
    pub time_ns: u64,
    /// Its name in a plan.
    pub property: &'static str,
    /// The servers that it is broken on.
    pub nodes: Vec<NodeId>,
    /// The sentence, with the servers.
    pub sentence: String,
}

/// What stands before the name of an event in the time of a finding.
pub(crate) const AFTER: &str = ", after event ";

/// When something was found, and which event had fired last: `(at 4.984s, after event power)`.
pub(crate) fn when(time_ns: u64, firings: &[Firing]) -> String {
    let at = Duration::from_nanos(time_ns);
    match firings.iter().rfind(|firing| firing.time_ns <= time_ns) {
        Some(Firing { event, .. }) => format!("(at {at:?}{AFTER}{event})"),
        None => format!("(at {at:?})"),
    }
}

/// One firing of an event.
#[derive(Clone, Debug, Serialize)]
pub struct Firing {
    /// The event.
    pub event: String,
    /// When, in nanoseconds of virtual time.
    pub time_ns: u64,
    /// What the fault is known to have done.
    pub evidence: serde_json::Value,
    /// Whether that is anything.
    pub had_effect: bool,
}

/// What followed a heal; milliseconds of virtual time, none where it did not come before the next one.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Recovery {
    /// When the heal was, since the start of the run.
    pub at: u64,
    /// How long until there was a leader.
    pub leader: Option<u64>,
    /// How long until an entry was committed.
    pub commit: Option<u64>,
}

/// The clients' numbers.
#[derive(Clone, Debug, Default)]
pub struct Operations {
    /// Latencies of operations that were ok, in microseconds, sorted, by kind.
    pub latencies_us: BTreeMap<F, Vec<u64>>,
    /// The longest time without an ok, from the end of the warm-up on and for as long as operations begin.
    pub ok_gap_ms: u64,
    /// Of the operations begun after the first `commit_within` of `settle`: how many were ok, and how
    /// many ended.
    pub settled: (u64, u64),
    /// Whether progress was owed then.
    pub owed: bool,
}

impl Operations {
    /// From `warm` to `end`, after which none begins and nobody need be answered; what began after `from` is what has settled.
    pub(super) fn of(ended: &[Ended], warm: Time, end: Time, from: Time, owed: bool) -> Self {
        let mut operations = Self { owed, ..Self::default() };
        let (mut last_ok, mut gap) = (warm, Duration::ZERO);
        for operation in ended.iter().filter(|operation| operation.ok) {
            let latency = operation.ended.since(operation.began).as_micros();
            let latencies = operations.latencies_us.entry(operation.f.clone()).or_default();
            latencies.push(u64::try_from(latency).unwrap_or(u64::MAX));
            gap = gap.max(operation.ended.min(end).since(last_ok));
            last_ok = last_ok.max(operation.ended);
        }
        operations.latencies_us.values_mut().for_each(|latencies| latencies.sort_unstable());
        operations.ok_gap_ms = super::millis(gap.max(end.since(last_ok)));
        let settled = || ended.iter().filter(|operation| operation.began >= from);
        let ok = settled().filter(|operation| operation.ok).count() as u64;
        operations.settled = (ok, settled().count() as u64);
        operations
    }

    /// The latencies of all operations that were ok, in microseconds, sorted.
    pub fn all_us(&self) -> Vec<u64> {
        let mut all: Vec<_> = self.latencies_us.values().flatten().copied().collect();
        all.sort_unstable();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each row: when operations that were ok began and ended, in milliseconds, where the warm-up ends at 1,000 and the last may
    /// begin at 5,000; and the longest time without one that ended.
    #[test]
    fn nobody_waits_for_an_ok_after_the_end() {
        let at = |millis: u64| Time::from_nanos(millis * 1_000_000);
        for (ended, gap) in [
            (&[][..], 4_000),
            (&[(100, 200)], 4_000),
            (&[(1_000, 2_500), (2_600, 4_600)], 2_100),
            (&[(1_000, 4_800), (4_900, 8_000)], 3_800),
            (&[(1_000, 3_000), (3_000, 9_000)], 2_000),
            (&[(1_000, 2_000), (4_900, 6_900)], 3_000),
        ] {
            let ended: Vec<_> = ended.iter().map(|&(began, ended)| (at(began), at(ended))).collect();
            let ok = |&(began, ended): &(Time, Time)| Ended { began, ended, f: F::READ, ok: true };
            let ended: Vec<_> = ended.iter().map(ok).collect();
            let operations = Operations::of(&ended, at(1_000), at(5_000), at(4_000), true);
            assert_eq!(operations.ok_gap_ms, gap, "{ended:?}");
        }
    }
}
