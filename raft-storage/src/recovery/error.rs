//! Why a directory is not recovered, and what to do then.

use std::fmt;
use std::path::PathBuf;

use raft_core::{ClusterId, Configuration, GroupId, Incarnation, NodeId};

use crate::error::StorageError;
use crate::inspection::Problem;

/// Why a directory is not recovered. Nothing of it was changed, unless the disk refused to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecoveryError {
    /// The directory cannot be used.
    Storage(StorageError),
    /// Something in the directory is not what was written.
    Damaged(Problem),
    /// There is nothing to go on with.
    Nothing {
        /// In which group; none if there is no group either.
        group: Option<GroupId>,
    },
    /// The directory has several groups, and nobody said which ones have lost their majority.
    WhichGroups {
        /// Those that there are.
        there: Vec<GroupId>,
    },
    /// A group was named that the directory does not have.
    NoSuchGroup {
        /// Which.
        group: GroupId,
        /// Those that there are.
        there: Vec<GroupId>,
    },
    /// The group does not have the server that was named: it is another one's directory.
    NotAMember {
        /// The group.
        group: GroupId,
        /// The server.
        id: NodeId,
        /// Which servers the group has.
        configuration: Configuration,
    },
    /// The group has the server that was named in another life of its directory: it is another one's directory, or
    /// the disk was wiped and the server not admitted again.
    AnotherLife {
        /// The group.
        group: GroupId,
        /// The server.
        id: NodeId,
        /// The life of this directory.
        incarnation: Incarnation,
    },
    /// The group is of the cluster that it was to go on as.
    SameCluster {
        /// The group.
        group: GroupId,
        /// The cluster.
        cluster: ClusterId,
        /// Whether the server that was named votes alone in all groups that are meant, in that cluster and in the life that
        /// its directory is in: they were recovered so, and nobody has joined since.
        done: bool,
    },
    /// The group is in the life that was to begin.
    SameLife {
        /// The group.
        group: GroupId,
        /// The life.
        incarnation: Incarnation,
    },
    /// Somebody wrote to the directory since the plan was made.
    Changed {
        /// The directory.
        directory: PathBuf,
    },
}

impl From<StorageError> for RecoveryError {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

impl fmt::Display for RecoveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Storage(error) => write!(f, "{error}"),
            Self::Damaged(problem) => write!(f, "damaged: {problem}; recover another server's directory"),
            Self::Nothing { group: None } => {
                write!(f, "directory: it has no group; name the directory that a server was given")
            }
            Self::Nothing { group: Some(group) } => {
                write!(
                    f,
                    "{group}: it has neither entries nor a snapshot; recover another server's directory"
                )
            }
            Self::WhichGroups { there } => {
                write!(
                    f,
                    "groups: the directory has {}; name those that have lost their majority",
                    list(there)
                )
            }
            Self::NoSuchGroup { group, there } => {
                write!(f, "{group}: the directory does not have it, but {}; name one of these", list(there))
            }
            Self::NotAMember { group, id, configuration } => write!(
                f,
                "{group}: its servers are {configuration}, and {id} is none of them; name the server whose directory \
                 this is"
            ),
            Self::AnotherLife { group, id, incarnation } => write!(
                f,
                "{group}: it does not have {id} in the life {:016x}, which this directory is in: it is another server's \
                 or was wiped; recover another server's directory",
                incarnation.0
            ),
            Self::SameCluster { group, cluster, .. } => {
                write!(f, "{group}: it is of {cluster} already; draw another cluster id")
            }
            Self::SameLife { group, incarnation } => {
                write!(f, "{group}: it is in the life {:016x} already; draw another one", incarnation.0)
            }
            Self::Changed { directory } => write!(
                f,
                "directory {}: written to since the plan was made; make another plan",
                directory.display()
            ),
        }
    }
}

fn list(groups: &[GroupId]) -> String {
    groups.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl std::error::Error for RecoveryError {}
