//! The boxes of Figure 2 as messages, and the envelope that every one of them travels in.

use crate::entries::Entries;
use crate::snapshot::{Chunk, Snapshot, SnapshotId};
use crate::types::{ClusterId, EntryId, GroupId, Incarnation, LogIndex, NodeId, Session, Term};

/// A message on its way, with what a receiver must know before it may believe it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Envelope {
    /// The cluster of the sender.
    pub cluster: ClusterId,
    /// The group of the sender.
    pub group: GroupId,
    /// Who sends.
    pub from: NodeId,
    /// Which life of the sender's data directory this is.
    pub incarnation: Incarnation,
    /// Who is to receive.
    pub to: NodeId,
    /// The sender's current term, which is durable at the sender. Of a pre-vote and of the grant of one: the
    /// term that is proposed, which is nobody's yet.
    pub term: Term,
    /// The conversation: a request opens it or goes on with it, a reply names the one it answers.
    pub session: Session,
    /// What is said.
    pub message: Message,
}

/// What servers say to each other (Figures 2 and 13; thesis 9.6, 3.10, 6.4).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    /// A server asks whether it would get a vote.
    PreVote(PreVote),
    /// The answer to it.
    PreVoteReply(PreVoteReply),
    /// A candidate asks for a vote.
    RequestVote(RequestVote),
    /// The answer to it.
    RequestVoteReply(RequestVoteReply),
    /// A leader tells whom it hands leadership to that the time to start an election is now (thesis 3.10).
    TimeoutNow,
    /// A leader replicates entries; without entries it is a heartbeat.
    AppendEntries(AppendEntries),
    /// The answer to it.
    AppendEntriesReply(AppendEntriesReply),
    /// A leader sends a piece of its snapshot.
    InstallSnapshot(Box<InstallSnapshot>),
    /// The answer to it.
    InstallSnapshotReply(InstallSnapshotReply),
    /// A leader asks whether it is still followed: the round of heartbeats of thesis 6.4.
    Confirm(Confirm),
    /// The answer to it.
    ConfirmReply(ConfirmReply),
    /// A follower asks for what a read has to see (thesis 6.4). The session is the question's own.
    ReadIndex,
    /// The answer to it.
    ReadIndexReply(ReadIndexReply),
    /// A server that asks for votes is told that it takes no part any more.
    NotMember(NotMember),
    /// A server whose disk no longer has entries of its log asks the others for them.
    FetchEntries(FetchEntries),
    /// The answer to it.
    FetchEntriesReply(Box<FetchEntriesReply>),
}

impl Message {
    /// The short name of this kind, as plans and traces use it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::PreVote(_) => "pre-vote",
            Self::PreVoteReply(_) => "pre-vote-reply",
            Self::RequestVote(_) => "vote",
            Self::RequestVoteReply(_) => "vote-reply",
            Self::TimeoutNow => "timeout-now",
            Self::AppendEntries(_) => "append",
            Self::AppendEntriesReply(_) => "append-reply",
            Self::InstallSnapshot(_) => "snapshot",
            Self::InstallSnapshotReply(_) => "snapshot-reply",
            Self::Confirm(_) => "confirm",
            Self::ConfirmReply(_) => "confirm-reply",
            Self::ReadIndex => "read-index",
            Self::ReadIndexReply(_) => "read-index-reply",
            Self::NotMember(_) => "not-member",
            Self::FetchEntries(_) => "fetch",
            Self::FetchEntriesReply(_) => "fetch-reply",
        }
    }

    /// Whether it answers a question that the other server has asked. That a server is told that it was removed is news.
    pub const fn is_reply(&self) -> bool {
        match self {
            Self::PreVoteReply(_)
            | Self::RequestVoteReply(_)
            | Self::AppendEntriesReply(_)
            | Self::InstallSnapshotReply(_)
            | Self::ConfirmReply(_)
            | Self::ReadIndexReply(_)
            | Self::FetchEntriesReply(_) => true,
            Self::PreVote(_)
            | Self::RequestVote(_)
            | Self::TimeoutNow
            | Self::AppendEntries(_)
            | Self::InstallSnapshot(_)
            | Self::Confirm(_)
            | Self::ReadIndex
            | Self::NotMember(_)
            | Self::FetchEntries(_) => false,
        }
    }

    /// Whether a server wants to be elected, or asks whether it would be, without having been told to by the leader.
    pub(crate) const fn disturbs_leader(&self) -> bool {
        matches!(self, Self::PreVote(_) | Self::RequestVote(RequestVote { told_by_leader: false, .. }))
    }

    /// Whether a server asks for a vote, or whether it would get it.
    pub(crate) const fn asks_for_vote(&self) -> bool {
        matches!(self, Self::PreVote(_) | Self::RequestVote(_))
    }

    /// Whether it is a vote or an acknowledgement: those of a server whose disk was wiped do not count.
    pub(crate) const fn counts(&self) -> bool {
        match self {
            Self::PreVoteReply(_)
            | Self::RequestVoteReply(_)
            | Self::AppendEntriesReply(_)
            | Self::InstallSnapshotReply(_)
            | Self::ConfirmReply(_)
            | Self::FetchEntriesReply(_) => true,
            Self::PreVote(_)
            | Self::RequestVote(_)
            | Self::TimeoutNow
            | Self::AppendEntries(_)
            | Self::InstallSnapshot(_)
            | Self::Confirm(_)
            | Self::ReadIndex
            | Self::ReadIndexReply(_)
            | Self::NotMember(_)
            | Self::FetchEntries(_) => false,
        }
    }

    /// Whether the envelope's term is only proposed: then nobody adopts it, and it need not be durable.
    pub(crate) const fn is_proposal(&self) -> bool {
        matches!(self, Self::PreVote(_) | Self::PreVoteReply(PreVoteReply { vote_granted: true, .. }))
    }
}

