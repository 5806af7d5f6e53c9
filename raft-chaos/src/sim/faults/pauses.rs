//! What is done to servers that are to do nothing for a while.

use raft_core::NodeId;

use super::super::evidence::Evidence;
use super::super::hosts::Hosts;
use super::super::machines::Life;
use super::{Begun, Faults, Kind, list};

impl Faults {
    pub(super) fn pause(&mut self, nodes: Vec<NodeId>, hosts: &mut dyn Hosts) -> Begun {
        let lives = self.machines.running(&nodes);
        let held_before = self.held(&lives);
        if !self.is_idle("pause") {
            lives.iter().for_each(|life| self.halt(life.node, true, hosts));
        }
        Begun {
            does: format!("pauses {}", list(nodes.iter().copied())),
            evidence: Evidence::HeldBack(0),
            kind: Some(Kind::Paused { lives, held_before }),
            acted_on: nodes,
            ends: Vec::new(),
        }
    }

    /// A server is paused once more, or once less.
    pub(super) fn halt(&self, node: NodeId, on: bool, hosts: &mut dyn Hosts) {
        self.world.pause(node, on);
        hosts.pause(node, self.world.server(node).is_some_and(|server| server.paused > 0));
    }

    /// How often these lives had something to do and did not do it.
    pub(super) fn held(&self, lives: &[Life]) -> u64 {
        lives.iter().filter_map(|life| self.world.server(life.node)).map(|server| server.held).sum()
    }
}
