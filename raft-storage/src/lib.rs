//! Where a Raft server keeps what it must not lose: term, vote, log and snapshots.
//!
//! - `RocksStore` keeps it in a directory, in RocksDB (feature `rocksdb`, on by default). Many groups can share
//!   the directory, and with it each sync (`RocksGroups`).
//! - [`MemoryStore`] makes the same promises on a disk in memory, [`MemoryDisk`], that can be crashed.
//! - [`FaultyStore`] is another store, on a disk of which a test says what is wrong with it ([`DiskFaults`]).
//! - `Inspection` says what is in a directory, and changes nothing of it (feature `rocksdb`).
//! - `recovery` makes a new group of what one server has, where the majority is lost for good (feature `rocksdb`).
//! - `Hold` keeps servers off a directory while its files are copied (feature `rocksdb`).
//! - `machine` keeps what the commands have led to: a state machine in RocksDB.
//! - [`contract`] is what either is held to, as tests that can be asked of any other store.
//!
//! An [`Opened`] store is what a [`Server`](raft_core::server::Server) is given as its log; `raft-net/examples/kv.rs` is one whole.
//!
//! All of them are [`LogStore`](raft_core::node::LogStore)s: a batch is given to `write` and a request to
//! `load`, which return at once, and `done` says what is durable and what was read.
//!
#![cfg_attr(feature = "rocksdb", doc = "```")]
#![cfg_attr(not(feature = "rocksdb"), doc = "```ignore")]
//! use raft_core::node::{Done, LogStore};
//! use raft_core::{Batch, Entry, EntryId, GroupId, Incarnation, Load, Loaded, LogIndex, Payload, Term};
//! use raft_storage::{Opened, RocksStore};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let directory = tempfile::tempdir()?;
//! let drawn_at_random = Incarnation(0x5eed);
//! let Opened { mut store, restored, .. } = RocksStore::open(directory.path(), GroupId(0), drawn_at_random)?;
//! assert!(restored.log.is_empty());
//!
//! let first = EntryId::new(Term::new(1), LogIndex::new(1));
//! let entry = Entry::new(first, Payload::Command("set x 1".into()));
//! store.write(Batch { entries: vec![entry.clone()].into(), ..Batch::default() });
//! assert_eq!(store.done().await?, Done::Persisted(1)); // From here on, a power cut cannot undo it.
//!
//! drop(store);
//! let mut reopened = RocksStore::open(directory.path(), GroupId(0), Incarnation(0))?;
//! assert_eq!(reopened.incarnation, drawn_at_random);
//! assert_eq!(reopened.restored.log.last(), first);
//! reopened.store.load(Load::Entries { from: first.index, to: first.index, bytes_max: 1024 });
//! let loaded = Loaded::Entries { from: first.index, entries: vec![entry] };
//! assert_eq!(reopened.store.done().await?, Done::Loaded(loaded));
//! # Ok(())
//! # }
//! ```
//!
//! # What holds
//!
//! - A batch is on disk whole or not at all, and batches are there in the order they were given.
//! - A restart gives back exactly what was acknowledged, and perhaps whole batches after it.
//! - A snapshot is there when its last piece is. Until then the one before it is the snapshot, and what a
//!   crash interrupted goes on where it was.
//! - What is loaded is what was written before it was asked for, durable or not.
//! - What does not check is never taken for an entry or a piece of a snapshot, never skipped, and never taken for
//!   the end of the log. A piece is an error. An entry is told of as [`Damaged`](raft_core::Loaded::Damaged), and can be
//!   written once more ([`repair`](raft_core::Batch::repair)): peers have it too.
//! - After a failed write nothing more is written: nobody knows what the disk holds.
//!
//! # What it says and measures
//!
//! Nothing is printed, and RocksDB writes no log file: what it has to say goes to `tracing`, with the target
//! `rocksdb`. What it and the store measure is asked of a `StorageMeter`, or of `RocksGroups::metrics`.
//!
//! RocksDB's checksums go over every byte of the log. They are computed in hardware if it is compiled for a processor that
//! can: `RUSTFLAGS="-Ctarget-cpu=..."`, as the build script of `librocksdb-sys` says, or `-msse4.2 -mpclmul` in `CXXFLAGS`.
//!
//! What is on disk is drawn in the module `format`. Opening reads no payloads, so that damage to one shows
//! when it is loaded. A write-ahead log with a damaged record that good ones follow is mended where the directory is one
//! group's: what comes after it says what there is, and [`damaged`](raft_core::Restored::damaged) which entries are
//! lost. Where more than that may be lost it is refused whole, as [`StorageError::Damaged`]. An end that a power cut
//! tore is cut off, and [`torn_bytes`](Opened::torn_bytes) says so; term and vote are in two records, and so not lost
//! with it. After a clean stop there is no such end: whatever is missing then is damage.

