//! The table against one that is slow and obvious, over random logs.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use raft_core::LogIndex;
use raft_core::sessions::{Admitted, Answer, Limits, Request, SessionId, Table};

/// A table that remembers every request and every result for ever, and looks through all of them each time.
struct Slow {
    limits: Limits,
    sessions: Vec<Session>,
}

struct Session {
    id: SessionId,
    /// The entries that were of this session.
    entries: Vec<u64>,
    /// What it said of the lowest unanswered number, each time.
    lowest: Vec<u64>,
    /// Number, result.
    applied: Vec<(u64, Bytes)>,
    is_over: bool,
}

impl Session {
    fn lowest(&self) -> u64 {
        *self.lowest.iter().max().unwrap()
    }

    fn kept(&self) -> impl Iterator<Item = &(u64, Bytes)> {
        self.applied.iter().filter(|(sequence, _)| *sequence >= self.lowest())
    }
}

impl Slow {
    fn new() -> Self {
        Self { limits: Limits::INITIAL, sessions: Vec::new() }
    }

    fn apply(&mut self, index: u64, request: Request, result: &Bytes) -> Answer {
        let answer = match request {
            Request::Register => {
                let id = SessionId::new(index);
                let (entries, lowest, applied) = (vec![index], vec![1], Vec::new());
                self.sessions.push(Session { id, entries, lowest, applied, is_over: false });
                Answer::Registered { session: id, window: self.limits.window() }
            }
            Request::Command { session, sequence, first_unanswered, .. } => {
                let window = self.limits.window();
                match self.used(index, session, first_unanswered) {
                    None => Answer::SessionExpired,
                    Some(session) if sequence < session.lowest() => Answer::SequenceForgotten,
                    Some(session) => match session.applied.iter().find(|(applied, _)| *applied == sequence) {
                        Some((_, result)) => Answer::Repeated(result.clone()),
                        None if sequence - session.lowest() >= window => Answer::TooFarAhead,
                        None => {
                            session.applied.push((sequence, result.clone()));
                            Answer::Applied(result.clone())
                        }
                    },
                }
            }
            Request::KeepAlive { session, first_unanswered } => self
                .used(index, session, first_unanswered)
                .map_or(Answer::SessionExpired, |_| Answer::KeptAlive),
            Request::Unregister { session } => match self.live(session) {
                None => Answer::SessionExpired,
                Some(session) => {
                    session.is_over = true;
                    Answer::Unregistered
                }
            },
            Request::Limit(limits) => {
                self.limits = limits;
                Answer::Limited
            }
            Request::Plain { .. } => Answer::Applied(result.clone()),
        };
        self.expire();
        answer
    }

    fn live(&mut self, id: SessionId) -> Option<&mut Session> {
        self.sessions.iter_mut().find(|session| session.id == id && !session.is_over)
    }

    fn used(&mut self, index: u64, id: SessionId, first_unanswered: u64) -> Option<&mut Session> {
        let session = self.live(id)?;
        session.entries.push(index);
        session.lowest.push(first_unanswered);
        Some(session)
    }

    fn result_bytes(&self) -> u64 {
        let live = self.sessions.iter().filter(|session| !session.is_over);
        live.flat_map(Session::kept).map(|(_, result)| result.len() as u64 + 64).sum()
    }

    fn len(&self) -> usize {
        self.sessions.iter().filter(|session| !session.is_over).count()
    }

    fn expire(&mut self) {
        while self.len() as u64 > self.limits.sessions() || self.result_bytes() > self.limits.result_bytes() {
            let live = self.sessions.iter_mut().filter(|session| !session.is_over);
            live.min_by_key(|session| *session.entries.last().unwrap()).unwrap().is_over = true;
        }
    }
}

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    /// A request, and how long its result is if it is applied.
    Ask(Request, usize),
    /// The server is one now that has nothing but a snapshot.
    Restore,
    /// It is one now that has nothing but what it has kept of each session.
    Restart,
}

/// Sessions and numbers are small, so that they meet; there are some that nobody has.
fn step() -> impl Strategy<Value = Step> {
    let session = || (0_u64..24).prop_map(SessionId::new);
    let command = (session(), 0_u64..9, 0_u64..6).prop_map(|(session, sequence, first_unanswered)| {
        Request::Command { session, sequence, first_unanswered, command: "x".into() }
    });
    let keep_alive = (session(), 0_u64..6)
        .prop_map(|(session, first_unanswered)| Request::KeepAlive { session, first_unanswered });
    let limit = (1_u64..6, 1_u64..6, 100_u64..900)
        .prop_map(|(sessions, window, bytes)| Request::Limit(Limits::new(sessions, window, bytes).unwrap()));
    let request = prop_oneof![
        6 => Just(Request::Register),
        40 => command,
        3 => keep_alive,
        1 => session().prop_map(|session| Request::Unregister { session }),
        1 => limit,
        3 => Just(Request::Plain { command: "x".into() }),
    ];
    prop_oneof![30 => (request, 0_usize..200).prop_map(|(request, len)| Step::Ask(request, len)), 1 => Just(Step::Restore), 1 => Just(Step::Restart)]
}

/// What is applied of a log, and whether a session's number ever was twice.
fn run(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let (mut table, mut slow) = (Table::default().noting_changes(), Slow::new());
    let mut kept: BTreeMap<SessionId, Bytes> = BTreeMap::new();
    let mut applied: Vec<(SessionId, u64)> = Vec::new();
    for (index, step) in (1..).zip(steps) {
        let (request, len) = match step {
            Step::Ask(request, len) => (request, len),
            Step::Restore => {
                table = Table::decode(&table.encode()).unwrap().noting_changes();
                continue;
            }
            Step::Restart => {
                let limits = Limits::decode(table.limits().encode()).unwrap();
                let restarted = Table::of_sessions(limits, kept.clone()).unwrap();
                prop_assert_eq!(&restarted, &table);
                table = restarted.noting_changes();
                continue;
            }
        };
        let result = Bytes::from(vec![u8::try_from(index % 251).unwrap(); len]);
        let expected = slow.apply(index, request.clone(), &result);
        let on_the_wire = Request::decode(request.encode()).unwrap();
        let answer = match table.admit(LogIndex::new(index), on_the_wire) {
            Admitted::Answer(answer) => answer,
            Admitted::Plain { command } => {
                prop_assert_eq!(Request::Plain { command }, request);
                Answer::Applied(result)
            }
            Admitted::Apply { place, .. } => {
                let Request::Command { session, sequence, .. } = request else { panic!("{request:?}") };
                prop_assert!(!applied.contains(&(session, sequence)), "{session}, {sequence}");
                applied.push((session, sequence));
                table.record(place, result)
            }
        };
        for (session, held) in table.take_changes() {
            match held {
                Some(held) => drop(kept.insert(session, held)),
                None => drop(kept.remove(&session)),
            }
        }
        prop_assert_eq!(&answer, &expected, "entry {}", index);
        prop_assert_eq!(Answer::decode(answer.encode()), Some(expected));
        prop_assert_eq!((table.len(), table.result_bytes()), (slow.len(), slow.result_bytes()));
        let live = slow.sessions.iter().filter(|session| !session.is_over);
        prop_assert!(live.map(|session| session.id).all(|session| table.has(session)));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_table_does_what_a_slow_and_obvious_one_does(steps in prop::collection::vec(step(), 1..200)) {
        run(steps)?;
    }
}
