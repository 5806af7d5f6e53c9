//! `check`, `export` and `verify`: a history is judged again, by ours and by others', and other tools can read it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::tool::Tool;

/// A short run with a leader that is cut off.
const SHORT: &str = r#"
schema = 1
name = "short"
[run]
seeds = 3
warmup = "1s"
duration = "3s"
settle = "2s"
[sim]
recheck = 0
[cluster]
storage = "memory"
[workload]
op_timeout = "300ms"
[[event]]
when = { at = "1s" }
do = "partition"
split = { isolate = "leader" }
for = "1s"
"#;

/// The folder of a run with this kind of data.
fn recorded(tool: &Tool, kind: &str) -> PathBuf {
    let set = format!("workload.kind={kind}");
    let said = tool.call(&["run", &tool.plan(SHORT), "--set", &set, "--out", kind]);
    assert_eq!(said.code, 0, "{kind}: {}{}", said.out, said.err);
    let mut runs = fs::read_dir(tool.path(kind).join("short")).unwrap();
    runs.next().unwrap().unwrap().path()
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn a_run_is_judged_again_and_as_edn_too() {
    let tool = Tool::new();
    for kind in ["kv", "list-append", "set", "counter", "bank", "queue"] {
        let run = path(&recorded(&tool, kind));
        let said = tool.call(&["check", &run]);
        assert_eq!(said.code, 0, "{kind}: {}{}", said.out, said.err);
        assert!(said.out.contains(&format!("linearizable as {kind} by witness+wgl")), "{}", said.out);
        assert!(said.out.contains("verdict   PASS: an order explains what clients saw"), "{}", said.out);
        let edn = path(&tool.path("history.edn"));
        let exported = tool.call(&["export", &run, "--to", "edn", "--output", &edn]);
        assert_eq!(exported.code, 0, "{}", exported.err);
        let said = tool.call(&["check", &edn, "--format", "json"]);
        let found: Value = serde_json::from_str(&said.out).unwrap();
        assert_eq!(
            (said.code, &found["engine"], &found["model"]),
            (0, &"wgl".into(), &kind.into()),
            "{found}"
        );
    }
}

/// What somebody read is made something that nobody wrote.
#[test]
fn a_violation_is_told_in_few_words() {
    let tool = Tool::new();
    let run = recorded(&tool, "register");
    let file = run.join("history.jsonl");
    let lines = fs::read_to_string(&file).unwrap();
    let mut lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_a_read = |line: &&mut Value| line["type"] == "ok" && line["f"] == "read";
    let read = lines.iter_mut().filter(of_a_read).nth(30).unwrap();
    read["value"] = "of nobody".into();
    let (process, key) = (read["process"].clone(), read["key"].as_str().unwrap().to_owned());
    let text: Vec<_> = lines.iter().map(Value::to_string).collect();
    fs::write(&file, text.join("\n")).unwrap();
    let said = tool.call(&["check", &path(&run)]);
    assert_eq!(said.code, 1, "{}{}", said.out, said.err);
    assert!(
        said.out.contains("verdict   SAFETY BROKEN: witness-order: the order of the log does not"),
        "{}",
        said.out
    );
    let alone = tool.call(&["check", &path(&file), "--engine", "wgl"]);
    assert_eq!(alone.code, 1);
    let told = format!("not linearizable: key {key}: no order explains ");
    let answer = format!("the answer to process {process}'s read is of nobody and had to be ");
    assert!(alone.out.contains(&told) && alone.out.contains(&answer), "{}", alone.out);
    assert!(alone.out.lines().count() < 12, "{}", alone.out);
}

/// Each row: a history in EDN, more arguments, the exit code, and what is said.
#[test]
fn any_history_of_jepsens_is_judged() {
    let line =
        |process: u64, kind: &str, more: &str| format!("{{:process {process}, :type :{kind}, {more}}}\n");
    let write = line(0, "invoke", ":f :write, :value 1") + &line(0, "ok", ":f :write, :value 1");
    let read = |value: &str| {
        line(1, "invoke", ":f :read, :value nil") + &line(1, "ok", &format!(":f :read, :value {value}"))
    };
    let skew = line(0, "invoke", ":f :txn, :value [[:r x nil] [:append y 1]]")
        + &line(1, "invoke", ":f :txn, :value [[:r y nil] [:append x 1]]")
        + &line(0, "ok", ":f :txn, :value [[:r x []] [:append y 1]]")
        + &line(1, "ok", ":f :txn, :value [[:r y []] [:append x 1]]");
    let read_then = read("1");
    for (text, more, code, expected) in [
        (write.clone() + &read_then, &[][..], 0, "linearizable as kv by wgl"),
        (write.clone() + &read("nil"), &[], 1, "the answer to process 1's read is null and had to be 1"),
        (
            write.clone() + &read_then,
            &["--memory", "1B"],
            2,
            "INCONCLUSIVE: linearizability: key : more than 1 bytes",
        ),
        (write.clone() + &read_then, &["--engine", "witness"], 2, "witness.jsonl"),
        (skew, &[], 1, "anomaly G2: a circle"),
        (write.clone() + &read_then, &["--engine", "anomalies"], 64, "only lists have them"),
        (
            write.clone() + &read_then,
            &["--model", "queue"],
            2,
            "event 0 has a value that does not fit a write",
        ),
        (
            write.clone() + &read_then,
            &["--model", "stack"],
            64,
            "\"stack\" is unknown; write one of register, kv",
        ),
        (
            write.clone() + "{:process 1, :type :invoke, :f :push}",
            &[],
            64,
            "event 2: no kind has push with these others",
        ),
        (
            write.clone() + "\n{:process 1, :type :ok, :f :read}",
            &[],
            64,
            "history.edn: history: line 4: the process has not begun",
        ),
    ] {
        let tool = Tool::new();
        let file = path(&tool.path("history.edn"));
        fs::write(&file, &text).unwrap();
        let said = tool.call(&[&["check", &file], more].concat());
        assert_eq!(said.code, code, "{text}{more:?}: {}{}", said.out, said.err);
        assert!(
            (said.out.clone() + &said.err).contains(expected),
            "{text}{more:?}: {}{}",
            said.out,
            said.err
        );
    }
    let tool = Tool::new();
    let said = tool.call(&["check", "nowhere.jsonl"]);
    assert!(said.code == 64 && said.err.contains("nowhere.jsonl"), "{}", said.err);
}

#[test]
fn a_run_is_exported_to_each_format_or_refused_by_name() {
    let tool = Tool::new();
    let (lists, queue) = (path(&recorded(&tool, "list-append")), path(&recorded(&tool, "queue")));
    for (run, to, code, expected) in [
        (&lists, "edn", 0, ":f :append, :key \"k"),
        (&lists, "elle-json", 0, "\"value\":[[\"append\",\"k"),
        (&lists, "json", 0, "\"f\":\"txn\""),
        (&lists, "porcupine", 0, "\"Input\":{\"Key\":\"k"),
        (&lists, "shiviz", 0, "n1 {\"n1\":1"),
        (&queue, "porcupine", 0, "\"Op\":\"dequeue\""),
        (&queue, "elle-json", 69, "is no transaction that Elle knows; export to edn"),
    ] {
        let said = tool.call(&["export", run, "--to", to]);
        assert_eq!(said.code, code, "{to}: {}", said.err);
        assert!((said.out.clone() + &said.err).contains(expected), "{to}: {}", said.err);
    }
    let said = tool.call(&["export", &lists, "--to", "edn", "--key", "k0.0"]);
    assert!(said.out.lines().count() > 10 && !said.out.contains(":key"), "{}", said.out);
    let said = tool.call(&["export", &lists, "--to", "edn", "--key", "none"]);
    assert!(said.code == 64 && said.err.contains("no such key"), "{}", said.err);
}

/// elle-cli in a script that says always the same.
fn elle_cli(tool: &Tool, word: &str) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let file = tool.path(word);
    let script = format!("#!/bin/sh\nfor file; do case $file in /*) echo \"$file\t{word}\";; esac; done\n");
    fs::write(&file, script).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    path(&file)
}

