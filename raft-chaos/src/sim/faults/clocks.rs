//! What is done to clocks.

use std::time::Duration;

use raft_core::{NodeId, Time};

use super::super::clock::{Clock, ClockFaultId};
use super::super::evidence::{self, Evidence};
use super::{Begun, Faults, Kind, list};
use crate::plan::ClockFault;

/// A clock that a fault has set off.
pub(super) struct SetOff {
    node: NodeId,
    id: Option<ClockFaultId>,
}

impl Faults {
    pub(super) fn clock(&mut self, nodes: Vec<NodeId>, fault: ClockFault, now: Time) -> Begun {
        let set_off = |node: NodeId| {
            let clock = self.machines.clock(node)?;
            let id = (!self.is_idle("clock")).then(|| clock.begin(elapsed(now), fault));
            Some(SetOff { node, id })
        };
        let running = self.machines.running(&nodes);
        let clocks: Vec<_> = running.iter().filter_map(|life| set_off(life.node)).collect();
        Begun {
            does: format!("does {fault} to the clocks of {}", list(clocks.iter().map(|clock| clock.node))),
            evidence: Evidence::ClocksOff(Default::default()),
            kind: Some(Kind::Off { clocks }),
            acted_on: nodes,
            ends: Vec::new(),
        }
    }

    /// By how much clocks are off for this alone.
    pub(super) fn off(&self, clocks: &[SetOff]) -> Evidence {
        let off = |set: &SetOff| {
            let (clock, now) = (self.machines.clock(set.node)?, elapsed(self.world.now()));
            let off = set.id.map(|id| clock.set_off(now, id)).unwrap_or_default();
            let (wall_us, monotonic_us) = (off.wall / 1_000, off.monotonic / 1_000);
            Some((set.node, evidence::Off { wall_us, monotonic_us }))
        };
        Evidence::ClocksOff(clocks.iter().filter_map(off).collect())
    }

    pub(super) fn put_right(&self, now: Time, clocks: Vec<SetOff>) -> String {
        for set in &clocks {
            if let (Some(clock), Some(id)) = (self.machines.clock(set.node), set.id) {
                clock.end(elapsed(now), id);
            }
        }
        format!("puts the clocks of {} right", list(clocks.into_iter().map(|set| set.node)))
    }

    /// By how much the clock is off that is most, or will be when all that was done to it ends.
    pub(super) fn clock_error(&self) -> Duration {
        let off =
            |clock: &Clock| Duration::from_nanos(clock.off(elapsed(self.world.now())).wall.unsigned_abs());
        let is = self.machines.clocks().map(|(_, clock)| off(clock)).max();
        let will_be = self.active.iter().map(|fault| fault.toll.clock_error).sum();
        is.unwrap_or_default().max(will_be)
    }

    /// Notes whose clock is off by more than is allowed where progress is owed.
    pub(super) fn look_at_clocks(&self, now: Time) {
        for (node, clock) in self.machines.clocks() {
            let off = Duration::from_nanos(clock.off(elapsed(now)).wall.unsigned_abs());
            self.world.clock_is_off(node, off > self.budget.max_clock_error);
        }
    }
}

fn elapsed(now: Time) -> Duration {
    Duration::from_nanos(now.as_nanos())
}
