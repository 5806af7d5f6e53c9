//! Plays the conversations of `tests/scripts` and compares what the servers did with what is written
//! under the dashes. `UPDATE=1 cargo test -p raft-core --test script` rewrites it; read the diff.
//!
//! | command | what happens |
//! | --- | --- |
//! | `cluster 3 [bytes=1] [trailing=2] [cache=0]` | n1 to n3 start with empty disks (and send at most one byte a message, leave two entries before a snapshot, keep no payload in memory) |
//! | `disk n1 1 1 4 term=6 vote=n2` | n1 starts again with entries of these terms, that term and vote |
//! | `timeout n1` | its deadline comes |
//! | `deliver n1 [from n2]` | all that is on its way to n1 arrives (only what n2 sent) |
//! | `repeat n1` | all that was ever delivered to n1 arrives once more |
//! | `drop n1 [from n2]` | all that is on its way to n1 is lost |
//! | `persist n1 [1]` | its writes are durable (only the first) |
//! | `propose n1 x` | a client asks n1 to apply x |
//! | `snapshot n1` | it takes a snapshot, in pieces of 4 bytes |
//! | `crash n1` | n1 loses what is not durable and starts again |
//! | `state n1` | n1 says what it is |

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::path::Path;

use raft_core::{
    AppendEntriesReply, Batch, Chunk, Config, Effects, Entry, EntryId, Envelope, HardState, Input,
    InstallSnapshotReply, LogIndex, Message, NodeId, Payload, Raft, Snapshot, Stored, Term, Time, Write,
};

#[test]
fn scripts_play_as_written() {
    let mut played = 0;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let written = std::fs::read_to_string(&path).unwrap();
        let heard = Stage::default().play(&written);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &heard).unwrap();
        } else {
            assert_eq!(heard, written, "{}: UPDATE=1 rewrites it", path.display());
        }
        played += 1;
    }
    assert!(played > 0, "no scripts were found");
}

#[derive(Default)]
struct Stage {
    options: BTreeMap<String, usize>,
    servers: Vec<Server>,
    network: VecDeque<Envelope>,
    out: String,
}

struct Server {
    raft: Raft,
    /// Each server has its own time, so that a timeout of one is none of another.
    now: Time,
    /// What is durable, and what was written.
    disk: Stored,
    written: Stored,
    in_flight: VecDeque<Write>,
    /// The commands that were applied.
    state: String,
    delivered: Vec<Envelope>,
}

impl Stage {
    /// The script as it should read: comments and commands as they are, and after each `----` what the
    /// servers did because of the commands before it.
    fn play(mut self, script: &str) -> String {
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
            ["cluster", size, ref options @ ..] => {
                let size: u64 = size.parse().unwrap();
                let option = |option: &&str| {
                    let (key, value) = option.split_once('=').unwrap();
                    (key.to_owned(), value.parse().unwrap())
                };
                self.options = options.iter().map(option).collect();
                for id in 1..=size {
                    let raft = self.start(id, size, &Stored::default());
                    let (now, disk, written, in_flight, state, delivered) = Default::default();
                    self.servers.push(Server { raft, now, disk, written, in_flight, state, delivered });
                }
            }
            ["disk", id, ref content @ ..] => {
                self.server(id).disk = Stored::default();
                self.server(id).disk.apply(disk(content));
                self.restart(id);
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
            ["persist", id] => {
                while !self.server(id).in_flight.is_empty() {
                    self.persist(id);
                }
            }
            ["persist", id, "1"] => self.persist(id),
            ["propose", id, command] => match self.server(id).raft.propose(command.to_owned().into()) {
                Ok(_) => self.step(id, Input::Tick),
                Err(refused) => writeln!(self.out, "{id} refuses: {refused}").unwrap(),
            },
            ["crash", id] => self.restart(id),
            ["state", id] => {
                let raft = &self.server(id).raft;
                let (role, term, commit) = (raft.role(), raft.current_term(), raft.commit_index());
                let (last, durable) = (raft.last_log(), raft.durable_log());
                let mut text =
                    format!("{id} is {role} in {term}, last {last}, durable {durable}, commit {commit}");
                if raft.snapshot_index() > LogIndex::ZERO {
                    let (snapshot, state) = (raft.snapshot_index(), &self.server(id).state);
                    write!(text, ", snapshot {snapshot}, state {state:?}").unwrap();
                }
                writeln!(self.out, "{text}").unwrap();
            }
            _ => panic!("no such command: {words:?}"),
        }
    }

    fn start(&self, id: u64, size: u64, disk: &Stored) -> Raft {
        let option = |key: &str, default: usize| self.options.get(key).copied().unwrap_or(default);
        let mut config = Config::new(NodeId::new(id), (1..=size).map(NodeId::new).collect());
        config.append_bytes_max = option("bytes", config.append_bytes_max);
        config.cache_bytes_max = option("cache", config.cache_bytes_max);
        config.snapshot_trailing = option("trailing", 0) as u64;
        Raft::new(config, disk.restored(), Time::ZERO).unwrap()
    }

    fn server(&mut self, id: &str) -> &mut Server {
        &mut self.servers[usize::try_from(number(id) - 1).unwrap()]
    }

    fn restart(&mut self, id: &str) {
        let disk = self.server(id).disk.clone();
        let raft = self.start(number(id), self.servers.len() as u64, &disk);
        let server = self.server(id);
        server.in_flight.clear();
        server.state.clear();
        server.written = disk;
        server.now = Time::ZERO;
        server.raft = raft;
    }

