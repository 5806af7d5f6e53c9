//! One server, and a test that is all the others.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use raft_core::{
    AppendEntries, AppendEntriesReply, Batch, Chunk, ClusterId, Config, Confirm, ConfirmReply, Effects,
    Entry, EntryId, Envelope, Event, GroupId, HardState, Incarnation, Input, InstallSnapshot, Loaded,
    LogIndex, Message, NodeId, Payload, PlantedBug, PreVote, PreVoteReply, Raft, Read, ReadId, ReadOutcome,
    RequestVote, RequestVoteReply, Restored, RoleName, Session, Snapshot, SnapshotId, Stored, Term, Time,
    Violation, Write,
};

pub(crate) const ME: NodeId = NodeId::new(1);

/// Terms and indexes beyond this are no server's.
pub(crate) const NUMBER_MAX: u64 = u64::MAX / 2;

/// The server n1 of a cluster, with a disk that takes no time unless it hangs.
pub(crate) struct Bench {
    pub(crate) raft: Raft,
    pub(crate) now: Time,
    /// What it has said and nobody has taken.
    pub(crate) said: Vec<Envelope>,
    pub(crate) events: Vec<Event>,
    /// What became of reads.
    pub(crate) reads: Vec<Read>,
    /// Whether the state machine does not get done with what it was given.
    pub(crate) busy: bool,
    pub(crate) hangs: bool,
    /// Writes that hang.
    pub(crate) hung: Vec<Write>,
    /// How many writes there were.
    pub(crate) writes: usize,
    /// What has been written, those that hang included.
    pub(crate) disk: Stored,
    /// The conversation that it leads, and the last one with each follower.
    pub(crate) session: Session,
    sessions: BTreeMap<NodeId, Session>,
    /// What the state machine was given.
    pub(crate) applied: Vec<EntryId>,
    /// The snapshots that the state machine was to become.
    pub(crate) restored: Vec<SnapshotId>,
    /// The snapshot that it is to take.
    pub(crate) taking: Option<Snapshot>,
    pub(crate) violation: Option<Violation>,
}

thread_local! {
    /// The bug that servers of this test have.
    pub(crate) static PLANTED: Cell<Option<PlantedBug>> = const { Cell::new(None) };
}

/// The usual configuration of n1 among so many voters.
pub(crate) fn config(size: u64) -> Config {
    let config = Config::new(ME, (1..=size).map(NodeId::new).collect());
    Config { observe: true, planted: PLANTED.get(), ..config }
}

impl Bench {
    /// Starts with an empty disk.
    pub(crate) fn new(config: Config) -> Self {
        Self::with_log(config, &[], 0)
    }

    /// Starts with entries of these terms, in this term.
    pub(crate) fn with_log(config: Config, terms: &[u64], term: u64) -> Self {
        let mut disk = Stored::default();
        let hard_state = Some(HardState { current_term: Term::new(term), voted_for: None });
        let entry = |(&term, index)| Entry::new(id(term, index), Payload::Noop);
        let entries = terms.iter().zip(1..).map(entry).collect();
        disk.apply(Batch { hard_state, entries, ..Batch::default() });
        Self::with_disk(config, disk)
    }

    /// Starts with what is on this disk.
    pub(crate) fn with_disk(config: Config, disk: Stored) -> Self {
        let restored = disk.restored();
        Self::with_restored(config, disk, restored)
    }

    /// Starts with what is on this disk, and what its store says of it.
    pub(crate) fn with_restored(config: Config, disk: Stored, restored: Restored) -> Self {
        let raft = Raft::new(config, restored, Time::ZERO).unwrap();
        let (said, events, reads, hung, session, sessions) = Default::default();
        let (applied, restored, taking, violation) = Default::default();
        let (now, busy, hangs, writes) = (Time::ZERO, false, false, 0);
        Self {
            raft,
            now,
            said,
            events,
            reads,
            busy,
            hangs,
            hung,
            writes,
            disk,
            session,
            sessions,
            applied,
            restored,
            taking,
            violation,
        }
    }

    /// Crashes when all is written, and starts again.
    pub(crate) fn restart(&mut self) {
        *self = Self::with_disk(self.raft.config().clone(), self.disk.clone());
    }

    /// Starts in this term and becomes this, with no more than it takes: a candidate in the next term, a
    /// leader in this one.
    pub(crate) fn in_role(config: Config, role: RoleName, term: u64) -> Self {
        let mut bench = Self::with_log(config, &[], if role == RoleName::Leader { term - 1 } else { term });
        if role != RoleName::Follower {
            bench.time_out();
        }
        if role == RoleName::Leader {
            bench.is_elected();
        }
        bench.said.clear();
        bench
    }

    /// The others vote until it leads.
    pub(crate) fn is_elected(&mut self) {
        while self.raft.role() != RoleName::Leader {
            if self.said.is_empty() {
                self.time_out();
            }
            for asked in std::mem::take(&mut self.said) {
                self.answer(&asked, true);
            }
        }
        self.said.clear();
    }

