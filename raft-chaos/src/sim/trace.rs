//! Everything that happens, in order: hashed always, written as `events.jsonl` and told as a story on
//! request.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::hash::{Hash, Hasher};
use std::io::{self, Write};
use std::time::Duration;

use raft_core::{EntryId, Event, NodeId, RoleName, Term, Time};
use raft_net::Fate;
use serde::{Deserialize, Serialize};

use super::messages::Messages;
use crate::mix::mix;

/// How much of what must hold and does not is told: the first is what matters, and all of it is in `events.jsonl`.
const BROKEN_TOLD: usize = 5;

/// Who hears the story: a line, and how far the run is from the end of its warm-up, in seconds.
pub type Listener = Box<dyn FnMut(f64, &str) + Send>;

/// Something that happened.
#[derive(Clone, Debug, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Happening {
    /// Inside a server.
    Node {
        node: NodeId,
        #[serde(flatten)]
        event: Event,
    },
    /// A server started with this on its disk, in this one of its lives.
    Started { node: NodeId, term: Term, last: EntryId, life: u64 },
    /// A server no longer runs.
    Gone { node: NodeId, how: String },
    /// A fault began, ended, or found nothing to do.
    Fault {
        fault: String,
        does: String,
        #[serde(flatten)]
        scope: Scope,
    },
    /// Something that must hold does not.
    Broken { what: String },
    /// The run got to another part.
    Phase { phase: Cow<'static, str> },
    /// An operation of a client began (`outcome` is empty) or ended.
    Operation { operation: u64, outcome: String },
}

/// Whom a fault meets, and for how long, for those who draw it. All of that follows from what is hashed, so this is not.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Scope {
    /// The number of the firing that goes on from now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) begins: Option<usize>,
    /// What is faulty then: `cut` or `link`, `down`, `pause`, `disk`, `clock`, `door`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) faulty: Option<Cow<'static, str>>,
    /// The numbers of the firings that are over now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) ends: Vec<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) nodes: Vec<NodeId>,
    /// Directions, from and to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) links: Vec<(NodeId, NodeId)>,
}

impl Hash for Scope {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl Happening {
    /// What a person wants to hear of it.
    pub(crate) fn story(&self) -> Option<String> {
        let mut text = String::new();
        let written = match self {
            Self::Node { node, event: Event::Role { term, to: RoleName::Leader, .. } } => {
                write!(text, "{node} leads in {term}")
            }
            Self::Node { node, event: Event::Role { term, from: RoleName::Leader, .. } } => {
                write!(text, "{node} gives way in {term}")
            }
            Self::Node { node, event: Event::Stopped { reason } } => write!(text, "{node} stops: {reason}"),
            Self::Node { node, event: Event::Installed { snapshot, .. } } => {
                write!(text, "{node} installs a snapshot up to {}", snapshot.last_included)
            }
            Self::Node { node, event: Event::SnapshotFills { snapshot, .. } } => {
                write!(
                    text,
                    "{node} takes a snapshot up to {} for what its disk has lost",
                    snapshot.last_included
                )
            }
            Self::Node { node, event: Event::Damaged { id } } => write!(text, "{node} has lost entry {id}"),
            Self::Node { node, event: Event::Repaired { id } } => {
                write!(text, "{node} has entry {id} again, from another node")
            }
            Self::Node { node, event: Event::Dropped { from, .. } } => {
                write!(text, "{node} drops entry {from}, which nobody has")
            }
            Self::Node { .. } | Self::Operation { .. } => return None,
            Self::Started { node, life: 1, .. } => write!(text, "{node} starts"),
            Self::Started { node, term, last, .. } => {
                write!(text, "{node} starts again in {term} with a log up to {last}")
            }
            Self::Gone { node, how } => write!(text, "{node} {how}"),
            Self::Fault { fault, does, .. } => write!(text, "{fault}: {does}"),
            Self::Broken { what } => write!(text, "BROKEN {what}"),
            Self::Phase { phase } => write!(text, "-- {phase}"),
        };
        written.ok().map(|()| text)
    }
}

/// A line of `events.jsonl`, as it is read.
#[derive(Debug, Deserialize)]
pub(crate) struct Happened {
    pub(crate) time_ns: u64,
    #[serde(flatten)]
    pub(crate) happening: Happening,
}

#[derive(Serialize)]
struct Line<'a> {
    time_ns: u64,
    #[serde(flatten)]
    happening: &'a Happening,
    hash: &'a str,
}

