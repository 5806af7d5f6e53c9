//! The sums over a ledger, as text and as JUnit.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::findings::{Finding, Findings};
use super::ledger::Counts;
use super::{EntryName, Line};
use crate::coverage::Coverage;
use crate::verdict::Verdict;

/// The sums over a ledger.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    rows: BTreeMap<EntryName, Sums>,
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

impl Sums {
    /// How many seeds.
    pub fn seeds(&self) -> u64 {
        self.verdicts.values().sum()
    }

    fn passed(&self) -> u64 {
        self.verdicts.get(&Verdict::Pass).copied().unwrap_or(0)
    }

    fn add(&mut self, other: &Self) {
        for (verdict, count) in &other.verdicts {
            *self.verdicts.entry(*verdict).or_default() += count;
        }
        self.counts.add(&other.counts);
        self.coverage.join(&other.coverage);
    }

    fn row(&self) -> String {
        let others = self.verdicts.iter().filter(|(verdict, _)| **verdict != Verdict::Pass);
        let others = others.map(|(verdict, count)| format!("{count} {verdict:?}").to_lowercase());
        format!(
            "{} | {} | {} | {:.2} | {:.2} | {} | {} | {} | {} | {} | {}",
            self.seeds(),
            self.passed(),
            others.collect::<Vec<_>>().join(", "),
            self.counts.virtual_s / 3600.0,
            self.counts.wall_s / 3600.0,
            self.counts.elections,
            self.counts.restarts,
            self.counts.committed,
            self.counts.ops_ok,
            self.counts.rss_mb,
            self.coverage
        )
    }
}

impl Summary {
    /// Adds a seed.
    pub(super) fn add(&mut self, line: &Line) {
        let name = EntryName { plan: line.plan.clone(), store: line.store.clone() };
        let verdicts = BTreeMap::from([(line.verdict, 1)]);
        let sums = Sums { verdicts, counts: line.counts, coverage: line.coverage };
        self.rows.entry(name).or_default().add(&sums);
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

    /// The worst verdict of any seed.
    pub fn worst(&self) -> Verdict {
        self.rows
            .values()
            .filter_map(|sums| sums.verdicts.keys().next())
            .min()
            .copied()
            .unwrap_or(Verdict::Pass)
    }

    /// Writes `summary.md` and `junit.xml`.
    pub(super) fn write(&self, folder: &Path, findings: &Findings) -> io::Result<()> {
        fs::write(folder.join("summary.md"), self.markdown(findings))?;
        fs::write(folder.join("junit.xml"), self.junit(findings)?)
    }

    fn markdown(&self, findings: &Findings) -> String {
        let head = "| plan | store | seeds | passed | others | virtual h | process h | elections | restarts | committed | ok | MB | cells |\n\
                    | --- | --- | --: | --: | --- | --: | --: | --: | --: | --: | --: | --: | --: |\n";
        let row = |(name, sums): (&EntryName, &Sums)| {
            format!("| {} | {} | {} |\n", name.plan, name.store, sums.row())
        };
        let rows: String = self.rows.iter().map(row).collect();
        let found = |(signature, found): (&String, &Finding)| {
            let Finding { fastest, count } = found;
            let reason = fastest.reason.as_deref().unwrap_or_default().replace('\n', " ");
            format!(
                "\n**{count} times** `{signature}`, the fastest:\n\n    {}\n    {reason}\n",
                fastest.command
            )
        };
        let all = self.all().row();
        format!("{head}{rows}| all | | {all} |\n{}", findings.iter().map(found).collect::<String>())
    }

    /// A suite for each plan and store: one case for the seeds that passed, one for each kind of failure.
    fn junit(&self, findings: &Findings) -> io::Result<String> {
        let mut report = Report::new("raft-chaos");
        for (name, sums) in &self.rows {
            let mut suite = TestSuite::new(format!("{} on {}", name.plan, name.store));
            suite.add_test_case(TestCase::new(
                format!("{} of {} seeds pass", sums.passed(), sums.seeds()),
                TestCaseStatus::success(),
            ));
            let of_plan = findings.iter().filter(|(_, found)| {
                (&found.fastest.plan, &found.fastest.store) == (&name.plan, &name.store)
            });
            for (signature, found) in of_plan {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status.set_message(format!("{} times; {}", found.count, found.fastest.command));
                status.set_description(found.fastest.reason.clone().unwrap_or_default());
                suite.add_test_case(TestCase::new(signature.clone(), status));
            }
            report.add_test_suite(suite);
        }
        report.to_string().map_err(io::Error::other)
    }
}
