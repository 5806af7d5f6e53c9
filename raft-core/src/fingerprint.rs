//! A short name for a protocol state, for model checking and for comparing runs.

use std::hash::{Hash, Hasher};

use crate::progress::{Pace, Piece};
use crate::state::{Health, Raft, Role};

impl Raft {
    /// Names the protocol state: two servers that will answer every future alike have the same one.
    ///
    /// Instants, draws (timeouts, sessions), counters (of writes) and caches are left out, so that two
    /// ways to the same state meet. Entries whose payloads are not in memory are known by their ids. The same on every machine with the same version of this crate.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = Fnv1a::default();
        (self.config.id, self.hard_state(), self.commit_index, self.last_applied, self.applying)
            .hash(&mut hasher);
        self.log.outline().hash(&mut hasher);
        self.log.checksums().for_each(|checksum| checksum.hash(&mut hasher));
        self.snapshots.hash_state(&mut hasher);
        self.hash_role(&mut hasher);
        self.disk.hash_state(&mut hasher);
        self.outbox
            .iter()
            .for_each(|envelope| (envelope.to, envelope.term, &envelope.message).hash(&mut hasher));
        self.reads.hash_state(&mut hasher);
        (self.health == Health::Sound).hash(&mut hasher);
        hasher.finish()
    }

    fn hash_role(&self, hasher: &mut impl Hasher) {
        self.role().hash(hasher);
        match &self.role {
            Role::Follower { .. } => self.leader().hash(hasher),
            Role::PreCandidate { session: _, votes } | Role::Candidate { session: _, votes } => {
                votes.hash(hasher)
            }
            Role::Leader { progress, transfer, uncommitted: _, lease } => {
                if self.config.read_lease_ppm.is_some() {
                    lease.given_up.hash(hasher);
                }
                transfer.map(|transfer| (transfer.to, transfer.told)).hash(hasher);
                for peer in progress {
                    (peer.follower, peer.next_index, peer.match_index, peer.heartbeat_due).hash(hasher);
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
        }
    }
}

/// FNV-1a, 64 bits: unlike the standard library's hasher it is the same in every release.
struct Fnv1a(u64);

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
