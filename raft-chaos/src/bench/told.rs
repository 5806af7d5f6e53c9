//! What is measured, under which circumstances, and what came of it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use raft_core::NodeId;
use serde::Serialize;

use super::load::Tally;
use super::processor::Shares;
use crate::client::Way;
use crate::verdict::permille;

/// What clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Op {
    /// Puts of a value under a random key, in no session.
    Write,
    /// Linearizable gets of a random key.
    Read,
}

impl Op {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Read => "read",
        }
    }
}

/// What is measured in one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Kind {
    /// What clients do.
    pub op: Op,
    /// The size of values, in bytes.
    #[serde(rename = "value_bytes")]
    pub value: usize,
    /// How many there are.
    pub clients: usize,
}

/// All that is measured.
#[derive(Clone, Debug)]
pub struct Grid {
    /// What clients do.
    pub ops: Vec<Op>,
    /// Sizes of values, in bytes.
    pub values: Vec<usize>,
    /// Numbers of clients.
    pub clients: Vec<usize>,
    /// How long a row counts.
    pub time: Duration,
    /// How long clients warm up before.
    pub warmup: Duration,
    /// How many keys there are.
    pub keys: u64,
    /// How many connections clients share, where there are so many clients.
    pub connections: usize,
}

/// The cluster that is measured.
#[derive(Clone, Debug)]
pub enum Target {
    /// Nodes that are started for it.
    Own {
        /// Where their directories go for the time.
        out: PathBuf,
        /// How long an operation may take.
        timeout: Duration,
    },
    /// Servers that are there already.
    Servers(Way),
}

/// Under which circumstances it was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Setup {
    /// Whether the nodes were started for this, on this machine.
    pub own: bool,
    /// How many servers vote.
    pub voters: usize,
    /// Where they listen.
    pub servers: BTreeMap<NodeId, String>,
    /// Whether clients talk to them with TLS.
    pub tls: bool,
    /// What keeps logs.
    pub storage: &'static str,
    /// Whether what is written is synced before it counts.
    pub synced: bool,
    /// How long a bare sync of 4 KiB takes where logs are, in microseconds: the middle of many. None elsewhere.
    pub sync_us: Option<u64>,
    /// How many threads each node has besides that of its log. None elsewhere.
    pub node_threads: Option<usize>,
    /// How many keys there are.
    pub keys: u64,
    /// How many connections clients share, where there are so many clients.
    pub connections: usize,
    /// How long a row counts, in seconds.
    pub time_s: f64,
    /// How long clients warm up before.
    pub warmup_s: f64,
    /// The cores of this machine.
    pub cores: usize,
    /// The version of this tool.
    pub raft_chaos: &'static str,
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Of what.
    #[serde(flatten)]
    pub kind: Kind,
    /// Operations that were done within the time.
    pub ok: u64,
    /// And those that had begun by then, and were done later.
    pub late: u64,
    /// Operations that were certainly not done.
    pub not_done: u64,
    /// Operations of which nobody knows.
    pub unknown: u64,
    /// Operations that were answered by something else than was asked for: these nodes do not keep values under keys.
    pub wrong: u64,
    /// How many were done in a second.
    pub ops_per_s: f64,
    /// How long those took that were done, in time or late; none if none was.
    pub latency_us: Option<Latency>,
    /// Who used the processor.
    pub cpu_percent: Shares,
    /// Whether others took so much of it that the row says little.
    pub busy: bool,
}

/// In microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Latency {
    pub p50: u64,
    pub p99: u64,
    pub p999: u64,
    pub max: u64,
}

/// What is told while it is measured.
#[derive(Debug)]
pub enum Told {
    /// At first.
    Setup(Setup),
    /// What is done now.
    Now(String),
    /// What was measured.
    Row(Row),
}

impl Grid {
    /// How many rows there are.
    pub const fn len(&self) -> usize {
        self.ops.len() * self.values.len() * self.clients.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows of values of this size.
    pub(super) fn rows(&self, value: usize) -> impl Iterator<Item = Kind> + '_ {
        let of = move |op: Op| self.clients.iter().map(move |&clients| Kind { op, value, clients });
        self.ops.iter().copied().flat_map(of)
    }
}

impl Row {
    pub(super) fn new(kind: Kind, tally: &Tally, time: Duration, cpu_percent: Shares) -> Self {
        let Tally { ok, late, ref took_us, not_done, unknown, wrong } = *tally;
        let latency = |max: &u64| Latency {
            p50: permille(took_us, 500),
            p99: permille(took_us, 990),
            p999: permille(took_us, 999),
            max: *max,
        };
        Self {
            kind,
            ok,
            late,
            not_done,
            unknown,
            wrong,
            ops_per_s: ok as f64 / time.as_secs_f64(),
            latency_us: took_us.last().map(latency),
            cpu_percent,
            busy: cpu_percent.is_busy(),
        }
    }

    /// How many were not done, or nobody knows.
    pub const fn errors(&self) -> u64 {
        self.not_done + self.unknown + self.wrong
    }
}
