//! What broke, in the smallest terms: for people at a terminal and on the page.
//!
//! Of a history that no order explains these are the few operations that do not fit, and the log about them; of an invariant the servers, the index
//! at which their logs differ, and what led there.

mod logs;

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value as Json;

use super::clients::{at, short};
use super::recording::Recording;
use crate::history::{F, Value};
use crate::linearizable::Operation;
use crate::sim::trace::Happening;
use logs::Logs;

/// How many happenings before an invariant broke are told.
const LED_THERE: usize = 14;
/// How many entries of a log are shown before and after the one that matters.
const AROUND: usize = 3;
/// How long before and after it a reader looks first, in microseconds.
const LOOK: u64 = 150_000;

/// What broke, if anything did.
#[derive(Clone, Debug, Default)]
pub struct Trouble {
    /// When the first thing broke, in microseconds.
    pub(super) at: Option<u64>,
    pub(super) focus: Option<(u64, u64)>,
    /// The rows of the operations that do not fit.
    pub(super) accused: Vec<usize>,
    pub(super) of_clients: Option<OfClients>,
    pub(super) of_nodes: Option<OfNodes>,
}

/// The operations that no order explains.
#[derive(Clone, Debug)]
pub(super) struct OfClients {
    pub(super) key: String,
    pub(super) explanation: String,
    /// The one that does not fit first.
    pub(super) operations: Vec<Asked>,
    /// What the log has of that key around them, in its order.
    pub(super) log: Vec<Asked>,
}

/// An operation, in words.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) row: usize,
    pub(super) process: u64,
    pub(super) what: String,
    pub(super) answer: String,
    pub(super) began: u64,
    pub(super) ended: Option<u64>,
    /// Where it took effect, and the term of that entry; of a read beside the log, after what.
    pub(super) effect: Option<Effect>,
    pub(super) accused: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Effect {
    pub(super) index: u64,
    pub(super) term: Option<u64>,
    pub(super) beside: bool,
}

/// An invariant that was broken.
#[derive(Clone, Debug)]
pub(super) struct OfNodes {
    pub(super) at: u64,
    pub(super) sentence: String,
    pub(super) nodes: Vec<u64>,
    /// The index at which the logs of those nodes differ.
    pub(super) index: Option<u64>,
    /// The logs then: about that index, or about what is committed.
    pub(super) logs: Logs,
    /// What led there, as it was told: when, and what.
    pub(super) led_there: Vec<(u64, String)>,
    /// The warm-up, after which a person counts.
    origin: u64,
}

impl Trouble {
    pub(super) fn of(recording: &Recording) -> Self {
        let of_clients = OfClients::of(recording);
        let of_nodes = OfNodes::of(recording);
        let accused: Vec<_> =
            of_clients.iter().flat_map(|of| &of.operations).map(|asked| asked.row).collect();
        let seen = of_clients.as_ref().and_then(OfClients::span);
        let broke = of_nodes.as_ref().map(|of| (of.at.saturating_sub(LOOK), of.at + LOOK));
        let at = of_nodes.as_ref().map(|of| of.at).or(seen.map(|(_, at)| at));
        let seen = seen.map(|(from, to)| (from.saturating_sub(LOOK / 2), to + LOOK / 2));
        Self { at, focus: broke.or(seen), accused, of_clients, of_nodes }
    }

    /// Whether nothing broke.
    pub const fn is_none(&self) -> bool {
        self.of_clients.is_none() && self.of_nodes.is_none()
    }
}

impl OfClients {
    fn of(recording: &Recording) -> Option<Self> {
        // The one that clients can see comes last, and says most.
        let example = recording.result["counter_examples"].as_array()?.last()?;
        let invoked =
            example["operations"].as_array()?.iter().filter_map(|operation| operation["invoked"].as_u64());
        let invoked: Vec<_> = invoked.collect();
        let accused: BTreeSet<u64> = invoked.iter().copied().collect();
        let asked: Vec<Asked> = (recording.operations.iter().enumerate())
            .map(|(row, operation)| {
                Asked::of(recording, row, operation, accused.contains(&operation.invoked))
            })
            .collect();
        let row =
            |invoked: &u64| recording.operations.binary_search_by_key(invoked, |operation| operation.invoked);
        let operations: Vec<_> =
            invoked.iter().filter_map(|invoked| Some(asked[row(invoked).ok()?].clone())).collect();
        let key = example["key"].as_str()?.to_owned();
        let log = log_about(recording, &key, &asked, &operations);
        Some(Self { explanation: example["explanation"].as_str()?.to_owned(), operations, log, key })
    }

    /// From the first beginning to the last end.
    fn span(&self) -> Option<(u64, u64)> {
        let from = self.operations.iter().map(|asked| asked.began).min()?;
        let to = self.operations.first().and_then(|culprit| culprit.ended).unwrap_or(from);
        Some((from, to.max(from)))
    }
}

