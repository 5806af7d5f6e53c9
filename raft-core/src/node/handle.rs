//! The way to ask a node, and its answers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::membership::{Change, Membership, NotChanged};
use super::metrics::{Metrics, TurnedAway};
use super::owed::{Debts, Owed};
use super::queries::Query;
use super::status::Status;
use crate::input::{ProposeError, TransferError};
use crate::types::{EntryId, NodeId};

/// How many requests may wait at the door; the next one is told [`Refusal::Overloaded`].
const REQUESTS_MAX: usize = 16 * 1024;
/// How many bytes of commands and queries may wait there, or one that is longer by itself.
const REQUEST_BYTES_MAX: u32 = 16 * 1024 * 1024;

/// Asks a node. Cheap to clone; any number may ask at once.
#[derive(Clone, Debug)]
#[must_use = "without a handle nobody can ask the node, or shut it down"]
pub struct Handle {
    pub(super) requests: mpsc::Sender<Request>,
    /// How many bytes there is room for at the door.
    room: Arc<Semaphore>,
    /// How long a command may be.
    command_bytes_max: usize,
    turned_away: TurnedAway,
    /// Answers that are on their way out.
    debts: Debts,
    /// What comes in has to be of it; none where anything may.
    known: Option<Known>,
}

/// What a state machine knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    /// Whether these bytes are a command.
    pub(crate) command: fn(&Bytes) -> bool,
    /// Whether these bytes are a query.
    pub(crate) query: fn(&Bytes) -> bool,
}

/// Where a node takes in what its handles ask.
#[derive(Debug)]
pub(crate) struct Door {
    pub(super) requests: mpsc::Receiver<Request>,
    pub(super) turned_away: TurnedAway,
}

impl Door {
    /// For commands of up to so many bytes.
    pub(crate) fn new(command_bytes_max: usize) -> (Handle, Self) {
        let (sender, requests) = mpsc::channel(REQUESTS_MAX);
        let turned_away = TurnedAway::default();
        let room = Arc::new(Semaphore::new(REQUEST_BYTES_MAX as usize));
        let (turned, debts, known) = (turned_away.clone(), Debts::default(), None);
        let handle = Handle { requests: sender, room, command_bytes_max, turned_away: turned, debts, known };
        (handle, Self { requests, turned_away })
    }
}

/// What became of a command. There are three answers and no fourth.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a command may not have been applied"]
pub enum Outcome {
    /// The command is committed and was applied.
    Applied {
        /// Its place in the log.
        id: EntryId,
        /// What the state machine answered.
        answer: Bytes,
    },
    /// The command was not applied and never will be. It may be proposed again.
    NotApplied(Refusal),
    /// The node went away with the command on its way, or was removed from its group: the command may be applied later, or
    /// never.
    Unknown,
}

/// Why a command was certainly not applied, or a query not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// This server does not lead, or no longer led before the command was committed; or nobody has confirmed to
    /// it, or to the leader that it follows, that it leads.
    NotLeader {
        /// Who does, where known.
        leader: Option<NodeId>,
    },
    /// This server is handing over leadership. Ask the next leader, or later.
    Transferring {
        /// Who is to lead.
        to: NodeId,
    },
    /// Too much is waiting at this server. Try later.
    Overloaded,
    /// The state machine knows no such command, or no such query.
    Malformed,
    /// The command is longer than [`Config::command_bytes_max`](crate::Config::command_bytes_max): no server would ever get it.
    TooLong {
        /// Its bytes.
        bytes: usize,
        /// How many it may have.
        bytes_max: usize,
    },
    /// The node has stopped.
    Stopped,
}

impl From<ProposeError> for Refusal {
    fn from(error: ProposeError) -> Self {
        match error {
            ProposeError::NotLeader { leader } => Self::NotLeader { leader },
            ProposeError::Transferring { to } => Self::Transferring { to },
            ProposeError::Overloaded => Self::Overloaded,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLeader { leader: Some(leader) } => write!(f, "not the leader: ask {leader}"),
            Self::NotLeader { leader: None } => {
                write!(f, "not the leader, and none is known: try another server")
            }
            Self::Transferring { to } => write!(f, "handing over leadership: ask {to}, or later"),
            Self::Overloaded => write!(f, "overloaded: try later"),
            Self::Malformed => {
                write!(f, "the state machine knows no such command or query: correct the client")
            }
            Self::TooLong { bytes, bytes_max } => {
                write!(f, "the command has {bytes} bytes, and may have {bytes_max}: split it")
            }
            Self::Stopped => write!(f, "stopped: try another server"),
        }
    }
}

