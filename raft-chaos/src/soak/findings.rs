//! What failed, each kind of failure once: the fastest run of it, and how many there were.

use std::collections::BTreeMap;

use super::{EntryName, Line};

#[derive(Clone, Debug, Default)]
pub(super) struct Findings {
    kinds: BTreeMap<String, Finding>,
}

/// A kind of failure.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    /// The fastest run of it.
    pub(crate) fastest: Line,
    /// How many runs had it.
    pub(crate) count: u64,
    /// How many of them were of which plan.
    pub(super) of_plans: BTreeMap<EntryName, u64>,
}

impl Findings {
    /// Counts a line; one that passed is none of these. Returns the run that is kept no longer, or not at all, because
    /// there is a faster one.
    pub(super) fn add(&mut self, line: &Line) -> Option<Line> {
        let signature = line.signature.clone()?;
        let Some(known) = self.kinds.get_mut(&signature) else {
            let of_plans = BTreeMap::from([(EntryName::of_line(line), 1)]);
            self.kinds.insert(signature, Finding { fastest: line.clone(), count: 1, of_plans });
            return None;
        };
        known.count += 1;
        *known.of_plans.entry(EntryName::of_line(line)).or_default() += 1;
        if line.counts.wall_s < known.fastest.counts.wall_s {
            Some(std::mem::replace(&mut known.fastest, line.clone()))
        } else {
            Some(line.clone())
        }
    }

    /// Counts all of another.
    pub(super) fn join(&mut self, other: Self) {
        for (signature, found) in other.kinds {
            let nothing = || Finding { fastest: found.fastest.clone(), count: 0, of_plans: BTreeMap::new() };
            let known = self.kinds.entry(signature).or_insert_with(nothing);
            known.count += found.count;
            for (name, count) in found.of_plans {
                *known.of_plans.entry(name).or_default() += count;
            }
            if found.fastest.counts.wall_s < known.fastest.counts.wall_s {
                known.fastest = found.fastest;
            }
        }
    }

    /// By their signatures.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, &Finding)> {
        self.kinds.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::super::ledger::Counts;
    use super::*;

    #[test]
    fn the_fastest_of_a_kind_is_kept_and_all_are_counted() {
        let line = |seed, wall_s, signature: &str| Line {
            seed,
            counts: Counts { wall_s, ..Counts::default() },
            signature: Some(signature.to_owned()),
            ..Line::default()
        };
        let mut findings = Findings::default();
        assert_eq!(findings.add(&Line::default()), None);
        assert_eq!(findings.add(&line(1, 3.0, "a")), None);
        assert_eq!(findings.add(&line(2, 1.0, "b")), None);
        assert_eq!(findings.add(&line(3, 2.0, "a")).map(|line| line.seed), Some(1));
        assert_eq!(findings.add(&line(4, 5.0, "a")).map(|line| line.seed), Some(4));
        let kept: Vec<_> =
            findings.iter().map(|(name, found)| (&**name, found.fastest.seed, found.count)).collect();
        assert_eq!(kept, [("a", 3, 3), ("b", 2, 1)]);
    }

    #[test]
    fn joined_findings_are_counted_for_each_plan() {
        let line = |plan: &str, wall_s| Line {
            plan: plan.to_owned(),
            counts: Counts { wall_s, ..Counts::default() },
            signature: Some("a".to_owned()),
            ..Line::default()
        };
        let [mut one, mut two] = [Findings::default(), Findings::default()];
        one.add(&line("one", 2.0));
        two.add(&line("two", 1.0));
        two.add(&line("one", 3.0));
        one.join(two);
        let (_, found) = one.iter().next().unwrap();
        assert_eq!((&*found.fastest.plan, found.count), ("two", 3));
        let of_plans: Vec<_> = found.of_plans.iter().map(|(name, count)| (&*name.plan, *count)).collect();
        assert_eq!(of_plans, [("one", 2), ("two", 1)]);
    }
}
