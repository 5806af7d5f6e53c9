//! `raft-chaos recover`: what it says before it does anything, what it does then, and how it ends.

use std::fs;

use raft_core::node::LogStore as _;
use raft_core::{
    Batch, ClusterId, Config, Entry, EntryId, GroupId, Incarnation, LogIndex, NodeId, Payload, Raft, Term,
    Time,
};
use raft_storage::RocksStore;
use raft_storage::format::CLEAN_STOP;
use serde_json::{Value, json};

use crate::inspect::write;
use crate::tool::{Said, Tool};

fn assert_says(said: &Said, words: &[&str]) {
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{}", said.out);
    words.iter().for_each(|words| assert!(said.out.contains(words), "{words:?} is not in\n{}", said.out));
}

/// The cluster that one of three servers is left of: what its directory says, and the command that it ends with.
#[test]
fn nothing_is_done_without_a_yes_and_then_what_was_said() {
    let tool = Tool::new();
    let directory = tool.path("n1");
    write(&directory);
    let before = tool.call(&["inspect", "n1", "--format", "json"]).out;
    let said = tool.call(&["recover", "n1", "--id", "1"]);
    assert_says(
        &said,
        &[
            "server    n1, which votes alone",
            "group 4   cluster 9, incarnation ffffffffffffffff",
            "last    3@t3; the server has seen t3",
            "commit  at least up to 2",
            "appends 4@t4",
            "whatever the majority committed after 3@t3",
            "3 to 3, which are not known to have been committed",
            "nothing was changed",
            "whose last entry is the greatest",
        ],
    );
    assert_eq!(tool.call(&["inspect", "n1", "--format", "json"]).out, before);
    let command = said.out.lines().find_map(|line| line.strip_prefix("to do it  ")).unwrap();
    let arguments: Vec<_> = command.split(' ').skip(1).collect();
    assert_eq!((&arguments[..5], arguments[6]), (&["recover", "n1", "--id", "1", "--cluster"][..], "--yes"));
    let cluster: u64 = arguments[5].parse().unwrap();

    let said = tool.call(&arguments);
    assert_says(&said, &["DONE", &format!("give cluster {cluster} to this server"), "empty directories"]);
    let opened = RocksStore::open(&directory, GroupId(4), Incarnation(0)).unwrap();
    let id = NodeId::new(1);
    let start = |cluster| {
        let mut config =
            Config { cluster: ClusterId(cluster), group: GroupId(4), ..Config::new(id, vec![id]) };
        config.incarnation = opened.incarnation;
        Raft::new(config, opened.restored.clone(), Time::ZERO).is_ok()
    };
    assert_eq!([cluster, 9].map(start), [true, false]);

    // A second time it is done already.
    drop(opened);
    let stands = tool.call(&["inspect", "n1", "--format", "json"]).out;
    let again = tool.call(&arguments);
    assert_says(&again, &["DONE before", &format!("give cluster {cluster} to this server")]);
    let again = tool.call(&[&arguments[..], &["--format", "json"]].concat());
    let again: Value = serde_json::from_str(&again.out).unwrap();
    assert_eq!((&again["carried_out"], &again["cluster"]), (&json!(true), &json!(cluster)));
    assert_eq!(tool.call(&["inspect", "n1", "--format", "json"]).out, stands);
}

