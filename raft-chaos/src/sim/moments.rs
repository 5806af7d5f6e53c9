//! Moments inside servers that events of the plan wait for: who is held at one until it was judged.

use std::collections::{BTreeMap, BTreeSet};

use raft_core::{Event, NodeId, SnapshotId};

use crate::plan::Moment;

/// A moment that came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Came {
    pub(super) moment: Moment,
    /// Where.
    pub(super) node: NodeId,
    /// Of pieces of a snapshot: the number of this one in its transfer, from 1.
    pub(super) chunk: u64,
}

/// The moments of all servers.
#[derive(Default)]
pub(super) struct Moments {
    /// Those that an event waits for.
    armed: BTreeSet<Moment>,
    came: Vec<Came>,
    held: BTreeSet<NodeId>,
    /// The last piece of each transfer, by kind, server and its peer: of which snapshot, where it begins,
    /// and its number.
    transfers: BTreeMap<(Moment, NodeId, NodeId), (SnapshotId, u64, u64)>,
}

impl Moments {
    /// From now on servers are held at these moments.
    pub(super) fn arm(&mut self, moments: BTreeSet<Moment>) {
        self.armed = moments;
    }

    /// Something happened inside a server. If an event waits for it, the server is held.
    pub(super) fn observe(&mut self, node: NodeId, event: &Event) {
        let Some(moment) = Moment::of(node, event) else { return };
        let chunk = if let Event::ChunkSent { follower: peer, snapshot, offset }
        | Event::ChunkReceived { leader: peer, snapshot, offset } = *event
        {
            self.number((moment, node, peer), snapshot, offset)
        } else {
            0
        };
        self.come(node, moment, chunk);
    }

    /// A moment came on a server.
    pub(super) fn come(&mut self, node: NodeId, moment: Moment, chunk: u64) {
        self.come_by(node, node, moment, chunk);
    }

    /// A moment came on a server by what happened inside another, which is held.
    pub(super) fn come_by(&mut self, held: NodeId, node: NodeId, moment: Moment, chunk: u64) {
        if self.armed.contains(&moment) {
            self.came.push(Came { moment, node, chunk });
            self.held.insert(held);
        }
    }

    /// The number of a piece in its transfer. One that is sent again keeps its number.
    fn number(&mut self, transfer: (Moment, NodeId, NodeId), snapshot: SnapshotId, offset: u64) -> u64 {
        let last = self.transfers.get(&transfer).copied().filter(|(of, ..)| *of == snapshot);
        let number = match last {
            Some((_, at, number)) if offset > 0 => number + u64::from(offset > at),
            Some(_) | None => 1,
        };
        self.transfers.insert(transfer, (snapshot, offset, number));
        number
    }

    /// What came since the last time, in order.
    pub(super) fn take(&mut self) -> Vec<Came> {
        std::mem::take(&mut self.came)
    }

    /// Whoever is held goes on.
    pub(super) fn release(&mut self) {
        self.held.clear();
    }

    pub(super) fn holds(&self, node: NodeId) -> bool {
        self.held.contains(&node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_held_where_an_event_waits_and_pieces_are_counted() {
        let (one, two) = (NodeId::new(1), NodeId::new(2));
        let piece = |offset| Event::ChunkReceived { leader: two, snapshot: SnapshotId::default(), offset };
        let mut moments = Moments::default();
        moments.observe(one, &piece(0));
        assert!(moments.take().is_empty() && !moments.holds(one), "nobody waits yet");
        moments.arm(BTreeSet::from([Moment::ChunkReceived]));
        [piece(10), piece(10), piece(20), piece(0)].iter().for_each(|piece| moments.observe(one, piece));
        let numbers: Vec<_> = moments.take().iter().map(|came| came.chunk).collect();
        assert_eq!(numbers, [2, 2, 3, 1]);
        assert!(moments.holds(one) && !moments.holds(two));
        moments.release();
        assert!(!moments.holds(one));
    }
}
