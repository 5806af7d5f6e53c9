//! Forced recovery: what is said before, what is there after, and what is refused. Power cuts are in `disk`.
#![cfg(feature = "rocksdb")]

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use raft_core::node::{Done, LogStore, Node, Outcome, StateMachine, SystemEnvironment, Transport};
use raft_core::{
    AppendEntries, Batch, Chunk, ClusterId, Config, ConfigError, Configuration, Entries, Entry, EntryId,
    Envelope, GroupId, HardState, Incarnation, Input, LogIndex, Member, Message, NodeId, Part, Payload, Raft,
    Session, Snapshot, SnapshotId, Term, Time,
};
use raft_storage::machine::{Changes, Commands, MachineOptions, RocksMachine, View};
use raft_storage::recovery::Plan;
use raft_storage::{Hold, Opened, Recovery, RecoveryError, RocksGroups, RocksStore, StorageError};
use tempfile::TempDir;
use tokio::sync::mpsc;

const ME: NodeId = NodeId::new(1);
const OLD: ClusterId = ClusterId(1);
const NEW: ClusterId = ClusterId(2);

fn id(term: u64, index: u64) -> EntryId {
    EntryId::new(Term::new(term), LogIndex::new(index))
}

/// The members of the group, each in the life of its number.
fn members(ids: &[u64]) -> Configuration {
    Configuration::of(ids.iter().map(|&id| Member::bound(NodeId::new(id), Incarnation(id))))
}

/// Joint consensus of three servers, three commands of which one is known to be committed, and the beginning of a
/// snapshot that stands for more.
fn batch() -> Batch {
    let entry = |id, payload| Entry::new(id, payload);
    let command = |text: &'static str| Payload::Command(text.into());
    let next = raft_core::Next { voters: members(&[1, 4]).voters, learners: Vec::new(), joint: true };
    let joint = Configuration { next: Some(next), ..members(&[1, 2, 3]) };
    let snapshot = Snapshot {
        id: SnapshotId { last_included: id(4, 9), made_by: Incarnation(2) },
        configured: members(&[1, 2, 3]).into(),
    };
    Batch {
        cluster: Some(OLD),
        hard_state: Some(HardState { current_term: Term::new(6), voted_for: Some(NodeId::new(2)) }),
        parts: vec![Part { snapshot, chunk: Chunk::new(0, "half".into(), false) }],
        entries: vec![
            entry(id(1, 1), Payload::Configuration(joint.to_bytes())),
            entry(id(1, 2), command("one")),
            entry(id(3, 3), command("two")),
            entry(id(3, 4), command("three")),
        ]
        .into(),
        commit_index: LogIndex::new(2),
        ..Batch::default()
    }
}

fn open(directory: &Path) -> Opened<RocksStore> {
    RocksStore::open(directory, GroupId(0), Incarnation(1)).unwrap()
}

async fn write(store: &mut RocksStore, batch: Batch) {
    store.write(batch);
    assert_eq!(store.done().await, Ok(Done::Persisted(1)));
}

async fn survivor() -> TempDir {
    let directory = TempDir::new().unwrap();
    write(&mut open(directory.path()).store, batch()).await;
    directory
}

fn recovery() -> Recovery {
    Recovery { id: ME, groups: Vec::new(), cluster: NEW, incarnation: Incarnation(11) }
}

#[tokio::test]
async fn a_plan_says_what_there_is_and_what_may_be_lost() {
    let directory = survivor().await;
    let Plan { id: server, cluster, incarnation, torn_bytes, groups, directory: named } =
        recovery().plan(directory.path()).unwrap();
    assert_eq!(named, directory.path());
    assert_eq!((server, cluster, incarnation, torn_bytes), (ME, NEW, Incarnation(11), 0));
    let [group] = &groups[..] else { panic!("{groups:?}") };
    assert_eq!((group.before.cluster, group.before.last), (Some(OLD), id(3, 4)));
    assert_eq!(group.entry, id(7, 5));
    assert_eq!(group.to_be_committed, Some((LogIndex::new(3), LogIndex::new(4))));
    assert_eq!(group.known_lost, Some(id(4, 9)));
}

