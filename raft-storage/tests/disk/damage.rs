//! Every byte of a directory is damaged, one at a time, and every file is cut at each length. None of it is
//! believed: what is found is all that was written, or an error that says what to do, or which entries are damaged; and
//! these can be repaired. The bugs that this is for: S9, S10 and S16 of the table in `main`.

use std::path::Path;
use std::sync::Mutex;
use std::{fmt, fs};

use raft_storage::StorageError;
use raft_storage::format::{CLEAN_STOP, LOCK};

use crate::life::{self, Found, scratch};
use crate::parallel::in_parallel;
use crate::recorded::{self, Files};

/// How the directory was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    Clean,
    /// The process was killed after its last write.
    Kill,
}

/// A small directory: what was written first is in tables, what was written last in the write-ahead log.
pub(crate) fn subject(stop: Stop) -> Files {
    let directory = scratch();
    life::live(directory.path(), life::short_script(), |_| {});
    let mut files = recorded::files(directory.path());
    if stop == Stop::Kill {
        files.remove(CLEAN_STOP).unwrap();
    }
    let kinds = [".log", ".sst", "CURRENT", "MANIFEST", "IDENTITY", "OPTIONS"];
    for kind in kinds {
        assert!(files.keys().any(|name| name.contains(kind)), "{kind}");
    }
    files
}

/// What is in there is RocksDB's to write, and it never reads it: shown in `faults`. Or there is nothing in it.
pub(crate) fn holds_nothing(name: &str) -> bool {
    recorded::is_said_of_itself(name) || name == "LOCK" || name == LOCK
}

/// Of the room before a state that is written again, which is zeros, one byte in 64 stands for all.
pub(crate) fn says_nothing(bytes: &[u8], at: usize) -> bool {
    let around = bytes.get(at.saturating_sub(16)..at + 16).unwrap_or(&[1]);
    !recorded::nightly() && !at.is_multiple_of(64) && around.iter().all(|byte| *byte == 0)
}

/// What was done to a file.
#[derive(Clone, Copy, Debug)]
enum Harm {
    Flip { byte: usize, bit: u8 },
    Cut { length: usize },
}

impl Harm {
    const fn place(self) -> usize {
        match self {
            Self::Flip { byte: place, .. } | Self::Cut { length: place } => place,
        }
    }

    fn done_to(self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        match self {
            Self::Flip { byte, bit } => bytes[byte] ^= 1 << bit,
            Self::Cut { length } => bytes.truncate(length),
        }
        bytes
    }
}

/// How many of a kind of file came to which end.
#[derive(Default)]
struct Ends {
    whole: usize,
    refused_when_opened: usize,
    refused_when_read: usize,
    repaired: usize,
    torn: usize,
}

impl fmt::Display for Ends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { whole, refused_when_opened, refused_when_read, repaired, torn } = self;
        write!(
            f,
            "{whole} did no harm, {refused_when_opened} were found when it was opened, {refused_when_read} when it \
             was read, {repaired} were repaired, {torn} read as a torn end"
        )
    }
}

/// Harms a file in each of the ways, each time in a directory that is sound otherwise.
fn harm_all(
    files: &Files,
    stop: Stop,
    is_one: impl Fn(&str) -> bool,
    harms: impl Fn(usize) -> Vec<Harm>,
) -> Ends {
    let wanted = life::states(&life::short_script());
    let ends = Mutex::new(Ends::default());
    let named = files.iter().filter(|(name, _)| is_one(name) && !holds_nothing(name));
    let all: Vec<_> = named
        .flat_map(|(name, bytes)| harms(bytes.len()).into_iter().map(move |harm| (name, harm)))
        .filter(|(name, harm)| !says_nothing(&files[*name], harm.place()))
        .collect();
    assert!(!all.is_empty());
    in_parallel(all.into_iter(), |(name, harm)| {
        let directory = scratch();
        recorded::lay_out(directory.path(), files);
        fs::write(directory.path().join(name), harm.done_to(&files[name])).unwrap();
        find(directory.path(), &wanted, (stop, name), &ends)
            .map_err(|wrong| format!("{name} {harm:?}: {wrong}"))
    });
    ends.into_inner().unwrap()
}

/// What is wrong with what is found.
fn find(
    directory: &Path,
    wanted: &[Vec<Found>; 2],
    (stop, name): (Stop, &str),
    ends: &Mutex<Ends>,
) -> Result<(), String> {
    let all_written =
        |found: &[Found; 2]| found.iter().zip(wanted).all(|(found, all)| all.last() == Some(found));
    // Only what was written last may be missing, and only where nobody can know that it was ever whole.
    let but_the_last = |found: &[Found; 2]| {
        let nearly_all = |all: &[Found], found| all[all.len() - 2..].contains(found);
        found.iter().zip(wanted).all(|(found, all)| nearly_all(all, found))
    };
    let (mut opened, mut repaired) = (false, 0);
    let found = life::open(directory).and_then(|(groups, mut stores)| {
        opened = true;
        for (store, wanted) in stores.iter_mut().zip(wanted) {
            repaired += life::repair(store, wanted.last().map_or(&[], |all| &all.entries))?;
        }
        let [first, second] = stores;
        Ok(([Found::in_store(first)?, Found::in_store(second)?], groups.torn_bytes()))
    });
    let mut ends = ends.lock().unwrap();
    match found {
        Ok((found, 0)) if all_written(&found) && repaired == 0 => ends.whole += 1,
        Ok((found, 0)) if all_written(&found) => match life::read(directory) {
            Ok((found, 0)) if all_written(&found) => ends.repaired += 1,
            again => return Err(format!("repaired, and then found {again:?}")),
        },
        Ok((found, 1..)) if stop == Stop::Kill && name.ends_with(".log") && but_the_last(&found) => {
            ends.torn += 1
        }
        Ok((found, torn)) => return Err(format!("{torn} torn, found {found:?}")),
        Err(error @ (StorageError::Damaged { .. } | StorageError::Corrupt { .. })) => {
            let told = error.to_string();
            let place = if let StorageError::Corrupt { key, .. } = &error {
                key
            } else {
                directory.to_str().unwrap()
            };
            if !told.contains(place) || !told.contains("as a new member") {
                return Err(format!("no place or no cure: {told}"));
            }
            if opened { ends.refused_when_read += 1 } else { ends.refused_when_opened += 1 }
        }
        Err(error) => return Err(format!("neither damage nor sound: {error}")),
    }
    Ok(())
}

