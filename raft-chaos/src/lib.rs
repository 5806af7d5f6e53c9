//! Fault plans for Raft, and the judge of what they do.
//!
//! The data's way is plan, run, history, verdict, report; every later stage can be repeated from the files
//! of the earlier one.
//!
//! | module | is |
//! | --- | --- |
//! | [`cli`] | what was typed, and the exit code |
//! | [`plan`] | what a `plan.toml` says, with every mistake in it |
//! | [`lint`], [`explain`], [`scaffold`] | what there is to say of one before it is run, and one to begin with |
//! | [`runner`] | a plan over its seeds, a process for each |
//! | [`outcome`] | what became of a seed |
//! | [`seed`] | one seed in its process |
//! | [`sim`] | the run itself: real nodes in the simulated world |
//! | [`process`] | the same with processes in the real one |
//! | [`data`] | the state machine under test, and what clients ask of it |
//! | [`lab`] | the tests of MIT's lab on the same nodes, and a harness for one's own |
//! | [`history`] | what clients saw |
//! | [`edn`] | the same as Jepsen writes it |
//! | [`recorded`] | the same from a file |
//! | [`recorder`] | how that is written down as it happens |
//! | [`linearizable`] | the search for an order that explains it |
//! | [`anomalies`] | what else lists betray |
//! | [`judging`] | who judges a history, and in which order |
//! | [`outside`] | judges that others have written |
//! | [`verdict`] | what is to be said of it all |
//! | [`result`] | `result.json` |
//! | [`report`] | what is printed |
//! | [`progress`] | how far it is, on standard error |
//! | [`picture`] | what is drawn |
//! | [`determinism`] | the same seed twice, event by event |
//! | [`selftest`] | how soon planted bugs are found |
//! | [`replay`] | a seed once more, in detail |
//! | [`soak`] | seeds without end, and what they add up to |
//! | [`coverage`] | how much of the protocol they have reached |
//! | [`compare`] | two runs side by side |
//! | [`check`], [`verify`] | judging a recorded history again, by ours and by others' |
//! | [`export`] | a run as other tools read it |
//! | [`doctor`] | what this machine allows |
//! | [`node`], [`client`] | one real node, and what is asked of it |
//! | [`mod@bench`] | how fast such nodes are |
//! | [`inspect`] | what is said of a node's directory |
//! | [`recover`] | what is said of a forced recovery, before and after |
//! | [`backup`] | a node's directory in one file, and a new cluster from it |

// What is printed goes through `report`: there a reader who has gone away ends nothing.
#![deny(clippy::print_stderr, clippy::print_stdout)]

pub mod anomalies;
pub mod backup;
pub mod bench;
pub mod check;
mod child;
pub mod cli;
pub mod client;
pub mod compare;
pub mod coverage;
pub mod data;
pub mod determinism;
pub mod doctor;
pub mod edn;
pub mod explain;
pub mod export;
mod files;
pub mod history;
pub mod inspect;
mod interrupt;
pub mod judging;
pub mod lab;
pub mod linearizable;
pub mod lint;
mod memory;
mod mix;
mod monotonic;
pub mod node;
mod objects;
pub mod outcome;
pub mod outside;
pub mod picture;
pub mod plan;
pub mod process;
pub mod progress;
mod record;
pub mod recorded;
pub mod recorder;
pub mod recover;
pub mod replay;
pub mod report;
pub mod result;
pub mod runner;
pub mod scaffold;
pub mod seed;
pub mod selftest;
pub mod sim;
pub mod soak;
mod told;
pub mod verdict;
pub mod verify;
