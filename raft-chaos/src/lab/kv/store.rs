//! The replicated store: what each key's value is, and how often it was put.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;

use async_trait::async_trait;
use bytes::Bytes;
use raft_core::LogIndex;
use raft_core::node::{Handle, Outcome, SnapshotReader, StateMachine};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;

/// How large a server's term, vote and log may grow before it takes a snapshot, in bytes, in the tests of part 4C.
pub(crate) const STATE_BYTES: usize = 1000;

/// What a client asks of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Ask {
    /// What is the value, and its version?
    Get { key: String },
    /// This is the value, if this is its version so far; 0 is that of no value.
    Put { key: String, value: String, version: u64 },
}

/// What a server answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Answer {
    /// The value and its version.
    Value { value: String, version: u64 },
    /// It is put, and the version is one more now.
    Put,
    /// It was not put: the version is another one.
    OtherVersion,
    /// There is no value.
    NoKey,
    /// Nothing was done, and nothing will be: the server does not lead.
    NotLeader,
    /// The server does not know whether it was done.
    Unknown,
}

pub(super) fn encode(value: &impl Serialize) -> Bytes {
    rmp_serde::to_vec(value).expect("memory takes what is written to it").into()
}

/// Nothing where the bytes are not what [`encode`] gives.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    rmp_serde::from_slice(bytes).ok()
}

#[derive(Default)]
struct Store(BTreeMap<String, (String, u64)>);

/// A new store, which is empty.
pub(crate) fn store() -> Box<dyn StateMachine> {
    Box::new(Store::default())
}

impl Store {
    fn answer(&mut self, ask: Ask) -> Answer {
        match ask {
            Ask::Get { key } => match self.0.get(&key).cloned() {
                Some((value, version)) => Answer::Value { value, version },
                None => Answer::NoKey,
            },
            Ask::Put { key, value, version } => {
                let known = self.0.get(&key).map_or(0, |(_, version)| *version);
                if known == version {
                    self.0.insert(key, (value, version + 1));
                    Answer::Put
                } else if known == 0 {
                    Answer::NoKey
                } else {
                    Answer::OtherVersion
                }
            }
        }
    }
}

#[async_trait]
impl StateMachine for Store {
    async fn apply(&mut self, _: LogIndex, command: Bytes) -> Bytes {
        encode(&decode(&command).map_or(Answer::NoKey, |ask| self.answer(ask)))
    }

    async fn query(&mut self, query: Bytes) -> Bytes {
        encode(&decode(&query).map_or(Answer::NoKey, |ask| self.answer(ask)))
    }

    async fn snapshot(&mut self) -> io::Result<SnapshotReader> {
        Ok(Box::pin(io::Cursor::new(encode(&self.0))))
    }

    async fn restore(&mut self, mut snapshot: SnapshotReader) -> io::Result<()> {
        let mut bytes = Vec::new();
        snapshot.read_to_end(&mut bytes).await?;
        self.0 = rmp_serde::from_slice(&bytes).map_err(io::Error::other)?;
        Ok(())
    }
}

/// What a server does with a request: puts go through the log, gets are reads of the node (ReadIndex).
pub(super) fn serve(handle: Handle, request: Bytes) -> Pin<Box<dyn Future<Output = Bytes> + Send>> {
    Box::pin(async move {
        match decode(&request) {
            Some(Ask::Get { .. }) => match handle.read(request).await {
                Ok(answer) => answer,
                Err(_) => encode(&Answer::NotLeader),
            },
            Some(Ask::Put { .. }) => match handle.propose(request).await {
                Outcome::Applied { answer, .. } => answer,
                Outcome::NotApplied(_) => encode(&Answer::NotLeader),
                Outcome::Unknown => encode(&Answer::Unknown),
            },
            None => encode(&Answer::NotLeader),
        }
    })
}
