//! A client's end of a session: what it asks again, what it makes of each answer, and what it says in the end.

use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use raft_core::node::{Environment, SnapshotReader, StateMachine, TokioEnvironment};
use raft_core::sessions::{
    Answer, ClientSession, CommandError, Limits, Proposed, Proposer, RegisterError, Request, Retries,
    Sessions,
};
use raft_core::{LogIndex, Time};

/// Answers each command with how many came before it.
struct Counter(u64);

#[async_trait]
impl StateMachine for Counter {
    async fn apply(&mut self, _: LogIndex, _: Bytes) -> Bytes {
        self.0 += 1;
        self.0.to_string().into()
    }

    async fn query(&mut self, _: Bytes) -> Bytes {
        Bytes::new()
    }

    async fn snapshot(&mut self) -> io::Result<SnapshotReader> {
        Err(io::Error::other("nobody asks for one"))
    }

    async fn restore(&mut self, _: SnapshotReader) -> io::Result<()> {
        Err(io::Error::other("nobody asks for one"))
    }
}

/// What becomes of one try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It is applied and answered.
    Good,
    /// It is applied, and the answer is lost.
    AnswerLost,
    /// It is lost, and nobody knows.
    Lost,
    /// Nobody takes it.
    Refused,
    /// It is applied, and nobody says anything.
    Silence,
    /// Something without sessions answers.
    Alien,
}

/// A server and the way to it, which goes as the test says and then well.
#[derive(Clone)]
struct Way(Arc<Mutex<Inner>>);

struct Inner {
    machine: Sessions<Counter>,
    index: LogIndex,
    fates: VecDeque<Fate>,
    tries: Vec<Request>,
}

impl Inner {
    /// The next entry of the log. Nothing of it waits.
    async fn apply(&mut self, request: Bytes) -> Bytes {
        self.index = self.index.next();
        self.machine.apply(self.index, request).await
    }
}

impl Way {
    fn new() -> Self {
        let machine = Sessions::new(Counter(0)).unwrap();
        let (index, fates, tries) = (LogIndex::ZERO, VecDeque::new(), Vec::new());
        Self(Arc::new(Mutex::new(Inner { machine, index, fates, tries })))
    }

    fn goes(&self, fates: &[Fate]) {
        self.with(|inner| inner.fates = fates.iter().copied().collect());
    }

    /// Another client's entry of the log.
    fn apply(&self, request: &Request) -> Answer {
        Answer::decode(self.applied(request.encode())).unwrap()
    }

    fn applied(&self, request: Bytes) -> Bytes {
        self.with(|inner| {
            let mut applying = Box::pin(inner.apply(request));
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            match applying.as_mut().poll(&mut context) {
                std::task::Poll::Ready(answer) => answer,
                std::task::Poll::Pending => panic!("nothing of it waits"),
            }
        })
    }

    fn count(&self) -> u64 {
        self.with(|inner| inner.machine.machine().0)
    }

    fn tries(&self) -> Vec<Request> {
        self.with(|inner| std::mem::take(&mut inner.tries))
    }

    fn with<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        work(&mut self.0.lock().unwrap())
    }
}

impl Proposer for Way {
    async fn propose(&self, request: Bytes, _: Time) -> Proposed {
        let fate = self.with(|inner| {
            inner.tries.push(Request::decode(request.clone()).unwrap());
            inner.fates.pop_front().unwrap_or(Fate::Good)
        });
        match fate {
            Fate::Good => Proposed::Answered(self.applied(request)),
            Fate::AnswerLost => {
                self.applied(request);
                Proposed::Unknown
            }
            Fate::Lost => Proposed::Unknown,
            Fate::Refused => Proposed::NotApplied,
            Fate::Silence => {
                self.applied(request);
                pending().await
            }
            Fate::Alien => Proposed::Answered("hello".into()),
        }
    }
}

type Session = ClientSession<Way, TokioEnvironment>;

const RETRIES: Retries = Retries { patience: Duration::from_secs(1), rest: Duration::from_millis(20) };

fn in_a_minute(clock: TokioEnvironment) -> Time {
    clock.now().after(Duration::from_secs(60))
}

async fn session() -> (Way, TokioEnvironment, Session) {
    let (way, clock) = (Way::new(), TokioEnvironment::new());
    let session = ClientSession::register(way.clone(), clock, RETRIES, in_a_minute(clock)).await.unwrap();
    way.tries();
    (way, clock, session)
}

