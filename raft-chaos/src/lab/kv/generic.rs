//! The lab's generic test: clients that put and get, with crashes and partitions.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::super::cluster::Lab;
use super::super::failure::{Tested, expect, within};
use super::super::tester::{ELECTION, millis};
use super::clerk::{Clerk, Put, Seen};
use super::model;
use super::store::STATE_BYTES;

/// How long clients begin operations in each round.
const ROUND: Duration = Duration::from_secs(1);
/// How many keys there are where clients choose.
const KEYS: usize = 100;

/// The parameters.
#[derive(Clone, Copy)]
pub(crate) struct Generic {
    pub(crate) clients: usize,
    /// Whether the network is.
    pub(crate) reliable: bool,
    /// All servers crash after each round.
    pub(crate) crash: bool,
    pub(crate) partitions: bool,
    /// Servers take snapshots.
    pub(crate) snapshots: bool,
    /// Clients put to keys of their choice, and not all to one.
    pub(crate) random_keys: bool,
}

/// What came of puts.
#[derive(Clone, Copy, Default)]
struct Puts {
    ok: u64,
    maybe: u64,
}

/// The generic test: three rounds.
pub(crate) async fn generic(lab: Lab, how: Generic) -> Tested {
    let seen = Seen::default();
    let mut puts = Puts::default();
    for _ in 0..3 {
        let mut clients = JoinSet::new();
        for client in 0..how.clients {
            let (lab, clerk) = (lab.clone(), Clerk::new(&lab, &seen));
            clients.spawn(async move { put_and_get(&lab, clerk, client, how.random_keys).await });
        }
        let partitioner = how.partitions.then(|| {
            let lab = lab.clone();
            let mut task = JoinSet::new();
            task.spawn(async move {
                sleep(ELECTION).await;
                partition(&lab).await;
            });
            task
        });
        for round in clients.join_all().await {
            puts.ok += round.ok;
            puts.maybe += round.maybe;
        }
        model::check(&seen)?;
        if let Some(mut partitioner) = partitioner {
            partitioner.shutdown().await;
            lab.connect_all();
            sleep(ELECTION).await;
        }
        if !how.random_keys {
            check_version(&lab, &seen, puts, how.reliable && !how.crash && !how.partitions).await?;
        }
        if how.crash {
            lab.crash_all().await;
            sleep(ELECTION).await;
            lab.restart_all().await;
        }
        check_sizes(&lab, how.snapshots)?;
    }
    model::check(&seen)
}

/// Puts to a key with the version that was last seen of it, and gets, until the put is done or may be; then again, for as long
/// as a round is.
async fn put_and_get(lab: &Lab, mut clerk: Clerk, client: usize, random_keys: bool) -> Puts {
    let began = Instant::now();
    let mut versions: BTreeMap<String, u64> = BTreeMap::new();
    let mut puts = Puts::default();
    while began.elapsed() < ROUND {
        let key = if random_keys { format!("k{}", lab.below(KEYS)) } else { "k".to_owned() };
        let version = versions.entry(key.clone()).or_insert(0);
        loop {
            let put = clerk.put(&key, &format!(r#"{{"id":{client},"v":{version}}}"#), *version).await;
            if let Some((_, now)) = clerk.get(&key).await {
                *version = now;
            }
            match put {
                Put::Ok => puts.ok += 1,
                Put::Maybe => puts.maybe += 1,
                Put::OtherVersion | Put::NoKey => continue,
            }
            break;
        }
    }
    puts
}

/// Deals the servers to two sides, again every second or so.
async fn partition(lab: &Lab) {
    loop {
        let (mut one, mut other) = (Vec::new(), Vec::new());
        for server in 0..lab.servers() {
            if lab.below(2) == 0 { one.push(server) } else { other.push(server) }
        }
        lab.partition(&one, &other);
        millis(1000 + lab.below(200) as u64).await;
    }
}

/// The version of the one key is the number of puts. Tightened: it is never less than those that were done.
async fn check_version(lab: &Lab, seen: &Seen, puts: Puts, exact: bool) -> Tested {
    let version = Clerk::new(lab, seen).get("k").await.map_or(0, |(_, version)| version);
    let most = puts.ok + if exact { 0 } else { puts.maybe };
    expect((puts.ok..=most).contains(&version), || {
        format!(
            "after {} puts that were done and {} that may be the version is {version}",
            puts.ok, puts.maybe
        )
    })
}

/// What servers keep is bounded; without snapshots none has one.
pub(super) fn check_sizes(lab: &Lab, snapshots: bool) -> Tested {
    if snapshots {
        let (bytes, limit) = (lab.state_bytes(), 8 * STATE_BYTES);
        within(bytes <= limit, || format!("a server's log takes {bytes} bytes, at most {limit} may be"))
    } else {
        let bytes = lab.snapshot_bytes();
        within(bytes == 0, || format!("a server has a snapshot of {bytes} bytes, and none was to be taken"))
    }
}
