//! How bad a world is.

use std::time::Duration;

use raft_core::{Config, Configuration, Incarnation, Member, NodeId, PlantedBug, Rng};

use super::machine::CHUNK_BYTES;
use super::queue::MS;

/// How long a server waits for its disk.
const DISK_PATIENCE: Duration = Duration::from_millis(60);

/// What a world is like: drawn once, from its seed.
#[derive(Clone, Debug)]
pub(crate) struct Conditions {
    /// How many servers.
    pub(super) servers: u64,
    /// How long things go wrong, and then how long the cluster has to agree, in nanoseconds.
    pub(super) misfortune: u64,
    pub(super) healed: u64,
    /// Messages lost and repeated, of 1,000, and the longest delay in nanoseconds.
    pub(super) loss: u64,
    pub(super) repeat: u64,
    pub(super) delay: u64,
    /// The longest that a write takes to become durable, in nanoseconds; now and then one hangs for much longer.
    pub(super) disk: u64,
    pub(super) hangs: bool,
    /// The mean time between two commands, and between two reads, in nanoseconds.
    pub(super) command_every: u64,
    pub(super) read_every: u64,
    /// One in so many servers starts without pre-vote, and as many without check-quorum: all, some as while
    /// they are upgraded one by one, or almost none.
    without_one_in: u64,
    /// Whether servers may take in several things before they act on any, as a busy node does.
    pub(super) batches: bool,
    /// Whether state machines keep what they have applied through a crash.
    pub(super) durable_machines: bool,
    /// Whether there are leases, and then how much faster the fastest clock may run than the slowest.
    pub(super) lease_ppm: Option<u32>,
    /// Whether who votes changes; then there are two servers more. And whether disks are wiped, too: not where they lose
    /// what they had anyway, as all that there is of an entry could go.
    pub(super) members: bool,
    pub(super) wipes: bool,
    /// Whether disks lose entries, and the end of what was written.
    pub(super) rot: bool,
    /// Whether no end of a log is lost, and an entry that is not committed may be lost on all disks.
    pub(super) entries_go_for_good: bool,
    /// A server crashes or starts once in so many faults.
    pub(super) crash_one_in: u64,
    election_timeout: (Duration, Duration),
    heartbeat: Duration,
    disk_patience: Duration,
    /// One entry a message: an old leader's entries and a new one's travel apart (Figure 8).
    append_bytes_max: usize,
    /// How often a snapshot is taken, and how many entries are left before it; in how many bytes of memory.
    snapshot_entries: u64,
    snapshot_trailing: u64,
    cache_bytes_max: usize,
}

impl Conditions {
    /// Two seconds of a world in which everything goes wrong that may, and more or less of each.
    pub(crate) fn misfortune(rng: &mut Rng) -> Self {
        let calm = one_of(rng, [1, 1, 10]);
        let lease_ppm = rng.one_in(3).then_some(3_000_000);
        // Where clocks differ so much, a fast one must not run out between two heartbeats of a slow one.
        let (shortest, longest, patience) =
            if lease_ppm.is_some() { (96, 160, 4 * DISK_PATIENCE) } else { (12, 30, DISK_PATIENCE) };
        Self {
            servers: one_of(rng, [3, 3, 5]),
            misfortune: 1_500 * MS,
            healed: 500 * MS,
            loss: rng.below(200),
            repeat: rng.below(200),
            delay: (1 + rng.below(12)) * MS,
            disk: one_of(rng, [2, 15]) * MS,
            hangs: rng.one_in(2),
            command_every: 5 * MS,
            read_every: 8 * MS,
            without_one_in: one_of(rng, [1, 2, 1_000]),
            batches: rng.one_in(2),
            durable_machines: rng.one_in(3),
            members: false,
            wipes: false,
            rot: false,
            entries_go_for_good: false,
            lease_ppm,
            crash_one_in: calm * (8 + rng.below(80)),
            election_timeout: (Duration::from_millis(shortest), Duration::from_millis(longest)),
            heartbeat: Duration::from_millis(5),
            disk_patience: patience,
            append_bytes_max: one_of(rng, [1, 20]),
            snapshot_entries: one_of(rng, [0, 3, 10, 40]),
            snapshot_trailing: one_of(rng, [0, 0, 2, 20]),
            cache_bytes_max: one_of(rng, [0, 300, 300, 1 << 20]),
        }
    }

