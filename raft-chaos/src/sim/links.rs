//! What the plan does to messages on their way, each by itself.
//!
//! Faults add up: a message meets each that is in force on its direction. What keeps connections alive is slowed with
//! all else, and held where both directions are; it is never lost, repeated, overtaken or changed, as TCP would not.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use raft_core::{Rng, Time};
use raft_net::{Bent, Fate};

use super::network::{Direction, is_upkeep};
use crate::plan::{LinkFault, Share};

/// What waits longer than that to be carried by a slow link is lost: no queue is endless.
const QUEUE_MAX: Duration = Duration::from_secs(1);

/// Names a fault of links.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LinkFaultId(u64);

/// All faults of links that are in force.
pub(super) struct LinkFaults {
    in_force: BTreeMap<LinkFaultId, InForce>,
    begun: u64,
    rng: Rng,
}

struct InForce {
    directions: BTreeSet<Direction>,
    fault: LinkFault,
    /// As it was drawn.
    delay: Duration,
    /// When a slow link has carried what it was given.
    free_at: BTreeMap<Direction, Time>,
    /// How many messages were touched, by what was done to them.
    touched: BTreeMap<&'static str, u64>,
}

impl LinkFaults {
    pub(super) const fn new(seed: u64) -> Self {
        Self { in_force: BTreeMap::new(), begun: 0, rng: Rng::new(seed) }
    }

    pub(super) fn begin(
        &mut self,
        directions: BTreeSet<Direction>,
        fault: LinkFault,
        delay: Duration,
    ) -> LinkFaultId {
        self.begun += 1;
        let id = LinkFaultId(self.begun);
        let (free_at, touched) = (BTreeMap::new(), BTreeMap::new());
        self.in_force.insert(id, InForce { directions, fault, delay, free_at, touched });
        id
    }

    pub(super) fn end(&mut self, id: LinkFaultId) {
        self.in_force.remove(&id);
    }

    /// How many messages a fault in force has touched, by what was done to them.
    pub(super) fn touched(&self, id: LinkFaultId) -> BTreeMap<&'static str, u64> {
        self.in_force.get(&id).map(|fault| fault.touched.clone()).unwrap_or_default()
    }

    /// The directions that a fault in force is on.
    pub(super) fn directions_of(&self, id: LinkFaultId) -> Vec<Direction> {
        self.in_force.get(&id).map(|fault| fault.directions.iter().copied().collect()).unwrap_or_default()
    }

    /// The directions on which anything is done.
    pub(super) fn directions(&self) -> impl Iterator<Item = Direction> {
        self.in_force.values().flat_map(|fault| &fault.directions).copied()
    }

    /// Whether messages of this kind stay where they are.
    pub(super) fn holds(&self, direction: Direction, kind: &str) -> bool {
        self.in_force.values().any(|fault| fault.holds(direction, kind))
    }

    /// What happens to a frame that takes `delay` without faults.
    pub(super) fn fate(
        &mut self,
        direction: Direction,
        (kind, bytes): (&str, usize),
        delay: Duration,
        now: Time,
    ) -> Fate {
        let mut bent = Bent { delay, ..Bent::default() };
        let rng = &mut self.rng;
        for fault in self.in_force.values_mut().filter(|fault| fault.meets(direction, kind)) {
            if fault.holds(direction, kind) {
                fault.touch("stall");
                return Fate::Held;
            }
            let is_message = !is_upkeep(kind);
            if is_message && fault.draws("loss", fault.fault.loss, rng) {
                return Fate::Drop;
            }
            if is_message && fault.draws("reset", fault.fault.reset, rng) {
                return Fate::Reset;
            }
            let more = fault.takes_longer(direction, bytes, now, rng);
            if is_message && more.is_none() {
                return Fate::Drop;
            }
            let more = more.unwrap_or(QUEUE_MAX);
            if fault.fault.only.is_empty() {
                bent.delay += more;
            } else if !more.is_zero() {
                bent.overtaken = Some(bent.overtaken.unwrap_or_default() + more);
            }
            if is_message {
                fault.bend(&mut bent, rng);
            }
        }
        if bent == (Bent { delay: bent.delay, ..Bent::default() }) {
            return Fate::Deliver { delay: bent.delay };
        }
        Fate::Bent(bent)
    }
}

impl InForce {
    fn meets(&self, direction: Direction, kind: &str) -> bool {
        self.directions.contains(&direction) && self.fault.meets(kind)
    }

    fn holds(&self, direction: Direction, kind: &str) -> bool {
        let (from, to) = direction;
        let both_ways = self.directions.contains(&(to, from));
        self.fault.stall && self.meets(direction, kind) && (both_ways || !is_upkeep(kind))
    }

    fn touch(&mut self, what: &'static str) {
        *self.touched.entry(what).or_default() += 1;
    }

    /// Whether this message is one of a share, which then is noted.
    fn draws(&mut self, what: &'static str, share: Share, rng: &mut Rng) -> bool {
        let is_one = share != Share::default() && rng.below(1_000_000) < u64::from(share.ppm());
        if is_one {
            self.touch(what);
        }
        is_one
    }

