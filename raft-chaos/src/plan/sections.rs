//! The tables of a plan other than its events and checks: their keys, types, ranges and defaults.

use std::time::Duration;

use raft_core::sessions::Limits;

use super::values::{self, Seeds, Share};
use super::walk::{Item, Section};
use super::{
    Cluster, Keys, Kind, Link, Mode, Operation, Plan, Process, Reads, Retries, Route, Run, Sim, Storage,
    Workload, budget, chaos, check, events, mode, real,
};
use crate::lab::{TESTS, Test};

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The whole plan; what is wrong with it is noted. The plan is only as good as the notes are empty.
pub(super) fn plan(mut root: Section<'_>) -> Option<Plan> {
    if let Some(schema) = root.required("schema")
        && schema.whole().is_some_and(|number| number != 1)
    {
        schema.wrong("this schema is unknown; known is 1, write schema = 1");
    }
    let name = root.required("name").and_then(|item| item.parsed(values::name, "a name in quotes"));
    let about = root.read("about", Item::text).unwrap_or_default().to_owned();
    let tag = |item: &Item<'_>| item.parsed(values::name, "a name in quotes");
    let tags = root.read("tags", |item| item.list_of(tag)).unwrap_or_default();
    let run = run(root.section("run"));
    let sim = sim(root.section("sim"));
    let process = process(root.section("process"));
    let lab = root.section("workload").read("kind", |item| Some(item.raw_text() == Some("lab")));
    if lab == Some(true) {
        for key in ["cluster", "event", "chaos", "check"] {
            if let Some(item) = root.get(key) {
                item.wrong("a test of the lab brings its own; leave it out");
            }
        }
    }
    let (cluster, nodes) = cluster(root.section("cluster"));
    let workload = workload(root.section("workload"), nodes);
    let budget = budget::budget(root.section("budget"));
    let events = events::events(&mut root, &cluster, &budget, run.duration);
    let chaos = chaos::chaos(&mut root, &cluster);
    let check = check::check(root.section("check"));
    real::refuse(&mut root, run.mode, cluster.storage, &process);
    root.finish();
    Some(Plan {
        name: name?,
        about,
        tags,
        run,
        sim,
        process,
        cluster,
        workload: workload?,
        events,
        chaos,
        budget,
        check,
    })
}

fn run(mut table: Section<'_>) -> Run {
    let words = [("sim", Mode::Sim), ("process", Mode::Process), ("both", Mode::Both)];
    let mode = table.read("mode", |item| item.word(&words)).unwrap_or(Mode::Sim);
    let seeds = table.read("seeds", seeds).unwrap_or(Seeds::Random(1));
    let warmup = table.read("warmup", Item::duration).unwrap_or(secs(3));
    let duration = table.read("duration", Item::some_duration).unwrap_or(secs(30));
    let settle = table.read("settle", Item::duration).unwrap_or(secs(10));
    let sum = warmup.saturating_add(duration).saturating_add(settle);
    let max_wall = table.read("max_wall", |item| {
        let max_wall = item.duration()?;
        if mode != Mode::Sim && max_wall < sum {
            let sum = values::print_duration(sum);
            return item.expected(&format!("{sum}, the sum of warmup, duration and settle, or more"));
        }
        Some(max_wall)
    });
    let swarm = table.read("swarm", Item::boolean).unwrap_or(false);
    table.finish();
    let usual = match mode {
        Mode::Sim => secs(600),
        Mode::Process => sum.saturating_add(secs(60)),
        Mode::Both => sum.saturating_add(secs(60)).max(secs(600)),
    };
    Run { mode, seeds, warmup, duration, settle, max_wall: max_wall.unwrap_or(usual), swarm }
}

fn seeds(item: &Item<'_>) -> Option<Seeds> {
    if item.raw_text().is_some() {
        return item.parsed(Seeds::parse, "seeds");
    }
    item.whole().map(Seeds::One)
}

