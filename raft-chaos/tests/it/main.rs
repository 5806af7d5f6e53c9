//! The tool from outside: one binary, because each links all of RocksDB.

mod disks;
mod inspect;
mod moments;
mod plans;
#[cfg(feature = "planted-bugs")]
mod planted;
mod recover;
mod replay;
mod run;
mod soak;
mod tool;
