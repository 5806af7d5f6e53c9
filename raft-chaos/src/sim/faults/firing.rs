//! How an event or chaos fires: what is drawn, whom it meets, whether there is room for it, and that it begins.

use std::borrow::Cow;

use raft_core::{NodeId, Time};

use super::super::chaos::Due;
use super::super::evidence::Firing;
use super::super::hosts::Hosts;
use super::super::network::Direction;
use super::super::script::Fired;
use super::super::trace::{Happening, Scope};
use super::{Active, Begun, Faults, Kind};
use crate::plan::{self, Action, Budget, Drawn, Event, Undo, View, draws};

/// An action that is to begin.
struct Shot {
    name: String,
    action: Action,
    /// The number of this firing.
    nth: u64,
    /// Where its trigger happened.
    trigger: Option<NodeId>,
    /// What it may not exceed.
    budget: Option<Budget>,
    /// Whom it has to meet, whoever that is now.
    aim: Option<Drawn>,
}

impl Faults {
    /// Does what the event says, if there is somebody to do it to; otherwise it has not fired.
    pub(super) fn fire_event(
        &mut self,
        place: usize,
        now: Time,
        trigger: Option<NodeId>,
        hosts: &mut dyn Hosts,
    ) {
        let Event { name, action, .. } = self.schedule.event(place).clone();
        let nth = self.schedule.count(place) + 1;
        let shot = Shot { name, action, nth, trigger, budget: None, aim: None };
        if let Ok(acted_on) = self.fire(shot, now, hosts) {
            self.schedule.fired(place, now, acted_on);
        }
    }

    /// Does it if there is somebody to do it to and the budget admits it.
    pub(super) fn fire_chaos(&mut self, due: Due, now: Time, hosts: &mut dyn Hosts) {
        let (plan::Chaos { name, action, .. }, nth) = (due.plan, due.nth);
        let budget = Some(self.budget);
        let shot = Shot { name: name.clone(), action, nth, trigger: None, budget, aim: None };
        if let Err(why) = self.fire(shot, now, hosts) {
            self.chaos.skip(name, why);
        }
    }

    /// Fires what has fired in another run of the plan.
    pub(super) fn fire_again(&mut self, fired: &Fired, now: Time, hosts: &mut dyn Hosts) {
        let place = self.schedule.place(&fired.event);
        let event = place.map(|place| self.schedule.event(place).action.clone());
        let Some(action) = event.or_else(|| self.chaos.action(&fired.event)) else { return };
        let Fired { event: name, nth, trigger, .. } = fired.clone();
        let shot = Shot { name, action, nth, trigger, budget: None, aim: Some(fired.aim()) };
        if let (Ok(acted_on), Some(place)) = (self.fire(shot, now, hosts), place) {
            self.schedule.fired(place, now, acted_on);
        }
    }

    /// Gives whom it acted on, or why nothing was done.
    fn fire(&mut self, shot: Shot, now: Time, hosts: &mut dyn Hosts) -> Result<Vec<NodeId>, String> {
        let Shot { name, action, nth, trigger, budget, aim } = shot;
        let view = self.schedule.view(trigger);
        self.rng = draws(self.seed, &name, nth);
        let action = action.drawn(&mut self.rng);
        let until = action.undo().and_then(|undo| match undo {
            Undo::After((length, _)) => Some(now.after(length).min(self.to)),
            Undo::AtEnd => Some(self.to),
            Undo::Never => None,
        });
        let nobody = || "nobody to do it to".to_owned();
        // What is drawn after this is the same whoever is met.
        let found = action.aim(&view, &mut |n| self.rng.below(n));
        let aim = aim.or(found).ok_or_else(nobody)?;
        let toll = action.toll(&aim, until.unwrap_or(self.to).since(now));
        if let Some(key) = budget.and_then(|budget| budget.exceeded(&self.health(), &toll)) {
            return Err(format!("budget.{key}"));
        }
        let begun = self.begin(&name, &action, aim.clone(), &view, now, hosts).ok_or_else(nobody)?;
        self.fired.push(Fired {
            event: name.clone(),
            nth,
            time_ns: now.as_nanos(),
            trigger,
            target: aim.target,
            cut: aim.cut.into_iter().collect(),
        });
        let scope = self.scope(&begun);
        self.world.happened(&Happening::Fault { fault: name.clone(), does: begun.does, scope });
        self.firings.push(Firing { event: name, time_ns: now.as_nanos(), evidence: begun.evidence });
        if let Some(kind) = begun.kind {
            self.active.push(Active { firing: self.firings.len() - 1, kind, toll, until });
        }
        Ok(begun.acted_on)
    }

    /// Of the firing that is noted next.
    fn scope(&self, begun: &Begun) -> Scope {
        let faulty = begun.kind.as_ref().and_then(Kind::faulty);
        let links = begun.kind.as_ref().map(|kind| self.links_of(kind)).unwrap_or_default();
        let begins = faulty.map(|_| self.firings.len());
        let (ends, nodes) = (begun.ends.clone(), begun.acted_on.clone());
        Scope { begins, faulty: faulty.map(Cow::Borrowed), ends, nodes, links }
    }

    /// The directions that a fault in force is on.
    fn links_of(&self, kind: &Kind) -> Vec<Direction> {
        match kind {
            Kind::Cut { links, .. } => links.iter().copied().collect(),
            Kind::Bent { id } => self.world.network(|network| network.faults.directions_of(*id)),
            Kind::Down { .. }
            | Kind::Paused { .. }
            | Kind::Asked { .. }
            | Kind::Requested(_)
            | Kind::Upgraded { .. }
            | Kind::Faulty { .. }
            | Kind::Off { .. }
            | Kind::Shut { .. } => Vec::new(),
        }
    }

    fn begin(
        &mut self,
        name: &str,
        action: &Action,
        aim: Drawn,
        view: &View,
        now: Time,
        hosts: &mut dyn Hosts,
    ) -> Option<Begun> {
        let Drawn { target: nodes, cut } = aim;
        Some(match action {
            Action::Partition { .. } => self.partition(nodes, cut),
            Action::Heal => self.heal(now),
            Action::Link { fault, .. } => self.link(nodes, cut, fault),
            Action::Clock { fault, .. } => self.clock(nodes, *fault, now),
            Action::IsolateClient { .. } => self.isolate_client(nodes),
            Action::Crash { loss, damage, .. } => self.crash(nodes, *loss, *damage, hosts),
            Action::Stop { damage, .. } => self.stop(nodes, *damage),
            Action::Disk { fault, .. } => self.disk(nodes, *fault),
            Action::Pause { .. } => self.pause(nodes, hosts),
            Action::Snapshot { .. } => self.snapshot(nodes),
            Action::Wipe { .. } => self.wipe(nodes, hosts),
            Action::Upgrade { node, .. } => self.upgrade(nodes, node, hosts),
            Action::Membership { change, target, via, expect } => {
                return self.membership(view, name, (change, target.as_ref(), via), *expect);
            }
            Action::Transfer { to, expect } => return self.transfer(view, name, to, *expect),
        })
    }
}
