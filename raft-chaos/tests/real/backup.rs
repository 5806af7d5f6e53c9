//! `raft-chaos backup` and `restore`: what is in a backup, what is told of a damaged one, and what a cluster that begins
//! with it has.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use raft_chaos::backup::About;
use serde_json::{Value, json};

use crate::nodes::Nodes;
use crate::tool::{Said, Tool};

/// The directory of a node that was stopped, with a snapshot and entries behind it.
fn stopped() -> Nodes {
    let mut nodes = Nodes::cluster(1);
    nodes.done(&[1], &["put", "colour", "green"]);
    nodes.done(&[1], &["snapshot"]);
    nodes.done(&[1], &["append", "colour", "ish"]);
    assert_eq!(nodes.stop(1).code(), Some(0));
    nodes
}

fn done(tool: &Tool, arguments: &[&str]) -> String {
    let said = tool.call(arguments);
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{arguments:?}: {}", said.out);
    said.out
}

fn assert_says(said: &Said, code: i32, what: &str) {
    assert_eq!((said.code, said.out.as_str()), (code, ""), "{}", said.err);
    assert!(said.err.contains(what), "{what:?} is not in {}", said.err);
}

/// Every file in a folder, byte by byte.
fn content(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap());
    let files = files.filter(|file| file.metadata().unwrap().is_file());
    files.map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap())).collect()
}

/// What is not whole yet, or was left by something that failed.
fn leavings(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".part")).collect()
}

#[test]
fn a_new_cluster_begins_with_what_the_old_one_had() {
    let mut nodes = stopped();
    let before = content(&nodes.tool.path("n1"));
    let said = done(&nodes.tool, &["backup", "n1", "b", "--format", "json"]);
    assert_eq!(content(&nodes.tool.path("n1")), before, "nothing is changed");
    let told: Value = serde_json::from_str(&said).unwrap();
    let wanted = json!({ "schema": 1, "exit_code": 0, "directory": "n1", "backup": "b", "format": 1, "node": 1,
        "kind": "kv", "cluster": 1, "members": "n1", "known_lost": null, "torn_bytes": 0 });
    for (key, value) in wanted.as_object().unwrap() {
        assert_eq!(&told[key], value, "{key}");
    }
    let last = told["last"]["index"].as_u64().unwrap();
    assert!(last >= 3 && told["committed"].as_u64().unwrap() <= last, "{told}");

    let said = done(&nodes.tool, &["restore", "b", "n2", "--id", "2", "--cluster", "20"]);
    for what in ["of n1 in cluster 1", "n2 votes alone", "--id 2 --cluster 20 --peers 2=HOST:PORT --data n2"]
    {
        assert!(said.contains(what), "{what:?} is not in\n{said}");
    }
    assert_eq!(leavings(&nodes.tool.path(".")), [""; 0]);
    let peers = format!("2={}", nodes.address(2));
    nodes.start(2, &["--cluster", "20", "--peers", &peers]);
    nodes.is_ready(2);
    assert_eq!(nodes.done(&[2], &["get", "colour", "--cluster", "20"]), "greenish");
    // Who asks for the old cluster is told so, and the node of the old one knows nothing of all this.
    let said = nodes.ask(&[2], &["get", "colour"]);
    assert!(said.err.contains("n2 belongs to cluster 20, not to cluster 1"), "{}", said.err);
    nodes.done(&[2], &["append", "colour", " grey", "--cluster", "20"]);
    let peers = nodes.peers(1);
    nodes.start(1, &["--peers", &peers]);
    assert_eq!(nodes.done(&[1], &["get", "colour"]), "greenish");

    // A node whose directory is empty joins, and is sent all of it.
    let (first, third) = (nodes.address(2), nodes.address(3));
    nodes.start(3, &["--cluster", "20", "--join", &first]);
    nodes.lives(3);
    nodes.done(&[2], &["add-learner", "3", &third, "--cluster", "20"]);
    nodes.done(&[2], &["promote", "3", "--cluster", "20"]);
    nodes.done(&[2], &["transfer", "3", "--cluster", "20"]);
    assert_eq!(nodes.done(&[3], &["get", "colour", "--cluster", "20"]), "greenish grey");
}

