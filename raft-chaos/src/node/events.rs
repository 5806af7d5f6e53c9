//! The file of events: what happens inside of a node, a JSON object a line, each written before anything of it is carried
//! out.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use raft_core::sessions::Answer as SessionAnswer;
use raft_core::{EntryId, Event, Incarnation, LogIndex, NodeId, Restored, Term};
use raft_storage::{FaultId, Touched};
use serde::{Deserialize, Serialize};

use super::ended::Ended;
use crate::history::Reply;
use crate::monotonic::monotonic_ns;

/// A line of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// When, on the machine's monotonic clock: all its processes have the same.
    pub time_ns: u64,
    /// The node.
    pub node: NodeId,
    /// What happened.
    #[serde(flatten)]
    pub happening: Happening,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Happening {
    /// In the protocol: what a simulation writes, too.
    Raft(Event),
    /// Around it.
    Node(NodeEvent),
}

/// What happened around the protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum NodeEvent {
    /// The node starts, with this on its disk.
    Started {
        /// This life of its directory.
        incarnation: Incarnation,
        /// The term.
        term: Term,
        /// The last entry of the log.
        last: EntryId,
        /// All that was found, but for payloads.
        #[serde(default)]
        found: Box<Restored>,
    },
    /// The state machine has applied a command to the data.
    Applied {
        /// Where in the log it was.
        index: LogIndex,
        /// What its client calls it.
        operation: u64,
        /// What it answered.
        reply: Reply,
        /// Names the state after it.
        state: u64,
    },
    /// The clients' sessions have come to another entry of the log than a command in none.
    InSessions {
        /// Where in the log it is.
        index: LogIndex,
        /// Names all sessions after it.
        table: u64,
        /// What became of it.
        became: Became,
    },
    /// The state machine has answered a query.
    Answered {
        /// The last command that it had applied.
        index: LogIndex,
        /// What its client calls it.
        operation: u64,
    },
    /// The state machine has become what a snapshot says.
    Restored {
        /// The last command in it.
        index: LogIndex,
        /// Names the state.
        state: u64,
    },
    /// A call to the store is touched by what whoever tests the node has done to its disk.
    CallTouched {
        /// By which of the faults.
        fault: FaultId,
        /// All that it has touched by now.
        touched: Touched,
    },
    /// What whoever tests the node has done to its clock has set that off.
    ClockOff {
        /// Which of the faults has.
        fault: u64,
        /// By how much the monotonic clock is fast, since that began.
        monotonic_ns: i64,
        /// By how much the wall clock is.
        wall_ns: i64,
    },
    /// The node ends over what whoever tests it has done to its disk.
    GaveOut,
    /// The node has ended, in order or by itself.
    Ended {
        /// The status of the process.
        status: u8,
        /// Why, if it ended by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
}

/// What became of an entry in its session, as far as that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Became {
    /// It had been applied before, and was not again.
    Repeated,
    /// There was no such session any more.
    Expired,
    /// Something else.
    Other,
}

impl Became {
    pub(super) fn of(answer: Option<&SessionAnswer>) -> Self {
        match answer {
            Some(SessionAnswer::Repeated(_)) => Self::Repeated,
            Some(SessionAnswer::SessionExpired) => Self::Expired,
            Some(
                SessionAnswer::Registered { .. }
                | SessionAnswer::Applied(_)
                | SessionAnswer::KeptAlive
                | SessionAnswer::Unregistered
                | SessionAnswer::Limited
                | SessionAnswer::SequenceForgotten
                | SessionAnswer::TooFarAhead
                | SessionAnswer::Malformed,
            )
            | None => Self::Other,
        }
    }

    /// An answer that counts as the same.
    pub(crate) fn answer(self) -> Option<SessionAnswer> {
        match self {
            Self::Repeated => Some(SessionAnswer::Repeated(bytes::Bytes::new())),
            Self::Expired => Some(SessionAnswer::SessionExpired),
            Self::Other => None,
        }
    }
}

/// The file that is written.
#[derive(Debug)]
pub(super) struct Events {
    node: NodeId,
    path: PathBuf,
    /// None once it could not be written.
    file: Mutex<Option<File>>,
}

