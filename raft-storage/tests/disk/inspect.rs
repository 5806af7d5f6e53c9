//! What is said of a directory by somebody who does not own it: it is what a store would find, whatever was written,
//! however it was left, and whatever is damaged; and no byte of the directory is changed by it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};
use std::{fs, thread};

use raft_core::node::{Done, LogStore};
use raft_core::{Batch, EntryId, GroupId, Incarnation, LogIndex};
use raft_storage::format::{CLEAN_STOP, FORMAT, FORMAT_KEY, LOCK, LOG, META, SNAPSHOT};
use raft_storage::inspection::{Group, Place, Stop};
use raft_storage::{Inspection, Opened, RocksGroups, RocksStore, StorageError};
use rocksdb::{DB, Options};

use crate::damage::{self, holds_nothing};
use crate::life::{self, Found, GROUPS, OPTIONS, block_on, id, scratch};
use crate::parallel::in_parallel;
use crate::recorded;
use crate::upgrade::{EARLIER, make_earlier, raw};
use crate::watch::{Operation, Watch};

/// Bytes and times of all files, and the time of the directory, which a new name would change.
fn traces(directory: &Path) -> BTreeMap<String, (Vec<u8>, SystemTime)> {
    let modified = |path: &Path| fs::metadata(path).unwrap().modified().unwrap();
    let file = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.unwrap();
        let content = fs::read(entry.path()).unwrap();
        (entry.file_name().into_string().unwrap(), (content, modified(&entry.path())))
    };
    let own = (".".to_owned(), (Vec::new(), modified(directory)));
    fs::read_dir(directory).unwrap().map(file).chain([own]).collect()
}

/// Inspects a directory, and sees that nothing of it is changed by that.
fn verify(directory: &Path) -> Result<Inspection, StorageError> {
    let before = traces(directory);
    let read = Inspection::read(directory);
    let verified = Inspection::verify(directory);
    assert!(before == traces(directory), "the directory is not what it was");
    if let (Ok(read), Ok(verified)) = (read, &verified) {
        assert_eq!(
            (&read.groups, read.format, read.stop),
            (&verified.groups, verified.format, verified.stop)
        );
        assert!(read.problems.len() <= verified.problems.len());
    }
    verified
}

fn assert_is(group: &Group, wanted: &Found) {
    let Found { restored, chunks, .. } = wanted;
    assert_eq!(
        (group.current_term, group.voted_for),
        (restored.hard_state.current_term, restored.hard_state.voted_for)
    );
    assert_eq!((group.base, group.last), (restored.log.base(), restored.log.last()));
    assert_eq!(group.terms, restored.log.firsts());
    assert_eq!(group.cluster, restored.cluster);
    assert_eq!(group.incarnation, Incarnation(group.id.0 + 1));
    assert!(group.commit_bound <= group.last.index);
    let lens: u64 = group.mapping.iter().map(|run| run.len).sum();
    assert_eq!(lens, restored.log.len());
    let snapshot = group.snapshot.as_ref().map(|snapshot| {
        assert_eq!(snapshot.pieces, chunks.len() as u64);
        assert_eq!(Some(snapshot.bytes), chunks.last().map(|last| last.end()));
        (snapshot.last_included, snapshot.made_by)
    });
    assert_eq!(snapshot, restored.snapshot.as_ref().map(|known| (known.id.last_included, known.id.made_by)));
    let by_snapshot = restored.snapshot.as_ref().map(|snapshot| &snapshot.configured);
    assert_eq!(group.configuration.as_ref(), restored.configurations.last().or(by_snapshot));
    let partial = group.partial_snapshot.as_ref().map(|partial| (partial.last_included, partial.bytes));
    let begun = restored.partial.as_ref().map(|begun| (begun.snapshot.id.last_included, begun.bytes));
    assert_eq!(partial, begun);
}

