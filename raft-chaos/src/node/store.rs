//! What a node replicates: the data that plans name, and where servers listen that came later.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use raft_core::node::{SnapshotReader, StateMachine};
use raft_core::server::{Coded as _, Machine, Replicated, in_bytes, snapshot_of, state_of};
use raft_core::sessions::{Answer as SessionAnswer, Request, Sessions};
use raft_core::{LogIndex, NodeId, PlantedBug};
use raft_net::Addresses;
use serde::{Deserialize, Serialize};

use super::events::{Became, Events, NodeEvent};
use super::home::Home;
use crate::data::{self, Answer};
use crate::history::Reply;
use crate::mix::mix;

/// What a client has a cluster of nodes do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// This to the data.
    Data(data::Command),
    /// Find this server there from now on: it is to become a member.
    Meet {
        /// Which.
        server: NodeId,
        /// Where, as `"host:port"`.
        address: String,
    },
}

/// Whether only an operator may send this: what is for all clients, and what says where servers are looked for.
pub(super) fn needs_admin(request: &Bytes) -> bool {
    match Request::decode(request.clone()) {
        Some(Request::Limit(_)) => true,
        Some(Request::Command { command, .. } | Request::Plain { command }) => {
            matches!(Command::decode(command), Ok(Command::Meet { .. }))
        }
        Some(Request::Register | Request::KeepAlive { .. } | Request::Unregister { .. }) | None => false,
    }
}

/// The state machine of a node.
pub struct Store {
    data: Box<dyn data::Machine>,
    /// The last entry that was applied to the data.
    applied: LogIndex,
    met: BTreeMap<NodeId, String>,
    surroundings: Surroundings,
}

/// Who hears of what is applied.
pub(super) struct Surroundings {
    pub(super) home: Home,
    /// Where the transport finds the others.
    pub(super) addresses: Addresses,
    /// Those whose addresses were given by hand: that counts.
    pub(super) given: BTreeMap<NodeId, String>,
    pub(super) events: Option<Arc<Events>>,
}

