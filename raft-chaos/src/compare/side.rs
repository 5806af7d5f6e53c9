//! What one run has written, or many: numbers by their names.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize as _, Serialize};
use serde_json::Value;

use crate::coverage::Coverage;
use crate::objects::{self, at};
use crate::result;

/// What many runs leave, and one; the first that is there is read.
const NAMES: [&str; 2] = ["results.jsonl", "result.json"];
/// What is said of a folder that has neither.
const LACKS: &str =
    "has no results.jsonl or result.json; name the folder of a run, as the line `results` has it";

/// A number of a run.
pub(super) struct Measure {
    pub(super) name: &'static str,
    /// What it is, of a result; none where that says nothing.
    of: fn(&Value) -> Vec<f64>,
}

/// Those that are compared, in the order in which they are shown.
pub(super) const MEASURES: [Measure; 19] = [
    Measure { name: "seconds", of: |result| number(&result["virtual_s"]) },
    Measure { name: "ok", of: |result| number(&result["ops"]["ok"]) },
    Measure { name: "fail", of: |result| number(&result["ops"]["fail"]) },
    Measure { name: "info", of: |result| number(&result["ops"]["info"]) },
    Measure { name: "ok a second", of: throughput },
    Measure { name: "p50 ms", of: |result| millis(&result["latency_us"]["p50"]) },
    Measure { name: "p99 ms", of: |result| millis(&result["latency_us"]["p99"]) },
    Measure { name: "slowest ms", of: |result| millis(&result["latency_us"]["max"]) },
    Measure { name: "without an ok ms", of: |result| number(&result["ok_gap_ms"]) },
    Measure { name: "heal to leader ms", of: |result| recoveries(result, "leader") },
    Measure { name: "heal to commit ms", of: |result| recoveries(result, "commit") },
    Measure { name: "heals", of: |result| heals_such(result, |_| true) },
    Measure {
        name: "heals without commit",
        of: |result| heals_such(result, |heal| heal["commit"].is_null()),
    },
    Measure { name: "elections", of: |result| number(&result["elections"]) },
    Measure { name: "terms", of: |result| number(&result["terms"]) },
    Measure { name: "committed", of: |result| number(&result["committed"]) },
    Measure { name: "restarts", of: |result| number(&result["restarts"]) },
    Measure { name: "snapshots installed", of: |result| number(&result["snapshots_installed"]) },
    Measure { name: "memory MB", of: |result| number(&result["rss_mb"]) },
];

fn number(value: &Value) -> Vec<f64> {
    value.as_f64().into_iter().collect()
}

fn millis(value: &Value) -> Vec<f64> {
    value.as_f64().map(|us| us / 1e3).into_iter().collect()
}

fn throughput(result: &Value) -> Vec<f64> {
    let seconds = result["virtual_s"].as_f64().filter(|seconds| *seconds > 0.0);
    result["ops"]["ok"].as_f64().zip(seconds).map(|(ok, seconds)| ok / seconds).into_iter().collect()
}

fn heals(result: &Value) -> impl Iterator<Item = &Value> {
    result["recovery_ms"].as_array().into_iter().flatten()
}

/// How many there were of a kind, where what followed them is known.
fn heals_such(result: &Value, is_such: fn(&Value) -> bool) -> Vec<f64> {
    let heals = result["recovery_ms"].as_array();
    heals.map(|heals| heals.iter().filter(|heal| is_such(heal)).count() as f64).into_iter().collect()
}

fn recoveries(result: &Value, to: &str) -> Vec<f64> {
    heals(result).filter_map(|heal| heal[to].as_f64()).collect()
}

/// Numbers of many runs, or of many heals.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Spread {
    pub(super) count: usize,
    pub(super) min: f64,
    pub(super) median: f64,
    pub(super) max: f64,
}

impl Spread {
    fn of(mut numbers: Vec<f64>) -> Option<Self> {
        numbers.sort_by(f64::total_cmp);
        let median = *numbers.get(numbers.len().saturating_sub(1) / 2)?;
        Some(Self { count: numbers.len(), min: numbers[0], median, max: *numbers.last()? })
    }
}

