//! A cluster of bare [`Raft`]s in a world where everything goes wrong that may.

mod judges;
mod machine;
mod misfortune;
mod reads;
mod report;
mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use raft_core::{
    Config, Effects, Envelope, Input, Message, NodeId, PlantedBug, PreVoteReply, ProposeError, Raft, Rng,
    RoleName,
};

pub(crate) use judges::{Judges, Wrong};
use reads::Readers;
pub(crate) use report::Report;
use server::Server;

/// How long things go wrong, and how long the cluster has to agree once they no longer do.
const MISFORTUNE_MS: u64 = 1_500;
const HEALED_MS: u64 = 500;
/// In the last of them nobody begins to read.
const LAST_MS: u64 = 100;
/// How long a server waits for its disk, and the longest that one hangs.
const DISK_PATIENCE_MS: u64 = 60;
const HANG_MS: u64 = 300;

pub(crate) struct World {
    rng: Rng,
    planted: Option<PlantedBug>,
    voters: Vec<NodeId>,
    now_ms: u64,
    servers: BTreeMap<NodeId, Server>,
    /// Messages by the moment at which they arrive; the second number keeps them apart.
    network: BTreeMap<(u64, u64), Envelope>,
    sent: u64,
    cut: BTreeSet<(NodeId, NodeId)>,
    /// How bad this world is, in messages lost and repeated of 1,000, and the longest delay.
    loss: u64,
    repeat: u64,
    delay_ms: u64,
    /// The longest that a write takes to become durable; now and then one hangs for much longer.
    disk_ms: u64,
    hangs: bool,
    /// One in so many servers starts without pre-vote, and as many without check-quorum: all, some as while
    /// they are upgraded one by one, or almost none.
    without_one_in: u64,
    /// Whether servers may take in several things before they act on any, as a busy node does.
    batches: bool,
    /// Whether state machines keep what they have applied through a crash.
    durable_machines: bool,
    /// Whether there are leases, and then how much faster the fastest clock may run than the slowest.
    lease_ppm: Option<u32>,
    /// A server crashes or starts once in so many milliseconds.
    crash_one_in: u64,
    /// One entry a message: an old leader's entries and a new one's travel apart (Figure 8).
    append_bytes_max: usize,
    /// How often a snapshot is taken, and how many entries are left before it; in how many bytes of memory.
    snapshot_entries: u64,
    snapshot_trailing: u64,
    cache_bytes_max: usize,
    judges: Judges,
    readers: Readers,
    report: Report,
}

impl World {
    pub(crate) fn new(seed: u64, planted: Option<PlantedBug>, judges: fn(&[NodeId]) -> Judges) -> Self {
        let mut rng = Rng::new(seed);
        let size = [3, 3, 5][usize::try_from(rng.below(3)).unwrap()];
        let voters: Vec<NodeId> = (1..=size).map(NodeId::new).collect();
        let (loss, repeat, delay_ms) = (rng.below(200), rng.below(200), 1 + rng.below(12));
        let calm = [1, 1, 10][usize::try_from(rng.below(3)).unwrap()];
        let (crash_one_in, append_bytes_max) =
            (calm * (8 + rng.below(80)), if rng.one_in(2) { 1 } else { 20 });
        let (snapshot_entries, snapshot_trailing) =
            ([0, 3, 10, 40][pick(&mut rng)], [0, 0, 2, 20][pick(&mut rng)]);
        let lease_ppm = rng.one_in(3).then_some(3_000_000);
        let disk_ms = if rng.one_in(2) { 2 } else { 15 };
        let cache_bytes_max = [0, 300, 300, 1 << 20][pick(&mut rng)];
        let mut world = Self {
            planted,
            now_ms: 0,
            servers: BTreeMap::new(),
            network: BTreeMap::new(),
            sent: 0,
            cut: BTreeSet::new(),
            loss,
            repeat,
            delay_ms,
            lease_ppm,
            disk_ms,
            without_one_in: [1, 2, 1_000][usize::try_from(rng.below(3)).unwrap()],
            hangs: rng.one_in(2),
            batches: rng.one_in(2),
            durable_machines: rng.one_in(3),
            crash_one_in,
            append_bytes_max,
            snapshot_entries,
            snapshot_trailing,
            cache_bytes_max,
            judges: judges(&voters),
            readers: Readers::default(),
            report: Report::default(),
            voters,
            rng,
        };
        for &id in &world.voters.clone() {
            world.servers.insert(id, Server::default());
        }
        world
    }

