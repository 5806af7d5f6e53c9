//! One server that is told anything: it does not panic, does not hang, and holds no more than it says.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use raft_core::{
    Config, Effects, EntryId, Input, Load, Loaded, NodeId, Raft, ReadId, Session, SnapshotId, Stored, Time,
    Write,
};

use crate::values::{Number, Raw, number, raw};

/// Payloads that a server keeps in memory.
const CACHE_BYTES: usize = 600;
/// As many as `values.rs` has names for senders, and kinds of messages.
const SENDERS: usize = 5;
const KINDS: usize = 14;

/// What is done to a server.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Receive(Raw),
    Elapse(u32),
    /// To the very end of what can be told.
    ElapseAll,
    /// The oldest write is durable, or the last one, which is wrong unless they are one.
    Persist {
        last: bool,
    },
    WriteFailed,
    Applied,
    Read,
    /// What was asked of the disk comes.
    Load,
    /// Something else comes.
    LoadWrong(Raw),
    /// The next piece of the snapshot that was asked for, or of another one.
    Piece {
        of_another: bool,
        bytes: Vec<u8>,
        done: bool,
    },
    SnapshotFailed,
    AskForSnapshot,
    Propose(Vec<u8>),
    Transfer(u64),
    /// Who is to vote, and who is to learn, whether that makes sense or not.
    ChangeMembership {
        voters: Vec<u64>,
        learners: Vec<u64>,
        from_latest: bool,
    },
    Abandon,
    HasApplied(Number),
    /// The election timeout elapses, and another server votes for this one: chance would hardly get there. It may have
    /// all that this one has then, so that something is committed.
    Elect {
        commits: bool,
    },
    /// Another server has all that this one has.
    Acknowledge,
    /// The process ends, and starts again with what was durable.
    Restart,
}

fn act() -> impl Strategy<Value = Act> {
    let mostly_not = || prop_oneof![9 => Just(false), 1 => Just(true)];
    let bytes = || vec(any::<u8>(), 0..9);
    let servers = || vec(0_u64..5, 0..4);
    prop_oneof![
        60 => raw().prop_map(Act::Receive),
        15 => (0_u32..400).prop_map(Act::Elapse),
        25 => mostly_not().prop_map(|last| Act::Persist { last }),
        8 => Just(Act::Applied),
        5 => Just(Act::Read),
        8 => Just(Act::Load),
        2 => raw().prop_map(Act::LoadWrong),
        6 => (mostly_not(), bytes(), any::<bool>()).prop_map(|(of_another, bytes, done)| Act::Piece { of_another, bytes, done }),
        1 => Just(Act::SnapshotFailed),
        2 => Just(Act::AskForSnapshot),
        8 => bytes().prop_map(Act::Propose),
        1 => (0_u64..5).prop_map(Act::Transfer),
        4 => (servers(), servers(), mostly_not()).prop_map(|(voters, learners, not)| Act::ChangeMembership {
            voters,
            learners,
            from_latest: !not,
        }),
        1 => Just(Act::Abandon),
        3 => any::<bool>().prop_map(|commits| Act::Elect { commits }),
        6 => Just(Act::Acknowledge),
        1 => Just(Act::Restart),
        1 => number().prop_map(Act::HasApplied),
        1 => prop_oneof![Just(Act::ElapseAll), Just(Act::WriteFailed)],
    ]
}

/// A server, and what is done to it. After an act it is asked for its effects, or only after the next.
#[derive(Clone, Debug)]
pub(crate) struct Life {
    flags: [bool; 4],
    snapshot_entries: u64,
    acts: Vec<(bool, Act)>,
}

/// A life of at most so many acts.
pub(crate) fn life(acts_max: usize) -> impl Strategy<Value = Life> {
    (any::<[bool; 4]>(), 0_u64..4, vec((any::<bool>(), act()), 0..acts_max))
        .prop_map(|(flags, snapshot_entries, acts)| Life { flags, snapshot_entries, acts })
}

/// What lives did, so that a test can see that they did something.
#[derive(Debug, Default)]
pub(crate) struct Sights {
    pub(crate) acts: usize,
    pub(crate) reigns: usize,
    pub(crate) applied: usize,
    pub(crate) restored: usize,
    pub(crate) answered: usize,
    pub(crate) changes: usize,
    pub(crate) violations: usize,
    pub(crate) held_most: usize,
}

