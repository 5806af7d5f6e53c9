//! Writes a history as it happens.

use raft_core::{LogIndex, NodeId};

use crate::history::{Event, F, History, Reply, Type, Value};

/// An operation that has begun. Each ends at most once.
#[derive(Debug)]
pub struct Started {
    process: u64,
    invoked: usize,
}

impl Started {
    /// The process that asks.
    pub const fn process(&self) -> u64 {
        self.process
    }

    /// The index of its `invoke`, by which witnesses name the operation.
    pub const fn invoked(&self) -> usize {
        self.invoked
    }
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done, with this answer.
    Ok(Reply),
    /// Certainly not done.
    Fail,
    /// Nobody knows.
    Info,
    /// Its time ran out, and it certainly was not done: an `info` that says so.
    TimedOut,
}

/// Writes a history as it happens, and hands out process ids.
#[derive(Clone, Debug)]
pub struct Recorder {
    history: History,
    /// The process of each client.
    processes: Vec<u64>,
    next_process: u64,
}

impl Recorder {
    /// A recorder for so many clients, numbered from 0.
    pub fn new(clients: u64) -> Self {
        Self { history: History::default(), processes: (0..clients).collect(), next_process: clients }
    }

    /// Notes that `client` begins an operation at `time_ns`; none if there is no such client.
    pub fn invoke(&mut self, time_ns: u64, client: usize, f: F, key: &str, value: Value) -> Option<Started> {
        let process = *self.processes.get(client)?;
        let invoked = self.history.events.len();
        self.push(Event {
            index: 0,
            process,
            kind: Type::Invoke,
            f,
            key: key.to_owned(),
            value,
            swapped: None,
            time_ns,
            node: None,
            log_index: None,
            done: None,
        });
        Some(Started { process, invoked })
    }

    /// Notes how an operation ended. After an `info` the client goes on as a fresh process.
    pub fn complete(
        &mut self,
        time_ns: u64,
        started: Started,
        outcome: Outcome,
        node: Option<NodeId>,
        log_index: Option<LogIndex>,
    ) {
        let mut event = self.history.events[started.invoked].clone();
        event.kind = match outcome {
            Outcome::Ok(Reply { value, swapped }) => {
                if event.value == Value::Null {
                    event.value = value;
                }
                event.swapped = swapped;
                Type::Ok
            }
            Outcome::Fail => Type::Fail,
            Outcome::Info | Outcome::TimedOut => {
                event.done = (outcome == Outcome::TimedOut).then_some(false);
                let dead = self.processes.iter_mut().find(|process| **process == started.process);
                if let Some(process) = dead {
                    *process = self.next_process;
                    self.next_process += 1;
                }
                Type::Info
            }
        };
        self.push(Event { time_ns, node, log_index, ..event });
    }

    /// What was recorded so far.
    pub const fn history(&self) -> &History {
        &self.history
    }

    /// What was recorded. Operations that have not ended have no end in it.
    pub fn into_history(self) -> History {
        self.history
    }

    /// Numbers the event; two at one instant are a nanosecond apart.
    fn push(&mut self, mut event: Event) {
        let after = self.history.events.last().map_or(0, |last| last.time_ns + 1);
        event.time_ns = event.time_ns.max(after);
        event.index = u64::try_from(self.history.events.len()).unwrap_or(u64::MAX);
        self.history.events.push(event);
    }
}
