//! Three servers of raft-core with logs in memory and channels for a network.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::join_all;
use raft_core::node::{
    Done, Handle, LogStore, Node, Outcome, Refusal, SnapshotReader, StateMachine, SystemEnvironment,
    Transport,
};
use raft_core::{
    Batch, Chunk, Config, Entries, Entry, Envelope, Load, Loaded, LogIndex, NodeId, Raft, Restored, RoleName,
    Time,
};
use tokio::sync::mpsc;

use crate::Put;
use crate::runtimes::Runtimes;

/// How many messages wait for a server; what would be more is lost.
const INBOX: usize = 1024;

/// A log in memory.
#[derive(Default)]
struct Log {
    batches: VecDeque<Entries>,
    snapshot: Vec<Chunk>,
    written: usize,
    loaded: VecDeque<Loaded>,
}

impl Log {
    fn entries(&self, from: LogIndex, to: LogIndex, bytes_max: usize) -> Vec<Entry> {
        let mut bytes = 0;
        let fits = |entry: &&Entry| {
            bytes += entry.payload.bytes().len();
            entry.id.index <= to && (entry.id.index == from || bytes <= bytes_max)
        };
        let all = self.batches.iter().flatten();
        all.skip_while(|entry| entry.id.index < from).take_while(fits).cloned().collect()
    }

    fn last(&self) -> LogIndex {
        self.batches.back().and_then(|batch| batch.last()).map_or(LogIndex::ZERO, |last| last.id.index)
    }

    fn truncate(&mut self, from: LogIndex) {
        while self.last() >= from
            && let Some(batch) = self.batches.pop_back()
        {
            let kept: Entries = batch.iter().filter(|entry| entry.id.index < from).cloned().collect();
            self.batches.extend((!kept.is_empty()).then_some(kept));
        }
    }
}

#[async_trait]
impl LogStore for Log {
    type Error = Infallible;

    fn write(&mut self, batch: Batch) {
        let Batch { truncate, parts, compact, entries, .. } = batch;
        if let Some(from) = truncate {
            self.truncate(from);
        }
        for part in parts {
            if part.chunk.offset == 0 {
                self.snapshot.clear();
            }
            self.snapshot.push(part.chunk);
        }
        if let Some(base) = compact {
            let goes = |batch: &Entries| batch.last().is_some_and(|last| last.id.index <= base.index);
            while self.batches.front().is_some_and(goes) {
                self.batches.pop_front();
            }
        }
        self.batches.extend((!entries.is_empty()).then_some(entries));
        self.written += 1;
    }

    fn load(&mut self, load: Load) {
        self.loaded.push_back(match load {
            Load::Entries { from, to, bytes_max } => {
                Loaded::Entries { from, entries: self.entries(from, to, bytes_max) }
            }
            Load::Chunk { snapshot, offset } => {
                let chunk = self.snapshot.iter().find(|chunk| chunk.offset == offset).cloned();
                Loaded::Chunk { snapshot, offset, chunk }
            }
        });
    }

    async fn done(&mut self) -> Result<Done, Infallible> {
        if self.written > 0 {
            return Ok(Done::Persisted(std::mem::take(&mut self.written)));
        }
        match self.loaded.pop_front() {
            Some(loaded) => Ok(Done::Loaded(loaded)),
            None => pending().await,
        }
    }
}

/// A message is an element of a channel.
struct Channels(BTreeMap<NodeId, mpsc::Sender<Envelope>>);

impl Transport for Channels {
    fn send(&mut self, envelope: Envelope) {
        if let Some(inbox) = self.0.get(&envelope.to) {
            drop(inbox.try_send(envelope));
        }
    }
}

/// Knows nothing: the node knows what it has applied.
struct Machine;

#[async_trait]
impl StateMachine for Machine {
    async fn apply(&mut self, _: LogIndex, _: Bytes) -> Bytes {
        Bytes::new()
    }

    async fn query(&mut self, _: Bytes) -> Bytes {
        Bytes::new()
    }

    async fn snapshot(&mut self) -> io::Result<SnapshotReader> {
        Ok(Box::pin(io::Cursor::new(Vec::new())))
    }

    async fn restore(&mut self, _: SnapshotReader) -> io::Result<()> {
        Ok(())
    }
}

/// Three servers.
pub(crate) struct Ours {
    handles: Vec<Handle>,
    leader: usize,
}

impl Ours {
    /// As openraft's benchmark has it; what it does not say is as usual.
    fn config(id: NodeId, voters: &[NodeId]) -> Config {
        let mut config = Config::new(id, voters.to_vec());
        config.election_timeout = (Duration::from_millis(200), Duration::from_millis(2000));
        config
    }

    pub(crate) fn start(runtimes: &Runtimes) -> Self {
        let ids = [1, 2, 3].map(NodeId::new);
        let (senders, inboxes): (Vec<_>, Vec<_>) = ids.iter().map(|_| mpsc::channel(INBOX)).unzip();
        let start = |(place, inbox): (usize, mpsc::Receiver<Envelope>)| {
            let raft = Raft::new(Self::config(ids[place], &ids), Restored::default(), Time::ZERO).unwrap();
            let channels = Channels(ids.into_iter().zip(senders.clone()).collect());
            runtimes.block_on_node(place, async move {
                let environment = SystemEnvironment::new();
                let (node, handle) = Node::new(raft, Log::default(), channels, Machine, environment, inbox);
                tokio::spawn(node.run());
                handle
            })
        };
        let handles: Vec<Handle> = inboxes.into_iter().enumerate().map(start).collect();
        let leader = runtimes.block_on_clients(Self::leader(&handles));
        Self { handles, leader }
    }

    async fn leader(handles: &[Handle]) -> usize {
        loop {
            for (place, handle) in handles.iter().enumerate() {
                let status = handle.status().await.unwrap();
                if status.role == RoleName::Leader && status.commit_index > LogIndex::ZERO {
                    return place;
                }
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client(self.handles[self.leader].clone())
    }
}

#[derive(Clone)]
pub(crate) struct Client(Handle);

impl Put for Client {
    async fn put(&self) {
        loop {
            match self.0.propose(Bytes::new()).await {
                Outcome::Applied { .. } => return,
                Outcome::NotApplied(Refusal::Overloaded) => tokio::task::yield_now().await,
                other @ (Outcome::NotApplied(_) | Outcome::Unknown) => panic!("{other:?}"),
            }
        }
    }

    async fn put_all(&self, batch: usize) {
        join_all((0..batch).map(|_| self.put())).await;
    }
}