struct Server {
    raft: Raft,
    config: Config,
    now: Time,
    disk: Stored,
    written: Stored,
    in_flight: VecDeque<Write>,
    loads: VecDeque<Load>,
    taking: Option<SnapshotId>,
    sessions: BTreeMap<NodeId, Session>,
    asked: u64,
    waiting: usize,
}

impl Life {
    pub(crate) fn live(&self, sights: &mut Sights) {
        let mut server = Server::new(self);
        for (at_once, act) in &self.acts {
            sights.acts += 1;
            let led = server.leads();
            server.act(act, sights);
            if *at_once {
                server.carry_out(sights);
            }
            sights.reigns += usize::from(!led && server.leads());
        }
        server.carry_out(sights);
    }
}

impl Server {
    fn new(life: &Life) -> Self {
        let mut config = Config::new(NodeId::new(1), (1..=3).map(NodeId::new).collect());
        [config.pre_vote, config.check_quorum, config.durable_state_machine, config.observe] = life.flags;
        config.read_lease_ppm = (life.flags[1] && life.flags[3]).then_some(100);
        config.snapshot_entries = life.snapshot_entries;
        config.snapshot_trailing = 1;
        config.cache_bytes_max = CACHE_BYTES;
        config.append_window = 2;
        let (now, disk) = (Time::ZERO, Stored::default());
        Self {
            raft: Raft::new(config.clone(), disk.restored(), now).expect("a new server"),
            config,
            now,
            written: disk.clone(),
            disk,
            in_flight: VecDeque::new(),
            loads: VecDeque::new(),
            taking: None,
            sessions: BTreeMap::new(),
            asked: 0,
            waiting: 0,
        }
    }

    fn leads(&self) -> bool {
        self.raft.role() == raft_core::RoleName::Leader
    }

    fn act(&mut self, act: &Act, sights: &mut Sights) {
        match act {
            Act::Receive(raw) => {
                let first = raw.envelope(&self.raft, Session(0));
                let session = self.sessions.get(&first.from).copied().unwrap_or_default();
                let envelope = raw.envelope(&self.raft, session);
                self.step(Input::Receive(envelope));
            }
            Act::Elapse(ms) => {
                self.now = self.now.after(Duration::from_millis((*ms).into()));
                self.step(Input::Tick);
            }
            Act::ElapseAll => {
                self.now = Time::from_nanos(u64::MAX);
                self.step(Input::Tick);
            }
            Act::Persist { last } => self.persist(*last),
            Act::WriteFailed => {
                self.step(Input::WriteFailed);
                assert_eq!(self.raft.take_effects().send, [], "it is silent");
                self.restart();
            }
            Act::Applied => self.step(Input::Applied),
            Act::Read => {
                (self.asked, self.waiting) = (self.asked + 1, self.waiting + 1);
                self.step(Input::Read(ReadId(self.asked)));
            }
            Act::Load => {
                if let Some(load) = self.loads.pop_front() {
                    self.step(Input::Loaded(self.written.load(&load)));
                }
            }
            Act::LoadWrong(raw) => self.load_wrong(raw),
            Act::Piece { of_another, bytes, done } => {
                if let Some(snapshot) = self.taking.filter(|_| !of_another) {
                    self.step(Input::SnapshotTaken { snapshot, data: bytes.clone().into(), done: *done });
                } else {
                    let snapshot =
                        SnapshotId { last_included: self.raft.last_log(), ..SnapshotId::default() };
                    self.step(Input::SnapshotTaken { snapshot, data: bytes.clone().into(), done: *done });
                }
            }
            Act::SnapshotFailed => {
                let snapshot = self.taking.take().unwrap_or_default();
                self.step(Input::SnapshotFailed { snapshot, reason: "no space".into() });
            }
            Act::AskForSnapshot => self.raft.ask_for_snapshot(),
            Act::Propose(bytes) => drop(self.raft.propose(bytes.clone().into())),
            Act::Transfer(to) => drop(self.raft.transfer_leadership(NodeId::new(*to))),
            Act::ChangeMembership { voters, learners, from_latest } => {
                let [voters, learners] = [voters, learners].map(|ids| ids.iter().copied().map(NodeId::new));
                let latest = self.raft.configuration().at;
                let from = if *from_latest { latest } else { self.raft.last_log() };
                let begun = self.raft.change_membership(from, voters, learners);
                sights.changes += usize::from(begun.is_ok());
            }
            Act::Abandon => sights.changes += usize::from(self.raft.abandon_change().is_ok()),
            Act::HasApplied(index) => {
                let index = index.at(self.raft.commit_index().get());
                self.raft.has_applied(raft_core::LogIndex::new(index));
            }
            Act::Elect { commits } => {
                self.elect(sights);
                if *commits {
                    self.carry_out(sights);
                    self.persist(false);
                    self.acknowledge();
                }
            }
            Act::Acknowledge => self.acknowledge(),
            Act::Restart => self.restart(),
        }
    }

