//! What a server is told once, and why it may refuse.

use std::fmt;
use std::time::Duration;

use crate::configuration::{Configuration, ConfigurationError};
use crate::effects::Owner;
use crate::message::{Envelope, Message};
use crate::planted::PlantedBug;
use crate::types::{ClusterId, EntryId, GroupId, Incarnation, LogIndex, NodeId, Session, Term};

/// The longest that anything may be said to take: a year.
const DURATION_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The most bytes of payload in one AppendEntries: so few that it fits into a frame though they be those of as many commands,
/// each with its numbers.
const APPEND_BYTES_MAX: usize = 512 * 1024;

/// The largest piece of a snapshot.
const CHUNK_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What a server is told when it is made. [`Raft::new`](crate::Raft::new) checks it.
#[derive(Clone, Debug)]
pub struct Config {
    /// This server.
    pub id: NodeId,
    /// Its cluster. Messages of another one are dropped, and with what a server of another one has stored it does not
    /// start.
    pub cluster: ClusterId,
    /// Its group. Messages of another one are dropped.
    pub group: GroupId,
    /// This life of its data directory.
    pub incarnation: Incarnation,
    /// The configuration that the group begins with, the same for all servers that it names. A server that joins a
    /// group later is told none: it knows nobody, follows and answers whoever leads, and starts no elections until
    /// its log says that it votes. Where the log or a snapshot has a configuration, that counts and this does not.
    pub bootstrap: Option<Configuration>,
    /// Silence before an election: drawn afresh each time, evenly, from the shorter to the longer
    /// (§5.2). The shorter is at least twice `heartbeat`.
    pub election_timeout: (Duration, Duration),
    /// Whether a server asks if it would win an election before it starts one (thesis 9.6): then one that
    /// cannot win disturbs nobody. Servers with and without may be mixed.
    pub pre_vote: bool,
    /// Whether a leader that does not hear from a majority for an election timeout gives way (thesis 6.2),
    /// and a server that has heard its leader within the shortest one hears no votes (thesis 4.2.3).
    /// Servers with and without may be mixed.
    pub check_quorum: bool,
    /// Whether a leader answers reads by lease (thesis 6.4.1), and then by how much one server's clock may run
    /// faster than another's at most, in millionths. None, as usual: each read takes a round of heartbeats. All
    /// servers take the same, with check-quorum and the same shortest election timeout; a server hears no votes
    /// for that long after it starts.
    ///
    /// Answers by lease may be stale, and nothing shows it, if a clock
    ///
    /// - runs at a rate beyond what is stated, or is set: wall clocks are;
    /// - stands still at the leader while others go on: in a virtual machine that is halted or moved, or in a
    ///   suspension that it does not count (`node::SystemEnvironment` does where it can);
    /// - leaps ahead at a follower;
    /// - is read before the read has come in, by a driver that tells [`Raft::step`](crate::Raft::step) of that time.
    ///
    /// Without leases no clock matters to what a read sees.
    pub read_lease_ppm: Option<u32>,
    /// How long the disk may take for a write, from when it is given until it is confirmed. With a slower one
    /// a leader gives way, and a server asks for no votes. More than zero; a few election timeouts.
    pub disk_patience: Duration,
    /// How often a leader says that it leads. More than zero.
    pub heartbeat: Duration,
    /// The longest command that a `node::Handle` takes, in bytes. From 1 to
    /// [`COMMAND_BYTES_MAX`](Self::COMMAND_BYTES_MAX).
    pub command_bytes_max: usize,
    /// At most this many bytes of payload in one AppendEntries, where an empty one counts as 1; a single larger entry still goes.
    /// At most 512 KiB, so that the message fits into a frame.
    pub append_bytes_max: usize,
    /// At most this many AppendEntries with entries on their way to one follower.
    pub append_window: usize,
    /// While so many bytes of entries are on their way to one follower, no more are sent to it: it is never
    /// sent more than one message beyond them. More than zero.
    pub append_window_bytes: usize,
    /// At most this many bytes of commands of its reign wait in a leader to be committed, or for its own disk, as they
    /// lie in memory; it refuses what would be more. A single larger one is taken if nothing else waits.
    pub uncommitted_bytes_max: usize,
    /// At most this many bytes of entries are kept in memory, the newest ones; older ones are read from the
    /// log store when they are needed.
    pub cache_bytes_max: usize,
    /// After so many entries have been applied since the last snapshot a new one is taken and the log is
    /// compacted (§7); 0: only when asked for.
    pub snapshot_entries: u64,
    /// So many entries before a snapshot are left in the log, for followers that are only a little behind.
    pub snapshot_trailing: u64,
    /// A snapshot is cut into pieces of so many bytes, which are sent one at a time. From 1 to 8 MiB, so
    /// that a piece fits into a frame. While others write, pieces of one that is taken go to the disk at intervals, 8 MiB a
    /// second at the least: larger ones delay fewer writes, and those for longer.
    pub snapshot_chunk_bytes: usize,
    /// Whether the state machine keeps what it has applied through a crash. A durable one is given
    /// only entries that are durable on this server; a volatile one may run ahead of the disk.
    pub durable_state_machine: bool,
    /// The seed of the election timeouts and sessions. Servers of one cluster take different ones, and a server
    /// another one in each life: an answer to what it asked in an earlier one must not be taken for another.
    pub seed: u64,
    /// Whether [`Effects::events`](crate::Effects::events) is filled.
    pub observe: bool,
    /// The bug that this server has on purpose; none outside of tests.
    pub planted: Option<PlantedBug>,
}

