//! One server of a model: the real core, and its disk.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use raft_core::{
    Batch, Configured, Effects, Envelope, Event, HardState, Input, LogIndex, NodeId, Payload, Raft, Restored,
    RoleName, Session, Stored, Time, Write,
};

/// What a server said and what happened in it.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) said: Vec<Envelope>,
    pub(crate) events: Vec<Event>,
}

#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) raft: Raft,
    /// All that was written, durable or not: the log in memory.
    pub(crate) written: Stored,
    /// What no crash takes away.
    disk: Stored,
    /// Writes on their way to the disk.
    pub(crate) in_flight: VecDeque<Given>,
    /// The last conversation that this server has begun with each other one.
    sessions: BTreeMap<NodeId, Session>,
    /// What can be seen of the state without any server's name.
    pub(crate) looks: u64,
}

/// A write that is not durable yet.
#[derive(Clone)]
pub(crate) struct Given {
    batch: Batch,
    /// The server just before it asked for this. A token cannot be kept by all the futures of a state, so each
    /// of them lets the server ask once more.
    before: Arc<Raft>,
}

/// Whether a disk takes time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disk {
    AtOnce,
    Later,
}

impl Server {
    pub(crate) fn new(raft: Raft) -> Self {
        let (written, disk) = (Stored::default(), Stored::default());
        let (in_flight, sessions) = (VecDeque::new(), BTreeMap::new());
        let mut server = Self { raft, written, disk, in_flight, sessions, looks: 0 };
        server.look();
        server
    }

    /// To be called after every change.
    pub(crate) fn look(&mut self) {
        let mut hasher = DefaultHasher::new();
        let raft = &self.raft;
        (raft.role(), raft.current_term(), raft.commit_index(), raft.last_log()).hash(&mut hasher);
        self.looks = hasher.finish();
    }

    pub(crate) fn leads(&self) -> bool {
        self.raft.role() == RoleName::Leader
    }

    /// Takes in an input, and does all that is asked for.
    pub(crate) fn step(&mut self, now: Time, input: Input, disk: Disk, outcome: &mut Outcome) {
        self.raft.step(now, input);
        self.act(disk, outcome);
    }

    /// Does what is asked for, until nothing is.
    pub(crate) fn act(&mut self, disk: Disk, outcome: &mut Outcome) {
        loop {
            let before = (disk == Disk::Later).then(|| Arc::new(self.raft.clone()));
            let Effects { write, send, apply, load, events, .. } = self.raft.take_effects();
            let begins = |said: &&Envelope| !said.message.is_reply() && said.message.kind() != "not-member";
            self.sessions.extend(send.iter().filter(begins).map(|said| (said.to, said.session)));
            outcome.said.extend(send);
            outcome.events.extend(events);
            let done = load.is_empty() && apply.is_empty() && (write.is_none() || disk == Disk::Later);
            if let Some(Write { batch, token }) = write {
                self.written.apply(batch.clone());
                match before {
                    Some(before) => self.in_flight.push_back(Given { batch, before }),
                    None => {
                        self.disk.apply(batch);
                        self.raft.step(Time::ZERO, Input::Persisted(token));
                    }
                }
            }
            for load in load {
                let loaded = self.written.load(&load);
                self.raft.step(Time::ZERO, Input::Loaded(loaded));
            }
            if !apply.is_empty() {
                self.raft.step(Time::ZERO, Input::Applied);
            }
            if done {
                return;
            }
        }
    }

    /// The oldest write becomes durable.
    pub(crate) fn persist(&mut self, disk: Disk, outcome: &mut Outcome) {
        let Some(Given { batch, before }) = self.in_flight.pop_front() else { return };
        self.disk.apply(batch);
        let write = Raft::clone(&before).take_effects().write.expect("what it asked for, it asks for again");
        self.step(Time::ZERO, Input::Persisted(write.token), disk, outcome);
    }

    /// The power goes. Of the writes on their way the first few have got to the disk.
    pub(crate) fn crash(&mut self, survive: usize) -> Restored {
        for given in self.in_flight.drain(..).take(survive) {
            self.disk.apply(given.batch);
        }
        self.written = self.disk.clone();
        self.disk.restored()
    }

    /// Whether a message belongs to the last conversation that its asker has begun with this other one. Only that can
    /// matter: the numbers of conversations are drawn, and the same in no two ways to a state.
    pub(crate) fn is_current(&self, with: NodeId, session: Session) -> bool {
        self.sessions.get(&with) == Some(&session)
    }

    /// Feeds what tells two states apart.
    pub(crate) fn hash_state(&self, name: &dyn Fn(NodeId) -> NodeId, hasher: &mut impl Hasher) {
        self.raft.fingerprint_as(name).hash(hasher);
        // What is durable and known to be so is in the fingerprint.
        if self.in_flight.is_empty() {
            return;
        }
        let renamed = |state: HardState| (state.current_term, state.voted_for.map(name));
        for Given { batch, .. } in &self.in_flight {
            // The cluster is the same in all of them.
            let Batch { hard_state, truncate, compact, entries, .. } = batch;
            (hard_state.map(renamed), truncate, compact, entries).hash(hasher);
        }
        let restored = self.disk.restored();
        (renamed(restored.hard_state), restored.log).hash(hasher);
    }

    /// How many commands its log has.
    pub(crate) fn commands(&self) -> usize {
        let is_command = |entry: &&raft_core::Entry| matches!(entry.payload, Payload::Command(_));
        self.written.entries().iter().filter(is_command).count()
    }

    /// Whether it knows of a change that is over.
    pub(crate) fn was_changed(&self) -> bool {
        let Configured { at, configuration } = self.raft.configuration();
        let is_committed = at.index > LogIndex::ZERO && at.index <= self.raft.commit_index();
        is_committed && configuration.next.is_none()
    }

    /// The entry at this index, by its name and what is in it.
    pub(crate) fn entry(&self, index: LogIndex) -> Option<&raft_core::Entry> {
        let place = usize::try_from(index.get()).ok()?.checked_sub(1)?;
        self.written.entries().get(place)
    }
}
