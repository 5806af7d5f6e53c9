//! A state machine in RocksDB whose clients have sessions, which outlive a crash with what was applied in them.

use std::fmt;
use std::io;
use std::path::Path;

use async_trait::async_trait;
use bytes::Bytes;
use raft_core::LogIndex;
use raft_core::node::{SnapshotReader, StateMachine};
use raft_core::server::{Replicated, Typed};
use raft_core::sessions::{Admitted, Answer, Limits, Request, SessionId, Table};
use rocksdb::WriteBatch;

use super::data::{Data, Record};
use super::{Changes, Commands, MachineOptions, RocksMachine, View, opened};
use crate::error::StorageError;
use crate::record::{seal, unseal};

/// Under which name the limits of the sessions are kept. They are there as soon as anything was applied.
const LIMITS: &[u8] = b"limits";
/// What the name of a session begins with; its number follows, in 8 bytes, big-endian.
const SESSION: &[u8] = b"session/";

/// A [`RocksMachine`] with sessions: each command of a session is applied exactly once, also where a server is killed
/// between the two times that it comes. What a command changes, what it was answered and that it was applied are one atomic
/// write. After a restart nothing of that is applied again.
///
/// It is what a [`Server`](raft_core::server::Server) is given as its state machine. The commands and queries that it hands to
/// `C` are the bytes of `C`'s own ([`Typed`]), and what `C` answers is to be the bytes of its answers and replies; with
/// [`Raw`](raft_core::server::Raw) they are whatever they are.
///
/// ```
/// use bytes::Bytes;
/// use raft_core::LogIndex;
/// use raft_core::server::{Log, Network, Raw, Server, StartError, Typed};
/// use raft_storage::machine::{Changes, Commands, MachineOptions, RocksSessions, View};
/// use raft_storage::StorageError;
///
/// /// Keeps what was said last.
/// struct Last;
///
/// impl Typed for Last {
///     type Command = Raw;
///     type Answer = Raw;
///     type Query = Raw;
///     type Reply = Raw;
/// }
///
/// impl Commands for Last {
///     fn apply(&self, _: LogIndex, said: &[u8], view: &View<'_>, changes: &mut Changes<'_>) -> Result<Bytes, StorageError> {
///         let before = view.get(b"said")?.unwrap_or_default();
///         changes.put(b"said", said);
///         Ok(before.into())
///     }
///
///     fn query(&self, _: &[u8], view: &View<'_>) -> Result<Bytes, StorageError> {
///         Ok(view.get(b"said")?.unwrap_or_default().into())
///     }
/// }
///
/// async fn start(config: raft_core::Config, log: impl Log, network: impl Network) -> Result<Server<Last>, StartError> {
///     let machine = RocksSessions::open("state", Last, MachineOptions::default()).map_err(std::io::Error::other)?;
///     Server::builder(config).log(log).network(network).machine(machine).start().await
/// }
/// ```
pub struct RocksSessions<C> {
    machine: RocksMachine<C>,
    table: Table,
    /// Those that are on the disk; none before anything was applied.
    limits: Option<Limits>,
}

impl<C: Commands> RocksSessions<C> {
    /// Opens the machine in the directory `path`, as [`RocksMachine::open`] does.
    ///
    /// # Errors
    ///
    /// As there; and it was made without sessions.
    pub fn open(path: impl AsRef<Path>, commands: C, options: MachineOptions) -> Result<Self, StorageError> {
        let path = path.as_ref();
        let machine = RocksMachine::open(path, commands, options)?;
        let (table, limits) = read(&machine).map_err(|error| error.of_machine(path))?;
        Ok(Self { machine, table, limits })
    }

    fn try_apply(&mut self, index: LogIndex, request: Bytes) -> Result<Bytes, StorageError> {
        let Self { machine, table, limits } = self;
        let data = &opened(&machine.opened)?.data;
        let mut batch = WriteBatch::default();
        let admitted = match Request::decode(request) {
            Some(request) => table.admit(index, request),
            None => Admitted::Answer(Answer::Malformed),
        };
        let mut apply = |command: &Bytes| -> Result<Bytes, StorageError> {
            let mut changes = Changes::new(data, &mut batch)?;
            machine.commands.apply(index, command, &View::new(data), &mut changes)
        };
        let answer = match admitted {
            Admitted::Answer(answer) => answer,
            Admitted::Plain { command } => Answer::Applied(apply(&command)?),
            Admitted::Apply { command, place } => {
                let result = apply(&command)?;
                table.record(place, result)
            }
        };
        keep(table, *limits, data, &mut batch)?;
        data.write(batch, index)?;
        (machine.applied, *limits) = (index, Some(table.limits()));
        Ok(answer.encode())
    }
}

