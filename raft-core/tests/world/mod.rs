//! A cluster of bare [`Raft`]s in a world where everything goes wrong that may. It is a queue of what happens
//! next, in nanoseconds: nothing is paid for the time in which nothing does.

mod clock;
mod conditions;
mod judges;
mod machine;
mod membership;
mod misfortune;
mod queue;
mod reads;
mod report;
mod rot;
mod server;

use std::collections::{BTreeMap, BTreeSet};

use raft_core::{
    Configuration, Effects, Envelope, Incarnation, Input, Message, NodeId, PlantedBug, PreVoteReply,
    ProposeError, Raft, Rng, RoleName,
};

pub(crate) use conditions::Conditions;
pub(crate) use judges::{Judges, Wrong};
use queue::{Happening, MS, Queue};
use reads::Readers;
pub(crate) use report::Report;
use server::Server;

/// In the last of the healed time clients ask for nothing, and all that is under way comes to its end.
const LAST: u64 = 100 * MS;
/// The longest that a disk hangs.
const HANG: u64 = 300 * MS;

pub(crate) struct World {
    rng: Rng,
    planted: Option<PlantedBug>,
    conditions: Conditions,
    /// All servers, those that vote and those that do not.
    ids: Vec<NodeId>,
    now: u64,
    queue: Queue,
    servers: BTreeMap<NodeId, Server>,
    cut: BTreeSet<(NodeId, NodeId)>,
    judges: Judges,
    readers: Readers,
    report: Report,
}

impl World {
    /// The world of misfortune that this seed names.
    pub(crate) fn new(seed: u64, planted: Option<PlantedBug>, judges: fn(Configuration) -> Judges) -> Self {
        let mut rng = Rng::new(seed);
        let conditions = Conditions::misfortune(&mut rng);
        Self::under(conditions, rng, planted, judges)
    }

    /// The same, where in addition who votes is changed all the time, and disks are wiped.
    pub(crate) fn changing(
        seed: u64,
        planted: Option<PlantedBug>,
        judges: fn(Configuration) -> Judges,
    ) -> Self {
        let mut rng = Rng::new(seed);
        let conditions = Conditions::misfortune(&mut rng).with_members();
        Self::under(conditions, rng, planted, judges)
    }

    /// The same as [`new`](Self::new), where in addition disks lose what they had.
    pub(crate) fn rotting(
        seed: u64,
        planted: Option<PlantedBug>,
        judges: fn(Configuration) -> Judges,
    ) -> Self {
        let mut rng = Rng::new(seed);
        let conditions = Conditions::misfortune(&mut rng).with_rot(&mut rng);
        Self::under(conditions, rng, planted, judges)
    }

    /// Who votes is changed, and disks lose what they had.
    pub(crate) fn changing_and_rotting(
        seed: u64,
        planted: Option<PlantedBug>,
        judges: fn(Configuration) -> Judges,
    ) -> Self {
        let mut rng = Rng::new(seed);
        let conditions = Conditions::misfortune(&mut rng).with_rot(&mut rng).with_members();
        Self::under(conditions, rng, planted, judges)
    }

    pub(crate) fn under(
        conditions: Conditions,
        rng: Rng,
        planted: Option<PlantedBug>,
        judges: fn(Configuration) -> Judges,
    ) -> Self {
        let ids = conditions.ids();
        let server = |&id| (id, Server { life: Incarnation(NodeId::get(id)), ..Server::default() });
        Self {
            rng,
            planted,
            now: 0,
            queue: Queue::default(),
            servers: ids.iter().map(server).collect(),
            cut: BTreeSet::new(),
            judges: judges(conditions.first()),
            readers: Readers::default(),
            report: Report::default(),
            ids,
            conditions,
        }
    }

    pub(crate) fn run(mut self) -> Result<Report, Wrong> {
        for id in self.ids.clone() {
            self.start(id)?;
        }
        for first in [Happening::Command, Happening::Read, Happening::Fault, Happening::Transfer] {
            self.queue.put(0, first);
        }
        if self.conditions.members {
            self.queue.put(0, Happening::Change);
        }
        let healed = self.conditions.misfortune;
        let end = healed + self.conditions.healed;
        self.go_on(healed)?;
        self.heal()?;
        let before = self.report.committed;
        self.go_on(end - LAST)?;
        self.readers.stop();
        self.go_on(end)?;

        let applied: BTreeSet<_> = self.servers.values().map(|server| server.machine.applied).collect();
        let agree = applied.len() == 1 && self.report.committed > before;
        self.report.recovered = agree && self.readers.are_done();
        self.report.simulated = end;
        for raft in self.servers.values().filter_map(|server| server.raft.as_ref()) {
            self.report.fingerprint = self.report.fingerprint.rotate_left(1) ^ raft.fingerprint();
        }
        Ok(self.report)
    }

    fn go_on(&mut self, end: u64) -> Result<(), Wrong> {
        while let Some((at, happening)) = self.queue.next_before(end) {
            self.now = at;
            self.happen(happening)?;
        }
        self.now = end;
        Ok(())
    }

