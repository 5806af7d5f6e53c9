//! Messages on their way between the nodes.

use std::collections::BTreeMap;

use serde::Serialize;

use super::columns::Deltas;
use super::recording::Recording;
use crate::sim::messages::{Line, Says};

/// How many messages a page holds: about as many as 20,000 operations take on three nodes, in about a megabyte.
const HELD: usize = 120_000;

/// Messages, in the order in which they were sent, a column for each thing that is known of them.
#[derive(Default, Serialize)]
pub(super) struct Traffic {
    /// What is shown is all that was sent in this time, and how many messages the run had in all.
    from: u64,
    until: u64,
    all: usize,
    kinds: Vec<String>,
    fates: Vec<String>,
    at: Deltas,
    sender: Vec<u64>,
    receiver: Vec<u64>,
    kind: Vec<usize>,
    fate: Vec<usize>,
    term: Deltas,
    index: Deltas,
    entries: Vec<u64>,
    commit: Deltas,
    /// 0 refused, 1 granted, 2 neither.
    granted: Vec<u8>,
    /// How long each took until it came in, and came in again.
    took: Vec<Option<u64>>,
    again: Vec<(usize, u64)>,
    /// Those that were lost when they came in, by their place.
    lost: Vec<usize>,
}

/// A message from its sending to its end.
pub(super) struct Flight<'a> {
    pub(super) at: u64,
    pub(super) says: &'a Says,
    pub(super) fate: &'a str,
    /// How long it took until it came in, and came in again.
    pub(super) took: Option<u64>,
    pub(super) again: Option<u64>,
    /// It was lost when it came in.
    pub(super) lost: bool,
}

/// All messages, in the order in which they were sent.
pub(super) fn flights(recording: &Recording) -> Vec<Flight<'_>> {
    let mut flights: Vec<Flight<'_>> = Vec::new();
    let mut places = BTreeMap::new();
    for line in &recording.messages {
        match line {
            Line::Sent { time_ns, message, says, fate } => {
                places.insert(*message, flights.len());
                let at = time_ns / 1_000;
                flights.push(Flight { at, says, fate, took: None, again: None, lost: false });
            }
            Line::Received { time_ns, received, lost } => {
                let Some(flight) = places.get(received).and_then(|place| flights.get_mut(*place)) else {
                    continue;
                };
                let took = (time_ns / 1_000).saturating_sub(flight.at);
                match flight.took {
                    _ if *lost => flight.lost = true,
                    None => flight.took = Some(took),
                    Some(_) => flight.again = Some(took),
                }
            }
        }
    }
    flights
}

impl Traffic {
    /// All messages, or those about a moment where there are too many.
    pub(super) fn of(flights: &[Flight<'_>], moment: u64, end: u64) -> Self {
        let (first, last) = window(flights, moment);
        let mut traffic = Self { all: flights.len(), ..Self::default() };
        for flight in &flights[first..last] {
            traffic.push(flight);
        }
        traffic.from = if first == 0 { 0 } else { flights[first].at };
        traffic.until = flights.get(last).map_or(end, |next| next.at);
        traffic
    }

    fn push(&mut self, flight: &Flight<'_>) {
        let Flight { at, says, fate, took, again, lost } = flight;
        let place = self.kind.len();
        self.again.extend(again.map(|again| (place, again)));
        self.lost.extend(lost.then_some(place));
        self.at.push(*at);
        self.sender.push(says.from.get());
        self.receiver.push(says.to.get());
        self.kind.push(number(&mut self.kinds, &says.kind));
        self.fate.push(number(&mut self.fates, fate));
        self.term.push(says.term.get());
        self.index.push(says.index.map_or(0, |index| index.get()));
        self.entries.push(says.entries.map_or(0, |entries| entries as u64));
        self.commit.push(says.commit.map_or(0, |commit| commit.get()));
        self.granted.push(says.granted.map_or(2, u8::from));
        self.took.push(*took);
    }
}

/// From which place to which: as many as are held, half of them before the moment.
fn window(flights: &[Flight<'_>], moment: u64) -> (usize, usize) {
    let middle = flights.partition_point(|flight| flight.at < moment);
    let first = middle.saturating_sub(HELD / 2).min(flights.len().saturating_sub(HELD));
    (first, (first + HELD).min(flights.len()))
}

fn number(names: &mut Vec<String>, name: &str) -> usize {
    let known = names.iter().position(|known| known == name);
    known.unwrap_or_else(|| {
        names.push(name.to_owned());
        names.len() - 1
    })
}
