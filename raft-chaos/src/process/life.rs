//! One life of a server: its process, and what is heard of it.

use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin};

use raft_core::{Event, NodeId};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::data::Answer;
use crate::node::{BUG, Condition, Happening, NodeEvent};
use crate::sim::World;

/// A process of a server.
pub(super) struct Life {
    /// The first of a group of its own.
    pub(super) child: Child,
    /// Whether it was asked to end.
    pub(super) stopping: bool,
    /// Why it ended by itself, if it said so, and whether it found a contradiction.
    pub(super) why: Option<String>,
    pub(super) is_contradicted: bool,
    /// Whether it ended over what the plan does to its disk, as it says.
    pub(super) gave_out: bool,
    /// Where it is told what is wrong with its machine, if it listens, and what it was told last.
    input: Option<ChildStdin>,
    told: Condition,
    /// Hears what the plan asks of it.
    pub(super) attendant: JoinHandle<()>,
}

impl Life {
    /// Of a process that knows this of its machine.
    pub(super) fn new(mut child: Child, told: Condition, attendant: JoinHandle<()>) -> Self {
        let input = child.stdin.take();
        Self {
            child,
            stopping: false,
            why: None,
            is_contradicted: false,
            gave_out: false,
            input,
            told,
            attendant,
        }
    }

    /// Whether it knows of its machine what there is to know.
    pub(super) fn knows(&self, condition: &Condition) -> bool {
        self.input.is_none() || self.told.is_that_of(condition)
    }

    /// Tells it what is wrong with its machine.
    pub(super) fn tell(&mut self, condition: Condition) -> io::Result<()> {
        let Some(input) = &mut self.input else { return Ok(()) };
        let mut line = serde_json::to_vec(&condition)?;
        line.push(b'\n');
        // One that does not hear it has ended, and is found to have.
        drop(input.write_all(&line));
        self.told = condition;
        Ok(())
    }

    /// Why it ended by itself, with this status; `log` is where it has written.
    pub(super) fn reason(self, code: Option<i32>, log: &Path) -> String {
        let how = match code {
            Some(code) if code == i32::from(BUG) => "a task panicked".to_owned(),
            Some(code) => format!("it ended with status {code}"),
            None => "it was killed by somebody else".to_owned(),
        };
        self.why.unwrap_or_else(|| format!("{how}; see {}", log.display()))
    }

    /// Signals it, and what it has begun itself: the command of a plan may be a script that starts the server.
    pub(super) fn signal(&self, signal: Signal) {
        // One that has ended is found to have, and has no use for signals.
        let _ = kill_process_group(Pid::from_child(&self.child), signal);
    }

    pub(super) fn hear(&mut self, happening: &Happening) {
        if let Happening::Node(NodeEvent::Ended { why: Some(why), .. }) = happening {
            self.why = Some(why.clone());
        }
        self.is_contradicted |= matches!(happening, Happening::Raft(Event::Stopped { .. }));
        self.gave_out |= matches!(happening, Happening::Node(NodeEvent::GaveOut));
    }

    /// Kills it, and is done once nothing of it is left. A busy system takes its time over that, in which proxies and clients go on.
    pub(super) async fn kill(mut self) {
        self.attendant.abort();
        self.signal(Signal::KILL);
        // It fails only of what has ended.
        drop(spawn_blocking(move || self.child.wait()).await);
    }
}

/// Tells a world what a node has written down.
pub(super) fn tell(world: &World, id: NodeId, happening: Happening) {
    let event = match happening {
        Happening::Raft(event) => return world.observe(id, &event),
        Happening::Node(event) => event,
    };
    match event {
        NodeEvent::Started { incarnation, found, .. } => world.started(id, incarnation, &found),
        NodeEvent::Applied { index, operation, reply, state } => {
            world.applied(id, operation, &Answer { index, reply }, state);
        }
        NodeEvent::InSessions { index, table, became } => {
            world.in_sessions(id, index, table, became.answer().as_ref());
        }
        NodeEvent::Restored { index, state } => world.restored(id, index, state),
        NodeEvent::Answered { operation, index } => world.answered(operation, index),
        NodeEvent::CallTouched { .. }
        | NodeEvent::ClockOff { .. }
        | NodeEvent::GaveOut
        | NodeEvent::Ended { .. } => {}
    }
}
