//! The files of a run that have a JSON object a line, of which large ones are compressed when it is over.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

/// From so many bytes on a file is compressed.
const LARGE: u64 = 8 << 20;
/// The level at which a record of events is a tenth as large, in little time.
const LEVEL: i32 = 3;

/// Opens a record, compressed or not; none if there is neither.
///
/// # Errors
///
/// What the disk refuses; the file is named.
pub(crate) fn open(path: &Path) -> io::Result<Option<Box<dyn BufRead>>> {
    match (File::open(path), File::open(compressed(path))) {
        (Ok(plain), _) => Ok(Some(Box::new(BufReader::new(plain)))),
        (Err(_), Ok(zstd)) => {
            Ok(Some(Box::new(BufReader::new(zstd::Decoder::new(zstd).map_err(|error| named(path, &error))?))))
        }
        (Err(error), Err(_)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        (Err(error), Err(_)) => Err(named(path, &error)),
    }
}

/// The whole text of a record, compressed or not; none if there is neither.
///
/// # Errors
///
/// What the disk refuses, or a text that is none; the file is named.
pub(crate) fn text(path: &Path) -> io::Result<Option<String>> {
    let Some(mut record) = open(path)? else { return Ok(None) };
    let mut text = String::new();
    record.read_to_string(&mut text).map_err(|error| named(path, &error))?;
    Ok(Some(text))
}

/// Each line of a record; none if there is no such file. The last may have been cut off in the middle.
///
/// # Errors
///
/// What the disk refuses, or `InvalidData`; the file is named, and the line.
pub(crate) fn lines<T: DeserializeOwned>(path: &Path) -> io::Result<Option<Vec<T>>> {
    let Some(text) = text(path)? else { return Ok(None) };
    let mut read = Vec::new();
    for (position, line) in text.split_inclusive('\n').enumerate() {
        match serde_json::from_str(line) {
            Ok(line) => read.push(line),
            Err(_) if !line.ends_with('\n') => {}
            Err(error) => {
                let error =
                    io::Error::new(io::ErrorKind::InvalidData, format!("line {}: {error}", position + 1));
                return Err(named(path, &error));
            }
        }
    }
    Ok(Some(read))
}

/// Puts a compressed file in the place of a large one.
///
/// # Errors
///
/// What the disk refuses; the file is named, and still there.
pub(crate) fn compress_if_large(path: &Path) -> io::Result<()> {
    let compress = || {
        if fs::metadata(path)?.len() < LARGE {
            return Ok(());
        }
        let half = path.with_extension("zst.part");
        zstd::stream::copy_encode(File::open(path)?, File::create(&half)?, LEVEL)?;
        fs::rename(half, compressed(path))?;
        fs::remove_file(path)
    };
    compress().map_err(|error| named(path, &error))
}

/// The same error, with the file that it is about.
pub(crate) fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// The error of a record that is not there.
pub(crate) fn missing(path: &Path) -> io::Error {
    named(path, &io::ErrorKind::NotFound.into())
}

fn compressed(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".zst");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_record_is_compressed_and_reads_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        assert_eq!(lines::<u64>(&path).unwrap(), None);
        fs::write(&path, "1\n2\n3").unwrap();
        compress_if_large(&path).unwrap();
        assert!(path.exists(), "a small one stays as it is");
        assert_eq!(lines::<u64>(&path).unwrap(), Some(vec![1, 2, 3]));

        let many: String = (0..LARGE / 4).map(|number| format!("{number}\n")).collect();
        fs::write(&path, &many).unwrap();
        compress_if_large(&path).unwrap();
        assert!(!path.exists() && compressed(&path).exists());
        assert_eq!(text(&path).unwrap().as_deref(), Some(many.as_str()));
    }

    #[test]
    fn a_line_that_is_cut_off_does_not_count_and_a_wrong_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        fs::write(&path, "1\n2\n{\"a\": ").unwrap();
        assert_eq!(lines::<u64>(&path).unwrap(), Some(vec![1, 2]));
        fs::write(&path, "1\nx\n3\n").unwrap();
        let said = lines::<u64>(&path).unwrap_err().to_string();
        assert!(said.contains("events.jsonl: line 2: "), "{said}");
    }
}
