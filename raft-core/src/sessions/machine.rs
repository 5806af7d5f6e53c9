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
/// Whoever asks numbers commands with [`Numbers`](super::Numbers).
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
