//! "Consensus: Bridging Theory and Practice", section 6.3 and Figure 6.1: clients' sessions.

use std::io;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use raft_core::LogIndex;
use raft_core::node::{SnapshotReader, StateMachine};
use raft_core::sessions::{Answer, Limits, Request, SessionId, Sessions};
use tokio::io::AsyncReadExt;
use tokio::runtime::{Builder, Runtime};

use crate::bench::PLANTED;

/// Answers each command with all that were applied, this one last.
#[derive(Default)]
struct List(String);

#[async_trait]
impl StateMachine for List {
    async fn apply(&mut self, _: LogIndex, command: Bytes) -> Bytes {
        self.0.push_str(std::str::from_utf8(&command).unwrap());
        self.0.clone().into()
    }

    async fn query(&mut self, _: Bytes) -> Bytes {
        self.0.clone().into()
    }

    async fn snapshot(&mut self) -> io::Result<SnapshotReader> {
        Ok(Box::pin(io::Cursor::new(self.0.clone().into_bytes())))
    }

    async fn restore(&mut self, mut snapshot: SnapshotReader) -> io::Result<()> {
        self.0.clear();
        snapshot.read_to_string(&mut self.0).await.map(drop)
    }
}

/// One server's state machine, and a log that it applies.
struct Server {
    runtime: Runtime,
    machine: Sessions<List>,
    log: u64,
}

impl Server {
    fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let machine = Sessions::new(List::default()).unwrap().with_bug(PLANTED.get());
        Self { runtime, machine, log: 0 }
    }

    fn with_limits(sessions: u64, window: u64, result_bytes: u64) -> Self {
        let mut server = Self::new();
        let limits = Limits::new(sessions, window, result_bytes).unwrap();
        assert_eq!(server.apply(&Request::Limit(limits)), Answer::Limited);
        server
    }

    /// The next entry of the log.
    fn apply(&mut self, request: &Request) -> Answer {
        self.log += 1;
        let (index, command) = (LogIndex::new(self.log), request.encode());
        let answer = self.runtime.block_on(self.machine.apply(index, command));
        Answer::decode(answer).expect("an answer")
    }

    fn register(&mut self) -> SessionId {
        let Answer::Registered { session, .. } = self.apply(&Request::Register) else { panic!("no session") };
        session
    }

    fn ask(&mut self, session: SessionId, sequence: u64, command: &'static str) -> Answer {
        self.ask_with(session, sequence, 1, command)
    }

    fn ask_with(
        &mut self,
        session: SessionId,
        sequence: u64,
        first_unanswered: u64,
        command: &'static str,
    ) -> Answer {
        self.apply(&Request::Command { session, sequence, first_unanswered, command: command.into() })
    }

    fn wait(&self, time: Duration) {
        self.runtime.block_on(async { tokio::time::sleep(time).await });
    }

    /// All commands that were applied, in order.
    fn applied(&self) -> &str {
        &self.machine.machine().0
    }

    /// A server that has nothing of the log but a snapshot of this one.
    fn restarted(&mut self) -> Self {
        let mut restarted = Self { log: self.log, ..Self::new() };
        let snapshot = self.runtime.block_on(self.machine.snapshot()).unwrap();
        restarted.runtime.block_on(restarted.machine.restore(snapshot)).unwrap();
        restarted
    }
}

fn applied(result: &'static str) -> Answer {
    Answer::Applied(result.into())
}

fn repeated(result: &'static str) -> Answer {
    Answer::Repeated(result.into())
}

/// "This allocates the new client's session and returns the client its identifier"; Figure 6.1: "the log index of this
/// register command can be used".
#[test]
pub(crate) fn registering_allocates_a_session_named_by_its_log_index() {
    let mut server = Server::new();
    assert_eq!(server.register(), SessionId::new(1));
    assert_eq!(server.ask(SessionId::new(1), 1, "a"), applied("a"));
    assert_eq!(server.register(), SessionId::new(3));
}

/// "If a server receives a command whose serial number has already been executed, it responds immediately without
/// re-executing the request."
#[test]
pub(crate) fn a_serial_number_that_was_executed_is_not_executed_again() {
    let mut server = Server::new();
    let session = server.register();
    assert_eq!(server.ask(session, 1, "a"), applied("a"));
    for _ in 0..3 {
        assert_eq!(server.ask(session, 1, "a"), repeated("a"));
    }
    assert_eq!(server.applied(), "a");
}