impl std::error::Error for Refusal {}

/// Why leadership did not go where it was to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTransferred {
    /// It was not begun.
    Refused(TransferError),
    /// It was begun, and this server leads now: the one that was to hand over, or another.
    Elsewhere {
        /// Which.
        leader: NodeId,
    },
    /// No other server votes, or this one does not lead and knows of none.
    Nobody,
    /// Too much is waiting at this server, and nothing was begun.
    Overloaded,
    /// This server was removed from its group first. Leadership may still go there.
    Removed,
    /// The node has stopped. Leadership may still go there, if it was begun.
    Stopped,
}

impl fmt::Display for NotTransferred {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => why.fmt(f),
            Self::Nobody => write!(f, "there is no other voter that this server could hand over to"),
            Self::Elsewhere { leader } => write!(f, "leadership was not handed over: {leader} leads"),
            Self::Overloaded => write!(f, "overloaded: try later"),
            Self::Removed => write!(f, "removed from its group: ask another server who leads"),
            Self::Stopped => write!(f, "stopped: try another server"),
        }
    }
}

impl std::error::Error for NotTransferred {}

/// A place at the door, which is free again once the node has taken in whoever had it.
pub(super) type Room = OwnedSemaphorePermit;

#[derive(Debug)]
pub(super) enum Request {
    Propose {
        command: Bytes,
        _room: Room,
        reply: oneshot::Sender<Outcome>,
    },
    /// The answer may be older than the question by so much.
    Read {
        query: Query,
        _room: Room,
        max_lag: Duration,
    },
    /// To be told as soon as no command and no query waits to be answered.
    Idle {
        reply: oneshot::Sender<()>,
    },
    Status {
        reply: oneshot::Sender<Status>,
    },
    Metrics {
        reply: oneshot::Sender<Box<Metrics>>,
    },
    Membership {
        reply: oneshot::Sender<Membership>,
    },
    Change {
        change: Change,
        reply: oneshot::Sender<Result<EntryId, NotChanged>>,
    },
    Snapshot,
    Transfer {
        to: NodeId,
        reply: oneshot::Sender<Result<(), NotTransferred>>,
    },
    Shutdown {
        done: oneshot::Sender<()>,
    },
}

impl Handle {
    /// The same, for bytes that the state machine knows: all else is [`Refusal::Malformed`].
    pub(crate) fn for_what_is_known(self, known: Known) -> Self {
        Self { known: Some(known), ..self }
    }

