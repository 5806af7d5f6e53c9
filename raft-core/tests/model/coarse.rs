//! The coarse model: a call is one action, its reply included, and a disk takes no time.

use raft_core::{Envelope, Input, NodeId};
use stateright::{Model, Property};

use crate::cluster::{Cluster, Scope, Sent, properties};
use crate::server::Disk;

/// A server has at most one call to another on its way, the last one; one that is never carried out is lost. So is
/// what it has asked in another role, term or life, and what others have when one takes the initiative: when it
/// times out, is asked by a client, is asked to change the members, or crashes. A leader calls again at its next heartbeat. Calls of the past that
/// get there later are for the fine model.
pub(crate) struct Coarse(pub(crate) Scope);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// An election timeout elapses, or a heartbeat is due.
    Timeout(NodeId),
    /// A call gets there, and the answer comes back.
    Call { from: NodeId, to: NodeId },
    /// A call gets there, and the answer is lost.
    Unanswered { from: NodeId, to: NodeId },
    /// A client asks a leader.
    Propose(NodeId),
    /// A leader is asked to let others vote.
    Change(NodeId, Vec<NodeId>),
    /// A server crashes, and starts again with what it had on disk.
    Crash(NodeId),
}

fn link(call: &Sent) -> (NodeId, NodeId) {
    (call.envelope.from, call.envelope.to)
}

impl Coarse {
    fn act(
        &self,
        cluster: &mut Cluster,
        place: usize,
        act: impl FnOnce(&mut Cluster) -> Vec<Envelope>,
    ) -> Vec<Envelope> {
        let was = |cluster: &Cluster| {
            let raft = &cluster.servers[place].raft;
            (raft.current_term(), raft.role())
        };
        let before = was(cluster);
        let said = act(cluster);
        let id = cluster.servers[place].raft.id();
        if was(cluster) != before {
            cluster.network.retain(|call| call.envelope.from != id);
        }
        let (replies, calls): (Vec<_>, Vec<_>) =
            said.into_iter().partition(|envelope| envelope.message.is_reply());
        for call in calls {
            cluster.network.retain(|earlier| link(earlier) != (call.from, call.to));
            cluster.network.push(Sent::new(call));
        }
        replies
    }

    fn call(&self, cluster: &mut Cluster, from: NodeId, to: NodeId, answered: bool) {
        let Some(place) = cluster.network.iter().position(|call| link(call) == (from, to)) else {
            return;
        };
        let call = cluster.network.remove(place).envelope.as_ref().clone();
        let (caller, callee) = (cluster.place(from), cluster.place(to));
        let replies =
            self.act(cluster, callee, |cluster| cluster.step(callee, Input::Receive(call), Disk::AtOnce));
        for reply in replies.into_iter().filter(|reply| answered && reply.to == from) {
            self.act(cluster, caller, |cluster| cluster.step(caller, Input::Receive(reply), Disk::AtOnce));
        }
    }
}

impl Model for Coarse {
    type State = Cluster;
    type Action = Act;

    fn init_states(&self) -> Vec<Cluster> {
        vec![self.0.start()]
    }

    fn actions(&self, cluster: &Cluster, acts: &mut Vec<Act>) {
        for (place, server) in cluster.servers.iter().enumerate() {
            let id = server.raft.id();
            if cluster.may_time_out(place, &self.0) {
                acts.push(Act::Timeout(id));
            }
            if cluster.may_propose(place, &self.0) {
                acts.push(Act::Propose(id));
            }
            if cluster.changes < self.0.changes && server.leads() {
                acts.extend(self.0.electorates().map(|voters| Act::Change(id, voters)));
            }
            if cluster.crashes < self.0.crashes {
                acts.push(Act::Crash(id));
            }
        }
        for (from, to) in cluster.network.iter().map(link) {
            acts.push(Act::Call { from, to });
            acts.push(Act::Unanswered { from, to });
        }
    }

    fn next_state(&self, last: &Cluster, act: Act) -> Option<Cluster> {
        if last.history.wrong.is_some() {
            return None;
        }
        let mut cluster = last.clone();
        if let Act::Timeout(id) | Act::Propose(id) | Act::Change(id, _) | Act::Crash(id) = act {
            cluster.network.retain(|call| call.envelope.from == id);
        }
        match act {
            Act::Timeout(id) => {
                let place = cluster.place(id);
                self.act(&mut cluster, place, |cluster| cluster.time_out(place, Disk::AtOnce));
            }
            Act::Propose(id) => {
                let place = cluster.place(id);
                self.act(&mut cluster, place, |cluster| cluster.propose(place, Disk::AtOnce));
            }
            Act::Change(id, voters) => {
                let place = cluster.place(id);
                let mut begun = false;
                self.act(&mut cluster, place, |cluster| {
                    let said = cluster.change(place, voters, Disk::AtOnce);
                    begun = said.is_some();
                    said.unwrap_or_default()
                });
                return begun.then_some(cluster);
            }
            Act::Call { from, to } => self.call(&mut cluster, from, to, true),
            Act::Unanswered { from, to } => self.call(&mut cluster, from, to, false),
            Act::Crash(id) => {
                let place = cluster.place(id);
                cluster.crash(place, 0, &self.0);
                cluster.network.retain(|call| call.envelope.from != id);
            }
        }
        Some(cluster)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties(&self.0)
    }
}
