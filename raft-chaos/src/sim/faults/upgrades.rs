//! Servers that are stopped in order, and started again under another command.

use std::collections::BTreeMap;

use raft_core::NodeId;

use super::super::evidence::{Evidence, Spoken};
use super::super::hosts::Hosts;
use super::super::servers::Server;
use super::{Begun, Faults, Kind, list};

/// A server as it was before.
pub(super) struct Before {
    node: NodeId,
    life: u64,
    spoke: Option<String>,
}

impl Faults {
    /// Has servers end in order, and start under this command from now on; those that are down, once they start.
    pub(super) fn upgrade(&mut self, nodes: Vec<NodeId>, command: &[String], hosts: &mut dyn Hosts) -> Begun {
        let lives = self.machines.running(&nodes);
        let of = |&node: &NodeId| {
            let Server { life, mut spoke, .. } = self.world.server(node)?;
            Some(Before { node, life, spoke: spoke.pop().map(|(_, versions)| versions) })
        };
        let before = nodes.iter().filter_map(of).collect();
        nodes.iter().for_each(|&node| hosts.replace(node, command));
        for server in lives.iter().filter_map(|life| self.world.server(life.node)) {
            server.stop.notify_one();
        }
        self.machines.restart_after(lives);
        Begun {
            does: format!("upgrades {}", list(nodes.iter().copied())),
            evidence: Evidence::Upgraded(BTreeMap::new()),
            kind: Some(Kind::Upgraded { before }),
            acted_on: nodes,
            ends: Vec::new(),
        }
    }

    /// What these servers have said, before and in the next life in which they said it.
    pub(super) fn upgraded(&self, before: &[Before]) -> Evidence {
        let of = |before: &Before| {
            let spoke = self.world.server(before.node).map(|server| server.spoke).unwrap_or_default();
            let since = spoke.into_iter().find(|(life, _)| *life > before.life);
            let after = since.map(|(_, versions)| versions);
            (before.node, Spoken { before: before.spoke.clone(), after })
        };
        Evidence::Upgraded(before.iter().map(of).collect())
    }
}
