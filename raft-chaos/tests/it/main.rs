//! The tool from outside: one binary, because each links all of RocksDB.

mod backup;
mod bench;
mod chaos;
mod clocks;
mod compare;
mod coverage;
mod disks;
mod doctor;
#[cfg(feature = "planted-bugs")]
mod idle;
mod inspect;
mod judges;
mod lab;
mod links;
mod moments;
mod node;
mod node_tls;
mod nodes;
mod operations;
mod planning;
mod plans;
#[cfg(feature = "planted-bugs")]
mod planted;
mod process;
mod readme;
mod recover;
mod replay;
mod report;
mod run;
mod screen;
#[cfg(feature = "planted-bugs")]
mod selftest;
mod soak;
mod sums;
mod terminal;
mod tool;
mod workloads;
