//! What a run has left in its folder.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use raft_core::{Event, NodeId};
use serde_json::Value as Json;

use super::{Recovered, micros};
use crate::history::History;
use crate::linearizable::{Operation, TookEffect, operations};
use crate::plan::Plan;
use crate::record::{lines, text};
use crate::recorded::Recorded;
use crate::sim::messages::Line as Message;
use crate::sim::trace::{Happened, Happening};

/// How many things that broke are marked.
const BROKEN: usize = 200;

/// A run, as its files tell it.
pub(super) struct Recording {
    /// `result.json`.
    pub(super) result: Json,
    pub(super) about: String,
    pub(super) warmup: Duration,
    /// How many clients there were.
    pub(super) clients: u64,
    pub(super) events: Vec<Happened>,
    pub(super) messages: Vec<Message>,
    pub(super) history: History,
    /// The same, an operation a row, in the order in which they began.
    pub(super) operations: Vec<Operation>,
    /// Where each operation took effect, by the index of its `invoke`.
    pub(super) took_effect: BTreeMap<u64, TookEffect>,
    /// The term of each entry that was committed, as the first node has it that knew.
    terms: BTreeMap<u64, u64>,
}

impl Recording {
    /// Reads a run's folder. What a process that was ended has left half written does not count.
    ///
    /// # Errors
    ///
    /// It is not the folder of a recorded run; the file is named, and the line.
    pub(super) fn read(folder: &Path) -> io::Result<Self> {
        let result = text(&folder.join("result.json"))?
            .ok_or_else(|| not_here(folder, "result.json"))
            .and_then(|json| serde_json::from_str(&json).map_err(io::Error::other))?;
        let events = folder.join("events.jsonl");
        let events: Vec<Happened> = lines(&events)?.ok_or_else(|| not_here(folder, "events.jsonl"))?;
        let plan = Plan::read(&folder.join("plan.lock.toml"), &[]).map_err(io::Error::other)?;
        let is_lab = plan.workload.test.is_some();
        let history_is_here = fs::metadata(folder.join("history.jsonl")).is_ok_and(|file| file.len() > 0);
        let (history, witness) = if history_is_here {
            let recorded = Recorded::read(folder)?;
            (recorded.history, recorded.witness.unwrap_or_default())
        } else {
            (History::default(), Vec::new())
        };
        Ok(Self {
            result,
            about: plan.about.clone(),
            // The lab counts from the start.
            warmup: if is_lab { Duration::ZERO } else { plan.run.warmup },
            clients: plan.workload.clients,
            terms: terms(&events),
            events,
            messages: lines(&folder.join("messages.jsonl"))?.unwrap_or_default(),
            operations: operations(&history).map_err(io::Error::other)?,
            history,
            took_effect: witness.into_iter().map(|took| (took.operation, took)).collect(),
        })
    }

    /// The last moment of which anything is known.
    pub(super) fn end(&self) -> u64 {
        let events = self.events.last().map_or(0, |happened| happened.time_ns);
        let history = self.history.events.last().map_or(0, |event| event.time_ns);
        let run = self.result["virtual_s"].as_f64().map(Duration::from_secs_f64).unwrap_or_default();
        (events.max(history) / 1_000).max(micros(run))
    }

    /// Everything that happened, with its time in microseconds.
    pub(super) fn happenings(&self) -> impl Iterator<Item = (u64, &Happening)> {
        self.events.iter().map(|happened| (happened.time_ns / 1_000, &happened.happening))
    }

    /// The term of the entry that was committed at an index.
    pub(super) fn term_of(&self, index: u64) -> Option<u64> {
        self.terms.get(&index).copied()
    }

    pub(super) fn phases(&self) -> Vec<(u64, String)> {
        let phase = |(at, happening): (u64, &Happening)| match happening {
            Happening::Phase { phase } => Some((at, phase.to_string())),
            Happening::Node { .. }
            | Happening::Started { .. }
            | Happening::Gone { .. }
            | Happening::Fault { .. }
            | Happening::Broken { .. }
            | Happening::Operation { .. } => None,
        };
        self.happenings().filter_map(phase).collect()
    }

    /// When what broke, and on which nodes: those that it names. What breaks once often breaks thousands of times; the first of them say it.
    pub(super) fn broken(&self) -> Vec<(u64, Vec<u64>, String)> {
        let mut broken = Vec::new();
        for (at, happening) in self.happenings() {
            let Happening::Broken { what } = happening else { continue };
            if broken.len() == BROKEN {
                break;
            }
            let before = what.split_once(": ").map_or(what.as_str(), |(before, _)| before);
            let named = before.split(' ').filter_map(|word| word.strip_prefix('n')?.parse().ok());
            broken.push((at, named.collect(), what.clone()));
        }
        broken
    }

    pub(super) fn recoveries(&self) -> Vec<Recovered> {
        let all = self.result["recovery_ms"].as_array().into_iter().flatten();
        let of = |recovery: &Json, key: &str| recovery[key].as_u64().map(|millis| millis * 1_000);
        let recovered = |recovery| {
            let (leader, commit) = (of(recovery, "leader"), of(recovery, "commit"));
            Some(Recovered { at: of(recovery, "at")?, leader, commit })
        };
        all.filter_map(recovered).collect()
    }
}

/// The term of each entry that was committed: the entry that the first node to know had in its log then.
fn terms(events: &[Happened]) -> BTreeMap<u64, u64> {
    let (mut logs, mut terms): (BTreeMap<NodeId, BTreeMap<u64, u64>>, _) = (BTreeMap::new(), BTreeMap::new());
    for Happened { happening, .. } in events {
        let Happening::Node { node, event } = happening else { continue };
        let log = logs.entry(*node).or_default();
        if let Event::Appended { id, .. } = event {
            log.insert(id.index.get(), id.term.get());
        }
        if let Event::Committed { from, to } = event {
            for index in from.get() + 1..=to.index.get() {
                if let Some(term) = log.get(&index) {
                    terms.entry(index).or_insert(*term);
                }
            }
        }
    }
    terms
}

fn not_here(folder: &Path, file: &str) -> io::Error {
    let what = format!(
        "{}: there is no {file}; give the folder of a recorded run, which `run` prints as its results",
        folder.display()
    );
    io::Error::new(io::ErrorKind::NotFound, what)
}
