//! What a network can do to three servers, as bytes say. Any bytes are a schedule, so a fuzzer can make them.

#[path = "members.rs"]
mod members;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use raft_core::{
    Config, Effects, Envelope, Event, Input, Loaded, LogIndex, NodeId, PlantedBug, Raft, Read, ReadId,
    ReadOutcome, RoleName, StepDownReason, Stored, Time, Write,
};

use crate::judges::{Judges, Wrong};
use crate::machine::{CHUNK_BYTES, Machine};

/// The network holds at most so many messages; the oldest goes.
const ON_THEIR_WAY_MAX: usize = 64;

/// How often servers that are no longer disturbed may look at their clocks until all have committed the same.
const ROUNDS_MAX: usize = 300;

/// What schedules did, so that a test can see that they did something.
#[derive(Debug, Default)]
pub(crate) struct Sights {
    pub(crate) elected: usize,
    pub(crate) committed: u64,
    pub(crate) crashes: usize,
    pub(crate) restored: usize,
    pub(crate) loads: usize,
    pub(crate) reads: usize,
    /// Changes of the membership that were begun.
    pub(crate) changes: usize,
    /// Configurations that came into force on a server.
    pub(crate) configured: usize,
    /// Leaders that gave way as they were removed.
    pub(crate) left: usize,
}

/// One schedule: no bytes may break an invariant, or keep the servers from agreeing once nothing disturbs them.
pub(crate) fn run(bytes: &[u8], sights: &mut Sights) {
    drive(bytes, None, sights).unwrap_or_else(|wrong| panic!("{wrong}"));
}

/// The same with a bug in all servers.
pub(crate) fn drive(bytes: &[u8], planted: Option<PlantedBug>, sights: &mut Sights) -> Result<(), Wrong> {
    let mut schedule = Schedule { bytes: bytes.iter() };
    let mut servers = Servers::new(&mut schedule, planted, sights);
    for id in servers.voters.clone() {
        servers.start(id)?;
    }
    while let Some(act) = schedule.byte() {
        servers.act(act, &mut schedule)?;
    }
    servers.heal()
}

/// Bytes, one after another.
struct Schedule<'a> {
    bytes: std::slice::Iter<'a, u8>,
}

impl Schedule<'_> {
    fn byte(&mut self) -> Option<u8> {
        self.bytes.next().copied()
    }

    /// A number below `bound`; the first where the bytes are at their end.
    fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte().unwrap_or(0)) % bound.max(1)
    }

    fn is_set(&mut self) -> bool {
        self.below(2) == 1
    }
}

#[derive(Default)]
struct Server {
    raft: Option<Raft>,
    /// What no crash takes away, and what was written.
    disk: Stored,
    written: Stored,
    in_flight: VecDeque<Write>,
    reading: VecDeque<Loaded>,
    machine: Machine,
    lives: u64,
    pre_vote: bool,
}

struct Servers<'a> {
    voters: Vec<NodeId>,
    servers: BTreeMap<NodeId, Server>,
    network: VecDeque<Envelope>,
    now: Time,
    config: Config,
    judges: Judges,
    /// Who was asked for a read, and what any client knew then.
    readers: BTreeMap<ReadId, (NodeId, LogIndex)>,
    asked: u64,
    known: LogIndex,
    sights: &'a mut Sights,
}

impl<'a> Servers<'a> {
    fn new(schedule: &mut Schedule<'_>, planted: Option<PlantedBug>, sights: &'a mut Sights) -> Self {
        let voters: Vec<NodeId> = (1..=3).map(NodeId::new).collect();
        let mut config = Config::new(voters[0], voters.clone());
        config.check_quorum = schedule.is_set();
        config.read_lease_ppm = (schedule.is_set() && config.check_quorum).then_some(10);
        config.durable_state_machine = schedule.is_set();
        config.append_bytes_max = [1, 20, 1 << 19][schedule.below(3)];
        config.append_window = 1 + schedule.below(3);
        config.snapshot_entries = [0, 2, 5][schedule.below(3)];
        config.snapshot_trailing = [0, 1, 4][schedule.below(3)];
        config.cache_bytes_max = [0, 300, 1 << 20][schedule.below(3)];
        config.snapshot_chunk_bytes = CHUNK_BYTES;
        config.observe = true;
        config.planted = planted;
        let server = |&id: &NodeId| (id, Server { pre_vote: schedule.is_set(), ..Server::default() });
        Self {
            servers: voters.iter().map(server).collect(),
            network: VecDeque::new(),
            now: Time::ZERO,
            config,
            judges: Judges::all(voters.clone().into()),
            readers: BTreeMap::new(),
            asked: 0,
            known: LogIndex::ZERO,
            sights,
            voters,
        }
    }

