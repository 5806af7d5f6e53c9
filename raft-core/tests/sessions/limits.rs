//! What bounds a table, and what it does at its bounds.

use bytes::Bytes;
use raft_core::LogIndex;
use raft_core::sessions::{Admitted, Answer, Limits, Numbers, Request, SessionId, Table};

/// A table, and a state machine that answers what it is asked.
struct Echo {
    table: Table,
    index: u64,
}

impl Echo {
    fn new(sessions: u64, window: u64, result_bytes: u64) -> Self {
        let mut echo = Self { table: Table::default(), index: 0 };
        let limits = Limits::new(sessions, window, result_bytes).unwrap();
        assert_eq!(echo.apply(Request::Limit(limits)), Answer::Limited);
        echo
    }

    fn apply(&mut self, request: Request) -> Answer {
        self.index += 1;
        let answer = match self.table.admit(LogIndex::new(self.index), request) {
            Admitted::Answer(answer) => answer,
            Admitted::Plain { command } => panic!("{command:?} is of no session"),
            Admitted::Apply { command, place } => self.table.record(place, command),
        };
        let limits = self.table.limits();
        assert!(self.table.len() as u64 <= limits.sessions());
        assert!(self.table.result_bytes() <= limits.result_bytes());
        answer
    }

    fn register(&mut self) -> SessionId {
        let Answer::Registered { session, .. } = self.apply(Request::Register) else { panic!("no session") };
        session
    }

    fn ask(&mut self, session: SessionId, sequence: u64, bytes: usize) -> Answer {
        let command = Bytes::from(vec![b'x'; bytes]);
        self.apply(Request::Command { session, sequence, first_unanswered: 1, command })
    }
}

/// Each row: limits, and whether there can be such.
#[test]
fn limits_have_limits() {
    for (sessions, window, fits) in [
        (1, 1, true),
        (1 << 20, 1 << 16, true),
        (0, 1, false),
        (1, 0, false),
        ((1 << 20) + 1, 1, false),
        (1, (1 << 16) + 1, false),
    ] {
        assert_eq!(Limits::new(sessions, window, 0).is_some(), fits, "{sessions} {window}");
    }
    assert_eq!(Table::default().limits(), Limits::INITIAL);
}

#[test]
fn whoever_is_too_far_ahead_of_the_lowest_unanswered_has_to_wait() {
    let mut echo = Echo::new(4, 3, 1 << 20);
    let session = echo.register();
    assert_eq!(echo.ask(session, 4, 1), Answer::TooFarAhead);
    assert_eq!(echo.ask(session, u64::MAX, 1), Answer::TooFarAhead);
    for sequence in [3, 2] {
        assert!(matches!(echo.ask(session, sequence, 1), Answer::Applied(_)));
    }
    assert_eq!(echo.ask(session, 4, 1), Answer::TooFarAhead, "it was applied neither time");
    assert!(matches!(echo.ask(session, 1, 1), Answer::Applied(_)), "the lowest has its place always");
    let command = "x".into();
    let next = Request::Command { session, sequence: 4, first_unanswered: 2, command };
    assert!(matches!(echo.apply(next), Answer::Applied(_)));
}

/// A client that keeps to [`Numbers`] is never too far ahead.
#[test]
fn numbers_are_given_out_as_far_as_the_servers_take_them() {
    let mut echo = Echo::new(4, 3, 1 << 20);
    let mut numbers = Numbers::new(echo.register(), 3);
    let taken: Vec<_> = std::iter::from_fn(|| numbers.take()).collect();
    assert_eq!(taken, [1, 2, 3]);
    for sequence in [2, 3] {
        assert!(matches!(echo.apply(numbers.request(sequence, "x".into())), Answer::Applied(_)));
        numbers.answered(sequence);
        assert_eq!(numbers.take(), None, "the first one is still under way");
    }
    assert!(matches!(echo.apply(numbers.request(1, "x".into())), Answer::Applied(_)));
    numbers.answered(1);
    assert_eq!((numbers.first_unanswered(), numbers.take()), (4, Some(4)));
    assert_eq!(echo.apply(numbers.keep_alive()), Answer::KeptAlive);
    assert_eq!(echo.table.result_bytes(), 0, "the client has all of them");
}

/// A result counts for 64 bytes more than it has.
#[test]
fn with_too_many_bytes_of_results_the_least_recently_used_sessions_go() {
    let mut echo = Echo::new(9, 9, 1_000);
    let [one, two, three] = [(); 3].map(|()| echo.register());
    for (session, bytes) in [(one, 300), (two, 200), (three, 100)] {
        assert!(matches!(echo.ask(session, 1, bytes), Answer::Applied(_)));
    }
    assert_eq!(echo.table.result_bytes(), 300 + 200 + 100 + 3 * 64);
    assert!(matches!(echo.ask(one, 2, 144), Answer::Applied(_)));
    assert_eq!((echo.table.result_bytes(), echo.table.len()), (1_000, 3));
    assert!(matches!(echo.ask(three, 2, 0), Answer::Applied(_)));
    assert_eq!([one, two, three].map(|session| echo.table.has(session)), [true, false, true]);
    assert_eq!(echo.table.result_bytes(), 300 + 144 + 100 + 4 * 64);
}

/// It is told its result, and then that its session has expired.
#[test]
fn a_result_larger_than_all_may_be_costs_its_session() {
    let mut echo = Echo::new(9, 9, 1_000);
    let (one, two) = (echo.register(), echo.register());
    assert!(matches!(echo.ask(two, 1, 937), Answer::Applied(_)));
    assert_eq!([one, two].map(|session| echo.table.has(session)), [false, false]);
    assert_eq!(echo.ask(two, 1, 937), Answer::SessionExpired);
}

#[test]
fn narrower_limits_hold_at_once() {
    let mut echo = Echo::new(9, 9, 1_000);
    let sessions = [(); 4].map(|()| echo.register());
    for session in sessions {
        assert!(matches!(echo.ask(session, 1, 36), Answer::Applied(_)));
    }
    for (limits, left) in [((9, 9, 399), 3), ((2, 9, 399), 2), ((9, 9, 400), 2), ((9, 9, 0), 0)] {
        let (max, window, bytes) = limits;
        assert_eq!(echo.apply(Request::Limit(Limits::new(max, window, bytes).unwrap())), Answer::Limited);
        assert_eq!(echo.table.len(), left, "{limits:?}");
        assert!(sessions[4 - left..].iter().all(|&session| echo.table.has(session)), "{limits:?}");
    }
}

/// Nor does a hostile client reach anything but its own session.
#[test]
fn no_request_is_beyond_the_table() {
    let mut echo = Echo::new(2, 2, 100);
    let mine = echo.register();
    for number in [0, 1, u64::MAX] {
        for first_unanswered in [0, 1, u64::MAX] {
            let session = SessionId::new(number);
            let command = Bytes::new();
            let _ = echo.apply(Request::Command {
                session: mine,
                sequence: number,
                first_unanswered,
                command: command.clone(),
            });
            if session != mine {
                let asked = Request::Command { session, sequence: 1, first_unanswered, command };
                assert_eq!(echo.apply(asked), Answer::SessionExpired);
                assert_eq!(
                    echo.apply(Request::KeepAlive { session, first_unanswered }),
                    Answer::SessionExpired
                );
            }
        }
    }
    assert!(echo.table.has(mine));
}
