//! The directory that a database is in: how it is made, locked, and read before RocksDB is let at it.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{io, thread};

use crate::clean_stop;
use crate::database::Mode;
use crate::error::StorageError;
use crate::format::LOCK;
use crate::salvage;
use crate::suspect;
use crate::wal::{self, End};

/// How often a lock is asked for that somebody has, and how long after each other. Whoever inspects a directory has
/// its lock for an instant, to know whether anybody else has it.
const LOCK_TRIES: usize = 5;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Makes the directory where there is none, and locks it by the file `lock` in it. The lock is held as long as the
/// file is open.
pub(crate) fn take(path: &Path, mode: Mode, lock: &str) -> Result<File, StorageError> {
    make(path, mode).map_err(StorageError::io_at("making the directory", path))?;
    self::lock(path, lock)
}

/// Checks what RocksDB would not, or would pass over in silence, and mends what only a power cut can have
/// torn, and what can be [salvaged](salvage). Returns how many bytes of a torn end were cut off.
///
/// After a clean stop nothing may be torn. After another, the last record of the newest write-ahead log may be:
/// it was being written, and nobody was told of it.
pub(crate) fn mend(path: &Path, mode: Mode) -> Result<u64, StorageError> {
    let closed = match clean_stop::check(path) {
        Err(error @ StorageError::Damaged { .. }) if clean_stop::is_one_log_flipped(path)? => {
            let Some(salvage) = salvage::plan(path, true)? else { return Err(error) };
            // It is not as it was closed any more. What was looked at just now is not torn.
            unmark(path, mode)?;
            salvage.carry_out(mode)?;
            true
        }
        closed => closed?,
    };
    let torn_bytes = if closed { 0 } else { mend_unclean(path, mode)? };
    unmark(path, mode)?;
    Ok(torn_bytes)
}

fn unmark(path: &Path, mode: Mode) -> Result<(), StorageError> {
    clean_stop::unmark(path)
        .and_then(|()| sync(&File::open(path)?, mode))
        .map_err(StorageError::io_at("taking away what a clean stop left", path))
}

fn mend_unclean(path: &Path, mode: Mode) -> Result<u64, StorageError> {
    match mend_torn(path) {
        Err(error @ StorageError::Damaged { .. }) => {
            let Some(salvage) = salvage::plan(path, false)? else { return Err(error) };
            salvage.carry_out(mode)?;
            mend_torn(path)
        }
        mended => mended,
    }
}

fn mend_torn(path: &Path) -> Result<u64, StorageError> {
    let files = wal::files(path).map_err(unread(path))?;
    if was_never_opened(path).map_err(unread(path))? {
        let current = path.join("CURRENT");
        return forget(&current).map(|()| 0).map_err(StorageError::io_at("beginning anew without", &current));
    }
    mend_manifest(path)?;
    let newest = files.len().saturating_sub(1);
    for (nth, file) in files.into_iter().enumerate() {
        let content = fs::read(&file).map_err(unread(&file))?;
        match wal::end(&content) {
            End::Whole => {}
            End::Torn { at } if nth == newest => {
                suspect::note(path).map_err(StorageError::io_at("noting a torn end", path))?;
                cut(&file, at).map_err(StorageError::io_at("cutting a torn write-ahead log", &file))?;
                return Ok((content.len() - at) as u64);
            }
            End::Torn { at } | End::Damaged { at } => return Err(damaged(file, at)),
        }
    }
    Ok(0)
}

/// Looks for what RocksDB would pass over in the manifest that is in use; the rest is RocksDB's to judge. A torn
/// end, which RocksDB would pass over too, is cut off: where a type in it is that of a recycled log RocksDB reads
/// it for ever.
fn mend_manifest(path: &Path) -> Result<(), StorageError> {
    let manifest = manifest(path)?;
    match wal::end(&fs::read(&manifest).map_err(unread(&manifest))?) {
        End::Whole => Ok(()),
        End::Torn { at } => {
            cut(&manifest, at).map_err(StorageError::io_at("cutting a torn manifest", &manifest))
        }
        End::Damaged { at } => Err(damaged(manifest, at)),
    }
}

