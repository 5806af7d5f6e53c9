//! Figure 2 of the Raft paper as a pure state machine, a node on tokio that drives it, and a server made of both.
//!
//! Whoever wants a state machine replicated begins with the module `server` (feature `tokio`, on by default), and with
//! `raft-net/examples/kv.rs`: a key-value store of three processes. Whoever wants the protocol alone reads on, and finds a program
//! in `raft-core/examples/sans_io.rs`.
//!
//! | Figure 2 | here |
//! | --- | --- |
//! | State | [`Raft`], [`HardState`], `state.rs`, `progress.rs`, `log.rs`, `newest.rs`, `disk.rs` |
//! | RequestVote RPC | [`RequestVote`], [`RequestVoteReply`], `request_vote.rs` |
//! | AppendEntries RPC | [`AppendEntries`], [`AppendEntriesReply`], `append_entries.rs` |
//! | InstallSnapshot RPC (Figure 13) | [`InstallSnapshot`], [`InstallSnapshotReply`], `install_snapshot.rs`, `snapshotting.rs` |
//! | Pre-vote (thesis 9.6) | [`PreVote`], [`PreVoteReply`], `pre_vote.rs` |
//! | Check-quorum (thesis 6.2), sticky leaders (thesis 4.2.3) | `check_quorum.rs` |
//! | Reads without a log entry (thesis 6.4) | [`Input::Read`], [`Effects::reads`], [`Confirm`], `read_index.rs`, `reads.rs` |
//! | Leases on reads (thesis 6.4.1) | [`Config::read_lease_ppm`], `lease.rs` |
//! | Clients' sessions (thesis 6.3, Figure 6.1) | [`sessions`] |
//! | Leadership transfer (thesis 3.10) | [`Raft::transfer_leadership`], `transfer.rs` |
//! | Membership changes (§6; thesis 4) | [`Configuration`], [`Raft::change_membership`], `membership.rs`, `configurations.rs` |
//! | Repair from peers (FAST 2018) | [`Restored::damaged`], [`Restored::suspect_tail`], [`FetchEntries`], `repair.rs`, `fetch_entries.rs` |
//! | Rules for Servers | [`Raft::step`], [`Raft::propose`], [`Raft::take_effects`], `rules.rs`, `commitment.rs`, `outgoing.rs` |
//!
//! Sections (§) are those of the extended paper, "In Search of an Understandable Consensus Algorithm"; the
//! thesis is "Consensus: Bridging Theory and Practice".
//!
//! # The loop
//!
//! [`Raft`] does no I/O and never waits. Whoever drives it tells it the time and what came in, and
//! carries out the [`Effects`]:
//!
//! 1. [`Raft::step`] for each message, each durable write, and when [`Raft::deadline`] has come;
//! 2. [`Raft::take_effects`], after one input or after many;
//! 3. write [`Effects::write`] and give its token back with [`Input::Persisted`] once it is durable;
//!    send [`Effects::send`]; apply [`Effects::apply`] and say [`Input::Applied`]; read
//!    [`Effects::load`] from the disk and give it back with [`Input::Loaded`]; take or restore the
//!    snapshot that is asked for ([`Effects::take_snapshot`], [`Effects::restore`]).
//!
//! Nothing of step 3 has to wait for anything else of it: a vote, a vote grant and an acknowledgement
//! do not leave the core before the write that they depend on is durable.
//!
//! # Three servers in memory
//!
//! A whole cluster: disks and state machines that are vectors, and messages that are carried by hand.
//!
//! ```
//! use std::collections::VecDeque;
//! use std::time::Duration;
//! use raft_core::{Config, Entry, Envelope, Input, NodeId, Payload, Raft, RoleName, Stored, Time};
//!
//! struct Server {
//!     raft: Raft,
//!     disk: Stored,
//!     applied: Vec<Entry>,
//! }
//!
//! impl Server {
//!     fn new(id: NodeId, voters: &[NodeId]) -> Self {
//!         let disk = Stored::default();
//!         let config = Config::new(id, voters.to_vec());
//!         let raft = Raft::new(config, disk.restored(), Time::ZERO).expect("a sound configuration");
//!         Self { raft, disk, applied: Vec::new() }
//!     }
//!
//!     /// Tells the server what came in and does what it asks for, until it asks for nothing more. What
//!     /// it has to say to others is returned.
//!     fn step(&mut self, now: Time, input: Input) -> Vec<Envelope> {
//!         let mut inputs = VecDeque::from([input]);
//!         let mut said = Vec::new();
//!         while let Some(input) = inputs.pop_front() {
//!             self.raft.step(now, input);
//!             let effects = self.raft.take_effects();
//!             said.extend(effects.send);
//!             if let Some(write) = effects.write {
//!                 // Whoever has a real disk waits here until the batch is durable. What must not be
//!                 // said before, such as a vote, is in `send` after the token has been given back.
//!                 self.disk.apply(write.batch);
//!                 inputs.push_back(Input::Persisted(write.token));
//!             }
//!             if !effects.apply.is_empty() {
//!                 self.applied.extend_from_slice(&effects.apply);
//!                 inputs.push_back(Input::Applied);
//!             }
//!         }
//!         said
//!     }
//! }
//!
//! /// Carries messages until nobody has anything to say.
//! fn deliver(servers: &mut [Server], now: Time, said: Vec<Envelope>) {
//!     let mut network = VecDeque::from(said);
//!     while let Some(envelope) = network.pop_front() {
//!         let to = servers.iter_mut().find(|server| server.raft.id() == envelope.to).unwrap();
//!         network.extend(to.step(now, Input::Receive(envelope)));
//!     }
//! }
//!
//! let ids = [1, 2, 3].map(NodeId::new);
//! let mut servers = ids.map(|id| Server::new(id, &ids));
//!
//! // Nobody hears of a leader, and n1 is the first to lose patience: it is elected.
//! let now = servers[0].raft.deadline();
//! let said = servers[0].step(now, Input::Tick);
//! deliver(&mut servers, now, said);
//! assert_eq!(servers[0].raft.role(), RoleName::Leader);
//!
//! // A client asks it for a command. With n2's or n3's acknowledgement that is committed, and applied here.
//! let id = servers[0].raft.propose("x = 1".into()).expect("n1 leads");
//! let said = servers[0].step(now, Input::Tick);
//! deliver(&mut servers, now, said);
//! assert_eq!(servers[0].applied.last().unwrap().id, id);
//!
//! // The others hear that it is committed with the next heartbeat.
//! let now = now.after(Duration::from_millis(50));
//! let said = servers[0].step(now, Input::Tick);
//! deliver(&mut servers, now, said);
//! for server in &servers {
//!     // The leader's no-op, then the command: the same on all three.
//!     assert_eq!(server.applied, servers[0].applied);
//!     assert_eq!(server.applied[1].payload, Payload::Command("x = 1".into()));
//! }
//! ```