    pub(crate) fn run(mut self) -> Result<Report, Wrong> {
        for id in self.voters.clone() {
            self.start(id)?;
        }
        while self.now_ms < MISFORTUNE_MS {
            self.misfortune()?;
            if self.rng.one_in(40) {
                self.transfer();
            }
            if self.rng.one_in(8) {
                self.read_anywhere()?;
            }
            self.advance(300)?;
        }
        self.heal()?;
        while self.now_ms < MISFORTUNE_MS + HEALED_MS {
            if self.rng.one_in(8) && self.now_ms < MISFORTUNE_MS + HEALED_MS - LAST_MS {
                self.read_anywhere()?;
            }
            self.advance(1_000)?;
        }
        let mut applied = self.servers.values().map(|server| server.machine.applied.get());
        let first = applied.next().unwrap_or(0);
        let agree = first > 0 && applied.all(|applied| applied.abs_diff(first) <= 20);
        self.report.recovered = agree && self.readers.are_done();
        for raft in self.servers.values().filter_map(|server| server.raft.as_ref()) {
            self.report.fingerprint = self.report.fingerprint.rotate_left(1) ^ raft.fingerprint();
        }
        Ok(self.report)
    }

    /// One millisecond: what arrives by now, what is durable by now, and what is due.
    fn advance(&mut self, propose_one_in: u64) -> Result<(), Wrong> {
        self.now_ms += 1;
        for server in self.servers.values_mut() {
            server.clock = server.clock.after(Duration::from_nanos(server.clock_rate));
        }
        self.wake()?;
        let later = self.network.split_off(&(self.now_ms + 1, 0));
        for envelope in std::mem::replace(&mut self.network, later).into_values() {
            let to = envelope.to;
            if self.is_paused(to) {
                self.sent += 1;
                self.network.insert((self.servers[&to].paused_until, self.sent), envelope);
                continue;
            }
            self.take_in(to, Input::Receive(envelope))?;
        }
        for id in self.voters.clone() {
            if self.is_paused(id) {
                continue;
            }
            self.persist(id)?;
            self.read(id)?;
            if self.rng.below(propose_one_in) < 30 {
                self.propose(id);
            }
            self.step(id, Input::Tick)?;
        }
        Ok(())
    }

    fn server(&mut self, id: NodeId) -> &mut Server {
        self.servers.get_mut(&id).unwrap()
    }

    fn propose(&mut self, id: NodeId) {
        let command = format!("{}", self.now_ms).into();
        let Some(raft) = &mut self.servers.get_mut(&id).unwrap().raft else { return };
        if raft.role() == RoleName::Leader {
            let expected = raft.transferring().map(|to| ProposeError::Transferring { to });
            assert_eq!(raft.propose(command).err(), expected);
        }
    }

    fn start(&mut self, id: NodeId) -> Result<(), Wrong> {
        let mut config = Config::new(id, self.voters.clone());
        // Where clocks differ so much, a fast one must not run out between two heartbeats of a slow one.
        let (shortest, longest, patience) = if self.lease_ppm.is_some() {
            (96, 160, 4 * DISK_PATIENCE_MS)
        } else {
            (12, 30, DISK_PATIENCE_MS)
        };
        config.election_timeout = (Duration::from_millis(shortest), Duration::from_millis(longest));
        config.read_lease_ppm = self.lease_ppm;
        config.heartbeat = Duration::from_millis(5);
        config.append_bytes_max = self.append_bytes_max;
        config.append_window = 3;
        config.pre_vote = !self.rng.one_in(self.without_one_in);
        config.check_quorum = self.lease_ppm.is_some() || !self.rng.one_in(self.without_one_in);
        config.disk_patience = Duration::from_millis(patience);
        config.seed = self.rng.next_u64();
        config.observe = true;
        config.durable_state_machine = self.durable_machines;
        config.planted = self.planted;
        config.snapshot_entries = self.snapshot_entries;
        config.snapshot_trailing = self.snapshot_trailing;
        config.snapshot_chunk_bytes = machine::CHUNK_BYTES;
        config.cache_bytes_max = self.cache_bytes_max;
        self.drift(id);
        let server = self.servers.get_mut(&id).unwrap();
        let now = server.clock;
        let restored = server.disk.restored();
        server.durable_term = restored.hard_state.current_term;
        self.judges.started(id, &restored)?;
        let raft = server.raft.insert(Raft::new(config, restored, now).unwrap());
        raft.has_applied(server.machine.applied);
        Ok(())
    }

