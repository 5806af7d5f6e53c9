//! Leaning: which chaos of a plan the next seed is to have, and how often, so that it reaches what few seeds have reached.
//!
//! Every cell that was reached is worth one, shared by the seeds that reached it. A table's pace with a seed (off, half as
//! often as the plan says, as often, twice as often) is worth what seeds with that pace were worth; what is tried next is
//! drawn by how likely it is to be worth the most (Thompson 1933), for each table by itself. One seed in four is as
//! the plan has it, and every seed of a plan that has limits.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use raft_core::Rng;
use serde::{Deserialize, Serialize};

use super::{EntryName, Line};
use crate::coverage::{CELLS, Cell, Coverage};
use crate::mix::mix;
use crate::plan::{Chaos, Plan, print_duration};

/// How many of the last seeds of a plan are looked back at.
const SEEN_MAX: usize = 512;
/// Of so many seeds one is as the plan has it.
const UNLEANED: u64 = 4;

/// How often a table of chaos fires with a seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pace {
    /// Never.
    Off,
    /// Half as often as the plan says.
    Half,
    /// As often.
    Once,
    /// Twice as often, and first where the budget is short.
    Twice,
}

impl Pace {
    const ALL: [Self; 4] = [Self::Off, Self::Half, Self::Once, Self::Twice];

    fn apply(self, chaos: &mut Chaos) {
        chaos.off = Some(self == Self::Off);
        match self {
            Self::Off | Self::Once => {}
            Self::Half => chaos.every = chaos.every.saturating_mul(2),
            Self::Twice => {
                chaos.every = (chaos.every / 2).max(Duration::from_nanos(1));
                chaos.weight = chaos.weight.saturating_mul(2);
            }
        }
    }
}

/// A pace for each table of chaos of a plan, in file order; none where a seed is as the plan has it.
pub(super) type Paces = Vec<Pace>;

/// The plan with these, and what a person has to add to the command that runs it.
pub(super) fn leaned(plan: &Plan, paces: &[Pace]) -> (Plan, String) {
    let (mut plan, mut more) = (plan.clone(), String::new());
    for (place, (chaos, pace)) in plan.chaos.iter_mut().zip(paces).enumerate() {
        let before = chaos.clone();
        pace.apply(chaos);
        let mut set = |key, value: String| more += &format!(" --set chaos.{}.{key}={value}", place + 1);
        set("off", (*pace == Pace::Off).to_string());
        if chaos.every != before.every {
            set("every", print_duration(chaos.every));
        }
        if chaos.weight != before.weight {
            set("weight", chaos.weight.to_string());
        }
    }
    (plan, more)
}

/// What the seeds of a soak have reached, and with which paces.
#[derive(Default)]
pub(super) struct Learned {
    /// How many seeds of all plans have reached each cell.
    counts: Vec<u32>,
    seen: BTreeMap<EntryName, VecDeque<(Paces, Coverage)>>,
}

impl Learned {
    /// A seed has ended.
    pub(super) fn learn(&mut self, line: &Line) {
        self.counts.resize(CELLS, 0);
        for (cell, count) in Cell::all().zip(&mut self.counts) {
            *count += u32::from(line.coverage.has(cell));
        }
        let seen = self.seen.entry(EntryName::of_line(line)).or_default();
        if !line.paces.is_empty() {
            seen.push_back((line.paces.clone(), line.coverage));
        }
        if seen.len() > SEEN_MAX {
            seen.pop_front();
        }
    }

    /// The paces of the next seed of a plan.
    pub(super) fn next(&self, plan: &Plan, seed: u64) -> Paces {
        let name = EntryName::of(plan);
        let mut rng = Rng::new(mix(seed, ("lean", &name.plan, &name.store)));
        // What a plan allows in numbers is meant for its own pace.
        let may_lean = plan.run.swarm && plan.check.limits.is_empty();
        if !may_lean || rng.one_in(UNLEANED) {
            return Vec::new();
        }
        let seen = self.seen.get(&name).into_iter().flatten();
        let seeds: Vec<_> = seen.map(|(paces, coverage)| (paces, self.worth(coverage))).collect();
        let worths = Worths::of(seeds);
        let pace = |(place, chaos): (usize, &Chaos)| match chaos.off {
            Some(off) => {
                if off {
                    Pace::Off
                } else {
                    Pace::Once
                }
            }
            None => worths.best(place, &mut rng),
        };
        plan.chaos.iter().enumerate().map(pace).collect()
    }

    /// Its share of what was reached.
    fn worth(&self, coverage: &Coverage) -> f64 {
        let cells = Cell::all().zip(&self.counts).filter(|(cell, _)| coverage.has(*cell));
        cells.map(|(_, count)| 1.0 / f64::from((*count).max(1))).sum()
    }
}

/// What the seeds of a plan were worth, each with its paces.
struct Worths<'a> {
    seeds: Vec<(&'a Paces, f64)>,
    mean: f64,
    spread: f64,
}

