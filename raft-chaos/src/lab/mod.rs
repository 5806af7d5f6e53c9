//! The tests of MIT's lab (6.824, 6.5840) on the real nodes, and the harness that they are written in, for one's own tests
//! too.
//!
//! A test is a script: an async function that is given a [`Lab`], does things to its servers, and fails with a sentence
//! where something does not hold. The nouns are the lab's: [`leader`](Lab::leader), [`same_term`](Lab::same_term),
//! [`one`](Lab::one), [`committed`](Lab::committed), [`wait`](Lab::wait), [`start`](Lab::start),
//! [`disconnect`](Lab::disconnect), [`connect`](Lab::connect), [`crash`](Lab::crash), [`restart`](Lab::restart),
//! [`rpcs`](Lab::rpcs), [`bytes`](Lab::bytes), [`set_unreliable`](Lab::set_unreliable),
//! [`set_long_reordering`](Lab::set_long_reordering). Servers are numbered from 0.
//!
//! ```
//! use raft_chaos::lab::{self, Lab, Setup, Tested};
//!
//! /// Who was cut off catches up.
//! async fn catches_up(lab: Lab) -> Tested {
//!     let follower = (lab.leader().await? + 1) % 3;
//!     lab.disconnect(follower);
//!     lab.one("first", 2, false).await?;
//!     lab.connect(follower);
//!     lab.one("second", 3, true).await?;
//!     Ok(())
//! }
//!
//! let report = lab::run(7, Setup::new(3), catches_up);
//! assert!(report.failures.is_empty(), "{:?}", report.failures);
//! assert_eq!(report.event_hash, lab::run(7, Setup::new(3), catches_up).event_hash);
//! ```
//!
//! # What runs
//!
//! raft-core's node with its driver, as users run it (pre-vote and check-quorum on), and a store in memory that outlives a
//! crash; heartbeats are every 100 ms and election timeouts from 300 to 600 ms, as the lab asks for at most ten heartbeats a
//! second and a leader within 5 s. A sync takes 1 to 4 ms. A crash loses what is in memory and nothing else. Messages are encoded
//! and decoded as they are over TCP.
//!
//! The network is the lab's, and not that of the [simulated world](crate::sim): calls are independent of each other, each
//! request and each reply is delayed, lost or reordered by itself, and a reply by other rules than a request. turmoil carries
//! streams of bytes on connections, in order, and moves in ticks; so this network is one of its own, on tokio's paused clock and
//! one thread, where idle time costs nothing. The same seed takes the same way: [`Report::event_hash`] names everything that
//! happened.
//!
//! # What is counted
//!
//! *Commands.* No-ops and configurations take log indexes here, so a command's index in a test is its number among the
//! commands of the log.
//!
//! *Calls.* Messages of raft-core are one-way. A message that asks (pre-vote, vote, append, snapshot, confirm, and so on) is
//! the request of a call, one that answers is a reply. [`Lab::rpcs`] counts requests that were delivered, [`Lab::bytes`] the bytes of all requests
//! and of replies that were delivered, as frames. A call that fails is a message that does not come: a raft-core server waits
//! for none, so how late the lab lets its caller know ("long delays") makes no difference to it. It does to clients.
//!
//! # What always has to hold
//!
//! Beside what a test asserts, in every test: a state machine is given each command of its log once, in order, and what any
//! other server was given at that place; a snapshot is of as many commands as it claims; at most one leader a term over all
//! servers, connected or not, and the other properties of Figure 3
//! ([`raft_core::figure3`]); what was given to a disk is there after a crash; no server ends by itself; no more than 100,000
//! messages are sent at one instant (a reliable network takes no time, so a quarrel without end would be at one); the test is
//! over within 120 s of virtual time.
//!
//! # The tests
//!
//! Names are the lab's in kebab case without the part. Four names are of two tests each (`basic`, `concurrent`,
//! `leader-failure`, `speed`): of those the one of the Raft layer has the plain name, and the others begin with
//! `rsm-` (4A) or `kv-` (4B, 4C); the second test of speed is `kv-speed-snapshot`. Every test of 4A to 4C can be named with its layer in
//! front. All tests are in [`TESTS`].
//!
//! | lab | name | function | tightened |
//! | --- | --- | --- | --- |
//! | InitialElection3A | `initial-election` | `elections::initial_election` | a change of term without a fault fails it; ten seconds, not two |
//! | ReElection3A | `re-election` | `elections::re_election` | |
//! | ManyElections3A | `many-elections` | `elections::many_elections` | |
//! | BasicAgree3B | `basic-agree` | `agreement::basic_agree` | |
//! | RPCBytes3B | `rpc-bytes` | `agreement::rpc_bytes` | |
//! | FollowerFailure3B | `follower-failure` | `agreement::follower_failure` | |
//! | LeaderFailure3B | `leader-failure` | `agreement::leader_failure` | |
//! | FailAgree3B | `fail-agree` | `agreement::fail_agree` | |
//! | FailNoAgree3B | `fail-no-agree` | `agreement::fail_no_agree` | |
//! | ConcurrentStarts3B | `concurrent-starts` | `agreement::concurrent_starts` | |
//! | Rejoin3B | `rejoin` | `agreement::rejoin` | |
//! | Backup3B | `backup` | `agreement::backup` | |
//! | Count3B | `count` | `agreement::count` | the commands are offered one after the other, and the leader may act on each |
//! | Persist1_3C | `persist-1` | `persistence::persist_1` | |
//! | Persist2_3C | `persist-2` | `persistence::persist_2` | |
//! | Persist3_3C | `persist-3` | `persistence::persist_3` | |
//! | Figure8_3C | `figure-8` | `persistence::figure_8` | |
//! | UnreliableAgree3C | `unreliable-agree` | `persistence::unreliable_agree` | |
//! | Figure8Unreliable3C | `figure-8-unreliable` | `persistence::figure_8_unreliable` | |
//! | ReliableChurn3C | `reliable-churn` | `persistence::churn` | |
//! | UnreliableChurn3C | `unreliable-churn` | `persistence::churn` | |
//! | SnapshotBasic3D | `snapshot-basic` | `snapshots::common` | nobody installs a snapshot |
//! | SnapshotInstall3D | `snapshot-install` | `snapshots::common` | somebody does |
//! | SnapshotInstallUnreliable3D | `snapshot-install-unreliable` | `snapshots::common` | somebody does |
//! | SnapshotInstallCrash3D | `snapshot-install-crash` | `snapshots::common` | somebody does |
//! | SnapshotInstallUnCrash3D | `snapshot-install-un-crash` | `snapshots::common` | somebody does |
//! | SnapshotAllCrash3D | `snapshot-all-crash` | `snapshots::all_crash` | |
//! | SnapshotInit3D | `snapshot-init` | `snapshots::init` | |
//! | Basic4A | `rsm-basic` | `rsm::basic` | |
//! | Concurrent4A | `rsm-concurrent` | `rsm::concurrent` | the answers are 1 to 50 |
//! | LeaderFailure4A | `rsm-leader-failure` | `rsm::leader_failure` | |
//! | LeaderPartition4A | `leader-partition` | `rsm::leader_partition` | |
//! | RestartReplay4A | `restart-replay` | `rsm::restart_replay` | |
//! | Shutdown4A | `shutdown` | `rsm::shutdown` | there is a leader, so that commands are under way |
//! | RestartSubmit4A | `restart-submit` | `rsm::restart_submit` | |
//! | Snapshot4C | `snapshot` | `rsm::snapshot` | there is a snapshot |
//! | Basic4B | `kv-basic` | `kv::generic` | the version is the number of puts from below, too, here and in all generic tests |
//! | Speed4B | `kv-speed` | `kv::speed` | |
//! | Concurrent4B | `kv-concurrent` | `kv::generic` | |
//! | Unreliable4B | `unreliable` | `kv::generic` | |
//! | OnePartition4B | `one-partition` | `kv::one_partition` | the get has 3 s as well |
//! | ManyPartitionsOneClient4B | `many-partitions-one-client` | `kv::generic` | |
//! | ManyPartitionsManyClients4B | `many-partitions-many-clients` | `kv::generic` | |
//! | PersistOneClient4B | `persist-one-client` | `kv::generic` | |
//! | PersistConcurrent4B | `persist-concurrent` | `kv::generic` | |
//! | PersistConcurrentUnreliable4B | `persist-concurrent-unreliable` | `kv::generic` | |
//! | PersistPartition4B | `persist-partition` | `kv::generic` | |
//! | PersistPartitionUnreliable4B | `persist-partition-unreliable` | `kv::generic` | |
//! | PersistPartitionUnreliableLinearizable4B | `persist-partition-unreliable-linearizable` | `kv::generic` | |
//! | SnapshotRPC4C | `snapshot-rpc` | `kv::snapshot_rpc` | somebody installs a snapshot |
//! | SnapshotSize4C | `snapshot-size` | `kv::snapshot_size` | there is a snapshot |
//! | Speed4C | `kv-speed-snapshot` | `kv::speed` | |
//! | SnapshotRecover4C | `snapshot-recover` | `kv::generic` | |
//! | SnapshotRecoverManyClients4C | `snapshot-recover-many-clients` | `kv::generic` | |
//! | SnapshotUnreliable4C | `snapshot-unreliable` | `kv::generic` | |
//! | SnapshotUnreliableRecover4C | `snapshot-unreliable-recover` | `kv::generic` | |
//! | SnapshotUnreliableRecoverConcurrentPartition4C | `snapshot-unreliable-recover-concurrent-partition` | `kv::generic` | |
//! | SnapshotUnreliableRecoverConcurrentPartitionLinearizable4C | `snapshot-unreliable-recover-concurrent-partition-linearizable` | `kv::generic` | |
//! | UnreliableOneKey | `unreliable-one-key` | `kv::unreliable_one_key` | extra: finds what is applied twice, which versions hide |
//!
//! Tightened besides, in all: one leader a term is asked of all servers; "unknown" is not "linearizable"; the versions that
//! gets return are judged, too.

mod agreement;
mod application;
mod catalogue;
mod cluster;
mod elections;
mod failure;
mod judged;
mod kv;
mod ledger;
mod network;
mod persistence;
mod record;
mod rsm;
mod run;
mod server;
mod snapshots;
mod tester;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use application::{Application, Snapshots};
pub use catalogue::{TESTS, Test};
pub use cluster::{Lab, Setup, Started};
pub use failure::{Failure, Tested, expect, within};
pub(crate) use judged::judged;
pub use network::Counts;
pub use run::{Report, run};
pub use tester::Waited;

/// A panic elsewhere leaves no half-made change that anything here rests on.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
