//! The node: one loop on tokio that drives a [`Raft`], and the traits it drives it through.
//!
//! | trait | is |
//! | --- | --- |
//! | [`LogStore`] | where hard state and log become durable |
//! | [`Transport`] | the way to the other servers |
//! | [`StateMachine`] | what is replicated |
//! | [`Environment`] | the time, and the places where a simulation can halt the node |
//!
//! One task owns the core. It takes in all that is ready, then takes the effects of all of it at once,
//! so that what waits shares a write and a message. A second task applies. Nothing else runs.

mod applier;
mod disk_share;
mod durations;
mod environment;
mod error;
mod handle;
mod membership;
mod metrics;
mod owed;
mod ports;
mod proposed;
mod queries;
mod status;
mod waiters;
mod watched;

use std::collections::VecDeque;

use tokio::sync::{mpsc, oneshot, watch};

use crate::effects::{Effects, Violation, WriteToken};
use crate::input::Input;
use crate::message::Envelope;
use crate::planted::planted;
use crate::snapshot::{Chunk, Load, Loaded};
use crate::state::Raft;
use crate::types::{LogIndex, NodeId, Time};

pub(crate) use applier::Applier;
use applier::{News, Piece, Work};
use disk_share::{DiskShare, NextPiece};
pub use durations::Durations;
pub use environment::{SystemEnvironment, TokioEnvironment};
pub use error::NodeError;
use handle::Request;
pub(crate) use handle::{Door, Known};
pub use handle::{Handle, NotTransferred, Outcome, Refusal};
pub use membership::{Membership, NotChanged};
use metrics::Meter;
pub use metrics::{Metrics, RequestCounts, Waiting};
pub use owed::Owed;
pub use ports::{Done, Environment, LogStore, Point, SnapshotReader, StateMachine, Transport};
use proposed::Proposed;
use queries::Queries;
pub use status::Status;
use waiters::Waiters;
use watched::Watched;

/// How much of what waits is taken in before effects are taken.
const INPUTS_MAX: usize = 256;

/// A server that runs: a [`Raft`] and the four things that it needs from outside.
pub struct Node<S: LogStore, T, E> {
    raft: Raft,
    /// Effects that were carried out: their lists have room for the next ones.
    spent: Effects,
    store: S,
    transport: T,
    environment: E,
    inbox: mpsc::Receiver<Envelope>,
    requests: mpsc::Receiver<Request>,
    applier: Applier,
    pieces: mpsc::Receiver<Piece>,
    /// The tokens of the writes that the store has not confirmed, in order; of those with pieces of a snapshot, whether the
    /// last one is among them.
    writing: VecDeque<(WriteToken, Option<bool>)>,
    disk_share: DiskShare,
    /// Who waits for what is being read from the store, in order.
    reading: VecDeque<Reading>,
    /// Commands that have come in and are not in the log yet.
    proposed: Proposed,
    /// Who waits for which entry, in the order of the log.
    waiting: Waiters,
    /// Who waits to read.
    queries: Queries,
    /// Who waits for leadership to go where.
    transfers: Vec<(NodeId, oneshot::Sender<Result<(), NotTransferred>>)>,
    /// Who waits for nobody to wait.
    idle: Vec<oneshot::Sender<()>>,
    /// Whoever watches what the node is.
    watched: Option<Watched>,
    meter: Meter,
}

/// Who waits for something that is being read from the store.
enum Reading {
    Raft,
    StateMachine(oneshot::Sender<Option<Chunk>>),
}

impl<S: LogStore, T: Transport, E: Environment> Node<S, T, E> {
    /// A node, and the handle through which it is asked. Messages for it come in through `inbox`.
    ///
    /// Must be called inside a tokio runtime: the task that applies starts here, and ends with the node.
    pub fn new<M: StateMachine>(
        raft: Raft,
        store: S,
        transport: T,
        machine: M,
        environment: E,
        inbox: mpsc::Receiver<Envelope>,
    ) -> (Self, Handle) {
        let (handle, door) = Door::new(raft.config().command_bytes_max);
        let applied = machine.durable_applied();
        let applier = Applier::start(machine, raft.config().snapshot_chunk_bytes);
        (Self::behind(door, raft, (store, transport, environment), inbox, (applier, applied)), handle)
    }

    /// The node behind a door whose handle is known already, with a state machine that has `applied` so much.
    pub(crate) fn behind(
        door: Door,
        mut raft: Raft,
        (store, transport, environment): (S, T, E),
        inbox: mpsc::Receiver<Envelope>,
        ((applier, pieces), applied): ((Applier, mpsc::Receiver<Piece>), LogIndex),
    ) -> Self {
        let meter = Meter::new(applied, door.turned_away);
        raft.has_applied(applied);
        let (writing, reading, proposed, waiting, queries, transfers, idle) = Default::default();
        Self {
            raft,
            spent: Effects::default(),
            store,
            transport,
            environment,
            inbox,
            requests: door.requests,
            applier,
            pieces,
            writing,
            disk_share: DiskShare::default(),
            reading,
            proposed,
            waiting,
            queries,
            transfers,
            idle,
            watched: None,
            meter,
        }
    }

