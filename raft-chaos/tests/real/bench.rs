//! `raft-chaos bench`: what is measured, and that nothing is left of it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::nodes::{Nodes, until};
use crate::tool::Tool;

/// Short, and two rows for each operation.
const TINY: &[&str] = &[
    "bench",
    "--clients",
    "1,4",
    "--value",
    "16B",
    "--time",
    "300ms",
    "--warmup",
    "100ms",
    "--keys",
    "10",
    "--connections",
    "2",
];

/// The processes that were told of this folder.
fn processes(folder: &Path) -> Vec<String> {
    let folder = folder.display().to_string();
    let told = |entry: fs::DirEntry| fs::read_to_string(entry.path().join("cmdline")).ok();
    let processes = fs::read_dir("/proc").unwrap().flatten().filter_map(told);
    processes.filter(|told| told.contains("--end-with") && told.contains(&folder)).collect()
}

fn left_in(folder: &Path) -> Vec<String> {
    let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
    fs::read_dir(folder).unwrap().flatten().map(name).collect()
}

fn assert_nothing_is_left(folder: &Path) {
    assert_eq!((processes(folder), left_in(folder)), (Vec::new(), Vec::new()));
}

/// Each row of what was measured is one that was asked for, and what it says can be.
fn assert_sensible(row: &Value, (op, clients): (&str, u64)) {
    assert_eq!((&row["op"], &row["clients"], &row["value_bytes"]), (&json!(op), &json!(clients), &json!(16)));
    let number = |key: &str| row[key].as_u64().unwrap_or_else(|| panic!("{key}: {row}"));
    assert!(number("ok") + number("late") >= clients, "each of them has done something: {row}");
    assert_eq!(row["ops_per_s"].as_f64().unwrap(), number("ok") as f64 / 0.3);
    assert_eq!(number("wrong"), 0, "{row}");
    let latency = ["p50", "p99", "p999", "max"].map(|key| row["latency_us"][key].as_u64().unwrap());
    assert!(latency[0] > 0 && latency.is_sorted(), "{row}");
    let others = row["cpu_percent"]["others"].as_f64().unwrap();
    assert_eq!(row["busy"], others > 10.0, "{row}");
    assert!(row["cpu_percent"]["load"].as_f64().unwrap() >= 0.0 && others >= 0.0, "{row}");
}

const ROWS: [(&str, u64); 4] = [("write", 1), ("write", 4), ("read", 1), ("read", 4)];

#[test]
fn a_cluster_is_started_measured_and_removed() {
    let tool = Tool::new();
    let out = tool.path(".");
    let out_flag = out.display().to_string();
    let said = tool.call(&[TINY, &["--out", &out_flag]].concat());
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert_nothing_is_left(&out);
    said.out.lines().for_each(|line| assert!(line.chars().count() <= 100, "{line}"));
    for words in
        ["3 nodes as processes of this machine, TCP on loopback", "a bare sync of 4 KiB takes ", "10 keys"]
    {
        assert!(said.out.contains(words), "{words}: {}", said.out);
    }
    let rows = said.out.lines().skip_while(|line| !line.starts_with("op ")).skip(1);
    let rows: Vec<Vec<&str>> = rows.map(|line| line.split_whitespace().collect()).collect();
    let kinds: Vec<_> = rows.iter().map(|row| (row[0], row[1], row[2].parse().unwrap())).collect();
    assert_eq!(kinds, ROWS.map(|(op, clients)| (op, "16B", clients)));
    assert!(said.err.contains("bench: 3 of 4 rows, read of 16 B, 4 clients"), "{}", said.err);

    let said = tool.call(&[TINY, &["--out", &out_flag, "--format", "json", "--progress", "none"]].concat());
    assert_eq!((said.code, &*said.err), (0, ""), "{}", said.out);
    assert_nothing_is_left(&out);
    let said: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((&said["schema"], &said["exit_code"], said.get("error")), (&json!(2), &json!(0), None));
    let setup = &said["setup"];
    for (key, expected) in [
        ("own", json!(true)),
        ("voters", json!(3)),
        ("tls", json!(false)),
        ("storage", json!("rocksdb")),
        ("synced", json!(true)),
        ("keys", json!(10)),
        ("connections", json!(2)),
        ("time_s", json!(0.3)),
        ("warmup_s", json!(0.1)),
        ("raft_chaos", json!(env!("CARGO_PKG_VERSION"))),
    ] {
        assert_eq!(setup[key], expected, "{key}");
    }
    assert_eq!(setup["servers"].as_object().unwrap().len(), 3);
    let cores = setup["cores"].as_u64().unwrap();
    assert!(setup["sync_us"].is_u64() && cores > 0, "{setup}");
    assert_eq!(setup["node_threads"], json!((cores / 3).max(1)));
    let rows = said["rows"].as_array().unwrap();
    assert_eq!(rows.len(), ROWS.len());
    rows.iter().zip(ROWS).for_each(|(row, kind)| assert_sensible(row, kind));
    assert!(rows.iter().all(|row| row["cpu_percent"]["nodes"].is_f64()), "{rows:?}");
}

