//! A state machine in RocksDB, which outlives a crash.
//!
//! Each group has a database of its own, in a directory of its own, without a write-ahead log: Raft's log is one
//! already. What a command changes and that it was applied are one atomic write, so that the state after a crash is
//! that after one of the commands, and [`durable_applied`](StateMachine::durable_applied) says which; what
//! came after it is applied again from the log. Set
//! [`Config::durable_state_machine`](raft_core::Config::durable_state_machine).
//!
//! A snapshot is a checkpoint: what is in memory goes into a table, tables get a second name, and the
//! files are read while the machine goes on. How long it takes to hold the state fast depends on the memtable, not
//! on how much there is. Installing one is atomic: the files are written beside the old ones, and one rename
//! says which count.
//!
//! With sessions it is a [`RocksSessions`], and that is what a [`Server`](raft_core::server::Server) is given.
//!
//! What commands mean is yours, as [`Commands`]:
//!
//! ```
//! use bytes::Bytes;
//! use raft_core::LogIndex;
//! use raft_core::node::StateMachine;
//! use raft_storage::machine::{Changes, Commands, MachineOptions, RocksMachine, View};
//! use raft_storage::StorageError;
//!
//! /// Counts how often each word was said.
//! struct Words;
//!
//! impl Commands for Words {
//!     fn apply(&self, _: LogIndex, word: &[u8], view: &View<'_>, changes: &mut Changes<'_>) -> Result<Bytes, StorageError> {
//!         let before = view.get(word)?.map_or(0, |count| count[0]);
//!         changes.put(word, &[before + 1]);
//!         Ok(Bytes::copy_from_slice(&[before + 1]))
//!     }
//!
//!     fn query(&self, word: &[u8], view: &View<'_>) -> Result<Bytes, StorageError> {
//!         Ok(view.get(word)?.unwrap_or_default().into())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), StorageError> {
//! let directory = tempfile::tempdir().unwrap();
//! let mut machine = RocksMachine::open(directory.path(), Words, MachineOptions::default())?;
//! assert_eq!(machine.apply(LogIndex::new(1), "hello".into()).await, [1][..]);
//! drop(machine);
//! let mut machine = RocksMachine::open(directory.path(), Words, MachineOptions::default())?;
//! assert_eq!(machine.durable_applied(), LogIndex::new(1));
//! assert_eq!(machine.query("hello".into()).await, [1][..]);
//! # Ok(())
//! # }
//! ```

mod data;
mod frames;
mod install;
mod places;
mod reader;
mod sessions;
mod view;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use raft_core::LogIndex;
use raft_core::node::{SnapshotReader, StateMachine};
use rocksdb::WriteBatch;
use tokio::task::spawn_blocking;

use self::data::Data;
use self::frames::Source;
use self::places::Places;
use self::reader::Reader;
pub use self::sessions::RocksSessions;
pub use self::view::{Changes, Range, View};
use crate::error::StorageError;

/// What commands do to a store of keys and values. The same on every server: what it gives and changes depends on
/// the command, its index and the view, and on nothing else.
pub trait Commands: Send + 'static {
    /// Applies a committed command: says what it changes, and returns the answer for the client that proposed it.
    /// What the command itself has changed does not show in `view`.
    ///
    /// # Errors
    ///
    /// Those of the view, to be passed on: the machine stops. A command that cannot be carried out is no error
    /// but an answer.
    fn apply(
        &self,
        index: LogIndex,
        command: &[u8],
        view: &View<'_>,
        changes: &mut Changes<'_>,
    ) -> Result<Bytes, StorageError>;

    /// Answers a query.
    ///
    /// # Errors
    ///
    /// Those of the view, to be passed on: the machine stops.
    fn query(&self, query: &[u8], view: &View<'_>) -> Result<Bytes, StorageError>;
}

/// What may be chosen of a state machine on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MachineOptions {
    /// What is kept in memory of what commands have changed before a table is made of it; in bytes, from 64 KiB.
    /// What is there when a process is killed is applied again from the log, and a snapshot writes it out first.
    pub memtable_bytes: usize,
}

impl Default for MachineOptions {
    fn default() -> Self {
        Self { memtable_bytes: 8 * 1024 * 1024 }
    }
}

/// A [`StateMachine`] in a directory of its own. Commands are applied on the node's own task, and wait there
/// where RocksDB has to catch up with its disk; snapshots are taken, read and installed on tokio's threads for
/// work that blocks.
///
/// # Panics
///
/// [`apply`](StateMachine::apply) and [`query`](StateMachine::query) do when the disk refuses or what it holds
/// is damaged: there is no answer then, and a node ends when its state machine panics.
pub struct RocksMachine<C> {
    commands: C,
    options: MachineOptions,
    places: Arc<Places>,
    /// None only while this is being dropped or replaced.
    opened: Option<Arc<Opened>>,
    applied: LogIndex,
    /// Something was refused: the directory does not count as closed in order.
    is_poisoned: bool,
}