    fn take(&mut self, id: &str, mut from: impl FnMut(u64) -> bool) -> Vec<Envelope> {
        let (taken, left) = std::mem::take(&mut self.network)
            .into_iter()
            .partition(|envelope: &Envelope| envelope.to.get() == number(id) && from(envelope.from.get()));
        self.network = left;
        taken.into()
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

    fn persist(&mut self, id: &str) {
        let Some(write) = self.server(id).in_flight.pop_front() else { return };
        self.server(id).disk.apply(write.batch);
        writeln!(self.out, "{id} persisted").unwrap();
        self.step(id, Input::Persisted(write.token));
    }

    fn step(&mut self, id: &str, input: Input) {
        let now = self.server(id).now;
        self.server(id).raft.step(now, input);
        let effects = self.server(id).raft.take_effects();
        let Effects { write, send, apply, restore, take_snapshot, load, violation, events: _ } = effects;
        if let Some(write) = write {
            writeln!(self.out, "{id} writes{}", describe_write(&write)).unwrap();
            self.server(id).written.apply(write.batch.clone());
            self.server(id).in_flight.push_back(write);
        }
        let loaded: Vec<_> = load.iter().map(|load| self.server(id).written.load(load)).collect();
        for envelope in send {
            writeln!(self.out, "{}", describe(&envelope)).unwrap();
            self.network.push_back(envelope);
        }
        if !apply.is_empty() {
            writeln!(self.out, "{id} applies{}", describe_entries(&apply)).unwrap();
            let commands = apply.iter().map(|entry| String::from_utf8_lossy(entry.payload.bytes()));
            self.server(id).state.extend(commands);
            self.step(id, Input::Applied);
        }
        if let Some(Snapshot { id: snapshot, .. }) = restore {
            let server = self.server(id);
            let chunks = server.written.chunks().iter();
            server.state = chunks.map(|chunk| String::from_utf8_lossy(&chunk.data)).collect();
            writeln!(self.out, "{id} becomes the snapshot {}", snapshot.last_included).unwrap();
            self.step(id, Input::Applied);
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
}

fn number(id: &str) -> u64 {
    id.strip_prefix('n').and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no server: {id}"))
}

fn disk(content: &[&str]) -> Batch {
    let mut hard_state = HardState::default();
    let mut disk = Batch::default();
    for word in content {
        if let Some(term) = word.strip_prefix("term=") {
            hard_state.current_term = Term::new(term.parse().unwrap());
        } else if let Some(vote) = word.strip_prefix("vote=") {
            hard_state.voted_for = Some(NodeId::new(number(vote)));
        } else {
            let id =
                EntryId::new(Term::new(word.parse().unwrap()), LogIndex::new(disk.entries.len() as u64 + 1));
            disk.entries.push(Entry::new(id, Payload::Noop));
        }
    }
    let last = disk.entries.last().map_or(Term::default(), |entry| entry.id.term);
    hard_state.current_term = hard_state.current_term.max(last);
    Batch { hard_state: Some(hard_state), ..disk }
}

fn describe_write(write: &Write) -> String {
    let mut text = String::new();
    if let Some(HardState { current_term, voted_for }) = write.batch.hard_state {
        let vote = voted_for.map_or("nobody".into(), |vote| vote.to_string());
        write!(text, " {current_term} vote={vote}").unwrap();
    }
    if let Some(from) = write.batch.truncate {
        write!(text, " truncate from {from}").unwrap();
    }
    for part in &write.batch.parts {
        let last_included = part.snapshot.id.last_included;
        write!(text, " piece of {last_included}: {}", describe_chunk(&part.chunk)).unwrap();
    }
    if let Some(base) = write.batch.compact {
        write!(text, " compact {base}").unwrap();
    }
    if !write.batch.entries.is_empty() {
        write!(text, " append{}", describe_entries(&write.batch.entries)).unwrap();
    }
    text
}

fn describe_entries(entries: &[Entry]) -> String {
    let mut text = String::new();
    for entry in entries {
        match &entry.payload {
            Payload::Noop => write!(text, " {}", entry.id).unwrap(),
            Payload::Command(command) => {
                write!(text, " {}={}", entry.id, String::from_utf8_lossy(command)).unwrap();
            }
        }
    }
    text
}

fn describe_chunk(chunk: &Chunk) -> String {
    let done = if chunk.done { " done" } else { "" };
    format!("{}..{} {:?}{done}", chunk.offset, chunk.end(), String::from_utf8_lossy(&chunk.data))
}

fn describe(envelope: &Envelope) -> String {
    let Envelope { from, to, term, message, .. } = envelope;
    let said = match message {
        Message::RequestVote(args) => format!("RequestVote last={}", args.last_log),
        Message::RequestVoteReply(reply) => format!("vote granted={}", reply.vote_granted),
        Message::AppendEntries(args) => {
            let entries = describe_entries(&args.entries);
            format!(
                "AppendEntries prev={} commit={} [{}]",
                args.prev_log,
                args.leader_commit,
                entries.trim_start()
            )
        }
        Message::AppendEntriesReply(AppendEntriesReply::Accepted { match_index }) => {
            format!("accepted match={match_index}")
        }
        Message::AppendEntriesReply(AppendEntriesReply::Rejected { refused, hint }) => {
            format!("rejected refused={refused} hint={hint}")
        }
        Message::InstallSnapshot(args) => {
            let last_included = args.snapshot.id.last_included;
            format!("InstallSnapshot {last_included} {}", describe_chunk(&args.chunk))
        }
        Message::InstallSnapshotReply(InstallSnapshotReply::Received { snapshot, offset }) => {
            format!("received {} to {offset}", snapshot.last_included)
        }
        Message::InstallSnapshotReply(InstallSnapshotReply::Installed { snapshot }) => {
            format!("installed {}", snapshot.last_included)
        }
    };
    format!("{from} -> {to} {term} {said}")
}
