//! Counters, and clients with sessions: every addition is done exactly once, whatever becomes of leaders on the way.
//!
//! Three servers in one process, over TCP and on RocksDB. Four clients add, each a hundred times, while the leader is
//! shut down twice and started again. What was lost on the way is sent again, and the sum is right all the same.
//!
//! ```text
//! cargo run --profile ci -p raft-net --example counters
//! ```

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::path::Path;

use raft_core::node::SnapshotReader;
use raft_core::server::{Machine, Server, snapshot_of, state_of};
use raft_core::{ClusterId, Config, GroupId, Incarnation, LogIndex, NodeId, RoleName};
use raft_net::{Net, Tcp, TcpNet};
use raft_storage::RocksStore;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

const CLIENTS: u64 = 4;
const ADDITIONS: u64 = 100;

/// By name.
#[derive(Default)]
struct Counters(BTreeMap<String, u64>);

#[derive(Serialize, Deserialize)]
struct Add {
    name: String,
    amount: u64,
}

impl Machine for Counters {
    type Command = Add;
    /// What it is now.
    type Answer = u64;
    /// Its name.
    type Query = String;
    type Reply = u64;

    fn apply(&mut self, _: LogIndex, Add { name, amount }: Add) -> u64 {
        let counter = self.0.entry(name).or_default();
        *counter += amount;
        *counter
    }

    fn query(&self, name: String) -> u64 {
        self.0.get(&name).copied().unwrap_or(0)
    }

    fn snapshot(&self) -> io::Result<SnapshotReader> {
        snapshot_of(&self.0)
    }

    async fn restore(&mut self, snapshot: SnapshotReader) -> io::Result<()> {
        self.0 = state_of(snapshot).await?;
        Ok(())
    }
}

type Failure = Box<dyn Error + Send + Sync>;

/// Starts a server where it was, or for the first time.
async fn serve(id: NodeId, folder: &Path, tcp: Tcp) -> Result<Server<Counters>, Failure> {
    let log = RocksStore::open(folder.join(id.to_string()), GroupId(0), Incarnation::random())?;
    let config = Config::new(id, [1, 2, 3].map(NodeId::new).into());
    Ok(Server::builder(config).log(log).network(tcp).machine(Counters::default()).start().await?)
}

/// Runs all of it.
///
/// # Errors
///
/// A client got no answer, or a server ended.
#[tokio::main]
pub async fn main() -> Result<(), Failure> {
    let (folder, mut addresses, mut listeners) = (tempfile::tempdir()?, BTreeMap::new(), Vec::new());
    for id in [1, 2, 3].map(NodeId::new) {
        let listener = TcpNet.listen("127.0.0.1:0").await?;
        addresses.insert(id, TcpNet.local_address(&listener)?);
        listeners.push((id, listener));
    }
    let mut servers = BTreeMap::new();
    for (id, listener) in listeners {
        let tcp = Tcp::new(addresses.clone()).listener(listener);
        servers.insert(id, serve(id, folder.path(), tcp).await?);
    }

    let client = Tcp::new(addresses.clone()).client::<Counters>(ClusterId(1));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let client = client.clone();
        clients.spawn(async move {
            let session = client.session().await?;
            for _ in 0..ADDITIONS {
                session.propose(Add { name: "visits".into(), amount: 1 }).await?;
            }
            session.end().await?;
            Ok::<_, Failure>(())
        });
    }
    for part in [1, 2] {
        while client.read("visits".into()).await? < part * CLIENTS * ADDITIONS / 3 {}
        let leads = |server: &&Server<Counters>| server.status().role == RoleName::Leader;
        let Some(leader) = servers.values().find(leads) else { continue };
        let id = leader.status().id;
        leader.shutdown().await?;
        println!("{id} led, and was shut down");
        servers.insert(id, serve(id, folder.path(), Tcp::new(addresses.clone())).await?);
    }
    while let Some(done) = clients.join_next().await {
        done??;
    }
    let visits = client.read("visits".into()).await?;
    println!("{CLIENTS} clients added {ADDITIONS} each: {visits}");
    assert_eq!(visits, CLIENTS * ADDITIONS);
    Ok(())
}
