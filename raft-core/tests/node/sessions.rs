//! Clients' sessions on real nodes: leaders go, snapshots come, and each command is applied once.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use raft_core::node::{Environment, Handle, TokioEnvironment};
use raft_core::sessions::{ClientSession, CommandError, Proposed, Proposer, Retries, Sessions};
use raft_core::{Config, RoleName, Time};

use crate::world::Counter;
use crate::{Cluster, cluster_with};

/// All nodes, of which the first that takes a request answers it.
struct Anybody(Vec<Handle>);

impl Proposer for Anybody {
    async fn propose(&self, request: Bytes, deadline: Time) -> Proposed {
        for handle in &self.0 {
            match Proposer::propose(handle, request.clone(), deadline).await {
                Proposed::NotApplied => {}
                known @ (Proposed::Answered(_) | Proposed::Unknown) => return known,
            }
        }
        Proposed::NotApplied
    }
}

fn with_sessions(size: u64, configure: fn(&mut Config)) -> (Cluster, TokioEnvironment) {
    let clock = TokioEnvironment::new();
    let machine = || Sessions::new(Counter::default()).unwrap();
    (cluster_with(size, machine, configure, |_| clock), clock)
}

fn in_a_minute(clock: TokioEnvironment) -> Time {
    clock.now().after(Duration::from_secs(60))
}

/// A leader that is cut off has a command that it cannot commit: the client has it from the next one.
#[tokio::test(start_paused = true)]
async fn a_command_is_applied_once_through_leaders_that_are_cut_off() {
    let (cluster, clock) = with_sessions(3, |config| config.snapshot_entries = 5);
    let way = Anybody(cluster.handles.clone());
    let session = ClientSession::register(way, clock, Retries::default(), in_a_minute(clock)).await.unwrap();
    for count in 1..=20 {
        if count % 4 == 0 {
            for (place, handle) in cluster.handles.iter().enumerate() {
                if handle.status().await.unwrap().role == RoleName::Leader {
                    cluster.cut_off.store(Cluster::id(place).get(), Ordering::Relaxed);
                }
            }
        }
        let result = session.command("add".into(), in_a_minute(clock)).await;
        assert_eq!(result, Ok(count.to_string().into()));
    }
    cluster.cut_off.store(0, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(5)).await;
    for handle in &cluster.handles {
        assert_eq!(handle.read(Bytes::new()).await, Ok("20".into()), "on every node");
    }
}

/// A node by itself needs no more than its handle.
#[tokio::test(start_paused = true)]
async fn a_handle_is_a_way() {
    let (cluster, clock) = with_sessions(1, |_| {});
    let handle = cluster.handles[0].clone();
    let register = ClientSession::register(handle.clone(), clock, Retries::default(), in_a_minute(clock));
    let session = register.await.unwrap();
    for count in ["1", "2"] {
        assert_eq!(session.command("add".into(), in_a_minute(clock)).await, Ok(count.into()));
    }
    handle.shutdown().await;
    let soon = clock.now().after(Duration::from_secs(1));
    assert_eq!(session.command("add".into(), soon).await, Err(CommandError::NotApplied));
}
