//! What a plan says, complete: every default is filled in, every name is checked.
//!
//! [`Plan::read`] takes a `plan.toml` and either gives a plan that can be run or [`PlanErrors`] with every
//! mistake in it. The language is that of the tool's reference; what it knows and this version cannot do
//! yet is refused by name and never skipped. [`Plan::lock`] writes the plan down with all its values;
//! [`Target::resolve`] and [`Split::draw`] say whom an event meets, and [`Plan::timeline`] what a seed will bring.
//!
//! Running a plan is not here.

mod actions;
mod budget;
mod chaos;
mod check;
mod clocks;
mod deeds;
mod disks;
mod draw;
mod errors;
mod events;
mod links;
mod lock;
mod mode;
mod moments;
mod real;
mod schema;
mod sections;
mod splits;
mod targets;
#[cfg(test)]
mod tests;
mod timeline;
mod tree;
mod unheard;
mod values;
mod walk;
mod when;

use std::path::Path;
use std::time::Duration;

use raft_core::{Configuration, Member, NodeId};

pub use budget::{Budget, Health, Quota, Toll};
pub use chaos::{Arrivals, Chaos};
pub use check::{Check, Engine, Evidence, Invariant, Limit, Linearizable, Liveness};
pub use clocks::ClockFault;
pub use deeds::{Action, Change, Damage, Expect, Loss, Step, Undo};
pub use draw::{Drawn, View, draws};
pub use errors::{Mistake, PlanErrors};
pub use links::{LinkFault, LinkTarget, Only};
pub use mode::{Mode, Process};
pub use moments::{Moment, Trigger};
pub use schema::schema;
pub use targets::{Shape, Split, Target};
pub use timeline::{Entry, Timeline};
pub use values::{Comparison, Count, Seeds, Share, duration};
pub(crate) use values::{print_duration, size as parse_size};
pub use when::{Condition, Quantity, When};

use errors::Notes;
use walk::Section;

use crate::lab::Test;

/// The shortest and the longest of a duration that is drawn evenly, both included.
pub type Range = (Duration, Duration);

/// A plan that can be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Names the output folder.
    pub name: String,
    /// What it is about, for people.
    pub about: String,
    /// By which `soak` selects.
    pub tags: Vec<String>,
    /// How long, and with which seeds.
    pub run: Run,
    /// The simulated world.
    pub sim: Sim,
    /// The real one.
    pub process: Process,
    /// The servers.
    pub cluster: Cluster,
    /// What clients ask.
    pub workload: Workload,
    /// What is done to the servers, in file order; names are unique.
    pub events: Vec<Event>,
    /// What is done to them at random, in file order.
    pub chaos: Vec<Chaos>,
    /// What that may not exceed.
    pub budget: Budget,
    /// What is judged.
    pub check: Check,
}

/// How long, and with which seeds (`[run]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Where servers live.
    pub mode: Mode,
    /// Each is a run of its own.
    pub seeds: Seeds,
    /// Before any fault. Nothing asks for a leader where it is zero.
    pub warmup: Duration,
    /// With faults; more than zero.
    pub duration: Duration,
    /// After the final heal; liveness is judged here.
    pub settle: Duration,
    /// Wall time for one seed, after which it is inconclusive.
    pub max_wall: Duration,
    /// Whether each seed switches a random part of `[[chaos]]` off.
    pub swarm: bool,
}

/// The simulated world (`[sim]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sim {
    /// The step of virtual time; more than zero.
    pub tick: Duration,
    /// Every link before any fault.
    pub link: Link,
    /// Whether hosts run in a fresh order each step.
    pub shuffle_hosts: bool,
    /// The share of seeds that are run twice and compared.
    pub recheck: Share,
}

/// The latency of a link: `delay` and up to `jitter` more, for each message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// What every message takes.
    pub delay: Duration,
    /// What it may take besides, drawn evenly.
    pub jitter: Duration,
    /// How much longer a share of the messages takes.
    pub tail: Option<(Duration, Share)>,
}

/// The servers (`[cluster]`), with ids from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// How many vote in the beginning, 1 to 15: the first ids.
    pub voters: u64,
    /// How many learn in the beginning: the next ids.
    pub learners: u64,
    /// How many run besides and take no part: the last ids.
    pub spares: u64,
    /// Where they keep their logs.
    pub storage: Storage,
    /// From which election timeouts are drawn.
    pub election_timeout: Range,
    /// The leader's interval; at most half the shorter election timeout.
    pub heartbeat: Duration,
    /// After so many applied entries a server takes a snapshot and compacts its log; 0: only on demand.
    pub snapshot_every: u64,
    /// So many entries before a snapshot stay in the log.
    pub snapshot_trailing: u64,
    /// Bytes of one piece of a snapshot on its way to a follower; more than zero.
    pub snapshot_chunk: u64,
    /// Bytes of entries that a server keeps in memory; older ones are read from its disk.
    pub log_cache: u64,
    /// Whether a server asks before an election whether it would win it.
    pub prevote: bool,
    /// How reads are answered.
    pub read: Reads,
}

/// How reads are answered (thesis 6.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// As entries of the log.
    Log,
    /// By whomever is asked, once the leader has asked the others whether it leads.
    ReadIndex,
    /// The same, and the leader asks nobody while it has a lease.
    Lease {
        /// By how much one server's clock may run faster than another's. In a simulation they do.
        drift: Share,
    },
}

impl Cluster {
    /// Every server.
    pub fn nodes(&self) -> Vec<NodeId> {
        (1..=self.voters + self.learners + self.spares).map(NodeId::new).collect()
    }

