//! The servers of a script, and what lies between them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::time::Duration;

use raft_core::{
    ChangeError, Config, Configuration, Configured, Effects, EntryId, Envelope, Event, Incarnation, Input,
    Loaded, LogIndex, Member, NodeId, Payload, PlantedBug, Raft, Read, ReadId, ReadOutcome, RoleName,
    Snapshot, Stored, Time, Write,
};

use crate::words::{describe, describe_entries, describe_write, direction, disk, list, number};

/// A server's options, or a cluster's.
type Options = BTreeMap<String, usize>;

#[derive(Default)]
pub(crate) struct Stage {
    planted: Option<PlantedBug>,
    /// How many servers the cluster begins with.
    first: u64,
    servers: Vec<Server>,
    /// What is on its way, and when it arrives by itself.
    network: VecDeque<(u64, Envelope)>,
    cut: BTreeSet<(NodeId, NodeId)>,
    /// How long a message takes, in milliseconds.
    delay: u64,
    /// How many milliseconds have elapsed, if they elapse just now or have before.
    elapsed: u64,
    elapsing: bool,
    out: String,
}

struct Server {
    raft: Raft,
    options: Options,
    /// Each server has its own time, so that a timeout of one is none of another.
    now: Time,
    /// What is durable, and what was written.
    disk: Stored,
    written: Stored,
    in_flight: VecDeque<Write>,
    hangs: bool,
    /// The commands that were applied.
    state: String,
    delivered: Vec<Envelope>,
}

impl Stage {
    /// An empty stage. Whoever appears on it has this bug.
    pub(crate) fn new(planted: Option<PlantedBug>) -> Self {
        Self { planted, ..Self::default() }
    }

    /// The script as it should read: comments and commands as they are, and after each `----` what the
    /// servers did because of the commands before it.
    pub(crate) fn play(mut self, script: &str) -> String {
        let mut lines = script.lines().peekable();
        let mut text = String::new();
        while let Some(line) = lines.next() {
            writeln!(text, "{line}").unwrap();
            if line == "----" {
                while lines.next_if(|line| !line.is_empty()).is_some() {}
                text.push_str(&std::mem::take(&mut self.out));
            } else if !line.is_empty() && !line.starts_with('#') {
                self.command(&line.split_whitespace().collect::<Vec<_>>());
            }
        }
        text
    }

