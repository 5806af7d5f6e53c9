//! The tests of part 4A, and the one of 4C that is of the same layer: a counter that is replicated through
//! `Handle::propose`, whose callers wait for their commands to be applied.

use std::io;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use raft_core::LogIndex;
use raft_core::node::{SnapshotReader, StateMachine};
use tokio::io::AsyncReadExt;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::cluster::Lab;
use super::failure::{Failure, Tested, expect, within};
use super::tester::{ELECTION, millis};

/// Makes the counter one more, and answers what it is then.
const INC: &str = "inc";
/// Makes it one less.
const DEC: &str = "dec";
/// Leaves it as it is.
const NULL: &str = "null";

/// How long a command is offered to one server after the other.
const PATIENCE: Duration = Duration::from_secs(10);

/// The replicated counter.
#[derive(Default)]
struct Counter(i64);

/// A new counter, which is 0.
pub(super) fn counter() -> Box<dyn StateMachine> {
    Box::new(Counter::default())
}

#[async_trait]
impl StateMachine for Counter {
    async fn apply(&mut self, _: LogIndex, command: Bytes) -> Bytes {
        match &command[..] {
            b"inc" => self.0 += 1,
            b"dec" => self.0 -= 1,
            _ => {}
        }
        self.0.to_string().into()
    }

    async fn query(&mut self, _: Bytes) -> Bytes {
        self.0.to_string().into()
    }

    async fn snapshot(&mut self) -> io::Result<SnapshotReader> {
        Ok(Box::pin(io::Cursor::new(self.0.to_le_bytes())))
    }

    async fn restore(&mut self, mut snapshot: SnapshotReader) -> io::Result<()> {
        self.0 = snapshot.read_i64_le().await?;
        Ok(())
    }
}

/// Offers a command to connected servers in turn until it is applied.
async fn submit(lab: &Lab, command: &'static str) -> Tested<i64> {
    submitted(lab, command)
        .await
        .ok_or_else(|| Failure::Missed(format!("{command} was not applied within {PATIENCE:?}")))
}

async fn submitted(lab: &Lab, command: &'static str) -> Option<i64> {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        for server in (0..lab.servers()).filter(|server| lab.is_connected(*server)).collect::<Vec<_>>() {
            if let Some(answer) = lab.submit(server, command).await {
                return std::str::from_utf8(&answer).ok()?.parse().ok();
            }
        }
        millis(50).await;
    }
    None
}

/// Waits until at least so many servers show this counter.
async fn shows(lab: &Lab, counter: i64, servers: usize) -> Tested {
    let mut pause = Duration::from_millis(10);
    let mut have = 0;
    for _ in 0..30 {
        have = 0;
        for server in 0..lab.servers() {
            let shown = lab.look(server, Bytes::new()).await;
            have += usize::from(shown.is_some_and(|shown| *shown == *counter.to_string().as_bytes()));
        }
        if have >= servers {
            return Ok(());
        }
        sleep(pause).await;
        if pause < Duration::from_secs(1) {
            pause *= 2;
        }
    }
    Err(Failure::Missed(format!("only {have} servers show {counter}, {servers} were wanted")))
}

fn is(counter: i64, wanted: i64) -> Tested {
    expect(counter == wanted, || format!("the counter is {counter}, and should be {wanted}"))
}

/// Basic4A.
pub(super) async fn basic(lab: Lab) -> Tested {
    for wanted in 1..=10 {
        is(submit(&lab, INC).await?, wanted)?;
        shows(&lab, wanted, lab.servers()).await?;
    }
    Ok(())
}

/// Concurrent4A.
pub(super) async fn concurrent(lab: Lab) -> Tested {
    let mut submits = JoinSet::new();
    for _ in 0..50 {
        let lab = lab.clone();
        submits.spawn(async move { submit(&lab, INC).await });
    }
    let mut answers = submits.join_all().await.into_iter().collect::<Tested<Vec<_>>>()?;
    answers.sort_unstable();
    expect(answers == (1..=50).collect::<Vec<_>>(), || format!("the answers are {answers:?}"))?;
    shows(&lab, 50, lab.servers()).await
}