/// Both groups are found as they were after so many batches of each, and all of it checks.
fn assert_sound(inspection: &Inspection, wanted: [&Found; 2]) {
    assert_eq!(inspection.problems, []);
    assert!(inspection.complete && inspection.is_sound());
    assert_eq!(inspection.format, Some(FORMAT));
    let ids: Vec<_> = inspection.groups.iter().map(|group| group.id).collect();
    assert_eq!(ids, GROUPS);
    inspection.groups.iter().zip(wanted).for_each(|(group, wanted)| assert_is(group, wanted));
    let checked = inspection.checked.unwrap();
    let entries: usize = wanted.iter().map(|found| found.entries.len()).sum();
    let begun = inspection.groups.iter().filter_map(|group| group.partial_snapshot.as_ref());
    let pieces = wanted.iter().map(|found| found.chunks.len() as u64).sum::<u64>()
        + begun.map(|begun| begun.pieces).sum::<u64>();
    assert_eq!((checked.states, checked.entries, checked.pieces), (2, entries as u64, pieces));
}

fn last(states: &[Vec<Found>; 2]) -> [&Found; 2] {
    states.each_ref().map(|states| states.last().unwrap())
}

/// Appended, truncated, compacted, snapshots taken and installed, in two groups: after each batch, while the
/// store is open, and after it was closed.
#[test]
fn a_directory_is_what_was_written_to_it_while_its_server_runs_and_after() {
    let script = life::script();
    let states = life::states(&script);
    let directory = scratch();
    let stale = AtomicU64::new(0);
    life::live(directory.path(), script, |batches| {
        // RocksDB makes tables meanwhile, so that the directory does not stay as it was.
        let inspection = Inspection::verify(directory.path()).unwrap();
        assert_eq!(inspection.stop, Stop::Running);
        assert_sound(&inspection, states.each_ref().map(|states| &states[batches]));
        stale.fetch_max(inspection.checked.unwrap().stale, Ordering::Relaxed);
    });
    assert!(stale.into_inner() > 0, "what is truncated stays until its file goes");
    let inspection = verify(directory.path()).unwrap();
    assert_eq!((inspection.stop, inspection.torn_bytes), (Stop::Clean, 0));
    assert_sound(&inspection, last(&states));
    fs::remove_file(directory.path().join(CLEAN_STOP)).unwrap();
    let inspection = verify(directory.path()).unwrap();
    assert_eq!((inspection.stop, inspection.torn_bytes), (Stop::Unclean, 0));
    assert_sound(&inspection, last(&states));
}

/// By the calls that it makes: it opens files, and does nothing else to the directory.
#[test]
fn nothing_is_asked_of_the_directory_but_to_be_read() {
    let directory = scratch();
    life::live(directory.path(), life::script(), |_| {});
    let watch = Watch::begin(directory.path());
    Inspection::verify(directory.path()).unwrap();
    let is_opened = |ending: &str| {
        watch.count(|done| matches!(done, Operation::Open { name, .. } if name.ends_with(ending))) > 0
    };
    assert!(is_opened(".log") && is_opened(".clean") && is_opened(LOCK), "{:?}", watch.operations());
    let changes = |done: &Operation| !matches!(done, Operation::Open { to_write: false, .. });
    assert_eq!(watch.count(changes), 0, "{:?}", watch.operations());
    drop(watch);
    // The same calls are seen where they are made.
    let watch = Watch::begin(directory.path());
    drop(RocksGroups::open(directory.path()).unwrap());
    assert!(watch.count(changes) > 5);
}

#[test]
fn a_new_directory_has_a_format_when_it_has_a_group() {
    let directory = scratch();
    fs::write(directory.path().join(LOCK), "").unwrap();
    let inspection = verify(directory.path()).unwrap();
    assert_eq!((inspection.format, inspection.groups.len(), inspection.is_sound()), (None, 0, true));
    drop(RocksGroups::open(directory.path()).unwrap());
    let inspection = verify(directory.path()).unwrap();
    assert_eq!((inspection.format, inspection.stop), (None, Stop::Clean));
    let opened = RocksStore::open(directory.path(), GroupId(3), Incarnation(5)).unwrap();
    let inspection = verify(directory.path()).unwrap();
    assert_eq!((inspection.format, inspection.stop), (Some(FORMAT), Stop::Running));
    let [group] = &inspection.groups[..] else { panic!("{inspection:?}") };
    assert_eq!((group.id, group.incarnation, group.last), (GroupId(3), Incarnation(5), EntryId::ZERO));
    assert_eq!((group.first_index(), group.mapping.len()), (LogIndex::new(1), 0));
    drop(opened);
}

