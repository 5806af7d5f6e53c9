//! What becomes of a directory when its disk fails it: the power goes at any moment, calls are refused, bytes
//! change. On RocksDB's own files, by standing between RocksDB and the C library.
//!
//! Some of it is for the night, because it takes minutes:
//! `RAFT_NIGHTLY=1 cargo test --profile ci -p raft-storage --all-features --test disk`

mod damage;
mod faults;
mod groups;
mod interposer;
mod life;
mod parallel;
mod power_cut;
mod recorded;
mod upgrade;