/// Joint consensus is over, and whatever the server had promised was promised in another life.
#[tokio::test]
async fn what_is_recovered_is_another_group_of_which_nothing_is_lost() {
    let directory = survivor().await;
    let before = open(directory.path()).restored;
    recovery().plan(directory.path()).unwrap().carry_out().unwrap();
    let Opened { restored, incarnation, torn_bytes, .. } = open(directory.path());
    assert_eq!((incarnation, torn_bytes), (Incarnation(11), 0));
    assert_eq!(restored.cluster, Some(NEW));
    assert_eq!(restored.hard_state, HardState { current_term: Term::new(7), voted_for: None });
    let ids: Vec<_> = restored.log.ids().collect();
    assert_eq!(ids, [id(1, 1), id(1, 2), id(3, 3), id(3, 4), id(7, 5)]);
    let last = restored.configurations.last().unwrap();
    assert_eq!(last.at, id(7, 5));
    assert_eq!(last.configuration, Configuration::of([Member::bound(ME, Incarnation(11))]));

    let start = |cluster, restored| {
        let config = Config { cluster, incarnation, ..Config::new(ME, vec![ME]) };
        Raft::new(config, restored, Time::ZERO)
    };
    let refused = |cluster, restored| start(cluster, restored).map(|raft| raft.id());
    let other = |stored, configured| Err(ConfigError::OtherCluster { stored, configured });
    assert_eq!(refused(OLD, restored.clone()), other(NEW, OLD));
    assert_eq!(refused(NEW, before), other(OLD, NEW), "nor does a server come along with an old directory");

    // Where nothing lies between them, a leader of the old group is not followed either, whatever its term.
    let mut raft = start(NEW, restored).unwrap();
    let args =
        AppendEntries { prev_log: id(3, 3), entries: Entries::default(), leader_commit: LogIndex::ZERO };
    for (cluster, term) in [(OLD, 7), (NEW, 100)] {
        raft.step(
            Time::ZERO,
            Input::Receive(Envelope {
                cluster,
                group: GroupId(0),
                from: NodeId::new(2),
                incarnation: Incarnation(2),
                to: ME,
                term: Term::new(100),
                session: Session(1),
                message: Message::AppendEntries(args.clone()),
            }),
        );
        assert_eq!(raft.current_term(), Term::new(term), "{cluster}");
    }
    assert_eq!(
        raft.leader(),
        Some(NodeId::new(2)),
        "it is the cluster that tells them apart, and nothing else"
    );
}

struct Counter;

impl Commands for Counter {
    fn apply(
        &self,
        _: LogIndex,
        command: &[u8],
        view: &View<'_>,
        changes: &mut Changes<'_>,
    ) -> Result<Bytes, StorageError> {
        let said = [&view.get(b"said")?.unwrap_or_default()[..], command, b" "].concat();
        changes.put(b"said", &said);
        Ok(said.into())
    }

    fn query(&self, _: &[u8], view: &View<'_>) -> Result<Bytes, StorageError> {
        Ok(view.get(b"said")?.unwrap_or_default().into())
    }
}

/// There is nobody else.
struct Nowhere;

impl Transport for Nowhere {
    fn send(&mut self, envelope: Envelope) {
        panic!("it knows {}", envelope.to);
    }
}

/// A state machine on disk that has applied what was committed has the rest applied, once; and a command
/// that comes then.
#[tokio::test]
async fn what_is_recovered_goes_on_with_its_state_machine() {
    let (directory, applied) = (survivor().await, TempDir::new().unwrap());
    let mut machine = RocksMachine::open(applied.path(), Counter, MachineOptions::default()).unwrap();
    machine.apply(LogIndex::new(2), "one".into()).await;
    drop(machine);
    recovery().plan(directory.path()).unwrap().carry_out().unwrap();

    let Opened { store, restored, incarnation, .. } = open(directory.path());
    let machine = RocksMachine::open(applied.path(), Counter, MachineOptions::default()).unwrap();
    let config = Config {
        cluster: NEW,
        incarnation,
        durable_state_machine: true,
        // A vote of its own counts once it is on the disk, and with the next election another one is wanted.
        election_timeout: (Duration::from_millis(500), Duration::from_secs(1)),
        // What the lost group began with does not count.
        ..Config::new(ME, (1..=3).map(NodeId::new).collect())
    };
    let raft = Raft::new(config, restored, Time::ZERO).unwrap();
    let (_messages, inbox) = mpsc::channel(1);
    let (node, handle) = Node::new(raft, store, Nowhere, machine, SystemEnvironment::new(), inbox);
    let running = tokio::spawn(node.run());
    let answer = loop {
        match handle.propose("four".into()).await {
            Outcome::Applied { answer, .. } => break answer,
            // It does not lead yet.
            Outcome::NotApplied(_) => tokio::time::sleep(Duration::from_millis(2)).await,
            Outcome::Unknown => panic!("{:?}", running.await),
        }
    };
    assert_eq!(answer, "one two three four ");
    handle.shutdown().await;
    running.await.unwrap().unwrap();
}

