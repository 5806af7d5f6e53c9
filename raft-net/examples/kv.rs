//! A replicated key-value store that outlives crashes: a process a server, its log in RocksDB, over TCP.
//!
//! ```text
//! export KV=127.0.0.1:7001,127.0.0.1:7002,127.0.0.1:7003
//! kv serve 1 data/1     # and 2 and 3, each in a terminal of its own; Ctrl-C ends it in order
//! kv put colour green
//! kv get colour
//! ```

use std::collections::BTreeMap;
use std::error::Error;
use std::io;

use raft_core::node::SnapshotReader;
use raft_core::server::{Machine, Server, snapshot_of, state_of};
use raft_core::{ClusterId, Config, GroupId, Incarnation, LogIndex, NodeId};
use raft_net::Tcp;
use raft_storage::RocksStore;
use serde::{Deserialize, Serialize};

#[derive(Default)]
struct Store(BTreeMap<String, String>);

#[derive(Serialize, Deserialize)]
enum Command {
    Put { key: String, value: String },
    Delete { key: String },
}

impl Machine for Store {
    type Command = Command;
    type Answer = Option<String>; // what was there before
    type Query = String;
    type Reply = Option<String>;

    fn apply(&mut self, _: LogIndex, command: Command) -> Option<String> {
        match command {
            Command::Put { key, value } => self.0.insert(key, value),
            Command::Delete { key } => self.0.remove(&key),
        }
    }

    fn query(&self, key: String) -> Option<String> {
        self.0.get(&key).cloned()
    }

    fn snapshot(&self) -> io::Result<SnapshotReader> {
        snapshot_of(&self.0)
    }

    async fn restore(&mut self, snapshot: SnapshotReader) -> io::Result<()> {
        self.0 = state_of(snapshot).await?;
        Ok(())
    }
}

/// Serves, or asks.
#[tokio::main]
pub async fn main() -> Result<(), Box<dyn Error>> {
    let addresses = std::env::var("KV").map_err(|_| "KV: set it to the servers' addresses")?;
    let addresses: BTreeMap<_, _> =
        (1..).map(NodeId::new).zip(addresses.split(',').map(Into::into)).collect();
    let (voters, tcp) = (addresses.keys().copied().collect(), Tcp::new(addresses));
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", id, directory] => {
            let id = NodeId::new(id.parse()?);
            let log = RocksStore::open(directory, GroupId(0), Incarnation::random())?;
            let mut config = Config::new(id, voters);
            config.snapshot_entries = 1000;
            let server =
                Server::builder(config).log(log).network(tcp).machine(Store::default()).start().await?;
            tokio::select! {
                biased;
                ended = server.ended() => ended?,
                _ = tokio::signal::ctrl_c() => server.shutdown().await?,
            }
        }
        ["put", key, value] => {
            let command = Command::Put { key: key.into(), value: value.into() };
            println!("{:?}", tcp.client::<Store>(ClusterId(1)).propose(command).await?);
        }
        ["delete", key] => {
            let command = Command::Delete { key: key.into() };
            println!("{:?}", tcp.client::<Store>(ClusterId(1)).propose(command).await?);
        }
        ["get", key] => println!("{:?}", tcp.client::<Store>(ClusterId(1)).read(key.into()).await?),
        _ => return Err("kv serve ID DIRECTORY | put KEY VALUE | delete KEY | get KEY".into()),
    }
    Ok(())
}
