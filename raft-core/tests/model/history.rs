//! The properties of Figure 3, over the states of a model. They share nothing with `figure3.rs`, which watches
//! events: two that judge alike are worth more than one.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use raft_core::conformance::Specification;
use raft_core::figure3::Figure3;
use raft_core::{EntryId, Event, LogIndex, NodeId, Restored, Term};

use crate::server::Server;

/// What was, and can be seen in no state any more. It is part of the state.
#[derive(Clone, Default)]
pub(crate) struct History {
    /// Sorted.
    leaders: Vec<(Term, NodeId)>,
    /// What some server had committed, with its checksum, and the term in which the first one had; sorted.
    committed: Vec<(LogIndex, EntryId, u32, Term)>,
    /// What a server or a judge of events found.
    pub(crate) wrong: Option<String>,
}

impl History {
    /// A server has done something; this was committed there before.
    pub(crate) fn watch(history: &mut Arc<Self>, server: &Server, committed_before: LogIndex) {
        let raft = &server.raft;
        let term = raft.current_term();
        if server.leads()
            && let Err(place) = history.leaders.binary_search(&(term, raft.id()))
        {
            Arc::make_mut(history).leaders.insert(place, (term, raft.id()));
        }
        for index in committed_before.get() + 1..=raft.commit_index().get() {
            let index = LogIndex::new(index);
            let Some(entry) = server.entry(index) else {
                let wrong = format!("{} has committed {index} and does not have it", raft.id());
                Arc::make_mut(history).wrong = Some(wrong);
                return;
            };
            let name = (index, entry.id, entry.checksum);
            let place = history.committed.partition_point(|&(index, id, sum, _)| (index, id, sum) < name);
            let known = history.committed.get(place);
            if known.is_none_or(|&(index, id, sum, _)| (index, id, sum) != name) {
                let committed = &mut Arc::make_mut(history).committed;
                committed.insert(place, (index, entry.id, entry.checksum, term));
            }
        }
    }

    /// Feeds what tells two states apart.
    pub(crate) fn hash_state(&self, name: &dyn Fn(NodeId) -> NodeId, hasher: &mut impl Hasher) {
        for (term, leader) in &self.leaders {
            (term, name(*leader)).hash(hasher);
        }
        (&self.committed, self.wrong.is_some()).hash(hasher);
    }

    /// Election Safety: at most one leader a term.
    pub(crate) fn election_safety(&self) -> bool {
        self.leaders.is_sorted_by(|(one, _), (other, _)| one < other)
    }

    /// State Machine Safety: at most one entry is committed at an index.
    pub(crate) fn state_machine_safety(&self) -> bool {
        self.committed.is_sorted_by(|(one, ..), (other, ..)| one < other)
    }

    /// Leader Completeness: what was committed is in the log of every leader of a later term.
    pub(crate) fn leader_completeness(&self, servers: &[Arc<Server>]) -> bool {
        servers.iter().filter(|server| server.leads()).all(|leader| {
            let earlier = self.committed.iter().filter(|(.., term)| *term < leader.raft.current_term());
            earlier.into_iter().all(|&(index, id, checksum, _)| {
                leader.entry(index).is_some_and(|entry| (entry.id, entry.checksum) == (id, checksum))
            })
        })
    }

    /// Whether there was a leader in this term.
    pub(crate) fn was_led(&self, term: u64) -> bool {
        self.leaders.iter().any(|(led, _)| led.get() == term)
    }

    /// Whether an entry of this term was committed.
    pub(crate) fn has_committed(&self, term: u64) -> bool {
        self.committed.iter().any(|(_, id, ..)| id.term.get() == term)
    }

    /// Whether an entry was committed in a later term than its own.
    pub(crate) fn has_committed_later(&self) -> bool {
        self.committed.iter().any(|(_, id, _, term)| id.term < *term)
    }
}

/// Log Matching: two logs that share an entry are the same up to it.
pub(crate) fn log_matching(servers: &[Arc<Server>]) -> bool {
    servers.iter().enumerate().all(|(place, one)| {
        servers[place + 1..].iter().all(|other| {
            let (one, other) = (one.written.entries(), other.written.entries());
            let shared = one.iter().zip(other).rposition(|(one, other)| one.id == other.id);
            shared.is_none_or(|last| one[..=last] == other[..=last])
        })
    })
}

/// The judges of events: they know one way to a state and are no part of it. So they see every step that is
/// taken, and need not see all that lead to a state that was known.
#[derive(Clone)]
pub(crate) struct Judges {
    figure3: Figure3,
    specification: Specification,
}

impl Judges {
    pub(crate) fn new(voters: &[NodeId]) -> Self {
        Self { figure3: Figure3::new(voters.to_vec()), specification: Specification::new(voters.to_vec()) }
    }

    pub(crate) fn started(&mut self, id: NodeId, restored: &Restored) -> Result<(), String> {
        self.figure3.started(id, restored).map_err(|broken| broken.to_string())?;
        self.specification.started(id, restored).map_err(|refused| refused.to_string())
    }

    pub(crate) fn observe(&mut self, id: NodeId, event: &Event) -> Result<(), String> {
        self.figure3.observe(id, event).map_err(|broken| broken.to_string())?;
        self.specification.observe(id, event).map_err(|refused| refused.to_string())
    }
}
