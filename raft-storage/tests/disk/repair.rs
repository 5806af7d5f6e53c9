//! What a server alone in its directory can get over: damage to what peers have too, and the loss of what was written
//! last, which takes no vote with it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Mutex;

use raft_core::node::{Done, LogStore};
use raft_core::{Batch, HardState, Incarnation, NodeId, Stored, Term};
use raft_storage::format::{CLEAN_STOP, DAMAGED, MENDED};
use raft_storage::{Inspection, Opened, RocksGroups, RocksStore, StorageError};

use crate::damage::{holds_nothing, says_nothing};
use crate::life::{self, Found, GROUPS, OPTIONS, block_on, entries, scratch};
use crate::parallel::in_parallel;
use crate::recorded::{self, Files, Recorded};
use crate::watch::{Operation, Watch};

fn open(directory: &Path) -> Result<Opened<RocksStore>, StorageError> {
    RocksGroups::open_with(directory, OPTIONS)?.store(GROUPS[0], Incarnation(2))
}

fn write(store: &mut RocksStore, batch: Batch) {
    store.write(batch);
    assert_eq!(block_on(store.done()), Ok(Done::Persisted(1)));
}

fn hard_state(term: u64, vote: Option<u64>) -> HardState {
    HardState { current_term: Term::new(term), voted_for: vote.map(NodeId::new) }
}

/// The newest write-ahead log, and where its last record begins.
fn last_record(files: &Files) -> (&String, usize) {
    let (name, log) = files.iter().rfind(|(name, _)| name.ends_with(".log")).unwrap();
    assert!(log.len() < 32 * 1024, "it is in one block");
    let (mut at, mut next) = (0, 0);
    while next < log.len() {
        at = next;
        next += 7 + usize::from(u16::from_le_bytes([log[at + 4], log[at + 5]]));
    }
    (name, at)
}

/// A directory as it is when the server is killed, after each of these was acknowledged.
fn killed_after(batches: Vec<Batch>) -> Vec<Files> {
    let directory = scratch();
    let mut store = open(directory.path()).unwrap().store;
    let mut killed = Vec::new();
    for batch in batches {
        write(&mut store, batch);
        killed.push(recorded::files(directory.path()));
    }
    killed
}

/// A vote that was given and forgotten can be given twice. Whatever becomes of the last record, each byte of it flipped
/// and cut at each byte, or of the last sector, term and vote are what they were when they were acknowledged; and that
/// the end is suspect is told wherever something of it is missing.
#[test]
fn no_vote_goes_with_the_last_record() {
    let votes = [(1, Some(1)), (1, Some(1)), (2, None), (2, Some(300)), (2, Some(300)), (3, Some(2))];
    // Every other one comes with an entry, and the others have nothing else in their batches.
    let batches = (2..).zip(votes).map(|(nth, (term, vote))| Batch {
        hard_state: Some(hard_state(term, vote)),
        entries: entries(term, nth / 2..nth / 2 + nth % 2, "v"),
        ..Batch::default()
    });
    let mut harmed = 0;
    for (files, (term, vote)) in killed_after(batches.collect()).iter().zip(votes) {
        let (name, at) = last_record(files);
        let log = &files[name];
        let is_tried = |at: &usize| !says_nothing(log, *at);
        let flipped = (at..log.len()).filter(is_tried).map(|byte| {
            let mut log = log.to_vec();
            log[byte] ^= 1 << (byte % 8);
            log
        });
        let cut = (at..=log.len()).filter(is_tried).map(|length| log[..length].to_vec());
        let torn = [512, 4096].map(|sector| {
            let mut log = log.to_vec();
            let last = (log.len() - 1) / sector * sector;
            log[last..].fill(0);
            log
        });
        let all: Vec<_> = flipped.chain(cut).chain(torn).collect();
        harmed += all.len();
        in_parallel(all.into_iter(), |harmed| {
            let directory = scratch();
            recorded::lay_out(directory.path(), files);
            fs::write(directory.path().join(name), &harmed).unwrap();
            let Opened { restored, torn_bytes, .. } = match open(directory.path()) {
                // By its length there is something behind it.
                Err(StorageError::Damaged { .. }) if harmed.len() == log.len() => return Ok(()),
                opened => opened.map_err(|error| error.to_string())?,
            };
            if restored.hard_state != hard_state(term, vote) {
                return Err(format!("{} bytes: {:?}", harmed.len(), restored.hard_state));
            }
            let is_whole = harmed == log.to_vec() || harmed.len() == at;
            let is_told = restored.suspect_tail == (torn_bytes > 0) && (torn_bytes == 0) == is_whole;
            if is_told {
                Ok(())
            } else {
                Err(format!("{torn_bytes} torn, suspect {}", restored.suspect_tail))
            }
        });
    }
    println!("{harmed} last records");
}

