//! The task that the state machine lives in: a slow one delays no heartbeat. In production it has a thread of its
//! own, so that one that never waits delays none either; or, if it says that it is quick, the runtime of the node, which saves
//! two changes of threads each time, and a thread only for its snapshots.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, duplex};
use tokio::runtime::Handle;
use tokio::sync::mpsc::Receiver;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet, spawn_blocking};

use super::queries::Query;
use super::{Outcome, SnapshotReader, StateMachine};
use crate::entry::{Entry, Payload};
use crate::snapshot::{Chunk, Snapshot, SnapshotId};
use crate::types::LogIndex;

/// How much of a snapshot waits between the disk and a state machine that reads it.
const PIPE_BYTES: usize = 64 * 1024;

/// A committed entry, and who waits for its result.
pub(super) struct Committed {
    pub(super) entry: Entry,
    pub(super) reply: Option<oneshot::Sender<Outcome>>,
}

/// What the state machine is to do.
pub(super) enum Work {
    Apply(Vec<Committed>),
    Restore(Snapshot),
    Take(Snapshot),
    Answer(Vec<Query>),
}

/// What the task has to say.
pub(super) enum News {
    /// The work is done.
    Applied,
    /// The queries are answered.
    Answered,
    /// The entry at this index is not what its leader made; it was not applied, nor was anything after it.
    Damaged(LogIndex),
    /// The state machine could not become what a snapshot says.
    RestoreFailed(io::Error),
    /// A piece of the snapshot is wanted, to become what it says.
    Wanted { snapshot: SnapshotId, offset: u64, reply: oneshot::Sender<Option<Chunk>> },
}

/// The next bytes of a snapshot that is being taken.
pub(crate) enum Piece {
    Bytes { snapshot: SnapshotId, data: Bytes, done: bool },
    Failed { snapshot: SnapshotId, reason: String },
}

/// The door to the task. The core hands out one piece of work at a time and the node one batch of queries, so
/// the queue has room for both.
pub(crate) struct Applier {
    work: mpsc::Sender<Work>,
    news: Receiver<News>,
    /// None where a thread has it, which ends when nobody is left to give it work.
    task: Option<AbortHandle>,
}

/// The node's ends of the queues to and from the task.
type Ends = (mpsc::Sender<Work>, Receiver<News>);

impl Applier {
    /// On the runtime of the node. With it comes where the snapshots that are taken come out.
    pub(super) fn start<M: StateMachine>(machine: M, chunk_bytes: usize) -> (Self, Receiver<Piece>) {
        let ((work, news), task, inbox, pieces) = Self::task(machine, chunk_bytes, None);
        let task = tokio::spawn(task.run(inbox)).abort_handle();
        (Self { work, news, task: Some(task) }, pieces)
    }

    /// On a thread of its own, which the runtime waits for when it ends: a state machine that is being closed must not be
    /// overtaken by the end of the process. `gone` is dropped when the state machine is.
    pub(crate) fn start_apart<M: StateMachine>(
        machine: M,
        chunk_bytes: usize,
        gone: oneshot::Sender<()>,
    ) -> (Self, Receiver<Piece>) {
        let ((work, news), task, inbox, pieces) = Self::task(machine, chunk_bytes, Some(gone));
        let runtime = Handle::current();
        spawn_blocking(move || runtime.block_on(task.run(inbox)));
        (Self { work, news, task: None }, pieces)
    }

    /// On the runtime of the node, but for snapshots, which are taken and restored on threads of their own.
    pub(crate) fn start_quick<M: StateMachine>(
        machine: M,
        chunk_bytes: usize,
        gone: oneshot::Sender<()>,
    ) -> (Self, Receiver<Piece>) {
        let ((work, news), task, inbox, pieces) = Self::task(machine, chunk_bytes, Some(gone));
        tokio::spawn(task.run_quick(inbox));
        (Self { work, news, task: None }, pieces)
    }

    fn task<M>(
        machine: M,
        chunk_bytes: usize,
        gone: Option<oneshot::Sender<()>>,
    ) -> (Ends, Task<M>, Receiver<Work>, Receiver<Piece>) {
        let (work, inbox) = mpsc::channel(2);
        let (sender, news) = mpsc::channel(1);
        let (pieces_sender, pieces) = mpsc::channel(1);
        let pumps = JoinSet::new();
        let task = Task { machine, news: sender, pieces: pieces_sender, chunk_bytes, pumps, _gone: gone };
        ((work, news), task, inbox, pieces)
    }

    /// Hands over work. If the task is gone, [`Applier::news`] says so.
    pub(super) fn give(&self, work: Work) {
        drop(self.work.try_send(work));
    }

    /// What the task has said and nobody has heard.
    pub(super) fn heard(&mut self) -> Option<News> {
        self.news.try_recv().ok()
    }

    /// Waits for the task to say something; none if the state machine panicked. Cancel safe.
    pub(super) async fn news(&mut self) -> Option<News> {
        self.news.recv().await
    }
}

impl Drop for Applier {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

struct Task<M> {
    machine: M,
    news: mpsc::Sender<News>,
    pieces: mpsc::Sender<Piece>,
    chunk_bytes: usize,
    /// Those who read the snapshots that have been taken.
    pumps: JoinSet<()>,
    /// Whoever waits for the state machine to be gone. It goes before this.
    _gone: Option<oneshot::Sender<()>>,
}

impl<M: StateMachine> Task<M> {
    async fn run(mut self, mut inbox: mpsc::Receiver<Work>) {
        while let Some(work) = inbox.recv().await {
            let news = self.work(work).await;
            if self.news.send(news).await.is_err() {
                return;
            }
        }
    }

