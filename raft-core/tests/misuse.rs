//! What a server makes of a configuration, a disk or a driver that is wrong. What the compiler makes of it is shown in the
//! documentation of [`raft_core::WriteToken`] and [`raft_core::Effects`].

use std::time::Duration;

use bytes::Bytes;
use raft_core::{
    AppendEntries, AppendEntriesReply, Chunk, ClusterId, Config, ConfigError, Configuration,
    ConfigurationError, Effects, Entry, EntryId, Envelope, Event, GroupId, HardState, Incarnation, Input,
    InstallSnapshot, InstallSnapshotReply, Loaded, LogIndex, LogOutline, Message, Next, NodeId, Payload,
    Raft, ReadId, RequestVoteReply, Restored, Session, Snapshot, SnapshotId, Stored, Term, Time, Violation,
    WriteToken,
};

const MS: Duration = Duration::from_millis(1);
const ME: NodeId = NodeId::new(1);

/// A server of a group that begins with these voters and learners.
fn begins(voters: &[u64], learners: &[u64]) -> Config {
    let list = |ids: &[u64]| ids.iter().map(|&id| NodeId::new(id).into()).collect();
    let first = Configuration { voters: list(voters), learners: list(learners), next: None };
    Config { bootstrap: Some(first), ..config() }
}

fn config() -> Config {
    Config::new(ME, (1..=3).map(NodeId::new).collect())
}

/// The only server of its cluster, and the token of its first write.
fn alone(config: Config) -> (Raft, WriteToken) {
    let config = Config { bootstrap: Some(vec![config.id].into()), pre_vote: false, ..config };
    let mut raft = Raft::new(config, Restored::default(), Time::ZERO).unwrap();
    raft.step(raft.deadline(), Input::Tick);
    let write = raft.take_effects().write.expect("it votes for itself");
    (raft, write.token)
}

fn id(term: u64, index: u64) -> EntryId {
    EntryId::new(Term::new(term), LogIndex::new(index))
}

/// Each row: what is wrong, and what is said about it, which names the field, its value, and the cure.
#[test]
fn a_configuration_that_makes_no_sense_is_refused() {
    for (config, refused) in [
        (begins(&[], &[]), "bootstrap: voters: there are none; name at least one server"),
        (
            begins(&[1, 3, 2], &[]),
            "bootstrap: members: n3 comes before n2; sort them and name each server once",
        ),
        (begins(&[1, 1], &[]), "bootstrap: members: n1 comes before n1; sort them and name each server once"),
        (begins(&[1, 2], &[2, 3]), "bootstrap: members: n2 votes and learns; name it once"),
        (
            Config { heartbeat: Duration::ZERO, ..config() },
            "heartbeat: 0ns must be above zero and at most half the shortest election timeout, 150ms",
        ),
        (
            Config { heartbeat: 76 * MS, ..config() },
            "heartbeat: 76ms must be above zero and at most half the shortest election timeout, 150ms",
        ),
        (
            Config { election_timeout: (300 * MS, 150 * MS), ..config() },
            "election_timeout: the longest, 150ms, is shorter than the shortest, 300ms; the shortest comes first",
        ),
        (
            Config { election_timeout: (150 * MS, Duration::MAX), ..config() },
            "election_timeout: 18446744073709551615.999999999s is too long; give at most a year, 31536000s",
        ),
        (
            Config { heartbeat: Duration::MAX, ..config() },
            "heartbeat: 18446744073709551615.999999999s is too long; give at most a year, 31536000s",
        ),
        (
            Config { disk_patience: Duration::from_secs(31_536_001), ..config() },
            "disk_patience: 31536001s is too long; give at most a year, 31536000s",
        ),
        (
            Config { disk_patience: Duration::ZERO, ..config() },
            "disk_patience: 0 is no time; allow the disk some, as a second",
        ),
        (
            Config { read_lease_ppm: Some(250), check_quorum: false, ..config() },
            "read_lease_ppm: leases need check_quorum, which is off; set it, or no leases",
        ),
        (Config { append_window: 0, ..config() }, "append_window: 0 replicates nothing; allow at least 1"),
        (
            Config { append_window_bytes: 0, ..config() },
            "append_window_bytes: 0 replicates nothing; allow at least 1",
        ),
        (
            Config { append_bytes_max: 524_289, ..config() },
            "append_bytes_max: 524289 is more than 524288, which is 512 KiB: as many empty commands would not fit into a frame",
        ),
        (
            Config { command_bytes_max: 0, ..config() },
            "command_bytes_max: 0 is not from 1 to 8388608, which is 8 MiB",
        ),
        (
            Config { command_bytes_max: 8_388_609, ..config() },
            "command_bytes_max: 8388609 is not from 1 to 8388608, which is 8 MiB",
        ),
        (
            Config { snapshot_chunk_bytes: 0, ..config() },
            "snapshot_chunk_bytes: 0 is not from 1 to 8388608, which is 8 MiB",
        ),
        (
            Config { snapshot_chunk_bytes: 8_388_609, ..config() },
            "snapshot_chunk_bytes: 8388609 is not from 1 to 8388608, which is 8 MiB",
        ),
    ] {
        let found = Raft::new(config, Restored::default(), Time::ZERO).map(|raft| raft.id());
        assert_eq!(found.map_err(|error| error.to_string()), Err(refused.into()));
    }
}

