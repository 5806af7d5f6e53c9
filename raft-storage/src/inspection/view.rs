//! A directory as it was at one moment, in a folder of its own that RocksDB may be let at.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use std::{fs, io, thread};

use rocksdb::{ColumnFamilyDescriptor, DB, DBRawIterator, DBRecoveryMode, ErrorKind, Options, ReadOptions};
use tempfile::TempDir;

use super::{Problem, Stop};
use crate::clean_stop;
use crate::database::refused;
use crate::directory::{self, damaged, unread};
use crate::error::StorageError;
use crate::format::{CLEAN_STOP, LOCK, LOG, META, SNAPSHOT};
use crate::wal::{self, End};

/// How often a directory is looked at that somebody writes to, until all that is held of it is of one moment.
const TRIES: usize = 50;
const PAUSE: Duration = Duration::from_millis(20);

/// What was found.
pub(super) struct Taken {
    /// None if there is nothing to be read.
    pub(super) view: Option<View>,
    pub(super) stop: Stop,
    pub(super) torn_bytes: u64,
    /// Whether the view has all that there is.
    pub(super) complete: bool,
    pub(super) problems: Vec<Problem>,
}

/// Fields are dropped in this order: the folder goes last.
pub(crate) struct View {
    db: DB,
    folder: TempDir,
    directory: PathBuf,
}

/// What tells whether a directory has changed meanwhile.
#[derive(PartialEq, Eq)]
struct Moment {
    is_open: bool,
    /// Length and time of what RocksDB keeps data in, and of the marker of a clean stop.
    files: BTreeMap<String, (u64, SystemTime)>,
}

impl Moment {
    fn of(directory: &Path) -> Result<Self, StorageError> {
        let is_open = directory::is_open(directory)
            .map_err(StorageError::io_at("looking for a server on", directory))?;
        let mut files = BTreeMap::new();
        for file in directory.read_dir().map_err(unread(directory))? {
            let file = file.map_err(unread(directory))?;
            let Ok(name) = file.file_name().into_string() else { continue };
            if !holds_data(&name) && name != CLEAN_STOP {
                continue;
            }
            match file.metadata().and_then(|about| Ok((about.len(), about.modified()?))) {
                Ok(about) => drop(files.insert(name, about)),
                // It has gone since.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(unread(&file.path())(error)),
            }
        }
        Ok(Self { is_open, files })
    }
}

fn holds_data(name: &str) -> bool {
    directory::says_what_there_is(name) || directory::is_table(name)
}

/// Looks at the directory until all that was seen is of one moment.
///
/// Files of a server that runs come and go. Until they are held, something may be missing that is no damage.
pub(super) fn take(directory: &Path) -> Result<Taken, StorageError> {
    if !directory.is_dir() {
        return Err(not_a_store(directory, "there is no such directory"));
    }
    for _ in 0..TRIES {
        let before = Moment::of(directory)?;
        let taken = take_once(directory, &before);
        let is_certain = taken.as_ref().is_ok_and(|taken| {
            taken.view.is_some() && taken.problems.is_empty() && taken.stop == Stop::Running
        });
        if is_certain || before == Moment::of(directory)? {
            return taken;
        }
        thread::sleep(PAUSE);
    }
    Err(StorageError::Changing { path: directory.to_owned() })
}

fn not_a_store(directory: &Path, message: &str) -> StorageError {
    StorageError::NotAStore { path: directory.to_owned(), message: message.into() }
}

fn take_once(directory: &Path, moment: &Moment) -> Result<Taken, StorageError> {
    // Whoever opens a store makes this file before any other.
    let is_ours = directory.join(LOCK).exists();
    if !is_ours && !moment.files.keys().any(|name| holds_data(name)) {
        return Err(not_a_store(directory, "it has none of a store's files"));
    }
    let mut problems = Vec::new();
    let closed = match clean_stop::check(directory) {
        Ok(closed) => closed,
        Err(error) => {
            problems.push(Problem::of(error)?);
            true
        }
    };
    let stop = match (moment.is_open, closed) {
        (true, _) => Stop::Running,
        (false, true) => Stop::Clean,
        (false, false) => Stop::Unclean,
    };
    let complete = problems.is_empty();
    let mut taken = Taken { view: None, stop, torn_bytes: 0, complete, problems };
    if directory::was_never_opened(directory).map_err(unread(directory))? {
        return Ok(taken);
    }
    let folder = tempfile::Builder::new().prefix("raft-inspect-").tempdir();
    let folder = folder.map_err(StorageError::io("making a scratch folder"))?;
    let held = match taken.fill(&folder, directory) {
        Ok(held) => held,
        // What can be read is nothing.
        Err(error) => {
            taken.found(Problem::of(error)?);
            return Ok(taken);
        }
    };
    match open(&folder, taken.complete) {
        Ok(Some(db)) => taken.view = Some(View { db, folder, directory: directory.to_owned() }),
        // It was made, and that was interrupted, unless something was written to it.
        Ok(None) if is_ours => {
            let missing = "it does not name all column families, and something was written to them";
            if held.has_data().map_err(unread(directory))? {
                taken.found(Problem::file(&held.manifest, missing));
            }
        }
        Ok(None) => return Err(not_a_store(directory, "its database is another one's")),
        Err(error) => {
            let message = damage(error, &folder, directory)?;
            taken.found(Problem::file(place(&message, directory), message));
        }
    }
    Ok(taken)
}

