//! When an event fires, as the plan writes it (`when`): states that hold for a while, and at most one moment.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use super::events::Context;
use super::moments::{self, Moment, Trigger};
use super::values::{self, Count};
use super::walk::{Item, Section};

/// When an event fires: when all that is written here holds. Times count from the end of `warmup`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct When {
    /// From then on.
    pub at: Option<Duration>,
    /// At each multiple of it, counted from `at`, the first after one period; without it the event fires once.
    pub every: Option<Duration>,
    /// With `every`: at most so often.
    pub times: Option<u64>,
    /// Once this event has fired.
    pub event: Option<String>,
    /// That long after `event` fired, without one after `warmup`.
    pub after: Option<Duration>,
    /// While the highest term has a leader; with `event`, one elected since.
    pub leader_elected: bool,
    /// While the highest term of any server is such.
    pub term: Option<Count>,
    /// While the highest commit index is such.
    pub commit: Option<Count>,
    /// While all of this holds of the log of the server of the trigger, else of the leader's.
    pub with: Vec<Condition>,
    /// At this moment inside a server.
    pub trigger: Option<Trigger>,
    /// Only the time of this number, from 1, that all else comes to hold.
    pub nth: Option<u64>,
}

/// A bound on something about a server's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    /// What is counted.
    pub quantity: Quantity,
    /// The bound.
    pub count: Count,
}

/// Something about a server's log that can be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// Entries that it does not know to be committed.
    Uncommitted,
    /// Entries that it knows to be committed and has not handed to its state machine.
    Unapplied,
    /// Entries that are not on its disk.
    Unsynced,
    /// Entries by which its log ends before the leader's.
    Lag,
    /// Entries that are in its log, and not only in a snapshot.
    Log,
    /// The index of the last entry that its snapshot stands for.
    Snapshot,
}

/// The words of `with`.
pub(super) const QUANTITIES: [(&str, Quantity); 6] = [
    ("uncommitted", Quantity::Uncommitted),
    ("unapplied", Quantity::Unapplied),
    ("unsynced", Quantity::Unsynced),
    ("lag", Quantity::Lag),
    ("log", Quantity::Log),
    ("snapshot", Quantity::Snapshot),
];

/// Prints as the plan writes it.
impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = QUANTITIES.iter().find(|(_, quantity)| *quantity == self.quantity);
        write!(f, "{} {}", word.map_or("", |(word, _)| word), self.count)
    }
}

/// The names of all events, each with the one that its `when` names.
pub(super) type Chain = BTreeMap<String, Option<String>>;

/// `when` of the event of that name. What there is to know of its targets goes into `context`.
pub(super) fn when(
    mut table: Section<'_>,
    name: &str,
    chain: &Chain,
    context: &mut Context,
    duration: Duration,
) -> When {
    let at = table.read("at", |item| {
        let at = item.duration()?;
        if at > duration {
            let end = values::print_duration(duration);
            return item.expected(&format!("{end}, which is run.duration, or less"));
        }
        Some(at)
    });
    let every = table.read("every", Item::some_duration);
    let times = table.get("times");
    if let Some(item) = times.as_ref().filter(|_| !table.has("every")) {
        item.wrong("only what has `every` repeats; write every = \"...\" too, or leave it out");
    }
    let times = times.and_then(|item| item.integer(1, i64::MAX.unsigned_abs()));
    let event = table.read("event", |item| earlier(item, name, chain, &mut context.after));
    let after = table.read("after", Item::duration);

    let mut keys: Vec<&str> = ["every"].into_iter().filter(|key| table.has(key)).collect();
    let leaders = [("elected", None), ("deposed", Some(Moment::LeaderDeposed))];
    let leader = table.read("leader", |item| item.word(&leaders));
    if leader == Some(Some(Moment::LeaderDeposed)) {
        keys.push("leader");
    }
    let [term, commit] = ["term", "commit"].map(|key| table.read(key, Item::count));
    let with = table.read("with", |item| item.parsed(conditions, "conditions, as in \"uncommitted >= 3\""));
    context.has_node |= ["leader", "term", "commit", "with"].iter().any(|key| table.has(key));
    let trigger = moments::trigger(&mut table, context, &mut keys, leader.flatten());
    let nth = table.read("nth", |item| item.integer(1, i64::MAX.unsigned_abs()));
    if let [first, second, ..] = keys[..] {
        table.wrong(&format!("{first} and {second} are both moments and never meet; leave one of them out"));
    }
    table.finish();
    let (leader_elected, with) = (leader == Some(None), with.unwrap_or_default());
    When { at, every, times, event, after, leader_elected, term, commit, with, trigger, nth }
}

/// `Q OP n`, joined by `and`.
fn conditions(text: &str) -> Result<Vec<Condition>, String> {
    let condition = |condition: &str| {
        let Some((word, count)) = condition.trim().split_once(' ') else {
            return Err(format!("{condition:?} is no condition; write it as in \"uncommitted >= 3\""));
        };
        let Some((_, quantity)) = QUANTITIES.iter().find(|(known, _)| *known == word) else {
            let known: Vec<_> = QUANTITIES.iter().map(|(known, _)| *known).collect();
            return Err(format!("{word:?} is unknown; known here are {}", known.join(", ")));
        };
        Ok(Condition { quantity: *quantity, count: Count::parse(count)? })
    };
    text.split(" and ").map(condition).collect()
}

/// The event that this one waits for; `after` takes all that come before it.
fn earlier(item: &Item<'_>, name: &str, chain: &Chain, after: &mut BTreeSet<String>) -> Option<String> {
    let first = item.text()?;
    if !chain.contains_key(first) {
        let known: Vec<_> = chain.keys().map(|name| (name.as_str(), ())).collect();
        item.word_in(first, &known);
        return None;
    }
    let mut next = Some(first);
    while let Some(before) = next {
        if before == name {
            return item.expected("an event that does not wait for this one");
        }
        if !after.insert(before.to_owned()) {
            break;
        }
        next = chain.get(before).and_then(Option::as_deref);
    }
    Some(first.to_owned())
}
