//! The tests by name, with what each begins with.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::pin::Pin;

use raft_core::PlantedBug;

use super::application::Snapshots;
use super::cluster::{Lab, Setup};
use super::failure::Tested;
use super::kv::{self, Generic};
use super::run::{Report, recorded, run};
use super::snapshots::Fault;
use super::{agreement, elections, persistence, rsm, snapshots};
use crate::sim::trace::Trace;

type Script = fn(Lab) -> Pin<Box<dyn Future<Output = Tested>>>;

/// One of the lab's tests.
#[derive(Clone, Copy)]
pub struct Test {
    /// Its name in a plan: the lab's in kebab case without the part. Where tests of two layers have one name, those that
    /// are not of the Raft layer say which they are of.
    pub name: &'static str,
    /// Its name in the lab.
    pub original: &'static str,
    setup: Setup,
    script: Script,
}

impl fmt::Debug for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Test {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Test {}

impl Test {
    /// The tests that a name may mean: the one of that very name, else those that the lab calls so, with the layer in
    /// front or without.
    pub fn named(name: &str) -> Vec<&'static Self> {
        let is_meant = |test: &&Self| {
            let layer = format!("{}-", test.layer());
            let plain = test.name.strip_prefix(&layer).unwrap_or(test.name);
            name.strip_prefix(&layer).unwrap_or(name) == plain
        };
        match TESTS.iter().find(|test| test.name == name) {
            Some(test) => vec![test],
            None => TESTS.iter().filter(is_meant).collect(),
        }
    }

    /// What a plan may call it: its name, the lab's own with the layer in front, and without where no other has that.
    pub fn names(&self) -> BTreeSet<String> {
        let plain = self.name.strip_prefix(&format!("{}-", self.layer())).unwrap_or(self.name);
        let names = [self.name.to_owned(), plain.to_owned(), format!("{}-{plain}", self.layer())];
        names
            .into_iter()
            .filter(|name| matches!(Self::named(name)[..], [one] if one.name == self.name))
            .collect()
    }

    /// Runs it with a seed, on servers that have this bug on purpose; none outside of tests.
    pub fn run(&self, seed: u64, planted: Option<PlantedBug>) -> Report {
        run(seed, Setup { planted, ..self.setup }, self.script)
    }

    /// The same, with what happens written down.
    ///
    /// # Errors
    ///
    /// It could not be.
    pub(crate) fn recorded(
        &self,
        seed: u64,
        planted: Option<PlantedBug>,
        trace: Trace,
    ) -> io::Result<Report> {
        recorded(seed, Setup { planted, ..self.setup }, self.script, trace)
    }

    /// The layer that it is of.
    fn layer(&self) -> &'static str {
        match self.original {
            "Snapshot4C" => "rsm",
            name if name.ends_with("4A") => "rsm",
            name if name.ends_with("4B") || name.ends_with("4C") || name.ends_with("Key") => "kv",
            _ => "raft",
        }
    }
}

macro_rules! tests {
    ($($name:literal $original:literal $setup:expr, $lab:ident => $script:expr;)*) => {
        &[$(Test { name: $name, original: $original, setup: $setup, script: |$lab| Box::pin($script) },)*]
    };
}

const THREE: Setup = Setup::new(3);
const FIVE: Setup = Setup::new(5);
const COMPACTING: Setup = THREE.snapshots(Snapshots::Every(10));
const COUNTER: Setup = THREE.serving(rsm::counter);

/// A generic key-value test with one client, without any fault.
const G: Generic = Generic {
    clients: 1,
    reliable: true,
    crash: false,
    partitions: false,
    snapshots: false,
    random_keys: false,
};
const MANY: Generic = Generic { clients: 5, ..G };
const UNRELIABLE: Generic = Generic { reliable: false, ..MANY };
const LINEARIZABLE: Generic =
    Generic { clients: 15, crash: true, partitions: true, random_keys: true, ..UNRELIABLE };

/// What a key-value test on so many servers begins with.
const fn store(servers: usize) -> Setup {
    Setup::new(servers).serving(kv::store)
}