    /// How much longer a frame takes; none if it is lost because too much waits before it.
    fn takes_longer(
        &mut self,
        direction: Direction,
        bytes: usize,
        now: Time,
        rng: &mut Rng,
    ) -> Option<Duration> {
        let mut longer = self.delay;
        if !longer.is_zero() {
            self.touch("delay");
        }
        if !self.fault.jitter.is_zero() {
            longer += rng.duration((Duration::ZERO, self.fault.jitter));
            self.touch("jitter");
        }
        let Some(rate) = self.fault.rate else { return Some(longer) };
        self.touch("rate");
        let nanos = bytes as u128 * 8 * 1_000_000_000 / u128::from(rate);
        let takes = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let free_at = self.free_at.entry(direction).or_insert(now);
        let begins = (*free_at).max(now);
        if begins.since(now) > QUEUE_MAX {
            return None;
        }
        *free_at = begins.after(takes);
        Some(longer + free_at.since(now))
    }

    /// Has a message overtaken, repeated or changed.
    fn bend(&mut self, bent: &mut Bent, rng: &mut Rng) {
        let held_back = (Duration::ZERO, self.fault.held_back(self.delay));
        if self.draws("duplicate", self.fault.duplicate, rng) {
            bent.again = Some(rng.duration(held_back));
        }
        if self.draws("reorder", self.fault.reorder, rng) {
            bent.overtaken = Some(bent.overtaken.unwrap_or_default() + rng.duration(held_back));
        }
        if self.draws("corrupt", self.fault.corrupt, rng) {
            bent.flipped = Some(rng.next_u64());
        }
    }
}

#[cfg(test)]
mod tests {
    use raft_core::NodeId;

    use super::*;
    use crate::plan::Only;

    const THERE: Direction = (NodeId::new(1), NodeId::new(2));
    const BACK: Direction = (NodeId::new(2), NodeId::new(1));
    const MS: Duration = Duration::from_millis(1);

    fn all() -> Share {
        Share::from_ppm(1_000_000).expect("a whole is a share")
    }

    fn fate(faults: &mut LinkFaults, direction: Direction, kind: &str) -> Fate {
        faults.fate(direction, (kind, 1_000), MS, Time::ZERO)
    }

    /// Each row: a fault of one direction, what becomes of a vote there, what of a ping, and what was touched.
    #[test]
    fn a_fault_meets_messages_in_its_direction_and_is_noted() {
        let fine = Fate::Deliver { delay: MS };
        let slow = Fate::Deliver { delay: MS * 9 };
        let none = LinkFault::default();
        for (fault, vote, ping, what, touched) in [
            (LinkFault { loss: all(), ..none.clone() }, Fate::Drop, fine, "loss", 1),
            (LinkFault { reset: all(), ..none.clone() }, Fate::Reset, fine, "reset", 1),
            (LinkFault { stall: true, ..none.clone() }, Fate::Held, fine, "stall", 1),
            (LinkFault { delay: (MS * 8, MS * 8), ..none.clone() }, slow, slow, "delay", 2),
            (LinkFault { loss: all(), only: vec![Only::Replies], ..none.clone() }, fine, fine, "loss", 0),
        ] {
            let mut faults = LinkFaults::new(1);
            let id = faults.begin(BTreeSet::from([THERE]), fault.clone(), fault.delay.0);
            assert_eq!([fate(&mut faults, THERE, "vote"), fate(&mut faults, THERE, "ping")], [vote, ping]);
            assert_eq!(fate(&mut faults, BACK, "vote"), fine, "{fault}");
            assert_eq!(faults.touched(id).get(what).copied().unwrap_or(0), touched, "{fault}");
            faults.end(id);
            assert_eq!(fate(&mut faults, THERE, "vote"), fine, "{fault} is over");
        }
    }

    /// Delays of two faults add up, and those of some messages only are apart from the rest.
    #[test]
    fn faults_add_up() {
        let mut faults = LinkFaults::new(1);
        let mut begin = |only| {
            let fault = LinkFault { delay: (MS * 5, MS * 5), only, ..LinkFault::default() };
            faults.begin(BTreeSet::from([THERE]), fault, MS * 5)
        };
        begin(vec![]);
        let second = begin(vec![Only::Requests]);
        let expected = Bent { delay: MS * 6, overtaken: Some(MS * 5), ..Bent::default() };
        assert_eq!(fate(&mut faults, THERE, "vote"), Fate::Bent(expected));
        assert_eq!(fate(&mut faults, THERE, "vote-reply"), Fate::Deliver { delay: MS * 6 });
        faults.end(second);
        assert_eq!(fate(&mut faults, THERE, "vote"), Fate::Deliver { delay: MS * 6 });
    }

    /// What goes over a slow link waits for what is before it, and is lost when too much is.
    #[test]
    fn a_slow_link_has_a_queue_that_ends() {
        let mut faults = LinkFaults::new(1);
        // A frame of these tests takes 400 ms.
        let fault = LinkFault { rate: Some(20_000), ..LinkFault::default() };
        faults.begin(BTreeSet::from([THERE]), fault, Duration::ZERO);
        let after = |ms| Fate::Deliver { delay: MS + Duration::from_millis(ms) };
        let fates = [(); 4].map(|()| fate(&mut faults, THERE, "append"));
        assert_eq!(fates, [after(400), after(800), after(1200), Fate::Drop]);
    }
}