    fn persist(&mut self, id: NodeId) -> Result<(), Wrong> {
        loop {
            let server = self.servers.get_mut(&id).unwrap();
            if server.in_flight.front().is_none_or(|(due, _)| *due > self.now_ms) {
                return Ok(());
            }
            let Some((_, write)) = server.in_flight.pop_front() else { return Ok(()) };
            server.apply(write.batch);
            self.take_in(id, Input::Persisted(write.token))?;
        }
    }

    /// What was read from disk comes, and the next piece of a snapshot that is being taken.
    fn read(&mut self, id: NodeId) -> Result<(), Wrong> {
        let server = self.servers.get_mut(&id).unwrap();
        let is_due = server.reading.front().is_some_and(|(due, _)| *due <= self.now_ms);
        let loaded = if is_due { server.reading.pop_front() } else { None };
        let piece = server.machine.next_piece();
        if let Some((_, loaded)) = loaded {
            self.step(id, Input::Loaded(loaded))?;
        }
        piece.map_or(Ok(()), |piece| self.step(id, piece))
    }

    /// An input, and what comes of it at once, or of it and of what comes next together.
    fn take_in(&mut self, id: NodeId, input: Input) -> Result<(), Wrong> {
        if !self.batches || self.rng.one_in(2) {
            return self.step(id, input);
        }
        let server = self.server(id);
        if let Some(raft) = &mut server.raft {
            raft.step(server.clock, input);
        }
        Ok(())
    }

    fn step(&mut self, id: NodeId, input: Input) -> Result<(), Wrong> {
        let server = self.servers.get_mut(&id).unwrap();
        let now = server.clock;
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
            let hangs = self.hangs && self.rng.one_in(60);
            let takes = self.rng.below(if hangs { HANG_MS } else { self.disk_ms });
            server.in_flight.push_back((last.max(self.now_ms + takes), write));
        }
        self.report.loads += load.len();
        for load in load {
            let last = server.reading.back().map_or(0, |(due, _)| *due);
            let due = last.max(self.now_ms + self.rng.below(self.disk_ms));
            server.reading.push_back((due, server.written.load(&load)));
        }
        if restore.is_some() {
            server.machine.restore(server.written.chunks());
        }
        if let Some(snapshot) = take_snapshot {
            server.machine.take(snapshot.id);
        }
        server.machine.apply(&apply);
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
        self.hear(id, reads, applied)
    }

    fn send(&mut self, envelope: Envelope) {
        let proposal = matches!(
            envelope.message,
            Message::PreVote(_) | Message::PreVoteReply(PreVoteReply { vote_granted: true })
        );
        let durable = proposal || envelope.term <= self.servers[&envelope.from].durable_term;
        // Where a bug is planted, the judges have to find it.
        assert!(durable || self.planted.is_some(), "a term that is not durable leaves: {envelope:?}");
        if self.cut.contains(&(envelope.from, envelope.to)) {
            self.report.cut += 1;
            return;
        }
        if self.rng.below(1_000) < self.loss {
            self.report.lost += 1;
            return;
        }
        if self.rng.below(1_000) < self.repeat {
            self.report.repeated += 1;
            self.arrive(envelope.clone());
        }
        self.arrive(envelope);
    }

    /// Most messages take their time; one in twenty is held back so long that elections pass it by.
    fn arrive(&mut self, envelope: Envelope) {
        let longest = if self.rng.one_in(20) { self.delay_ms * 10 } else { self.delay_ms };
        self.sent += 1;
        self.network.insert((self.now_ms + 1 + self.rng.below(longest), self.sent), envelope);
    }
}

/// One of four.
fn pick(rng: &mut Rng) -> usize {
    usize::try_from(rng.below(4)).unwrap()
}
