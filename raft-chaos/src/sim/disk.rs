//! What survives a server's crash: its disk, what is wrong with that, and how it is damaged.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use raft_core::{GroupId, LogIndex, Rng, Time};
use raft_storage::{DiskFaults, Loss, MemoryDisk, StoredRecords, SyncedWal, delete_snapshot};

use super::copies::Copies;
use super::nanos;
use crate::plan::{Damage, Storage};

/// A handle on a server's disk. Clones are handles on the same one.
#[derive(Clone)]
pub(crate) struct Disk {
    pub(super) kept: Kept,
    pub(crate) faults: DiskFaults,
}

/// What is on it.
#[derive(Clone)]
pub(super) enum Kept {
    Memory(MemoryDisk),
    Rocksdb {
        folder: PathBuf,
        /// What a power cut would do now.
        wal: Arc<Mutex<Option<SyncedWal>>>,
        /// What it was, where a plan may put that back.
        copies: Option<Arc<Mutex<Copies>>>,
    },
}

/// What damage did.
#[derive(Clone, Debug, Default)]
pub(super) struct Damaged {
    /// How many bytes are not what they were.
    pub(super) bytes: u64,
    /// The entry that was hit, or the first of those.
    pub(super) entry: Option<LogIndex>,
}

/// A file of the run's own can be read, written and removed.
pub(super) const OWN: &str = "a folder of this run's own is at its disposal";

impl Disk {
    pub(super) fn new(storage: Storage, folder: PathBuf, seed: u64) -> Self {
        let kept = match storage {
            Storage::Memory => Kept::Memory(MemoryDisk::new()),
            Storage::Rocksdb => Kept::Rocksdb { folder, wal: Arc::default(), copies: None },
        };
        Self { kept, faults: DiskFaults::new(seed) }
    }

    /// The same, of which is known what it was at any time.
    pub(super) fn with_copies(mut self) -> Self {
        if let Kept::Rocksdb { folder, copies, .. } = &mut self.kept {
            *copies = Some(Arc::new(Mutex::new(Copies::new(folder.clone()))));
        }
        self
    }

    /// A store has been opened on it.
    pub(super) fn opened(&self, now: Time, synced: Option<SyncedWal>) {
        if let Kept::Rocksdb { wal, .. } = &self.kept {
            if let Some(synced) = &synced {
                self.copies(|copies| copies.opened(now, synced.file()));
            }
            *wal.lock().unwrap_or_else(PoisonError::into_inner) = synced;
        }
    }

    /// A moment later.
    pub(super) fn note(&self, now: Time) {
        self.copies(|copies| copies.note(now));
    }

    /// No store has it open any more; what is done to it is done after this.
    pub(super) fn closed(&self, now: Time) {
        self.copies(|copies| copies.closed(now));
    }

    /// Its server has stopped in order, and no store has it open any more.
    pub(super) fn stopped(&self, now: Time) {
        self.closed(now);
        if let Kept::Rocksdb { wal, .. } = &self.kept
            && let Some(wal) = wal.lock().unwrap_or_else(PoisonError::into_inner).take()
        {
            wal.clean_stop().expect(OWN);
        }
    }

    fn copies<T: Default>(&self, work: impl FnOnce(&mut Copies) -> T) -> T {
        match &self.kept {
            Kept::Rocksdb { copies: Some(copies), .. } => {
                work(&mut copies.lock().unwrap_or_else(PoisonError::into_inner))
            }
            Kept::Rocksdb { copies: None, .. } | Kept::Memory(_) => T::default(),
        }
    }

    /// All that is on it is gone. Nobody has it open.
    pub(super) fn wipe(&self) {
        match &self.kept {
            Kept::Memory(disk) => disk.wipe(),
            Kept::Rocksdb { folder, wal, .. } => {
                self.copies(Copies::forget);
                *wal.lock().unwrap_or_else(PoisonError::into_inner) = None;
                if folder.exists() {
                    fs::remove_dir_all(folder).expect(OWN);
                }
            }
        }
    }

    /// The power of a server that has been dropped goes. Of what was not synced nothing is left, or, with
    /// `part` of 2^32, that part of the possible lengths. Returns how many bytes were lost.
    pub(super) fn power_cut(&self, part: Option<u64>) -> u64 {
        let share = |unsynced: u64| {
            let lengths = u128::from(unsynced) + 1;
            u64::try_from((lengths * u128::from(part.unwrap_or(0))) >> 32).unwrap_or(0)
        };
        match &self.kept {
            Kept::Memory(disk) => {
                let keep = usize::try_from(share(disk.unsynced() as u64)).unwrap_or(usize::MAX);
                disk.crash(Loss::Unsynced { keep })
            }
            Kept::Rocksdb { wal, .. } => {
                let wal = wal.lock().unwrap_or_else(PoisonError::into_inner).take();
                wal.map_or(0, |wal| wal.power_cut(share).expect(OWN))
            }
        }
    }

