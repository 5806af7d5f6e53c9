//! A client's end of a session that asks, and asks again where nobody knows what became of it.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use super::answer::Answer;
use super::numbers::Numbers;
use super::request::{Request, SessionId};
use crate::node::{Environment, Handle, Outcome};
use crate::types::Time;

/// The way from a client to the state machine: a node's [`Handle`], or a network. `raft-net` has one for many servers.
pub trait Proposer: Send + Sync {
    /// Proposes once, to whoever seems to lead, and says what became of it. Nobody waits for that past `deadline`; the
    /// future may be dropped then.
    fn propose(&self, request: Bytes, deadline: Time) -> impl Future<Output = Proposed> + Send;
}

/// What became of a request that was proposed once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proposed {
    /// It was applied, and this is what the state machine answered.
    Answered(Bytes),
    /// It was not applied and never will be.
    NotApplied,
    /// It may have been applied, or may yet be.
    Unknown,
}

impl<P: Proposer> Proposer for Arc<P> {
    fn propose(&self, request: Bytes, deadline: Time) -> impl Future<Output = Proposed> + Send {
        P::propose(self, request, deadline)
    }
}

impl Proposer for Handle {
    async fn propose(&self, request: Bytes, _: Time) -> Proposed {
        match Self::propose(self, request).await {
            Outcome::Applied { answer, .. } => Proposed::Answered(answer),
            Outcome::NotApplied(_) => Proposed::NotApplied,
            Outcome::Unknown => Proposed::Unknown,
        }
    }
}

/// How a session asks again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// How long one try is waited for; after that what became of it is unknown. A few election timeouts, so that whoever lost
    /// its leader finds the next one; the shorter, the more copies of a command are in the log when servers are slow.
    pub patience: Duration,
    /// How long to wait before the next try. Servers that know no leader are asked as often as this allows.
    pub rest: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self { patience: Duration::from_secs(1), rest: Duration::from_millis(20) }
    }
}

/// A client's session. A command is applied exactly once if it is answered, and at most once if not, whatever leaders,
/// connections and answers are lost on the way.
///
/// Any number of tasks may ask at once, up to the window of the servers. Their commands may be applied in any order.
#[derive(Debug)]
pub struct ClientSession<P, E> {
    way: Way<P, E>,
    numbers: Mutex<Numbers>,
}

/// Why there is no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisterError {
    /// Nobody answered in time. There may be a session that nobody uses, which goes in time.
    NoAnswer,
    /// The state machine has no sessions: it answered something else.
    NoSessions,
}

/// Why a command has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandError {
    /// As many commands as the servers allow are under way. This one was not sent.
    TooManyUnderWay,
    /// Nobody took it in time. It was not applied and never will be.
    NotApplied,
    /// Time was up before anybody knew. It was applied, or may yet be, at most once; and once a later command of this session
    /// is answered that was sent while no earlier one was under way, it never will be any more.
    Unknown,
    /// The session has expired, and every command of it ends so from now on: a new one has to be registered.
    SessionExpired {
        /// Whether this command may have been applied before. If not, it never will be.
        maybe_applied: bool,
    },
    /// The state machine has no sessions, or its answer is none to a command. Whether this one was applied is unknown.
    NoSessions,
}

impl fmt::Display for RegisterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAnswer => write!(f, "no server registered a session in time: try again"),
            Self::NoSessions => write!(f, "the state machine has no sessions: wrap it"),
        }
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyUnderWay => {
                write!(f, "too many commands of the session are under way: wait for one")
            }
            Self::NotApplied => write!(f, "no server took the command in time: it was not applied"),
            Self::Unknown => write!(f, "no answer in time: the command may have been applied, once"),
            Self::SessionExpired { maybe_applied: true } => {
                write!(f, "the session has expired, and the command may have been applied before, once")
            }
            Self::SessionExpired { maybe_applied: false } => {
                write!(f, "the session has expired, and the command was not applied: register anew")
            }
            Self::NoSessions => write!(f, "the state machine has no sessions: wrap it"),
        }
    }
}

impl std::error::Error for RegisterError {}
impl std::error::Error for CommandError {}

impl<P: Proposer, E: Environment> ClientSession<P, E> {
    /// Registers a session, by `deadline` on the clock of `environment`.
    ///
    /// # Errors
    ///
    /// There is none, or none that this client knows of.
    pub async fn register(
        proposer: P,
        environment: E,
        retries: Retries,
        deadline: Time,
    ) -> Result<Self, RegisterError> {
        let way = Way { proposer, environment, retries };
        match way.ask(|| Request::Register, deadline).await {
            Asked::Answer { answer: Answer::Registered { session, window }, .. } => {
                Ok(Self { way, numbers: Mutex::new(Numbers::new(session, window)) })
            }
            Asked::NotApplied | Asked::Unknown => Err(RegisterError::NoAnswer),
            Asked::Answer { .. } | Asked::NoSessions => Err(RegisterError::NoSessions),
        }
    }

