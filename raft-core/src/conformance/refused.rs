//! What the specification does not allow, by the name of the action that it is not.

use std::fmt;

use crate::types::NodeId;

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// An action of the specification, under the name that `raft.tla` gives it if it has it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Action {
            $($(#[$doc])* $name,)*
        }

        impl Action {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }
        }
    };
}

actions! {
    /// A server starts, or starts again.
    Restart,
    /// A follower or candidate starts an election.
    Timeout,
    /// A server adopts a higher term that it has heard of.
    UpdateTerm,
    /// A server votes.
    HandleRequestVoteRequest,
    /// A candidate counts a vote.
    HandleRequestVoteResponse,
    /// A candidate has won.
    BecomeLeader,
    /// A leader appends.
    ClientRequest,
    /// A follower does what the leader of its term says.
    HandleAppendEntriesRequest,
    /// A leader counts an acknowledgement.
    HandleAppendEntriesResponse,
    /// A leader commits.
    AdvanceCommitIndex,
    /// A server asks whether it would be elected.
    PreVote,
    /// A server would vote.
    HandlePreVoteRequest,
    /// A pre-candidate counts a pre-vote.
    HandlePreVoteResponse,
    /// A leader gives way by itself.
    StepDown,
    /// A leader tells what those who read have to see.
    ReadIndex,
    /// A leader begins or ends to hand over leadership.
    TransferLeadership,
    /// A leader tells whom it hands leadership to that the time has come.
    TimeoutNow,
    /// A leader appends a configuration, or one is in force on a server.
    ChangeMembership,
    /// The disk has what it was given.
    Persist,
    /// The state machine is given what is committed.
    Apply,
    /// A snapshot stands for the beginning of the log.
    TakeSnapshot,
    /// A leader sends a piece of its snapshot.
    SendSnapshot,
    /// A server finds that its disk has lost entries, has them again, or drops what nobody has.
    Repair,
    /// A follower takes a piece of a snapshot, all of it, or none.
    HandleInstallSnapshotRequest,
    /// A server stops as it contradicts the group: never allowed.
    Stop,
}

/// A step that the specification does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The server.
    pub node: NodeId,
    /// What the step claims to be.
    pub action: Action,
    /// What the server does that is not allowed, with terms and indexes.
    pub what: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} refused on {}: it {}", self.action.name(), self.node, self.what)
    }
}
