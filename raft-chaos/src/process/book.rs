//! What a server under test writes down of itself, as it happens, and how that is read.
//!
//! Every line has the time of the machine's clock that all processes share. In the order of these times a cause comes before
//! its effect: a line is written before anything of it is carried out.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use raft_core::sessions::Answer as SessionAnswer;
use raft_core::{Event, Incarnation, LogIndex, NodeId, Restored};
use serde::{Deserialize, Serialize};

use crate::data::Answer;
use crate::monotonic::monotonic_ns;
use crate::sim::Audience;

/// A line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Line {
    /// When, in nanoseconds of the machine's clock.
    pub(super) at_ns: u64,
    pub(super) what: What,
}

/// What happened inside a server.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum What {
    /// A life began, with this on the disk.
    Started { incarnation: Incarnation, restored: Box<Restored> },
    /// Something that the core tells.
    Event(Event),
    /// An operation was applied.
    Applied { operation: u64, answer: Answer, state: u64 },
    /// An entry was applied where clients have sessions.
    InSessions { index: LogIndex, table: u64, became: Became },
    /// The state machine became what a snapshot says.
    Restored { index: LogIndex, state: u64 },
    /// A read was answered.
    Answered { operation: u64, index: LogIndex },
    /// What came of what it was asked for; none if that is done.
    Asked { ask: usize, refused: Option<String> },
    /// A life ended by itself.
    Ended { why: String },
}

/// What became of an entry in its session, as far as that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Became {
    Repeated,
    Expired,
    Other,
}

impl Became {
    fn of(answer: Option<&SessionAnswer>) -> Self {
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
    pub(super) fn answer(self) -> Option<SessionAnswer> {
        match self {
            Self::Repeated => Some(SessionAnswer::Repeated(bytes::Bytes::new())),
            Self::Expired => Some(SessionAnswer::SessionExpired),
            Self::Other => None,
        }
    }
}

/// Where a server writes. Clones write to the same place.
#[derive(Clone, Debug)]
pub(super) struct Book(Arc<Mutex<File>>);

impl Book {
    /// Goes on where earlier lives have ended.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self(Arc::new(Mutex::new(file))))
    }

    /// Writes this down, and hands it to the operating system, which keeps it whatever becomes of this process.
    pub(super) fn note(&self, what: What) {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let line = Line { at_ns: monotonic_ns(), what };
        let mut bytes = serde_json::to_vec(&line).expect("what happens inside a server is plain data");
        bytes.push(b'\n');
        file.write_all(&bytes).expect("the folder of a run can be written");
    }
}

impl Audience for Book {
    fn applied(&self, _: NodeId, operation: u64, answer: &Answer, state: u64) {
        self.note(What::Applied { operation, answer: answer.clone(), state });
    }

    fn in_sessions(&self, _: NodeId, index: LogIndex, table: u64, answer: Option<&SessionAnswer>) {
        self.note(What::InSessions { index, table, became: Became::of(answer) });
    }

    fn restored(&self, _: NodeId, index: LogIndex, state: u64) {
        self.note(What::Restored { index, state });
    }

    fn answered(&self, _: NodeId, operation: u64, index: LogIndex) {
        self.note(What::Answered { operation, index });
    }
}

/// Reads a book while it is written.
#[derive(Debug)]
pub(super) struct Reader {
    path: PathBuf,
    file: Option<File>,
    /// The beginning of a line.
    rest: Vec<u8>,
}

impl Reader {
    /// Of a book that may not be there yet.
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path, file: None, rest: Vec::new() }
    }

    /// The lines that were not read before.
    pub(super) fn read(&mut self) -> io::Result<Vec<Line>> {
        let file = match &mut self.file {
            Some(file) => file,
            None => match File::open(&self.path) {
                Ok(file) => self.file.insert(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                Err(error) => return Err(error),
            },
        };
        file.read_to_end(&mut self.rest)?;
        let whole = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        let lines: Result<_, _> =
            serde_json::Deserializer::from_slice(&self.rest[..whole]).into_iter().collect();
        self.rest.drain(..whole);
        lines.map_err(|error| io::Error::other(format!("{}: {error}", self.path.display())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A book is read as far as its lines are whole, and what a later life writes comes behind.
    #[test]
    fn a_book_is_read_while_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let mut reader = Reader::new(path.clone());
        assert!(reader.read().unwrap().is_empty(), "nobody has written yet");
        let why =
            |line: &Line| if let What::Ended { why } = &line.what { why.clone() } else { String::new() };
        let mut read = || reader.read().unwrap().iter().map(why).collect::<Vec<_>>();
        for life in ["one", "two"] {
            Book::open(&path).unwrap().note(What::Ended { why: life.to_owned() });
            assert_eq!(read(), [life]);
        }
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"at_ns\":7,\"what\":{\"ended\":{\"wh").unwrap();
        assert!(read().is_empty(), "half a line");
        file.write_all(b"y\":\"three\"}}}\n").unwrap();
        assert_eq!(read(), ["three"]);
    }

    /// What a server found on its disk comes back from a line as it was, and times never go back.
    #[test]
    fn a_line_keeps_all_of_it() {
        let restored = Box::new(Restored { damaged: vec![LogIndex::new(3)], ..Restored::default() });
        let what = What::Started { incarnation: Incarnation(u64::MAX), restored: restored.clone() };
        let line = serde_json::to_string(&Line { at_ns: monotonic_ns(), what }).unwrap();
        let Line { at_ns, what } = serde_json::from_str(&line).unwrap();
        assert!(0 < at_ns && at_ns <= monotonic_ns());
        let What::Started { incarnation, restored: read } = what else { panic!("{line}") };
        assert_eq!((incarnation, read), (Incarnation(u64::MAX), restored));
    }
}