/// What may be missing at the end is told while nobody has looked whether it is.
#[test]
fn a_suspect_end_is_told_of() {
    let tool = Tool::new();
    let directory = tool.path("n1");
    write(&directory);
    assert!(!tool.call(&["recover", "n1", "--id", "1"]).out.contains("torn off"));
    let open = || RocksStore::open(&directory, GroupId(4), Incarnation(0)).unwrap();
    let id = EntryId::new(Term::new(3), LogIndex::new(4));
    let entry = Entry::new(id, Payload::Command("acknowledged".into()));
    open().store.write(Batch { entries: vec![entry].into(), ..Batch::default() });
    fs::remove_file(directory.join(CLEAN_STOP)).unwrap();
    let files = fs::read_dir(&directory).unwrap().map(|file| file.unwrap().path());
    let log = files.filter(|file| file.extension().is_some_and(|ending| ending == "log")).max().unwrap();
    let bytes = fs::read(&log).unwrap();
    fs::write(&log, &bytes[..bytes.len() - 1]).unwrap();
    // Whoever opens it cuts off what is left, and with that the bytes that told of it.
    drop(open());
    assert_says(&tool.call(&["inspect", "n1"]), &["suspect its end was torn off", "1 to 3@t3"]);
    let said = tool.call(&["recover", "n1", "--id", "1"]);
    assert_says(
        &said,
        &["what came after 3@t3 and was torn off", "take a survivor of which this is not said"],
    );
}

#[test]
fn the_plan_is_one_json_object() {
    let tool = Tool::new();
    write(&tool.path("n1"));
    let arguments = ["recover", "n1", "--id", "1", "--cluster", "10", "--format", "json"];
    for (more, carried_out) in [(&[][..], false), (&["--yes"][..], true)] {
        let said = tool.call(&[&arguments[..], more].concat());
        assert_eq!((said.code, said.err.as_str(), said.out.lines().count()), (0, "", 1), "{}", said.out);
        let mut told: Value = serde_json::from_str(&said.out).unwrap();
        let before = told["groups"][0]["before"].take();
        assert_eq!((&before["cluster"], &before["last"]["index"]), (&json!(9), &json!(3)));
        assert_eq!(told["incarnation"].take().as_str().unwrap().len(), 16);
        let wanted = json!({
            "schema": 1,
            "exit_code": 0,
            "carried_out": carried_out,
            "directory": "n1",
            "id": 1,
            "cluster": 10,
            "incarnation": null,
            "torn_bytes": 0,
            "groups": [{
                "before": null,
                "entry": { "term": 4, "index": 4 },
                "to_be_committed": [3, 3],
                "known_lost": null,
            }],
        });
        assert_eq!(told, wanted);
    }
}

/// Each row: the arguments, the exit code, and what is said.
#[test]
fn what_cannot_be_done_is_told_with_its_cure() {
    let tool = Tool::new();
    let directory = tool.path("n1");
    write(&directory);
    for (arguments, code, why) in [
        (&["recover", "n1"][..], 64, "--id"),
        (&["recover", "missing", "--id", "1"][..], 64, "there is no such directory"),
        (&["recover", "n1", "--id", "1", "--group", "5"][..], 64, "but group 4; name one of these"),
        (&["recover", "n1", "--id", "1", "--cluster", "9"][..], 64, "draw another cluster id"),
    ] {
        let said = tool.call(arguments);
        assert_eq!((said.code, said.out.as_str()), (code, ""), "{arguments:?}: {}", said.err);
        assert!(said.err.contains(why), "{arguments:?}: {}", said.err);
    }
    let running = RocksStore::open(&directory, GroupId(4), Incarnation(0)).unwrap();
    let said = tool.call(&["recover", "n1", "--id", "1", "--yes"]);
    assert_eq!((said.code, said.out.as_str()), (69, ""));
    assert!(said.err.contains("stop that one first"), "{}", said.err);
    drop(running);

    let log = fs::read_dir(&directory).unwrap().map(|file| file.unwrap().path());
    let log = log.filter(|file| file.extension().is_some_and(|ending| ending == "sst")).max().unwrap();
    let mut bytes = fs::read(&log).unwrap();
    bytes[10] ^= 1;
    fs::write(&log, &bytes).unwrap();
    let said = tool.call(&["recover", "n1", "--id", "1", "--yes"]);
    assert_eq!((said.code, said.out.as_str()), (74, ""), "{}", said.err);
    assert!(said.err.contains("recover another server's directory"), "{}", said.err);
}
