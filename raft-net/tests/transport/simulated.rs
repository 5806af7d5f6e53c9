//! What only a simulation can show: crashes of hosts, and the same seed taking the same path.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use raft_core::NodeId;
use raft_core::node::{Environment, TokioEnvironment, Transport};
use raft_net::{Fate, Links, Net, PeersConfig, TurmoilNet};

use crate::world::{Server, envelope, piece};

/// When it came in, from whom, where, and what it was.
type Arrival = (Duration, NodeId, NodeId, &'static str, u64);
type Trace = Arc<Mutex<Vec<Arrival>>>;

/// Links that lose one frame in ten and delay the others by up to 15 ms, as their seed decides.
#[derive(Clone)]
struct Rough(Arc<Mutex<u64>>);

impl Links for Rough {
    fn fate(&self, _: NodeId, _: NodeId, _: &'static str, _: usize) -> Fate {
        let mut state = self.0.lock().unwrap();
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let drawn = *state >> 33;
        if drawn.is_multiple_of(10) {
            Fate::Drop
        } else {
            Fate::Deliver { delay: Duration::from_millis(drawn % 16) }
        }
    }

    fn is_cut(&self, _: NodeId, _: NodeId) -> bool {
        false
    }
}

/// Sends a message to each of the others every 10 ms, and a piece of a snapshot every second, and notes what comes in.
async fn host(id: NodeId, links: Rough, trace: Trace) -> turmoil::Result {
    let peers = (1..=3).map(|peer| (NodeId::new(peer), format!("n{peer}:7000"))).collect::<BTreeMap<_, _>>();
    let listener = TurmoilNet.listen("0.0.0.0:7000").await?;
    let clock = TokioEnvironment::new();
    let config = PeersConfig::new(id, peers.clone());
    let mut server = Server::start(&TurmoilNet, listener, &links, config, 1024);
    let mut wake = clock.now();
    let mut number = 0;
    loop {
        tokio::select! {
            biased;
            Some(envelope) = server.inbox.recv() => {
                let at = turmoil::sim_elapsed().unwrap_or_default();
                let kind = envelope.message.kind();
                trace.lock().unwrap().push((at, envelope.from, id, kind, envelope.session.0));
            }
            () = clock.sleep_until(wake) => {
                wake = wake.after(Duration::from_millis(10));
                number += 1;
                for &peer in peers.keys().filter(|peer| **peer != id) {
                    server.peers.send(envelope(id, peer, number));
                    if number % 100 == 0 {
                        server.peers.send(piece(id, peer, number));
                    }
                }
            }
        }
    }
}

/// Three hosts for five virtual seconds; n2 is down for a fifth of one.
fn run(seed: u64) -> Vec<Arrival> {
    let mut sim = turmoil::Builder::new()
        .rng_seed(seed)
        .epoch(SystemTime::UNIX_EPOCH)
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(1))
        .build();
    let trace = Trace::default();
    let links = Rough(Arc::new(Mutex::new(seed)));
    for id in (1..=3).map(NodeId::new) {
        let (links, trace) = (links.clone(), Arc::clone(&trace));
        sim.host(id.to_string(), move || host(id, links.clone(), Arc::clone(&trace)));
    }
    while sim.elapsed() < Duration::from_secs(5) {
        sim.step().unwrap();
        match sim.elapsed().as_millis() {
            1000 => sim.crash("n2"),
            1200 => sim.bounce("n2"),
            _ => {}
        }
    }
    drop(sim);
    let trace = trace.lock().unwrap();
    trace.clone()
}

/// The connections come back after the crash, both ways, and every run with the seed is the same run.
#[test]
fn the_same_seed_gives_the_same_trace() {
    let trace = run(7);
    assert_eq!(trace, run(7));
    assert_ne!(trace, run(8));
    let n2 = NodeId::new(2);
    let late = |kind: &str, end: fn(&Arrival) -> NodeId| {
        let of_kind = trace.iter().filter(|row| row.0 > Duration::from_secs(3) && row.3 == kind);
        of_kind.filter(|row| end(row) == n2).count()
    };
    assert!(late("append", |row| row.1) > 100, "n2 is heard again");
    assert!(late("append", |row| row.2) > 100, "n2 hears again");
    assert!(late("snapshot", |row| row.1) > 0, "n2 sends snapshots again");
    assert!(late("snapshot", |row| row.2) > 0, "n2 gets snapshots again");
}
