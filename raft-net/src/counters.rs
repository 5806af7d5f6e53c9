//! What became of messages, in numbers.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::NetError;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// What has been counted so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }
}

/// What became of the messages of one server, since its transport was started. Each number grows by
/// itself; read together they are not one moment's picture.
#[derive(Debug, Default)]
pub struct Counters {
    /// Messages given to a connection. Whether they arrive, nobody knows.
    pub sent: Count,
    /// Messages that came in whole, from a server that belongs here.
    pub received: Count,
    /// Messages dropped because their peer's queue was full.
    pub dropped_queue_full: Count,
    /// Messages dropped because their peer is not known, or could not be reached while they waited.
    pub dropped_unreachable: Count,
    /// Messages dropped because they do not fit into a frame.
    pub dropped_too_long: Count,
    /// Frames of any kind that [`Links`](crate::Links) lost, at either end.
    pub dropped_by_link: Count,
    /// Messages dropped because the node did not take them as fast as they came.
    pub dropped_inbox_full: Count,
    /// Attempts to connect to a peer, for messages or for snapshots.
    pub dials: Count,
    /// Connections that were turned away, or had to give way to others, because there were too many.
    pub connections_turned_away: Count,
    /// Connections dropped because of what came in: torn, damaged, of another version, out of place.
    pub connections_refused: Count,
    /// Handshakes that this server or its peer refused, and requests of clients that have not the role for them, each
    /// with a reason.
    pub handshakes_refused: Count,
    refusals: Mutex<Refusals>,
}

impl Counters {
    /// Why the last handshake was refused, in words, whichever side refused it.
    pub fn last_refusal(&self) -> Option<String> {
        self.refusals().0.back().map(|(reason, _)| reason.clone())
    }

    /// Notes why a connection ended.
    pub(crate) fn ended(&self, result: Result<(), NetError>) {
        match result {
            Err(error @ NetError::Insecure { .. }) => self.refused(&error.to_string()),
            Err(error) if error.is_about_bytes() => {
                tracing::warn!(reason = %error, "a connection is dropped");
                self.connections_refused.add(1);
            }
            Ok(()) | Err(_) => {}
        }
    }

    /// Notes why one end did not want the other, for those who count and for those who read.
    ///
    /// Who is refused comes again, many times a second: only the first of so many is worth a line.
    pub(crate) fn refused(&self, reason: &str) {
        self.handshakes_refused.add(1);
        let times = self.refusals().once_more(reason);
        if times.is_power_of_two() {
            tracing::warn!(reason, times, "a connection is refused");
        }
    }

    /// Notes that there was no room for somebody. Who is turned away comes again, so that each of them is no matter for a log.
    pub(crate) fn turned_away(&self, reason: &str) {
        tracing::debug!(reason, "a connection is turned away");
        self.connections_turned_away.add(1);
        self.refusals().once_more(reason);
    }

    fn refusals(&self) -> MutexGuard<'_, Refusals> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many reasons are told apart; of one that has not been given for longest it is forgotten how often it was.
const REASONS_MAX: usize = 16;

/// Why connections were refused, and how often for that reason; the last one last.
#[derive(Debug, Default)]
struct Refusals(VecDeque<(String, u64)>);

impl Refusals {
    /// How often it was for this reason by now.
    fn once_more(&mut self, reason: &str) -> u64 {
        let known = self.0.iter().position(|(known, _)| known == reason);
        let (reason, times) =
            known.and_then(|place| self.0.remove(place)).unwrap_or_else(|| (reason.to_owned(), 0));
        if self.0.len() >= REASONS_MAX {
            self.0.pop_front();
        }
        self.0.push_back((reason, times + 1));
        times + 1
    }
}

#[cfg(feature = "prometheus")]
impl prometheus_client::collector::Collector for Counters {
    fn encode(&self, encoder: prometheus_client::encoding::DescriptorEncoder<'_>) -> std::fmt::Result {
        let mut page = raft_core::exposition::Exposition::from(encoder);
        page.counter("raft_net_sent", "Messages given to a connection.", self.sent.get())?;
        page.counter("raft_net_received", "Messages that came in whole.", self.received.get())?;
        page.counters(
            ("raft_net_dropped", "reason"),
            "Messages that were dropped; the protocol sends again what still matters.",
            [
                ("queue-full", self.dropped_queue_full.get()),
                ("unreachable", self.dropped_unreachable.get()),
                ("too-long", self.dropped_too_long.get()),
                ("link", self.dropped_by_link.get()),
                ("inbox-full", self.dropped_inbox_full.get()),
            ],
        )?;
        page.counter("raft_net_dials", "Attempts to connect to another server.", self.dials.get())?;
        page.counters(
            ("raft_net_connections_refused", "reason"),
            "Connections that were turned away or dropped: there were too many, what came in made no sense, or one end did not want \
             the other.",
            [
                ("too-many", self.connections_turned_away.get()),
                ("bytes", self.connections_refused.get()),
                ("handshake", self.handshakes_refused.get()),
            ],
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two servers of another cluster dial, in turns and for ever.
    #[test]
    fn each_reason_is_counted_by_itself() {
        let counters = Counters::default();
        let mut refusals = Refusals::default();
        for times in 1..=1000 {
            for reason in ["n1 is a stranger", "n2 is a stranger"] {
                counters.refused(reason);
                assert_eq!(counters.last_refusal().as_deref(), Some(reason));
                assert_eq!(refusals.once_more(reason), times);
            }
        }
        assert_eq!(counters.handshakes_refused.get(), 2000);
        let strangers = (0..2 * REASONS_MAX).map(|stranger| refusals.once_more(&stranger.to_string()));
        assert_eq!(strangers.max(), Some(1));
        assert_eq!(refusals.0.len(), REASONS_MAX);
        assert_eq!(refusals.once_more("n1 is a stranger"), 1, "it was forgotten");
    }
}
