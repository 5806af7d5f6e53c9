//! The fine model: every message and every write is on its way by itself.

use raft_core::{Envelope, Input, NodeId};
use stateright::{Model, Property};

use crate::cluster::{Cluster, Scope, Sent, properties};
use crate::server::Disk;

/// At most so many messages are on their way; what is said beyond that is lost.
const ON_THEIR_WAY_MAX: usize = 6;

/// The network repeats at most so many messages.
pub(crate) struct Fine {
    pub(crate) scope: Scope,
    pub(crate) repeats: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// An election timeout elapses, or a heartbeat is due.
    Timeout(NodeId),
    /// The message at this place gets there.
    Deliver(usize),
    /// It gets there, and will once more.
    Repeat(usize),
    /// It does not.
    Lose(usize),
    /// The oldest write on its way is durable.
    Persist(NodeId),
    /// A client asks a leader.
    Propose(NodeId),
    /// A server crashes, and starts again with what it had on disk: so many of the writes on their way got there.
    Crash(NodeId, usize),
}

impl Fine {
    fn send(cluster: &mut Cluster, said: Vec<Envelope>) {
        cluster.network.extend(said.into_iter().map(Sent::new));
        cluster.network.truncate(ON_THEIR_WAY_MAX);
    }
}

impl Model for Fine {
    type State = Cluster;
    type Action = Act;

    fn init_states(&self) -> Vec<Cluster> {
        vec![self.scope.start()]
    }

    fn actions(&self, cluster: &Cluster, acts: &mut Vec<Act>) {
        for (place, server) in cluster.servers.iter().enumerate() {
            let id = server.raft.id();
            if cluster.may_time_out(place, &self.scope) {
                acts.push(Act::Timeout(id));
            }
            if cluster.may_propose(place, &self.scope) {
                acts.push(Act::Propose(id));
            }
            if !server.in_flight.is_empty() {
                acts.push(Act::Persist(id));
            }
            if cluster.crashes < self.scope.crashes {
                acts.extend((0..=server.in_flight.len()).map(|survive| Act::Crash(id, survive)));
            }
        }
        for place in 0..cluster.network.len() {
            acts.extend([Act::Deliver(place), Act::Lose(place)]);
            if cluster.repeats < self.repeats {
                acts.push(Act::Repeat(place));
            }
        }
    }

    fn next_state(&self, last: &Cluster, act: Act) -> Option<Cluster> {
        if last.history.wrong.is_some() {
            return None;
        }
        let mut cluster = last.clone();
        let said = match act {
            Act::Timeout(id) => cluster.time_out(cluster.place(id), Disk::Later),
            Act::Propose(id) => cluster.propose(cluster.place(id), Disk::Later),
            Act::Persist(id) => cluster.persist(cluster.place(id), Disk::Later),
            Act::Lose(place) => {
                cluster.network.remove(place);
                Vec::new()
            }
            Act::Deliver(place) | Act::Repeat(place) => {
                let sent = cluster.network.remove(place).envelope;
                if matches!(act, Act::Repeat(_)) {
                    cluster.repeats += 1;
                    cluster.network.push(Sent::new(Envelope::clone(&sent)));
                }
                let to = cluster.place(sent.to);
                cluster.step(to, Input::Receive(Envelope::clone(&sent)), Disk::Later)
            }
            Act::Crash(id, survive) => {
                cluster.crash(cluster.place(id), survive, &self.scope);
                Vec::new()
            }
        };
        Self::send(&mut cluster, said);
        Some(cluster)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties(&self.scope)
    }
}
