//! Where servers live, as those see it who do things to them: hosts that are simulated, or processes of this machine.

use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use raft_core::NodeId;
use turmoil::Sim;

use super::NODES_RUN;
use super::server::{CLIENTS, host_name};
use super::world::World;
use crate::interrupt::interrupted;

/// The hosts of all servers.
pub(crate) trait Hosts {
    /// How long the run has lasted.
    fn elapsed(&self) -> Duration;

    /// Everything goes on for a moment.
    fn step(&mut self);

    /// Whether somebody wants the run to end now.
    fn is_over(&self) -> bool;

    /// Whether the process of a server is there.
    fn is_running(&mut self, node: NodeId) -> bool;

    /// The process of a server ends, wherever it is.
    fn kill(&mut self, node: NodeId);

    /// The links of a machine go, or are there again: a machine without power closes no connection.
    fn darken(&mut self, node: NodeId, dark: bool);

    /// A server starts on what is on its disk.
    fn start(&mut self, node: NodeId);

    /// A server is to do nothing, or to go on.
    fn pause(&mut self, node: NodeId, on: bool);

    /// From its next start on a server is started by this command.
    fn replace(&mut self, node: NodeId, command: &[String]);

    /// The run is over. Gives the world as it was in order of time, where servers were heard of later than things happened.
    ///
    /// # Errors
    ///
    /// Something went wrong with the hosts themselves, now or earlier.
    fn end(&mut self) -> io::Result<Option<World>>;
}

/// Hosts under turmoil.
pub(super) struct Simulated {
    pub(super) sim: Sim<'static>,
    /// All of them but the clients'.
    pub(super) nodes: Vec<NodeId>,
}

impl Hosts for Simulated {
    fn elapsed(&self) -> Duration {
        self.sim.elapsed()
    }

    /// Everything runs for one tick. What panics meanwhile is a node, or a client of one.
    fn step(&mut self) {
        NODES_RUN.store(true, Ordering::Relaxed);
        // A host never fails, and clients never end: what goes wrong is in the world.
        drop(self.sim.step());
        NODES_RUN.store(false, Ordering::Relaxed);
    }

    fn is_over(&self) -> bool {
        interrupted()
    }

    fn is_running(&mut self, node: NodeId) -> bool {
        self.sim.is_host_running(host_name(node))
    }

    fn kill(&mut self, node: NodeId) {
        self.sim.crash(host_name(node));
    }

    fn darken(&mut self, node: NodeId, dark: bool) {
        let others = self.nodes.iter().filter(|&&other| other != node).map(|&other| host_name(other));
        for other in others.chain([CLIENTS.to_owned()]) {
            if dark {
                self.sim.partition(host_name(node), other);
            } else {
                self.sim.repair(host_name(node), other);
            }
        }
    }

    fn start(&mut self, node: NodeId) {
        self.sim.bounce(host_name(node));
    }

    /// A host looks into the world for that.
    fn pause(&mut self, _: NodeId, _: bool) {}

    /// A plan that asks for it has been refused.
    fn replace(&mut self, _: NodeId, _: &[String]) {}

    /// All was heard of in the moment in which it happened.
    fn end(&mut self) -> io::Result<Option<World>> {
        Ok(None)
    }
}
