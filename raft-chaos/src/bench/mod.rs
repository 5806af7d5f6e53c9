//! `raft-chaos bench`: how much a cluster does in a second, and how long each operation takes.
//!
//! | file | is |
//! | --- | --- |
//! | `cluster.rs` | a cluster of its own: processes of this machine |
//! | `load.rs` | clients in a closed loop |
//! | `processor.rs` | who used the processor meanwhile |
//! | `told.rs` | what is measured, and what came of it |
//! | `table.rs` | the same for people |

mod cluster;
mod load;
mod processor;
mod table;
mod told;

use std::path::Path;
use std::thread;
use std::time::Duration;

use raft_core::ClusterId;
use raft_core::node::{Environment, SystemEnvironment};
use raft_net::{Net, Operator, Survey, TcpNet, TlsNet};
use tokio::runtime::Runtime;

use crate::client::Way;
use crate::doctor;
use crate::files;
use crate::node::{CONNECTIONS_MAX, Ended, TlsFiles, check_address};
use crate::runner::{cores, interrupted};
use cluster::{Cluster, threads_of_a_node};
use load::Load;
pub use processor::Shares;
pub use table::{HEAD, line, words};
pub use told::{Grid, Kind, Latency, Op, Row, Setup, Target, Told};

/// The number of this form of the JSON.
pub const SCHEMA: u32 = 2;

/// What the help says of them.
pub const EXIT_CODES: &str = "Exit codes: 0 measured; 64 bad arguments; 69 not possible here, as no server answers or one \
has ended; 130 interrupted: rows that were measured are printed.";

/// How long nodes of its own may take until one leads.
const START: Duration = Duration::from_secs(60);
/// How long to wait before servers are looked for again.
const REST: Duration = Duration::from_millis(50);
/// Files and connections that a process needs besides those of clients.
const FILES: u64 = 256;
/// More connections than this do not fit, with those of servers and of operators, into what a node accepts.
pub const CLIENT_CONNECTIONS_MAX: usize = CONNECTIONS_MAX - 96;
/// More clients than this would each only wait for the others.
pub const CLIENTS_MAX: usize = 16 * 1024;

/// Measures row by row, until all of them are done or it is interrupted.
///
/// # Errors
///
/// There is no such cluster, or not any more, or not enough of something.
pub fn run(grid: &Grid, target: &Target, tell: &mut dyn FnMut(Told)) -> Result<(), Ended> {
    make_room(grid)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Ended::unavailable(format!("starting threads: {error}")))?;
    let ended = match target {
        Target::Own { out, timeout } => {
            let sync_us = sync_us(out)?;
            let cluster = Cluster::start(out)?;
            let servers = cluster.addresses.values().cloned().collect();
            let tls = (None, None, None);
            let way = Way { servers, cluster: ClusterId(1), tls, timeout: *timeout };
            Bench { grid, way: &way, own: Some((cluster, sync_us)), tell }.run(&runtime, TcpNet, false)
        }
        Target::Servers(way) => {
            way.servers.iter().try_for_each(|address| check_address("servers", address))?;
            let (authority, certificate, key) = way.tls.clone();
            let bench = Bench { grid, way, own: None, tell };
            match TlsFiles::of(authority, certificate, key)? {
                Some(tls) => bench.run(&runtime, TlsNet::new(tls.read()?), true),
                None => bench.run(&runtime, TcpNet, false),
            }
        }
    };
    // Clients that were interrupted have nothing to finish.
    runtime.shutdown_background();
    ended
}

/// As many files and connections as clients need.
fn make_room(grid: &Grid) -> Result<(), Ended> {
    let connections = grid.connections as u64;
    // To the leader, and to whoever named it.
    let needed = 2 * connections + FILES;
    // Nodes have it from this process.
    let allowed = files::allow(needed).map_err(|error| Ended::unavailable(format!("files: {error}")))?;
    if allowed >= needed {
        return Ok(());
    }
    Err(Ended::unavailable(format!(
        "files: {connections} connections need {needed} open at a time, and {allowed} may be; raise it with ulimit -n {needed}, \
         or give fewer --connections"
    )))
}

/// How long a sync takes in this folder.
fn sync_us(out: &Path) -> Result<u64, Ended> {
    let times = doctor::sync_times(out).map_err(|error| {
        Ended::unavailable(format!(
            "out {}: {error}; name a folder that can be written to with --out",
            out.display()
        ))
    })?;
    let middle = times.get(times.len() / 2).copied().unwrap_or_default();
    Ok(u64::try_from(middle.as_micros()).unwrap_or(u64::MAX))
}

