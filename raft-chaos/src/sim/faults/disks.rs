//! What is done to servers together with their disks: crashes, shutdowns, faults, damage.

use std::collections::{BTreeMap, BTreeSet};

use raft_core::{LogIndex, NodeId, Rng};
use raft_storage::{DiskFault, FaultId};

use super::super::disk::Damaged;
use super::super::evidence::Evidence;
use super::super::hosts::Hosts;
use super::super::machines::Life;
use super::super::planted;
use super::super::trace::{Happening, Scope};
use super::{Begun, Faults, Kind, list};
use crate::plan::{Damage, Loss};

/// Damage that is done to each disk as soon as its server is down.
pub(super) struct Damaging {
    firing: usize,
    damage: Damage,
    waiting: Vec<Life>,
    /// Entries that it has hit, on whatever server: on the next one it hits another.
    hit: BTreeSet<LogIndex>,
}

impl Faults {
    pub(super) fn crash(
        &mut self,
        nodes: Vec<NodeId>,
        loss: Loss,
        damage: Option<Damage>,
        hosts: &mut dyn Hosts,
    ) -> Begun {
        let lives = self.machines.running(&nodes);
        let mut bytes = 0;
        let met = if self.is_idle("crash") { &[][..] } else { &lives };
        for node in met.iter().map(|life| life.node) {
            match loss {
                Loss::None => self.machines.kill(node, hosts),
                Loss::Unsynced { torn } => {
                    let is_torn = self.rng.below(1_000_000) < u64::from(torn.ppm());
                    let part = is_torn.then(|| self.rng.below(1 << 32));
                    bytes += self.machines.cut_power(node, part, hosts);
                }
            }
        }
        let gone = lives.iter().map(|life| life.node).filter(|node| !hosts.is_running(*node));
        let gone = gone.collect();
        let (does, evidence) = match loss {
            Loss::None => (format!("kills {}", list(nodes.iter().copied())), Evidence::Killed(gone)),
            Loss::Unsynced { .. } => {
                let does =
                    format!("takes the power of {}: {bytes} bytes are lost", list(nodes.iter().copied()));
                (does, Evidence::PowerLost { nodes: gone, bytes })
            }
        };
        let evidence = self.damage_when_down(damage, &lives).unwrap_or(evidence);
        let kind = Some(Kind::Down { lives, graceful: false });
        Begun { does, evidence, kind, acted_on: nodes, ends: Vec::new() }
    }

    pub(super) fn stop(&mut self, nodes: Vec<NodeId>, damage: Option<Damage>) -> Begun {
        let lives = self.machines.running(&nodes);
        let asked = lives.iter().filter(|_| !self.is_idle("stop"));
        for server in asked.filter_map(|life| self.world.server(life.node)) {
            server.stop.notify_one();
        }
        let damaged = self.damage_when_down(damage, &lives);
        let graceful = damaged.is_none();
        Begun {
            does: format!("shuts down {}", list(nodes.iter().copied())),
            evidence: damaged.unwrap_or(Evidence::ShutDown(Vec::new())),
            kind: Some(Kind::Down { lives, graceful }),
            acted_on: nodes,
            ends: Vec::new(),
        }
    }

    /// Writes down which of the servers that were to shut down in order have.
    pub(super) fn settle_stopped(&mut self) {
        for (firing, lives) in &self.stopped {
            let has = |life: &&Life| {
                self.world.server(life.node).is_some_and(|server| server.shut_down.contains(&life.life))
            };
            let nodes = lives.iter().filter(has).map(|life| life.node).collect();
            self.firings[*firing].evidence = Evidence::ShutDown(nodes);
        }
    }

    /// Makes disks faulty, also those of servers that are down.
    pub(super) fn disk(&self, nodes: Vec<NodeId>, fault: DiskFault) -> Begun {
        let fault = planted::ignored(self.planted, fault);
        let begin = |&node: &NodeId| Some((node, self.machines.disk(node)?.faults.begin(fault)));
        let disks: Vec<_> = nodes.iter().filter(|_| !self.is_idle("disk")).filter_map(begin).collect();
        nodes.iter().for_each(|&node| self.world.disk_is_faulty(node, true));
        Begun {
            does: format!("makes the disks of {} faulty", list(nodes.iter().copied())),
            evidence: Evidence::CallsTouched(BTreeMap::new()),
            kind: Some(Kind::Faulty { disks }),
            acted_on: nodes,
            ends: Vec::new(),
        }
    }