    /// From now on whoever watches hears what the node is: the first each time that it has changed, the second when more has
    /// than how long the log is and how much of it is committed. Under load that is another with each batch, and whoever
    /// hears of it has to be woken.
    pub(crate) fn watch(&mut self) -> (watch::Receiver<Status>, watch::Receiver<Status>) {
        let (watched, all, turns) = Watched::new(Status::of(&self.raft));
        self.watched = Some(watched);
        (all, turns)
    }

    /// Runs until [`Handle::shutdown`] is called, then makes durable what was begun, and returns.
    /// Dropping the future instead is a crash: what was not acknowledged may be lost.
    ///
    /// # Errors
    ///
    /// The store failed, the state machine panicked, or the server contradicts the cluster. Nothing has
    /// left the node since.
    pub async fn run(mut self) -> Result<(), NodeError<S::Error>> {
        // A snapshot that was found on the disk is restored before anything comes in.
        self.carry_out().await?;
        loop {
            let (mut shutdown, commands) = (Vec::new(), self.meter.requests.commands);
            let next_piece = self.disk_share.next_piece(|| self.environment.now());
            tokio::select! {
                biased;
                // First, as it comes seldom: where all else never ends, the log has to be compacted all the same.
                Some(piece) = self.pieces.recv(), if next_piece == NextPiece::Now => self.take_in_piece(piece),
                done = self.store.done() => self.done(done)?,
                Some(envelope) = self.inbox.recv() => self.step(Input::Receive(envelope)),
                news = self.applier.news() => self.hear(news.ok_or(NodeError::StateMachine)?)?,
                Some(request) = self.requests.recv() => {
                    shutdown.extend(self.request(request));
                    self.propose();
                }
                // Made only where there is nothing else to do: a deadline takes its time to find, and a timer to make.
                () = async { self.environment.sleep_until(next_piece.or(self.raft.deadline())).await } => {
                    self.step(Input::Tick);
                }
            }
            self.take_in_all(&mut shutdown);
            if self.meter.requests.commands > commands && self.waiting.len() > 1 {
                self.environment.gather().await;
                self.take_in_all(&mut shutdown);
            }
            // A busy inbox must not keep those waiting whose commands have been applied.
            if let Some(news) = self.applier.heard() {
                self.hear(news)?;
            }
            self.environment.point(Point::Stepped).await;
            // Time has passed since, if the node was held there.
            if !planted!(self.raft, LeaseJudgedEarly) {
                self.step(Input::Tick);
            }
            self.carry_out().await?;
            self.tell_of_idleness();
            if let Some(watched) = &self.watched {
                watched.show(Status::of(&self.raft));
            }
            if !shutdown.is_empty() {
                return self.shut_down(shutdown).await;
            }
        }
    }

    /// Takes in what has come in and waits, or a part of it.
    fn take_in_all(&mut self, shutdown: &mut Vec<oneshot::Sender<()>>) {
        let messages = self.inbox.len().min(INPUTS_MAX);
        if messages > 0 {
            // They have come in by now.
            let now = self.environment.now();
            for _ in 0..messages {
                let Ok(envelope) = self.inbox.try_recv() else { break };
                self.step_at(now, Input::Receive(envelope));
            }
        }
        for _ in 0..INPUTS_MAX {
            let Ok(request) = self.requests.try_recv() else { break };
            shutdown.extend(self.request(request));
        }
        self.propose();
    }

    fn step(&mut self, input: Input) {
        self.step_at(self.environment.now(), input);
    }

    fn step_at(&mut self, now: Time, input: Input) {
        if let Input::Receive(envelope) = &input {
            self.meter.messages_received += 1;
            self.environment.receives(&self.raft, envelope);
        }
        self.raft.step(now, input);
    }

    /// The store has done something.
    fn done(&mut self, done: Result<Done, S::Error>) -> Result<(), NodeError<S::Error>> {
        let done = done.map_err(|error| {
            self.raft.step(self.environment.now(), Input::WriteFailed);
            NodeError::Store(error)
        })?;
        let now = self.environment.now();
        match done {
            Done::Persisted(writes) => {
                for (token, pieces) in self.writing.drain(..writes.min(self.writing.len())) {
                    if let Some(is_last) = pieces {
                        self.disk_share.has_written(now, is_last);
                    }
                    self.raft.step(now, Input::Persisted(token));
                }
            }
            Done::Loaded(loaded) => match (self.reading.pop_front(), loaded) {
                (Some(Reading::StateMachine(reply)), Loaded::Chunk { chunk, .. }) => drop(reply.send(chunk)),
                (Some(Reading::StateMachine(_)), Loaded::Entries { .. } | Loaded::Damaged { .. })
                | (None, _) => {}
                (Some(Reading::Raft), loaded) => self.raft.step(now, Input::Loaded(loaded)),
            },
        }
        Ok(())
    }

