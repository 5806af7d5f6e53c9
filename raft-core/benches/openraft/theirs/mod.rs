//! Three nodes of openraft, with its logs in memory and calls between them, as its `benchmarks/minimal` has them.

mod network;
mod store;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use openraft::{Config, Raft};
use raft_openraft_bench::Layout;
use tokio::runtime::Runtime;

use self::network::{BenchRaft, Router};
use self::store::{ClientRequest, LogStore, StateMachineStore};

pub struct Theirs {
    _runtimes: Vec<Runtime>,
    leader: BenchRaft,
}

impl Theirs {
    pub fn start(layout: Layout) -> Self {
        let (runtimes, places) = layout.runtimes();
        let config = Config {
            election_timeout_min: 200,
            election_timeout_max: 2000,
            purge_batch_size: 1024,
            max_payload_entries: 1024,
            ..Config::default()
        };
        let (config, router) = (Arc::new(config.validate().unwrap()), Router::new());
        for (id, place) in (0..3).zip(places) {
            let (config, network) = (Arc::clone(&config), router.clone());
            // It spawns its tasks where it is made.
            let made = runtimes[place].spawn(async move {
                let (log, machine) = (Arc::new(LogStore::default()), Arc::new(StateMachineStore::new()));
                Raft::new(id, config, network, log, machine).await.unwrap()
            });
            let raft = runtimes[place].block_on(made).unwrap();
            router.table.lock().unwrap().insert(id, raft);
        }
        let leader = router.get_raft(0);
        runtimes[0].block_on(async {
            leader.initialize(BTreeSet::from([0, 1, 2])).await.unwrap();
            for id in 0..3 {
                let wait = router.get_raft(id).wait(Some(Duration::from_secs(5)));
                wait.applied_index(Some(1), "the first entries").await.unwrap();
            }
        });
        Self { _runtimes: runtimes, leader }
    }

    /// A client that has so many commands applied, so many at once.
    pub fn client(&self, commands: u64, batch: u64) -> impl Future<Output = u64> + Send + 'static {
        let leader = self.leader.clone();
        async move {
            for _ in 0..commands / batch {
                if batch == 1 {
                    leader.client_write(ClientRequest {}).await.unwrap();
                    continue;
                }
                let requests: Vec<_> = (0..batch).map(|_| ClientRequest {}).collect();
                let mut written = leader.client_write_many(requests).await.unwrap();
                while let Some(result) = written.try_next().await.unwrap() {
                    result.unwrap();
                }
            }
            // It makes who is too many wait.
            0
        }
    }
}
