//! The sums as JUnit has them.

use std::io;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::Summary;

/// A suite for each plan and store: one case for the seeds that passed, one for each kind of failure. What seeds of a plan
/// together have not shown is in a suite of its own.
pub(super) fn junit(summary: &Summary) -> io::Result<String> {
    let mut report = Report::new("raft-chaos");
    for (name, sums) in &summary.rows {
        let mut suite = TestSuite::new(format!("{} on {}", name.plan, name.store));
        suite.add_test_case(TestCase::new(
            format!("{} of {} seeds pass", sums.passed(), sums.seeds()),
            TestCaseStatus::success(),
        ));
        for (signature, found) in summary.findings.iter() {
            if let Some(count) = found.of_plans.get(name) {
                let message = format!("{count} times; {}", found.fastest.command);
                let reason = found.fastest.reason.as_deref().unwrap_or_default();
                suite.add_test_case(failure(signature, &message, reason));
            }
        }
        report.add_test_suite(suite);
    }
    for lack in &summary.lacks {
        let mut suite = TestSuite::new(format!("{}, all seeds together", lack.plan));
        suite.add_test_case(failure(&lack.what, &lack.what, ""));
        report.add_test_suite(suite);
    }
    report.to_string().map_err(io::Error::other)
}

fn failure(name: &str, message: &str, description: &str) -> TestCase {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    status.set_message(message);
    status.set_description(description);
    TestCase::new(name, status)
}