/// What the documentation of [`Config::new`] says.
#[test]
fn the_usual_values_are_these() {
    let (kib, mib) = (1 << 10, 1 << 20);
    let usual = config();
    assert_eq!((usual.election_timeout, usual.heartbeat), ((150 * MS, 300 * MS), 50 * MS));
    assert_eq!(usual.disk_patience, Duration::from_secs(1));
    assert_eq!((usual.append_bytes_max, usual.append_window), (256 * kib, 64));
    assert_eq!(usual.append_window_bytes, 16 * mib);
    assert_eq!((usual.uncommitted_bytes_max, usual.cache_bytes_max), (64 * mib, 64 * mib));
    assert_eq!((usual.snapshot_entries, usual.snapshot_trailing), (100_000, 10_000));
    assert_eq!(usual.snapshot_chunk_bytes, mib);
    assert!(usual.pre_vote && usual.check_quorum && usual.read_lease_ppm.is_none());
    assert!(!usual.durable_state_machine && !usual.observe);
}

/// A thousand voters and as many learners are the most, and their entry can be read again.
#[test]
fn as_many_members_as_there_may_be_are_understood() {
    let most =
        Configuration::of((1..=1_000).map(NodeId::new)).with_learners((2_001..=3_000).map(NodeId::new));
    assert_eq!(most.check(), Ok(()));
    assert_eq!(Configuration::from_bytes(&most.to_bytes()), Some(most));
    let more = Configuration::of((1..=1_001).map(NodeId::new));
    assert_eq!(Configuration::from_bytes(&more.to_bytes()), None);
}

/// Whoever is named twice is one member.
#[test]
fn a_member_that_is_named_twice_is_one() {
    let once = Configuration::of([1, 2].map(NodeId::new));
    assert_eq!(Configuration::of([2, 1, 2].map(NodeId::new)), once);
    let next = Some(Next { voters: once.voters.clone(), learners: Vec::new(), joint: true });
    let joint = Configuration { next, ..once };
    let both = [1, 2].map(NodeId::new);
    assert_eq!((joint.members(), joint.voting()), (both.to_vec(), both.to_vec()));
}

/// What is on the edge of what is refused is not.
#[test]
fn a_configuration_that_makes_sense_is_taken() {
    let year = Duration::from_secs(365 * 24 * 60 * 60);
    for config in [
        config(),
        begins(&[1], &[]),
        begins(&[2, 3], &[1]),
        Config { bootstrap: None, ..config() },
        Config { id: NodeId::new(9), ..config() },
        Config { heartbeat: 75 * MS, ..config() },
        Config { election_timeout: (150 * MS, 150 * MS), ..config() },
        Config { election_timeout: (year, year), heartbeat: year / 2, disk_patience: year, ..config() },
        Config { append_window: 1, append_window_bytes: 1, ..config() },
        Config { snapshot_chunk_bytes: 1, ..config() },
        Config { snapshot_chunk_bytes: 8 * 1024 * 1024, ..config() },
        Config { append_bytes_max: 512 * 1024, ..config() },
        Config { append_bytes_max: 0, uncommitted_bytes_max: 0, cache_bytes_max: 0, ..config() },
        Config { read_lease_ppm: Some(u32::MAX), ..config() },
    ] {
        assert!(Raft::new(config.clone(), Restored::default(), Time::ZERO).is_ok(), "{config:?}");
    }
}