    fn command(&mut self, words: &[&str]) {
        match *words {
            ["cluster", size, ref options @ ..] => self.cluster(size.parse().unwrap(), &parse(options)),
            ["disk", id, ref content @ ..] => {
                self.server(id).disk = Stored::default();
                self.server(id).disk.apply(disk(content));
                self.restart(id);
            }
            ["damage", id, index] => {
                let index = LogIndex::new(index.parse().unwrap());
                self.server(id).disk.damage(index);
                self.restart(id);
                self.step(id, Input::Loaded(Loaded::Damaged { from: index, to: index }));
            }
            ["snapshot", id] => {
                self.server(id).raft.ask_for_snapshot();
                self.step(id, Input::Tick);
            }
            ["timeout", id] => {
                self.server(id).now = self.server(id).raft.deadline();
                self.step(id, Input::Tick);
            }
            ["deliver", id] => self.deliver(id, |_| true),
            ["deliver", id, "from", peer] => self.deliver(id, |from| from == number(peer)),
            ["drop", id] => drop(self.take(id, |_| true)),
            ["drop", id, "from", peer] => drop(self.take(id, |from| from == number(peer))),
            ["repeat", id] => {
                let again = self.server(id).delivered.clone();
                again.into_iter().for_each(|envelope| self.step(id, Input::Receive(envelope)));
            }
            ["persist", id] => self.persist_all(id),
            ["persist", id, "1"] => self.persist(id),
            ["propose", id, command] => match self.server(id).raft.propose(command.to_owned().into()) {
                Ok(_) => self.step(id, Input::Tick),
                Err(refused) => writeln!(self.out, "{id} refuses: {refused}").unwrap(),
            },
            ["read", id, name] => self.step(id, Input::Read(ReadId(name.parse().unwrap()))),
            ["wait", id, ms] => {
                let server = self.server(id);
                server.now = server.now.after(Duration::from_millis(ms.parse().unwrap()));
            }
            ["transfer", id, to] => {
                let to = NodeId::new(number(to));
                match self.server(id).raft.transfer_leadership(to) {
                    Ok(()) => self.step(id, Input::Tick),
                    Err(refused) => writeln!(self.out, "{id} refuses: {refused}").unwrap(),
                }
            }
            ["change", id, members] => {
                let (voters, learners) = members.split_once('+').unwrap_or((members, ""));
                let raft = &mut self.server(id).raft;
                let from = raft.configuration().at;
                let changed = raft.change_membership(from, list(voters), list(learners));
                self.changed(id, changed);
            }
            ["abandon", id] => {
                let abandoned = self.server(id).raft.abandon_change();
                self.changed(id, abandoned);
            }
            ["members", id] => {
                let Configured { at, configuration } = self.server(id).raft.configuration();
                let text = format!("{id} goes by {configuration} of {at}");
                writeln!(self.out, "{text}").unwrap();
            }
            ["wipe", id, ref options @ ..] => {
                self.server(id).disk = Stored::default();
                self.server(id).options.append(&mut parse(options));
                self.restart(id);
            }
            ["crash", id, ref options @ ..] => {
                self.server(id).options.append(&mut parse(options));
                self.restart(id);
            }
            ["state", id] => self.state(id),
            ["elapse", ms] => self.elapse(ms.parse().unwrap()),
            ["cut", ref directions @ ..] => self.cut.extend(directions.iter().map(|cut| direction(cut))),
            ["isolate", id] => {
                let id = NodeId::new(number(id));
                let others: Vec<_> = self.servers.iter().map(|server| server.raft.id()).collect();
                self.cut.extend(others.into_iter().flat_map(|other| [(id, other), (other, id)]));
            }
            ["heal"] => self.cut.clear(),
            ["hang", id] => self.server(id).hangs = true,
            ["mend", id] => self.server(id).hangs = false,
            _ => panic!("no such command: {words:?}"),
        }
    }

    fn changed(&mut self, id: &str, changed: Result<EntryId, ChangeError>) {
        match changed {
            Ok(_) => self.step(id, Input::Tick),
            Err(refused) => writeln!(self.out, "{id} refuses: {refused}").unwrap(),
        }
    }

    fn cluster(&mut self, size: u64, options: &Options) {
        self.delay = options.get("delay").map_or(1, |&delay| delay as u64);
        let spares = options.get("spares").map_or(0, |&spares| spares as u64);
        self.first = size;
        for id in 1..=size + spares {
            let mut options = options.clone();
            options.entry("joins".into()).or_insert(usize::from(id > size));
            let raft = self.start(id, &options, &Stored::default());
            let (now, disk, written, in_flight, hangs, state, delivered) = Default::default();
            let server = Server { raft, options, now, disk, written, in_flight, hangs, state, delivered };
            self.servers.push(server);
        }
    }

    fn start(&self, id: u64, options: &Options, disk: &Stored) -> Raft {
        let option = |key: &str, default: usize| options.get(key).copied().unwrap_or(default);
        let mut config = Config::new(NodeId::new(id), (1..=self.first).map(NodeId::new).collect());
        if option("bound", 0) == 1 {
            let bound = |id| Member::bound(NodeId::new(id), Incarnation(id));
            config.bootstrap = Some(Configuration::of((1..=self.first).map(bound)));
        }
        config.bootstrap = config.bootstrap.filter(|_| option("joins", 0) == 0);
        config.incarnation = Incarnation(options.get("life").map_or(id, |&life| life as u64));
        config.append_bytes_max = option("bytes", config.append_bytes_max);
        config.append_window_bytes = option("window", config.append_window_bytes);
        config.uncommitted_bytes_max = option("uncommitted", config.uncommitted_bytes_max);
        config.cache_bytes_max = option("cache", config.cache_bytes_max);
        config.snapshot_trailing = option("trailing", 0) as u64;
        config.snapshot_entries = option("every", 100_000) as u64;
        config.pre_vote = option("prevote", 1) == 1;
        config.check_quorum = option("quorum", 1) == 1;
        config.read_lease_ppm = options.get("lease").map(|&ppm| ppm.try_into().unwrap());
        config.disk_patience = Duration::from_millis(option("patience", 1_000) as u64);
        config.observe = true;
        config.planted = self.planted;
        Raft::new(config, disk.restored(), Time::ZERO).unwrap()
    }

