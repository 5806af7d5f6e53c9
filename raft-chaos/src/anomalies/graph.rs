//! Who must come before whom, and the cheapest way in which that contradicts itself.

use std::collections::{BTreeMap, BTreeSet};

/// Why one comes before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Why {
    /// Its append stands before the other's.
    WriteWrite,
    /// The other read its append.
    WriteRead,
    /// It read before the other appended.
    ReadWrite,
    /// It had ended when the other began.
    RealTime,
}

impl Why {
    /// Cycles with few reads that came too early say most, and then short ones.
    const fn cost(self) -> u64 {
        match self {
            Self::WriteWrite | Self::WriteRead | Self::RealTime => 1,
            Self::ReadWrite => 1_000,
        }
    }
}

/// How many places the search for the cheapest cycle begins at.
const STARTS: usize = 64;

/// Edges between numbered nodes.
#[derive(Default)]
pub(super) struct Graph {
    edges: BTreeMap<usize, BTreeSet<(usize, Why)>>,
}

/// From one node to another, and why.
pub(super) type Edge = (usize, usize, Why);

impl Graph {
    pub(super) fn add(&mut self, from: usize, to: usize, why: Why) {
        if from != to {
            self.edges.entry(from).or_default().insert((to, why));
        }
    }

    /// A cheap cycle of edges for these reasons, if there is any.
    pub(super) fn cycle(&self, reasons: &[Why]) -> Option<Vec<Edge>> {
        let core = self.core(reasons);
        let cycles = core.iter().take(STARTS).filter_map(|&start| self.cycle_from(start, &core, reasons));
        cycles.min_by_key(|(cost, _)| *cost).map(|(_, cycle)| cycle)
    }

    fn after(&self, node: usize, reasons: &[Why]) -> impl Iterator<Item = (usize, Why)> {
        let edges = self.edges.get(&node).into_iter().flatten().copied();
        edges.filter(move |(_, why)| reasons.contains(why))
    }

    /// What is on a cycle, or on a way from one to another: all else is taken away, from both ends.
    fn core(&self, reasons: &[Why]) -> BTreeSet<usize> {
        let mut forward: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        let mut backward: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for &from in self.edges.keys() {
            for (to, _) in self.after(from, reasons) {
                forward.entry(from).or_default().insert(to);
                backward.entry(to).or_default().insert(from);
            }
        }
        let without_firsts = peel(&forward, &backward);
        let without_lasts = peel(&backward, &forward);
        without_firsts.intersection(&without_lasts).copied().collect()
    }

    /// The cheapest way from `start` back to it, within the core (Dijkstra).
    fn cycle_from(&self, start: usize, core: &BTreeSet<usize>, reasons: &[Why]) -> Option<(u64, Vec<Edge>)> {
        let mut came: BTreeMap<usize, (u64, Edge)> = BTreeMap::new();
        let mut next = BTreeSet::from([(0, start)]);
        while let Some((cost, node)) = next.pop_first() {
            if node == start && cost > 0 {
                break;
            }
            for (to, why) in self.after(node, reasons).filter(|(to, _)| core.contains(to)) {
                let there = cost + why.cost();
                if came.get(&to).is_none_or(|(known, _)| there < *known) {
                    came.insert(to, (there, (node, to, why)));
                    next.insert((there, to));
                }
            }
        }
        let (cost, mut edge) = *came.get(&start)?;
        let mut cycle = vec![edge];
        while edge.0 != start {
            edge = came.get(&edge.0)?.1;
            cycle.push(edge);
        }
        cycle.reverse();
        Some((cost, cycle))
    }
}

/// Takes away whatever has nothing before it, until nothing is left or all have.
fn peel(
    forward: &BTreeMap<usize, BTreeSet<usize>>,
    backward: &BTreeMap<usize, BTreeSet<usize>>,
) -> BTreeSet<usize> {
    let nodes: BTreeSet<usize> = forward.keys().chain(backward.keys()).copied().collect();
    let mut before: BTreeMap<usize, usize> =
        nodes.iter().map(|node| (*node, backward.get(node).map_or(0, BTreeSet::len))).collect();
    let mut free: Vec<usize> =
        before.iter().filter(|(_, count)| **count == 0).map(|(node, _)| *node).collect();
    let mut left = nodes;
    while let Some(node) = free.pop() {
        left.remove(&node);
        for to in forward.get(&node).into_iter().flatten() {
            if let Some(count) = before.get_mut(to) {
                *count -= 1;
                if *count == 0 {
                    free.push(*to);
                }
            }
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::Why::{ReadWrite, RealTime, WriteRead, WriteWrite};
    use super::*;

    /// Each row: edges, which of them count, and the cheapest cycle.
    #[test]
    fn the_cheapest_cycle_is_found() {
        for (edges, reasons, expected) in [
            (&[][..], &[WriteWrite][..], &[][..]),
            (&[(0, 1, WriteWrite), (1, 2, WriteWrite)], &[WriteWrite], &[]),
            (&[(0, 1, WriteWrite), (1, 0, WriteRead)], &[WriteWrite], &[]),
            (&[(0, 1, WriteWrite), (1, 0, WriteRead)], &[WriteWrite, WriteRead], &[0, 1]),
            // In front of it and behind it there may be more.
            (
                &[(9, 0, WriteWrite), (0, 1, WriteWrite), (1, 0, WriteWrite), (1, 8, WriteWrite)],
                &[WriteWrite],
                &[0, 1],
            ),
            // The way round costs less than two reads that came too early.
            (
                &[
                    (0, 1, ReadWrite),
                    (1, 0, ReadWrite),
                    (1, 2, RealTime),
                    (2, 3, WriteRead),
                    (3, 0, WriteWrite),
                ],
                &[ReadWrite, RealTime, WriteRead, WriteWrite],
                &[0, 1, 2, 3],
            ),
        ] {
            let mut graph = Graph::default();
            edges.iter().for_each(|&(from, to, why)| graph.add(from, to, why));
            let found: Vec<_> = graph.cycle(reasons).into_iter().flatten().map(|(from, ..)| from).collect();
            assert_eq!(found, expected, "{edges:?}");
        }
    }
}