/// The same, where servers take snapshots.
const fn compacting(servers: usize) -> Setup {
    store(servers).snapshots(Snapshots::Above(kv::STATE_BYTES))
}

/// All tests, in the lab's order: 28 of Raft, 8 of the replicated state machine, 22 of the key-value store, and one of the
/// edition of 2024.
pub const TESTS: &[Test] = tests! {
    "initial-election" "InitialElection3A" THREE, lab => elections::initial_election(lab);
    "re-election" "ReElection3A" THREE, lab => elections::re_election(lab);
    "many-elections" "ManyElections3A" Setup::new(7), lab => elections::many_elections(lab);

    "basic-agree" "BasicAgree3B" THREE, lab => agreement::basic_agree(lab);
    "rpc-bytes" "RPCBytes3B" THREE, lab => agreement::rpc_bytes(lab);
    "follower-failure" "FollowerFailure3B" THREE, lab => agreement::follower_failure(lab);
    "leader-failure" "LeaderFailure3B" THREE, lab => agreement::leader_failure(lab);
    "fail-agree" "FailAgree3B" THREE, lab => agreement::fail_agree(lab);
    "fail-no-agree" "FailNoAgree3B" FIVE, lab => agreement::fail_no_agree(lab);
    "concurrent-starts" "ConcurrentStarts3B" THREE, lab => agreement::concurrent_starts(lab);
    "rejoin" "Rejoin3B" THREE, lab => agreement::rejoin(lab);
    "backup" "Backup3B" FIVE, lab => agreement::backup(lab);
    "count" "Count3B" THREE, lab => agreement::count(lab);

    "persist-1" "Persist1_3C" THREE, lab => persistence::persist_1(lab);
    "persist-2" "Persist2_3C" FIVE, lab => persistence::persist_2(lab);
    "persist-3" "Persist3_3C" THREE, lab => persistence::persist_3(lab);
    "figure-8" "Figure8_3C" FIVE, lab => persistence::figure_8(lab);
    "unreliable-agree" "UnreliableAgree3C" FIVE.unreliable(), lab => persistence::unreliable_agree(lab);
    "figure-8-unreliable" "Figure8Unreliable3C" FIVE.unreliable(), lab => persistence::figure_8_unreliable(lab);
    "reliable-churn" "ReliableChurn3C" FIVE, lab => persistence::churn(lab);
    "unreliable-churn" "UnreliableChurn3C" FIVE.unreliable(), lab => persistence::churn(lab);

    "snapshot-basic" "SnapshotBasic3D" COMPACTING, lab => snapshots::common(lab, Fault::None);
    "snapshot-install" "SnapshotInstall3D" COMPACTING, lab => snapshots::common(lab, Fault::Disconnect);
    "snapshot-install-unreliable" "SnapshotInstallUnreliable3D" COMPACTING.unreliable(),
        lab => snapshots::common(lab, Fault::Disconnect);
    "snapshot-install-crash" "SnapshotInstallCrash3D" COMPACTING, lab => snapshots::common(lab, Fault::Crash);
    "snapshot-install-un-crash" "SnapshotInstallUnCrash3D" COMPACTING.unreliable(),
        lab => snapshots::common(lab, Fault::Crash);
    "snapshot-all-crash" "SnapshotAllCrash3D" COMPACTING.unreliable(), lab => snapshots::all_crash(lab);
    "snapshot-init" "SnapshotInit3D" COMPACTING.unreliable(), lab => snapshots::init(lab);

    "rsm-basic" "Basic4A" COUNTER, lab => rsm::basic(lab);
    "rsm-concurrent" "Concurrent4A" COUNTER, lab => rsm::concurrent(lab);
    "rsm-leader-failure" "LeaderFailure4A" COUNTER, lab => rsm::leader_failure(lab);
    "leader-partition" "LeaderPartition4A" COUNTER, lab => rsm::leader_partition(lab);
    "restart-replay" "RestartReplay4A" COUNTER, lab => rsm::restart_replay(lab);
    "shutdown" "Shutdown4A" COUNTER, lab => rsm::shutdown(lab);
    "restart-submit" "RestartSubmit4A" COUNTER, lab => rsm::restart_submit(lab);
    "snapshot" "Snapshot4C" COUNTER.snapshots(Snapshots::Above(rsm::STATE_BYTES)), lab => rsm::snapshot(lab);

    "kv-basic" "Basic4B" store(5), lab => kv::generic(lab, G);
    "kv-speed" "Speed4B" store(3), lab => kv::speed(lab, false);
    "kv-concurrent" "Concurrent4B" store(5), lab => kv::generic(lab, MANY);
    "unreliable" "Unreliable4B" store(5).unreliable(), lab => kv::generic(lab, UNRELIABLE);
    "one-partition" "OnePartition4B" store(5).unreliable(), lab => kv::one_partition(lab);
    "many-partitions-one-client" "ManyPartitionsOneClient4B" store(5),
        lab => kv::generic(lab, Generic { partitions: true, ..G });
    "many-partitions-many-clients" "ManyPartitionsManyClients4B" store(5),
        lab => kv::generic(lab, Generic { partitions: true, ..MANY });
    "persist-one-client" "PersistOneClient4B" store(5), lab => kv::generic(lab, Generic { crash: true, ..G });
    "persist-concurrent" "PersistConcurrent4B" store(5), lab => kv::generic(lab, Generic { crash: true, ..MANY });
    "persist-concurrent-unreliable" "PersistConcurrentUnreliable4B" store(5).unreliable(),
        lab => kv::generic(lab, Generic { crash: true, ..UNRELIABLE });
    "persist-partition" "PersistPartition4B" store(5),
        lab => kv::generic(lab, Generic { crash: true, partitions: true, ..MANY });
    "persist-partition-unreliable" "PersistPartitionUnreliable4B" store(5).unreliable(),
        lab => kv::generic(lab, Generic { crash: true, partitions: true, ..UNRELIABLE });
    "persist-partition-unreliable-linearizable" "PersistPartitionUnreliableLinearizable4B" store(7).unreliable(),
        lab => kv::generic(lab, LINEARIZABLE);

    "snapshot-rpc" "SnapshotRPC4C" compacting(3), lab => kv::snapshot_rpc(lab);
    "snapshot-size" "SnapshotSize4C" compacting(3), lab => kv::snapshot_size(lab);
    "kv-speed-snapshot" "Speed4C" compacting(3), lab => kv::speed(lab, true);
    "snapshot-recover" "SnapshotRecover4C" compacting(5),
        lab => kv::generic(lab, Generic { crash: true, snapshots: true, ..G });
    "snapshot-recover-many-clients" "SnapshotRecoverManyClients4C" compacting(5),
        lab => kv::generic(lab, Generic { clients: 20, crash: true, snapshots: true, ..G });
    "snapshot-unreliable" "SnapshotUnreliable4C" compacting(5).unreliable(),
        lab => kv::generic(lab, Generic { snapshots: true, ..UNRELIABLE });
    "snapshot-unreliable-recover" "SnapshotUnreliableRecover4C" compacting(5).unreliable(),
        lab => kv::generic(lab, Generic { crash: true, snapshots: true, ..UNRELIABLE });
    "snapshot-unreliable-recover-concurrent-partition" "SnapshotUnreliableRecoverConcurrentPartition4C"
        compacting(5).unreliable(),
        lab => kv::generic(lab, Generic { crash: true, partitions: true, snapshots: true, ..UNRELIABLE });
    "snapshot-unreliable-recover-concurrent-partition-linearizable"
        "SnapshotUnreliableRecoverConcurrentPartitionLinearizable4C" compacting(7).unreliable(),
        lab => kv::generic(lab, Generic { snapshots: true, ..LINEARIZABLE });

    "unreliable-one-key" "UnreliableOneKey" THREE.serving(kv::text).unreliable(),
        lab => kv::unreliable_one_key(lab);
};
