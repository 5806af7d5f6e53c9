//! What a directory measures of itself, and what RocksDB says of it: held against what the disk was really asked to
//! do. Nothing of it goes anywhere but to who listens.

use std::collections::BTreeSet;
use std::fmt::{self, Debug};
use std::fs;
use std::path::Path;
use std::sync::{Mutex, Once};
use std::thread;
use std::time::{Duration, Instant};

use raft_core::node::{Done, LogStore};
use raft_core::{Batch, GroupId, Incarnation};
use raft_storage::{RocksGroups, RocksStore, StorageError};
use tokio::time::timeout;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::life::{OPTIONS, block_on, entries, scratch};
use crate::watch::{Call, Fault, Operation, Watch};

/// Listens to everything in this process, and keeps what is of directories that somebody wants to hear of. RocksDB speaks on
/// threads of its own.
struct Listener;

struct Told {
    level: Level,
    target: &'static str,
    directory: String,
    message: String,
}

static TOLD: Mutex<Vec<Told>> = Mutex::new(Vec::new());
static WANTED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

impl Subscriber for Listener {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let (level, target) = (*event.metadata().level(), event.metadata().target());
        let mut told = Told { level, target, directory: String::new(), message: String::new() };
        event.record(&mut told);
        if WANTED.lock().unwrap().contains(&told.directory) {
            TOLD.lock().unwrap().push(told);
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl Visit for Told {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, format_args!("{value}"));
    }
}

impl Told {
    fn put(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        match field.name() {
            "directory" => self.directory = value.to_string(),
            "message" => self.message = value.to_string(),
            name => self.message.push_str(&format!(" {name}={value}")),
        }
    }
}

/// To be called before any directory is opened: what has been said by then may be said to nobody for ever, as whoever is about
/// to say it on another thread may just have found that nobody listens.
pub(crate) fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing::subscriber::set_global_default(Listener).unwrap());
}

fn listen_to(directory: &Path) {
    WANTED.lock().unwrap().insert(directory.display().to_string());
}

/// What was told of a directory with this level, by RocksDB.
fn told_of(directory: &Path, level: Level) -> Vec<String> {
    let directory = directory.display().to_string();
    let told = TOLD.lock().unwrap();
    let ours = told.iter().filter(|told| told.target == "rocksdb" && told.directory == directory);
    ours.filter(|told| told.level == level).map(|told| told.message.clone()).collect()
}

fn store(groups: &RocksGroups, group: u64) -> RocksStore {
    groups.store(GroupId(group), Incarnation(group)).unwrap().store
}

fn batch(index: u64, command: &str) -> Batch {
    Batch { entries: entries(1, index..index + 1, command), ..Batch::default() }
}

/// Whether it comes within a minute.
fn comes(is_there: impl Fn() -> bool) -> bool {
    (0..6000).any(|_| is_there() || (thread::sleep(Duration::from_millis(10)), false).1)
}

fn written(watch: &Watch, ending: &str) -> u64 {
    let length = |done: Operation| {
        if let Operation::Write { name, data, .. } = done
            && name.ends_with(ending)
        {
            data.len() as u64
        } else {
            0
        }
    };
    watch.operations().into_iter().map(length).sum()
}

#[test]
fn what_is_measured_is_what_the_disk_was_asked_to_do() {
    let directory = scratch();
    let watch = Watch::begin(directory.path());
    let groups = RocksGroups::open_with(directory.path(), OPTIONS).unwrap();
    let (mut one, mut two) = (store(&groups, 1), store(&groups, 2));
    let syncs =
        || watch.count(|done| matches!(done, Operation::Sync { name } if name.ends_with(".log"))) as u64;
    let (before, synced) = (groups.metrics(), syncs());
    for index in 1..11 {
        one.write(batch(index, "x"));
        assert_eq!(block_on(one.done()), Ok(Done::Persisted(1)));
    }
    two.write(batch(1, "x"));
    block_on(two.done()).unwrap();
    let found = groups.metrics();
    assert_eq!(found.batches - before.batches, 11);
    assert_eq!(found.writes.count - before.writes.count, 11);
    assert_eq!(found.wal_syncs - before.wal_syncs, syncs() - synced);
    assert_eq!(syncs() - synced, 11);
    assert!(found.wal_bytes >= found.bytes && found.wal_bytes <= written(&watch, ".log"), "{found:?}");
    assert!(found.writes.total > Duration::ZERO && found.writes.quantile(1.0) > Duration::ZERO);
    assert_eq!(found.writes.buckets.iter().sum::<u64>(), found.writes.count);
    assert!(found.is_open && found.now.memtable_bytes > 0 && found.now.background_errors == 0);
    assert!(!found.now.is_stopped && found.now.table_bytes == 0 && found.flushed_bytes == 0);

    // More than the memtable holds.
    let big = "0123456789abcdef".repeat(1024);
    for index in 11..41 {
        one.write(batch(index, &big));
        block_on(one.done()).unwrap();
    }
    let meter = one.meter();
    let is_made = || {
        let now = meter.metrics().now;
        now.table_bytes > 0 && now.running_flushes + now.running_compactions == 0
    };
    assert!(comes(is_made), "no table was made");
    let found = meter.metrics();
    assert!(found.flushed_bytes > 0 && found.flushed_bytes <= written(&watch, ".sst"), "{found:?}");
    drop((one, two, groups));
    let closed = meter.metrics();
    assert!(!closed.is_open && closed.now == raft_storage::StorageGauges::default());
    assert_eq!((closed.batches, closed.writes.count), (found.batches, found.writes.count));
}