/// Whether a file by this name is one in which RocksDB finds what there is: the manifest, its name, and the
/// write-ahead logs.
pub(crate) fn says_what_there_is(name: &str) -> bool {
    name == "CURRENT" || wal::number(name, "MANIFEST-", "").is_some() || is_log(name)
}

/// Whether a file by this name is a write-ahead log.
pub(crate) fn is_log(name: &str) -> bool {
    wal::number(name, "", ".log").is_some()
}

/// Whether a file by this name is a table.
pub(crate) fn is_table(name: &str) -> bool {
    wal::number(name, "", ".sst").is_some()
}

/// The manifest that is in use.
pub(crate) fn manifest(path: &Path) -> Result<PathBuf, StorageError> {
    let current = path.join("CURRENT");
    let manifest = match fs::read(&current) {
        Ok(name) => String::from_utf8(name).ok().map(|name| path.join(name.trim_end())),
        // RocksDB would make a new database here.
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(unread(&current)(error)),
    };
    manifest.filter(|manifest| manifest.is_file()).ok_or_else(|| {
        let message = "it is to name the manifest that is in use, and does not".into();
        StorageError::Damaged { path: current, message }
    })
}

/// Whether RocksDB was interrupted when it made the database. It would refuse what there is of it.
///
/// It writes down its options at the end of opening. Without that file, a table or a write-ahead log nothing
/// was ever written by anybody.
pub(crate) fn was_never_opened(path: &Path) -> io::Result<bool> {
    for file in path.read_dir()? {
        let name = file?.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("OPTIONS-") || is_table(&name) || is_log(&name) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Makes durable what is in a file or a directory. A simulation asks the system to sync nothing.
pub(crate) fn sync(file: &File, mode: Mode) -> io::Result<()> {
    if mode == Mode::Production { file.sync_all() } else { Ok(()) }
}

/// Removes a file, where there is one.
pub(crate) fn forget(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

pub(crate) fn unread(file: &Path) -> impl Fn(io::Error) -> StorageError {
    StorageError::io_at("reading a file", file)
}

fn cut(file: &Path, at: usize) -> io::Result<()> {
    let file = File::options().write(true).open(file)?;
    file.set_len(at as u64)?;
    file.sync_all()
}

pub(crate) fn damaged(path: PathBuf, at: usize) -> StorageError {
    let message = format!("the record at byte {at} is damaged, and more was written after it");
    StorageError::Damaged { path, message }
}

/// Makes the directory where there is none, and its name durable: RocksDB syncs what is in it, but not
/// the directory that it is in.
pub(crate) fn make(path: &Path, mode: Mode) -> io::Result<()> {
    let parent = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return Ok(()),
    };
    if !parent.exists() {
        make(parent, mode)?;
    }
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    sync(&File::open(parent)?, mode)
}

/// Locks a directory that is there, by this file in it, as long as the file is open.
pub(crate) fn lock(path: &Path, name: &str) -> Result<File, StorageError> {
    let file = path.join(name);
    let lock = File::options()
        .create(true)
        .write(true)
        .truncate(false)
        .open(&file)
        .map_err(StorageError::io_at("opening the lock file", &file))?;
    for nth in 1.. {
        match lock.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) if nth < LOCK_TRIES => thread::sleep(LOCK_PAUSE),
            Err(TryLockError::WouldBlock) => return Err(StorageError::Locked { path: path.to_owned() }),
            Err(TryLockError::Error(error)) => {
                return Err(StorageError::io_at("locking the directory", &file)(error));
            }
        }
    }
    Ok(lock)
}

/// Whether somebody has the directory open. Where there are no locks, nobody can know, and it is taken to be closed.
pub(crate) fn is_open(path: &Path) -> io::Result<bool> {
    match File::open(path.join(LOCK)) {
        Ok(lock) => Ok(matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