    /// What a byte stands for; its arguments follow it.
    fn act(&mut self, act: u8, schedule: &mut Schedule<'_>) -> Result<(), Wrong> {
        let place = schedule.below(256);
        let id = self.voters[place % self.voters.len()];
        match act {
            0..=127 => self.deliver(place, false),
            128..=135 => self.deliver(place, true),
            136..=139 => {
                self.network.remove(place % self.network.len().max(1));
                Ok(())
            }
            140..=151 => {
                self.now = self.now.after(Duration::from_millis(place as u64 / 4));
                self.voters.clone().into_iter().try_for_each(|id| self.step(id, Input::Tick))
            }
            152..=155 => self.time_out(id),
            156..=211 => self.persist(id),
            212..=219 => self.propose(id),
            220..=223 => self.change(id, schedule.below(28)),
            224..=227 => self.ask(id),
            228 => {
                let survive = schedule.below(self.servers[&id].in_flight.len() + 1);
                self.crash(id, survive);
                Ok(())
            }
            229..=233 => self.start(id),
            234..=245 => self.read(id),
            246..=254 => self.snapshot(id),
            255 => {
                let to = self.voters[schedule.below(self.voters.len())];
                self.transfer(id, to)
            }
        }
    }

    fn server(&mut self, id: NodeId) -> &mut Server {
        self.servers.get_mut(&id).expect("a voter")
    }

    fn start(&mut self, id: NodeId) -> Result<(), Wrong> {
        let (now, mut config) = (self.now, self.config.clone());
        let server = self.servers.get_mut(&id).expect("a voter");
        if server.raft.is_some() {
            return Ok(());
        }
        server.lives += 1;
        (config.id, config.pre_vote) = (id, server.pre_vote);
        config.seed = id.get() + 1_000 * server.lives;
        config.incarnation = raft_core::Incarnation(id.get());
        let restored = server.disk.restored();
        self.judges.started(id, &restored)?;
        let raft = Raft::new(config, restored, now).expect("a disk that a server has left");
        server.raft.insert(raft).has_applied(server.machine.applied);
        self.step(id, Input::Tick)
    }

    fn crash(&mut self, id: NodeId, survive: usize) {
        let keeps = self.config.durable_state_machine;
        let server = self.servers.get_mut(&id).expect("a voter");
        self.sights.crashes += usize::from(server.raft.is_some());
        server.raft = None;
        for write in server.in_flight.drain(..).take(survive) {
            server.disk.apply(write.batch);
        }
        server.written = server.disk.clone();
        server.reading.clear();
        server.machine = if keeps { server.machine.restarted() } else { Machine::default() };
        self.readers.retain(|_, (asked, _)| *asked != id);
    }

    fn deliver(&mut self, place: usize, again: bool) -> Result<(), Wrong> {
        let place = place % self.network.len().max(1);
        let Some(envelope) = self.network.remove(place) else { return Ok(()) };
        if again {
            self.network.push_back(envelope.clone());
        }
        self.step(envelope.to, Input::Receive(envelope))
    }

    /// The next thing that a server waits for is due, and it is the first to look at its clock.
    fn time_out(&mut self, id: NodeId) -> Result<(), Wrong> {
        if let Some(raft) = &self.servers[&id].raft {
            self.now = self.now.max(raft.deadline());
        }
        self.step(id, Input::Tick)
    }

    fn persist(&mut self, id: NodeId) -> Result<(), Wrong> {
        let server = self.server(id);
        let Some(write) = server.in_flight.pop_front() else { return Ok(()) };
        server.disk.apply(write.batch);
        self.step(id, Input::Persisted(write.token))
    }

    fn propose(&mut self, id: NodeId) -> Result<(), Wrong> {
        if let Some(raft) = &mut self.server(id).raft {
            let _refused = raft.propose("x".into());
        }
        self.step(id, Input::Tick)
    }

    fn ask(&mut self, id: NodeId) -> Result<(), Wrong> {
        if self.servers[&id].raft.is_none() {
            return Ok(());
        }
        self.asked += 1;
        self.readers.insert(ReadId(self.asked), (id, self.known));
        self.step(id, Input::Read(ReadId(self.asked)))
    }

    /// What was asked of the disk comes.
    fn read(&mut self, id: NodeId) -> Result<(), Wrong> {
        let loaded = self.server(id).reading.pop_front();
        loaded.map_or(Ok(()), |loaded| self.step(id, Input::Loaded(loaded)))
    }

    /// The next piece of a snapshot that is being taken, or another snapshot.
    fn snapshot(&mut self, id: NodeId) -> Result<(), Wrong> {
        let server = self.server(id);
        if let Some(piece) = server.machine.next_piece() {
            return self.step(id, piece);
        }
        if let Some(raft) = &mut server.raft {
            raft.ask_for_snapshot();
        }
        self.step(id, Input::Tick)
    }

