//! The tests of part 3C: what was promised outlives crashes, and a network that delays, loses and reorders.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::cluster::Lab;
use super::failure::{Tested, expect};
use super::tester::{ELECTION, millis, number};

/// How often commands are offered in the tests of Figure 8.
const ROUNDS: usize = 1000;

/// Persist1_3C.
pub(super) async fn persist_1(lab: Lab) -> Tested {
    let servers = lab.servers();
    lab.one(number(11), servers, true).await?;
    lab.restart_all().await;
    lab.one(number(12), servers, true).await?;
    let first = lab.leader().await?;
    lab.restart(first).await;
    lab.one(number(13), servers, true).await?;
    let second = lab.leader().await?;
    lab.crash(second).await;
    lab.one(number(14), servers - 1, true).await?;
    lab.restart(second).await;
    // The one that missed it catches up before the next one fails.
    lab.wait(4, servers, None).await?;
    let third = (lab.leader().await? + 1) % servers;
    lab.crash(third).await;
    lab.one(number(15), servers - 1, true).await?;
    lab.restart(third).await;
    lab.one(number(16), servers, true).await?;
    Ok(())
}

/// Persist2_3C.
pub(super) async fn persist_2(lab: Lab) -> Tested {
    let servers = lab.servers();
    let mut command = 1;
    for _ in 0..5 {
        lab.one(number(10 + command), servers, true).await?;
        command += 1;
        let leader = lab.leader().await?;
        let next = |by: usize| (leader + by) % servers;
        lab.crash(next(1)).await;
        lab.crash(next(2)).await;
        lab.one(number(10 + command), servers - 2, true).await?;
        command += 1;
        for by in [0, 3, 4] {
            lab.crash(next(by)).await;
        }
        lab.restart(next(1)).await;
        lab.restart(next(2)).await;
        sleep(ELECTION).await;
        lab.restart(next(3)).await;
        lab.one(number(10 + command), servers - 2, true).await?;
        command += 1;
        lab.restart(next(4)).await;
        lab.restart(next(0)).await;
    }
    lab.one(number(1000), servers, true).await?;
    Ok(())
}

/// Persist3_3C.
pub(super) async fn persist_3(lab: Lab) -> Tested {
    lab.one(number(101), 3, true).await?;
    let leader = lab.leader().await?;
    let next = |by: usize| (leader + by) % 3;
    lab.disconnect(next(2));
    lab.one(number(102), 2, true).await?;
    lab.crash(next(0)).await;
    lab.crash(next(1)).await;
    lab.connect(next(2));
    lab.restart(next(0)).await;
    lab.one(number(103), 2, true).await?;
    lab.restart(next(1)).await;
    lab.one(number(104), 3, true).await?;
    Ok(())
}

/// Figure8_3C.
pub(super) async fn figure_8(lab: Lab) -> Tested {
    let servers = lab.servers();
    lab.one(lab.random_command(), 1, true).await?;
    let mut up = servers;
    for _ in 0..ROUNDS {
        let leader = offer_to_all(&lab).await;
        pause(&lab).await;
        if let Some(leader) = leader {
            lab.crash(leader).await;
            up -= 1;
        }
        if up < 3 {
            let server = lab.below(servers);
            if !lab.is_up(server) {
                lab.restart(server).await;
                up += 1;
            }
        }
    }
    for server in (0..servers).filter(|server| !lab.is_up(*server)).collect::<Vec<_>>() {
        lab.restart(server).await;
    }
    lab.one(lab.random_command(), servers, true).await?;
    Ok(())
}

/// UnreliableAgree3C.
pub(super) async fn unreliable_agree(lab: Lab) -> Tested {
    let mut ones = JoinSet::new();
    for round in 1..50 {
        for place in 0..4 {
            let lab = lab.clone();
            ones.spawn(async move { lab.one(number(100 * round + place), 1, true).await });
        }
        lab.one(number(round), 1, true).await?;
    }
    lab.set_unreliable(false);
    ones.join_all().await.into_iter().collect::<Tested<Vec<_>>>()?;
    lab.one(number(100), lab.servers(), true).await?;
    Ok(())
}

