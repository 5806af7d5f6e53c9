//! A connection to one server for all requests that go there at the same time: what waits goes out in one write, and an
//! answer comes when there is one, whatever was asked before it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use raft_core::Time;
use raft_core::node::Environment;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio::task::JoinSet;

use crate::client::{Ask, Client, Outcome, Request};
use crate::error::NetError;
use crate::frame::{COMMAND_BYTES_MAX, Frame, FrameReader};
use crate::net::Net;
use crate::outbox::{within, write_in_pieces};
use crate::version::Version;

/// How many requests of one connection are under way at a time. A server reads no more, and a client sends no more: what it is
/// asked beyond that waits until another one is answered.
pub(crate) const UNDER_WAY_MAX: usize = 256;
/// How long nobody may have used a connection that is used again: well below the time after which a server closes it
/// ([`PeersConfig::client_idle`](crate::PeersConfig::client_idle)).
const IDLE: Duration = Duration::from_secs(60);
/// How long a server may answer nothing of what it was asked before new requests go over another connection: it may be gone,
/// and nobody would say so.
const SILENCE: Duration = Duration::from_millis(500);
/// How long a server may take to take in one write.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Clones are the same connection. It is closed with the last of them.
#[derive(Clone, Debug)]
pub(crate) struct Multiplexed {
    line: Arc<Line>,
    /// What reads and writes.
    _carrier: Arc<JoinSet<()>>,
}

/// What those who ask have in common with what reads and writes.
#[derive(Debug)]
struct Line {
    state: Mutex<State>,
    /// There is something to be written.
    waits: Notify,
    /// For how many more requests. Closed when no more are to be sent.
    room: Semaphore,
}

#[derive(Debug)]
struct State {
    version: Version,
    /// Frames to be written, one behind the other.
    outgoing: BytesMut,
    last_id: u64,
    /// What is under way, and who waits for it: nobody any more, perhaps.
    asking: BTreeMap<u64, Option<oneshot::Sender<Outcome>>>,
    /// When the last request was sent.
    used: Time,
    /// When an answer came last, or the first of those requests was sent that have none.
    heard: Time,
    is_spent: bool,
}

impl Line {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn new(version: Version, now: Time) -> Self {
        let (outgoing, asking) = Default::default();
        Self { version, outgoing, last_id: 0, asking, used: now, heard: now, is_spent: false }
    }

    fn is_silent(&self, now: Time) -> bool {
        !self.asking.is_empty() && now.since(self.heard) >= SILENCE
    }

    fn is_good(&self, now: Time) -> bool {
        let is_idle = self.asking.is_empty() && now.since(self.used) >= IDLE;
        !self.is_spent && !is_idle && !self.is_silent(now)
    }

    /// Puts a request behind those that wait, and returns its name.
    fn ask(
        &mut self,
        (ask, command): (Ask, Bytes),
        asker: oneshot::Sender<Outcome>,
        now: Time,
    ) -> Result<u64, NetError> {
        let id = self.last_id + 1;
        Frame::Request(Request { id, ask, command }).encode_in(self.version, &mut self.outgoing)?;
        if self.asking.is_empty() {
            self.heard = now;
        }
        (self.last_id, self.used) = (id, now);
        self.asking.insert(id, Some(asker));
        Ok(id)
    }
}

/// Somebody waits for what becomes of a request, until this is dropped.
struct Asked<'a> {
    line: &'a Line,
    id: u64,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if let Some(asker) = self.line.state().asking.get_mut(&self.id) {
            *asker = None;
        }
    }
}

impl Multiplexed {
    /// Over this connection, on which nothing has been asked yet.
    pub(crate) fn over<N: Net, E: Environment>(client: Client<N, E>) -> Self {
        let (reader, version, environment) = client.into_parts();
        let state = Mutex::new(State::new(version, environment.now()));
        let line = Arc::new(Line { state, waits: Notify::new(), room: Semaphore::new(UNDER_WAY_MAX) });
        let mut carrier = JoinSet::new();
        carrier.spawn(carry(Spending(Arc::clone(&line)), reader, environment));
        Self { line, _carrier: Arc::new(carrier) }
    }

    /// Whether it is worth a request: a command that goes out on a connection that the server has closed, or to a server that
    /// is gone, may have been applied, for all that anybody knows.
    pub(crate) fn is_good(&self, now: Time) -> bool {
        self.line.state().is_good(now)
    }

    /// Whether the server has left unanswered, for too long, all that it was asked. Then the connection is spent.
    pub(crate) fn falls_silent(&self, now: Time) -> bool {
        let is_silent = self.line.state().is_silent(now);
        if is_silent {
            self.line.spend();
        }
        is_silent
    }