/// Pre-vote (thesis 9.6), arguments. The asker's id and the term that it proposes are in the envelope.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PreVote {
    /// The last entry of the asker's log.
    pub last_log: EntryId,
}

/// Pre-vote, results. A grant travels under the term that was proposed, so that nobody takes it for one of
/// the past; a refusal travels under the voter's own, so that the asker hears of a higher one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PreVoteReply {
    /// True means the asker would receive the vote. Nothing is promised.
    pub vote_granted: bool,
    /// As in [`RequestVoteReply`].
    pub suspect: bool,
}

/// RequestVote RPC, arguments. The candidate's id and term are in the envelope.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestVote {
    /// The last entry of the candidate's log (lastLogIndex, lastLogTerm).
    pub last_log: EntryId,
    /// Whether the leader told the candidate to start this election: then it is heard where a leader is
    /// (thesis 4.2.3).
    pub told_by_leader: bool,
}

/// RequestVote RPC, results.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestVoteReply {
    /// True means the candidate received the vote, and the vote is durable.
    pub vote_granted: bool,
    /// The voter may have lost entries that it acknowledged ([`Restored::suspect_tail`](crate::Restored::suspect_tail)):
    /// its vote counts only where every voter gives one.
    pub suspect: bool,
}

/// AppendEntries RPC, arguments. The leader's id and term are in the envelope.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AppendEntries {
    /// The entry just before the new ones (prevLogIndex, prevLogTerm).
    pub prev_log: EntryId,
    /// The new entries, in order, without gaps, from `prev_log.index + 1`.
    pub entries: Entries,
    /// The leader's commit index.
    pub leader_commit: LogIndex,
}

/// AppendEntries RPC, results.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AppendEntriesReply {
    /// The follower's log agrees with the leader's up to here, and all of that is durable.
    Accepted {
        /// The last index that is known to agree.
        match_index: LogIndex,
    },
    /// The entries do not join on to the follower's log, or come from an old leader.
    Rejected {
        /// The `prev_log` that was refused. A leader that has gone on since ignores the reply.
        refused: EntryId,
        /// The follower's last entry that the leader may share: the last at or before `refused`
        /// whose term is no later (fast back-up, §5.3).
        hint: EntryId,
    },
    /// The follower's disk has lost what the follower acknowledged, or may have: nothing that it said in this
    /// conversation counts any more.
    Lost {
        /// The first entry that it is to be sent, if it is to have what the leader has.
        from: LogIndex,
        /// The conversation to go on in.
        session: Session,
    },
}

/// InstallSnapshot RPC, arguments (Figure 13). The leader's id and term are in the envelope.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InstallSnapshot {
    /// Which snapshot (lastIncludedIndex, lastIncludedTerm), and the configuration in it.
    pub snapshot: Snapshot,
    /// The piece (offset, data, done).
    pub chunk: Chunk,
}

/// InstallSnapshot RPC, results.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum InstallSnapshotReply {
    /// The snapshot is on its way.
    Received {
        /// Which.
        snapshot: SnapshotId,
        /// The offset of the piece that is wanted next. All before it is durable.
        offset: u64,
    },
    /// The follower's log agrees with the leader's up to the end of the snapshot, and all of that is durable.
    Installed {
        /// Which.
        snapshot: SnapshotId,
    },
}

/// A round of heartbeats for reads (thesis 6.4), arguments. The leader's id and term are in the envelope; the
/// session is that of its AppendEntries. It resets the election timer, and says nothing of the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Confirm {
    /// Counts up from 1 in each life of the leader. Sent again under the same number.
    pub round: u64,
}

/// A round of heartbeats for reads, results: the follower followed this leader when the round got to it. From a
/// higher term, by its envelope, it says the contrary.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConfirmReply {
    /// The round that is answered. One that the leader has not begun counts for nothing.
    pub round: u64,
}

/// The answer to a follower that wants to read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ReadIndexReply {
    /// The last entry that was committed when the question came in, or a later one; none from a server that
    /// does not lead.
    pub read_index: Option<EntryId>,
}

/// What a server is told that asks for votes and that the configuration does not name, or names in another life of
/// its data directory.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NotMember {
    /// The entry of that configuration, which is committed. A server that knows of a later one ignores it.
    pub configured: EntryId,
}

/// What a server asks all others for whose disk no longer has it. Whoever has an entry of that name has the same
/// one (Log Matching, §5.3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FetchEntries {
    /// The names, in order; at most 64.
    pub ids: Vec<EntryId>,
}

/// What another server has of it; of what is in neither list it says nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FetchEntriesReply {
    /// The entries that it has, in order, as many as fit into a message.
    pub entries: Entries,
    /// Those that are not in its log.
    pub lacking: Vec<Lacking>,
    /// Where its log begins: what is at or before is committed, and in its snapshot.
    pub base: EntryId,
}

/// An entry that a server does not have, and was not part of committing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lacking {
    /// Which.
    pub id: EntryId,
    /// The term of the entry in its place, if it is a later one. The leader of that term had all that was committed
    /// before, so this one was not.
    pub superseded: Option<Term>,
}
