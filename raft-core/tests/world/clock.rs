//! A server's clock, which need not go at the world's rate.

use raft_core::Time;

/// Nanoseconds on a clock in a million of the world's.
const EVEN: u64 = 1_000_000;

/// The time on it, at a moment of the world, and its rate since then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    set: u64,
    told: Time,
    rate: u64,
}

impl Default for Clock {
    fn default() -> Self {
        Self { set: 0, told: Time::ZERO, rate: EVEN }
    }
}

impl Clock {
    /// What it tells at a moment of the world.
    pub(super) fn at(&self, now: u64) -> Time {
        let gone = u128::from(now - self.set) * u128::from(self.rate) / u128::from(EVEN);
        Time::from_nanos(self.told.as_nanos() + u64::try_from(gone).unwrap())
    }

    /// From `now` on it is faster than the world by that many parts in a million.
    pub(super) fn drift(&mut self, now: u64, ppm: u64) {
        *self = Self { set: now, told: self.at(now), rate: EVEN + ppm };
    }

    /// The first moment of the world at which it tells `time`.
    pub(super) fn tells(&self, time: Time) -> u64 {
        let left = u128::from(time.as_nanos().saturating_sub(self.told.as_nanos()));
        let wait = (left * u128::from(EVEN)).div_ceil(u128::from(self.rate));
        self.set.saturating_add(u64::try_from(wait).unwrap_or(u64::MAX))
    }
}
