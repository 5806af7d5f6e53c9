//! What clients ask, as it stands in the log, and what is answered.

use bytes::Bytes;
use raft_core::LogIndex;
use serde::{Deserialize, Serialize};

use crate::history::{F, Reply, Value};

/// What a client asks for, as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Which operation of the history this is: the index of its `invoke`.
    pub operation: u64,
    /// The key.
    pub key: String,
    /// What is done to it.
    pub f: F,
    /// And with what.
    pub value: Value,
    /// Bytes that are carried along, so that values weigh what the plan says and a history stays legible.
    pub ballast: Bytes,
}

/// What the state machine answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Answer {
    /// Where in the log the command was; of a query, the last command that the state had.
    pub index: LogIndex,
    /// The answer itself.
    pub reply: Reply,
}

/// As bytes.
///
/// # Panics
///
/// Never with plain data: these types have no part that MessagePack refuses, and memory is all that is written to.
pub fn encode(value: &impl Serialize) -> Bytes {
    rmp_serde::to_vec(value).expect("a command or an answer is plain data").into()
}

/// From bytes.
///
/// # Errors
///
/// They are not what [`encode`] wrote.
pub fn decode<T: for<'a> Deserialize<'a>>(bytes: &[u8]) -> Result<T, rmp_serde::decode::Error> {
    rmp_serde::from_slice(bytes)
}