/// Keys in use at once: each has a place in memory.
const LIVE_MAX: u64 = 100_000;
/// A value, or a piece of a snapshot, has to fit into a frame with what goes with it.
const VALUE_MAX: u64 = 4 << 20;

/// What a SIZE looks like.
const SIZE: &str = "a size, as in \"64B\"";

fn value_size(item: &Item<'_>) -> Option<u64> {
    let size = item.parsed(values::size, SIZE)?;
    if size <= VALUE_MAX { Some(size) } else { item.expected("at most \"4MiB\"") }
}

fn chunk_size(item: &Item<'_>) -> Option<u64> {
    let size = value_size(item)?;
    if size > 0 { Some(size) } else { item.expected("at least \"1B\"") }
}

/// The clocks of simulated hosts move in whole milliseconds.
fn whole_millis(item: &Item<'_>) -> Option<Duration> {
    let tick = item.some_duration()?;
    if tick.subsec_nanos() % 1_000_000 == 0 {
        Some(tick)
    } else {
        item.expected("whole milliseconds, as in \"1ms\"")
    }
}

fn sim(mut table: Section<'_>) -> Sim {
    let tick = table.read("tick", whole_millis).unwrap_or(millis(1));
    let mut link = table.section("link");
    let delay = link.read("delay", Item::duration).unwrap_or(millis(1));
    let jitter = link.read("jitter", Item::duration).unwrap_or(millis(4));
    let tail =
        link.read("tail", |item| item.parsed(values::tail, "a delay and how often, as in \"40ms@1%\""));
    link.finish();
    let shuffle_hosts = table.read("shuffle_hosts", Item::boolean).unwrap_or(true);
    let recheck = table.read("recheck", Item::share).or_else(|| Share::from_ppm(50_000)).unwrap_or_default();
    table.finish();
    Sim { tick, link: Link { delay, jitter, tail }, shuffle_hosts, recheck }
}

fn process(mut table: Section<'_>) -> Process {
    let node = table.read("node", mode::command);
    let next = table.read("next", mode::program);
    let keep_data_on_failure = table.read("keep_data_on_failure", Item::boolean).unwrap_or(true);
    table.finish();
    Process { node, next, keep_data_on_failure }
}

/// The cluster, and how many ids there are.
fn cluster(mut table: Section<'_>) -> (Cluster, u64) {
    let voters = table.read("voters", |item| item.integer(1, 15)).unwrap_or(3);
    let [learners, spares] =
        ["learners", "spares"].map(|key| table.read(key, |item| item.integer(0, 15)).unwrap_or(0));
    let nodes = voters + learners + spares;
    let storages = [("memory", Storage::Memory), ("rocksdb", Storage::Rocksdb)];
    let storage = table.read("storage", |item| item.word(&storages)).unwrap_or(Storage::Rocksdb);
    let election_timeout =
        table.read("election_timeout", election_timeout).unwrap_or((millis(150), millis(300)));
    let heartbeat = match table.get("heartbeat") {
        Some(item) => item.some_duration().filter(|heartbeat| {
            let slow = *heartbeat > election_timeout.0 / 2;
            if slow {
                let half = values::print_duration(election_timeout.0 / 2);
                item.wrong(&format!("slower than half the shorter election timeout; write {half} or less"));
            }
            !slow
        }),
        None if election_timeout.0 < millis(100) => {
            table
                .wrong("heartbeat is 50ms, more than half the shorter election timeout; write a shorter one");
            None
        }
        None => None,
    };
    let snapshot_every = table.read("snapshot_every", Item::whole).unwrap_or(1_000);
    let snapshot_trailing = table.read("snapshot_trailing", Item::whole).unwrap_or(snapshot_every / 10);
    let snapshot_chunk = table.read("snapshot_chunk", chunk_size).unwrap_or(256 << 10);
    let log_cache = table.read("log_cache", |item| item.parsed(values::size, SIZE)).unwrap_or(64 << 20);
    let mut features = table.section("features");
    let prevote = features.read("prevote", Item::boolean).unwrap_or(true);
    let read = reads(&mut features);
    features.finish();
    table.finish();
    let cluster = Cluster {
        voters,
        learners,
        spares,
        storage,
        election_timeout,
        heartbeat: heartbeat.unwrap_or(millis(50)),
        snapshot_every,
        snapshot_trailing,
        snapshot_chunk,
        log_cache,
        prevote,
        read,
    };
    (cluster, nodes)
}

