//! How a write-ahead log is made whole again of which a record in the middle is damaged. What it said is lost; peers
//! have the entries, and each later record has the state.
//!
//! That is so only where the directory is one group's: its state is in each record, so that the last one says what
//! there is, but for the entries and pieces in the bad record. Of another group the last state might be just there.
//!
//! In the place of what is bad comes a record that says nothing and is as long: RocksDB knows the length of each
//! log but the newest. All of it is tried on a copy before anything is changed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use raft_core::GroupId;

use crate::database::Mode;
use crate::directory::{sync, unread};
use crate::error::StorageError;
use crate::format::{
    DAMAGED, FORMAT, FORMAT_KEY, MENDED, MENDING, META, SNAPSHOT, decode_format, group_of_cluster,
    group_of_state, is_suspect_mark,
};
use crate::inspection::view::View;
use crate::reading::pieces_are_sound;
use crate::state::State;
use crate::wal::{self, End};
use crate::write_batch;

/// Write-ahead logs, and what is to be in them.
pub(crate) struct Salvage {
    mended: Vec<(PathBuf, Vec<u8>)>,
}

/// How the damaged logs of a directory can be made whole; none if something would be lost with it that cannot be had
/// from peers. Changes nothing. Where the directory was not closed in order, the last record may be torn besides.
pub(crate) fn plan(directory: &Path, closed: bool) -> Result<Option<Salvage>, StorageError> {
    let (mut logs, mut mended) = (Vec::new(), Vec::new());
    let files = wal::files(directory).map_err(unread(directory))?;
    let newest = files.last().filter(|_| !closed).cloned();
    for log in files {
        let mut content = fs::read(&log).map_err(unread(&log))?;
        if let End::Damaged { .. } = wal::end(&content) {
            let Some(whole) = make_whole(content) else { return Ok(None) };
            mended.push((log.clone(), whole.clone()));
            content = whole;
        }
        match wal::end(&content) {
            End::Whole => {}
            End::Torn { at } if newest.as_ref() == Some(&log) => content.truncate(at),
            End::Torn { .. } | End::Damaged { .. } => return Ok(None),
        }
        logs.push((log, content));
    }
    if mended.is_empty() {
        return Ok(None);
    }
    let view = View::with_logs(directory, &logs)?;
    let is_certain = view.as_ref().map_or(Ok(false), is_certain)?;
    Ok(is_certain.then_some(Salvage { mended }))
}

impl Salvage {
    /// Puts the logs in their places. What was there stays beside them. May be interrupted anywhere, and is then begun
    /// anew, or is done.
    pub(crate) fn carry_out(self, mode: Mode) -> Result<(), StorageError> {
        for (log, content) in self.mended {
            let path = log.display();
            tracing::warn!(%path, "a damaged record in the write-ahead log is passed over, and looked for");
            replace(&log, &content, mode).map_err(StorageError::io_at("mending a write-ahead log", &log))?;
        }
        Ok(())
    }
}

fn replace(log: &Path, content: &[u8], mode: Mode) -> io::Result<()> {
    let to_be = beside(log, MENDED);
    let mut file = File::create(&to_be)?;
    file.write_all(content)?;
    sync(&file, mode)?;
    match fs::hard_link(log, beside(log, MENDING)) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let directory = File::open(log.parent().unwrap_or(Path::new(".")))?;
    sync(&directory, mode)?;
    fs::rename(&to_be, log)?;
    sync(&directory, mode)
}

fn beside(log: &Path, extension: &str) -> PathBuf {
    log.with_extension(format!("log.{extension}"))
}

/// Whether a log was mended, and what it lost has not been looked for yet.
pub(crate) fn is_unsettled(directory: &Path) -> io::Result<bool> {
    Ok(!named(directory, &[MENDING])?.is_empty())
}

/// What it lost is known.
pub(crate) fn settle(directory: &Path) -> io::Result<()> {
    for log in named(directory, &[MENDING])? {
        fs::rename(&log, log.with_extension(DAMAGED))?;
    }
    Ok(())
}

/// A damaged log that was mended, as it was, if there is one.
pub(crate) fn left_over(directory: &Path) -> io::Result<Option<PathBuf>> {
    Ok(named(directory, &[MENDING, DAMAGED])?.pop())
}

fn named(directory: &Path, extensions: &[&str]) -> io::Result<Vec<PathBuf>> {
    let files = directory.read_dir()?.map(|file| file.map(|file| file.path()));
    let is_one = |file: &PathBuf| extensions.iter().any(|wanted| file.extension() == Some(wanted.as_ref()));
    files.filter(|file| file.as_ref().map_or(true, is_one)).collect()
}