impl Config {
    /// The longest that a command may be allowed to be: 8 MiB. An AppendEntries with it has to fit into a frame: one that does
    /// not is never replicated, nor is anything after it.
    pub const COMMAND_BYTES_MAX: usize = 8 * 1024 * 1024;

    /// The usual values for the server `id` of a cluster that begins with these voters, each in whatever life of its
    /// data directory ([`Member`](crate::Member)): election timeouts of 150 to
    /// 300 ms, heartbeats every 50 ms, a second for the disk, commands of up to 8 MiB, at most 256 KiB a message, and 64 messages and 16 MiB on their way;
    /// 64 MiB of commands that are not committed, and 64 MiB of entries in memory; a snapshot every 100,000 entries, in pieces of 1 MiB, and 10,000 entries left
    /// before it.
    pub fn new(id: NodeId, voters: Vec<NodeId>) -> Self {
        Self {
            id,
            cluster: ClusterId(1),
            group: GroupId(0),
            incarnation: Incarnation(id.get()),
            bootstrap: Some(voters.into()),
            election_timeout: (Duration::from_millis(150), Duration::from_millis(300)),
            pre_vote: true,
            check_quorum: true,
            read_lease_ppm: None,
            disk_patience: Duration::from_secs(1),
            heartbeat: Duration::from_millis(50),
            command_bytes_max: Self::COMMAND_BYTES_MAX,
            append_bytes_max: 256 * 1024,
            append_window: 64,
            append_window_bytes: 16 * 1024 * 1024,
            uncommitted_bytes_max: 64 * 1024 * 1024,
            cache_bytes_max: 64 * 1024 * 1024,
            snapshot_entries: 100_000,
            snapshot_trailing: 10_000,
            snapshot_chunk_bytes: 1024 * 1024,
            durable_state_machine: false,
            seed: id.get(),
            observe: false,
            planted: None,
        }
    }

    /// Whose tokens this server's are.
    pub(crate) const fn owner(&self) -> Owner {
        Owner { group: (self.cluster, self.group), id: Some(self.id), seed: self.seed }
    }

    /// An envelope from this server.
    pub(crate) const fn envelope(
        &self,
        to: NodeId,
        term: Term,
        session: Session,
        message: Message,
    ) -> Envelope {
        Envelope {
            cluster: self.cluster,
            group: self.group,
            from: self.id,
            incarnation: self.incarnation,
            to,
            term,
            session,
            message,
        }
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let (shortest, longest) = self.election_timeout;
        if let Some(bootstrap) = &self.bootstrap {
            bootstrap.check().map_err(ConfigError::Bootstrap)?;
        }
        for (field, value) in [
            ("heartbeat", self.heartbeat),
            ("election_timeout", shortest.max(longest)),
            ("disk_patience", self.disk_patience),
        ] {
            if value > DURATION_MAX {
                return Err(ConfigError::TooLong { field, value });
            }
        }
        if self.heartbeat.is_zero() || shortest < self.heartbeat * 2 {
            return Err(ConfigError::HeartbeatTooSlow { heartbeat: self.heartbeat, shortest });
        }
        if longest < shortest {
            return Err(ConfigError::TimeoutsBackward { shortest, longest });
        }
        if self.read_lease_ppm.is_some() && !self.check_quorum {
            return Err(ConfigError::LeaseWithoutCheckQuorum);
        }
        if self.disk_patience.is_zero() {
            return Err(ConfigError::NoPatience);
        }
        for (field, value) in
            [("append_window", self.append_window), ("append_window_bytes", self.append_window_bytes)]
        {
            if value == 0 {
                return Err(ConfigError::NoWindow { field });
            }
        }
        if self.append_bytes_max > APPEND_BYTES_MAX {
            return Err(ConfigError::AppendSize { bytes: self.append_bytes_max });
        }
        if !(1..=Self::COMMAND_BYTES_MAX).contains(&self.command_bytes_max) {
            return Err(ConfigError::CommandSize { bytes: self.command_bytes_max });
        }
        if !(1..=CHUNK_BYTES_MAX).contains(&self.snapshot_chunk_bytes) {
            return Err(ConfigError::ChunkSize { bytes: self.snapshot_chunk_bytes });
        }
        Ok(())
    }
}