// A library prints nothing: whoever wants to know asks.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod append_entries;
mod apply;
mod check_quorum;
mod commitment;
mod config;
mod configuration;
mod configuration_bytes;
mod configurations;
pub mod conformance;
mod counts;
mod disk;
mod effects;
mod entries;
mod entry;
mod event;
#[cfg(feature = "prometheus")]
pub mod exposition;
mod fetch_entries;
pub mod figure3;
mod fingerprint;
mod footprint;
mod input;
mod install_snapshot;
mod lease;
mod log;
mod membership;
mod message;
#[cfg(doctest)]
mod must_use;
mod newest;
#[cfg(feature = "tokio")]
pub mod node;
mod outgoing;
mod outline;
mod planted;
mod pre_vote;
mod progress;
mod property;
mod propose;
mod quorum;
mod read_index;
mod reads;
mod repair;
mod request_vote;
mod rng;
mod rules;
#[cfg(feature = "tokio")]
pub mod server;
pub mod sessions;
mod snapshot;
mod snapshotting;
mod state;
mod stored;
mod transfer;
mod types;

pub use config::{Config, ConfigError};
pub use configuration::{Configuration, ConfigurationError, Configured, Member, Next};
pub use counts::{Counts, FollowerProgress, PaceName};
pub use effects::{Batch, Effects, Read, ReadOutcome, Violation, Write, WriteToken};
pub use entries::Entries;
pub use entry::{Entry, Payload};
pub use event::{Event, RoleName, StepDownReason};
pub use footprint::Footprint;
pub use input::{ChangeError, Input, ProposeError, TransferError};
pub use message::{
    AppendEntries, AppendEntriesReply, Confirm, ConfirmReply, Envelope, FetchEntries, FetchEntriesReply,
    InstallSnapshot, InstallSnapshotReply, Lacking, Message, NotMember, PreVote, PreVoteReply,
    ReadIndexReply, RequestVote, RequestVoteReply,
};
pub use outline::LogOutline;
pub use planted::PlantedBug;
pub use rng::Rng;
pub use snapshot::{Chunk, Load, Loaded, Part, Snapshot, SnapshotId};
pub use snapshotting::SnapshotProgress;
pub use state::{HardState, Partial, Raft, Restored};
pub use stored::Stored;
pub use types::{ClusterId, EntryId, GroupId, Incarnation, LogIndex, NodeId, ReadId, Session, Term, Time};