#[test]
fn judges_from_outside_are_asked_or_refused_by_name() {
    let tool = Tool::new();
    let run = path(&recorded(&tool, "register"));
    let nowhere = path(&tool.path("nowhere"));
    let verify = |judges: &str, program: &str| {
        let said = tool.call_with(&["verify", &run, "--with", judges], &[("ELLE_CLI", program)]);
        (said.code, said.out + &said.err)
    };
    for (judges, program, code, expected) in [
        ("knossos", nowhere.as_str(), 69, "knossos is not here; install elle-cli"),
        ("elle", &elle_cli(&tool, "true"), 69, "elle cannot judge this history, which is of kv"),
        ("elf", &nowhere, 64, "--with elf: unknown; write some of porcupine,elle,knossos"),
        // One that calls everything good, or bad, is not believed.
        (
            "knossos",
            &elle_cli(&tool, "true"),
            2,
            "not to be trusted: Knossos, by elle-cli is wrong about a stale read",
        ),
        ("knossos", &elle_cli(&tool, "false"), 2, "is wrong about a read of what was written"),
    ] {
        let (found, said) = verify(judges, program);
        assert_eq!(found, code, "{judges}: {said}");
        assert!(said.contains(expected), "{judges}: {said}");
    }
}

#[cfg(feature = "outside-judges")]
#[test]
fn judges_that_are_built_in_agree_on_the_same_runs() {
    let tool = Tool::new();
    for (kind, judges) in [
        ("register", "porcupine"),
        ("kv", "porcupine"),
        ("list-append", "porcupine,elle"),
        ("set", "porcupine"),
        ("counter", "porcupine"),
        ("bank", "porcupine"),
        ("queue", "porcupine"),
    ] {
        let run = path(&recorded(&tool, kind));
        let said = tool.call_with(&["verify", &run, "--with", judges], &[("ELLE_CLI", "nowhere")]);
        assert_eq!(said.code, 0, "{kind}: {}{}", said.out, said.err);
        assert_eq!(said.out.matches(": good in").count(), judges.split(',').count(), "{kind}: {}", said.out);
    }
}

