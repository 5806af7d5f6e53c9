//! The disk refuses. What was acknowledged before is there afterwards, nothing is acknowledged any more, and the
//! error says what to do about it. The bugs that this is for: S8, S9, S11, S12, S17 and S18
//! of the table in `main`.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::pin::pin;
use std::process::{Command, Stdio};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use std::{env, fs};

use raft_core::node::{Done, LogStore};
use raft_core::{Batch, GroupId, Incarnation, Stored};
use raft_storage::{Opened, RocksGroups, RocksStore, StorageError};
use tokio::time::timeout;

use crate::life::{self, Found, OPTIONS, block_on, entries, scratch};
use crate::recorded;
use crate::watch::{Call, Fault, Operation, Watch};

const GROUP: GroupId = GroupId(1);

fn open(directory: &Path) -> Result<Opened<RocksStore>, StorageError> {
    RocksGroups::open_with(directory, OPTIONS)?.store(GROUP, Incarnation(1))
}

fn batch(index: u64) -> Batch {
    Batch { entries: entries(1, index..index + 1, "x"), ..Batch::default() }
}

/// What a log of so many entries gives back.
fn of_length(entries: u64) -> Found {
    let mut stored = Stored::default();
    (1..=entries).for_each(|index| stored.apply(batch(index)));
    Found::of(&stored)
}

fn assert_is_io(error: &StorageError) {
    let StorageError::Io { .. } = error else { panic!("{error}") };
    assert!(error.to_string().contains("mend the disk"), "{error}");
}

/// Writes until the disk refuses; how many batches were acknowledged. Then the disk is mended, and nothing is
/// acknowledged all the same: nobody knows what it holds.
fn write_until_refused(directory: &Path, watch: &Watch, batch: impl Fn(u64) -> Batch) -> u64 {
    let Opened { mut store, .. } = open(directory).unwrap();
    let mut acknowledged = 0;
    let error = loop {
        assert!(acknowledged < 100_000, "nothing was refused");
        store.write(batch(acknowledged + 1));
        match block_on(store.done()) {
            Ok(done) => assert_eq!(done, Done::Persisted(1)),
            Err(error) => break error,
        }
        acknowledged += 1;
    };
    assert_is_io(&error);
    watch.mend();
    for index in 0..3 {
        store.write(batch(acknowledged + 1 + index));
        assert_eq!(block_on(store.done()), Err(error.clone()));
    }
    acknowledged
}

/// Each row: what is refused, how often, with which error, and how much of the write is on disk all the same.
/// After any number of batches. A sync that is refused once and then succeeds has lost pages (S17).
#[test]
fn after_a_refused_write_or_sync_nothing_is_acknowledged_any_more() {
    for (call, times, error, written) in [
        (Call::Write, 1, libc::ENOSPC, 0),
        (Call::Write, 1, libc::ENOSPC, 20),
        (Call::Write, usize::MAX, libc::ENOSPC, 0),
        (Call::Write, 1, libc::EIO, 0),
        (Call::Write, 1, libc::EIO, 50),
        (Call::Sync, 1, libc::EIO, 0),
        (Call::Sync, usize::MAX, libc::EIO, 0),
        (Call::Sync, 1, libc::ENOSPC, 0),
    ] {
        for after in 0..4 {
            let directory = scratch();
            drop(open(directory.path()).unwrap());
            let watch = Watch::begin(directory.path());
            drop(open(directory.path()).unwrap());
            watch.fail(Fault { call, file: ".log", after: after + 1, times, error, written });
            let acknowledged = write_until_refused(directory.path(), &watch, batch);
            drop(watch);
            let opened = open(directory.path()).unwrap();
            let is_torn = opened.torn_bytes > 0;
            let found = Found::in_store(opened).unwrap();
            // Whether the batch that was refused is there nobody can know (S12).
            let possible = [acknowledged, acknowledged + 1].map(of_length);
            assert!(possible.contains(&found), "{call:?} {error} after {after}: {:?}", found.restored);
            assert!(!is_torn || written > 0, "{call:?} {error} {written} after {after}");
        }
    }
}

/// A table cannot be made in the background: later writes are refused, and those before it are all there, of
/// every column family (S8, S11). What is written first is enough for a table, and not so much that RocksDB would
/// have to wait for it; what comes after is little, until it has noticed.
#[test]
fn what_is_refused_in_the_background_is_refused_to_the_next_write() {
    let big = "0123456789abcdef".repeat(2 * 1024);
    let command = |index| if index < 7 { big.as_str() } else { "x" };
    let batch = |index| Batch { entries: entries(1, index..index + 1, command(index)), ..Batch::default() };
    for (call, file, error) in [
        (Call::Write, ".sst", libc::ENOSPC),
        (Call::Sync, ".sst", libc::EIO),
        (Call::Open, ".sst", libc::ENOSPC),
        (Call::Open, ".log", libc::ENOSPC),
    ] {
        let directory = scratch();
        drop(open(directory.path()).unwrap());
        let watch = Watch::begin(directory.path());
        let opened = open(directory.path()).unwrap();
        drop(opened);
        watch.fail(Fault { after: 6, ..Fault::always(call, file, error) });
        let acknowledged = write_until_refused(directory.path(), &watch, batch);
        drop(watch);
        let found = Found::in_store(open(directory.path()).unwrap()).unwrap();
        let wanted = |count| {
            let mut stored = Stored::default();
            (1..=count).for_each(|index| stored.apply(batch(index)));
            Found::of(&stored)
        };
        assert!([acknowledged, acknowledged + 1].map(wanted).contains(&found), "{call:?} {file}");
    }
}

