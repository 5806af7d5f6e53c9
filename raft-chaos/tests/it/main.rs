//! The tool from outside, and what it simulates: one binary, because each links all of RocksDB. Nodes as processes, in real
//! time, are in `real`.

mod chaos;
mod clocks;
mod coverage;
mod disks;
mod doctor;
mod ends;
#[cfg(feature = "planted-bugs")]
mod idle;
mod inspect;
mod judges;
mod lab;
mod links;
mod moments;
mod planning;
mod plans;
#[cfg(feature = "planted-bugs")]
mod planted;
#[cfg(all(feature = "planted-bugs", feature = "outside-judges"))]
mod readme;
mod recover;
mod replay;
mod report;
mod run;
mod screen;
#[cfg(feature = "planted-bugs")]
mod selftest;
mod simulated;
mod soak;
mod sums;
mod terminal;
mod tool;
#[cfg(all(feature = "planted-bugs", feature = "outside-judges"))]
mod typed;
mod workloads;
