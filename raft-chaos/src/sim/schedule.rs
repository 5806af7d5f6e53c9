//! When the events of a plan fire.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use raft_core::{NodeId, Time};

use super::moments::Came;
use super::world::World;
use crate::plan::{Event, Moment, View};

/// All events of a plan, in file order. They fire from the end of the warm-up to the end of the plan's
/// duration.
pub(super) struct Schedule {
    events: Vec<Scheduled>,
    world: World,
    from: Time,
}

/// One event of the plan, so far.
struct Scheduled {
    plan: Event,
    fired: u64,
    first_fired: Option<Time>,
    /// When a repeating event is due next.
    due: Time,
    /// How often all that it asks for came to hold, and whether it did the last time.
    met: u64,
    held: bool,
    acted_on: Vec<NodeId>,
}

impl Schedule {
    pub(super) fn new(plan: &[Event], world: World, from: Time) -> Self {
        let scheduled = |plan: &Event| {
            let due = from.after(plan.when.at.unwrap_or_default()).after(plan.when.every.unwrap_or_default());
            Scheduled {
                plan: plan.clone(),
                fired: 0,
                first_fired: None,
                due,
                met: 0,
                held: false,
                acted_on: Vec::new(),
            }
        };
        Self { events: plan.iter().map(scheduled).collect(), world, from }
    }

    pub(super) fn places(&self) -> std::ops::Range<usize> {
        0..self.events.len()
    }

    /// Where the event of this name is.
    pub(super) fn place(&self, name: &str) -> Option<usize> {
        self.events.iter().position(|event| event.plan.name == name)
    }

    pub(super) fn event(&self, place: usize) -> &Event {
        &self.events[place].plan
    }

    /// An event has fired, and acted on these.
    pub(super) fn fired(&mut self, place: usize, now: Time, acted_on: Vec<NodeId>) {
        let event = &mut self.events[place];
        event.fired += 1;
        event.first_fired.get_or_insert(now);
        event.acted_on = acted_on;
    }

    /// Events that had to fire and did not.
    pub(super) fn unfired(&self) -> Vec<String> {
        let unfired = self.events.iter().filter(|event| event.fired == 0 && !event.plan.optional);
        unfired.map(|event| event.plan.name.clone()).collect()
    }

    /// The moments that an event still waits for.
    pub(super) fn awaited(&self) -> BTreeSet<Moment> {
        let waiting = self.events.iter().filter(|event| event.fired == 0);
        waiting.filter_map(|event| event.plan.when.trigger.as_ref()).map(|trigger| trigger.moment).collect()
    }

    /// How often it has fired.
    pub(super) fn count(&self, place: usize) -> u64 {
        self.events[place].fired
    }

    /// Whether all holds that the event's `when` asks for, if it asks for no moment inside a server. A
    /// moment of `every` that passes is gone.
    pub(super) fn is_due(&mut self, place: usize, now: Time) -> bool {
        let states = self.states_hold(place, now, None);
        let event = &mut self.events[place];
        let when = &event.plan.when;
        let Some(every) = when.every else {
            let held = std::mem::replace(&mut event.held, states);
            event.met += u64::from(states && !held);
            let is_nth = when.nth.is_none_or(|nth| nth == event.met);
            return states && is_nth && when.trigger.is_none() && event.fired == 0;
        };
        let moment = now >= event.due && when.times.is_none_or(|times| event.fired < times);
        while event.due <= now {
            event.due = event.due.after(every);
        }
        event.met += u64::from(states && moment);
        states && moment && when.nth.is_none_or(|nth| nth == event.met)
    }

    /// Whether this moment is the one that the event waits for.
    pub(super) fn is_met(&mut self, place: usize, now: Time, came: &Came) -> bool {
        let view = self.view(Some(came.node));
        let states = self.states_hold(place, now, Some(came.node));
        let event = &mut self.events[place];
        let when = &event.plan.when;
        let Some(trigger) = when.trigger.as_ref().filter(|_| states && event.fired == 0) else {
            return false;
        };
        let fits = trigger.moment == came.moment
            && trigger.chunk.is_none_or(|chunk| chunk == came.chunk)
            && trigger.on.as_ref().is_none_or(|on| on.fits(&view, came.node));
        event.met += u64::from(fits);
        fits && when.nth.is_none_or(|nth| nth == event.met)
    }

    /// Whether the states hold, those of a log on this server; without one on the leader.
    fn states_hold(&self, place: usize, now: Time, trigger: Option<NodeId>) -> bool {
        let when = &self.events[place].plan.when;
        let other = |name: &String| self.events.iter().find(|event| event.plan.name == *name);
        let since = match &when.event {
            Some(name) => other(name).and_then(|event| event.first_fired),
            None => Some(self.from),
        };
        // Faults come before anything else of their instant: a leader of that instant came since.
        let elected = || {
            let leader = self.world.leader_of_highest_term();
            leader.is_some_and(|leader| when.event.is_none() || Some(leader.leads_since) >= since)
        };
        let logs = || {
            let node = trigger.or_else(|| self.world.view().leader);
            node.is_some_and(|node| self.world.holds(node, &when.with))
        };
        since.is_some_and(|since| now >= since.after(when.after.unwrap_or(Duration::ZERO)))
            && now >= self.from.after(when.at.unwrap_or_default())
            && (!when.leader_elected || elected())
            && when.term.is_none_or(|term| term.holds(self.world.highest_term().get()))
            && when.commit.is_none_or(|commit| commit.holds(self.world.committed().0.get()))
            && (when.with.is_empty() || logs())
    }

    /// The cluster as the targets of an event see it whose trigger is on this server; without a moment it
    /// is the leader.
    pub(super) fn view(&self, trigger: Option<NodeId>) -> View {
        let acted_on: BTreeMap<_, _> =
            self.events.iter().map(|event| (event.plan.name.clone(), event.acted_on.clone())).collect();
        let mut view = self.world.view();
        view.trigger = trigger.or(view.leader);
        view.acted_on = acted_on;
        view
    }
}
