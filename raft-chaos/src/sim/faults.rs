//! The plan's events and its chaos: when each fires, what it does to the cluster, when that is undone, and what it is
//! known to have done.

mod changes;
mod clocks;
mod disks;
mod firing;
mod health;
mod links;
mod pauses;
mod upgrades;

use std::collections::{BTreeMap, BTreeSet};

use raft_core::{LogIndex, NodeId, Rng, Time};
use raft_storage::FaultId;

use super::Planted;
use super::chaos::{Chaos, Skipped};
use super::evidence::{self, Evidence};
use super::hosts::Hosts;
use super::links::LinkFaultId;
use super::machines::{Life, Machines};
use super::network::Direction;
use super::schedule::Schedule;
use super::script::{Fired, Script};
use super::servers::Server;
use super::trace::{Happening, Scope};
use super::world::World;
use crate::plan::{Budget, Plan, Toll};
pub(super) use changes::next_life;
use changes::{Request, Wiped};
use clocks::SetOff;
use disks::Damaging;
use upgrades::Before;

/// All events and all chaos of a plan, and the faults that are in force.
pub(super) struct Faults {
    schedule: Schedule,
    chaos: Chaos,
    /// What fires instead of events and chaos.
    script: Option<Script>,
    /// All that has fired.
    fired: Vec<Fired>,
    budget: Budget,
    seed: u64,
    active: Vec<Active>,
    firings: Vec<evidence::Firing>,
    damaging: Vec<Damaging>,
    /// The firings that were to shut servers down in order, in these lives, and are over.
    stopped: Vec<(usize, Vec<Life>)>,
    wiped: Vec<Wiped>,
    planted: Option<Planted>,
    heals: Vec<Time>,
    machines: Machines,
    world: World,
    /// What the firing that goes on draws from.
    rng: Rng,
    /// What had to come of what was asked for, and did not.
    unmet: Vec<String>,
    /// Events fire from the end of the warm-up to the end of the plan's duration.
    from: Time,
    to: Time,
    healed: bool,
}

/// A fault in force.
struct Active {
    firing: usize,
    kind: Kind,
    toll: Toll,
    /// When it is undone; none if never.
    until: Option<Time>,
}

enum Kind {
    Cut { links: BTreeSet<Direction>, met_before: BTreeMap<Direction, u64> },
    Down { lives: Vec<Life>, graceful: bool },
    Paused { lives: Vec<Life>, held_before: u64 },
    Asked { snapshots_before: Vec<(NodeId, LogIndex)> },
    Requested(Box<Request>),
    Upgraded { before: Vec<Before> },
    Faulty { disks: Vec<(NodeId, FaultId)> },
    Bent { id: LinkFaultId },
    Off { clocks: Vec<SetOff> },
    Shut { nodes: Vec<NodeId>, met_before: u64 },
}

impl Kind {
    /// What is faulty until it is undone.
    const fn faulty(&self) -> Option<&'static str> {
        match self {
            Self::Cut { .. } => Some("cut"),
            Self::Bent { .. } => Some("link"),
            Self::Down { .. } => Some("down"),
            Self::Paused { .. } => Some("pause"),
            Self::Faulty { .. } => Some("disk"),
            Self::Off { .. } => Some("clock"),
            Self::Shut { .. } => Some("door"),
            Self::Asked { .. } | Self::Requested(_) | Self::Upgraded { .. } => None,
        }
    }
}

impl Faults {
    pub(super) fn new(plan: &Plan, machines: Machines, world: World, seed: u64) -> Self {
        let from = Time::ZERO.after(plan.run.warmup);
        Self {
            schedule: Schedule::new(&plan.events, world.clone(), from),
            chaos: Chaos::new(plan, seed, from),
            script: None,
            fired: Vec::new(),
            budget: plan.budget,
            seed,
            active: Vec::new(),
            firings: Vec::new(),
            damaging: Vec::new(),
            stopped: Vec::new(),
            wiped: Vec::new(),
            planted: None,
            heals: Vec::new(),
            machines,
            world,
            rng: Rng::new(seed),
            unmet: Vec::new(),
            from,
            to: from.after(plan.run.duration),
            healed: false,
        }
    }

    /// The same, of a tester with this bug.
    pub(super) fn with_bug(self, planted: Option<Planted>) -> Self {
        Self { planted, ..self }
    }

    /// The same, where what has fired in another run fires, and nothing else.
    pub(super) fn with_script(self, script: Option<Vec<Fired>>) -> Self {
        Self { script: script.map(Script::new), ..self }
    }

    /// Whether this tester does not do what it says that it does.
    fn is_idle(&self, action: &str) -> bool {
        self.planted.is_some_and(|planted| planted.is_idle(action))
    }