    /// It refused something, and its server has ended: what was not synced may all be there, or a part of it, or
    /// nothing.
    pub(super) fn gave_out(&self, rng: &mut Rng) {
        let torn = rng.below(1 << 32);
        match rng.below(3) {
            0 => {}
            1 => drop(self.power_cut(None)),
            _ => drop(self.power_cut(Some(torn))),
        }
    }

    /// Damages it. Nobody has it open. `choose` draws one of the entries of the log that can be hit.
    pub(super) fn damage(
        &self,
        damage: Damage,
        now: Time,
        choose: impl FnOnce(&[LogIndex], &mut Rng) -> Option<LogIndex>,
        rng: &mut Rng,
    ) -> Damaged {
        let place = rng.next_u64();
        match &self.kept {
            Kept::Memory(disk) => {
                let log = disk.log();
                let entries: Vec<_> = log.ids().map(|id| id.index).collect();
                damage_memory(disk, damage, choose(&entries, rng))
            }
            Kept::Rocksdb { folder, wal, .. } if folder.exists() => {
                *wal.lock().unwrap_or_else(PoisonError::into_inner) = None;
                let records = StoredRecords::find(folder).expect(OWN);
                let entries: Vec<_> = records.entries().collect();
                match damage {
                    Damage::FlipLog => {
                        let entry = choose(&entries, rng);
                        let flip = |index: LogIndex| records.flip_entry(index, place).expect(OWN);
                        let entry = entry.filter(|index| flip(*index));
                        Damaged { bytes: u64::from(entry.is_some()), entry }
                    }
                    Damage::FlipSnapshot => {
                        Damaged { bytes: u64::from(records.flip_piece(place).expect(OWN)), entry: None }
                    }
                    Damage::TruncateLog => damaged(cut(&named(folder, is_wal), place)),
                    Damage::DeleteWal => damaged(delete(&named(folder, is_wal))),
                    Damage::DeleteTable => damaged(delete(&one(named(folder, is_table), place))),
                    Damage::DeleteManifest => {
                        damaged(delete(&named(folder, |name| name.starts_with("MANIFEST-"))))
                    }
                    Damage::DeleteCurrent => damaged(delete(&named(folder, |name| name == "CURRENT"))),
                    // One that does not even open has none.
                    Damage::DeleteSnapshot => damaged(delete_snapshot(folder, GroupId(0)).unwrap_or(0)),
                    Damage::OldCopy { age } => {
                        let moment = now.as_nanos().checked_sub(nanos(age)).map(Time::from_nanos);
                        damaged(self.copies(|copies| moment.map_or(0, |moment| copies.put_back(moment))))
                    }
                }
            }
            Kept::Rocksdb { .. } => Damaged::default(),
        }
    }
}

/// A plan that asks a disk in memory for more has been refused.
fn damage_memory(disk: &MemoryDisk, damage: Damage, entry: Option<LogIndex>) -> Damaged {
    match (damage, entry) {
        (Damage::FlipLog, Some(index)) if disk.rot(index) => Damaged { bytes: 1, entry },
        (Damage::TruncateLog, Some(index)) => Damaged { bytes: disk.cut(index), entry },
        (
            Damage::FlipLog
            | Damage::TruncateLog
            | Damage::FlipSnapshot
            | Damage::DeleteWal
            | Damage::DeleteTable
            | Damage::DeleteManifest
            | Damage::DeleteCurrent
            | Damage::DeleteSnapshot
            | Damage::OldCopy { .. },
            _,
        ) => Damaged::default(),
    }
}

const fn damaged(bytes: u64) -> Damaged {
    Damaged { bytes, entry: None }
}

fn is_wal(name: &str) -> bool {
    name.ends_with(".log")
}

fn is_table(name: &str) -> bool {
    name.ends_with(".sst")
}

/// The files of such a name that are not empty, in order.
fn named(folder: &Path, is_wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let files = folder.read_dir().expect(OWN).map(|file| file.expect(OWN).path());
    let name = |file: &Path| file.file_name().and_then(|name| name.to_str()).is_some_and(&is_wanted);
    let mut files: Vec<_> = files.filter(|file| name(file) && bytes(file) > 0).collect();
    files.sort();
    files
}

fn one(files: Vec<PathBuf>, place: u64) -> Vec<PathBuf> {
    let nth = usize::try_from(place % files.len().max(1) as u64).unwrap_or(0);
    files.into_iter().skip(nth).take(1).collect()
}

fn delete(files: &[PathBuf]) -> u64 {
    let gone = |file: &PathBuf| {
        let bytes = bytes(file);
        fs::remove_file(file).expect(OWN);
        bytes
    };
    files.iter().map(gone).sum()
}

/// Cuts the newest of the files.
fn cut(files: &[PathBuf], place: u64) -> u64 {
    let Some(file) = files.last() else { return 0 };
    let length = bytes(file);
    let kept = place % length.max(1);
    fs::File::options().write(true).open(file).and_then(|file| file.set_len(kept)).expect(OWN);
    length - kept
}

fn bytes(file: &Path) -> u64 {
    file.metadata().expect(OWN).len()
}