/// A node that was killed leaves the end of its log to be looked through; into an empty directory as into none.
#[test]
fn a_directory_that_was_not_stopped_in_order_is_backed_up_too() {
    let mut nodes = Nodes::cluster(1);
    nodes.done(&[1], &["put", "k", "v"]);
    nodes.kill(1);
    done(&nodes.tool, &["backup", "n1", "b"]);
    fs::create_dir(nodes.tool.path("n2")).unwrap();
    let said = done(&nodes.tool, &["restore", "b", "n2", "--id", "2", "--format", "json"]);
    let told: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&told["id"], &told["of"]["node"], &told["directory"]), (&json!(2), &json!(1), &json!("n2")));
    let (cluster, peers) = (told["cluster"].as_u64().unwrap().to_string(), format!("2={}", nodes.address(2)));
    nodes.start(2, &["--cluster", &cluster, "--peers", &peers]);
    assert_eq!(nodes.done(&[2], &["get", "k", "--cluster", &cluster]), "v");
}

/// Each row: the arguments, the exit code, and what is said.
#[test]
fn what_cannot_be_done_is_told_with_its_cure() {
    let mut nodes = stopped();
    let tool = &nodes.tool;
    done(tool, &["backup", "n1", "b"]);
    fs::write(tool.path("text"), "no backup\n").unwrap();
    fs::create_dir(tool.path("empty")).unwrap();
    let there = "something is there already; name a place where nothing is";
    for (arguments, code, why) in [
        (&["backup", "n1"][..], 64, "<FILE>"),
        (&["backup", "missing", "c"], 64, "it has no node.json; name one that a node was given"),
        (&["backup", "empty", "c"], 64, "it has no node.json; name one that a node was given"),
        (&["backup", "n1", "b"], 64, there),
        (&["backup", "n1", "empty"], 64, there),
        (&["backup", "n1", "no/b"], 64, "no/b: give it a name in a folder that is there"),
        (&["restore", "b", "n2"], 64, "--id"),
        (&["restore", "missing", "n2", "--id", "2"], 64, "backup missing: there is no such file"),
        (&["restore", "text", "n2", "--id", "2"], 64, "name a file that `raft-chaos backup` made"),
        (&["restore", "n1", "n2", "--id", "2"], 69, "backup n1: "),
        (&["restore", "b", "n1", "--id", "2"], 64, there),
        (&["restore", "b", "text", "--id", "2"], 64, there),
        (&["restore", "b", "no/n2", "--id", "2"], 64, "give it a name in a folder that is there"),
        (&["restore", "b", "empty/..", "--id", "2"], 64, there),
        (&["restore", "b", "n2", "--id", "2", "--cluster", "1"], 64, "draw another cluster id"),
    ] {
        assert_says(&tool.call(arguments), code, why);
        assert!(!tool.path("c").exists() && !tool.path("n2").exists(), "{arguments:?}");
        assert_eq!(leavings(&tool.path(".")), [""; 0], "{arguments:?}");
    }
    let peers = nodes.peers(1);
    nodes.start(1, &["--peers", &peers]);
    nodes.is_ready(1);
    let in_use = "directory n1: in use by another store; stop that one first";
    assert_says(&nodes.tool.call(&["backup", "n1", "c"]), 69, in_use);
}

/// What acts on a directory says in one way that it is damaged; a node does so too.
#[test]
fn a_damaged_directory_has_one_status() {
    let mut nodes = stopped();
    let peers = nodes.peers(1);
    let tool = &nodes.tool;
    fs::write(tool.path("n1/CURRENT"), "MANIFEST-999999\n").unwrap();
    for arguments in [
        &["inspect", "n1"][..],
        &["inspect", "n1", "--verify", "--format", "json"],
        &["recover", "n1", "--id", "1"],
        &["backup", "n1", "b"],
        &["node", "--id", "1", "--peers", &peers, "--data", "n1"],
    ] {
        let said = tool.call(arguments);
        assert_eq!(said.code, 74, "{arguments:?}: {}{}", said.out, said.err);
        assert!(
            format!("{}{}", said.out, said.err).contains("n1/CURRENT"),
            "{arguments:?}: {}{}",
            said.out,
            said.err
        );
    }
}

