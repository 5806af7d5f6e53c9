//! What a directory measures of itself: a picture to be taken as often as somebody wants to know. There is no registry
//! and no global state; a [`StorageMeter`] is a handle that whoever gathers metrics keeps.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use rocksdb::Options;
use rocksdb::properties::{
    ACTUAL_DELAYED_WRITE_RATE, BACKGROUND_ERRORS, CUR_SIZE_ALL_MEM_TABLES, ESTIMATE_PENDING_COMPACTION_BYTES,
    IS_WRITE_STOPPED, NUM_RUNNING_COMPACTIONS, NUM_RUNNING_FLUSHES, TOTAL_SST_FILES_SIZE,
};
use rocksdb::statistics::Ticker;

use crate::database::Database;

/// What a directory has done since it was opened, and what it holds now. Counts only grow; each is read by itself, so
/// that together they are not quite one moment's picture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StorageMetrics {
    /// Whether it is open. Not any more when its last store is dropped, and after a failed write.
    pub is_open: bool,
    /// Writes, each with its sync, and how long they took. Nothing is timed in a simulation.
    pub writes: Durations,
    /// Batches of all groups that were written. Divided by the number of writes: how many shared a sync.
    pub batches: u64,
    /// Bytes handed to RocksDB. What it writes for them is below.
    pub bytes: u64,
    /// Syncs of write-ahead logs, by RocksDB's own count.
    pub wal_syncs: u64,
    /// Bytes written to write-ahead logs.
    pub wal_bytes: u64,
    /// Bytes of tables that were made of memtables.
    pub flushed_bytes: u64,
    /// Bytes that compactions of tables have read.
    pub compaction_read_bytes: u64,
    /// Bytes that compactions of tables have written.
    pub compaction_written_bytes: u64,
    /// How long writes have waited for room in memory, because flushes did not keep up. It is not in
    /// [`writes`](Self::writes).
    pub stalled: Duration,
    /// What it holds now; all 0 if it is not open.
    pub now: StorageGauges,
}

/// What a directory holds at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StorageGauges {
    /// Bytes of memtables, in memory and in write-ahead logs.
    pub memtable_bytes: u64,
    /// Bytes of tables on disk, also of those that are about to go.
    pub table_bytes: u64,
    /// Bytes that compactions are still to rewrite, by RocksDB's estimate.
    pub pending_compaction_bytes: u64,
    /// Memtables that are being made tables of.
    pub running_flushes: u64,
    /// Compactions that are going on.
    pub running_compactions: u64,
    /// Errors in the background. From the first one on no write is acknowledged.
    pub background_errors: u64,
    /// Whether RocksDB holds all writes back.
    pub is_stopped: bool,
    /// To how many bytes a second RocksDB holds writes back; 0 if it does not.
    pub delayed_bytes_per_second: u64,
}

/// How long something took, in powers of two microseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Durations {
    /// How often it was done.
    pub count: u64,
    /// How long it took in all.
    pub total: Duration,
    /// How often it took less than [`bound`](Self::bound), and not less than the bound before.
    pub buckets: [u64; BUCKETS],
}

/// Of what takes more than half an hour, nobody asks how much more.
const BUCKETS: usize = 32;

impl Durations {
    /// What took so long that it is in this bucket took less than this. The last one has whatever took longer.
    pub const fn bound(bucket: usize) -> Duration {
        Duration::from_micros(1 << if bucket < BUCKETS { bucket } else { BUCKETS - 1 })
    }

    /// How long this share of them took at most, rounded up to a power of two microseconds: 0.99 is the 99th
    /// percentile. Nothing if there were none.
    pub fn quantile(&self, share: f64) -> Duration {
        let counted: u64 = self.buckets.iter().sum();
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            // Counts are far from where a float is not exact.
            if counted > 0 && seen as f64 >= counted as f64 * share.clamp(0.0, 1.0) && seen > 0 {
                return Self::bound(bucket);
            }
        }
        Duration::ZERO
    }
}

/// What a database counts as it is used.
pub(crate) struct Counters {
    nanos: AtomicU64,
    waited_nanos: AtomicU64,
    writes: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
    batches: AtomicU64,
    bytes: AtomicU64,
    /// RocksDB's own are kept with its options, and outlive the database.
    options: Options,
}

impl Counters {
    pub(crate) fn new(options: Options) -> Self {
        let [nanos, waited_nanos, writes, batches, bytes] = <[AtomicU64; 5]>::default();
        Self {
            nanos,
            waited_nanos,
            writes,
            buckets: <[AtomicU64; BUCKETS]>::default(),
            batches,
            bytes,
            options,
        }
    }

