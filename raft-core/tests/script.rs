//! Plays the conversations of `tests/scripts` and compares what the servers did with what is written
//! under the dashes. `UPDATE=1 cargo test -p raft-core --test script` rewrites it; read the diff.
//!
//! | command | what happens |
//! | --- | --- |
//! | `cluster 3 [bytes=1]` | n1 to n3 start with empty disks (and send at most one byte a message) |
//! | `disk n1 1 1 4 term=6 vote=n2` | n1 starts again with entries of these terms, that term and vote |
//! | `timeout n1` | its deadline comes |
//! | `deliver n1 [from n2]` | all that is on its way to n1 arrives (only what n2 sent) |
//! | `repeat n1` | all that was ever delivered to n1 arrives once more |
//! | `drop n1 [from n2]` | all that is on its way to n1 is lost |
//! | `persist n1 [1]` | its writes are durable (only the first) |
//! | `propose n1 x` | a client asks n1 to apply x |
//! | `crash n1` | n1 loses what is not durable and starts again |
//! | `state n1` | n1 says what it is |

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::path::Path;

use raft_core::{
    AppendEntriesReply, Config, Effects, Entry, EntryId, Envelope, HardState, Input, LogIndex, Message,
    NodeId, Payload, Raft, Restored, Term, Time, Write,
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
    append_bytes_max: Option<usize>,
    servers: Vec<Server>,
    network: VecDeque<Envelope>,
    out: String,
}

struct Server {
    raft: Raft,
    /// Each server has its own time, so that a timeout of one is none of another.
    now: Time,
    disk: Restored,
    in_flight: VecDeque<Write>,
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
            ["cluster", size, ref bytes @ ..] => {
                let size: u64 = size.parse().unwrap();
                let bytes = bytes.first().and_then(|bytes| bytes.strip_prefix("bytes="));
                self.append_bytes_max = bytes.map(|bytes| bytes.parse().unwrap());
                for id in 1..=size {
                    let raft = self.start(id, size, Restored::default());
                    let (now, disk, in_flight, delivered) = Default::default();
                    self.servers.push(Server { raft, now, disk, in_flight, delivered });
                }
            }
            ["disk", id, ref content @ ..] => {
                self.server(id).disk = disk(content);
                self.restart(id);
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
                writeln!(
                    self.out,
                    "{id} is {role} in {term}, last {last}, durable {durable}, commit {commit}"
                )
                .unwrap();
            }
            _ => panic!("no such command: {words:?}"),
        }
    }

    fn start(&self, id: u64, size: u64, disk: Restored) -> Raft {
        let mut config = Config::new(NodeId::new(id), (1..=size).map(NodeId::new).collect());
        config.append_bytes_max = self.append_bytes_max.unwrap_or(config.append_bytes_max);
        Raft::new(config, disk, Time::ZERO).unwrap()
    }

    fn server(&mut self, id: &str) -> &mut Server {
        &mut self.servers[usize::try_from(number(id) - 1).unwrap()]
    }

    fn restart(&mut self, id: &str) {
        let disk = self.server(id).disk.clone();
        let raft = self.start(number(id), self.servers.len() as u64, disk);
        let server = self.server(id);
        server.in_flight.clear();
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
        let disk = &mut self.server(id).disk;
        disk.hard_state = write.batch.hard_state.unwrap_or(disk.hard_state);
        if let Some(from) = write.batch.truncate {
            disk.entries.retain(|entry| entry.id.index < from);
        }
        disk.entries.extend(write.batch.entries);
        writeln!(self.out, "{id} persisted").unwrap();
        self.step(id, Input::Persisted(write.token));
    }

    fn step(&mut self, id: &str, input: Input) {
        let now = self.server(id).now;
        self.server(id).raft.step(now, input);
        let Effects { write, send, apply, violation, events: _ } = self.server(id).raft.take_effects();
        if let Some(write) = write {
            writeln!(self.out, "{id} writes{}", describe_write(&write)).unwrap();
            self.server(id).in_flight.push_back(write);
        }
        for envelope in send {
            writeln!(self.out, "{}", describe(&envelope)).unwrap();
            self.network.push_back(envelope);
        }
        if !apply.is_empty() {
            writeln!(self.out, "{id} applies{}", describe_entries(&apply)).unwrap();
            self.server(id).raft.step(now, Input::Applied);
        }
        if let Some(violation) = violation {
            writeln!(self.out, "{id} STOPS: {violation}").unwrap();
        }
    }
}

fn number(id: &str) -> u64 {
    id.strip_prefix('n').and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no server: {id}"))
}

fn disk(content: &[&str]) -> Restored {
    let mut disk = Restored::default();
    for word in content {
        if let Some(term) = word.strip_prefix("term=") {
            disk.hard_state.current_term = Term::new(term.parse().unwrap());
        } else if let Some(vote) = word.strip_prefix("vote=") {
            disk.hard_state.voted_for = Some(NodeId::new(number(vote)));
        } else {
            let id =
                EntryId::new(Term::new(word.parse().unwrap()), LogIndex::new(disk.entries.len() as u64 + 1));
            disk.entries.push(Entry::new(id, Payload::Noop));
        }
    }
    let last = disk.entries.last().map_or(Term::default(), |entry| entry.id.term);
    disk.hard_state.current_term = disk.hard_state.current_term.max(last);
    disk
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
    };
    format!("{from} -> {to} {term} {said}")
}