impl Taken {
    fn found(&mut self, problem: Problem) {
        self.complete = false;
        // A file that is damaged is seen to be in more than one way.
        if self.problems.iter().all(|told| told.place != problem.place) {
            self.problems.push(problem);
        }
    }

    /// Copies what may still change, and links to what does not.
    fn fill(&mut self, folder: &TempDir, directory: &Path) -> Result<Held, StorageError> {
        let held = Held::of(directory)?;
        held.copy_manifest(folder)?;
        self.copy_write_ahead_logs(folder, &held.logs)?;
        held.link_tables(folder)?;
        Ok(held)
    }

    /// As the store does it that opens them, but for what is damaged: that is told of, and what was written before
    /// it is read all the same.
    fn copy_write_ahead_logs(
        &mut self,
        folder: &TempDir,
        logs: &[(PathBuf, File)],
    ) -> Result<(), StorageError> {
        let newest = logs.len().saturating_sub(1);
        let is_closed = self.stop == Stop::Clean && self.complete;
        for (nth, (path, log)) in logs.iter().enumerate() {
            let content = content(log).map_err(unread(path))?;
            let end = if is_closed { End::Whole } else { wal::end(&content) };
            let whole = match end {
                End::Whole => content.len(),
                End::Torn { at } | End::Damaged { at } => at,
            };
            write(folder, Path::new(path.file_name().unwrap_or_default()), &content[..whole])?;
            match end {
                End::Whole => {}
                End::Torn { at } if nth == newest && self.stop != Stop::Clean => {
                    // A server that runs is about to write the rest.
                    let is_running = self.stop == Stop::Running;
                    self.torn_bytes = if is_running { 0 } else { (content.len() - at) as u64 };
                }
                End::Torn { at } | End::Damaged { at } => {
                    self.found(Problem::of(damaged(path.clone(), at))?);
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// The files in which RocksDB keeps data, by what the manifest said at one moment. They are held open: what is removed
/// from now on can be read all the same.
struct Held {
    manifest: PathBuf,
    content: Vec<u8>,
    /// Oldest first.
    logs: Vec<(PathBuf, File)>,
    tables: Vec<(PathBuf, File)>,
}

impl Held {
    /// Nothing is removed that the manifest has not told of before. So if the manifest says nothing new when all
    /// are open, these are they.
    fn of(directory: &Path) -> Result<Self, StorageError> {
        let mut tries = 0..TRIES;
        loop {
            let manifest = directory::manifest(directory)?;
            let content = fs::read(&manifest).map_err(unread(&manifest))?;
            let logs = opened(wal::files(directory).map_err(unread(directory))?)?;
            let tables = opened(tables(directory).map_err(unread(directory))?)?;
            let now = manifest.metadata().map_err(unread(&manifest))?.len();
            let is_last = tries.next().is_none();
            if is_last || now == content.len() as u64 && directory::manifest(directory)? == manifest {
                return Ok(Self { manifest, content, logs, tables });
            }
        }
    }

    fn copy_manifest(&self, folder: &TempDir) -> Result<(), StorageError> {
        let Self { manifest, content, .. } = self;
        let whole = match wal::end(content) {
            End::Whole => &content[..],
            End::Torn { at } => &content[..at],
            End::Damaged { at } => return Err(damaged(manifest.clone(), at)),
        };
        let name = manifest.file_name().unwrap_or_default();
        write(folder, Path::new("CURRENT"), &[name.as_encoded_bytes(), b"\n"].concat())?;
        write(folder, Path::new(name), whole)
    }

    fn link_tables(&self, folder: &TempDir) -> Result<(), StorageError> {
        for (path, table) in &self.tables {
            let at = folder.path().join(path.file_name().unwrap_or_default());
            link(path, table, &at).map_err(StorageError::io_at("linking to", path))?;
        }
        Ok(())
    }

    /// Whether anything but the manifest says something.
    fn has_data(&self) -> io::Result<bool> {
        for (_, log) in &self.logs {
            if log.metadata()?.len() > 0 {
                return Ok(true);
            }
        }
        Ok(!self.tables.is_empty())
    }
}

fn tables(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut tables = Vec::new();
    for file in directory.read_dir()? {
        let file = file?;
        if file.file_name().to_str().is_some_and(directory::is_table) {
            tables.push(file.path());
        }
    }
    Ok(tables)
}

/// Those that are still there.
fn opened(files: Vec<PathBuf>) -> Result<Vec<(PathBuf, File)>, StorageError> {
    let mut opened = Vec::new();
    for path in files {
        match File::open(&path) {
            Ok(file) => opened.push((path, file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(unread(&path)(error)),
        }
    }
    Ok(opened)
}

fn content(mut file: &File) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    file.read_to_end(&mut content)?;
    Ok(content)
}

fn write(folder: &TempDir, name: &Path, content: &[u8]) -> Result<(), StorageError> {
    let path = folder.path().join(name);
    fs::write(&path, content).map_err(StorageError::io_at("copying to", &path))
}

/// Nothing is ever written through the link: RocksDB never opens a table for writing that is there. Where the system
/// lends a name to a file that is open, it leads to the table even if that is removed meanwhile.
#[cfg(target_os = "linux")]
fn link(path: &Path, table: &File, at: &Path) -> io::Result<()> {
    let name = PathBuf::from(format!("/proc/self/fd/{}", table.as_raw_fd()));
    let name = if name.exists() { name } else { path.canonicalize()? };
    std::os::unix::fs::symlink(name, at)
}

#[cfg(not(target_os = "linux"))]
fn link(path: &Path, _table: &File, at: &Path) -> io::Result<()> {
    #[cfg(unix)]
    return std::os::unix::fs::symlink(path.canonicalize()?, at);
    #[cfg(not(unix))]
    return fs::copy(path, at).map(drop);
}

/// None if the database is not a store's, or does not have its column families yet.
fn open(folder: &TempDir, complete: bool) -> Result<Option<DB>, rocksdb::Error> {
    let mut options = Options::default();
    if complete {
        options = options.get_options_from_string("track_and_verify_wals=true")?;
        options.set_track_and_verify_wals_in_manifest(true);
    }
    options.create_if_missing(false);
    options.set_paranoid_checks(true);
    options.set_wal_recovery_mode(DBRecoveryMode::AbsoluteConsistency);
    options.set_max_file_opening_threads(1);
    let families = DB::list_cf(&options, folder.path())?;
    if [LOG, SNAPSHOT, META].iter().any(|name| !families.iter().any(|family| family == name)) {
        return Ok(None);
    }
    let families = families.into_iter().map(|name| ColumnFamilyDescriptor::new(name, options.clone()));
    DB::open_cf_descriptors_read_only(&options, folder.path(), families, false).map(Some)
}

/// What RocksDB says, if it is that something is damaged or missing. Where it was.
fn damage(error: rocksdb::Error, folder: &TempDir, directory: &Path) -> Result<String, StorageError> {
    let is_missing = || error.as_ref().contains("No such file");
    if error.kind() == ErrorKind::Corruption || error.kind() == ErrorKind::IOError && is_missing() {
        let (scratch, directory) = (folder.path().display().to_string(), directory.display().to_string());
        Ok(error.as_ref().replace(&scratch, &directory))
    } else {
        Err(refused("reading the database")(error))
    }
}

/// The file that RocksDB names; the directory if it names none.
fn place(message: &str, directory: &Path) -> PathBuf {
    let is_between = |c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '-';
    let message = message.replace(&directory.display().to_string(), "");
    let named = message.split(is_between).map(|word| word.trim_matches('.')).find(|word| holds_data(word));
    named.map_or_else(|| directory.to_owned(), |name| directory.join(name))
}

impl View {
    /// A directory that nobody else has, as it would be with these write-ahead logs; none if a store would not open it.
    pub(crate) fn with_logs(
        directory: &Path,
        logs: &[(PathBuf, Vec<u8>)],
    ) -> Result<Option<Self>, StorageError> {
        let folder = tempfile::Builder::new().prefix("raft-mend-").tempdir();
        let folder = folder.map_err(StorageError::io("making a scratch folder"))?;
        let held = Held::of(directory)?;
        held.copy_manifest(&folder)?;
        held.link_tables(&folder)?;
        for (path, content) in logs {
            write(&folder, Path::new(path.file_name().unwrap_or_default()), content)?;
        }
        match open(&folder, true) {
            Ok(db) => Ok(db.map(|db| Self { db, folder, directory: directory.to_owned() })),
            Err(error) => damage(error, &folder, directory).map(|_| None),
        }
    }

    /// The records of a column family.
    pub(crate) fn records(&self, family: &'static str) -> Option<DBRawIterator<'_>> {
        let mut options = ReadOptions::default();
        options.fill_cache(false);
        Some(self.db.raw_iterator_cf_opt(self.db.cf_handle(family)?, options))
    }

    pub(crate) fn get(&self, family: &'static str, key: &[u8]) -> Result<Option<Vec<u8>>, rocksdb::Error> {
        self.db.cf_handle(family).map_or(Ok(None), |family| self.db.get_cf(family, key))
    }

    /// What an error of RocksDB says, if it is that something is damaged.
    pub(crate) fn damage(&self, error: rocksdb::Error) -> Result<String, StorageError> {
        damage(error, &self.folder, &self.directory)
    }
}
