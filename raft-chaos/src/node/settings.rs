//! What a node is told: by flags, by the environment, and by a file. Flags win over the environment, the environment
//! over the file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use raft_core::{ClusterId, Configuration, NodeId};
use serde::Deserialize;

use super::ended::Ended;
use crate::plan::{Kind, duration};

/// What a node is told. The keys of the file are the names of the flags.
#[derive(Clone, Debug, Default, Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Settings {
    /// Which server of the cluster this is: a number that no other one has, or ever had.
    #[arg(long, env = "RAFT_NODE_ID", value_name = "N")]
    pub id: Option<u64>,
    /// Where it listens, for servers and for clients [default: its address in --peers].
    #[arg(long, env = "RAFT_NODE_LISTEN", value_name = "HOST:PORT")]
    pub listen: Option<String>,
    /// Where the others reach it, if that is elsewhere [default: its address in --peers, else --listen].
    #[arg(long, env = "RAFT_NODE_ADVERTISE", value_name = "HOST:PORT")]
    pub advertise: Option<String>,
    /// Where the servers listen that the cluster begins with: 1=HOST:PORT,2=HOST:PORT,... The same on each of them.
    #[arg(long, env = "RAFT_NODE_PEERS", value_name = "ID=HOST:PORT,...")]
    pub peers: Option<String>,
    /// Where some of the servers of a cluster listen that this one is to join, from an empty directory. It takes part once
    /// `raft-chaos client add-learner` says so.
    #[arg(long, env = "RAFT_NODE_JOIN", value_name = "HOST:PORT,...")]
    pub join: Option<String>,
    /// Those of --peers that vote at first [default: all that do not learn].
    #[arg(long, env = "RAFT_NODE_VOTERS", value_name = "ID,...")]
    pub voters: Option<String>,
    /// Those of --peers that are sent the log at first and do not vote.
    #[arg(long, env = "RAFT_NODE_LEARNERS", value_name = "ID,...")]
    pub learners: Option<String>,
    /// The directory of its log and snapshots, made where there is none. No other process may use it.
    #[arg(long, env = "RAFT_NODE_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The number of the cluster: its servers and clients talk to no other [default: 1].
    #[arg(long, env = "RAFT_NODE_CLUSTER", value_name = "N")]
    pub cluster: Option<u64>,
    /// What it keeps: kv, or another kind of data that a plan can name [default: kv].
    #[arg(long, env = "RAFT_NODE_KIND", value_name = "KIND")]
    pub kind: Option<String>,
    /// Write what happens inside of it to this file, a JSON object a line, for those who check it.
    #[arg(long, env = "RAFT_NODE_EVENTS", value_name = "FILE")]
    pub events: Option<PathBuf>,
    /// Where it answers HTTP: /metrics, /health and /ready [default: nowhere].
    #[arg(long, env = "RAFT_NODE_HTTP", value_name = "HOST:PORT")]
    pub http: Option<String>,
    /// The certificate of the authority that made those of the cluster, as PEM: from then on nothing goes without TLS.
    #[arg(long, env = "RAFT_NODE_TLS_CA", value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,
    /// This node's certificate, with the name raft://CLUSTER/node/ID, as PEM.
    #[arg(long, env = "RAFT_NODE_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// Its key, as PEM.
    #[arg(long, env = "RAFT_NODE_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// What is logged, to standard error [default: info].
    #[arg(long, env = "RAFT_NODE_LOG", value_name = "LEVEL", value_enum)]
    pub log: Option<Level>,
    /// How it is logged [default: text].
    #[arg(long, env = "RAFT_NODE_LOG_FORMAT", value_name = "FORMAT", value_enum)]
    pub log_format: Option<LogFormat>,
    /// Silence before an election, drawn anew each time from this range [default: 150ms..300ms].
    #[arg(long, env = "RAFT_NODE_ELECTION_TIMEOUT", value_name = "A..B")]
    pub election_timeout: Option<String>,
    /// How often a leader says that it leads [default: 50ms].
    #[arg(long, env = "RAFT_NODE_HEARTBEAT", value_name = "TIME")]
    pub heartbeat: Option<String>,
    /// How long its disk may leave a write unconfirmed before it gives way as a leader, and asks for no votes [default: 1s].
    #[arg(long, env = "RAFT_NODE_DISK_PATIENCE", value_name = "TIME")]
    pub disk_patience: Option<String>,
    /// Take a snapshot each time that so many entries have been applied; 0: only when asked [default: 100000].
    #[arg(long, env = "RAFT_NODE_SNAPSHOT_EVERY", value_name = "N")]
    pub snapshot_every: Option<u64>,
    /// How many threads serve connections and lead or follow; others write the log. Several nodes on one machine are faster with
    /// fewer [default: one for each core].
    #[arg(long, env = "RAFT_NODE_THREADS", value_name = "N")]
    pub threads: Option<usize>,
}