/// Whoever has lost sight of what became of a recovery asks for the same again.
#[tokio::test]
async fn what_was_recovered_is_known_to_be_as_long_as_nobody_joins() {
    let directory = survivor().await;
    recovery().plan(directory.path()).unwrap().carry_out().unwrap();
    let again = |asked: Recovery| asked.plan(directory.path()).unwrap_err();
    let same = |done| RecoveryError::SameCluster { group: GroupId(0), cluster: NEW, done };
    assert_eq!(again(Recovery { incarnation: Incarnation(12), ..recovery() }), same(true));
    assert_eq!(again(Recovery { id: NodeId::new(2), ..recovery() }), same(false));
    let joined = Configuration::of([
        Member::bound(ME, Incarnation(11)),
        Member::bound(NodeId::new(5), Incarnation(5)),
    ]);
    let entry = Entry::new(id(7, 6), Payload::Configuration(joined.to_bytes()));
    write(&mut open(directory.path()).store, Batch { entries: vec![entry].into(), ..Batch::default() }).await;
    assert_eq!(again(recovery()), same(false));
}

/// Each row: what is asked for, and what is said.
#[tokio::test]
async fn what_cannot_be_meant_is_refused() {
    let directory = survivor().await;
    for (asked, said) in [
        (
            Recovery { id: NodeId::new(5), ..recovery() },
            "group 0: its servers are n1#1,n2#2,n3#3 & n1#1,n4#4, and n5 is none of them; name the server whose \
             directory this is",
        ),
        (
            Recovery { id: NodeId::new(4), ..recovery() },
            "group 0: it does not have n4 in the life 0000000000000001, which this directory is in: it is another \
             server's or was wiped; recover another server's directory",
        ),
        (
            Recovery { groups: vec![GroupId(7)], ..recovery() },
            "group 7: the directory does not have it, but group 0; name one of these",
        ),
        (
            Recovery { cluster: OLD, ..recovery() },
            "group 0: it is of cluster 1 already; draw another cluster id",
        ),
        (
            Recovery { incarnation: Incarnation(1), ..recovery() },
            "group 0: it is in the life 0000000000000001 already; draw another one",
        ),
    ] {
        assert_eq!(asked.plan(directory.path()).map_err(|error| error.to_string()), Err(said.into()));
    }
    let empty = TempDir::new().unwrap();
    drop(open(empty.path()));
    assert_eq!(recovery().plan(empty.path()), Err(RecoveryError::Nothing { group: Some(GroupId(0)) }));
    drop(RocksGroups::open(directory.path().join("no-group")).unwrap());
    let none = recovery().plan(directory.path().join("no-group"));
    assert_eq!(none, Err(RecoveryError::Nothing { group: None }));
    let nowhere = recovery().plan(directory.path().join("nowhere"));
    assert!(matches!(nowhere, Err(RecoveryError::Storage(StorageError::NotAStore { .. }))), "{nowhere:?}");
}

/// Of groups that share a directory those are recovered that are named, and the others stay what they are.
#[tokio::test]
async fn of_several_groups_those_are_recovered_that_have_lost_their_majority() {
    let directory = TempDir::new().unwrap();
    let ids = [1, 2, 3].map(GroupId);
    let groups = RocksGroups::open(directory.path()).unwrap();
    for group in ids {
        write(&mut groups.store(group, Incarnation(1)).unwrap().store, batch()).await;
    }
    drop(groups);
    let refused = recovery().plan(directory.path());
    assert_eq!(refused, Err(RecoveryError::WhichGroups { there: ids.to_vec() }));
    let named = Recovery { groups: vec![ids[2], ids[0]], ..recovery() };
    named.plan(directory.path()).unwrap().carry_out().unwrap();
    let groups = RocksGroups::open(directory.path()).unwrap();
    let found = ids.map(|group| {
        let Opened { restored, incarnation, .. } = groups.store(group, Incarnation(0)).unwrap();
        (restored.cluster, incarnation, restored.log.last())
    });
    let recovered = (Some(NEW), Incarnation(11), id(7, 5));
    assert_eq!(found, [recovered, (Some(OLD), Incarnation(1), id(3, 4)), recovered]);
}

/// While its files are copied no server starts on it, and one that runs is in the way of that.
#[tokio::test]
async fn a_directory_that_is_held_is_not_opened() {
    let directory = survivor().await;
    let locked = StorageError::Locked { path: directory.path().to_owned() };
    let hold = Hold::of(directory.path()).unwrap();
    let opened = RocksStore::open(directory.path(), GroupId(0), Incarnation(1)).map(drop);
    assert_eq!(opened, Err(locked.clone()));
    drop(hold);
    let _opened = open(directory.path());
    assert_eq!(Hold::of(directory.path()).map(drop), Err(locked));
}
