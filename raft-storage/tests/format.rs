//! The bytes on disk, frozen: a change here is a new format.
#![cfg(feature = "rocksdb")]

use std::path::Path;

use raft_core::node::LogStore;
use raft_core::{
    Batch, Chunk, Configuration, Entry, EntryId, GroupId, HardState, Incarnation, LogIndex, NodeId, Part,
    Payload, Snapshot, SnapshotId, Term,
};
use raft_storage::{Opened, RocksStore};
use rocksdb::{DB, IteratorMode, Options};
use tempfile::TempDir;

fn id(term: u64, index: u64) -> EntryId {
    EntryId::new(Term::new(term), LogIndex::new(index))
}

fn part(last_included: EntryId, offset: u64, data: &'static str, done: bool) -> Part {
    let id = SnapshotId { last_included, made_by: Incarnation(300) };
    let snapshot = Snapshot { id, configured: Configuration::of([1, 2].map(NodeId::new)).into() };
    Part { snapshot, chunk: Chunk::new(offset, data.into(), done) }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Every key and value, as RocksDB itself reads them.
fn dump(directory: &Path) -> Vec<String> {
    let db = DB::open_cf(&Options::default(), directory, ["log", "snapshot", "meta"]).unwrap();
    let mut lines = Vec::new();
    for family in ["log", "snapshot", "meta"] {
        for item in db.iterator_cf(db.cf_handle(family).unwrap(), IteratorMode::Start) {
            let (key, value) = item.unwrap();
            lines.push(format!("{family} {} = {}", hex(&key), hex(&value)));
        }
    }
    lines
}

/// Three entries, the last of them replaced by another: its stale record stays in slot 2, the new one is in
/// slot 3, and the mapping has two runs. A snapshot of two pieces stands for the first entry, which is gone
/// from the mapping and not from the disk; another one has begun.
#[tokio::test]
async fn the_bytes_on_disk_are_these() {
    let directory = TempDir::new().unwrap();
    let Opened { mut store, .. } =
        RocksStore::open(directory.path(), GroupId(3), Incarnation(0x1122_3344_5566_7788)).unwrap();
    let entry = |term, index, payload| Entry::new(id(term, index), payload);
    store.write(Batch {
        hard_state: Some(HardState { current_term: Term::new(1), voted_for: None }),
        entries: vec![
            entry(1, 1, Payload::Noop),
            entry(1, 2, Payload::Noop),
            entry(1, 3, Payload::Command("old".into())),
        ]
        .into(),
        ..Batch::default()
    });
    store.write(Batch {
        hard_state: Some(HardState { current_term: Term::new(300), voted_for: Some(NodeId::new(2)) }),
        truncate: Some(LogIndex::new(3)),
        parts: vec![
            part(id(1, 1), 0, "x = 1", false),
            part(id(1, 1), 5, "", true),
            part(id(1, 2), 0, "x", false),
        ],
        compact: Some(id(1, 1)),
        entries: vec![entry(300, 3, Payload::Command("set x 1".into()))].into(),
        commit_index: LogIndex::new(2),
        ..Batch::default()
    });
    drop(store);
    assert_eq!(
        dump(directory.path()),
        [
            "log 00000000000000030000000000000000 = 01578a84db949201010000ce7137a9fe",
            "log 00000000000000030000000000000001 = 01d054f66f949201020000ce6898a5d7",
            "log 00000000000000030000000000000002 = 015d45e89b949201030103ce9a8fd5156f6c64",
            "log 00000000000000030000000000000003 = 01f0d1b45a9492cd012c030107ce757f3e8873657420782031",
            "snapshot 000000000000000300000000000000000000000000000000 = 0143e9b6ec9400c205cee8d9314e78203d2031",
            "snapshot 000000000000000300000000000000000000000000000005 = 017379139b9405c300ce637fffdb",
            "snapshot 000000000000000300000000000000010000000000000000 = 01f891ec969400c201ce189cfca978",
            "meta 00000000000000037374617465 = 0258cf6ab897cf112233445566778892cd012c02939201019292010292cd012c0392cd012c03939293020101930303010404029394009292920101cd012c9292000093929201c09202c090c0050594019292920102cd012c9292000093929201c09202c090c000010290",
            "meta 666f726d6174 = 02000000466800f7",
        ]
    );
}
