//! What a [`LogStore`] is held to, as tests. They are asked of both stores of this crate, and can be
//! asked of any other: make a [`Disk`] for it, and call each check, or [`all`] of them, from a test.
//!
//! The model of a store is [`Stored`](raft_core::Stored). After a crash a store has to restore what the
//! model had after the last acknowledged batch, or after a later one; and what is loaded from it, the whole
//! log and all pieces of the whole snapshot too, has to be what the model has.
//!
//! A check panics where the store breaks its promise. None of them sleeps; a store in simulated time
//! is asked under a clock that moves on by itself.
//!
//! A store of one's own is asked everything with one call. This one keeps what it is given in memory:
//!
//! ```
//! use std::collections::VecDeque;
//! use std::future::pending;
//! use std::sync::{Arc, Mutex};
//!
//! use async_trait::async_trait;
//! use raft_core::node::{Done, LogStore};
//! use raft_core::{Batch, Incarnation, Load, Stored};
//! use raft_storage::contract::{self, Disk};
//! use raft_storage::{Opened, StorageError};
//!
//! struct MyStore {
//!     disk: Arc<Mutex<Stored>>,
//!     done: VecDeque<Done>,
//! }
//!
//! #[async_trait]
//! impl LogStore for MyStore {
//!     type Error = StorageError;
//!
//!     fn write(&mut self, batch: Batch) {
//!         self.disk.lock().unwrap().apply(batch);
//!         self.done.push_back(Done::Persisted(1));
//!     }
//!
//!     fn load(&mut self, load: Load) {
//!         let loaded = self.disk.lock().unwrap().load(&load);
//!         self.done.push_back(Done::Loaded(loaded));
//!     }
//!
//!     async fn done(&mut self) -> Result<Done, StorageError> {
//!         match self.done.pop_front() {
//!             Some(done) => Ok(done),
//!             None => pending().await,
//!         }
//!     }
//! }
//!
//! #[derive(Default)]
//! struct MyDisk {
//!     disk: Arc<Mutex<Stored>>,
//!     incarnation: Option<Incarnation>,
//! }
//!
//! impl Disk for MyDisk {
//!     type Store = MyStore;
//!
//!     fn open(&mut self, new_incarnation: Incarnation) -> Opened<MyStore> {
//!         let incarnation = *self.incarnation.get_or_insert(new_incarnation);
//!         let restored = self.disk.lock().unwrap().restored();
//!         let store = MyStore { disk: Arc::clone(&self.disk), done: VecDeque::new() };
//!         Opened { store, restored, incarnation, torn_bytes: 0 }
//!     }
//!
//!     fn crash(&mut self, store: MyStore) {
//!         drop(store);
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! contract::all(MyDisk::default).await;
//! # }
//! ```
//!
//! What a crash can do to a disk is for the [`Disk`] to bring about: at its simplest the store is dropped, at its
//! best all that was not synced is lost. What a real disk does besides (it refuses, it hangs, it damages) the
//! contract does not ask: how this crate asks its own store is in its tests, under `disk`.

mod life;
mod loads;
mod log;
mod long_life;
mod snapshots;

use raft_core::Incarnation;
use raft_core::node::LogStore;

use crate::opened::Opened;

pub use self::loads::*;
pub use self::log::*;
pub use self::long_life::*;
pub use self::snapshots::*;

/// One disk, empty at first, and how its store is opened and crashed.
pub trait Disk {
    /// The store that is asked.
    type Store: LogStore;

    /// Opens the store. If the disk is new, `new_incarnation` is its own from then on.
    fn open(&mut self, new_incarnation: Incarnation) -> Opened<Self::Store>;

    /// Ends the life of `store` as hard as can be done: at best, all that was not acknowledged is lost.
    fn crash(&mut self, store: Self::Store);
}

/// Asks everything, each on a disk of its own.
pub async fn all<D: Disk>(mut new_disk: impl FnMut() -> D) {
    a_new_disk_holds_nothing(new_disk());
    a_restart_gives_back_what_was_acknowledged(new_disk()).await;
    what_was_truncated_is_gone_and_what_replaced_it_stays(new_disk()).await;
    the_cluster_is_kept(new_disk()).await;
    what_is_repaired_reads_as_it_was_written(new_disk()).await;
    hard_state_is_kept_without_entries(new_disk()).await;
    an_empty_batch_is_acknowledged(new_disk()).await;
    each_write_is_told_of_once_and_in_order(new_disk()).await;
    an_answer_that_nobody_waited_for_is_told_to_the_next(new_disk()).await;
    what_was_not_acknowledged_is_there_in_whole_batches(new_disk()).await;
    a_big_entry_is_kept(new_disk()).await;
    opening_twice_changes_nothing(new_disk()).await;
    compaction_keeps_the_tail_and_forgets_the_front(new_disk()).await;
    a_snapshot_is_whole_only_with_its_last_piece(new_disk()).await;
    a_first_piece_puts_an_end_to_an_unfinished_snapshot(new_disk()).await;
    an_installed_snapshot_leaves_no_stale_tail(new_disk()).await;
    an_install_that_was_interrupted_goes_on(new_disk()).await;
    a_load_gives_no_more_than_was_asked_for(new_disk()).await;
    a_piece_is_loaded_only_of_the_whole_snapshot_and_where_it_begins(new_disk()).await;
    loads_see_what_is_not_synced(new_disk()).await;
    loads_and_writes_are_told_each_in_their_order(new_disk()).await;
    a_long_life_with_crashes_is_remembered(new_disk(), 1).await;
}
