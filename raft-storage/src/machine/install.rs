//! How a snapshot becomes the state: its files are written beside those of the old one, and when all of it is durable
//! and opens, one rename makes it the one that counts.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use raft_core::LogIndex;
use tokio::io::AsyncRead;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::data::Data;
use super::frames::{Frame, Frames, invalid};
use super::places::{self, Places};
use super::{MachineOptions, Opened};

/// So many frames wait between whoever sends them and the disk.
const FRAMES_WAITING: usize = 2;

/// Reads a snapshot to its end and installs it. Whatever goes wrong before the last step, and wherever the power
/// goes, the state is what it was.
pub(super) async fn install(
    places: Arc<Places>,
    options: MachineOptions,
    snapshot: impl AsyncRead + Unpin,
) -> io::Result<Opened> {
    let (frames, waiting) = mpsc::channel(FRAMES_WAITING);
    // On a thread where waiting for a disk holds nobody up. It ends when no more frames come.
    let writing = spawn_blocking(move || write(&places, options, waiting));
    let fed = feed(snapshot, &frames).await;
    drop(frames);
    let written = writing.await.map_err(io::Error::other)?;
    // What was wrong with the snapshot comes first: that it is cut short then is no news.
    fed.and(written)
}

/// Hands over frame by frame, the last one when it is known that nothing comes behind it.
async fn feed(snapshot: impl AsyncRead + Unpin, to: &mpsc::Sender<Frame>) -> io::Result<()> {
    let mut frames = Frames::new(snapshot);
    loop {
        let frame = frames.next().await?;
        let is_last = matches!(frame, Frame::End { .. });
        if is_last {
            frames.ended().await?;
        }
        // Where the disk refuses, nobody takes it, and says why.
        if to.send(frame).await.is_err() || is_last {
            return Ok(());
        }
    }
}

fn write(places: &Places, options: MachineOptions, frames: mpsc::Receiver<Frame>) -> io::Result<Opened> {
    let (number, directory) = places.make_state()?;
    let installed = Incoming::new(&directory).write(frames).and_then(|applied| {
        let (data, found) = Data::open(&directory, options).map_err(io::Error::other)?;
        if found != applied {
            return Err(invalid(format!(
                "it is to be that of entry {applied}, and is that of entry {found}"
            )));
        }
        places.name(number).map_err(io::Error::other)?;
        Ok(Opened { data, number, applied })
    });
    if installed.is_err() {
        // What stays goes when the machine is opened next.
        let _stays = places::remove(&directory);
    }
    installed
}

/// The files that have come.
struct Incoming {
    directory: PathBuf,
    names: BTreeSet<String>,
    /// The one that is coming, and how much of it is to come.
    open: Option<(File, u64)>,
    bytes: u64,
}

impl Incoming {
    fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), names: BTreeSet::new(), open: None, bytes: 0 }
    }

    /// Writes what comes, durably. Returns the last entry that was applied to it.
    fn write(mut self, mut frames: mpsc::Receiver<Frame>) -> io::Result<LogIndex> {
        let Some(Frame::Beginning { applied }) = frames.blocking_recv() else {
            return Err(invalid("it has no beginning"));
        };
        while let Some(frame) = frames.blocking_recv() {
            match frame {
                Frame::File { name, bytes } => self.begin(name, bytes)?,
                Frame::Data(data) => self.go_on(&data)?,
                Frame::End { files, bytes } => {
                    self.close()?;
                    if (files, bytes) != (self.names.len() as u64, self.bytes) {
                        return Err(invalid("files are missing"));
                    }
                    File::open(&self.directory)?.sync_all()?;
                    return Ok(applied);
                }
                Frame::Beginning { .. } => return Err(invalid("it has two beginnings")),
            }
        }
        Err(invalid("it is cut short"))
    }

    fn begin(&mut self, name: String, bytes: u64) -> io::Result<()> {
        self.close()?;
        if !is_a_name(&name) || !self.names.insert(name.clone()) {
            return Err(invalid(format!("a file by the name of {name:?}")));
        }
        self.open = Some((File::create_new(self.directory.join(name))?, bytes));
        Ok(())
    }

    fn go_on(&mut self, data: &[u8]) -> io::Result<()> {
        let Some((file, left)) = &mut self.open else { return Err(invalid("bytes of no file")) };
        *left = left.checked_sub(data.len() as u64).ok_or_else(|| invalid("a file is longer than it was"))?;
        self.bytes += data.len() as u64;
        file.write_all(data)
    }

    fn close(&mut self) -> io::Result<()> {
        match self.open.take() {
            Some((file, 0)) => file.sync_all(),
            Some(_) => Err(invalid("a file is shorter than it was")),
            None => Ok(()),
        }
    }
}

/// Names as RocksDB gives them: nothing that leads to another directory, whoever sent it.
fn is_a_name(name: &str) -> bool {
    let is_sound = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=64).contains(&name.len()) && name.bytes().all(is_sound) && !name.starts_with('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(frames: Vec<Frame>) -> io::Result<LogIndex> {
        let directory = tempfile::tempdir().unwrap();
        let (sender, waiting) = mpsc::channel(frames.len().max(1));
        for frame in frames {
            sender.try_send(frame).unwrap();
        }
        drop(sender);
        Incoming::new(directory.path()).write(waiting)
    }

    /// Each row is made of sound frames, and is no snapshot.
    #[test]
    fn frames_that_make_no_snapshot_are_refused() {
        let beginning = || Frame::Beginning { applied: LogIndex::new(3) };
        let file = |name: &str, bytes| Frame::File { name: name.into(), bytes };
        let data = |bytes| Frame::Data(vec![0; bytes]);
        let end = |files, bytes| Frame::End { files, bytes };
        let sound = vec![beginning(), file("CURRENT", 3), data(1), data(2), file("x", 0), end(2, 3)];
        assert_eq!(written(sound).unwrap(), LogIndex::new(3));
        for (frames, what) in [
            (vec![], "no beginning"),
            (vec![file("CURRENT", 0)], "no beginning"),
            (vec![beginning()], "cut short"),
            (vec![beginning(), beginning()], "two beginnings"),
            (vec![beginning(), data(1)], "bytes of no file"),
            (vec![beginning(), file("x", 1), data(2)], "longer"),
            (vec![beginning(), file("x", 2), data(1), file("y", 0)], "shorter"),
            (vec![beginning(), file("x", 2), data(1), end(1, 1)], "shorter"),
            (vec![beginning(), file("x", 0), file("x", 0)], "\"x\""),
            (vec![beginning(), file("x", 0), end(2, 0)], "missing"),
            (vec![beginning(), file("x", 1), data(1), end(1, 2)], "missing"),
        ] {
            let error = written(frames).unwrap_err().to_string();
            assert!(error.contains(what), "{error} is not {what}");
        }
        for name in ["", ".", "..", "../x", "/x", "a/b", "a\\b", "a\0", ".hidden", &"x".repeat(65)] {
            let error = written(vec![beginning(), file(name, 0)]).unwrap_err().to_string();
            assert!(error.contains("by the name of"), "{error}");
        }
    }
}
