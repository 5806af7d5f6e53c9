//! Where a Raft server keeps what it must not lose: term, vote and log.
//!
//! - `RocksStore` keeps it in a directory, in RocksDB (feature `rocksdb`, on by default).
//! - [`MemoryStore`] makes the same promises on a disk in memory, [`MemoryDisk`], that can be crashed.
//! - [`contract`] is what either is held to, as tests that can be asked of any other store.
//!
//! All of them are [`LogStore`](raft_core::node::LogStore)s: a batch is given to `write`, which returns
//! at once, and `persisted` says when it is durable.
//!
#![cfg_attr(feature = "rocksdb", doc = "```")]
#![cfg_attr(not(feature = "rocksdb"), doc = "```ignore")]
//! use raft_core::node::LogStore;
//! use raft_core::{Batch, Entry, EntryId, GroupId, Incarnation, LogIndex, Payload, Term};
//! use raft_storage::{Opened, RocksStore};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let directory = tempfile::tempdir()?;
//! let drawn_at_random = Incarnation(0x5eed);
//! let Opened { mut store, restored, .. } = RocksStore::open(directory.path(), GroupId(0), drawn_at_random)?;
//! assert!(restored.entries.is_empty());
//!
//! let first = EntryId::new(Term::new(1), LogIndex::new(1));
//! let entry = Entry::new(first, Payload::Command("set x 1".into()));
//! store.write(Batch { entries: vec![entry.clone()], ..Batch::default() });
//! assert_eq!(store.persisted().await?, 1); // From here on, a power cut cannot undo it.
//!
//! drop(store);
//! let reopened = RocksStore::open(directory.path(), GroupId(0), Incarnation(0))?;
//! assert_eq!(reopened.restored.entries, [entry]);
//! assert_eq!(reopened.incarnation, drawn_at_random);
//! # Ok(())
//! # }
//! ```
//!
//! # What holds
//!
//! - A batch is on disk whole or not at all, and batches are there in the order they were given.
//! - A restart gives back exactly what was acknowledged, and perhaps whole batches after it.
//! - What does not check is an error. It is never read, never skipped, and never taken for the end
//!   of the log.
//! - After a failed write nothing more is written: nobody knows what the disk holds.
//!
//! What is on disk is drawn in the module `format`. Snapshots and compaction are not here yet: the log
//! grows from its first entry. A write-ahead log that a power cut tore is refused whole, as
//! [`StorageError::Damaged`].

mod batch;
pub mod contract;
mod error;
#[cfg(feature = "rocksdb")]
pub mod format;
#[cfg(feature = "rocksdb")]
mod mapping;
mod memory;
mod opened;
#[cfg(feature = "rocksdb")]
mod record;
#[cfg(feature = "rocksdb")]
mod rocks;
#[cfg(feature = "rocksdb")]
mod rocks_log;
mod simulated_sync;
#[cfg(feature = "rocksdb")]
mod wal;
#[cfg(feature = "rocksdb")]
mod writer;

pub use error::StorageError;
pub use memory::{Loss, MemoryDisk, MemoryStore};
pub use opened::Opened;
#[cfg(feature = "rocksdb")]
pub use rocks::RocksStore;
pub use simulated_sync::SyncDelay;
#[cfg(feature = "rocksdb")]
pub use writer::SyncedWal;
