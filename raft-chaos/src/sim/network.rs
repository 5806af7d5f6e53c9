//! The links between the servers: how long a message takes, and which directions are cut. What else the plan does to
//! messages is in `links.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use raft_core::{NodeId, Rng, Time};
use raft_net::Fate;

use super::links::LinkFaults;
use crate::mix::mix;
use crate::plan::Link;

/// A direction, from and to.
pub(super) type Direction = (NodeId, NodeId);

/// All links, each direction by itself.
pub(super) struct Network {
    cuts: BTreeMap<Direction, Cut>,
    latency: Link,
    rng: Rng,
    pub(super) faults: LinkFaults,
}

#[derive(Clone, Copy, Debug, Default)]
struct Cut {
    /// Cuts add up: a direction is whole when none is left on it.
    depth: u32,
    /// How many messages of the protocol met a cut, and how many hellos: whoever dials wants to talk.
    met: u64,
}

impl Network {
    pub(super) fn new(latency: Link, seed: u64) -> Self {
        let faults = LinkFaults::new(mix(seed, "links"));
        Self { cuts: BTreeMap::new(), latency, rng: Rng::new(seed), faults }
    }

    /// Cuts the directions once more, or once less.
    pub(super) fn cut(&mut self, directions: impl IntoIterator<Item = Direction>, on: bool) {
        for direction in directions {
            let cut = self.cuts.entry(direction).or_default();
            cut.depth = if on { cut.depth + 1 } else { cut.depth.saturating_sub(1) };
        }
    }

    /// The directions that are cut.
    pub(super) fn cut_directions(&self) -> BTreeSet<Direction> {
        self.cuts.iter().filter(|(_, cut)| cut.depth > 0).map(|(&direction, _)| direction).collect()
    }

    /// The directions that are cut, or on which the plan does anything else to messages.
    pub(super) fn faulty_directions(&self) -> BTreeSet<Direction> {
        let mut faulty = self.cut_directions();
        faulty.extend(self.faults.directions());
        faulty
    }

    /// How many messages and hellos have met a cut so far, on each of these.
    pub(super) fn met(&self, directions: &BTreeSet<Direction>) -> BTreeMap<Direction, u64> {
        directions.iter().map(|link| (*link, self.cuts.get(link).map_or(0, |cut| cut.met))).collect()
    }

    /// Whether a frame of this kind is lost. A link that is cut in one direction only is a link that loses
    /// messages: what keeps the connection of the whole direction alive passes, as TCP's own
    /// acknowledgements are not messages.
    pub(super) fn loses(&mut self, from: NodeId, to: NodeId, kind: &str) -> bool {
        let back = self.cuts.get(&(to, from)).is_some_and(|cut| cut.depth > 0);
        let upkeep = is_upkeep(kind);
        match self.cuts.get_mut(&(from, to)) {
            Some(cut) if cut.depth > 0 && (back || !upkeep) => {
                cut.met += u64::from(!upkeep || kind == "hello");
                true
            }
            Some(_) | None => false,
        }
    }

    /// What happens to a frame that is not lost at a cut.
    pub(super) fn fate(&mut self, direction: Direction, kind: &str, bytes: usize, now: Time) -> Fate {
        let delay = self.delay();
        self.faults.fate(direction, (kind, bytes), delay, now)
    }

    /// How long the next message takes.
    fn delay(&mut self) -> Duration {
        let Link { delay, jitter, tail } = &self.latency;
        let mut delay = *delay + self.rng.duration((Duration::ZERO, *jitter));
        if let Some((more, share)) = tail
            && self.rng.below(1_000_000) < u64::from(share.ppm())
        {
            delay += *more;
        }
        delay
    }
}

/// Whether a frame of this kind keeps a connection alive, and is no message of the protocol.
pub(super) fn is_upkeep(kind: &str) -> bool {
    matches!(kind, "hello" | "hello-refused" | "ping" | "pong")
}
