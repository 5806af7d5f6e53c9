//! A line for each seed that ran, on disk: what a soak goes on from, and what nights add up to.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{EntryName, Pace};
use crate::coverage::{Coverage, of_this_table};
use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::record::named;
use crate::sim::AFTER;
use crate::verdict::Verdict;

/// The ledger's name in its folder.
pub(super) const FILE: &str = "ledger.jsonl";

/// What became of one seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// The plan.
    pub plan: String,
    /// Its store.
    pub store: String,
    /// The seed.
    pub seed: u64,
    /// What is to be said of it.
    pub verdict: Verdict,
    /// The kind of failure: the first reason without its numbers. None of a seed that passed.
    pub signature: Option<String>,
    /// The first reason.
    pub reason: Option<String>,
    /// The command that repeats it.
    pub command: String,
    /// Names everything that happened.
    pub event_hash: String,
    /// How much of the protocol it reached; nothing, where that is of an earlier version of this tool.
    #[serde(default, deserialize_with = "of_this_table")]
    pub coverage: Coverage,
    /// How often each table of chaos was to fire, where that is not as the plan has it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paces: Vec<Pace>,
    /// What the plan asks of one of its seeds, and this one has not shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unshown: Vec<String>,
    /// The longest time from a heal to a commit, in milliseconds; none where none came.
    #[serde(default)]
    pub recovery_ms: Option<u64>,
    /// What happened.
    #[serde(flatten)]
    pub counts: Counts,
}

/// What happened in a run, or in many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    /// Operations that were ok.
    pub ops_ok: u64,
    /// Terms in which a leader was elected, as far as that is known.
    pub elections: Option<u64>,
    /// Servers that were started again.
    pub restarts: u64,
    /// Entries that were committed, as far as that is known.
    pub committed: Option<u64>,
    /// How much time went by in the simulation, in seconds.
    pub virtual_s: f64,
    /// How much on the clock, of all processes together, in seconds.
    pub wall_s: f64,
    /// The most memory that a process held, in MB.
    pub rss_mb: u64,
}

impl Counts {
    /// Counts another run, or many others, too.
    pub(super) fn add(&mut self, other: &Self) {
        self.ops_ok += other.ops_ok;
        self.elections = sum(self.elections, other.elections);
        self.restarts += other.restarts;
        self.committed = sum(self.committed, other.committed);
        self.virtual_s += other.virtual_s;
        self.wall_s += other.wall_s;
        self.rss_mb = self.rss_mb.max(other.rss_mb);
    }
}

/// What is known of both together.
fn sum(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    one.zip(other).map(|(one, other)| one + other).or(one).or(other)
}

/// A number for people, with a sign for one that is not known.
pub(crate) fn or_dash(number: Option<u64>) -> String {
    number.map_or_else(|| "-".to_owned(), |number| number.to_string())
}

impl Default for Line {
    fn default() -> Self {
        Self {
            plan: String::new(),
            store: String::new(),
            seed: 0,
            verdict: Verdict::Pass,
            signature: None,
            reason: None,
            command: String::new(),
            event_hash: String::new(),
            coverage: Coverage::default(),
            paces: Vec::new(),
            unshown: Vec::new(),
            recovery_ms: None,
            counts: Counts::default(),
        }
    }
}

