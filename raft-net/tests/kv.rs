//! The key-value store of the examples as three processes: they lose their leader to a kill, and nothing else.
//!
//! This test is its own three processes, and its own clients: with the words of the example it is the example.

#[path = "../examples/kv.rs"]
#[expect(unreachable_pub, reason = "it is a program of its own")]
mod kv;

use std::collections::BTreeMap;
use std::env;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, id};
use std::time::Duration;

use raft_core::node::{Environment, SystemEnvironment};
use raft_core::sessions::{Request, SessionId};
use raft_core::{ClusterId, NodeId};
use raft_net::{Client, Outcome, TcpNet};
use tempfile::TempDir;

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(60);
const KEYS: usize = 20;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if env::args().nth(1).is_some_and(|word| ["serve", "put", "delete", "get"].contains(&&*word)) {
        return kv::main();
    }
    lose_and_regain_the_leader();
    println!("three processes lost their leader and nothing else: ok");
    Ok(())
}

/// Servers as processes. Those that still run when this goes are killed.
struct Cluster {
    folder: TempDir,
    addresses: BTreeMap<NodeId, String>,
    servers: BTreeMap<NodeId, Child>,
}

fn lose_and_regain_the_leader() {
    let mut cluster = Cluster::start();
    for key in 0..KEYS {
        assert_eq!(cluster.client(&["put", &key.to_string(), "old"]), "None\n");
    }
    let leader = cluster.leader();
    cluster.kill(leader);
    for key in 0..KEYS {
        for &server in cluster.servers.keys() {
            assert_eq!(cluster.get_from(server, key), "Some(\"old\")\n");
        }
    }
    assert_eq!(cluster.client(&["delete", "0"]), "Some(\"old\")\n");
    for key in 1..KEYS {
        assert_eq!(cluster.client(&["put", &key.to_string(), "new"]), "Some(\"old\")\n");
    }
    cluster.serve(leader);
    assert_eq!(cluster.get_from(leader, 0), "None\n");
    for key in 1..KEYS {
        assert_eq!(cluster.get_from(leader, key), "Some(\"new\")\n");
    }
    cluster.stop();
}

impl Cluster {
    fn start() -> Self {
        let listeners = [1, 2, 3].map(|id| (NodeId::new(id), TcpListener::bind((own_host(), 0)).unwrap()));
        let address =
            |(id, listener): &(NodeId, TcpListener)| (*id, listener.local_addr().unwrap().to_string());
        let addresses: BTreeMap<_, _> = listeners.iter().map(address).collect();
        drop(listeners);
        let folder = tempfile::tempdir().unwrap();
        let mut cluster = Self { folder, addresses, servers: BTreeMap::new() };
        for id in [1, 2, 3] {
            cluster.serve(NodeId::new(id));
        }
        cluster
    }

    fn serve(&mut self, id: NodeId) {
        let directory = self.folder.path().join(id.to_string());
        let mut command = example(self.addresses.values());
        command.args(["serve", &id.get().to_string()]).arg::<&Path>(&directory);
        self.servers.insert(id, command.spawn().unwrap());
    }

    /// What a client's process says.
    fn client(&self, words: &[&str]) -> String {
        said(example(self.addresses.values()).args(words))
    }

    /// The same of one that reaches this server alone.
    fn get_from(&self, server: NodeId, key: usize) -> String {
        let nowhere = String::from("127.0.0.1:1");
        let only = self.addresses.iter().map(|(id, address)| if *id == server { address } else { &nowhere });
        said(example(only).args(["get", &key.to_string()]))
    }

    /// Whoever commits the end of a session that there is not.
    #[tokio::main(flavor = "current_thread")]
    async fn leader(&self) -> NodeId {
        let request = Request::Unregister { session: SessionId::new(0) }.encode();
        let clock = SystemEnvironment::new();
        let deadline = clock.now().after(LIMIT);
        for (&id, address) in self.addresses.iter().cycle() {
            let client = Client::connect(&TcpNet, clock, ClusterId(1), address, deadline).await;
            // One that started late may not listen yet: a majority goes on without it.
            let Ok(mut client) = client else { continue };
            if let Outcome::Committed(_) = client.request(request.clone(), deadline).await.unwrap() {
                return id;
            }
        }
        unreachable!("there are servers, and somebody leads some time");
    }

    /// As the system does when memory is short.
    fn kill(&mut self, id: NodeId) {
        let mut server = self.servers.remove(&id).unwrap();
        server.kill().unwrap();
        server.wait().unwrap();
    }

    /// Ends each in order, as Ctrl-C does.
    fn stop(&mut self) {
        for (id, mut server) in std::mem::take(&mut self.servers) {
            assert!(
                Command::new("kill").args(["-INT", &server.id().to_string()]).status().unwrap().success()
            );
            assert!(server.wait().unwrap().success(), "{id}");
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for server in self.servers.values_mut() {
            // It may have ended by itself, which is what the test is about to tell.
            drop(server.kill());
            drop(server.wait());
        }
    }
}

/// A host of this process alone, so that nobody takes a port of a server that is down.
fn own_host() -> Ipv4Addr {
    let [_, high, middle, low] = id().to_be_bytes();
    if cfg!(target_os = "linux") {
        Ipv4Addr::new(127, 64 | high & 63, middle, low)
    } else {
        Ipv4Addr::LOCALHOST
    }
}

/// A process of the example.
fn example<'a>(addresses: impl Iterator<Item = &'a String>) -> Command {
    let addresses: Vec<&str> = addresses.map(String::as_str).collect();
    let mut command = Command::new(env::current_exe().unwrap());
    command.env("KV", addresses.join(","));
    command
}

fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