/// How many share a sync shows in the numbers.
#[test]
fn batches_that_share_a_sync_are_counted_each() {
    let directory = scratch();
    let watch = Watch::begin(directory.path());
    let groups = RocksGroups::open(directory.path()).unwrap();
    let mut stores: Vec<_> = (0..20).map(|group| store(&groups, group)).collect();
    let before = groups.metrics();
    watch.hang(".log");
    stores[0].write(batch(1, "x"));
    watch.wait_for_hang();
    // It answers while the disk hangs: that is when somebody asks.
    assert_eq!(groups.metrics().writes.count, before.writes.count);
    stores[1..].iter_mut().for_each(|store| store.write(batch(1, "x")));
    watch.release();
    stores.iter_mut().for_each(|store| drop(block_on(store.done()).unwrap()));
    let found = groups.metrics();
    assert_eq!((found.batches - before.batches, found.writes.count - before.writes.count), (20, 2));
}

/// A disk that makes no tables holds writes back once memory is full, and that is measured when it is over.
#[test]
fn waiting_for_room_in_memory_is_measured() {
    let directory = scratch();
    let watch = Watch::begin(directory.path());
    let groups = RocksGroups::open_with(directory.path(), OPTIONS).unwrap();
    let mut store = store(&groups, 1);
    watch.hang(".sst");
    let big = "0123456789abcdef".repeat(2 * 1024);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let done = |store: &mut RocksStore| {
        runtime.block_on(async { timeout(Duration::from_secs(2), store.done()).await })
    };
    // Where there is room it is only the machine that takes its time.
    let has_room = || groups.metrics().now.memtable_bytes <= 3 * 64 * 1024;
    let mut index = 0;
    let given = 'given: loop {
        index += 1;
        assert!(index < 1_000, "writes never wait");
        let given = Instant::now();
        store.write(batch(index, &big));
        loop {
            match done(&mut store) {
                Ok(done) => break assert_eq!(done, Ok(Done::Persisted(1))),
                Err(_) if !has_room() => break 'given given,
                Err(_) => {}
            }
        }
    };
    watch.wait_for_hang();
    assert_eq!(groups.metrics().stalled, Duration::ZERO);
    let held = given.elapsed();
    watch.release();
    assert_eq!(block_on(store.done()), Ok(Done::Persisted(1)));
    let (stalled, all) = (groups.metrics().stalled, given.elapsed());
    assert!(held / 2 < stalled && stalled <= all, "{stalled:?} of {held:?} to {all:?}");
}

#[test]
fn what_rocksdb_says_is_heard_and_written_nowhere() {
    let directory = scratch();
    listen_to(directory.path());
    let groups = RocksGroups::open_with(directory.path(), OPTIONS).unwrap();
    let mut store = store(&groups, 1);
    let big = "0123456789abcdef".repeat(1024);
    for index in 1..20 {
        store.write(batch(index, &big));
        block_on(store.done()).unwrap();
    }
    drop((store, groups));
    let told = told_of(directory.path(), Level::DEBUG);
    for words in ["RocksDB version", "Options.write_buffer_size: 65536", "flush"] {
        assert!(told.iter().any(|message| message.contains(words)), "{words:?}: {told:#?}");
    }
    assert!(told.iter().all(|message| !message.ends_with('\n')));
    assert_eq!(told_of(directory.path(), Level::ERROR), [""; 0]);
    let names = fs::read_dir(directory.path()).unwrap();
    let names: Vec<_> = names.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert!(!names.iter().any(|name| name.starts_with("LOG")), "{names:?}");
}

/// An error in the background is heard, and the write that is refused because of it says what it was.
#[test]
fn an_error_in_the_background_is_heard_and_told_to_who_writes() {
    for (call, file, errno, reason) in [
        (Call::Sync, ".sst", libc::EIO, "nput/output error"),
        // RocksDB tells first what it wanted to write there, which is no reason.
        (Call::Write, "MANIFEST", libc::ENOSPC, "No space left on device"),
    ] {
        let directory = scratch();
        listen_to(directory.path());
        let watch = Watch::begin(directory.path());
        let groups = RocksGroups::open_with(directory.path(), OPTIONS).unwrap();
        let mut store = store(&groups, 1);
        watch.fail(Fault::always(call, file, errno));
        let big = "0123456789abcdef".repeat(2 * 1024);
        let mut index = 0;
        let error = loop {
            index += 1;
            assert!(index < 100_000, "nothing was refused");
            store.write(batch(index, if index < 7 { &big } else { "x" }));
            if let Err(error) = block_on(store.done()) {
                break error;
            }
        };
        assert!(matches!(error, StorageError::Io { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(reason) && text.contains("mend the disk"), "{text}");
        let told = told_of(directory.path(), Level::ERROR);
        assert!(told.iter().any(|message| message.contains(reason)), "{told:?}");
        assert!(comes(|| !groups.metrics().is_open), "it is closed when whoever wrote has been told");
    }
}