/// Why a configuration makes no sense, or what was found on a disk. Each names the field, its value, and the cure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// No group can begin with that configuration.
    Bootstrap(ConfigurationError),
    /// A duration is so long that it must be a mistake, as of its unit.
    TooLong {
        /// Which.
        field: &'static str,
        /// What was given.
        value: Duration,
    },
    /// A follower would start an election between two heartbeats.
    HeartbeatTooSlow {
        /// The heartbeat.
        heartbeat: Duration,
        /// The shortest election timeout.
        shortest: Duration,
    },
    /// The shortest election timeout is longer than the longest.
    TimeoutsBackward {
        /// What was given as the shortest.
        shortest: Duration,
        /// What was given as the longest.
        longest: Duration,
    },
    /// Without check-quorum nobody keeps what a lease rests on.
    LeaseWithoutCheckQuorum,
    /// With no time for its disk, no server would ever lead.
    NoPatience,
    /// With no message or no byte allowed on its way, nothing would ever be replicated.
    NoWindow {
        /// Which field is 0.
        field: &'static str,
    },
    /// So many empty commands could never be replicated in one message.
    AppendSize {
        /// Bytes of payload in one message.
        bytes: usize,
    },
    /// No command could be taken, or one that could never be replicated.
    CommandSize {
        /// Bytes of the longest command.
        bytes: usize,
    },
    /// In pieces of this size no snapshot would ever arrive.
    ChunkSize {
        /// Bytes of one piece.
        bytes: usize,
    },
    /// What was restored is of another cluster than the server is to be of.
    OtherCluster {
        /// The one that it is of.
        stored: ClusterId,
        /// The one that was given.
        configured: ClusterId,
    },
    /// The log that was restored begins after its first entry, and no snapshot stands for what is missing.
    NoSnapshot {
        /// The last entry that is missing.
        index: LogIndex,
    },
    /// The log that was restored does not have the entry that the snapshot ends with, nor begins after it.
    SnapshotNotInLog {
        /// The last entry that the snapshot stands for.
        last_included: EntryId,
        /// The last entry of the log.
        last: EntryId,
    },
    /// The term that was restored is lower than that of an entry: a vote may have been forgotten with it.
    TermBehind {
        /// The term.
        term: Term,
        /// The entry.
        last: EntryId,
    },
    /// A configuration that was restored is of an entry that the log that was restored does not have, or is none.
    Configuration {
        /// The entry.
        at: EntryId,
    },
    /// A term or an index that was restored is none that a cluster can have counted up to.
    BeyondCounting {
        /// The term.
        term: Term,
        /// The last entry of the log.
        last: EntryId,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bootstrap(error) => write!(f, "bootstrap: {error}"),
            Self::TooLong { field, value } => {
                write!(f, "{field}: {value:?} is too long; give at most a year, {DURATION_MAX:?}")
            }
            Self::HeartbeatTooSlow { heartbeat, shortest } => write!(
                f,
                "heartbeat: {heartbeat:?} must be above zero and at most half the shortest election timeout, {shortest:?}"
            ),
            Self::TimeoutsBackward { shortest, longest } => {
                write!(
                    f,
                    "election_timeout: the longest, {longest:?}, is shorter than the shortest, {shortest:?}; the shortest comes first"
                )
            }
            Self::LeaseWithoutCheckQuorum => {
                write!(f, "read_lease_ppm: leases need check_quorum, which is off; set it, or no leases")
            }
            Self::NoPatience => write!(f, "disk_patience: 0 is no time; allow the disk some, as a second"),
            Self::NoWindow { field } => write!(f, "{field}: 0 replicates nothing; allow at least 1"),
            Self::AppendSize { bytes } => write!(
                f,
                "append_bytes_max: {bytes} is more than {APPEND_BYTES_MAX}, which is 512 KiB: as many empty commands would not fit into a frame"
            ),
            Self::CommandSize { bytes } => {
                let most = Config::COMMAND_BYTES_MAX;
                write!(f, "command_bytes_max: {bytes} is not from 1 to {most}, which is 8 MiB")
            }
            Self::ChunkSize { bytes } => {
                write!(f, "snapshot_chunk_bytes: {bytes} is not from 1 to {CHUNK_BYTES_MAX}, which is 8 MiB")
            }
            Self::OtherCluster { stored, configured } => write!(
                f,
                "cluster: {configured} was given, and the directory is of {stored}; start the server in that one, or \
                 with an empty directory"
            ),
            Self::NoSnapshot { index } => {
                write!(
                    f,
                    "restored log: entry {index} is neither in the log nor in a snapshot; the store is damaged"
                )
            }
            Self::SnapshotNotInLog { last_included, last } => write!(
                f,
                "restored log: it ends with {last} and has no {last_included}, where the snapshot ends; the store is damaged"
            ),
            Self::TermBehind { term, last } => write!(
                f,
                "restored term: {term} is lower than that of entry {last}; the store is damaged, and a vote may be lost"
            ),
            Self::Configuration { at } => write!(
                f,
                "restored configurations: that of entry {at} is not in the log, or is none; the store is damaged"
            ),
            Self::BeyondCounting { term, last } => write!(
                f,
                "restored term and log: nobody has counted up to {term} or {last}; the store is damaged"
            ),
        }
    }
}

impl std::error::Error for ConfigError {}
