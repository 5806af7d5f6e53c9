//! The marker that a directory was closed in order, and what it held then: after that, anything that is missing
//! is damage and not the end of a write that a power cut interrupted.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::StorageError;
use crate::format::CLEAN_STOP;
use crate::record::{seal, unseal};

/// A file that is to be exactly what it was.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Closed {
    name: String,
    bytes: u64,
    crc: u32,
}

/// Leaves the marker, durably. To be called when nothing writes to the directory any more. What was removed before
/// must not come back beside it.
pub(crate) fn mark(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()?;
    let mut marker = Vec::new();
    seal(&closed(directory)?, &mut marker).map_err(io::Error::other)?;
    let mut file = File::create(directory.join(CLEAN_STOP))?;
    file.write_all(&marker)?;
    file.sync_all()?;
    File::open(directory)?.sync_all()
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

/// Takes the marker away, before anything is written.
pub(crate) fn unmark(directory: &Path) -> io::Result<()> {
    match fs::remove_file(directory.join(CLEAN_STOP)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn decode(marker: &[u8]) -> Option<Vec<Closed>> {
    let (closed, rest) = unseal(marker)?;
    rest.is_empty().then_some(closed)
}

/// The files in which RocksDB finds what there is: the manifest, its name, and the write-ahead logs. What is in
/// its tables has checksums of its own, block by block, and the manifest knows their lengths.
fn closed(directory: &Path) -> io::Result<Vec<Closed>> {
    let mut closed = Vec::new();
    for file in directory.read_dir()? {
        let Ok(name) = file?.file_name().into_string() else { continue };
        if name == "CURRENT" || name.starts_with("MANIFEST-") || name.ends_with(".log") {
            let content = fs::read(directory.join(&name))?;
            closed.push(Closed { name, bytes: content.len() as u64, crc: crc32c::crc32c(&content) });
        }
    }
    closed.sort();
    Ok(closed)
}
