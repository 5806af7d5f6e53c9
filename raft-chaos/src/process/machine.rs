//! The machine of a server: its disk and its clock, as the plan has them. The server has both itself, is told what is wrong with
//! them, and says what comes of it.

use raft_storage::DiskFaults;

use crate::node::{Condition, Happening, NodeEvent};
use crate::sim::{Clock, ClockFaultId, Disk, Off};

/// The machine of a server.
pub(super) struct Machine {
    disk: DiskFaults,
    clock: Clock,
}

impl Machine {
    pub(super) fn new(disk: &Disk, clock: Clock) -> Self {
        clock.is_followed();
        Self { disk: disk.faults.clone(), clock }
    }

    /// All that is wrong with it now.
    pub(super) fn condition(&self) -> Condition {
        Condition { disk: self.disk.in_force(), clock: self.clock.faults() }
    }

    /// By how much its clock runs faster without any fault, in millionths.
    pub(super) fn faster_ppm(&self) -> u32 {
        self.clock.faster_ppm()
    }

    /// The server says what came of what is wrong with it.
    pub(super) fn hear(&self, happening: &Happening) {
        let Happening::Node(event) = happening else { return };
        if let NodeEvent::CallTouched { fault, touched } = event {
            self.disk.has_touched(*fault, *touched);
        }
        if let NodeEvent::ClockOff { fault, monotonic_ns, wall_ns } = event {
            let off = Off { monotonic: *monotonic_ns, wall: *wall_ns };
            self.clock.is_told(ClockFaultId(*fault), off);
        }
    }
}