/// Whether nothing is lost but entries, and the beginning of a snapshot.
fn is_certain(view: &View) -> Result<bool, StorageError> {
    let format = match view.get(META, FORMAT_KEY) {
        Ok(format) => format,
        Err(error) => return view.damage(error).map(|_| false),
    };
    if format.is_none_or(|format| decode_format(&format) != Ok(FORMAT)) {
        return Ok(false);
    }
    let Some((group, state)) = only_group(view)? else { return Ok(false) };
    let (Some(whole), Some(mut stored)) = (state.snapshots.whole(), view.records(SNAPSHOT)) else {
        return Ok(state.snapshots.whole().is_none());
    };
    match pieces_are_sound(&mut stored, group, whole, true) {
        Ok(are_sound) => Ok(are_sound),
        Err(error) => view.damage(error).map(|_| false),
    }
}

/// The group of a directory that has one and no others, and can be read.
fn only_group(view: &View) -> Result<Option<(GroupId, State)>, StorageError> {
    let Some(mut stored) = view.records(META) else { return Ok(None) };
    let mut only = None;
    stored.seek_to_first();
    while let Some((key, value)) = stored.item() {
        if key != FORMAT_KEY && group_of_cluster(key).is_none() && !is_suspect_mark(key) {
            let found = group_of_state(key).zip(State::decode(value)).filter(|_| only.is_none());
            let Some(found) = found else { return Ok(None) };
            only = Some(found);
        }
        stored.next();
    }
    match stored.status() {
        Ok(()) => Ok(only),
        Err(error) => view.damage(error).map(|_| None),
    }
}

/// The same log with records that say nothing where it is damaged; none if nothing sound comes after that.
fn make_whole(mut log: Vec<u8>) -> Option<Vec<u8>> {
    while let End::Damaged { at } = wal::end(&log) {
        let (next, sequence) = next_sound(&log, at)?;
        let begin = wal::skip_padding(at);
        let room = wal::room(begin, next)?;
        let nothing = wal::encode(begin, &write_batch::nothing(sequence, room)?);
        log.get_mut(at..begin)?.fill(0);
        log.get_mut(begin..next)?.copy_from_slice(&nothing);
    }
    Some(log)
}

/// Where the next sound record begins after the bad one at `at`, and its sequence number: where the bad one ends by its
/// own length; or else wherever one is that follows what was before, and that all to the end follow, or those to the
/// next bad place.
///
/// What is in an entry may look like a record, or be one: of another log.
fn next_sound(log: &[u8], at: usize) -> Option<(usize, u64)> {
    let before = end_of_sequence(log.get(..at)?);
    // The bad one took at least one number.
    let next = |begin: usize| {
        let is_one = wal::may_begin(log, begin);
        is_one.then(|| first_sequence(log, begin)).flatten().filter(|(first, _)| *first > before)
    };
    let by_length = wal::end_by_length(log, wal::skip_padding(at)).map(wal::skip_padding);
    let mut to_bad_place = None;
    for begin in by_length.into_iter().chain(at + 1..log.len()) {
        match next(begin) {
            Some((first, end)) if Some(begin) == by_length || wal::is_end(log, end) => {
                return Some((begin, first));
            }
            Some((first, _)) => to_bad_place = to_bad_place.or(Some((begin, first))),
            None => {}
        }
    }
    to_bad_place
}

/// The sequence number after the last one in a sound log.
fn end_of_sequence(log: &[u8]) -> u64 {
    let (mut at, mut end) = (0, 0);
    while let Some((payload, next)) = wal::record(log, at) {
        end = write_batch::sequence(&payload).map_or(end, |(first, count)| first.saturating_add(count));
        at = next;
    }
    end
}