    fn state(&mut self, id: &str) {
        let raft = &self.server(id).raft;
        let (role, term, commit) = (raft.role(), raft.current_term(), raft.commit_index());
        let (last, durable) = (raft.last_log(), raft.durable_log());
        let mut text = format!("{id} is {role} in {term}, last {last}, durable {durable}, commit {commit}");
        if raft.snapshot_index() > LogIndex::ZERO {
            let (snapshot, state) = (raft.snapshot_index(), &self.server(id).state);
            write!(text, ", snapshot {snapshot}, state {state:?}").unwrap();
        }
        writeln!(self.out, "{text}").unwrap();
    }

    fn server(&mut self, id: &str) -> &mut Server {
        &mut self.servers[usize::try_from(number(id) - 1).unwrap()]
    }

    fn restart(&mut self, id: &str) {
        let (options, disk) = (self.server(id).options.clone(), self.server(id).disk.clone());
        let raft = self.start(number(id), &options, &disk);
        let server = self.server(id);
        server.raft = raft;
        server.in_flight.clear();
        server.state.clear();
        server.written = server.disk.clone();
        server.now = Time::ZERO;
    }

    fn take(&mut self, id: &str, mut from: impl FnMut(u64) -> bool) -> Vec<Envelope> {
        let (taken, left): (Vec<_>, _) = std::mem::take(&mut self.network)
            .into_iter()
            .partition(|(_, envelope)| envelope.to.get() == number(id) && from(envelope.from.get()));
        self.network = left.into();
        taken.into_iter().map(|(_, envelope)| envelope).collect()
    }

    fn deliver(&mut self, id: &str, from: impl FnMut(u64) -> bool) {
        let envelopes = self.take(id, from);
        self.server(id).delivered.extend_from_slice(&envelopes);
        let server = self.server(id);
        for envelope in envelopes {
            server.raft.step(server.now, Input::Receive(envelope));
        }
        self.step(id, Input::Tick);
    }

    fn persist_all(&mut self, id: &str) {
        while !self.server(id).in_flight.is_empty() {
            self.persist(id);
        }
    }

    fn persist(&mut self, id: &str) {
        let Some(write) = self.server(id).in_flight.pop_front() else { return };
        self.server(id).disk.apply(write.batch);
        self.say(format_args!("{id} persisted"));
        self.step(id, Input::Persisted(write.token));
    }

    /// All that has to be done is done at once, but for writes that hang, and for what is on its way.
    fn elapse(&mut self, ms: u64) {
        self.elapsing = true;
        let ids: Vec<_> = self.servers.iter().map(|server| server.raft.id().to_string()).collect();
        for _ in 0..ms {
            self.elapsed += 1;
            let (arrived, left): (Vec<_>, _) =
                std::mem::take(&mut self.network).into_iter().partition(|(due, _)| *due <= self.elapsed);
            self.network = left.into();
            for server in &mut self.servers {
                server.now = server.now.after(Duration::from_millis(1));
            }
            for (_, envelope) in arrived {
                self.step(&envelope.to.to_string(), Input::Receive(envelope));
            }
            for id in &ids {
                self.step(id, Input::Tick);
                if !self.server(id).hangs {
                    self.persist_all(id);
                }
            }
        }
        self.elapsing = false;
    }

