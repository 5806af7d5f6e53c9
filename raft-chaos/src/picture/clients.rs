//! Operations of clients: when they began and ended, how, and where they took effect.

use std::collections::BTreeMap;

use serde::Serialize;

use super::columns::Deltas;
use super::recording::Recording;
use crate::history::{Event, Type, Value};
use crate::linearizable::Operation;

/// The longest value that is shown whole.
const SHOWN: usize = 40;

/// Operations, in the order in which they began, a column for each thing that is known of them.
#[derive(Default, Serialize)]
pub(super) struct Clients {
    /// How many there are.
    count: u64,
    /// The names that `f` and `key` count.
    fs: Names,
    keys: Names,
    client: Vec<u64>,
    process: Vec<u64>,
    f: Vec<usize>,
    key: Vec<usize>,
    /// What was asked, and what was answered.
    asked: Vec<String>,
    answer: Vec<Option<String>>,
    began: Deltas,
    /// How long it took; of one that nobody saw end, until its client gave it up.
    took: Vec<Option<u64>>,
    /// 0 ok, 1 fail, 2 info.
    end: Vec<u8>,
    /// The node that answered.
    node: Vec<u64>,
    /// Where in the log it took effect, or after what it was read; 0 where it did not, as far as is known.
    index: Deltas,
    /// Whether it is a read beside the log.
    beside: Vec<u8>,
}

/// Names, numbered as they come.
#[derive(Default)]
struct Names(Vec<String>, BTreeMap<String, usize>);

impl Names {
    fn number(&mut self, name: &str) -> usize {
        if let Some(number) = self.1.get(name) {
            return *number;
        }
        self.0.push(name.to_owned());
        self.1.insert(name.to_owned(), self.0.len() - 1);
        self.0.len() - 1
    }
}

impl Serialize for Names {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl Clients {
    pub(super) fn of(recording: &Recording) -> Self {
        let mut clients = Self { count: recording.clients, ..Self::default() };
        let events = &recording.history.events;
        let of_process = clients_by_process(events, recording.clients);
        let ends = ends(events);
        for operation in &recording.operations {
            let end = ends.get(&operation.invoked).copied();
            clients.push(recording, operation, end, of_process.get(&operation.process).copied().unwrap_or(0));
        }
        clients
    }

    /// The client of each operation, when it began, and how long it took.
    pub(super) fn intervals(&self) -> impl Iterator<Item = (u64, u64, Option<u64>)> {
        let of = self.client.iter().copied().zip(self.began.iter()).zip(self.took.iter().copied());
        of.map(|((client, began), took)| (client, began, took))
    }

    fn push(&mut self, recording: &Recording, operation: &Operation, end: Option<&Event>, client: u64) {
        let began = at(recording, operation.invoked);
        self.client.push(client);
        self.process.push(operation.process);
        let (f, key) = (self.fs.number(operation.f.name()), self.keys.number(&operation.key));
        self.f.push(f);
        self.key.push(key);
        self.asked.push(short(&operation.asked));
        self.answer.push(operation.reply.as_ref().map(|reply| match reply.swapped {
            Some(true) => "done".to_owned(),
            Some(false) => "not done".to_owned(),
            None => short(&reply.value),
        }));
        self.began.push(began);
        self.took.push(end.map(|end| (end.time_ns / 1_000).saturating_sub(began)));
        self.end.push(match (operation.failed, &operation.reply) {
            (true, _) => 1,
            (false, Some(_)) => 0,
            (false, None) => 2,
        });
        self.node.push(end.and_then(|end| end.node).map_or(0, |node| node.get()));
        let took = recording.took_effect.get(&operation.invoked);
        let answered = end.and_then(|end| end.log_index);
        self.index.push(took.map(|took| took.index).or(answered).map_or(0, |index| index.get()));
        self.beside.push(took.is_some_and(|took| took.beside).into());
    }
}

/// When an event of the history was.
pub(super) fn at(recording: &Recording, index: u64) -> u64 {
    let event = usize::try_from(index).ok().and_then(|index| recording.history.events.get(index));
    event.map_or(0, |event| event.time_ns / 1_000)
}

/// The client of each process: after an `info` it goes on as a fresh one, which has the next number.
fn clients_by_process(events: &[Event], clients: u64) -> BTreeMap<u64, u64> {
    let mut of_process: BTreeMap<u64, u64> = (0..clients).map(|client| (client, client)).collect();
    let died = events.iter().filter(|event| event.kind == Type::Info);
    for (next, event) in (clients..).zip(died) {
        let client = of_process.get(&event.process).copied().unwrap_or(0);
        of_process.insert(next, client);
    }
    of_process
}

/// The event that ends each operation, by the index of its `invoke`.
fn ends(events: &[Event]) -> BTreeMap<u64, &Event> {
    let (mut open, mut ends) = (BTreeMap::new(), BTreeMap::new());
    for event in events {
        if event.kind == Type::Invoke {
            open.insert(event.process, event.index);
        } else if let Some(invoked) = open.remove(&event.process) {
            ends.insert(invoked, event);
        }
    }
    ends
}

/// For people, and not too long.
pub(super) fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= SHOWN {
        return text;
    }
    let (start, end): (String, String) = (
        text.chars().take(SHOWN / 2).collect(),
        text.chars().skip(text.chars().count() - SHOWN / 2).collect(),
    );
    format!("{start} ... {end}")
}
