//! The one file that a backup is:
//!
//! ```text
//! raft-chaos backup
//! 3c91b2f7 {"format":1,"node":4,...,"files":[{"name":"000012.sst","bytes":2048,"crc32c":1234567},...]}
//! the bytes of the files, in that order, and nothing behind them
//! ```
//!
//! Before the JSON, which is [`About`], stands its CRC32C, and the JSON has that of each file: no bit of a backup can be
//! flipped, and no byte be missing, unnoticed.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Write};
use std::path::{Path, PathBuf};

use raft_core::{ClusterId, EntryId, LogIndex, NodeId};
use serde::{Deserialize, Serialize};

use super::beside;
use crate::node::Ended;

/// The number of this form. A later one is refused.
pub const FORMAT: u32 = 1;

const FIRST_LINE: &[u8] = b"raft-chaos backup\n";
/// No second line is longer.
const ABOUT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What a backup says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The number of its form: [`FORMAT`].
    pub format: u32,
    /// Whose directory it was.
    pub node: NodeId,
    /// The kind of data in it.
    pub kind: String,
    /// The cluster that the node was of; none where it had never heard from it.
    pub cluster: Option<ClusterId>,
    /// The life that the directory was in, in hexadecimal digits.
    pub incarnation: String,
    /// Which servers the cluster had, as far as the node knew; none if those that it began with.
    pub members: Option<String>,
    /// The last entry of the log. What came after it is not in the backup.
    pub last: EntryId,
    /// The log is known to be committed as far as this.
    pub committed: LogIndex,
    /// The entries that are not known to have been committed, and will be where this is restored: the first and the last.
    pub to_be_committed: Option<(LogIndex, LogIndex)>,
    /// The cluster had committed this, which is after the last entry: that much is missing for certain.
    pub known_lost: Option<EntryId>,
    /// The bytes that are there of a write that was interrupted. They do not count.
    pub torn_bytes: u64,
    /// Whether the log may have been longer: its end was torn off, and the node has not caught up with a leader since.
    #[serde(default)]
    pub suspect: bool,
    /// The files of the directory, in the order in which their bytes follow.
    pub files: Vec<Copied>,
}

/// A file in a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    /// Its name.
    pub name: String,
    /// How long it is.
    pub bytes: u64,
    /// The checksum of all of it.
    pub crc32c: u32,
}

/// The sum of a file, as it is.
pub(super) fn sum(path: &Path) -> io::Result<(u64, u32)> {
    let mut sum = Summed::new(io::sink());
    io::copy(&mut File::open(path)?, &mut sum)?;
    Ok((sum.bytes, sum.crc))
}

/// Writes a backup of the files of `directory` to `to`, where nothing is: all of it or nothing, and durably. Returns how
/// long it is.
pub(super) fn write(about: &About, directory: &Path, to: &Path) -> Result<u64, Ended> {
    let refused = |error: io::Error| {
        Ended::unavailable(format!("backup {}: {error}; mend the disk, or make room on it", to.display()))
    };
    let (folder, names) = beside(to);
    let mut file = names.tempfile_in(folder).map_err(refused)?;
    write_head(about, file.as_file_mut()).map_err(refused)?;
    for copied in &about.files {
        let from = directory.join(&copied.name);
        let mut sum = Summed::new(file.as_file_mut());
        let of = File::open(&from).and_then(|mut from| io::copy(&mut from, &mut sum)).map_err(refused)?;
        if (of, sum.crc) != (copied.bytes, copied.crc32c) {
            return Err(changed(&from));
        }
    }
    let written = file.as_file().sync_all().and_then(|()| Ok(file.as_file().metadata()?.len()));
    let bytes = written.map_err(refused)?;
    file.persist_noclobber(to).map_err(|error| refused(error.error))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(refused)?;
    Ok(bytes)
}

/// Somebody wrote to this, who does not ask for locks.
pub(super) fn changed(path: &Path) -> Ended {
    Ended::unavailable(format!(
        "{}: written to while it was backed up; see to it that nothing uses it, then try again",
        path.display()
    ))
}

fn write_head(about: &About, to: &mut File) -> io::Result<()> {
    let about = serde_json::to_vec(about)?;
    to.write_all(FIRST_LINE)?;
    write!(to, "{:08x} ", crc32c::crc32c(&about))?;
    to.write_all(&about)?;
    to.write_all(b"\n")
}

