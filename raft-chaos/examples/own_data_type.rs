//! A state machine, a model and a workload of one's own under a plan: a dispenser of tickets, of which nobody may get one twice.
//!
//! ```sh
//! cargo run --profile ci -p raft-chaos --example own_data_type
//! ```

use std::sync::Arc;
use std::time::Instant;

use raft_chaos::data::{Ask, DataType, Draw, Machine, Object, Objects};
use raft_chaos::history::{F, Reply, Value};
use raft_chaos::linearizable::{Judge, Model, Spec};
use raft_chaos::plan::Plan;
use raft_chaos::sim::{Options, run_as};
use raft_chaos::verdict::{Footprint, Verdict, judge_as};
use serde::{Deserialize, Serialize};

const PLAN: &str = r#"
schema = 1
name = "tickets"
about = "Leaders lose their power while clients draw tickets."
[run]
warmup = "1s"
duration = "10s"
settle = "3s"
[cluster]
storage = "memory"
snapshot_every = 100
[workload]
retries = "session"
keys = { live = 4 }
[[event]]
when = { every = "3s", leader = "elected" }
do = "crash"
target = "leader"
disk = { lose = "unsynced", torn = 0.5 }
restart_after = "1s"
"#;

/// The state machine: what lies under one key, and what each node does to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Dispenser {
    last: i64,
}

impl Object for Dispenser {
    fn apply(&mut self, f: &F, _value: &Value) -> Reply {
        if f.name() == "draw" {
            self.last += 1;
        }
        Reply::value(self.last.into())
    }
}

/// The model: what a correct dispenser does, one operation after the other.
struct DispenserOf;

impl Model for DispenserOf {
    type State = i64;
    /// Whether a ticket is drawn, or only the last one looked at.
    type Input = bool;
    type Output = i64;

    fn init(&self) -> i64 {
        0
    }

    fn step(&self, last: &i64, draws: &bool, output: Option<&i64>) -> Option<i64> {
        let last = last + i64::from(*draws);
        output.is_none_or(|output| *output == last).then_some(last)
    }

    fn bytes(&self, _last: &i64) -> usize {
        size_of::<i64>()
    }
}

/// How that stands in a history.
impl Spec for DispenserOf {
    fn input(&self, f: &F, _asked: &Value) -> Option<bool> {
        match f.name() {
            "draw" => Some(true),
            "read" => Some(false),
            _ => None,
        }
    }

    fn output(&self, _draws: &bool, reply: &Reply) -> Option<i64> {
        reply.value.whole()
    }

    fn is_read(&self, draws: &bool) -> bool {
        !draws
    }

    fn answer(&self, last: &i64, draws: &bool) -> String {
        (last + i64::from(*draws)).to_string()
    }
}

/// The workload, and all of it together.
struct Tickets;

impl DataType for Tickets {
    fn machine(&self) -> Box<dyn Machine> {
        Box::new(Objects::<Dispenser>::default())
    }

    fn draw(&self, client: &mut Draw<'_>) -> Ask {
        let name = client.weighted(&[("draw", 3), ("read", 1)]).unwrap_or("read");
        Ask { f: F::new(name), value: Value::Null }
    }

    fn judge(&self) -> Box<dyn Judge> {
        Box::new(DispenserOf)
    }
}

/// Runs the plan with one seed. The verdict, and how many tickets were drawn.
fn run(seed: u64) -> Result<(Verdict, Vec<String>, u64), Box<dyn std::error::Error>> {
    let plan = Plan::parse(PLAN, "tickets", &[]).map_err(|errors| errors.to_string())?;
    let began = Instant::now();
    let ran = run_as(&plan, seed, Options::default(), Arc::new(Tickets))?;
    let nothing = Footprint { rss_mb: 0, disk_mb: 0 };
    let judgement = judge_as(&plan, &Tickets, &ran, nothing, &mut || began.elapsed());
    let drawn = ran.history.counts().by_f.get(&F::new("draw")).map_or(0, |tally| tally.ok);
    Ok((judgement.verdict, judgement.reasons, drawn))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for seed in 0..5 {
        let (verdict, reasons, drawn) = run(seed)?;
        println!("seed {seed}: {verdict:?}, {drawn} tickets {}", reasons.join("; "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use raft_chaos::edn;
    use raft_chaos::linearizable::{self, Limits};

    use super::*;

    #[test]
    fn nobody_gets_a_ticket_twice() {
        for seed in 0..2 {
            let (verdict, reasons, drawn) = run(seed).unwrap();
            assert_eq!((verdict, reasons), (Verdict::Pass, Vec::new()), "seed {seed}");
            assert!(drawn > 300, "seed {seed}: {drawn}");
        }
    }

    #[test]
    fn a_ticket_that_two_get_is_noticed() {
        let draw = |process, ticket| {
            format!(
                "{{:process {process}, :type :invoke, :f :draw, :key x}}
                 {{:process {process}, :type :ok, :f :draw, :key x, :value {ticket}}}"
            )
        };
        for (tickets, good) in [([1, 2], true), ([1, 1], false), ([2, 1], false)] {
            let history = edn::read(&(draw(0, tickets[0]) + &draw(1, tickets[1]))).unwrap();
            let mut limits = Limits { steps: 1_000, cache_bytes: 1 << 20, expired: &mut || false };
            let verdict = DispenserOf.search(&history, &mut limits);
            assert_eq!(verdict == linearizable::Verdict::Linearizable, good, "{tickets:?}: {verdict:?}");
        }
    }
}