/// The disk is slow, so that memory is full of what waits for it; and then it is full as well (S18). Inside RocksDB a
/// write would wait for room for ever: the disk is not mended before somebody says that it is broken.
#[test]
fn a_disk_that_is_full_while_writes_wait_for_it_is_told_of() {
    let directory = scratch();
    drop(open(directory.path()).unwrap());
    let watch = Watch::begin(directory.path());
    let Opened { mut store, .. } = open(directory.path()).unwrap();
    watch.hang(".sst");
    let big = "0123456789abcdef".repeat(1024);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let mut acknowledged = 0;
        loop {
            let index = acknowledged + 1;
            store.write(Batch { entries: entries(1, index..index + 1, &big), ..Batch::default() });
            match timeout(Duration::from_secs(2), store.done()).await {
                Ok(done) => assert_eq!(done, Ok(Done::Persisted(1))),
                Err(_) => break,
            }
            acknowledged += 1;
            assert!(acknowledged < 10_000, "writes never wait");
        }
        watch.fail(Fault::always(Call::Sync, ".sst", libc::ENOSPC));
        watch.release();
        let told = timeout(Duration::from_secs(30), store.done()).await;
        assert_is_io(&told.expect("it is told").expect_err("nothing can be acknowledged"));
        println!("{acknowledged} writes were acknowledged before they had to wait");
    });
    watch.mend();
    drop(store);
    drop(watch);
    assert!(open(directory.path()).is_ok());
}

/// An error is no damage, and no reason to cut anything off (S9). When the disk is well again everything is
/// there.
#[test]
fn what_cannot_be_read_is_refused_and_left_alone() {
    for (call, file) in [
        (Call::Read, ".log"),
        (Call::Open, ".log"),
        (Call::Read, "CURRENT"),
        (Call::Open, "CURRENT"),
        (Call::Read, "MANIFEST"),
        (Call::Open, "MANIFEST"),
        (Call::Read, ".sst"),
        (Call::Open, ".sst"),
        (Call::Open, ".clean"),
    ] {
        for clean in [true, false] {
            let directory = scratch();
            for index in 1..4 {
                let Opened { mut store, .. } = open(directory.path()).unwrap();
                store.write(batch(index));
                block_on(store.done()).unwrap();
            }
            if !clean {
                fs::remove_file(directory.path().join("raft-storage.clean")).unwrap();
            }
            let watch = Watch::begin(directory.path());
            watch.fail(Fault::always(call, file, libc::EIO));
            let refused = open(directory.path()).map(|_| ());
            if clean || file != ".clean" {
                assert_is_io(&refused.expect_err(&format!("{call:?} {file} clean {clean}")));
            }
            drop(watch);
            let opened = open(directory.path()).unwrap();
            assert_eq!(opened.torn_bytes, 0);
            assert_eq!(Found::in_store(opened).unwrap(), of_length(3), "{call:?} {file} clean {clean}");
        }
    }
}

/// Nothing is acknowledged while a sync hangs, and everything when it does not any more.
#[test]
fn a_sync_that_hangs_acknowledges_nothing() {
    let directory = scratch();
    let watch = Watch::begin(directory.path());
    let Opened { mut store, .. } = open(directory.path()).unwrap();
    watch.hang(".log");
    store.write(batch(1));
    watch.wait_for_hang();
    store.write(batch(2));
    {
        let mut done = pin!(store.done());
        assert_eq!(done.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending);
        watch.release();
        assert_eq!(block_on(done), Ok(Done::Persisted(1)));
    }
    assert_eq!(block_on(store.done()), Ok(Done::Persisted(1)));
}

