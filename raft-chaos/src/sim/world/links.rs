//! What becomes of messages on their way.

use std::collections::BTreeSet;
use std::time::Duration;

use raft_core::{Envelope, NodeId};
use raft_net::Fate;

use super::super::links::LinkFaultId;
use super::super::network::{Direction, Network};
use super::World;
use crate::plan::LinkFault;

impl World {
    /// Cuts the links once more, or once less. Cuts add up.
    pub(in super::super) fn cut(&self, links: impl IntoIterator<Item = Direction>, on: bool) {
        let inner = &mut *self.lock();
        inner.version += 1;
        inner.network.cut(links, on);
    }

    pub(in super::super) fn network<T>(&self, work: impl FnOnce(&Network) -> T) -> T {
        work(&self.lock().network)
    }

    /// What happens to a frame on its way between two servers.
    pub(in super::super) fn fate(&self, from: NodeId, to: NodeId, kind: &'static str, bytes: usize) -> Fate {
        let inner = &mut *self.lock();
        let now = inner.now;
        let fate = if inner.network.loses(from, to, kind) {
            Fate::Drop
        } else {
            let fate = inner.network.fate((from, to), kind, bytes, now);
            inner.trace.message(from, to, kind, bytes, &fate);
            fate
        };
        inner.trace.messages(|messages| messages.sent(now, &fate));
        fate
    }

    /// The fate of this message is asked next.
    pub(in super::super) fn sends(&self, envelope: &Envelope) {
        let inner = &mut *self.lock();
        inner.windows.sends(envelope);
        inner.trace.messages(|messages| messages.says(envelope));
    }

    /// This message came in.
    pub(in super::super) fn receives(&self, envelope: &Envelope, lost: bool) {
        let inner = &mut *self.lock();
        let now = inner.now;
        if !lost {
            inner.windows.receives(envelope);
        }
        inner.trace.messages(|messages| messages.received(now, envelope, lost));
    }

    /// The most messages with entries that were on their way from one server to another at a time.
    pub(in super::super) fn appends_in_flight(&self) -> u64 {
        self.lock().windows.most()
    }

    /// Whether what has just come in was cut off on its way.
    pub(in super::super) fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        self.lock().network.loses(from, to, "message")
    }

    /// Does this to messages in these directions, with this delay for each.
    pub(in super::super) fn bend(
        &self,
        links: BTreeSet<Direction>,
        fault: LinkFault,
        delay: Duration,
    ) -> LinkFaultId {
        let inner = &mut *self.lock();
        inner.version += 1;
        inner.network.faults.begin(links, fault, delay)
    }

    /// Does it no more.
    pub(in super::super) fn straighten(&self, fault: LinkFaultId) {
        let inner = &mut *self.lock();
        inner.version += 1;
        inner.network.faults.end(fault);
    }
}
