//! `raft-chaos selftest`.

use std::fs;
use std::io;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::bugs::bugs;
use super::{Format, UNAVAILABLE, USAGE, cannot, read, runner};
use crate::plan::Plan;
use crate::report;
use crate::runner::interrupted;
use crate::selftest::{EXCLUDED, Hunt, Score, broken_testers, hunt_all, table};
use crate::verdict::Verdict;

/// Fewer bugs were found than were asked for, or a broken tester was not found out.
const BELOW_SCORE: u8 = 5;

/// The plans that hunt where none are named: all that nights run.
const HUNTERS: [(&str, &str); 16] = [
    ("nightly.toml", include_str!("../../plans/nightly.toml")),
    ("nightly-deaf.toml", include_str!("../../plans/nightly-deaf.toml")),
    ("nightly-disks.toml", include_str!("../../plans/nightly-disks.toml")),
    ("nightly-followers.toml", include_str!("../../plans/nightly-followers.toml")),
    ("nightly-handovers.toml", include_str!("../../plans/nightly-handovers.toml")),
    ("nightly-idle.toml", include_str!("../../plans/nightly-idle.toml")),
    ("nightly-joint.toml", include_str!("../../plans/nightly-joint.toml")),
    ("nightly-leaders.toml", include_str!("../../plans/nightly-leaders.toml")),
    ("nightly-leases.toml", include_str!("../../plans/nightly-leases.toml")),
    ("nightly-lonely.toml", include_str!("../../plans/nightly-lonely.toml")),
    ("nightly-members.toml", include_str!("../../plans/nightly-members.toml")),
    ("nightly-reads.toml", include_str!("../../plans/nightly-reads.toml")),
    ("nightly-removals.toml", include_str!("../../plans/nightly-removals.toml")),
    ("nightly-restarts.toml", include_str!("../../plans/nightly-restarts.toml")),
    ("nightly-sessions.toml", include_str!("../../plans/nightly-sessions.toml")),
    ("nightly-transfers.toml", include_str!("../../plans/nightly-transfers.toml")),
];

