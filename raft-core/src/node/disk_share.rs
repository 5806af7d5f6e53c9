//! How fast a snapshot that is being taken goes to the disk, which it shares with the log. A piece is as large as many
//! entries, and whoever appends at the same time waits for it too. So while others write, pieces come at intervals; but
//! not so seldom that the log, which cannot be compacted before, grows and grows.

use std::time::Duration;

use crate::effects::Batch;
use crate::types::Time;

/// After a piece the disk is left to others for so many times as long as it took,
const SHARE: u32 = 64;
/// but for no longer than this, for each byte of the piece: whatever else goes on, 8 MiB of a snapshot are written in a second.
const PAUSE_PER_BYTE: Duration = Duration::from_nanos(120);
/// Nobody is waited for who has not written for so long,
const QUIET: Duration = Duration::from_millis(10);
/// or for so many times as long as the piece took.
const QUIET_SHARE: u32 = 2;
/// So many pieces may be on their way, to a disk that is so busy that each takes longer than the longest pause after it.
const UNDER_WAY_MAX: usize = 16;

/// When the next piece of a snapshot may be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct DiskShare {
    /// How many pieces are on their way to the disk.
    under_way: usize,
    /// When the disk was given the last one.
    given: Time,
    /// The longest pause after it. None once a snapshot is whole: the next one begins at once.
    pause_max: Duration,
    /// How long the last one took that was written,
    took: Duration,
    /// and when that was.
    written: Time,
    /// When something else was last written.
    others: Time,
}

/// When the next piece may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NextPiece {
    Now,
    At(Time),
    /// When one is written that is under way.
    Later,
}

impl DiskShare {
    /// The disk is given this. If there are pieces of a snapshot in it, whether the last one of all is.
    pub(super) fn gives(&mut self, now: Time, batch: &Batch) -> Option<bool> {
        if batch.parts.is_empty() || !batch.entries.is_empty() {
            self.others = now;
        }
        let last = batch.parts.last()?;
        self.gives_piece(now, batch.parts.iter().map(|part| part.chunk.data.len()).sum());
        Some(last.chunk.done)
    }

    fn gives_piece(&mut self, now: Time, bytes: usize) {
        self.under_way += 1;
        self.given = now;
        self.pause_max = PAUSE_PER_BYTE.saturating_mul(u32::try_from(bytes).unwrap_or(u32::MAX));
    }

    /// The disk has a piece, which is or is not the last one of its snapshot.
    pub(super) const fn has_written(&mut self, now: Time, is_last: bool) {
        self.under_way = self.under_way.saturating_sub(1);
        self.took = now.since(self.given);
        self.written = now;
        if is_last {
            self.pause_max = Duration::ZERO;
        }
    }

    pub(super) fn next_piece(&self, now: impl FnOnce() -> Time) -> NextPiece {
        let next = if self.under_way >= UNDER_WAY_MAX {
            return NextPiece::Later;
        } else if self.under_way > 0 {
            self.given.after(self.pause_max)
        } else if self.pause_max.is_zero() {
            return NextPiece::Now;
        } else {
            let left = self.written.after((self.took * SHARE).min(self.pause_max));
            let quiet = self.others.after(QUIET.max(self.took * QUIET_SHARE));
            left.min(quiet)
        };
        if next <= now() { NextPiece::Now } else { NextPiece::At(next) }
    }
}

impl NextPiece {
    /// When something has to be done though nothing comes in.
    pub(super) fn or(self, deadline: Time) -> Time {
        if let Self::At(next) = self { next.min(deadline) } else { deadline }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;
    /// The longest pause after 1 MiB, in microseconds.
    const PAUSE: u64 = 125_830;

    fn at(micros: u64) -> Time {
        Time::ZERO.after(Duration::from_micros(micros))
    }

    /// The first moment, in microseconds, at which another piece may be.
    fn next(share: &DiskShare) -> u64 {
        let (mut early, mut late) = (0, 10_000_000);
        while early < late {
            let between = u64::midpoint(early, late);
            if share.next_piece(|| at(between)) == NextPiece::Now {
                late = between;
            } else {
                early = between + 1;
            }
        }
        early
    }

    /// Each row: how long a piece of 1 MiB takes that is given to the disk at 100 ms, when others wrote last, and when the next
    /// piece may be; in microseconds.
    #[test]
    fn a_piece_waits_while_others_write() {
        for (took, others, expected) in [
            // Nobody else writes, or nobody has for a while.
            (1_000, 0, 101_000),
            (1_000, 91_000, 101_000),
            (1_000, 99_000, 109_000),
            (1_000, 130_000, 140_000),
            (20_000, 110_000, 150_000),
            // Somebody does all the time.
            (100, 106_000, 106_500),
            (1_000, 163_000, 165_000),
            (20_000, 240_000, 120_000 + PAUSE),
            // The disk takes no time.
            (0, 100_000, 100_000),
        ] {
            let mut share = DiskShare::default();
            share.gives_piece(at(100_000), MIB);
            share.gives(at(others), &Batch::default());
            share.has_written(at(100_000 + took), false);
            assert_eq!(next(&share).max(100_000 + took), expected.max(100_000 + took), "{took} {others}");
        }
    }

    /// However long each takes.
    #[test]
    fn a_snapshot_is_never_slower_than_this() {
        let mut share = DiskShare::default();
        for piece in 0..UNDER_WAY_MAX as u64 {
            let began = piece * PAUSE + piece;
            assert!(next(&share) <= began, "piece {piece}");
            share.gives_piece(at(began), MIB);
            assert!(next(&share) > began, "piece {piece}");
        }
        assert_eq!(share.next_piece(|| at(1_000_000_000)), NextPiece::Later, "16 are under way");
        share.has_written(at(4_000_000), false);
        assert_eq!(share.next_piece(|| at(4_000_000)), NextPiece::Now);
    }

    #[test]
    fn a_snapshot_begins_at_once() {
        let mut share = DiskShare::default();
        assert_eq!(share.next_piece(|| Time::ZERO), NextPiece::Now);
        share.gives_piece(at(10), MIB);
        share.gives(at(1_000), &Batch::default());
        share.has_written(at(2_000), true);
        assert_eq!(share.next_piece(|| at(2_000)), NextPiece::Now);
    }

    #[test]
    fn who_sleeps_wakes_for_the_next_piece() {
        let (early, late) = (at(10), at(20));
        assert_eq!([NextPiece::At(early).or(late), NextPiece::At(late).or(early)], [early; 2]);
        assert_eq!([NextPiece::Now.or(late), NextPiece::Later.or(late)], [late; 2]);
    }
}
