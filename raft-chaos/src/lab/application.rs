//! What runs on a cluster of the lab, and when it has its servers take snapshots.

use std::io;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::{Buf, BufMut, Bytes};
use raft_core::LogIndex;
use raft_core::node::{SnapshotReader, StateMachine};
use tokio::io::AsyncReadExt;
use tokio::sync::Notify;

use super::ledger::Ledger;
use super::lock;

/// What a cluster replicates.
#[derive(Clone, Copy)]
pub enum Application {
    /// Commands, which are kept, all of them, in snapshots too: then those are compared with what servers applied.
    Commands,
    /// A state machine, made anew for each life of a server. It does the same in every run, and waits for nothing but the
    /// test's clock.
    Machine(fn() -> Box<dyn StateMachine>),
}

/// When a server is asked to take a snapshot, after a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Snapshots {
    /// Never.
    Never,
    /// When the number of the command and one more is a multiple of this.
    Every(u64),
    /// When term, vote and log take more bytes than this.
    Above(usize),
}

/// What one life of a server has applied.
pub(super) enum State {
    Commands(Vec<Bytes>),
    Machine(Box<dyn StateMachine>),
}

impl State {
    pub(super) fn new(application: Application) -> Self {
        match application {
            Application::Commands => Self::Commands(Vec::new()),
            Application::Machine(make) => Self::Machine(make()),
        }
    }

    async fn apply(&mut self, index: LogIndex, command: Bytes) -> Bytes {
        match self {
            Self::Commands(commands) => {
                commands.push(command);
                Bytes::new()
            }
            Self::Machine(machine) => machine.apply(index, command).await,
        }
    }

    pub(super) async fn query(&mut self, query: Bytes) -> Bytes {
        match self {
            Self::Commands(_) => Bytes::new(),
            Self::Machine(machine) => machine.query(query).await,
        }
    }

    async fn snapshot(&mut self) -> io::Result<SnapshotReader> {
        match self {
            Self::Commands(commands) => {
                let mut bytes = Vec::new();
                for command in commands {
                    bytes.put_u64_le(command.len() as u64);
                    bytes.put_slice(command);
                }
                Ok(Box::pin(io::Cursor::new(bytes)))
            }
            Self::Machine(machine) => machine.snapshot().await,
        }
    }

    async fn restore(&mut self, mut snapshot: SnapshotReader) -> io::Result<()> {
        match self {
            Self::Commands(commands) => {
                let mut bytes = Vec::new();
                snapshot.read_to_end(&mut bytes).await?;
                *commands = read_commands(bytes.into())?;
                Ok(())
            }
            Self::Machine(machine) => machine.restore(snapshot).await,
        }
    }
}

fn read_commands(mut bytes: Bytes) -> io::Result<Vec<Bytes>> {
    let mut commands = Vec::new();
    while !bytes.is_empty() {
        let length = bytes.try_get_u64_le().map_err(io::Error::other)?;
        let length = usize::try_from(length).ok().filter(|length| *length <= bytes.len());
        commands.push(bytes.split_to(length.ok_or(io::ErrorKind::UnexpectedEof)?));
    }
    Ok(commands)
}

/// The state, which the tester can look at.
pub(super) type Shared = Arc<tokio::sync::Mutex<State>>;

/// The state machine that a node is given: what it applies, and the ledger that hears of it.
pub(super) struct Service {
    pub(super) server: usize,
    pub(super) state: Shared,
    pub(super) ledger: Arc<Mutex<Ledger>>,
    /// The number of the last command that it has.
    pub(super) number: u64,
    pub(super) snapshots: Snapshots,
    /// Told when a snapshot is to be taken.
    pub(super) wanted: Arc<Notify>,
}

impl Service {
    fn is_snapshot_due(&self) -> bool {
        match self.snapshots {
            Snapshots::Never => false,
            Snapshots::Every(commands) => (self.number + 1).is_multiple_of(commands),
            Snapshots::Above(bytes) => lock(&self.ledger).state_bytes(self.server) > bytes,
        }
    }
}

#[async_trait]
impl StateMachine for Service {
    async fn apply(&mut self, index: LogIndex, command: Bytes) -> Bytes {
        let answer = self.state.lock().await.apply(index, command.clone()).await;
        self.number += 1;
        lock(&self.ledger).applied(self.server, index, &command);
        if self.is_snapshot_due() {
            self.wanted.notify_one();
        }
        answer
    }

    async fn query(&mut self, query: Bytes) -> Bytes {
        self.state.lock().await.query(query).await
    }

    async fn snapshot(&mut self) -> io::Result<SnapshotReader> {
        let (state, number) =
            (self.state.lock().await.snapshot().await?, io::Cursor::new(self.number.to_le_bytes()));
        Ok(Box::pin(AsyncReadExt::chain(number, state)))
    }

    async fn restore(&mut self, mut snapshot: SnapshotReader) -> io::Result<()> {
        self.number = snapshot.read_u64_le().await?;
        let mut state = self.state.lock().await;
        state.restore(snapshot).await?;
        let commands = match &*state {
            State::Commands(commands) => Some(&commands[..]),
            State::Machine(_) => None,
        };
        lock(&self.ledger).restored(self.server, self.number, commands);
        Ok(())
    }
}
