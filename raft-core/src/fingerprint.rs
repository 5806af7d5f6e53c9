//! A short name for a protocol state, for model checking and for comparing runs.

use std::hash::{Hash, Hasher};

use crate::progress::{Pace, Piece, Progress};
use crate::request_vote::Vote;
use crate::state::{HardState, Health, Raft, Role};
use crate::types::NodeId;

impl Raft {
    /// Names the protocol state: two servers that will answer every future alike have the same one.
    ///
    /// Instants, draws (timeouts, sessions), counters (of writes) and caches are left out, so that two
    /// ways to the same state meet. Entries whose payloads are not in memory are known by their ids. The same on every machine with the same version of this crate.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint_as(&|id| id)
    }

    /// The fingerprint that the server would have if all servers of its group were renamed like this, each to a name
    /// of its own. The rules look at names only to tell servers apart, so states that differ in nothing else
    /// have one future, and a model checker needs to look at one of them. A snapshot keeps the name of its maker.
    pub fn fingerprint_as(&self, name: &dyn Fn(NodeId) -> NodeId) -> u64 {
        let mut hasher = Fnv1a::default();
        let hard_state = renamed(self.hard_state(), name);
        (name(self.config.id), hard_state, self.commit_index, self.last_applied, self.applying)
            .hash(&mut hasher);
        self.log.outline().hash(&mut hasher);
        self.log.checksums().for_each(|checksum| checksum.hash(&mut hasher));
        self.configurations.hash_state(name, &mut hasher);
        self.told_removed.hash(&mut hasher);
        self.snapshots.hash_state(&mut hasher);
        self.hash_role(name, &mut hasher);
        self.disk.hash_state(name, &mut hasher);
        self.outbox
            .iter()
            .for_each(|envelope| (name(envelope.to), envelope.term, &envelope.message).hash(&mut hasher));
        self.reads.hash_state(name, &mut hasher);
        self.repairs.hash_state(name, &mut hasher);
        (self.health == Health::Sound).hash(&mut hasher);
        hasher.finish()
    }

    fn hash_role(&self, name: &dyn Fn(NodeId) -> NodeId, hasher: &mut impl Hasher) {
        self.role().hash(hasher);
        match &self.role {
            Role::Follower { .. } => self.leader().map(name).hash(hasher),
            Role::PreCandidate { session: _, votes } | Role::Candidate { session: _, votes } => {
                let mut votes: Vec<_> =
                    votes.iter().map(|&vote| Vote { voter: name(vote.voter), ..vote }).collect();
                votes.sort_unstable();
                votes.hash(hasher);
            }
            Role::Leader { progress, transfer, uncommitted: _, lease, sits_until: _ } => {
                if self.config.read_lease_ppm.is_some() {
                    lease.given_up.hash(hasher);
                }
                transfer.map(|transfer| (name(transfer.to), transfer.told)).hash(hasher);
                let mut progress: Vec<_> = progress.iter().collect();
                progress.sort_unstable_by_key(|peer| name(peer.follower));
                for peer in progress {
                    self.hash_progress(peer, name, hasher);
                }
            }
        }
    }

    fn hash_progress(&self, peer: &Progress, name: &dyn Fn(NodeId) -> NodeId, hasher: &mut impl Hasher) {
        (name(peer.follower), peer.next_index, peer.match_index, peer.heartbeat_due).hash(hasher);
        peer.catch_up.hash_state(hasher);
        if self.reads.under_way.is_some() {
            (peer.confirmed >= self.reads.round).hash(hasher);
        }
        match &peer.pace {
            Pace::Probe { sent } => sent.hash(hasher),
            Pace::Replicate { in_flight } => {
                hasher.write_usize(in_flight.lasts().len());
                in_flight.lasts().for_each(|last| last.hash(hasher));
            }
            Pace::Snapshot { snapshot, offset, piece, unanswered: _, heard: _ } => {
                (snapshot, offset, matches!(piece, Piece::Sent { .. })).hash(hasher);
            }
        }
    }
}

/// The same hard state where servers have other names.
pub(crate) fn renamed(hard_state: HardState, name: &dyn Fn(NodeId) -> NodeId) -> HardState {
    HardState { voted_for: hard_state.voted_for.map(name), ..hard_state }
}

/// What each of these states feeds a fingerprint, where n2 and n3 have each other's names if that is asked for.
#[cfg(test)]
pub(crate) fn names<T>(
    states: &[T],
    swapped: bool,
    feed: impl Fn(&T, &dyn Fn(NodeId) -> NodeId, &mut Fnv1a),
) -> Vec<u64> {
    let swap = |id: NodeId| if (2..=3).contains(&id.get()) { NodeId::new(5 - id.get()) } else { id };
    let name: &dyn Fn(NodeId) -> NodeId = if swapped { &swap } else { &|id| id };
    let of = |state: &T| {
        let mut hasher = Fnv1a::default();
        feed(state, name, &mut hasher);
        hasher.finish()
    };
    states.iter().map(of).collect()
}

/// Whether no two of them are the same.
#[cfg(test)]
pub(crate) fn all_differ(mut names: Vec<u64>) -> bool {
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    names.len() == count
}

/// FNV-1a, 64 bits: unlike the standard library's hasher it is the same in every release.
pub(crate) struct Fnv1a(u64);

impl Default for Fnv1a {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv1a {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.write(&number.to_le_bytes());
    }

    /// Lengths are as wide as the machine's words.
    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
