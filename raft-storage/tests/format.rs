//! The bytes on disk, frozen: a change here is a new format.
#![cfg(feature = "rocksdb")]

use std::path::Path;

use raft_core::node::LogStore;
use raft_core::{Batch, Entry, EntryId, GroupId, HardState, Incarnation, LogIndex, NodeId, Payload, Term};
use raft_storage::{Opened, RocksStore};
use rocksdb::{DB, IteratorMode, Options};
use tempfile::TempDir;

fn entry(term: u64, index: u64, payload: Payload) -> Entry {
    Entry::new(EntryId::new(Term::new(term), LogIndex::new(index)), payload)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Every key and value, as RocksDB itself reads them.
fn dump(directory: &Path) -> Vec<String> {
    let db = DB::open_cf(&Options::default(), directory, ["log", "meta"]).unwrap();
    let mut lines = Vec::new();
    for family in ["log", "meta"] {
        for item in db.iterator_cf(db.cf_handle(family).unwrap(), IteratorMode::Start) {
            let (key, value) = item.unwrap();
            lines.push(format!("{family} {} = {}", hex(&key), hex(&value)));
        }
    }
    lines
}

/// Two entries, the second replaced by another: its stale record stays in slot 1, the new one is in
/// slot 2, and the mapping has two runs.
#[tokio::test]
async fn the_bytes_on_disk_are_these() {
    let directory = TempDir::new().unwrap();
    let Opened { mut store, .. } =
        RocksStore::open(directory.path(), GroupId(3), Incarnation(0x1122_3344_5566_7788)).unwrap();
    store.write(Batch {
        hard_state: Some(HardState { current_term: Term::new(1), voted_for: None }),
        entries: vec![entry(1, 1, Payload::Noop), entry(1, 2, Payload::Command("old".into()))],
        ..Batch::default()
    });
    store.write(Batch {
        hard_state: Some(HardState { current_term: Term::new(300), voted_for: Some(NodeId::new(2)) }),
        truncate: Some(LogIndex::new(2)),
        entries: vec![entry(300, 2, Payload::Command("set x 1".into()))],
        commit_index: LogIndex::new(1),
    });
    drop(store);
    assert_eq!(
        dump(directory.path()),
        [
            "log 00000000000000030000000000000000 = 01bfac9c6b9501010000ce7137a9fe",
            "log 00000000000000030000000000000001 = 01b46072379501020103ceabfe01256f6c64",
            "log 00000000000000030000000000000002 = 01cf095ab295cd012c020107ce8773337673657420782031",
            "meta 00000000000000037374617465 = \
             017582bf8895cf1122334455667788cd012c0293929301000193020201030301",
            "meta 666f726d6174 = 010000007fe12295",
        ]
    );
}
