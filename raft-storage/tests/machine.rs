//! The state machine on disk: what it keeps through a crash, and what its snapshots hold.

#![cfg(feature = "rocksdb")]

use std::fs;
use std::io::Cursor;
use std::path::Path;

use bytes::Bytes;
use raft_core::LogIndex;
use raft_core::node::StateMachine;
use raft_storage::StorageError;
use raft_storage::format::CLEAN_STOP;
use raft_storage::machine::{Changes, Commands, MachineOptions, RocksMachine, View};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;

/// A command is a key, a zero and a value; the answer is the value before. An empty value deletes.
struct Map;

impl Commands for Map {
    fn apply(
        &self,
        _: LogIndex,
        command: &[u8],
        view: &View<'_>,
        changes: &mut Changes<'_>,
    ) -> Result<Bytes, StorageError> {
        let end = command.iter().position(|byte| *byte == 0).unwrap_or(command.len());
        let (key, value) = (&command[..end], command.get(end + 1..).unwrap_or_default());
        let before = view.get(key)?.unwrap_or_default();
        if value.is_empty() {
            changes.delete(key);
        } else {
            changes.put(key, value);
        }
        Ok(before.into())
    }

    fn query(&self, first: &[u8], view: &View<'_>) -> Result<Bytes, StorageError> {
        let mut all = Vec::new();
        for record in view.from(first)? {
            let (key, value) = record?;
            all.extend([&key[..], b"=", &value, b";"].concat());
        }
        Ok(all.into())
    }
}

fn open(directory: &Path) -> RocksMachine<Map> {
    RocksMachine::open(directory, Map, MachineOptions::default()).unwrap()
}

async fn put(machine: &mut RocksMachine<Map>, index: u64, key: &str, value: &str) -> Bytes {
    machine.apply(LogIndex::new(index), [key, "\0", value].concat().into()).await
}

async fn all(machine: &mut RocksMachine<Map>) -> String {
    String::from_utf8(machine.query(Bytes::new()).await.into()).unwrap()
}

async fn bytes(machine: &mut RocksMachine<Map>) -> Vec<u8> {
    let mut bytes = Vec::new();
    machine.snapshot().await.unwrap().read_to_end(&mut bytes).await.unwrap();
    bytes
}

/// What a process that is killed leaves: the directory as it is.
fn killed(directory: &Path) -> TempDir {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for file in fs::read_dir(from).unwrap() {
            let file = file.unwrap();
            let to = to.join(file.file_name());
            if file.file_type().unwrap().is_dir() {
                copy(&file.path(), &to);
            } else {
                fs::copy(file.path(), to).unwrap();
            }
        }
    }
    let left = TempDir::new().unwrap();
    copy(directory, left.path());
    left
}

#[tokio::test]
async fn what_was_applied_is_there_after_a_stop_and_after_a_kill_as_far_as_it_says() {
    let directory = TempDir::new().unwrap();
    let mut machine = open(directory.path());
    assert_eq!(machine.durable_applied(), LogIndex::ZERO);
    assert_eq!(put(&mut machine, 1, "a", "1").await, "");
    assert_eq!(put(&mut machine, 2, "b", "2").await, "");
    assert_eq!(put(&mut machine, 5, "a", "3").await, "1");
    // Taking a snapshot writes out what was in memory. Read to its end, it has left the directory that is copied.
    bytes(&mut machine).await;
    assert_eq!(put(&mut machine, 6, "b", "").await, "2");
    assert_eq!(all(&mut machine).await, "a=3;");

    let left = killed(directory.path());
    let mut again = open(left.path());
    assert_eq!((again.durable_applied().get(), &*all(&mut again).await), (5, "a=3;b=2;"));
    drop(machine);
    let mut again = open(directory.path());
    assert_eq!((again.durable_applied().get(), &*all(&mut again).await), (6, "a=3;"));
}

/// What is applied while a snapshot is read does not show in it, whatever the machine was that it is given to.
#[tokio::test]
async fn a_snapshot_is_what_it_was_when_it_was_taken_and_replaces_everything() {
    let [one, other] = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let mut machine = open(one.path());
    put(&mut machine, 1, "a", "1").await;
    put(&mut machine, 2, "b", "2").await;
    let mut reader = machine.snapshot().await.unwrap();
    put(&mut machine, 3, "a", "3").await;
    put(&mut machine, 4, "c", "4").await;
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).await.unwrap();

    let mut machine = open(other.path());
    for index in 1..10 {
        put(&mut machine, index, "z", "other").await;
    }
    machine.restore(Box::pin(Cursor::new(bytes))).await.unwrap();
    assert_eq!((machine.durable_applied().get(), &*all(&mut machine).await), (2, "a=1;b=2;"));
    put(&mut machine, 3, "a", "5").await;
    assert_eq!(all(&mut machine).await, "a=5;b=2;");
    let left = killed(other.path());
    let mut again = open(left.path());
    assert_eq!((again.durable_applied().get(), &*all(&mut again).await), (2, "a=1;b=2;"));
    drop(machine);
    let mut again = open(other.path());
    assert_eq!((again.durable_applied().get(), &*all(&mut again).await), (3, "a=5;b=2;"));
}

