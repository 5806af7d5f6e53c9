//! The plan language as a JSON Schema, for editors: keys, types, words and forms. Its words are those that plans are
//! read with. What rests on two keys at once only [`Plan::read`](super::Plan::read) tells.

mod actions;
mod forms;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::budget::QUOTAS;
use super::check::{ENGINES, INVARIANTS, LIMITS};
use super::sections::KINDS;
use crate::lab::{TESTS, Test};
use forms::{about, any_of, list, refer, table, text, whole, words};

/// A JSON Schema (2020-12) of plans.
pub fn schema() -> Value {
    let mut schema = table([
        ("schema", about("The form of the plan.", json!({ "const": 1 }))),
        ("name", about("Names the output folder.", refer("name"))),
        ("about", about("What it is about, for people.", json!({ "type": "string" }))),
        ("tags", about("By which `soak` selects.", list(refer("name")))),
        (
            "extends",
            about("The plan that this one stands on, relative to this file.", json!({ "type": "string" })),
        ),
        ("run", run()),
        ("sim", sim()),
        ("process", process()),
        ("cluster", cluster()),
        ("workload", workload()),
        ("event", about("Scripted: once, when all that `when` asks for holds.", list(actions::event()))),
        ("chaos", about("At random times.", list(actions::chaos()))),
        ("budget", budget()),
        ("check", check()),
    ]);
    if let Value::Object(root) = &mut schema {
        root.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        root.insert("title".to_owned(), json!("A plan of raft-chaos"));
        let whole = json!([{ "required": ["schema", "name"] }, { "required": ["extends"] }]);
        root.insert("anyOf".to_owned(), whole);
        let forms = forms::all().into_iter().chain(actions::forms());
        root.insert("$defs".to_owned(), Value::Object(forms.collect::<Map<_, _>>()));
    }
    schema
}

fn run() -> Value {
    let seeds = any_of([whole(0, None), text(r"^\s*([0-9]+|[0-9]+\s*\.\.=?\s*[0-9]+|random:\s*[0-9]+)\s*$")]);
    about(
        "How long, and with which seeds.",
        table([
            ("mode", words(["sim", "process", "both"])),
            ("seeds", about("7, \"0..500\" without the last, \"0..=499\" with it, \"random:500\".", seeds)),
            ("warmup", about("Before any fault.", refer("duration"))),
            ("duration", about("With faults.", refer("some-duration"))),
            ("settle", about("After everything is healed; progress is owed here.", refer("duration"))),
            ("max_wall", about("Wall time for one seed.", refer("duration"))),
            ("swarm", about("Each seed switches a random part of [[chaos]] off.", refer("bool"))),
        ]),
    )
}

fn sim() -> Value {
    let link = table([
        ("delay", about("What every message takes.", refer("duration"))),
        ("jitter", about("What it may take besides.", refer("duration"))),
        (
            "tail",
            about(
                "How much longer a share takes, as in \"40ms@1%\".",
                text(&format!("^{}@{}$", forms::DURATION, forms::PERCENT)),
            ),
        ),
    ]);
    about(
        "The simulated world.",
        table([
            ("tick", about("The step of time, in whole milliseconds.", refer("some-duration"))),
            ("link", link),
            ("shuffle_hosts", about("Hosts run in a fresh order each step.", refer("bool"))),
            ("recheck", about("The share of seeds that are run twice.", refer("share"))),
        ]),
    )
}

fn process() -> Value {
    about(
        "The real world.",
        table([
            ("node", about("What starts a node, instead of this tool's own.", refer("command"))),
            (
                "next",
                about(
                    "The program that {next} stands for in commands: what to upgrade to.",
                    json!({ "type": "string", "minLength": 1 }),
                ),
            ),
            ("keep_data_on_failure", about("Of a run that does not pass.", refer("bool"))),
        ]),
    )
}

fn cluster() -> Value {
    let features = table([
        ("prevote", about("A server asks before an election whether it would win it.", refer("bool"))),
        ("read", about("How reads are answered.", words(["log", "read-index", "lease"]))),
        ("lease_drift", about("With leases: by how much clocks run apart.", refer("percent"))),
    ]);
    about(
        "The servers: voters have the first ids, then come learners, then spares.",
        table([
            ("voters", whole(1, Some(15))),
            ("learners", whole(0, Some(15))),
            ("spares", about("They run, take no part, and can be added.", whole(0, Some(15)))),
            ("storage", words(["memory", "rocksdb"])),
            ("election_timeout", refer("two-durations")),
            ("heartbeat", about("At most half the shorter election timeout.", refer("some-duration"))),
            ("snapshot_every", about("Applied entries; 0: only on demand.", whole(0, None))),
            ("snapshot_trailing", about("Entries before a snapshot that stay in the log.", whole(0, None))),
            ("snapshot_chunk", about("Bytes of one piece of a snapshot.", refer("size"))),
            ("log_cache", about("Bytes of entries kept in memory.", refer("size"))),
            ("features", features),
        ]),
    )
}

