//! What nodes need from outside, as simply as can be: disks, a network, state machines.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::fmt;
use std::future::pending;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use raft_core::node::{Done, LogStore, SnapshotReader, StateMachine, Transport};
use raft_core::{Batch, Envelope, Load, Loaded, LogIndex, NodeId, Stored};
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;

/// A disk that takes no time, unless it hangs.
#[derive(Default)]
pub(crate) struct QuickStore {
    pub(crate) stored: Stored,
    /// Whose disk this is, and whose hangs; 0 is nobody's.
    id: u64,
    hung: Arc<AtomicU64>,
    written: usize,
    loaded: VecDeque<Loaded>,
}

impl QuickStore {
    /// The disk of this server.
    pub(crate) fn of(id: NodeId, hung: Arc<AtomicU64>) -> Self {
        Self { id: id.get(), hung, ..Self::default() }
    }
}

#[async_trait]
impl LogStore for QuickStore {
    type Error = Infallible;

    fn write(&mut self, batch: Batch) {
        self.stored.apply(batch);
        self.written += 1;
    }

    fn load(&mut self, load: Load) {
        self.loaded.push_back(self.stored.load(&load));
    }

    async fn done(&mut self) -> Result<Done, Infallible> {
        if self.id > 0 && self.hung.load(Ordering::Relaxed) == self.id {
            pending::<()>().await;
        }
        if self.written > 0 {
            return Ok(Done::Persisted(std::mem::take(&mut self.written)));
        }
        match self.loaded.pop_front() {
            Some(loaded) => Ok(Done::Loaded(loaded)),
            None => pending().await,
        }
    }
}

/// A disk that fails at its first write.
pub(crate) struct BrokenStore {
    pub(crate) written: bool,
}

#[derive(Debug)]
pub(crate) struct DiskFull;

impl fmt::Display for DiskFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no space left")
    }
}

impl std::error::Error for DiskFull {}

#[async_trait]
impl LogStore for BrokenStore {
    type Error = DiskFull;

    fn write(&mut self, _: Batch) {
        self.written = true;
    }

    fn load(&mut self, _: Load) {}

    async fn done(&mut self) -> Result<Done, DiskFull> {
        if !self.written {
            pending::<()>().await;
        }
        Err(DiskFull)
    }
}

#[derive(Clone, Default)]
pub(crate) struct Channels {
    pub(crate) inboxes: BTreeMap<NodeId, mpsc::Sender<Envelope>>,
    /// Nothing goes to or from this server; 0 is nobody.
    pub(crate) cut_off: Arc<AtomicU64>,
}

impl Transport for Channels {
    fn send(&mut self, envelope: Envelope) {
        let cut_off = NodeId::new(self.cut_off.load(Ordering::Relaxed));
        if envelope.from == cut_off || envelope.to == cut_off {
            return;
        }
        if let Some(inbox) = self.inboxes.get(&envelope.to) {
            // A full inbox loses messages, as a network does.
            drop(inbox.try_send(envelope));
        }
    }
}

/// How the snapshots of a [`Counter`] go wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Trouble {
    #[default]
    None,
    /// They cannot be taken.
    NotTaken,
    /// They can be begun, and never end.
    Endless,
    /// They cannot be read back.
    NotRestored,
}

/// Answers each command with how many came before it.
#[derive(Default)]
pub(crate) struct Counter {
    pub(crate) count: u64,
    pub(crate) trouble: Trouble,
    /// What it says that it has applied before it was made.
    pub(crate) durable: LogIndex,
}

#[async_trait]
impl StateMachine for Counter {
    async fn apply(&mut self, _: LogIndex, command: Bytes) -> Bytes {
        assert!(command != "panic", "a state machine that panics");
        self.count += 1;
        Bytes::from(self.count.to_string())
    }

    /// How many commands it has applied.
    async fn query(&mut self, _: Bytes) -> Bytes {
        Bytes::from(self.count.to_string())
    }

    async fn snapshot(&mut self) -> io::Result<SnapshotReader> {
        let count = self.count.to_string().into_bytes();
        match self.trouble {
            Trouble::NotTaken => Err(io::Error::other("not today")),
            Trouble::Endless => Ok(Box::pin(io::Cursor::new(count).chain(tokio::io::repeat(b' ')))),
            Trouble::None | Trouble::NotRestored => Ok(Box::pin(io::Cursor::new(count))),
        }
    }

    async fn restore(&mut self, mut snapshot: SnapshotReader) -> io::Result<()> {
        let mut text = String::new();
        snapshot.read_to_string(&mut text).await?;
        if self.trouble == Trouble::NotRestored {
            return Err(io::Error::other("this is not mine"));
        }
        self.count = text.parse().map_err(io::Error::other)?;
        Ok(())
    }

    fn durable_applied(&self) -> LogIndex {
        self.durable
    }
}
