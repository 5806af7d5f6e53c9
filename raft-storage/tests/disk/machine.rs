//! The power goes while a state machine on disk applies commands, is held fast for a snapshot, or becomes another one's:
//! what is found is the state after one of the commands, or the installed one, and never a part of either.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use raft_core::LogIndex;
use raft_core::node::StateMachine;
use raft_storage::StorageError;
use raft_storage::machine::{Changes, Commands, MachineOptions, RocksMachine, View};
use tokio::io::AsyncReadExt;

use crate::life::{block_on, scratch};
use crate::parallel::in_parallel;
use crate::recorded::{self, Files, Recorded};
use crate::watch::{Operation, Watch};

const OPTIONS: MachineOptions = MachineOptions { memtable_bytes: 64 * 1024 };
/// Two thirds of a memtable in five commands.
const VALUE_BYTES: usize = 8 * 1024;

/// Each command is the name of a key, and gives it the index as its value; each also changes a key that all share.
struct Registers;

impl Commands for Registers {
    fn apply(
        &self,
        index: LogIndex,
        command: &[u8],
        view: &View<'_>,
        changes: &mut Changes<'_>,
    ) -> Result<Bytes, StorageError> {
        let count = view.get(b"count")?.map_or(0, |count| count[0]);
        changes.put(b"count", &[count + 1]);
        let value = [&index.get().to_be_bytes()[..], &vec![7; VALUE_BYTES]].concat();
        changes.put(command, &value);
        Ok(Bytes::from(vec![count + 1]))
    }

    fn query(&self, _: &[u8], view: &View<'_>) -> Result<Bytes, StorageError> {
        let mut all = Vec::new();
        for record in view.from(b"")? {
            let (key, value) = record?;
            all.extend([&key[..], b"=", &value[..value.len().min(8)], b";"].concat());
        }
        Ok(all.into())
    }
}

fn open(directory: &Path) -> Result<RocksMachine<Registers>, StorageError> {
    RocksMachine::open(directory, Registers, OPTIONS)
}

async fn apply(machine: &mut RocksMachine<Registers>, indexes: std::ops::Range<u64>) {
    for index in indexes {
        let key = format!("key {}", index % 7);
        machine.apply(LogIndex::new(index), key.into_bytes().into()).await;
    }
}

/// How far a machine was applied, and all that it holds.
type Found = (u64, Bytes);

async fn found(machine: &mut RocksMachine<Registers>) -> Found {
    (machine.durable_applied().get(), machine.query(Bytes::new()).await)
}

/// The bytes of a snapshot of a machine that has applied as many commands as `last`.
fn snapshot_of(last: u64) -> (Vec<u8>, Found) {
    let directory = scratch();
    block_on(async {
        let mut machine = open(directory.path()).unwrap();
        apply(&mut machine, 1..last + 1).await;
        let mut bytes = Vec::new();
        machine.snapshot().await.unwrap().read_to_end(&mut bytes).await.unwrap();
        (bytes, found(&mut machine).await)
    })
}

const INSTALLED: u64 = 100;

/// What may be found: by how far it was applied.
fn states() -> BTreeMap<u64, Bytes> {
    let directory = scratch();
    block_on(async {
        let mut machine = open(directory.path()).unwrap();
        let mut states = BTreeMap::new();
        for index in 1..=INSTALLED + 10 {
            states.extend([found(&mut machine).await]);
            apply(&mut machine, index..index + 1).await;
        }
        states
    })
}

/// A life: commands, a snapshot that is read while more are applied, the snapshot of another server, and more commands.
/// What has to be there from then on is noted.
fn live(directory: &Path, snapshot: &[u8], watch: &Watch) {
    block_on(async {
        let mut machine = open(directory).unwrap();
        apply(&mut machine, 1..6).await;
        let mut reader = machine.snapshot().await.unwrap();
        watch.note(5);
        apply(&mut machine, 6..9).await;
        reader.read_to_end(&mut Vec::new()).await.unwrap();
        drop(reader);
        drop(machine);
        watch.note(8);
        let mut machine = open(directory).unwrap();
        apply(&mut machine, 9..12).await;
        machine.restore(Box::pin(std::io::Cursor::new(snapshot.to_vec()))).await.unwrap();
        watch.note(100);
        apply(&mut machine, INSTALLED + 1..INSTALLED + 5).await;
        drop(machine);
        watch.note(104);
    });
}