    /// The calls that these faults have touched, by kind.
    pub(super) fn touched(&self, disks: &[(NodeId, FaultId)]) -> Evidence {
        let mut calls = BTreeMap::new();
        for &(node, fault) in disks {
            let touched = self.machines.disk(node).map(|disk| disk.faults.touched(fault)).unwrap_or_default();
            for (kind, count) in
                [("fsync", touched.syncs), ("write", touched.writes), ("read", touched.reads)]
            {
                *calls.entry(kind).or_default() += count;
            }
        }
        Evidence::CallsTouched(calls)
    }

    /// Ends these faults.
    pub(super) fn mend(&self, disks: Vec<(NodeId, FaultId)>) -> String {
        for &(node, fault) in &disks {
            if let Some(disk) = self.machines.disk(node) {
                disk.faults.end(fault);
            }
            self.world.disk_is_faulty(node, false);
        }
        format!("mends the disks of {}", list(disks.into_iter().map(|(node, _)| node)))
    }

    /// Has the disks of these damaged when they are down. The firing is the one that begins.
    fn damage_when_down(&mut self, damage: Option<Damage>, lives: &[Life]) -> Option<Evidence> {
        let damage = damage?;
        let (firing, waiting) = (self.firings.len(), lives.to_vec());
        self.damaging.push(Damaging { firing, damage, waiting, hit: BTreeSet::new() });
        Some(Evidence::BytesDamaged(BTreeMap::new()))
    }

    /// Those whose disks are damaged as soon as they are down.
    pub(super) fn to_be_damaged(&self) -> impl Iterator<Item = NodeId> {
        self.damaging.iter().flat_map(|all| &all.waiting).map(|life| life.node)
    }

    /// Damages the disks of those that have gone down since.
    pub(super) fn damage_what_is_down(&mut self) {
        let mut damaging = std::mem::take(&mut self.damaging);
        for all in &mut damaging {
            let (going, down): (Vec<_>, Vec<_>) =
                std::mem::take(&mut all.waiting).into_iter().partition(|life| self.machines.goes_on(life));
            all.waiting = going;
            for life in down {
                self.damage(all, life.node);
            }
        }
        damaging.retain(|all| !all.waiting.is_empty());
        self.damaging = damaging;
    }

    fn damage(&mut self, all: &mut Damaging, node: NodeId) {
        let (Some(disk), Some(server)) = (self.machines.disk(node), self.world.server(node)) else { return };
        let choose = |entries: &[LogIndex], rng: &mut Rng| {
            let new = |index: &&LogIndex| **index > server.snapshot && !all.hit.contains(index);
            let all: Vec<_> = entries.iter().filter(new).copied().collect();
            let committed: Vec<_> = all.iter().filter(|index| **index <= server.commit).copied().collect();
            rng.pick(if committed.is_empty() { &all } else { &committed }).copied()
        };
        let damaged = if self.is_idle("damage") {
            Damaged::default()
        } else {
            let now = self.world.now();
            disk.closed(now);
            disk.damage(all.damage, now, choose, &mut self.rng)
        };
        all.hit.extend(damaged.entry);
        let at = damaged.entry.map(|index| format!(", entry {index}")).unwrap_or_default();
        let firing = &mut self.firings[all.firing];
        if let Evidence::BytesDamaged(bytes) = &mut firing.evidence {
            bytes.insert(node, damaged.bytes);
        }
        let does = format!("{} on {node}{at}", all.damage.text());
        let scope = Scope { nodes: vec![node], ..Scope::default() };
        self.world.happened(&Happening::Fault { fault: firing.event.clone(), does, scope });
        if damaged.bytes > 0 {
            self.world.damaged(node);
        }
        if damaged.bytes > 0 && all.damage == Damage::FlipLog {
            self.world.flipped(node);
        }
        if damaged.bytes > 0 && matches!(all.damage, Damage::OldCopy { .. }) {
            self.world.rolled_back(node);
        }
    }

    /// Those that ended over their disks and are to start again: disks that are faulty for ever stay so.
    pub(super) fn gave_out(&self) -> Vec<Life> {
        let for_ever = self.active.iter().filter_map(|fault| match &fault.kind {
            Kind::Faulty { disks } => Some(disks),
            Kind::Cut { .. }
            | Kind::Down { .. }
            | Kind::Paused { .. }
            | Kind::Asked { .. }
            | Kind::Requested(_)
            | Kind::Upgraded { .. }
            | Kind::Bent { .. }
            | Kind::Off { .. }
            | Kind::Shut { .. } => None,
        });
        let for_ever: BTreeSet<_> = for_ever.flatten().map(|(node, _)| *node).collect();
        let servers = self.world.servers().into_iter();
        let gave_out = servers.filter(|(node, server)| server.gave_out && !for_ever.contains(node));
        gave_out.map(|(node, server)| Life { node, life: server.life }).collect()
    }
}
