//! A history from a file, and what lies beside it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::edn;
use crate::history::{F, History, Type, Value};
use crate::linearizable::TookEffect;
use crate::plan::Kind;
use crate::record::{lines, named};

/// A history that was written down, by this tool or by Jepsen.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Where.
    pub path: PathBuf,
    /// What clients saw.
    pub history: History,
    /// The order in which the log took effect, where it lies beside the history.
    pub witness: Option<Vec<TookEffect>>,
}

impl Recorded {
    /// Reads the history of a run, by its folder, or any history by its file: `history.jsonl`, or Jepsen's EDN.
    ///
    /// # Errors
    ///
    /// `InvalidData`, naming the line, where it is no history; and what the disk refuses, naming the file.
    pub fn read(path: &Path) -> io::Result<Self> {
        let path = if path.is_dir() { path.join("history.jsonl") } else { path.to_owned() };
        let named = |error: io::Error| named(&path, &error);
        let text = fs::read_to_string(&path).map_err(named)?;
        let is_edn = path.extension().is_some_and(|extension| extension == "edn");
        let history = if is_edn || !text.trim_start().starts_with("{\"") && !text.trim().is_empty() {
            edn::read(&text)
        } else {
            History::read_from(text.as_bytes())
        };
        let history = history.map_err(named)?;
        let witness = if is_edn { None } else { lines(&path.with_file_name("witness.jsonl"))? };
        Ok(Self { path, history, witness })
    }
}

/// The kind of data that a history is of, by its operations.
///
/// # Errors
///
/// A sentence, where they are of none.
pub fn kind_of(history: &History) -> Result<Kind, String> {
    let mut kinds = vec![Kind::Kv, Kind::ListAppend, Kind::Set, Kind::Counter, Kind::Bank, Kind::Queue];
    let unknown = |f: &F, index: u64| {
        let names: Vec<_> = Kind::names().collect();
        format!(
            "history: event {index}: no kind has {f} with these others; name one with --model: {}",
            names.join(", ")
        )
    };
    for event in &history.events {
        let seen = event.kind == Type::Ok;
        let fits = |kind: &Kind| match (event.f.name(), kind, &event.value) {
            // What a read shows says of what it is.
            ("read", Kind::Queue, _) => false,
            ("read", Kind::Kv, Value::List(_) | Value::Map(_)) => !seen,
            ("read", Kind::ListAppend | Kind::Set, value) => !seen || value.items().is_some(),
            ("read", Kind::Counter, value) => !seen || matches!(value, Value::Whole(_) | Value::Null),
            ("read", Kind::Bank, value) => !seen || matches!(value, Value::Map(_)),
            ("read", ..) => true,
            ("append", Kind::ListAppend, _) | ("txn", Kind::ListAppend, _) => true,
            ("append" | "write" | "cas" | "delete", Kind::Kv, _) => true,
            ("add", Kind::Set | Kind::Counter, _) => true,
            ("transfer", Kind::Bank, _) | ("enqueue" | "dequeue", Kind::Queue, _) => true,
            (..) => false,
        };
        kinds.retain(fits);
        if kinds.is_empty() {
            return Err(unknown(&event.f, event.index));
        }
    }
    // Lists of numbers that are only appended to could be text as well, and so on: the stricter comes first.
    let strict = [Kind::Counter, Kind::ListAppend, Kind::Set, Kind::Bank, Kind::Queue, Kind::Kv];
    strict.into_iter().find(|kind| kinds.contains(kind)).ok_or_else(|| "history: of no kind".to_owned())
}