#[test]
fn servers_that_are_there_are_measured_and_keep_their_keys() {
    let mut nodes = Nodes::cluster(3);
    let second = nodes.address(2);
    let said = nodes.tool.call(&[TINY, &["--servers", &second, "--format", "json"]].concat());
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let measured: Value = serde_json::from_str(&said.out).unwrap();
    let setup = &measured["setup"];
    assert_eq!(
        (&setup["own"], &setup["voters"], &setup["sync_us"], &setup["node_threads"]),
        (&json!(false), &json!(3), &Value::Null, &Value::Null)
    );
    assert_eq!(setup["servers"]["2"], json!(second));
    let rows = measured["rows"].as_array().unwrap();
    assert_eq!(rows.len(), ROWS.len());
    rows.iter().zip(ROWS).for_each(|(row, kind)| assert_sensible(row, kind));
    assert!(rows.iter().all(|row| row["cpu_percent"]["nodes"].is_null()), "{rows:?}");
    assert_eq!(nodes.done(&[1, 2, 3], &["get", "bench-9"]).len(), 16);
}

/// A bench that is under way: its first row has been measured.
fn under_way(folder: &Path) -> Child {
    let mut bench = Command::new(env!("CARGO_BIN_EXE_raft-chaos"));
    bench.args(["bench", "--op", "write", "--time", "1s", "--keys", "10"]);
    let mut child =
        bench.arg("--out").arg(folder).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines().map_while(Result::ok);
    assert!(lines.into_iter().any(|line| line.starts_with("write")), "a row was measured");
    child
}

#[test]
fn whoever_ends_a_bench_ends_its_nodes_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = under_way(folder.path());
    assert_eq!(processes(folder.path()).len(), 3);
    kill_process(Pid::from_child(&bench), Signal::INT).unwrap();
    assert_eq!(bench.wait().unwrap().code(), Some(130));
    assert_nothing_is_left(folder.path());

    // One that is killed can do nothing any more: the system ends the nodes, and the next bench removes the rest.
    let mut bench = under_way(folder.path());
    bench.kill().unwrap();
    bench.wait().unwrap();
    until("the nodes have ended", || match processes(folder.path()) {
        left if left.is_empty() => Ok(()),
        left => Err(format!("{left:?}")),
    });
    assert_eq!(left_in(folder.path()).len(), 1);
    let out = folder.path().display().to_string();
    let said = Tool::new().call(&[TINY, &["--op", "read", "--out", &out]].concat());
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert_nothing_is_left(folder.path());
}

/// Each row: more flags, the exit code, and what is said of it.
#[test]
fn what_cannot_be_measured_is_told_with_its_cure() {
    let tool = Tool::new();
    fs::write(tool.path("file"), "").unwrap();
    for (more, code, told) in [
        (&["--servers", "127.0.0.1:1", "--timeout", "300ms"][..], 69, "servers: none answers: 127.0.0.1:1: "),
        (&["--servers", "nowhere"], 64, "servers: \"nowhere\" is no address; write HOST:PORT"),
        (&["--servers", "127.0.0.1:1", "--tls-ca", "ca.pem"], 64, "--tls-cert and --tls-key go together"),
        (&["--out", "nowhere"], 69, "out nowhere: No such file or directory"),
        (&["--out", "file"], 69, "name a folder that can be written to with --out"),
        (&["--clients", "0"], 64, "write a number from 1 to 16384"),
        (&["--connections", "4001"], 64, "write a number from 1 to 4000: a node has no room for more"),
        (&["--clients", "1,many"], 64, "invalid value 'many'"),
        (&["--value", "0B"], 64, "write a size from 1B to 1MiB"),
        (&["--value", "2MiB"], 64, "write a size from 1B to 1MiB"),
        (&["--value", "256"], 64, "write a number and B, KiB, MiB or GiB"),
        (&["--op", "delete"], 64, "[possible values: write, read, both]"),
        (&["--time", "0s"], 64, "nothing can be measured in no time; write 1s or so"),
        (&["--time", "long"], 64, "\"long\" is no duration"),
        (&["--warmup", "long"], 64, "\"long\" is no duration"),
        (&["--keys", "0"], 64, "0 is not in 1..=10000000"),
        (&["--timeout", "soon"], 64, "timeout: \"soon\" is no duration"),
    ] {
        let said = tool.call(&[&["bench", "--progress", "none"], more].concat());
        assert_eq!(said.code, code, "{more:?}: {}", said.err);
        assert!(said.err.contains(told), "{more:?}: {}", said.err);
        assert_eq!(said.out, "", "{more:?}");
    }
    let said = tool.call(&["bench", "--servers", "127.0.0.1:1", "--timeout", "300ms", "--format", "json"]);
    let json: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((&json["exit_code"], &json["setup"], &json["rows"]), (&json!(69), &Value::Null, &json!([])));
    assert!(json["error"].as_str().unwrap().starts_with("servers: none answers"), "{json}");
}
