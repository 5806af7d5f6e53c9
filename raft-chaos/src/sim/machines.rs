//! The machines that servers run on: which life of a server goes on, how it ends, and how the next begins.

use std::collections::{BTreeMap, BTreeSet};

use raft_core::NodeId;

use super::clock::Clock;
use super::disk::Disk;
use super::hosts::Hosts;
use super::world::World;

/// One life of a server: what was done to it is not done to the next one.
#[derive(Clone, Copy)]
pub(super) struct Life {
    pub(super) node: NodeId,
    pub(super) life: u64,
}

/// All machines, by the server on them.
pub(super) struct Machines {
    disks: BTreeMap<NodeId, Disk>,
    clocks: BTreeMap<NodeId, Clock>,
    world: World,
    /// Lives that have to end, and be followed by another one.
    restarts: Vec<Life>,
    /// Machines whose power is gone: nothing of theirs travels, not even the end of a connection.
    dark: BTreeSet<NodeId>,
}

impl Machines {
    pub(super) const fn new(
        disks: BTreeMap<NodeId, Disk>,
        clocks: BTreeMap<NodeId, Clock>,
        world: World,
    ) -> Self {
        Self { disks, clocks, world, restarts: Vec::new(), dark: BTreeSet::new() }
    }

    /// Those of the servers that run, in the lives that they have now.
    pub(super) fn running(&self, nodes: &[NodeId]) -> Vec<Life> {
        let running = |&node: &NodeId| {
            let server = self.world.server(node).filter(|server| server.running)?;
            Some(Life { node, life: server.life })
        };
        nodes.iter().filter_map(running).collect()
    }

    /// Whether this life goes on.
    pub(super) fn goes_on(&self, life: &Life) -> bool {
        self.world.server(life.node).is_some_and(|server| server.running && server.life == life.life)
    }

    /// The process ends, wherever it is. Its connections are closed by the system, which keeps what was
    /// handed to it.
    pub(super) fn kill(&self, node: NodeId, hosts: &mut dyn Hosts) {
        hosts.kill(node);
        self.world.gone(node, "is killed");
    }

    /// The power goes. The links go first: a machine without power closes no connection. Of what was not
    /// synced `part` is left, see [`Disk::power_cut`]; returns how many bytes were lost.
    pub(super) fn cut_power(&mut self, node: NodeId, part: Option<u64>, hosts: &mut dyn Hosts) -> u64 {
        hosts.darken(node, true);
        self.dark.insert(node);
        hosts.kill(node);
        self.world.gone(node, "loses its power");
        self.disks.get(&node).map_or(0, |disk| {
            disk.closed(self.world.now());
            disk.power_cut(part)
        })
    }

    pub(super) fn disk(&self, node: NodeId) -> Option<&Disk> {
        self.disks.get(&node)
    }

    /// A moment later: how far each disk is.
    pub(super) fn note_disks(&self) {
        let now = self.world.now();
        self.disks.values().for_each(|disk| disk.note(now));
    }

    pub(super) fn clock(&self, node: NodeId) -> Option<&Clock> {
        self.clocks.get(&node)
    }

    pub(super) fn clocks(&self) -> impl Iterator<Item = (NodeId, &Clock)> {
        self.clocks.iter().map(|(&node, clock)| (node, clock))
    }

    /// All that is on the disk of a server that does not run is gone, and it begins another life.
    pub(super) fn wipe(&self, node: NodeId) {
        if let Some(disk) = self.disks.get(&node) {
            disk.wipe();
        }
        self.world.wiped(node);
    }

    /// These lives are to be followed by others.
    pub(super) fn restart_after(&mut self, lives: Vec<Life>) {
        self.restarts.extend(lives);
    }

    /// Starts each server whose life has ended and is to be followed by another, unless it is `kept_down`.
    /// One that is still shutting down is started when it has.
    pub(super) fn restart(&mut self, kept_down: &BTreeSet<NodeId>, hosts: &mut dyn Hosts) {
        for ended in std::mem::take(&mut self.restarts) {
            let is_down = self.world.server(ended.node).is_some_and(|server| !server.running);
            if self.goes_on(&ended) {
                self.restarts.push(ended);
            } else if is_down && !kept_down.contains(&ended.node) {
                if self.dark.remove(&ended.node) {
                    hosts.darken(ended.node, false);
                }
                self.world.booted(ended.node);
                hosts.start(ended.node);
            }
        }
    }
}