impl Surroundings {
    /// Says what has happened, if somebody wants to know.
    fn tell(&self, event: impl FnOnce() -> NodeEvent) {
        if let Some(events) = &self.events {
            events.tell(event());
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Snapshot {
    applied: LogIndex,
    met: BTreeMap<NodeId, String>,
    data: Bytes,
}

impl Store {
    pub(super) fn new(data: Box<dyn data::Machine>, surroundings: Surroundings) -> Self {
        Self { data, applied: LogIndex::ZERO, met: BTreeMap::new(), surroundings }
    }

    fn meets(&self, met: &BTreeMap<NodeId, String>) {
        let Surroundings { home, addresses, given, .. } = &self.surroundings;
        home.keep(met);
        for (server, address) in met.iter().filter(|(server, _)| !given.contains_key(server)) {
            addresses.set(*server, address.clone());
        }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("applied", &self.applied).finish_non_exhaustive()
    }
}

impl Machine for Store {
    type Command = Command;
    type Answer = Answer;
    /// What does not change the data.
    type Query = data::Command;
    type Reply = Answer;

    fn apply(&mut self, index: LogIndex, command: Command) -> Answer {
        match command {
            Command::Data(command) => {
                let operation = command.operation;
                self.applied = index;
                let reply = self.data.apply(command);
                self.surroundings.tell(|| {
                    let state = self.data.state();
                    NodeEvent::Applied { index, operation, reply: reply.clone(), state }
                });
                Answer { index, reply }
            }
            Command::Meet { server, address } => {
                self.met.insert(server, address.clone());
                self.meets(&BTreeMap::from([(server, address)]));
                Answer { index, reply: Reply::DONE }
            }
        }
    }

    fn query(&self, query: data::Command) -> Answer {
        let answer = Answer { index: self.applied, reply: self.data.read(&query) };
        self.surroundings.tell(|| NodeEvent::Answered { index: self.applied, operation: query.operation });
        answer
    }

    fn snapshot(&self) -> io::Result<SnapshotReader> {
        let (met, data) = (self.met.clone(), self.data.snapshot());
        snapshot_of(&Snapshot { applied: self.applied, met, data })
    }

    async fn restore(&mut self, snapshot: SnapshotReader) -> io::Result<()> {
        let Snapshot { applied, met, data } = state_of(snapshot).await?;
        self.data.restore(&data)?;
        (self.applied, self.met) = (applied, met);
        self.meets(&self.met);
        self.surroundings.tell(|| NodeEvent::Restored { index: applied, state: self.data.state() });
        Ok(())
    }
}

/// A store with its clients' sessions, of which it is told what they come to.
pub(super) struct Kept {
    pub(super) store: Store,
    /// The bug that the sessions have on purpose.
    pub(super) bug: Option<PlantedBug>,
}

impl Replicated for Kept {
    type Typed = Store;

    const IS_DURABLE: bool = false;

    /// Unless it writes down what happens in it.
    fn is_quick(&self) -> bool {
        self.store.surroundings.events.is_none()
    }

    fn into_state_machine(self) -> io::Result<impl StateMachine> {
        let events = self.store.surroundings.events.clone();
        let sessions = Sessions::new(in_bytes(self.store)).map_err(io::Error::other)?;
        Ok(Told { sessions: sessions.with_bug(self.bug), events })
    }
}

/// What a node has as its state machine.
struct Told<M> {
    sessions: Sessions<M>,
    events: Option<Arc<Events>>,
}

#[async_trait]
impl<M: StateMachine> StateMachine for Told<M> {
    async fn apply(&mut self, index: LogIndex, command: Bytes) -> Bytes {
        // Of a command in no session the store itself tells.
        let in_none = || matches!(Request::decode(command.clone()), Some(Request::Plain { .. }));
        let events = self.events.as_ref().filter(|_| !in_none());
        let answer = self.sessions.apply(index, command).await;
        if let Some(events) = events {
            let table = mix(0, &self.sessions.table().encode()[..]);
            let became = Became::of(SessionAnswer::decode(answer.clone()).as_ref());
            events.tell(NodeEvent::InSessions { index, table, became });
        }
        answer
    }

    async fn query(&mut self, query: Bytes) -> Bytes {
        self.sessions.query(query).await
    }

    async fn snapshot(&mut self) -> io::Result<SnapshotReader> {
        self.sessions.snapshot().await
    }

    async fn restore(&mut self, snapshot: SnapshotReader) -> io::Result<()> {
        self.sessions.restore(snapshot).await
    }
}

#[cfg(test)]
mod tests {
    use raft_core::sessions::{Limits, SessionId};

    use super::*;
    use crate::history::{F, Value};

    /// Each row: what a client sends, and whether it has to be an operator, in a session or in none.
    #[test]
    fn who_moves_servers_is_an_operator() {
        let key = "k".to_owned();
        let data = data::Command { operation: 1, key, f: F::READ, value: Value::Null, ballast: Bytes::new() };
        let meet = Command::Meet { server: NodeId::new(2), address: "elsewhere:7000".to_owned() };
        for (command, is_operators) in [(Command::Data(data), false), (meet, true)] {
            let command = command.encode().unwrap();
            let plain = Request::Plain { command: command.clone() };
            let (session, sequence, first_unanswered) = (SessionId::new(1), 1, 1);
            let in_session = Request::Command { session, sequence, first_unanswered, command };
            assert_eq!([plain, in_session].map(|request| needs_admin(&request.encode())), [is_operators; 2]);
        }
        assert!(needs_admin(&Request::Limit(Limits::INITIAL).encode()));
        assert!(!needs_admin(&Request::Register.encode()) && !needs_admin(&Bytes::new()));
    }
}
