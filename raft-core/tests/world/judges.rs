//! Those who watch a world, and find what is wrong.

use std::collections::BTreeMap;
use std::fmt;

use raft_core::conformance::{Refused, Specification};
use raft_core::figure3::{Broken, Figure3, Property};
use raft_core::{Configuration, Event, LogIndex, NodeId, Restored};

/// What one of them found.
#[derive(Debug)]
pub(crate) enum Wrong {
    /// A property of Figure 3 does not hold.
    Broken(Broken),
    /// The specification does not allow a step.
    Refused(Refused),
    /// A read was answered from a state that lacks what a client knew before it asked.
    StaleRead { by: NodeId, known: LogIndex, seen: LogIndex },
}

impl Wrong {
    /// The property or the action.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Broken(broken) => broken.property.name(),
            Self::Refused(refused) => refused.action.name(),
            Self::StaleRead { .. } => "stale-read",
        }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(broken) => broken.fmt(f),
            Self::Refused(refused) => refused.fmt(f),
            Self::StaleRead { by, known, seen } => {
                write!(f, "stale read on {by}: it saw up to {seen}, and a client knew of {known}")
            }
        }
    }
}

/// All of them, or one alone.
pub(crate) struct Judges {
    pub(super) figure3: Option<Figure3>,
    pub(super) specification: Option<Specification>,
    /// The state that the state machines had at each index, by the first that got there.
    states: BTreeMap<LogIndex, (u64, NodeId)>,
}

impl Judges {
    pub(crate) fn all(first: Configuration) -> Self {
        Self { specification: Self::specification(first.clone()).specification, ..Self::figure3(first) }
    }

    /// Figure 3, whether the states of the state machines agree, and whether reads see them.
    pub(crate) fn figure3(first: Configuration) -> Self {
        let figure3 = Some(Figure3::new(first));
        Self { figure3, specification: None, states: BTreeMap::new() }
    }

    /// Nobody but the specification.
    pub(crate) fn specification(first: Configuration) -> Self {
        let specification = Some(Specification::new(first));
        Self { figure3: None, specification, states: BTreeMap::new() }
    }

    pub(super) fn started(&mut self, node: NodeId, restored: &Restored) -> Result<(), Wrong> {
        if let Some(figure3) = &mut self.figure3 {
            figure3.started(node, restored).map_err(Wrong::Broken)?;
        }
        if let Some(specification) = &mut self.specification {
            specification.started(node, restored).map_err(Wrong::Refused)?;
        }
        Ok(())
    }

    pub(super) fn observe(&mut self, node: NodeId, event: &Event) -> Result<(), Wrong> {
        if let Some(figure3) = &mut self.figure3 {
            figure3.observe(node, event).map_err(Wrong::Broken)?;
        }
        if let Some(specification) = &mut self.specification {
            specification.observe(node, event).map_err(Wrong::Refused)?;
        }
        Ok(())
    }

    /// A read was answered from this state, and a client knew of that entry before it asked.
    pub(super) fn read(&mut self, by: NodeId, known: LogIndex, seen: LogIndex) -> Result<(), Wrong> {
        if seen >= known || self.figure3.is_none() {
            return Ok(());
        }
        Err(Wrong::StaleRead { by, known, seen })
    }

    /// State machines that have applied as much are in the same state.
    pub(super) fn state(&mut self, node: NodeId, applied: LogIndex, state: u64) -> Result<(), Wrong> {
        let (known, first) = *self.states.entry(applied).or_insert((state, node));
        if known == state || self.figure3.is_none() {
            return Ok(());
        }
        let what = format!("their states differ after entry {applied}");
        Err(Wrong::Broken(Broken { property: Property::StateMachine, nodes: vec![first, node], what }))
    }
}