/// The plan with a fault that must be missed when it does nothing.
const SHORT: &str = "
schema = 1
name = \"isolate-the-leader\"
[run]
duration = \"6s\"
[sim]
tick = \"5ms\"
[cluster]
storage = \"memory\"
[[event]]
name = \"depose\"
when = { at = \"2s\" }
do = \"partition\"
split = { isolate = \"leader\" }
for = \"2s\"
";

/// What the help says of the exit codes.
pub(super) const EXIT_CODES: &str = "Exit codes: 0 enough was found; 5 too little was, or a broken tester passed; 64 bad arguments; \
69 this build can hold no planted bug; 130 interrupted.";

#[derive(Debug, Args)]
pub(super) struct SelftestArgs {
    /// The plans that hunt [default: those of nights, which are built in]. Only what plans with [[chaos]] find counts.
    #[arg(value_name = "PLAN")]
    plans: Vec<PathBuf>,
    /// The bugs to plant, by name, or all that a simulation can hold.
    #[arg(long, value_delimiter = ',', value_name = "BUG", default_value = "all")]
    mutants: Vec<String>,
    /// How many seeds run at most for each bug, all plans together.
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// The share that has to be found.
    #[arg(long, value_name = "PERCENT", default_value = "100%", value_parser = percent)]
    min_score: usize,
    /// Override a key of every plan.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// How many bugs are hunted at a time [default: one for each core].
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// What standard output is for.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

fn percent(text: &str) -> Result<usize, String> {
    let number = text.strip_suffix('%').and_then(|number| number.parse().ok());
    number
        .filter(|percent| *percent <= 100)
        .ok_or_else(|| "write a whole number from 0 to 100 and %, as in 95%".to_owned())
}

/// The exit code.
pub(super) fn selftest(args: &SelftestArgs) -> Result<u8, u8> {
    let mutants = mutants(args)?;
    let runner = runner(
        std::path::Path::new(""),
        args.jobs,
        #[cfg(feature = "planted-bugs")]
        None,
    )?;
    let (chaotic, scripted) = plans(args)?;
    let all = |plans: &[Plan]| {
        let hunts = if plans.is_empty() {
            Ok(Vec::new())
        } else {
            hunt_all(&runner, plans, &mutants, args.seeds, tell)
        };
        hunts.map_err(|error| cannot(&error))
    };
    let short = Plan::parse(SHORT, "isolate-the-leader.toml", &[]).map_err(|error| {
        report::note(&error);
        Verdict::Bug.exit_code()
    })?;
    let testers = broken_testers(&runner, &short).map_err(|error| cannot(&error))?;
    let (counted, apart) = (all(&chaotic)?, all(&scripted)?);
    let score = Score::of(&counted);
    let alarms: usize = counted.iter().chain(&apart).map(|hunt| hunt.false_alarms.len()).sum();
    match args.format {
        Format::Json => report::say(
            &json!({
                "schema": 1, "found": score.found, "of": score.of, "percent": score.percent(),
                "median_seeds": score.median_seeds, "median_virtual_s": score.median_virtual_s,
                "hunts": counted, "scripted": apart, "broken_testers": testers, "false_alarms": alarms,
                "excluded": EXCLUDED.map(|(bug, why)| json!({ "bug": bug, "why": why })),
            })
            .to_string(),
        ),
        Format::Human => {
            report::say(&table(&counted));
            if !apart.is_empty() {
                report::say(&format!(
                    "Found by plans without chaos, which do not count:\n\n{}",
                    table(&apart)
                ));
            }
            for tester in &testers {
                let said = tester.found.as_deref().unwrap_or("**not found**");
                report::say(&format!("broken tester: {}: {said}", tester.what));
            }
            for (bug, why) in EXCLUDED {
                report::say(&format!("not counted: {bug}: {why}"));
            }
            report::say(&format!(
                "\n{} of {} bugs found ({} %), half of them within {} seeds and {:.0} virtual s; {alarms} false alarms",
                score.found,
                score.of,
                score.percent(),
                score.median_seeds,
                score.median_virtual_s
            ));
        }
    }
    Ok(if interrupted() {
        Verdict::Interrupted.exit_code()
    } else if score.percent() < args.min_score || alarms > 0 || testers.iter().any(|one| one.found.is_none())
    {
        BELOW_SCORE
    } else {
        0
    })
}

/// The bugs that are asked for.
fn mutants(args: &SelftestArgs) -> Result<Vec<String>, u8> {
    let known = bugs();
    if known.is_empty() {
        report::note(
            "raft-chaos: this build can hold no planted bug; build one that can:\n  \
             .ci/setup cargo run --profile ci -p raft-chaos --features planted-bugs -- selftest",
        );
        return Err(UNAVAILABLE);
    }
    if args.mutants == ["all"] {
        let is_excluded = |name: &&str| EXCLUDED.iter().any(|(excluded, _)| excluded == name);
        return Ok(known.into_iter().filter(|name| !is_excluded(name)).map(str::to_owned).collect());
    }
    for name in &args.mutants {
        if !known.contains(&name.as_str()) {
            let near = |one: &&&str| strsim::damerau_levenshtein(one, name);
            let near = known.iter().min_by_key(near).copied().unwrap_or_default();
            report::note(format_args!("--mutants {name}: there is no such bug; did you mean {near}?"));
            return Err(USAGE);
        }
    }
    Ok(args.mutants.clone())
}

/// The plans with chaos, and those without.
fn plans(args: &SelftestArgs) -> Result<(Vec<Plan>, Vec<Plan>), u8> {
    let plans = if args.plans.is_empty() {
        built_in(&args.overrides).map_err(|error| cannot(&error))??
    } else {
        read(&args.plans, &args.overrides)?
    };
    Ok(plans.into_iter().partition(|plan| !plan.chaos.is_empty()))
}

/// Written down first, since one stands on another.
fn built_in(overrides: &[String]) -> io::Result<Result<Vec<Plan>, u8>> {
    let folder = tempfile::tempdir()?;
    let mut paths = Vec::new();
    for (name, text) in HUNTERS {
        paths.push(folder.path().join(name));
        fs::write(folder.path().join(name), text)?;
    }
    Ok(read(&paths, overrides))
}

/// A line for each hunt that has ended, on standard error.
fn tell(hunt: &Hunt) {
    let Hunt { bug, found, seeds, virtual_s, .. } = hunt;
    match found {
        Some(find) => report::note(format_args!(
            "selftest: {bug}: found by {} of {} with seed {}, after {seeds} seeds and {virtual_s:.0} virtual s",
            find.judge, find.plan, find.seed
        )),
        None => report::note(format_args!(
            "selftest: {bug}: not found in {seeds} seeds, {virtual_s:.0} virtual s"
        )),
    }
}