fn workload() -> Value {
    let keys = table([
        ("live", about("Keys in use at once.", whole(1, Some(100_000)))),
        ("ops_per_key", about("Then a fresh key takes its place.", whole(1, None))),
        ("clients_per_key", about("Clients that touch one key.", whole(1, None))),
    ]);
    let lab_tests: BTreeSet<String> = TESTS.iter().flat_map(Test::names).collect();
    let mut workload = about(
        "What clients ask.",
        table([
            ("kind", words(KINDS.map(|(word, ..)| word))),
            ("test", about("With kind = \"lab\": the test.", json!({ "enum": lab_tests }))),
            ("clients", whole(1, Some(1_000))),
            ("rate", about("Operations a second, all clients.", whole(1, Some(1_000_000)))),
            ("value", about("Bytes of a written value.", refer("size"))),
            ("keys", keys),
            ("mix", about("The weight of each operation.", json!({ "type": "object" }))),
            ("op_timeout", about("Then nobody knows what became of it.", refer("some-duration"))),
            ("retries", words(["none", "session"])),
            ("sessions", about("How many sessions the cluster holds.", whole(1, None))),
            ("route", any_of([words(["leader", "any", "sticky"]), whole(1, Some(45))])),
        ]),
    );
    workload["allOf"] = KINDS.iter().map(|(kind, _, operations)| of_kind(kind, operations)).collect();
    workload
}

/// What goes with a kind: its operations, and a test of the lab. Nothing written is a register.
fn of_kind(kind: &str, operations: &[&str]) -> Value {
    let is_kind = json!({ "properties": { "kind": { "const": kind } } });
    let needs: &[&str] = if kind == "register" { &[] } else { &["kind"] };
    let weight = || whole(0, Some(u64::from(u32::MAX)));
    let mix = table(operations.iter().map(|word| (*word, weight())));
    let required: &[&str] = if kind == "lab" { &["test"] } else { &[] };
    json!({
        "if": { "allOf": [is_kind, { "required": needs }] },
        "then": { "properties": { "mix": mix }, "required": required },
    })
}

fn budget() -> Value {
    let quota = || words(QUOTAS.map(|(word, _)| word));
    about(
        "What [[chaos]] may not exceed; events count as used.",
        table([
            ("down_or_cut", about("Voters that are down or cut off.", quota())),
            ("disk_loss", about("Voters that have lost something of their disks.", quota())),
            ("max_clock_error", about("How far a clock may be from the true time.", refer("duration"))),
        ]),
    )
}

fn check() -> Value {
    let how = table([
        ("engine", words(ENGINES.map(|(word, _)| word))),
        ("timeout", refer("duration")),
        ("memory", refer("size")),
    ]);
    let names = INVARIANTS.iter().map(|(name, _)| (*name).to_owned());
    let names = names.clone().chain(names.map(|name| format!("-{name}"))).chain(["all".to_owned()]);
    let liveness = table([
        ("leader_within", about("The longest without a leader.", refer("duration"))),
        ("commit_within", about("The longest without a commit while an operation waits.", refer("duration"))),
        ("ok_ratio_after_heal", about("The share of operations that succeed at last.", refer("share"))),
    ]);
    let counts = [
        "ops_ok",
        "elections",
        "snapshots_installed",
        "commands_repeated",
        "sessions_expired",
        "entries_repaired",
    ];
    let evidence = counts.map(|key| (key, refer("count"))).into_iter();
    let evidence =
        evidence.chain(["every_event_fired", "every_fault_had_effect"].map(|key| (key, refer("bool"))));
    about(
        "What is judged.",
        table([
            ("linearizable", any_of([json!({ "const": false }), how])),
            ("invariants", list(words(names.collect::<Vec<_>>()))),
            ("liveness", about("While progress is owed.", liveness)),
            (
                "limits",
                about(
                    "Bounds on numbers of the result.",
                    table(LIMITS.map(|(key, _)| (key, refer("count")))),
                ),
            ),
            ("evidence", about("Without which a run proves nothing.", table(evidence))),
        ]),
    )
}