    /// The session.
    pub fn id(&self) -> SessionId {
        self.numbers().session()
    }

    /// Has `command` applied, and returns its result. Sent again under the same number until there is an answer, or `deadline`
    /// has come. Whoever drops the future has given the command up: it may be applied, until a later one of this session is
    /// that was sent while no earlier one was under way.
    ///
    /// # Errors
    ///
    /// There is no result; the error says what that means for the command.
    pub async fn command(&self, command: Bytes, deadline: Time) -> Result<Bytes, CommandError> {
        let under_way = UnderWay::take(self).ok_or(CommandError::TooManyUnderWay)?;
        let request = || self.numbers().request(under_way.sequence, command.clone());
        let answer = self.way.ask(request, deadline).await.answer()?;
        if let Answer::Applied(result) | Answer::Repeated(result) = answer {
            Ok(result)
        } else {
            Err(CommandError::NoSessions)
        }
    }

    /// Uses the session, so that others go before it.
    ///
    /// # Errors
    ///
    /// It has expired, or nobody answered in time.
    pub async fn keep_alive(&self, deadline: Time) -> Result<(), CommandError> {
        self.end(|| self.numbers().keep_alive(), Answer::KeptAlive, deadline).await
    }

    /// Ends the session, so that it takes nobody's place.
    ///
    /// # Errors
    ///
    /// It had expired, which may be this call's own doing, or nobody answered in time.
    pub async fn unregister(self, deadline: Time) -> Result<(), CommandError> {
        let session = self.id();
        self.end(|| Request::Unregister { session }, Answer::Unregistered, deadline).await
    }

    async fn end(
        &self,
        request: impl Fn() -> Request + Send + Sync,
        done: Answer,
        deadline: Time,
    ) -> Result<(), CommandError> {
        let answer = self.way.ask(request, deadline).await.answer()?;
        if answer == done { Ok(()) } else { Err(CommandError::NoSessions) }
    }
}

impl<P, E> ClientSession<P, E> {
    fn numbers(&self) -> MutexGuard<'_, Numbers> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A number that is in use until this is dropped: then there is an answer, or it is given up.
struct UnderWay<'a, P, E> {
    session: &'a ClientSession<P, E>,
    sequence: u64,
}

impl<'a, P, E> UnderWay<'a, P, E> {
    fn take(session: &'a ClientSession<P, E>) -> Option<Self> {
        let sequence = session.numbers().take()?;
        Some(Self { session, sequence })
    }
}

impl<P, E> Drop for UnderWay<'_, P, E> {
    fn drop(&mut self) {
        self.session.numbers().answered(self.sequence);
    }
}

#[derive(Debug)]
struct Way<P, E> {
    proposer: P,
    environment: E,
    retries: Retries,
}

/// What came of a request that was sent as often as there was time for.
enum Asked {
    Answer {
        answer: Answer,
        /// Whether an earlier try may have been applied.
        maybe_applied: bool,
    },
    NotApplied,
    Unknown,
    NoSessions,
}

impl Asked {
    /// What the session said to it.
    fn answer(self) -> Result<Answer, CommandError> {
        match self {
            Self::Answer { answer: Answer::SessionExpired, maybe_applied } => {
                Err(CommandError::SessionExpired { maybe_applied })
            }
            Self::Answer { answer, .. } => Ok(answer),
            Self::NotApplied => Err(CommandError::NotApplied),
            Self::Unknown => Err(CommandError::Unknown),
            Self::NoSessions => Err(CommandError::NoSessions),
        }
    }
}

impl<P: Proposer, E: Environment> Way<P, E> {
    async fn ask(&self, request: impl Fn() -> Request + Send + Sync, deadline: Time) -> Asked {
        let mut maybe_applied = false;
        while self.environment.now() < deadline {
            match self.ask_once(request().encode(), deadline).await {
                Proposed::Answered(answer) => match Answer::decode(answer) {
                    // Later it may be near enough.
                    Some(Answer::TooFarAhead) => {}
                    Some(answer) => return Asked::Answer { answer, maybe_applied },
                    None => return Asked::NoSessions,
                },
                Proposed::NotApplied => {}
                Proposed::Unknown => maybe_applied = true,
            }
            let rested = self.environment.now().after(self.retries.rest);
            self.environment.sleep_until(rested.min(deadline)).await;
        }
        if maybe_applied { Asked::Unknown } else { Asked::NotApplied }
    }

    async fn ask_once(&self, request: Bytes, deadline: Time) -> Proposed {
        let until = deadline.min(self.environment.now().after(self.retries.patience));
        tokio::select! {
            biased;
            proposed = self.proposer.propose(request, until) => proposed,
            () = self.environment.sleep_until(until) => Proposed::Unknown,
        }
    }
}
