//! What becomes of a directory when its disk fails it: the power goes at any moment, calls are refused, bytes
//! change. On RocksDB's own files, by standing between RocksDB and the C library.
//!
//! Bugs of other stores that are asked for here, by the names that the tests call them:
//!
//! | name | what happened | asked in |
//! | --- | --- | --- |
//! | S1, S3 | what was applied is on disk, and how far is not, or the other way round: a command is applied twice or never | `machine` |
//! | S1, S4 to S6 | a crash between two writes that belong together: log and snapshot, term and vote, compaction | `power_cut` |
//! | S2, S15 | what is acknowledged is not synced | `groups`, `power_cut` |
//! | S7 | entries were cut off and replaced, and an older promise stands for the new ones | `power_cut` |
//! | S8, S18 | a full disk: acknowledged entries are lost, or the store is wedged | `faults` |
//! | S9 | synced records behind a bad one, or behind one that cannot be read, are dropped in silence | `damage`, `faults` |
//! | S10 | the newest write-ahead log is cut, and nobody notices (after a clean stop) | `damage` |
//! | S11 | after a write error one column family has a batch and others do not | `faults`, `power_cut` |
//! | S12 | a write that failed is there all the same | `faults` |
//! | S13, S14 | a last record that a power cut tore is a reason not to start | `power_cut` |
//! | S16 | damage is taken for the end of the log | `damage` |
//! | S17 | a sync that failed once succeeds when it is asked for again, and the pages are gone | `faults` |
//! | S19 | what is written with each commit grows with what was ever freed, until the disk does nothing else | `opening`, and `tests/compaction.rs` |
//!
//! Some of it is for the night, because it takes minutes:
//! `RAFT_NIGHTLY=1 cargo test --profile ci -p raft-storage --all-features --test disk`

mod damage;
mod faults;
mod groups;
mod inspect;
mod interposer;
mod life;
mod machine;
mod measures;
mod opening;
mod parallel;
mod power_cut;
mod recorded;
mod recovery;
mod repair;
mod upgrade;
mod watch;