/// A snapshot that is cut short, damaged or no snapshot at all changes nothing, and leaves nothing lying around.
#[tokio::test]
async fn what_is_no_snapshot_is_refused_and_the_state_stays() {
    let [one, other] = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let mut machine = open(one.path());
    put(&mut machine, 7, "new", "1").await;
    let sound = bytes(&mut machine).await;

    let mut machine = open(other.path());
    put(&mut machine, 3, "old", "1").await;
    let mut flipped = sound.clone();
    flipped[sound.len() / 2] ^= 1;
    let longer = [&sound[..], b"x"].concat();
    for bytes in [Vec::new(), b"no snapshot".to_vec(), sound[..sound.len() - 1].to_vec(), flipped, longer] {
        let error = machine.restore(Box::pin(Cursor::new(bytes))).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidData, "{error}");
        assert_eq!((machine.durable_applied().get(), &*all(&mut machine).await), (3, "old=1;"));
        let states = fs::read_dir(other.path()).unwrap().count();
        assert_eq!(states, 3, "the lock, which one counts, and that one");
    }
    // Whoever sends it fails.
    let broken = tokio::io::AsyncReadExt::chain(Cursor::new(sound[..99].to_vec()), Broken);
    let error = machine.restore(Box::pin(broken)).await.unwrap_err();
    assert_eq!(error.to_string(), "the link is down");
    machine.restore(Box::pin(Cursor::new(sound))).await.unwrap();
    assert_eq!((machine.durable_applied().get(), &*all(&mut machine).await), (7, "new=1;"));
}

struct Broken;

impl tokio::io::AsyncRead for Broken {
    fn poll_read(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        _: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Err(std::io::Error::other("the link is down")))
    }
}

#[tokio::test]
async fn a_machine_that_is_open_damaged_or_of_a_later_version_is_refused_with_a_cure() {
    let directory = TempDir::new().unwrap();
    let mut machine = open(directory.path());
    put(&mut machine, 1, "a", "1").await;
    let refused = |path: &Path| RocksMachine::open(path, Map, MachineOptions::default()).unwrap_err();
    assert_eq!(refused(directory.path()), StorageError::Locked { path: directory.path().to_owned() });
    drop(machine);

    let pointer = directory.path().join("raft-machine");
    let sound = fs::read(&pointer).unwrap();
    for at in 0..sound.len() {
        let mut flipped = sound.clone();
        flipped[at] ^= 1;
        fs::write(&pointer, flipped).unwrap();
        assert!(matches!(refused(directory.path()), StorageError::DamagedMachine { .. }), "byte {at}");
    }
    fs::remove_file(&pointer).unwrap();
    let error = refused(directory.path()).to_string();
    assert!(error.contains("raft-machine") && error.contains("missing"), "{error}");
    fs::write(&pointer, &sound).unwrap();
    let manifest = fs::read_dir(directory.path().join("state-1")).unwrap().find_map(|file| {
        let path = file.unwrap().path();
        path.file_name().unwrap().to_str().unwrap().starts_with("MANIFEST").then_some(path)
    });
    let manifest = manifest.unwrap();
    let bytes = fs::read(&manifest).unwrap();
    fs::write(&manifest, &bytes[..bytes.len() / 2]).unwrap();
    assert!(matches!(refused(directory.path()), StorageError::DamagedMachine { .. }));
    fs::write(&manifest, bytes).unwrap();
    assert_eq!(all(&mut open(directory.path())).await, "a=1;");
}

/// The machine was killed, and so nobody looks at its tables before they are read.
#[tokio::test]
async fn damage_that_a_machine_meets_while_it_runs_is_told_with_its_own_cure() {
    let directory = TempDir::new().unwrap();
    let mut machine = open(directory.path());
    put(&mut machine, 1, "a", "1").await;
    drop(machine);
    let state = directory.path().join("state-1");
    fs::remove_file(state.join(CLEAN_STOP)).unwrap();
    for file in fs::read_dir(&state).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "sst") {
            let mut bytes = fs::read(&path).unwrap();
            bytes[3] ^= 1;
            fs::write(&path, bytes).unwrap();
        }
    }
    let told = match RocksMachine::open(directory.path(), Map, MachineOptions::default()) {
        Ok(mut machine) => {
            let panic = tokio::spawn(async move { all(&mut machine).await }).await.unwrap_err().into_panic();
            *panic.downcast::<String>().unwrap()
        }
        Err(error) => error.to_string(),
    };
    let cure = format!("move {} away", directory.path().display());
    assert!(told.contains("damaged state machine") && told.contains(&cure), "{told}");
}
