//! What became of messages, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

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
    /// Connections that were turned away at once, because there were too many.
    pub connections_turned_away: Count,
    /// Connections dropped because of what came in: torn, damaged, of another version, out of place.
    pub connections_refused: Count,
    /// Handshakes that this server or its peer refused, and requests of clients that have not the role for them, each
    /// with a reason.
    pub handshakes_refused: Count,
    last_refusal: Mutex<Option<String>>,
}

impl Counters {
    /// Why the last handshake was refused, in words, whichever side refused it.
    pub fn last_refusal(&self) -> Option<String> {
        self.last_refusal.lock().unwrap_or_else(PoisonError::into_inner).clone()
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
    pub(crate) fn refused(&self, reason: &str) {
        tracing::warn!(reason, "a connection is refused");
        self.handshakes_refused.add(1);
        *self.last_refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
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