impl Events {
    /// Goes on with the file at `path`, or begins it.
    pub(super) fn open(path: &Path, node: NodeId) -> Result<Self, Ended> {
        let file = File::options().create(true).append(true).open(path);
        let file = file.map_err(|error| Ended::unavailable(format!("events {}: {error}", path.display())))?;
        Ok(Self { node, path: path.to_owned(), file: Mutex::new(Some(file)) })
    }

    pub(super) fn observe(&self, event: &Event) {
        self.write(Happening::Raft(event.clone()));
    }

    pub(super) fn tell(&self, event: NodeEvent) {
        self.write(Happening::Node(event));
    }

    /// In one write, so that whoever reads along sees whole lines. A file with a hole would lie: after a line that could not
    /// be written none is.
    fn write(&self, happening: Happening) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = file.as_mut() else { return };
        let line = Line { time_ns: monotonic_ns(), node: self.node, happening };
        if let Err(error) = write_line(open, &line) {
            tracing::error!(file = %self.path.display(), %error, "no more events are written");
            *file = None;
        }
    }
}

fn write_line(file: &mut File, line: &Line) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    file.write_all(&bytes)
}

#[cfg(test)]
mod tests {
    use raft_core::{Configuration, Configured, Member, Snapshot, SnapshotId};
    use raft_storage::{DiskFault, DiskFaults};

    use super::*;
    use crate::history::Value;

    /// Each row: what happened, and its line.
    #[test]
    fn a_line_reads_back_as_what_it_was() {
        let index = LogIndex::new(7);
        let reply = Reply::value(Value::Null);
        for (happening, json) in [
            (
                Happening::Raft(Event::Applying { to: index }),
                r#"{"time_ns":5,"node":3,"event":"applying","to":7}"#,
            ),
            (
                Happening::Node(NodeEvent::Applied { index, operation: 9, reply, state: 8 }),
                r#"{"time_ns":5,"node":3,"event":"applied","index":7,"operation":9,"reply":{"value":null,"swapped":null},"state":8}"#,
            ),
            (
                Happening::Node(NodeEvent::ClockOff { fault: 2, monotonic_ns: 0, wall_ns: -800 }),
                r#"{"time_ns":5,"node":3,"event":"clock-off","fault":2,"monotonic_ns":0,"wall_ns":-800}"#,
            ),
            (
                Happening::Node(NodeEvent::Ended { status: 74, why: None }),
                r#"{"time_ns":5,"node":3,"event":"ended","status":74}"#,
            ),
        ] {
            let line = Line { time_ns: 5, node: NodeId::new(3), happening };
            assert_eq!(serde_json::to_string(&line).unwrap(), json);
            assert_eq!(serde_json::from_str::<Line>(json).unwrap(), line);
        }
    }

    /// Which fault has touched a call is read as what it was.
    #[test]
    fn a_line_says_which_fault_has_touched_a_call() {
        let fault = DiskFaults::new(0).begin(DiskFault::default());
        let touched = Touched { writes: 3, ..Touched::default() };
        for event in [NodeEvent::CallTouched { fault, touched }, NodeEvent::GaveOut] {
            let line = Line { time_ns: 5, node: NodeId::new(3), happening: Happening::Node(event) };
            let json = serde_json::to_string(&line).unwrap();
            assert_eq!(serde_json::from_str::<Line>(&json).unwrap(), line, "{json}");
        }
    }

    /// What a node found on its disk comes back from a line as it was, whatever numbers are in it.
    #[test]
    fn a_line_keeps_all_that_was_found() {
        let id = SnapshotId { made_by: Incarnation(u64::MAX - 1), ..SnapshotId::default() };
        let snapshot = Snapshot { id, configured: Configured::default() };
        let configuration = Configuration::of([Member::bound(NodeId::new(1), Incarnation(u64::MAX))]);
        let found = Restored {
            snapshot: Some(snapshot),
            configurations: vec![Configured { at: EntryId::ZERO, configuration }],
            damaged: vec![LogIndex::new(3)],
            ..Restored::default()
        };
        let (incarnation, found) = (Incarnation(u64::MAX), Box::new(found));
        let started = NodeEvent::Started { incarnation, term: Term::new(2), last: EntryId::ZERO, found };
        let line =
            Line { time_ns: monotonic_ns(), node: NodeId::new(1), happening: Happening::Node(started) };
        let json = serde_json::to_string(&line).unwrap();
        assert_eq!(serde_json::from_str::<Line>(&json).unwrap(), line, "{json}");
    }
}
