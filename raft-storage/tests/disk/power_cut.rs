//! The power goes at any moment of a life, and what is found then is what was acknowledged, or what was written
//! after it. The bugs that this is for: S1, S2, S4 to S7, S11, S13, S14 and S15
//! of the table in `main`.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::life::{self, Found, scratch};
use crate::parallel::in_parallel;
use crate::recorded::{self, Files, Recorded};
use crate::watch::{Operation, Watch};

/// What may be left of a directory, and how many batches of each group were acknowledged then.
#[derive(Default)]
pub(crate) struct Cuts {
    /// By what it is: the same is not looked at twice.
    cuts: HashMap<u64, (Files, usize)>,
    enumerated: usize,
}

impl Cuts {
    fn add(&mut self, files: Files, acknowledged: usize) {
        self.enumerated += 1;
        let mut hasher = DefaultHasher::new();
        files
            .iter()
            .filter(|(name, _)| !recorded::is_said_of_itself(name))
            .for_each(|file| file.hash(&mut hasher));
        match self.cuts.entry(hasher.finish()) {
            Entry::Vacant(place) => drop(place.insert((files, acknowledged))),
            // What may be left later has to have more.
            Entry::Occupied(mut known) => known.get_mut().1 = acknowledged,
        }
    }

    /// Before, during and after each operation.
    pub(crate) fn of(before: &Files, operations: &[Operation], acknowledged: usize) -> (Self, Recorded) {
        let (mut cuts, mut acknowledged) = (Self::default(), acknowledged);
        let mut recorded = Recorded::of(before);
        for operation in operations {
            if let Operation::Note(batches) = operation {
                acknowledged = *batches;
            }
            recorded.torn(operation).into_iter().for_each(|files| cuts.add(files, acknowledged));
            recorded.carry_out(operation);
            recorded.left().into_iter().for_each(|files| cuts.add(files, acknowledged));
        }
        (cuts, recorded)
    }

    /// Opens what is left, each time. Returns how many were looked at.
    pub(crate) fn check(self) -> usize {
        let wanted = life::states(&life::script());
        self.check_each(|files, acknowledged| check(files, &wanted, acknowledged))
    }

    /// The same, by another check.
    pub(crate) fn check_each(self, check: impl Fn(&Files, usize) -> Result<(), String> + Sync) -> usize {
        let all = self.cuts.len();
        in_parallel(self.cuts.into_values(), |(files, acknowledged)| check(&files, acknowledged));
        all
    }
}

/// What is wrong with what is found there.
fn check(files: &Files, wanted: &[Vec<Found>; 2], acknowledged: usize) -> Result<(), String> {
    let directory = scratch();
    recorded::lay_out(directory.path(), files);
    let wrong = |what: String| {
        let lengths = files.iter().map(|(name, bytes)| format!("{name} {}", bytes.len()));
        format!("{acknowledged} acknowledged, {}: {what}", lengths.collect::<Vec<_>>().join(", "))
    };
    let (found, _) = life::read(directory.path()).map_err(|error| wrong(error.to_string()))?;
    for (found, wanted) in found.iter().zip(wanted) {
        if !wanted[acknowledged..].contains(found) {
            return Err(wrong(format!("found {:?}", found.restored)));
        }
    }
    Ok(())
}

/// The life, as it was recorded. What was recorded leads to what is there, so that nothing got by.
fn recorded_life() -> Vec<Operation> {
    let directory = scratch();
    let watch = Watch::begin(directory.path());
    life::live(directory.path(), life::script(), |batches| watch.note(batches));
    let operations = watch.operations();
    drop(watch);
    let mut rebuilt = Recorded::default();
    operations.iter().for_each(|operation| rebuilt.carry_out(operation));
    let (rebuilt, real) = (rebuilt.written(), recorded::files(directory.path()));
    assert_eq!(rebuilt.keys().collect::<Vec<_>>(), real.keys().collect::<Vec<_>>());
    for (name, bytes) in &real {
        assert!(rebuilt[name] == *bytes, "{name} is not what was recorded");
    }
    operations
}

/// The power goes again while a directory is opened whose last record the first power cut tore.
#[test]
fn a_power_cut_at_any_moment_of_a_recovery_loses_nothing_either() {
    let operations = recorded_life();
    let is_write = |done: &Operation| matches!(done, Operation::Write { name, .. } if name.ends_with(".log"));
    let notes = operations.iter().filter(|done| matches!(done, Operation::Note(_)));
    let acknowledged = notes.count() / 2;
    let noted = operations.iter().position(|done| *done == Operation::Note(acknowledged)).unwrap();
    let write = noted + operations[noted..].iter().position(is_write).unwrap();
    let mut recorded = Recorded::default();
    operations[..write].iter().for_each(|done| recorded.carry_out(done));
    let torn = recorded.torn(&operations[write]);
    let torn = &torn[torn.len() / 2];

    let directory = scratch();
    recorded::lay_out(directory.path(), torn);
    let watch = Watch::begin(directory.path());
    let (groups, opened) = life::open(directory.path()).unwrap();
    assert!(groups.torn_bytes() > 0);
    drop((groups, opened));
    let recovery = watch.operations();
    drop(watch);
    assert!(
        recovery.iter().any(|done| matches!(done, Operation::Resize { name, .. } if name.ends_with(".log")))
    );
    let (cuts, _) = Cuts::of(torn, &recovery, acknowledged);
    let enumerated = cuts.enumerated;
    let looked_at = cuts.check();
    println!("{} operations, {enumerated} cuts, {looked_at} of them different", recovery.len());
}

/// Everything that a store does happened in the life: otherwise less is tried here than is said.
fn assert_everything_happened(operations: &[Operation]) {
    let did = |is_one: &dyn Fn(&Operation) -> bool| operations.iter().any(is_one);
    assert!(did(&|done| matches!(done, Operation::Write { name, .. } if name.ends_with(".log"))));
    assert!(did(&|done| matches!(done, Operation::Write { name, .. } if name.ends_with(".sst"))));
    assert!(did(&|done| matches!(done, Operation::Write { name, .. } if name.starts_with("MANIFEST"))));
    assert!(did(&|done| matches!(done, Operation::Rename { to, .. } if to == "CURRENT")));
    assert!(did(&|done| matches!(done, Operation::Remove { name } if name.ends_with(".sst"))));
    assert!(did(&|done| matches!(done, Operation::Remove { name } if name.ends_with(".log"))));
    assert!(did(&|done| matches!(done, Operation::Sync { name } if name.is_empty())));
}

#[test]
fn a_power_cut_at_any_moment_of_a_life_loses_nothing_that_was_acknowledged() {
    let operations = recorded_life();
    assert_everything_happened(&operations);
    let (cuts, _) = Cuts::of(&Files::new(), &operations, 0);
    let enumerated = cuts.enumerated;
    let looked_at = cuts.check();
    println!("{} operations, {enumerated} cuts, {looked_at} of them different", operations.len());
}
