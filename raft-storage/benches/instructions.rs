//! Work of a fixed size, for a counter of instructions: `.ci/instructions` runs it under callgrind with one number of
//! rounds and with another, and takes the difference. RocksDB's are among them; the kernel's are not.
//!
//! The arguments are how many entries of 256 bytes are appended at once, and how often.

use std::process::ExitCode;

use bytes::Bytes;
use raft_core::node::{Done, LogStore};
use raft_core::{Batch, Entry, EntryId, GroupId, Incarnation, LogIndex, Payload, Term};
use raft_storage::{Opened, RocksGroups, RocksOptions};

fn main() -> ExitCode {
    // Cargo adds its own: `--bench`.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let [entries, rounds] = &words[..] else { return ExitCode::from(2) };
    let (Ok(entries), Ok(rounds)) = (entries.parse::<u64>(), rounds.parse::<u64>()) else {
        return ExitCode::from(2);
    };
    let directory = tempfile::tempdir().unwrap();
    // No table is made meanwhile: when, is RocksDB's to say.
    let options = RocksOptions { memtable_bytes: 64 * 1024 * 1024, ..RocksOptions::default() };
    let groups = RocksGroups::open_with(directory.path(), options).unwrap();
    let Opened { mut store, .. } = groups.store(GroupId(1), Incarnation(1)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let command = Bytes::from(vec![7; 256]);
    let mut last = 0;
    for _ in 0..rounds {
        let id = |index| EntryId::new(Term::new(1), LogIndex::new(index));
        let entry = |index| Entry::new(id(index), Payload::Command(command.clone()));
        store.write(Batch { entries: (last + 1..=last + entries).map(entry).collect(), ..Batch::default() });
        last += entries;
        assert_eq!(runtime.block_on(store.done()).unwrap(), Done::Persisted(1));
    }
    drop((store, groups));
    let reopened = RocksGroups::open_with(directory.path(), options).unwrap();
    let restored = reopened.store(GroupId(1), Incarnation(1)).unwrap().restored;
    assert_eq!(restored.log.len(), last, "all of it is there");
    ExitCode::SUCCESS
}