    /// Whoever was asked for a vote or a pre-vote answers.
    pub(crate) fn answer(&mut self, asked: &Envelope, vote_granted: bool) {
        let (term, reply) = if matches!(asked.message, Message::PreVote(_)) {
            // A refusal comes under the voter's own term, which is that of the asker here.
            let term = asked.term.get() - u64::from(!vote_granted);
            (term, Message::PreVoteReply(PreVoteReply { vote_granted, suspect: false }))
        } else {
            (asked.term.get(), Message::RequestVoteReply(RequestVoteReply { vote_granted, suspect: false }))
        };
        let reply = Envelope { session: asked.session, ..envelope(asked.to.get(), term, reply) };
        self.step(Input::Receive(reply));
    }

    /// A follower acknowledges all that the last message to it brought.
    pub(crate) fn acknowledge(&mut self, follower: u64) {
        let to = |said: &&Envelope| said.to == NodeId::new(follower);
        let append = self.said.iter().rev().filter(to).find_map(|said| {
            if let Message::AppendEntries(args) = &said.message { Some((said.session, args)) } else { None }
        });
        let (session, args) = append.expect("something was sent to it");
        let match_index = args.entries.last().map_or(args.prev_log.index, |last| last.id.index);
        let reply = Message::AppendEntriesReply(AppendEntriesReply::Accepted { match_index });
        let reply = envelope(follower, self.raft.current_term().get(), reply);
        self.step(Input::Receive(Envelope { session, ..reply }));
    }

    /// The last message of a kind that it sent to this server; none if it has not.
    pub(crate) fn last_said(&self, to: u64, kind: &str) -> Option<&Envelope> {
        self.said.iter().rev().find(|said| said.to == NodeId::new(to) && said.message.kind() == kind)
    }

    /// A follower acknowledges the last round of heartbeats for reads that it was sent.
    pub(crate) fn confirm(&mut self, follower: u64) {
        let asked = self.last_said(follower, "confirm").expect("it was asked").clone();
        let Message::Confirm(Confirm { round }) = asked.message else { return };
        let reply = envelope(follower, asked.term.get(), Message::ConfirmReply(ConfirmReply { round }));
        self.step(Input::Receive(Envelope { session: asked.session, ..reply }));
    }

    /// A client asks for a read.
    pub(crate) fn read(&mut self, name: u64) {
        self.step(Input::Read(ReadId(name)));
    }

    /// What became of reads since the last time: the read index, or none of one that was refused.
    pub(crate) fn take_reads(&mut self) -> Vec<(u64, Option<u64>)> {
        let short = |read: Read| {
            let index = match read.outcome {
                ReadOutcome::Ready { read_index } => Some(read_index.get()),
                ReadOutcome::NotLeader { .. } => None,
            };
            (read.id.0, index)
        };
        std::mem::take(&mut self.reads).into_iter().map(short).collect()
    }

    pub(crate) fn hear(&mut self, from: u64, term: u64, message: Message) {
        self.step(Input::Receive(envelope(from, term, message)));
    }

    /// So much time passes at once.
    pub(crate) fn wait(&mut self, duration: Duration) {
        self.now = self.now.after(duration);
        self.step(Input::Tick);
    }

    /// Its deadline comes.
    pub(crate) fn time_out(&mut self) {
        self.now = self.now.max(self.raft.deadline());
        self.step(Input::Tick);
    }

