//! Why a node does not run: what is said, with the cure, and the status that its process ends with.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::Path;

use raft_core::ConfigError;
use raft_core::node::NodeError;
use raft_core::server::{ServerError, StartError};
use raft_storage::StorageError;

/// What was asked for cannot be meant.
const USAGE: u8 = 64;
/// It is not possible here and now.
const UNAVAILABLE: u8 = 69;
/// A bug in the node, or in what it was sent.
pub(crate) const BUG: u8 = 70;
/// The store has failed, or is damaged.
pub(crate) const STORE: u8 = 74;
/// A second signal came before the node had ended in order.
const INTERRUPTED: u8 = 130;

/// What the help says of them.
pub const EXIT_CODES: &str = "Exit codes: 0 ended in order, by SIGTERM or SIGINT; 64 bad flags, or the directory is not \
this node's; 69 not possible here, as a port that is taken or a directory that another process has; 70 bug; 74 the store \
has failed or is damaged; 130 a second signal came before it had ended in order.";

/// Why a node did not start, or ended otherwise than in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The status of the process.
    pub status: u8,
    /// A sentence that names the thing and the cure.
    pub why: String,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl Error for Ended {}

impl Ended {
    /// What was asked for cannot be meant.
    pub(crate) fn usage(why: impl fmt::Display) -> Self {
        Self { status: USAGE, why: why.to_string() }
    }

    /// The machine refuses.
    pub(crate) fn unavailable(why: impl fmt::Display) -> Self {
        Self { status: UNAVAILABLE, why: why.to_string() }
    }

    /// Not as it was meant, by whoever wrote this.
    pub(crate) fn bug(why: impl fmt::Display) -> Self {
        Self { status: BUG, why: why.to_string() }
    }

    /// Whoever was told to end has been told again.
    pub(super) fn interrupted() -> Self {
        let why = "ended at once: nothing that was acknowledged is lost, and no leadership was handed over";
        Self { status: INTERRUPTED, why: why.to_owned() }
    }

    /// The file `path` in the directory of a node is not what the node wrote.
    pub(crate) fn damaged(path: &Path, why: impl fmt::Display) -> Self {
        Self { status: STORE, why: format!("damaged: {}: {why}", path.display()) }
    }

    /// There is no directory at `path`, and none can be made.
    pub(super) fn unmade(path: &Path, error: &io::Error) -> Self {
        let path = path.display();
        Self::unavailable(format!(
            "data {path}: cannot be made: {error}; give a directory that can be, or is there"
        ))
    }

    /// Its address is not to be had.
    pub(super) fn listening(what: &str, address: &str, error: &io::Error) -> Self {
        let cures = [
            (io::ErrorKind::AddrInUse, "another process listens there: stop it, or give another address"),
            (io::ErrorKind::AddrNotAvailable, "this machine has no such address: give one that it has"),
            (io::ErrorKind::PermissionDenied, "ports below 1024 need a permission: give a higher one"),
        ];
        let cure = cures.iter().find(|(kind, _)| *kind == error.kind());
        let cure = cure.map_or("give an address of this machine, as HOST:PORT", |(_, cure)| cure);
        Self::unavailable(format!("{what}: {address}: {error}; {cure}"))
    }

    /// The store in `directory` cannot be used.
    pub(super) fn store(directory: &Path, error: &StorageError) -> Self {
        let directory = directory.display();
        let status = match error {
            StorageError::Locked { .. } | StorageError::TooNew { .. } | StorageError::Changing { .. } => {
                UNAVAILABLE
            }
            StorageError::NotAStore { .. } => USAGE,
            StorageError::Io { .. }
            | StorageError::Damaged { .. }
            | StorageError::DamagedMachine { .. }
            | StorageError::Corrupt { .. }
            | StorageError::Taken { .. }
            | StorageError::Misfit { .. }
            | StorageError::MisfitPiece { .. }
            | StorageError::Uncovered { .. }
            | StorageError::Superseded => STORE,
        };
        let more = match error {
            StorageError::Damaged { .. } | StorageError::Corrupt { .. } => format!(
                "; `raft-chaos inspect {directory} --verify` says what is damaged, and where the majority is lost for \
                 good `raft-chaos recover` makes a cluster of a survivor"
            ),
            StorageError::Io { message, .. } if message.contains("No space left") => {
                format!("; the disk of {directory} is full: make room on it")
            }
            StorageError::Io { .. }
            | StorageError::DamagedMachine { .. }
            | StorageError::Locked { .. }
            | StorageError::TooNew { .. }
            | StorageError::Changing { .. }
            | StorageError::NotAStore { .. }
            | StorageError::Taken { .. }
            | StorageError::Misfit { .. }
            | StorageError::MisfitPiece { .. }
            | StorageError::Uncovered { .. }
            | StorageError::Superseded => String::new(),
        };
        Self { status, why: format!("{error}{more}") }
    }

    /// A server was not started, with the store in `directory` and listening at `listen`.
    pub(super) fn start(directory: &Path, listen: &str, error: &StartError) -> Self {
        match error {
            StartError::Config(error @ ConfigError::OtherCluster { .. }) => {
                Self::usage(format!("data {}: {error}", directory.display()))
            }
            StartError::Config(
                error @ (ConfigError::NoSnapshot { .. }
                | ConfigError::SnapshotNotInLog { .. }
                | ConfigError::TermBehind { .. }
                | ConfigError::Configuration { .. }
                | ConfigError::BeyondCounting { .. }),
            ) => Self::damaged(directory, error),
            StartError::Config(
                error @ (ConfigError::Bootstrap(_)
                | ConfigError::TooLong { .. }
                | ConfigError::HeartbeatTooSlow { .. }
                | ConfigError::TimeoutsBackward { .. }
                | ConfigError::LeaseWithoutCheckQuorum
                | ConfigError::NoPatience
                | ConfigError::NoWindow { .. }
                | ConfigError::AppendSize { .. }
                | ConfigError::CommandSize { .. }
                | ConfigError::ChunkSize { .. }),
            ) => Self::usage(error),
            // The transport says so of a certificate that is another server's.
            StartError::Io(error) if error.kind() == io::ErrorKind::Other => {
                Self::usage(format!("tls-cert: {error}: give this node its own"))
            }
            StartError::Io(error) => Self::listening("listen", listen, error),
        }
    }

    /// A server has ended by itself.
    pub(super) fn server(directory: &Path, error: &ServerError) -> Self {
        let cause = error.source().and_then(|cause| cause.downcast_ref::<NodeError<StorageError>>());
        match cause {
            Some(NodeError::Store(error)) => Self::store(directory, error),
            Some(NodeError::Restore(error)) => Self::damaged(directory, error),
            Some(NodeError::Violation(_) | NodeError::StateMachine) | None => {
                Self { status: BUG, why: format!("bug: {error}; keep the directory {}", directory.display()) }
            }
        }
    }
}