/// Each row: what becomes of the tries. All of them have the same number, the last one is answered, and there is one count.
#[tokio::test(start_paused = true)]
async fn what_nobody_knows_of_is_asked_again_under_the_same_number() {
    use Fate::{AnswerLost, Lost, Refused, Silence};
    let (way, clock, session) = session().await;
    let rows: [&[Fate]; 7] = [
        &[],
        &[Refused, Refused],
        &[Lost],
        &[AnswerLost],
        &[Silence, Silence],
        &[AnswerLost, Refused, Silence, Lost, AnswerLost],
        &[Lost, AnswerLost, AnswerLost],
    ];
    for (count, fates) in (1..).zip(rows) {
        way.goes(fates);
        let result = session.command("x".into(), in_a_minute(clock)).await;
        assert_eq!((result, way.count()), (Ok(count.to_string().into()), count), "{fates:?}");
        let tries = way.tries();
        assert_eq!(tries.len(), fates.len() + 1);
        for request in tries {
            let Request::Command { sequence, first_unanswered, .. } = request else { panic!("{request:?}") };
            assert_eq!((sequence, first_unanswered), (count, count));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn time_that_is_up_is_told_for_what_it_means() {
    let (way, clock, session) = session().await;
    for (fate, error, count) in [
        (Fate::Refused, CommandError::NotApplied, 0),
        (Fate::Lost, CommandError::Unknown, 0),
        (Fate::Silence, CommandError::Unknown, 1),
        (Fate::Alien, CommandError::NoSessions, 1),
    ] {
        way.goes(&[fate; 9_999]);
        let (began, deadline) = (clock.now(), clock.now().after(Duration::from_millis(2_500)));
        assert_eq!(session.command("x".into(), deadline).await, Err(error), "{fate:?}");
        assert_eq!(way.count(), count, "{fate:?}");
        let took = clock.now().since(began);
        assert!(took <= Duration::from_millis(2_501) && (fate == Fate::Alien) == took.is_zero(), "{took:?}");
    }
}

/// What was given up is not applied late: the next command has seen to that.
#[tokio::test(start_paused = true)]
async fn what_was_given_up_is_never_applied_after_a_later_command() {
    let (way, clock, session) = session().await;
    way.goes(&[Fate::Lost; 9_999]);
    let soon = clock.now().after(Duration::from_millis(100));
    assert_eq!(session.command("x".into(), soon).await, Err(CommandError::Unknown));
    let late = way.tries().pop().unwrap();
    way.goes(&[]);
    assert_eq!(session.command("y".into(), in_a_minute(clock)).await, Ok("1".into()));
    assert_eq!(way.apply(&late), Answer::SequenceForgotten);
    // The same of a future that is dropped.
    way.goes(&[Fate::Silence]);
    let dropped =
        tokio::time::timeout(Duration::from_millis(10), session.command("z".into(), in_a_minute(clock)));
    assert!(dropped.await.is_err());
    let late = way.tries().pop().unwrap();
    assert_eq!(session.command("x".into(), in_a_minute(clock)).await, Ok("3".into()));
    assert_eq!((way.apply(&late), way.count()), (Answer::SequenceForgotten, 3));
}

/// What was sent while a lower number was under way says nothing about the numbers in between.
#[tokio::test(start_paused = true)]
async fn what_was_given_up_may_be_applied_after_a_later_command_while_an_earlier_one_is_under_way() {
    let (way, clock, session) = session().await;
    way.goes(&[Fate::Lost; 9_999]);
    let mut slow = std::pin::pin!(session.command("x".into(), in_a_minute(clock)));
    assert!(tokio::time::timeout(RETRIES.rest / 2, &mut slow).await.is_err());
    let soon = clock.now().after(Duration::from_millis(100));
    assert_eq!(session.command("y".into(), soon).await, Err(CommandError::Unknown));
    let late = way.tries().pop().unwrap();
    way.goes(&[]);
    assert_eq!(session.command("z".into(), in_a_minute(clock)).await, Ok("1".into()));
    assert_eq!(way.apply(&late), Answer::Applied("2".into()));
    assert_eq!(slow.await, Ok("3".into()));
    // Nothing lower is under way any more.
    assert_eq!(session.command("z".into(), in_a_minute(clock)).await, Ok("4".into()));
    assert_eq!((way.apply(&late), way.count()), (Answer::SequenceForgotten, 4));
}

/// Each row: what becomes of the tries of one command after the session has gone, or before and after; and whether it may
/// have been applied.
#[tokio::test(start_paused = true)]
async fn an_expired_session_is_told_and_nothing_is_applied() {
    for (fates, gone_first, maybe_applied) in [
        (&[][..], true, false),
        (&[Fate::Refused], true, false),
        (&[Fate::Lost], true, true),
        (&[Fate::AnswerLost], false, true),
    ] {
        let (way, clock, session) = session().await;
        let expire = || {
            let narrow = Limits::new(1, 1, 1_000).unwrap();
            assert_eq!(way.apply(&Request::Limit(narrow)), Answer::Limited);
            assert!(matches!(way.apply(&Request::Register), Answer::Registered { .. }));
        };
        way.goes(fates);
        let command = session.command("x".into(), in_a_minute(clock));
        let error = if gone_first {
            expire();
            command.await
        } else {
            let mut command = std::pin::pin!(command);
            // The first try is over, and it rests.
            assert!(tokio::time::timeout(RETRIES.rest / 2, &mut command).await.is_err());
            expire();
            command.await
        };
        assert_eq!(error, Err(CommandError::SessionExpired { maybe_applied }), "{fates:?}");
        assert_eq!(way.count(), u64::from(!gone_first));
        let again = session.command("x".into(), in_a_minute(clock)).await;
        assert_eq!(again, Err(CommandError::SessionExpired { maybe_applied: false }));
        assert_eq!(way.count(), u64::from(!gone_first));
        let alive = session.keep_alive(in_a_minute(clock)).await;
        assert_eq!(alive, Err(CommandError::SessionExpired { maybe_applied: false }));
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_has_as_many_commands_under_way_as_its_window_has() {
    let way = Way::new();
    assert_eq!(way.apply(&Request::Limit(Limits::new(4, 3, 1 << 20).unwrap())), Answer::Limited);
    let clock = TokioEnvironment::new();
    let session = ClientSession::register(way.clone(), clock, RETRIES, in_a_minute(clock)).await.unwrap();
    way.goes(&[Fate::AnswerLost; 3]);
    let ask = || session.command("x".into(), in_a_minute(clock));
    let (one, two, three, four) = tokio::join!(biased; ask(), ask(), ask(), ask());
    assert_eq!(four, Err(CommandError::TooManyUnderWay));
    assert_eq!([one, two, three], ["1", "2", "3"].map(|count| Ok(count.into())));
    assert_eq!(way.count(), 3);
    assert_eq!(ask().await, Ok("4".into()), "there is room again");
}

/// Servers whose window became narrower than the client knows: it waits.
#[tokio::test(start_paused = true)]
async fn whoever_is_too_far_ahead_asks_again() {
    let (way, clock, session) = session().await;
    assert_eq!(way.apply(&Request::Limit(Limits::new(4, 1, 1 << 20).unwrap())), Answer::Limited);
    way.goes(&[Fate::Refused; 5]);
    let ask = || session.command("x".into(), in_a_minute(clock));
    let (one, two) = tokio::join!(biased; ask(), ask());
    assert_eq!((one, two), (Ok("1".into()), Ok("2".into())));
    assert!(way.tries().len() > 7, "the second was answered too far ahead at least once");
}

#[tokio::test(start_paused = true)]
async fn a_session_is_registered_and_ended() {
    let (way, clock) = (Way::new(), TokioEnvironment::new());
    let register = |deadline| ClientSession::register(way.clone(), clock, RETRIES, deadline);
    way.goes(&[Fate::Refused, Fate::AnswerLost, Fate::Silence]);
    let session = register(in_a_minute(clock)).await.unwrap();
    assert_eq!(session.id().get(), 3, "two more are there that nobody uses");
    assert_eq!(session.keep_alive(in_a_minute(clock)).await, Ok(()));
    assert_eq!(session.unregister(in_a_minute(clock)).await, Ok(()));
    assert_eq!(way.with(|inner| inner.machine.table().len()), 2);
    way.goes(&[Fate::Lost; 9_999]);
    let soon = clock.now().after(Duration::from_millis(100));
    assert_eq!(register(soon).await.err().unwrap(), RegisterError::NoAnswer);
    way.goes(&[Fate::Alien]);
    assert_eq!(register(in_a_minute(clock)).await.err().unwrap(), RegisterError::NoSessions);
}
