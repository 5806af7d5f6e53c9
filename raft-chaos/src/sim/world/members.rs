//! Who takes part in the group, and in which life of its disk each server is.

use std::collections::BTreeMap;

use raft_core::conformance::Specification;
use raft_core::figure3::Figure3;
use raft_core::{Configuration, Configured, EntryId, Event, Incarnation, LogIndex, NodeId, RoleName};

use super::super::faults::next_life;
use super::super::membership::{Answer, Ask, AskId, Membership};
use super::super::quorums;
use super::super::servers::Lack;
use super::{Inner, World};

impl World {
    /// The group begins with this, and each server in this life of its data directory. What is not heard of in order is
    /// not judged.
    pub(crate) fn begin(&self, first: Configuration, lives: BTreeMap<NodeId, Incarnation>, in_order: bool) {
        let inner = &mut *self.lock();
        inner.in_order = in_order;
        inner.figure3 = Figure3::new(first.clone());
        inner.specification = in_order.then(|| Specification::new(first.clone()));
        inner.membership = Membership::new(first, lives);
    }

    /// The disk of a server that does not run is empty now.
    pub(crate) fn wiped(&self, id: NodeId) {
        let inner = &mut *self.lock();
        inner.version += 1;
        let life = next_life(inner.membership.life(id));
        inner.membership.wiped(id, life);
        inner.figure3.wiped(id, life);
        if let Some(specification) = &mut inner.specification {
            specification.wiped(id, life);
        }
        if let Some(server) = inner.nodes.get_mut(&id) {
            (server.snapshot, server.commit) = (LogIndex::ZERO, LogIndex::ZERO);
            (server.damaged, server.flipped, server.lacks) = (false, false, Lack::default());
        }
    }

    pub(crate) fn membership<T>(&self, work: impl FnOnce(&Membership) -> T) -> T {
        work(&self.lock().membership)
    }

    /// A server is asked for something, and hears of it.
    pub(in super::super) fn ask(&self, id: NodeId, ask: Ask, is_heard: bool) -> AskId {
        let inner = &mut *self.lock();
        if let Some(server) = inner.nodes.get(&id).filter(|_| is_heard) {
            server.asked.notify_one();
        }
        inner.membership.ask(id, ask)
    }

    /// What a server is asked for next.
    pub(crate) fn next_ask(&self, id: NodeId) -> Option<(AskId, Ask)> {
        self.lock().membership.next_ask(id)
    }

    pub(crate) fn answered_ask(&self, id: AskId, answer: Answer) {
        let inner = &mut *self.lock();
        if let Some((node, wrong)) = inner.membership.answered(id, answer) {
            inner.violate("acked-present", vec![node], wrong);
        }
    }
}

impl Inner {
    pub(super) fn observe_members(&mut self, id: NodeId, event: &Event) {
        let leads = self.nodes.get(&id).is_some_and(|server| server.role == RoleName::Leader);
        if let (true, Event::Configured { at, configuration }) = (leads, event) {
            self.needs_overlap(id, *at, configuration);
        }
        let moments = self.membership.observe(id, leads, event);
        // Who is needed may be others now.
        self.version += u64::from(matches!(event, Event::Configured { .. }) || !moments.is_empty());
        for moment in moments {
            self.moments.come(id, moment, 0);
        }
    }

    /// A leader appends a configuration.
    fn needs_overlap(&mut self, id: NodeId, at: EntryId, configuration: &Configuration) {
        let Some(before) = self.membership.in_force(id).filter(|before| before.at.index < at.index) else {
            return;
        };
        if !quorums::meet(&before.configuration, configuration) {
            let Configured { at: from, configuration: last } = before;
            let what = format!(
                "{last} of {from} is followed by {configuration} of {at}, and quorums of the two need not meet"
            );
            self.violate("quorum-overlap", vec![id], what);
        }
    }
}