/// The end of the last write is missing: what is found, and what is said of the rest, is what opening finds.
#[test]
fn a_torn_end_is_told_of_and_left_where_it_is() {
    let script = life::short_script();
    let states = life::states(&script);
    let files = damage::subject(damage::Stop::Kill);
    let (name, log) = files.iter().rfind(|(name, _)| name.ends_with(".log")).unwrap();
    for cut in [1, 2, 20] {
        let directory = scratch();
        recorded::lay_out(directory.path(), &files);
        fs::write(directory.path().join(name), &log[..log.len() - cut]).unwrap();
        let inspection = verify(directory.path()).unwrap();
        assert_eq!(inspection.stop, Stop::Unclean);
        let but_the_last = states.each_ref().map(|states| states.iter().rev().nth(1).unwrap());
        let (first, second) = (&inspection.groups[0], &inspection.groups[1]);
        let one_more = states.each_ref().map(|states| states.last().unwrap());
        // Each group's last batch was a write of its own, or both were one.
        assert_is(second, but_the_last[1]);
        let first_is = [one_more[0], but_the_last[0]];
        assert!(first_is.iter().any(|found| found.restored.log.last() == first.last), "{first:?}");
        let opened = RocksGroups::open_with(directory.path(), OPTIONS).unwrap();
        assert_eq!(opened.torn_bytes(), inspection.torn_bytes);
        assert!(inspection.torn_bytes > 0 && inspection.is_sound());
    }
}

#[test]
fn an_earlier_format_is_read_and_not_upgraded() {
    for format in EARLIER {
        let directory = scratch();
        life::live(directory.path(), life::script(), |_| {});
        make_earlier(directory.path(), format);
        let inspection = verify(directory.path()).unwrap();
        assert_eq!((inspection.format, &inspection.problems[..]), (Some(format), &[][..]));
        let states = life::states(&life::script());
        inspection.groups.iter().zip(last(&states)).for_each(|(group, wanted)| assert_is(group, wanted));
    }
}

#[test]
fn a_later_format_is_refused() {
    let directory = scratch();
    life::live(directory.path(), life::short_script(), |_| {});
    fs::remove_file(directory.path().join(CLEAN_STOP)).unwrap();
    let number = (FORMAT + 1).to_le_bytes();
    let db = raw(directory.path());
    let later = [number, crc32c::crc32c(&number).to_le_bytes()].concat();
    db.put_cf(db.cf_handle(META).unwrap(), FORMAT_KEY, later).unwrap();
    drop(db);
    let error = verify(directory.path()).unwrap_err();
    assert_eq!(error, StorageError::TooNew { found: FORMAT + 1, known: FORMAT });
}

#[test]
fn what_is_not_a_store_is_told_so() {
    let directory = scratch();
    let not_a_store = |path: &Path, why: &str| {
        let error = Inspection::verify(path).unwrap_err();
        let told = error.to_string();
        assert!(matches!(error, StorageError::NotAStore { .. }), "{told}");
        assert!(told.contains(path.to_str().unwrap()) && told.contains(why), "{told}");
    };
    not_a_store(directory.path(), "none of a store's files");
    not_a_store(&directory.path().join("missing"), "no such directory");
    fs::write(directory.path().join("letter.txt"), "dear").unwrap();
    not_a_store(directory.path(), "none of a store's files");
    not_a_store(&directory.path().join("letter.txt"), "no such directory");
    let mut options = Options::default();
    options.create_if_missing(true);
    drop(DB::open(&options, directory.path()).unwrap());
    let before = traces(directory.path());
    not_a_store(directory.path(), "another one's");
    assert!(before == traces(directory.path()));
}

