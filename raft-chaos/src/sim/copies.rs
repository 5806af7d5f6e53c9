//! Earlier copies of a server's directory, for plans that put one of them back.
//!
//! While a simulated store has its directory open only the write-ahead log changes, and that only grows. So a copy from the end
//! of each life, and how long the log was when, have what a copy of any moment would have had.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use raft_core::Time;

use super::disk::OWN;

/// What a directory was, life by life.
pub(super) struct Copies {
    /// What is copied.
    directory: PathBuf,
    /// Where the copies are put.
    folder: PathBuf,
    lives: Vec<Life>,
    /// Whether the last of the lives goes on.
    goes_on: bool,
}

/// One life of a store.
struct Life {
    /// The name of its write-ahead log.
    log: PathBuf,
    /// How long that was from when on, in order.
    lengths: Vec<(Time, u64)>,
    /// All that was there in the end.
    copy: PathBuf,
}

impl Copies {
    pub(super) fn new(directory: PathBuf) -> Self {
        let folder = directory.with_extension("copies");
        Self { directory, folder, lives: Vec::new(), goes_on: false }
    }

    /// A store has opened the directory, and adds to this write-ahead log.
    pub(super) fn opened(&mut self, now: Time, log: &Path) {
        let log = PathBuf::from(log.file_name().unwrap_or_default());
        let copy = self.folder.join(self.lives.len().to_string());
        self.lives.push(Life { log, lengths: Vec::new(), copy });
        self.goes_on = true;
        self.note(now);
    }

    /// A moment later: how long the log is now.
    pub(super) fn note(&mut self, now: Time) {
        let Some(life) = self.lives.last_mut().filter(|_| self.goes_on) else { return };
        let length = fs::metadata(self.directory.join(&life.log)).expect(OWN).len();
        if life.lengths.last().is_none_or(|(_, last)| *last != length) {
            life.lengths.push((now, length));
        }
    }

    /// The store has closed the directory, and nothing was done to that since.
    pub(super) fn closed(&mut self, now: Time) {
        self.note(now);
        if let Some(life) = self.lives.last().filter(|_| self.goes_on) {
            copy(&self.directory, &life.copy);
        }
        self.goes_on = false;
    }

    /// Nothing is left of what the directory was.
    pub(super) fn forget(&mut self) {
        self.lives.clear();
        self.goes_on = false;
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder).expect(OWN);
        }
    }

    /// The directory becomes what it was at `moment`. Gives how many bytes are not what they were; none where there was no
    /// directory then. Nobody has it open.
    pub(super) fn put_back(&self, moment: Time) -> u64 {
        let began = |life: &&Life| life.lengths.first().is_some_and(|(began, _)| *began <= moment);
        let Some(life) = self.lives.iter().rfind(began) else { return 0 };
        let before = contents(&self.directory);
        let later = life.lengths.partition_point(|(at, _)| *at <= moment);
        let length = life.lengths[..later].last().map_or(0, |(_, length)| *length);
        fs::remove_dir_all(&self.directory).expect(OWN);
        copy(&life.copy, &self.directory);
        let log = fs::File::options().write(true).open(self.directory.join(&life.log)).expect(OWN);
        log.set_len(length.min(log.metadata().expect(OWN).len())).expect(OWN);
        changed(&before, &contents(&self.directory))
    }
}

/// Copies the files of a directory.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect(OWN);
    for file in from.read_dir().expect(OWN) {
        let file = file.expect(OWN);
        fs::copy(file.path(), to.join(file.file_name())).expect(OWN);
    }
}

/// The files of a directory, by name.
fn contents(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = directory.read_dir().expect(OWN).map(|file| file.expect(OWN));
    files.map(|file| (file.file_name().into(), fs::read(file.path()).expect(OWN))).collect()
}

/// How many bytes are in one of the two, or in both and different.
fn changed(before: &BTreeMap<PathBuf, Vec<u8>>, after: &BTreeMap<PathBuf, Vec<u8>>) -> u64 {
    let none = Vec::new();
    let names = before.keys().chain(after.keys().filter(|name| !before.contains_key(*name)));
    let of = |name: &PathBuf| {
        let (before, after) = (before.get(name).unwrap_or(&none), after.get(name).unwrap_or(&none));
        let different = before.iter().zip(after).filter(|(before, after)| before != after).count();
        (different + before.len().abs_diff(after.len())) as u64
    };
    names.map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "000004.log";

    fn at(millis: u64) -> Time {
        Time::from_nanos(millis * 1_000_000)
    }

    /// Two lives: in the first the log grows at 10 and 20 ms, and its end at 30 ms; the second has another file from 40 ms
    /// on. Each row: which moment is put back, the files then, and how many bytes are not what they were.
    #[test]
    fn a_directory_becomes_what_it_was_in_any_moment() {
        for (moment, files, bytes) in [
            (5, vec![("000005.log", "xy"), ("CURRENT", "b")], 0),
            (10, vec![(LOG, "1"), ("CURRENT", "a")], 4),
            (19, vec![(LOG, "1"), ("CURRENT", "a")], 4),
            (25, vec![(LOG, "12"), ("CURRENT", "a")], 5),
            (35, vec![(LOG, "12"), ("CURRENT", "a")], 5),
            (41, vec![("000005.log", "x"), ("CURRENT", "b")], 1),
            (99, vec![("000005.log", "xy"), ("CURRENT", "b")], 0),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let directory = folder.path().join("1");
            fs::create_dir(&directory).unwrap();
            let write = |name: &str, text: &str| fs::write(directory.join(name), text).unwrap();
            let mut copies = Copies::new(directory.clone());
            copies.note(at(1));
            write(LOG, "1");
            write("CURRENT", "a");
            copies.opened(at(10), &directory.join(LOG));
            copies.note(at(15));
            write(LOG, "12");
            copies.note(at(20));
            copies.closed(at(30));
            copies.closed(at(31));
            fs::remove_file(directory.join(LOG)).unwrap();
            write("CURRENT", "b");
            write("000005.log", "x");
            copies.opened(at(40), &directory.join("000005.log"));
            write("000005.log", "xy");
            copies.closed(at(50));
            assert_eq!(copies.put_back(at(moment)), bytes, "{moment}");
            let now: Vec<_> = contents(&directory).into_iter().collect();
            let files = files.iter().map(|(name, text)| (PathBuf::from(name), text.as_bytes().to_vec()));
            assert_eq!(now, files.collect::<Vec<_>>(), "{moment}");
            copies.forget();
            assert_eq!(copies.put_back(at(99)), 0, "nothing is left of it");
        }
    }
}
