//! Worlds of bare servers, as fast as they go: a queue of what happens next, one thread a core, no tokio.
//!
//! ```text
//! cargo run --profile ci -p raft-core --example simulate -- 0..100000
//! cargo run --profile ci -p raft-core --example simulate -- 0..5000 --judges specification
//! cargo run --profile ci -p raft-core --features planted-bugs --example simulate -- 0..5000 --bug commit-by-counting
//! cargo run --profile ci -p raft-core --example simulate -- calm 2000
//! ```
//!
//! A range of seeds is a range of worlds in which everything goes wrong that may; each seed that breaks something
//! is told, and the status is 1. With `--members yes` who votes is changed all the time and disks are wiped; with
//! `--rot yes` disks lose what they had; with `--all yes` both. `calm` measures the seconds of a quiet world that go by in one of ours, beside as
//! many hosts under bare turmoil.

mod bare;
#[path = "../../tests/world/mod.rs"]
mod world;

use std::collections::BTreeMap;
use std::ops::Range;
use std::process::ExitCode;
use std::time::Instant;
use std::{env, thread};

use raft_core::{Configuration, PlantedBug, Rng};
use world::{Conditions, Judges, Report, World, Wrong};

const USAGE: &str =
    "simulate FROM..TO [--members yes | --rot yes | --all yes] [--judges all|figure3|specification] [--bug NAME]
       simulate calm SECONDS";

type JudgesOf = fn(Configuration) -> Judges;
type WorldOf = fn(u64, Option<PlantedBug>, JudgesOf) -> World;

/// What the command line asks for.
enum Task {
    Seeds { seeds: Range<u64>, world: WorldOf, judges: JudgesOf, bug: Option<PlantedBug> },
    Calm { seconds: u64 },
}

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match task(&words) {
        Ok(Task::Seeds { seeds, world, judges, bug }) => {
            misfortune(&seeds, |seed| world(seed, bug, judges).run())
        }
        Ok(Task::Calm { seconds }) => calm(seconds),
        Err(mistake) => {
            eprintln!("{mistake}\n{USAGE}");
            ExitCode::from(64)
        }
    }
}

fn task(words: &[&str]) -> Result<Task, String> {
    match words {
        ["calm", seconds] => {
            let seconds = seconds.parse().map_err(|_| format!("{seconds:?} is no number of seconds"))?;
            Ok(Task::Calm { seconds })
        }
        [seeds, options @ ..] => {
            let number = |text: &str| text.parse::<u64>().ok();
            let range = seeds.split_once("..").and_then(|(from, to)| Some(number(from)?..number(to)?));
            let seeds = range.ok_or_else(|| format!("{seeds:?} is no range of seeds, as 0..5000 is"))?;
            let (mut judges, mut bug): (JudgesOf, _) = (Judges::all, None);
            let mut world: WorldOf = World::new;
            for option in options.chunks(2) {
                match option {
                    ["--members", "yes"] => world = World::changing,
                    ["--rot", "yes"] => world = World::rotting,
                    ["--all", "yes"] => world = World::changing_and_rotting,
                    ["--judges", "all"] => judges = Judges::all,
                    ["--judges", "figure3"] => judges = Judges::figure3,
                    ["--judges", "specification"] => judges = Judges::specification,
                    ["--bug", name] => bug = Some(planted(name)?),
                    other => return Err(format!("{:?} is not an option", other.join(" "))),
                }
            }
            Ok(Task::Seeds { seeds, world, judges, bug })
        }
        [] => Err("which seeds?".to_owned()),
    }
}

#[cfg(feature = "planted-bugs")]
fn planted(name: &str) -> Result<PlantedBug, String> {
    let known = PlantedBug::ALL.into_iter().find(|(known, _)| *known == name);
    known.map(|(_, bug)| bug).ok_or_else(|| format!("no bug is called {name:?}"))
}

#[cfg(not(feature = "planted-bugs"))]
fn planted(_name: &str) -> Result<PlantedBug, String> {
    Err("bugs can be planted only with --features planted-bugs".to_owned())
}

/// What one core found in its share of the seeds.
#[derive(Default)]
struct Found {
    sum: Report,
    wrong: BTreeMap<String, Vec<u64>>,
}

impl Found {
    fn add(&mut self, seed: u64, result: Result<Report, Wrong>) {
        let what = match result {
            Ok(report) if report.recovered => {
                self.sum += report;
                return;
            }
            Ok(_) => "no agreement".to_owned(),
            Err(wrong) => {
                println!("seed {seed}: {wrong}");
                wrong.name().to_owned()
            }
        };
        self.wrong.entry(what).or_default().push(seed);
    }
}

fn misfortune(seeds: &Range<u64>, run: impl Fn(u64) -> Result<Report, Wrong> + Sync) -> ExitCode {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let share = &|core: usize| {
        let mut found = Found::default();
        for seed in seeds.clone().skip(core).step_by(cores) {
            found.add(seed, run(seed));
        }
        found
    };
    let began = wall_clock();
    let found: Vec<Found> = thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|core| scope.spawn(move || share(core))).collect();
        workers.into_iter().map(|worker| worker.join().expect("a share of the seeds")).collect()
    });
    let seconds = began.elapsed().as_secs_f64();

    let mut all = Found::default();
    for Found { sum, wrong } in found {
        all.sum += sum;
        for (what, seeds) in wrong {
            all.wrong.entry(what).or_default().extend(seeds);
        }
    }
    println!("{:?}", all.sum);
    let events_per_core = all.sum.events as f64 / seconds / cores as f64;
    println!("{seconds:.1} s on {cores} cores, {events_per_core:.0} events a second on each");
    for (what, seeds) in &mut all.wrong {
        seeds.sort_unstable();
        println!("{what}: {} seeds, the first {:?}", seeds.len(), &seeds[..seeds.len().min(5)]);
    }
    if all.wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[expect(clippy::disallowed_methods, reason = "how fast a world goes by is measured on the real clock")]
fn wall_clock() -> Instant {
    Instant::now()
}

/// Turn by turn, so that what else the machine does meets both.
fn calm(seconds: u64) -> ExitCode {
    const TURNS: usize = 7;
    // Turmoil gets a hundredth of the time to go through, and still takes longer.
    let bare_seconds = (seconds / 100).max(1);
    let rate = |simulated: u64, began: Instant| simulated as f64 / began.elapsed().as_secs_f64();
    let mut rates = Vec::new();
    for turn in 0..TURNS {
        let began = wall_clock();
        let world = World::under(Conditions::calm(seconds), Rng::new(turn as u64), None, Judges::all);
        let report = match world.run() {
            Ok(report) => report,
            Err(wrong) => {
                println!("{wrong}");
                return ExitCode::FAILURE;
            }
        };
        let ours = rate(seconds, began);
        let began = wall_clock();
        let replies = bare::run(bare_seconds, false);
        let bare = rate(bare_seconds, began);
        println!(
            "{ours:.0} simulated seconds a second, {} events in each; bare turmoil {bare:.0}, {} messages in each",
            report.events / seconds,
            2 * replies / bare_seconds
        );
        rates.push((ours / bare, ours, bare));
    }
    rates.sort_by(|one, other| one.0.total_cmp(&other.0));
    let (ratio, ..) = rates[TURNS / 2];
    println!("median of {TURNS} turns: {ratio:.1} times bare turmoil");
    ExitCode::SUCCESS
}