/// One percent: clocks of real machines keep to a fiftieth of that.
const DRIFT_PPM: u64 = 10_000;

fn reads(features: &mut Section<'_>) -> Reads {
    let drift = features.get("lease_drift");
    let given = drift.as_ref().and_then(|item| item.parsed(values::percent, "a percentage, as in \"1%\""));
    let lease = Reads::Lease { drift: given.or_else(|| Share::from_ppm(DRIFT_PPM)).unwrap_or_default() };
    let words = [("log", Reads::Log), ("read-index", Reads::ReadIndex), ("lease", lease)];
    let read = features.read("read", |item| item.word(&words)).unwrap_or(Reads::ReadIndex);
    if let Some(item) = drift
        && read != lease
    {
        item.wrong("only read = \"lease\" rests on clocks; leave it out");
    }
    read
}

fn election_timeout(item: &Item<'_>) -> Option<(Duration, Duration)> {
    let (min, max) = item.two_ends()?;
    if min.is_zero() { item.expected("a shorter end of more than 0s") } else { Some((min, max)) }
}

/// The words of `workload.kind`, and the operations of each.
pub(super) const KINDS: [(&str, Kind, &[&str]); 8] = [
    ("register", Kind::Register, &["read", "write", "cas"]),
    ("kv", Kind::Kv, &["read", "write", "cas", "delete", "append"]),
    ("list-append", Kind::ListAppend, &["read", "append"]),
    ("set", Kind::Set, &["read", "add"]),
    ("counter", Kind::Counter, &["read", "add"]),
    ("bank", Kind::Bank, &["read", "transfer"]),
    ("queue", Kind::Queue, &["enqueue", "dequeue"]),
    ("lab", Kind::Lab, &[]),
];

fn workload(mut table: Section<'_>, nodes: u64) -> Option<Workload> {
    let kind_item = table.get("kind");
    let word = kind_item.as_ref().map_or(Some("register"), Item::raw_text);
    if word == Some("lab") {
        let others =
            ["clients", "rate", "value", "keys", "mix", "op_timeout", "retries", "sessions", "route"];
        for item in others.into_iter().filter_map(|key| table.get(key)).collect::<Vec<_>>() {
            item.wrong("a test of the lab brings its own; leave it out");
        }
    }
    if let Some(item) = &kind_item {
        item.word(&KINDS.map(|(word, kind, _)| (word, kind)));
    }
    let kind = KINDS.iter().find(|(name, ..)| Some(*name) == word);
    let clients = table.read("clients", |item| item.integer(1, 1_000)).unwrap_or(5);
    let rate = table.read("rate", |item| item.integer(1, 1_000_000)).unwrap_or(100);
    let value = table.read("value", value_size).unwrap_or(64);
    let mut keys = table.section("keys");
    let mut number = |key, default, max| keys.read(key, |item| item.integer(1, max)).unwrap_or(default);
    let keys_read = Keys {
        live: number("live", 16, LIVE_MAX),
        ops_per_key: number("ops_per_key", 200, i64::MAX.unsigned_abs()),
        clients_per_key: number("clients_per_key", 5, i64::MAX.unsigned_abs()),
    };
    keys.finish();
    let mix = mix(&mut table, kind.map_or(&[], |(.., operations)| operations));
    let op_timeout = table.read("op_timeout", Item::some_duration).unwrap_or(secs(2));
    let route_item = table.get("route");
    let route = route_item.as_ref().and_then(|item| route(item, nodes)).unwrap_or(Route::Leader);
    let retries = retries(&mut table);
    if let (Some(item), Retries::Session { .. }, false) = (route_item, retries, route == Route::Leader) {
        item.wrong("sessions go to whoever leads; write \"leader\"");
    }
    let test = if word == Some("lab") {
        table.required("test").and_then(|item| lab_test(&item))
    } else {
        if let Some(test) = table.get("test") {
            test.wrong("only kind = \"lab\" has tests; leave it out");
        }
        None
    };
    table.finish();
    let kind = kind.map(|(_, kind, _)| *kind)?;
    Some(Workload { kind, test, clients, rate, value, keys: keys_read, mix, op_timeout, retries, route })
}

