//! Three servers in one thread, each with a log in memory: what a command costs from proposal to all three state
//! machines, and nothing else.

use std::collections::VecDeque;

use bytes::Bytes;
use raft_core::{Config, Effects, Entries, Envelope, Input, NodeId, Raft, Restored, RoleName, Time};

/// After so many entries a server takes a snapshot, and its log goes.
pub(crate) const SNAPSHOT_ENTRIES: u64 = 16_384;

/// Three servers, of which the first leads.
pub(crate) struct Cluster {
    servers: Vec<Server>,
    inbox: Vec<Vec<Envelope>>,
    /// Commands on their way into the log.
    proposed: Vec<Bytes>,
    now: Time,
    /// How many messages have been delivered.
    pub(crate) messages: u64,
}

/// A server, its log and its state machine.
struct Server {
    raft: Raft,
    effects: Effects,
    log: VecDeque<Entries>,
    applied: u64,
    /// What the state machine has read of the commands.
    state: u64,
}

impl Cluster {
    /// Three servers, each with what `change` makes of its configuration.
    pub(crate) fn new(change: impl Fn(&mut Config)) -> Self {
        let ids: Vec<NodeId> = (1..=3).map(NodeId::new).collect();
        let server = |&id| {
            let mut config = Config::new(id, ids.clone());
            (config.snapshot_entries, config.snapshot_trailing) = (SNAPSHOT_ENTRIES, 0);
            change(&mut config);
            let raft = Raft::new(config, Restored::default(), Time::ZERO).expect("a sound configuration");
            Server { raft, effects: Effects::default(), log: VecDeque::new(), applied: 0, state: 0 }
        };
        let servers = ids.iter().map(server).collect();
        let (inbox, proposed) = (vec![Vec::new(); 3], Vec::new());
        let mut cluster = Self { servers, inbox, proposed, now: Time::ZERO, messages: 0 };
        // Only the first is told the time, and so it is elected.
        cluster.pass_time();
        assert_eq!(cluster.servers[0].raft.role(), RoleName::Leader, "the first server leads");
        cluster
    }

    /// Proposes so many commands at once, and lets the servers talk until nobody has anything to say.
    pub(crate) fn commit(&mut self, payload: &Bytes, batch: usize) {
        self.propose(payload, batch);
        self.settle();
    }

    /// Time passes until the first server wants to be told.
    pub(crate) fn pass_time(&mut self) {
        self.now = self.servers[0].raft.deadline();
        self.servers[0].raft.step(self.now, Input::Tick);
        self.servers[0].carry_out(self.now, &mut self.inbox);
        self.settle();
    }

    /// Proposes so many commands at once; they are on their way then.
    pub(crate) fn propose(&mut self, payload: &Bytes, batch: usize) {
        self.proposed.extend(std::iter::repeat_n(payload, batch).cloned());
        let appended = self.servers[0].raft.propose_all(&mut self.proposed).expect("the first server leads");
        assert_eq!(appended.len(), batch, "there is room for all");
        self.servers[0].carry_out(self.now, &mut self.inbox);
    }

    /// The last entry that each of the three has applied.
    pub(crate) fn applied_by_each(&self) -> [u64; 3] {
        [0, 1, 2].map(|place| self.servers[place].applied)
    }

    /// Lets the servers talk until nobody has anything to say.
    pub(crate) fn settle(&mut self) {
        while self.inbox.iter().any(|inbox| !inbox.is_empty()) {
            for (place, server) in self.servers.iter_mut().enumerate() {
                if self.inbox[place].is_empty() {
                    continue;
                }
                self.messages += self.inbox[place].len() as u64;
                for envelope in self.inbox[place].drain(..) {
                    server.raft.step(self.now, Input::Receive(envelope));
                }
                server.carry_out(self.now, &mut self.inbox);
            }
        }
    }
}

impl Server {
    /// Does what the core asks for, until what it was told of that makes it ask for nothing more.
    fn carry_out(&mut self, now: Time, inbox: &mut [Vec<Envelope>]) {
        let mut told = true;
        while told {
            self.raft.take_effects_into(&mut self.effects);
            for envelope in self.effects.send.drain(..) {
                inbox[usize::try_from(envelope.to.get()).expect("one of three") - 1].push(envelope);
            }
            let (written, applied, taken) = (self.write(now), self.apply(now), self.take_snapshot(now));
            told = written || applied || taken;
            let Effects { restore, load, violation, .. } = &self.effects;
            assert!(violation.is_none() && restore.is_none() && load.is_empty(), "nothing goes wrong");
        }
    }

    fn write(&mut self, now: Time) -> bool {
        let Some(write) = self.effects.write.take() else { return false };
        if let Some(base) = write.batch.compact {
            let goes = |batch: &Entries| batch.last().is_some_and(|last| last.id.index <= base.index);
            while self.log.front().is_some_and(goes) {
                self.log.pop_front();
            }
        }
        if !write.batch.entries.is_empty() {
            self.log.push_back(write.batch.entries);
        }
        self.raft.step(now, Input::Persisted(write.token));
        true
    }

    fn apply(&mut self, now: Time) -> bool {
        for entry in &self.effects.apply {
            self.applied = entry.id.index.get();
            let word = entry.payload.bytes().first_chunk().copied().unwrap_or_default();
            self.state = self.state.wrapping_add(u64::from_le_bytes(word));
        }
        let applied = !self.effects.apply.is_empty();
        if applied {
            self.raft.step(now, Input::Applied);
        }
        applied
    }

    fn take_snapshot(&mut self, now: Time) -> bool {
        let Some(snapshot) = self.effects.take_snapshot.take() else { return false };
        self.raft.step(now, Input::Applied);
        let data = Bytes::copy_from_slice(&self.state.to_le_bytes());
        self.raft.step(now, Input::SnapshotTaken { snapshot: snapshot.id, data, done: true });
        true
    }
}
