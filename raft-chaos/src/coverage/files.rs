//! What runs and ledgers have written of their coverage.

use std::io;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

use super::Coverage;
use crate::objects;

/// What a run leaves, many runs, and a soak; the first that is there is read.
const NAMES: [&str; 3] = ["ledger.jsonl", "results.jsonl", "result.json"];
/// What is said of a folder that has none of them.
const LACKS: &str =
    "has no ledger.jsonl, results.jsonl or result.json; name the folder of a run or of a soak";

/// What all runs have reached that these tell of, and how many runs that is. Each is a file of one of those names, or a
/// folder that has one.
///
/// # Errors
///
/// A file is not there or cannot be read, or has a line that says nothing of coverage, or of another table of cells.
pub fn read(paths: &[PathBuf]) -> io::Result<(Coverage, u64)> {
    let (mut coverage, mut runs) = (Coverage::default(), 0);
    for path in paths {
        let (_, all) = objects::read(path, (&NAMES, LACKS), reached)?;
        runs += all.len() as u64;
        all.iter().for_each(|reached| coverage.join(reached));
    }
    Ok((coverage, runs))
}

fn reached(line: &str) -> Result<Coverage, String> {
    let value: Value = serde_json::from_str(line).map_err(|error| format!("no result of a run: {error}"))?;
    let coverage = value.get("coverage").ok_or("says nothing of coverage: an earlier version wrote it")?;
    if coverage.is_null() {
        return Err("says nothing of coverage: messages between processes are not looked into".to_owned());
    }
    Coverage::deserialize(coverage).map_err(|error| error.to_string())
}
