//! What nights add up to: one small file with a line for each commit, plan and store, to be kept with the code.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::{fs, io};

use serde::{Deserialize, Serialize};

use super::{EntryName, Finding, Summary};
use crate::record::named;

/// Of which code, plan and store a line is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Of {
    commit: String,
    entry: EntryName,
}

/// A line of the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    commit: String,
    plan: String,
    store: String,
    seeds: u64,
    passed: u64,
    virtual_h: f64,
    elections: Option<u64>,
    restarts: u64,
    committed: Option<u64>,
    /// Each kind of failure, and how many seeds had it.
    findings: BTreeMap<String, u64>,
}

impl Line {
    fn of(&self) -> Of {
        let entry = EntryName { plan: self.plan.clone(), store: self.store.clone() };
        Of { commit: self.commit.clone(), entry }
    }
}

/// What all lines of the file add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Nights {
    seeds: u64,
    passed: u64,
    virtual_h: f64,
}

impl fmt::Display for Nights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seeds, passed, virtual_h } = self;
        write!(f, "{seeds} seeds in all, {passed} passed, {virtual_h:.1} virtual h")
    }
}

impl Summary {
    /// Writes these sums into the file, as those of this commit: they take the place of what it has of the same commit, plan
    /// and store, for a ledger has all that was run of it.
    ///
    /// # Errors
    ///
    /// The file could not be read or written, or has a line that is none.
    pub fn carry_on(&self, file: &Path, commit: &str) -> io::Result<Nights> {
        let mut lines = read(file).map_err(|error| named(file, &error))?;
        lines.extend(self.lines(commit).map(|line| (line.of(), line)));
        let (mut text, mut nights) = (Vec::new(), Nights::default());
        for line in lines.values() {
            serde_json::to_writer(&mut text, line)?;
            text.push(b'\n');
            nights.seeds += line.seeds;
            nights.passed += line.passed;
            nights.virtual_h += line.virtual_h;
        }
        fs::write(file, text).map_err(|error| named(file, &error))?;
        Ok(nights)
    }

    fn lines(&self, commit: &str) -> impl Iterator<Item = Line> {
        self.rows.iter().map(move |(name, sums)| {
            let count = |(signature, found): (&String, &Finding)| {
                Some((signature.clone(), *found.of_plans.get(name)?))
            };
            Line {
                commit: commit.to_owned(),
                plan: name.plan.clone(),
                store: name.store.clone(),
                seeds: sums.seeds(),
                passed: sums.passed(),
                virtual_h: (sums.counts.virtual_s / 3.6).round() / 1_000.0,
                elections: sums.counts.elections,
                restarts: sums.counts.restarts,
                committed: sums.counts.committed,
                findings: self.findings.iter().filter_map(count).collect(),
            }
        })
    }
}

/// What is there already; nothing where there is no file yet.
fn read(file: &Path) -> io::Result<BTreeMap<Of, Line>> {
    let text = match fs::read_to_string(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        text => text?,
    };
    let line = |(place, text): (usize, &str)| {
        let line: Line = serde_json::from_str(text).map_err(|error| {
            io::Error::other(format!("line {}: {error}; name a file that --nights has written", place + 1))
        })?;
        Ok((line.of(), line))
    };
    text.lines().enumerate().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Counts, Line as Ledgered};
    use super::*;
    use crate::verdict::Verdict;

    /// Of two plans, one of which has failed once.
    fn summary(seeds: u64) -> Summary {
        let mut summary = Summary::default();
        for seed in 0..seeds {
            let counts = Counts { virtual_s: 3_600.0, committed: Some(5), ..Counts::default() };
            let line =
                Ledgered { plan: "one".into(), store: "memory".into(), seed, counts, ..Ledgered::default() };
            summary.add(&line);
            let plan = Ledgered { plan: "two".into(), ..line };
            let signature = Some("safety: lost".to_owned());
            summary.add(&if seed == 0 {
                Ledgered { verdict: Verdict::Safety, signature, ..plan }
            } else {
                plan
            });
        }
        summary
    }

    #[test]
    fn a_ledger_that_has_grown_counts_once_and_another_commit_is_added() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("nights.jsonl");
        for (seeds, commit, expected) in [
            (2, "abc", "4 seeds in all, 3 passed, 4.0 virtual h"),
            (3, "abc", "6 seeds in all, 5 passed, 6.0 virtual h"),
            (1, "def", "8 seeds in all, 6 passed, 8.0 virtual h"),
        ] {
            assert_eq!(summary(seeds).carry_on(&file, commit).unwrap().to_string(), expected);
        }
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!(
            text.lines().nth(1).unwrap(),
            r#"{"commit":"abc","plan":"two","store":"memory","seeds":3,"passed":2,"virtual_h":3.0,"elections":null,"restarts":0,"committed":15,"findings":{"safety: lost":1}}"#
        );
        assert_eq!(text.lines().count(), 4);
    }

    #[test]
    fn a_file_that_is_another_one_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("nights.jsonl");
        fs::write(&file, "{\"commit\":7}\n").unwrap();
        let refused = summary(1).carry_on(&file, "abc").unwrap_err().to_string();
        assert!(
            refused.contains("nights.jsonl: line 1: ") && refused.ends_with("that --nights has written"),
            "{refused}"
        );
        assert_eq!(fs::read_to_string(&file).unwrap(), "{\"commit\":7}\n");
    }
}