/// More threads than this are a slip.
const THREADS_MAX: usize = 1_024;

/// What is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Why it ended.
    Error,
    /// And what somebody may have to do something about.
    Warn,
    /// And who leads, who came and went.
    #[default]
    Info,
    /// And more.
    Debug,
    /// All.
    Trace,
}

/// How it is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// A line for people.
    #[default]
    Text,
    /// A JSON object a line.
    Json,
}

/// What a node is, of what it was told.
#[derive(Clone, Debug)]
pub(super) struct Resolved {
    pub(super) id: NodeId,
    pub(super) cluster: ClusterId,
    pub(super) listen: String,
    pub(super) advertise: String,
    pub(super) peers: BTreeMap<NodeId, String>,
    /// Whom to ask where the others are.
    pub(super) join: Vec<String>,
    /// What the cluster begins with; none of a server that is to join one.
    pub(super) first: Option<Configuration>,
    pub(super) data: PathBuf,
    pub(super) kind: Kind,
    pub(super) events: Option<PathBuf>,
    pub(super) http: Option<String>,
    pub(super) tls: Option<TlsFiles>,
    pub(super) log: (Level, LogFormat),
    pub(super) election_timeout: (Duration, Duration),
    pub(super) heartbeat: Duration,
    pub(super) disk_patience: Duration,
    pub(super) snapshot_every: Option<u64>,
    pub(super) threads: Option<usize>,
}