/// Each row: what is found on a disk that no server can have written, and what is said about it.
#[test]
fn a_disk_that_is_damaged_is_refused() {
    let term = |term| HardState { current_term: Term::new(term), voted_for: None };
    let log = |base, ids: &[EntryId]| {
        let mut log = LogOutline::new(base);
        assert!(ids.iter().all(|id| log.append(*id)));
        log
    };
    let snapshot = |last_included| {
        let id = SnapshotId { last_included, made_by: Incarnation(1) };
        Some(Snapshot { id, configured: Configuration::of([ME]).into() })
    };
    for (restored, refused) in [
        (
            Restored { hard_state: term(1), log: log(id(1, 7), &[]), ..Restored::default() },
            "restored log: entry 7 is neither in the log nor in a snapshot; the store is damaged",
        ),
        (
            Restored { hard_state: term(1), snapshot: snapshot(id(1, 2)), ..Restored::default() },
            "restored log: it ends with 0@t0 and has no 2@t1, where the snapshot ends; the store is damaged",
        ),
        (
            Restored {
                hard_state: term(2),
                snapshot: snapshot(id(1, 2)),
                log: log(id(1, 1), &[id(2, 2)]),
                ..Restored::default()
            },
            "restored log: it ends with 2@t2 and has no 2@t1, where the snapshot ends; the store is damaged",
        ),
        (
            Restored { log: log(EntryId::ZERO, &[id(3, 1)]), ..Restored::default() },
            "restored term: t0 is lower than that of entry 1@t3; the store is damaged, and a vote may be lost",
        ),
        (
            Restored { hard_state: term(u64::MAX), ..Restored::default() },
            "restored term and log: nobody has counted up to t18446744073709551615 or 0@t0; the store is damaged",
        ),
    ] {
        let found = Raft::new(config(), restored, Time::ZERO).map(|raft| raft.id());
        assert_eq!(found.map_err(|error| error.to_string()), Err(refused.into()));
    }
    let whole = Restored {
        hard_state: term(3),
        snapshot: snapshot(id(1, 2)),
        log: log(id(1, 1), &[id(1, 2), id(3, 3)]),
        ..Restored::default()
    };
    assert_eq!(Raft::new(config(), whole, Time::ZERO).map(|raft| raft.last_log()), Ok(id(3, 3)));
}

/// A disk is of the cluster that its server was first told, and says so.
#[test]
fn a_disk_of_another_cluster_is_refused() {
    let (of_two, mut stored) = (Config { cluster: ClusterId(2), ..config() }, Stored::default());
    let mut raft = Raft::new(of_two.clone(), Restored::default(), Time::ZERO).unwrap();
    for term in [3, 4] {
        let append = Envelope { cluster: ClusterId(2), term: Term::new(term), ..append(EntryId::ZERO, &[]) };
        raft.step(Time::ZERO, Input::Receive(append));
        let write = raft.take_effects().write.expect("it has another term");
        let is_first = stored == Stored::default();
        assert_eq!(write.batch.cluster, is_first.then_some(ClusterId(2)));
        stored.apply(write.batch);
        raft.step(Time::ZERO, Input::Persisted(write.token));
    }
    let found = Raft::new(config(), stored.restored(), Time::ZERO).map(|raft| raft.id());
    assert_eq!(
        found.map_err(|error| error.to_string()),
        Err("cluster: cluster 1 was given, and the directory is of cluster 2; start the server in that one, or with \
             an empty directory"
            .into())
    );
    assert!(Raft::new(of_two, stored.restored(), Time::ZERO).is_ok());
}

/// A token is for one write of one server of one group: each row is whose the token is, and whether it is taken.
#[test]
fn a_token_of_another_server_or_group_is_refused() {
    for (other, taken) in [
        (config(), true),
        (Config { id: NodeId::new(2), ..config() }, false),
        (Config { group: GroupId(1), ..config() }, false),
        (Config { seed: 7, ..config() }, false),
    ] {
        let (mut raft, own) = alone(config());
        let (_, foreign) = alone(other);
        drop(own);
        raft.step(raft.deadline(), Input::Persisted(foreign));
        let expected = if taken { None } else { Some(Violation::WriteOutOfOrder) };
        assert_eq!(raft.take_effects().violation, expected);
    }
}

/// A server that has met a contradiction, or whose write failed, says so once and is silent for ever.
#[test]
fn a_server_that_has_stopped_asks_for_nothing() {
    for input in [|_| Input::WriteFailed, Input::Persisted as fn(WriteToken) -> Input] {
        let (mut raft, token) = alone(config());
        let (_, foreign) = alone(Config { group: GroupId(1), ..config() });
        drop(token);
        raft.step(Time::ZERO, input(foreign));
        let Effects { write, send, apply, .. } = raft.take_effects();
        assert!(write.is_none() && send.is_empty() && apply.is_empty());
        for second in 0..9 {
            raft.step(Time::ZERO.after(Duration::from_secs(second)), Input::Tick);
            assert!(raft.propose("x".into()).is_err());
            let Effects { write, send, apply, violation, .. } = raft.take_effects();
            assert!(write.is_none() && send.is_empty() && apply.is_empty() && violation.is_none());
        }
    }
}

