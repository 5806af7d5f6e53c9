//! Columns of numbers: each is written as the difference to the one before it, which deflates well.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde::{Serialize, Serializer};
use std::io::{self, Write as _};

/// Numbers, written as the first and then by how much each is more than the one before it.
#[derive(Debug, Default)]
pub(super) struct Deltas(Vec<u64>);

impl Deltas {
    pub(super) fn push(&mut self, number: u64) {
        self.0.push(number);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = u64> {
        self.0.iter().copied()
    }

    pub(super) fn last(&self) -> Option<u64> {
        self.0.last().copied()
    }
}

impl Serialize for Deltas {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut before = 0;
        serializer.collect_seq(self.0.iter().map(|&number| {
            let more = i128::from(number) - i128::from(std::mem::replace(&mut before, number));
            i64::try_from(more).unwrap_or(i64::MAX)
        }))
    }
}

/// A value as JSON, deflated, as text that a page can hold.
pub(super) fn packed(value: &impl Serialize) -> io::Result<String> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    serde_json::to_writer(&mut encoder, value)?;
    encoder.flush()?;
    Ok(STANDARD.encode(encoder.finish()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_written_by_its_steps_and_may_go_down() {
        let mut column = Deltas::default();
        [5, 7, 7, 2].into_iter().for_each(|number| column.push(number));
        assert_eq!(serde_json::to_string(&column).expect("numbers"), "[5,2,0,-5]");
        assert_eq!(column.last(), Some(2));
    }
}
