//! A forced recovery that the power or the disk interrupts: it was carried out in all groups or in none, and can be
//! carried out again.

use std::path::Path;

use raft_core::{Batch, ClusterId, EntryId, Incarnation, NodeId};
use raft_storage::format::FORMAT;
use raft_storage::inspection::Stop;
use raft_storage::recovery::Plan;
use raft_storage::{Inspection, Opened, Recovery, RecoveryError, StorageError};

use crate::life::{self, Found, GROUPS, scratch};
use crate::power_cut::Cuts;
use crate::recorded;
use crate::upgrade::{EARLIER, make_earlier};
use crate::watch::{Call, Fault, Watch};

const CLUSTER: ClusterId = ClusterId(77);
const LIFE: Incarnation = Incarnation(88);

fn plan(directory: &Path) -> Result<Plan, RecoveryError> {
    let (id, groups) = (NodeId::new(1), GROUPS.to_vec());
    Recovery { id, groups, cluster: CLUSTER, incarnation: LIFE }.plan(directory)
}

/// What both groups give back, and in which lives.
fn found(directory: &Path) -> Result<[(Incarnation, Found); 2], StorageError> {
    let (_groups, [first, second]) = life::open(directory)?;
    let found = |opened: Opened<_>| Ok((opened.incarnation, Found::in_store(opened)?));
    Ok([found(first)?, found(second)?])
}

/// Before and after the act.
fn lived_and_recovered(directory: &Path) -> [[(Incarnation, Found); 2]; 2] {
    life::live(directory, life::short_script(), |_| {});
    let before = found(directory).unwrap();
    plan(directory).unwrap().carry_out().unwrap();
    let after = found(directory).unwrap();
    for ((life, one), (_, other)) in after.iter().zip(&before) {
        assert_eq!((*life, one.restored.cluster), (LIFE, Some(CLUSTER)));
        let (new, kept) = one.entries.split_last().unwrap();
        assert_eq!(kept, other.entries);
        assert_eq!(one.chunks, other.chunks);
        assert_eq!(new.id, one.restored.log.last());
        assert_eq!(one.restored.hard_state.current_term, new.id.term);
        assert!(new.id.term > other.restored.hard_state.current_term);
    }
    [before, after]
}

#[test]
fn a_power_cut_at_any_moment_of_the_act_leaves_all_of_it_or_nothing() {
    let reference = scratch();
    let [before, after] = lived_and_recovered(reference.path());
    let directory = scratch();
    life::live(directory.path(), life::short_script(), |_| {});
    let files = recorded::files(directory.path());
    let plan = plan(directory.path()).unwrap();
    let watch = Watch::begin(directory.path());
    plan.carry_out().unwrap();
    watch.note(1);
    let act = watch.operations();
    drop(watch);

    let (cuts, _) = Cuts::of(&files, &act, 0);
    let looked_at = cuts.check_each(|files, is_done| {
        let directory = scratch();
        recorded::lay_out(directory.path(), files);
        let left = found(directory.path()).map_err(|error| error.to_string())?;
        if left == after {
            return Ok(());
        }
        if left != before || is_done > 0 {
            return Err(format!("done: {is_done}; found {left:?}"));
        }
        let bytes: usize = files.values().map(|content| content.len()).sum();
        if !bytes.is_multiple_of(16) && !recorded::nightly() {
            return Ok(());
        }
        self::plan(directory.path()).and_then(|plan| plan.carry_out()).map_err(|error| error.to_string())?;
        let left = found(directory.path()).map_err(|error| error.to_string())?;
        if left == after { Ok(()) } else { Err(format!("carried out again, and found {left:?}")) }
    });
    println!("{} operations, {looked_at} different cuts", act.len());
}

/// Each row: what is refused, and how often it is let through first.
#[test]
fn a_disk_that_refuses_leaves_all_of_it_or_nothing() {
    let reference = scratch();
    let [before, after] = lived_and_recovered(reference.path());
    for (call, file, letting) in [
        (Call::Write, ".log", 0),
        (Call::Sync, ".log", 0),
        (Call::Remove, ".clean", 0),
        (Call::Write, "MANIFEST", 0),
        (Call::Write, "MANIFEST", 1),
    ] {
        let directory = scratch();
        life::live(directory.path(), life::short_script(), |_| {});
        let plan = plan(directory.path()).unwrap();
        let watch = Watch::begin(directory.path());
        watch.fail(Fault { after: letting, ..Fault::always(call, file, libc::EIO) });
        let refused = plan.carry_out();
        let told = matches!(refused, Err(RecoveryError::Storage(_)));
        assert!(told, "{call:?} {file}: {refused:?}");
        drop(watch);
        let left = found(directory.path()).unwrap();
        assert!(left == before || left == after, "{call:?} {file}: {left:?}");
    }
}

/// A directory of an earlier format is upgraded by the act, and not by the plan.
#[test]
fn a_directory_of_an_earlier_format_is_recovered_as_any_other() {
    let reference = scratch();
    let [_, after] = lived_and_recovered(reference.path());
    for number in EARLIER {
        let directory = scratch();
        life::live(directory.path(), life::short_script(), |_| {});
        make_earlier(directory.path(), number);
        let format = || Inspection::read(directory.path()).unwrap().format;
        let plan = plan(directory.path()).unwrap();
        assert_eq!(format(), Some(number));
        plan.carry_out().unwrap();
        assert_eq!(format(), Some(FORMAT));
        assert_eq!(found(directory.path()).unwrap(), after);
    }
}

/// Making a plan changes nothing, and it is refused where a server runs, and carrying it out where one has run since.
#[test]
fn a_plan_is_of_a_directory_that_nobody_writes_to() {
    let directory = scratch();
    life::live(directory.path(), life::short_script(), |_| {});
    let files = recorded::files(directory.path());
    let plan = plan(directory.path()).unwrap();
    assert!(files == recorded::files(directory.path()));

    let server = life::open(directory.path()).unwrap();
    let locked = RecoveryError::Storage(StorageError::Locked { path: directory.path().to_owned() });
    assert_eq!(self::plan(directory.path()), Err(locked.clone()));
    assert_eq!(plan.carry_out(), Err(locked));
    drop(server);

    let [first, second] = found(directory.path()).unwrap().map(|(_, found)| found.restored.log.last());
    let next = |id: EntryId| {
        let index = id.index.get() + 1;
        let entries = life::entries(id.term.get(), index..index + 1, "later");
        Batch { entries, ..Batch::default() }
    };
    life::live(directory.path(), vec![vec![[next(first), next(second)]]], |_| {});
    let changed = RecoveryError::Changed { directory: directory.path().to_owned() };
    assert_eq!(plan.carry_out(), Err(changed));
    let inspection = Inspection::verify(directory.path()).unwrap();
    assert!(inspection.is_sound() && inspection.stop == Stop::Clean);
}