    fn happen(&mut self, happening: Happening) -> Result<(), Wrong> {
        match happening {
            Happening::Arrives(Envelope { to: id, .. })
            | Happening::Wakes(id)
            | Happening::Durable(id)
            | Happening::Loaded(id)
            | Happening::Piece(id)
                if self.is_paused(id) =>
            {
                self.queue.put(self.servers[&id].paused_until, happening);
                Ok(())
            }
            Happening::Arrives(envelope) => {
                self.report.events += 1;
                self.take_in(envelope.to, Input::Receive(envelope))
            }
            Happening::Wakes(id) => self.wake(id),
            // It is asked for a read before it has looked at the clock.
            Happening::Resumes(id) => self.ask(id),
            Happening::Durable(id) => self.persist(id),
            Happening::Loaded(id) => self.load(id),
            Happening::Piece(id) => self.give_piece(id),
            Happening::Command => {
                self.again(self.conditions.command_every, Happening::Command);
                self.propose();
                Ok(())
            }
            Happening::Read => {
                self.again(self.conditions.read_every, Happening::Read);
                self.read_anywhere()
            }
            Happening::Fault if self.is_healed() => Ok(()),
            Happening::Fault => {
                self.again(MS, Happening::Fault);
                self.misfortune()
            }
            Happening::Change => {
                if self.is_healed() {
                    self.settle();
                } else {
                    self.change();
                }
                Ok(())
            }
            Happening::Transfer if self.is_healed() => Ok(()),
            Happening::Transfer => {
                self.again(40 * MS, Happening::Transfer);
                self.transfer();
                Ok(())
            }
        }
    }

    const fn is_healed(&self) -> bool {
        self.now >= self.conditions.misfortune
    }

    /// It happens again, after this long in the mean.
    fn again(&mut self, every: u64, happening: Happening) {
        let wait = self.rng.below(every.saturating_mul(2)).max(1);
        self.queue.put(self.now.saturating_add(wait), happening);
    }

    fn server(&mut self, id: NodeId) -> &mut Server {
        self.servers.get_mut(&id).unwrap()
    }

    /// A client tells all who lead, or think that they do.
    fn propose(&mut self) {
        if self.readers.have_stopped() {
            return;
        }
        for id in self.ids.clone() {
            let command = format!("{}", self.now).into();
            let server = self.servers.get_mut(&id).unwrap();
            let Some(raft) = &mut server.raft else { continue };
            if raft.role() == RoleName::Leader {
                let expected = raft.transferring().map(|to| ProposeError::Transferring { to });
                assert_eq!(raft.propose(command).err(), expected);
                self.report.events += 1;
                self.soon(id);
            }
        }
    }

    /// A server acts within a millisecond on what it has taken in.
    fn soon(&mut self, id: NodeId) {
        let at = self.now + self.rng.below(MS);
        self.server(id).acts_at = Some(at);
        self.queue.put(at, Happening::Wakes(id));
    }

    fn start(&mut self, id: NodeId) -> Result<(), Wrong> {
        let mut config = self.conditions.config(id, self.planted, &mut self.rng);
        config.incarnation = self.servers[&id].life;
        config.bootstrap =
            config.bootstrap.filter(|first| first.members().contains(&id) && !self.servers[&id].joins);
        self.drift(id);
        let server = self.servers.get_mut(&id).unwrap();
        let restored = server.disk.restored();
        server.durable_term = restored.hard_state.current_term;
        self.judges.started(id, &restored)?;
        let raft = server.raft.insert(Raft::new(config, restored, server.clock.at(self.now)).unwrap());
        raft.has_applied(server.machine.applied);
        self.arm(id, self.now);
        Ok(())
    }

    /// A server is woken in time for its deadline, not before `earliest`.
    fn arm(&mut self, id: NodeId, earliest: u64) {
        let server = self.servers.get_mut(&id).unwrap();
        let Some(raft) = &server.raft else { return };
        let at = server.clock.tells(raft.deadline()).max(earliest);
        if server.wakes_at.is_none_or(|wakes_at| wakes_at > at) {
            server.wakes_at = Some(at);
            self.queue.put(at, Happening::Wakes(id));
        }
    }

    /// The deadline may have moved since the server was to be woken for it.
    fn wake(&mut self, id: NodeId) -> Result<(), Wrong> {
        let now = self.now;
        let server = self.server(id);
        server.wakes_at = server.wakes_at.filter(|&wakes_at| wakes_at > now);
        let acts = server.acts_at.take_if(|acts_at| *acts_at <= now).is_some();
        let clock = server.clock.at(now);
        if acts || server.raft.as_ref().is_some_and(|raft| raft.deadline() <= clock) {
            self.report.events += 1;
            return self.step(id, Input::Tick);
        }
        self.arm(id, now);
        Ok(())
    }

