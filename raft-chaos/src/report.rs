//! The only file that prints: the story of a run, its verdict, and the sums over many seeds.

use std::io::{IsTerminal, Write as _, stdout};
use std::path::Path;
use std::time::Duration;

use crate::determinism::Divergence;
use crate::outcome::Outcome;
use crate::picture::Drawn;
use crate::plan::{Plan, Storage};
use crate::soak::Summary;
use crate::verdict::Verdict;

/// A line on standard output. A reader who has gone away is no reason to stop a run.
pub(crate) fn say(line: &str) {
    drop(writeln!(stdout(), "{line}"));
}

/// One line of the story, so many seconds after the warm-up.
pub fn story(seconds: f64, line: &str) {
    say(&format!("{seconds:>9.3} s  {line}"));
}

/// What is about to be run.
pub fn heading(plan: &Plan, seeds: &[u64]) {
    let run = &plan.run;
    let length = run.warmup + run.duration + run.settle;
    let store = match plan.cluster.storage {
        Storage::Memory => "memory",
        Storage::Rocksdb => "RocksDB",
    };
    let kind = plan.workload.kind.name();
    let seeds = match seeds {
        [seed] => format!("seed {seed}"),
        [first, .., last] if seeds.len() > 20 => format!("{} seeds, {first} to {last}", seeds.len()),
        _ => format!("seeds {}", seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(" ")),
    };
    match plan.workload.test {
        Some(test) => say(&format!("plan      {}   the lab's test {}, {seeds}", plan.name, test.original)),
        None => say(&format!(
            "plan      {}   {} nodes on {store}, {} {kind} clients, {length:?} of virtual time, {seeds}",
            plan.name, plan.cluster.voters, plan.workload.clients
        )),
    }
    if !plan.about.is_empty() {
        say(&format!("          {}", plan.about));
    }
}

/// The end of a run with one seed.
pub fn one(plan: &Plan, outcome: &Outcome) {
    let result = &outcome.result;
    let number = |key: &str| result[key].to_string();
    let ops = &result["ops"];
    if plan.workload.test.is_none() {
        say(&format!(
            "history   {} ok, {} fail, {} info; p50 {}, p99 {}; longest time without an ok {}",
            ops["ok"],
            ops["fail"],
            ops["info"],
            micros(&result["latency_us"]["p50"]),
            micros(&result["latency_us"]["p99"]),
            millis(&result["ok_gap_ms"]),
        ));
    }
    say(&format!(
        "cluster   {} entries committed, {} elections, {} restarts; {} snapshots taken, {} installed",
        number("committed"),
        number("elections"),
        number("restarts"),
        number("snapshots_taken"),
        number("snapshots_installed")
    ));
    for fault in result["faults"].as_array().into_iter().flatten() {
        say(&format!("fault     {}: {}", text(&fault["event"]), evidence(&fault["evidence"])));
    }
    for skipped in result["skipped"].as_array().into_iter().flatten() {
        let (event, why) = (text(&skipped["event"]), text(&skipped["why"]));
        say(&format!("skipped   {event}: {} times for {why}", skipped["count"]));
    }
    for recovery in result["recovery_ms"].as_array().into_iter().flatten() {
        let (leader, commit) = (millis(&recovery["leader"]), millis(&recovery["commit"]));
        let at = recovery["at"].as_f64().unwrap_or(0.0) / 1e3 - plan.run.warmup.as_secs_f64();
        say(&format!("recovery  from the heal at {at:.3} s: to a leader {leader}, to a commit {commit}"));
    }
    let checker = &result["checker"];
    let seconds = |key: &str| result[key].as_f64().unwrap_or(0.0);
    let (virtual_s, wall_s) = (seconds("virtual_s"), seconds("wall_s"));
    say(&format!(
        "judged    {} by {}; event hash {}; {virtual_s:.1} virtual s in {wall_s:.1} wall s, {:.0} a second",
        text(&checker["verdict"]),
        text(&checker["engine"]),
        text(&result["event_hash"]),
        virtual_s / wall_s.max(f64::MIN_POSITIVE)
    ));
    verdict(outcome);
}

/// What broke, where, how to see it again, and where it is written.
pub fn verdict(outcome: &Outcome) {
    let seed = format!(" (seed {})", outcome.seed);
    say(&(named(outcome.verdict) + &seed + &reasons(&outcome.reasons, "all that was asked for held")));
    say(&format!("repeat    {}", outcome.command));
    if let Some(folder) = &outcome.folder {
        say(&format!("results   {}", folder.display()));
    }
    outcome.drawn.iter().for_each(drawn);
}

