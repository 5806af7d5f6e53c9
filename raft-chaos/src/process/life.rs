//! One life of a server: its process, what it is told, and what is heard of it.

use std::io::Write;
use std::path::Path;
use std::process::Child;

use raft_core::{Event, NodeId};
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::book::What;
use super::tested::{Order, PANICKED};
use crate::sim::World;

/// A process of a server.
pub(super) struct Life {
    pub(super) child: Child,
    /// Whether it was asked to end.
    pub(super) stopping: bool,
    /// Why it ended by itself, if it said so, and whether it found a contradiction.
    pub(super) why: Option<String>,
    pub(super) is_contradicted: bool,
    /// Hears what the plan asks of it.
    pub(super) attendant: JoinHandle<()>,
}

/// What the plan asks of a server.
pub(super) enum Told {
    Stop,
    Order(Order),
}

impl Life {
    pub(super) const fn new(child: Child, attendant: JoinHandle<()>) -> Self {
        Self { child, stopping: false, why: None, is_contradicted: false, attendant }
    }

    /// Why it ended by itself, with this status; `log` is where it has written.
    pub(super) fn reason(self, code: Option<i32>, log: &Path) -> String {
        let how = match code {
            Some(code) if code == i32::from(PANICKED) => "a task panicked".to_owned(),
            Some(code) => format!("it ended with status {code}"),
            None => "it was killed by somebody else".to_owned(),
        };
        self.why.unwrap_or_else(|| format!("{how}; see {}", log.display()))
    }

    pub(super) fn signal(&self, signal: Signal) {
        // One that has ended is found to have, and has no use for signals.
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }

    pub(super) fn order(&mut self, order: &Order) {
        let Some(input) = &mut self.child.stdin else { return };
        let mut line = serde_json::to_vec(order).expect("orders are plain data");
        line.push(b'\n');
        // As above.
        drop(input.write_all(&line));
    }

    pub(super) fn hear(&mut self, what: &What) {
        if let What::Ended { why } = what {
            self.why = Some(why.clone());
        }
        self.is_contradicted |= matches!(what, What::Event(Event::Stopped { .. }));
    }

    pub(super) fn kill(mut self) {
        self.attendant.abort();
        // Both fail only of what has ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Tells a world what a server has written down.
pub(super) fn tell(world: &World, id: NodeId, what: What) {
    match what {
        What::Started { incarnation, restored } => world.started(id, incarnation, &restored),
        What::Event(event) => world.observe(id, &event),
        What::Applied { operation, answer, state } => world.applied(id, operation, &answer, state),
        What::InSessions { index, table, became } => {
            world.in_sessions(id, index, table, became.answer().as_ref());
        }
        What::Restored { index, state } => world.restored(id, index, state),
        What::Answered { operation, index } => world.answered(operation, index),
        What::Asked { ask, refused } => world.answered_ask(ask, refused.map_or(Ok(()), Err)),
        What::Ended { .. } => {}
    }
}

/// Hears what the plan asks of a server in one of its lives.
pub(super) async fn attend(id: NodeId, world: World, told: mpsc::UnboundedSender<(NodeId, Told)>) {
    let Some(server) = world.server(id) else { return };
    // Without a receiver the run is over.
    let tell = |what| drop(told.send((id, what)));
    loop {
        tokio::select! {
            biased;
            () = server.stop.notified() => tell(Told::Stop),
            () = server.take_snapshot.notified() => tell(Told::Order(Order::Snapshot)),
            () = server.asked.notified() => {
                while let Some((ask, what)) = world.next_ask(id) {
                    tell(Told::Order(Order::Ask { ask, what }));
                }
            }
        }
    }
}
