//! Which plan and which seed come next. The order depends on what has begun, and on nothing else.

use std::collections::{BTreeMap, BTreeSet};

use super::{Entry, EntryName, Line, Shard};

/// A seed of a plan, by the plan's place in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Task {
    pub(super) entry: usize,
    pub(super) seed: u64,
}

pub(super) struct Queue {
    places: BTreeMap<EntryName, usize>,
    rows: Vec<Row>,
    first_seed: u64,
    shard: Shard,
}

/// How far a plan has got. Seeds are counted from the first of this shard.
struct Row {
    weight: u64,
    /// How many there are; none if there is no end.
    quota: Option<u64>,
    /// All before this have begun.
    next: u64,
    /// Those after it that have.
    ahead: BTreeSet<u64>,
}

impl Row {
    /// How many have begun, in proportion to the weight: less is more urgent.
    fn begun(&self) -> u64 {
        self.next + self.ahead.len() as u64
    }

    fn begin(&mut self, nth: u64) {
        if nth >= self.next {
            self.ahead.insert(nth);
        }
        while self.ahead.remove(&self.next) {
            self.next += 1;
        }
    }
}

impl Queue {
    /// `seeds` is how many there are of all plans together, of all shards; each plan has its share by weight.
    pub(super) fn new(entries: &[Entry], seeds: Option<u64>, first_seed: u64, shard: Shard) -> Self {
        let weights: u128 = entries.iter().map(|entry| u128::from(entry.weight)).sum();
        let mut before = 0;
        let mut row = |entry: &Entry| {
            // Shares of a whole add up to the whole, whatever the weights are.
            let up_to = |weight: u128| seeds.map(|seeds| u128::from(seeds) * weight / weights.max(1));
            let from = up_to(before);
            before += u128::from(entry.weight);
            let share = up_to(before).zip(from).map(|(to, from)| to - from);
            let own = share.map(|share| (share + u128::from(shard.of - shard.nth)) / u128::from(shard.of));
            let quota = own.and_then(|own| u64::try_from(own).ok());
            Row { weight: entry.weight, quota, next: 0, ahead: BTreeSet::new() }
        };
        let rows = entries.iter().map(&mut row).collect();
        let places = entries.iter().enumerate().map(|(place, entry)| (entry.name(), place)).collect();
        Self { places, rows, first_seed, shard }
    }

    /// A seed that the ledger has.
    pub(super) fn ran(&mut self, line: &Line) {
        let name = EntryName::of_line(line);
        let nth = line.seed.checked_sub(self.first_seed + (self.shard.nth - 1));
        if let (Some(&place), Some(nth)) = (self.places.get(&name), nth)
            && nth.is_multiple_of(self.shard.of)
        {
            self.rows[place].begin(nth / self.shard.of);
        }
    }

    /// The next seed of the plan that is furthest behind; none if all have run.
    pub(super) fn next(&mut self) -> Option<Task> {
        let behind = |(_, row): &(usize, &mut Row)| row.quota.is_none_or(|quota| row.begun() < quota);
        let urgent = |one: &Row, other: &Row| {
            let part = |row: &Row, by: &Row| u128::from(row.begun()) * u128::from(by.weight);
            part(one, other).cmp(&part(other, one))
        };
        let rows = self.rows.iter_mut().enumerate().filter(|(_, row)| row.weight > 0);
        let (entry, row) = rows.filter(behind).min_by(|(_, one), (_, other)| urgent(one, other))?;
        let nth = row.next;
        row.begin(nth);
        Some(Task { entry, seed: self.first_seed + (self.shard.nth - 1) + nth * self.shard.of })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;

    fn entries(weights: &[u64]) -> Vec<Entry> {
        let entry = |(nth, weight): (usize, &u64)| Entry {
            plan: Plan::parse(&format!("schema = 1\nname = \"plan-{nth}\"\n"), "plan.toml", &[]).unwrap(),
            weight: *weight,
            command: String::new(),
        };
        weights.iter().enumerate().map(entry).collect()
    }

    fn all(mut queue: Queue) -> Vec<(usize, u64)> {
        std::iter::from_fn(|| queue.next()).map(|task| (task.entry, task.seed)).collect()
    }

    #[test]
    fn plans_take_turns_by_their_weights() {
        let queue = Queue::new(&entries(&[1, 2, 0]), Some(6), 10, Shard::default());
        assert_eq!(all(queue), [(0, 10), (1, 10), (1, 11), (0, 11), (1, 12), (1, 13)]);
    }

    /// Each seed is in one shard, however many shards there are and however few seeds.
    #[test]
    fn shards_share_the_seeds_out() {
        for seeds in [0, 1, 2, 7, 20] {
            let whole = Queue::new(&entries(&[3, 1]), Some(seeds), 5, Shard::default());
            let mut whole = all(whole);
            whole.sort_unstable();
            assert_eq!(whole.len() as u64, seeds);
            for of in 1..5 {
                let shard = |nth| all(Queue::new(&entries(&[3, 1]), Some(seeds), 5, Shard { nth, of }));
                let mut shared: Vec<_> = (1..=of).flat_map(shard).collect();
                shared.sort_unstable();
                assert_eq!(shared, whole, "{seeds} seeds in {of} shards");
            }
        }
    }

    /// What had ended before an interruption is not run again, and what had only begun is.
    #[test]
    fn a_ledger_is_gone_on_with() {
        let shard = Shard { nth: 2, of: 3 };
        let mut queue = Queue::new(&entries(&[1]), Some(12), 0, shard);
        for seed in [1, 7, 2] {
            queue.ran(&Line { plan: "plan-0".into(), store: "rocksdb".into(), seed, ..Line::default() });
        }
        assert_eq!(all(queue), [(0, 4), (0, 10)]);
    }
}