/// Figure8Unreliable3C.
pub(super) async fn figure_8_unreliable(lab: Lab) -> Tested {
    let servers = lab.servers();
    lab.one(lab.random_command(), 1, true).await?;
    let mut connected = servers;
    for round in 0..ROUNDS {
        if round == 200 {
            lab.set_long_reordering(true);
        }
        let leader = offer_to_all(&lab).await;
        pause(&lab).await;
        if let Some(leader) = leader
            && lab.below(1000) < 500
        {
            lab.disconnect(leader);
            connected -= 1;
        }
        if connected < 3 {
            let server = lab.below(servers);
            if !lab.is_connected(server) {
                lab.connect(server);
                connected += 1;
            }
        }
    }
    lab.connect_all();
    lab.one(lab.random_command(), servers, true).await?;
    Ok(())
}

/// A command of its own for every server that runs. The last connected one that takes it.
async fn offer_to_all(lab: &Lab) -> Option<usize> {
    let mut leader = None;
    for server in 0..lab.servers() {
        if lab.start(server, lab.random_command()).await.is_some() && lab.is_connected(server) {
            leader = Some(server);
        }
    }
    leader
}

/// Up to half a second once in ten times, else up to 12 ms.
async fn pause(lab: &Lab) {
    let bound = if lab.below(1000) < 100 { 500 } else { 13 };
    millis(lab.below(bound) as u64).await;
}

/// ReliableChurn3C and UnreliableChurn3C.
pub(super) async fn churn(lab: Lab) -> Tested {
    let servers = lab.servers();
    let is_over = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for client in 0..3 {
        let (lab, is_over) = (lab.clone(), Arc::clone(&is_over));
        clients.spawn(async move { churn_client(&lab, client, &is_over).await });
    }
    for _ in 0..20 {
        if lab.below(1000) < 200 {
            lab.disconnect(lab.below(servers));
        }
        if lab.below(1000) < 500 {
            let server = lab.below(servers);
            if !lab.is_up(server) {
                lab.restart(server).await;
            }
            lab.connect(server);
        }
        if lab.below(1000) < 200 {
            lab.crash(lab.below(servers)).await;
        }
        // Servers that come back have not quite caught up when the next fault comes.
        sleep(ELECTION * 7 / 10).await;
    }
    sleep(ELECTION).await;
    lab.set_unreliable(false);
    for server in 0..servers {
        if !lab.is_up(server) {
            lab.restart(server).await;
        }
        lab.connect(server);
    }
    is_over.store(true, Ordering::Relaxed);
    let seen = clients.join_all().await.into_iter().flatten();
    sleep(ELECTION).await;
    let last = lab.one(lab.random_command(), servers, true).await?;
    let mut applied = Vec::new();
    for index in 1..=last {
        applied.extend(lab.committed(index).1);
    }
    let lost = seen.filter(|command| !applied.contains(command)).collect::<Vec<_>>();
    expect(lost.is_empty(), || format!("clients saw commands applied that are gone: {lost:?}"))
}

/// Offers commands until it is told to stop; those that it saw applied.
async fn churn_client(lab: &Lab, client: u64, is_over: &AtomicBool) -> Vec<Bytes> {
    let mut seen = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        let command = lab.random_command();
        let mut started = None;
        for server in 0..lab.servers() {
            started = lab.start(server, command.clone()).await.or(started);
        }
        let Some(started) = started else {
            millis(79 + client * 17).await;
            continue;
        };
        for pause in [0, 10, 20, 50, 100, 200] {
            if let (_, Some(applied)) = lab.committed(started.index) {
                if applied == command {
                    seen.push(command);
                }
                break;
            }
            millis(pause).await;
        }
    }
    seen
}
