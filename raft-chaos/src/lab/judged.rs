//! A test of the lab as the run of a plan: what happened, and what is to be said of it.

use std::io;
use std::sync::atomic::Ordering;

use raft_core::{LogIndex, Time};

use super::catalogue::Test;
use super::failure::Failure;
use super::run::Report;
use crate::sim::trace::Trace;
use crate::sim::{NODES_RUN, Options, Planted, Ran};
use crate::verdict::{Checker, Judgement, Verdict};

/// Runs a test with a seed, and judges it.
///
/// # Errors
///
/// What happened could not be written down; or the servers were to panic on purpose, which those of the lab do not.
pub(crate) fn judged(test: &Test, seed: u64, options: Options) -> io::Result<(Ran, Judgement)> {
    // A test of the lab brings its own disks, clients, links and faults.
    let Options { events, listener, telling, planted, .. } = options;
    let bug = match planted {
        Some(Planted::Raft(bug)) => Some(bug),
        #[cfg(feature = "planted-bugs")]
        Some(Planted::Panic | Planted::FailedSyncIgnored | Planted::Leak | Planted::Idle(_)) => {
            return Err(io::Error::other(
                "servers of the lab have bugs of the protocol only; plant one of those",
            ));
        }
        None => None,
    };
    let trace = Trace::new(events, listener, telling, Time::ZERO);
    NODES_RUN.store(true, Ordering::Relaxed);
    let report = test.recorded(seed, bug, trace);
    NODES_RUN.store(false, Ordering::Relaxed);
    let report = report?;
    let verdict = report.failures.iter().map(verdict).min().unwrap_or(Verdict::Pass);
    let mut failures = report.failures.clone();
    failures.sort_by_key(self::verdict);
    let reasons = failures.iter().map(|failure| format!("lab {}: {failure}", test.name)).collect();
    let said = if report.cut_short { "unknown" } else { said(verdict) };
    let checker = Checker { engine: "lab", seconds: 0.0, verdict: said };
    Ok((ran(report), Judgement::of(verdict, reasons, checker)))
}

const fn verdict(failure: &Failure) -> Verdict {
    match failure {
        Failure::Wrong(_) => Verdict::Safety,
        Failure::Ended(_) => Verdict::Crash,
        Failure::Missed(_) => Verdict::Liveness,
        Failure::Unknown(_) => Verdict::Inconclusive,
    }
}

/// In the words of a checker of histories.
const fn said(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "all that the test asserts",
        Verdict::Inconclusive => "unknown",
        Verdict::Bug
        | Verdict::Safety
        | Verdict::Crash
        | Verdict::Divergence
        | Verdict::Interrupted
        | Verdict::Liveness => "not all that the test asserts",
    }
}

fn ran(report: Report) -> Ran {
    Ran {
        elections: report.leaders,
        committed: LogIndex::new(report.commands),
        snapshots_installed: report.snapshots_installed,
        coverage: report.coverage,
        event_hash: report.event_hash,
        virtual_time: report.virtual_time,
        cut_short: report.cut_short,
        ..Ran::default()
    }
}
