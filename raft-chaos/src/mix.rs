//! Hashes that are the same on every 64-bit little-endian machine and in every release.

use std::hash::{Hash, Hasher};

use raft_core::Rng;

/// A hash of what came before and of what comes now.
pub(crate) fn mix(before: u64, now: impl Hash) -> u64 {
    let mut hasher = Mixer(before);
    now.hash(&mut hasher);
    hasher.finish()
}

/// A number takes one step, as its bytes by themselves would.
struct Mixer(u64);

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks();
        words.iter().for_each(|word| self.write_u64(u64::from_le_bytes(*word)));
        if !rest.is_empty() {
            let mut word = [0; 8];
            word[..rest.len()].copy_from_slice(rest);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(byte.into());
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(word.into());
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = Rng::new(self.0 ^ word).next_u64();
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
