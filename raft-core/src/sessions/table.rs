//! All sessions, as a value: what is admitted, what is answered from kept results, and who has to go.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{BufMut, Bytes, BytesMut};

use super::answer::Answer;
use super::request::{Request, SessionId};
use super::wire::Reader;
use crate::planted::{PlantedBug, planted};
use crate::types::LogIndex;

/// What a kept result counts for beyond its own bytes.
pub(super) const RESULT_OVERHEAD: u64 = 64;

const SESSIONS_MAX: u64 = 1 << 20;
const WINDOW_MAX: u64 = 1 << 16;

/// How much a table keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    sessions: u64,
    window: u64,
    result_bytes: u64,
}

impl Limits {
    /// Those of a cluster to which nobody has given others. Part of the format: never changed.
    pub const INITIAL: Self = Self { sessions: 4_096, window: 128, result_bytes: 16 << 20 };

    /// At most so many sessions, from 1 to 2^20; results of so many numbers in a session, from 1 to 2^16; and so many
    /// bytes of results of all sessions, where each result counts for 64 bytes more than it has. None if a number is out
    /// of its range.
    ///
    /// With more bytes of results than that the least recently used sessions expire, at last the one whose result it
    /// is: so they should be a few times what one session can have.
    pub const fn new(sessions: u64, window: u64, result_bytes: u64) -> Option<Self> {
        let fits = sessions >= 1 && sessions <= SESSIONS_MAX && window >= 1 && window <= WINDOW_MAX;
        if fits { Some(Self { sessions, window, result_bytes }) } else { None }
    }

    /// How many sessions there may be.
    pub const fn sessions(&self) -> u64 {
        self.sessions
    }

    /// Over how many numbers, from the lowest without an answer, commands of one session may be under way.
    pub const fn window(&self) -> u64 {
        self.window
    }

    /// How many bytes of results all sessions may have.
    pub const fn result_bytes(&self) -> u64 {
        self.result_bytes
    }

    /// As bytes, for who keeps them beside sessions.
    pub fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::new();
        self.write(&mut bytes);
        bytes.freeze()
    }

    /// What was written so; none if nothing is.
    pub fn decode(bytes: Bytes) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let limits = Self::read(&mut reader)?;
        reader.end(limits)
    }

    pub(super) fn write(&self, out: &mut BytesMut) {
        out.put_u64_le(self.sessions);
        out.put_u64_le(self.window);
        out.put_u64_le(self.result_bytes);
    }

    pub(super) fn read(reader: &mut Reader) -> Option<Self> {
        Self::new(reader.number()?, reader.number()?, reader.number()?)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::INITIAL
    }
}

/// What a table makes of a request.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a command that is admitted has to be applied"]
pub enum Admitted {
    /// The command has not been applied: it is to be, and its result to be recorded in its place, before the next request.
    Apply {
        /// For the state machine.
        command: Bytes,
        /// Where its result belongs.
        place: Place,
    },
    /// The command is of no session: it is to be applied, and nothing is recorded.
    Plain {
        /// For the state machine.
        command: Bytes,
    },
    /// Nothing is to be applied.
    Answer(Answer),
}

/// Where the result of a command belongs. There is none but from [`Table::admit`], and it is good for once.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a command whose result is not recorded is applied again"]
pub struct Place {
    session: SessionId,
    sequence: u64,
}

/// A session's part of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// The last entry that was of this session.
    pub(super) used: LogIndex,
    pub(super) first_unanswered: u64,
    /// By number, from `first_unanswered` on.
    pub(super) results: BTreeMap<u64, Bytes>,
}

impl Held {
    pub(super) fn bytes(&self) -> u64 {
        self.results.values().map(weight).sum()
    }
}

/// Of a table that notes what changes: this session has.
fn note(changed: &mut Option<BTreeSet<SessionId>>, session: SessionId) {
    if let Some(changed) = changed {
        changed.insert(session);
    }
}

