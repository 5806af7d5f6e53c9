//! How long things take.

use std::time::Duration;

/// How long something took, in powers of two microseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Durations {
    /// How often it was done.
    pub count: u64,
    /// How long it took in all.
    pub total: Duration,
    /// How often it took less than [`bound`](Self::bound), and not less than the bound before.
    pub buckets: [u64; Self::BUCKETS],
}

impl Durations {
    /// Of what takes more than half an hour, nobody asks how much more.
    pub const BUCKETS: usize = 32;

    /// What took so long that it is in this bucket took less than this. The last one has whatever took longer.
    pub const fn bound(bucket: usize) -> Duration {
        Duration::from_micros(1 << if bucket < Self::BUCKETS { bucket } else { Self::BUCKETS - 1 })
    }

    /// The bucket of what took so long.
    pub fn bucket(took: Duration) -> usize {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bits = u64::BITS - micros.leading_zeros();
        usize::try_from(bits).unwrap_or(Self::BUCKETS).min(Self::BUCKETS - 1)
    }

    /// It was done once more.
    pub fn add(&mut self, took: Duration) {
        self.count += 1;
        self.total = self.total.saturating_add(took);
        self.buckets[Self::bucket(took)] += 1;
    }

    /// How long this share of them took at most, rounded up to a power of two microseconds: 0.99 is the 99th
    /// percentile. Nothing if there were none.
    pub fn quantile(&self, share: f64) -> Duration {
        let counted: u64 = self.buckets.iter().sum();
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            // Counts are far from where a float is not exact.
            if counted > 0 && seen as f64 >= counted as f64 * share.clamp(0.0, 1.0) && seen > 0 {
                return Self::bound(bucket);
            }
        }
        Duration::ZERO
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_fall_into_the_bucket_below_their_bound() {
        let mut durations = Durations::default();
        for micros in [0, 1, 2, 3, 4, 1000, 1024, u64::MAX / 2000] {
            durations.add(Duration::from_micros(micros));
        }
        let filled: Vec<_> = durations.buckets.iter().enumerate().filter(|(_, count)| **count > 0).collect();
        assert_eq!(filled, [(0, &1), (1, &1), (2, &2), (3, &1), (10, &1), (11, &1), (31, &1)]);
        for (share, micros) in [(0.0, 1), (0.125, 1), (0.25, 2), (0.5, 4), (0.75, 1024), (0.8, 2048)] {
            assert_eq!(durations.quantile(share), Duration::from_micros(micros), "{share}");
        }
        assert_eq!((durations.count, Durations::default().quantile(0.5)), (8, Duration::ZERO));
    }
}
