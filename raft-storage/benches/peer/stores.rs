//! The contenders: the same entries, each in its own way durable when `append` returns.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use raft::eraftpb;
use raft_core::node::{Done, LogStore};
use raft_core::{
    Batch, Entries, Entry, EntryId, GroupId, Incarnation, Load, Loaded, LogIndex, Payload, Term,
};
use raft_engine::{Config, Engine, LogBatch, MessageExt, ReadableSize};
use raft_storage::RocksStore;
use rocksdb::{DB, DBCompressionType, Options, WriteBatch, WriteOptions};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};

/// Of each entry.
pub const COMMAND_BYTES: usize = 256;

/// One log on a disk, with one that appends to it.
pub trait Log {
    /// Makes ready what is appended next: entries as a Raft core hands them over.
    fn prepare(&mut self, entries: usize);

    /// Appends it, and waits until it is durable.
    fn append(&mut self);

    /// Reads the last so many entries; returns the bytes of their commands.
    fn read_last(&mut self, entries: usize) -> usize;
}

pub fn command() -> Bytes {
    // No two bytes in a row are the same; nobody compresses.
    Bytes::from_iter((0..COMMAND_BYTES).map(|nth| u8::try_from(nth * 167 % 256).unwrap()))
}

/// A file, and `fdatasync`: the limit.
pub struct Bare {
    file: File,
    ready: Vec<u8>,
}

impl Bare {
    pub fn open(directory: &Path) -> Self {
        Self { file: File::create(directory.join("log")).unwrap(), ready: Vec::new() }
    }
}

impl Log for Bare {
    fn prepare(&mut self, entries: usize) {
        self.ready = command().repeat(entries);
    }

    fn append(&mut self) {
        self.file.write_all(&self.ready).unwrap();
        self.file.sync_data().unwrap();
    }

    fn read_last(&mut self, _: usize) -> usize {
        unreachable!("nobody reads what has no structure")
    }
}

/// RocksDB as it comes: one batch an append, the index is the key.
pub struct Rocks {
    db: Arc<DB>,
    synced: WriteOptions,
    last: u64,
    ready: Vec<Bytes>,
}

pub fn rocksdb_options() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_compression_type(DBCompressionType::None);
    options
}

pub fn synced() -> WriteOptions {
    let mut synced = WriteOptions::default();
    synced.set_sync(true);
    synced
}

impl Rocks {
    pub fn open(directory: &Path) -> Self {
        let db = Arc::new(DB::open(&rocksdb_options(), directory).unwrap());
        Self { db, synced: synced(), last: 0, ready: Vec::new() }
    }

    /// So many threads, each with writes of its own, one after the other: RocksDB's own group commit.
    pub fn propose(&mut self, proposers: u64, each: u64) {
        let command = command();
        std::thread::scope(|scope| {
            for proposer in 0..proposers {
                let (db, synced, command) = (&self.db, synced(), &command);
                let first = self.last + proposer * each;
                scope.spawn(move || {
                    for index in first..first + each {
                        db.put_opt(index.to_be_bytes(), command, &synced).unwrap();
                    }
                });
            }
        });
        self.last += proposers * each;
    }
}

impl Log for Rocks {
    fn prepare(&mut self, entries: usize) {
        self.ready = vec![command(); entries];
    }

    fn append(&mut self) {
        let mut batch = WriteBatch::default();
        for command in &self.ready {
            self.last += 1;
            batch.put(self.last.to_be_bytes(), command);
        }
        self.db.write_opt(batch, &self.synced).unwrap();
    }

    fn read_last(&mut self, entries: usize) -> usize {
        let mut found = self.db.raw_iterator();
        found.seek((self.last + 1 - entries as u64).to_be_bytes());
        let mut bytes = 0;
        while let Some(value) = found.value() {
            bytes += value.len();
            found.next();
        }
        bytes
    }
}

/// The peer.
pub struct Peer {
    engine: Arc<Engine>,
    batch: LogBatch,
    last: u64,
    ready: Vec<eraftpb::Entry>,
}

#[derive(Clone)]
struct PeerEntries;

impl MessageExt for PeerEntries {
    type Entry = eraftpb::Entry;

    fn index(entry: &eraftpb::Entry) -> u64 {
        entry.index
    }
}

fn peer_entry(index: u64) -> eraftpb::Entry {
    eraftpb::Entry { index, term: 1, data: command(), ..eraftpb::Entry::default() }
}

impl Peer {
    pub fn open(directory: &Path) -> Self {
        let config = Config {
            dir: directory.to_str().unwrap().to_owned(),
            batch_compression_threshold: ReadableSize(0),
            ..Config::default()
        };
        let engine = Arc::new(Engine::open(config).unwrap());
        Self { engine, batch: LogBatch::default(), last: 0, ready: Vec::new() }
    }

