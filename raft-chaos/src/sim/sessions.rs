//! Clients' sessions: the client's end, and the state machine that has them, watched.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use raft_core::node::{Environment, SnapshotReader, StateMachine};
use raft_core::sessions::{
    Answer, ClientSession, CommandError, Limits, Proposed, Proposer as _, Request, Retries, Sessions,
};
use raft_core::{ClusterId, LogIndex, NodeId, Time};
use raft_net::{Net, Servers};

use super::seen::Seen;
use super::world::World;
use crate::data;
use crate::mix::mix;

/// A client's end: one session after the other.
pub(super) struct InSessions<N: Net, E> {
    net: N,
    environment: E,
    servers: BTreeMap<NodeId, String>,
    connect: Duration,
    retries: Retries,
    session: Option<ClientSession<Servers<N, E>, E>>,
}

impl<N: Net, E: Environment> InSessions<N, E> {
    pub(super) const fn new(
        net: N,
        environment: E,
        servers: BTreeMap<NodeId, String>,
        connect: Duration,
        retries: Retries,
    ) -> Self {
        Self { net, environment, servers, connect, retries, session: None }
    }

    fn way(&self) -> Servers<N, E> {
        let (net, environment, servers) = (self.net.clone(), self.environment.clone(), self.servers.clone());
        Servers::new(net, environment, ClusterId(1), servers).connect_within(self.connect)
    }

    /// Has the command applied, once. A client whose session is gone without a doubt about this command asks in a new one;
    /// one that does not know what became of it is dead, and who goes on in its place has a new session as well.
    pub(super) async fn ask(&mut self, command: Bytes, deadline: Time) -> Seen {
        while self.environment.now() < deadline {
            let session = match self.session.take() {
                Some(session) => session,
                None => match self.register(deadline).await {
                    Some(session) => session,
                    None => return Seen::TimedOut,
                },
            };
            match session.command(command.clone(), deadline).await {
                Ok(result) => {
                    self.session = Some(session);
                    return Seen::of(data::decode(&result).ok());
                }
                Err(CommandError::SessionExpired { maybe_applied: false }) => {}
                Err(CommandError::NotApplied | CommandError::TooManyUnderWay) => {
                    self.session = Some(session);
                    return Seen::TimedOut;
                }
                Err(
                    CommandError::Unknown
                    | CommandError::NoSessions
                    | CommandError::SessionExpired { maybe_applied: true },
                ) => return Seen::Unknown,
            }
        }
        Seen::TimedOut
    }

    async fn register(&self, deadline: Time) -> Option<ClientSession<Servers<N, E>, E>> {
        ClientSession::register(self.way(), self.environment.clone(), self.retries, deadline).await.ok()
    }

    /// Has the cluster hold at most so many sessions; waits until it does, or `give_up` says that nobody needs it any more.
    pub(super) async fn limit(&self, sessions: u64, give_up: impl Fn() -> bool) {
        let (window, result_bytes) = (Limits::INITIAL.window(), Limits::INITIAL.result_bytes());
        let Some(limits) = Limits::new(sessions, window, result_bytes) else { return };
        let (way, request) = (self.way(), Request::Limit(limits).encode());
        while !give_up() {
            let until = self.environment.now().after(self.retries.patience);
            if let Proposed::Answered(_) = way.propose(request.clone(), until).await {
                return;
            }
            self.environment.sleep_until(self.environment.now().after(self.retries.rest)).await;
        }
    }
}

/// A state machine with sessions, and the world, which hears what became of each entry, and what the table is then.
pub(super) struct Watched<M> {
    pub(super) id: NodeId,
    pub(super) machine: Sessions<M>,
    pub(super) world: World,
}

#[async_trait]
impl<M: StateMachine> StateMachine for Watched<M> {
    async fn apply(&mut self, index: LogIndex, command: Bytes) -> Bytes {
        let answer = self.machine.apply(index, command).await;
        let table = mix(0, &self.machine.table().encode()[..]);
        self.world.in_sessions(self.id, index, table, Answer::decode(answer.clone()).as_ref());
        answer
    }

    async fn query(&mut self, query: Bytes) -> Bytes {
        self.machine.query(query).await
    }

    async fn snapshot(&mut self) -> io::Result<SnapshotReader> {
        self.machine.snapshot().await
    }

    async fn restore(&mut self, snapshot: SnapshotReader) -> io::Result<()> {
        self.machine.restore(snapshot).await
    }
}
