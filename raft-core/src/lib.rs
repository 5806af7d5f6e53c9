//! Raft.
mod config;
mod effects;
mod entry;
mod event;
mod message;
#[cfg(feature = "tokio")]
pub mod node;
mod planted;
mod state;
mod types;
pub use config::{Config, ConfigError};
pub use effects::{Batch, Effects, Violation, Write, WriteToken};
pub use entry::{Entry, Payload};
pub use event::{Event, RoleName};
pub use message::{AppendEntries, AppendEntriesReply, Envelope, Message, RequestVote, RequestVoteReply};
pub use planted::PlantedBug;
pub use state::{HardState, Restored};
pub use types::{ClusterId, EntryId, GroupId, Incarnation, LogIndex, NodeId, Session, Term, Time};
