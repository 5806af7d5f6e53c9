//! The machine of a node that is tested: its disk, and its clock. The tool that has started it says what is wrong with them, and
//! the node writes down what comes of that.

use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::Duration;

use raft_core::Time;
use raft_core::node::{Environment as _, LogStore, SystemEnvironment};
use raft_storage::{DiskFaults, FaultsInForce, FaultyStore, Opened, StorageError};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::unix::pipe;
use tokio::time::sleep;

use super::ended::Ended;
use super::environment::NodeEnvironment;
use super::events::{Events, NodeEvent};
use super::tested::Tested;
use crate::sim::{Clock, ClockFaults};

/// How often it is written down how far a clock is off that goes wrong.
const TELLING: Duration = Duration::from_millis(20);

/// All that is wrong with a machine on purpose.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Condition {
    /// With its disk, and the calls that that has touched.
    pub(crate) disk: FaultsInForce,
    /// With its clock.
    pub(crate) clock: ClockFaults,
}

impl Condition {
    /// Whether the same is wrong, whatever it has touched since.
    pub(crate) fn is_that_of(&self, other: &Self) -> bool {
        self.disk.keys().eq(other.disk.keys()) && self.clock.keys().eq(other.clock.keys())
    }
}

/// A handle on the machine.
#[derive(Clone)]
pub(super) struct Machine {
    disk: DiskFaults,
    clock: Clock,
    system: SystemEnvironment,
    events: Option<Arc<Events>>,
}

impl Machine {
    /// As it is when the node starts.
    pub(super) fn new(tested: &Tested, events: Option<Arc<Events>>) -> Self {
        let listener = events.clone();
        let disk = DiskFaults::new(tested.incarnation.0).heard_by(move |fault, touched| {
            if let Some(events) = &listener {
                events.tell(NodeEvent::CallTouched { fault, touched });
            }
        });
        let (clock, system) = (Clock::new(tested.faster_ppm), SystemEnvironment::new());
        let machine = Self { disk, clock, system, events };
        machine.is_in(tested.condition.clone());
        machine
    }

    /// What time it is on it.
    pub(super) fn environment(&self) -> NodeEnvironment {
        NodeEnvironment::new(self.system, Some(self.clock.clone()))
    }

    /// The same store, on its disk.
    pub(super) fn store<S: LogStore<Error = StorageError>>(&self, opened: Opened<S>) -> Opened<FaultyStore> {
        FaultyStore::over(opened, self.environment(), self.disk.clone())
    }

    /// Whether something was refused that is on its disk, and so its store is poisoned.
    pub(super) fn has_refused(&self) -> bool {
        self.disk.take_refused()
    }

    /// Hears from now on how it is: each line of standard input is all that is wrong with it. Nothing is once that ends, as
    /// when the tool does.
    ///
    /// # Errors
    ///
    /// Nobody writes there.
    pub(super) fn listen(self) -> Result<(), Ended> {
        let input = io::stdin().as_fd().try_clone_to_owned().and_then(pipe::Receiver::from_owned_fd);
        let input = input.map_err(|error| {
            Ended::unavailable(format!("tested: standard input is no pipe that a tool writes to: {error}"))
        })?;
        tokio::spawn(self.hear(input));
        Ok(())
    }

    async fn hear(self, input: pipe::Receiver) {
        let mut lines = BufReader::new(input).lines();
        let mut is_over = false;
        while !is_over {
            tokio::select! {
                biased;
                line = lines.next_line() => {
                    let condition = line.ok().flatten().and_then(|line| serde_json::from_str(&line).ok());
                    is_over = condition.is_none();
                    // Of what ends now, how far that has come.
                    self.tell_clock();
                    self.is_in(condition.unwrap_or_default());
                }
                () = sleep(TELLING), if !self.clock.faults().is_empty() => {}
            }
            self.tell_clock();
        }
    }

    fn is_in(&self, condition: Condition) {
        self.disk.follow(condition.disk);
        self.clock.follow(self.now(), &condition.clock);
    }

    fn now(&self) -> Duration {
        self.system.now().since(Time::ZERO)
    }

    fn tell_clock(&self) {
        let Some(events) = &self.events else { return };
        for fault in self.clock.faults().into_keys() {
            let off = self.clock.set_off(self.now(), fault);
            let (monotonic_ns, wall_ns) = (off.monotonic, off.wall);
            events.tell(NodeEvent::ClockOff { fault: fault.0, monotonic_ns, wall_ns });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use raft_storage::{DiskFault, SyncFault, Touched};

    use super::*;
    use crate::plan::ClockFault;

    /// What a line says is what was meant, and the same is wrong whatever was touched.
    #[test]
    fn a_condition_reads_back_as_what_it_was() {
        let (disk, clock) = (DiskFaults::new(0), Clock::new(0));
        let slow = SyncFault::Slow(Duration::from_millis(5));
        let fault = disk.begin(DiskFault { sync: Some(slow), calls: Some(9), ..DiskFault::default() });
        let off = ClockFault { drift_ppm: -20_000, jump_ns: i64::MIN };
        clock.follow(Duration::ZERO, &[(crate::sim::ClockFaultId(u64::MAX), off)].into());
        let condition = || Condition { disk: disk.in_force(), clock: clock.faults() };
        let before = condition();
        let json = serde_json::to_string(&before).unwrap();
        assert_eq!(serde_json::from_str::<Condition>(&json).unwrap(), before, "{json}");
        disk.has_touched(fault, Touched { syncs: 1, ..Touched::default() });
        assert!(condition() != before && condition().is_that_of(&before));
        disk.end(fault);
        assert!(!condition().is_that_of(&before));
    }
}
