//! How fast simulated time goes by, beside bare turmoil.
//!
//! ```text
//! .ci/setup cargo bench -p raft-chaos --bench speed
//! ```
//!
//! The goals: with one operation a second, 0.7 times bare turmoil with the same hosts: five that say as much to each other
//! as a quiet cluster does, one that asks the first of them something each second, and nothing else; with 200 operations a second
//! 60 virtual seconds a second in memory and 25 on RocksDB. Bare turmoil without the sixth host is shown, too. Everything that
//! `raft-chaos run` judges is judged. All take turns, so that what else the machine does meets each of them, and the median
//! of the turns counts.
//!
//! Measured on 1 December 2026 on two processors that did nothing else, with our assertions on (`--profile ci`): 0.84 times bare
//! turmoil with the same hosts, of which 152 virtual seconds go by in a second (0.69 without the sixth there, 187); 62 in
//! memory and 50 on RocksDB.

#[path = "../../raft-core/examples/simulate/bare.rs"]
mod bare;

use std::time::Instant;

use raft_chaos::plan::Plan;
use raft_chaos::sim::{self, Options};
use raft_chaos::verdict::{Footprint, Verdict, judge};

const TURNS: usize = 7;

/// Five nodes with heartbeats of 50 ms at a tick of 1 ms, and faults.
const PLAN: &str = r#"
schema = 1
name = "speed"

[run]
warmup = "3s"
duration = "47s"
settle = "10s"

[cluster]
voters = 5

[[event]]
when = { every = "15s" }
do = "crash"
target = "leader"
restart_after = "2s"

[[event]]
when = { at = "8s", every = "15s" }
do = "partition"
split = { isolate = "leader" }
for = "3s"
"#;

struct Contender {
    name: &'static str,
    overrides: &'static [&'static str],
}

const CONTENDERS: [Contender; 3] = [
    Contender {
        name: "1 operation a second, memory",
        overrides: &["workload.clients=1", "workload.rate=1", "cluster.storage=\"memory\""],
    },
    Contender {
        name: "200 operations a second, memory",
        overrides: &["workload.clients=8", "workload.rate=200", "cluster.storage=\"memory\""],
    },
    Contender {
        name: "200 operations a second, RocksDB",
        overrides: &["workload.clients=8", "workload.rate=200", "cluster.storage=\"rocksdb\""],
    },
];

/// Runs one seed and judges it; virtual seconds a second.
fn run(contender: &Contender, seed: u64) -> f64 {
    let overrides: Vec<String> = contender.overrides.iter().map(ToString::to_string).collect();
    let plan = Plan::parse(PLAN, "speed", &overrides).expect("the plan is right");
    let began = Instant::now();
    let scratch = tempfile::tempdir().expect("a folder for the disks");
    let options = Options { scratch: scratch.path().to_owned(), ..Options::default() };
    let ran = sim::run(&plan, seed, options).expect("nothing is written");
    let judged = judge(&plan, &ran, Footprint { rss_mb: 0, disk_mb: 0 }, &mut || began.elapsed());
    assert_eq!(judged.verdict, Verdict::Pass, "{:?}", judged.reasons);
    ran.virtual_time.as_secs_f64() / began.elapsed().as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Virtual seconds a second of bare turmoil.
fn run_bare(with_client: bool) -> f64 {
    const SECONDS: u64 = 60;
    let began = Instant::now();
    bare::run(SECONDS, with_client);
    SECONDS as f64 / began.elapsed().as_secs_f64()
}

fn main() {
    let mut bare = [const { Vec::new() }; 2];
    let mut ours = [const { Vec::new() }; CONTENDERS.len()];
    for turn in 0..TURNS {
        for (rates, with_client) in bare.iter_mut().zip([true, false]) {
            rates.push(run_bare(with_client));
        }
        for (rates, contender) in ours.iter_mut().zip(&CONTENDERS) {
            rates.push(run(contender, turn as u64));
        }
    }
    let [same, without_client] = bare
        .each_ref()
        .map(|bare| median(ours[0].iter().zip(bare).map(|(ours, bare)| ours / bare).collect()));
    println!("virtual seconds a second, the median of {TURNS} turns");
    for (name, rates) in ["bare turmoil", "bare turmoil without a client's host"].into_iter().zip(bare) {
        println!("  {name:36} {:7.1}", median(rates));
    }
    for (contender, rates) in CONTENDERS.iter().zip(ours) {
        println!("  {:36} {:7.1}", contender.name, median(rates));
    }
    println!(
        "1 operation a second / bare turmoil: {same:.2}; without a client's host there: {without_client:.2}"
    );
}