/// What is told of a run as it goes, and how long it goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Telling {
    /// Every event is told, not only what makes a story.
    pub everything: bool,
    /// The run ends after this event, counted from 0; with the events of the same tick.
    pub until: Option<u64>,
}

/// The record of a run.
pub(crate) struct Trace {
    hash: u64,
    /// How many events there were.
    events: u64,
    telling: Telling,
    /// Where `events.jsonl` goes, and what went wrong with it.
    file: Option<Box<dyn Write + Send>>,
    failed: Option<io::Error>,
    messages: Option<Messages>,
    /// One line at a time.
    line: Vec<u8>,
    listener: Option<Listener>,
    /// How much of what must hold and does not was told.
    broken: usize,
    /// The end of the warm-up, from which the story counts.
    origin: Time,
}

impl Trace {
    pub(crate) fn new(
        file: Option<Box<dyn Write + Send>>,
        listener: Option<Listener>,
        telling: Telling,
        origin: Time,
    ) -> Self {
        let (failed, messages, line) = (None, None, Vec::new());
        Self { hash: 0, events: 0, telling, file, failed, messages, line, listener, broken: 0, origin }
    }

    /// The same, with `messages.jsonl` written too, if that is to be. `hears` whether it is told what comes in.
    pub(super) fn with_messages(self, file: Option<Box<dyn Write + Send>>, hears: bool) -> Self {
        Self { messages: file.map(|file| Messages::new(file, hears)), ..self }
    }

    /// Whether the last event has come that anybody wants.
    pub(super) fn is_over(&self) -> bool {
        self.telling.until.is_some_and(|until| self.events > until)
    }

    /// Tells this, which is no event.
    pub(super) fn tell(&mut self, now: Time, text: &str) {
        if let Some(listener) = &mut self.listener {
            let seconds = |time: Time| Duration::from_nanos(time.as_nanos()).as_secs_f64();
            listener(seconds(now) - seconds(self.origin), text);
        }
    }

    /// Names all that has happened so far.
    pub(crate) const fn hash(&self) -> u64 {
        self.hash
    }

    /// Writes what has not been written.
    ///
    /// # Errors
    ///
    /// This, or an earlier line, could not be.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            file.flush()?;
        }
        if let Some(messages) = &mut self.messages {
            messages.flush()?;
        }
        self.failed.take().map_or(Ok(()), Err)
    }

    pub(crate) fn push(&mut self, now: Time, happening: &Happening) {
        self.hash = mix(self.hash, (now, happening));
        if let Some(file) = &mut self.file {
            let hash = format!("{:016x}", self.hash);
            let line = Line { time_ns: now.as_nanos(), happening, hash: &hash };
            self.line.clear();
            let written = serde_json::to_writer(&mut self.line, &line).map_err(io::Error::from);
            self.line.push(b'\n');
            if let Err(error) = written.and_then(|()| file.write_all(&self.line)) {
                self.failed.get_or_insert(error);
            }
        }
        if self.listener.is_some() && !self.is_over() {
            let text = match happening.story() {
                None if self.telling.everything => serde_json::to_string(happening).ok(),
                Some(_) if self.has_heard_enough(happening) => None,
                story => story,
            };
            if let Some(text) = text {
                let number =
                    if self.telling.everything { format!("{:>7}  ", self.events) } else { String::new() };
                self.tell(now, &format!("{number}{text}"));
            }
        }
        self.events += 1;
    }

    /// Whether this is one more thing that is broken, after more than a person wants to hear of: one break leads to the next.
    fn has_heard_enough(&mut self, happening: &Happening) -> bool {
        if !matches!(happening, Happening::Broken { .. }) || self.telling.everything {
            return false;
        }
        self.broken += 1;
        self.broken > BROKEN_TOLD
    }

    /// Something happened that is part of the hash, not of the file.
    pub(crate) fn hashed(&mut self, what: impl Hash) {
        self.hash = mix(self.hash, what);
    }

    /// A frame is on its way between two servers: part of the hash, not of the file.
    pub(super) fn message(&mut self, from: NodeId, to: NodeId, kind: &str, bytes: usize, fate: &Fate) {
        self.hash = mix(self.hash, (from, to, kind, bytes, fate));
    }

    /// Does this with the file of the messages, if there is one.
    pub(super) fn messages(&mut self, work: impl FnOnce(&mut Messages)) {
        if let Some(messages) = &mut self.messages {
            work(messages);
        }
    }
}