/// A backup that is being read.
pub(super) struct Archive {
    path: PathBuf,
    from: BufReader<File>,
    pub(super) about: About,
}

impl Archive {
    /// Reads what a backup says of itself.
    ///
    /// # Errors
    ///
    /// It is none, it is damaged, a later version wrote it, or the disk refused.
    pub(super) fn open(path: &Path) -> Result<Self, Ended> {
        let name = path.display();
        let refused = |error: io::Error| Ended::unavailable(format!("backup {name}: {error}"));
        let file = File::open(path).map_err(|error| {
            if error.kind() == io::ErrorKind::NotFound {
                Ended::usage(format!("backup {name}: there is no such file"))
            } else {
                refused(error)
            }
        })?;
        let (mut from, mut first, mut second) = (BufReader::new(file), Vec::new(), Vec::new());
        (&mut from).take(FIRST_LINE.len() as u64).read_to_end(&mut first).map_err(refused)?;
        if first != FIRST_LINE {
            return Err(Ended::usage(format!(
                "backup {name}: it does not begin as one; name a file that `raft-chaos backup` made"
            )));
        }
        (&mut from).take(ABOUT_BYTES_MAX).read_until(b'\n', &mut second).map_err(refused)?;
        let about = head(&second).ok_or_else(|| damaged(path, "its second line is not what was written"))?;
        let found = about.get("format").and_then(serde_json::Value::as_u64);
        if found.is_some_and(|found| found > u64::from(FORMAT)) {
            return Err(Ended::unavailable(format!(
                "backup {name}: its format is later than {FORMAT}, the latest known here; restore it by a version that \
                 knows it"
            )));
        }
        let about = serde_json::from_value(about)
            .map_err(|error| damaged(path, &format!("its second line: {error}")))?;
        Ok(Self { path: path.to_owned(), from, about })
    }

    /// Writes its files into an empty folder, durably but for the folder itself.
    ///
    /// # Errors
    ///
    /// It is damaged, or the disk refused.
    pub(super) fn unpack(mut self, folder: &Path) -> Result<About, Ended> {
        for Copied { name, bytes, crc32c } in &self.about.files {
            // Whoever made it: nothing leads to another folder.
            if Path::new(name).file_name() != Some(name.as_ref()) {
                return Err(damaged(&self.path, &format!("a file by the name of {name:?}")));
            }
            let to = folder.join(name);
            let refused = |error: io::Error| {
                Ended::unavailable(format!("{}: {error}; mend the disk, or make room on it", to.display()))
            };
            let mut sum = Summed::new(File::create_new(&to).map_err(refused)?);
            io::copy(&mut (&mut self.from).take(*bytes), &mut sum).map_err(refused)?;
            if sum.bytes != *bytes {
                return Err(damaged(&self.path, &format!("{name}: it is cut short there")));
            }
            if sum.crc != *crc32c {
                return Err(damaged(
                    &self.path,
                    &format!("{name}: its bytes are not those that were backed up"),
                ));
            }
            sum.to.sync_all().map_err(refused)?;
        }
        match self.from.read(&mut [0]) {
            Ok(0) => Ok(self.about),
            Ok(_) => Err(damaged(&self.path, "there is more behind its end")),
            Err(error) => Err(Ended::unavailable(format!("backup {}: {error}", self.path.display()))),
        }
    }
}

/// What stands in the second line, if it is what was written.
fn head(line: &[u8]) -> Option<serde_json::Value> {
    let (crc, rest) = line.split_at_checked(8)?;
    let about = rest.strip_prefix(b" ")?.strip_suffix(b"\n")?;
    // As it was written, and in no other way of writing numbers.
    (format!("{:08x}", crc32c::crc32c(about)).as_bytes() == crc).then_some(())?;
    serde_json::from_slice(about).ok()
}

fn damaged(path: &Path, what: &str) -> Ended {
    Ended::damaged(path, format!("{what}; restore another backup"))
}

/// Counts what is written, and sums it up.
struct Summed<W> {
    to: W,
    bytes: u64,
    crc: u32,
}

impl<W> Summed<W> {
    const fn new(to: W) -> Self {
        Self { to, bytes: 0, crc: 0 }
    }
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.bytes += written as u64;
        self.crc = crc32c::crc32c_append(self.crc, &bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