/// "Commands take effect instantaneously and exactly once according to their first appearance in the Raft log, since any
/// subsequent appearances are filtered out by the state machines". Those of one client may be in any order there.
#[test]
pub(crate) fn commands_take_effect_according_to_their_first_appearance_in_the_log() {
    let mut server = Server::new();
    let (one, two) = (server.register(), server.register());
    for (session, sequence, command) in [
        (one, 2, "b"),
        (two, 1, "x"),
        (one, 1, "a"),
        (one, 2, "b"),
        (two, 1, "x"),
        (one, 3, "c"),
        (one, 1, "a"),
    ] {
        let _ = server.ask(session, sequence, command);
    }
    assert_eq!(server.applied(), "bxac");
}

/// "Instead of the client's session tracking just the client's most recent sequence number and response, it includes a
/// set of sequence number and response pairs."
#[test]
pub(crate) fn a_session_is_a_set_of_number_and_response_pairs() {
    let mut server = Server::new();
    let session = server.register();
    assert_eq!(server.ask(session, 3, "c"), applied("c"));
    assert_eq!(server.ask(session, 1, "a"), applied("ca"));
    assert_eq!(server.ask(session, 2, "b"), applied("cab"));
    for (sequence, command, result) in [(1, "a", "ca"), (2, "b", "cab"), (3, "c", "c")] {
        assert_eq!(server.ask(session, sequence, command), repeated(result));
    }
    assert_eq!(server.applied(), "cab");
}

/// "With each request, the client includes the lowest sequence number for which it has not yet received a response, and
/// the state machine then discards all responses for lower sequence numbers." And no others.
#[test]
pub(crate) fn the_state_machine_discards_all_responses_for_lower_numbers() {
    let mut server = Server::new();
    let session = server.register();
    for (sequence, command) in [(1, "a"), (2, "b"), (3, "c")] {
        let _ = server.ask(session, sequence, command);
    }
    let full = server.machine.table().result_bytes();
    assert_eq!(server.ask_with(session, 4, 3, "d"), applied("abcd"));
    assert!(server.machine.table().result_bytes() < full, "two are gone and one has come");
    assert_eq!(server.ask(session, 3, "c"), repeated("abc"));
    assert_eq!(server.ask(session, 2, "b"), Answer::SequenceForgotten);
    assert_eq!(server.applied(), "abcd");
}

/// Figure 6.1: "Reply SESSION_EXPIRED if no record of clientId or if the response for client's sequenceNum already
/// discarded". The two are told apart here; that of a number which was given up without an answer is neither applied late.
#[test]
pub(crate) fn a_command_whose_response_was_discarded_is_not_processed() {
    let mut server = Server::new();
    let session = server.register();
    assert_eq!(server.ask_with(session, 2, 2, "b"), applied("b"));
    assert_eq!(server.ask(session, 1, "a"), Answer::SequenceForgotten);
    let keep_alive = Request::KeepAlive { session, first_unanswered: 9 };
    assert_eq!(server.apply(&keep_alive), Answer::KeptAlive);
    assert_eq!(server.ask(session, 8, "h"), Answer::SequenceForgotten);
    assert_eq!(server.applied(), "b");
}

/// "To avoid such problems, session expiry must be deterministic, just as normal state machine operations must be."
/// Whatever the time is where it is applied, and whatever snapshots a server has been through.
#[test]
pub(crate) fn session_expiry_is_deterministic() {
    let mut servers = [Server::with_limits(2, 8, 1 << 20), Server::with_limits(2, 8, 1 << 20)];
    let [first, second, third] = [2, 3, 6].map(SessionId::new);
    let command =
        |session, sequence| Request::Command { session, sequence, first_unanswered: 1, command: "x".into() };
    let log = [
        Request::Register,
        Request::Register,
        command(first, 1),
        command(second, 1),
        Request::Register,
        command(first, 1),
        command(second, 1),
        command(third, 1),
    ];
    for (at, request) in log.iter().enumerate() {
        servers[1].wait(Duration::from_secs(at as u64 * 20));
        if at == 4 {
            servers[0] = servers[0].restarted();
        }
        let answers = servers.each_mut().map(|server| server.apply(request));
        assert_eq!(answers[0], answers[1], "entry {}", at + 2);
        assert_eq!(servers[0].machine.table(), servers[1].machine.table());
    }
    assert_eq!((servers[0].applied(), servers[1].applied()), ("xxx", "xxx"));
}

