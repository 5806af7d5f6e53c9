//! The key-value tests that have a script of their own.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::super::cluster::Lab;
use super::super::failure::{Failure, Tested, expect, within};
use super::super::tester::ELECTION;
use super::clerk::{Clerk, Put, Seen};
use super::generic::check_sizes;
use super::model;

/// Speed4B and Speed4C.
pub(crate) async fn speed(lab: Lab, snapshots: bool) -> Tested {
    const PUTS: u64 = 1000;
    /// Three in the time of a heartbeat.
    const EACH: Duration = Duration::from_nanos(100_000_000 / 3);
    let seen = Seen::default();
    let mut clerk = Clerk::new(&lab, &seen);
    clerk.get("x").await;
    let began = Instant::now();
    for version in 0..PUTS {
        let put = clerk.put("x", &version.to_string(), version).await;
        expect(put == Put::Ok, || format!("put {version} on a reliable network came to {put:?}"))?;
    }
    let took = began.elapsed();
    let limit = EACH * u32::try_from(PUTS).unwrap_or(u32::MAX);
    within(took <= limit, || format!("{PUTS} puts took {took:?}, at most {limit:?} may be"))?;
    let version = clerk.get("x").await.map_or(0, |(_, version)| version);
    expect(version == PUTS, || format!("after {PUTS} puts the version is {version}"))?;
    check_sizes(&lab, snapshots)?;
    model::check(&seen)
}

/// OnePartition4B.
pub(crate) async fn one_partition(lab: Lab) -> Tested {
    let seen = Seen::default();
    let mut clerk = Clerk::new(&lab, &seen);
    let version = put_until_done(&mut clerk, "1", "13", 0).await;
    let leader = lab.leader().await?;
    let others: Vec<_> = (0..lab.servers()).filter(|server| *server != leader).collect();
    let (majority, minority) = (others[..3].to_vec(), vec![leader, others[3]]);
    lab.partition(&majority, &minority);

    let mut major = Clerk::to(&lab, &seen, majority);
    let version = put_until_done(&mut major, "1", "14", version).await;
    is(&mut major, "1", "14", Some(version)).await?;
    let mut putter = Clerk::to(&lab, &seen, minority.clone());
    let mut getter = Clerk::to(&lab, &seen, minority);
    let links = [putter.links(), getter.links()];
    let mut put = tokio::spawn(async move { put_until_done(&mut putter, "1", "15", version).await });
    let mut get = tokio::spawn(async move { getter.get("1").await });
    let returned = tokio::select! {
        biased;
        _ = &mut put => Some("put"),
        _ = &mut get => Some("get"),
        () = sleep(ELECTION) => None,
    };
    expect(returned.is_none(), || format!("a {returned:?} returned in the minority"))?;
    is(&mut major, "1", "14", Some(version)).await?;
    let version = put_until_done(&mut major, "1", "16", version).await;
    is(&mut major, "1", "16", Some(version)).await?;

    lab.connect_all();
    links.iter().for_each(|links| links.set((0..lab.servers()).collect()));
    sleep(ELECTION).await;
    let late =
        |what: &str| Failure::Missed(format!("the {what} of the minority is not done 3 s after the heal"));
    let patience = Duration::from_secs(3);
    let version = timeout(patience, put).await.ok().and_then(Result::ok).ok_or_else(|| late("put"))?;
    timeout(patience, get).await.ok().and_then(Result::ok).ok_or_else(|| late("get"))?;
    is(&mut clerk, "1", "15", Some(version)).await?;
    model::check(&seen)
}

/// SnapshotRPC4C.
pub(crate) async fn snapshot_rpc(lab: Lab) -> Tested {
    let seen = Seen::default();
    let mut clerk = Clerk::new(&lab, &seen);
    put_until_done(&mut clerk, "a", "A", 0).await;
    // One server lags so far behind that it needs a snapshot.
    lab.partition(&[0, 1], &[2]);
    let mut first = Clerk::to(&lab, &seen, vec![0, 1]);
    for key in 0..50 {
        put_until_done(&mut first, &key.to_string(), &key.to_string(), 0).await;
    }
    sleep(ELECTION).await;
    put_until_done(&mut first, "b", "B", 0).await;
    check_sizes(&lab, true)?;
    // Then it is needed for a majority.
    lab.partition(&[0, 2], &[1]);
    let mut second = Clerk::to(&lab, &seen, vec![0, 2]);
    for (key, value) in [("c", "C"), ("d", "D")] {
        put_until_done(&mut second, key, value, 0).await;
    }
    for (key, value) in [("a", "A"), ("b", "B"), ("1", "1"), ("49", "49")] {
        is(&mut second, key, value, None).await?;
    }
    lab.partition(&[0, 1, 2], &[]);
    put_until_done(&mut clerk, "e", "E", 0).await;
    for (key, value) in [("c", "C"), ("e", "E"), ("1", "1")] {
        is(&mut clerk, key, value, None).await?;
    }
    let installed = lab.snapshots_installed();
    within(installed > 0, || "nobody was sent a snapshot".to_owned())?;
    model::check(&seen)
}

/// SnapshotSize4C.
pub(crate) async fn snapshot_size(lab: Lab) -> Tested {
    const SNAPSHOT_BYTES_MAX: usize = 500;
    let seen = Seen::default();
    let mut clerk = Clerk::new(&lab, &seen);
    let mut version = 0;
    for _ in 0..200 {
        for value in ["0", "1"] {
            version = put_until_done(&mut clerk, "x", value, version).await;
            is(&mut clerk, "x", value, Some(version)).await?;
        }
    }
    check_sizes(&lab, true)?;
    let bytes = lab.snapshot_bytes();
    within((1..=SNAPSHOT_BYTES_MAX).contains(&bytes), || {
        format!("the largest snapshot takes {bytes} bytes, 1 to {SNAPSHOT_BYTES_MAX} may be")
    })?;
    model::check(&seen)
}

/// Puts a value, at whatever version there is, until it is there. Its version then.
async fn put_until_done(clerk: &mut Clerk, key: &str, value: &str, mut version: u64) -> u64 {
    loop {
        match clerk.put(key, value, version).await {
            Put::Ok => return version + 1,
            Put::OtherVersion | Put::NoKey | Put::Maybe => match clerk.get(key).await {
                Some((there, now)) if there == value => return now,
                there => version = there.map_or(0, |(_, version)| version),
            },
        }
    }
}

/// Fails unless this is the value of the key, and this its version, where one is given.
async fn is(clerk: &mut Clerk, key: &str, value: &str, version: Option<u64>) -> Tested {
    let got = clerk.get(key).await;
    let fits = |(there, at): &(String, u64)| there == value && version.is_none_or(|version| version == *at);
    expect(got.as_ref().is_some_and(fits), || {
        format!("key {key} is {got:?}, and should be {value} at {version:?}")
    })
}
