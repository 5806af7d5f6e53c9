//! In which world servers live.

use super::{Plan, Run};

/// Where servers live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// In simulated hosts, in virtual time.
    Sim,
    /// In processes of this machine, in real time.
    Process,
    /// In simulated hosts with all seeds, and then in processes with the first.
    Both,
}

impl Mode {
    /// Its word in a plan.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sim => "sim",
            Self::Process => "process",
            Self::Both => "both",
        }
    }
}

/// The real world (`[process]`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Whether the directories of the servers of a run stay that does not pass.
    pub keep_data_on_failure: bool,
}

impl Plan {
    /// The same in another world.
    #[must_use]
    pub fn in_mode(&self, mode: Mode) -> Self {
        Self { run: Run { mode, ..self.run.clone() }, ..self.clone() }
    }
}