impl<'a> Worths<'a> {
    fn of(seeds: Vec<(&'a Paces, f64)>) -> Self {
        let all = f64::from(u32::try_from(seeds.len()).unwrap_or(u32::MAX)).max(1.0);
        let mean = seeds.iter().map(|(_, worth)| worth).sum::<f64>() / all;
        let spread = (seeds.iter().map(|(_, worth)| (worth - mean).powi(2)).sum::<f64>() / all).sqrt();
        Self { seeds, mean, spread }
    }

    /// The pace of the table at this place that may be worth the most.
    fn best(&self, place: usize, rng: &mut Rng) -> Pace {
        let drawn = Pace::ALL.map(|pace| (self.may_be_worth(place, pace, rng), pace));
        drawn.into_iter().max_by(|a, b| a.0.total_cmp(&b.0)).map_or(Pace::Once, |(_, pace)| pace)
    }

    fn may_be_worth(&self, place: usize, pace: Pace, rng: &mut Rng) -> f64 {
        let had_it = |(paces, _): &&(&Paces, f64)| paces.get(place) == Some(&pace);
        let with: Vec<_> = self.seeds.iter().filter(had_it).map(|(_, worth)| *worth).collect();
        let count = f64::from(u32::try_from(with.len()).unwrap_or(u32::MAX));
        // Two seeds that were worth what all were, before anything is known.
        let expected = (with.iter().sum::<f64>() + 2.0 * self.mean) / (count + 2.0);
        expected + self.spread.max(1.0) / (count + 2.0).sqrt() * normal(rng)
    }
}

/// About normally distributed, with a mean of 0 and a deviation of 1: the sum of twelve even numbers.
fn normal(rng: &mut Rng) -> f64 {
    let unit =
        |rng: &mut Rng| f64::from(u32::try_from(rng.below(1 << 32)).unwrap_or(0)) / f64::from(u32::MAX);
    (0..12).map(|_| unit(rng)).sum::<f64>() - 6.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = r#"
schema = 1
name = "leans"
[run]
swarm = true
[[chaos]]
every = "3s"
do = "pause"
target = "one"
for = "1s"
[[chaos]]
every = "4s"
weight = 3
do = "snapshot"
target = "one"
[[chaos]]
off = false
every = "5s"
do = "heal"
"#;

    fn plan(overrides: &[String]) -> Plan {
        Plan::parse(PLAN, "plan.toml", overrides).unwrap()
    }

    /// What a person adds to the command gives the same plan, with this seed and any other.
    #[test]
    fn a_leaned_plan_is_written_as_a_command_and_as_a_locked_plan() {
        let paces = [Pace::Off, Pace::Twice, Pace::Once];
        let (leaned, more) = leaned(&plan(&[]), &paces);
        let kept: Vec<_> = (0..20).map(|seed| leaned.kept(seed)).collect();
        assert_eq!(kept, vec![vec![false, true, true]; 20]);
        let overrides: Vec<_> = more.split(" --set ").skip(1).map(str::to_owned).collect();
        assert_eq!(overrides[1..3], ["chaos.2.off=false", "chaos.2.every=2s"]);
        assert_eq!(plan(&overrides), leaned);
        let locked = Plan::parse(&leaned.lock(7), "plan.lock.toml", &[]).unwrap();
        assert_eq!(locked.chaos, leaned.chaos);
    }

    /// Two seeds in three reach the same as ever. With the first table at twice the pace a seed reaches what none had.
    #[test]
    fn what_brings_new_cells_is_tried_more_often() {
        let plan = plan(&[]);
        let mut learned = Learned::default();
        let mut cells = Cell::all();
        let common: Vec<_> = cells.by_ref().take(100).collect();
        for seed in 0..100 {
            let mut line = Line { plan: plan.name.clone(), store: "rocksdb".into(), ..Line::default() };
            line.paces = learned.next(&plan, seed);
            common.iter().for_each(|cell| line.coverage.reach(Some(*cell)));
            if line.paces.first() == Some(&Pace::Twice) {
                cells.by_ref().take(4).for_each(|cell| line.coverage.reach(Some(cell)));
            }
            learned.learn(&line);
        }
        let next: Vec<_> = (100..300).map(|seed| learned.next(&plan, seed)).collect();
        let leaned: Vec<_> = next.iter().filter(|paces| !paces.is_empty()).collect();
        assert!((120..180).contains(&leaned.len()), "{} of 200 lean", leaned.len());
        let fast = leaned.iter().filter(|paces| paces[0] == Pace::Twice).count();
        assert!(fast * 2 > leaned.len(), "{fast} of {}", leaned.len());
        assert!(leaned.iter().all(|paces| paces[2] == Pace::Once), "the plan says so itself");
        let mut calm = plan.clone();
        calm.run.swarm = false;
        let limited = self::plan(&["check.limits.elections=\"<= 2\"".to_owned()]);
        assert!(
            (0..20)
                .all(|seed| learned.next(&calm, seed).is_empty() && learned.next(&limited, seed).is_empty())
        );
    }
}
