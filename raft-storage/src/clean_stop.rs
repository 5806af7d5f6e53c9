//! The marker that a directory was closed in order, and what it held then: after that, anything that is missing
//! is damage and not the end of a write that a power cut interrupted.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::database::Mode;
use crate::directory;
use crate::error::StorageError;
use crate::format::CLEAN_STOP;
use crate::record::{seal, unseal};
use crate::wal::{self, End};

/// A file that is to be exactly what it was.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Closed {
    name: String,
    bytes: u64,
    crc: u32,
}

/// Leaves the marker, durably. To be called when nothing writes to the directory any more. What was removed before
/// must not come back beside it.
pub(crate) fn mark(directory: &Path, mode: Mode) -> io::Result<()> {
    directory::sync(&File::open(directory)?, mode)?;
    let mut marker = Vec::new();
    seal(&closed(directory)?, &mut marker).map_err(io::Error::other)?;
    let mut file = File::create(directory.join(CLEAN_STOP))?;
    file.write_all(&marker)?;
    directory::sync(&file, mode)?;
    directory::sync(&File::open(directory)?, mode)
}

/// Whether the directory was closed in order. Then it is known to be what it was.
///
/// # Errors
///
/// It was closed in order, and a file is not what it was; or the disk refused.
pub(crate) fn check(directory: &Path) -> Result<bool, StorageError> {
    let reading = StorageError::io("reading what a clean stop left");
    let marker = match fs::read(directory.join(CLEAN_STOP)) {
        Ok(marker) => marker,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(reading(error)),
    };
    // The power went while it was written, or it is damaged itself: then it says nothing.
    let Some(then) = decode(&marker) else { return Ok(false) };
    let now = closed(directory).map_err(reading)?;
    match then
        .iter()
        .find(|file| !now.contains(file))
        .or_else(|| now.iter().find(|file| !then.contains(file)))
    {
        None => Ok(true),
        Some(Closed { name, .. }) => {
            let bytes =
                |files: &[Closed]| files.iter().find(|file| file.name == *name).map(|file| file.bytes);
            let told =
                |bytes: Option<u64>| bytes.map_or("no such file".into(), |bytes| format!("{bytes} bytes"));
            let (then, now) = (told(bytes(&then)), told(bytes(&now)));
            let message = format!("not what was there when it was closed ({then} then, {now} now)");
            Err(StorageError::Damaged { path: directory.join(name), message })
        }
    }
}

/// Whether what is not what it was is one write-ahead log, and it is as long as it was, and whole but for damage in its
/// middle.
pub(crate) fn is_one_log_flipped(directory: &Path) -> Result<bool, StorageError> {
    let reading = StorageError::io("reading what a clean stop left");
    let marker = fs::read(directory.join(CLEAN_STOP)).map_err(&reading)?;
    let now = closed(directory).map_err(&reading)?;
    let then = decode(&marker).unwrap_or_default();
    let mut changed = then.iter().filter(|file| !now.contains(file));
    let (Some(Closed { name, bytes, .. }), None) = (changed.next(), changed.next()) else { return Ok(false) };
    let is_as_long = now.iter().any(|file| (&file.name, file.bytes) == (name, *bytes));
    if then.len() != now.len() || !is_as_long || !directory::is_log(name) {
        return Ok(false);
    }
    let content = fs::read(directory.join(name)).map_err(&reading)?;
    Ok(matches!(wal::end(&content), End::Damaged { .. }))
}

/// Takes the marker away, before anything is written.
pub(crate) fn unmark(directory: &Path) -> io::Result<()> {
    directory::forget(&directory.join(CLEAN_STOP))
}

fn decode(marker: &[u8]) -> Option<Vec<Closed>> {
    let (closed, rest) = unseal(marker)?;
    rest.is_empty().then_some(closed)
}

/// The files in which RocksDB finds what there is. What is in its tables has checksums of its own, block by block, and
/// the manifest knows their lengths.
fn closed(directory: &Path) -> io::Result<Vec<Closed>> {
    let mut closed = Vec::new();
    for file in directory.read_dir()? {
        let Ok(name) = file?.file_name().into_string() else { continue };
        if directory::says_what_there_is(&name) {
            let content = fs::read(directory.join(&name))?;
            closed.push(Closed { name, bytes: content.len() as u64, crc: crc32c::crc32c(&content) });
        }
    }
    closed.sort();
    Ok(closed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, content) in
            [("CURRENT", "MANIFEST-000005\n"), ("MANIFEST-000005", "m"), ("000004.log", "w")]
        {
            fs::write(directory.path().join(name), content).unwrap();
        }
        fs::write(directory.path().join("000008.sst"), "its own checksums").unwrap();
        directory
    }

    #[test]
    fn the_bytes_of_the_marker_are_these() {
        let directory = directory();
        mark(directory.path(), Mode::Production).unwrap();
        let marker = fs::read(directory.path().join(CLEAN_STOP)).unwrap();
        let hex: String = marker.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "014160429c93\
             93aa3030303030342e6c6f6701cef72f63b7\
             93a743555252454e5410ce9e7fdadc\
             93af4d414e49464553542d30303030303501ce8c938ce0"
        );
    }

    /// Each row changes one file; the second column is the file that is told of.
    #[test]
    fn what_is_not_what_it_was_is_told_by_name() {
        for (changed, content, told) in [
            ("CURRENT", Some("MANIFEST-000006\n"), Some("CURRENT")),
            ("MANIFEST-000005", Some("mm"), Some("MANIFEST-000005")),
            ("000004.log", None, Some("000004.log")),
            ("000005.log", Some(""), Some("000005.log")),
            ("000008.sst", None, None),
            ("node.log", Some("said by a node"), None),
            ("MANIFEST-old", Some("m"), None),
        ] {
            let directory = directory();
            mark(directory.path(), Mode::Production).unwrap();
            let path = directory.path().join(changed);
            match content {
                Some(content) => fs::write(&path, content).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            match (check(directory.path()), told) {
                (Err(StorageError::Damaged { path, .. }), Some(told)) => {
                    assert_eq!(path, directory.path().join(told))
                }
                (found, told) => assert_eq!((found, told), (Ok(true), None), "{changed}"),
            }
        }
    }

    /// The power went while it was written: then the directory counts as killed.
    #[test]
    fn a_marker_that_does_not_check_says_nothing() {
        let directory = directory();
        assert_eq!(check(directory.path()), Ok(false));
        mark(directory.path(), Mode::Production).unwrap();
        let path = directory.path().join(CLEAN_STOP);
        let marker = fs::read(&path).unwrap();
        for length in 0..marker.len() {
            fs::write(&path, &marker[..length]).unwrap();
            assert_eq!(check(directory.path()), Ok(false), "{length} bytes of it");
        }
        fs::write(&path, &marker).unwrap();
        assert_eq!(check(directory.path()), Ok(true));
        unmark(directory.path()).unwrap();
        assert_eq!(check(directory.path()), Ok(false));
    }
}