impl Line {
    /// What the ledger says of an outcome.
    pub(crate) fn of(plan: &Plan, outcome: &Outcome) -> Self {
        let EntryName { plan: name, store } = EntryName::of(plan);
        let result = &outcome.result;
        let whole = |value: &Value| value.as_u64().unwrap_or(0);
        let seconds = |value: &Value| value.as_f64().unwrap_or(0.0);
        let recoveries = result["recovery_ms"].as_array().into_iter().flatten();
        let reason = outcome.reasons.first().cloned();
        Self {
            plan: name,
            store,
            seed: outcome.seed,
            verdict: outcome.verdict,
            signature: (outcome.verdict != Verdict::Pass)
                .then(|| signature(outcome.verdict, reason.as_deref().unwrap_or_default())),
            reason,
            command: outcome.command.clone(),
            event_hash: result["event_hash"].as_str().unwrap_or_default().to_owned(),
            coverage: Coverage::deserialize(&result["coverage"]).unwrap_or_default(),
            paces: Vec::new(),
            unshown: outcome.unshown(plan),
            recovery_ms: recoveries.filter_map(|recovery| recovery["commit"].as_u64()).max(),
            counts: Counts {
                ops_ok: whole(&result["ops"]["ok"]),
                elections: result["elections"].as_u64(),
                restarts: whole(&result["restarts"]),
                committed: result["committed"].as_u64(),
                virtual_s: seconds(&result["virtual_s"]),
                wall_s: seconds(&result["wall_s"]),
                rss_mb: whole(&result["rss_mb"]),
            },
        }
    }
}

/// How much of a reason tells one kind of failure from another.
const SIGNATURE_CHARS: usize = 100;

/// How many digits a hash or an identity is printed with.
const HASH_DIGITS: usize = 16;

/// The verdict and the reason, with `#` for each number: the property and the place, and nothing of one run, as the event that fired
/// last. A hash or an identity is one number, of hexadecimal digits.
fn signature(verdict: Verdict, reason: &str) -> String {
    let of_any_event = reason.split_once(AFTER).map(|(before, event)| {
        let end = event.find(')').unwrap_or(event.len());
        format!("{before}{}", &event[end..])
    });
    let (reason, mut text) = (of_any_event.as_deref().unwrap_or(reason), String::new());
    let is_between = |c: char| !c.is_ascii_alphanumeric();
    for part in reason.split_inclusive(is_between) {
        let word = part.trim_end_matches(is_between);
        let is_hash = word.len() == HASH_DIGITS && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        text.push_str(&if is_hash { "#".to_owned() } else { without_numbers(word) });
        text.push_str(&part[word.len()..]);
    }
    format!("{}: {}", verdict.name(), text.chars().take(SIGNATURE_CHARS).collect::<String>())
}

fn without_numbers(word: &str) -> String {
    let mut text = String::new();
    for c in word.chars() {
        if !c.is_ascii_digit() {
            text.push(c);
        } else if !text.ends_with('#') {
            text.push('#');
        }
    }
    text
}

/// The file, which is locked as long as it is open.
pub(crate) struct Ledger {
    file: File,
    /// How many bytes of it are whole lines.
    whole: u64,
}

impl Ledger {
    /// Opens it, or begins one, and returns what it has. A last line that was cut short by a crash is dropped.
    ///
    /// # Errors
    ///
    /// Another soak has it open, a line is none of a ledger, or the disk refused; the file is named.
    pub(crate) fn open(folder: &Path) -> io::Result<(Self, Vec<Line>)> {
        let path = folder.join(FILE);
        let at = |error: io::Error| named(&path, &error);
        let file = OpenOptions::new().create(true).append(true).read(true).open(&path).map_err(at)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let cure =
                    "another soak writes to it; wait until that has ended, or name another folder with --out";
                return Err(at(io::Error::other(cure)));
            }
            Err(TryLockError::Error(error)) => return Err(at(error)),
        }
        let mut ledger = Self { file, whole: 0 };
        let (lines, whole) = read(&path)?;
        ledger.file.set_len(whole).map_err(at)?;
        ledger.whole = whole;
        Ok((ledger, lines))
    }

    /// Adds a line. It is on disk before this returns: a soak is what somebody will want to go on from.
    pub(crate) fn write(&mut self, line: &Line) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        // What is left of a line that could not be written must not become the beginning of this one.
        self.file.set_len(self.whole)?;
        self.file.write_all(&text)?;
        self.file.sync_data()?;
        self.whole += text.len() as u64;
        Ok(())
    }
}