/// A test of the lab, by its name.
fn lab_test(item: &Item<'_>) -> Option<&'static Test> {
    let name = item.text()?;
    match Test::named(name)[..] {
        [test] => Some(test),
        [] => item.word(&TESTS.iter().map(|test| (test.name, test)).collect::<Vec<_>>()),
        ref several => {
            let names =
                several.iter().map(|test| format!("{:?}", test.name)).collect::<Vec<_>>().join(" or ");
            item.wrong(&format!("{name:?} is more than one test; write {names}"));
            None
        }
    }
}

/// How many sessions a cluster may hold at most, and holds unless told otherwise.
const SESSIONS_MAX: u64 = Limits::INITIAL.sessions();

fn retries(table: &mut Section<'_>) -> Retries {
    let sessions = table.get("sessions");
    let given = sessions.as_ref().and_then(|item| item.integer(1, SESSIONS_MAX));
    let session = Retries::Session { sessions: given.unwrap_or(SESSIONS_MAX) };
    let words = [("none", Retries::None), ("session", session)];
    let retries = table.read("retries", |item| item.word(&words)).unwrap_or(Retries::None);
    if let (Some(item), Retries::None) = (sessions, retries) {
        item.wrong("only retries = \"session\" has sessions; leave it out");
    }
    retries
}

/// Every operation that is built, by its word.
pub(super) const OPERATIONS: [(&str, Operation); 9] = [
    ("read", Operation::Read),
    ("write", Operation::Write),
    ("cas", Operation::Cas),
    ("delete", Operation::Delete),
    ("append", Operation::Append),
    ("add", Operation::Add),
    ("transfer", Operation::Transfer),
    ("enqueue", Operation::Enqueue),
    ("dequeue", Operation::Dequeue),
];

/// The weights, in the order of the kind; where nothing is written all weigh the same.
fn mix(table: &mut Section<'_>, operations: &[&'static str]) -> Vec<(Operation, u64)> {
    let item = table.get("mix");
    let mut weights = Vec::new();
    if let Some(mut mix) = item.as_ref().and_then(Item::section) {
        let whole = |item: &Item<'_>| item.integer(0, u64::from(u32::MAX));
        weights.extend(operations.iter().map(|word| mix.read(word, whole).unwrap_or(0)));
        mix.finish();
    } else {
        weights.extend(operations.iter().map(|_| 1));
    }
    if let Some(item) = item
        && weights.iter().all(|weight| *weight == 0)
    {
        item.wrong(&format!("every weight is 0; give one of {} some", operations.join(", ")));
    }
    let operation =
        |word: &str| OPERATIONS.iter().find(|(name, _)| *name == word).map(|(_, operation)| *operation);
    operations.iter().zip(weights).filter_map(|(word, weight)| Some((operation(word)?, weight))).collect()
}

fn route(item: &Item<'_>, nodes: u64) -> Option<Route> {
    if item.raw_text().is_some() {
        let words = [("leader", Route::Leader), ("any", Route::Any), ("sticky", Route::Sticky)];
        return item.word(&words);
    }
    item.integer(1, nodes).map(|id| Route::Node(raft_core::NodeId::new(id)))
}
