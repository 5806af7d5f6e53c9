//! Reads on nodes (thesis 6.4): through the leader, through followers, and when they are refused. And what is
//! refused when too much waits.

use super::*;

impl Cluster {
    /// Asks this node how many commands have been applied.
    pub(crate) async fn read(&self, place: usize) -> Result<u64, Refusal> {
        let answer = self.handles[place].read(Bytes::new()).await?;
        Ok(String::from_utf8_lossy(&answer).parse().unwrap())
    }
}

/// Whoever is told that a command is applied sees it at every node.
#[tokio::test(start_paused = true)]
async fn every_node_answers_with_all_that_was_applied_before() {
    let cluster = cluster(3);
    for expected in 1..=20 {
        cluster.propose("a").await;
        for place in 0..3 {
            assert_eq!(cluster.read(place).await, Ok(expected));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn reads_that_wait_together_are_all_answered_and_write_nothing() {
    let cluster = cluster(3);
    let (leader, _) = cluster.propose("a").await;
    let last = cluster.handles[leader].status().await.unwrap().last_log;
    for place in 0..3 {
        let asks: Vec<_> = (0..500)
            .map(|_| {
                let handle = cluster.handles[place].clone();
                tokio::spawn(async move { handle.read(Bytes::new()).await })
            })
            .collect();
        for ask in asks {
            assert_eq!(ask.await.unwrap(), Ok("1".into()));
        }
    }
    assert_eq!(cluster.handles[leader].status().await.unwrap().last_log, last);
}

/// The others go on, and what they commit must not be missing from an answer.
#[tokio::test(start_paused = true)]
async fn a_leader_that_is_cut_off_answers_nothing() {
    let cluster = cluster(3);
    let (old, _) = cluster.propose("a").await;
    cluster.cut_off.store(Cluster::id(old).get(), Ordering::Relaxed);
    assert_eq!(cluster.read(old).await, Err(Refusal::NotLeader { leader: None }));
    assert_eq!(cluster.read(old).await, Err(Refusal::NotLeader { leader: None }));
    let (new, answer) = cluster.propose("b").await;
    assert_ne!(new, old);
    assert_eq!((cluster.read(new).await, answer), (Ok(2), Bytes::from("2")));
}

/// One read is confirmed; for as long as the lag allows, others are answered from what that proved, even by a server
/// that hears nobody.
#[tokio::test(start_paused = true)]
async fn a_stale_answer_is_as_old_as_was_allowed_and_no_older() {
    let cluster = cluster(3);
    let (leader, _) = cluster.propose("a").await;
    let place = (leader + 1) % 3;
    let second = Duration::from_secs(1);
    let read = |max_lag| cluster.handles[place].read_stale(Bytes::new(), max_lag);
    assert_eq!(read(second).await, Ok("1".into()), "the first one is confirmed");
    let asked = tokio::time::Instant::now();

    cluster.cut_off.store(Cluster::id(place).get(), Ordering::Relaxed);
    assert_eq!(cluster.propose("b").await, (leader, Bytes::from("2")));
    assert_eq!(read(second).await, Ok("1".into()), "it lacks what was committed since");
    assert_eq!(read(Duration::ZERO).await, Err(Refusal::NotLeader { leader: None }));
    tokio::time::sleep_until(asked + second + Duration::from_millis(1)).await;
    assert_eq!(read(second).await, Err(Refusal::NotLeader { leader: None }));
    assert_eq!(read(second * 60).await, Ok("1".into()));

    cluster.cut_off.store(0, Ordering::Relaxed);
    cluster.propose("c").await;
    while read(Duration::ZERO).await != Ok("3".into()) {
        // The clock is paused: this is when time passes.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(read(second).await, Ok("3".into()));
}

/// Nothing has happened, and others who wait are answered.
#[tokio::test(start_paused = true)]
async fn a_read_that_is_given_up_harms_nobody() {
    let cluster = cluster(3);
    let (leader, _) = cluster.propose("a").await;
    let follower = (leader + 1) % 3;
    let given_up = tokio::time::timeout(Duration::ZERO, cluster.read(follower)).await;
    assert!(given_up.is_err());
    assert_eq!(cluster.read(follower).await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_has_stopped_answers_nothing() {
    let cluster = cluster(1);
    cluster.propose("a").await;
    assert_eq!(cluster.read(0).await, Ok(1));
    cluster.handles[0].shutdown().await;
    assert_eq!(cluster.read(0).await, Err(Refusal::Stopped));
}

/// A leader alone takes commands until so many bytes of them wait, and says that it may be asked again.
#[tokio::test(start_paused = true)]
async fn too_many_bytes_that_wait_to_be_committed_are_refused() {
    let cluster = cluster_of(3, Trouble::None, |config| config.uncommitted_bytes_max = 1_000);
    let (leader, _) = cluster.propose("a").await;
    cluster.cut_off.store(Cluster::id(leader).get(), Ordering::Relaxed);
    let ask = || {
        let handle = cluster.handles[leader].clone();
        tokio::spawn(async move { handle.propose(vec![b'x'; 600].into()).await })
    };
    let first = ask();
    tokio::task::yield_now().await;
    assert_eq!(ask().await.unwrap(), Outcome::NotApplied(Refusal::Overloaded));
    cluster.cut_off.store(0, Ordering::Relaxed);
    assert!(matches!(first.await.unwrap(), Outcome::Applied { .. }));
}