/// One group's life: what was written first is in tables, what was written last in the write-ahead log.
fn life_of_one() -> (Vec<Vec<Batch>>, Stored) {
    let mut lives: Vec<Vec<Batch>> = life::script().into_iter().take(2).map(of_first).collect();
    let term = |term| Some(hard_state(term, Some(1)));
    let last = [
        Batch { hard_state: term(4), entries: entries(4, 7..9, "h"), ..Batch::default() },
        Batch { parts: life::begun(), entries: entries(4, 9..10, "i"), ..Batch::default() },
        Batch { truncate: Some(entries(4, 8..9, "")[0].id.index), ..Batch::default() },
        Batch { hard_state: term(5), entries: entries(5, 8..11, "j"), ..Batch::default() },
        Batch { entries: entries(5, 11..12, "k"), ..Batch::default() },
    ];
    lives.push(last.to_vec());
    let mut stored = Stored::default();
    lives.iter().flatten().for_each(|batch| stored.apply(batch.clone()));
    (lives, stored)
}

fn of_first(life: Vec<[Batch; 2]>) -> Vec<Batch> {
    life.into_iter().map(|[first, _]| first).collect()
}

/// The directory of that life.
fn subject(is_clean: bool) -> Files {
    let directory = scratch();
    for life in life_of_one().0 {
        let mut store = open(directory.path()).unwrap().store;
        life.into_iter().for_each(|batch| write(&mut store, batch));
    }
    let mut files = recorded::files(directory.path());
    if !is_clean {
        files.remove(CLEAN_STOP).unwrap();
    }
    files
}

/// What became of a directory that was harmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Whole,
    Refused,
    RefusedWhenRead,
    Torn,
    Repaired,
    Salvaged,
}

/// How it ends when it is opened, read, repaired and opened again.
fn end(directory: &Path, stored: &Stored) -> Result<End, String> {
    let refused = |error: StorageError| {
        let is_damage = matches!(error, StorageError::Damaged { .. } | StorageError::Corrupt { .. });
        if is_damage { Ok(()) } else { Err(format!("neither damage nor sound: {error}")) }
    };
    let mut opened = match open(directory) {
        Ok(opened) => opened,
        Err(error) => return refused(error).map(|()| End::Refused),
    };
    let (hard_state, is_torn) = (opened.restored.hard_state, opened.torn_bytes > 0);
    let repaired = match life::repair(&mut opened, stored.entries()) {
        Ok(repaired) => repaired,
        Err(error) => return refused(error).map(|()| End::RefusedWhenRead),
    };
    let wanted = Found::of(stored);
    if hard_state != wanted.restored.hard_state {
        return Err(format!("an older vote: {hard_state:?}"));
    }
    let found = match Found::in_store(opened) {
        Ok(found) => found,
        Err(error) => return refused(error).map(|()| End::RefusedWhenRead),
    };
    // The beginning of a snapshot may have to begin anew.
    let is_all = |found: &Found| {
        let partial = found.restored.partial.clone().or(wanted.restored.partial.clone());
        let restored = raft_core::Restored { partial, ..found.restored.clone() };
        restored == wanted.restored && found.entries == wanted.entries && found.chunks == wanted.chunks
    };
    let is_prefix = is_torn && wanted.entries.starts_with(&found.entries);
    if !is_all(&found) && !is_prefix {
        return Err(format!("found {found:?}"));
    }
    let again = open(directory).map_err(|error| error.to_string())?;
    if again.torn_bytes > 0 || !again.restored.damaged.is_empty() {
        return Err(format!("not settled: {:?}", again.restored));
    }
    if Found::in_store(again).as_ref() != Ok(&found) {
        return Err("it is another one when it is opened again".into());
    }
    let left_over = fs::read_dir(directory).unwrap();
    let is_salvaged =
        left_over.into_iter().any(|file| file.unwrap().path().extension() == Some(DAMAGED.as_ref()));
    Ok(match (is_salvaged, is_torn, repaired) {
        (true, _, _) => End::Salvaged,
        (false, true, _) => End::Torn,
        (false, false, 0) if is_all(&found) => End::Whole,
        (false, false, _) => End::Repaired,
    })
}

