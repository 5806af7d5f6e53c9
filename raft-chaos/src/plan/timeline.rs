//! What a seed will bring, as far as that is known before it is run.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::lock::{action_text, when_text};
use super::{Action, Event, LinkTarget, Plan, Split, Target, Undo, When, draws};

/// How many firings of one event, or one table of chaos, are told.
const TOLD_MAX: usize = 1_000;

/// What a seed will bring.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Timeline {
    /// The plan.
    pub plan: String,
    /// The seed.
    pub seed: u64,
    /// How long faults go on, in nanoseconds; at the end of that time everything is healed that is not for ever.
    pub duration_ns: u64,
    /// Chaos that is off with this seed.
    pub off: Vec<String>,
    /// What will happen, in the order of time and then of the plan.
    pub entries: Vec<Entry>,
    /// Of what has these names there is more than is told.
    pub more: Vec<String>,
}

/// One firing. Whether it does anything, and to whom, may depend on the cluster at that time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// When, in nanoseconds from the end of the warm-up; with `waits` not before that.
    pub time_ns: u64,
    /// What fires.
    pub event: String,
    /// Which of its firings, or of the times that chaos is due, from 1.
    pub nth: u64,
    /// What else has to hold, as the plan writes it.
    pub waits: Vec<String>,
    /// What is done, as the plan writes it, with all that is drawn before it looks at the cluster.
    pub does: String,
    /// How long it lasts, in nanoseconds, if it ends before all is healed.
    pub for_ns: Option<u64>,
    /// Whether it ends before the run does.
    pub heals: bool,
}

/// When an event can fire first, and whether it surely does then.
#[derive(Clone, Copy)]
struct First {
    at: Duration,
    sure: bool,
}

impl Plan {
    /// What this seed will bring.
    pub fn timeline(&self, seed: u64) -> Timeline {
        let mut timeline = Timeline {
            plan: self.name.clone(),
            seed,
            duration_ns: nanos(self.run.duration),
            off: Vec::new(),
            entries: Vec::new(),
            more: Vec::new(),
        };
        let firsts = self.firsts();
        let sure = |name: &String| firsts.get(name.as_str()).is_some_and(|first| first.sure);
        for event in &self.events {
            let Some(&First { at, .. }) = firsts.get(event.name.as_str()) else { continue };
            let waits = waits(&event.when, event.when.event.as_ref().is_none_or(sure));
            let every = event.when.every;
            let often = if every.is_some() { event.when.times.unwrap_or(u64::MAX) } else { 1 };
            let often = usize::try_from(often).unwrap_or(usize::MAX);
            let later = |last: &Duration| every.and_then(|every| last.checked_add(every));
            let times = std::iter::successors(Some(at), later).take(often);
            timeline.tell(&event.name, &event.action, &waits, times, seed);
        }
        for (chaos, kept) in self.chaos.iter().zip(self.kept(seed)) {
            if kept {
                timeline.tell(&chaos.name, &chaos.action, &[], chaos.arrivals(seed), seed);
            } else {
                timeline.off.push(chaos.name.clone());
            }
        }
        timeline.entries.sort_by_key(|entry| entry.time_ns);
        timeline
    }

    /// When each event can fire first.
    fn firsts(&self) -> BTreeMap<&str, First> {
        let by_name: BTreeMap<_, _> = self.events.iter().map(|event| (event.name.as_str(), event)).collect();
        let mut firsts: BTreeMap<&str, First> = BTreeMap::new();
        for event in &self.events {
            // From this one back to the first that is known, and from there on. No chain is a cycle.
            let mut chain = vec![event];
            let mut before = None;
            while let Some(name) = chain.last().and_then(|last| last.when.event.as_deref()) {
                before = firsts.get(name).copied();
                match by_name.get(name) {
                    Some(earlier) if before.is_none() => chain.push(earlier),
                    Some(_) | None => break,
                }
            }
            for event in chain.into_iter().rev() {
                let first = event.first(before.unwrap_or(First { at: Duration::ZERO, sure: true }));
                before = Some(first);
                firsts.insert(&event.name, first);
            }
        }
        firsts
    }
}

impl Event {
    /// When it can fire first, where the one that it waits for can then.
    fn first(&self, before: First) -> First {
        let when = &self.when;
        let after = before.at.saturating_add(when.after.unwrap_or_default());
        let at = when.at.unwrap_or_default();
        let at = match when.every {
            // Multiples are counted from `at`; those before all else holds pass.
            Some(every) => {
                let passed = after.saturating_sub(at).as_nanos().div_ceil(every.as_nanos()).max(1);
                at.saturating_add(every.saturating_mul(u32::try_from(passed).unwrap_or(u32::MAX)))
            }
            None => at.max(after),
        };
        First { at, sure: before.sure && is_timed(when) && self.action.meets_somebody() }
    }
}

impl Action {
    /// Whether it meets somebody whatever the cluster is like.
    fn meets_somebody(&self) -> bool {
        let always = |target: &Target| matches!(target, Target::Ids(_) | Target::All);
        match self {
            Self::Heal => true,
            Self::Partition { split, .. } => match split {
                Split::Isolate(target) => matches!(target, Target::Ids(_)),
                Split::Groups(_) | Split::Cut(_) => true,
                Split::Any(_) => false,
            },
            Self::Link { target, .. } => match target {
                LinkTarget::Of(target) => always(target),
                LinkTarget::RandomPair | LinkTarget::OneWay(..) => false,
            },
            Self::Crash { target, .. }
            | Self::Clock { target, .. }
            | Self::IsolateClient { target, .. }
            | Self::Stop { target, .. }
            | Self::Disk { target, .. }
            | Self::Snapshot { target }
            | Self::Wipe { target, .. }
            | Self::Upgrade { target, .. }
            | Self::Pause { target, .. } => always(target),
            Self::Membership { .. } | Self::Transfer { .. } => false,
        }
    }
}

impl Timeline {
    fn tell(
        &mut self,
        name: &str,
        action: &Action,
        waits: &[String],
        times: impl Iterator<Item = Duration>,
        seed: u64,
    ) {
        let end = Duration::from_nanos(self.duration_ns);
        for (place, at) in times.take_while(|at| *at < end).enumerate() {
            if place == TOLD_MAX {
                self.more.push(name.to_owned());
                return;
            }
            let nth = place as u64 + 1;
            let action = action.drawn(&mut draws(seed, name, nth));
            let undo = action.undo();
            let for_ns = match undo {
                Some(Undo::After((length, _))) if at.saturating_add(length) < end => Some(nanos(length)),
                Some(Undo::After(_) | Undo::AtEnd | Undo::Never) | None => None,
            };
            let heals = matches!(undo, Some(Undo::After(_) | Undo::AtEnd));
            self.entries.push(Entry {
                time_ns: nanos(at),
                event: name.to_owned(),
                nth,
                waits: waits.to_vec(),
                does: action_text(&action),
                for_ns,
                heals,
            });
        }
    }
}

/// What an event waits for besides a time that is known.
fn waits(when: &When, after_a_known_time: bool) -> Vec<String> {
    let untimed = When { at: None, every: None, times: None, ..when.clone() };
    let known = When { event: None, after: None, ..untimed.clone() };
    when_text(if after_a_known_time { &known } else { &untimed })
}

/// Whether only time decides.
fn is_timed(when: &When) -> bool {
    let timed = When {
        at: when.at,
        every: when.every,
        times: when.times,
        event: when.event.clone(),
        after: when.after,
        ..When::default()
    };
    *when == timed
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
