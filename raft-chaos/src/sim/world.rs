//! What the simulated world knows: who runs, which links are cut, and everything that has happened.
//!
//! One thread runs a simulation; the lock is there because a node's parts must be `Send`.

mod clients;
mod disks;
mod leaders;
mod links;
mod members;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use raft_core::conformance::{Refused, Specification};
use raft_core::figure3::{Broken, Figure3};
use raft_core::node::NodeError;
use raft_core::sessions::Answer as SessionAnswer;
use raft_core::{
    Configuration, Envelope, Event, Incarnation, LogIndex, NodeId, Raft, Restored, RoleName, Snapshot, Term,
    Time,
};
use raft_storage::StorageError;
use tokio::sync::Notify;

use super::agreement::{Agreement, Disagreement};
use super::membership::Membership;
use super::moments::{Came, Moments};
use super::network::Network;
use super::servers::{self, Log, Server};
use super::tally::Tally;
use super::trace::{Happening, Trace};
use super::violation::Violation;
use super::window::Windows;
use crate::coverage::{Cell, Coverage};
use crate::data::Answer;
use crate::linearizable::TookEffect;
use crate::plan::{Link, Moment, View};

/// A handle on the world. Clones are handles on the same one.
#[derive(Clone)]
pub(crate) struct World {
    inner: Arc<Mutex<Inner>>,
    /// Wakes those who wait because their node is paused.
    resumed: Arc<Notify>,
}

struct Inner {
    now: Time,
    nodes: BTreeMap<NodeId, Server>,
    network: Network,
    figure3: Figure3,
    /// None once it has refused a step: what follows stands on that.
    specification: Option<Specification>,
    agreement: Agreement,
    moments: Moments,
    membership: Membership,
    tally: Tally,
    windows: Windows,
    coverage: Coverage,
    violations: Vec<Violation>,
    ended: Vec<(NodeId, String)>,
    /// The last that was elected leader of a term higher than all before, until it gives way.
    reigns: Option<(Term, NodeId)>,
    committed: LogIndex,
    last_commit: Time,
    /// Grows with every change of who runs, who is paused, what is cut and who leads.
    version: u64,
    trace: Trace,
    /// Whether all is heard of in the order in which it happens, so that it can be judged.
    in_order: bool,
}

impl World {
    pub(crate) fn new(nodes: &[NodeId], latency: Link, seed: u64, trace: Trace) -> Self {
        let inner = Inner {
            now: Time::ZERO,
            nodes: nodes.iter().map(|&id| (id, Server::new())).collect(),
            network: Network::new(latency, seed),
            figure3: Figure3::new(Configuration::default()),
            specification: None,
            agreement: Agreement::default(),
            moments: Moments::default(),
            membership: Membership::default(),
            tally: Tally::default(),
            windows: Windows::default(),
            coverage: Coverage::default(),
            violations: Vec::new(),
            ended: Vec::new(),
            reigns: None,
            committed: LogIndex::ZERO,
            last_commit: Time::ZERO,
            version: 0,
            trace,
            in_order: true,
        };
        Self { inner: Arc::new(Mutex::new(inner)), resumed: Arc::new(Notify::new()) }
    }

