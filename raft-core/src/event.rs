//! What happened inside a server, for those who watch: the invariant checker, traces, diagrams.

use serde::{Deserialize, Serialize};

use crate::configuration::Configuration;
use crate::entry::Entry;
use crate::snapshot::SnapshotId;
use crate::types::{EntryId, LogIndex, NodeId, Term};

/// What a server is (Figure 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RoleName {
    /// Answers leaders and candidates.
    Follower,
    /// Asks whether it would win an election (thesis 9.6).
    PreCandidate,
    /// Collects votes in its own election.
    Candidate,
    /// Replicates.
    Leader,
}

impl std::fmt::Display for RoleName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Follower => "follower",
            Self::PreCandidate => "pre-candidate",
            Self::Candidate => "candidate",
            Self::Leader => "leader",
        })
    }
}

/// Why a leader gave way by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepDownReason {
    /// It did not hear from a majority for an election timeout (thesis 6.2).
    NoMajority,
    /// Its disk did not confirm a write for [`Config::disk_patience`](crate::Config::disk_patience).
    DiskHangs,
    /// It does not vote any more (thesis 4.2.2).
    Removed,
    /// Its disk no longer has entries of its log, and nobody has sent them in an election timeout.
    LogDamaged,
}

/// One change of what Figure 3 talks about. Given out in the order in which they happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The server changed its role or its term, or began anew in the same.
    Role {
        /// The term before.
        from_term: Term,
        /// The role before.
        from: RoleName,
        /// The term now.
        term: Term,
        /// The role now.
        to: RoleName,
        /// The leader of the term, where known.
        leader: Option<NodeId>,
    },
    /// A leader gives way by itself; its change of role follows.
    SteppedDown {
        /// The term that it led.
        term: Term,
        /// Why.
        reason: StepDownReason,
    },
    /// A vote or a pre-vote was not heard, as the server follows a leader that it has just heard, or leads
    /// (thesis 4.2.3).
    VoteIgnored {
        /// Who asked.
        candidate: NodeId,
        /// For which term.
        term: Term,
    },
    /// A leader begins to hand over leadership (thesis 3.10).
    TransferStarted {
        /// Who is to lead.
        to: NodeId,
    },
    /// A leader tells the server that is to lead, and that has the whole log, to start an election.
    TimeoutNowSent {
        /// Who is to lead.
        to: NodeId,
    },
    /// A transfer of leadership has ended.
    TransferEnded {
        /// Who was to lead; whether it does, its own change of role tells.
        to: NodeId,
        /// Whether the server that was to hand over still leads: then the transfer has failed.
        leads: bool,
    },
    /// The server decided whom to vote for (not yet durable, not yet sent).
    Voted {
        /// In which term.
        term: Term,
        /// For whom.
        candidate: NodeId,
    },
    /// A server would vote for this one, which was counted.
    PreVoteCounted {
        /// In which term: the one that is proposed.
        term: Term,
        /// Which; the server itself is one.
        voter: NodeId,
    },
    /// A vote came in and was counted.
    VoteCounted {
        /// In which term.
        term: Term,
        /// From whom; the server's own vote counts once it is durable.
        voter: NodeId,
    },
    /// The server would vote for this one, and says so. It has promised nothing.
    PreVoteGranted {
        /// In which term: that of the answer, which is the one that was proposed.
        term: Term,
        /// Who asked.
        candidate: NodeId,
    },
    /// An entry was appended to the log in memory.
    Appended {
        /// Which.
        id: EntryId,
        /// Its checksum.
        checksum: u32,
    },
    /// The entry at `from` and all that follow it left the log in memory, as a leader contradicts it.
    Truncated {
        /// The first that went.
        from: LogIndex,
        /// The last entry before that.
        last: EntryId,
    },
    /// A follower took what a leader sent; the reply waits for the disk.
    AppendAccepted {
        /// The leader.
        leader: NodeId,
        /// The last index that agrees.
        match_index: LogIndex,
    },
    /// A follower refused what a leader sent.
    AppendRejected {
        /// The leader.
        leader: NodeId,
        /// Of which term: an old one, or the server's own.
        term: Term,
        /// What did not join on.
        refused: EntryId,
    },
    /// A follower's acknowledgement came in and was counted: it says more than the leader knew.
    MatchCounted {
        /// The follower.
        follower: NodeId,
        /// The last index that agrees, and is durable there.
        match_index: LogIndex,
    },
    /// Hard state and log are durable up to here.
    Durable {
        /// The term that is durable.
        term: Term,
        /// The vote that is durable.
        voted_for: Option<NodeId>,
        /// The last entry that is durable.
        index: LogIndex,
    },
    /// The commit index rose.
    Committed {
        /// From here.
        from: LogIndex,
        /// To here.
        to: EntryId,
    },
    /// Entries were handed to the state machine.
    Applying {
        /// The last of them.
        to: LogIndex,
    },
    /// The state machine is to become what a snapshot says.
    Restoring {
        /// Which.
        snapshot: SnapshotId,
    },
    /// The server has taken a snapshot of its state machine.
    SnapshotTaken {
        /// Which.
        snapshot: SnapshotId,
        /// Its size.
        bytes: u64,
    },
    /// A snapshot of the state machine could not be taken.
    SnapshotFailed {
        /// Which.
        snapshot: SnapshotId,
        /// Why, in words.
        reason: String,
    },
    /// What is at or before this entry left the log in memory; a snapshot stands for it.
    Compacted {
        /// The entry.
        base: EntryId,
    },
    /// A leader begins to send its snapshot to a follower.
    SnapshotStarted {
        /// To whom.
        follower: NodeId,
        /// Which.
        snapshot: SnapshotId,
    },
    /// A leader sends a piece of its snapshot.
    ChunkSent {
        /// To whom.
        follower: NodeId,
        /// Which snapshot.
        snapshot: SnapshotId,
        /// Where in it.
        offset: u64,
    },
    /// A follower took a piece of a snapshot; the reply waits for the disk.
    ChunkReceived {
        /// From whom.
        leader: NodeId,
        /// Which snapshot.
        snapshot: SnapshotId,
        /// Where in it.
        offset: u64,
    },
    /// A follower has all that a leader's snapshot stands for; the reply waits for the disk.
    SnapshotNotNeeded {
        /// The leader.
        leader: NodeId,
        /// Which.
        snapshot: SnapshotId,
    },
    /// A follower has received a snapshot, and it stands for all of its log now; not yet durable. Whatever
    /// the log had is gone.
    Installed {
        /// Which.
        snapshot: SnapshotId,
        /// The commit index before.
        from: LogIndex,
    },
    /// A follower has received a snapshot that stands for entries that its disk has lost; what follows stays in its log.
    /// The reply waits for the disk.
    SnapshotFills {
        /// The leader.
        leader: NodeId,
        /// Which.
        snapshot: SnapshotId,
    },
    /// A message was dropped unread: another cluster, another group, not for this server, or malformed.
    StrangerDropped {
        /// Who claims to have sent it.
        from: NodeId,
    },
    /// Another configuration is in force on the server: its entry was appended, or the one after it was truncated,
    /// or a snapshot has it (§6).
    Configured {
        /// The entry.
        at: EntryId,
        /// The configuration.
        configuration: Configuration,
    },
    /// The server knows that it was removed from its group.
    Removed {
        /// With which entry.
        at: EntryId,
    },
    /// The disk no longer has an entry of the log.
    Damaged {
        /// Which.
        id: EntryId,
    },
    /// An entry that the disk no longer had came from another server; it is not durable yet.
    Repaired {
        /// Which.
        id: EntryId,
    },
    /// A damaged entry that can never be committed, as all others lack it, left the log in memory with all that
    /// follow it.
    Dropped {
        /// The first that went.
        from: EntryId,
        /// The last entry before that.
        last: EntryId,
    },
    /// The end of the log, which may have been longer, counts again: whatever was lost there has come from a leader.
    TailTrusted,
    /// The server contradicts what is committed or elected, and stops.
    Stopped {
        /// Why, in words.
        reason: String,
    },
    /// A leader knows that it led after reads had come in (thesis 6.4).
    ReadsConfirmed {
        /// What was committed by then is at or before this.
        read_index: LogIndex,
        /// Whether by lease: nobody was asked (thesis 6.4.1).
        by_lease: bool,
    },
}

impl Event {
    /// This entry was appended.
    pub(crate) const fn appended(entry: &Entry) -> Self {
        Self::Appended { id: entry.id, checksum: entry.checksum }
    }
}
