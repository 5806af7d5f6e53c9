//! Leases on nodes (thesis 6.4.1): by which time they are judged.

use std::future::{Future, ready};

use raft_core::node::Point;

use super::*;

/// The environment of a process that can be held fast: its timers do not fire meanwhile.
#[derive(Clone)]
struct Freezing {
    clock: TokioEnvironment,
    id: NodeId,
    /// Who is held fast; 0 is nobody.
    frozen: Arc<AtomicU64>,
}

impl Environment for Freezing {
    fn now(&self) -> Time {
        self.clock.now()
    }

    async fn sleep_until(&self, deadline: Time) {
        self.clock.sleep_until(deadline).await;
        while self.frozen.load(Ordering::Relaxed) == self.id.get() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn point(&self, _: Point) -> impl Future<Output = ()> + Send {
        ready(())
    }
}

/// R7 (https://github.com/tikv/tikv/issues/964): a leader with a lease is held fast while it waits for something to
/// do, and a read is the first thing that it sees then. The others have another leader by now.
#[tokio::test(start_paused = true)]
async fn a_lease_is_judged_by_a_time_that_is_read_after_the_read_was_taken_in() {
    let (clock, frozen) = (TokioEnvironment::new(), Arc::new(AtomicU64::new(0)));
    let environment = |id| Freezing { clock, id, frozen: frozen.clone() };
    let cluster = cluster_in(3, Trouble::None, |config| config.read_lease_ppm = Some(1_000), environment);
    let (old, _) = cluster.propose("a").await;
    assert_eq!(cluster.read(old).await, Ok(1));
    cluster.cut_off.store(Cluster::id(old).get(), Ordering::Relaxed);
    assert_eq!(cluster.read(old).await, Ok(1), "by lease: nobody confirms it");
    frozen.store(Cluster::id(old).get(), Ordering::Relaxed);
    let mut answer = Outcome::Unknown;
    for place in (0..3).filter(|&place| place != old).cycle() {
        answer = cluster.handles[place].propose("b".into()).await;
        if let Outcome::Applied { .. } = answer {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(matches!(answer, Outcome::Applied { answer, .. } if answer == "2"));
    let asked = cluster.handles[old].clone();
    let read = tokio::spawn(async move { asked.read(Bytes::new()).await });
    tokio::time::sleep(Duration::from_millis(10)).await;
    frozen.store(0, Ordering::Relaxed);
    assert_eq!(read.await.unwrap(), Err(Refusal::NotLeader { leader: None }));
}