    /// Whether both are the same connection.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.line, &other.line)
    }

    /// Asks, and waits for what becomes of it, until `deadline`: after that it is [`Outcome::Unknown`], as it is when the
    /// connection fails. Others do not notice if this future is dropped.
    ///
    /// # Errors
    ///
    /// Nothing was sent: the command is too long, the connection is spent, or it is too late.
    pub(crate) async fn ask<E: Environment>(
        &self,
        environment: &E,
        request: (Ask, Bytes),
        deadline: Time,
    ) -> Result<Outcome, NetError> {
        if request.1.len() > COMMAND_BYTES_MAX {
            return Err(NetError::CommandTooLong { bytes: request.1.len() });
        }
        let room = async { self.line.room.acquire().await.map_err(|_| NetError::Closed) };
        let room = within(environment, deadline, "answer to an earlier request", room).await?;
        let now = environment.now();
        if now >= deadline {
            return Err(NetError::Deadline { step: "connection" });
        }
        let (asker, outcome) = oneshot::channel();
        let _asked = self.send(request, asker, now)?;
        // There is room again when the answer has come.
        room.forget();
        let outcome = async { outcome.await.map_err(|_| NetError::Closed) };
        let unknown = |error: NetError| Outcome::Unknown { reason: error.to_string() };
        Ok(within(environment, deadline, "response", outcome).await.unwrap_or_else(unknown))
    }

    fn send(
        &self,
        request: (Ask, Bytes),
        asker: oneshot::Sender<Outcome>,
        now: Time,
    ) -> Result<Asked<'_>, NetError> {
        let mut state = self.line.state();
        if state.is_spent {
            return Err(NetError::Closed);
        }
        let nothing_waited = state.outgoing.is_empty();
        let id = state.ask(request, asker, now)?;
        drop(state);
        if nothing_waited {
            self.line.waits.notify_one();
        }
        Ok(Asked { line: &self.line, id })
    }
}

impl Line {
    /// No more requests are sent; those that were may still be answered.
    fn spend(&self) {
        self.state().is_spent = true;
        self.room.close();
    }
}

/// Whoever reads and writes has this: once it is gone, whatever ended it, nobody waits for it in vain.
struct Spending(Arc<Line>);

impl Drop for Spending {
    fn drop(&mut self) {
        self.0.spend();
        self.0.state().asking.clear();
    }
}

/// Reads and writes until the connection ends.
async fn carry<S: AsyncRead + AsyncWrite + Send, E: Environment>(
    line: Spending,
    reader: FrameReader<S>,
    environment: E,
) {
    let (reader, writer) = reader.split();
    let error = tokio::select! {
        biased;
        ended = hear(&line.0, reader, &environment) => ended,
        ended = speak(&line.0, writer, &environment) => ended,
    };
    tracing::debug!(%error, "a connection to a server has ended");
}

/// Hands out answers as they come.
async fn hear<S: AsyncRead + Unpin>(
    line: &Line,
    mut reader: FrameReader<S>,
    environment: &impl Environment,
) -> NetError {
    loop {
        let response = match reader.next().await {
            Ok(Some(Frame::Response(response))) => response,
            Ok(Some(other)) => return NetError::Unexpected { frame: other.kind() },
            Ok(None) => return NetError::Closed,
            Err(error) => return error,
        };
        let mut state = line.state();
        let Some(asker) = state.asking.remove(&response.id) else {
            return NetError::Unexpected { frame: "response" };
        };
        state.heard = environment.now();
        drop(state);
        line.room.add_permits(1);
        // Whoever has gone away need not be told.
        drop(asker.map(|asker| asker.send(response.outcome)));
    }
}

/// Writes what waits, all of it at once.
async fn speak<S: AsyncWrite + Unpin + Send, E: Environment>(
    line: &Line,
    mut writer: S,
    environment: &E,
) -> NetError {
    loop {
        line.waits.notified().await;
        // Those whom the same answers have woken ask next.
        environment.gather().await;
        let outgoing = line.state().outgoing.split();
        if let Err(error) = write_in_pieces(environment, &mut writer, &outgoing, WRITE_TIMEOUT).await {
            return error;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::ZERO.after(Duration::from_millis(millis))
    }

    /// Each row: what happens when, in milliseconds, and up to when the connection is good after that.
    #[test]
    fn a_connection_is_good_while_it_is_new_or_answers() {
        let (idle, silence) = (60_000, 500);
        for (sent, answered, good) in [
            (&[][..], &[][..], idle),
            (&[500], &[], 500 + silence),
            (&[500], &[700], 500 + idle),
            (&[500, 600], &[], 500 + silence),
            (&[500, 600], &[900], 900 + silence),
            (&[500, 600], &[900, 950], 600 + idle),
            (&[500, 5_000], &[700], 5_000 + silence),
        ] {
            let mut state = State::new(Version::NEWEST, at(0));
            let (mut sent, mut answered) = (sent.iter().peekable(), answered.iter().peekable());
            while let Some(&&next) = sent.peek().into_iter().chain(answered.peek()).min() {
                if sent.next_if_eq(&&next).is_some() {
                    let (asker, _) = oneshot::channel();
                    state.ask((Ask::Apply, Bytes::new()), asker, at(next)).unwrap();
                } else {
                    answered.next();
                    state.asking.pop_first();
                    state.heard = at(next);
                }
            }
            assert!(state.is_good(at(good - 1)) && !state.is_good(at(good)), "{good}");
            assert_eq!(state.is_silent(at(good)), !state.asking.is_empty());
        }
    }
}
