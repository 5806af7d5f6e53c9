//! The log writer in production: one thread that takes all the batches that wait, of all groups, writes them
//! as one and syncs once, then reads what was asked for among them. RocksDB's own way to let many threads share
//! a sync is several times slower than one that has it to itself.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, OnceLock, mpsc};
use std::thread::{self, JoinHandle};

use raft_core::node::Done;
use raft_core::{Batch, GroupId, Incarnation, Load, Loaded, Restored};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::database::{Database, Mode, RocksOptions};
use crate::error::StorageError;
use crate::metrics::StorageMeter;
use crate::reading::Reading;
use crate::rocks_log::{RocksLog, Staged};
use crate::tail::Tail;

/// What waits is written once it has this many bytes, so that a backlog does not delay its first batch for
/// ever.
const STAGED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What the thread is asked to do for a store, in order.
enum Job {
    Write(Batch),
    Load(Load),
}

type Report = Result<Done, StorageError>;

/// What the thread is asked to do, in order.
enum Request {
    Do { group: GroupId, job: Job },
    Join { group: GroupId, new_incarnation: Incarnation, reports: UnboundedSender<Report>, joined: Joined },
    Leave { group: GroupId },
}

type Joined = mpsc::Sender<Result<(Restored, Incarnation), StorageError>>;

/// The thread that has a directory open. When this is dropped, what was given is written first, and the directory
/// is closed.
pub(crate) struct Writer {
    /// None only while this is being dropped.
    requests: Option<mpsc::Sender<Request>>,
    thread: Option<JoinHandle<()>>,
    /// Why nothing more is written to the directory.
    poison: Arc<OnceLock<StorageError>>,
    torn_bytes: u64,
    path: Arc<Path>,
    tail_bytes: usize,
    meter: StorageMeter,
}

impl Writer {
    pub(crate) fn start(path: &Path, options: RocksOptions) -> Result<Self, StorageError> {
        let database = Arc::new(Database::open(path, Mode::Production, options)?);
        let torn_bytes = database.torn_bytes();
        let meter = StorageMeter::of(&database);
        let (requests, waiting) = mpsc::channel();
        let poison = Arc::new(OnceLock::new());
        let directory = Directory { database, members: BTreeMap::new(), poison: Arc::clone(&poison) };
        let thread = thread::Builder::new()
            .name("raft-log-writer".into())
            .spawn(move || directory.serve(&waiting))
            .map_err(StorageError::io("starting the log writer"))?;
        let (path, tail_bytes) = (path.into(), options.tail_bytes);
        Ok(Self {
            requests: Some(requests),
            thread: Some(thread),
            poison,
            torn_bytes,
            path,
            tail_bytes,
            meter,
        })
    }

    pub(crate) const fn torn_bytes(&self) -> u64 {
        self.torn_bytes
    }

    pub(crate) const fn meter(&self) -> &StorageMeter {
        &self.meter
    }

    pub(crate) const fn path(&self) -> &Arc<Path> {
        &self.path
    }

    /// A thread that has ended takes nothing more.
    fn ask(&self, request: Request) {
        if let Some(requests) = &self.requests {
            let _refused = requests.send(request);
        }
    }

    /// Why the thread has ended.
    fn ended(&self) -> StorageError {
        let panicked = || StorageError::Io { what: "the log writer", message: "its thread has ended".into() };
        self.poison.get().cloned().unwrap_or_else(panicked)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so itself, and there is nobody left to tell.
            let _panicked = thread.join();
        }
    }
}

/// One group's place at the writer.
pub(crate) struct Seat {
    writer: Arc<Writer>,
    group: GroupId,
    reports: UnboundedReceiver<Report>,
    tail: Tail,
    /// Answers to requests to read, in the order of these.
    answers: VecDeque<Answer>,
    poison: Option<StorageError>,
}

/// Where the answer to a request to read comes from.
enum Answer {
    /// It was in memory.
    Here(Loaded),
    /// The thread reads it.
    Thread,
}

impl Seat {
    /// Opens the group. Waits for the thread.
    pub(crate) fn take(
        writer: Arc<Writer>,
        group: GroupId,
        new_incarnation: Incarnation,
    ) -> Result<(Self, Restored, Incarnation), StorageError> {
        let (sender, reports) = unbounded_channel();
        let (joined, answer) = mpsc::channel();
        writer.ask(Request::Join { group, new_incarnation, reports: sender, joined });
        let (restored, incarnation) = answer.recv().unwrap_or_else(|_| Err(writer.ended()))?;
        let (tail, answers) = (Tail::new(writer.tail_bytes), VecDeque::new());
        Ok((Self { writer, group, reports, tail, answers, poison: None }, restored, incarnation))
    }

    pub(crate) fn meter(&self) -> &StorageMeter {
        self.writer.meter()
    }

    pub(crate) fn write(&mut self, batch: Batch) {
        self.tail.follow(&batch);
        self.give(Job::Write(batch));
    }

    pub(crate) fn load(&mut self, load: Load) {
        if let Some(loaded) = self.tail.read(load) {
            self.answers.push_back(Answer::Here(loaded));
        } else {
            self.answers.push_back(Answer::Thread);
            self.give(Job::Load(load));
        }
    }

    fn give(&self, job: Job) {
        self.writer.ask(Request::Do { group: self.group, job });
    }

    pub(crate) async fn done(&mut self) -> Report {
        if let Some(error) = &self.poison {
            return Err(error.clone());
        }
        if let Some(Answer::Here(_)) = self.answers.front()
            && let Some(Answer::Here(loaded)) = self.answers.pop_front()
        {
            return Ok(Done::Loaded(loaded));
        }
        let report = self.reports.recv().await.unwrap_or_else(|| Err(self.writer.ended()));
        match &report {
            Ok(Done::Loaded(_)) => drop(self.answers.pop_front()),
            Ok(Done::Persisted(_)) => {}
            Err(error) => self.poison = Some(error.clone()),
        }
        report
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.writer.ask(Request::Leave { group: self.group });
    }
}

