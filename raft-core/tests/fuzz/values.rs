//! Values that are told to a server, right ones and wrong ones.

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use raft_core::{
    AppendEntries, AppendEntriesReply, Chunk, ClusterId, Configuration, Confirm, ConfirmReply, Entry,
    EntryId, Envelope, FetchEntries, FetchEntriesReply, GroupId, Incarnation, InstallSnapshot,
    InstallSnapshotReply, Lacking, LogIndex, Message, NodeId, NotMember, Payload, PreVote, PreVoteReply,
    Raft, ReadIndexReply, RequestVote, RequestVoteReply, RoleName, Session, Snapshot, SnapshotId, Term,
};

/// A number, or how far from the one that the server has.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Number {
    Is(u64),
    Near(i8),
}

impl Number {
    pub(crate) fn at(self, here: u64) -> u64 {
        match self {
            Self::Is(number) => number,
            Self::Near(distance) => here.saturating_add_signed(distance.into()),
        }
    }
}

pub(crate) fn number() -> impl Strategy<Value = Number> {
    let largest = [u64::MAX / 2 - 1, u64::MAX / 2, u64::MAX / 2 + 1, u64::MAX - 1, u64::MAX];
    prop_oneof![
        12 => Just(Number::Near(0)),
        8 => (-2_i8..=2).prop_map(Number::Near),
        6 => (0_u64..=4).prop_map(Number::Is),
        1 => proptest::sample::select(largest.to_vec()).prop_map(Number::Is),
        1 => any::<u64>().prop_map(Number::Is),
    ]
}

/// What a message is made of. Each kind takes what it needs.
#[derive(Clone, Debug)]
pub(crate) struct Raw {
    kind: u8,
    stranger: bool,
    from: u64,
    term: Number,
    /// Whether it goes on with the last conversation that the server has begun with this one.
    goes_on: bool,
    ids: [(Number, Number); 2],
    number: Number,
    flags: [bool; 2],
    /// Whether it is damaged, or its entries do not follow each other.
    wrong: bool,
    entries: Vec<(Number, Number)>,
    data: Vec<u8>,
}

pub(crate) fn raw() -> impl Strategy<Value = Raw> {
    let rarely = || prop_oneof![15 => Just(false), 1 => Just(true)];
    let from = prop_oneof![9 => 2_u64..=3, 1 => Just(1), 1 => Just(4), 1 => Just(u64::MAX)];
    let goes_on = prop_oneof![4 => Just(true), 1 => Just(false)];
    let id = || (number(), number());
    let head = (0_u8..21, rarely(), from, number(), goes_on);
    let body = ([id(), id()], number(), any::<[bool; 2]>(), rarely());
    (head, body, vec(id(), 0..4), vec(any::<u8>(), 0..6)).prop_map(|(head, body, entries, data)| {
        let (kind, stranger, from, term, goes_on) = head;
        let (ids, number, flags, wrong) = body;
        Raw { kind, stranger, from, term, goes_on, ids, number, flags, wrong, entries, data }
    })
}

impl Raw {
    /// A vote or a pre-vote of another server, in this conversation.
    pub(crate) fn vote(raft: &Raft, session: Session) -> Envelope {
        let message = if raft.role() == RoleName::PreCandidate {
            Message::PreVoteReply(PreVoteReply { vote_granted: true, suspect: false })
        } else {
            Message::RequestVoteReply(RequestVoteReply { vote_granted: true, suspect: false })
        };
        Self::from_another(raft, session, message)
    }

    /// Another server has the whole log of this one.
    pub(crate) fn acknowledgement(raft: &Raft, session: Session) -> Envelope {
        let match_index = raft.last_log().index;
        let message = Message::AppendEntriesReply(AppendEntriesReply::Accepted { match_index });
        Self::from_another(raft, session, message)
    }

    fn from_another(raft: &Raft, session: Session, message: Message) -> Envelope {
        let (from, term) = (NodeId::new(2), raft.current_term());
        let (cluster, group, incarnation) = (ClusterId(1), GroupId(0), Incarnation(2));
        Envelope { cluster, group, from, incarnation, to: raft.id(), term, session, message }
    }

    /// The message, to this server, in this conversation.
    pub(crate) fn envelope(&self, raft: &Raft, session: Session) -> Envelope {
        Envelope {
            cluster: ClusterId(if self.stranger { 2 } else { 1 }),
            group: GroupId(0),
            from: NodeId::new(self.from),
            incarnation: Incarnation(self.from),
            to: raft.id(),
            term: Term::new(self.term.at(raft.current_term().get())),
            session: if self.goes_on { session } else { Session(self.number.at(7)) },
            message: self.message(raft),
        }
    }