    fn elect(&mut self, sights: &mut Sights) {
        self.now = self.now.max(self.raft.deadline());
        self.step(Input::Tick);
        for _ in 0..2 {
            self.carry_out(sights);
            while !self.in_flight.is_empty() {
                self.persist(false);
            }
            self.carry_out(sights);
            let session = self.sessions.get(&NodeId::new(2)).copied().unwrap_or_default();
            self.step(Input::Receive(Raw::vote(&self.raft, session)));
        }
    }

    fn acknowledge(&mut self) {
        let session = self.sessions.get(&NodeId::new(2)).copied().unwrap_or_default();
        self.step(Input::Receive(Raw::acknowledgement(&self.raft, session)));
    }

    fn step(&mut self, input: Input) {
        self.raft.step(self.now, input);
    }

    fn persist(&mut self, last: bool) {
        let write = if last { self.in_flight.pop_back() } else { self.in_flight.pop_front() };
        if let Some(write) = write {
            if self.in_flight.is_empty() || !last {
                self.disk.apply(write.batch);
            }
            self.step(Input::Persisted(write.token));
        }
    }

    /// Nobody has asked for this.
    fn load_wrong(&mut self, raw: &Raw) {
        let entries = raw.entries(&self.raft);
        let from = entries.first().map_or(raft_core::LogIndex::ZERO, |first| first.id.index);
        self.step(Input::Loaded(Loaded::Entries { from, entries }));
        let (snapshot, chunk) = (raw.snapshot(EntryId::default()).id, raw.chunk(true));
        self.step(Input::Loaded(Loaded::Chunk { snapshot, offset: chunk.offset, chunk: Some(chunk) }));
    }

    /// Whatever a server was told, what it has written is a disk that it can start from.
    fn restart(&mut self) {
        self.written = self.disk.clone();
        self.in_flight.clear();
        self.loads.clear();
        (self.taking, self.waiting) = (None, 0);
        self.now = Time::ZERO;
        self.raft = Raft::new(self.config.clone(), self.disk.restored(), self.now).expect("its own disk");
    }

    fn carry_out(&mut self, sights: &mut Sights) {
        let Effects { write, send, apply, restore, take_snapshot, load, reads, violation, .. } =
            self.raft.take_effects();
        sights.applied += apply.len();
        sights.restored += usize::from(restore.is_some());
        sights.answered += reads.len();
        self.waiting -= reads.len();
        self.sessions.extend(send.iter().map(|envelope| (envelope.to, envelope.session)));
        if let Some(write) = write {
            self.written.apply(write.batch.clone());
            self.in_flight.push_back(write);
        }
        self.loads.extend(load);
        self.taking = take_snapshot.map(|snapshot| snapshot.id).or(self.taking);
        if violation.is_some() {
            sights.violations += 1;
            self.restart();
        }
        self.is_bounded(sights);
    }

    /// What a server holds is bounded by what it was given and has not been told of.
    fn is_bounded(&self, sights: &mut Sights) {
        let held = self.raft.footprint();
        sights.held_most = sights.held_most.max(held.held_messages);
        assert!(held.cached_bytes <= CACHE_BYTES, "{held:?}");
        assert!(held.writes <= self.in_flight.len(), "{held:?}");
        assert!(held.held_messages <= held.writes * SENDERS * KINDS, "{held:?}");
        assert!(held.reads < self.waiting + SENDERS, "{held:?} of {}", self.waiting);
        assert!(held.loads <= self.loads.len(), "{held:?} of {}", self.loads.len());
        assert_eq!(held.piece_bytes, 0, "{held:?}");
    }
}