/// What broke, as far as the reasons have not said it, and where all of it can be seen.
pub(crate) fn drawn(drawn: &Drawn) {
    let trouble = drawn.trouble.to_string();
    for (place, line) in trouble.lines().enumerate() {
        say(&format!("{}{line}", if place == 0 { "explained " } else { "          " }));
    }
    say(&format!("report    {}", drawn.path.display()));
}

/// A verdict by its name, at the beginning of a line.
pub(crate) fn named(verdict: Verdict) -> String {
    let (name, colour) = match verdict {
        Verdict::Pass => ("PASS", "32"),
        Verdict::Inconclusive => ("INCONCLUSIVE", "33"),
        Verdict::Interrupted => ("INTERRUPTED", "33"),
        Verdict::Liveness => ("LIVENESS", "31"),
        Verdict::Safety => ("SAFETY BROKEN", "31"),
        Verdict::Crash => ("NODE CRASHED", "31"),
        Verdict::Divergence => ("NOT DETERMINISTIC", "31"),
        Verdict::Bug => ("BUG IN RAFT-CHAOS", "31"),
    };
    let coloured = stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let name = if coloured { format!("\x1b[1;{colour}m{name}\x1b[0m") } else { name.to_owned() };
    format!("verdict   {name}")
}

/// Why, behind a verdict; `none` says what that is where there are no reasons.
pub(crate) fn reasons(reasons: &[String], none: &str) -> String {
    let mut said = format!(": {}", reasons.first().map_or(none, String::as_str));
    for reason in reasons.iter().skip(1).take(4) {
        said += &format!("\n          and {reason}");
    }
    if let more @ 1.. = reasons.len().saturating_sub(5) {
        said += &format!("\n          and {more} more, in result.json");
    }
    said
}

/// The sum over many seeds.
pub fn sum(outcomes: &[Outcome], folder: &Path, wall: Duration) {
    let mut verdicts: Vec<_> = outcomes.iter().map(|outcome| outcome.verdict).collect();
    verdicts.sort_unstable();
    let groups = verdicts.chunk_by(|a, b| a == b).map(|group| format!("{} {:?}", group.len(), group[0]));
    let groups = groups.collect::<Vec<_>>().join(", ").to_lowercase();
    say(&format!("seeds     {}: {groups} in {:.1} wall s", outcomes.len(), wall.as_secs_f64()));
    say(&format!("results   {}", folder.join("results.jsonl").display()));
}

/// A seed that went two ways.
pub fn parted(plan: &str, divergence: &Divergence) {
    let Divergence { seed, parting, folders: [one, two] } = divergence;
    say(&format!("parted    {plan}, seed {seed}: {parting}"));
    say(&format!("results   {} and {}", one.display(), two.display()));
}

/// The sum over the seeds of a plan that ran more than once each.
pub fn determinism(plan: &str, seeds: usize, times: u64, events: u64, parted: usize, wall: Duration) {
    say(&format!(
        "compared  {plan}, {times} runs a seed: {parted} of {seeds} went two ways; {events} events alike; {:.1} wall s",
        wall.as_secs_f64()
    ));
}

/// The sums over a ledger.
pub fn soaked(summary: &Summary, folder: &Path) {
    let all = summary.all();
    say(&format!(
        "soaked    {} seeds, {} failed; {:.2} virtual h in {:.2} h of processes; {} elections, {} restarts, {} entries committed; {} cells",
        all.seeds(),
        summary.failed(),
        all.counts.virtual_s / 3600.0,
        all.counts.wall_s / 3600.0,
        all.counts.elections,
        all.counts.restarts,
        all.counts.committed,
        all.coverage
    ));
    say(&format!("results   {}, junit.xml and ledger.jsonl beside it", folder.join("summary.md").display()));
}

fn text(value: &serde_json::Value) -> &str {
    value.as_str().unwrap_or("-")
}

fn millis(value: &serde_json::Value) -> String {
    value.as_u64().map_or("never".to_owned(), |millis| format!("{millis} ms"))
}

fn micros(value: &serde_json::Value) -> String {
    format!("{:.1} ms", value.as_f64().unwrap_or(0.0) / 1e3)
}

/// `{"power_lost":{"bytes":3}}` as `power lost bytes:3`.
fn evidence(value: &serde_json::Value) -> String {
    let (key, value) = value.as_object().and_then(|object| object.iter().next()).unzip();
    let value = value.map_or(String::new(), serde_json::Value::to_string);
    let value = value.replace(['"', '{', '}'], "").replace(',', " ");
    format!("{} {value}", key.map_or("-".to_owned(), |key| key.replace('_', " ")))
}