    async fn run_quick(mut self, mut inbox: mpsc::Receiver<Work>) {
        while let Some(work) = inbox.recv().await {
            let news = match work {
                Work::Apply(_) | Work::Answer(_) => self.work(work).await,
                Work::Take(_) | Work::Restore(_) => {
                    let runtime = Handle::current();
                    let worked = spawn_blocking(move || {
                        let news = runtime.block_on(self.work(work));
                        (self, news)
                    });
                    // If the state machine has panicked, it is gone, and so is what says the news.
                    let Ok((task, news)) = worked.await else { return };
                    self = task;
                    news
                }
            };
            if self.news.send(news).await.is_err() {
                return;
            }
        }
    }

    async fn work(&mut self, work: Work) -> News {
        match work {
            Work::Apply(entries) => self.apply(entries).await,
            Work::Take(snapshot) => self.take(snapshot.id).await,
            Work::Answer(queries) => self.answer(queries).await,
            Work::Restore(snapshot) => match self.restore(snapshot.id).await {
                Ok(()) => News::Applied,
                Err(error) => News::RestoreFailed(error),
            },
        }
    }

    async fn apply(&mut self, entries: Vec<Committed>) -> News {
        for Committed { entry, reply } in entries {
            // The last moment at which it could be noticed, and the only one after which it would matter.
            if !entry.is_intact() {
                return News::Damaged(entry.id.index);
            }
            if let Payload::Command(command) = entry.payload {
                let answer = self.machine.apply(entry.id.index, command).await;
                if let Some(reply) = reply {
                    // A client that has gone away need not be told.
                    drop(reply.send(Outcome::Applied { id: entry.id, answer }));
                }
            }
        }
        News::Applied
    }

    async fn answer(&mut self, queries: Vec<Query>) -> News {
        for Query { query, reply } in queries {
            // Whoever has gone away need not be told.
            if !reply.is_closed() {
                drop(reply.send(Ok(self.machine.query(query).await)));
            }
        }
        News::Answered
    }

    /// Holds the state fast, and lets its bytes be read beside all else.
    async fn take(&mut self, snapshot: SnapshotId) -> News {
        while self.pumps.try_join_next().is_some() {}
        let (pieces, chunk_bytes) = (self.pieces.clone(), self.chunk_bytes);
        let reader = self.machine.snapshot().await;
        self.pumps.spawn(async move {
            // In a task of its own, so that a reader that panics is a snapshot that failed.
            let pump =
                JoinSet::from_iter([pump(reader, snapshot, chunk_bytes, pieces.clone())]).join_next().await;
            let failed = match pump {
                Some(Ok(Ok(()))) | None => return,
                Some(Ok(Err(error))) => error.to_string(),
                Some(Err(panicked)) => panicked.to_string(),
            };
            // A node that is gone need not be told.
            drop(pieces.send(Piece::Failed { snapshot, reason: failed }).await);
        });
        News::Applied
    }

    async fn restore(&mut self, snapshot: SnapshotId) -> io::Result<()> {
        let (writer, mut reader) = duplex(PIPE_BYTES);
        let feed = feed(writer, snapshot, self.news.clone());
        let machine = &mut self.machine;
        let restore = async move {
            read_reserved(&mut reader).await?;
            machine.restore(Box::pin(reader)).await
        };
        tokio::pin!(restore);
        tokio::select! {
            biased;
            restored = &mut restore => restored,
            fed = feed => {
                fed?;
                restore.await
            }
        }
    }
}

// A snapshot's bytes: 8 bytes that are 0, then what the state machine wrote, which is where clients' sessions are too. Other
// versions may say in the 8 bytes how many of their own come before the state machine's.

async fn read_reserved(reader: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    match reader.read_u64_le().await? {
        0 => Ok(()),
        bytes => {
            let what = format!("the snapshot has {bytes} bytes of a kind that this version does not know");
            Err(io::Error::new(io::ErrorKind::InvalidData, what))
        }
    }
}

/// Reads a snapshot to its end, and hands its bytes over in pieces.
async fn pump(
    reader: io::Result<SnapshotReader>,
    snapshot: SnapshotId,
    chunk_bytes: usize,
    pieces: mpsc::Sender<Piece>,
) -> io::Result<()> {
    let reserved: &[u8] = &[0; 8];
    let mut reader = reserved.chain(reader?);
    loop {
        let mut data = BytesMut::with_capacity(chunk_bytes);
        let mut rest = (&mut reader).take(chunk_bytes as u64);
        while rest.read_buf(&mut data).await? > 0 {}
        let done = data.len() < chunk_bytes;
        let piece = Piece::Bytes { snapshot, data: data.freeze(), done };
        if pieces.send(piece).await.is_err() || done {
            return Ok(());
        }
    }
}

/// Writes the pieces of a snapshot, which the node reads from its store, into a pipe.
async fn feed(
    mut pipe: impl tokio::io::AsyncWrite + Unpin,
    snapshot: SnapshotId,
    news: mpsc::Sender<News>,
) -> io::Result<()> {
    let missing =
        |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("a piece of the snapshot {what}"));
    let mut offset = 0;
    loop {
        let (reply, piece) = oneshot::channel();
        let wanted = News::Wanted { snapshot, offset, reply };
        news.send(wanted).await.map_err(|_| missing("is wanted by a node that is gone"))?;
        let chunk = piece.await.ok().flatten().ok_or_else(|| missing("is not in the log store"))?;
        if !chunk.is_intact() {
            return Err(missing("does not match its checksum"));
        }
        pipe.write_all(&chunk.data).await?;
        if chunk.done {
            return pipe.shutdown().await;
        }
        offset = chunk.end();
    }
}