    fn message(&self, raft: &Raft) -> Message {
        let here = raft.last_log();
        let [one, other] = self.ids.map(|id| entry_id(id, here));
        let [flag, done] = self.flags;
        let index = LogIndex::new(self.number.at(raft.commit_index().get()));
        let round = self.number.at(1);
        match self.kind {
            0 => Message::PreVote(PreVote { last_log: one }),
            1 => Message::PreVoteReply(PreVoteReply { vote_granted: flag, suspect: done }),
            2 => Message::RequestVote(RequestVote { last_log: one, told_by_leader: flag }),
            3 => Message::RequestVoteReply(RequestVoteReply { vote_granted: flag, suspect: done }),
            4 => Message::TimeoutNow,
            5..=7 => Message::AppendEntries(AppendEntries {
                prev_log: one,
                entries: self.entries_after(one).into(),
                leader_commit: index,
            }),
            8 => Message::AppendEntriesReply(AppendEntriesReply::Accepted { match_index: one.index }),
            9 => Message::AppendEntriesReply(AppendEntriesReply::Rejected { refused: one, hint: other }),
            10 => Message::InstallSnapshot(Box::new(InstallSnapshot {
                snapshot: self.snapshot(one),
                chunk: self.chunk(done),
            })),
            11 => Message::InstallSnapshotReply(InstallSnapshotReply::Received {
                snapshot: self.snapshot(one).id,
                offset: self.number.at(5),
            }),
            12 => Message::InstallSnapshotReply(InstallSnapshotReply::Installed {
                snapshot: self.snapshot(one).id,
            }),
            13 => Message::Confirm(Confirm { round }),
            14 => Message::ConfirmReply(ConfirmReply { round }),
            15 => Message::ReadIndex,
            16 => Message::ReadIndexReply(ReadIndexReply { read_index: flag.then_some(one) }),
            17 => Message::AppendEntriesReply(AppendEntriesReply::Lost {
                from: one.index,
                session: Session(self.number.at(7)),
            }),
            18 => Message::FetchEntries(FetchEntries { ids: vec![one, other] }),
            19 => Message::FetchEntriesReply(Box::new(FetchEntriesReply {
                entries: self.entries_after(one).into(),
                lacking: vec![Lacking { id: other, superseded: flag.then_some(one.term) }],
                base: one,
            })),
            _more => Message::NotMember(NotMember { configured: one }),
        }
    }

    fn entries_after(&self, prev: EntryId) -> Vec<Entry> {
        let mut last = prev;
        let mut next = |&(term, index): &(Number, Number)| {
            let follows = EntryId::new(last.term, LogIndex::new(last.index.get().wrapping_add(1)));
            let id = if self.wrong { entry_id((term, index), last) } else { follows };
            last = id;
            let entry = Entry::new(id, self.payload());
            Entry { checksum: entry.checksum ^ u32::from(self.wrong && self.flags[0]), ..entry }
        };
        self.entries.iter().map(&mut next).collect()
    }

    /// A command, now and then a configuration, or what should be one.
    fn payload(&self) -> Payload {
        let data = self.data.clone().into();
        match self.data.first().map(|first| first % 8) {
            Some(6) => {
                let ids = self.data.iter().map(|byte| NodeId::new(u64::from(byte % 5)));
                Payload::Configuration(Configuration::of(ids).to_bytes())
            }
            Some(7) => Payload::Configuration(data),
            Some(_) | None => Payload::Command(data),
        }
    }

    pub(crate) fn entries(&self, raft: &Raft) -> Vec<Entry> {
        self.entries_after(entry_id(self.ids[0], raft.last_log()))
    }

    pub(crate) fn snapshot(&self, last_included: EntryId) -> Snapshot {
        let made_by = Incarnation(u64::from(self.flags[0]) + 1);
        Snapshot {
            id: SnapshotId { last_included, made_by },
            configured: Configuration::of((1..=3).map(NodeId::new)).into(),
        }
    }

    pub(crate) fn chunk(&self, done: bool) -> Chunk {
        let chunk = Chunk::new(self.number.at(2).saturating_sub(2), self.data.clone().into(), done);
        Chunk { checksum: chunk.checksum ^ u32::from(self.wrong), ..chunk }
    }
}

fn entry_id((term, index): (Number, Number), here: EntryId) -> EntryId {
    EntryId::new(Term::new(term.at(here.term.get())), LogIndex::new(index.at(here.index.get())))
}