    /// A moment later: fires what waited for what servers came to meanwhile, undoes what is due, then
    /// fires what is due, in file order; at the end of the plan's duration undoes everything but what lasts
    /// for ever.
    pub(super) fn advance(&mut self, now: Time, hosts: &mut dyn Hosts) {
        self.machines.note_disks();
        self.restart(hosts);
        if self.healed || now < self.from {
            return;
        }
        self.meet_moments(now, hosts);
        let clocks_are_off = self.active.iter().any(|fault| matches!(fault.kind, Kind::Off { .. }));
        let (due, rest) = std::mem::take(&mut self.active)
            .into_iter()
            .partition(|fault| fault.until.is_some_and(|at| at <= now));
        self.active = rest;
        self.undo(now, due, hosts);
        if clocks_are_off {
            self.look_at_clocks(now);
        }
        if now >= self.to {
            self.machines.restart_after(self.gave_out());
        }
        self.restart(hosts);
        if now >= self.to {
            self.healed = true;
            self.note_heal(now);
            self.world.arm(BTreeSet::new());
            return;
        }
        if self.script.is_some() {
            self.follow_script(now, false, hosts);
        } else {
            for place in self.schedule.places() {
                if self.schedule.is_due(place, now) {
                    self.fire_event(place, now, None, hosts);
                }
            }
            for due in self.chaos.due(now) {
                self.fire_chaos(due, now, hosts);
            }
        }
        self.world.arm(self.schedule.awaited());
    }

    /// Fires what waits for the moments that came, each in file order. Whoever was held there goes on then.
    fn meet_moments(&mut self, now: Time, hosts: &mut dyn Hosts) {
        self.follow_script(now, true, hosts);
        for came in self.world.moments() {
            let places = if self.script.is_none() { self.schedule.places() } else { 0..0 };
            for place in places {
                if self.schedule.is_met(place, now, &came) {
                    self.fire_event(place, now, Some(came.node), hosts);
                }
            }
        }
        self.world.release();
    }

    /// Fires what the script has due, if there is one.
    fn follow_script(&mut self, now: Time, over_moments: bool, hosts: &mut dyn Hosts) {
        let due = self.script.as_mut().map(|script| script.due(now, over_moments)).unwrap_or_default();
        due.iter().for_each(|fired| self.fire_again(fired, now, hosts));
    }

    /// Settles the evidence of what lasts for ever.
    pub(super) fn finish(&mut self) {
        for fault in std::mem::take(&mut self.active) {
            self.settle(&fault);
        }
        self.settle_stopped();
        self.settle_wiped();
    }

    pub(super) fn firings(&self) -> &[evidence::Firing] {
        &self.firings
    }

    /// All that has fired, in order.
    pub(super) fn fired(&self) -> &[Fired] {
        &self.fired
    }

    /// When something was healed.
    pub(super) fn heals(&self) -> &[Time] {
        &self.heals
    }

    /// Chaos that was held back.
    pub(super) fn skipped(&self) -> Vec<Skipped> {
        self.chaos.skipped()
    }

    /// What had to come of what was asked for, and did not.
    pub(super) fn unmet(&self) -> &[String] {
        &self.unmet
    }

    /// Events that had to fire and did not.
    pub(super) fn unfired(&self) -> Vec<String> {
        self.schedule.unfired()
    }

    fn snapshot(&mut self, nodes: Vec<NodeId>) -> Begun {
        let lives = self.machines.running(&nodes);
        let asked = lives.iter().filter_map(|life| Some((life.node, self.world.server(life.node)?)));
        let ask = |(node, server): (NodeId, Server)| {
            if !self.is_idle("snapshot") {
                server.take_snapshot.notify_one();
            }
            (node, server.snapshot)
        };
        let snapshots_before = asked.map(ask).collect();
        Begun {
            does: format!("has {} take snapshots", list(nodes.iter().copied())),
            evidence: Evidence::SnapshotTaken(Vec::new()),
            kind: Some(Kind::Asked { snapshots_before }),
            acted_on: nodes,
            ends: Vec::new(),
        }
    }

    /// Keeps clients from reaching servers; whoever is down cannot be reached once it is up.
    fn isolate_client(&mut self, nodes: Vec<NodeId>) -> Begun {
        let met_before = self.turned_away(&nodes);
        if !self.is_idle("isolate-client") {
            nodes.iter().for_each(|&node| self.world.shut(node, true));
        }
        Begun {
            does: format!("keeps clients from {}", list(nodes.iter().copied())),
            evidence: Evidence::RequestsMet(0),
            kind: Some(Kind::Shut { nodes: nodes.clone(), met_before }),
            acted_on: nodes,
            ends: Vec::new(),
        }
    }

