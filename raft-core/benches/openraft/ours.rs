//! Three nodes of raft-core, with logs in memory and channels between them.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::future::pending;
use std::io;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::join_all;
use raft_core::node::{
    Done, Handle, LogStore, Node, Outcome, Refusal, SnapshotReader, StateMachine, SystemEnvironment,
    Transport,
};
use raft_core::{
    Batch, Config, Envelope, Load, Loaded, LogIndex, NodeId, Raft, Restored, RoleName, Stored, Time,
};
use raft_openraft_bench::Layout;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

/// A log in memory: what is written is there at once.
#[derive(Default)]
struct Memory {
    stored: Stored,
    written: usize,
    loaded: VecDeque<Loaded>,
}

#[async_trait]
impl LogStore for Memory {
    type Error = Infallible;

    fn write(&mut self, batch: Batch) {
        self.stored.apply(batch);
        self.written += 1;
    }

    fn load(&mut self, load: Load) {
        self.loaded.push_back(self.stored.load(&load));
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

struct Channels(BTreeMap<NodeId, mpsc::Sender<Envelope>>);

impl Transport for Channels {
    fn send(&mut self, envelope: Envelope) {
        if let Some(inbox) = self.0.get(&envelope.to) {
            drop(inbox.try_send(envelope));
        }
    }
}

/// Remembers how far it is, as openraft's does.
struct Applied(LogIndex);

#[async_trait]
impl StateMachine for Applied {
    async fn apply(&mut self, index: LogIndex, _: Bytes) -> Bytes {
        self.0 = index;
        Bytes::new()
    }

    async fn query(&mut self, _: Bytes) -> Bytes {
        Bytes::new()
    }

    async fn snapshot(&mut self) -> io::Result<SnapshotReader> {
        Ok(Box::pin(io::Cursor::new(self.0.get().to_le_bytes())))
    }

    async fn restore(&mut self, _: SnapshotReader) -> io::Result<()> {
        Err(io::Error::other("nobody lags behind so far"))
    }
}

pub struct Ours {
    _runtimes: Vec<Runtime>,
    leader: Handle,
}

impl Ours {
    pub fn start(layout: Layout) -> Self {
        let (runtimes, places) = layout.runtimes();
        let ids: Vec<NodeId> = (1..=3).map(NodeId::new).collect();
        let (senders, inboxes): (BTreeMap<_, _>, Vec<_>) = ids
            .iter()
            .map(|&id| {
                let (sender, inbox) = mpsc::channel(1024);
                ((id, sender), inbox)
            })
            .unzip();
        let mut handles = Vec::new();
        for ((&id, inbox), place) in ids.iter().zip(inboxes).zip(places) {
            let mut config = Config::new(id, ids.clone());
            config.election_timeout =
                (std::time::Duration::from_millis(200), std::time::Duration::from_secs(2));
            // As openraft has it: after so many entries there is a snapshot, and of what is before it so many are kept.
            (config.snapshot_entries, config.snapshot_trailing) = (5_000, 1_000);
            let raft = Raft::new(config, Restored::default(), Time::ZERO).expect("a sound configuration");
            let runtime = &runtimes[place];
            let _inside = runtime.enter();
            let (transport, clock) = (Channels(senders.clone()), SystemEnvironment::new());
            let (node, handle) =
                Node::new(raft, Memory::default(), transport, Applied(LogIndex::ZERO), clock, inbox);
            runtime.spawn(node.run());
            handles.push(handle);
        }
        let leader = runtimes[0].block_on(leader(&handles));
        Self { _runtimes: runtimes, leader }
    }

    /// A client that has so many commands applied, so many at once.
    pub fn client(&self, commands: u64, batch: u64) -> impl Future<Output = u64> + Send + 'static {
        let leader = self.leader.clone();
        async move {
            let mut refused = 0;
            for _ in 0..commands / batch {
                if batch == 1 {
                    refused += put(&leader).await;
                } else {
                    refused += join_all((0..batch).map(|_| put(&leader))).await.into_iter().sum::<u64>();
                }
            }
            refused
        }
    }
}

/// Has a command applied, and says how often it was refused because too many others waited at the door.
async fn put(leader: &Handle) -> u64 {
    let mut refused = 0;
    loop {
        match leader.propose(Bytes::new()).await {
            Outcome::Applied { .. } => return refused,
            Outcome::NotApplied(Refusal::Overloaded) => {
                refused += 1;
                tokio::task::yield_now().await;
            }
            other => panic!("{other:?}"),
        }
    }
}

async fn leader(handles: &[Handle]) -> Handle {
    loop {
        for handle in handles {
            if handle.status().await.is_some_and(|status| status.role == RoleName::Leader) {
                return handle.clone();
            }
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}
