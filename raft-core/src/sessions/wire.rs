//! Numbers and bytes, one behind the other: little-endian, 8 bytes each.

use bytes::{Buf, Bytes};

/// Reads what was written, and never beyond it.
pub(super) struct Reader(Bytes);

impl Reader {
    pub(super) const fn new(bytes: Bytes) -> Self {
        Self(bytes)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.0.try_get_u8().ok()
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        self.0.try_get_u64_le().ok()
    }

    /// The next `len` bytes, shared and not copied.
    pub(super) fn bytes(&mut self, len: u64) -> Option<Bytes> {
        let len = usize::try_from(len).ok().filter(|&len| len <= self.0.len())?;
        Some(self.0.split_to(len))
    }

    /// All that is left.
    pub(super) fn rest(self) -> Bytes {
        self.0
    }

    /// `value`, if nothing is left.
    pub(super) fn end<T>(self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }
}