/// The files that prove who one is.
#[derive(Clone, Debug)]
pub(crate) struct TlsFiles {
    pub(crate) authority: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Settings {
    /// What stands in a TOML file.
    ///
    /// # Errors
    ///
    /// It cannot be read, or has a key or a value that there is not: where, and what there is.
    pub fn read(file: &Path) -> Result<Self, Ended> {
        let wrong = |error: &dyn std::fmt::Display| {
            Ended::usage(format!("config {}: {}", file.display(), error.to_string().trim_end()))
        };
        let text = fs::read_to_string(file).map_err(|error| wrong(&error))?;
        toml::from_str(&text).map_err(|error| wrong(&error))
    }

    /// The same, and where nothing was said what `other` says.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            id: self.id.or(other.id),
            listen: self.listen.or(other.listen),
            advertise: self.advertise.or(other.advertise),
            peers: self.peers.or(other.peers),
            join: self.join.or(other.join),
            voters: self.voters.or(other.voters),
            learners: self.learners.or(other.learners),
            data: self.data.or(other.data),
            cluster: self.cluster.or(other.cluster),
            kind: self.kind.or(other.kind),
            events: self.events.or(other.events),
            http: self.http.or(other.http),
            tls_ca: self.tls_ca.or(other.tls_ca),
            tls_cert: self.tls_cert.or(other.tls_cert),
            tls_key: self.tls_key.or(other.tls_key),
            log: self.log.or(other.log),
            log_format: self.log_format.or(other.log_format),
            election_timeout: self.election_timeout.or(other.election_timeout),
            heartbeat: self.heartbeat.or(other.heartbeat),
            disk_patience: self.disk_patience.or(other.disk_patience),
            snapshot_every: self.snapshot_every.or(other.snapshot_every),
            threads: self.threads.or(other.threads),
        }
    }

    /// What a node is then.
    pub(super) fn resolve(self) -> Result<Resolved, Ended> {
        let id = NodeId::new(self.id.ok_or_else(|| missing("id", "--id 1"))?);
        let data = self.data.ok_or_else(|| missing("data", "--data data/n1"))?;
        let peers = self.peers.as_deref().map_or(Ok(BTreeMap::new()), peers)?;
        let join = self.join.as_deref().map_or(Ok(Vec::new()), join)?;
        if !peers.is_empty() && !join.is_empty() {
            return Err(Ended::usage(
                "peers and join: give --peers to begin a cluster, or --join to join one",
            ));
        }
        let first = first(&peers, self.voters.as_deref(), self.learners.as_deref())?;
        // A spare knows where the others are, and knows nobody until it is told.
        let first = first.filter(|first| first.members().contains(&id));
        let listen = self.listen.or_else(|| peers.get(&id).cloned());
        let listen = listen.ok_or_else(|| missing("listen", "--listen 10.0.0.1:7000"))?;
        let advertise = self.advertise.or_else(|| peers.get(&id).cloned()).unwrap_or_else(|| listen.clone());
        for (name, address) in [("listen", &listen), ("advertise", &advertise)] {
            check_address(name, address)?;
        }
        if let Some(threads) = self.threads.filter(|threads| !(1..=THREADS_MAX).contains(threads)) {
            return Err(Ended::usage(format!("threads: {threads}; give a number from 1 to {THREADS_MAX}")));
        }
        let kind = self.kind.as_deref().unwrap_or("kv");
        let kind = Kind::named(kind).ok_or_else(|| {
            let known: Vec<_> = Kind::names().collect();
            Ended::usage(format!("kind: there is no {kind:?}; give one of {}", known.join(", ")))
        })?;
        Ok(Resolved {
            id,
            cluster: ClusterId(self.cluster.unwrap_or(1)),
            listen,
            advertise,
            peers,
            join,
            first,
            data,
            kind,
            events: self.events,
            http: self.http,
            tls: TlsFiles::of(self.tls_ca, self.tls_cert, self.tls_key)?,
            log: (self.log.unwrap_or_default(), self.log_format.unwrap_or_default()),
            election_timeout: range(self.election_timeout.as_deref().unwrap_or("150ms..300ms"))?,
            heartbeat: time("heartbeat", self.heartbeat.as_deref().unwrap_or("50ms"))?,
            disk_patience: time("disk-patience", self.disk_patience.as_deref().unwrap_or("1s"))?,
            snapshot_every: self.snapshot_every,
            threads: self.threads,
        })
    }
}

impl TlsFiles {
    /// All three, or none.
    pub(crate) fn of(
        authority: Option<PathBuf>,
        certificate: Option<PathBuf>,
        key: Option<PathBuf>,
    ) -> Result<Option<Self>, Ended> {
        match (authority, certificate, key) {
            (Some(authority), Some(certificate), Some(key)) => Ok(Some(Self { authority, certificate, key })),
            (None, None, None) => Ok(None),
            (_, _, _) => Err(Ended::usage(
                "tls: --tls-ca, --tls-cert and --tls-key go together; give all three, or none",
            )),
        }
    }

    /// What stands in them.
    pub(crate) fn read(&self) -> Result<raft_net::Tls, Ended> {
        let read = |name: &str, path: &Path| {
            fs::read(path).map_err(|error| Ended::usage(format!("{name} {}: {error}", path.display())))
        };
        let authority = read("tls-ca", &self.authority)?;
        let (certificate, key) = (read("tls-cert", &self.certificate)?, read("tls-key", &self.key)?);
        raft_net::Tls::from_pem(&authority, &certificate, &key)
            .map_err(|error| Ended::usage(format!("tls: {}: {error}", self.certificate.display())))
    }
}

