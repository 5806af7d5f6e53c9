//! What runs and ledgers have written of their coverage.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::Deserialize;
use serde_json::Value;

use super::Coverage;

/// What a run leaves, many runs, and a soak; the first that is there is read.
const NAMES: [&str; 3] = ["ledger.jsonl", "results.jsonl", "result.json"];

/// What all runs have reached that these tell of, and how many runs that is. Each is a file of one of those names, or a
/// folder that has one.
///
/// # Errors
///
/// A file is not there or cannot be read, or has a line that says nothing of coverage, or of another table of cells.
pub fn read(paths: &[PathBuf]) -> io::Result<(Coverage, u64)> {
    let (mut coverage, mut runs) = (Coverage::default(), 0);
    for path in paths {
        let path = file_of(path)?;
        let text = fs::read_to_string(&path).map_err(|error| at(path.display(), &error))?;
        let one = path.extension().is_some_and(|extension| extension == "json");
        let lines: Vec<_> = if one { vec![text.as_str()] } else { text.lines().collect() };
        for (place, line) in lines.into_iter().enumerate() {
            let place = if one { String::new() } else { format!(":{}", place + 1) };
            let reached = reached(line).map_err(|why| at(format!("{}{place}", path.display()), &why))?;
            coverage.join(&reached);
            runs += 1;
        }
    }
    Ok((coverage, runs))
}

fn file_of(path: &Path) -> io::Result<PathBuf> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let found = NAMES.iter().map(|name| path.join(name)).find(|file| file.exists());
    found.ok_or_else(|| {
        at(
            path.display(),
            "has no ledger.jsonl, results.jsonl or result.json; name the folder of a run or of a soak",
        )
    })
}

fn reached(line: &str) -> Result<Coverage, String> {
    let value: Value = serde_json::from_str(line).map_err(|error| format!("no result of a run: {error}"))?;
    let coverage = value.get("coverage").ok_or("says nothing of coverage: an earlier version wrote it")?;
    Coverage::deserialize(coverage).map_err(|error| error.to_string())
}

fn at(place: impl Display, why: &(impl Display + ?Sized)) -> io::Error {
    io::Error::other(format!("{place}: {why}"))
}
