//! What seeds add up to: one model, and its forms.
//!
//! | file | is |
//! | --- | --- |
//! | `summary/markdown.rs` | for a terminal, or a step of a continuous integration |
//! | `summary/page.rs` | for a browser, in the style of a run's report |
//! | `summary/junit.rs` | for other programs |
//! | `summary/nights.rs` | for a small file that many ledgers are added up in |

mod junit;
mod markdown;
mod nights;
mod page;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf, absolute};
use std::{fs, io};

use super::findings::{Finding, Findings};
use super::ledger::{Counts, or_dash};
use super::{EntryName, Line};
use crate::coverage::Coverage;
use crate::outcome::Outcome;
use crate::record::named;
use crate::verdict::Verdict;
pub use nights::Nights;

/// How many recoveries are listed.
const SLOWEST: usize = 10;

/// What seeds add up to.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    rows: BTreeMap<EntryName, Sums>,
    findings: Findings,
    slowest: Vec<Slow>,
    kept: Vec<Kept>,
    /// What each plan asks of one of its seeds, and none that is here has shown.
    unshown: BTreeMap<EntryName, Vec<String>>,
    lacks: Vec<Lack>,
}

/// The sums over the seeds of a plan on a store.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sums {
    /// How many ended with each verdict.
    pub verdicts: BTreeMap<Verdict, u64>,
    /// What happened.
    pub counts: Counts,
    /// How much of the protocol was reached.
    pub coverage: Coverage,
}

/// A seed that took long from a heal to a commit.
#[derive(Clone, Debug)]
struct Slow {
    millis: u64,
    line: Line,
}

/// A run of which everything is still there.
#[derive(Clone, Debug)]
struct Kept {
    line: Line,
    folder: PathBuf,
}

/// What a plan, on its store, asks of its seeds together, and they have not shown.
#[derive(Clone, Debug)]
struct Lack {
    plan: String,
    what: String,
}

impl Sums {
    /// How many seeds.
    pub fn seeds(&self) -> u64 {
        self.verdicts.values().sum()
    }

    fn passed(&self) -> u64 {
        self.verdicts.get(&Verdict::Pass).copied().unwrap_or(0)
    }

    /// How many ended with each verdict but the best, in words.
    fn others(&self) -> String {
        let others = self.verdicts.iter().filter(|(verdict, _)| **verdict != Verdict::Pass);
        let others = others.map(|(verdict, count)| format!("{count} {}", verdict.name()));
        others.collect::<Vec<_>>().join(", ")
    }

    fn add(&mut self, other: &Self) {
        for (verdict, count) in &other.verdicts {
            *self.verdicts.entry(*verdict).or_default() += count;
        }
        self.counts.add(&other.counts);
        self.coverage.join(&other.coverage);
    }
}

impl Summary {
    /// Adds a seed. Returns the run that need be kept no longer where of each kind of failure only the fastest is.
    pub(crate) fn add(&mut self, line: &Line) -> Option<Line> {
        let verdicts = BTreeMap::from([(line.verdict, 1)]);
        let sums = Sums { verdicts, counts: line.counts, coverage: line.coverage };
        let name = EntryName::of_line(line);
        self.show(&name, &line.unshown);
        self.rows.entry(name).or_default().add(&sums);
        self.slowest.extend(line.recovery_ms.map(|millis| Slow { millis, line: line.clone() }));
        self.rank();
        self.findings.add(line)
    }

    /// Adds all of another.
    pub fn join(&mut self, other: Self) {
        let Self { rows, findings, slowest, kept, unshown, lacks } = other;
        unshown.iter().for_each(|(name, unshown)| self.show(name, unshown));
        for (name, sums) in rows {
            self.rows.entry(name).or_default().add(&sums);
        }
        self.findings.join(findings);
        self.slowest.extend(slowest);
        self.rank();
        self.kept.extend(kept);
        self.lacks.extend(lacks);
    }

    /// Seeds of a plan have shown all that it asks of one of them, but for this.
    fn show(&mut self, name: &EntryName, but: &[String]) {
        let unshown = self.unshown.entry(name.clone()).or_insert_with(|| but.to_vec());
        unshown.retain(|what| but.contains(what));
    }

    /// The slowest first, and as many as are listed.
    fn rank(&mut self) {
        let place = |slow: &Slow| {
            (std::cmp::Reverse(slow.millis), slow.line.plan.clone(), slow.line.store.clone(), slow.line.seed)
        };
        self.slowest.sort_by_key(place);
        self.slowest.truncate(SLOWEST);
    }

    /// Where a seed did not pass and has left a folder, everything of it is there.
    pub(crate) fn keep(&mut self, line: Line, outcome: &Outcome) {
        if let Some(folder) = outcome.folder.as_ref().filter(|_| line.verdict != Verdict::Pass) {
            self.kept.push(Kept { line, folder: folder.clone() });
        }
    }

    /// Of each kind of failure the fastest run is kept in the folder that it is given, unless nothing was left of it.
    pub(super) fn keep_fastest(&mut self, folder: impl Fn(&Line) -> PathBuf) {
        let fastest = self.findings.iter().map(|(_, found)| found.fastest.clone());
        let kept = fastest.map(|line| Kept { folder: folder(&line), line });
        self.kept = kept.filter(|kept| kept.folder.is_dir()).collect();
    }