/// The sequence number of the record that begins here, if it is one of ours, and the numbers of all that follow it up to
/// a bad place follow one another; and where that place is.
fn first_sequence(log: &[u8], begin: usize) -> Option<(u64, usize)> {
    let (payload, mut at) = wal::record(log, begin)?;
    let (first, count) = write_batch::sequence(&payload)?;
    let mut end = first.checked_add(count)?;
    while let Some((payload, next)) = wal::record(log, at) {
        let (sequence, count) = write_batch::sequence(&payload)?;
        let follows = sequence == end || count == 0 && sequence > end;
        end = sequence.checked_add(count).filter(|_| follows)?;
        at = next;
    }
    Some((first, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is in the records, up to a bad one.
    fn records(log: &[u8]) -> Vec<Vec<u8>> {
        let (mut at, mut records) = (0, Vec::new());
        while let Some((payload, next)) = wal::record(log, at) {
            records.push(payload);
            at = next;
        }
        records
    }

    fn write(log: &mut Vec<u8>, payload: &[u8]) {
        let begin = wal::skip_padding(log.len());
        log.resize(begin, 0);
        let record = wal::encode(begin, payload);
        log.extend(record);
    }

    /// Batches of two, of these lengths.
    fn log(lengths: &[usize]) -> Vec<u8> {
        let mut log = Vec::new();
        for (nth, length) in (0..).zip(lengths) {
            write(&mut log, &batch(10 + 2 * nth, &vec![7; *length]));
        }
        log
    }

    fn batch(sequence: u64, value: &[u8]) -> Vec<u8> {
        write_batch::tests::batch(sequence, &[(b"12345678\0\0\0\0\0\0\0\0", value), (b"12345678state", b"s")])
    }

    /// What is not damaged stays byte by byte, in its place, and the log is as long as it was.
    fn assert_made_whole(sound: &[u8], harmed: &[u8], lost: usize) {
        let mended = make_whole(harmed.to_vec()).unwrap();
        assert_eq!((mended.len(), wal::end(&mended)), (sound.len(), End::Whole));
        let (before, after) = (records(sound), records(&mended));
        let (sequences, mut empty): (Vec<_>, Vec<_>) = after
            .iter()
            .map(|payload| write_batch::sequence(payload).unwrap())
            .partition(|(_, count)| *count > 0);
        assert!(sequences.is_sorted() && sequences.len() == before.len() - lost);
        assert!(
            after.iter().filter(|payload| payload.len() > 12 && !before.contains(payload)).count()
                == empty.len()
        );
        assert!(empty.pop().is_some());
    }

    #[test]
    fn any_bad_record_but_the_last_is_passed_over() {
        let block = 32 * 1024;
        for lengths in [
            [5, 6, 7].as_slice(),
            &[0, 0, 0, 0],
            // Over the ends of blocks, with every length of padding.
            &[block, 3 * block, 9],
            &[block - 100, 20, 20, 20],
            &[block - 70, 20, 20],
            &[block - 71, 20, 20],
            &[block - 76, 20, 20],
            &[2 * block - 80, 20, 20],
        ] {
            let sound = log(lengths);
            let last = sound.len() - 70 - lengths.last().unwrap();
            let step = (last / 200).max(1);
            for at in (0..last).step_by(step) {
                for bit in [0, 3, 7] {
                    let mut harmed = sound.clone();
                    harmed[at] ^= 1 << bit;
                    if matches!(wal::end(&harmed), End::Damaged { .. }) {
                        assert_made_whole(&sound, &harmed, 1);
                    }
                }
            }
        }
    }

    #[test]
    fn two_bad_places_are_passed_over() {
        let sound = log(&[20, 20, 20, 20, 20]);
        let mut harmed = sound.clone();
        (harmed[10], harmed[sound.len() / 2]) = (0xff, 0xff);
        assert_made_whole(&sound, &harmed, 2);
    }

    /// An entry whose command is a piece of another log, with records that check.
    #[test]
    fn a_record_in_an_entry_is_not_taken_for_one() {
        let other = |sequence| {
            let mut other = Vec::new();
            write(&mut other, &batch(sequence, b"stranger"));
            other
        };
        for sequence in [3, 10, 11, 12, 13, 500] {
            let mut sound = log(&[20]);
            let second = sound.len();
            write(&mut sound, &batch(12, &other(sequence)));
            write(&mut sound, &batch(14, b"third"));
            let mut harmed = sound.clone();
            // Its length is bad.
            harmed[second + 4] ^= 1;
            let mended = make_whole(harmed).unwrap();
            let sequences: Vec<_> =
                records(&mended).iter().map(|payload| write_batch::sequence(payload).unwrap()).collect();
            assert_eq!(sequences, [(10, 2), (14, 0), (14, 2)], "{sequence}");
        }
    }

    #[test]
    fn what_is_followed_by_nothing_sound_is_left_alone() {
        let sound = log(&[20, 20]);
        let mut harmed = sound.clone();
        harmed[10] ^= 1;
        let last = sound.len() - 1;
        harmed[last] ^= 1;
        assert_eq!(make_whole(harmed), None);
    }
}