    /// A write of so many bytes is done; how long it took, if that was measured.
    pub(crate) fn wrote(&self, bytes: usize, took: Option<Duration>) {
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        if let Some(took) = took {
            let nanos = in_nanos(took);
            self.nanos.fetch_add(nanos, Ordering::Relaxed);
            let bits = u64::BITS - (nanos / 1000).leading_zeros();
            let bucket = usize::try_from(bits).unwrap_or(BUCKETS).min(BUCKETS - 1);
            self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A write had to wait before it could be begun.
    pub(crate) fn waited(&self, waited: Duration) {
        if waited > Duration::ZERO {
            self.waited_nanos.fetch_add(in_nanos(waited), Ordering::Relaxed);
        }
    }

    /// So many batches were part of it.
    pub(crate) fn shared(&self, batches: usize) {
        self.batches.fetch_add(batches as u64, Ordering::Relaxed);
    }
}

fn in_nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A handle to ask a directory what it measures of itself. It does not keep the directory open.
#[derive(Clone)]
pub struct StorageMeter {
    counters: Arc<Counters>,
    database: Weak<Database>,
}

impl StorageMeter {
    pub(crate) fn of(database: &Arc<Database>) -> Self {
        Self { counters: Arc::clone(database.counters()), database: Arc::downgrade(database) }
    }

    /// What it measures now. Waits for no write and for no sync.
    pub fn metrics(&self) -> StorageMetrics {
        let Counters { nanos, waited_nanos, writes, buckets, batches, bytes, options } = &*self.counters;
        let get = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let ticker = |ticker| options.get_ticker_count(ticker);
        let database = self.database.upgrade();
        StorageMetrics {
            is_open: database.is_some(),
            writes: Durations {
                count: get(writes),
                total: Duration::from_nanos(get(nanos)),
                buckets: buckets.each_ref().map(get),
            },
            batches: get(batches),
            bytes: get(bytes),
            wal_syncs: ticker(Ticker::WalFileSynced),
            wal_bytes: ticker(Ticker::WalFileBytes),
            flushed_bytes: ticker(Ticker::FlushWriteBytes),
            compaction_read_bytes: ticker(Ticker::CompactReadBytes),
            compaction_written_bytes: ticker(Ticker::CompactWriteBytes),
            // RocksDB is given no write that it would hold back, but would count it here.
            stalled: Duration::from_nanos(get(waited_nanos))
                + Duration::from_micros(ticker(Ticker::StallMicros)),
            now: database.as_deref().map(StorageGauges::of).unwrap_or_default(),
        }
    }
}

impl StorageGauges {
    fn of(database: &Database) -> Self {
        Self {
            memtable_bytes: database.measured_in_all(CUR_SIZE_ALL_MEM_TABLES),
            table_bytes: database.measured_in_all(TOTAL_SST_FILES_SIZE),
            pending_compaction_bytes: database.measured_in_all(ESTIMATE_PENDING_COMPACTION_BYTES),
            running_flushes: database.measured(NUM_RUNNING_FLUSHES),
            running_compactions: database.measured(NUM_RUNNING_COMPACTIONS),
            background_errors: database.measured(BACKGROUND_ERRORS),
            is_stopped: database.measured(IS_WRITE_STOPPED) > 0,
            delayed_bytes_per_second: database.measured(ACTUAL_DELAYED_WRITE_RATE),
        }
    }
}

impl fmt::Debug for StorageMeter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StorageMeter").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_fall_into_the_bucket_below_their_bound() {
        let counters = Counters::new(Options::default());
        for micros in [0, 1, 2, 3, 4, 1000, 1024, u64::MAX / 2000] {
            counters.wrote(10, Some(Duration::from_micros(micros)));
        }
        let durations = Durations {
            count: 8,
            total: Duration::ZERO,
            buckets: counters.buckets.each_ref().map(|count| count.load(Ordering::Relaxed)),
        };
        let filled: Vec<_> = durations.buckets.iter().enumerate().filter(|(_, count)| **count > 0).collect();
        assert_eq!(filled, [(0, &1), (1, &1), (2, &2), (3, &1), (10, &1), (11, &1), (31, &1)]);
        for (share, micros) in [(0.0, 1), (0.125, 1), (0.25, 2), (0.5, 4), (0.75, 1024), (0.8, 2048)] {
            assert_eq!(durations.quantile(share), Duration::from_micros(micros), "{share}");
        }
        assert_eq!(Durations::default().quantile(0.5), Duration::ZERO);
        assert_eq!(counters.bytes.load(Ordering::Relaxed), 80);
    }
}