/// LeaderFailure4A.
pub(super) async fn leader_failure(lab: Lab) -> Tested {
    let servers = lab.servers();
    is(submit(&lab, INC).await?, 1)?;
    let leader = lab.leader().await?;
    lab.disconnect(leader);
    is(submit(&lab, INC).await?, 2)?;
    shows(&lab, 2, servers - 1).await?;
    lab.connect(leader);
    shows(&lab, 2, servers).await
}

/// LeaderPartition4A.
pub(super) async fn leader_partition(lab: Lab) -> Tested {
    let servers = lab.servers();
    is(submit(&lab, INC).await?, 1)?;
    let leader = lab.leader().await?;
    lab.disconnect(leader);
    let mut decs = JoinSet::new();
    for _ in 0..100 {
        let lab = lab.clone();
        decs.spawn(async move { lab.submit(leader, DEC).await });
    }
    millis(10).await;
    is(submit(&lab, INC).await?, 2)?;
    sleep(ELECTION).await;
    expect(decs.try_join_next().is_none(), || {
        format!("a command returned from server {leader}, which is alone")
    })?;
    lab.connect(leader);
    let returned = timeout(ELECTION, decs.join_all()).await;
    let returned = returned
        .map_err(|_| Failure::Missed(format!("commands have not returned {ELECTION:?} after the heal")))?;
    let applied = returned.into_iter().flatten().count();
    expect(applied == 0, || format!("{applied} commands of a leader that was alone were applied"))?;
    shows(&lab, 2, servers).await
}

/// RestartReplay4A.
pub(super) async fn restart_replay(lab: Lab) -> Tested {
    replay(&lab).await
}

async fn replay(lab: &Lab) -> Tested {
    for wanted in 1..=100 {
        is(submit(lab, INC).await?, wanted)?;
    }
    lab.crash_all().await;
    sleep(ELECTION).await;
    lab.restart_all().await;
    is(submit(lab, INC).await?, 101)?;
    sleep(ELECTION).await;
    shows(lab, 101, lab.servers()).await
}

/// Shutdown4A. Tightened: there is a leader, so that commands are under way.
pub(super) async fn shutdown(lab: Lab) -> Tested {
    lab.leader().await?;
    crash_under_load(&lab).await
}

async fn crash_under_load(lab: &Lab) -> Tested {
    let mut submits = JoinSet::new();
    for _ in 0..100 {
        let lab = lab.clone();
        submits.spawn(async move { submitted(&lab, NULL).await });
    }
    millis(20).await;
    lab.crash_all().await;
    let limit = PATIENCE + Duration::from_secs(1);
    timeout(limit, submits.join_all()).await.map_err(|_| {
        Failure::Missed(format!("commands have not returned {limit:?} after all servers crashed"))
    })?;
    Ok(())
}

/// RestartSubmit4A.
pub(super) async fn restart_submit(lab: Lab) -> Tested {
    replay(&lab).await?;
    crash_under_load(&lab).await?;
    lab.restart_all().await;
    is(submit(&lab, INC).await?, 102)?;
    sleep(ELECTION).await;
    shows(&lab, 102, lab.servers()).await
}

/// How large a server's term, vote and log may grow before it takes a snapshot, in bytes.
pub(super) const STATE_BYTES: usize = 1000;

/// Snapshot4C.
pub(super) async fn snapshot(lab: Lab) -> Tested {
    for wanted in 1..=100 {
        is(submit(&lab, INC).await?, wanted)?;
    }
    let bytes = lab.state_bytes();
    let limit = 2 * STATE_BYTES;
    within(bytes <= limit, || format!("a server's log takes {bytes} bytes, at most {limit} may be"))?;
    within(lab.snapshot_bytes() > 0, || "no server has taken a snapshot".to_owned())?;
    lab.restart_all().await;
    is(submit(&lab, INC).await?, 101)?;
    shows(&lab, 101, lab.servers()).await
}
