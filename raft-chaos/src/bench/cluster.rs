//! The cluster of a bench: three nodes as processes of this machine. Whatever ends the bench, they end with it, and their
//! directories go, at the latest when the next bench begins in the same place.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use raft_core::NodeId;
use tempfile::TempDir;

use crate::node::Ended;
use crate::process::{NODES, Register, clean_run, forget_settings, host};
use crate::runner::cores;

/// How many nodes there are.
const COUNT: usize = 3;
/// What the folders of benches are called.
const PREFIX: &str = "raft-chaos-bench-";

/// Nodes that were started here.
pub(super) struct Cluster {
    nodes: BTreeMap<NodeId, Node>,
    /// Where they listen.
    pub(super) addresses: BTreeMap<NodeId, String>,
    /// Goes before the folder that it is in.
    register: Register,
    folder: TempDir,
}

struct Node {
    child: Child,
    log: PathBuf,
}

impl Cluster {
    /// Starts nodes whose directories are in a new folder in `place`.
    ///
    /// # Errors
    ///
    /// There is no room for them, or no port.
    pub(super) fn start(place: &Path) -> Result<Self, Ended> {
        let failed = |error: io::Error| {
            Ended::unavailable(format!(
                "out {}: {error}; name a folder that can be written to with --out",
                place.display()
            ))
        };
        sweep(place).map_err(failed)?;
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(place).map_err(failed)?;
        let mut cluster = Self {
            nodes: BTreeMap::new(),
            addresses: addresses()
                .map_err(|error| Ended::unavailable(format!("ports: {error}; see raft-chaos doctor")))?,
            register: Register::begin(folder.path()).map_err(failed)?,
            folder,
        };
        for id in cluster.addresses.keys().copied().collect::<Vec<_>>() {
            cluster.boot(id).map_err(|error| Ended::unavailable(format!("starting {id}: {error}")))?;
        }
        Ok(cluster)
    }

    fn boot(&mut self, id: NodeId) -> io::Result<()> {
        let nodes = self.folder.path().join(NODES);
        fs::create_dir_all(&nodes)?;
        let log = nodes.join(format!("{id}.log"));
        let peers = self.addresses.iter().map(|(id, address)| format!("{}={address}", id.get()));
        let mut command = Command::new(std::env::current_exe()?);
        forget_settings(&mut command);
        command.arg("node").args(["--id", &id.get().to_string(), "--log", "warn"]);
        command.args(["--peers", &peers.collect::<Vec<_>>().join(",")]);
        command.arg("--data").arg(nodes.join(id.to_string()));
        command.args(["--threads", &threads_of_a_node(cores()).to_string()]);
        command.args(["--end-with", &std::process::id().to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?);
        // What a terminal sends to interrupt this tool is not for them.
        let child = command.process_group(0).spawn()?;
        self.register.add(child.id())?;
        self.nodes.insert(id, Node { child, log });
        Ok(())
    }

    /// Their processes.
    pub(super) fn pids(&self) -> Vec<u32> {
        self.nodes.values().map(|node| node.child.id()).collect()
    }

    /// # Errors
    ///
    /// One of them does not run any more.
    pub(super) fn runs(&mut self) -> Result<(), Ended> {
        for (id, Node { child, log }) in &mut self.nodes {
            if let Ok(Some(status)) = child.try_wait() {
                let said = fs::read_to_string(log).unwrap_or_default();
                let last =
                    said.lines().last().unwrap_or("it said nothing").trim_start_matches("raft-chaos: ");
                return Err(Ended::unavailable(format!("{id} has ended ({status}): {last}")));
            }
        }
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for Node { child, .. } in self.nodes.values_mut() {
            // Both fail only of what has ended.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// How many threads each node has, besides that of its log: together they have one for each core.
pub(super) fn threads_of_a_node(cores: usize) -> usize {
    (cores / COUNT).max(1)
}

/// Removes what benches have left in this place whose process was killed.
fn sweep(place: &Path) -> io::Result<()> {
    for entry in fs::read_dir(place)?.flatten() {
        let is_ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        if is_ours && clean_run(&entry.path())? {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// An address for each node, with a port that is free on a host that only this process's nodes have.
fn addresses() -> io::Result<BTreeMap<NodeId, String>> {
    let host = host(std::process::id());
    let listen = |_| TcpListener::bind((host, 0));
    // All at a time, so that no two are the same.
    let listeners: Vec<_> = (0..COUNT).map(listen).collect::<io::Result<_>>()?;
    let address =
        |(id, listener): (u64, &TcpListener)| Ok((NodeId::new(id), listener.local_addr()?.to_string()));
    (1..).zip(&listeners).map(address).collect()
}