/// Answers to what was never asked change nothing that anybody could see, and time that goes back does not.
#[test]
fn answers_that_nobody_asked_for_change_nothing() {
    let snapshot = SnapshotId { last_included: id(1, 9), made_by: Incarnation(9) };
    let entry = Entry::new(id(1, 9), Payload::Command("x".into()));
    let chunk = Some(Chunk::new(0, "x".into(), true));
    let mut raft = Raft::new(config(), Restored::default(), Time::from_nanos(1_000)).unwrap();
    let before = (raft.fingerprint(), raft.deadline());
    for input in [
        Input::Applied,
        Input::Loaded(Loaded::Entries { from: LogIndex::new(9), entries: vec![entry] }),
        Input::Loaded(Loaded::Chunk { snapshot, offset: 0, chunk }),
        Input::SnapshotTaken { snapshot, data: "x".into(), done: true },
        Input::SnapshotFailed { snapshot, reason: "why".into() },
        Input::Tick,
    ] {
        let said = format!("{input:?}");
        raft.step(Time::ZERO, input);
        let Effects { write, send, apply, restore, take_snapshot, load, reads, .. } = raft.take_effects();
        assert!(write.is_none() && send.is_empty() && apply.is_empty() && load.is_empty(), "{said}");
        assert!(restore.is_none() && take_snapshot.is_none() && reads.is_empty(), "{said}");
        assert_eq!((raft.fingerprint(), raft.deadline()), before, "{said}");
    }
    raft.step(Time::ZERO, Input::Read(ReadId(1)));
    assert_eq!(raft.take_effects().reads.len(), 1, "it is refused");
}

/// What the errors are, for whoever matches them.
#[test]
fn a_refusal_is_a_value() {
    let refused = |config| Raft::new(config, Restored::default(), Time::ZERO).map(|raft| raft.id());
    let (first, second) = (NodeId::new(2), NodeId::new(1));
    let unsorted = ConfigurationError::Unsorted { first, second };
    assert_eq!(refused(begins(&[2, 1], &[])), Err(ConfigError::Bootstrap(unsorted)));
    assert_eq!(
        refused(Config { append_window: 0, ..config() }),
        Err(ConfigError::NoWindow { field: "append_window" })
    );
}

/// The highest term and index that any server counts up to.
const NUMBER_MAX: u64 = u64::MAX / 2;

fn envelope(message: Message) -> Envelope {
    Envelope {
        cluster: ClusterId(1),
        group: GroupId(0),
        from: NodeId::new(2),
        incarnation: Incarnation(2),
        to: ME,
        term: Term::new(3),
        session: Session(7),
        message,
    }
}

fn append(prev_log: EntryId, ids: &[EntryId]) -> Envelope {
    let entries = ids.iter().map(|&id| Entry::new(id, Payload::Noop)).collect();
    envelope(Message::AppendEntries(AppendEntries { prev_log, entries, leader_commit: LogIndex::ZERO }))
}

/// An entry that is to say who votes.
fn configured(bytes: Bytes) -> Envelope {
    let entries = vec![Entry::new(id(1, 1), Payload::Configuration(bytes))].into();
    let (prev_log, leader_commit) = (EntryId::ZERO, LogIndex::ZERO);
    envelope(Message::AppendEntries(AppendEntries { prev_log, entries, leader_commit }))
}

fn piece(last_included: EntryId, chunk: Chunk) -> Envelope {
    let id = SnapshotId { last_included, made_by: Incarnation(2) };
    let snapshot = Snapshot { id, configured: Configuration::of([ME]).into() };
    envelope(Message::InstallSnapshot(Box::new(InstallSnapshot { snapshot, chunk })))
}