    /// That many seconds of a world in which nothing goes wrong: five servers, heartbeats of 50 ms, delays of
    /// up to 10 ms, one command a second.
    pub(crate) fn calm(seconds: u64) -> Self {
        Self {
            servers: 5,
            misfortune: 0,
            healed: 1_000 * seconds * MS,
            loss: 0,
            repeat: 0,
            delay: 10 * MS,
            disk: MS,
            hangs: false,
            command_every: 1_000 * MS,
            read_every: u64::MAX,
            without_one_in: u64::MAX,
            batches: false,
            durable_machines: false,
            members: false,
            wipes: false,
            rot: false,
            entries_go_for_good: false,
            lease_ppm: None,
            crash_one_in: u64::MAX,
            election_timeout: (Duration::from_millis(150), Duration::from_millis(300)),
            heartbeat: Duration::from_millis(50),
            disk_patience: Duration::from_secs(1),
            append_bytes_max: 1 << 19,
            snapshot_entries: 0,
            snapshot_trailing: 0,
            cache_bytes_max: 1 << 20,
        }
    }

    /// A wiped server has to catch up entry by entry before it votes, and that takes longer to heal.
    pub(super) const fn with_members(self) -> Self {
        Self { members: true, wipes: !self.rot, healed: 800 * MS, ..self }
    }

    /// What was lost has to come from others first.
    pub(super) fn with_rot(self, rng: &mut Rng) -> Self {
        Self { rot: true, entries_go_for_good: rng.one_in(2), healed: 800 * MS, ..self }
    }

    /// All servers.
    pub(super) fn ids(&self) -> Vec<NodeId> {
        (1..=self.servers + if self.members { 2 } else { 0 }).map(NodeId::new).collect()
    }

    /// What the group begins with. Where disks are wiped it says of each server in which life it is.
    pub(super) fn first(&self) -> Configuration {
        let ids = 1..=self.servers;
        if self.members {
            return Configuration::of(ids.map(|id| Member::bound(NodeId::new(id), Incarnation(id))));
        }
        Configuration::of(ids.map(NodeId::new))
    }

    /// What a server is told that starts in this world.
    pub(super) fn config(&self, id: NodeId, planted: Option<PlantedBug>, rng: &mut Rng) -> Config {
        let mut config = Config::new(id, Vec::new());
        config.bootstrap = Some(self.first());
        config.election_timeout = self.election_timeout;
        config.read_lease_ppm = self.lease_ppm;
        config.heartbeat = self.heartbeat;
        config.append_bytes_max = self.append_bytes_max;
        config.append_window = 3;
        config.pre_vote = !rng.one_in(self.without_one_in);
        config.check_quorum = self.lease_ppm.is_some() || !rng.one_in(self.without_one_in);
        config.disk_patience = self.disk_patience;
        config.seed = rng.next_u64();
        config.observe = true;
        config.durable_state_machine = self.durable_machines;
        config.planted = planted;
        config.snapshot_entries = self.snapshot_entries;
        config.snapshot_trailing = self.snapshot_trailing;
        config.snapshot_chunk_bytes = CHUNK_BYTES;
        config.cache_bytes_max = self.cache_bytes_max;
        config
    }

    /// Nothing goes wrong any more.
    pub(super) fn heal(&mut self) {
        (self.loss, self.repeat, self.delay, self.disk, self.hangs) = (0, 0, MS, MS, false);
    }
}

fn one_of<T: Copy, const N: usize>(rng: &mut Rng, items: [T; N]) -> T {
    *rng.pick(&items).unwrap()
}