#[test]
fn a_damaged_directory_is_not_backed_up() {
    let nodes = stopped();
    let tool = &nodes.tool;
    for (file, what) in [("CURRENT", "n1/CURRENT"), ("node.json", "n1/node.json")] {
        let sound = fs::read(tool.path("n1").join(file)).unwrap();
        fs::write(tool.path("n1").join(file), [b"?", &sound[1..]].concat()).unwrap();
        assert_says(&tool.call(&["backup", "n1", "b"]), 74, what);
        fs::write(tool.path("n1").join(file), sound).unwrap();
    }
    done(tool, &["backup", "n1", "b"]);
}

/// Bytes that are flipped, missing or too many: none is believed, and the file is named.
#[test]
fn a_damaged_backup_is_not_restored() {
    let nodes = stopped();
    let tool = &nodes.tool;
    done(tool, &["backup", "n1", "b"]);
    let sound = fs::read(tool.path("b")).unwrap();
    let mut lines = sound.splitn(3, |byte| *byte == b'\n');
    let (first, second) = (lines.next().unwrap().len(), lines.next().unwrap());
    let about: About = serde_json::from_slice(&second[9..]).unwrap();
    let head = first + second.len() + 2;
    let refused = |bytes: &[u8], code: i32, what: &str| {
        fs::write(tool.path("damaged"), bytes).unwrap();
        assert_says(&tool.call(&["restore", "damaged", "n2", "--id", "2"]), code, what);
        assert!(!tool.path("n2").exists(), "{what}");
        assert_eq!(leavings(&tool.path(".")), [""; 0], "{what}");
    };
    let flipped = |at: usize| {
        let mut bytes = sound.clone();
        bytes[at] ^= 1;
        bytes
    };
    let line = "damaged: damaged: its second line is not what was written; restore another backup";
    refused(&flipped(0), 64, "it does not begin as one");
    for at in [first + 1, first + 8, first + 9, first + 10, head - 2, head - 1] {
        refused(&flipped(at), 74, line);
    }
    refused(&sound[..first], 64, "it does not begin as one");
    refused(&sound[..head - 1], 74, line);
    let mut at = head;
    for file in about.files.iter().filter(|file| file.bytes > 0) {
        let bytes = usize::try_from(file.bytes).unwrap();
        for place in [at, at + bytes / 2, at + bytes - 1] {
            refused(
                &flipped(place),
                74,
                &format!("{}: its bytes are not those that were backed up", file.name),
            );
        }
        refused(&sound[..at + bytes - 1], 74, &format!("{}: it is cut short there", file.name));
        at += bytes;
    }
    assert_eq!(at, sound.len());
    refused(&[&sound[..], b"x"].concat(), 74, "there is more behind its end");

    let later = serde_json::to_vec(&About { format: 2, ..about }).unwrap();
    let later = [&b"raft-chaos backup\n"[..], &summed(&later), &later, b"\n"].concat();
    refused(&later, 69, "its format is later than 1, the latest known here");
}

fn summed(about: &[u8]) -> Vec<u8> {
    format!("{:08x} ", crc32c::crc32c(about)).into_bytes()
}

/// A disk that takes no more interrupts it: nothing is there that could be taken for a backup, or for a directory.
#[test]
#[cfg(target_os = "linux")]
fn what_is_interrupted_leaves_nothing() {
    let nodes = stopped();
    let tool = &nodes.tool;
    done(tool, &["backup", "n1", "b"]);
    // In blocks of 512 bytes: there is room for each file of the directory, and not for all of them in one.
    let largest = content(&tool.path("n1")).values().map(Vec::len).max().unwrap() / 512 + 1;
    assert!(fs::metadata(tool.path("b")).unwrap().len() > 512 * largest as u64);
    for (arguments, blocks) in
        [(&["backup", "n1", "c"][..], largest), (&["restore", "b", "c", "--id", "2"], 1)]
    {
        let small = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
        let mut shell = Command::new("sh");
        shell.args(["-c", &small, "sh", env!("CARGO_BIN_EXE_raft-chaos")]).args(arguments);
        let output = shell.current_dir(tool.path(".")).output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(69), "{arguments:?}: {err}");
        assert!(err.contains("mend the disk, or make room on it"), "{arguments:?}: {err}");
        assert!(!tool.path("c").exists(), "{arguments:?}");
        assert_eq!(leavings(&tool.path(".")), [""; 0], "{arguments:?}");
    }
}