/// Each row harms records behind RocksDB's back, whose own checksums then say nothing.
#[test]
fn every_bad_record_is_told_of_by_its_key() {
    let states = life::states(&life::script());
    let key = |group: u64, rest: &[u64]| -> Vec<u8> {
        std::iter::once(&group).chain(rest).flat_map(|number| number.to_be_bytes()).collect()
    };
    let flipped = |db: &DB, family: &str, key: &[u8]| {
        let family = db.cf_handle(family).unwrap();
        let mut value = db.get_cf(family, key).unwrap().unwrap();
        *value.last_mut().unwrap() ^= 1;
        db.put_cf(family, key, value).unwrap();
    };
    let directory = scratch();
    life::live(directory.path(), life::script(), |_| {});
    let inspection = verify(directory.path()).unwrap();
    let slots: Vec<_> = inspection.groups.iter().map(|group| group.mapping[0].first_slot).collect();
    fs::remove_file(directory.path().join(CLEAN_STOP)).unwrap();
    let db = raw(directory.path());
    let (log, snapshot) = (db.cf_handle(LOG).unwrap(), db.cf_handle(SNAPSHOT).unwrap());
    flipped(&db, LOG, &key(1, &[slots[0]]));
    db.delete_cf(log, key(7, &[slots[1]])).unwrap();
    // One of a slot that was never given, one of a group that nobody knows.
    db.put_cf(log, key(7, &[99]), "later").unwrap();
    db.put_cf(log, key(8, &[0]), "foreign").unwrap();
    flipped(&db, SNAPSHOT, &key(1, &[1, 0]));
    db.put_cf(snapshot, key(7, &[99, 0]), "later").unwrap();
    drop(db);
    let inspection = verify(directory.path()).unwrap();
    let index = |group: usize| inspection.groups[group].first_index();
    let wanted = [
        ("snapshot/group 1/number 1/offset 0".to_owned(), "it is damaged, or another one's"),
        (format!("log/group 1/slot {} (index {})", slots[0], index(0)), "it is damaged, or another one's"),
        (format!("log/group 7/slot {} (index {})", slots[1], index(1)), "it is missing"),
        ("log/group 7/slot 99".into(), "its slot was never given: the state is older than the entry"),
        ("log/group 8/slot 0".into(), "its group has no state that can be read"),
        (
            "snapshot/group 7/number 99/offset 0".into(),
            "its number was never given: the state is older than the piece",
        ),
    ];
    let told: Vec<_> =
        inspection.problems.iter().map(|problem| (&problem.place, &problem.what[..])).collect();
    let wanted: Vec<_> = wanted.into_iter().map(|(key, what)| (Place::Key(key), what)).collect();
    assert_eq!(told, wanted.iter().map(|(place, what)| (place, *what)).collect::<Vec<_>>());
    assert!(inspection.problems.iter().all(|problem| problem.cure.contains("as a new member")));
    // The states are whole, and so is what they say.
    assert!(inspection.complete && !inspection.is_sound());
    assert_eq!(inspection.groups[0].last, last(&states)[0].restored.log.last());
    assert_eq!(inspection.checked.unwrap().entries, {
        let entries: usize = last(&states).iter().map(|found| found.entries.len()).sum();
        entries as u64 - 2
    });
}

/// A state that is damaged takes its group with it, and no other.
#[test]
fn a_damaged_state_is_told_of_and_the_other_groups_are_read() {
    let directory = scratch();
    life::live(directory.path(), life::short_script(), |_| {});
    fs::remove_file(directory.path().join(CLEAN_STOP)).unwrap();
    let db = raw(directory.path());
    let (meta, key) = (db.cf_handle(META).unwrap(), [&7_u64.to_be_bytes()[..], b"state"].concat());
    let mut state = db.get_cf(meta, &key).unwrap().unwrap();
    state[20] ^= 1;
    db.put_cf(meta, &key, state).unwrap();
    drop(db);
    let inspection = verify(directory.path()).unwrap();
    assert_eq!(inspection.problems[0].place, Place::Key("meta/group 7/state".into()));
    assert!(!inspection.complete && inspection.checked.unwrap().states == 1);
    assert_eq!(inspection.groups.iter().map(|group| group.id).collect::<Vec<_>>(), [GroupId(1)]);
}

