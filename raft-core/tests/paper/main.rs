//! Sentences of the paper and of the thesis, each a test with its name: §5.1 to §5.5 and §7 of the one, and 3.10, 4.2.3,
//! 6.2, 6.3, 6.4 and 9.6 of the other.

mod acknowledged;
mod believed;
mod bench;
#[cfg(all(feature = "planted-bugs", feature = "tokio"))]
mod bugs;
mod compaction;
mod consistency;
mod drops;
mod elections;
mod fetching;
mod installed;
mod leading;
mod leases;
mod losses;
mod membership;
mod newcomers;
mod paper;
mod questions;
mod reads;
mod removal;
mod repair;
mod replication;
mod sending;
#[cfg(feature = "tokio")]
mod sessions;
mod snapshots;
mod thesis;
mod told;
mod waiting;
mod watched;
