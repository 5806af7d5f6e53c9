//! The contract, asked of each store, and of each way to crash it.

mod common;

use std::iter::Cycle;
use std::vec;

use common::{PausedClock, delays, sound};
use raft_core::Incarnation;
use raft_core::node::{LogStore, SystemEnvironment};
use raft_storage::contract::{self, Disk};
use raft_storage::{FaultyStore, Loss, MemoryDisk, MemoryStore, Opened, StorageError};

/// The losses of a disk's crashes, over and over.
struct Memory {
    disk: MemoryDisk,
    losses: Cycle<vec::IntoIter<Loss>>,
}

impl Memory {
    fn that_loses(losses: Vec<Loss>) -> Self {
        Self { disk: MemoryDisk::new(), losses: losses.into_iter().cycle() }
    }
}

impl Disk for Memory {
    type Store = MemoryStore;

    fn open(&mut self, new_incarnation: Incarnation) -> Opened<MemoryStore> {
        MemoryStore::open(&self.disk, new_incarnation, PausedClock::new(), delays(), sound())
    }

    fn crash(&mut self, store: MemoryStore) {
        drop(store);
        self.disk.crash(self.losses.next().unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn memory_keeps_the_contract_when_it_is_killed() {
    contract::all(|| Memory::that_loses(vec![Loss::None])).await;
}

#[tokio::test(start_paused = true)]
async fn memory_keeps_the_contract_when_the_power_goes() {
    for keep in [0, 1, usize::MAX] {
        contract::all(|| Memory::that_loses(vec![Loss::Unsynced { keep }])).await;
    }
}

/// What a killed process left unsynced is durable once it was read.
#[tokio::test(start_paused = true)]
async fn memory_keeps_the_contract_when_it_is_killed_and_then_the_power_goes() {
    contract::all(|| Memory::that_loses(vec![Loss::None, Loss::Unsynced { keep: 0 }])).await;
}

/// Another disk, of which a test might say that something is wrong with it, and does not.
struct Faulty<D>(D);

impl<D: Disk<Store: LogStore<Error = StorageError>>> Disk for Faulty<D> {
    type Store = FaultyStore;

    fn open(&mut self, new_incarnation: Incarnation) -> Opened<FaultyStore> {
        FaultyStore::over(self.0.open(new_incarnation), SystemEnvironment::new(), sound())
    }

    /// What is dropped with it is the other store.
    fn crash(&mut self, store: FaultyStore) {
        drop(store);
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_with_nothing_wrong_keeps_the_contract() {
    contract::all(|| Faulty(Memory::that_loses(vec![Loss::None]))).await;
}

#[cfg(feature = "rocksdb")]
mod rocks {

    use raft_core::GroupId;
    use raft_storage::{RocksGroups, RocksStore};
    use tempfile::TempDir;

    use super::*;

    const GROUP: GroupId = GroupId(3);

    struct Threaded(TempDir);

    impl Disk for Threaded {
        type Store = RocksStore;

        fn open(&mut self, new_incarnation: Incarnation) -> Opened<RocksStore> {
            RocksStore::open(self.0.path(), GROUP, new_incarnation).unwrap()
        }

        fn crash(&mut self, store: RocksStore) {
            drop(store);
        }
    }

    #[tokio::test]
    async fn rocksdb_keeps_the_contract() {
        contract::all(|| Threaded(TempDir::new().unwrap())).await;
    }

    #[tokio::test]
    async fn rocksdb_with_nothing_wrong_keeps_the_contract() {
        contract::all(|| Faulty(Threaded(TempDir::new().unwrap()))).await;
    }

    /// The others of the directory stay open when the store is dropped.
    struct Shared {
        groups: RocksGroups,
        _directory: TempDir,
    }

    impl Shared {
        fn new() -> Self {
            let directory = TempDir::new().unwrap();
            Self { groups: RocksGroups::open(directory.path()).unwrap(), _directory: directory }
        }
    }

    impl Disk for Shared {
        type Store = RocksStore;

        fn open(&mut self, new_incarnation: Incarnation) -> Opened<RocksStore> {
            self.groups.store(GROUP, new_incarnation).unwrap()
        }

        fn crash(&mut self, store: RocksStore) {
            drop(store);
        }
    }

    #[tokio::test]
    async fn a_group_that_shares_its_directory_keeps_the_contract() {
        contract::all(Shared::new).await;
    }

    /// What a simulated crash leaves of the write-ahead log.
    #[derive(Clone, Copy)]
    enum Cut {
        /// All of it: the process was killed.
        Nowhere,
        /// What was synced: the power went.
        BehindSynced,
        /// That, and half of what was not: most likely the middle of a record.
        InTheMiddle,
    }

    /// The cuts of a directory's crashes, over and over.
    struct Simulated {
        directory: TempDir,
        cuts: Cycle<vec::IntoIter<Cut>>,
    }

    impl Simulated {
        fn that_is_cut(cuts: Vec<Cut>) -> Self {
            Self { directory: TempDir::new().unwrap(), cuts: cuts.into_iter().cycle() }
        }
    }

    impl Disk for Simulated {
        type Store = RocksStore;

        fn open(&mut self, new_incarnation: Incarnation) -> Opened<RocksStore> {
            let clock = PausedClock::new();
            RocksStore::open_simulated(
                self.directory.path(),
                GROUP,
                new_incarnation,
                clock,
                delays(),
                sound(),
            )
            .unwrap()
        }

        fn crash(&mut self, store: RocksStore) {
            let synced = store.synced_wal().unwrap();
            drop(store);
            match self.cuts.next().unwrap() {
                Cut::Nowhere => {}
                Cut::BehindSynced => drop(synced.power_cut(|_| 0).unwrap()),
                Cut::InTheMiddle => drop(synced.power_cut(|unsynced| unsynced / 2).unwrap()),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn simulated_rocksdb_keeps_the_contract_when_it_is_killed() {
        contract::all(|| Simulated::that_is_cut(vec![Cut::Nowhere])).await;
    }

    #[tokio::test(start_paused = true)]
    async fn simulated_rocksdb_keeps_the_contract_when_the_power_goes() {
        contract::all(|| Simulated::that_is_cut(vec![Cut::BehindSynced])).await;
    }

    #[tokio::test(start_paused = true)]
    async fn simulated_rocksdb_keeps_the_contract_when_a_power_cut_tears_a_record() {
        contract::all(|| Simulated::that_is_cut(vec![Cut::InTheMiddle])).await;
    }

    #[tokio::test(start_paused = true)]
    async fn simulated_rocksdb_keeps_the_contract_when_it_is_killed_and_then_the_power_goes() {
        contract::all(|| Simulated::that_is_cut(vec![Cut::Nowhere, Cut::BehindSynced])).await;
    }
}
