//! What is done to links: partitions, faults, and their end.

use std::collections::{BTreeMap, BTreeSet};

use raft_core::{NodeId, Time};

use super::super::evidence::Evidence;
use super::super::network::Direction;
use super::{Active, Begun, Faults, Kind, list};
use crate::plan::LinkFault;

/// How many directions are told one by one.
const TOLD_MAX: usize = 12;

impl Faults {
    pub(super) fn partition(&mut self, target: Vec<NodeId>, cut: BTreeSet<Direction>) -> Begun {
        let met_before = self.world.network(|network| network.met(&cut));
        if !self.is_idle("partition") {
            self.world.cut(cut.iter().copied(), true);
        }
        let does = if target.is_empty() {
            format!("cuts {}", directions(&cut))
        } else {
            format!("cuts off {} ({} directions)", list(target.iter().copied()), cut.len())
        };
        Begun {
            does,
            evidence: Evidence::MessagesCut(BTreeMap::new()),
            kind: Some(Kind::Cut { links: cut, met_before }),
            acted_on: target,
            ends: Vec::new(),
        }
    }

    pub(super) fn link(
        &mut self,
        target: Vec<NodeId>,
        links: BTreeSet<Direction>,
        fault: &LinkFault,
    ) -> Begun {
        let delay = self.rng.duration(fault.delay);
        let does = format!("does {fault} to messages {}", directions(&links));
        let links = if self.is_idle("link") { BTreeSet::new() } else { links };
        let id = self.world.bend(links, fault.clone(), delay);
        Begun {
            does,
            evidence: Evidence::MessagesTouched(BTreeMap::new()),
            kind: Some(Kind::Bent { id }),
            acted_on: target,
            ends: Vec::new(),
        }
    }

    /// Ends every partition and every fault of links, also those that were to last for ever.
    pub(super) fn heal(&mut self, now: Time) -> Begun {
        let is_idle = self.is_idle("heal");
        let of_links = |fault: &Active| matches!(fault.kind, Kind::Cut { .. } | Kind::Bent { .. });
        let (ended, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.active).into_iter().partition(|fault| of_links(fault) && !is_idle);
        self.active = rest;
        let ends: Vec<_> = ended.iter().map(|fault| fault.firing).collect();
        let count = ended.len();
        for fault in ended {
            self.settle(&fault);
            self.make_whole(fault.kind);
        }
        let left = self.world.network(|network| network.faulty_directions().len());
        self.note_heal(now);
        let does = format!("ends {count} faults of links");
        Begun {
            does,
            evidence: Evidence::Healed { ended: count, left },
            kind: None,
            acted_on: Vec::new(),
            ends,
        }
    }

    /// Takes a fault off its links.
    pub(super) fn make_whole(&self, kind: Kind) {
        match kind {
            Kind::Cut { links, .. } => self.world.cut(links, false),
            Kind::Bent { id } => self.world.straighten(id),
            Kind::Down { .. }
            | Kind::Paused { .. }
            | Kind::Asked { .. }
            | Kind::Requested(_)
            | Kind::Upgraded { .. }
            | Kind::Faulty { .. }
            | Kind::Off { .. }
            | Kind::Shut { .. } => {}
        }
    }

    /// What has met a cut so far, by direction.
    pub(super) fn met(&self, links: &BTreeSet<Direction>, met_before: &BTreeMap<Direction, u64>) -> Evidence {
        let met = self.world.network(|network| network.met(links)).into_iter().map(|((from, to), met)| {
            let before = met_before.get(&(from, to)).copied().unwrap_or(0);
            (format!("{from}>{to}"), met - before)
        });
        Evidence::MessagesCut(met.collect())
    }
}

fn directions(links: &BTreeSet<Direction>) -> String {
    if links.len() > TOLD_MAX {
        return format!("in {} directions", links.len());
    }
    links.iter().map(|(from, to)| format!("{from}>{to}")).collect::<Vec<_>>().join(" ")
}
