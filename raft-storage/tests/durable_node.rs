//! A node whose log and whose state machine are on disk, killed again and again: each command is applied once (S1, S3).

#![cfg(feature = "rocksdb")]

use std::env;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use raft_core::node::{Node, Outcome, StateMachine, SystemEnvironment, Transport};
use raft_core::{Config, Envelope, GroupId, Incarnation, LogIndex, NodeId, Raft, Time};
use raft_storage::machine::{Changes, Commands, MachineOptions, RocksMachine, View};
use raft_storage::{RocksStore, StorageError};
use tempfile::TempDir;
use tokio::sync::mpsc;

/// Counts the commands: one that is applied twice, or not at all, shows.
struct Counter;

impl Commands for Counter {
    fn apply(
        &self,
        _: LogIndex,
        _: &[u8],
        view: &View<'_>,
        changes: &mut Changes<'_>,
    ) -> Result<Bytes, StorageError> {
        let count = view.get(b"count")?.map_or(0, |count| u64::from_be_bytes(count.try_into().unwrap())) + 1;
        changes.put(b"count", &count.to_be_bytes());
        // So that tables are made in between.
        changes.put(&count.to_be_bytes(), &[7; 4096]);
        Ok(count.to_string().into())
    }

    fn query(&self, key: &[u8], view: &View<'_>) -> Result<Bytes, StorageError> {
        Ok(view.get(key)?.unwrap_or_default().into())
    }
}

/// There is nobody else.
struct Nowhere;

impl Transport for Nowhere {
    fn send(&mut self, _: Envelope) {}
}

/// Which directory the other process is to live in, and in which life.
const DIRECTORY: &str = "RAFT_STORAGE_TEST_NODE";
const LIFE: &str = "RAFT_STORAGE_TEST_LIFE";

/// The other process: a node that counts, and says each answer, until it is killed.
async fn live(directory: &Path, life: u64) {
    let id = NodeId::new(1);
    let opened = RocksStore::open(directory.join("log"), GroupId(0), Incarnation(1)).unwrap();
    let options = MachineOptions { memtable_bytes: 64 * 1024 };
    let machine = RocksMachine::open(directory.join("machine"), Counter, options).unwrap();
    println!(
        "\nopened with {} applied and a log from {}",
        machine.durable_applied(),
        opened.restored.log.base()
    );
    let mut config = Config::new(id, vec![id]);
    config.incarnation = opened.incarnation;
    config.durable_state_machine = true;
    (config.snapshot_entries, config.snapshot_trailing) = (50, 10);
    // A vote of its own counts once it is on the disk, and with the next election another one is wanted.
    config.election_timeout = (Duration::from_millis(500), Duration::from_secs(1));
    config.seed = life;
    let raft = Raft::new(config, opened.restored, Time::ZERO).unwrap();
    let (_sender, inbox) = mpsc::channel(1);
    let (node, handle) = Node::new(raft, opened.store, Nowhere, machine, SystemEnvironment::new(), inbox);
    let running = tokio::spawn(node.run());
    while !running.is_finished() {
        match handle.propose("one more".into()).await {
            Outcome::Applied { answer, .. } => {
                println!("answer {}", String::from_utf8(answer.to_vec()).unwrap())
            }
            Outcome::NotApplied(_) => tokio::time::sleep(Duration::from_millis(2)).await,
            Outcome::Unknown => break,
        }
    }
    panic!("{:?}", running.await);
}

/// Lets the other process live for so many answers and kills it. Returns the first answer and the last.
fn killed_after(directory: &Path, life: u64, answers: usize) -> (u64, u64) {
    let mut node = Command::new(env::current_exe().unwrap())
        .args(["--exact", "each_command_is_applied_once_however_often_the_node_is_killed", "--nocapture"])
        .env(DIRECTORY, directory)
        .env(LIFE, life.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(node.stdout.take().unwrap()).lines().map_while(Result::ok);
    let answer = |line: String| line.strip_prefix("answer ").map(|count| count.parse::<u64>().unwrap());
    let mut counted: Vec<_> = said
        .by_ref()
        .inspect(|line| {
            if line.starts_with("opened") {
                println!("life {life}: {line}");
            }
        })
        .filter_map(answer)
        .take(answers)
        .collect();
    node.kill().unwrap();
    // What it had said before it was killed.
    counted.extend(said.filter_map(answer));
    node.wait().unwrap();
    assert!(counted.len() >= answers, "it died by itself after {counted:?}");
    assert!(counted.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{counted:?}");
    (counted[0], counted[counted.len() - 1])
}

#[test]
fn each_command_is_applied_once_however_often_the_node_is_killed() {
    if let (Some(directory), Ok(life)) = (env::var_os(DIRECTORY), env::var(LIFE)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        return runtime.block_on(live(Path::new(&directory), life.parse().unwrap()));
    }
    let directory = TempDir::new().unwrap();
    let mut last = 0;
    for (life, answers) in (1..).zip([7, 120, 1, 260, 33, 2, 1, 75]) {
        let (first, then) = killed_after(directory.path(), life, answers);
        // One that nobody heard the answer to may have been applied.
        assert!((last + 1..=last + 2).contains(&first), "life {life} begins with {first} after {last}");
        last = then;
    }
}