    /// The state machine has something to say.
    fn hear(&mut self, news: News) -> Result<(), NodeError<S::Error>> {
        match news {
            News::Applied => {
                let now = self.environment.now();
                self.meter.worked(now);
                self.step_at(now, Input::Applied);
            }
            News::Answered => self.queries.answered(),
            News::Damaged(index) => {
                return Err(NodeError::Violation(Violation::EntryDamaged { index }));
            }
            News::RestoreFailed(error) => return Err(NodeError::Restore(error)),
            News::Wanted { snapshot, offset, reply } => {
                self.reading.push_back(Reading::StateMachine(reply));
                self.store.load(Load::Chunk { snapshot, offset });
            }
        }
        Ok(())
    }

    fn take_in_piece(&mut self, piece: Piece) {
        match piece {
            Piece::Bytes { snapshot, data, done } => self.step(Input::SnapshotTaken { snapshot, data, done }),
            Piece::Failed { snapshot, reason } => self.step(Input::SnapshotFailed { snapshot, reason }),
        }
    }

    /// Takes in a request; if it is the last one, returns whom to tell when all is done.
    fn request(&mut self, request: Request) -> Option<oneshot::Sender<()>> {
        if !matches!(request, Request::Propose { .. }) {
            // What came in before is done before.
            self.propose();
        }
        match request {
            Request::Propose { command, reply, .. } => {
                self.proposed.take(command, reply, self.waiting.len(), &mut self.meter.requests);
            }
            Request::Read { query, max_lag, .. } => {
                let now = self.environment.now();
                if let Some(id) = self.queries.wait(query, (now, max_lag), &mut self.meter.requests) {
                    self.step(Input::Read(id));
                }
            }
            Request::Snapshot => self.raft.ask_for_snapshot(),
            Request::Transfer { to, reply } => {
                // It has an election timeout from now on.
                self.step(Input::Tick);
                match self.raft.transfer_leadership(to) {
                    Ok(()) => self.transfers.push((to, reply)),
                    Err(refused) => drop(reply.send(Err(NotTransferred::Refused(refused)))),
                }
            }
            Request::Idle { reply } => self.idle.push(reply),
            Request::Status { reply } => drop(reply.send(Status::of(&self.raft))),
            Request::Metrics { reply } => drop(reply.send(Box::new(self.metrics()))),
            Request::Membership { reply } => drop(reply.send(Membership::of(&self.raft))),
            Request::Change { change, reply } => drop(reply.send(change.ask(&mut self.raft))),
            Request::Shutdown { done } => return Some(done),
        }
        None
    }

    /// Does what the core asks for. None of it has to wait for another part of it.
    async fn carry_out(&mut self) -> Result<(), NodeError<S::Error>> {
        let mut effects = std::mem::take(&mut self.spent);
        self.raft.take_effects_into(&mut effects);
        let Effects { write, mut send, apply, restore, take_snapshot, load, reads, events, violation } =
            effects;
        for event in &events {
            self.environment.observe(event);
        }
        self.tell_of_leadership();
        if let Some(violation) = violation {
            return Err(NodeError::Violation(violation));
        }
        if let Some(write) = write {
            self.environment.point(Point::BeforeWrite).await;
            let pieces = self.disk_share.gives(self.environment.now(), &write.batch);
            self.writing.push_back((write.token, pieces));
            self.meter.wrote(&write.batch);
            self.store.write(write.batch);
        }
        if !send.is_empty() {
            self.environment.point(Point::BeforeSend).await;
            self.meter.messages_sent += send.len() as u64;
            send.drain(..).for_each(|envelope| self.transport.send(envelope));
        }
        for load in load {
            self.reading.push_back(Reading::Raft);
            self.store.load(load);
        }
        let work = if let Some(snapshot) = restore {
            Some(Work::Restore(snapshot))
        } else if let Some(snapshot) = take_snapshot {
            Some(Work::Take(snapshot))
        } else {
            (!apply.is_empty()).then(|| Work::Apply(self.with_waiters(&apply)))
        };
        if let Some(work) = work {
            self.meter.handed(&work, self.environment.now());
            if let Work::Restore(snapshot) = &work {
                self.forget_waiters(snapshot.id);
            }
            self.environment.point(Point::BeforeApply).await;
            self.applier.give(work);
        }
        self.queries.hear(reads, &mut self.meter.requests);
        if let Some(queries) = self.queries.next() {
            self.environment.point(Point::BeforeApply).await;
            self.applier.give(Work::Answer(queries));
        }
        self.spent = Effects { send, events, ..Effects::default() };
        Ok(())
    }

    /// Everything that was given to the store becomes durable before the node is gone.
    async fn shut_down(mut self, done: Vec<oneshot::Sender<()>>) -> Result<(), NodeError<S::Error>> {
        while !self.writing.is_empty() {
            let done = self.store.done().await;
            self.done(done)?;
        }
        drop(self.store);
        for waiter in done {
            let _gone_away = waiter.send(());
        }
        Ok(())
    }
}
