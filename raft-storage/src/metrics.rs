//! What a directory measures of itself: a picture to be taken as often as somebody wants to know. There is no registry
//! and no global state; a [`StorageMeter`] is a handle that whoever gathers metrics keeps.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use raft_core::node::Durations;
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

/// What a database counts as it is used.
pub(crate) struct Counters {
    nanos: AtomicU64,
    waited_nanos: AtomicU64,
    writes: AtomicU64,
    buckets: [AtomicU64; Durations::BUCKETS],
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
            buckets: <[AtomicU64; Durations::BUCKETS]>::default(),
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
            self.nanos.fetch_add(in_nanos(took), Ordering::Relaxed);
            self.buckets[Durations::bucket(took)].fetch_add(1, Ordering::Relaxed);
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

#[cfg(feature = "prometheus")]
impl prometheus_client::collector::Collector for StorageMetrics {
    fn encode(&self, encoder: prometheus_client::encoding::DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = raft_core::exposition::Exposition::from(encoder);
        let StorageGauges {
            memtable_bytes, table_bytes, pending_compaction_bytes, background_errors, ..
        } = self.now;
        page.histogram(
            "raft_storage_sync_seconds",
            "How long writes took, each with its sync.",
            &self.writes,
        )?;
        page.counter(
            "raft_storage_batches",
            "Batches that were written; several share a sync.",
            self.batches,
        )?;
        page.counter("raft_storage_bytes", "Bytes handed to RocksDB.", self.bytes)?;
        page.counter("raft_storage_wal_syncs", "Syncs of write-ahead logs.", self.wal_syncs)?;
        page.counters(
            ("raft_storage_written_bytes", "to"),
            "Bytes that RocksDB wrote for them.",
            [
                ("wal", self.wal_bytes),
                ("flush", self.flushed_bytes),
                ("compaction", self.compaction_written_bytes),
            ],
        )?;
        page.counter(
            "raft_storage_stalled_seconds",
            "How long writes waited for room.",
            self.stalled.as_secs_f64(),
        )?;
        page.gauge("raft_storage_open", "1 while the directory is open.", u64::from(self.is_open))?;
        page.gauges(
            ("raft_storage_held_bytes", "in"),
            "Bytes in memtables, in tables, and those that compactions are still to rewrite.",
            [
                ("memtables", memtable_bytes),
                ("tables", table_bytes),
                ("pending-compaction", pending_compaction_bytes),
            ],
        )?;
        page.gauge(
            "raft_storage_background_errors",
            "Errors of RocksDB in the background.",
            background_errors,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_counted_and_timed() {
        let counters = Counters::new(Options::default());
        for micros in [1, 1000] {
            counters.wrote(10, Some(Duration::from_micros(micros)));
        }
        counters.wrote(10, None);
        let timed = counters.buckets.each_ref().map(|count| count.load(Ordering::Relaxed));
        assert_eq!((timed[1], timed[10], timed.iter().sum::<u64>()), (1, 1, 2));
        assert_eq!(counters.bytes.load(Ordering::Relaxed), 30);
    }
}
