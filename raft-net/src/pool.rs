//! Connections that nobody uses at the moment.

use std::collections::VecDeque;
use std::time::Duration;

use raft_core::Time;

/// How long a connection is kept that nobody uses: well below the time after which a server closes it
/// ([`PeersConfig::client_idle`](crate::PeersConfig::client_idle)).
const IDLE: Duration = Duration::from_secs(60);
/// How many are kept.
const IDLE_MAX: usize = 256;

/// Connections, and since when nobody uses them: the longest unused first.
#[derive(Debug)]
pub(crate) struct Pool<C>(VecDeque<(C, Time)>);

impl<C> Pool<C> {
    pub(crate) const fn new() -> Self {
        Self(VecDeque::new())
    }

    /// Nobody uses this one any more.
    pub(crate) fn put(&mut self, connection: C, now: Time) {
        self.forget_old(now);
        if self.0.len() >= IDLE_MAX {
            self.0.pop_front();
        }
        self.0.push_back((connection, now));
    }

    /// The one that was used last, as the others may go then.
    pub(crate) fn take(&mut self, now: Time) -> Option<C> {
        self.forget_old(now);
        self.0.pop_back().map(|(connection, _)| connection)
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    fn forget_old(&mut self, now: Time) {
        while self.0.front().is_some_and(|(_, since)| now.since(*since) > IDLE) {
            self.0.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_used_goes() {
        let at = |seconds| Time::ZERO.after(Duration::from_secs(seconds));
        let mut pool = Pool::new();
        for (connection, seconds) in [("a", 0), ("b", 30), ("c", 40)] {
            pool.put(connection, at(seconds));
        }
        assert_eq!(pool.take(at(60)), Some("c"));
        assert_eq!(pool.take(at(61)), Some("b"));
        assert_eq!(pool.take(at(61)), None, "a has gone");
        pool.put("d", at(61));
        pool.put("e", at(122));
        assert_eq!((pool.take(at(122)), pool.take(at(122))), (Some("e"), None));
    }

    #[test]
    fn only_so_many_are_kept() {
        let mut pool = Pool::new();
        (0..=IDLE_MAX).for_each(|connection| pool.put(connection, Time::ZERO));
        let kept: Vec<_> = std::iter::from_fn(|| pool.take(Time::ZERO)).collect();
        assert_eq!((kept.len(), kept.last()), (IDLE_MAX, Some(&1)));
    }
}
