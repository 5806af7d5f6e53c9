//! RocksDB's write-ahead logs, read by ourselves before RocksDB reads them: was the end of a file torn off, or
//! was something damaged that more was written after? The manifest has the same form.
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
//!
//! RocksDB's own reading does not do: in each of its modes it takes seven zeros for the end of a block and goes
//! on behind it, so that a sector that reads as zeros takes synced records with it; and in a manifest it takes a
//! record that seems to reach past the end of the file for that end, whatever follows.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

const BLOCK: usize = 32 * 1024;
const HEADER: usize = 7;

const FULL: u8 = 1;
const FIRST: u8 = 2;
const MIDDLE: u8 = 3;
const LAST: u8 = 4;

/// How a log ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With a whole record.
    Whole,
    /// In the middle of a record; all before `at` is whole, and no other record comes after it.
    Torn { at: usize },
    /// The record at `at` is bad, and another one comes after it.
    Damaged { at: usize },
}

/// The write-ahead logs of a directory, oldest first: RocksDB numbers its files in the order in which it makes
/// them.
pub(crate) fn files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for file in directory.read_dir()? {
        let file = file?.path();
        let name = file.file_name().and_then(OsStr::to_str);
        if let Some(number) = name.and_then(|name| number(name, "", ".log")) {
            files.push((number, file));
        }
    }
    files.sort();
    Ok(files.into_iter().map(|(_, file)| file).collect())
}

/// The number of a file of RocksDB's that has this name; none of a file that is not RocksDB's: whatever else lies in a
/// directory may end in the same way.
pub(crate) fn number(name: &str, before: &str, after: &str) -> Option<u64> {
    let number = name.strip_prefix(before)?.strip_suffix(after)?;
    number.bytes().all(|byte| byte.is_ascii_digit()).then(|| number.parse().ok())?
}

/// Whether the log ends at `at`, in order or torn: nothing sound comes after it.
pub(crate) fn is_end(bytes: &[u8], at: usize) -> bool {
    let at = skip_padding(at);
    at >= bytes.len() || !is_followed(bytes, at)
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
    let (kind, masked, next) = header(bytes, at)?;
    let checked = bytes.get(at + HEADER - 1..next)?;
    (mask(crc32c::crc32c(checked)) == masked).then_some((kind, next))
}

/// Type, masked checksum and end of a fragment, as its header says, if that can be so.
fn header(bytes: &[u8], at: usize) -> Option<(u8, u32, usize)> {
    let header = bytes.get(at..at + HEADER)?;
    let masked = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
    let next = at + HEADER + usize::from(u16::from_le_bytes([header[4], header[5]]));
    let in_block = at % BLOCK + (next - at) <= BLOCK;
    (in_block && header[6] != 0).then_some((header[6], masked, next))
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

/// Whether another record begins after the bad place at `at`.
fn is_followed(bytes: &[u8], at: usize) -> bool {
    is_followed_by_its_length(bytes, at) || is_followed_by_a_record(bytes, at)
}

/// By its own header the bad record ends before the file does. What a power cut tears ends with the file.
fn is_followed_by_its_length(bytes: &[u8], at: usize) -> bool {
    let rest = end_by_length(bytes, at).and_then(|end| bytes.get(end..));
    rest.is_some_and(|rest| rest.iter().any(|byte| *byte != 0))
}

/// Whether a record may begin here, by the type that would be its own.
pub(crate) fn may_begin(bytes: &[u8], at: usize) -> bool {
    matches!(bytes.get(at + HEADER - 1), Some(&(FULL | FIRST)))
}

/// Where the record at `at` ends by what its own headers say, whether it checks or not.
pub(crate) fn end_by_length(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let (kind, _, next) = header(bytes, at)?;
        match kind {
            FULL | LAST => return Some(next),
            FIRST | MIDDLE => at = skip_padding(next),
            _ => return None,
        }
    }
}

/// What is in the first record at or behind `at`, in all its fragments, and where it ends; none if one of them does not
/// check. What stands alone is passed over.
pub(crate) fn record(bytes: &[u8], at: usize) -> Option<(Vec<u8>, usize)> {
    let (mut at, mut payload, mut in_record) = (skip_padding(at), Vec::new(), false);
    loop {
        let (kind, next) = fragment(bytes, at).filter(|(kind, _)| follows(in_record, *kind))?;
        if matches!(kind, FULL | FIRST | MIDDLE | LAST) {
            payload.extend_from_slice(bytes.get(at + HEADER..next)?);
        }
        if matches!(kind, FULL | LAST) {
            return Some((payload, next));
        }
        in_record = matches!(kind, FIRST | MIDDLE);
        at = skip_padding(next);
    }
}