fn each_byte(bytes: usize) -> Vec<Harm> {
    (0..bytes).map(|byte| Harm::Flip { byte, bit: u8::try_from(byte % 8).unwrap() }).collect()
}

fn each_bit(bytes: usize) -> Vec<Harm> {
    (0..bytes).flat_map(|byte| (0..8).map(move |bit| Harm::Flip { byte, bit })).collect()
}

fn each_length(bytes: usize) -> Vec<Harm> {
    (0..bytes).map(|length| Harm::Cut { length }).collect()
}

/// The most memory that this process ever had, in MiB.
fn peak_mib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

#[test]
fn after_a_clean_stop_no_flipped_byte_is_believed() {
    let files = subject(Stop::Clean);
    let harms = if recorded::nightly() { each_bit } else { each_byte };
    for kind in [".sst", ".log", "MANIFEST", "CURRENT", "IDENTITY", CLEAN_STOP] {
        let ends = harm_all(&files, Stop::Clean, |name| name.contains(kind), harms);
        println!("{kind}: {ends}");
    }
    let peak = peak_mib();
    assert!(peak < 1024, "a damaged length was believed, and {peak} MiB were asked for");
}

#[test]
fn after_a_kill_no_flipped_byte_is_believed() {
    let files = subject(Stop::Kill);
    // What is in tables has nothing to do with how the directory was left.
    let harms = if recorded::nightly() { each_bit } else { each_byte };
    for (kind, harms) in [(".log", harms), ("MANIFEST", each_bit), ("CURRENT", each_bit)] {
        let ends = harm_all(&files, Stop::Kill, |name| name.contains(kind), harms);
        println!("{kind}: {ends}");
    }
}

/// A store that is shorter than what it says of itself is damaged, and not short.
#[test]
fn after_a_clean_stop_no_file_that_was_cut_is_believed() {
    let files = subject(Stop::Clean);
    for kind in [".sst", ".log", "MANIFEST", "CURRENT", "IDENTITY", CLEAN_STOP] {
        let ends = harm_all(&files, Stop::Clean, |name| name.contains(kind), each_length);
        println!("{kind}: {ends}");
    }
}

/// After a kill a write-ahead log may end anywhere, which is for `power_cut`; everything else may not.
#[test]
fn after_a_kill_no_manifest_that_was_cut_is_believed() {
    let files = subject(Stop::Kill);
    for kind in ["MANIFEST", "CURRENT"] {
        let ends = harm_all(&files, Stop::Kill, |name| name.contains(kind), each_length);
        println!("{kind}: {ends}");
    }
}

/// A file that is missing is damage, and no reason to begin anew.
#[test]
fn no_missing_file_is_believed() {
    for stop in [Stop::Clean, Stop::Kill] {
        let files = subject(stop);
        let wanted = life::states(&life::short_script());
        for missing in files.keys().filter(|name| !holds_nothing(name)) {
            let directory = scratch();
            recorded::lay_out(directory.path(), &files);
            fs::remove_file(directory.path().join(missing)).unwrap();
            let ends = Mutex::new(Ends::default());
            find(directory.path(), &wanted, (stop, missing), &ends).unwrap();
            let ends = ends.into_inner().unwrap();
            let is_harmless = missing == "IDENTITY" || missing == CLEAN_STOP;
            assert_eq!(ends.whole == 1, is_harmless, "{stop:?} without {missing}: {ends}");
        }
    }
}

/// A sector that reads as zeros: RocksDB goes on behind the block that it is in, and says nothing (S9).
#[test]
fn zeros_in_a_write_ahead_log_are_not_passed_over() {
    let files = subject(Stop::Kill);
    let wanted = life::states(&life::short_script());
    let (name, log) = files.iter().find(|(name, _)| name.ends_with(".log")).unwrap();
    let ends = Mutex::new(Ends::default());
    let all: Vec<_> = (0..log.len())
        .filter(|at| !says_nothing(log, *at) && log[*at..].iter().take(64).any(|byte| *byte != 0))
        .collect();
    for &at in &all {
        let directory = scratch();
        recorded::lay_out(directory.path(), &files);
        let mut bytes = log.to_vec();
        let end = bytes.len().min(at + 64);
        bytes[at..end].fill(0);
        fs::write(directory.path().join(name), bytes).unwrap();
        find(directory.path(), &wanted, (Stop::Kill, name), &ends)
            .unwrap_or_else(|wrong| panic!("{at}: {wrong}"));
    }
    let ends = ends.into_inner().unwrap();
    assert!(ends.whole == 0 && ends.refused_when_opened > all.len() / 4, "{ends}");
    println!("{name}: {ends}");
}