    fn transfer(&mut self, id: NodeId, to: NodeId) -> Result<(), Wrong> {
        if let Some(raft) = &mut self.server(id).raft {
            let _refused = raft.transfer_leadership(to);
        }
        self.step(id, Input::Tick)
    }

    fn step(&mut self, id: NodeId, input: Input) -> Result<(), Wrong> {
        let now = self.now;
        let server = self.servers.get_mut(&id).expect("a voter");
        let Some(raft) = &mut server.raft else { return Ok(()) };
        let led = raft.role() == RoleName::Leader;
        raft.step(now, input);
        let Effects { write, send, apply, restore, take_snapshot, load, reads, events, violation: _ } =
            raft.take_effects();
        self.sights.elected += usize::from(!led && raft.role() == RoleName::Leader);
        if let Some(write) = write {
            server.written.apply(write.batch.clone());
            server.in_flight.push_back(write);
        }
        self.sights.loads += load.len();
        server.reading.extend(load.iter().map(|load| server.written.load(load)));
        let busy = !apply.is_empty() || restore.is_some() || take_snapshot.is_some();
        if restore.is_some() {
            self.sights.restored += 1;
            server.machine.restore(server.written.chunks());
        }
        if let Some(snapshot) = take_snapshot {
            server.machine.take(snapshot.id);
        }
        server.machine.apply(&apply);
        let (applied, state) = (server.machine.applied, server.machine.state);
        self.judges.state(id, applied, state)?;
        self.known = self.known.max(applied);
        for event in &events {
            self.judges.observe(id, event)?;
            self.sights.configured += usize::from(matches!(event, Event::Configured { .. }));
            let left = matches!(event, Event::SteppedDown { reason: StepDownReason::Removed, .. });
            self.sights.left += usize::from(left);
        }
        self.network.extend(send);
        let too_many = self.network.len().saturating_sub(ON_THEIR_WAY_MAX);
        self.network.drain(..too_many);
        self.hear(id, &reads, applied)?;
        if busy { self.step(id, Input::Applied) } else { Ok(()) }
    }

    fn hear(&mut self, id: NodeId, reads: &[Read], applied: LogIndex) -> Result<(), Wrong> {
        for read in reads {
            let (asked, known) = self.readers.remove(&read.id).expect("a read is told of once");
            assert_eq!(asked, id, "where it was asked for");
            if let ReadOutcome::Ready { .. } = read.outcome {
                self.sights.reads += 1;
                self.judges.read(id, known, applied)?;
            }
        }
        Ok(())
    }

    /// Nothing goes wrong any more: what is asked of a disk comes at once, and messages come in order.
    fn heal(&mut self) -> Result<(), Wrong> {
        for id in self.voters.clone() {
            self.start(id)?;
        }
        let mut proposed = None;
        for _ in 0..ROUNDS_MAX {
            self.settle()?;
            let committed = self.servers.values().map(|server| server.machine.applied).min();
            if committed >= proposed && proposed.is_some() && self.readers.is_empty() {
                self.sights.committed += committed.map_or(0, LogIndex::get);
                return Ok(());
            }
            let rafts = || self.servers.values().filter_map(|server| server.raft.as_ref());
            let next = rafts().map(Raft::deadline).min().unwrap_or(self.now);
            self.now = self.now.max(next);
            for id in self.voters.clone() {
                self.let_all_vote(id)?;
            }
            let leader = self.servers.values_mut().filter_map(|server| server.raft.as_mut());
            if let Some(leader) = leader.into_iter().find(|raft| raft.role() == RoleName::Leader) {
                proposed = proposed.or(leader.propose("last".into()).ok().map(|id| id.index));
            }
        }
        panic!("no agreement after {ROUNDS_MAX} rounds without disturbance");
    }

    /// Until nothing is on its way. No time goes by, so what goes on for ever is a hang; an entry that travels alone,
    /// and has to be read from disk, takes four rounds.
    fn settle(&mut self) -> Result<(), Wrong> {
        let rafts = self.servers.values().filter_map(|server| server.raft.as_ref());
        let longest = rafts.map(|raft| raft.last_log().index.get()).max().unwrap_or(0);
        let rounds_max = ROUNDS_MAX as u64 + 10 * longest;
        for _ in 0..rounds_max {
            let sent = self.network.len();
            for id in self.voters.clone() {
                while !self.servers[&id].in_flight.is_empty() {
                    self.persist(id)?;
                }
                self.read(id)?;
                if let Some(piece) = self.server(id).machine.next_piece() {
                    self.step(id, piece)?;
                }
            }
            for _ in 0..sent {
                self.deliver(0, false)?;
            }
            let busy = |server: &Server| !server.in_flight.is_empty() || !server.reading.is_empty();
            if self.network.is_empty() && !self.servers.values().any(busy) {
                return Ok(());
            }
        }
        panic!("servers have something to say {rounds_max} times at one moment");
    }
}
