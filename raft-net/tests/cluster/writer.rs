//! A client that writes, and what it was told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use raft_core::node::{Environment, TokioEnvironment};
use raft_core::{ClusterId, LogIndex, NodeId};
use raft_net::{Client, NetError, Outcome, TcpNet};
use tokio::sync::{mpsc, watch};

use crate::LIMIT;
use crate::servers::{Applied, Leader};

/// How many commands a writer writes in a round.
pub(crate) const COMMANDS: usize = 100;

/// What a writer was told of a command.
pub(crate) struct Answer {
    command: Bytes,
    /// Where it was applied; without a place, nobody knows whether it was.
    place: Option<LogIndex>,
    /// How many servers sent the writer on to the leader.
    hints: usize,
}

/// A client that goes where it is sent, and waits for the next leader where nobody knows one.
pub(crate) struct Writer {
    addresses: BTreeMap<NodeId, String>,
    cluster: ClusterId,
    clock: TokioEnvironment,
    leader: watch::Receiver<Leader>,
    /// The last leader it has turned to because it had come to lead.
    tried: Leader,
    server: NodeId,
    client: Option<Client<TcpNet, TokioEnvironment>>,
}

impl Writer {
    pub(crate) fn new(
        first: NodeId,
        addresses: &BTreeMap<NodeId, String>,
        cluster: ClusterId,
        clock: TokioEnvironment,
        leader: watch::Receiver<Leader>,
    ) -> Self {
        Self {
            addresses: addresses.clone(),
            cluster,
            clock,
            leader,
            tried: None,
            server: first,
            client: None,
        }
    }

    pub(crate) async fn write_all(mut self, round: &'static str, answers: mpsc::Sender<Answer>) {
        let name = self.server;
        for number in 0..COMMANDS {
            let command = Bytes::from(format!("{round}: {name} writes {number}"));
            let answer = self.write(command).await;
            // Once the test has failed, nobody counts.
            if answers.send(answer).await.is_err() {
                return;
            }
        }
    }

    async fn write(&mut self, command: Bytes) -> Answer {
        let mut hints = 0;
        loop {
            let leader = match self.ask(command.clone()).await {
                Some(Outcome::Committed(place)) => {
                    let place = u64::from_be_bytes(place[..].try_into().unwrap());
                    return Answer { command, place: Some(LogIndex::new(place)), hints };
                }
                Some(Outcome::Unknown { .. }) => {
                    self.client = None;
                    return Answer { command, place: None, hints };
                }
                Some(Outcome::Answered(_)) => panic!("a command was answered as if it were a query"),
                Some(Outcome::NotApplied { leader_hint, .. }) => leader_hint,
                None => None,
            };
            self.client = None;
            self.server = match leader {
                Some(leader) => {
                    hints += 1;
                    leader
                }
                None => {
                    self.tried = *self.leader.wait_for(|last| *last > self.tried).await.unwrap();
                    self.tried.unwrap().1
                }
            };
        }
    }

    /// None if nobody listens there.
    async fn ask(&mut self, command: Bytes) -> Option<Outcome> {
        let deadline = self.clock.now().after(LIMIT);
        if self.client.is_none() {
            let address = &self.addresses[&self.server];
            match Client::connect(&TcpNet, self.clock, self.cluster, address, deadline).await {
                Ok(client) => self.client = Some(client),
                Err(NetError::Io(_) | NetError::Closed) => return None,
                Err(error) => panic!("{error}"),
            }
        }
        Some(self.client.as_mut()?.request(command, deadline).await.unwrap())
    }
}

/// Asks one server how many commands have been applied.
pub(crate) async fn read(address: &str) -> u64 {
    let clock = TokioEnvironment::new();
    let deadline = clock.now().after(LIMIT);
    let mut client = Client::connect(&TcpNet, clock, ClusterId(1), address, deadline).await.unwrap();
    loop {
        match client.read(Bytes::new(), deadline).await.unwrap() {
            Outcome::Answered(applied) => return u64::from_be_bytes(applied[..].try_into().unwrap()),
            // Whoever has not heard of the leader yet.
            Outcome::NotApplied { .. } => {
                clock.sleep_until(clock.now().after(Duration::from_millis(10))).await
            }
            other @ (Outcome::Committed(_) | Outcome::Unknown { .. }) => panic!("{other:?}"),
        }
    }
}

/// What the writers were told, all together.
#[derive(Clone, Default)]
pub(crate) struct Told {
    pub(crate) acknowledged: BTreeSet<Applied>,
    pub(crate) unknown: BTreeSet<Bytes>,
    pub(crate) hints: usize,
}

impl Told {
    pub(crate) fn note(&mut self, Answer { command, place, hints }: Answer) {
        self.hints += hints;
        match place {
            Some(place) => assert!(self.acknowledged.insert((place, command))),
            None => assert!(self.unknown.insert(command)),
        }
    }

    pub(crate) async fn note_all(&mut self, mut answers: mpsc::Receiver<Answer>) {
        while let Some(answer) = answers.recv().await {
            self.note(answer);
        }
    }

    pub(crate) fn last(&self) -> LogIndex {
        self.acknowledged.last().unwrap().0
    }

    /// What was acknowledged is there, at its place, and nothing else but what nobody knew of.
    pub(crate) fn is_kept_by(&self, applied: &[Applied]) {
        assert!(applied.is_sorted_by(|a, b| a.0 < b.0), "one after the other");
        let applied: BTreeSet<_> = applied.iter().cloned().collect();
        assert!(self.acknowledged.is_subset(&applied), "what was acknowledged is there");
        let mut others: Vec<_> = applied.difference(&self.acknowledged).map(|(_, command)| command).collect();
        let count = others.len();
        others.sort_unstable();
        others.dedup();
        assert_eq!(others.len(), count, "nothing is applied twice");
        assert!(others.iter().all(|command| self.unknown.contains(*command)), "{others:?} were refused");
    }
}
