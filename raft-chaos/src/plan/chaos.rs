//! `[[chaos]]`: what is done at random times, and which of it a seed switches off.

use std::time::Duration;

use raft_core::Rng;

use super::events::Context;
use super::walk::{Item, Section};
use super::{Action, Cluster, Plan, actions};
use crate::mix::mix;

/// Something that is done to the servers at random times (`[[chaos]]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chaos {
    /// Its name: `chaos.1` for the first table. No event has such a name.
    pub name: String,
    /// The mean time from one firing to the next; it is spaced exponentially, each table for itself.
    pub every: Duration,
    /// Who goes first where several are due at one instant: the heaviest.
    pub weight: u64,
    /// Whether it is switched off. Where the plan does not say so it is on, or drawn if `run.swarm` is set.
    pub off: Option<bool>,
    /// What it does.
    pub action: Action,
}

pub(super) fn chaos(root: &mut Section<'_>, cluster: &Cluster) -> Vec<Chaos> {
    let items = root.read("chaos", Item::list).unwrap_or_default();
    let table = |(position, mut item): (usize, Item<'_>)| {
        let name = format!("chaos.{}", position + 1);
        item.key.clone_from(&name);
        let mut table = item.section()?;
        let every = table.required("every").and_then(|item| item.some_duration());
        let weight = table.read("weight", Item::whole).unwrap_or(1);
        let off = table.read("off", Item::boolean);
        for key in ["name", "when", "optional"] {
            table.read(key, |item| {
                item.wrong("only [[event]] has it; leave it out");
                None::<()>
            });
        }
        let action = actions::action(&mut table, &Context::new(cluster));
        table.finish();
        Some(Chaos { name, every: every?, weight, off, action: action? })
    };
    items.into_iter().enumerate().filter_map(table).collect()
}

impl Plan {
    /// What all events and all chaos do.
    pub fn actions(&self) -> impl Iterator<Item = &Action> {
        let events = self.events.iter().map(|event| &event.action);
        events.chain(self.chaos.iter().map(|chaos| &chaos.action))
    }

    /// Of each `[[chaos]]` whether it is on with this seed: with `run.swarm` each that the plan does not switch
    /// on or off is kept with chance 1/2, and at least one of all is.
    pub fn kept(&self, seed: u64) -> Vec<bool> {
        let mut rng = Rng::new(mix(seed, "swarm"));
        let draw = |chaos: &Chaos| chaos.off.map_or_else(|| !self.run.swarm || rng.one_in(2), |off| !off);
        let mut kept: Vec<_> = self.chaos.iter().map(draw).collect();
        let open = self.chaos.iter().enumerate().filter(|(_, chaos)| chaos.off.is_none());
        let open: Vec<_> = open.map(|(place, _)| place).collect();
        if !kept.contains(&true)
            && let Some(&place) = rng.pick(&open)
        {
            kept[place] = true;
        }
        kept
    }
}

impl Chaos {
    /// When it is due with this seed, counted from the end of the warm-up, without end.
    pub fn arrivals(&self, seed: u64) -> Arrivals {
        Arrivals {
            rng: Rng::new(mix(seed, ("arrivals", &self.name))),
            every: self.every,
            last: Duration::ZERO,
        }
    }
}

/// Times with exponential gaps between them.
#[derive(Clone, Debug)]
pub struct Arrivals {
    rng: Rng,
    every: Duration,
    last: Duration,
}

impl Iterator for Arrivals {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let gap = (self.every.as_nanos() * u128::from(exponential(&mut self.rng))) >> 32;
        let gap = Duration::from_nanos(u64::try_from(gap).unwrap_or(u64::MAX));
        self.last = self.last.saturating_add(gap);
        Some(self.last)
    }
}

/// An exponential number with a mean of 2^32, by comparing even ones only (von Neumann 1951): a logarithm may
/// differ between machines. A run u1 > u2 > ... is of odd length with chance exp(-u1).
fn exponential(rng: &mut Rng) -> u64 {
    const ONE: u64 = 1 << 32;
    let mut whole = 0;
    loop {
        let first = rng.below(ONE);
        let (mut last, mut odd) = (first, true);
        loop {
            let next = rng.below(ONE);
            if next >= last {
                break;
            }
            (last, odd) = (next, !odd);
        }
        if odd {
            return whole + first;
        }
        whole += ONE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of 100,000 exponential gaps the mean is one, about exp(-1) are longer than it, and exp(-3) longer than three.
    #[test]
    fn gaps_are_exponential() {
        let mut rng = Rng::new(7);
        let gaps: Vec<_> = (0..100_000).map(|_| exponential(&mut rng)).collect();
        let mean = gaps.iter().sum::<u64>() / 100_000;
        assert!((4_250_000_000..4_340_000_000).contains(&mean), "{mean}");
        for (longer_than, least, most) in [(1, 36_300, 37_280), (3, 4_770, 5_190)] {
            let longer = gaps.iter().filter(|gap| **gap > longer_than << 32).count();
            assert!((least..most).contains(&longer), "{longer} are longer than {longer_than}");
        }
    }
}
