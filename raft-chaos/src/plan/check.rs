//! `[check]`: what of a run is judged, and by which bounds.

use std::time::Duration;

use super::values::{self, Count, Share};
use super::walk::{Item, Section};

/// What is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// How the history is judged; none where it is not.
    pub linearizable: Option<Linearizable>,
    /// What must hold at every step, each once, in the order of [`Invariant`].
    pub invariants: Vec<Invariant>,
    /// What must go on.
    pub liveness: Liveness,
    /// Bounds on numbers of the result.
    pub limits: Vec<(Limit, Count)>,
    /// Without which a run proves nothing.
    pub evidence: Evidence,
}

/// How linearizability is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Linearizable {
    /// By what.
    pub engine: Engine,
    /// The longest that the search may take.
    pub timeout: Duration,
    /// The bytes that the search may take.
    pub memory: u64,
}

/// What judges a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// The order of the log, and where that fails the search.
    WitnessAndWgl,
    /// The order of the log.
    Witness,
    /// The search for any order.
    Wgl,
}

pub(super) const ENGINES: [(&str, Engine); 3] =
    [("witness+wgl", Engine::WitnessAndWgl), ("witness", Engine::Witness), ("wgl", Engine::Wgl)];

/// Something that holds at every step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// At most one leader a term (Figure 3).
    ElectionSafety,
    /// A leader only appends (Figure 3).
    LeaderAppendOnly,
    /// Same index and term, same log up to there (Figure 3).
    LogMatching,
    /// What is committed is in every later leader's log (Figure 3).
    LeaderCompleteness,
    /// No two servers apply different entries at one index (Figure 3).
    StateMachine,
    /// What was acknowledged is durable.
    DurableBeforeAck,
    /// Terms, commits and applies do not go back.
    Monotonic,
    /// One vote a term.
    OneVote,
    /// The quorums of two configurations that follow each other meet (§6).
    QuorumOverlap,
    /// Equal states at equal indexes.
    StateHash,
    /// No operation is applied twice.
    ExactlyOnce,
    /// No task panics.
    NoPanic,
    /// Whoever leads at the end has in its log all that clients were told of.
    AckedPresent,
    /// Every step is one that the specification of Raft allows.
    Conformance,
}

/// The words for invariants.
pub(super) const INVARIANTS: [(&str, Invariant); 14] = [
    ("election-safety", Invariant::ElectionSafety),
    ("leader-append-only", Invariant::LeaderAppendOnly),
    ("log-matching", Invariant::LogMatching),
    ("leader-completeness", Invariant::LeaderCompleteness),
    ("state-machine", Invariant::StateMachine),
    ("durable-before-ack", Invariant::DurableBeforeAck),
    ("monotonic", Invariant::Monotonic),
    ("one-vote", Invariant::OneVote),
    ("quorum-overlap", Invariant::QuorumOverlap),
    ("state-hash", Invariant::StateHash),
    ("exactly-once", Invariant::ExactlyOnce),
    ("no-panic", Invariant::NoPanic),
    ("acked-present", Invariant::AckedPresent),
    ("conformance", Invariant::Conformance),
];

impl Invariant {
    /// Its name in a plan.
    pub fn name(self) -> &'static str {
        let named = INVARIANTS.iter().find(|(_, invariant)| *invariant == self);
        named.map_or("", |(name, _)| *name)
    }
}

impl Engine {
    /// Its name in a plan.
    pub fn name(self) -> &'static str {
        ENGINES.iter().find(|(_, engine)| *engine == self).map_or("", |(name, _)| *name)
    }

    /// The engine of this name.
    pub fn named(name: &str) -> Option<Self> {
        ENGINES.iter().find(|(known, _)| *known == name).map(|(_, engine)| *engine)
    }
}

impl Limit {
    /// Its name in a plan.
    pub fn name(self) -> &'static str {
        LIMITS.iter().find(|(_, limit)| *limit == self).map_or("", |(name, _)| *name)
    }
}

/// What must go on while progress is owed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Liveness {
    /// The longest without a leader.
    pub leader_within: Duration,
    /// The longest without a commit while an operation waits.
    pub commit_within: Duration,
    /// The share of operations that must succeed after the final heal. Where the plan does not write it:
    /// 0.99, and only if progress is owed then.
    pub ok_ratio_after_heal: Option<Share>,
}

/// A number of the result that can be bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Terms in which a leader was elected.
    Elections,
    /// By how much the highest term rose.
    Terms,
    /// Servers started again.
    Restarts,
    /// The longest from a heal to a commit, in milliseconds.
    RecoveryMs,
    /// The 99th percentile of all latencies, in microseconds.
    P99Us,
    /// Memory, in MB.
    RssMb,
    /// Disk, in MB.
    DiskMb,
    /// The longest without an ok, in milliseconds.
    OkGapMs,
    /// Refusals of AppendEntries by followers.
    AppendRejections,
    /// The most messages with entries that were on their way from a leader to a follower at a time.
    AppendsInFlight,
}