/// One run, or many.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Side {
    /// Where it was read.
    pub(super) path: PathBuf,
    /// How many there are.
    pub(super) runs: usize,
    /// How many runs there are of each plan, in each mode, with each verdict.
    pub(super) plans: BTreeMap<String, usize>,
    pub(super) modes: BTreeMap<String, usize>,
    pub(super) verdicts: BTreeMap<String, usize>,
    /// The kinds of operation that were not done, or of which nobody knows: `fail write`.
    pub(super) errors: BTreeMap<String, u64>,
    /// What all of them together have reached, where all say so.
    pub(super) coverage: Option<Coverage>,
    /// Its seed and the hash of its events, if it is one simulated run.
    #[serde(skip)]
    pub(super) simulated_once: Option<(u64, String)>,
    #[serde(skip)]
    spreads: BTreeMap<&'static str, Spread>,
}

impl Side {
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        let (file, results) = objects::read(path, (&NAMES, LACKS), result_of)?;
        if results.is_empty() {
            return Err(at(file.display(), "has no results: no seed of it has ended"));
        }
        Ok(Self::of(file, &results))
    }

    fn of(path: PathBuf, results: &[Value]) -> Self {
        let counted = |key: &str| {
            let mut counts = BTreeMap::new();
            for result in results {
                *counts.entry(result[key].as_str().unwrap_or("?").to_owned()).or_insert(0) += 1;
            }
            counts
        };
        let coverage = |mut all: Coverage, result: &Value| {
            all.join(&Coverage::deserialize(&result["coverage"]).ok()?);
            Some(all)
        };
        let spread = |measure: &Measure| {
            let numbers = results.iter().flat_map(measure.of).collect();
            Some((measure.name, Spread::of(numbers)?))
        };
        let once = |result: &Value| {
            let hash = result["event_hash"].as_str()?.to_owned();
            Some((result["seed"].as_u64()?, hash)).filter(|_| result["mode"] == "sim")
        };
        Self {
            path,
            runs: results.len(),
            plans: counted("plan"),
            modes: counted("mode"),
            verdicts: counted("verdict"),
            errors: errors(results),
            coverage: results.iter().try_fold(Coverage::default(), coverage),
            simulated_once: if let [result] = results { once(result) } else { None },
            spreads: MEASURES.iter().filter_map(spread).collect(),
        }
    }

    /// The numbers of this name, if there are any.
    pub(super) fn spread(&self, name: &str) -> Option<Spread> {
        self.spreads.get(name).copied()
    }

    /// The mode of all of them.
    pub(super) fn only_mode(&self) -> Option<&str> {
        self.modes.keys().next().filter(|_| self.modes.len() == 1).map(String::as_str)
    }
}

/// Operations that ended otherwise than well, by how and by their kind.
fn errors(results: &[Value]) -> BTreeMap<String, u64> {
    let mut errors = BTreeMap::new();
    for (f, tally) in results.iter().filter_map(|result| result["ops"]["by_f"].as_object()).flatten() {
        for end in ["fail", "info"] {
            let count = tally[end].as_u64().unwrap_or(0);
            if count > 0 {
                *errors.entry(format!("{end} {f}")).or_insert(0) += count;
            }
        }
    }
    errors
}

fn result_of(line: &str) -> Result<Value, String> {
    let value: Value = serde_json::from_str(line).map_err(|error| format!("no result of a run: {error}"))?;
    if value["ops"].is_object() && value["schema"] == result::SCHEMA {
        return Ok(value);
    }
    Err(format!("no result of a run, or not of schema {}", result::SCHEMA))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_many_is_one_of_them() {
        let spread = |numbers: &[f64]| Spread::of(numbers.to_vec()).map(|spread| spread.median);
        assert_eq!(spread(&[]), None);
        assert_eq!(spread(&[3.0]), Some(3.0));
        assert_eq!(spread(&[9.0, 1.0]), Some(1.0));
        assert_eq!(spread(&[9.0, 1.0, 4.0]), Some(4.0));
    }
}