    fn turned_away(&self, nodes: &[NodeId]) -> u64 {
        nodes.iter().filter_map(|node| self.world.server(*node)).map(|server| server.turned_away).sum()
    }

    fn undo(&mut self, now: Time, due: Vec<Active>, hosts: &mut dyn Hosts) {
        for fault in due {
            self.settle(&fault);
            let does = match fault.kind {
                Kind::Cut { .. } | Kind::Bent { .. } => {
                    self.make_whole(fault.kind);
                    "heals".to_owned()
                }
                Kind::Down { lives, .. } => {
                    let does = format!("starts {}", list(lives.iter().map(|life| life.node)));
                    self.machines.restart_after(lives);
                    does
                }
                Kind::Paused { lives, .. } => {
                    let nodes: Vec<_> = lives
                        .into_iter()
                        .filter(|life| self.machines.goes_on(life))
                        .map(|life| life.node)
                        .collect();
                    nodes.iter().for_each(|&node| self.halt(node, false, hosts));
                    format!("resumes {}", list(nodes))
                }
                Kind::Faulty { disks } => self.mend(disks),
                Kind::Off { clocks } => self.put_right(now, clocks),
                Kind::Shut { nodes, .. } => {
                    nodes.iter().for_each(|&node| self.world.shut(node, false));
                    format!("lets clients reach {}", list(nodes))
                }
                Kind::Asked { .. } | Kind::Requested(_) | Kind::Upgraded { .. } => continue,
            };
            let scope = Scope { ends: vec![fault.firing], ..Scope::default() };
            let fault = self.firings[fault.firing].event.clone();
            self.world.happened(&Happening::Fault { fault, does, scope });
            self.note_heal(now);
        }
    }

    /// Starts whoever is to be started, unless a fault in force keeps it down.
    fn restart(&mut self, hosts: &mut dyn Hosts) {
        self.damage_what_is_down();
        let kept_down = self.active.iter().filter_map(|fault| match &fault.kind {
            Kind::Down { lives, .. } => Some(lives),
            Kind::Cut { .. }
            | Kind::Paused { .. }
            | Kind::Asked { .. }
            | Kind::Requested(_)
            | Kind::Upgraded { .. }
            | Kind::Faulty { .. }
            | Kind::Bent { .. }
            | Kind::Off { .. }
            | Kind::Shut { .. } => None,
        });
        let kept_down: BTreeSet<_> = kept_down.flatten().map(|life| life.node).collect();
        self.machines.restart(&kept_down, hosts);
    }

    fn note_heal(&mut self, now: Time) {
        if self.heals.last() != Some(&now) {
            self.heals.push(now);
        }
    }

    /// Writes down what a fault has done by now.
    fn settle(&mut self, fault: &Active) {
        let evidence = match &fault.kind {
            Kind::Cut { links, met_before } => self.met(links, met_before),
            Kind::Bent { id } => {
                Evidence::MessagesTouched(self.world.network(|network| network.faults.touched(*id)))
            }
            Kind::Off { clocks } => self.off(clocks),
            Kind::Shut { nodes, met_before } => Evidence::RequestsMet(self.turned_away(nodes) - met_before),
            // Who is to start again may not be down yet.
            Kind::Down { lives, graceful: true } => {
                self.stopped.push((fault.firing, lives.clone()));
                return;
            }
            Kind::Down { graceful: false, .. } => return,
            Kind::Requested(request) => self.outcome(request),
            Kind::Upgraded { before } => self.upgraded(before),
            Kind::Faulty { disks } => self.touched(disks),
            Kind::Paused { lives, held_before } => Evidence::HeldBack(self.held(lives) - held_before),
            Kind::Asked { snapshots_before } => {
                let rose = |(node, before): &&(NodeId, LogIndex)| {
                    self.world.server(*node).is_some_and(|server| server.snapshot > *before)
                };
                Evidence::SnapshotTaken(snapshots_before.iter().filter(rose).map(|(node, _)| *node).collect())
            }
        };
        self.firings[fault.firing].evidence = evidence;
    }
}

/// An action that has begun.
struct Begun {
    does: String,
    evidence: Evidence,
    /// None where there is nothing to undo.
    kind: Option<Kind>,
    acted_on: Vec<NodeId>,
    /// The firings that it ends.
    ends: Vec<usize>,
}

fn list(nodes: impl IntoIterator<Item = NodeId>) -> String {
    let nodes: Vec<_> = nodes.into_iter().map(|node| node.to_string()).collect();
    if nodes.is_empty() { "nobody".to_owned() } else { nodes.join(" ") }
}