fn weight(result: &Bytes) -> u64 {
    (result.len() as u64).saturating_add(RESULT_OVERHEAD)
}

/// All sessions. Tables that were given the same requests at the same indexes are equal, and answer alike.
#[derive(Clone, Debug, Default)]
pub struct Table {
    pub(super) limits: Limits,
    pub(super) sessions: BTreeMap<SessionId, Held>,
    /// The sessions in the order of their last use.
    order: BTreeSet<(LogIndex, SessionId)>,
    /// What all results weigh.
    result_bytes: u64,
    /// The sessions that have changed, of a table that notes them.
    changed: Option<BTreeSet<SessionId>>,
    planted: Option<PlantedBug>,
}

impl PartialEq for Table {
    fn eq(&self, other: &Self) -> bool {
        (self.limits, &self.sessions) == (other.limits, &other.sessions)
    }
}

impl Eq for Table {}

impl Table {
    /// A table with these sessions.
    pub(super) fn of(limits: Limits, sessions: BTreeMap<SessionId, Held>) -> Self {
        let order = sessions.iter().map(|(&session, held)| (held.used, session)).collect();
        let result_bytes = sessions.values().map(Held::bytes).fold(0, u64::saturating_add);
        Self { limits, sessions, order, result_bytes, changed: None, planted: None }
    }

    /// The same table with a bug that tests plant. A build without the feature `planted-bugs` has none.
    #[must_use]
    pub fn with_bug(self, planted: Option<PlantedBug>) -> Self {
        Self { planted, ..self }
    }

    /// The same table, which notes what changes from now on: for who keeps it on disk, and asks for
    /// [`take_changes`](Self::take_changes) after each request.
    #[must_use]
    pub fn noting_changes(self) -> Self {
        Self { changed: Some(BTreeSet::new()), ..self }
    }

    /// The sessions that have changed since this was asked last, each as [`Table::of_sessions`] reads it; nothing of
    /// those that have gone.
    pub fn take_changes(&mut self) -> Vec<(SessionId, Option<Bytes>)> {
        let changed = self.changed.as_mut().map(std::mem::take).unwrap_or_default();
        let as_it_is = |session| (session, self.sessions.get(&session).map(Held::encode));
        changed.into_iter().map(as_it_is).collect()
    }

    #[cfg(feature = "tokio")]
    pub(super) const fn bug(&self) -> Option<PlantedBug> {
        self.planted
    }

    /// Takes in the request of the entry at `index`; indexes only ever grow. Every session that has to go has gone when
    /// this returns.
    pub fn admit(&mut self, index: LogIndex, request: Request) -> Admitted {
        let answer = match request {
            Request::Register => self.register(index),
            Request::Command { session, sequence, first_unanswered, command } => {
                return self.admit_command(index, session, sequence, first_unanswered, command);
            }
            Request::KeepAlive { session, first_unanswered } => {
                match self.use_session(index, session, first_unanswered) {
                    Some(_) => Answer::KeptAlive,
                    None => Answer::SessionExpired,
                }
            }
            Request::Unregister { session } => match self.remove(session) {
                true => Answer::Unregistered,
                false => Answer::SessionExpired,
            },
            Request::Limit(limits) => {
                self.limits = limits;
                self.expire();
                Answer::Limited
            }
            Request::Plain { command } => return Admitted::Plain { command },
        };
        Admitted::Answer(answer)
    }

    /// Records what came of a command that was admitted. It is kept until the client says that it has it.
    pub fn record(&mut self, place: Place, result: Bytes) -> Answer {
        note(&mut self.changed, place.session);
        if let Some(held) = self.sessions.get_mut(&place.session) {
            if planted!(of self.planted, ResultDroppedUnacknowledged) {
                self.result_bytes -= held.bytes();
                held.results.clear();
            }
            // A copy: what a state machine answers may be a part of something large, which would be kept with it.
            let kept = Bytes::copy_from_slice(&result);
            let old = held.results.insert(place.sequence, kept);
            self.result_bytes += weight(&result);
            self.result_bytes -= old.as_ref().map_or(0, weight);
            self.expire();
        }
        Answer::Applied(result)
    }