struct Bench<'a> {
    grid: &'a Grid,
    way: &'a Way,
    /// The cluster, if it was started for this, and how long a sync takes there.
    own: Option<(Cluster, u64)>,
    tell: &'a mut dyn FnMut(Told),
}

impl Bench<'_> {
    fn run<N: Net>(mut self, runtime: &Runtime, net: N, tls: bool) -> Result<(), Ended> {
        (self.tell)(Told::Now("waits for a leader".to_owned()));
        let Some(survey) = self.find(runtime, net.clone())? else { return Ok(()) };
        let setup = self.setup(&survey, tls);
        let load = Load {
            net,
            clock: SystemEnvironment::new(),
            cluster: self.way.cluster,
            addresses: setup.servers.clone(),
            timeout: self.way.timeout,
            keys: self.grid.keys,
            connections: self.grid.connections,
        };
        (self.tell)(Told::Setup(setup));
        for &value in &self.grid.values {
            (self.tell)(Told::Now(format!("fills {} keys with values of {value} B", self.grid.keys)));
            let filled = runtime.block_on(unless_interrupted(load.fill(value)));
            match filled {
                Some(filled) => self.runs().and(filled)?,
                None => return Ok(()),
            }
            for kind in self.grid.rows(value) {
                (self.tell)(Told::Now(format!("{} of {value} B, {} clients", kind.op.name(), kind.clients)));
                let pids = self.own.as_ref().map_or(Vec::new(), |(cluster, _)| cluster.pids());
                let times = (self.grid.warmup, self.grid.time);
                let row = runtime.block_on(unless_interrupted(load.row(kind, times, &pids)));
                let Some((tally, shares)) = row else { return Ok(()) };
                (self.tell)(Told::Row(Row::new(kind, &tally, self.grid.time, shares)));
                self.runs()?;
            }
        }
        Ok(())
    }

    /// # Errors
    ///
    /// A node that was started for this does not run any more.
    fn runs(&mut self) -> Result<(), Ended> {
        self.own.as_mut().map_or(Ok(()), |(cluster, _)| cluster.runs())
    }

    /// Waits until a server leads, and, of nodes that were started for this, all are there. None if it was interrupted.
    fn find<N: Net>(&mut self, runtime: &Runtime, net: N) -> Result<Option<Survey>, Ended> {
        let clock = SystemEnvironment::new();
        let Way { servers, cluster, timeout, .. } = self.way;
        let operator = Operator::new(net, clock, *cluster, servers.clone());
        let deadline = clock.now().after(if self.own.is_some() { START } else { *timeout });
        loop {
            let Some(survey) = runtime.block_on(unless_interrupted(operator.survey(deadline))) else {
                return Ok(None);
            };
            self.runs()?;
            let are_there = self.own.is_none() || survey.found.len() == servers.len();
            if survey.leader().is_some() && are_there {
                return Ok(Some(survey));
            }
            if survey.is_refused() || clock.now().after(REST) >= deadline {
                return Err(Ended::unavailable(without_leader(&survey)));
            }
            thread::sleep(REST);
        }
    }

    fn setup(&self, survey: &Survey, tls: bool) -> Setup {
        let cores = cores();
        let voters =
            survey.best().map_or(0, |report| report.membership.configured.configuration.voters.len());
        Setup {
            own: self.own.is_some(),
            voters,
            servers: survey.found.iter().map(|(id, (address, _))| (*id, address.clone())).collect(),
            tls,
            storage: "rocksdb",
            synced: true,
            sync_us: self.own.as_ref().map(|(_, sync_us)| *sync_us),
            node_threads: self.own.is_some().then(|| threads_of_a_node(cores)),
            keys: self.grid.keys,
            connections: self.grid.connections,
            time_s: self.grid.time.as_secs_f64(),
            warmup_s: self.grid.warmup.as_secs_f64(),
            cores,
            raft_chaos: env!("CARGO_PKG_VERSION"),
        }
    }
}

/// Why there is nobody to be asked.
fn without_leader(survey: &Survey) -> String {
    if survey.found.is_empty() {
        format!("servers: none answers: {}", survey.nobody())
    } else if survey.silent.is_empty() {
        "servers: none of them leads".to_owned()
    } else {
        format!("servers: none of those that answer leads; {}", survey.nobody())
    }
}

/// What comes of it; none if somebody wants this process to end before.
async fn unless_interrupted<T>(work: impl Future<Output = T>) -> Option<T> {
    let interrupted = async {
        while !interrupted() {
            tokio::time::sleep(REST).await;
        }
    };
    tokio::select! {
        biased;
        done = work => Some(done),
        () = interrupted => None,
    }
}