/// How much is in a record from `begin` to before `end`; none if there is no such record.
pub(crate) fn room(begin: usize, end: usize) -> Option<usize> {
    let (mut at, mut room) = (begin, 0);
    while at < end {
        let next = end.min(at + BLOCK - at % BLOCK);
        room += (next - at).checked_sub(HEADER)?;
        at = next;
    }
    (at == end && at > begin).then_some(room)
}

/// The bytes of a record that begins at `begin`, and has at least a header's room in its block.
pub(crate) fn encode(begin: usize, payload: &[u8]) -> Vec<u8> {
    let (mut record, mut rest, mut is_first) = (Vec::new(), payload, true);
    loop {
        let at = begin + record.len();
        let padding = skip_padding(at) - at;
        record.resize(record.len() + padding, 0);
        let at = at + padding;
        let (now, later) = rest.split_at(rest.len().min(BLOCK - at % BLOCK - HEADER));
        let kind = match (is_first, later.is_empty()) {
            (true, true) => FULL,
            (true, false) => FIRST,
            (false, false) => MIDDLE,
            (false, true) => LAST,
        };
        let checked = [&[kind], now].concat();
        record.extend(mask(crc32c::crc32c(&checked)).to_le_bytes());
        let [low, high, ..] = now.len().to_le_bytes();
        record.extend([low, high]);
        record.extend(checked);
        if later.is_empty() {
            return record;
        }
        (rest, is_first) = (later, false);
    }
}

/// It may begin at any byte: what is bad may be a length. Later fragments of the same record say nothing: a
/// power cut may keep any pages of one write.
fn is_followed_by_a_record(bytes: &[u8], at: usize) -> bool {
    (at + 1..bytes.len().saturating_sub(HEADER))
        .filter(|at| may_begin(bytes, *at))
        .any(|at| fragment(bytes, at).is_some_and(|(_, next)| next > at + HEADER))
}

/// Where the next fragment begins after what ends at `at`.
pub(crate) const fn skip_padding(at: usize) -> usize {
    let left = BLOCK - at % BLOCK;
    if left < HEADER { at + left } else { at }
}

#[cfg(test)]
mod tests {
    use std::fs;

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

    /// The beginning of what follows is gone as well: it is seen by the length of what is bad.
    #[test]
    fn a_bad_record_that_ends_before_the_file_is_damage() {
        let mut log = Vec::new();
        put(&mut log, FULL, b"before");
        let (middle, second) = (log.len() - 2, log.len() + HEADER + 2);
        put(&mut log, FULL, b"after");
        log[middle..second].fill(0);
        assert_eq!(end(&log), End::Damaged { at: 0 });
    }

    /// A file that grew before its pages were written, and pages of one write that were written out of order.
    #[test]
    fn zeros_and_later_fragments_of_the_torn_record_are_a_torn_end() {
        let (mut log, whole) = log();
        let zeros = [&log[..whole], &[0; 100]].concat();
        assert_eq!(end(&zeros), End::Torn { at: whole });
        log[whole..whole + HEADER].fill(0);
        assert_eq!(end(&log), End::Torn { at: whole });
    }

    /// RocksDB would go on behind the block, and say nothing.
    #[test]
    fn zeros_in_the_place_of_a_record_that_is_followed_are_damage() {
        let (mut log, _) = log();
        put(&mut log, FULL, b"after");
        log[..HEADER].fill(0);
        assert_eq!(end(&log), End::Damaged { at: 0 });
    }

    #[test]
    fn files_are_in_the_order_of_their_numbers() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["000009.log", "1000000.log", "999999.log", "LOG", "x.log", "+1.log", "000010.sst"] {
            fs::write(directory.path().join(name), "").unwrap();
        }
        let files = files(directory.path()).unwrap();
        let names: Vec<_> = files.iter().map(|file| file.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["000009.log", "999999.log", "1000000.log"]);
    }
}