/// One in which nobody may open anything, and a file where the directory should be. Root may do everything, so
/// that the system's own refusal is only asked for where this is not root.
#[test]
fn a_place_where_no_directory_can_be_is_refused_with_its_name() {
    let directory = scratch();
    let path = directory.path().join("file/store");
    fs::write(directory.path().join("file"), "").unwrap();
    let error = RocksGroups::open(&path).unwrap_err();
    assert_is_io(&error);
    assert!(error.to_string().contains(&path.display().to_string()), "{error}");

    let watch = Watch::begin(directory.path());
    watch.fail(Fault::always(Call::Open, "", libc::EACCES));
    let error = RocksGroups::open(directory.path()).unwrap_err();
    assert_is_io(&error);
    assert!(error.to_string().contains("ermission denied"), "{error}");
    drop(watch);

    // SAFETY: a question that has no conditions.
    #[expect(unsafe_code, reason = "the standard library does not say who we are")]
    let is_root = unsafe { libc::geteuid() } == 0;
    if is_root {
        eprintln!(
            "NOT TRIED: a directory without permission, because root has every permission. Run as another user."
        );
        return;
    }
    let path = directory.path().join("forbidden");
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o500)).unwrap();
    let error = RocksGroups::open(&path).unwrap_err();
    assert_is_io(&error);
    assert!(error.to_string().contains(&path.display().to_string()), "{error}");
}

/// This test is two processes: it starts itself again, to hold the lock.
#[test]
fn a_directory_that_another_process_has_open_is_refused() {
    const HELD: &str = "RAFT_STORAGE_TEST_HELD";
    if let Some(directory) = env::var_os(HELD) {
        let opened = open(Path::new(&directory)).unwrap();
        println!("\nheld");
        let released = std::io::stdin().lines().next();
        assert!(released.is_none(), "the other process just goes");
        drop(opened);
        return;
    }
    let directory = scratch();
    let mut holder = Command::new(env::current_exe().unwrap())
        .args(["--exact", "faults::a_directory_that_another_process_has_open_is_refused", "--nocapture"])
        .env(HELD, directory.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(holder.stdout.take().unwrap()).lines();
    assert!(said.any(|line| line.unwrap() == "held"), "the other process opens the directory");
    let error = open(directory.path()).unwrap_err();
    assert_eq!(error, StorageError::Locked { path: directory.path().to_owned() });
    assert!(error.to_string().contains("stop that one first"), "{error}");
    drop(holder.stdin.take());
    assert!(holder.wait().unwrap().success());
    assert!(open(directory.path()).is_ok());
}

/// A real file system that is full, of a size of its own. It has to be mounted, which not everybody may.
#[test]
fn a_full_disk_poisons_the_store_and_loses_nothing() {
    let directory = scratch();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"])
        .arg(directory.path())
        .stderr(Stdio::null())
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        eprintln!(
            "NOT TRIED: a real file system that is full, because none can be mounted here. Run as root."
        );
        return;
    }
    struct Unmount<'a>(&'a Path);
    impl Drop for Unmount<'_> {
        fn drop(&mut self) {
            let unmounted = Command::new("umount").arg(self.0).status();
            assert!(unmounted.is_ok_and(|status| status.success()), "{} stays mounted", self.0.display());
        }
    }
    let _unmount = Unmount(directory.path());
    let path = directory.path().join("store");
    let big = "0123456789abcdef".repeat(4 * 1024);
    let batch = |index| Batch { entries: entries(1, index..index + 1, &big), ..Batch::default() };
    let Opened { mut store, .. } = open(&path).unwrap();
    let mut acknowledged = 0;
    let error = loop {
        store.write(batch(acknowledged + 1));
        match block_on(store.done()) {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
    };
    assert_is_io(&error);
    assert!(error.to_string().contains("No space left"), "{error}");
    assert!(acknowledged > 10, "{acknowledged}");
    store.write(batch(acknowledged + 1));
    assert_eq!(block_on(store.done()), Err(error));
    drop(store);

    // Room again, as an operator would make it: what was acknowledged is there.
    let grown = Command::new("mount").args(["-o", "remount,size=64m"]).arg(directory.path()).status();
    assert!(grown.unwrap().success());
    let found = Found::in_store(open(&path).unwrap()).unwrap();
    let last = found.restored.log.last().index.get();
    assert!((acknowledged..=acknowledged + 1).contains(&last), "{acknowledged} acknowledged, {last} there");
    assert!(found.entries.iter().eq(entries(1, 1..last + 1, &big).iter()));
}

/// What RocksDB keeps for people is not read when a directory is opened and everything in it is: whatever is in
/// there does no harm.
#[test]
fn what_is_for_people_is_never_read() {
    let directory = scratch();
    life::live(directory.path(), life::script(), |_| {});
    let is_for_people = |name: &&String| name.starts_with("LOG") || name.starts_with("OPTIONS");
    let there = recorded::files(directory.path());
    let for_people: Vec<_> = there.keys().filter(is_for_people).collect();
    assert!(for_people.len() > 1, "{for_people:?}");
    let watch = Watch::begin(directory.path());
    life::read(directory.path()).unwrap();
    let is_opened = |name: &str| {
        watch.count(|done| matches!(done, Operation::Open { name: opened, .. } if opened == name)) > 0
    };
    assert!(there.keys().any(|name| name.ends_with(".sst") && is_opened(name)));
    assert!(!for_people.into_iter().any(|name| is_opened(name)));
}