    /// A panic ends the process of a simulation, so nobody sees what it left half done.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_now(&self, now: Time) {
        self.lock().now = now;
    }

    pub(super) fn now(&self) -> Time {
        self.lock().now
    }

    pub(super) fn trace<T>(&self, work: impl FnOnce(&mut Trace) -> T) -> T {
        work(&mut self.lock().trace)
    }

    /// Notes what happened now.
    pub(super) fn happened(&self, happening: &Happening) {
        let inner = &mut *self.lock();
        inner.trace.push(inner.now, happening);
    }

    // --- who runs ---

    /// A server is being started: from now on it runs.
    pub(super) fn booted(&self, id: NodeId) {
        let inner = &mut *self.lock();
        inner.version += 1;
        if let Some(server) = inner.nodes.get_mut(&id) {
            server.running = true;
            server.life += 1;
            server.gave_out = false;
            server.stop = Arc::new(Notify::new());
            server.take_snapshot = Arc::new(Notify::new());
            server.asked = Arc::new(Notify::new());
        }
    }

    /// A server has opened its disk, which is in this life, and found this.
    pub(crate) fn started(&self, id: NodeId, incarnation: Incarnation, restored: &Restored) {
        let inner = &mut *self.lock();
        inner.version += 1;
        inner.bear_with_flipped_end(id, restored);
        if let Err(broken) = inner.figure3.started(id, restored) {
            inner.break_property(broken);
        }
        inner.specify(|specification| specification.started(id, restored));
        inner.membership.started(id, incarnation, restored);
        inner.find_lack(id, restored);
        let (last, term) = (restored.log.last(), restored.hard_state.current_term);
        if let Some(server) = inner.nodes.get_mut(&id) {
            server.is_in(term, RoleName::Follower);
            server.incarnation = Some(incarnation);
            server.snapshot = restored.snapshot.as_ref().map_or(LogIndex::ZERO, Snapshot::index);
            server.log = Log::found(restored);
            let life = server.life;
            inner.trace.push(inner.now, &Happening::Started { node: id, term, last, life });
        }
    }

    /// A server said in this one of its lives which versions of the conversation it speaks.
    pub(crate) fn spoke(&self, id: NodeId, life: u64, versions: String) {
        if let Some(server) = self.lock().nodes.get_mut(&id) {
            server.spoke.push((life, versions));
        }
    }

    /// A server no longer runs.
    pub(crate) fn gone(&self, id: NodeId, how: &str) {
        let inner = &mut *self.lock();
        inner.version += 1;
        let Some(server) = inner.nodes.get_mut(&id) else { return };
        // A pause ends with the life that was paused.
        (server.role, server.paused) = (RoleName::Follower, 0);
        if std::mem::take(&mut server.running) {
            inner.trace.push(inner.now, &Happening::Gone { node: id, how: how.to_owned() });
        }
    }

    /// A server has shut down in order.
    pub(crate) fn shut_down(&self, id: NodeId) {
        if let Some(server) = self.lock().nodes.get_mut(&id) {
            server.shut_down.push(server.life);
        }
        self.gone(id, "has shut down");
    }

    /// A server ended by itself.
    pub(super) fn ended(&self, id: NodeId, error: &NodeError<StorageError>) {
        // A contradiction that it found was heard as an event already.
        if !matches!(error, NodeError::Violation(_)) {
            self.lock().ended.push((id, error.to_string()));
        }
        self.gone(id, "ended by itself");
    }

    /// The process of a server ended by itself, over this.
    pub(crate) fn ended_over(&self, id: NodeId, why: String) {
        self.lock().ended.push((id, why));
        self.gone(id, "ended by itself");
    }

    /// Those that ended by themselves, and why.
    pub(super) fn ends(&self) -> Vec<(NodeId, String)> {
        self.lock().ended.clone()
    }

    pub(crate) fn server(&self, id: NodeId) -> Option<Server> {
        self.lock().nodes.get(&id).cloned()
    }

    pub(super) fn servers(&self) -> BTreeMap<NodeId, Server> {
        self.lock().nodes.clone()
    }

    // --- pauses and moments ---

    /// Pauses a server once more, or once less. Pauses add up.
    pub(super) fn pause(&self, id: NodeId, on: bool) {
        let inner = &mut *self.lock();
        inner.version += 1;
        if let Some(server) = inner.nodes.get_mut(&id) {
            server.paused = if on { server.paused + 1 } else { server.paused.saturating_sub(1) };
        }
        self.resumed.notify_waiters();
    }

    /// A server that is paused was seen to do nothing.
    pub(crate) fn is_halted(&self, id: NodeId) {
        if let Some(server) = self.lock().nodes.get_mut(&id) {
            server.held += 1;
        }
    }

    /// A server's clock is off by too much, or is not.
    pub(super) fn clock_is_off(&self, id: NodeId, off: bool) {
        let inner = &mut *self.lock();
        if let Some(server) = inner.nodes.get_mut(&id).filter(|server| server.clock_is_off != off) {
            server.clock_is_off = off;
            inner.version += 1;
        }
    }

    /// From now on servers are held at these moments.
    pub(super) fn arm(&self, moments: BTreeSet<Moment>) {
        self.lock().moments.arm(moments);
    }

    /// A server begins to sync its log.
    pub(super) fn syncs(&self, id: NodeId) {
        self.lock().moments.come(id, Moment::SyncBegun, 0);
    }

    /// The moments that came since the last time, in order. Their servers are held.
    pub(super) fn moments(&self) -> Vec<Came> {
        self.lock().moments.take()
    }

    /// Whoever is held at a moment goes on.
    pub(super) fn release(&self) {
        self.lock().moments.release();
        self.resumed.notify_waiters();
    }

    /// Waits while the server is paused, or held at a moment.
    pub(super) async fn while_paused(&self, id: NodeId) {
        while self.is_held(id) {
            self.resumed.notified().await;
        }
    }

    fn is_held(&self, id: NodeId) -> bool {
        let inner = &mut *self.lock();
        let Some(server) = inner.nodes.get_mut(&id).filter(|server| server.paused > 0) else {
            return inner.moments.holds(id);
        };
        server.held += 1;
        true
    }

    // --- what servers do ---

    pub(crate) fn observe(&self, id: NodeId, event: &Event) {
        let inner = &mut *self.lock();
        if let Err(broken) = inner.figure3.observe(id, event) {
            inner.break_property(broken);
        }
        inner.specify(|specification| specification.observe(id, event));
        inner.tally.count(event);
        inner.moments.observe(id, event);
        inner.observe_members(id, event);
        inner.observe_disk(id, event);
        inner.nodes.entry(id).and_modify(|server| server.log.observe(event));
        if let Event::Role { term, to, .. } = event {
            inner.role(id, *term, *to);
        }
        if let Event::SnapshotTaken { snapshot, .. }
        | Event::Installed { snapshot, .. }
        | Event::SnapshotFills { snapshot, .. } = event
            && let Some(server) = inner.nodes.get_mut(&id)
        {
            server.snapshot = snapshot.last_included.index;
        }
        if let Event::Committed { to, .. } = event
            && to.index > inner.committed
        {
            (inner.committed, inner.last_commit) = (to.index, inner.now);
        }
        inner.trace.push(inner.now, &Happening::Node { node: id, event: event.clone() });
    }

    /// A server applied an operation, with this answer; `state` names its state now.
    pub(crate) fn applied(&self, id: NodeId, operation: u64, answer: &Answer, state: u64) {
        let inner = &mut *self.lock();
        let agreed = inner.agreement.applied(id, operation, answer, state);
        inner.disagree(agreed);
    }

    /// A server whose clients have sessions applied the entry at `index`: this became of it, and `table` names all sessions
    /// now.
    pub(crate) fn in_sessions(
        &self,
        id: NodeId,
        index: LogIndex,
        table: u64,
        answer: Option<&SessionAnswer>,
    ) {
        let inner = &mut *self.lock();
        match inner.agreement.in_sessions(id, index, table) {
            Ok(is_first) => {
                answer.filter(|_| is_first).into_iter().for_each(|answer| inner.tally.count_answer(answer))
            }
            Err(disagreement) => inner.disagree(Err(disagreement)),
        }
    }

    /// A server became what a snapshot says: the last operation in it is the one at `index`.
    pub(crate) fn restored(&self, id: NodeId, index: LogIndex, state: u64) {
        let inner = &mut *self.lock();
        let agreed = inner.agreement.restored(id, index, state);
        inner.disagree(agreed);
    }

    /// A server answered a read from the state after the command at `index`.
    pub(crate) fn answered(&self, operation: u64, index: LogIndex) {
        self.lock().agreement.answered(operation, index);
    }

    /// The operations that took effect, and where.
    pub(super) fn witness(&self) -> Vec<TookEffect> {
        self.lock().agreement.witness()
    }

    pub(super) fn tally(&self) -> Tally {
        self.lock().tally
    }

    /// A server takes a message in. That follows from what is in the hash, so this is not.
    pub(super) fn met(&self, raft: &Raft, envelope: &Envelope) {
        self.lock().coverage.reach(Cell::of(raft, envelope));
    }

    /// Which messages met servers in which state.
    pub(super) fn coverage(&self) -> Coverage {
        self.lock().coverage
    }

    pub(crate) fn violations(&self) -> Vec<Violation> {
        self.lock().violations.clone()
    }

    pub(super) fn committed(&self) -> (LogIndex, Time) {
        let inner = self.lock();
        (inner.committed, inner.last_commit)
    }

    /// A number that changes when who runs, what is cut, or who leads changes.
    pub(super) fn version(&self) -> u64 {
        self.lock().version
    }

    /// The cluster as targets see it.
    pub(super) fn view(&self) -> View {
        let inner = &*self.lock();
        servers::view(&inner.nodes, &inner.membership)
    }
}

impl Inner {
    fn break_property(&mut self, broken: Broken) {
        let Broken { property, nodes, what } = broken;
        self.violate(property.name(), nodes, what);
    }

    fn specify(&mut self, step: impl FnOnce(&mut Specification) -> Result<(), Refused>) {
        if let Some(Err(refused)) = self.specification.as_mut().map(step) {
            self.specification = None;
            self.violate("conformance", vec![refused.node], refused.to_string());
        }
    }

    fn disagree(&mut self, agreed: Result<(), Disagreement>) {
        if let Err(Disagreement { property, nodes, what }) = agreed {
            self.violate(property, nodes, what);
        }
    }

    fn violate(&mut self, property: &'static str, nodes: Vec<NodeId>, what: String) {
        if !self.in_order {
            return;
        }
        let violation = Violation { at: self.now, property, nodes, what };
        self.trace.push(self.now, &Happening::Broken { what: violation.to_string() });
        self.violations.push(violation);
    }
}
