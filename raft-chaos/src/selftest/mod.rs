//! `raft-chaos selftest`: bugs that are planted on purpose, and how soon each is found.
//!
//! | file | is |
//! | --- | --- |
//! | `hunt.rs` | one bug, hunted through the seeds of plans |
//! | `score.rs` | what a selftest has shown |
//! | `testers.rs` | testers that are broken, and must be found out |

mod hunt;
mod score;
mod testers;

use std::io;

use crate::plan::Plan;
use crate::runner::{Runner, each};

pub use hunt::{Find, Hunt};
pub use score::{Score, table};
pub use testers::{BrokenTester, broken_testers};

/// Bugs that no plan can find because nothing in a simulation can hold them, each with the reason. The last three are
/// switches all the same, which tests of the libraries find.
pub const EXCLUDED: [(&str, &str); 5] = [
    (
        "log-truncated-front-to-back",
        "a batch is one atomic write: what it truncates and what it appends are there together or not at all",
    ),
    ("vote-and-term-written-apart", "term and vote are one record, and one write of a batch has both"),
    (
        "stuck-after-snapshot",
        "a leader whose snapshot was not answered asks with the next heartbeat whether it is there, and goes on from that",
    ),
    (
        "applied-before-durable",
        "the state machines of plans are in memory: what they were given too early is gone with what was not durable",
    ),
    (
        "result-dropped-unacknowledged",
        "a client of a plan has one command at a time: every other result of its session is one that it has",
    ),
];

/// Hunts for each of these bugs, with the seeds of these plans in turns, until it is found or `seeds` have run. As many bugs as
/// the runner has jobs are hunted side by side. `ended` hears of each hunt as it ends.
///
/// # Errors
///
/// A file or a process could not be made.
pub fn hunt_all(
    runner: &Runner,
    plans: &[Plan],
    bugs: &[String],
    seeds: u64,
    mut ended: impl FnMut(&Hunt) + Send,
) -> io::Result<Vec<Hunt>> {
    let (mut left, mut hunts) = (bugs.iter(), Vec::new());
    each(
        runner.jobs,
        || left.next(),
        |bug| hunt::hunt(runner, plans, bug, seeds),
        |hunt| {
            ended(&hunt);
            hunts.push(hunt);
            Ok(())
        },
    )?;
    hunts.sort_by_key(|hunt| bugs.iter().position(|bug| *bug == hunt.bug));
    Ok(hunts)
}