/// What is wrong with what is said of a directory of which one byte is flipped.
fn judge(directory: &Path, name: &str, wanted: [&Found; 2], told: &Mutex<[usize; 3]>) -> Result<(), String> {
    let inspection = verify(directory).map_err(|error| format!("not read: {error}"))?;
    let is_whole = inspection.groups.len() == 2
        && inspection.groups.iter().zip(wanted).all(|(group, wanted)| {
            group.last == wanted.restored.log.last()
                && group.base == wanted.restored.log.base()
                && group.current_term == wanted.restored.hard_state.current_term
        });
    if inspection.is_sound() {
        let is_certain = is_whole && inspection.complete && inspection.checked.unwrap().states == 2;
        told.lock().unwrap()[0] += 1;
        return if is_certain { Ok(()) } else { Err(format!("believed: {inspection:?}")) };
    }
    if inspection.complete && !is_whole {
        return Err(format!("taken for complete: {inspection:?}"));
    }
    let named = inspection.problems.iter().any(|problem| match &problem.place {
        Place::File(file) => file.file_name().is_some_and(|file| file == name),
        Place::Key(_) => problem.what.contains(name) || name.ends_with(".sst"),
    });
    if !inspection.problems.iter().all(|problem| problem.to_string().contains("as a new member")) {
        return Err(format!("no cure: {:?}", inspection.problems));
    }
    told.lock().unwrap()[if named { 1 } else { 2 }] += 1;
    Ok(())
}

/// Whatever byte is flipped, what is said is what was written, or that something is damaged.
#[test]
fn no_flipped_byte_is_believed() {
    let files = damage::subject(damage::Stop::Clean);
    let states = life::states(&life::short_script());
    let step = if recorded::nightly() { 1 } else { 13 };
    for kind in [".sst", ".log", "MANIFEST", "CURRENT", CLEAN_STOP] {
        let all = files.iter().filter(|(name, _)| name.contains(kind) && !holds_nothing(name));
        let flips: Vec<_> =
            all.flat_map(|(name, bytes)| (0..bytes.len()).step_by(step).map(move |at| (name, at))).collect();
        let told = Mutex::new([0; 3]);
        in_parallel(flips.into_iter(), |(name, at)| {
            let directory = scratch();
            recorded::lay_out(directory.path(), &files);
            let mut bytes = files[name].to_vec();
            bytes[at] ^= 1 << (at % 8);
            fs::write(directory.path().join(name), bytes).unwrap();
            judge(directory.path(), name, last(&states), &told)
                .map_err(|wrong| format!("{name} {at}: {wrong}"))
        });
        let [sound, named, unnamed] = told.into_inner().unwrap();
        println!("{kind}: {sound} did no harm, {named} told of by file, {unnamed} without");
        assert!(named >= unnamed, "{kind}: {named} {unnamed}");
        // A marker that is damaged says nothing, and neither does what nobody reads in a table.
        assert!(kind == CLEAN_STOP || kind == ".sst" || sound == 0, "{kind}: {sound}");
    }
}

/// A file that is missing, or cut short, is told of.
#[test]
fn no_missing_file_is_believed() {
    for stop in [damage::Stop::Clean, damage::Stop::Kill] {
        let files = damage::subject(stop);
        let states = life::states(&life::short_script());
        for (missing, bytes) in files.iter().filter(|(name, _)| !holds_nothing(name)) {
            for cut in [None, Some(bytes.len() / 2)] {
                let directory = scratch();
                recorded::lay_out(directory.path(), &files);
                let path = directory.path().join(missing);
                match cut {
                    None => fs::remove_file(path).unwrap(),
                    Some(length) => fs::write(path, &bytes[..length]).unwrap(),
                }
                let may_be_torn = stop == damage::Stop::Kill && missing.ends_with(".log") && cut.is_some();
                let inspection = verify(directory.path()).unwrap();
                let is_harmless = missing == "IDENTITY" || missing == CLEAN_STOP;
                if may_be_torn {
                    // Nobody can know what was there, but the store finds the same.
                    let opened = life::open(directory.path());
                    assert_eq!(inspection.is_sound(), opened.is_ok(), "{inspection:?}");
                    let Ok((groups, opened)) = opened else { continue };
                    assert_eq!(inspection.torn_bytes, groups.torn_bytes());
                    for (group, opened) in inspection.groups.iter().zip(&opened) {
                        assert_eq!(group.last, opened.restored.log.last());
                    }
                } else if is_harmless {
                    assert_sound(&inspection, last(&states));
                } else {
                    assert!(!inspection.is_sound(), "{stop:?} {missing} {cut:?}: {inspection:?}");
                }
            }
        }
    }
}

