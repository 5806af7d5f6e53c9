//! What a selftest has shown.

use super::Hunt;

/// How many bugs were found, and how soon.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// How many bugs were found.
    pub found: usize,
    /// Of how many.
    pub of: usize,
    /// Half of those that were found took no more seeds.
    pub median_seeds: u64,
    /// And no more time in the simulation, in seconds.
    pub median_virtual_s: f64,
}

impl Score {
    /// The score of these hunts.
    pub fn of(hunts: &[Hunt]) -> Self {
        let found: Vec<_> = hunts.iter().filter(|hunt| hunt.found.is_some()).collect();
        let mut seeds: Vec<_> = found.iter().map(|hunt| hunt.seeds).collect();
        let mut times: Vec<_> = found.iter().map(|hunt| hunt.virtual_s).collect();
        seeds.sort_unstable();
        times.sort_by(f64::total_cmp);
        let middle = found.len().saturating_sub(1) / 2;
        Self {
            found: found.len(),
            of: hunts.len(),
            median_seeds: seeds.get(middle).copied().unwrap_or(0),
            median_virtual_s: times.get(middle).copied().unwrap_or(0.0),
        }
    }

    /// The share that was found, in percent, rounded down: 100 is all. Of nothing, nothing was found.
    pub const fn percent(self) -> usize {
        match (self.found * 100).checked_div(self.of) {
            Some(percent) => percent,
            None => 0,
        }
    }
}

/// A row for each hunt, in Markdown.
pub fn table(hunts: &[Hunt]) -> String {
    let head =
        "| bug | found by | plan | seed | seeds | virtual s |\n| --- | --- | --- | --: | --: | --: |\n";
    let row = |hunt: &Hunt| {
        let (judge, plan, seed) = match &hunt.found {
            Some(find) => (find.judge.as_str(), find.plan.as_str(), find.seed.to_string()),
            None => ("**not found**", "", String::new()),
        };
        format!("| {} | {judge} | {plan} | {seed} | {} | {:.0} |\n", hunt.bug, hunt.seeds, hunt.virtual_s)
    };
    head.to_owned() + &hunts.iter().map(row).collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selftest::Find;

    #[test]
    fn a_score_counts_what_was_found_and_the_median_of_that() {
        let find = Find { plan: "p".into(), seed: 1, judge: "j".into(), reason: "r".into() };
        let hunt = |seeds: u32, found: bool| Hunt {
            bug: "b".into(),
            found: found.then(|| find.clone()),
            seeds: seeds.into(),
            virtual_s: f64::from(seeds) * 2.0,
            false_alarms: Vec::new(),
        };
        let hunts = [hunt(1, true), hunt(500, false), hunt(7, true), hunt(3, true)];
        let score = Score::of(&hunts);
        assert_eq!(score, Score { found: 3, of: 4, median_seeds: 3, median_virtual_s: 6.0 });
        assert_eq!(score.percent(), 75);
        assert_eq!(Score::of(&[]).percent(), 0, "nothing was shown");
        assert!(table(&hunts).contains("| b | j | p | 1 | 7 | 14 |\n"), "{}", table(&hunts));
        assert!(table(&hunts).contains("| b | **not found** |  |  | 500 | 1000 |\n"), "{}", table(&hunts));
    }
}
