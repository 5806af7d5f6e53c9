//! The bytes of a snapshot of a state machine: the files of its database, in frames.
//!
//! ```text
//! frame    +--------+--------+------+------+
//!          | length | CRC32C | kind | body |
//!          | 4      | 4      | 1    |      |
//!          +--------+--------+------+------+
//!
//! kind 1   beginning   MessagePack [format, last applied index]
//! kind 2   file        MessagePack [name, bytes]
//! kind 3   bytes       of the file that was begun last
//! kind 4   end         MessagePack [files, bytes of all files]
//! ```
//!
//! Numbers are little-endian; the length is that of the body. Each CRC32C is over all kinds and bodies up to
//! there, so that frames that are lost, repeated or in another order are noticed. Exactly one beginning, one end, and
//! nothing behind it.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use raft_core::LogIndex;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::places::{self, FORMAT};

/// Of a file, in one frame.
const DATA_BYTES: usize = 256 * 1024;
/// No frame is longer.
const BODY_BYTES_MAX: usize = 1024 * 1024;
const HEAD_BYTES: usize = 9;

const BEGINNING: u8 = 1;
const FILE: u8 = 2;
const DATA: u8 = 3;
const END: u8 = 4;

/// A frame that was read and checks.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Beginning { applied: LogIndex },
    File { name: String, bytes: u64 },
    Data(Vec<u8>),
    End { files: u64, bytes: u64 },
}

#[derive(Serialize, Deserialize)]
struct Beginning {
    format: u32,
    applied: LogIndex,
}

#[derive(Serialize, Deserialize)]
struct FileHead {
    name: String,
    bytes: u64,
}

#[derive(Serialize, Deserialize)]
struct End {
    files: u64,
    bytes: u64,
}

/// What is wrong with a snapshot.
pub(super) fn invalid(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("snapshot of a state machine: {}", what.into()))
}

/// Reads frames, in order.
pub(super) struct Frames<R> {
    from: R,
    crc: u32,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    pub(super) const fn new(from: R) -> Self {
        Self { from, crc: 0 }
    }

    pub(super) async fn next(&mut self) -> io::Result<Frame> {
        let mut head = [0; HEAD_BYTES];
        self.from.read_exact(&mut head).await.map_err(cut_short)?;
        let [a, b, c, d, e, f, g, h, kind] = head;
        let length = usize::try_from(u32::from_le_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        if length > BODY_BYTES_MAX {
            return Err(invalid(format!("a frame of {length} bytes")));
        }
        let mut body = vec![0; length];
        self.from.read_exact(&mut body).await.map_err(cut_short)?;
        self.crc = chained(self.crc, kind, &body);
        if self.crc != u32::from_le_bytes([e, f, g, h]) {
            return Err(invalid("a frame does not match its checksum"));
        }
        match kind {
            BEGINNING => {
                let Beginning { format, applied } = decoded(&body)?;
                if format > FORMAT {
                    return Err(invalid(format!(
                        "its format {format} is later than {FORMAT}, the latest known here"
                    )));
                }
                Ok(Frame::Beginning { applied })
            }
            FILE => decoded(&body).map(|FileHead { name, bytes }| Frame::File { name, bytes }),
            DATA => Ok(Frame::Data(body)),
            END => decoded(&body).map(|End { files, bytes }| Frame::End { files, bytes }),
            _ => Err(invalid(format!("a frame of kind {kind}"))),
        }
    }

    /// That there is nothing behind the last frame.
    pub(super) async fn ended(&mut self) -> io::Result<()> {
        match self.from.read(&mut [0]).await? {
            0 => Ok(()),
            _ => Err(invalid("there is more behind its end")),
        }
    }
}

fn cut_short(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::UnexpectedEof { invalid("it is cut short") } else { error }
}

fn chained(crc: u32, kind: u8, body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(crc, &[kind]), body)
}

fn decoded<T: DeserializeOwned>(body: &[u8]) -> io::Result<T> {
    rmp_serde::from_slice(body).map_err(|error| invalid(error.to_string()))
}

/// The frames of a directory's files, read from disk one at a time. The directory goes with it.
pub(super) struct Source {
    directory: PathBuf,
    applied: LogIndex,
    /// Names and lengths of the files that are to come, the next one last.
    left: Vec<(String, u64)>,
    open: Option<(File, u64)>,
    stage: Stage,
    crc: u32,
    files: u64,
    bytes: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Beginning,
    Files,
    Ended,
}

impl Source {
    /// Of a directory that nothing is written to any more.
    pub(super) fn new(directory: PathBuf, applied: LogIndex) -> io::Result<Self> {
        let mut source = Self {
            directory,
            applied,
            left: Vec::new(),
            open: None,
            stage: Stage::Beginning,
            crc: 0,
            files: 0,
            bytes: 0,
        };
        for file in source.directory.read_dir()? {
            let file = file?;
            let name = file.file_name().into_string().map_err(|_| invalid("a name that is no text"))?;
            source.left.push((name, file.metadata()?.len()));
        }
        source.left.sort_by(|a, b| b.cmp(a));
        Ok(source)
    }

    /// The next frame; empty when all were read.
    pub(super) fn next(&mut self) -> io::Result<Vec<u8>> {
        match self.stage {
            Stage::Beginning => {
                self.stage = Stage::Files;
                self.head(BEGINNING, &Beginning { format: FORMAT, applied: self.applied })
            }
            Stage::Files => self.next_of_files(),
            Stage::Ended => Ok(Vec::new()),
        }
    }