fn assert_everything_happened(operations: &[Operation]) {
    let did = |is_one: &dyn Fn(&Operation) -> bool| operations.iter().any(is_one);
    assert!(did(&|done| matches!(done, Operation::Link { to, .. } if to.ends_with(".sst"))));
    assert!(did(&|done| matches!(done, Operation::Rename { to, .. } if to.starts_with("checkpoint-"))));
    assert!(did(&|done| matches!(done, Operation::Remove { name } if name.starts_with("checkpoint-"))));
    assert!(did(
        &|done| matches!(done, Operation::Create { name } if name.starts_with("state-") && name.ends_with(".sst"))
    ));
    assert!(did(&|done| matches!(done, Operation::Rename { to, .. } if to == "raft-machine")));
    assert!(did(&|done| matches!(done, Operation::Remove { name } if name == "state-1")));
}

fn check(files: &Files, states: &BTreeMap<u64, Bytes>, least: u64) -> Result<(), String> {
    let directory = scratch();
    recorded::lay_out(directory.path(), files);
    let wrong = |what: String| {
        let lengths = files.iter().map(|(name, bytes)| format!("{name} {}", bytes.len()));
        format!("{least} at least, {}: {what}", lengths.collect::<Vec<_>>().join(", "))
    };
    let mut machine = open(directory.path()).map_err(|error| wrong(error.to_string()))?;
    let (applied, all) = block_on(found(&mut machine));
    if applied < least || states.get(&applied) != Some(&all) {
        return Err(wrong(format!("found {applied}: {all:?}")));
    }
    drop(machine);
    let left: Vec<_> =
        recorded::files(directory.path()).into_keys().filter(|name| is_left_over(name)).collect();
    if left.is_empty() { Ok(()) } else { Err(wrong(format!("{left:?} stays"))) }
}

fn is_left_over(name: &str) -> bool {
    name.starts_with("checkpoint-") || name == "raft-machine.tmp"
}

#[test]
fn a_power_cut_at_any_moment_leaves_one_state_or_the_other() {
    let (snapshot, installed) = snapshot_of(INSTALLED);
    let states = states();
    assert_eq!(states[&INSTALLED], installed.1, "the same commands lead to the same state");
    let directory = scratch();
    let watch = Watch::begin(directory.path());
    live(directory.path(), &snapshot, &watch);
    let operations = watch.operations();
    drop(watch);
    assert_everything_happened(&operations);

    let (mut recorded, mut least) = (Recorded::default(), 0);
    let mut cuts = BTreeMap::new();
    for operation in &operations {
        if let Operation::Note(noted) = operation {
            least = *noted as u64;
        }
        let torn = if is_worth_tearing(operation) { recorded.torn(operation) } else { Vec::new() };
        recorded.carry_out(operation);
        for files in torn.into_iter().chain(recorded.left()) {
            let files = files.into_iter().map(|(name, bytes)| {
                // What is never read makes no difference.
                let bytes = if recorded::is_said_of_itself(&name) { Bytes::new() } else { bytes };
                (name, bytes)
            });
            cuts.insert(files.collect::<Files>(), least);
        }
    }
    assert_eq!(recorded.written(), recorded::files(directory.path()), "nothing got by");
    println!("{} operations, {} different cuts", operations.len(), cuts.len());
    in_parallel(cuts.into_iter(), |(files, least)| check(&files, &states, least));
}

/// What says which database counts, at each byte. What RocksDB writes itself is torn in `power_cut`, and here at night.
fn is_worth_tearing(operation: &Operation) -> bool {
    let Operation::Write { name, .. } = operation else { return false };
    name == "raft-machine.tmp" || (recorded::nightly() && !name.ends_with(".sst"))
}
