//! When the plan's chaos is due, and what of it was held back.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::iter::Peekable;

use raft_core::Time;
use serde::Serialize;

use crate::plan::{self, Action, Arrivals, Plan};

/// All chaos of a plan that is on with this seed.
pub(super) struct Chaos {
    tables: Vec<Table>,
    from: Time,
    skipped: BTreeMap<(String, String), u64>,
}

struct Table {
    plan: plan::Chaos,
    arrivals: Peekable<Arrivals>,
    /// How often it was due.
    nth: u64,
}

/// Chaos that is due.
pub(super) struct Due {
    pub(super) plan: plan::Chaos,
    /// The number of this time, from 1.
    pub(super) nth: u64,
}

/// Chaos that was held back.
#[derive(Clone, Debug, Serialize)]
pub struct Skipped {
    /// Its name.
    pub event: String,
    /// The limit of the budget, or that there was nobody to do it to.
    pub why: String,
    /// How often.
    pub count: u64,
}

impl Chaos {
    pub(super) fn new(plan: &Plan, seed: u64, from: Time) -> Self {
        let kept = plan.chaos.iter().zip(plan.kept(seed)).filter(|(_, kept)| *kept);
        let table = |(chaos, _): (&plan::Chaos, bool)| Table {
            plan: chaos.clone(),
            arrivals: chaos.arrivals(seed).peekable(),
            nth: 0,
        };
        Self { tables: kept.map(table).collect(), from, skipped: BTreeMap::new() }
    }

    /// What has become due by now, the heaviest first.
    pub(super) fn due(&mut self, now: Time) -> Vec<Due> {
        let since = now.since(self.from);
        let mut due = Vec::new();
        for table in &mut self.tables {
            while table.arrivals.next_if(|at| *at <= since).is_some() {
                table.nth += 1;
                due.push(Due { plan: table.plan.clone(), nth: table.nth });
            }
        }
        due.sort_by_key(|due| Reverse(due.plan.weight));
        due
    }

    /// What the chaos of this name does.
    pub(super) fn action(&self, name: &str) -> Option<Action> {
        let named = self.tables.iter().find(|table| table.plan.name == name);
        named.map(|table| table.plan.action.clone())
    }

    pub(super) fn skip(&mut self, event: String, why: String) {
        *self.skipped.entry((event, why)).or_default() += 1;
    }

    /// What was held back.
    pub(super) fn skipped(&self) -> Vec<Skipped> {
        let skipped = |((event, why), count): (&(String, String), &u64)| Skipped {
            event: event.clone(),
            why: why.clone(),
            count: *count,
        };
        self.skipped.iter().map(skipped).collect()
    }
}
