//! What is done to clocks.

use std::time::Duration;

use raft_core::{NodeId, Time};

use super::super::clock::{ClockFaultId, Off};
use super::super::evidence::{self, Evidence};
use super::{Begun, Faults, Kind, list};
use crate::plan::{ClockFault, Target, View};

/// By how much a clock may be off where progress is owed.
const CLOCK_ERROR_MAX: Duration = Duration::from_secs(1);

/// A clock that a fault has set off, and how far off it was before.
pub(super) struct SetOff {
    node: NodeId,
    id: Option<ClockFaultId>,
    before: Off,
}

impl Faults {
    pub(super) fn clock(
        &mut self,
        view: &View,
        target: &Target,
        fault: ClockFault,
        now: Time,
    ) -> Option<Begun> {
        let nodes = target.resolve(view, &mut |n| self.rng.below(n))?;
        let set_off = |node: NodeId| {
            let clock = self.machines.clock(node)?;
            let before = clock.off(elapsed(now));
            let id = (!self.is_idle("clock")).then(|| clock.begin(elapsed(now), fault));
            Some(SetOff { node, id, before })
        };
        let running = self.machines.running(&nodes);
        let clocks: Vec<_> = running.iter().filter_map(|life| set_off(life.node)).collect();
        Some(Begun {
            does: format!("does {fault} to the clocks of {}", list(clocks.iter().map(|clock| clock.node))),
            evidence: Evidence::ClocksOff(Default::default()),
            kind: Some(Kind::Off { clocks }),
            acted_on: nodes,
        })
    }

    /// By how much clocks are off that were not before.
    pub(super) fn off(&self, clocks: &[SetOff]) -> Evidence {
        let off = |set: &SetOff| {
            let off = self.machines.clock(set.node)?.off(elapsed(self.world.now()));
            let wall_us = (off.wall - set.before.wall) / 1_000;
            let monotonic_us = (off.monotonic - set.before.monotonic) / 1_000;
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

    /// Notes whose clock is off by more than is allowed where progress is owed.
    pub(super) fn look_at_clocks(&self, now: Time) {
        for (node, clock) in self.machines.clocks() {
            let off = Duration::from_nanos(clock.off(elapsed(now)).wall.unsigned_abs());
            self.world.clock_is_off(node, off > CLOCK_ERROR_MAX);
        }
    }
}

fn elapsed(now: Time) -> Duration {
    Duration::from_nanos(now.as_nanos())
}
