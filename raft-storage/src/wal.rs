//! RocksDB's write-ahead log, read by ourselves where RocksDB refuses it: was the end of the file torn off,
//! or was something damaged that more was written after?
//!
//! The file is a row of blocks; a record lies in one block, or in several as fragments.
//!
//! | bytes | a fragment |
//! | --- | --- |
//! | 4 | CRC32C over type and payload, masked, little-endian |
//! | 2 | length of the payload, little-endian |
//! | 1 | type: 1 the whole record, 2 its first fragment, 3 a middle one, 4 its last; others stand alone |
//! | length | payload |
//!
//! Fewer than seven bytes at the end of a block are padding.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::{fs, io};

const BLOCK: usize = 32 * 1024;
const HEADER: usize = 7;

const FULL: u8 = 1;
const FIRST: u8 = 2;
const MIDDLE: u8 = 3;
const LAST: u8 = 4;

/// How a write-ahead log ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With a whole record.
    Whole,
    /// In the middle of a record; all before `at` is whole, and nothing valid comes after.
    Torn { at: usize },
    /// The record at `at` is bad, and a good one comes after it.
    Damaged { at: usize },
}

/// Cuts the torn end off the newest write-ahead log in `directory`; how many bytes that were. None if its
/// end is not torn: then it is something else that RocksDB refuses.
pub(crate) fn cut_torn_end(directory: &Path) -> io::Result<Option<u64>> {
    let Some(file) = newest(directory)? else { return Ok(None) };
    let bytes = fs::read(&file)?;
    let End::Torn { at } = end(&bytes) else { return Ok(None) };
    let cut = File::options().write(true).open(file)?;
    cut.set_len(at as u64)?;
    cut.sync_all()?;
    Ok(Some((bytes.len() - at) as u64))
}

/// The write-ahead log that is written to: RocksDB numbers its files in the order in which it makes them.
pub(crate) fn newest(directory: &Path) -> io::Result<Option<PathBuf>> {
    let mut newest = None;
    for file in fs::read_dir(directory)? {
        let file = file?.path();
        if file.extension().is_some_and(|extension| extension == "log") {
            newest = newest.max(Some(file));
        }
    }
    Ok(newest)
}

/// How a log with this content ends.
pub(crate) fn end(bytes: &[u8]) -> End {
    let (mut at, mut whole, mut in_record) = (0, 0, false);
    loop {
        at = skip_padding(at);
        if at >= bytes.len() {
            return if in_record { End::Torn { at: whole } } else { End::Whole };
        }
        let Some((kind, next)) = fragment(bytes, at).filter(|(kind, _)| follows(in_record, *kind)) else {
            return if is_followed(bytes, at) { End::Damaged { at: whole } } else { End::Torn { at: whole } };
        };
        at = next;
        in_record = matches!(kind, FIRST | MIDDLE);
        if !in_record {
            whole = next;
        }
    }
}

/// Type and end of the fragment at `at`, if it is there and checks.
fn fragment(bytes: &[u8], at: usize) -> Option<(u8, usize)> {
    let header = bytes.get(at..at + HEADER)?;
    let masked = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
    let length = usize::from(u16::from_le_bytes([header[4], header[5]]));
    let next = at + HEADER + length;
    let in_block = at % BLOCK + HEADER + length <= BLOCK;
    let checked = bytes.get(at + HEADER - 1..next).filter(|_| in_block && header[6] != 0)?;
    (mask(crc32c::crc32c(checked)) == masked).then_some((header[6], next))
}

/// RocksDB stores checksums rotated and shifted, because its payloads hold checksums themselves.
const fn mask(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Whether a fragment of this type may come now.
const fn follows(in_record: bool, kind: u8) -> bool {
    match kind {
        MIDDLE | LAST => in_record,
        FULL | FIRST => !in_record,
        // What stands alone says something of the file, and comes between records.
        _ => !in_record,
    }
}

/// Whether anything valid comes after the bad place at `at`. It may begin at any byte: what is bad may be
/// a length.
fn is_followed(bytes: &[u8], at: usize) -> bool {
    (at + 1..bytes.len()).any(|at| fragment(bytes, at).is_some_and(|(_, next)| next > at + HEADER))
}

const fn skip_padding(at: usize) -> usize {
    let left = BLOCK - at % BLOCK;
    if left < HEADER { at + left } else { at }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(log: &mut Vec<u8>, kind: u8, payload: &[u8]) {
        let checked: Vec<u8> = std::iter::once(kind).chain(payload.iter().copied()).collect();
        log.extend(mask(crc32c::crc32c(&checked)).to_le_bytes());
        log.extend(u16::try_from(payload.len()).unwrap().to_le_bytes());
        log.extend(checked);
    }

    /// Two records, the second one in two fragments over the end of a block.
    fn log() -> (Vec<u8>, usize) {
        let mut log = Vec::new();
        put(&mut log, FULL, &vec![7; BLOCK - HEADER - HEADER - 5]);
        let whole = log.len();
        put(&mut log, FIRST, b"abcde");
        put(&mut log, LAST, b"fgh");
        (log, whole)
    }

    #[test]
    fn a_cut_anywhere_in_a_record_is_a_torn_end() {
        let (log, whole) = log();
        assert_eq!(end(&log), End::Whole);
        assert_eq!(end(&log[..whole]), End::Whole);
        for cut in whole + 1..log.len() {
            assert_eq!(end(&log[..cut]), End::Torn { at: whole }, "{cut}");
        }
    }

    #[test]
    fn a_bad_record_that_is_followed_by_a_good_one_is_damage() {
        let (mut log, whole) = log();
        put(&mut log, FULL, b"after");
        for byte in [0, 4, 6, 100, whole, whole + 4, whole + 8, whole + 14] {
            let mut flipped = log.clone();
            flipped[byte] ^= 1;
            assert!(matches!(end(&flipped), End::Damaged { .. }), "{byte}: {:?}", end(&flipped));
        }
    }

    #[test]
    fn a_bad_last_record_reads_as_a_torn_end() {
        let (mut log, whole) = log();
        let last = log.len() - 1;
        log[last] ^= 1;
        assert_eq!(end(&log), End::Torn { at: whole });
    }
}