/// Each row: what comes in, and whether it could come from a server of this cluster and group. What could not is dropped
/// unread; what could may be refused, but is answered.
#[test]
fn what_no_server_can_have_said_is_dropped_unread() {
    let sound = || append(EntryId::ZERO, &[id(1, 1)]);
    let chunk = |offset, data: &'static str, done| Chunk::new(offset, data.into(), done);
    let damaged = Chunk { checksum: 0, ..chunk(0, "x", true) };
    for (comes, could) in [
        (sound(), true),
        (Envelope { cluster: ClusterId(2), ..sound() }, false),
        (Envelope { group: GroupId(1), ..sound() }, false),
        (Envelope { to: NodeId::new(3), ..sound() }, false),
        (Envelope { from: ME, ..sound() }, false),
        (Envelope { from: NodeId::new(9), ..sound() }, true),
        (Envelope { term: Term::new(NUMBER_MAX), ..sound() }, true),
        (Envelope { term: Term::new(NUMBER_MAX + 1), ..sound() }, false),
        (append(id(3, 1), &[]), true),
        (append(id(4, 1), &[]), false),
        (append(id(3, NUMBER_MAX), &[]), true),
        (append(id(3, NUMBER_MAX + 1), &[]), false),
        (append(id(2, 1), &[id(2, 2), id(3, 3)]), true),
        (append(id(2, 1), &[id(2, 3)]), false),
        (append(id(2, 1), &[id(2, 1)]), false),
        (append(id(2, 1), &[id(1, 2)]), false),
        (append(id(2, 1), &[id(4, 2)]), false),
        (append(id(2, 1), &[id(3, 2), id(2, 3)]), false),
        (append(id(2, 1), &[id(2, 2), id(2, 4)]), false),
        (configured(Configuration::of([ME]).to_bytes()), true),
        (configured("x".into()), false),
        (piece(id(3, 9), chunk(0, "x", false)), true),
        (piece(id(4, 9), chunk(0, "x", false)), false),
        (piece(id(3, 0), chunk(0, "x", false)), false),
        (piece(id(3, 1), chunk(0, "x", false)), true),
        (piece(id(3, NUMBER_MAX), chunk(0, "x", false)), true),
        (piece(id(3, NUMBER_MAX + 1), chunk(0, "x", false)), false),
        (piece(id(3, 9), chunk(NUMBER_MAX, "x", false)), true),
        (piece(id(3, 9), chunk(NUMBER_MAX + 1, "x", false)), false),
        (piece(id(3, 9), chunk(0, "", false)), false),
        (piece(id(3, 9), chunk(0, "", true)), true),
        (piece(id(3, 9), damaged), false),
    ] {
        let mut raft =
            Raft::new(Config { observe: true, ..config() }, Restored::default(), Time::ZERO).unwrap();
        let (said, before) = (format!("{comes:?}"), raft.fingerprint());
        let from = comes.from;
        raft.step(Time::ZERO, Input::Receive(comes));
        let Effects { write, events, .. } = raft.take_effects();
        let dropped = events == [Event::StrangerDropped { from }];
        assert_eq!(raft.counts().strangers_dropped, u64::from(dropped), "{said}");
        assert_eq!((dropped, write.is_some()), (!could, could), "{said}");
        assert_eq!(raft.fingerprint() == before, dropped, "{said}");
    }
}

/// A leader that is told of entries that it does not have has lost them, or the follower is another's: it stops. Up to its
/// last entry it goes on.
#[test]
fn an_acknowledgement_beyond_the_log_stops_the_leader() {
    let reply = |index: u64, snapshot: bool| {
        if snapshot {
            let snapshot = SnapshotId { last_included: id(1, index), made_by: Incarnation(2) };
            Message::InstallSnapshotReply(InstallSnapshotReply::Installed { snapshot })
        } else {
            let match_index = LogIndex::new(index);
            Message::AppendEntriesReply(AppendEntriesReply::Accepted { match_index })
        }
    };
    for (index, snapshot, stops) in [(1, false, false), (2, false, true), (1, true, false), (2, true, true)] {
        let mut raft =
            Raft::new(Config { pre_vote: false, ..config() }, Restored::default(), Time::ZERO).unwrap();
        raft.step(raft.deadline(), Input::Tick);
        let token = raft.take_effects().write.unwrap().token;
        raft.step(Time::ZERO, Input::Persisted(token));
        let asked = raft.take_effects().send.remove(0);
        let vote = Message::RequestVoteReply(RequestVoteReply { vote_granted: true, suspect: false });
        let answer = |session, message| Envelope { term: Term::new(1), session, ..envelope(message) };
        raft.step(Time::ZERO, Input::Receive(answer(asked.session, vote)));
        let led = raft.take_effects();
        let (token, session) = (led.write.unwrap().token, led.send[0].session);
        raft.step(Time::ZERO, Input::Persisted(token));
        raft.step(Time::ZERO, Input::Receive(answer(session, reply(index, snapshot))));
        let violation = raft.take_effects().violation;
        let (follower, match_index) = (NodeId::new(2), LogIndex::new(index));
        assert_eq!(
            violation,
            stops.then_some(Violation::MatchBeyondLog { follower, match_index }),
            "{index}"
        );
    }
}