/// What the thread has.
struct Directory {
    database: Arc<Database>,
    members: BTreeMap<GroupId, Member>,
    poison: Arc<OnceLock<StorageError>>,
}

struct Member {
    log: RocksLog,
    reports: UnboundedSender<Report>,
    /// It was given something that does not join on, or something of it does not check: no more is done for
    /// it. The other groups go on.
    poisoned: bool,
}

impl Member {
    /// Nobody listens to a store that is being dropped, and what it was given is written all the same.
    fn report(&self, report: Report) {
        let _unheard = self.reports.send(report);
    }

    fn poison(&mut self, error: StorageError) {
        self.poisoned = true;
        self.report(Err(error));
    }
}

/// What is done together.
#[derive(Default)]
struct Round {
    staged: Staged,
    readings: Vec<Reading>,
    /// What was given does not join on.
    refused: Vec<(GroupId, StorageError)>,
    /// To be done after all this.
    then: Option<Request>,
}

impl Directory {
    /// The thread: until nobody can ask for more, or until the disk refuses.
    fn serve(mut self, waiting: &mpsc::Receiver<Request>) {
        while let Ok(first) = waiting.recv() {
            let round = self.stage(first, waiting);
            if let Err(error) = self.carry_out(round) {
                for member in self.members.values().filter(|member| !member.poisoned) {
                    member.report(Err(error.clone()));
                }
                tracing::error!(%error, "nothing more is written");
                let _first = self.poison.set(error);
                return;
            }
        }
        Database::close(self.database);
    }

    fn stage(&mut self, first: Request, waiting: &mpsc::Receiver<Request>) -> Round {
        let mut round = Round::default();
        let mut next = Some(first);
        while let Some(request) = next {
            match request {
                Request::Do { group, job } => self.stage_job(group, job, &mut round),
                Request::Join { .. } | Request::Leave { .. } => {
                    round.then = Some(request);
                    return round;
                }
            }
            let is_full = round.staged.bytes() >= STAGED_BYTES_MAX;
            next = if is_full { None } else { waiting.try_recv().ok() };
        }
        round
    }

    fn stage_job(&mut self, group: GroupId, job: Job, round: &mut Round) {
        let refused = |round: &Round| round.refused.iter().any(|(refused, _)| *refused == group);
        let Some(member) = self.members.get_mut(&group).filter(|member| !member.poisoned && !refused(round))
        else {
            return;
        };
        match job {
            Job::Write(batch) => {
                if let Err(error) = member.log.stage(&self.database, &batch, &mut round.staged) {
                    round.refused.push((group, error));
                }
            }
            Job::Load(load) => round.readings.push(member.log.ask(load)),
        }
    }

    /// One sync for all that was staged, then one report to each group, and one for each thing that was read.
    ///
    /// # Errors
    ///
    /// The disk refused: nothing more may be written.
    fn carry_out(&mut self, round: Round) -> Result<(), StorageError> {
        let Round { mut staged, readings, refused, then } = round;
        let batches = staged.batches.clone();
        for group in batches.keys() {
            if let Some(member) = self.members.get_mut(group) {
                member.log.seal(&self.database, &mut staged)?;
            }
        }
        staged.write(&self.database)?;
        for (group, count) in &batches {
            if let Some(member) = self.members.get(group) {
                member.report(Ok(Done::Persisted(*count)));
            }
        }
        for reading in readings {
            self.read(&reading)?;
        }
        for (group, error) in refused {
            if let Some(member) = self.members.get_mut(&group) {
                member.poison(error);
            }
        }
        for group in batches.keys() {
            if let Some(member) = self.members.get_mut(group) {
                member.log.give_back(&self.database)?;
            }
        }
        then.map_or(Ok(()), |request| self.seat(request))
    }

    /// Damage is one group's; a disk that refuses is everybody's.
    fn read(&mut self, reading: &Reading) -> Result<(), StorageError> {
        let Some(member) = self.members.get_mut(&reading.group).filter(|member| !member.poisoned) else {
            return Ok(());
        };
        match reading.read(&self.database) {
            Ok(loaded) => member.report(Ok(Done::Loaded(loaded))),
            Err(error @ StorageError::Corrupt { .. }) => member.poison(error),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn seat(&mut self, request: Request) -> Result<(), StorageError> {
        match request {
            Request::Join { group, new_incarnation, reports, joined } => {
                let answer = self.join(group, new_incarnation, reports);
                let failed = match &answer {
                    Err(error @ (StorageError::Io { .. } | StorageError::Damaged { .. })) => {
                        Err(error.clone())
                    }
                    Ok(_) | Err(_) => Ok(()),
                };
                let _unheard = joined.send(answer);
                failed
            }
            Request::Leave { group } => {
                self.members.remove(&group);
                Ok(())
            }
            Request::Do { .. } => Ok(()),
        }
    }

    fn join(
        &mut self,
        group: GroupId,
        new_incarnation: Incarnation,
        reports: UnboundedSender<Report>,
    ) -> Result<(Restored, Incarnation), StorageError> {
        if self.members.contains_key(&group) {
            return Err(StorageError::Taken { group });
        }
        let log = RocksLog::open(&self.database, group, new_incarnation)?;
        let found = (log.restored(), log.incarnation());
        self.members.insert(group, Member { log, reports, poisoned: false });
        Ok(found)
    }
}