/// Adds to a batch what has changed of the sessions.
fn keep(
    table: &mut Table,
    limits: Option<Limits>,
    data: &Data,
    batch: &mut WriteBatch,
) -> Result<(), StorageError> {
    let mut value = Vec::new();
    for (session, held) in table.take_changes() {
        let name = [SESSION, &session.get().to_be_bytes()].concat();
        match held {
            Some(held) => {
                sealed(&held, &mut value)?;
                data.keep(batch, &name, Some(&value))?;
            }
            None => data.keep(batch, &name, None)?,
        }
    }
    if limits != Some(table.limits()) {
        sealed(&table.limits().encode(), &mut value)?;
        data.keep(batch, LIMITS, Some(&value))?;
    }
    Ok(())
}

/// Replaces what is in `into` by a record of these bytes: their CRC32C, and themselves.
fn sealed(bytes: &[u8], into: &mut Vec<u8>) -> Result<(), StorageError> {
    seal(&crc32c::crc32c(bytes), into)?;
    into.extend_from_slice(bytes);
    Ok(())
}

/// The bytes of a record.
fn unsealed(record: &[u8]) -> Option<Bytes> {
    let (checksum, bytes) = unseal::<u32>(record)?;
    (checksum == crc32c::crc32c(bytes)).then(|| Bytes::copy_from_slice(bytes))
}

/// The sessions of a machine as it is on the disk, and their limits where anything was applied.
fn read<C>(machine: &RocksMachine<C>) -> Result<(Table, Option<Limits>), StorageError> {
    let corrupt = |key: &str| StorageError::Corrupt { what: "sessions", key: format!("own/{key}") };
    let data = &opened(&machine.opened)?.data;
    let Some(limits) = data.own(LIMITS)? else {
        return if machine.applied == LogIndex::ZERO {
            Ok((Table::default().noting_changes(), None))
        } else {
            let message = "a state machine without sessions has applied commands in it".to_owned();
            Err(StorageError::NotAStore { path: data.path().to_owned(), message })
        };
    };
    let limits = unsealed(&limits).and_then(Limits::decode).ok_or_else(|| corrupt("limits"))?;
    let session = |(name, record): Record| {
        Some((SessionId::new(u64::from_be_bytes(name.try_into().ok()?)), unsealed(&record)?))
    };
    let sessions: Option<Vec<_>> = data.own_under(SESSION)?.into_iter().map(session).collect();
    let table = sessions.and_then(|sessions| Table::of_sessions(limits, sessions));
    let table = table.ok_or_else(|| corrupt("session"))?;
    Ok((table.noting_changes(), Some(limits)))
}

#[async_trait]
impl<C: Commands + Sync> StateMachine for RocksSessions<C> {
    async fn apply(&mut self, index: LogIndex, request: Bytes) -> Bytes {
        match self.try_apply(index, request) {
            Ok(answer) => answer,
            Err(error) => self.machine.stop(error),
        }
    }

    async fn query(&mut self, query: Bytes) -> Bytes {
        self.machine.query(query).await
    }

    async fn snapshot(&mut self) -> io::Result<SnapshotReader> {
        self.machine.snapshot().await
    }

    async fn restore(&mut self, snapshot: SnapshotReader) -> io::Result<()> {
        self.machine.restore(snapshot).await?;
        (self.table, self.limits) = read(&self.machine).map_err(io::Error::other)?;
        Ok(())
    }

    fn durable_applied(&self) -> LogIndex {
        self.machine.durable_applied()
    }
}

impl<C: Commands + Typed + Sync> Replicated for RocksSessions<C> {
    type Typed = C;

    const IS_DURABLE: bool = true;

    fn into_state_machine(self) -> io::Result<impl StateMachine> {
        Ok(self)
    }
}

impl<C> fmt::Debug for RocksSessions<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (machine, sessions) = (&self.machine, self.table.len());
        f.debug_struct("RocksSessions")
            .field("machine", machine)
            .field("sessions", &sessions)
            .finish_non_exhaustive()
    }
}