/// Wherever the manifest ends, nothing less than what was written is taken for all of it.
#[test]
fn no_manifest_that_was_cut_is_believed() {
    let files = damage::subject(damage::Stop::Kill);
    let states = life::states(&life::short_script());
    let (name, manifest) = files.iter().rfind(|(name, _)| name.starts_with("MANIFEST")).unwrap();
    let step = if recorded::nightly() { 1 } else { 5 };
    // At the end of a record nothing looks torn: those before column families were made are among the first bytes.
    let lengths = (0..200).chain((200..manifest.len()).step_by(step));
    let told = Mutex::new([0; 3]);
    in_parallel(lengths.filter(|length| *length < manifest.len()), |length| {
        let directory = scratch();
        recorded::lay_out(directory.path(), &files);
        fs::write(directory.path().join(name), &manifest[..length]).unwrap();
        judge(directory.path(), name, last(&states), &told).map_err(|wrong| format!("{length}: {wrong}"))
    });
    println!("{name}, {} bytes: {told:?}", manifest.len());
}

/// A server that writes all the time: its files come and go, and what is read is always of one moment. Neither is
/// ever kept from the directory by the other.
#[test]
fn a_directory_that_is_written_to_is_read_as_it_was_at_one_moment() {
    let directory = scratch();
    let path = directory.path();
    let (is_over, written, lives) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        let server = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                lives.fetch_add(1, Ordering::Relaxed);
                let groups = RocksGroups::open_with(path, OPTIONS).unwrap();
                let Opened { mut store, restored, .. } = groups.store(GroupId(1), Incarnation(2)).unwrap();
                let mut last = restored.log.last().index.get();
                for _ in 0..30 {
                    let command = "x".repeat(2000);
                    let entries = life::entries(1, last + 1..last + 4, &command);
                    store.write(Batch { entries, ..Batch::default() });
                    assert_eq!(block_on(store.done()), Ok(Done::Persisted(1)));
                    last += 3;
                    written.store(last, Ordering::Release);
                    // A table each 20 ms or so.
                    thread::sleep(Duration::from_millis(2));
                }
            }
        });
        let mut last = 0;
        let mut stops = [0_u64; 3];
        // The log only grows, and all of it is read each time.
        let wanted = if recorded::nightly() { 300 } else { 60 };
        // However slow its disk is, it starts anew meanwhile; unless it has failed.
        while !server.is_finished()
            && (stops.iter().sum::<u64>() < wanted || lives.load(Ordering::Relaxed) < 2)
        {
            let least = written.load(Ordering::Acquire);
            let inspection = match Inspection::verify(path) {
                // Nothing was there yet.
                Err(StorageError::NotAStore { .. }) if least == 0 => {
                    assert!(!server.is_finished());
                    continue;
                }
                inspection => inspection.unwrap(),
            };
            assert_eq!(inspection.problems, []);
            let Some(group) = inspection.groups.first() else { continue };
            stops[match inspection.stop {
                Stop::Running => 0,
                Stop::Clean => 1,
                Stop::Unclean => 2,
            }] += 1;
            let found = group.last.index.get();
            assert!(found >= least && found >= last, "{found} after {least} were acknowledged");
            assert_eq!(inspection.checked.unwrap().entries, found);
            assert!(found == 0 || group.terms == [id(1, 1)]);
            last = found;
        }
        is_over.store(true, Ordering::Relaxed);
        server.join().unwrap();
        let lives = lives.load(Ordering::Relaxed);
        println!("{lives} lives, {last} entries; running, clean, unclean: {stops:?}");
        // It is closed in order each time.
        assert!(last > 0 && lives > 1 && stops[0] > 0 && stops[2] == 0);
    });
}
