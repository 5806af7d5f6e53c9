//! A state machine with sessions.

use std::fmt;
use std::io;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::io::AsyncReadExt;

use super::answer::Answer;
use super::image::{HEAD_BYTES, Head};
use super::request::Request;
use super::table::{Admitted, Table};
use crate::node::{SnapshotReader, StateMachine};
use crate::planted::{PlantedBug, planted};
use crate::types::LogIndex;

/// A state machine whose clients have sessions: each of their commands is applied exactly once (thesis 6.3).
///
/// Its commands are [`Request`]s and its answers are [`Answer`]s, both as bytes; the state machine inside is given the
/// commands in them, at the index that they have in the log. Queries go to it as they are. Its snapshot is the table
/// and then the snapshot of the state machine.
///
/// Whoever asks takes a [`ClientSession`](super::ClientSession), or [`Numbers`](super::Numbers) and a way of one's own. Here
/// it is a way on which each first answer is lost:
///
/// ```
/// # use std::time::Duration;
/// # use async_trait::async_trait;
/// use bytes::Bytes;
/// use raft_core::node::{Environment, SnapshotReader, StateMachine, TokioEnvironment};
/// use raft_core::sessions::{ClientSession, Proposed, Proposer, Retries, Sessions};
/// use raft_core::{LogIndex, Time};
/// use tokio::sync::Mutex;
///
/// struct Counter(u64);
///
/// #[async_trait]
/// impl StateMachine for Counter {
///     async fn apply(&mut self, _: LogIndex, _: Bytes) -> Bytes {
///         self.0 += 1;
///         self.0.to_string().into()
///     }
/// #   async fn query(&mut self, _: Bytes) -> Bytes { Bytes::new() }
/// #   async fn snapshot(&mut self) -> std::io::Result<SnapshotReader> { Ok(Box::pin(std::io::Cursor::new(vec![]))) }
/// #   async fn restore(&mut self, _: SnapshotReader) -> std::io::Result<()> { Ok(()) }
/// }
///
/// /// A log of which each second entry is answered, and the state machine that applies it.
/// struct Lossy(Mutex<(LogIndex, Sessions<Counter>)>);
///
/// impl Proposer for Lossy {
///     async fn propose(&self, request: Bytes, _: Time) -> Proposed {
///         let (index, machine) = &mut *self.0.lock().await;
///         *index = index.next();
///         let answer = machine.apply(*index, request).await;
///         if index.get() % 2 == 0 { Proposed::Answered(answer) } else { Proposed::Unknown }
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// let way = Lossy(Mutex::new((LogIndex::ZERO, Sessions::new(Counter(0)).unwrap())));
/// let clock = TokioEnvironment::new();
/// let deadline = clock.now().after(Duration::from_secs(10));
/// let session = ClientSession::register(way, clock, Retries::default(), deadline).await.unwrap();
/// // Each is in the log twice, and applied once.
/// assert_eq!(session.command("add".into(), deadline).await.unwrap(), "1");
/// assert_eq!(session.command("add".into(), deadline).await.unwrap(), "2");
/// # }
/// ```
#[derive(Debug)]
pub struct Sessions<M> {
    machine: M,
    table: Table,
    #[cfg(feature = "planted-bugs")]
    seen: planted_clock::Seen,
}

/// A state machine that keeps what it applies through a crash cannot be given sessions from outside: after a restart it
/// would have the commands and not the results. It keeps a [`Table`] of its own, in one batch with what it applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DurableMachine {
    /// What it says that it has applied.
    pub applied: LogIndex,
}

impl fmt::Display for DurableMachine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { applied } = self;
        write!(
            f,
            "the state machine has kept what it applied up to {applied}, and the sessions of that are gone"
        )
    }
}

impl std::error::Error for DurableMachine {}

impl<M: StateMachine> Sessions<M> {
    /// `machine`, as it is before anything was applied, with sessions.
    ///
    /// # Errors
    ///
    /// It has something applied already ([`StateMachine::durable_applied`]).
    pub fn new(machine: M) -> Result<Self, DurableMachine> {
        let applied = machine.durable_applied();
        if applied > LogIndex::ZERO {
            return Err(DurableMachine { applied });
        }
        Ok(Self {
            machine,
            table: Table::default(),
            #[cfg(feature = "planted-bugs")]
            seen: planted_clock::Seen::default(),
        })
    }

    /// The same with a bug that tests plant. A build without the feature `planted-bugs` has none.
    #[must_use]
    pub fn with_bug(self, planted: Option<PlantedBug>) -> Self {
        Self { table: self.table.with_bug(planted), ..self }
    }

    /// All sessions.
    pub const fn table(&self) -> &Table {
        &self.table
    }

    /// The state machine inside.
    pub const fn machine(&self) -> &M {
        &self.machine
    }
}

#[async_trait]
impl<M: StateMachine> StateMachine for Sessions<M> {
    async fn apply(&mut self, index: LogIndex, command: Bytes) -> Bytes {
        #[cfg(feature = "planted-bugs")]
        self.seen.expire(&mut self.table, &command);
        let admitted = match Request::decode(command) {
            Some(request) => self.table.admit(index, request),
            None => Admitted::Answer(Answer::Malformed),
        };
        let answer = match admitted {
            Admitted::Answer(answer) => answer,
            Admitted::Plain { command } => Answer::Applied(self.machine.apply(index, command).await),
            Admitted::Apply { command, place } => {
                let result = self.machine.apply(index, command).await;
                self.table.record(place, result)
            }
        };
        answer.encode()
    }

    async fn query(&mut self, query: Bytes) -> Bytes {
        self.machine.query(query).await
    }

    async fn snapshot(&mut self) -> io::Result<SnapshotReader> {
        let table = if planted!(of self.table.bug(), SessionsNotInSnapshot) {
            Table::default().encode()
        } else {
            self.table.encode()
        };
        let machine = self.machine.snapshot().await?;
        Ok(Box::pin(io::Cursor::new(table).chain(machine)))
    }

    async fn restore(&mut self, mut snapshot: SnapshotReader) -> io::Result<()> {
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        let mut head = [0; HEAD_BYTES];
        snapshot.read_exact(&mut head).await?;
        let head = Head::decode(&head).map_err(invalid)?;
        let mut table = Vec::new();
        (&mut snapshot).take(head.table_bytes()).read_to_end(&mut table).await?;
        let table = head.table(table.into()).map_err(invalid)?;
        self.machine.restore(snapshot).await?;
        self.table = table.with_bug(self.table.bug());
        Ok(())
    }
}

/// Of a bug: what a server's own clock makes of sessions.
#[cfg(feature = "planted-bugs")]
mod planted_clock {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use bytes::Bytes;
    use tokio::time::Instant;

    use super::{Request, Table, planted};
    use crate::sessions::SessionId;

    const IDLE: Duration = Duration::from_secs(60);

    #[derive(Debug, Default)]
    pub(super) struct Seen(BTreeMap<SessionId, Instant>);

    impl Seen {
        pub(super) fn expire(&mut self, table: &mut Table, command: &Bytes) {
            if !planted!(of table.bug(), SessionExpiredByClock) {
                return;
            }
            let now = Instant::now();
            table.retain(|session| self.0.get(&session).is_none_or(|seen| *seen + IDLE > now));
            if let Some(Request::Command { session, .. } | Request::KeepAlive { session, .. }) =
                Request::decode(command.clone())
            {
                self.0.insert(session, now);
            }
        }
    }
}