    fn persist(&mut self, id: NodeId) -> Result<(), Wrong> {
        loop {
            let now = self.now;
            let rots = self.conditions.rot;
            let server = self.server(id);
            if server.in_flight.front().is_none_or(|(due, _)| *due > now) {
                return Ok(());
            }
            let Some((_, write)) = server.in_flight.pop_front() else { return Ok(()) };
            server.apply(write.batch, rots);
            self.report.events += 1;
            self.take_in(id, Input::Persisted(write.token))?;
        }
    }

    fn load(&mut self, id: NodeId) -> Result<(), Wrong> {
        let now = self.now;
        let server = self.server(id);
        let is_due = server.reading.front().is_some_and(|(due, _)| *due <= now);
        let loaded = if is_due { server.reading.pop_front() } else { None };
        let Some((_, loaded)) = loaded else { return Ok(()) };
        self.report.events += 1;
        self.step(id, Input::Loaded(loaded))
    }

    fn give_piece(&mut self, id: NodeId) -> Result<(), Wrong> {
        let Some(piece) = self.server(id).machine.next_piece() else { return Ok(()) };
        self.report.events += 1;
        self.queue.put(self.now + MS, Happening::Piece(id));
        self.step(id, piece)
    }

    /// An input, and what comes of it at once, or of it and of what comes next together.
    fn take_in(&mut self, id: NodeId, input: Input) -> Result<(), Wrong> {
        if !self.conditions.batches || self.rng.one_in(2) {
            return self.step(id, input);
        }
        let now = self.now;
        let server = self.server(id);
        if let Some(raft) = &mut server.raft {
            raft.step(server.clock.at(now), input);
            self.soon(id);
        }
        Ok(())
    }

    fn step(&mut self, id: NodeId, input: Input) -> Result<(), Wrong> {
        let server = self.servers.get_mut(&id).unwrap();
        let now = server.clock.at(self.now);
        let Some(raft) = &mut server.raft else { return Ok(()) };
        raft.step(now, input);
        let Effects { write, send, apply, restore, take_snapshot, load, reads, events, violation } =
            raft.take_effects();
        if !apply.is_empty() || restore.is_some() || take_snapshot.is_some() {
            raft.step(now, Input::Applied);
        }
        if let Some(write) = write {
            server.written.apply(write.batch.clone());
            let last = server.in_flight.back().map_or(0, |(due, _)| *due);
            let hangs = self.conditions.hangs && self.rng.one_in(60);
            let takes = self.rng.below(if hangs { HANG } else { self.conditions.disk });
            let due = last.max(self.now + takes);
            server.in_flight.push_back((due, write));
            self.queue.put(due, Happening::Durable(id));
        }
        self.report.loads += load.len();
        for load in load {
            let last = server.reading.back().map_or(0, |(due, _)| *due);
            let due = last.max(self.now + self.rng.below(self.conditions.disk));
            server.reading.push_back((due, server.written.load(&load)));
            self.queue.put(due, Happening::Loaded(id));
        }
        if restore.is_some() {
            server.machine.restore(server.written.chunks());
        }
        if let Some(snapshot) = take_snapshot {
            server.machine.take(snapshot.id);
            self.queue.put(self.now + MS, Happening::Piece(id));
        }
        server.machine.apply(&apply);
        let is_late = raft.deadline() <= now;
        assert!(!is_late || self.planted.is_some(), "{id} does not do what is due");
        let earliest = if is_late { self.now + MS } else { self.now };
        let (applied, state) = (server.machine.applied, server.machine.state);
        self.judges.state(id, applied, state)?;
        self.readers.learn(applied);
        for event in &events {
            self.report.count(event);
            self.judges.observe(id, event)?;
        }
        assert!(violation.is_none() || !events.is_empty(), "a violation is an event too");
        for envelope in send {
            self.send(envelope);
        }
        self.arm(id, earliest);
        self.hear(id, reads, applied)
    }

    fn send(&mut self, envelope: Envelope) {
        let proposal = matches!(
            envelope.message,
            Message::PreVote(_) | Message::PreVoteReply(PreVoteReply { vote_granted: true, .. })
        );
        let durable = proposal || envelope.term <= self.servers[&envelope.from].durable_term;
        // Where a bug is planted, the judges have to find it.
        assert!(durable || self.planted.is_some(), "a term that is not durable leaves: {envelope:?}");
        if self.cut.contains(&(envelope.from, envelope.to)) {
            self.report.cut += 1;
            return;
        }
        if self.rng.below(1_000) < self.conditions.loss {
            self.report.lost += 1;
            return;
        }
        if self.rng.below(1_000) < self.conditions.repeat {
            self.report.repeated += 1;
            self.arrive(envelope.clone());
        }
        self.arrive(envelope);
    }

    /// Most messages take their time; one in twenty is held back so long that elections pass it by.
    fn arrive(&mut self, envelope: Envelope) {
        let delay = self.conditions.delay;
        let longest = if self.rng.one_in(20) && !self.is_healed() { delay * 10 } else { delay };
        self.queue.put(self.now + 1 + self.rng.below(longest), Happening::Arrives(envelope));
    }
}
