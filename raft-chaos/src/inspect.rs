//! `raft-chaos inspect DIR`: what is in a node's data directory, in words or as JSON. Reading it is
//! [`Inspection`]'s.

use std::fmt::Write as _;
use std::path::Path;

use raft_core::Configured;
use raft_storage::inspection::{Checked, Group, Run, SnapshotPieces, Stop};
use raft_storage::{Inspection, StorageError};
use serde::Serialize;

use crate::node::STORE;

/// The number of this form of the JSON.
pub const SCHEMA: u32 = 1;

/// Nothing that was looked at is damaged.
const SOUND: u8 = 0;
/// It was written to all the time.
const INCONCLUSIVE: u8 = 2;
/// It is not the directory of a store.
const USAGE: u8 = 64;
/// The disk refused, or a later version wrote it.
const UNAVAILABLE: u8 = 69;

/// What the help says of them.
pub const EXIT_CODES: &str = "Exit codes: 0 nothing that was looked at is damaged (with --verify: every record); \
2 a node wrote to it all the time, and nothing can be said; 64 not the directory of a store; 69 the disk refused to read \
it, or a later version wrote it; 74 something is damaged.";

/// Lists longer than this are cut in words; in JSON never.
const SHOWN: usize = 12;

#[derive(Serialize)]
struct Report<'a> {
    schema: u32,
    exit_code: u8,
    #[serde(flatten)]
    inspection: &'a Inspection,
}

/// What is to be printed about `directory`, and the exit code. With `verify`, every record is checked.
pub fn inspect(directory: &Path, verify: bool, json: bool) -> (Result<String, StorageError>, u8) {
    let read = if verify { Inspection::verify(directory) } else { Inspection::read(directory) };
    let inspection = match read {
        Ok(inspection) => inspection,
        Err(error) => {
            let code = exit_code(&error);
            return (Err(error), code);
        }
    };
    let exit_code = if inspection.is_sound() { SOUND } else { STORE };
    if json {
        let report = Report { schema: SCHEMA, exit_code, inspection: &inspection };
        let said = serde_json::to_string(&report)
            .map_err(|error| StorageError::Io { what: "writing JSON", message: error.to_string() });
        (said, exit_code)
    } else {
        (Ok(words(&inspection)), exit_code)
    }
}

/// What a store's error ends the tool with.
pub(crate) const fn exit_code(error: &StorageError) -> u8 {
    match error {
        StorageError::Changing { .. } => INCONCLUSIVE,
        StorageError::NotAStore { .. } => USAGE,
        StorageError::Damaged { .. } | StorageError::DamagedMachine { .. } | StorageError::Corrupt { .. } => {
            STORE
        }
        StorageError::Io { .. }
        | StorageError::TooNew { .. }
        | StorageError::Locked { .. }
        | StorageError::Taken { .. }
        | StorageError::Misfit { .. }
        | StorageError::MisfitPiece { .. }
        | StorageError::Uncovered { .. }
        | StorageError::Superseded => UNAVAILABLE,
    }
}

/// For people.
fn words(inspection: &Inspection) -> String {
    let Inspection { directory, format, stop, torn_bytes, complete, groups, checked, problems, .. } =
        inspection;
    let format = format.map_or("nothing was ever written to it".into(), |format| format!("format {format}"));
    let stop = match stop {
        Stop::Running => "in use: a server runs on it".into(),
        Stop::Clean => "stopped cleanly".into(),
        Stop::Unclean if *torn_bytes == 0 => "not stopped cleanly".into(),
        Stop::Unclean => format!(
            "not stopped cleanly; a write was interrupted, and its {} will be cut off",
            count(*torn_bytes, "byte")
        ),
    };
    let mut said = format!("directory {}   {format}\nstop      {stop}", directory.display());
    for group in groups {
        said.push_str(&words_of_group(group));
    }
    if !complete {
        said.push_str("\nincomplete: this is what was there before the damage, not all that the server knew");
    }
    if let Some(Checked { states, entries, pieces, stale }) = checked {
        let _infallible = write!(
            said,
            "\nchecked   {}, {}, {} of snapshots; {} that nothing refers to any more",
            count(*states, "state"),
            plural(*entries, "entry", "entries"),
            count(*pieces, "piece"),
            count(*stale, "record"),
        );
    }
    for problem in problems {
        let _infallible = write!(said, "\ndamaged   {problem}");
    }
    let all = problems.len() as u64 + inspection.problems_more;
    let verdict = match (all, checked) {
        (0, Some(_)) => "SOUND: every record is what was written".into(),
        (0, None) => "nothing damaged was met; --verify checks every record".into(),
        (_, _) => format!("DAMAGED: {}", count(all, "problem")),
    };
    let _infallible = write!(said, "\nverdict   {verdict}");
    said
}

fn words_of_group(group: &Group) -> String {
    let vote = group.voted_for.map_or("no vote".into(), |node| format!("vote for {node}"));
    let log = if group.base == group.last {
        format!("empty, after {}", group.base)
    } else {
        let entries = group.last.index.get() - group.base.index.get();
        let entries = plural(entries, "entry", "entries");
        format!("{entries}, {} to {}, after {}", group.first_index(), group.last, group.base)
    };
    let terms = list(&group.terms, |first| format!("{} from {}", first.term, first.index));
    let runs = list(&group.mapping, |run: &Run| {
        let last = run.first_index.get() + run.len.saturating_sub(1);
        format!("{}..={last} in slots from {}", run.first_index, run.first_slot)
    });
    let cluster = group.cluster.map_or(String::new(), |cluster| format!("   {cluster}"));
    let mut said = format!(
        "\n\n{}{cluster}   incarnation {:016x}\n  term    {}, {vote}\n  log     {log}; committed at least up to {}\
         \n  terms   {terms}\n  mapping {runs}; next slot {}",
        group.id, group.incarnation.0, group.current_term, group.commit_bound, group.next_slot
    );
    if let Some(Configured { at, configuration }) = &group.configuration {
        let _infallible = write!(said, "\n  members {configuration}, by {at}");
    }
    if group.suspect {
        said.push_str(
            "\n  suspect its end was torn off: the server may have acknowledged what came after it, and has not caught up \
             with a leader since",
        );
    }
    let snapshots = [("snapshot", &group.snapshot), ("begun   ", &group.partial_snapshot)];
    for (name, snapshot) in snapshots {
        if let Some(SnapshotPieces { last_included, made_by, bytes, pieces }) = snapshot {
            let (pieces, bytes) = (count(*pieces, "piece"), count(*bytes, "byte"));
            let _infallible = write!(
                said,
                "\n  {name} up to {last_included}, {bytes} in {pieces}, made by {:016x}",
                made_by.0
            );
        }
    }
    said.push('\n');
    said
}

fn list<T>(all: &[T], word: impl Fn(&T) -> String) -> String {
    let mut shown: Vec<_> = all.iter().take(SHOWN).map(word).collect();
    match all.len().saturating_sub(SHOWN) {
        0 if all.is_empty() => return "none".into(),
        0 => {}
        more => shown.push(format!("and {more} more, which --format json has")),
    }
    shown.join(", ")
}

fn count(count: u64, one: &str) -> String {
    plural(count, one, &format!("{one}s"))
}

pub(crate) fn plural(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