    /// So many threads, each with a region and writes of its own, one after the other.
    pub fn propose(&mut self, proposers: u64, each: u64) {
        std::thread::scope(|scope| {
            for proposer in 0..proposers {
                let (engine, before) = (&self.engine, self.last);
                scope.spawn(move || {
                    let mut batch = LogBatch::default();
                    for index in before + 1..=before + each {
                        batch.add_entries::<PeerEntries>(proposer + 1, &[peer_entry(index)]).unwrap();
                        engine.write(&mut batch, true).unwrap();
                    }
                });
            }
        });
        self.last += each;
    }
}

impl Log for Peer {
    fn prepare(&mut self, entries: usize) {
        self.ready = (1..=entries as u64).map(|nth| peer_entry(self.last + nth)).collect();
        self.last += entries as u64;
    }

    fn append(&mut self) {
        self.batch.add_entries::<PeerEntries>(1, &self.ready).unwrap();
        self.engine.write(&mut self.batch, true).unwrap();
    }

    fn read_last(&mut self, entries: usize) -> usize {
        let (from, end) = (self.last + 1 - entries as u64, self.last + 1);
        let mut found = Vec::new();
        self.engine.fetch_entries_to::<PeerEntries>(1, from, end, None, &mut found).unwrap();
        found.iter().map(|entry| entry.data.len()).sum()
    }
}

/// This crate's store, and a task that waits for it, as a node does.
pub struct Ours {
    store: RocksStore,
    runtime: Runtime,
    last: u64,
    ready: Entries,
}

/// What a proposer wants durable, and how it hears of it.
type Proposal = (Bytes, oneshot::Sender<()>);

impl Ours {
    pub fn open(directory: &Path) -> Self {
        let store = RocksStore::open(directory, GroupId(1), Incarnation(1)).unwrap().store;
        let runtime = Builder::new_current_thread().build().unwrap();
        Self { store, runtime, last: 0, ready: Entries::default() }
    }

    /// So many tasks, each with proposals of its own, one after the other, and the node's task that puts together
    /// what waits.
    pub fn propose(&mut self, proposers: u64, each: u64) {
        let Self { store, runtime, last, .. } = self;
        runtime.block_on(async {
            let (sender, waiting) = mpsc::unbounded_channel::<Proposal>();
            for _ in 0..proposers {
                let (sender, command) = (sender.clone(), command());
                tokio::spawn(async move {
                    for _ in 0..each {
                        let (reply, durable) = oneshot::channel();
                        sender.send((command.clone(), reply)).unwrap();
                        durable.await.unwrap();
                    }
                });
            }
            drop(sender);
            serve(store, last, waiting).await;
        });
    }
}

async fn serve(store: &mut RocksStore, last: &mut u64, mut waiting: mpsc::UnboundedReceiver<Proposal>) {
    let mut proposals = Vec::new();
    let mut in_flight: VecDeque<Vec<oneshot::Sender<()>>> = VecDeque::new();
    loop {
        tokio::select! {
            biased;
            done = store.done(), if !in_flight.is_empty() => {
                let Done::Persisted(batches) = done.unwrap() else { unreachable!("nobody reads") };
                for reply in in_flight.drain(..batches).flatten() {
                    reply.send(()).unwrap();
                }
            }
            taken = waiting.recv_many(&mut proposals, 256) => {
                if taken == 0 {
                    return;
                }
                let (commands, replies): (Vec<_>, Vec<_>) = proposals.drain(..).unzip();
                let entries = commands.into_iter().map(|command| {
                    *last += 1;
                    entry(*last, command)
                });
                store.write(Batch { entries: entries.collect(), ..Batch::default() });
                in_flight.push_back(replies);
            }
        }
    }
}

fn entry(index: u64, command: Bytes) -> Entry {
    Entry::new(EntryId::new(Term::new(1), LogIndex::new(index)), Payload::Command(command))
}

impl Log for Ours {
    fn prepare(&mut self, entries: usize) {
        self.ready = (1..=entries as u64).map(|nth| entry(self.last + nth, command())).collect();
        self.last += entries as u64;
    }

    fn append(&mut self) {
        self.store.write(Batch { entries: std::mem::take(&mut self.ready), ..Batch::default() });
        assert_eq!(self.runtime.block_on(self.store.done()).unwrap(), Done::Persisted(1));
    }

    fn read_last(&mut self, entries: usize) -> usize {
        let (from, to) = (LogIndex::new(self.last + 1 - entries as u64), LogIndex::new(self.last));
        self.store.load(Load::Entries { from, to, bytes_max: usize::MAX });
        let Done::Loaded(Loaded::Entries { entries, .. }) = self.runtime.block_on(self.store.done()).unwrap()
        else {
            unreachable!("entries were asked for")
        };
        entries.iter().map(|entry| entry.payload.bytes().len()).sum()
    }
}