/// What took effect on a key, from a little before the first of these to a little after the last, in the order of the log.
fn log_about(recording: &Recording, key: &str, all: &[Asked], of: &[Asked]) -> Vec<Asked> {
    let order = |asked: &Asked| asked.effect.map(|effect| (effect.index, effect.beside, asked.row));
    let of_key = all.iter().filter(|asked| recording.operations[asked.row].key == key);
    let mut log: Vec<_> = of_key.filter(|asked| asked.effect.is_some()).cloned().collect();
    log.sort_by_key(order);
    let places = || of.iter().filter_map(|asked| log.iter().position(|other| other.row == asked.row));
    let (Some(first), Some(last)) = (places().min(), places().max()) else { return Vec::new() };
    let (from, to) = (first.saturating_sub(AROUND), (last + AROUND + 1).min(log.len()));
    log.drain(to..);
    log.drain(..from);
    log
}

impl Asked {
    fn of(recording: &Recording, row: usize, operation: &Operation, accused: bool) -> Self {
        let answer = match (&operation.reply, operation.failed) {
            (Some(reply), _) => match reply.swapped {
                Some(true) => "done".to_owned(),
                Some(false) => "not done".to_owned(),
                None if operation.f == F::READ || operation.asked == Value::Null => short(&reply.value),
                None => "ok".to_owned(),
            },
            (None, true) => "failed: certainly not done".to_owned(),
            (None, false) => "unknown".to_owned(),
        };
        let what = if operation.asked == Value::Null {
            operation.f.to_string()
        } else {
            format!("{} {}", operation.f, short(&operation.asked))
        };
        let effect = recording.took_effect.get(&operation.invoked).map(|took| {
            let (index, beside) = (took.index.get(), took.beside);
            Effect { index, beside, term: recording.term_of(index) }
        });
        let began = at(recording, operation.invoked);
        let ended = operation.ended.map(|ended| at(recording, ended));
        Self { row, process: operation.process, what, answer, began, ended, effect, accused }
    }
}

impl OfNodes {
    fn of(recording: &Recording) -> Option<Self> {
        let (at, named, sentence) = recording.broken().into_iter().next()?;
        let violation = recording.result["violations"].as_array().and_then(|all| all.first());
        let nodes = violation.and_then(|violation| violation["nodes"].as_array());
        let nodes = nodes.map(|nodes| nodes.iter().filter_map(Json::as_u64).collect()).unwrap_or(named);
        let all = Logs::at_first_break(recording);
        // Of a single server it is said what no other has in its place.
        let everybody: Vec<u64> = all.nodes.keys().copied().collect();
        let index = all.differ(if nodes.len() > 1 { &nodes } else { &everybody });
        let middle = index.unwrap_or_else(|| all.committed());
        let logs = all.about(middle.saturating_sub(AROUND as u64), middle + AROUND as u64);
        let led_there = led_there(recording, &nodes);
        let origin = super::micros(recording.warmup);
        Some(Self { at, sentence, nodes, index, logs, led_there, origin })
    }
}

/// The last that was told before the first thing broke: of the nodes that it is broken on, and of all that faults did.
fn led_there(recording: &Recording, nodes: &[u64]) -> Vec<(u64, String)> {
    let mut told = Vec::new();
    for (at, happening) in recording.happenings() {
        match happening {
            Happening::Broken { .. } => break,
            Happening::Node { node, event } if nodes.contains(&node.get()) => {
                told.extend(super::lane::in_words(event).map(|text| (at, format!("{node} {text}"))));
            }
            Happening::Node { .. } | Happening::Operation { .. } => {}
            Happening::Started { .. }
            | Happening::Gone { .. }
            | Happening::Fault { .. }
            | Happening::Phase { .. } => {
                told.extend(happening.story().map(|text| (at, text)));
            }
        }
    }
    told.dedup();
    told.split_off(told.len().saturating_sub(LED_THERE))
}

/// What `run` prints: of the nodes only, as the operations of clients are in the reasons already.
impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(OfNodes { nodes, index, logs, led_there, origin, .. }) = &self.of_nodes else {
            return Ok(());
        };
        let names: Vec<_> = nodes.iter().map(|node| format!("n{node}")).collect();
        match (index, nodes.as_slice()) {
            (Some(index), [_, _, ..]) => {
                writeln!(f, "the logs of {} differ at {index}:", names.join(" and "))?
            }
            _ => writeln!(f, "the logs then:")?,
        }
        write!(f, "{logs}")?;
        write!(f, "what led there:")?;
        for (at, text) in led_there {
            let seconds = (*at as f64 - *origin as f64) / 1e6;
            write!(f, "\n{seconds:>9.3} s  {text}")?;
        }
        Ok(())
    }
}
