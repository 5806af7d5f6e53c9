//! A server under test, in a process of its own: `raft-chaos tested`, which process mode starts.

use std::collections::BTreeMap;
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fs, panic, process, thread};

use raft_core::node::{Environment, Handle, LogStore, NodeError, Point, SystemEnvironment};
use raft_core::{Configuration, Event, GroupId, Incarnation, NodeId, Rng, Time};
use raft_net::{TcpNet, Whole};
use raft_storage::{DiskFaults, MemoryDisk, MemoryStore, Opened, RocksStore, StorageError};
use rustix::process::getppid;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

use super::book::{Book, What};
use crate::data;
use crate::plan::{Plan, Retries, Storage};
use crate::sim::{Ask, AskId, Planted, Seat, Surroundings, answer};

/// The status of a server whose store failed or is damaged.
pub(super) const STORE_FAILED: u8 = 74;
/// The status of a server of which a task panicked.
pub(super) const PANICKED: u8 = 6;
/// The status of a server that ended by itself for another reason, or has nobody any more who has started it.
const ENDED: u8 = 1;

/// What a server under test is told when it starts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Tested {
    /// The process that starts it, with which it ends.
    pub(super) parent: u32,
    pub(super) id: NodeId,
    /// `plan.lock.toml`.
    pub(super) plan: PathBuf,
    /// What the group begins with.
    pub(super) first: Configuration,
    /// The life of its data directory, if that is empty.
    pub(super) incarnation: Incarnation,
    pub(super) seed: u64,
    /// Where it listens, and where it finds the others.
    pub(super) address: String,
    pub(super) peers: BTreeMap<NodeId, String>,
    /// Where its log is.
    pub(super) data: PathBuf,
    /// Where it writes what happens inside it.
    pub(super) book: PathBuf,
    /// The name of the bug that it has on purpose.
    pub(super) planted: Option<String>,
}

/// What a server under test is told while it runs: a line each, on its standard input. When that ends, so does the server.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Order {
    /// To take a snapshot.
    Snapshot,
    /// To do this; the answer goes into its book.
    Ask { ask: AskId, what: Ask },
}

/// Lives one life, as the file at `path` says; gives the status to end with.
///
/// # Errors
///
/// What it was told cannot be read.
pub(crate) fn live(path: &Path) -> io::Result<u8> {
    let tested: Tested = serde_json::from_slice(&fs::read(path)?)?;
    end_with(tested.parent)?;
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        usual(panic);
        process::exit(PANICKED.into());
    }));
    let plan = Plan::read(&tested.plan, &[]).map_err(io::Error::other)?;
    let book = Book::open(&tested.book)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(tested.run(&plan, &book));
    if let Err(error) = &ended
        && !matches!(error, NodeError::Violation(_))
    {
        book.note(What::Ended { why: error.to_string() });
    }
    Ok(match ended {
        Ok(()) => 0,
        Err(NodeError::Store(_)) => STORE_FAILED,
        Err(NodeError::Violation(_) | NodeError::StateMachine | NodeError::Restore(_)) => ENDED,
    })
}

/// Has this process killed when the one that started it ends, however that comes about, also while it is stopped. Where the
/// system has no such thing, a server still ends with its standard input.
pub(crate) fn end_with(parent: u32) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    // It may have ended before.
    let now = getppid().map(|parent| parent.as_raw_nonzero().get().unsigned_abs());
    if now == Some(parent) { Ok(()) } else { Err(io::Error::other("whoever started this is gone")) }
}

impl Tested {
    async fn run(&self, plan: &Plan, book: &Book) -> Result<(), NodeError<StorageError>> {
        let environment = Noting { system: SystemEnvironment::new(), book: book.clone() };
        match plan.cluster.storage {
            Storage::Rocksdb => {
                let opened = RocksStore::open(&self.data, GroupId(0), self.incarnation);
                self.run_on(opened.map_err(NodeError::Store)?, plan, environment).await
            }
            Storage::Memory => {
                let (disk, faults) = (MemoryDisk::new(), DiskFaults::new(self.seed));
                let time = environment.clone();
                let delay = Box::new(|| Duration::ZERO);
                let opened = MemoryStore::open(&disk, self.incarnation, time, delay, faults);
                self.run_on(opened, plan, environment).await
            }
        }
    }

    async fn run_on<S: LogStore<Error = StorageError>>(
        &self,
        opened: Opened<S>,
        plan: &Plan,
        environment: Noting,
    ) -> Result<(), NodeError<StorageError>> {
        let restored = Box::new(opened.restored.clone());
        environment.book.note(What::Started { incarnation: opened.incarnation, restored });
        let seat = Seat {
            id: self.id,
            cluster: plan.cluster.clone(),
            first: self.first.clone(),
            sessions: plan.workload.retries != Retries::None,
            data: Arc::from(data::of(&plan.workload)),
            planted: self.planted.as_deref().and_then(Planted::named),
        };
        let book = environment.book.clone();
        let around = Surroundings {
            net: TcpNet,
            address: self.address.clone(),
            peers: self.peers.clone(),
            environment,
            links: Whole,
            audience: book.clone(),
        };
        seat.run(opened, around, &mut Rng::new(self.seed), |handle, tasks| attend(&book, &handle, tasks))
            .await
    }
}

/// Does what orders say, and shuts down when it is asked to terminate.
fn attend(book: &Book, handle: &Handle, tasks: &mut JoinSet<()>) {
    let (sender, mut orders) = mpsc::unbounded_channel();
    thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            let order: Order = serde_json::from_str(&line).expect("orders are written by this same program");
            // Without a receiver the node has ended.
            drop(sender.send(order));
        }
        process::exit(ENDED.into());
    });
    let (book, asked) = (book.clone(), handle.clone());
    tasks.spawn(async move {
        while let Some(order) = orders.recv().await {
            match order {
                Order::Snapshot => asked.snapshot().await,
                Order::Ask { ask, what } => {
                    let refused = answer(&asked, what).await.err();
                    book.note(What::Asked { ask, refused });
                }
            }
        }
    });
    let terminated = Arc::new(Notify::new());
    let terminate = Arc::clone(&terminated);
    ctrlc::set_handler(move || terminate.notify_one()).expect("this process has no other handler");
    let handle = handle.clone();
    tasks.spawn(async move {
        terminated.notified().await;
        handle.shutdown().await;
    });
}

/// The real world, where what happens inside the server is written down.
#[derive(Clone)]
struct Noting {
    system: SystemEnvironment,
    book: Book,
}

impl Environment for Noting {
    fn now(&self) -> Time {
        self.system.now()
    }

    fn sleep_until(&self, deadline: Time) -> impl Future<Output = ()> + Send {
        self.system.sleep_until(deadline)
    }

    fn point(&self, point: Point) -> impl Future<Output = ()> + Send {
        self.system.point(point)
    }

    fn gather(&self) -> impl Future<Output = ()> + Send {
        self.system.gather()
    }

    fn observe(&self, event: &Event) {
        self.book.note(What::Event(event.clone()));
    }
}
