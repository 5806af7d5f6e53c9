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
pub(super) const DAMAGES: [(&str, Damage, bool); 7] = [
    ("truncate-log", Damage::TruncateLog, true),
    ("flip-log", Damage::FlipLog, true),
    ("flip-snapshot", Damage::FlipSnapshot, false),
    ("delete:wal", Damage::DeleteWal, false),
    ("delete:sst", Damage::DeleteTable, false),
    ("delete:manifest", Damage::DeleteManifest, false),
    ("delete:current", Damage::DeleteCurrent, false),
];
pub(super) const DELETE_SNAPSHOT: &str = "delete:snapshot";
pub(super) const OLD_COPY: &str = "old-copy:";

impl Damage {
    /// Its name in a plan.
    pub fn name(self) -> &'static str {
        DAMAGES.iter().find(|(_, damage, _)| *damage == self).map_or("", |(name, ..)| *name)
    }
}

/// `disk` of the action of that name.
pub(super) fn faults(table: &mut Section<'_>) -> Option<DiskFault> {
    let item = table.required("disk")?;
    let mut disk = item.section()?;
    let is_written = ["fsync", "write", "read"].iter().any(|key| disk.has(key));
    let fault = DiskFault {
        sync: disk.read("fsync", sync),
        write: disk.read("write", |item| item.word(&WRITES.map(|(word, fault)| (word, Some(fault))))),
        read: disk.read("read", |item| item.word(&READS.map(|(word, fault)| (word, Some(fault))))),
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
        return item.word(&words);
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
        let words = [("none", Some(Loss::None)), ("unsynced", Some(all))];
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
    if let Some(age) = text.strip_prefix(OLD_COPY) {
        match values::duration(age) {
            Ok(_) => item.not_built("known but not built yet; leave it out"),
            Err(what) => item.wrong(&what),
        }
        return None;
    }
    if text == DELETE_SNAPSHOT {
        item.not_built("no store here keeps snapshots in files of their own; write \"flip-snapshot\"");
        return None;
    }
    let Some((_, damage, in_memory)) = DAMAGES.iter().find(|(word, ..)| *word == text) else {
        let words: Vec<_> = DAMAGES.iter().map(|(word, ..)| *word).chain([DELETE_SNAPSHOT]).collect();
        item.wrong(&format!("{text:?} is unknown; known here are {}, old-copy:DURATION", words.join(", ")));
        return None;
    };
    if storage == Storage::Memory && !in_memory {
        item.not_built("a disk in memory has no such thing; write cluster.storage = \"rocksdb\"");
    }
    Some(*damage)
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
    let damage = damage.map(|damage| format!("damage = {:?}", damage.name()));
    let parts: Vec<_> = loss.into_iter().chain(damage).collect();
    (!parts.is_empty()).then(|| format!("{{ {} }}", parts.join(", ")))
}
