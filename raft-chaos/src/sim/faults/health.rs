//! How the servers are, as the budget counts, and which faults are in force.

use std::collections::BTreeSet;

use raft_core::{Member, NodeId};

use super::super::servers::Server;
use super::{Faults, Kind};
use crate::plan::{Health, Toll};

impl Faults {
    /// The faults in force, by the names of what fired them.
    pub(in super::super) fn in_force(&self) -> Vec<String> {
        let faulty = self.active.iter().filter(|fault| fault.kind.faulty().is_some());
        faulty.map(|fault| self.firings[fault.firing].event.clone()).collect()
    }

    /// Down is who does not run or is paused, who is on its way down, and whose disk may end it; lost is who has not
    /// caught up since its disk lost something, and who was wiped and has not been admitted again.
    pub(super) fn health(&self) -> Health {
        let servers = self.world.servers();
        let is_up = |server: &Server| server.running && server.paused == 0;
        let mut down: BTreeSet<_> =
            servers.iter().filter(|(_, server)| !is_up(server)).map(|(&node, _)| node).collect();
        let mut cut = self.world.network(super::super::network::Network::cut_directions);
        for fault in &self.active {
            match &fault.kind {
                Kind::Down { .. } | Kind::Faulty { .. } => down.extend(&fault.toll.down),
                Kind::Bent { .. } => cut.extend(&fault.toll.cut),
                Kind::Cut { .. }
                | Kind::Paused { .. }
                | Kind::Asked { .. }
                | Kind::Requested(_)
                | Kind::Upgraded { .. }
                | Kind::Off { .. }
                | Kind::Shut { .. } => {}
            }
        }
        let (electorates, wiped) = self.world.membership(|membership| {
            let needed = membership.needed();
            let wiped = needed.iter().flatten().filter(|member| !membership.is_alive(member));
            let wiped: Vec<_> = wiped.map(|member| member.id).collect();
            let ids = |voters: Vec<Member>| voters.into_iter().map(|member| member.id).collect();
            (needed.into_iter().map(ids).collect(), wiped)
        });
        let lost = servers.iter().filter(|(_, server)| !server.lacks.is_none()).map(|(&node, _)| node);
        let lost: BTreeSet<NodeId> = lost.chain(wiped).chain(self.to_be_damaged()).collect();
        let nodes = servers.keys().copied().collect();
        Health { nodes, electorates, taken: Toll { down, cut, lost, clock_error: self.clock_error() } }
    }
}