/// The database that counts.
struct Opened {
    data: Data,
    number: u64,
    /// The last entry that was applied when it was opened.
    applied: LogIndex,
}

impl<C: Commands> RocksMachine<C> {
    /// Opens the machine in the directory `path`, and makes it if there is none. What a crash interrupted is
    /// cleared away.
    ///
    /// # Errors
    ///
    /// Somebody else has it open, a later version wrote it, it is damaged, or the disk refused. A damaged one may be
    /// replaced by an empty directory, where the log store has a snapshot or the whole log.
    pub fn open(path: impl AsRef<Path>, commands: C, options: MachineOptions) -> Result<Self, StorageError> {
        let path = path.as_ref();
        Self::open_in(path, commands, options).map_err(|error| error.of_machine(path))
    }

    fn open_in(path: &Path, commands: C, options: MachineOptions) -> Result<Self, StorageError> {
        let (places, number) = Places::open(path)?;
        let (number, data, applied) = if let Some(number) = number {
            let (data, applied) = Data::open(&places.state(number), options)?;
            (number, data, applied)
        } else {
            let (number, directory) =
                places.make_state().map_err(StorageError::io_at("making a directory", path))?;
            let (data, applied) = Data::open(&directory, options)?;
            places.name(number)?;
            (number, data, applied)
        };
        let opened = Some(Arc::new(Opened { data, number, applied }));
        Ok(Self { commands, options, places: Arc::new(places), opened, applied, is_poisoned: false })
    }

    fn try_apply(&mut self, index: LogIndex, command: &[u8]) -> Result<Bytes, StorageError> {
        let data = &opened(&self.opened)?.data;
        let mut batch = WriteBatch::default();
        let mut changes = Changes::new(data, &mut batch)?;
        let answer = self.commands.apply(index, command, &View::new(data), &mut changes)?;
        data.write(batch, index)?;
        self.applied = index;
        Ok(answer)
    }

    fn try_query(&self, query: &[u8]) -> Result<Bytes, StorageError> {
        self.commands.query(query, &View::new(&opened(&self.opened)?.data))
    }

    /// There is no answer, and the trait has no other way to say so.
    fn stop(&mut self, error: StorageError) -> ! {
        self.is_poisoned = true;
        panic!("state machine: {}", error.of_machine(self.places.path()));
    }
}

fn opened(opened: &Option<Arc<Opened>>) -> Result<&Arc<Opened>, StorageError> {
    let closed = || StorageError::Io { what: "using a state machine", message: "it was not restored".into() };
    opened.as_ref().ok_or_else(closed)
}

#[async_trait]
impl<C: Commands + Sync> StateMachine for RocksMachine<C> {
    async fn apply(&mut self, index: LogIndex, command: Bytes) -> Bytes {
        match self.try_apply(index, &command) {
            Ok(answer) => answer,
            Err(error) => self.stop(error),
        }
    }

    async fn query(&mut self, query: Bytes) -> Bytes {
        match self.try_query(&query) {
            Ok(answer) => answer,
            Err(error) => self.stop(error),
        }
    }

    async fn snapshot(&mut self) -> io::Result<SnapshotReader> {
        let (places, applied) = (Arc::clone(&self.places), self.applied);
        let opened = Arc::clone(opened(&self.opened).map_err(io::Error::other)?);
        let held = spawn_blocking(move || {
            let directory = places.checkpoint(places.number());
            opened.data.checkpoint(&directory).map_err(io::Error::other)?;
            Source::new(directory, applied)
        });
        let source = held.await.map_err(io::Error::other)??;
        Ok(Box::pin(Reader::new(source)))
    }

    async fn restore(&mut self, snapshot: SnapshotReader) -> io::Result<()> {
        let installed = install::install(Arc::clone(&self.places), self.options, snapshot).await?;
        self.applied = installed.applied;
        let replaced = self.opened.replace(Arc::new(installed));
        let places = Arc::clone(&self.places);
        let removed = spawn_blocking(move || match replaced.and_then(Arc::into_inner) {
            Some(Opened { data, number, .. }) => {
                drop(data);
                places::remove(&places.state(number))
            }
            // Somebody still holds it fast; it goes when the machine is opened next.
            None => Ok(()),
        });
        removed.await.map_err(io::Error::other)?
    }

    fn durable_applied(&self) -> LogIndex {
        self.applied
    }
}

impl<C> Drop for RocksMachine<C> {
    fn drop(&mut self) {
        if let Some(Opened { data, .. }) = self.opened.take().and_then(Arc::into_inner)
            && !self.is_poisoned
        {
            data.close();
        }
    }
}

impl<C> fmt::Debug for RocksMachine<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RocksMachine").field("applied", &self.applied).finish_non_exhaustive()
    }
}
