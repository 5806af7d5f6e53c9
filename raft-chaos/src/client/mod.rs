//! `raft-chaos client`: what a person asks of running nodes, and what comes of it.
//!
//! | file | is |
//! | --- | --- |
//! | `data.rs` | what is asked of the data |
//! | `members.rs` | what is changed about who takes part |
//! | `watching.rs` | how the servers are |
//! | `table.rs` | tables for people |

mod data;
mod members;
mod table;
mod watching;

use std::path::PathBuf;
use std::time::Duration;

use raft_core::node::{Environment, SystemEnvironment};
use raft_core::{ClusterId, NodeId, Time};
use raft_net::{Net, NotObeyed, Operator, TcpNet, TlsNet};
use serde::Serialize;
use serde_json::{Value, json};

use crate::node::{Ended, TlsFiles, check_address};
pub(crate) use data::command;

/// The number of this form of the JSON.
pub const SCHEMA: u32 = 1;

/// It was certainly not done.
const REFUSED: u8 = 1;
/// Nobody knows.
const UNKNOWN: u8 = 2;

/// What the help says of them.
pub const EXIT_CODES: &str = "Exit codes: 0 done; 1 certainly not done, or there is nothing there; 2 done or not, nobody \
knows; 64 bad arguments; 69 not possible here; 70 bug.";

/// Whom to ask, and how.
#[derive(Clone, Debug)]
pub struct Way {
    /// Where some of the servers listen.
    pub servers: Vec<String>,
    /// Their cluster.
    pub cluster: ClusterId,
    /// The authority's certificate, one's own and its key.
    pub tls: (Option<PathBuf>, Option<PathBuf>, Option<PathBuf>),
    /// How long anything may take.
    pub timeout: Duration,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// What is there?
    Get(String),
    /// Put this there.
    Put(String, String),
    /// If that is there, or nothing where it is none, put this there.
    Cas(String, Option<String>, String),
    /// Put this behind what is there.
    Append(String, String),
    /// Take away what is there.
    Delete(String),
    /// How are the servers?
    Status,
    /// Who takes part?
    Members,
    /// This server, which listens there, is sent the log from now on.
    AddLearner(NodeId, String),
    /// It votes from now on.
    Promote(NodeId),
    /// It takes part no more.
    Remove(NodeId),
    /// The second one, which listens there, votes in place of the first.
    Replace(NodeId, NodeId, String),
    /// It leads from now on.
    Transfer(NodeId),
    /// It takes a snapshot; where none is named, the leader does.
    Snapshot(Option<NodeId>),
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The status of the process.
    pub code: u8,
    /// For people; where it was not done, why.
    pub words: String,
    /// For programs: one object.
    pub json: Value,
}

impl Said {
    /// It was done.
    fn done(words: impl Into<String>, more: impl Serialize) -> Self {
        Self::with(0, words, more)
    }

    fn with(code: u8, words: impl Into<String>, more: impl Serialize) -> Self {
        let mut json = json!({ "schema": SCHEMA, "exit_code": code });
        // Whatever is no object says nothing more.
        if let (Some(json), Ok(Value::Object(more))) = (json.as_object_mut(), serde_json::to_value(more)) {
            json.extend(more);
        }
        Self { code, words: words.into(), json }
    }

    fn not_done(code: u8, why: &str) -> Self {
        Self::with(code, why, json!({ "error": why }))
    }
}

impl From<NotObeyed> for Said {
    fn from(error: NotObeyed) -> Self {
        let code = match error {
            NotObeyed::Refused { .. } => REFUSED,
            NotObeyed::Unknown { .. } => UNKNOWN,
        };
        Self::not_done(code, &error.to_string())
    }
}

impl From<Ended> for Said {
    fn from(error: Ended) -> Self {
        Self::not_done(error.status, &error.why)
    }
}

/// It was certainly not done.
fn refused(why: impl Into<String>) -> NotObeyed {
    NotObeyed::Refused { reason: why.into() }
}

/// Asks, and says what came of it.
pub fn run(way: &Way, ask: &Ask) -> Said {
    try_run(way, ask).unwrap_or_else(Said::from)
}

fn try_run(way: &Way, ask: &Ask) -> Result<Said, Ended> {
    way.servers.iter().try_for_each(|address| check_address("servers", address))?;
    let (authority, certificate, key) = way.tls.clone();
    let tls = TlsFiles::of(authority, certificate, key)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Ended::unavailable(format!("starting a runtime: {error}")))?;
    let said = match tls {
        Some(tls) => runtime.block_on(Client::new(TlsNet::new(tls.read()?), way).ask(ask)),
        None => runtime.block_on(Client::new(TcpNet, way).ask(ask)),
    };
    Ok(said.unwrap_or_else(Said::from))
}

/// One who asks.
struct Client<N> {
    operator: Operator<N, SystemEnvironment>,
    clock: SystemEnvironment,
    deadline: Time,
}

impl<N: Net> Client<N> {
    fn new(net: N, way: &Way) -> Self {
        let clock = SystemEnvironment::new();
        let operator = Operator::new(net, clock, way.cluster, way.servers.clone());
        Self { operator, clock, deadline: clock.now().after(way.timeout) }
    }

    async fn ask(&self, ask: &Ask) -> Result<Said, NotObeyed> {
        match ask {
            Ask::Get(key) => self.get(key).await,
            Ask::Put(key, value) => self.put(key, value).await,
            Ask::Cas(key, from, to) => self.cas(key, from.as_deref(), to).await,
            Ask::Append(key, value) => self.append(key, value).await,
            Ask::Delete(key) => self.delete(key).await,
            Ask::Status => self.status().await,
            Ask::Members => self.members().await,
            Ask::AddLearner(id, address) => self.add_learner(*id, address).await,
            Ask::Promote(id) => self.promote(*id).await,
            Ask::Remove(id) => self.remove(*id).await,
            Ask::Replace(old, new, address) => self.replace(*old, *new, address).await,
            Ask::Transfer(to) => self.transfer(*to).await,
            Ask::Snapshot(id) => self.snapshot(*id).await,
        }
    }

    /// Waits before the next look; false if there is to be none.
    async fn rest(&self) -> bool {
        let rested = self.clock.now().after(Duration::from_millis(50));
        if rested < self.deadline {
            self.clock.sleep_until(rested).await;
        }
        rested < self.deadline
    }
}
