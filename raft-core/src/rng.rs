//! The seeded generator behind election timeouts and sessions.

use std::time::Duration;

/// SplitMix64 (Steele, Lea and Flood 2014): the same numbers from the same seed on every machine and in
/// every version, which the generators of larger libraries do not promise.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// The generator that this seed names.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number, any of the 2^64.
    pub const fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 up to `bound`, without it; 0 where `bound` is 0. Even to within one part in 2^64.
    pub fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.next_u64()) * u128::from(bound);
        u64::try_from(wide >> 64).unwrap_or(u64::MAX)
    }

    /// A duration from `shortest` to `longest`, both included, drawn evenly in nanoseconds.
    pub fn duration(&mut self, (shortest, longest): (Duration, Duration)) -> Duration {
        let span = u64::try_from(longest.saturating_sub(shortest).as_nanos()).unwrap_or(u64::MAX - 1);
        shortest + Duration::from_nanos(self.below(span + 1))
    }

    /// True once in `n` times on average.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// One of `items`; none if there are none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        let index = usize::try_from(self.below(items.len() as u64)).unwrap_or(0);
        items.get(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first numbers of seed 0, as the generator's authors publish them.
    #[test]
    fn the_numbers_are_those_of_splitmix64() {
        let mut rng = Rng::new(0);
        assert_eq!(rng.next_u64(), 0xe220_a839_7b1d_cdaf);
        assert_eq!(rng.next_u64(), 0x6e78_9e6a_a1b9_65f4);
        assert_eq!(rng.next_u64(), 0x06c4_5d18_8009_454f);
    }

    #[test]
    fn durations_reach_both_ends_and_no_further() {
        let mut rng = Rng::new(1);
        let range = (Duration::from_nanos(5), Duration::from_nanos(8));
        let drawn: std::collections::BTreeSet<_> = (0..100).map(|_| rng.duration(range).as_nanos()).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [5, 6, 7, 8]);
    }
}
