//! One test with one seed, from the first server's start to its report.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use raft_core::Time;
use tokio::runtime::Builder;
use tokio::time::timeout;

use super::cluster::{Lab, Setup};
use super::failure::{Failure, Tested};
use super::network::Counts;
use super::record::Record;
use crate::coverage::Coverage;
use crate::interrupt::interrupted;
use crate::sim::trace::{Telling, Trace};

/// How long a test may take in virtual time.
const TIME_LIMIT: Duration = Duration::from_secs(120);

/// What came of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Everything that was found wrong: what the test asserts, and what always has to hold. Empty if it passed.
    pub failures: Vec<Failure>,
    /// Names everything that happened, in order: the same for the same seed.
    pub event_hash: u64,
    /// What went over the network.
    pub counts: Counts,
    /// The commands that were committed, once each.
    pub commands: u64,
    /// Terms that had a leader.
    pub leaders: u64,
    /// Snapshots that servers installed.
    pub snapshots_installed: u64,
    /// Which messages met servers in which state.
    pub coverage: Coverage,
    /// How long it took in virtual time.
    pub virtual_time: Duration,
    /// Whether it was ended before its time, because somebody wanted this process to end.
    pub cut_short: bool,
}

/// Runs a test on a cluster of its own, in virtual time, at most 120 s of it.
///
/// # Panics
///
/// If it is called on a tokio runtime, or the script panics.
pub fn run<F: Future<Output = Tested>>(seed: u64, setup: Setup, script: impl FnOnce(Lab) -> F) -> Report {
    let unwritten = Trace::new(None, None, Telling::default(), Time::ZERO);
    recorded(seed, setup, script, unwritten).expect("nothing is written")
}

/// The same, with what happens written down.
///
/// # Errors
///
/// It could not be.
pub(super) fn recorded<F: Future<Output = Tested>>(
    seed: u64,
    setup: Setup,
    script: impl FnOnce(Lab) -> F,
    trace: Trace,
) -> io::Result<Report> {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime without I/O needs nothing of the system");
    runtime.block_on(async {
        let record = Record::new(trace);
        let lab = Lab::new(seed, setup, record.clone());
        let mut script = pin!(script(lab.clone()));
        let until_interrupted =
            poll_fn(
                |context| {
                    if interrupted() { Poll::Ready(None) } else { script.as_mut().poll(context).map(Some) }
                },
            );
        let ended = timeout(TIME_LIMIT, until_interrupted).await;
        let cut_short = matches!(ended, Ok(None));
        let failure = match ended {
            Ok(ended) => ended.and_then(Result::err),
            Err(_) => Some(Failure::Missed(format!("the test is not over after {TIME_LIMIT:?}"))),
        };
        if let Some(failure) = failure {
            record.failed(failure);
        }
        record.flush()?;
        Ok(Report { cut_short, ..lab.report() })
    })
}