fn missing(name: &str, example: &str) -> Ended {
    let variable = name.to_uppercase().replace('-', "_");
    Ended::usage(format!(
        "{name}: not given; give {example}, RAFT_NODE_{variable}, or {name} in the file of --config"
    ))
}

/// `HOST:PORT`, as far as that can be seen.
pub(crate) fn check_address(name: &str, address: &str) -> Result<(), Ended> {
    let fits =
        address.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if fits {
        return Ok(());
    }
    Err(Ended::usage(format!("{name}: {address:?} is no address; write HOST:PORT, as in 10.0.0.1:7000")))
}

/// `1=host:port,2=host:port`.
fn peers(text: &str) -> Result<BTreeMap<NodeId, String>, Ended> {
    let mut peers = BTreeMap::new();
    for peer in text.split(',') {
        let wrong = || {
            Ended::usage(format!("peers: {peer:?} is no server; write ID=HOST:PORT, as in 1=10.0.0.1:7000"))
        };
        let (id, address) = peer.trim().split_once('=').ok_or_else(wrong)?;
        check_address("peers", address)?;
        let id = NodeId::new(id.parse().map_err(|_| wrong())?);
        if peers.insert(id, address.to_owned()).is_some() {
            return Err(Ended::usage(format!("peers: {id} is there twice; name each server once")));
        }
    }
    Ok(peers)
}

/// `host:port,host:port`.
fn join(text: &str) -> Result<Vec<String>, Ended> {
    let address = |address: &str| check_address("join", address.trim()).map(|()| address.trim().to_owned());
    text.split(',').map(address).collect()
}

/// What the cluster begins with; none without servers.
fn first(
    peers: &BTreeMap<NodeId, String>,
    voters: Option<&str>,
    learners: Option<&str>,
) -> Result<Option<Configuration>, Ended> {
    let listed = |name: &str, text: Option<&str>| {
        let ids = text.map_or(Ok(BTreeSet::new()), |text| ids(name, text))?;
        match ids.iter().find(|id| !peers.contains_key(id)) {
            Some(id) => Err(Ended::usage(format!("{name}: {id} is not in --peers; add where it listens"))),
            None => Ok(ids),
        }
    };
    let learners = listed("learners", learners)?;
    let voters = match voters {
        Some(text) => listed("voters", Some(text))?,
        None => peers.keys().filter(|id| !learners.contains(id)).copied().collect(),
    };
    if peers.is_empty() {
        return Ok(None);
    }
    let first = Configuration::of(voters).with_learners(learners);
    first.check().map_err(|error| Ended::usage(format!("voters and learners: {error}")))?;
    Ok(Some(first))
}

/// `50ms`.
fn time(name: &str, text: &str) -> Result<Duration, Ended> {
    duration(text).map_err(|why| Ended::usage(format!("{name}: {why}")))
}

/// `1,2,3`.
fn ids(name: &str, text: &str) -> Result<BTreeSet<NodeId>, Ended> {
    let id = |id: &str| {
        id.trim().parse().map(NodeId::new).map_err(|_| {
            Ended::usage(format!("{name}: {id:?} is no number of a server; write them as in 1,2,3"))
        })
    };
    text.split(',').map(id).collect()
}

/// `150ms..300ms`.
fn range(text: &str) -> Result<(Duration, Duration), Ended> {
    let wrong = |why: String| Ended::usage(format!("election-timeout: {why}"));
    let (shortest, longest) = text.split_once("..").ok_or_else(|| {
        wrong(format!("{text:?} is no range; write the shortest and the longest, as in 150ms..300ms"))
    })?;
    Ok((duration(shortest).map_err(wrong)?, duration(longest).map_err(wrong)?))
}

#[cfg(test)]
mod tests;
