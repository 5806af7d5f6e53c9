//! What failed, each kind of failure once: the fastest run of it, and how many there were.

use std::collections::BTreeMap;

use super::Line;

#[derive(Default)]
pub(super) struct Findings {
    kinds: BTreeMap<String, Finding>,
}

/// A kind of failure.
pub(super) struct Finding {
    /// The fastest run of it.
    pub(super) fastest: Line,
    /// How many runs had it.
    pub(super) count: u64,
}

impl Findings {
    /// Counts a line; one that passed is none of these. Returns the run that is kept no longer, or not at all, because
    /// there is a faster one.
    pub(super) fn add(&mut self, line: &Line) -> Option<Line> {
        let signature = line.signature.clone()?;
        let Some(known) = self.kinds.get_mut(&signature) else {
            self.kinds.insert(signature, Finding { fastest: line.clone(), count: 1 });
            return None;
        };
        known.count += 1;
        if line.counts.wall_s < known.fastest.counts.wall_s {
            Some(std::mem::replace(&mut known.fastest, line.clone()))
        } else {
            Some(line.clone())
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
}