    /// What the group begins with, where `member` says in which life each server is.
    pub fn first(&self, member: impl Fn(NodeId) -> Member) -> Configuration {
        let members =
            |ids: std::ops::RangeInclusive<u64>| ids.map(NodeId::new).map(&member).collect::<Vec<_>>();
        let learners = members(self.voters + 1..=self.voters + self.learners);
        Configuration::of(members(1..=self.voters)).with_learners(learners)
    }
}

/// Where a log is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// In a store that makes a disk's promises in memory.
    Memory,
    /// On a disk.
    Rocksdb,
}

impl Storage {
    /// Its word in a plan.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Rocksdb => "rocksdb",
        }
    }
}

/// What clients ask (`[workload]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Which data type.
    pub kind: Kind,
    /// The test, where that is the kind.
    pub test: Option<&'static Test>,
    /// How many clients, each with one operation at a time.
    pub clients: u64,
    /// Operations a second, all clients together, whether or not earlier ones have ended.
    pub rate: u64,
    /// Bytes of a written value.
    pub value: u64,
    /// How keys are dealt.
    pub keys: Keys,
    /// The weight of each operation of the kind, in the order of the kind; not all zero.
    pub mix: Vec<(Operation, u64)>,
    /// After which an operation counts as unknown.
    pub op_timeout: Duration,
    /// What becomes of a command that nobody knows of.
    pub retries: Retries,
    /// Whom a client asks.
    pub route: Route,
}

/// What becomes of a command that nobody knows of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retries {
    /// It stays so.
    None,
    /// It is sent again in a session of its client, so that it is applied once.
    Session {
        /// How many sessions the cluster holds; with more the least recently used one expires.
        sessions: u64,
    },
}

/// A data type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Values that are read, written, and compared and set.
    Register,
    /// The same, and values can be deleted and appended to.
    Kv,
    /// Lists that are appended to and read as a whole.
    ListAppend,
    /// Sets that are added to and read as a whole.
    Set,
    /// Counters that are added to and read.
    Counter,
    /// Accounts between which money is moved, and that are read all at once.
    Bank,
    /// Queues, first in, first out.
    Queue,
    /// None: a test of the lab, which brings its own servers, faults and checks.
    Lab,
}

impl Kind {
    /// Its name in a plan.
    pub fn name(self) -> &'static str {
        sections::KINDS.iter().find(|(_, kind, _)| *kind == self).map_or("", |(name, ..)| *name)
    }

    /// The kind of this name, if it is one of a data type.
    pub fn named(name: &str) -> Option<Self> {
        sections::KINDS
            .iter()
            .find(|(known, ..)| *known == name)
            .map(|(_, kind, _)| *kind)
            .filter(|kind| *kind != Self::Lab)
    }

    /// All names of data types.
    pub fn names() -> impl Iterator<Item = &'static str> {
        sections::KINDS.iter().map(|(name, ..)| *name).filter(|name| Self::named(name).is_some())
    }
}

/// An operation of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// What is the value?
    Read,
    /// This is the value.
    Write,
    /// If the value is this, then make it that.
    Cas,
    /// There is no value.
    Delete,
    /// Put this behind the value.
    Append,
    /// Put this into the set, or add it to the counter.
    Add,
    /// Move money from one account to another.
    Transfer,
    /// Put this into the queue.
    Enqueue,
    /// Take the first out of the queue.
    Dequeue,
}

/// How keys are dealt to clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// Keys in use at once.
    pub live: u64,
    /// After so many operations a key is retired and a fresh one takes its place.
    pub ops_per_key: u64,
    /// Clients that touch one key.
    pub clients_per_key: u64,
}

/// Whom a client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Follows hints to the leader, and tries the next server on failure.
    Leader,
    /// A random server each time.
    Any,
    /// Stays with the first server that answered.
    Sticky,
    /// That server only.
    Node(NodeId),
}

/// Something that is done to the servers (`[[event]]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its name, of which there is one.
    pub name: String,
    /// When it fires.
    pub when: When,
    /// It need not fire.
    pub optional: bool,
    /// What it does.
    pub action: Action,
}

impl Plan {
    /// Reads a plan from a file. `overrides` are as in `--set`: `key=value`, events by name.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the plan, or is right and cannot be done here.
    pub fn read(path: &Path, overrides: &[String]) -> Result<Self, PlanErrors> {
        let notes = Notes::default();
        match tree::file(&notes, path) {
            Some(text) => Self::walk(notes, &text, path, overrides),
            None => Err(notes.into_errors()),
        }
    }

    /// As [`Self::read`], of a text; `file_name` is what messages name and what `extends` is relative to.
    ///
    /// # Errors
    ///
    /// As [`Self::read`].
    pub fn parse(source: &str, file_name: &str, overrides: &[String]) -> Result<Self, PlanErrors> {
        Self::walk(Notes::default(), source, Path::new(file_name), overrides)
    }

    fn walk(notes: Notes, text: &str, path: &Path, overrides: &[String]) -> Result<Self, PlanErrors> {
        let Some(mut root) = tree::parse(&notes, text, path) else { return Err(notes.into_errors()) };
        for assignment in overrides {
            tree::set(&notes, &mut root, assignment);
        }
        let plan = sections::plan(Section::new(&notes, String::new(), &root));
        match plan {
            Some(plan) if notes.is_empty() => Ok(plan),
            Some(_) | None => Err(notes.into_errors()),
        }
    }
}
