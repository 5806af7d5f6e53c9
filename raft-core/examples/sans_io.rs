//! The core alone: three servers without a runtime, a socket, a file or a clock. What is said is carried by hand, time is
//! what this program says it is, and the leader is lost.
//!
//! ```text
//! cargo run -p raft-core --no-default-features --example sans_io
//! ```

use std::collections::{BTreeMap, VecDeque};

use raft_core::{Config, Envelope, Input, LogIndex, NodeId, Payload, Raft, RoleName, Stored, Time};

/// A server, with vectors for a disk and a state machine.
struct Server {
    raft: Raft,
    disk: Stored,
    applied: Vec<String>,
}

impl Server {
    fn new(id: NodeId, voters: &[NodeId]) -> Self {
        let disk = Stored::default();
        let config = Config::new(id, voters.to_vec());
        let raft = Raft::new(config, disk.restored(), Time::ZERO).expect("a sound configuration");
        Self { raft, disk, applied: Vec::new() }
    }

    /// Tells the server what came in and does what it asks for, until it asks for nothing more. Returns what it has to say
    /// to others.
    fn step(&mut self, now: Time, input: Input) -> Vec<Envelope> {
        let (mut inputs, mut said) = (VecDeque::from([input]), Vec::new());
        while let Some(input) = inputs.pop_front() {
            self.raft.step(now, input);
            let effects = self.raft.take_effects();
            said.extend(effects.send);
            if let Some(write) = effects.write {
                // A real disk takes its time here. What must not be said before is not in `send` before.
                self.disk.apply(write.batch);
                inputs.push_back(Input::Persisted(write.token));
            }
            if !effects.apply.is_empty() {
                for entry in effects.apply.iter() {
                    if let Payload::Command(command) = &entry.payload {
                        self.applied.push(String::from_utf8_lossy(command).into_owned());
                    }
                }
                inputs.push_back(Input::Applied);
            }
        }
        said
    }
}

/// Servers that are up.
struct Cluster(BTreeMap<NodeId, Server>);

impl Cluster {
    /// Tells one server something, and carries messages until nobody has anything to say. What is for a server that is
    /// down is lost.
    fn step(&mut self, id: NodeId, now: Time, input: Input) {
        let mut network = VecDeque::from([(id, input)]);
        while let Some((to, input)) = network.pop_front() {
            if let Some(server) = self.0.get_mut(&to) {
                let said = server.step(now, input);
                network.extend(said.into_iter().map(|envelope| (envelope.to, Input::Receive(envelope))));
            }
        }
    }

    /// Lets time pass until the next deadline of all: a heartbeat, or an election.
    fn next_deadline(&mut self) -> Time {
        let deadlines = self.0.iter().map(|(id, server)| (server.raft.deadline(), *id));
        let (now, id) = deadlines.min().expect("a server is up");
        self.step(id, now, Input::Tick);
        now
    }

    /// Lets time pass until somebody leads.
    fn elect(&mut self) -> (NodeId, Time) {
        loop {
            let now = self.next_deadline();
            let leads = |(_, server): &(&NodeId, &Server)| server.raft.role() == RoleName::Leader;
            if let Some((id, _)) = self.0.iter().find(leads) {
                return (*id, now);
            }
        }
    }

    /// Has the leader take a command, and lets time pass until all have applied it.
    fn propose(&mut self, leader: NodeId, now: Time, command: &'static str) -> LogIndex {
        let server = self.0.get_mut(&leader).expect("it is up");
        let id = server.raft.propose(command.into()).expect("it leads");
        self.step(leader, now, Input::Tick);
        while !self.0.values().all(|server| server.applied.iter().any(|applied| applied == command)) {
            self.next_deadline();
        }
        id.index
    }
}

/// Two leaders, one after the other.
pub fn main() {
    let ids = [1, 2, 3].map(NodeId::new);
    let mut cluster = Cluster(ids.map(|id| (id, Server::new(id, &ids))).into());
    let (first, now) = cluster.elect();
    let index = cluster.propose(first, now, "x = 1");
    println!("{first} led and committed entry {index}; it is gone now");
    cluster.0.remove(&first);
    let (second, now) = cluster.elect();
    let index = cluster.propose(second, now, "x = 2");
    println!("{second} leads and committed entry {index}");
    for (id, server) in &cluster.0 {
        println!("{id} applied {:?}", server.applied);
        assert_eq!(server.applied, ["x = 1", "x = 2"]);
    }
    assert_ne!(first, second);
}