    /// No more seeds come: what none of a plan has shown, they lack.
    pub(crate) fn look_for_lacks(&mut self) {
        for (EntryName { plan, store }, unshown) in std::mem::take(&mut self.unshown) {
            unshown.into_iter().for_each(|what| self.lacks(&format!("{plan} on {store}"), what));
        }
    }

    /// The seeds of a plan together have not shown what it asks of them.
    pub fn lacks(&mut self, plan: &str, what: String) {
        self.lacks.push(Lack { plan: plan.to_owned(), what });
    }

    /// By plan, store and seed.
    fn kept(&self) -> Vec<&Kept> {
        let mut kept: Vec<_> = self.kept.iter().collect();
        kept.sort_by_key(|kept| (EntryName::of_line(&kept.line), kept.line.seed));
        kept
    }

    /// What the seeds together have not shown, each with its plan.
    pub(crate) fn lacking(&self) -> impl Iterator<Item = (&str, &str)> {
        self.lacks.iter().map(|lack| (&*lack.plan, &*lack.what))
    }

    /// Of all plans together.
    pub fn all(&self) -> Sums {
        let mut all = Sums::default();
        self.rows.values().for_each(|sums| all.add(sums));
        all
    }

    /// How many seeds did not pass.
    pub fn failed(&self) -> u64 {
        let all = self.all();
        all.seeds() - all.passed()
    }

    /// The worst verdict of any seed, or of all together.
    pub fn worst(&self) -> Verdict {
        let seeds = self.rows.values().filter_map(|sums| sums.verdicts.keys().next()).min();
        let worst = seeds.copied().unwrap_or(Verdict::Pass);
        if self.lacks.is_empty() { worst } else { worst.min(Verdict::Inconclusive) }
    }

    /// Each kind of failure, the worst and most frequent first.
    pub(crate) fn failures(&self) -> Vec<(&String, &Finding)> {
        let mut failures: Vec<_> = self.findings.iter().collect();
        failures.sort_by_key(|(_, found)| (found.fastest.verdict, std::cmp::Reverse(found.count)));
        failures
    }

    /// Writes `summary.md`, `summary.html` and `junit.xml`.
    pub(crate) fn write(&self, folder: &Path) -> io::Result<()> {
        self.write_to(&folder.join("summary.md"))?;
        self.write_to(&folder.join("summary.html"))?;
        self.write_junit(&folder.join("junit.xml"))
    }

    /// Writes it as a page where the name of the file ends in `.html`, and else as Markdown.
    ///
    /// # Errors
    ///
    /// The file could not be written.
    pub fn write_to(&self, file: &Path) -> io::Result<()> {
        let is_page = file.extension().is_some_and(|extension| extension == "html");
        let text = if is_page { page::page(self, file) } else { markdown::markdown(self, file) };
        fs::write(file, text).map_err(|error| named(file, &error))
    }

    /// Writes it in the form of JUnit.
    ///
    /// # Errors
    ///
    /// The file could not be written.
    pub fn write_junit(&self, file: &Path) -> io::Result<()> {
        fs::write(file, junit::junit(self)?).map_err(|error| named(file, &error))
    }
}

impl Kept {
    /// What one opens to see it, as a link from this file: its report, or its folder where there is none.
    fn link(&self, from: &Path) -> String {
        let report = self.folder.join("report.html");
        let to = if report.exists() { &report } else { &self.folder };
        let beside = from.parent().and_then(|parent| to.strip_prefix(parent).ok()).map(Path::to_owned);
        let to = beside.or_else(|| absolute(to).ok()).unwrap_or_else(|| to.clone());
        let mut link = String::new();
        for c in to.display().to_string().chars() {
            match c {
                '%' | '#' | '?' | ' ' | '(' | ')' => link.push_str(&format!("%{:02X}", u32::from(c))),
                _ => link.push(c),
            }
        }
        link
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each row: what each seed of a plan has not shown, and what is said of all.
    #[test]
    fn what_one_seed_has_shown_no_other_has_to() {
        for (seeds, lacking) in [
            (&[][..], &[][..]),
            (&[&["a", "b"][..], &["b"]], &["b"]),
            (&[&["a"], &[]], &[]),
            (&[&["a"], &["b"]], &[]),
            (&[&["a", "b"]], &["a", "b"]),
        ] {
            let line = |unshown: &&[&str]| Line {
                plan: "one".to_owned(),
                store: "memory".to_owned(),
                unshown: unshown.iter().map(|&what| what.to_owned()).collect(),
                ..Line::default()
            };
            let [mut all, mut halves] = [Summary::default(), Summary::default()];
            for seed in seeds {
                all.add(&line(seed));
                let mut half = Summary::default();
                half.add(&line(seed));
                halves.join(half);
            }
            for mut summary in [all, halves] {
                assert_eq!(summary.worst(), Verdict::Pass, "more seeds may come");
                summary.look_for_lacks();
                let lacks: Vec<_> = summary.lacking().map(|(_, what)| what).collect();
                assert_eq!(lacks, lacking, "{seeds:?}");
                assert_eq!(summary.worst() == Verdict::Inconclusive, !lacking.is_empty());
            }
        }
    }
}