    fn next_of_files(&mut self) -> io::Result<Vec<u8>> {
        if let Some((file, left)) = self.open.as_mut().filter(|(_, left)| *left > 0) {
            let bytes = usize::try_from(*left).unwrap_or(DATA_BYTES).min(DATA_BYTES);
            let mut frame = vec![0; HEAD_BYTES + bytes];
            file.read_exact(&mut frame[HEAD_BYTES..])?;
            *left -= bytes as u64;
            self.bytes += bytes as u64;
            return self.sealed(DATA, frame);
        }
        if let Some((name, bytes)) = self.left.pop() {
            self.open = Some((File::open(self.directory.join(&name))?, bytes));
            self.files += 1;
            return self.head(FILE, &FileHead { name, bytes });
        }
        self.stage = Stage::Ended;
        self.head(END, &End { files: self.files, bytes: self.bytes })
    }

    fn head(&mut self, kind: u8, head: &impl Serialize) -> io::Result<Vec<u8>> {
        let mut frame = vec![0; HEAD_BYTES];
        rmp_serde::encode::write(&mut frame, head).map_err(io::Error::other)?;
        self.sealed(kind, frame)
    }

    fn sealed(&mut self, kind: u8, mut frame: Vec<u8>) -> io::Result<Vec<u8>> {
        let length =
            u32::try_from(frame.len() - HEAD_BYTES).map_err(|_| invalid("a frame that is too long"))?;
        self.crc = chained(self.crc, kind, &frame[HEAD_BYTES..]);
        frame[..4].copy_from_slice(&length.to_le_bytes());
        frame[4..8].copy_from_slice(&self.crc.to_le_bytes());
        frame[8] = kind;
        Ok(frame)
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        // What stays goes when the machine is opened next.
        let _stays = places::remove(&self.directory);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn snapshot() -> Vec<u8> {
        let directory = tempfile::tempdir().unwrap();
        for (name, bytes) in [("CURRENT", 0), ("000007.sst", DATA_BYTES + 1), ("MANIFEST-000005", 9)] {
            fs::write(directory.path().join(name), vec![7; bytes]).unwrap();
        }
        let mut source = Source::new(directory.keep(), LogIndex::new(300)).unwrap();
        let mut all = Vec::new();
        loop {
            match source.next().unwrap() {
                frame if frame.is_empty() => return all,
                frame => all.extend(frame),
            }
        }
    }

    fn read(bytes: &[u8]) -> io::Result<Vec<Frame>> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (mut frames, mut found) = (Frames::new(bytes), Vec::new());
            while !matches!(found.last(), Some(Frame::End { .. })) {
                found.push(frames.next().await?);
            }
            frames.ended().await?;
            Ok(found)
        })
    }

    #[test]
    fn frames_read_as_they_were_written() {
        let file = |name: &str, bytes| Frame::File { name: name.into(), bytes };
        let frames = read(&snapshot()).unwrap();
        assert_eq!(
            frames,
            [
                Frame::Beginning { applied: LogIndex::new(300) },
                file("000007.sst", DATA_BYTES as u64 + 1),
                Frame::Data(vec![7; DATA_BYTES]),
                Frame::Data(vec![7]),
                file("CURRENT", 0),
                file("MANIFEST-000005", 9),
                Frame::Data(vec![7; 9]),
                Frame::End { files: 3, bytes: DATA_BYTES as u64 + 10 },
            ]
        );
    }

    /// Bytes that are flipped, missing, too many or in another order: none is believed.
    #[test]
    fn a_snapshot_that_was_damaged_is_noticed() {
        let sound = snapshot();
        let places = (0..sound.len()).filter(|at| *at < 100 || *at > sound.len() - 100 || at % 5_003 == 0);
        for at in places {
            let mut flipped = sound.clone();
            flipped[at] ^= 1;
            assert!(read(&flipped).is_err(), "byte {at}");
            assert!(read(&sound[..at]).is_err(), "cut at {at}");
        }
        assert!(read(&[&sound[..], &[0]].concat()).is_err(), "a byte too many");
        // The empty file and the one behind it change places: each frame is sound by itself.
        let frame = |at: usize| HEAD_BYTES + usize::from(u16::from_le_bytes([sound[at], sound[at + 1]]));
        let data = sound.len() - frame_from_end(&sound);
        let (first, second) = (data, data + frame(data));
        let swapped = [
            &sound[..first],
            &sound[second..second + frame(second)],
            &sound[first..second],
            &sound[second + frame(second)..],
        ]
        .concat();
        assert_eq!(swapped.len(), sound.len());
        assert!(read(&swapped).is_err(), "files in another order");
    }

    /// How far from the end the frame of the empty file begins.
    fn frame_from_end(sound: &[u8]) -> usize {
        let name = sound.windows(7).rposition(|bytes| bytes == b"CURRENT").unwrap();
        sound.len() - (name - 2 - HEAD_BYTES)
    }

    #[test]
    fn a_later_format_and_a_frame_without_end_are_refused() {
        let mut later = Vec::new();
        rmp_serde::encode::write(&mut later, &Beginning { format: FORMAT + 1, applied: LogIndex::ZERO })
            .unwrap();
        let length = u32::try_from(later.len()).unwrap();
        let crc = chained(0, BEGINNING, &later);
        let later = [&length.to_le_bytes()[..], &crc.to_le_bytes(), &[BEGINNING], &later].concat();
        assert!(read(&later).unwrap_err().to_string().contains("later than"));
        let endless = [&u32::MAX.to_le_bytes()[..], &[0; 5]].concat();
        assert!(read(&endless).unwrap_err().to_string().contains("a frame of 4294967295 bytes"));
    }
}