// A library prints nothing: whoever wants to know asks.
#![deny(clippy::print_stdout, clippy::print_stderr)]

#[cfg(feature = "rocksdb")]
mod background;
mod batch;
#[cfg(feature = "rocksdb")]
mod clean_stop;
pub mod contract;
#[cfg(feature = "rocksdb")]
mod database;
#[cfg(feature = "rocksdb")]
mod directory;
mod error;
mod faulty;
#[cfg(feature = "rocksdb")]
pub mod format;
#[cfg(feature = "rocksdb")]
mod groups;
#[cfg(feature = "rocksdb")]
mod hold;
#[cfg(feature = "rocksdb")]
pub mod inspection;
#[cfg(feature = "rocksdb")]
pub mod machine;
#[cfg(feature = "rocksdb")]
mod mapping;
mod memory;
#[cfg(feature = "rocksdb")]
mod metrics;
mod opened;
#[cfg(feature = "rocksdb")]
mod reading;
#[cfg(feature = "rocksdb")]
mod record;
#[cfg(feature = "rocksdb")]
pub mod recovery;
#[cfg(feature = "rocksdb")]
mod rocks;
#[cfg(feature = "rocksdb")]
mod rocks_log;
#[cfg(feature = "rocksdb")]
mod salvage;
#[cfg(feature = "rocksdb")]
mod simulated_damage;
mod simulated_faults;
mod simulated_sync;
#[cfg(feature = "rocksdb")]
mod simulated_writer;
#[cfg(feature = "rocksdb")]
mod snapshots;
#[cfg(feature = "rocksdb")]
mod state;
#[cfg(feature = "rocksdb")]
mod suspect;
#[cfg(feature = "rocksdb")]
mod tail;
#[cfg(feature = "rocksdb")]
mod telling;
#[cfg(feature = "rocksdb")]
mod threaded_writer;
#[cfg(feature = "rocksdb")]
mod upgrade;
#[cfg(feature = "rocksdb")]
mod wal;
#[cfg(feature = "rocksdb")]
mod write_batch;

#[cfg(feature = "rocksdb")]
pub use database::RocksOptions;
pub use error::StorageError;
pub use faulty::FaultyStore;
#[cfg(feature = "rocksdb")]
pub use groups::RocksGroups;
#[cfg(feature = "rocksdb")]
pub use hold::Hold;
#[cfg(feature = "rocksdb")]
pub use inspection::Inspection;
pub use memory::{Loss, MemoryDisk, MemoryStore};
#[cfg(feature = "rocksdb")]
pub use metrics::{StorageGauges, StorageMeter, StorageMetrics};
pub use opened::Opened;
pub use raft_core::node::Durations;
#[cfg(feature = "rocksdb")]
pub use recovery::{Recovery, RecoveryError};
#[cfg(feature = "rocksdb")]
pub use rocks::RocksStore;
#[cfg(feature = "rocksdb")]
pub use simulated_damage::{StoredRecords, delete_snapshot};
pub use simulated_faults::{
    DiskFault, DiskFaults, FaultId, FaultsInForce, ReadFault, SyncFault, Touched, WriteFault,
};
pub use simulated_sync::SyncDelay;
#[cfg(feature = "rocksdb")]
pub use simulated_writer::SyncedWal;