pub(super) const LIMITS: [(&str, Limit); 10] = [
    ("elections", Limit::Elections),
    ("terms", Limit::Terms),
    ("restarts", Limit::Restarts),
    ("recovery_ms", Limit::RecoveryMs),
    ("p99_us", Limit::P99Us),
    ("rss_mb", Limit::RssMb),
    ("disk_mb", Limit::DiskMb),
    ("ok_gap_ms", Limit::OkGapMs),
    ("append_rejections", Limit::AppendRejections),
    ("appends_in_flight", Limit::AppendsInFlight),
];

/// Without which a run proves nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Operations that succeeded.
    pub ops_ok: Count,
    /// Terms in which a leader was elected.
    pub elections: Option<Count>,
    /// Snapshots that were installed.
    pub snapshots_installed: Option<Count>,
    /// Commands that were in the log again, and answered from their session.
    pub commands_repeated: Option<Count>,
    /// Commands that found their session expired.
    pub sessions_expired: Option<Count>,
    /// Entries that a disk had lost and that came from another node.
    pub entries_repaired: Option<Count>,
    /// Every event fired that is not optional.
    pub every_event_fired: bool,
    /// Every fault did something.
    pub every_fault_had_effect: bool,
}

pub(super) fn check(mut table: Section<'_>) -> Check {
    let linearizable = linearizable(&mut table);
    let all = || INVARIANTS.iter().map(|(_, invariant)| *invariant).collect();
    let invariants = table.read("invariants", invariants).unwrap_or_else(all);
    let liveness = liveness(table.section("liveness"));
    let mut limits_table = table.section("limits");
    let limit = |(key, limit)| Some((limit, limits_table.read(key, Item::count)?));
    let limits = LIMITS.into_iter().filter_map(limit).collect();
    limits_table.finish();
    let evidence = evidence(table.section("evidence"));
    table.finish();
    Check { linearizable, invariants, liveness, limits, evidence }
}

fn linearizable(table: &mut Section<'_>) -> Option<Linearizable> {
    let item = table.get("linearizable");
    let mut how =
        Linearizable { engine: Engine::WitnessAndWgl, timeout: Duration::from_secs(60), memory: 2 << 30 };
    let Some(item) = item else { return Some(how) };
    if let super::tree::Value::Boolean(false) = item.node.value {
        return None;
    }
    let super::tree::Value::Table(_) = item.node.value else {
        return item.expected("false, or a table, as in { engine = \"witness+wgl\" }");
    };
    let mut table = item.section()?;
    how.engine = table.read("engine", |item| item.word(&ENGINES)).unwrap_or(how.engine);
    how.timeout = table.read("timeout", Item::duration).unwrap_or(how.timeout);
    let size = |item: &Item<'_>| item.parsed(values::size, "a size, as in \"2GiB\"");
    how.memory = table.read("memory", size).unwrap_or(how.memory);
    table.finish();
    Some(how)
}

/// `["all"]`, names, or `-name` after `all`.
fn invariants(item: &Item<'_>) -> Option<Vec<Invariant>> {
    let mut chosen = Vec::new();
    let mut all = false;
    for item in item.list()? {
        let Some(text) = item.text() else { continue };
        let without = text.strip_prefix('-');
        if text == "all" {
            all = true;
            chosen.extend(INVARIANTS.iter().map(|(_, invariant)| *invariant));
        } else if without.is_some() && !all {
            item.wrong("nothing to take it from; write \"all\" before it");
        } else if let Some(invariant) = item.word_in(without.unwrap_or(text), &INVARIANTS) {
            chosen.retain(|other| *other != invariant);
            if without.is_none() {
                chosen.push(invariant);
            }
        }
    }
    chosen.sort_unstable();
    chosen.dedup();
    Some(chosen)
}

fn liveness(mut table: Section<'_>) -> Liveness {
    let liveness = Liveness {
        leader_within: table.read("leader_within", Item::duration).unwrap_or(Duration::from_secs(3)),
        commit_within: table.read("commit_within", Item::duration).unwrap_or(Duration::from_secs(5)),
        ok_ratio_after_heal: table.read("ok_ratio_after_heal", Item::share),
    };
    table.finish();
    liveness
}

fn evidence(mut table: Section<'_>) -> Evidence {
    let evidence = Evidence {
        ops_ok: table.read("ops_ok", Item::count).unwrap_or(Count::at_least(1)),
        elections: table.read("elections", Item::count),
        snapshots_installed: table.read("snapshots_installed", Item::count),
        commands_repeated: table.read("commands_repeated", Item::count),
        sessions_expired: table.read("sessions_expired", Item::count),
        entries_repaired: table.read("entries_repaired", Item::count),
        every_event_fired: table.read("every_event_fired", Item::boolean).unwrap_or(true),
        every_fault_had_effect: table.read("every_fault_had_effect", Item::boolean).unwrap_or(true),
    };
    table.finish();
    evidence
}
