//! `result.json`: one run in numbers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::coverage::Coverage;
use crate::history::{Counts, F};
use crate::linearizable::CounterExample;
use crate::plan::{Mode, Plan};
use crate::sim::{Firing, Ran, Recovery, Skipped, Violation};
use crate::verdict::{Checker, Footprint, Judgement, Verdict, quantile};

/// The number of this form of `result.json`.
pub const SCHEMA: u32 = 1;

/// One run with one seed, as `result.json` and a line of `results.jsonl` have it. What nobody can know, because nothing is heard
/// of what happens in servers, is null.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are named and explained by the specification of result.json")]
pub struct RunResult {
    pub schema: u32,
    pub plan: String,
    pub mode: &'static str,
    pub seed: u64,
    pub verdict: Verdict,
    pub exit_code: u8,
    pub reasons: Vec<String>,
    pub stopped: Option<Stopped>,
    pub ops: Counts,
    pub violations: Vec<Violation>,
    pub counter_examples: Vec<CounterExample>,
    pub faults: Vec<Firing>,
    pub elections: Option<u64>,
    pub terms: Option<u64>,
    pub committed: Option<u64>,
    pub snapshots_taken: Option<u64>,
    pub snapshots_installed: Option<u64>,
    pub append_rejections: Option<u64>,
    pub appends_in_flight: Option<u64>,
    pub commands_repeated: Option<u64>,
    pub sessions_expired: Option<u64>,
    pub entries_repaired: Option<u64>,
    pub restarts: u64,
    pub recovery_ms: Option<Vec<Recovery>>,
    pub latency_us: Latency,
    pub ok_gap_ms: u64,
    pub rss_mb: u64,
    pub disk_mb: u64,
    pub skipped: Vec<Skipped>,
    pub coverage: Option<Coverage>,
    pub event_hash: String,
    pub virtual_s: f64,
    pub wall_s: f64,
    pub checker: Checker,
    pub versions: Versions,
}

/// What ended a run from outside, before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stopped {
    /// Somebody wanted it to end.
    Interrupt,
    /// It took longer than `run.max_wall` allows.
    MaxWall,
    /// It held more memory than it may.
    Memory,
}

/// Latencies of operations that were ok, in microseconds.
#[derive(Clone, Debug, Default, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Latency {
    pub p50: u64,
    pub p99: u64,
    pub max: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub by_f: BTreeMap<F, Self>,
}

/// What was run.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Versions {
    /// Of this tool, and of the crates that it tests.
    pub raft_chaos: &'static str,
}

/// The versions of this build.
pub const VERSIONS: Versions = Versions { raft_chaos: env!("CARGO_PKG_VERSION") };

impl Latency {
    fn of(sorted: &[u64]) -> Self {
        let max = sorted.last().copied().unwrap_or(0);
        Self { p50: quantile(sorted, 50), p99: quantile(sorted, 99), max, by_f: BTreeMap::new() }
    }
}

impl RunResult {
    /// A run that was judged, and ended by itself.
    pub fn new(
        plan: &Plan,
        seed: u64,
        ran: &Ran,
        judgement: Judgement,
        footprint: Footprint,
        wall_s: f64,
    ) -> Self {
        let by_f =
            ran.operations.latencies_us.iter().map(|(f, sorted)| (f.clone(), Latency::of(sorted))).collect();
        let is_heard = plan.is_heard();
        // Messages between processes are not looked into.
        let in_simulation = plan.run.mode != Mode::Process;
        let heard = |number: u64| is_heard.then_some(number);
        Self {
            schema: SCHEMA,
            plan: plan.name.clone(),
            mode: plan.run.mode.name(),
            seed,
            verdict: judgement.verdict,
            exit_code: judgement.verdict.exit_code(),
            reasons: judgement.reasons,
            stopped: None,
            ops: ran.history.counts(),
            violations: ran.violations.clone(),
            counter_examples: judgement.examples,
            faults: ran.firings.clone(),
            elections: heard(ran.elections),
            terms: heard(ran.terms),
            committed: heard(ran.committed.get()),
            snapshots_taken: heard(ran.snapshots_taken),
            snapshots_installed: heard(ran.snapshots_installed),
            append_rejections: heard(ran.append_rejections),
            appends_in_flight: in_simulation.then_some(ran.appends_in_flight),
            commands_repeated: heard(ran.commands_repeated),
            sessions_expired: heard(ran.sessions_expired),
            entries_repaired: heard(ran.entries_repaired),
            restarts: ran.restarts,
            recovery_ms: is_heard.then(|| ran.recoveries.clone()),
            latency_us: Latency { by_f, ..Latency::of(&ran.operations.all_us()) },
            ok_gap_ms: ran.operations.ok_gap_ms,
            rss_mb: footprint.rss_mb,
            disk_mb: footprint.disk_mb,
            skipped: ran.skipped.clone(),
            coverage: in_simulation.then_some(ran.coverage),
            event_hash: format!("{:016x}", ran.event_hash),
            virtual_s: ran.virtual_time.as_secs_f64(),
            wall_s,
            checker: judgement.checker,
            versions: VERSIONS,
        }
    }
}