/// "One option is to set an upper bound on the number of sessions and remove entries using an LRU (least recently used)
/// policy."
#[test]
pub(crate) fn beyond_the_upper_bound_the_least_recently_used_session_goes() {
    let mut server = Server::with_limits(3, 8, 1 << 20);
    let [one, two, three] = [(); 3].map(|()| server.register());
    let _ = server.ask(one, 1, "a");
    let four = server.register();
    let has = |server: &Server| [one, two, three, four].map(|session| server.machine.table().has(session));
    assert_eq!(has(&server), [true, false, true, true]);
    assert_eq!(server.ask(two, 1, "b"), Answer::SessionExpired);
    server.register();
    assert_eq!(has(&server), [true, false, false, true]);
}

/// "Live clients issue keep-alive requests during periods of inactivity [...] in order to maintain their sessions."
#[test]
pub(crate) fn keep_alive_requests_maintain_a_session() {
    let mut server = Server::with_limits(2, 8, 1 << 20);
    let (kept, not_kept) = (server.register(), server.register());
    let keep_alive = |session| Request::KeepAlive { session, first_unanswered: 1 };
    for _ in 0..9 {
        assert_eq!(server.apply(&keep_alive(kept)), Answer::KeptAlive);
        server.register();
    }
    assert_eq!(server.apply(&keep_alive(not_kept)), Answer::SessionExpired);
    assert_eq!(server.ask(kept, 1, "a"), applied("a"));
}

/// "If a state machine encounters a command with no record of the session, it does not process the command and instead
/// returns an error to the client." As often as it comes, and whether it was processed before or not.
#[test]
pub(crate) fn a_command_with_no_record_of_its_session_is_not_processed() {
    let mut server = Server::with_limits(1, 8, 1 << 20);
    let expired = server.register();
    assert_eq!(server.ask(expired, 1, "a"), applied("a"));
    let live = server.register();
    for sequence in [1, 1, 2, 2] {
        assert_eq!(server.ask(expired, sequence, "a"), Answer::SessionExpired);
    }
    assert_eq!(server.ask(live, 1, "b"), applied("ab"));
    assert_eq!(server.apply(&Request::Unregister { session: live }), Answer::Unregistered);
    assert_eq!(server.ask(live, 2, "c"), Answer::SessionExpired);
    assert_eq!(server.apply(&Request::Unregister { session: live }), Answer::SessionExpired);
    assert_eq!(server.applied(), "ab");
}

/// "To provide stricter guarantees, servers need to distinguish a new client from a client whose session was expired."
/// No new session ever has the id of an old one, after a snapshot neither.
#[test]
pub(crate) fn a_new_client_is_told_from_one_whose_session_was_expired() {
    let mut server = Server::with_limits(1, 8, 1 << 20);
    let mut given = Vec::new();
    for _ in 0..9 {
        let session = server.register();
        assert!(!given.contains(&session));
        assert!(given.iter().all(|&old| server.ask(old, 1, "a") == Answer::SessionExpired));
        given.push(session);
        server = server.restarted();
    }
}

/// "Each server's state machine maintains a session for each client. The session tracks the latest serial number
/// processed for the client, along with the associated response." As a part of the state machine it is in its snapshots.
#[test]
pub(crate) fn each_state_machine_maintains_a_session_for_each_client() {
    let mut server = Server::new();
    let (one, two) = (server.register(), server.register());
    assert_eq!(server.ask(one, 1, "a"), applied("a"));
    assert_eq!(server.ask(two, 1, "b"), applied("ab"));
    let mut restarted = server.restarted();
    for server in [&mut server, &mut restarted] {
        assert_eq!(server.ask(one, 1, "a"), repeated("a"));
        assert_eq!(server.ask(two, 1, "b"), repeated("ab"));
        assert_eq!(server.ask(two, 2, "c"), applied("abc"));
    }
    assert_eq!(server.machine.table(), restarted.machine.table());
}