    fn step(&mut self, id: &str, input: Input) {
        let now = self.server(id).now;
        self.server(id).raft.step(now, input);
        let effects = self.server(id).raft.take_effects();
        let Effects { write, send, apply, restore, take_snapshot, load, reads, violation, events } = effects;
        events.iter().for_each(|event| self.tell(id, event));
        if let Some(write) = write {
            self.say(format_args!("{id} writes{}", describe_write(&write)));
            self.server(id).written.apply(write.batch.clone());
            self.server(id).in_flight.push_back(write);
        }
        let loaded: Vec<_> = load.iter().map(|load| self.server(id).written.load(load)).collect();
        send.into_iter().for_each(|envelope| self.send(envelope));
        if !apply.is_empty() {
            self.say(format_args!("{id} applies{}", describe_entries(&apply)));
            let commands = apply.iter().filter_map(|entry| match &entry.payload {
                Payload::Command(command) => Some(String::from_utf8_lossy(command)),
                Payload::Noop | Payload::Configuration(_) => None,
            });
            self.server(id).state.extend(commands);
            self.step(id, Input::Applied);
        }
        if let Some(Snapshot { id: snapshot, .. }) = restore {
            let server = self.server(id);
            let chunks = server.written.chunks().iter();
            server.state = chunks.map(|chunk| String::from_utf8_lossy(&chunk.data)).collect();
            self.say(format_args!("{id} becomes the snapshot {}", snapshot.last_included));
            self.step(id, Input::Applied);
        }
        for Read { id: read, outcome } in reads {
            match outcome {
                ReadOutcome::Ready { read_index } => {
                    writeln!(self.out, "{id} answers {read} at {read_index}").unwrap()
                }
                ReadOutcome::NotLeader { leader } => {
                    let ask = leader.map_or("nobody".into(), |leader| leader.to_string());
                    writeln!(self.out, "{id} refuses {read}: ask {ask}").unwrap();
                }
            }
        }
        if let Some(violation) = violation {
            writeln!(self.out, "{id} STOPS: {violation}").unwrap();
        }
        if let Some(Snapshot { id: snapshot, .. }) = take_snapshot {
            self.server(id).raft.step(now, Input::Applied);
            let state = self.server(id).state.clone();
            let (all, rest) = state.as_bytes().as_chunks::<4>();
            for piece in all {
                let data = piece.to_vec().into();
                self.server(id).raft.step(now, Input::SnapshotTaken { snapshot, data, done: false });
            }
            self.step(id, Input::SnapshotTaken { snapshot, data: rest.to_vec().into(), done: true });
        }
        loaded.into_iter().for_each(|loaded| self.step(id, Input::Loaded(loaded)));
    }

    fn send(&mut self, envelope: Envelope) {
        let lost = self.cut.contains(&(envelope.from, envelope.to));
        self.say(format_args!("{}{}", describe(&envelope), if lost { " (lost)" } else { "" }));
        if !lost {
            self.network.push_back((self.elapsed + self.delay, envelope));
        }
    }

    /// Says what is worth saying step by step.
    fn say(&mut self, what: std::fmt::Arguments<'_>) {
        if !self.elapsing {
            writeln!(self.out, "{what}").unwrap();
        }
    }

    /// Says what is worth saying while time elapses.
    fn tell(&mut self, id: &str, event: &Event) {
        if let Event::TransferEnded { to, leads } = event {
            let how = if *leads { "leads on" } else { "leads no longer" };
            writeln!(self.out, "{id} was to hand over to {to} and {how}").unwrap();
        }
        if let Event::Removed { at } = event {
            writeln!(self.out, "{id} knows that it was removed with {at}").unwrap();
        }
        let what = if let Event::Role { from, term, to, .. } = event
            && (from != to || *to == RoleName::Candidate)
        {
            format!("is {to} in {term}")
        } else if let Event::SteppedDown { term, reason } = event {
            format!("steps down in {term}: {reason:?}")
        } else if let Event::Configured { at, configuration } = event {
            format!("goes by {configuration} of {at}")
        } else {
            return;
        };
        if self.elapsing {
            writeln!(self.out, "{:>5} ms: {id} {what}", self.elapsed).unwrap();
        }
    }
}

fn parse(options: &[&str]) -> Options {
    let option = |option: &&str| {
        let (key, value) = option.split_once('=').unwrap();
        (key.to_owned(), value.parse().unwrap())
    };
    options.iter().map(option).collect()
}
