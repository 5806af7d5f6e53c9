//! The only place that prints: the story of a run, its verdict, and the sums over many seeds.

mod fit;
mod github;
mod numbers;

use std::fmt::Display;
use std::io::{IsTerminal, Write as _, stderr, stdout};
use std::path::Path;
use std::time::Duration;

use crate::determinism::Divergence;
use crate::outcome::Outcome;
use crate::picture::Drawn;
use crate::plan::{Mode, Plan, Storage};
use crate::soak::{Finding, Summary, or_dash};
use crate::verdict::Verdict;
pub(crate) use fit::COLUMNS;
use fit::fitted;
pub(crate) use github::annotate;
use numbers::{micros, millis, text};

/// The columns of a label, and of the time of a story.
const LABEL: usize = 10;
const TIME: usize = 13;
/// How many kinds of failure are told.
const KINDS: usize = 10;

/// A line on standard output. A reader who has gone away is no reason to stop a run.
pub(crate) fn say(line: &str) {
    drop(writeln!(stdout(), "{line}"));
}

/// A line on standard error, beside what a run says. A reader who has gone away is no reason to stop there either.
pub(crate) fn note(line: impl Display) {
    drop(writeln!(stderr(), "{line}"));
}

/// A sentence after its label. On a terminal it is broken where it is too long for a line; elsewhere that is for others to do. What
/// people copy, as commands and paths, is never broken: that is for [`say`].
fn tell(text: &str) {
    tell_after(text, LABEL);
}

fn tell_after(text: &str, indent: usize) {
    say(&if stdout().is_terminal() { fitted(text, indent) } else { text.to_owned() });
}

/// One line of the story, so many seconds after the warm-up.
pub fn story(seconds: f64, line: &str) {
    tell_after(&format!("{seconds:>9.3} s  {line}"), TIME);
}

/// What is about to be run.
pub fn heading(plan: &Plan, seeds: &[u64], endless: bool) {
    let run = &plan.run;
    let length = run.warmup + run.duration + run.settle;
    let store = match plan.cluster.storage {
        Storage::Memory => "memory",
        Storage::Rocksdb => "RocksDB",
    };
    let time = if run.mode == Mode::Process { "real" } else { "virtual" };
    let kind = plan.workload.kind.name();
    let seeds = match seeds {
        [first, ..] if endless => format!("seeds from {first} on until one fails"),
        [] => "seeds until one fails".to_owned(),
        [seed] => format!("seed {seed}"),
        [first, .., last] if seeds.len() > 20 => format!("{} seeds, {first} to {last}", seeds.len()),
        _ => format!("seeds {}", seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(" ")),
    };
    match plan.workload.test {
        Some(test) => tell(&format!("plan      {}   the lab's test {}, {seeds}", plan.name, test.original)),
        None => tell(&format!(
            "plan      {}   {} nodes on {store}, {} {kind} clients, {length:?} of {time} time, {seeds}",
            plan.name, plan.cluster.voters, plan.workload.clients
        )),
    }
    if !plan.about.is_empty() {
        tell(&format!("          {}", plan.about));
    }
}

/// The end of a run with one seed.
pub fn one(plan: &Plan, outcome: &Outcome) {
    let result = &outcome.result;
    let number = |key: &str| result[key].to_string();
    let ops = &result["ops"];
    if plan.workload.test.is_none() {
        tell(&format!(
            "history   {} ok, {} fail, {} info; p50 {}, p99 {}; longest time without an ok {}",
            ops["ok"],
            ops["fail"],
            ops["info"],
            micros(&result["latency_us"]["p50"]),
            micros(&result["latency_us"]["p99"]),
            millis(&result["ok_gap_ms"]),
        ));
    }
    tell(&if plan.is_heard() {
        format!(
            "cluster   {} entries committed, {} elections, {} restarts; {} snapshots taken, {} installed",
            number("committed"),
            number("elections"),
            number("restarts"),
            number("snapshots_taken"),
            number("snapshots_installed")
        )
    } else {
        format!("cluster   {} restarts; of what happens in nodes nothing is heard", number("restarts"))
    });
    numbers::faults(result).iter().for_each(|line| tell(line));
    for skipped in result["skipped"].as_array().into_iter().flatten() {
        let (event, why) = (text(&skipped["event"]), text(&skipped["why"]));
        tell(&format!("skipped   {event}: {} times for {why}", skipped["count"]));
    }
    numbers::recoveries(result, plan.run.warmup).iter().for_each(|line| tell(line));
    let checker = &result["checker"];
    let seconds = |key: &str| result[key].as_f64().unwrap_or(0.0);
    let (virtual_s, wall_s) = (seconds("virtual_s"), seconds("wall_s"));
    let judged = format!("judged    {} by {}", text(&checker["verdict"]), text(&checker["engine"]));
    tell(&if plan.run.mode == Mode::Process {
        format!("{judged}; {virtual_s:.1} s in processes, {wall_s:.1} s with the judging")
    } else {
        let (hash, a_second) = (text(&result["event_hash"]), virtual_s / wall_s.max(f64::MIN_POSITIVE));
        format!(
            "{judged}; event hash {hash}; {virtual_s:.1} virtual s in {wall_s:.1} wall s, {a_second:.0} a second"
        )
    });
    verdict(outcome);
}