/// Every byte flipped: none believed. What can be had from peers is told of, and repaired; the vote is never an older
/// one.
#[test]
fn what_is_damaged_is_refused_or_repaired_where_a_server_is_alone() {
    let (_, stored) = life_of_one();
    // What is in tables has nothing to do with how the directory was left; what says which files there are is for `damage`.
    for (is_clean, kinds) in [(true, &[".sst", ".log"][..]), (false, &[".log"])] {
        let files = subject(is_clean);
        for kind in kinds {
            let named = files.iter().filter(|(name, _)| name.contains(kind) && !holds_nothing(name));
            let all = named.flat_map(|(name, bytes)| (0..bytes.len()).map(move |at| (name, at)));
            let all: Vec<_> = all.filter(|(name, at)| !says_nothing(&files[*name], *at)).collect();
            let ends = Mutex::new(BTreeMap::<_, usize>::new());
            in_parallel(all.into_iter(), |(name, at)| {
                let directory = scratch();
                recorded::lay_out(directory.path(), &files);
                let mut bytes = files[name].to_vec();
                bytes[at] ^= 1 << (at % 8);
                fs::write(directory.path().join(name), bytes).unwrap();
                let end = end(directory.path(), &stored).map_err(|wrong| format!("{name} {at}: {wrong}"))?;
                // Whoever looks at it after that finds nothing amiss.
                if end == End::Salvaged {
                    let inspection =
                        Inspection::verify(directory.path()).map_err(|error| error.to_string())?;
                    assert_eq!(inspection.problems, []);
                }
                *ends.lock().unwrap().entry(end).or_default() += 1;
                Ok::<_, String>(())
            });
            let ends = ends.into_inner().unwrap();
            println!("clean {is_clean} {kind}: {ends:?}");
            let salvaged = ends.get(&End::Salvaged).copied().unwrap_or_default();
            assert_eq!(salvaged > 0, *kind == ".log", "{ends:?}");
        }
    }
}

/// The power goes at any moment of an opening that mends a write-ahead log: the next one mends it, or finds it mended.
#[test]
fn a_power_cut_at_any_moment_of_a_salvage_leaves_it_to_the_next_opening() {
    let (_, stored) = life_of_one();
    for is_clean in [true, false] {
        let mut files = subject(is_clean);
        let (name, log) = files.iter().rfind(|(name, _)| name.ends_with(".log")).unwrap();
        let mut log = log.to_vec();
        let entry = log.windows(2).position(|bytes| bytes == b"j9").unwrap();
        log[entry] ^= 1;
        let name = name.clone();
        files.insert(name, log.into());
        let directory = scratch();
        recorded::lay_out(directory.path(), &files);
        let watch = Watch::begin(directory.path());
        let lost = open(directory.path()).unwrap().restored.damaged;
        assert!(!lost.is_empty());
        let operations = watch.operations();
        drop(watch);
        let is_mended =
            |done: &Operation| matches!(done, Operation::Rename { from, .. } if from.ends_with(MENDED));
        assert!(operations.iter().any(is_mended), "{operations:?}");
        let mut cuts = BTreeSet::new();
        let mut recorded = Recorded::of(&files);
        for operation in &operations {
            cuts.extend(recorded.torn(operation));
            recorded.carry_out(operation);
            cuts.extend(recorded.left());
        }
        println!("clean {is_clean}: {} operations, {} different cuts", operations.len(), cuts.len());
        in_parallel(cuts.into_iter(), |files| {
            let directory = scratch();
            recorded::lay_out(directory.path(), &files);
            let names = || files.keys().cloned().collect::<Vec<_>>().join(", ");
            let end = end(directory.path(), &stored).map_err(|wrong| format!("{}: {wrong}", names()))?;
            let is_mended = matches!(end, End::Salvaged | End::Repaired);
            if is_mended { Ok(()) } else { Err(format!("{}: {end:?}", names())) }
        });
    }
}