    pub(crate) fn step(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            self.raft.step(self.now, input);
            let effects = self.raft.take_effects();
            let Effects { write, send, apply, restore, take_snapshot, load, reads, events, violation } =
                effects;
            let leads = |said: &&Envelope| matches!(said.message, Message::AppendEntries(_));
            self.session = send.iter().find(leads).map_or(self.session, |said| said.session);
            self.sessions.extend(send.iter().filter(leads).map(|said| (said.to, said.session)));
            self.said.extend(send);
            self.reads.extend(reads);
            self.events.extend(events);
            self.writes += usize::from(write.is_some());
            if let Some(write) = write {
                self.disk.apply(write.batch.clone());
                if self.hangs {
                    self.hung.push(write);
                } else {
                    inputs.push_back(Input::Persisted(write.token));
                }
            }
            inputs.extend(load.iter().map(|load| Input::Loaded(self.disk.load(load))));
            if (!apply.is_empty() || restore.is_some()) && !self.busy {
                inputs.push_back(Input::Applied);
            }
            self.applied.extend(apply.iter().map(|entry| entry.id));
            self.restored.extend(restore.map(|snapshot| snapshot.id));
            self.taking = take_snapshot.or(self.taking.take());
            self.violation = violation.or(self.violation.take());
        }
    }

    /// All of this comes in before any effects are taken.
    pub(crate) fn step_all(&mut self, inputs: impl IntoIterator<Item = Input>) {
        inputs.into_iter().for_each(|input| self.raft.step(self.now, input));
        self.step(Input::Tick);
    }

    /// The writes that hang come to their end, and no other hangs.
    pub(crate) fn finish_writes(&mut self) {
        self.hangs = false;
        for write in std::mem::take(&mut self.hung) {
            self.step(Input::Persisted(write.token));
        }
    }

    /// The disk turns out to have lost this entry.
    pub(crate) fn lose(&mut self, index: u64) {
        let index = LogIndex::new(index);
        self.disk.damage(index);
        self.step(Input::Loaded(Loaded::Damaged { from: index, to: index }));
    }

    /// A client asks for a command.
    pub(crate) fn propose(&mut self, command: &'static str) {
        self.raft.propose(command.into()).unwrap();
        self.step(Input::Tick);
    }

    /// A follower says that its log is this leader's up to here, and durable.
    pub(crate) fn accepts(&mut self, follower: u64, match_index: u64) {
        let match_index = LogIndex::new(match_index);
        self.replies(follower, AppendEntriesReply::Accepted { match_index });
    }

    /// A follower says that it does not have an entry, and what it has.
    pub(crate) fn refuses(&mut self, follower: u64, refused: EntryId, hint: EntryId) {
        self.replies(follower, AppendEntriesReply::Rejected { refused, hint });
    }

    pub(crate) fn replies(&mut self, follower: u64, reply: AppendEntriesReply) {
        let reply = Message::AppendEntriesReply(reply);
        let reply = envelope(follower, self.raft.current_term().get(), reply);
        let session = self.sessions.get(&NodeId::new(follower)).copied().unwrap_or(self.session);
        self.step(Input::Receive(Envelope { session, ..reply }));
    }

    /// What it last sent to this follower of its log.
    pub(crate) fn last_append(&self, follower: u64) -> AppendEntries {
        match self.last_said(follower, "append").map(|said| &said.message) {
            Some(Message::AppendEntries(args)) => args.clone(),
            other => panic!("no entries were sent: {other:?}"),
        }
    }

    /// What it last answered to AppendEntries, if it did.
    pub(crate) fn last_reply(&self) -> Option<AppendEntriesReply> {
        let reply = |said: &Envelope| {
            if let Message::AppendEntriesReply(reply) = &said.message { Some(reply.clone()) } else { None }
        };
        self.said.iter().rev().find_map(reply)
    }

    /// How often it has told of this.
    pub(crate) fn count(&self, event: &Event) -> usize {
        self.events.iter().filter(|told| *told == event).count()
    }

    /// The terms of the entries that it has written.
    pub(crate) fn log(&self) -> Vec<u64> {
        self.disk.entries().iter().map(|entry| entry.id.term.get()).collect()
    }

    /// What it said, in short: to whom, under which term, and of which kind.
    pub(crate) fn take_said(&mut self) -> Vec<(u64, u64, &'static str)> {
        let short = |said: Envelope| (said.to.get(), said.term.get(), said.message.kind());
        std::mem::take(&mut self.said).into_iter().map(short).collect()
    }

    /// Role and term.
    pub(crate) fn is(&self) -> (RoleName, u64) {
        (self.raft.role(), self.raft.current_term().get())
    }
}

pub(crate) fn id(term: u64, index: u64) -> EntryId {
    EntryId::new(Term::new(term), LogIndex::new(index))
}

pub(crate) fn envelope(from: u64, term: u64, message: Message) -> Envelope {
    Envelope {
        cluster: ClusterId(1),
        group: GroupId(0),
        from: NodeId::new(from),
        incarnation: Incarnation(from),
        to: ME,
        term: Term::new(term),
        session: Session(7),
        message,
    }
}

pub(crate) const fn vote(last_log: EntryId) -> Message {
    Message::RequestVote(RequestVote { last_log, told_by_leader: false })
}

pub(crate) const fn pre_vote(last_log: EntryId) -> Message {
    Message::PreVote(PreVote { last_log })
}

pub(crate) fn heartbeat() -> Message {
    append(EntryId::ZERO, &[], 0)
}

/// Entries of these terms, after `prev_log`.
pub(crate) fn append(prev_log: EntryId, terms: &[u64], leader_commit: u64) -> Message {
    let entry = |(&term, index)| Entry::new(id(term, index), Payload::Noop);
    let entries = terms.iter().zip(prev_log.index.get() + 1..).map(entry).collect::<Vec<_>>().into();
    Message::AppendEntries(AppendEntries { prev_log, entries, leader_commit: LogIndex::new(leader_commit) })
}

/// The only piece of a snapshot of one entry.
pub(crate) fn snapshot() -> Message {
    piece(id(1, 1), 0, "x", true)
}

/// A piece of n2's snapshot of all up to this entry.
pub(crate) fn piece(last_included: EntryId, offset: u64, data: &'static str, done: bool) -> Message {
    let id = SnapshotId { last_included, made_by: Incarnation(2) };
    let snapshot = Snapshot { id, configured: config(3).bootstrap.unwrap_or_default().into() };
    let chunk = Chunk::new(offset, data.into(), done);
    Message::InstallSnapshot(Box::new(InstallSnapshot { snapshot, chunk }))
}
