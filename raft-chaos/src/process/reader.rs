//! How the file in which a node writes what happens in it is read while it is written.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use crate::node::Line;

/// Reads such a file.
#[derive(Debug)]
pub(super) struct Reader {
    path: PathBuf,
    file: Option<File>,
    /// The beginning of a line.
    rest: Vec<u8>,
}

impl Reader {
    /// Of a file that may not be there yet.
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
    use std::io::Write;

    use raft_core::NodeId;

    use super::*;
    use crate::node::{Happening, NodeEvent};

    fn ended(status: u8) -> String {
        let happening = Happening::Node(NodeEvent::Ended { status, why: None });
        serde_json::to_string(&Line { time_ns: 7, node: NodeId::new(1), happening }).unwrap() + "\n"
    }

    /// A file is read as far as its lines are whole, and what a later life writes comes behind.
    #[test]
    fn a_file_is_read_while_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let mut reader = Reader::new(path.clone());
        assert!(reader.read().unwrap().is_empty(), "nobody has written yet");
        let mut file = File::options().create(true).append(true).open(&path).unwrap();
        let mut write = |text: &str| file.write_all(text.as_bytes()).unwrap();
        let mut read = || {
            let status = |line: &Line| match line.happening {
                Happening::Node(NodeEvent::Ended { status, .. }) => status,
                Happening::Node(_) | Happening::Raft(_) => panic!("{line:?}"),
            };
            reader.read().unwrap().iter().map(status).collect::<Vec<_>>()
        };
        for status in [1, 2] {
            write(&ended(status));
            assert_eq!(read(), [status]);
        }
        let (half, rest) = (&ended(3)[..20], &ended(3)[20..]);
        write(half);
        assert!(read().is_empty(), "half a line");
        write(rest);
        assert_eq!(read(), [3]);
    }
}