/// What a run says of a planted bug, `check` says of its history in the same words.
#[cfg(feature = "planted-bugs")]
#[test]
fn a_run_and_a_check_explain_a_violation_in_the_same_words() {
    let tool = Tool::new();
    let plan = crate::simulated::shipped("stale-reads.toml");
    let set = ["--set", "cluster.storage=memory", "--set", "sim.recheck=0", "--seed", "0", "--out", "out"];
    let (code, results) = tool.run(&plan, &[&set[..], &["--plant", "read-not-confirmed"]].concat());
    assert_eq!(code, 1, "{}", results[0]["reasons"]);
    let reasons = results[0]["reasons"].as_array().unwrap().clone();
    let run = fs::read_dir(tool.path("out/stale-reads")).unwrap().next().unwrap().unwrap().path();
    let said = tool.call(&["check", &path(&run), "--format", "json"]);
    assert_eq!(said.code, 1, "{}", said.err);
    let again: Value = serde_json::from_str(&said.out).unwrap();
    for reason in again["reasons"].as_array().unwrap() {
        assert!(reasons.contains(reason), "{reason} is not among {reasons:?}");
    }
    assert!(again["reasons"].to_string().contains("no order explains"), "{again}");
}

/// The process of a seed writes down what is wrong, and only then how wrong it is.
#[cfg(feature = "planted-bugs")]
#[test]
fn what_is_wrong_in_any_case_is_known_before_a_search() {
    let tool = Tool::new();
    let (lock, folder) = (crate::simulated::shipped("stale-reads.toml"), tool.path("seed"));
    fs::create_dir(&folder).unwrap();
    let seed = ["seed", "--lock", &lock, "--seed", "0", "--folder", &path(&folder)];
    let said = tool.call(&[&seed[..], &["--plant", "read-not-confirmed"]].concat());
    assert_eq!(said.code, 1, "{}{}", said.out, said.err);
    let read = |name: &str| -> Value {
        serde_json::from_str(&fs::read_to_string(folder.join(name)).unwrap()).unwrap()
    };
    let (known, result) = (read("known.json"), read("result.json"));
    for key in ["verdict", "exit_code", "seed", "ops", "elections", "event_hash"] {
        assert_eq!(known[key], result[key], "{key}");
    }
    let reasons = |of: &Value| of["reasons"].as_array().unwrap().clone();
    assert!(!reasons(&known).is_empty() && reasons(&known).len() < reasons(&result).len(), "{known}");
    assert!(reasons(&known).iter().all(|reason| reasons(&result).contains(reason)), "{known} {result}");
}