/// What broke, where, how to see it again, and where it is written.
pub fn verdict(outcome: &Outcome) {
    let reasons = reasons(&outcome.reasons, "all that was asked for held");
    let text = format!("{}{} (seed {}){reasons}", VERDICT, outcome.verdict.title(), outcome.seed);
    let text = if stdout().is_terminal() { fitted(&text, LABEL) } else { text };
    say(&coloured(&text, outcome.verdict));
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
        let label = if place == 0 { "explained " } else { "          " };
        let indent = line.len() - line.trim_start().len();
        tell_after(&format!("{label}{line}"), LABEL + indent);
    }
    say(&format!("report    {}", drawn.path.display()));
}

/// What a verdict stands after.
const VERDICT: &str = "verdict   ";

/// A verdict by its name, at the beginning of a line.
pub(crate) fn named(verdict: Verdict) -> String {
    coloured(&format!("{VERDICT}{}", verdict.title()), verdict)
}

/// The text with the verdict in its colour, on a terminal and unless nobody wants colours there.
fn coloured(text: &str, verdict: Verdict) -> String {
    let colour = match verdict {
        Verdict::Pass => "32",
        Verdict::Inconclusive | Verdict::Interrupted => "33",
        Verdict::Liveness | Verdict::Safety | Verdict::Crash | Verdict::Divergence | Verdict::Bug => "31",
    };
    // As https://no-color.org has it, a variable that is empty says nothing.
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let title = verdict.title();
    if unwanted || !stdout().is_terminal() {
        return text.to_owned();
    }
    text.replacen(title, &format!("\x1b[1;{colour}m{title}\x1b[0m"), 1)
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

/// The sum over many seeds; `asked` is how many there were to be, if there was to be an end.
pub fn sum(summary: &Summary, asked: Option<u64>, folder: &Path, wall: Duration) {
    let all = summary.all();
    let groups = all.verdicts.iter().map(|(verdict, count)| format!("{count} {}", verdict.name()));
    let groups = groups.collect::<Vec<_>>().join(", ");
    let seeds = match asked {
        Some(asked) if asked > all.seeds() => format!("{} of {asked}", all.seeds()),
        Some(_) | None => all.seeds().to_string(),
    };
    tell(&format!("seeds     {seeds}: {groups} in {:.1} wall s", wall.as_secs_f64()));
    let kinds = summary.failures();
    for (signature, Finding { fastest, count, .. }) in kinds.iter().take(KINDS) {
        tell(&format!("failed    {count} times {signature}"));
        say(&format!("repeat    {}", fastest.command));
    }
    if let more @ 1.. = kinds.len().saturating_sub(KINDS) {
        tell(&format!("failed    in {more} more ways, which summary.md tells"));
    }
    say(&format!("results   {}", folder.join("results.jsonl").display()));
    say(&format!("summary   {}", folder.join("summary.html").display()));
}

/// A seed that went two ways.
pub fn parted(plan: &str, divergence: &Divergence) {
    let Divergence { seed, parting, folders: [one, two] } = divergence;
    say(&format!("parted    {plan}, seed {seed}: {parting}"));
    say(&format!("results   {} and {}", one.display(), two.display()));
}

/// A seed of which a run was stopped from outside, so that there is nothing to compare.
pub fn stopped(plan: &str, seed: u64, why: &str) {
    say(&format!("stopped   {plan}, seed {seed}: {why}"));
}

/// The sum over the seeds of a plan that ran more than once each.
pub fn determinism(plan: &str, seeds: usize, times: u64, events: u64, parted: usize, wall: Duration) {
    say(&format!(
        "compared  {plan}, {times} runs a seed: {parted} of {seeds} went two ways; {events} events alike; {:.1} wall s",
        wall.as_secs_f64()
    ));
}

/// What seeds together have not shown, on standard error.
pub(crate) fn lacks(summary: &Summary) {
    for (plan, what) in summary.lacking() {
        note(format_args!("{plan}: inconclusive: {what}"));
    }
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
        or_dash(all.counts.elections),
        all.counts.restarts,
        or_dash(all.counts.committed),
        all.coverage
    ));
    say(&format!("results   {}, junit.xml and ledger.jsonl beside it", folder.join("summary.md").display()));
    lacks(summary);
}
