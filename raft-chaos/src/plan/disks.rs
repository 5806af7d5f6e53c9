//! What is done to disks: faults of one in use, and damage to one of a server that is down. Read and printed here.

use raft_storage::{DiskFault, ReadFault, SyncFault, WriteFault};

use super::values::{self, print_duration};
use super::walk::{Item, Section};
use super::{Damage, Loss, Share, Storage};

pub(super) const WRITES: [(&str, WriteFault); 2] =
    [("enospc", WriteFault::NoSpace), ("error", WriteFault::Error)];
pub(super) const READS: [(&str, ReadFault); 2] =
    [("error", ReadFault::Error), ("bitflip", ReadFault::BitFlip)];

/// The words of `damage`, and whether a disk in memory can have it.
pub(super) const DAMAGES: [(&str, Damage, bool); 8] = [
    ("truncate-log", Damage::TruncateLog, true),
    ("flip-log", Damage::FlipLog, true),
    ("flip-snapshot", Damage::FlipSnapshot, false),
    ("delete:wal", Damage::DeleteWal, false),
    ("delete:sst", Damage::DeleteTable, false),
    ("delete:manifest", Damage::DeleteManifest, false),
    ("delete:current", Damage::DeleteCurrent, false),
    ("delete:snapshot", Damage::DeleteSnapshot, false),
];
/// What comes before how old a copy is that takes the place of a disk; a disk in memory has none.
pub(super) const OLD_COPY: &str = "old-copy:";

impl Damage {
    /// As a plan writes it.
    pub fn text(self) -> String {
        if let Self::OldCopy { age } = self {
            return format!("{OLD_COPY}{}", print_duration(age));
        }
        DAMAGES
            .iter()
            .find(|(_, damage, _)| *damage == self)
            .map_or_else(String::new, |(word, ..)| (*word).into())
    }
}

/// `disk` of the action of that name.
pub(super) fn faults(table: &mut Section<'_>) -> Option<DiskFault> {
    let item = table.required("disk")?;
    let mut disk = item.section()?;
    let is_written = ["fsync", "write", "read"].iter().any(|key| disk.has(key));
    let fault = DiskFault {
        sync: disk.read("fsync", sync),
        write: disk.read("write", |item| item.word(&WRITES)),
        read: disk.read("read", |item| item.word(&READS)),
        calls: disk.read("calls", |item| item.integer(1, i64::MAX.unsigned_abs())),
    };
    disk.finish();
    if !is_written {
        item.wrong("nothing is wrong with it; write fsync, write or read");
    }
    Some(fault)
}

fn sync(item: &Item<'_>) -> Option<SyncFault> {
    let Some(longer) = item.text()?.strip_prefix("slow:") else {
        let words =
            [("slow:DURATION", None), ("error", Some(SyncFault::Error)), ("hang", Some(SyncFault::Hang))];
        return item.word(&words).flatten();
    };
    match values::duration(longer) {
        Ok(longer) if longer.is_zero() => item.expected("more than 0s, as in \"slow:200ms\""),
        Ok(longer) => Some(SyncFault::Slow(longer)),
        Err(what) => {
            item.wrong(&what);
            None
        }
    }
}

/// `disk` of `crash` (which may lose what was not synced) and of `stop`.
pub(super) fn down(table: &mut Section<'_>, crashes: bool, storage: Storage) -> (Loss, Option<Damage>) {
    let mut disk = table.section("disk");
    let mut loss = Loss::None;
    if crashes {
        let torn = disk.read("torn", Item::share).unwrap_or_default();
        let all = Loss::Unsynced { torn };
        let words = [("none", Loss::None), ("unsynced", all)];
        loss = disk.read("lose", |item| item.word(&words)).unwrap_or(Loss::None);
        if loss == Loss::None
            && torn != Share::default()
            && let Some(item) = disk.get("torn")
        {
            item.wrong("nothing is torn where nothing is lost; write lose = \"unsynced\" beside it");
        }
    }
    let damage = disk.read("damage", |item| damage(item, storage));
    disk.finish();
    (loss, damage)
}

fn damage(item: &Item<'_>, storage: Storage) -> Option<Damage> {
    let text = item.raw_text().or_else(|| item.expected("what is damaged, as in \"truncate-log\""))?;
    let known =
        DAMAGES.iter().find(|(word, ..)| *word == text).map(|(_, damage, in_memory)| (*damage, *in_memory));
    let (damage, in_memory) = match (known, text.strip_prefix(OLD_COPY)) {
        (Some(known), _) => known,
        (None, Some(age)) => (old_copy(item, age)?, false),
        (None, None) => {
            let words: Vec<_> = DAMAGES.iter().map(|(word, ..)| *word).collect();
            item.wrong(&format!(
                "{text:?} is unknown; known here are {}, old-copy:DURATION",
                words.join(", ")
            ));
            return None;
        }
    };
    if storage == Storage::Memory && !in_memory {
        item.not_built("a disk in memory has no such thing; write cluster.storage = \"rocksdb\"");
    }
    Some(damage)
}

fn old_copy(item: &Item<'_>, age: &str) -> Option<Damage> {
    match values::duration(age) {
        Ok(age) if age.is_zero() => item.expected("more than 0s, as in \"old-copy:5s\""),
        Ok(age) => Some(Damage::OldCopy { age }),
        Err(what) => {
            item.wrong(&what);
            None
        }
    }
}

/// As a plan writes it.
pub(super) fn faults_text(fault: &DiskFault) -> String {
    let DiskFault { sync, write, read, calls } = fault;
    let sync = sync.map(|sync| match sync {
        SyncFault::Slow(longer) => format!("slow:{}", print_duration(longer)),
        SyncFault::Error => "error".to_owned(),
        SyncFault::Hang => "hang".to_owned(),
        SyncFault::Lie => "lie".to_owned(),
    });
    let sync = sync.map(|sync| format!("fsync = {sync:?}"));
    let write = WRITES.iter().find(|(_, known)| Some(*known) == *write);
    let read = READS.iter().find(|(_, known)| Some(*known) == *read);
    let write = write.map(|(word, _)| format!("write = {word:?}"));
    let read = read.map(|(word, _)| format!("read = {word:?}"));
    let calls = calls.map(|calls| format!("calls = {calls}"));
    format!("{{ {} }}", [sync, write, read, calls].into_iter().flatten().collect::<Vec<_>>().join(", "))
}

/// As a plan writes it; none where nothing happens to the disk.
pub(super) fn down_text(loss: Loss, damage: Option<Damage>) -> Option<String> {
    let loss = match loss {
        Loss::None => None,
        Loss::Unsynced { torn } => Some(format!("lose = \"unsynced\", torn = {torn}")),
    };
    let damage = damage.map(|damage| format!("damage = {:?}", damage.text()));
    let parts: Vec<_> = loss.into_iter().chain(damage).collect();
    (!parts.is_empty()).then(|| format!("{{ {} }}", parts.join(", ")))
}
