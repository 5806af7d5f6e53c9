//! What the plan asks of a server, in one of its lives: as an operator asks it, on a connection of its own.

use std::time::Duration;

use raft_core::node::{Environment, SystemEnvironment};
use raft_core::{ClusterId, NodeId};
use raft_net::{Client, NotObeyed, Operator, Order, TcpNet};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::sim::{Ask, World};

/// How long a server may take to do what it is asked.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long to wait for a server that does not answer yet.
const REST: Duration = Duration::from_millis(50);

/// Hears what the plan asks of the server that listens at this address. Who is to stop is told to `stops`.
pub(super) async fn attend(id: NodeId, address: String, world: World, stops: mpsc::UnboundedSender<NodeId>) {
    let Some(server) = world.server(id) else { return };
    let mut asked = JoinSet::new();
    asked.spawn(hear_versions(id, address.clone(), world.clone(), server.life));
    loop {
        tokio::select! {
            biased;
            Some(_) = asked.join_next() => {}
            // Without a receiver the run is over.
            () = server.stop.notified() => drop(stops.send(id)),
            () = server.take_snapshot.notified() => {
                let address = address.clone();
                // Whether there is one shows in what the server writes down.
                asked.spawn(async move { drop(obey(&address, Order::Snapshot).await) });
            }
            () = server.asked.notified() => {
                while let Some((ask, what)) = world.next_ask(id) {
                    let (address, world) = (address.clone(), world.clone());
                    asked.spawn(async move {
                        match obey(&address, order(what)).await {
                            // Whether it is the one that was asked for, the servers' own word comes too late to say.
                            Ok(()) => world.answered_ask(ask, Ok(None)),
                            Err(NotObeyed::Refused { reason }) => world.answered_ask(ask, Err(reason)),
                            // Then there is no answer.
                            Err(NotObeyed::Unknown { .. }) => {}
                        }
                    });
                }
            }
        }
    }
}

fn order(ask: Ask) -> Order {
    match ask {
        Ask::Change { from, voters, learners } => Order::Change { from, voters, learners },
        Ask::Transfer { to } => Order::Transfer { to },
    }
}

/// Has the server do it, as soon as it answers.
async fn obey(address: &str, order: Order) -> Result<(), NotObeyed> {
    let clock = SystemEnvironment::new();
    let operator = Operator::new(TcpNet, clock, ClusterId(1), [address.to_owned()]);
    let until = clock.now().after(PATIENCE);
    while operator.report(address, until).await.is_err() && clock.now() < until {
        clock.sleep_until(clock.now().after(REST)).await;
    }
    operator.order_at(address, &order, until).await.map(|_| ())
}

/// Waits until a server says in this life which versions of the conversation it speaks.
async fn hear_versions(id: NodeId, address: String, world: World, life: u64) {
    let clock = SystemEnvironment::new();
    loop {
        let until = clock.now().after(PATIENCE);
        if let Ok(client) = Client::connect(&TcpNet, clock, ClusterId(1), &address, until).await {
            return world.spoke(id, life, client.versions().to_string());
        }
        clock.sleep_until(clock.now().after(REST)).await;
    }
}
