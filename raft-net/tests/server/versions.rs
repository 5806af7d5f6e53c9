//! Servers of two adjacent releases in one cluster: upgraded one after the other while clients write.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use raft_core::NodeId;
use raft_net::{Version, Versions};

use crate::world::{Cluster, Command, ListClient, hears_a_leader};

const ONE: NodeId = NodeId::new(1);
const TWO: NodeId = NodeId::new(2);
const THREE: NodeId = NodeId::new(3);

/// What the release after this one speaks: its own version, and that of this one.
fn next() -> Versions {
    Versions::new(Version::OLDEST, Version::NEXT).unwrap()
}

/// Writes one number after the other until it is to end, and says how many.
async fn write(client: ListClient, ends: Arc<AtomicBool>) -> u64 {
    let session = client.session().await.unwrap();
    let mut count = 0;
    while !ends.load(Ordering::Relaxed) {
        let len = session.propose(Command::Push(count)).await.unwrap();
        count += 1;
        assert_eq!(len as u64, count);
    }
    count
}

/// One server is of this release and two are of the next one. The first is upgraded, and then another one is taken back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_of_two_releases_are_restarted_as_the_other_under_writes_and_nothing_is_lost() {
    let mixed = BTreeMap::from([(ONE, Versions::OURS), (TWO, next()), (THREE, next())]);
    let mut cluster = Cluster::start_in(mixed, false, 3, |_| {}).await;
    cluster.leader().await;
    let ends = Arc::new(AtomicBool::new(false));
    let writing = tokio::spawn(write(cluster.client(), Arc::clone(&ends)));
    for (id, versions) in [(ONE, next()), (TWO, Versions::OURS)] {
        let before = cluster.leader().await.status().commit_index;
        cluster.servers[&id].shutdown().await.unwrap();
        cluster.versions.insert(id, versions);
        cluster.serve(id, None).await;
        let mut watch = cluster.servers[&id].watch();
        watch.wait_for(|status| status.commit_index.get() > before.get() + 50).await.unwrap();
    }
    ends.store(true, Ordering::Relaxed);
    let written: Vec<u64> = (0..writing.await.unwrap()).collect();
    for server in cluster.servers.values() {
        hears_a_leader(server).await;
        assert_eq!(server.read(()).await.as_deref(), Ok(&written[..]));
    }
}
