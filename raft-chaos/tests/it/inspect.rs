//! `raft-chaos inspect`: what it prints of a node's directory, and how it ends.

use std::fs;
use std::path::Path;

use raft_core::node::LogStore as _;
use raft_core::{
    Batch, ClusterId, Entry, EntryId, GroupId, HardState, Incarnation, LogIndex, NodeId, Payload, Term,
};
use raft_storage::format::{CLEAN_STOP, FORMAT};
use raft_storage::{Opened, RocksStore};
use serde_json::{Value, json};

use crate::tool::Tool;

/// Three entries of two terms, and a vote.
pub(crate) fn write(directory: &Path) {
    let Opened { mut store, .. } = RocksStore::open(directory, GroupId(4), Incarnation(u64::MAX)).unwrap();
    let ids =
        [(1, 1), (1, 2), (3, 3)].map(|(term, index)| EntryId::new(Term::new(term), LogIndex::new(index)));
    store.write(Batch {
        cluster: Some(ClusterId(9)),
        hard_state: Some(HardState { current_term: Term::new(3), voted_for: Some(NodeId::new(2)) }),
        entries: ids.map(|id| Entry::new(id, Payload::Command("command".into()))).into_iter().collect(),
        commit_index: LogIndex::new(2),
        ..Batch::default()
    });
}

#[test]
fn a_directory_is_told_of_in_words_and_as_json() {
    let tool = Tool::new();
    write(&tool.path("n1"));
    let said = tool.call(&["inspect", "n1", "--verify"]);
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{}", said.out);
    let words = [
        "directory n1   format 2",
        "stopped cleanly",
        "group 4   cluster 9   incarnation ffffffffffffffff",
        "t3, vote for n2",
        "3 entries, 1 to 3@t3, after 0@t0; committed at least up to 2",
        "t1 from 1, t3 from 3",
        "1..=3 in slots from 0; next slot 3",
        "1 state, 3 entries, 0 pieces of snapshots; 0 records that nothing refers to",
        "SOUND",
    ];
    words.iter().for_each(|words| assert!(said.out.contains(words), "{words:?} is not in\n{}", said.out));

    let said = tool.call(&["inspect", "n1", "--verify", "--format", "json"]);
    assert_eq!((said.code, said.err.as_str(), said.out.lines().count()), (0, "", 1), "{}", said.out);
    let told: Value = serde_json::from_str(&said.out).unwrap();
    let group = json!({
        "id": 4,
        "cluster": 9,
        "incarnation": "ffffffffffffffff",
        "current_term": 3,
        "voted_for": 2,
        "commit_bound": 2,
        "base": { "term": 0, "index": 0 },
        "last": { "term": 3, "index": 3 },
        "terms": [{ "term": 1, "index": 1 }, { "term": 3, "index": 3 }],
        "mapping": [{ "first_index": 1, "first_slot": 0, "len": 3 }],
        "next_slot": 3,
        "configuration": null,
        "snapshot": null,
        "partial_snapshot": null,
        "suspect": false,
    });
    let wanted = json!({
        "schema": 1,
        "exit_code": 0,
        "directory": "n1",
        "format": FORMAT,
        "stop": "clean",
        "torn_bytes": 0,
        "complete": true,
        "groups": [group],
        "checked": { "states": 1, "entries": 3, "pieces": 0, "stale": 0 },
        "problems": [],
        "problems_more": 0,
    });
    assert_eq!(told, wanted);
}

/// Each row: what was done to the directory, the exit code, and what is said.
#[test]
fn the_exit_code_says_what_is_wrong() {
    let tool = Tool::new();
    let directory = tool.path("n1");
    write(&directory);
    assert_eq!(tool.call(&["inspect", "n1"]).code, 0);
    let log = fs::read_dir(&directory).unwrap().map(|file| file.unwrap().path());
    let log = log.filter(|file| file.extension().is_some_and(|ending| ending == "log")).max().unwrap();
    let mut bytes = fs::read(&log).unwrap();
    bytes[10] ^= 1;
    fs::write(&log, &bytes).unwrap();
    for (more, code) in [(&[][..], 74), (&["--verify"][..], 74), (&["--format", "json"][..], 74)] {
        let said = tool.call(&[&["inspect", "n1"], more].concat());
        assert_eq!(said.code, code, "{}{}", said.out, said.err);
        let name = log.file_name().unwrap().to_str().unwrap();
        assert!(said.out.contains(name) && said.out.contains("as a new member"), "{}", said.out);
    }
    // Killed, and the end of the last write is missing: that is no damage.
    bytes[10] ^= 1;
    fs::write(&log, &bytes[..bytes.len() - 1]).unwrap();
    fs::remove_file(directory.join(CLEAN_STOP)).unwrap();
    let said = tool.call(&["inspect", "n1", "--verify"]);
    assert_eq!(said.code, 0, "{}", said.out);
    assert!(said.out.contains("not stopped cleanly; a write was interrupted"), "{}", said.out);

    for (arguments, code, why) in [
        (&["inspect", "missing"][..], 64, "there is no such directory"),
        (&["inspect", "."][..], 64, "none of a store's files"),
        (&["inspect"][..], 64, "DIR"),
    ] {
        let said = tool.call(arguments);
        assert_eq!((said.code, said.out.as_str()), (code, ""), "{arguments:?}: {}", said.err);
        assert!(said.err.contains(why), "{arguments:?}: {}", said.err);
    }
}
