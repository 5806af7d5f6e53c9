//! Figure 2 of the Raft paper as a pure state machine, and a node on tokio that drives it.
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
//! | Leadership transfer (thesis 3.10) | [`Raft::transfer_leadership`], `transfer.rs` |
//! | Rules for Servers | [`Raft::step`], [`Raft::propose`], [`Raft::take_effects`], `rules.rs` |
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
//! ```
//! use std::collections::VecDeque;
//! use std::time::Duration;
//! use raft_core::{Config, Entry, Input, NodeId, Payload, Raft, Restored, RoleName, Time};
//!
//! let ids: Vec<NodeId> = (1..=3).map(NodeId::new).collect();
//! let mut servers: Vec<Raft> = ids
//!     .iter()
//!     .map(|&id| Raft::new(Config::new(id, ids.clone()), Restored::default(), Time::ZERO).unwrap())
//!     .collect();
//! let mut applied: Vec<Vec<Entry>> = vec![Vec::new(); 3];
//! let mut network = VecDeque::new();
//! let mut now = Time::ZERO;
//! let mut proposed = false;
//!
//! while applied.iter().any(|log| log.len() < 2) {
//!     now = now.after(Duration::from_millis(1));
//!     for server in 0..3 {
//!         servers[server].step(now, Input::Tick);
//!     }
//!     while let Some(envelope) = network.pop_front() {
//!         let envelope: raft_core::Envelope = envelope;
//!         let receiver = envelope.to.get() as usize - 1;
//!         servers[receiver].step(now, Input::Receive(envelope));
//!     }
//!     for (server, log) in servers.iter_mut().zip(&mut applied) {
//!         if server.role() == RoleName::Leader && !proposed {
//!             server.propose("x = 1".into()).unwrap();
//!             proposed = true;
//!         }
//!         let effects = server.take_effects();
//!         network.extend(effects.send);
//!         if let Some(write) = effects.write {
//!             // A real driver writes `write.batch` to a disk and waits until it is durable.
//!             server.step(now, Input::Persisted(write.token));
//!         }
//!         if !effects.apply.is_empty() {
//!             log.extend_from_slice(&effects.apply);
//!             server.step(now, Input::Applied);
//!         }
//!     }
//! }
//! // The leader's no-op, then the command: the same on all three.
//! assert_eq!(applied[0][1].payload, Payload::Command("x = 1".into()));
//! assert!(applied.iter().all(|log| *log == applied[0]));
//! ```
//!
//! # What is not here yet
//!
//! Membership changes (§6) and clients' sessions.

mod append_entries;
mod apply;
mod check_quorum;
mod config;
pub mod conformance;
mod disk;
mod effects;
mod entries;
mod entry;
mod event;
pub mod figure3;
mod fingerprint;
mod input;
mod install_snapshot;
mod lease;
mod log;
mod message;
mod newest;
#[cfg(feature = "tokio")]
pub mod node;
mod outline;
mod planted;
mod pre_vote;
mod progress;
mod property;
mod propose;
mod quorum;
mod read_index;
mod reads;
mod request_vote;
mod rng;
mod rules;
mod snapshot;
mod snapshotting;
mod state;
mod stored;
mod transfer;
mod types;

pub use config::{Config, ConfigError};
pub use effects::{Batch, Effects, Read, ReadOutcome, Violation, Write, WriteToken};
pub use entries::Entries;
pub use entry::{Entry, Payload};
pub use event::{Event, RoleName, StepDownReason};
pub use input::{Input, ProposeError, TransferError};
pub use message::{
    AppendEntries, AppendEntriesReply, Confirm, ConfirmReply, Envelope, InstallSnapshot,
    InstallSnapshotReply, Message, PreVote, PreVoteReply, ReadIndexReply, RequestVote, RequestVoteReply,
};
pub use outline::LogOutline;
pub use planted::PlantedBug;
pub use rng::Rng;
pub use snapshot::{Chunk, Load, Loaded, Part, Snapshot, SnapshotId};
pub use state::{HardState, Partial, Raft, Restored};
pub use stored::Stored;
pub use types::{ClusterId, EntryId, GroupId, Incarnation, LogIndex, NodeId, ReadId, Session, Term, Time};