    /// Asks, unless too many wait at the door or nobody is there any more.
    pub(super) fn ask<R>(&self, request: Request, full: R, stopped: R) -> Result<(), R> {
        match self.requests.try_send(request) {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.turned_away.one_more();
                Err(full)
            }
            Err(mpsc::error::TrySendError::Closed(_)) => Err(stopped),
        }
    }

    /// Room for so many bytes at the door.
    fn room(&self, bytes: usize) -> Result<Room, Refusal> {
        let bytes = u32::try_from(bytes).map_or(REQUEST_BYTES_MAX, |bytes| bytes.min(REQUEST_BYTES_MAX));
        Arc::clone(&self.room).try_acquire_many_owned(bytes).map_err(|_| {
            self.turned_away.one_more();
            Refusal::Overloaded
        })
    }

    /// Proposes a command and waits until it is applied here, or certainly never will be. One that is longer than
    /// [`Config::command_bytes_max`](crate::Config::command_bytes_max) is refused.
    ///
    /// May wait as long as there is no majority; a caller that cannot gives up by dropping the future,
    /// and then the outcome is [`Outcome::Unknown`] to it.
    pub async fn propose(&self, command: Bytes) -> Outcome {
        let (bytes, bytes_max) = (command.len(), self.command_bytes_max);
        if bytes > bytes_max {
            return Outcome::NotApplied(Refusal::TooLong { bytes, bytes_max });
        }
        if self.known.is_some_and(|known| !(known.command)(&command)) {
            return Outcome::NotApplied(Refusal::Malformed);
        }
        let (reply, outcome) = oneshot::channel();
        let asked = self.room(command.len()).and_then(|room| {
            let request = Request::Propose { command, _room: room, reply };
            self.ask(request, Refusal::Overloaded, Refusal::Stopped)
        });
        match asked {
            Ok(()) => outcome.await.unwrap_or(Outcome::Unknown),
            Err(refusal) => Outcome::NotApplied(refusal),
        }
    }

    /// Asks the state machine, through the leader or a follower (thesis 6.4). The answer has all that was committed
    /// when this was called: what any client of any node had been told of. Writes nothing.
    ///
    /// No clock matters to that, unless there are leases: then it holds as long as clocks keep to what
    /// [`Config::read_lease_ppm`](crate::Config::read_lease_ppm) states, and not through one that stands still. A
    /// state machine that answers from anything but what it was given is not covered either.
    ///
    /// May wait as long as there is no majority; a caller that cannot gives up by dropping the future, and
    /// nothing has happened.
    ///
    /// # Errors
    ///
    /// The query was not answered. It may be asked again, here or elsewhere.
    pub async fn read(&self, query: Bytes) -> Result<Bytes, Refusal> {
        self.read_stale(query, Duration::ZERO).await
    }

    /// The same, but that the answer may lack what was committed in the last `max_lag` before this was called, on this
    /// server's clock. It is given at once if a read that came in so lately was confirmed here; otherwise, as
    /// where the lag is 0, this one has to be.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read): a server that is cut off for longer than `max_lag` answers nothing.
    pub async fn read_stale(&self, query: Bytes, max_lag: Duration) -> Result<Bytes, Refusal> {
        if self.known.is_some_and(|known| !(known.query)(&query)) {
            return Err(Refusal::Malformed);
        }
        let (reply, answer) = oneshot::channel();
        let room = self.room(query.len())?;
        let request = Request::Read { query: Query { query, reply }, _room: room, max_lag };
        self.ask(request, Refusal::Overloaded, Refusal::Stopped)?;
        answer.await.unwrap_or(Err(Refusal::Stopped))
    }

    /// What the node is; none if it has stopped.
    pub async fn status(&self) -> Option<Status> {
        let (reply, status) = oneshot::channel();
        self.requests.send(Request::Status { reply }).await.ok()?;
        status.await.ok()
    }

    /// What the node measures of itself; none if it has stopped.
    pub async fn metrics(&self) -> Option<Metrics> {
        let (reply, metrics) = oneshot::channel();
        self.requests.send(Request::Metrics { reply }).await.ok()?;
        metrics.await.ok().map(|metrics| *metrics)
    }

    /// Asks the node to take a snapshot (§7) as soon as it can, unless it has one of all that it has applied.
    /// Returns when the node has been asked; that it is done shows in [`Status::snapshot_index`].
    pub async fn snapshot(&self) {
        // A node that has stopped takes none.
        drop(self.requests.send(Request::Snapshot).await);
    }

    /// Hands leadership over to another voter (thesis 3.10), and waits until a leader is known again. No
    /// commands are taken meanwhile; what was proposed before is not lost by it.
    ///
    /// May wait as long as there is no leader; whoever gives up by dropping the future takes nothing back.
    ///
    /// # Errors
    ///
    /// The target does not lead.
    pub async fn transfer(&self, to: NodeId) -> Result<(), NotTransferred> {
        let (reply, transferred) = oneshot::channel();
        let request = Request::Transfer { to, reply };
        self.ask(request, NotTransferred::Overloaded, NotTransferred::Stopped)?;
        transferred.await.unwrap_or(Err(NotTransferred::Stopped))
    }

    /// Somebody elsewhere has asked, and is owed an answer until what this returns is dropped:
    /// [`Server::shutdown`](crate::server::Server::shutdown) waits for it. A network takes one before it asks for a client,
    /// and lets go of it when the answer has been written.
    pub fn owe(&self) -> Owed {
        self.debts.owe()
    }

    /// Waits until nobody is owed an answer.
    pub(crate) async fn paid(&self) {
        self.debts.paid().await;
    }

    /// Waits until no command and no query that came in here waits to be answered, or the node has stopped.
    pub(crate) async fn idle(&self) {
        let (reply, idle) = oneshot::channel();
        if self.requests.send(Request::Idle { reply }).await.is_ok() {
            // An error means that the node has stopped.
            drop(idle.await);
        }
    }

    /// Makes durable what was begun, closes the store and ends the node. Returns when that is done, or
    /// at once if the node has stopped already.
    pub async fn shutdown(&self) {
        let (done, stopped) = oneshot::channel();
        if self.requests.send(Request::Shutdown { done }).await.is_ok() {
            // An error means that the node ended by itself.
            drop(stopped.await);
        }
    }
}