/// To close the file is not enough: a child process that is just being started has it open, too, until it becomes
/// another program, and keeps the lock as long.
impl Drop for Ledger {
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

/// What a ledger has, and how many bytes of it are whole lines.
///
/// # Errors
///
/// A line that is no line of a ledger, with its number.
pub(super) fn read(path: &Path) -> io::Result<(Vec<Line>, u64)> {
    let mut reader = BufReader::new(File::open(path)?);
    // What was cut short need not be text.
    let (mut lines, mut whole, mut text) = (Vec::new(), 0, Vec::new());
    loop {
        text.clear();
        let bytes = reader.read_until(b'\n', &mut text)?;
        if !text.ends_with(b"\n") {
            return Ok((lines, whole));
        }
        let line = serde_json::from_slice(&text).map_err(|error| {
            let place = format!("{}:{}", path.display(), lines.len() + 1);
            io::Error::new(io::ErrorKind::InvalidData, format!("{place}: no line of a ledger: {error}"))
        })?;
        lines.push(line);
        whole += bytes as u64;
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn failures_that_differ_in_numbers_are_of_one_kind() {
        let one = signature(Verdict::Safety, "log-matching broken on n1 n12: entry 7 (at 3.201s)");
        assert_eq!(one, "safety: log-matching broken on n# n#: entry # (at #.#s)");
        assert_eq!(one, signature(Verdict::Safety, "log-matching broken on n2 n3: entry 19 (at 13.2s)"));
        let after = "log-matching broken on n2 n3: entry 19 (at 13.2s, after event power)";
        assert_eq!(one, signature(Verdict::Safety, after));
        let hashes = "seed 7 went two ways: its event hash was 00c0ffee00c0ffee and 1ec8cb233628e627";
        let of_hashes = "divergence: seed # went two ways: its event hash was # and #";
        assert_eq!(signature(Verdict::Divergence, hashes), of_hashes);
        assert_eq!(
            signature(Verdict::Crash, &"é".repeat(999)).chars().count(),
            "crash: ".len() + SIGNATURE_CHARS
        );
    }

    #[test]
    fn a_line_that_was_cut_short_is_dropped_and_any_other_is_refused_by_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let (mut ledger, lines) = Ledger::open(folder.path()).unwrap();
        assert_eq!(lines, []);
        let line = |seed| Line { seed, ..Line::default() };
        ledger.write(&line(1)).unwrap();
        ledger.write(&line(2)).unwrap();
        let path = folder.path().join(FILE);
        let whole = fs::read(&path).unwrap();
        drop(ledger);
        fs::write(&path, &whole[..whole.len() - 3]).unwrap();
        let (mut ledger, lines) = Ledger::open(folder.path()).unwrap();
        assert_eq!(lines, [line(1)]);
        ledger.write(&line(3)).unwrap();
        drop(ledger);
        assert_eq!(Ledger::open(folder.path()).unwrap().1, [line(1), line(3)]);
        fs::write(&path, [&whole[..], b"{}\n"].concat()).unwrap();
        let error = Ledger::open(folder.path()).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("ledger.jsonl:3: no line of a ledger"), "{error}");
    }

    /// As a full disk leaves it: others that had begun write behind it.
    #[test]
    fn a_line_that_could_not_be_written_is_not_the_beginning_of_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let (mut ledger, _) = Ledger::open(folder.path()).unwrap();
        let line = |seed| Line { seed, plan: "é".to_owned(), ..Line::default() };
        ledger.write(&line(1)).unwrap();
        ledger.file.write_all(br#"{"plan":"#).unwrap();
        ledger.write(&line(2)).unwrap();
        // The last one was cut in the middle of a character.
        ledger.file.write_all(b"{\"plan\":\"\xc3").unwrap();
        drop(ledger);
        assert_eq!(Ledger::open(folder.path()).unwrap().1, [line(1), line(2)]);
    }

    #[test]
    fn a_ledger_is_of_one_soak_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = Ledger::open(folder.path()).unwrap();
        let error = Ledger::open(folder.path()).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("ledger.jsonl: another soak writes to it; wait"), "{error}");
        drop(first);
        assert!(Ledger::open(folder.path()).is_ok());
    }
}