    /// The limits.
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    /// How many sessions there are.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether there is no session.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Whether there is this session.
    pub fn has(&self, session: SessionId) -> bool {
        self.sessions.contains_key(&session)
    }

    /// How much the kept results of all sessions count for, in bytes; never more than the limit.
    pub const fn result_bytes(&self) -> u64 {
        self.result_bytes
    }

    fn register(&mut self, index: LogIndex) -> Answer {
        let session = SessionId::new(index.get());
        self.insert(index, session);
        self.expire();
        Answer::Registered { session, window: self.limits.window }
    }

    fn insert(&mut self, index: LogIndex, session: SessionId) {
        self.remove(session);
        note(&mut self.changed, session);
        let held = Held { used: index, first_unanswered: 1, results: BTreeMap::new() };
        self.sessions.insert(session, held);
        self.order.insert((index, session));
    }

    fn admit_command(
        &mut self,
        index: LogIndex,
        session: SessionId,
        sequence: u64,
        first_unanswered: u64,
        command: Bytes,
    ) -> Admitted {
        if planted!(of self.planted, ExpiredSessionApplied) && !self.has(session) {
            self.insert(index, session);
        }
        let (window, filters) = (self.limits.window, !planted!(of self.planted, SessionsFilterNothing));
        let Some(held) = self.use_session(index, session, first_unanswered) else {
            return Admitted::Answer(Answer::SessionExpired);
        };
        let apply = Admitted::Apply { command, place: Place { session, sequence } };
        if !filters {
            return apply;
        }
        if let Some(result) = held.results.get(&sequence) {
            return Admitted::Answer(Answer::Repeated(result.clone()));
        }
        match sequence.checked_sub(held.first_unanswered) {
            None => Admitted::Answer(Answer::SequenceForgotten),
            Some(above) if above >= window => Admitted::Answer(Answer::TooFarAhead),
            Some(_) => apply,
        }
    }

    /// Notes that the session is used, and discards the results that its client has. None if there is no such session.
    fn use_session(&mut self, index: LogIndex, session: SessionId, first_unanswered: u64) -> Option<&Held> {
        let held = self.sessions.get_mut(&session)?;
        note(&mut self.changed, session);
        self.order.remove(&(held.used, session));
        self.order.insert((index, session));
        held.used = index;
        if first_unanswered > held.first_unanswered {
            let unanswered = held.results.split_off(&first_unanswered);
            self.result_bytes -= held.bytes();
            held.results = unanswered;
            held.first_unanswered = first_unanswered;
        }
        Some(held)
    }

    /// The least recently used sessions go until there are no more, and no more results, than there may be.
    fn expire(&mut self) {
        while self.sessions.len() as u64 > self.limits.sessions
            || self.result_bytes > self.limits.result_bytes
        {
            let Some(&(_, session)) = self.order.first() else { return };
            self.remove(session);
        }
    }

    /// Whether there was such a session.
    fn remove(&mut self, session: SessionId) -> bool {
        let Some(held) = self.sessions.remove(&session) else { return false };
        note(&mut self.changed, session);
        self.order.remove(&(held.used, session));
        self.result_bytes -= held.bytes();
        true
    }

    /// Of a bug: every session that `keep` does not name goes.
    #[cfg(all(feature = "planted-bugs", feature = "tokio"))]
    pub(super) fn retain(&mut self, keep: impl Fn(SessionId) -> bool) {
        let gone: Vec<_> = self.sessions.keys().copied().filter(|&session| !keep(session)).collect();
        for session in gone {
            self.remove(session);
        }
    }
}
