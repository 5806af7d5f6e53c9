//! Three servers of raft-rs in one thread, each with its `MemStorage`.

use bytes::Bytes;
use raft::eraftpb::{Entry, Message, MessageType};
use raft::storage::MemStorage;
use raft::{Config, RawNode};
use slog::{Discard, Logger, o};

use crate::three::SNAPSHOT_ENTRIES;

struct Server {
    node: RawNode<MemStorage>,
    applied: u64,
    compacted: u64,
    state: u64,
}

/// Three servers, of which the first leads.
pub struct Peer {
    servers: Vec<Server>,
    inbox: Vec<Vec<Message>>,
    /// How many messages have been delivered.
    pub messages: u64,
}

pub fn config(id: u64, skip_bcast_commit: bool) -> Config {
    Config {
        id,
        max_inflight_msgs: 256,
        max_size_per_msg: 1024 * 1024,
        skip_bcast_commit,
        ..Config::default()
    }
}

pub fn logger() -> Logger {
    Logger::root(Discard, o!())
}

impl Peer {
    pub fn new(skip_bcast_commit: bool) -> Self {
        let server = |id| {
            let store = MemStorage::new_with_conf_state((vec![1, 2, 3], vec![]));
            let node = RawNode::new(&config(id, skip_bcast_commit), store, &logger()).unwrap();
            Server { node, applied: 0, compacted: 0, state: 0 }
        };
        let mut peer =
            Self { servers: (1..=3).map(server).collect(), inbox: vec![Vec::new(); 3], messages: 0 };
        peer.servers[0].node.campaign().unwrap();
        peer.settle();
        peer
    }

    /// Proposes so many commands at once, in one message, and lets the servers talk until nobody has anything to say.
    pub fn commit(&mut self, payload: &Bytes, batch: usize) {
        let mut propose = Message::default();
        propose.set_msg_type(MessageType::MsgPropose);
        propose.from = 1;
        let entry = || Entry { data: payload.clone(), ..Entry::default() };
        propose.entries = (0..batch).map(|_| entry()).collect::<Vec<_>>().into();
        self.servers[0].node.step(propose).unwrap();
        self.settle();
    }

    /// Time passes until the leader's next heartbeat.
    pub fn pass_time(&mut self) {
        for _ in 0..self.servers[0].node.raft.heartbeat_timeout() {
            self.servers[0].node.tick();
        }
        self.settle();
    }

    /// The least that any of the three has applied.
    pub fn applied(&self) -> u64 {
        self.servers.iter().map(|server| server.applied).min().unwrap()
    }

    fn settle(&mut self) {
        self.servers[0].carry_out(&mut self.inbox);
        while self.inbox.iter().any(|inbox| !inbox.is_empty()) {
            for (place, server) in self.servers.iter_mut().enumerate() {
                if self.inbox[place].is_empty() {
                    continue;
                }
                self.messages += self.inbox[place].len() as u64;
                for message in self.inbox[place].drain(..) {
                    server.node.step(message).unwrap();
                }
                server.carry_out(&mut self.inbox);
            }
        }
    }
}

impl Server {
    fn carry_out(&mut self, inbox: &mut [Vec<Message>]) {
        while self.node.has_ready() {
            self.carry_out_once(inbox);
        }
    }

    fn carry_out_once(&mut self, inbox: &mut [Vec<Message>]) {
        let mut ready = self.node.ready();
        send(ready.take_messages(), inbox);
        self.apply(ready.take_committed_entries());
        self.node.store().wl().append(ready.entries()).unwrap();
        if let Some(hard_state) = ready.hs() {
            self.node.store().wl().set_hardstate(hard_state.clone());
        }
        send(ready.take_persisted_messages(), inbox);
        let mut light = self.node.advance(ready);
        if let Some(commit) = light.commit_index() {
            self.node.store().wl().mut_hard_state().set_commit(commit);
        }
        send(light.take_messages(), inbox);
        self.apply(light.take_committed_entries());
        self.node.advance_apply();
        if self.applied >= self.compacted + SNAPSHOT_ENTRIES {
            self.compacted = self.applied;
            self.node.store().wl().compact(self.compacted).unwrap();
        }
    }

    fn apply(&mut self, entries: Vec<Entry>) {
        for entry in &entries {
            self.applied = entry.index;
            self.state = self
                .state
                .wrapping_add(entry.data.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)));
        }
    }
}

fn send(messages: Vec<Message>, inbox: &mut [Vec<Message>]) {
    for message in messages {
        inbox[usize::try_from(message.to).unwrap() - 1].push(message);
    }
}
